// Package history remembers what has changed: the events of the last day, and what was
// answered meanwhile.
//
// A Log is written by the owner of the tables, after what it tells of is answered, and read
// by whoever wants to look. It outlives a reload. What it holds is bounded by time, by number
// and by weight; none of it is needed for an answer.
package history

import (
	"slices"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/snapshot"
)

const (
	// Most is how many events are known: a day of a federation in which one thing changes
	// every nine seconds.
	Most = 10_000
	// Span is how long they are.
	Span = 24 * time.Hour
	// heaviest bounds how many bytes the snapshots of before may have for themselves: what they
	// share with those that follow costs nothing. One in which one service is another takes 5 kB.
	heaviest = 64 << 20
	// mostReaders is how many may follow at once; each has a connection and a goroutine.
	mostReaders = 1_000
)

// A Log is what is remembered.
type Log struct {
	mu      sync.Mutex
	events  []report.Event
	last    uint64 // id
	frames  []frame
	weight  int // of the frames, in bytes
	passed  int // what those had for themselves that were answered since the last frame
	owners  []any
	readers map[chan struct{}]bool
	files   map[string]*file // by federation
}

// A frame is what was answered from a moment on.
type frame struct {
	at     time.Time
	snap   *snapshot.Snapshot
	weight int
}

// New makes an empty Log.
func New() *Log { return &Log{readers: map[chan struct{}]bool{}, files: map[string]*file{}} }

// Open has an owner of tables write from now on, instead of who did before: during a reload
// there are two, which see the same.
func (l *Log) Open(owner any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners = append(l.owners, owner)
}

// Close has the one before write again, if there is one; else all is on disk when it returns.
func (l *Log) Close(owner any) {
	l.mu.Lock()
	l.owners = slices.DeleteFunc(l.owners, func(o any) bool { return o == owner })
	var files []*file
	if len(l.owners) == 0 {
		for name, f := range l.files {
			files = append(files, f)
			delete(l.files, name)
		}
	}
	l.mu.Unlock()
	for _, f := range files {
		f.close()
	}
}

// Add takes in what has happened with the snapshot that is answered from now on, and whether it answers otherwise than the
// one before. own is what it, and those since the last call, have for themselves. It gives none of it to a disk itself.
func (l *Log) Add(owner any, at time.Time, snap *snapshot.Snapshot, own int, changed bool, events []report.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.wake()
	if len(l.owners) == 0 || l.owners[len(l.owners)-1] != owner {
		return
	}
	at = at.Truncate(time.Millisecond) // as events have it: who asks for that moment means this
	for _, e := range events {
		l.last++
		e.ID, e.At, e.Serial = l.last, float64(at.UnixMilli())/1000, snap.Serial
		l.events = append(l.events, e)
		if f := l.files[e.Federation]; f != nil {
			f.add(e)
		}
	}
	l.passed += own
	if changed || len(events) > 0 || len(l.frames) == 0 {
		if len(l.frames) == 0 {
			l.passed = 0 // what is answered now is nothing of before
		}
		l.frames = append(l.frames, frame{at, snap, l.passed})
		l.weight += l.passed
		l.passed = 0
	}
	l.prune(at)
}

// prune forgets what is too old or too much.
func (l *Log) prune(now time.Time) {
	drop := max(len(l.events)-Most, 0)
	oldest := float64(now.Add(-Span).UnixMilli()) / 1000
	for drop < len(l.events) && l.events[drop].At < oldest {
		drop++
	}
	l.events = l.events[drop:] // what grows at its end leaves the rest behind in time
	n := 0
	for n < len(l.frames)-1 && (len(l.frames)-n > Most || l.weight > heaviest || l.frames[n+1].at.Before(now.Add(-Span))) {
		l.weight -= l.frames[n+1].weight // what the next one has for itself, this one has, too
		n++
	}
	clear(l.frames[:n])
	l.frames = l.frames[n:]
}

// Silent says whether the last that was told of a cluster is that it has fallen silent.
func (l *Log) Silent(federation, cluster string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.events) {
		if e.Kind == report.EventCluster && e.Federation == federation && e.Cluster == cluster {
			return e.To == "silent"
		}
	}
	return false
}

// Wake tells who follows that something else is answered, though nothing has happened.
func (l *Log) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// wake tells who follows that there is something new.
func (l *Log) wake() {
	for c := range l.readers {
		select {
		case c <- struct{}{}:
		default: // it knows already
		}
	}
}

// Follow gives a channel that says when there may be something new, until end is called.
// ok is false if there are too many who follow.
func (l *Log) Follow() (news <-chan struct{}, end func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= mostReaders {
		return nil, nil, false
	}
	c := make(chan struct{}, 1)
	l.readers[c] = true
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.readers, c)
	}, true
}

// Events gives those that follow the one with an id, and the ids of the first and the last
// that are known; 0: none is.
func (l *Log) Events(after uint64) (events []report.Event, oldest, newest uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return nil, 0, l.last
	}
	i, found := slices.BinarySearchFunc(l.events, after, func(e report.Event, id uint64) int {
		switch {
		case e.ID < id:
			return -1
		case e.ID > id:
			return 1
		}
		return 0
	})
	if found {
		i++
	}
	return slices.Clone(l.events[i:]), l.events[0].ID, l.last
}

// Newest is the id of the last event; 0: there was none.
func (l *Log) Newest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// At gives what was answered at a moment; nil: it isn't known any more, or wasn't yet.
func (l *Log) At(at time.Time) *snapshot.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range slices.Backward(l.frames) {
		if !f.at.After(at) {
			return f.snap
		}
	}
	return nil
}

// Begin is the first moment of which it is known what was answered; zero: of none.
func (l *Log) Begin() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.frames) == 0 {
		return time.Time{}
	}
	return l.frames[0].at
}
