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
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
)

const (
	// minGap is the least time between two snapshots. Fifty a second are more than
	// any client can tell apart, and bound what a flapping cluster can cost.
	minGap = 20 * time.Millisecond
	// Grace is how long a member may take to be listed before unknown names are
	// taken to be unknown without it. Longer than a TCP connection takes to time
	// out, shorter than a kubelet's patience with a server that isn't ready.
	Grace = 10 * time.Second
	// drain bounds how many reports are taken in before a snapshot is shown, so
	// that a flood can't put it off for ever.
	drain = 256
)

// A Source reports what one cluster holds until ctx ends. Report may be called by
// several goroutines; all of them are gone when Run returns.
type Source interface {
	Run(ctx context.Context, report func(...shard.Change))
	// Heard is when the cluster last said anything.
	Heard() time.Time
}

// A Member is a cluster with where its objects come from.
type Member struct {
	shard.Cluster
	Source Source
	// Identity tells the same source of the same cluster in another pipeline.
	Identity string
}

// A Federation is the configuration of one.
type Federation struct {
	Name     string
	Members  []Member
	Resolver Resolver // for load balancers' hostnames
}

// A Pipeline keeps one board up to date.
type Pipeline struct {
	federations []Federation
	log         *slog.Logger
	board       names.Board
	ready       chan struct{} // closed once every member has been listed or had its time
	reports     chan report
	stats       atomic.Pointer[stats]
	estate      Estate        // what is known before the sources speak
	done        chan struct{} // closed when Run returns
}

// A report is what a source, or a resolver, has to say.
type report struct {
	federation, cluster int
	changes             []shard.Change
	host                string // of a resolver: whose addresses these are
	addrs               []netip.Addr
	renew               bool          // nothing changed here, but something beside the tables
	estate              chan<- Estate // asks for what the tables hold
	at                  time.Time
}

// New makes a pipeline whose board shows federations of which nothing is known.
func New(federations []Federation, log *slog.Logger) *Pipeline {
	p := &Pipeline{
		federations: federations,
		log:         log,
		ready:       make(chan struct{}),
		reports:     make(chan report, 64),
		done:        make(chan struct{}),
	}
	empty := make([]*names.Federation, len(federations))
	for i, f := range federations {
		empty[i] = names.NewFederation(f.Name)
	}
	var none *names.Snapshot
	p.board.Show(none.Next(time.Now().Unix(), empty))
	return p
}

// Board shows the current snapshot.
func (p *Pipeline) Board() *names.Board { return &p.board }

// Ready is closed once every member has been listed, or has had its time.
func (p *Pipeline) Ready() <-chan struct{} { return p.ready }

// Renew shows a snapshot with the next serial, for a change of what is answered
// beside it: the static records.
func (p *Pipeline) Renew(ctx context.Context) {
	p.send(ctx, report{renew: true})
}

func (p *Pipeline) send(ctx context.Context, r report) {
	r.at = time.Now()
	select {
	case p.reports <- r:
	case <-ctx.Done():
	}
}

// An Estate is what a pipeline knows of its clusters, by their identity, and the
// serial it has come to. A reload passes it on: what is known of a cluster must
// not depend on its API being up at that moment.
type Estate struct {
	Serial   uint32
	Clusters map[string][]shard.Change
	Hosts    map[string][]netip.Addr // of load balancers' names
}

// Bequeath gives what p knows. It is empty when p has ended.
func (p *Pipeline) Bequeath(ctx context.Context) Estate {
	ch := make(chan Estate, 1)
	p.send(ctx, report{estate: ch})
	select {
	case e := <-ch:
		return e
	case <-p.done:
	case <-ctx.Done():
	}
	return Estate{}
}

// Inherit takes over what another pipeline knew, before Run. What the sources
// report replaces it.
func (p *Pipeline) Inherit(e Estate) {
	if p.estate.Clusters == nil {
		p.estate = Estate{Clusters: map[string][]shard.Change{}, Hosts: map[string][]netip.Addr{}}
	}
	maps.Copy(p.estate.Clusters, e.Clusters)
	maps.Copy(p.estate.Hosts, e.Hosts)
	if int32(e.Serial-p.estate.Serial) > 0 {
		p.estate.Serial = e.Serial
	}
}

// Run runs the sources and keeps the board, until ctx ends.
func (p *Pipeline) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer close(p.done)
	defer cancel()
	defer watch(p)()

	w := &worker{Pipeline: p, wg: &wg, hosts: make([]map[string]context.CancelFunc, len(p.federations))}
	for i, f := range p.federations {
		clusters := make([]shard.Cluster, len(f.Members))
		for j, m := range f.Members {
			clusters[j] = m.Cluster
			wg.Go(func() {
				m.Source.Run(ctx, func(c ...shard.Change) {
					p.send(ctx, report{federation: i, cluster: j, changes: c})
				})
			})
		}
		w.tables = append(w.tables, shard.NewTable(clusters))
		w.hosts[i] = map[string]context.CancelFunc{}
		for j, m := range f.Members {
			for _, c := range p.estate.Clusters[m.Identity] {
				w.tables[i].Apply(j, c)
			}
		}
		for name, addrs := range p.estate.Hosts {
			w.tables[i].Resolved(name, addrs)
		}
	}
	if s := p.board.Load(); int32(p.estate.Serial-s.Serial) > 0 {
		p.board.Show(&names.Snapshot{Serial: p.estate.Serial, Federations: s.Federations})
	}
	p.estate = Estate{}
	w.publish()
	w.followHosts(ctx)
	w.loop(ctx)
}

// A worker is the owner of the tables.
type worker struct {
	*Pipeline
	tables  []*shard.Table
	hosts   []map[string]context.CancelFunc // the resolvers that run, by federation and name
	wg      *sync.WaitGroup
	renew   bool
	oldest  time.Time // when the oldest report that isn't shown yet came
	shown   time.Time
	settled bool
}

func (w *worker) loop(ctx context.Context) {
	grace := time.NewTimer(Grace)
	defer grace.Stop()
	due := time.NewTimer(time.Hour)
	due.Stop()
	defer due.Stop()
	waiting := false
	for {
		select {
		case r := <-w.reports:
			w.take(r)
			w.drain()
		case <-due.C:
			waiting = false
		case <-grace.C:
			w.waive()
		case <-ctx.Done():
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
		w.publish()
		w.followHosts(ctx)
	}
}

func (w *worker) drain() {
	for range drain {
		select {
		case r := <-w.reports:
			w.take(r)
		default:
			return
		}
	}
}

func (w *worker) take(r report) {
	if w.oldest.IsZero() {
		w.oldest = r.at
	}
	t := w.tables[r.federation]
	switch {
	case r.estate != nil:
		r.estate <- w.holdings()
	case r.renew:
		w.renew = true
	case r.host != "":
		t.Resolved(r.host, r.addrs)
	default:
		for _, c := range r.changes {
			t.Apply(r.cluster, c)
		}
	}
}

func (w *worker) holdings() Estate {
	e := Estate{Serial: w.board.Load().Serial, Clusters: map[string][]shard.Change{}, Hosts: map[string][]netip.Addr{}}
	for i, f := range w.federations {
		maps.Copy(e.Hosts, w.tables[i].Resolutions())
		for j, m := range f.Members {
			if w.tables[i].Complete(j) {
				e.Clusters[m.Identity] = w.tables[i].Holdings(j)
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

// waive stops waiting for members that have not been listed.
func (w *worker) waive() {
	for i, t := range w.tables {
		if t.Settled() {
			continue
		}
		for j, m := range w.federations[i].Members {
			if !t.Complete(j) {
				w.log.Warn("cluster " + string(m.Name) + ": not listed within " + Grace.String() + "; going on without it")
			}
		}
		t.Waive()
	}
}

// publish shows what the tables hold now.
func (w *worker) publish() {
	began := time.Now()
	current := w.board.Load()
	changed := make([]*names.Federation, len(w.tables))
	var moved []shard.Transition
	settled := true
	for i, t := range w.tables {
		if t.Dirty() {
			var m []shard.Transition
			changed[i], m = t.Publish(current.Federations[i], began.Unix())
			moved = append(moved, m...)
		}
		settled = settled && t.Settled()
	}
	next := current.Next(began.Unix(), changed)
	w.board.Show(next)
	w.shown = time.Now()
	buildSeconds.Observe(w.shown.Sub(began).Seconds())
	if !w.oldest.IsZero() {
		latencySeconds.Observe(w.shown.Sub(w.oldest).Seconds())
	}
	w.oldest, w.renew = time.Time{}, false
	publications.Inc()
	w.stats.Store(w.count(next))
	w.tell(moved)
	if settled && !w.settled {
		w.settled = true
		close(w.ready)
		// Reading a whole federation leaves as much garbage as it has data, and a
		// quiet server would not collect it for hours.
		w.wg.Go(debug.FreeOSMemory)
	}
}

// many is how many changes of state are logged by name; more at once are the
// affair of a cluster, not of a service.
const many = 20

// tell logs changes of state and what operators should know, a line each.
func (w *worker) tell(moved []shard.Transition) {
	if len(moved) > many {
		w.log.Info("shards changed state at once", "count", len(moved), "first", moved[0].String(), "last", moved[len(moved)-1].String())
	} else {
		for _, m := range moved {
			w.log.Info("shard " + m.String())
		}
	}
	for i, t := range w.tables {
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
