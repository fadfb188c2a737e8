package status

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// An explainRequest is one request to explain.
type explainRequest struct {
	name   string // absolute, as it was asked
	word   string // that was said for it; "": the name itself
	qtype  uint16
	client netip.Addr
	lost   []topology.ClusterName
}

func (s *Status) questioning(v url.Values) (explainRequest, error) {
	q := explainRequest{qtype: dns.TypeA}
	if v.Get("name") == "" {
		return q, bad("name: none is given").with("explain?name=web.shop.fed.svc.example.com")
	}
	name, err := s.expand(v.Get("name"), s.Block.Current.Load())
	if err != nil {
		return q, err
	}
	if q.name = dns.Fqdn(name); name != v.Get("name") {
		q.word = v.Get("name")
	}
	if _, err := dnsname.Parse(q.name); err != nil {
		return q, bad("%v", err)
	}
	if t := strings.ToUpper(v.Get("type")); t != "" {
		var known bool
		if q.qtype, known = dns.StringToType[t]; !known {
			n, err := strconv.ParseUint(strings.TrimPrefix(t, "TYPE"), 10, 16)
			if err != nil {
				return q, bad("type: %q is not a type of records, such as A, SRV or TYPE65", v.Get("type"))
			}
			q.qtype = uint16(n)
		}
	}
	if v.Has("client") {
		var err error
		if q.client, err = netip.ParseAddr(v.Get("client")); err != nil {
			return q, bad("client: %q is not an IP address", v.Get("client"))
		}
	}
	for _, name := range v["without"] {
		var known []string
		for i := range s.Federations {
			for _, c := range s.Federations[i].Members() {
				known = append(known, string(c.Name))
			}
		}
		if !slices.Contains(known, name) {
			return q, bad("without: there is no cluster %q", name).with("known clusters: " + strings.Join(known, ", "))
		}
		q.lost = append(q.lost, topology.ClusterName(name))
	}
	return q, nil
}

// indifferent is what there is to say of a client for as long as no policy looks
// at it.
const Indifferent = "makes no difference: answers don't depend on who asks"

// attempts bounds how often an explanation is begun anew because a publication
// came in between: under churn, evidence and answer may be one publication apart.
const attempts = 5

// explain answers /api/v1/explain.
func (s *Status) explain(ctx context.Context, v url.Values) (any, error) {
	at, err := moment(v)
	if err != nil {
		return nil, err
	}
	asked, err := s.questioning(v)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		return s.explainPast(ctx, asked, at)
	}
	for try := 1; ; try++ {
		current := s.Block.Current.Load()
		out, err := s.explainAt(ctx, asked, current)
		if err != nil || try == attempts || s.Block.Current.Load() == current {
			return out, err
		}
	}
}

// explainAt explains the answer of one snapshot, with the evidence of this moment.
func (s *Status) explainAt(ctx context.Context, asked explainRequest, current *snapshot.Snapshot) (any, error) {
	out := report.Explanation{Name: asked.name, Word: asked.word, Type: typeText(asked.qtype)}
	if asked.client.IsValid() {
		out.Client = &report.Client{Address: asked.client.String(), Note: Indifferent}
	}
	out.Serial = current.Serial
	q, labels := s.query(asked, current)
	if q == nil {
		out.Is, out.About = report.IsElsewhere, "in none of the domains of this server block; another block or plugin answers, or REFUSED"
		out.Reply = Replied(nil, zone.Outcome{})
		out.Near = s.near(asked.name, current)
		return out, nil
	}
	out.Domain = string(q.Domain.Name)
	m, label := wire(s.context(ctx), q, labels)
	out.Reply = Replied(m, label)
	a := addressed(q, labels)
	out.Is, out.About, out.Why = s.kind(q, labels, &a, label)
	if label == (zone.Outcome{What: zone.ServFail, Scope: zone.ApexScope}) && s.Server() == nil {
		out.Note = "this server has not been asked anything over DNS yet, and so can't follow CNAMEs to other names here"
	}
	if out.Is == report.IsUnknown {
		out.Near = s.near(asked.name, current)
	}
	for _, c := range asked.lost {
		out.Lost = append(out.Lost, string(c))
	}
	host, err := s.claims(ctx, q, &a)
	if err != nil {
		return nil, err
	}
	out.Host = host
	if out.Is != report.IsService && out.Is != report.IsPort && out.Is != report.IsHost {
		if len(asked.lost) > 0 {
			out.Without = &report.View{Reply: out.Reply} // what exists doesn't depend on who is up
		}
		return out, nil
	}
	out.Note = a.Service.Note
	if out.Client != nil && a.Policy().Choice == snapshot.Nearest {
		*out.Client = s.Block.Geo[a.Index].Describe(asked.client)
	}
	out.Service = &report.Subject{
		Federation: a.Federation.Name, Kind: a.Service.Key.Kind.String(), Namespace: a.Service.Key.Namespace, Name: a.Service.Key.Name,
		Scope: a.Place(), Place: report.Place(a.Scope),
	}
	i := slices.Index(current.Federations, a.Federation)
	e, known, err := s.known(ctx, i, a.Service.Key, nil)
	if err != nil {
		return nil, err
	}
	out.Remarks = s.remarks(i, &a, e)
	s.view(&out.View, q, &a, m, e, known)
	if len(asked.lost) == 0 {
		return out, nil
	}
	after, known, err := s.known(ctx, i, a.Service.Key, asked.lost)
	if err != nil {
		return nil, err
	}
	hypothetical := &snapshot.Snapshot{Version: current.Version, Federations: slices.Clone(current.Federations)}
	hypothetical.Federations[i] = replace(current.Federations[i], a.Service.Key, withoutClusters(e, after, asked.lost))
	if q, labels = s.query(asked, hypothetical); q == nil {
		panic("federation: a domain has gone from the configuration while it was in use")
	}
	m, label = wire(s.context(ctx), q, labels)
	a = addressed(q, labels)
	out.Without = &report.View{Reply: Replied(m, label)}
	s.view(out.Without, q, &a, m, after, known)
	return out, nil
}

// typeText is a type of records in letters.
func typeText(t uint16) string { return dns.Type(t).String() }

// remarks are what is odd about the policy of a service: what makes it mean less than it says.
func (s *Status) remarks(federation int, a *answer.Answer, e table.Explanation) (out []string) {
	l, p := s.Block.Geo[federation], s.Federations[federation].Policy.Choice
	if own := a.Service.Policy; own != nil {
		p = *own
	}
	for _, r := range table.UnknownRegions(a.Federation, p) {
		if !a.Federation.Settled {
			break // it may come
		}
		out = append(out, fmt.Sprintf("policy %s: there is no region %s in the federation now", p, r))
	}
	for _, o := range e.Done {
		out = append(out, fmt.Sprintf("override %q has had its effect; it has no other, and can be taken back", o))
	}
	out = append(out, e.Ungranted...)
	switch {
	case p.Choice != snapshot.Nearest:
	case !l.Configured() && a.Service.Key.Kind != snapshot.Host: // theirs it is anyway
		out = append(out, fmt.Sprintf("policy %s: %s", p, shard.Placeless))
	case l.Lacks():
		out = append(out, fmt.Sprintf("policy %s: there is no database to place clients by: those that no nets place get every shard, for a short time", p))
	}
	return out
}

// query makes of what is asked what ServeDNS would; nil: it is in no domain.
func (s *Status) query(asked explainRequest, current *snapshot.Snapshot) (q *zone.Query, labels []string) {
	r := new(dns.Msg).SetQuestion(asked.name, asked.qtype)
	r.SetEdns0(dns.MaxMsgSize, false) // all of it, with the reasons
	state := request.Request{W: nowhere{asked.client}, Req: r}
	d, rel := s.Block.Find(state.Name())
	if d == nil {
		return nil, nil
	}
	zone.NormalizeOPT(r, "tcp", false)
	return &zone.Query{Request: state, Domain: d, Static: d.Static.Load(), Snapshot: current, Turn: s.Block.Turn.Load(), Of: s.Block}, dnsname.Labels(rel)
}

// wire gives the very message that goes out.
func wire(ctx context.Context, q *zone.Query, labels []string) (*dns.Msg, zone.Outcome) {
	if m, label := q.Meta(); m != nil {
		return m, label
	}
	return q.Reply(ctx, labels)
}

// addressed asks for the addresses at a name, whatever was asked for: the way there
// doesn't depend on the type, and only addresses are led to by all of it.
func addressed(q *zone.Query, labels []string) (a answer.Answer) {
	q.Domain.Resolve(&a, q.Snapshot, q.Static, q.Request.Name(), labels, answer.TypeA, pipeline.Now())
	return a
}

// context is one in which records can be followed through the whole server.
func (s *Status) context(ctx context.Context) context.Context {
	if server := s.Server(); server != nil {
		return context.WithValue(ctx, dnsserver.Key{}, server)
	}
	return ctx
}

// A nowhere takes a reply for a client that isn't there.
type nowhere struct{ client netip.Addr }

func (l nowhere) addr() net.Addr {
	if l.client.IsValid() {
		return &net.TCPAddr{IP: l.client.AsSlice(), Zone: l.client.Zone()}
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
}

func (l nowhere) LocalAddr() net.Addr         { return nowhere{}.addr() }
func (l nowhere) RemoteAddr() net.Addr        { return l.addr() }
func (l nowhere) WriteMsg(*dns.Msg) error     { return nil }
func (l nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (l nowhere) Close() error                { return nil }
func (l nowhere) TsigStatus() error           { return nil }
func (l nowhere) TsigTimersOnly(bool)         {}
func (l nowhere) Hijack()                     {}
func (l nowhere) Network() string             { return "tcp" }

// Replied prints a message; nil: the next plugin's.
func Replied(m *dns.Msg, label zone.Outcome) report.Reply {
	out := report.Reply{Outcome: "next plugin", Answer: []string{}, Authority: []string{}, Additional: []string{}, Errors: []report.ExtendedError{}}
	if m == nil {
		return out
	}
	out.Outcome, out.Scope = label.Labels()
	out.Rcode, out.Authoritative = dns.RcodeToString[m.Rcode], m.Authoritative
	first := true
	for _, section := range []struct {
		from []dns.RR
		to   *[]string
	}{{m.Answer, &out.Answer}, {m.Ns, &out.Authority}, {m.Extra, &out.Additional}} {
		for _, rr := range section.from {
			if o, ok := rr.(*dns.OPT); ok {
				for _, opt := range o.Option {
					if e, ok := opt.(*dns.EDNS0_EDE); ok {
						out.Errors = append(out.Errors, report.ExtendedError{Code: e.InfoCode, Text: e.ExtraText})
					}
				}
				continue
			}
			*section.to = append(*section.to, rr.String())
			if first || rr.Header().Ttl < out.TTL {
				out.TTL, first = rr.Header().Ttl, false
			}
		}
	}
	return out
}

// kind says what a name is: a word for it, the same in a sentence, and why there
// is nothing, if so.
func (s *Status) kind(q *zone.Query, labels []string, a *answer.Answer, label zone.Outcome) (is, about, why string) {
	domain := strings.TrimSuffix(string(q.Domain.Name), ".")
	switch {
	case len(labels) == 0:
		return report.IsApex, "the apex of the domain " + domain, ""
	case label.Scope == zone.ApexScope && label.What == zone.Delegation:
		return report.IsDelegation, "at or below a delegation in the static records of " + domain, ""
	case label.Scope == zone.ApexScope && q.Static.Zone.Empty(q.Request.Name()):
		return report.IsEmpty, "an empty non-terminal: only names below it have records", ""
	case label.Scope == zone.ApexScope && q.Static.Zone.Owns(q.Request.Name()):
		return report.IsStatic, "a name with static records of " + domain, ""
	case label.Scope == zone.ApexScope && label.What == zone.NXDomain && !q.Static.Zone.Empty(q.Request.Name()):
		return report.IsUnknown, "no name of " + domain, a.Why
	case label.Scope == zone.ApexScope:
		return report.IsStatic, "a name that a wildcard of the static records of " + domain + " covers", ""
	case a.Service != nil && (a.Outcome != answer.NameError) && (a.Path.Proto == "" || a.Path.Port != ""):
		local := a.Inside && !a.LeavesCluster
		if a.Outcome == answer.NotReady || !local && len(a.Service.In(a.End())) == 0 { // else it speaks of the type that addressed asks for
			why = a.Why
		}
		about = fmt.Sprintf("%s of federation %s, in %s", a.Service.Key, a.Federation.Name, a.Scope)
		if a.Inside {
			about = fmt.Sprintf("%s of federation %s, for pods of cluster %s", a.Service.Key, a.Federation.Name, s.Federations[a.Index].Home)
		}
		if a.Path.Pod != "" {
			about = fmt.Sprintf("pod %s of %s", a.Path.Pod, about)
		}
		if a.Path.Port != "" {
			return report.IsPort, fmt.Sprintf("port %s.%s of %s", a.Path.Port, a.Path.Proto, about), why
		}
		if k := a.Service.Key; k.Kind == snapshot.Host {
			about = fmt.Sprintf("%s of federation %s", k, a.Federation.Name)
			if k.Name+"." != q.Request.Name() {
				about = "covered by " + about
			}
			return report.IsHost, about, why
		}
		if a.Service.Key.Kind == snapshot.Svc {
			about = "service " + about
		}
		return report.IsService, about, why
	case a.Outcome == answer.NoData:
		return report.IsEmpty, "an empty non-terminal: only names below it have records", ""
	case a.Outcome == answer.NotReady:
		return report.IsNotReady, "may be a name: not every cluster has been listed yet", a.Why
	}
	return report.IsUnknown, "no name of " + domain, a.Why
}

// claims are those on the host that a name is, or would be.
func (s *Status) claims(ctx context.Context, q *zone.Query, a *answer.Answer) (*report.Host, error) {
	host := strings.TrimSuffix(q.Request.Name(), ".")
	if a.Service != nil && a.Service.Key.Kind == snapshot.Host {
		host = a.Service.Key.Name
	}
	all, ok := s.Pipe.Claims(ctx, host)
	if !ok {
		return nil, errEnded
	}
	if len(all) == 0 {
		return nil, nil
	}
	out := hostOf(host, all)
	return &out, nil
}

// hostOf is a host with the claims on it.
func hostOf(host string, claims []table.ClaimStatus) report.Host {
	out := report.Host{Name: host, Claims: []report.Claim{}}
	for _, c := range claims {
		out.Claims = append(out.Claims, report.Claim{Federation: c.Federation, Namespace: c.Namespace, Created: c.Created, Refused: c.Refused})
	}
	return out
}

// A facts is what the pipeline says of the clusters of a federation.
type facts struct {
	federation *FederationConfig
	standing   []pipeline.ClusterStatus
	isolated   bool
	orders     orders
	lost       []topology.ClusterName
}

// known asks the pipeline for a service and its clusters; as if some were lost.
func (s *Status) known(ctx context.Context, federation int, k snapshot.Key, lost []topology.ClusterName) (e table.Explanation, known facts, err error) {
	known.federation, known.lost = &s.Federations[federation], lost
	e, ok := s.Pipe.Explain(ctx, federation, k, func(c topology.ClusterName) bool { return slices.Contains(lost, c) })
	if ok {
		known.standing, known.isolated, ok = s.Pipe.Clusters(ctx, federation)
	}
	if !ok {
		return e, known, errEnded
	}
	// A file that can't be read leaves orders that only the pipeline knows: the
	// verdicts tell of them, without their reasons.
	now := time.Now()
	file, _ := known.federation.Overrides.Orders(now)
	known.orders = append(registered(s.Federations[federation].Registry, now), file...)
	return e, known, nil
}

// replace is a federation with another state of one service.
func replace(f *snapshot.Federation, k snapshot.Key, svc *snapshot.Service) *snapshot.Federation {
	e := f.Edit()
	if svc != nil {
		e.Set(svc)
	} else {
		e.Remove(k)
	}
	return e.Done()
}

// withoutClusters is what is answered once clusters are lost: the shards that went have
// just gone, and so the TTL is short.
func withoutClusters(before, after table.Explanation, lost []topology.ClusterName) *snapshot.Service {
	for _, x := range before.Shards {
		if after.Answered == nil || x.Verdict.State != health.Up || !slices.Contains(lost, x.Cluster) {
			continue
		}
		for _, p := range x.Places {
			after.Answered.Recent = append(after.Answered.Recent, snapshot.Recent{Place: p, Until: pipeline.Now() + table.Settling})
		}
	}
	return after.Answered
}

// view says what became of each shard.
func (s *Status) view(out *report.View, q *zone.Query, a *answer.Answer, m *dns.Msg, e table.Explanation, known facts) {
	for c := range a.Chain() {
		out.Chain = append(out.Chain, absolute(q, a.Path.At(c)))
	}
	out.GuardHeld = e.Held
	r := ruling{facts: known, answer: a, qtype: q.QType(), replied: addresses(m), chosen: chosen(q, a, e, addresses(m)), held: e.Held, from: map[netip.Addr]topology.ClusterName{}}
	for i := range e.Shards {
		x := &e.Shards[i]
		sh := report.Shard{
			Cluster: string(x.Cluster), Verdict: x.Verdict.State.String(), Reason: string(x.Verdict.Why), Stale: x.Verdict.Stale,
			InScope: slices.ContainsFunc(x.Places, a.Scope.Holds), Places: places(x.Places), Addresses: texts(x.Addrs), Hostnames: x.Hosts,
			Evidence: known.evidence(x),
		}
		if in := x.Inside; in != nil && a.Inside {
			sh.Inside = &report.Inside{Verdict: in.Verdict.State.String(), Reason: string(in.Verdict.Why), Addresses: texts(in.Addrs)}
			sh.InScope = true
		}
		sh.InAnswer, sh.Rule = r.of(x)
		left := r.leftOut(x)
		if sh.Inside != nil && !a.LeavesCluster {
			left = r.missing(x.Inside.Addrs)
		}
		sh.LeftOut = texts(left)
		if a.Inside {
			sh.InAnswer, sh.Rule = r.inside(x, sh.InAnswer, sh.Rule)
		}
		if o := known.orders.about(a.Service.Key, x); o != nil {
			sh.Evidence.Order = o.String()
		}
		out.Shards = append(out.Shards, sh)
	}
	for _, c := range known.standing {
		if !slices.ContainsFunc(e.Shards, func(x table.Explained) bool { return x.Cluster == c.Name }) {
			out.Absent = append(out.Absent, string(c.Name))
		}
	}
}

// chosen are the addresses that the policy chose for who asks, of which an answer may
// have room for some only. A draw can't be made again: there, they are those of the
// shards that are in the reply.
func chosen(q *zone.Query, a *answer.Answer, e table.Explanation, replied map[netip.Addr]bool) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	if a.Policy().Choice == snapshot.Weighted {
		for _, x := range e.Shards {
			if slices.ContainsFunc(x.Addrs, func(a netip.Addr) bool { return replied[a] }) {
				for _, addr := range x.Addrs {
					out[addr] = true
				}
			}
		}
		return out
	}
	all := a.Both()
	from, _ := netip.ParseAddr(q.IP())
	q.Of.Choose(&all, from, q.Client)
	for _, v4 := range []bool{true, false} {
		for addr := range all.Every(v4) {
			out[addr] = true
		}
	}
	return out
}

// addresses are those of a message, wherever they stand in it.
func addresses(m *dns.Msg) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	if m == nil {
		return out
	}
	for _, rr := range slices.Concat(m.Answer, m.Extra) {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out[a.Unmap()] = true
		}
	}
	return out
}

func (k *facts) evidence(x *table.Explained) report.Evidence {
	e := x.Evidence
	out := report.Evidence{
		Listed: e.Listed, Silent: e.Silent, SilentSeconds: e.Quiet.Seconds(), Deleting: e.Deleting, Endpoints: e.Endpoints, Addresses: e.Addresses,
		Refused: e.Refused, Unusable: e.Unusable, Unresolved: e.Unresolved, Balancer: e.Balancer, Probe: e.Probe.String(),
	}
	for _, c := range k.standing {
		if c.Name == x.Cluster {
			out.ViewAgeSeconds = age(c.Heard)
		}
	}
	for _, k := range x.Closed {
		out.Closed = append(out.Closed, k.Namespace+"/"+k.Name)
	}
	for _, c := range x.Checks {
		p := report.Probe{Target: c.Addr.String(), Spec: c.Spec, State: c.State.String(), Note: c.Note}
		if !c.Addr.IsValid() {
			p.Target = "its addresses"
		}
		out.Probes = append(out.Probes, p)
	}
	return out
}

// absolute makes an absolute name of one that an answer leads to.
func absolute(q *zone.Query, rel string) string {
	d := q.Domain
	if d.Lead != nil {
		d = d.Lead
	}
	if d.Name == dnsname.Root {
		return rel + "."
	}
	return rel + "." + string(d.Name)
}
