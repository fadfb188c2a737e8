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

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
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
	hung         reason = "hung"   // the watch said nothing for so long that we ended it
	throttled    reason = "throttled"
	strange      reason = "unexpected" // an answer, and not an API server's
	redirected   reason = "redirect"   // it leads elsewhere, which isn't followed
	credential   reason = "credential" // the credential plugin gives none
	restored     reason = "restored"   // the store behind it went back in time
	excess       reason = "excess"     // more than is taken in
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
	case errors.Is(err, kube.ErrHung):
		return hung
	case errors.Is(err, kube.ErrClosed):
		return closed
	case errors.Is(err, apireply.ErrExcess):
		return excess
	case errors.Is(err, apireply.ErrUnexpected):
		return strange
	case errors.Is(err, apireply.ErrRedirect):
		return redirected
	case errors.Is(err, apireply.ErrCredential):
		return credential
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
	case op != nil, errors.As(err, &dns), errors.As(err, &network) && network.Timeout(), errors.As(err, &errno), errors.Is(err, kube.ErrNoAnswer),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "http2: client connection lost"):
		return unreachable
	}
	return other
}

// An apiStatus is how a cluster's API does, so that the log says what changed, once.
type apiStatus struct {
	log    *slog.Logger
	prefix string // "cluster gce-us: "

	mu      sync.Mutex        // guards the rest
	failing map[string]fault  // by resource
	needed  []string          // resources that can't be done without
	extra   map[string]string // resources that many clusters don't have, and what they are called together
	refused map[string]bool   // resources that can be done without, and have to be
	strikes map[string]int    // refusals in a row since the needed resources are there
	why     reason            // as logged
	since   time.Time
	waiting map[string]bool // resources not listed yet
	counts  map[string]int  // of the first lists
	order   []string        // of resources in the log
	seldom  map[string]bool // resources that few clusters have any of
	told    map[string]bool // resources whose complete lists this generation has reported
	changed chan struct{}   // has something when state gives something better
}

// A fault is what is wrong with a resource, and since when anything is.
type fault struct {
	why   reason
	since time.Time
}

func newAPIStatus(log *slog.Logger, name string, resources []*resource) *apiStatus {
	s := &apiStatus{
		log: log, prefix: "cluster " + name + ": ", failing: map[string]fault{}, extra: map[string]string{}, refused: map[string]bool{}, strikes: map[string]int{},
		waiting: map[string]bool{}, seldom: map[string]bool{}, counts: map[string]int{}, changed: make(chan struct{}, 1),
	}
	for _, r := range resources {
		s.waiting[r.name] = true
		s.order = append(s.order, r.name)
		s.seldom[r.name] = r.seldom || r.extra
		if r.extra {
			s.extra[r.name] = r.group
		}
		if !r.optional {
			s.needed = append(s.needed, r.name)
		}
	}
	return s
}

// failed notes that a call went wrong. All resources fail together as a
// rule, one after another; that is one line, when the first does.
func (s *apiStatus) failed(resource string, w reason, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.failing[resource]
	if f.why = w; !ok {
		f.since = time.Now()
	}
	s.failing[resource] = f
	if s.why == "" {
		s.since = time.Now()
	}
	if s.why == "" || !s.held(s.why) {
		s.why = w
		s.log.Error(fmt.Sprintf("%s%s: %s: %v", s.prefix, w, resource, apireply.Brief(err)))
	}
}

// refuse notes that the API won't give a resource that can be done without. final
// is whether that is believed: an API server that is starting turns everybody down
// until it has read its roles, so that a refusal counts only when it is repeated
// after the needed resources have been listed. first says that the resource hasn't
// been listed, and is to count as empty.
func (s *apiStatus) refuse(resource string, err error) (final, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, failing := s.failing[resource]; failing { // it fails for another reason than before
		f.why = why(err)
		s.failing[resource] = f
	}
	for _, r := range s.needed {
		if !s.told[r] {
			return false, false
		}
	}
	if s.strikes[resource]++; s.strikes[resource] < 2 {
		return false, false
	}
	if !s.refused[resource] {
		if name, first := s.named(resource); first {
			s.log.Warn(fmt.Sprintf("%s%s: %s; going on without", s.prefix, name, apireply.Brief(err)))
		}
		s.refused[resource] = true
	}
	s.recovered(resource)
	return true, s.waiting[resource]
}

// works notes that a watch is open, or tells something.
func (s *apiStatus) works(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.strikes, resource)
	if s.refused[resource] {
		delete(s.refused, resource)
		if name, last := s.named(resource); last {
			s.log.Info(s.prefix + name + ": no longer refused")
		}
	}
	s.recovered(resource)
}

// spare notes that a resource is done without for now, whatever was wrong with it.
func (s *apiStatus) spare(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recovered(resource)
}

// named is what a resource is called in the log, and whether nothing else of that
// name is refused.
func (s *apiStatus) named(resource string) (name string, alone bool) {
	group, ok := s.extra[resource]
	if !ok {
		return resource, true
	}
	for r, g := range s.extra {
		if g == group && s.refused[r] {
			return group, false
		}
	}
	return group, true
}

// theGatewayAPI is what its resources are called together.
const theGatewayAPI = "the Gateway API"

func (s *apiStatus) recovered(resource string) {
	if s.why == "" {
		return
	}
	delete(s.failing, resource)
	if len(s.failing) == 0 {
		s.log.Info(fmt.Sprintf("%sback after %s", s.prefix, round(time.Since(s.since))))
		s.why = ""
		s.nudge()
	}
}

// begin starts a generation, of which nothing has been reported.
func (s *apiStatus) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = map[string]bool{}
	clear(s.strikes)
}

// reported notes that a complete list is where it should be.
func (s *apiStatus) reported(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[resource] = true
	s.nudge()
}

func (s *apiStatus) nudge() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// rejected says whether any resource is failing with an answer, not for want of one.
func (s *apiStatus) rejected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failing {
		if f.why != unreachable && f.why != hung {
			return true
		}
	}
	return false
}

// state says since when any resource has been failing (zero: none is), and
// whether this generation has reported all lists.
func (s *apiStatus) state() (failing time.Time, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failing {
		if failing.IsZero() || f.since.Before(failing) {
			failing = f.since
		}
	}
	return failing, len(s.told) == len(s.order)
}

// listed notes a complete list.
func (s *apiStatus) listed(resource string, n int) {
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
		if s.seldom[r] && s.counts[r] == 0 {
			continue
		}
		all = append(all, fmt.Sprintf("%d %s", s.counts[r], r))
	}
	s.log.Info(s.prefix + "listed " + strings.Join(all, ", "))
}

func (s *apiStatus) held(w reason) bool {
	for _, f := range s.failing {
		if f.why == w {
			return true
		}
	}
	return false
}
