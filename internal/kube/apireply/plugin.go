package apireply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrCredential says that a credential plugin gives none.
var ErrCredential = errors.New("the credential plugin gives no credentials")

const (
	// soonest and latest bound the pauses between two runs of a credential plugin
	// for credentials that aren't accepted, or aren't given. A plugin asks somebody
	// else, who counts; half a minute is as long as whom it lets in again may wait.
	soonest = 2 * time.Second
	latest  = 30 * time.Second
)

// A Plugin keeps client-go from running a credential plugin (the exec of a
// kubeconfig) at every answer of 401, and at every call while it fails. It is one
// for all connections that use the same user. The zero value is ready.
type Plugin struct {
	mu    sync.Mutex    // guards the rest
	pause time.Duration // after the next run in vain
	until time.Time     // before that, there is no other
	err   error         // why it gave nothing the last time
}

// Inner stands below what runs the plugin, which does so when it sees a 401: it
// sees one only when it may.
func (p *Plugin) Inner(next http.RoundTripper) http.RoundTripper { return &inner{p, next} }

// Outer stands above what runs the plugin, and keeps calls from one that has failed.
func (p *Plugin) Outer(next http.RoundTripper) http.RoundTripper { return &outer{p, next} }

// may says whether the plugin may run again; it is taken to.
func (p *Plugin) may(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.until) {
		return false
	}
	p.vain(now)
	return true
}

// vain counts a run; whoever has found its result good says so by works.
func (p *Plugin) vain(now time.Time) {
	p.pause = min(max(2*p.pause, soonest), latest)
	p.until = now.Add(p.pause)
}

// works notes that credentials were accepted.
func (p *Plugin) works() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause, p.until, p.err = 0, time.Time{}, nil
}

// failed notes that the plugin has given nothing.
func (p *Plugin) failed(now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err = err; !now.Before(p.until) { // calls that waited for the same run are one
		p.vain(now)
	}
}

// closed is why no call may be made; one call is let through when a pause is over.
func (p *Plugin) closed(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err == nil:
		return nil
	case now.Before(p.until):
		return p.err
	}
	p.vain(now)
	return nil
}

type inner struct {
	*Plugin
	next http.RoundTripper
}

// WrappedRoundTripper is for closing idle connections.
func (i *inner) WrappedRoundTripper() http.RoundTripper { return i.next }

// RoundTrip implements http.RoundTripper.
func (i *inner) RoundTrip(q *http.Request) (*http.Response, error) {
	r, err := i.next.RoundTrip(q)
	switch {
	case err != nil:
		return nil, err
	case r.StatusCode != http.StatusUnauthorized:
		i.works()
		return r, nil
	case i.may(time.Now()):
		return r, nil
	}
	r.Body.Close()
	return nil, apierrors.NewUnauthorized("the credential plugin's credentials aren't accepted")
}

type outer struct {
	*Plugin
	next http.RoundTripper
}

// WrappedRoundTripper is for closing idle connections.
func (o *outer) WrappedRoundTripper() http.RoundTripper { return o.next }

// RoundTrip implements http.RoundTripper.
func (o *outer) RoundTrip(q *http.Request) (*http.Response, error) {
	if err := o.closed(time.Now()); err != nil {
		return nil, err
	}
	r, err := o.next.RoundTrip(q)
	// client-go has no type for it.
	if err != nil && q.Context().Err() == nil {
		if why, ok := strings.CutPrefix(err.Error(), "getting credentials: "); ok {
			why, _, _ = strings.Cut(why, "\n") // what follows is how to install one
			err = fmt.Errorf("%w: %s", ErrCredential, Line(why))
			o.failed(time.Now(), err)
		}
	}
	return r, err
}

type throttled struct{ next http.RoundTripper }

// NameThrottling has a 429 be an error at once. client-go waits instead, for as long
// as ten times what the server asks for, and its callers don't know for what.
func NameThrottling(next http.RoundTripper) http.RoundTripper { return &throttled{next} }

// WrappedRoundTripper is for closing idle connections.
func (t *throttled) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *throttled) RoundTrip(q *http.Request) (*http.Response, error) {
	r, err := t.next.RoundTrip(q)
	if err != nil || r.StatusCode != http.StatusTooManyRequests {
		return r, err
	}
	defer r.Body.Close()
	after := retryAfter(r, time.Now())
	e := apierrors.NewTooManyRequests("answered 429 Too Many Requests", int(after/time.Second))
	if after > 0 {
		e.ErrStatus.Message += fmt.Sprintf(", to be asked again in %s", after)
	}
	return nil, e
}

// patience bounds what an API may ask for: it is to be noticed when it recovers.
const longestWait = time.Minute

// retryAfter reads the header of that name (RFC 9110, section 10.2.3), in either form.
func retryAfter(r *http.Response, now time.Time) time.Duration {
	text := r.Header.Get("Retry-After")
	var after time.Duration
	if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now).Round(time.Second)
	} else if n, err := time.ParseDuration(text + "s"); err == nil {
		after = n.Round(time.Second)
	}
	return min(max(after, 0), longestWait)
}

// Later is how long the API behind an error wants not to be asked.
func Later(err error) time.Duration {
	if s, ok := apierrors.SuggestsClientDelay(err); ok && apierrors.IsTooManyRequests(err) {
		return min(time.Duration(s)*time.Second, longestWait)
	}
	return 0
}

// Wait waits, or until a context ends.
func Wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
