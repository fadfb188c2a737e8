package federation

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// access is who may look at a status, and how: what option status says behind the address.
type access struct {
	cert, key, authorities string    // files; "": without TLS, and from anybody
	token                  string    // file; "": nobody has to show one
	review                 [2]string // kubeconfig and context of an API that says who may look; "": none does
	hosts                  []string
}

// accessWords begin what option status says behind the address.
var accessWords = []string{"tls", "token", "review", "host"}

// largestToken is how long one may be.
const largestToken = 4096

// tells reads where the status is served, and to whom.
func (s *stanza) tells(a args) (err error) {
	words := a.list
	var addr []string
	if len(words) > 0 && !slices.Contains(accessWords, words[0]) {
		addr, words = words[:1], words[1:]
	}
	if s.status, err = statusAddr(addr); err != nil {
		return err
	}
	for len(words) > 0 {
		what, rest := words[0], words[1:]
		n := slices.IndexFunc(rest, func(w string) bool { return slices.Contains(accessWords, w) })
		if n < 0 {
			n = len(rest)
		}
		given := rest[:n]
		words = rest[n:]
		switch {
		case what == "tls" && (n == 2 || n == 3):
			s.access.cert, s.access.key = path(a.c, given[0]), path(a.c, given[1])
			if n == 3 {
				s.access.authorities = path(a.c, given[2])
			}
		case what == "token" && n == 1:
			s.access.token = path(a.c, given[0])
		case what == "review" && (n == 1 || n == 2):
			s.access.review[0] = path(a.c, given[0])
			copy(s.access.review[1:], given[1:])
		case what == "host" && n > 0:
			s.access.hosts = append(s.access.hosts, given...)
		default:
			return errors.New("needs at most one address, and then: status [ADDRESS:PORT] [tls CERT KEY [CLIENT-CA]] [token FILE] [review KUBECONFIG [CONTEXT]] [host NAME...]")
		}
	}
	if s.access.cert != "" {
		if _, err := s.access.config(); err != nil {
			return err
		}
	}
	if s.access.token != "" {
		_, err = s.access.shown()
	}
	return err
}

// shown is the token that has to be shown, as the file has it now.
func (a *access) shown() (string, error) {
	text, err := inputfile.Read(a.token, largestToken)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	const least = 16 // bytes: a shorter one is guessed
	if len(token) < least {
		return "", fmt.Errorf("token %s: it needs at least %d characters, such as of: openssl rand -hex 32", a.token, least)
	}
	return token, nil
}

// config is that of TLS, with what the files hold from now on: certificates are made anew while a
// server runs. A file that has become wrong leaves what it said last.
func (a *access) config() (*tls.Config, error) {
	// Over HTTP/2 a browser has as many streams as it has pages open.
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	p := &pair{access: a}
	if err := p.read(); err != nil {
		return nil, err
	}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.now(), nil }
	if a.authorities == "" {
		return c, nil
	}
	text, err := inputfile.Read(a.authorities, inputfile.Kubeconfig)
	if err != nil {
		return nil, err
	}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls: %s has no certificate of an authority, in PEM", a.authorities)
	}
	return c, nil
}

// A pair is a certificate with its key, as the files have them.
type pair struct {
	*access
	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
	stamps [2]stamp
}

func (p *pair) read() error {
	cert, err := tls.LoadX509KeyPair(p.access.cert, p.key)
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			return fmt.Errorf("tls: %s: %w", at.Path, at.Err)
		}
		return fmt.Errorf("tls: %s and %s: %w", p.access.cert, p.key, err)
	}
	p.cert = &cert
	return nil
}

// now is the certificate, looked at once in a while.
func (p *pair) now() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < filePoll {
		return p.cert
	}
	p.looked = time.Now()
	if is := [2]stamp{stampOf(p.access.cert), stampOf(p.key)}; is != p.stamps {
		p.stamps = is
		if err := p.read(); err != nil {
			observe.Log.Errorf("status: %v; what it said last stays", err)
		}
	}
	return p.cert
}

// accessOf is who may look, of all stanzas that tell their status: they share it.
func accessOf(stanzas []stanza) (out access, err error) {
	first := true
	for i := range stanzas {
		s := &stanzas[i]
		switch {
		case s.status == "":
		case first:
			out, first = s.access, false
		case !reflect.DeepEqual(out, s.access):
			return out, s.positions.of("status").errorf("status: the federations of a server block share who may look; say the same of all")
		}
	}
	return out, nil
}
