package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A reason is why a call to an API ended badly, in the words of logs and metrics.
type reason string

const (
	unauthorized reason = "unauthorized"
	forbidden    reason = "forbidden"
	unreachable  reason = "unreachable"
	badTLS       reason = "tls"
	gone         reason = "gone"   // the watch is too old to go on: a new list follows
	closed       reason = "closed" // the watch ended, as each does every few minutes
	throttled    reason = "throttled"
	other        reason = "other"
)

// why classifies an error.
func why(err error) reason {
	var (
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		op      *net.OpError
		dns     *net.DNSError
		network net.Error
		errno   syscall.Errno
	)
	switch {
	case apierrors.IsUnauthorized(err):
		return unauthorized
	case apierrors.IsForbidden(err):
		return forbidden
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return gone
	case apierrors.IsTooManyRequests(err):
		return throttled
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record):
		return badTLS
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // a TLS alert
		return badTLS
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.HasStatusCause(err, metav1.CauseType("ClientWatchDecoding")):
		return unreachable
	case op != nil, errors.As(err, &dns), errors.As(err, &network) && network.Timeout(), errors.As(err, &errno), errors.Is(err, errNoAnswer),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "http2: client connection lost"):
		return unreachable
	}
	return other
}

// errNoAnswer stands for the error that client-go swallows when a watch can't be
// opened: it gives an empty watch instead.
var errNoAnswer = errors.New("no answer to a watch")

// A standing is how a cluster's API does, so that the log says what changed, once.
type standing struct {
	log    *slog.Logger
	prefix string // "cluster gce-us: "

	mu      sync.Mutex        // guards the rest
	failing map[string]reason // by resource
	refused map[string]bool   // resources that can be done without, and have to be
	why     reason            // as logged
	since   time.Time
	waiting map[string]bool // resources not listed yet
	counts  map[string]int  // of the first lists
	order   []string        // of resources in the log
}

func newStanding(log *slog.Logger, name string, resources []*resource) *standing {
	s := &standing{
		log: log, prefix: "cluster " + name + ": ", failing: map[string]reason{}, refused: map[string]bool{},
		waiting: map[string]bool{}, counts: map[string]int{},
	}
	for _, r := range resources {
		s.waiting[r.name] = true
		s.order = append(s.order, r.name)
	}
	return s
}

// failed notes that a call went wrong. All four resources fail together as a
// rule, one after another; that is one line, when the first does.
func (s *standing) failed(resource string, w reason, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[resource] = w
	if s.why == "" {
		s.since = time.Now()
	}
	if s.why == "" || !s.held(s.why) {
		s.why = w
		s.log.Error(fmt.Sprintf("%s%s: %s: %v", s.prefix, w, resource, err))
	}
}

// refuse notes that the API won't give a resource that can be done without. It
// says whether the resource hasn't been listed, and is to count as empty.
func (s *standing) refuse(resource string, err error) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refused[resource] {
		s.refused[resource] = true
		s.log.Warn(fmt.Sprintf("%s%s: %v; going on without", s.prefix, resource, err))
	}
	s.recovered(resource)
	return s.waiting[resource]
}

// works notes that a watch is open, or tells something.
func (s *standing) works(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refused, resource)
	s.recovered(resource)
}

func (s *standing) recovered(resource string) {
	if s.why == "" {
		return
	}
	delete(s.failing, resource)
	if len(s.failing) == 0 {
		s.log.Info(fmt.Sprintf("%sback after %s", s.prefix, time.Since(s.since).Round(100*time.Millisecond)))
		s.why = ""
	}
}

// listed notes a complete list.
func (s *standing) listed(resource string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.waiting[resource] {
		return
	}
	delete(s.waiting, resource)
	s.counts[resource] = n
	if len(s.waiting) > 0 {
		return
	}
	var all []string
	for _, r := range s.order {
		all = append(all, fmt.Sprintf("%d %s", s.counts[r], r))
	}
	s.log.Info(s.prefix + "listed " + strings.Join(all, ", "))
}

func (s *standing) held(w reason) bool {
	for _, f := range s.failing {
		if f == w {
			return true
		}
	}
	return false
}
