// Package federation is the CoreDNS plugin: a Corefile in, DNS messages out.
//
// It decides nothing about names: package zone does, from the snapshot that package pipeline
// keeps. Here are the stanza (options.go, config.go, setup.go), the way of a question through
// the chain of plugins (this file, edge.go), and how one configuration follows another
// (reload.go).
package federation

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// Federation answers for all federations of one server block.
type Federation struct {
	Next plugin.Handler

	fastpath.Owner
	ready   <-chan struct{}
	pipe    *pipeline.Pipeline
	written written

	stop   func() // ends what start has started
	ending context.Context
	tasks  sync.WaitGroup // what stop waits for

	books []*registryMembers // by federation; nil: it has no registry

	signing      signing
	transfers    transfers
	publications publications
	stanzas      []stanza            // for what begins once the servers listen
	conns        *sockets.ConnLimits // nil: nothing is said
	limiter      limiter

	begun     atomic.Bool // it was ready
	announced sync.Once   // secondaries hear of it
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
		if slices.ContainsFunc(f.Geo, func(l *geoindex.Index) bool { return !l.Ready() }) {
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
	zones := make([]string, len(f.Domains))
	for i, d := range f.Domains {
		zones[i] = string(d.Name)
	}
	return zones
}

// ServeDNS implements plugin.Handler.
func (f *Federation) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	state := request.Request{W: w, Req: r}
	d, rel := f.Asked(state.Name(), state.QType())
	if d == nil {
		return plugin.NextOrFailure(f.Name(), f.Next, ctx, w, r)
	}
	if transferOf(state) && string(d.Name) == state.Name() && f.transfers.allowed(ctx, d, state) {
		return f.transfer(ctx, w, r, d)
	}
	q := zone.Query{Request: state, Domain: d, Static: d.Static.Load(), Snapshot: f.Current.Load(), Turn: f.Turn.Add(1), Of: &f.Block}
	zone.NormalizeOPT(r, state.Proto(), d.Signer.On())
	sound := q.CheckCookie(f.Keyring.Load())
	client, whole := q.Subnet()
	whole = whole && ctx.Value(zone.MisplacedOption{}) == nil
	if from, _ := netip.ParseAddr(state.IP()); q.Network != nil && !f.TrustsSubnet(d, from) {
		q.Network, client = nil, netip.Prefix{}
	}
	outer, _ := ctx.Value(zone.Following{}).(*zone.Query)
	switch loop, _ := ctx.Value(dnsserver.LoopKey{}).(int); {
	case outer != nil:
		q.Client = outer.Client
		defer func() { outer.Scope = max(outer.Scope, q.Scope) }()
	case loop == 0:
		q.Client = client
	default: // another plugin asks, and would not pass on how far the answer holds
	}
	switch f.rateLimit(ctx, &q) {
	case rrl.Drop:
		return dns.RcodeSuccess, nil // nothing more to be written
	case rrl.Slip:
		m := q.Message()
		m.Truncated = true // come again over TCP
		q.SetCookie(m)
		return dns.RcodeSuccess, w.WriteMsg(m)
	}
	m, label := (*dns.Msg)(nil), zone.Outcome{}
	switch {
	case !sound || !whole:
		q.Network = nil // what isn't understood isn't sent back
		m, label = q.Refuse(dns.RcodeFormatError)
	case f.byTCP(ctx, d, state):
		m, label = q.Current()
	default:
		m, label = q.Meta()
	}
	if m != nil {
		q.EchoSubnet(m)
		q.SetCookie(m)
	} else if m, label = q.Reply(ctx, dnsname.Labels(rel)); m == nil {
		return plugin.NextOrFailure(f.Name(), f.Next, ctx, w, r)
	}
	what, scope := label.Labels()
	zone.Answers.WithLabelValues(metrics.WithServer(ctx), what, scope).Inc()
	f.Traffic.Count(q.Subject, label)
	return dns.RcodeSuccess, w.WriteMsg(m)
}
