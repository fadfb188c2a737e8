package workload

import (
	"iter"

	"github.com/fedns/fedns/internal/sync/replicas"
)

// A row is what is known of one object: what is wanted of it, and how it is in each
// cluster. The zero row is that of an object of which nothing is known.
type row struct {
	desired *Desired // nil: nobody wants it
	entries Entries
}

// Entries are what is known of one object, by cluster. A cluster that isn't in it has
// the zero Entry.
type Entries map[string]Entry

// An Entry is what is known of an object in one cluster: how it was seen there last,
// and what has to be remembered since no cluster tells it again.
type Entry struct {
	Have *Observed // nil: it isn't there, for all that is known

	// Base is how it looked when it was last written.
	Base Base
	// Planned is the share that it is to have by the last plan, carried out or not; nil: there
	// was none.
	Planned Scale
	// Assigned is the share that it was given last; nil: that isn't known.
	Assigned Scale
	// Written is what was written there last; nil: that isn't known.
	Written Scale
	// Sent is what a write that is under way asks for; nil: none is.
	Sent Scale
	// Followed is that it was put there only since others are there that need it.
	Followed bool
	// Capacity is what the cluster has room for; nil: there is no bound.
	Capacity *Capacity
	// Finished is the status of a Job that has ended there, for when it is gone; nil:
	// none has.
	Finished Object
}

// A Base is how an object looked when it was last written: an API server may spell
// what it is given in another way, and that is no drift.
type Base struct {
	Template string // hash of the template that was applied
	Seen     string
}

// A Capacity is what is known of how many pods of a workload a cluster has room for.
type Capacity struct {
	replicas.Estimate
	replicas.Limit
}

func (e *Entry) empty() bool {
	return e.Have == nil && e.Base == Base{} && e.Planned == nil && e.Assigned == nil && e.Written == nil && e.Sent == nil && !e.Followed && e.Capacity == nil && e.Finished == nil
}

// haves are the clusters that have the object, and how it is there.
func (es Entries) haves() iter.Seq2[string, *Observed] {
	return func(yield func(string, *Observed) bool) {
		for c, e := range es {
			if e.Have != nil && !yield(c, e.Have) {
				return
			}
		}
	}
}

// exist says whether any cluster has the object.
func (es Entries) exist() bool {
	for range es.haves() {
		return true
	}
	return false
}

// set keeps a row, unless there is nothing in it.
func (t *Table) set(k Key, r row) {
	if r.desired == nil && len(r.entries) == 0 {
		delete(t.rows, k)
		return
	}
	t.rows[k] = r
}

// edit changes what is known of an object in a cluster.
func (t *Table) edit(k Key, cluster string, change func(*Entry)) {
	r := t.rows[k]
	e := r.entries[cluster]
	if change(&e); e.empty() {
		delete(r.entries, cluster)
	} else {
		if r.entries == nil {
			r.entries = Entries{}
		}
		r.entries[cluster] = e
	}
	t.set(k, r)
}

// editAll changes what is known of an object in all clusters.
func (t *Table) editAll(k Key, change func(*Entry)) {
	for c := range t.rows[k].entries {
		t.edit(k, c, change)
	}
}
