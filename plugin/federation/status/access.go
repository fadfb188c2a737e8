package status

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// Access is who may look.
type Access struct {
	// Names are those by which browsers may know the server, beside its own, addresses, and
	// what nobody else can give an address to.
	Names []string
	// Token gives what has to be shown; nil: nothing has. An error is that nobody may look.
	Token func() (string, error)
	// Review has an API of Kubernetes say whose a token is, and whether that one may get a path; nil: it
	// isn't asked.
	Review func(ctx context.Context, token, path string) (user string, may bool, err error)
}

// Reviewed stands before the path of a request where an API of Kubernetes is asked whether somebody may
// get it: as it is, /api/v1/clusters is what every service account may get, by ClusterRole system:discovery.
const Reviewed = "/fedns"

// largestBody is how much a request may have behind its head: nothing that is answered here has
// anything.
const largestBody = 4096

// admit says whether a request may be answered.
//
// A page of somebody else's that is open in an operator's browser may give its own name this
// server's address (DNS rebinding), and then read what is answered, as if that were its own:
// the name in the request gives it away.
func (s *Status) admit(r *http.Request) *fault {
	if !s.called(r.Host) {
		return (&fault{code: http.StatusMisdirectedRequest, text: "this server isn't called " + quote(r.Host)}).with("ask by its address, or by a name that option status has as host")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return &fault{code: http.StatusForbidden, text: "another site's page asks; nothing here is for it"}
	}
	token := shown(r)
	if s.Access.Review != nil && token != "" {
		path := Reviewed + r.URL.Path
		switch user, may, err := s.Access.Review(r.Context(), token, path); {
		case err != nil:
			return &fault{code: http.StatusServiceUnavailable, text: "the API that says who may look can't be asked: " + err.Error()}
		case may:
			return nil
		case user != "":
			return (&fault{code: http.StatusForbidden, text: user + " may not get " + quote(path)}).with("a ClusterRole with nonResourceURLs [" + Reviewed + "/*] and the verb get gives the right")
		}
	}
	if s.Access.Token == nil && s.Access.Review == nil {
		return nil
	}
	if s.Access.Token == nil {
		return unshown()
	}
	want, err := s.Access.Token()
	if err != nil {
		return &fault{code: http.StatusServiceUnavailable, text: "the token that has to be shown can't be read: " + err.Error()}
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(want)) != 1 {
		return unshown()
	}
	return nil
}

func unshown() *fault {
	return (&fault{code: http.StatusUnauthorized, text: "a token has to be shown"}).with("Authorization: Bearer TOKEN; a browser is asked for it as a password, with any name")
}

// shown is the token of a request: a browser knows passwords only.
func shown(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// called says whether a name that a request is for is this server's, or an address.
func (s *Status) called(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if _, err := netip.ParseAddr(name); err == nil || name == "" { // HTTP/1.0 has none
		return true
	}
	// What has one label, or stands below these, no stranger can give an address to.
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".svc") || strings.HasSuffix(name, ".cluster.local") || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if own, err := os.Hostname(); err == nil && strings.EqualFold(own, name) {
		return true
	}
	for _, n := range s.Access.Names {
		if strings.EqualFold(strings.TrimSuffix(n, "."), name) {
			return true
		}
	}
	d, _ := s.Block.Find(dns.Fqdn(name))
	return d != nil && d.Name != "."
}

// quote shortens what a stranger calls the server.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "..."
	}
	return "\"" + s + "\""
}
