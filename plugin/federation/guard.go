package federation

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A limiter is the table of the questions that the chain answers: those that come
// where there is no fast path.
type limiter struct {
	sync.Mutex
	table *rrl.Table // nil: there is no limit
}

// take says what becomes of an answer to an address.
func (l *limiter) take(from netip.Addr, now time.Duration) rrl.Verdict {
	l.Lock()
	defer l.Unlock()
	return l.table.Take(from, now)
}

// rateLimit says what becomes of the answer to a question that came to the chain in a
// datagram of its own. Others' addresses are known to be right.
func (f *Federation) rateLimit(ctx context.Context, q *zone.Query) rrl.Verdict {
	if f.limiter.table == nil || q.Proto() != "udp" || ctx.Value(fastpath.Admitted{}) != nil || q.Holder {
		return rrl.Pass
	}
	if s, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server); !ok || !strings.HasPrefix(s.Addr, transport.DNS+"://") {
		return rrl.Pass // QUIC has seen the client answer
	}
	from, err := netip.ParseAddr(q.IP())
	if err != nil || f.Guards.RateLimit.Exempt(from) {
		return rrl.Pass
	}
	verdict := f.limiter.take(from, pipeline.Now())
	if verdict != rrl.Pass {
		fastpath.RateLimited.WithLabelValues(metrics.WithServer(ctx), f.Guards.RateLimit.Action(verdict)).Inc()
		if f.Guards.RateLimit.Mode == "observe" {
			return rrl.Pass
		}
	}
	return verdict
}
