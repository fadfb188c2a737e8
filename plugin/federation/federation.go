// Package federation is the CoreDNS plugin: a Corefile in, DNS messages out.
//
// It decides nothing about names: answer.Resolve does, from the snapshot that
// package pipeline keeps. Here are the stanza (config.go, setup.go), the way of a
// question (this file), what it looks like on the wire (reply.go, edns.go), and
// the static records beside the federated ones (apex.go).
package federation

import (
	"context"
	"sync/atomic"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/fqdn"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/pipeline"
)

const pluginName = "federation"

// Federation answers for all federations of one server block.
type Federation struct {
	Next plugin.Handler

	domains []*domain
	board   *names.Board
	ready   <-chan struct{}
	pipe    *pipeline.Pipeline
	turn    atomic.Uint32 // grows with each answer, to rotate addresses

	instance caddy.Context // of the configuration it is part of
	stop     func()        // ends what start has started
}

// A domain is a DNS zone with the federations that live under it.
type domain struct {
	name    fqdn.Name
	members []answer.Member
	apex    atomic.Pointer[apex]
	file    string // the apex file, or "" for the default apex
	owned   owned  // what the apex file must keep away from
	fall    fall.F
}

// Name implements plugin.Handler.
func (f *Federation) Name() string { return pluginName }

// Ready implements ready.Readiness: every member has been listed, or had its time.
func (f *Federation) Ready() bool {
	select {
	case <-f.ready:
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
	q := query{Request: state, domain: d, apex: d.apex.Load(), snapshot: f.board.Load(), turn: f.turn.Add(1)}
	tidy(r, state.Proto())
	m, label := q.meta()
	if m == nil {
		m, label = q.reply(ctx, fqdn.Labels(rel))
	}
	if m == nil {
		return plugin.NextOrFailure(f.Name(), f.Next, ctx, w, r)
	}
	room := state.Size()
	if r.IsEdns0() != nil && m.IsEdns0() == nil {
		room -= optSize
	}
	fit(m, room)
	answers.WithLabelValues(metrics.WithServer(ctx), label.outcome, label.scope).Inc()
	return dns.RcodeSuccess, w.WriteMsg(m)
}

// A query is a question with all it is answered from: loaded once, so that one
// answer shows one generation.
type query struct {
	request.Request
	domain   *domain
	apex     *apex
	snapshot *names.Snapshot
	turn     uint32
}

// reply answers a question for a name with these labels before the domain; nil:
// the next plugin may.
func (q *query) reply(ctx context.Context, labels []string) (*dns.Msg, outcome) {
	if len(labels) == 0 {
		return q.static(ctx)
	}
	a := answer.Resolve(q.snapshot, q.domain.members, labels, answer.Type(q.QType()), pipeline.Now())
	if a.Service != nil && a.TTL > 0 {
		return q.federated(&a)
	}
	if q.apex.speaks(labels, &a) {
		// A CNAME to a name that doesn't exist is NXDOMAIN with the CNAME (RFC 6604):
		// the name itself does.
		if m, o := q.static(ctx); m.Rcode != dns.RcodeNameError || len(m.Answer) > 0 {
			return m, o
		}
	}
	switch {
	case a.Outcome == answer.NoData:
		return q.negative(dns.RcodeSuccess, a.Why), outcome{"nodata", "none"}
	case q.domain.fall.Through(q.Request.Name()):
		return nil, outcome{}
	case a.Outcome == answer.NotReady:
		return q.notReady(), outcome{"servfail", "none"}
	}
	return q.negative(dns.RcodeNameError, a.Why), outcome{"nxdomain", "none"}
}
