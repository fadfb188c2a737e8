package pipeline

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ErrNoHost says that a hostname has no address, for certain: the name does not
// exist, or has no A and AAAA records.
var ErrNoHost = errors.New("has no address")

// A Resolver looks up the addresses of a hostname and how long they may be used.
// An error that isn't ErrNoHost means that nothing was learned; with addresses, of the
// family that they aren't of.
type Resolver interface {
	Lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
}

const (
	// A load balancer's addresses are looked up again when their TTL is over, but
	// not more often than minRefresh (a TTL of 0 would be a storm), and not less
	// often than maxRefresh (a TTL of a day would keep a dead address for one).
	minRefresh = 5 * time.Second
	maxRefresh = 5 * time.Minute
	// A lookup that failed is tried again soon, and then less and less often: answers
	// may wait for it, and a resolver may have started just now, too.
	firstRetry = 200 * time.Millisecond
	retry      = 5 * time.Second
)

// followHosts starts a resolver for each hostname that a table has come to need,
// and ends those of the others.
func (w *worker) followHosts(ctx context.Context) {
	for i, t := range w.tables {
		if !t.HostsChanged() {
			continue
		}
		running := w.hosts[i]
		want := t.Hosts()
		for _, h := range want {
			if running[h] != nil {
				continue
			}
			hctx, cancel := context.WithCancel(ctx)
			running[h] = cancel
			known := t.Resolution(h)
			w.wg.Go(func() { w.resolve(hctx, i, h, known) })
		}
		for h, cancel := range running {
			if _, ok := slices.BinarySearch(want, h); !ok {
				cancel()
				delete(running, h)
			}
		}
	}
}

// resolve keeps a table's addresses of one hostname until ctx ends. When nothing
// can be learned, what was known stays: a resolver's failure is not a load
// balancer's. So it is with each family.
func (p *Pipeline) resolve(ctx context.Context, federation int, host string, known []netip.Addr) {
	f := p.federations[federation]
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last string // error, so that each is logged once
	again := firstRetry
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		addrs, ttl, err := f.Resolver.Lookup(ctx, host)
		if ctx.Err() != nil {
			return
		}
		if len(addrs) > 0 && err != nil {
			kept := others(known, addrs)
			if addrs = append(addrs, kept...); len(kept) == 0 {
				err = nil // some servers of load balancers' names never answer for AAAA
			}
		}
		wait := retry
		switch {
		case len(addrs) > 0:
			slices.SortFunc(addrs, netip.Addr.Compare)
			p.send(ctx, func(w *worker) { w.resolved(federation, host, addrs) })
			known, again = addrs, firstRetry
			if err != nil {
				break
			}
			wait = min(max(ttl, minRefresh), maxRefresh)
			if last != "" {
				p.log.Info("load balancer " + host + ": resolves again")
			}
			last = ""
		case errors.Is(err, ErrNoHost):
			known = nil
			p.send(ctx, func(w *worker) { w.resolved(federation, host, nil) })
		default:
			wait, again = again, min(2*again, retry)
		}
		if err != nil {
			lookupErrors.WithLabelValues(f.Name).Inc()
			if err.Error() != last {
				last = err.Error()
				p.log.Warn("load balancer " + host + ": " + last)
			}
		}
		timer.Reset(wait)
	}
}

// others are those of known that are of a family of which there is none in found.
func others(known, found []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(known), func(a netip.Addr) bool {
		return slices.ContainsFunc(found, func(b netip.Addr) bool { return a.Is4() == b.Is4() })
	})
}
