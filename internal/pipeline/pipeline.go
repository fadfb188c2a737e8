// Package pipeline carries what clusters report to where it is answered from:
// sources -> table -> snapshot -> board.
//
// One goroutine owns the tables. The first change after a quiet moment is shown
// at once; under churn, changes are gathered and shown together.
package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/pipeline/history"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/source/probe"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

const (
	// minGap is the least time between two snapshots. Fifty a second are more than
	// any client can tell apart, and bound what a flapping cluster can cost.
	minGap = 20 * time.Millisecond
	// Grace is how long a member may take to be listed before unknown names are
	// taken to be unknown without it, and what else has to be learned at the start
	// before answers are given without that. Longer than a TCP connection takes to time
	// out, shorter than a kubelet's patience with a server that isn't ready.
	StartupWait = 10 * time.Second
	// word is how long after a start the word of a controller is waited for on routes that were
	// there by then: what they would change has the degraded TTL. A kubelet starts a container
	// that fails again after five minutes at most; and nobody who has a route can have it so for good.
	word = 5 * time.Minute
	// drain bounds how many reports are taken in before a snapshot is shown, so
	// that a flood can't put it off for ever.
	drain = 256
	// lull is how long after a cluster's first listing memory is given back. At once, what was read
	// would still be under way; and others are mostly listed at the same time.
	lull = time.Second
)

// epoch is when the program's own clock began.
var epoch = time.Now()

// Now is the time on the program's own clock, which steps of the wall clock don't
// move. It is what health is judged by, and Resolve is asked with.
func Now() time.Duration { return time.Since(epoch) }

// A Source reports what one cluster holds until ctx ends. Report may be called by
// several goroutines; all of them are gone when Run returns.
type Source interface {
	Run(ctx context.Context, report func(...shard.Change))
	// Heard is when the cluster last said anything.
	Heard() time.Time
}

// A Dated source knows when its objects were changed last, by the clock of whoever
// keeps them; zero: it doesn't.
type Dated interface{ Changed() time.Time }

// A Member is a cluster with where its objects come from.
type Member struct {
	shard.Cluster
	Source Source
	// Identity tells the same source of the same cluster in another pipeline.
	Identity string
	// Origin is the word of the configuration that it is a member by.
	Origin string
	// Left is called when it is no member any more and its source has ended; it may
	// be nil.
	OnLeave func()

	registered bool // a registry told of it
}

// A Federation is the configuration of one.
type Federation struct {
	Name     string
	Members  []Member
	Resolver Resolver // for load balancers' hostnames
	Policy   shard.Policy
	Probes   probe.Rules
	// Hosts says which hosts of Ingresses and routes are answered; nil: none.
	Hosts table.Admits
	// Overrides is a file of what operators order; "": there is none. OverridesAt is
	// where the configuration says so, for whoever has to mend it.
	Overrides, OverridesAt string
	// State is a folder in which to keep what is known; "": it isn't kept. StateAt is as
	// OverridesAt.
	State, StateAt string

	orders  []override.Order // of a registry
	expects bool             // a registry will tell of more members
}

// A Pipeline keeps one board up to date.
type Pipeline struct {
	federations []Federation
	log         *slog.Logger
	board       snapshot.Current
	ready       chan struct{} // closed once all that answers depend on is known, or had its time
	messages    chan message
	stats       atomic.Pointer[stats]
	unkept      []atomic.Bool // by federation: its state can't be kept
	imported    State         // what is known before the sources speak
	beside      Static
	done        chan struct{} // closed when Run returns
	history     *history.Log
}

// A message is what the owner of the tables has to do, and when that was said.
type message struct {
	at time.Time
	do func(*worker)
}

// Static is what answers depend on and is in no table: the configuration and static
// records.
type Static struct {
	Digest uint64    // of what they say
	Made   time.Time // when they were changed last; zero: nobody knows
}

// New makes a pipeline whose board shows federations of which nothing is known.
func New(federations []Federation, beside Static, log *slog.Logger) *Pipeline {
	p := &Pipeline{
		federations: federations,
		beside:      beside,
		log:         log,
		ready:       make(chan struct{}),
		messages:    make(chan message, 64),
		unkept:      make([]atomic.Bool, len(federations)),
		done:        make(chan struct{}),
		history:     history.New(),
	}
	empty := make([]*snapshot.Federation, len(federations))
	for i, f := range federations {
		empty[i] = snapshot.NewFederation(f.Name)
	}
	var none *snapshot.Snapshot
	p.board.Publish(none.Next(empty).Of(snapshot.Version{Serial: 1}))
	return p
}

// Current shows the current snapshot.
func (p *Pipeline) Current() *snapshot.Current { return &p.board }

// Ready is closed once every member has been listed and what is asked then is known
// (the addresses of load balancers' names, the first results of probes), or has had
// its time.
func (p *Pipeline) Ready() <-chan struct{} { return p.ready }

// UpdateStatic shows a snapshot for a change of what is answered beside it: the static
// records.
func (p *Pipeline) UpdateStatic(ctx context.Context, b Static) {
	p.send(ctx, func(w *worker) {
		w.renew, w.beside = true, b
		w.arbiter.Reevaluate()
	})
}

// send has the owner of the tables do something, as soon as it can. It is false if ctx
// has ended.
func (p *Pipeline) send(ctx context.Context, do func(*worker)) (sent bool) {
	select {
	case p.messages <- message{time.Now(), do}:
		return true
	case <-ctx.Done():
		return false
	}
}

// A State is what a pipeline knows of its clusters, by their identity, and the
// version it has come to. A reload passes it on: what is known of a cluster must
// not depend on its API being up at that moment.
type State struct {
	Version  snapshot.Version
	Clusters map[string]ClusterState
	Hosts    map[string][]netip.Addr // of load balancers' names
	// Probed is what probes have come to, by federation.
	Probed map[string]map[shard.Check]health.Probe
	// Failovers are what failover policies have come to, by federation.
	Failovers map[string]map[snapshot.Key]shard.Failovers
	// Recents are where shards came or went lately, by federation.
	Recents map[string]map[snapshot.Key][]snapshot.Recent
	// Holders are the namespaces that hold hosts which others claim too, by federation and host.
	Holders map[string]map[string]string
	// Histories are what has changed lately, by federation.
	Histories map[string]*history.Log
}

func emptyState() State {
	return State{
		Clusters: map[string]ClusterState{}, Hosts: map[string][]netip.Addr{}, Probed: map[string]map[shard.Check]health.Probe{},
		Failovers: map[string]map[snapshot.Key]shard.Failovers{}, Recents: map[string]map[snapshot.Key][]snapshot.Recent{},
		Holders: map[string]map[string]string{}, Histories: map[string]*history.Log{},
	}
}

// A ClusterState is what is known of one cluster.
type ClusterState struct {
	Changes  []shard.Change // complete lists
	Silent   bool
	Since    time.Duration // when the silence began
	Answered bool          // it was answered from
}

// Export gives what p knows. It is empty when p has ended.
func (p *Pipeline) Export(ctx context.Context) State {
	var e State
	p.inspect(ctx, func(w *worker) { e = w.holdings() })
	return e
}

// inspect has the worker call look between two publications, and waits for it. It
// is false, and look hasn't been called, if p or ctx has ended.
func (p *Pipeline) inspect(ctx context.Context, look func(*worker)) bool {
	looked := make(chan struct{})
	if !p.send(ctx, func(w *worker) {
		defer close(looked)
		look(w)
	}) {
		return false
	}
	select {
	case <-looked:
		return true
	case <-p.done:
		return false
	}
}

// Explain gives what is known of a service; as if the clusters that lost says were
// gone. lost may be nil. ok is false if p has ended.
func (p *Pipeline) Explain(ctx context.Context, federation int, k snapshot.Key, lost func(topology.ClusterName) bool) (e table.Explanation, ok bool) {
	ok = p.inspect(ctx, func(w *worker) { e = w.tables[federation].Explain(k, Now(), lost) })
	return e, ok
}

// ServicesUp lists the services of a federation, with whether every shard of each is up and
// fresh. ok is false if p has ended.
func (p *Pipeline) ServicesUp(ctx context.Context, federation int) (rows map[snapshot.Key]bool, ok bool) {
	ok = p.inspect(ctx, func(w *worker) { rows = w.tables[federation].ServicesUp() })
	return rows, ok
}

// ExplainAll is Explain of several services, at one moment.
func (p *Pipeline) ExplainAll(ctx context.Context, federation int, keys []snapshot.Key) (es []table.Explanation, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		for _, k := range keys {
			es = append(es, w.tables[federation].Explain(k, Now(), nil))
		}
	})
	return es, ok
}

// Claims gives who claims a host, the holder first. ok is false if p has ended.
func (p *Pipeline) Claims(ctx context.Context, host string) (claims []table.ClaimStatus, ok bool) {
	ok = p.inspect(ctx, func(w *worker) { claims = w.arbiter.Claims(host) })
	return claims, ok
}

// Preview gives the services of a federation that would be answered otherwise under the
// orders that edit makes of those that hold now.
func (p *Pipeline) Preview(ctx context.Context, federation int, edit func([]override.Order) []override.Order) (changed []table.Preview, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		t := w.tables[federation]
		changed = t.Preview(edit(t.Orders()), Now())
	})
	return changed, ok
}

// A Trouble is what stands in the way of a federation as a whole.
type Trouble struct {
	Isolated  bool          // this server doesn't hear most of its members
	Held      int           // services of which the guard holds withdrawals back
	GuardLeft time.Duration // until it lets the first of them go
}

// Trouble says what is the matter with a federation.
func (p *Pipeline) Trouble(ctx context.Context, federation int) (tr Trouble, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		t := w.tables[federation]
		tr.Isolated, tr.Held = t.Isolated(), t.Held()
		tr.GuardLeft, _ = t.GuardLeft(Now())
	})
	return tr, ok
}

// Contested are the hosts on which a claim is refused, with all claims on them; the first of
// them, and how many there are.
func (p *Pipeline) Contested(ctx context.Context, most int) (claims map[string][]table.ClaimStatus, all int, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		hosts := w.arbiter.Contested()
		all, claims = len(hosts), map[string][]table.ClaimStatus{}
		for _, h := range hosts[:min(len(hosts), most)] {
			claims[h] = w.arbiter.Claims(h)
		}
	})
	return claims, all, ok
}

// InForce gives the orders that the snapshot of a version has. ok is false if p has
// ended.
func (p *Pipeline) InForce(ctx context.Context, federation int) (f override.Force, v snapshot.Version, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		t := w.tables[federation]
		f, v = override.Force{Orders: w.inForce[federation], Places: t.AllClusterPlaces()}, w.board.Load().Version
		if !t.Dirty() {
			f.Orders = t.Orders() // they changed nothing that is answered
		}
	})
	return f, v, ok
}

// A ClusterStatus is how a member stands.
type ClusterStatus struct {
	Name      topology.ClusterName
	Origin    string // as the Member has it
	Listed    bool
	Silent    bool
	Reason    string        // why its source can't be read at present; "": it can
	Version   string        // of its API; "": it isn't known
	SilentFor time.Duration // since the silence began
	Heard     time.Time
	Places    []topology.Place
	Shards    map[table.CountKey]int
	Index     int             // as shards of snapshots have it
	Order     *override.Order // the one about it that counts; nil: there is none
	// Lifetime is how long answers with it may be remembered.
	Lifetime table.Lifetime
	// HoldLeft is how long its shards stay what they are though it is silent; nil: nothing is
	// withdrawn for that, or has been.
	HoldLeft *time.Duration
	// Shadowed is set where a namespace of the cluster has the federation's name.
	Shadowed bool
}

// Clusters gives the status of the members of a federation, and whether this
// server is isolated from them.
func (p *Pipeline) Clusters(ctx context.Context, federation int) (all []ClusterStatus, isolated, ok bool) {
	ok = p.inspect(ctx, func(w *worker) {
		t := w.tables[federation]
		isolated = t.Isolated()
		tally, lifetimes := t.Counts(), t.Lifetimes()
		for j, m := range w.slotsOf(federation) {
			s := ClusterStatus{Name: m.Name, Origin: m.Origin, Listed: t.Complete(j), SilentFor: w.quiet(federation, j), Heard: m.Source.Heard(), Places: t.Places(j), Shards: map[table.CountKey]int{}, Index: j, Lifetime: lifetimes[j]}
			_, s.Silent = t.Silent(j)
			if left, ok := t.HoldLeft(j, Now()); ok {
				s.HoldLeft = &left
			}
			if r, ok := m.Source.(interface{ Trouble() string }); ok {
				s.Reason = r.Trouble()
			}
			if v, ok := m.Source.(interface{ Version() string }); ok {
				s.Version = v.Version()
			}
			if o, ok := t.OrderOn(j); ok {
				s.Order = &o
			}
			s.Shadowed = t.Shadowed(j)
			for st, n := range tally {
				if st.Cluster == m.Name {
					s.Shards[st] = n
				}
			}
			all = append(all, s)
		}
	})
	return all, isolated, ok
}

// Import takes over what another pipeline knew, before Run. What the sources
// report replaces it.
func (p *Pipeline) Import(e State) {
	if p.imported.Clusters == nil {
		p.imported = emptyState()
	}
	maps.Copy(p.imported.Clusters, e.Clusters)
	maps.Copy(p.imported.Hosts, e.Hosts)
	maps.Copy(p.imported.Failovers, e.Failovers)
	maps.Copy(p.imported.Recents, e.Recents)
	maps.Copy(p.imported.Holders, e.Holders)
	maps.Copy(p.imported.Probed, e.Probed)
	for _, f := range p.federations {
		if h := e.Histories[f.Name]; h != nil {
			p.history = h
		}
	}
	p.imported.Version = p.imported.Version.Latest(e.Version)
}

// Run runs the sources and keeps the board, until ctx ends.
func (p *Pipeline) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer close(p.done)
	defer cancel()
	defer gauges.Watch(p)()

	w := &worker{Pipeline: p, ctx: ctx, wg: &wg, saved: map[string][]netip.Addr{}, began: Now(), garbage: time.NewTimer(lull), changes: newGatherer(p.log), arbiter: table.NewArbiter()}
	w.prober = probe.New(func(t probe.Target, r probe.Result) {
		p.send(ctx, func(w *worker) { w.found(w.targets[t], r.State) })
	})
	wg.Go(func() { w.prober.Run(ctx) })
	w.history.Open(p)
	defer w.history.Close(p)
	for i := range p.federations {
		w.open(i)
	}
	w.begin()
	defer w.close()
	w.loop()
}

// A worker is the owner of the tables.
type worker struct {
	*Pipeline
	tables   []*table.Table
	seats    [][]*slot                       // by federation and index in the table; nil: nobody's
	drains   [][]override.Order              // of registries, by federation
	filed    [][]override.Order              // of files
	inForce  [][]override.Order              // in the snapshot that is shown; read only
	arbiter  *table.Arbiter                  // of hosts that several claim
	hosts    []map[string]context.CancelFunc // the resolvers that run, by federation and name
	prober   *probe.Prober
	changes  *gatherer
	targets  map[probe.Target][]wanted
	moves    uint64                  // of this host's addresses, that targets were looked at with
	keepers  []*stateWriter          // by federation; nil: its state isn't kept
	saved    map[string][]netip.Addr // of load balancers' names, from the disk
	ctx      context.Context
	wg       *sync.WaitGroup
	began    time.Duration
	renew    bool
	restored bool      // the version is what the disk knows
	oldest   time.Time // when the oldest report that isn't shown yet came
	shown    time.Time
	settled  bool
	stood    []*remembered // by federation; what events are made by
	garbage  *time.Timer   // when memory is given back
	untold   int           // what the snapshots have for themselves that the history hasn't been told of
}

// open makes the table of a federation of what was inherited and what the disk
// knows, and starts whatever tells more.
func (w *worker) open(i int) {
	f := w.federations[i]
	clusters := make([]shard.Cluster, len(f.Members))
	for j, m := range f.Members {
		clusters[j] = m.Cluster
	}
	t := table.New(clusters, f.Policy)
	t.Serve(f.Name, f.Hosts, w.arbiter)
	t.ExpectMembers(f.expects)
	w.tables, w.seats = append(w.tables, t), append(w.seats, nil)
	w.drains, w.filed, w.inForce = append(w.drains, f.orders), append(w.filed, nil), append(w.inForce, nil)
	w.override(i)
	w.hosts = append(w.hosts, map[string]context.CancelFunc{})
	w.keepers = append(w.keepers, nil)
	t.RestoreHolders(w.imported.Holders[f.Name])
	if len(w.imported.Clusters) > 0 {
		t.Remember()
	}
	for j, m := range f.Members {
		h := w.imported.Clusters[m.Identity]
		for _, c := range h.Changes {
			t.Apply(j, c)
		}
		if h.Silent {
			t.Silence(j, h.Since)
		}
		if h.Answered {
			t.MarkAnswered(j)
		}
	}
	t.RestoreFailovers(w.imported.Failovers[f.Name])
	t.RestoreRecents(w.imported.Recents[f.Name])
	t.RestoreProbes(w.imported.Probed[f.Name])
	if f.State != "" {
		w.keepers[i] = &stateWriter{dir: f.State, at: f.StateAt, name: f.Name, failing: &w.unkept[i]}
		w.keepers[i].open()
		w.restore(i)
		w.wg.Go(func() { w.history.Keep(f.State, f.Name, time.Now(), w.historyFailed(f.Name)) })
	}
	for name, addrs := range w.imported.Hosts {
		t.Resolved(name, addrs)
	}
	for name, addrs := range w.saved {
		t.RestoreResolution(name, addrs)
	}
	if f.Overrides != "" {
		w.openOverrides(i)
	}
	for j, m := range f.Members {
		w.attach(i, j, m)
	}
}

// begin shows what is known before any source has spoken. Its version is what was
// inherited until all that is answered is known: it may turn out to be the same.
func (w *worker) begin() {
	v := w.imported.Version
	if v.Due == 0 {
		v.Serial = w.beginning()
	}
	w.board.Publish(w.board.Load().Of(v))
	w.imported = State{}
	w.show()
}

// beginning is a serial of before anything is known: not later than any that follows.
func (w *worker) beginning() uint32 {
	if at := w.beside.Made.Unix(); !w.beside.Made.IsZero() && at <= time.Now().Unix() {
		return uint32(at)
	}
	return 1
}

// made is when what is answered was changed last, by those who changed it, in Unix
// seconds; 0: nobody knows. A clock that is ahead of ours isn't believed.
func (w *worker) made() (latest int64) {
	now := time.Now().Unix()
	take := func(t time.Time) {
		if s := t.Unix(); !t.IsZero() && s <= now {
			latest = max(latest, s)
		}
	}
	take(w.beside.Made)
	for i := range w.federations {
		for _, m := range w.slotsOf(i) {
			if s, ok := m.Source.(Dated); ok {
				take(s.Changed())
			}
		}
	}
	return latest
}

func (w *worker) close() {
	w.changes.close()
	for _, k := range w.keepers {
		if k != nil {
			k.close()
		}
	}
}

// show publishes, and follows what the tables have come to need.
func (w *worker) show() {
	w.publish()
	w.followHosts(w.ctx)
	w.followChecks()
}

func (w *worker) loop() {
	due := time.NewTimer(time.Hour)
	due.Stop()
	defer due.Stop()
	waiting := false
	marks := time.NewTicker(markPeriod)
	defer marks.Stop()
	checks := time.NewTicker(checkPeriod)
	defer checks.Stop()
	holds := time.NewTimer(time.Hour)
	defer holds.Stop()
	for {
		if !waiting && w.dirty() { // what has been learned while the last one was shown
			due.Reset(minGap)
			waiting = true
		}
		holds.Reset(w.untilDeadline())
		select {
		case m := <-w.messages:
			w.take(m)
			w.drain()
		case <-due.C:
			waiting = false
		case <-holds.C:
			w.tick()
			w.giveUpOverdue()
			w.changes.flush(Now())
			for _, t := range w.tables {
				t.Advance(Now())
			}
		case <-w.garbage.C:
			// Reading a whole cluster leaves as much garbage as it has data, and a quiet
			// server would keep it for good: the next collection frees it, but gives nothing back.
			w.wg.Go(debug.FreeOSMemory)
		case <-marks.C:
			w.mark()
		case <-checks.C:
			w.checkStates()
			w.followChecks()
		case <-w.ctx.Done():
			return
		}
		if waiting || !w.dirty() {
			continue
		}
		if wait := minGap - time.Since(w.shown); wait > 0 {
			due.Reset(wait)
			waiting = true
			continue
		}
		w.show()
	}
}

// untilDeadline is how long nothing changes by time alone. It isn't nothing: what
// is due may have to wait for the next publication.
func (w *worker) untilDeadline() time.Duration {
	next := time.Hour
	if at, ok := w.changes.due(); ok {
		next = min(next, max(at-Now(), time.Millisecond))
	}
	if v := w.board.Load().Version; v.Pending() {
		next = min(next, max(time.Until(time.Unix(v.Until(), 0)), time.Millisecond))
	}
	for _, t := range w.tables {
		if at, ok := t.Deadline(); ok {
			next = min(next, max(at-Now(), time.Millisecond))
		}
	}
	w.overdue(func(at time.Duration, _ func()) { next = min(next, max(at-Now(), time.Millisecond)) })
	return next
}

func (w *worker) drain() {
	for range drain {
		select {
		case m := <-w.messages:
			w.take(m)
		default:
			return
		}
	}
}

func (w *worker) take(m message) {
	if w.oldest.IsZero() {
		w.oldest = m.at
	}
	m.do(w)
}

// apply takes in what a source says of the cluster at an index.
func (w *worker) apply(i, j int, from *slot, changes []shard.Change) {
	if w.seats[i][j] != from {
		return // it has left meanwhile
	}
	t := w.tables[i]
	known := t.Complete(j)
	changes = slices.Clone(changes) // which are the source's
	wall := time.Now()
	for n, c := range changes {
		changes[n] = t.Sighted(j, c, wall)
	}
	w.learnChanges(i, j, from, changes)
	for _, c := range changes {
		switch c := c.(type) {
		case shard.Silent:
			t.Silence(j, Now()-c.For)
		case shard.Fresh:
			if k := w.keepers[i]; k != nil && t.Partial(j) {
				k.anew = true // the file says that it is
			}
			t.Refresh(j, Now())
		default:
			t.Apply(j, c)
		}
	}
	if !known && t.Complete(j) {
		w.garbage.Reset(lull)
	}
}

// resolved takes in the addresses of a load balancer's name.
func (w *worker) resolved(i int, host string, addrs []netip.Addr) {
	w.tables[i].Resolved(host, addrs)
	w.learnHost(i, host, addrs)
}

func (w *worker) holdings() State {
	e := emptyState()
	e.Version = w.board.Load().Version
	for i, f := range w.federations {
		e.Holders[f.Name], e.Histories[f.Name] = w.tables[i].Holders(), w.history
		e.Failovers[f.Name], e.Probed[f.Name], e.Recents[f.Name] = w.tables[i].Failovers(), w.tables[i].Probed(), w.tables[i].Recents(Now())
		maps.Copy(e.Hosts, w.tables[i].Resolutions())
		for j, m := range w.slotsOf(i) {
			if w.tables[i].Complete(j) {
				h := ClusterState{Changes: w.tables[i].Export(j), Answered: w.tables[i].StartupOver()}
				h.Since, h.Silent = w.tables[i].Silent(j)
				e.Clusters[m.Identity] = h
			}
		}
	}
	return e
}

func (w *worker) dirty() bool {
	if w.renew {
		return true
	}
	for _, t := range w.tables {
		if t.Dirty() {
			return true
		}
	}
	w.oldest = time.Time{} // what was reported changes nothing
	return false
}

// publish shows what the tables hold now.
func (w *worker) publish() {
	began := time.Now()
	current := w.board.Load()
	changed := make([]*snapshot.Federation, len(w.tables))
	all := make([]published, len(w.tables))
	settled := true
	for i, t := range w.tables {
		if t.Dirty() {
			changed[i], all[i].moved = t.Publish(current.Federations[i], Now())
			all[i].changed = t.Changed()
			w.inForce[i] = t.Orders()
		}
		settled = settled && t.StartupOver()
	}
	for i, t := range w.tables {
		all[i].said = t.Announcements()
	}
	next := current.Next(changed)
	next.Version = w.version(next, settled)
	w.board.Publish(next)
	w.shown = time.Now()
	buildSeconds.Observe(w.shown.Sub(began).Seconds())
	if !w.oldest.IsZero() {
		latencySeconds.Observe(w.shown.Sub(w.oldest).Seconds())
	}
	w.oldest, w.renew = time.Time{}, false
	publications.Inc()
	for i := range w.keepers {
		w.keep(i)
	}
	w.stats.Store(w.count(next))
	w.tell(all)
	if settled && !w.settled {
		w.settled = true
		close(w.ready)
	}
	w.record(next, all)
}

// version is that of what is shown next. It stays until all is known that answers depend
// on, which isn't transferred before, and until the clusters that the disk knows have been
// heard: it may come to be the same.
func (w *worker) version(next *snapshot.Snapshot, settled bool) snapshot.Version {
	if !settled && !w.settled || w.restored && w.unheard() {
		v := next.Version
		v.Publication++
		return v
	}
	made := w.made()
	if w.restored {
		made, w.restored = 0, false // if something was changed, nobody has looked
	}
	return next.Version.Next(next.Sum(w.beside.Digest), made, time.Now().Unix())
}

// unheard says whether a cluster that the disk knows hasn't been heard, within its time.
func (w *worker) unheard() bool {
	if Now()-w.began >= StartupWait {
		return false
	}
	for i, t := range w.tables {
		for j := range w.slotsOf(i) {
			if _, silent := t.Silent(j); silent {
				return true
			}
		}
	}
	return false
}

// tick shows the serial that is due.
func (w *worker) tick() {
	s := w.board.Load()
	if v := s.Version.At(time.Now().Unix()); v != s.Version {
		s = s.Of(v)
		w.board.Publish(s)
		w.history.Wake()
	}
}

// tell logs changes of state and what operators should know.
func (w *worker) tell(all []published) {
	var moved []table.Transition
	for _, p := range all {
		moved = append(moved, p.moved...)
	}
	w.changes.add(moved, Now())
	for i, t := range w.tables {
		for _, s := range all[i].said {
			w.log.Warn("federation " + w.federations[i].Name + ": " + s)
		}
		for _, n := range t.Notices() {
			notices.WithLabelValues(w.federations[i].Name, string(n.Cluster), string(n.Kind)).Inc()
			text := n.Text
			if n.Cluster != "" {
				text = "cluster " + string(n.Cluster) + ": " + text
			}
			w.log.Warn(text)
		}
	}
}
