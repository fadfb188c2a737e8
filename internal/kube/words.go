package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedns/fedns/internal/kube/apireply"
)

// denial is how an API server says that somebody lacks a right.
var denial = regexp.MustCompile(`(\S+)(?: "[^"]*")? is forbidden: User "([^"]*)" cannot (\w+) resource "([^"]*)"(?: in API group "([^"]*)")?(?: in the namespace "([^"]*)"| at the cluster scope)?`)

// pathDenial is how it says so of a path.
var pathDenial = regexp.MustCompile(`forbidden: User "([^"]*)" cannot (\w+) path "([^"]*)"`)

// before is what client-go adds of calls that it made before: much the same, of other ports.
var before = regexp.MustCompile(` - error from a previous attempt: .*?(; and |$)`)

// Plain is what an error says, for people, in one line: what Go and an API server say
// of calls that came to nothing is put into words, wherever it stands in it.
func Plain(err error) string {
	text := before.ReplaceAllString(err.Error(), "$1")
	var u *url.Error
	if errors.As(err, &u) {
		text = strings.ReplaceAll(text, u.Error(), reached(u, strings.ReplaceAll(text, u.Error(), "")))
	}
	text = pathDenial.ReplaceAllString(text, `forbidden: user "$1" may not $2 $3`)
	text = denial.ReplaceAllStringFunc(text, func(s string) string {
		m := denial.FindStringSubmatch(s)
		out := fmt.Sprintf("forbidden: user %q may not %s %s", m[2], m[3], m[4])
		if m[6] != "" {
			out += " in namespace " + m[6]
		}
		return out
	})
	if apierrors.IsUnauthorized(err) {
		text = strings.ReplaceAll(text, "the server has asked for the client to provide credentials", "Unauthorized")
		text = strings.ReplaceAll(text, "Unauthorized", "its credentials aren't accepted (401)")
	}
	text = strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "it didn't answer in time")
	text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	return oneLine(text)
}

// reached says of whom a call didn't reach why, and who it is where the rest of the text
// doesn't say so.
func reached(u *url.Error, rest string) string {
	if apireply.Answered(u.Err) {
		return u.Err.Error()
	}
	out := "can't be reached: " + Cause(u)
	if to, err := url.Parse(u.URL); err == nil && !strings.Contains(rest, to.Host) {
		out = to.Scheme + "://" + to.Host + " " + out
	}
	return out
}

// oneLine makes one line of what has several.
func oneLine(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		switch {
		case b.Len() == 0:
		case strings.HasSuffix(b.String(), ":"), strings.HasSuffix(b.String(), ";"):
			b.WriteString(" ")
		default:
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// Cause is why a call by HTTP didn't get to an answer, in words.
func Cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return fmt.Sprintf("there is no host %q", lookup.Name)
	case errors.As(err, &certificate):
		return "its certificate isn't accepted: " + distrust(certificate.Err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks HTTP, not HTTPS"
	case errors.As(err, &record):
		return "it doesn't speak TLS"
	case errors.As(err, &alert):
		return "it ends the TLS handshake: " + strings.TrimPrefix(alert.Error(), "tls: ")
	case Silent(err):
		return "it didn't answer in time"
	case errors.As(err, &lookup):
		return fmt.Sprintf("host %q can't be looked up: %s", lookup.Name, lookup.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection"
	case errors.As(err, &op):
		var sys *os.SyscallError
		if errors.As(op.Err, &sys) {
			return sys.Err.Error()
		}
		return op.Err.Error()
	}
	text := err.Error()
	if strings.Contains(text, "malformed HTTP") || strings.Contains(text, "readLoopPeekFail") { // there is no type for it
		return "it doesn't speak HTTP"
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "http: "), "tls: ")
}

// distrust says why a certificate isn't accepted.
func distrust(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "nobody who is trusted here has signed it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if begins := invalid.Cert.NotBefore; time.Now().Before(begins) {
			return "it begins on " + begins.UTC().Format(time.DateOnly)
		}
		return "it ended on " + invalid.Cert.NotAfter.UTC().Format(time.DateOnly)
	case errors.As(err, &name) && name.Certificate != nil:
		names := name.Certificate.DNSNames
		for _, ip := range name.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			return "it is for no host"
		}
		return fmt.Sprintf("it is for %s, not %s", strings.Join(names, ", "), name.Host)
	}
	return strings.TrimPrefix(err.Error(), "x509: ")
}

// Advice is what to do about an error of an API, as far as that is known; "": it isn't.
func Advice(err error) string {
	var u *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return "has its token or certificate ended? --kubeconfig and --context say which is taken"
	case apierrors.IsForbidden(err):
		return "somebody with more rights has to give it these" + grant(err.Error()) + ", or --context names one who has them"
	case errors.Is(err, apireply.ErrUnexpected), errors.Is(err, apireply.ErrRedirect):
		return "is the address in the kubeconfig that of an API server, or does something stand in front of it?"
	case errors.Is(err, apireply.ErrCredential):
		return "the user's exec in the kubeconfig says what is run"
	case errors.As(err, &u):
		return "does its API server run, and is the address in the kubeconfig right? --context says which is meant"
	}
	return ""
}

// grant is what gives the right that a denial speaks of.
func grant(text string) string {
	m := denial.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	kind, where, resource, to := "clusterrole", "", m[4], "--user="+m[2]
	if m[5] != "" {
		resource += "." + m[5]
	}
	if m[6] != "" {
		kind, where = "role", " -n "+m[6]
	}
	if account, ok := strings.CutPrefix(m[2], "system:serviceaccount:"); ok {
		to = "--serviceaccount=" + account
	}
	return fmt.Sprintf(": kubectl create %s fedctl%s --verb=%s --resource=%s, and kubectl create %sbinding fedctl%s --%s=fedctl %s", kind, where, m[3], resource, kind, where, kind, to)
}
