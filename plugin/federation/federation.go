// Package federation is the CoreDNS plugin: a Corefile in, DNS messages out.
//
// It decides nothing about names: package answer does, from the snapshot that
// package pipeline keeps. Here are the stanza (config.go, setup.go), the way of a
// question (this file), what it looks like on the wire (reply.go, edns.go), and
// the static records beside the federated ones (apex.go).
package federation

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// Federation answers for all federations of one server block.
type Federation struct {
	Next plugin.Handler

	domains []*domain
	board   *snapshot.Current
	ready   <-chan struct{}
	pipe    *pipeline.Pipeline
	written written
	turn    atomic.Uint32 // grows with each answer, to rotate addresses

	instance caddy.Context // of the configuration it is part of
	stop     func()        // ends what start has started
	ending   context.Context
	tasks    sync.WaitGroup // what stop waits for

	geo   []*geoindex.Index  // by federation
	books []*registryMembers // by federation; nil: it has no registry

	// For the fast path.
	config    *dnsserver.Config
	block     int      // of the Corefile
	addresses []string // as CoreDNS names its servers
	guards    guards
	conns     *sockets.ConnLimits // nil: nothing is said
	jar       atomic.Pointer[cookie.Keyring]
	limiter   limiter

	begun atomic.Bool // it was ready
}

// A domain is a DNS zone with the federations that live under it.
type domain struct {
	name    dnsname.Name
	members []answer.Member
	apex    atomic.Pointer[staticZone]
	file    string   // the apex file, or "" for the default apex
	owned   reserved // what the apex file must keep away from
	fall    fall.F
	// lead is where the names of a cluster's own domain lead when there is no shard in
	// it: the federation's first domain. It is nil for all other domains.
	lead *domain
}

// Name implements plugin.Handler.
func (f *Federation) Name() string { return observe.PluginName }

// Ready implements ready.Readiness: all that answers depend on is known, or had its
// time. It stays so, and is so from the beginning in a reload: until the new
// configuration is ready, the one before answers.
func (f *Federation) Ready() bool { return f.startupOver() || proc.succeeds(f) }

// startupOver says whether all that answers depend on is known: every member has been listed,
// what is asked then has been answered, and it has been worked out where clients and
// regions are.
func (f *Federation) startupOver() bool {
	if f.begun.Load() {
		return true
	}
	select {
	case <-f.ready:
		if slices.ContainsFunc(f.geo, func(l *geoindex.Index) bool { return !l.Ready() }) {
			return false
		}
		f.begun.Store(true)
		return true
	default:
		return false
	}
}

// CacheBypassZones implements cache.ZoneBypasser: an answer from a cache would
// outlive the shards in it, and wouldn't rotate.
func (f *Federation) CacheBypassZones() []string {
	zones := make([]string, len(f.domains))
	for i, d := range f.domains {
		zones[i] = string(d.name)
	}
	return zones
}

// domain finds the domain that a name, in lower case, is in: the longest.
func (f *Federation) domain(name string) (d *domain, rel string) {
	for _, o := range f.domains {
		if r, ok := o.name.Under(name); ok && (d == nil || len(o.name) > len(d.name)) {
			d, rel = o, r
		}
	}
	return d, rel
}

// ServeDNS implements plugin.Handler.
func (f *Federation) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	state := request.Request{W: w, Req: r}
	d, rel := f.domain(state.Name())
	if d == nil {
		return plugin.NextOrFailure(f.Name(), f.Next, ctx, w, r)
	}
	q := query{Request: state, domain: d, apex: d.apex.Load(), snapshot: f.board.Load(), turn: f.turn.Add(1), of: f}
	normalizeOPT(r, state.Proto())
	sound := q.checkCookie(f.jar.Load())
	client, whole := q.subnet()
	whole = whole && ctx.Value(misplacedOption{}) == nil
	if from, _ := netip.ParseAddr(state.IP()); q.network != nil && !f.trustsSubnet(d, from) {
		q.network, client = nil, netip.Prefix{}
	}
	outer, _ := ctx.Value(following{}).(*query)
	switch loop, _ := ctx.Value(dnsserver.LoopKey{}).(int); {
	case outer != nil:
		q.client = outer.client
		defer func() { outer.scope = max(outer.scope, q.scope) }()
	case loop == 0:
		q.client = client
	default: // another plugin asks, and would not pass on how far the answer holds
	}
	switch q.rateLimit(ctx, f) {
	case rrl.Drop:
		return dns.RcodeSuccess, nil // nothing more to be written
	case rrl.Slip:
		m := q.message()
		m.Truncated = true // come again over TCP
		q.setCookie(m)
		return dns.RcodeSuccess, w.WriteMsg(m)
	}
	m, label := (*dns.Msg)(nil), outcome{}
	if !sound || !whole {
		m, label = q.refuse(dns.RcodeFormatError)
	} else {
		m, label = q.meta()
	}
	if m != nil {
		q.echoSubnet(m)
		q.setCookie(m)
	} else if m, label = q.reply(ctx, dnsname.Labels(rel)); m == nil {
		return plugin.NextOrFailure(f.Name(), f.Next, ctx, w, r)
	}
	what, scope := label.labels()
	answers.WithLabelValues(metrics.WithServer(ctx), what, scope).Inc()
	return dns.RcodeSuccess, w.WriteMsg(m)
}

// following marks questions that a query asks of the whole server, to follow a
// static CNAME: with the query, which passes on what it has learnt.
type following struct{}

// A query is a question with all it is answered from: loaded once, so that one
// answer shows one generation.
type query struct {
	request.Request
	domain   *domain
	apex     *staticZone
	snapshot *snapshot.Snapshot
	turn     uint32
	cookie   *dns.EDNS0_COOKIE // due to the client
	holder   bool              // its own cookie was good
	of       *Federation
	client   netip.Prefix      // its network, as its resolver says; invalid: nothing is said
	network  *dns.EDNS0_SUBNET // the same, as it came
	scope    uint8             // of the answer
}
