package pipeline

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

const (
	// While shards go on changing in one way, a line tells of those of firstSpan, then of
	// those of twice that, up to lastSpan: a line for each would bury what else there is.
	firstSpan = time.Second
	lastSpan  = 10 * time.Second
	// named is how many shards a line names.
	named = 10
)

// A gatherer says which shards have changed state. The first change of a kind after a
// quiet moment is said at once, with all that are published with it; those that follow
// are gathered, and said together.
type gatherer struct {
	log   *slog.Logger
	kinds map[changeKind]*gathered
}

func newGatherer(log *slog.Logger) *gatherer {
	return &gatherer{log: log, kinds: map[changeKind]*gathered{}}
}

// A changeKind is what changes have in common that one line tells of.
type changeKind struct {
	cluster topology.ClusterName
	state   health.State
	why     health.Reason
}

func compareKinds(a, b changeKind) int {
	return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.state, b.state), cmp.Compare(a.why, b.why))
}

// gathered are the changes of one kind that haven't been said yet.
type gathered struct {
	span    time.Duration
	until   time.Duration  // when they are said; if there are none, the next one is said at once
	first   []snapshot.Key // named of them
	shards  map[snapshot.Key]bool
	changes int
}

func (g *gathered) add(k snapshot.Key) {
	g.changes++
	if g.shards[k] {
		return
	}
	if g.shards == nil {
		g.shards = map[snapshot.Key]bool{}
	}
	g.shards[k] = true
	if len(g.first) < named {
		g.first = append(g.first, k)
	}
}

// add takes in what has changed with one publication.
func (g *gatherer) add(moved []table.Transition, now time.Duration) {
	begun := map[changeKind]bool{}
	for _, m := range moved {
		kind := changeKind{m.Cluster, m.To.State, m.To.Why}
		of := g.kinds[kind]
		if of == nil {
			of = &gathered{span: firstSpan, until: now + firstSpan}
			g.kinds[kind], begun[kind] = of, true
		}
		of.add(m.Key)
	}
	for _, kind := range slices.SortedFunc(maps.Keys(begun), compareKinds) {
		g.say(kind)
	}
}

// due is when flush has something to do next.
func (g *gatherer) due() (at time.Duration, ok bool) {
	for _, of := range g.kinds {
		if !ok || of.until < at {
			at, ok = of.until, true
		}
	}
	return at, ok
}

// flush says what has been gathered for long enough.
func (g *gatherer) flush(now time.Duration) {
	for _, kind := range slices.SortedFunc(maps.Keys(g.kinds), compareKinds) {
		switch of := g.kinds[kind]; {
		case now < of.until:
		case of.changes == 0:
			delete(g.kinds, kind)
		default:
			g.say(kind)
			of.span = min(2*of.span, lastSpan)
			of.until = now + of.span
		}
	}
}

// close says what is left.
func (g *gatherer) close() {
	for _, kind := range slices.SortedFunc(maps.Keys(g.kinds), compareKinds) {
		if g.kinds[kind].changes > 0 {
			g.say(kind)
		}
	}
	clear(g.kinds)
}

// say logs what has been gathered of a kind.
func (g *gatherer) say(kind changeKind) {
	of := g.kinds[kind]
	var list []string
	for _, k := range of.first {
		list = append(list, k.String())
	}
	n, text := len(of.shards), strings.Join(list, ", ")
	switch {
	case n == 1:
		text = fmt.Sprintf("shard %s in %s: %s (%s)", text, kind.cluster, kind.state, kind.why)
	case n > len(list):
		text = fmt.Sprintf("%d shards in %s: %s (%s): %s and %d more", n, kind.cluster, kind.state, kind.why, text, n-len(list))
	default:
		text = fmt.Sprintf("%d shards in %s: %s (%s): %s", n, kind.cluster, kind.state, kind.why, text)
	}
	if of.changes > n {
		g.log.Info(text, "changes", of.changes)
	} else {
		g.log.Info(text)
	}
	of.first, of.shards, of.changes = nil, nil, 0
}
