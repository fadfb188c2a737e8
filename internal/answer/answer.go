// Package answer turns a question into an answer, with a why.
//
// Resolve is a pure function of a snapshot, a question and the time. It speaks
// of scopes and services; how that looks on the wire, and what the static
// records of the domain add, is its callers' affair.
package answer

import (
	"iter"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// An Outcome says what was found.
type Outcome uint8

// The outcomes. NotReady stands for NameError while a member that might know
// the name has not been listed, and for any other while something that the answer
// depends on isn't known yet.
const (
	NameError Outcome = iota // the name does not exist
	NotReady                 // what there is isn't known yet
	NoData                   // it exists; the type doesn't
	Found                    // there are records, at the end of the chain if there is one
)

func (o Outcome) String() string {
	return [...]string{"nxdomain", "notready", "nodata", "success"}[o]
}

// A Type is the type of a question, by its number in DNS (RFC 1035 3.2.2).
type Type uint16

// The types that fedns has records of, and those that ask for them in general.
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeANY   Type = 255
)

// A Member is a federation under the asked domain, with the rules its operator
// set for it.
type Member struct {
	Index    int    // in Snapshot.Federations
	TTL      uint32 // seconds
	Degraded uint32 // seconds; the TTL while what is answered changed lately
	Lenient  bool   // an unknown scope of a known service leads one step up
	Policy   snapshot.Policy
	Answers  int // how many addresses of a family an answer may have; 0: any number
}

// An Answer is what is known about a name, or at its end where it leads on.
type Answer struct {
	Outcome       Outcome
	Path          Path
	Scope         topology.Scope // that was asked
	Hops          int            // how many CNAMEs lead up from there, each to the next wider scope
	Federation    *snapshot.Federation
	Index         int               // of the federation, in Snapshot.Federations
	Service       *snapshot.Service // nil where the name is no service's
	TTL           uint32            // of every record, in seconds
	Normal        uint32            // what that is when nothing has changed lately, and nobody is silent
	Endless       bool              // any name of its kind has one like it: of a scope that is taken for one
	Wildcard      bool              // it is that of a wildcard, which stands below the labels that exist: Depth of them
	Target        bool              // there is a host behind the name: addresses to add to SRV records, or to speak of in HINFO
	Why           string            // the reason, where there is no record
	Stale         bool              // a shard that is or could be in it is only last known to be so
	Awaits        string            // what isn't known yet of the shards that could be in it; "": nothing
	Inside        bool              // the name is in a cluster's own domain
	LeavesCluster bool              // such a name leads to that of Scope, in the federation's domain, and on from there
	AliasTTL      uint32            // the TTL of the CNAME that leads there
	// Depth is how many labels before the domain exist, counted from the right:
	// the closest encloser of a name that doesn't (RFC 4592).
	Depth int

	typ   Type
	run   []snapshot.Shard // of the service at the end of the chain
	width topology.Width   // of that end
	short uint32           // the TTL while something isn't known
	rule  *snapshot.Policy // of the federation
	limit int              // how many addresses of a family it may have; 0: any number

	picks [snapshot.Families]pick // of the run
}

// End is the scope whose records are the answer's.
func (a *Answer) End() topology.Scope {
	s := a.Scope
	for range a.Hops {
		s = s.Up()
	}
	return s
}

// NoRecords says that the name at the end of the chain exists and has no record of any
// type: nothing of the service, or of the port, is up there.
func (a *Answer) NoRecords() bool {
	return a.Outcome == NoData && a.Service != nil && a.TTL > 0 && !a.Target
}

// Chain lists the scopes that CNAMEs lead to, in order: each wider than the one
// before.
func (a *Answer) Chain() iter.Seq[topology.Scope] {
	return func(yield func(topology.Scope) bool) {
		s := a.Scope
		if a.LeavesCluster && !yield(s) {
			return
		}
		for range a.Hops {
			if s = s.Up(); !yield(s) {
				return
			}
		}
	}
}

// Resolve answers the question for a type of a name: labels stand before the
// domain, in lower case, leftmost first; members are the federations under the
// domain; now is on the clock of Recent.Until. Neither labels nor members may change while the
// answer is in use.
func Resolve(s *snapshot.Snapshot, members []Member, labels []string, t Type, now time.Duration) (a Answer) {
	a.Resolve(s, members, labels, t, now)
	return a
}

// Resolve makes a, which is zero, the answer: an answer is large, and a copy of it costs as much as finding
// the service.
func (a *Answer) Resolve(s *snapshot.Snapshot, members []Member, labels []string, t Type, now time.Duration) {
	p := &a.Path
	p.parse(labels)
	if p.Federation == "" || p.extra && !p.hasKind {
		a.above(s, members)
		return
	}
	for i := range members {
		m := &members[i]
		if f := s.Federations[m.Index]; f.Name == p.Federation {
			a.inside(f, m, t, now)
			if a.Outcome == NameError && len(members) > 1 {
				a.Depth = max(a.Depth, beside(s, members, p))
			}
			return
		}
	}
	a.Depth, a.Why = beside(s, members, p), "no federation of this name"
	a.Outcome = a.missing(s, members)
}

// beside is how many of the labels behind a federation's exist, whichever federation has names there.
func beside(s *snapshot.Snapshot, members []Member, p *Path) int {
	a := Answer{Path: Path{Kind: p.Kind, hasKind: true, Scope: p.Scope}}
	a.above(s, members)
	return a.Depth
}

// above answers for names that stop before a federation: empty non-terminals, or
// nothing.
func (a *Answer) above(s *snapshot.Snapshot, members []Member) {
	p := &a.Path
	for i := range members {
		m := &members[i]
		f := s.Federations[m.Index]
		if f.Size() == 0 {
			continue
		}
		known := 0
		for known < min(len(p.Scope), 2) {
			// With lenient, any label may be a scope's: names of services stand
			// below it, and so it exists.
			if _, ok := f.Map.Scope(p.Scope[len(p.Scope)-known-1:]...); !ok && !m.Lenient {
				break
			}
			known++
		}
		a.Depth = max(a.Depth, known)
		if known < len(p.Scope) {
			continue
		}
		if !p.hasKind {
			a.Outcome, a.Depth, a.Why = NoData, known, "empty non-terminal"
			return
		}
		if f.Kind(p.Kind) {
			a.Outcome, a.Depth, a.Why = NoData, known+1, "empty non-terminal"
			return
		}
	}
	a.Why = NoName
	a.Outcome = a.missing(s, members)
}

// missing is NameError once the federations are settled.
func (a *Answer) missing(s *snapshot.Snapshot, members []Member) Outcome {
	for i := range members {
		if o := missing(s.Federations[members[i].Index]); o != NameError {
			return o
		}
	}
	return NameError
}

// missing is the outcome for a name a federation doesn't know: before every
// member has been listed, or had its time, it may yet turn out to exist.
func missing(f *snapshot.Federation) Outcome {
	if f.Heard && f.Settled {
		return NameError
	}
	return NotReady
}

// inside answers for names at and below the federation's label.
func (a *Answer) inside(f *snapshot.Federation, m *Member, t Type, now time.Duration) {
	p := &a.Path
	a.of(f, m)
	a.Depth, a.Why = len(p.Scope), NoName
	scope, ok := f.Map.Scope(p.Scope...)
	if !ok {
		if !m.Lenient {
			a.Outcome, a.Why, a.Depth = missing(f), "no member in this zone or region", known(f, p.Scope)
			return
		}
		scope, a.Endless = strange(p.Scope), true
	}
	a.Scope = scope
	if !f.Kind(p.Kind) {
		a.Outcome, a.Depth = missing(f), a.known(f)
		return
	}
	a.Depth += 2 // kind and federation
	a.find(m, t, now)
}

// of has the answer be a federation's, by the rules of its operator.
func (a *Answer) of(f *snapshot.Federation, m *Member) {
	a.Federation, a.Index, a.rule, a.limit = f, m.Index, &m.Policy, m.Answers
}

// find answers for names at and below the federation's, in the scope that was asked.
func (a *Answer) find(m *Member, t Type, now time.Duration) {
	f, p := a.Federation, &a.Path
	if p.Namespace == "" {
		a.Outcome, a.Why = NoData, "empty non-terminal"
		return
	}
	// Nearly every question is for a service that there is: it is looked up first,
	// and why there is none afterwards.
	if p.Service != "" {
		a.Service = f.Service(p.key())
	}
	switch {
	case a.Service != nil:
		a.Depth += 2 // namespace and service
		a.service(m, t, now)
		return
	case !f.Namespace(p.Kind, p.Namespace):
		a.Outcome, a.Why = missing(f), "no such namespace"
		return
	}
	a.Depth++
	if p.Service == "" {
		a.Outcome, a.Why = NoData, "empty non-terminal"
		return
	}
	a.Outcome, a.Why = missing(f), "no member has the service"
}

// known counts the labels of a scope, from the right, that exist.
func known(f *snapshot.Federation, scope []string) int {
	if f.Size() == 0 {
		return 0
	}
	if _, ok := f.Map.Scope(scope[len(scope)-1]); ok {
		return 1
	}
	return 0
}

func (a *Answer) known(f *snapshot.Federation) int {
	if f.Size() == 0 {
		return 0
	}
	return len(a.Path.Scope)
}

// strange is the scope that labels spell where no member is: a region of that
// name, or a zone in it. A short name is taken for a region's, since one step up
// of both is found there.
func strange(labels []string) topology.Scope {
	if len(labels) == 1 {
		return topology.Scope{Region: labels[0]}
	}
	return topology.Scope{Region: labels[1], Zone: labels[0]}
}

// service answers for a known service, or a port of it, in a scope.
func (a *Answer) service(m *Member, t Type, now time.Duration) {
	port, proto := "", ""
	if a.Inside && a.Path.Port == "" && a.pod(m, t, now) {
		return
	}
	if a.Path.Proto != "" {
		var ok bool
		if proto, ok = bare(a.Path.Proto); !ok || !a.Service.Proto(proto) && !a.near(proto) {
			a.Outcome, a.Why = missing(a.Federation), "no port of this protocol"
			return
		}
		a.Depth++
		if a.Path.Port == "" {
			a.Outcome, a.Why = NoData, "empty non-terminal"
			return
		}
		if port, ok = bare(a.Path.Port); !ok || !a.Service.Port(port, proto) && !(a.Inside && a.Service.Local != nil && a.Service.Local.Port(port, proto)) {
			a.Outcome, a.Why = missing(a.Federation), "no port of this name"
			return
		}
		a.Depth++
		if a.Path.extra {
			a.Outcome, a.Why = missing(a.Federation), NoName
			return
		}
	}
	if a.Inside {
		if l := a.Service.Local; l != nil && l.Port(port, proto) {
			if l.Await != "" {
				a.NotKnown(l.Await)
				return
			}
			a.local(l, port, m, t, now, l.Shards)
			return
		}
		if !a.Federation.Home.Known {
			a.Outcome = NotReady
			return
		}
		a.Scope, a.LeavesCluster = a.Federation.Home.Scope, true
	}
	end := a.Scope
	ok := false
	for {
		a.run = a.Service.In(end)
		ok = up(a.Service, a.run, end, port, proto)
		if what := held(a.Federation, a.Service, end, ok); what != "" {
			a.NotKnown(what)
			return
		}
		if ok || end == topology.Global {
			break
		}
		end = end.Up()
		a.Hops++
	}
	a.typ, a.width = t, end.Width()
	a.TTL, a.Stale, a.Normal = ttl(a.Service, end, m, now), stale(a.Service, end), normalTTL(a.Service, m)
	if a.short, a.Awaits = m.Degraded, awaited(a.Federation, a.Service, end); a.Awaits != "" {
		a.Degrade()
	}
	a.AliasTTL = min(a.TTL, InsideTTL)
	switch {
	case (a.Hops > 0 || a.LeavesCluster) && (t == TypeCNAME || t == TypeANY):
		// The CNAME itself is what was asked for; it isn't followed (RFC 1034
		// section 3.6.2).
		if a.Hops = 1; a.LeavesCluster {
			a.Hops = 0
		}
		a.Outcome, a.Why = Found, ""
		return
	case !ok:
		a.Outcome, a.Why = NoData, a.Service.Down
		if a.Why == "" {
			a.Why = "no shard that is up has the port"
		}
		return
	}
	a.records(port, t)
}

// NotKnown makes of an answer that there is none before something is known.
func (a *Answer) NotKnown(what string) {
	a.Outcome, a.Awaits, a.Why = NotReady, what, what
	a.Hops, a.LeavesCluster, a.Target = 0, false, false
}

// Degrade gives an answer the degraded TTL: something that it depends on isn't known.
func (a *Answer) Degrade() { a.TTL = min(a.TTL, a.short) }

// held says what has to be known before there is an answer in a scope; "": nothing. A
// shard that may turn out to be up, or not to be, is part of it. What a member has that
// has not been listed matters only where nothing else is up: else the one that can't
// be reached would hold up all others.
func held(f *snapshot.Federation, s *snapshot.Service, scope topology.Scope, up bool) string {
	for i := range s.Awaits {
		if w := &s.Awaits[i]; w.Hold && scope.Holds(w.Place) {
			return w.What
		}
	}
	if !up {
		for i := range f.Unlisted {
			if w := &f.Unlisted[i]; w.Hold && scope.Holds(w.Place) {
				return w.What
			}
		}
	}
	return ""
}

// awaited says what isn't known yet of the shards that could be in a scope.
func awaited(f *snapshot.Federation, s *snapshot.Service, scope topology.Scope) string {
	for _, list := range [...][]snapshot.Await{s.Awaits, f.Unlisted} {
		for i := range list {
			if scope.Holds(list[i].Place) {
				return list[i].What
			}
		}
	}
	return ""
}

// near says whether a pod of the cluster that asks has a port of a protocol, whatever its
// Service says.
func (a *Answer) near(proto string) bool {
	return a.Inside && a.Service.Local != nil && slices.ContainsFunc(a.Service.Local.Ports, func(p snapshot.Port) bool { return p.Proto == proto })
}

// up says whether a shard of the run that is the scope's is up, and has the port if
// one is asked.
func up(s *snapshot.Service, run []snapshot.Shard, scope topology.Scope, port, proto string) bool {
	if len(run) == 0 {
		return false
	}
	if port == "" {
		return true
	}
	for i := range s.Ports {
		if p := &s.Ports[i]; p.Name == port && p.Proto == proto && p.In(scope) {
			return true
		}
	}
	return false
}

// records fills in what the type asks of the end of the chain.
func (a *Answer) records(port string, t Type) {
	a.Outcome, a.Target = NoData, true
	if port != "" {
		if t != TypeSRV && t != TypeANY {
			a.Why = "the name of a port has SRV records only"
			return
		}
		a.Outcome = Found
		return
	}
	switch t {
	case TypeA, TypeAAAA:
		if a.Has(t == TypeA) {
			a.Outcome = Found
			return
		}
		a.Why = "no shard has an address of this family"
	case TypeANY:
		a.Outcome = Found
	default:
		a.Why = "services have addresses only"
	}
}

// ttl is that of all records on the way to the end: short while a shard that could
// be in the answer has come or gone lately, or is silent. It doesn't depend on the type, so that
// a CNAME has one TTL, whatever was asked for (RFC 2181 section 5.2).
func ttl(s *snapshot.Service, end topology.Scope, m *Member, now time.Duration) uint32 {
	out := normalTTL(s, m)
	for _, r := range s.Recent {
		if r.Until > now && end.Holds(r.Place) {
			return min(out, m.Degraded)
		}
	}
	for _, q := range s.Silent {
		if end.Holds(q.Place) {
			return min(out, m.Degraded)
		}
	}
	return out
}

// normalTTL is that without what may make it shorter.
func normalTTL(s *snapshot.Service, m *Member) uint32 {
	if s.TTL != 0 {
		return s.TTL
	}
	return m.TTL
}

func stale(s *snapshot.Service, end topology.Scope) bool {
	return slices.ContainsFunc(s.Silent, func(q snapshot.Silent) bool { return q.Stale && end.Holds(q.Place) })
}
