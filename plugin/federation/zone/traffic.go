package zone

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/fedns/fedns/internal/snapshot"
)

// A Traffic counts answers by what they are about, while somebody looks. Nobody pays for it else: a
// counter a service would be read a hundred times less often than it is written.
type Traffic struct {
	looking atomic.Int32
	mu      sync.Mutex
	sums    map[Counted]uint64 // nil: nobody looks
}

// A Subject is the service that an answer is about; the zero value: it is about none.
type Subject struct {
	Federation *snapshot.Federation
	Service    *snapshot.Service
}

// Counted is what answers are counted by. Those about no service have no federation and no key.
type Counted struct {
	Federation string
	Key        snapshot.Key
	Outcome
}

// Count counts an answer.
func (t *Traffic) Count(of Subject, o Outcome) {
	if t.looking.Load() == 0 {
		return
	}
	c := Counted{Outcome: o}
	if of.Service != nil {
		c.Federation, c.Key = of.Federation.Name, of.Service.Key
	}
	t.mu.Lock()
	if t.sums != nil {
		t.sums[c]++
	}
	t.mu.Unlock()
}

// Look begins to count. What end gives is what has come since; nothing is counted any more once
// everybody who looks has ended. It is called once.
func (t *Traffic) Look() (end func() map[Counted]uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.looking.Add(1) == 1 {
		t.sums = map[Counted]uint64{}
	}
	before := maps.Clone(t.sums)
	return func() map[Counted]uint64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		since := make(map[Counted]uint64, len(t.sums))
		for c, n := range t.sums {
			if n > before[c] {
				since[c] = n - before[c]
			}
		}
		if t.looking.Add(-1) == 0 {
			t.sums = nil
		}
		return since
	}
}
