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
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/pipeline"
)

// A limiter is the table of the questions that the chain answers: those that come
// where there is no fast path.
type limiter struct {
	sync.Mutex
	table *rrl.Table // nil: there is no limit
}

func (l *rateLimit) limited() bool { return l.mode != "off" }

// take says what becomes of an answer to an address.
func (l *limiter) take(from netip.Addr, now time.Duration) rrl.Verdict {
	l.Lock()
	defer l.Unlock()
	return l.table.Take(from, now)
}

// action is what the metric calls a verdict.
func (l *rateLimit) action(v rrl.Verdict) string {
	if l.mode == "observe" {
		return "would " + v.String()
	}
	return v.String()
}

// admitted marks questions that were admitted before they came to the chain.
type admitted struct{}

// rateLimit says what becomes of the answer to a question that came to the chain in a
// datagram of its own. Others' addresses are known to be right.
func (q *query) rateLimit(ctx context.Context, f *Federation) rrl.Verdict {
	if f.limiter.table == nil || q.Proto() != "udp" || ctx.Value(admitted{}) != nil || q.holder {
		return rrl.Pass
	}
	if s, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server); !ok || !strings.HasPrefix(s.Addr, transport.DNS+"://") {
		return rrl.Pass // QUIC has seen the client answer
	}
	from, err := netip.ParseAddr(q.IP())
	if err != nil || f.guards.limit.exempt(from) {
		return rrl.Pass
	}
	verdict := f.limiter.take(from, pipeline.Now())
	if verdict != rrl.Pass {
		rateLimited.WithLabelValues(metrics.WithServer(ctx), f.guards.limit.action(verdict)).Inc()
		if f.guards.limit.mode == "observe" {
			return rrl.Pass
		}
	}
	return verdict
}

// checkCookie looks at the client's cookie, and keeps what is due to it. It is false for one of an impossible length.
func (q *query) checkCookie(jar *cookie.Keyring) bool {
	from, err := netip.ParseAddr(q.IP())
	if err != nil {
		return true
	}
	var sound bool
	q.cookie, q.holder, sound = recognize(jar, q.Req, from)
	return sound
}

// setCookie gives the client its cookie.
func (q *query) setCookie(m *dns.Msg) {
	if q.cookie != nil {
		opt := q.opt(m)
		opt.Option = append(opt.Option, q.cookie)
	}
}
