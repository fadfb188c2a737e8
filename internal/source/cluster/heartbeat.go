package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
)

const (
	// DefaultPeriod is how often an API is asked whether it is ready: a request of
	// a few bytes on a connection that is open already, which an API server that
	// hears from every node every few seconds won't notice.
	DefaultPeriod = 2 * time.Second
	// DefaultTimeout is how long an API may be silent before the cluster is. Two
	// beats in a row can be lost to a leader election or a reload; a third isn't.
	DefaultTimeout = 5 * time.Second
)

// A Heartbeat says how an API is asked whether it is there. Zeros are the defaults.
type Heartbeat struct {
	Period  time.Duration // from one question to the next, and the longest an answer may take
	Timeout time.Duration // without an answer for that long, the cluster is silent
}

func (h Heartbeat) orDefault() Heartbeat {
	return Heartbeat{Period: cmp.Or(h.Period, DefaultPeriod), Timeout: cmp.Or(h.Timeout, DefaultTimeout)}
}

// beat asks the API once a period whether it is ready, and gives the answers.
func (w *Watcher) beat(ctx context.Context, a *api, answers chan<- error) {
	tick := time.NewTicker(w.Heartbeat.Period)
	defer tick.Stop()
	var due time.Time // when it is asked which version it is
	for {
		err := a.ready(ctx, min(w.Heartbeat.Period, w.Heartbeat.Timeout))
		select {
		case answers <- err:
		case <-ctx.Done():
			return
		}
		if now := time.Now(); err != nil {
			due = time.Time{} // what comes back may be another
		} else if !now.Before(due) {
			due = now.Add(versionAge)
			w.learnVersion(ctx, a)
		}
		apireply.Wait(ctx, apireply.Later(err))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ready asks the API whether it is ready.
func (a *api) ready(ctx context.Context, timeout time.Duration) error {
	body, status, err := a.get(ctx, timeout, a.readyz, 4096)
	if err != nil {
		return err
	}
	if word := strings.TrimSpace(string(body)); word != "" && !strings.EqualFold(word, "ok") {
		return &apireply.UnexpectedReply{What: fmt.Sprintf("GET %s: %s, and %s, not \"ok\"", a.readyz, status, apireply.Page(body))}
	}
	return nil
}

// get asks for a few bytes at most, on the connections for that.
func (a *api) get(ctx context.Context, timeout time.Duration, url string, most int64) (body []byte, status string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	r, err := a.heart.Do(q)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	// Read to its end, it leaves a connection for the next question.
	body, _ = io.ReadAll(io.LimitReader(r.Body, most))
	if r.StatusCode != http.StatusOK {
		return nil, "", &apierrors.StatusError{ErrStatus: metav1.Status{Code: int32(r.StatusCode), Message: fmt.Sprintf("GET %s: %s", url, r.Status)}}
	}
	return body, r.Status, nil
}

// A liveness decides when a cluster is silent, and when it is fresh. It is Run's.
type liveness struct {
	timeout time.Duration
	beat    time.Time // when the last one came
	missed  error     // why there was none after it
	silent  time.Time // since when; zero: it isn't

	// What follows is about the present generation of reflectors.
	grace time.Time // before that, nothing is held against it
	stale bool      // it was there when the cluster fell silent: its lists are from before
	lost  bool      // no beats came meanwhile
	fresh bool      // it has been reported to be
}

// A move is what liveness asks for.
type move int

const (
	stay      move = iota
	beSilent       // report a silence
	startOver      // the next generation, please
	beFresh        // report that all is known again
)

// begin starts a generation. In a silence, it has a timeout of its own to show that
// it does better.
func (p *liveness) begin(now time.Time) {
	p.grace, p.stale, p.lost, p.fresh = time.Time{}, false, false, false
	if !p.silent.IsZero() {
		p.grace = now
	}
}

// next decides what is to be done, given since when any resource has been failing
// (zero: none is) and whether all have been listed by this generation.
func (p *liveness) next(now, failing time.Time, complete bool) move {
	over := func(since time.Time) bool { return now.Sub(since) >= p.timeout && now.Sub(p.grace) >= p.timeout }
	lost, failed := over(p.beat), !failing.IsZero() && over(failing)
	switch {
	case p.lost && !lost:
		// Whatever else is failing may only be waiting to be tried again.
		return startOver
	case lost || failed:
		p.stale, p.lost = true, lost
		if !p.silent.IsZero() {
			return stay
		}
		if p.silent = p.beat; !lost || failed && failing.Before(p.beat) {
			p.silent = failing
		}
		return beSilent
	case !failing.IsZero():
		return stay
	case p.stale:
		return startOver
	case complete && !p.fresh && now.Sub(p.beat) < p.timeout:
		p.fresh, p.silent = true, time.Time{}
		return beFresh
	}
	return stay
}

// answered takes the answer to a question.
func (w *Watcher) answered(now time.Time, err error) {
	switch {
	case err == nil:
	case (apierrors.IsForbidden(err) || apierrors.IsNotFound(err)) && !w.status.rejected():
		// Somebody is there and knows who we are, and only this question can't be
		// asked. While lists work, that is a beat; were they turned down as well, it
		// would mean that the API won't speak to us any more. A 401 always does.
		if !w.shy {
			w.shy = true
			w.Log.Warn(fmt.Sprintf("cluster %s: %v; any answer to it counts as a heartbeat while lists work", w.Cluster, err))
		}
	default:
		w.count(why(err))
		w.pulse.missed = err
		w.troubled(why(err), err)
		return
	}
	if failing, _ := w.status.state(); failing.IsZero() {
		w.trouble.Store(nil)
	}
	w.pulse.beat, w.pulse.missed = now, nil
	w.hear()
}

// check does what liveness asks for. It says whether a new generation is due.
func (w *Watcher) check(now time.Time, report func(...shard.Change)) (over bool) {
	p := &w.pulse
	was := p.silent
	failing, complete := w.status.state()
	switch p.next(now, failing, complete) {
	case startOver:
		return true
	case beSilent:
		text := fmt.Sprintf("cluster %s: silent for %s: what is known of it stays", w.Cluster, round(now.Sub(p.silent)))
		if p.lost && p.missed != nil {
			text += fmt.Sprintf("; %s: %s", why(p.missed), apireply.Brief(p.missed))
		}
		w.Log.Error(text)
		report(shard.Silent{For: now.Sub(p.silent)})
	case beFresh:
		if !was.IsZero() {
			w.Log.Info(fmt.Sprintf("cluster %s: fresh again after %s", w.Cluster, round(now.Sub(was))))
		}
		report(shard.Fresh{})
	}
	return false
}

// round makes durations fit for a log.
func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
