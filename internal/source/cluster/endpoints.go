package cluster

import (
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Slices are chosen by the Service that they name, which has to be exported. An API can't be asked for those of
// the Services with a label; but the slices that Kubernetes makes carry the labels of
// their Service, and others are few. So those with the selector's labels are watched,
// and all that Kubernetes hasn't made: of a cluster with 20,000 Services of which 1,000
// are exported, 1,000 slices and not 20,000. What Kubernetes made and hasn't labelled is
// asked for by the names of the exported Services (see unlabelled.go), and so are the slices of
// a Service in front of an Ingress.

// handover is how long a slice still counts that a watch has no more, unless another one tells
// of it meanwhile: one whose labels change goes from a watch to another, and to take it for
// gone in between would lead its clients away. Watches of one API are some milliseconds
// apart at most, and no answer is good for less than a second.
const handover = 200 * time.Millisecond

// An origin is a watch that slices come from.
type origin int

const (
	labelled   origin = iota // with the labels of what is exported
	unmanaged                // not made by Kubernetes
	unlabelled               // made by Kubernetes, without the labels, of exported Services
	followed                 // of Services in front of others
	origins
)

// endpoints puts together what the watches tell of slices. What it reports is in the
// order in which it was told.
type endpoints struct {
	mu       sync.Mutex // guards the rest, and is held while reporting
	report   func(...shard.Change)
	slices   [origins]map[shard.SliceKey]*shard.Slice
	listed   [origins]bool
	needed   []origin
	exported map[snapshot.Key]bool
	known    bool                                    // which Services are exported, and a list waits for nothing else
	services map[snapshot.Key]map[shard.SliceKey]int // slices of exported Services, by their Service: how many watches have each
	leaving  map[shard.SliceKey]*leave
	handover time.Duration
	renamed  chan struct{} // has something when other Services are exported
}

// A leave is a slice that a watch has no more, and that still counts.
type leave struct {
	origin origin
	end    *time.Timer
}

func newEndpoints(needed ...origin) *endpoints {
	e := &endpoints{
		needed: needed, exported: map[snapshot.Key]bool{}, services: map[snapshot.Key]map[shard.SliceKey]int{},
		leaving: map[shard.SliceKey]*leave{}, handover: handover, renamed: make(chan struct{}, 1),
	}
	for o := range e.slices {
		e.slices[o] = map[shard.SliceKey]*shard.Slice{}
	}
	return e
}

// wanted is what is reported of a slice; nil: nothing.
func (e *endpoints) wanted(k shard.SliceKey) *shard.Slice {
	for _, o := range [...]origin{labelled, unmanaged, unlabelled} {
		if s := e.slices[o][k]; s != nil && e.exported[s.Of()] {
			return s
		}
	}
	return e.slices[followed][k]
}

// put keeps a slice, or that there is none, and gives what that changes.
func (e *endpoints) put(o origin, k shard.SliceKey, s *shard.Slice) []shard.Change {
	before := e.wanted(k)
	if l := e.leaving[k]; l != nil && (s != nil || l.origin == o) {
		l.end.Stop()
		delete(e.leaving, k)
		e.keep(l.origin, k, nil)
	}
	e.keep(o, k, s)
	switch after := e.wanted(k); {
	case after == before:
		return nil
	case after == nil:
		return []shard.Change{shard.SliceGone{Key: k}}
	default:
		return []shard.Change{shard.SliceSet{Slice: after}}
	}
}

// keep notes what an origin has under a name.
func (e *endpoints) keep(o origin, k shard.SliceKey, s *shard.Slice) {
	if was := e.slices[o][k]; was != nil && o != followed {
		at := was.Of()
		if e.services[at][k]--; e.services[at][k] == 0 {
			delete(e.services[at], k)
		}
		if len(e.services[at]) == 0 {
			delete(e.services, at)
		}
	}
	if s == nil {
		delete(e.slices[o], k)
		return
	}
	e.slices[o][k] = s
	if o != followed {
		at := s.Of()
		if e.services[at] == nil {
			e.services[at] = map[shard.SliceKey]int{}
		}
		e.services[at][k]++
	}
}

// drop notes that an origin has none of a name any more. What no other has either counts for
// a moment longer.
func (e *endpoints) drop(o origin, k shard.SliceKey) []shard.Change {
	s := e.slices[o][k]
	if s == nil {
		return nil
	}
	alone := e.exported[s.Of()] && len(e.needed) > 1 && o != followed
	for other := range e.slices {
		alone = alone && (origin(other) == o || e.slices[other][k] == nil)
	}
	if !alone {
		return e.put(o, k, nil)
	}
	if e.leaving[k] == nil {
		l := &leave{origin: o}
		l.end = time.AfterFunc(e.handover, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.leaving[k] == l {
				e.tellOf(e.put(o, k, nil))
			}
		})
		e.leaving[k] = l
	}
	return nil
}

// tellOf reports changes, if there are any.
func (e *endpoints) tellOf(c []shard.Change) {
	if len(c) > 0 {
		e.report(c...)
	}
}

// end waits for what is being reported, and reports nothing any more.
func (e *endpoints) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.leaving {
		l.end.Stop()
	}
	clear(e.leaving)
}

// set notes a slice.
func (e *endpoints) set(o origin, s *shard.Slice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tellOf(e.put(o, s.Key, s))
}

// gone notes that a watch of some Services' slices, or, if of is nil, of all, has none of a
// name any more. Another of the same origin may have it, under another Service.
func (e *endpoints) gone(o origin, of func(snapshot.Key) bool, k shard.SliceKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.slices[o][k]; s != nil && (of == nil || of(s.Of())) {
		e.tellOf(e.drop(o, k))
	}
}

// list notes all slices of an origin, or, if of isn't nil, all of some Services. Once all
// origins that are needed have been listed, and the Services, the list of all is reported:
// before that, what it lacks isn't gone.
func (e *endpoints) list(o origin, of func(snapshot.Key) bool, all []*shard.Slice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var changes []shard.Change
	have := map[shard.SliceKey]bool{}
	for _, s := range all {
		have[s.Key] = true
		changes = append(changes, e.put(o, s.Key, s)...)
	}
	for k, s := range e.slices[o] {
		if !have[k] && (of == nil || of(s.Of())) {
			changes = append(changes, e.drop(o, k)...)
		}
	}
	if of == nil {
		e.listed[o] = true
		if slices.Contains(e.needed, o) && e.whole() {
			changes = []shard.Change{shard.SliceList{Slices: e.all()}}
		}
	}
	e.tellOf(changes)
}

// complete notes that all parts of an origin have been listed, and counts the slices.
func (e *endpoints) complete(o origin) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.listed[o] {
		if e.listed[o] = true; e.whole() {
			e.report(shard.SliceList{Slices: e.all()})
		}
	}
	return len(e.slices[o])
}

// whole says whether all slices that are chosen by labels are known, and which of them are wanted.
func (e *endpoints) whole() bool {
	return e.known && !slices.ContainsFunc(e.needed, func(o origin) bool { return !e.listed[o] })
}

func (e *endpoints) all() []*shard.Slice {
	out := make([]*shard.Slice, 0, len(e.slices[labelled]))
	for o := range e.slices {
		for k, s := range e.slices[o] {
			if e.wanted(k) == s {
				out = append(out, s)
			}
		}
	}
	return out
}

// tell reports a change together with what it means for slices: those of a Service that
// is exported from now on come before it.
func (e *endpoints) tell(c shard.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var before, after []shard.Change
	export := func(k snapshot.Key, is bool) {
		if e.exported[k] == is {
			return
		}
		if is {
			e.exported[k] = true
		} else {
			delete(e.exported, k)
		}
		if slices.Contains(e.needed, unlabelled) {
			select {
			case e.renamed <- struct{}{}:
			default:
			}
		}
		for at := range e.services[k] {
			switch s := e.wanted(at); {
			case s == nil:
				after = append(after, shard.SliceGone{Key: at})
			case is:
				before = append(before, shard.SliceSet{Slice: s})
			}
		}
	}
	switch c := c.(type) {
	case shard.ServiceSet:
		if c.Service.Key.Kind == snapshot.Svc {
			export(c.Service.Key, true)
		}
	case shard.ServiceGone:
		if c.Key.Kind == snapshot.Svc {
			export(c.Key, false)
		}
	case shard.ServiceList:
		if c.Kind == snapshot.Svc {
			have := make(map[snapshot.Key]bool, len(c.Services))
			for _, o := range c.Services {
				have[o.Key] = true
				export(o.Key, true)
			}
			for k := range e.exported {
				if !have[k] {
					export(k, false)
				}
			}
			if first := !e.known; first {
				if e.known = true; e.whole() {
					before = []shard.Change{shard.SliceList{Slices: e.all()}}
				}
			}
		}
	}
	e.report(append(append(before, c), after...)...)
}

// slices are those of an origin, chosen by labels; if of isn't nil, of some Services and of no
// others.
func (w *Watcher) slices(a *api, o origin, name, namespace, selector string, of func(snapshot.Key) bool) *resource {
	return &resource{
		name: name, sample: &discoveryv1.EndpointSlice{},
		kinds: []apireply.Kind{{APIVersion: "discovery.k8s.io/v1", Name: "EndpointSlice"}},
		client: in[discoveryv1.EndpointSliceList](a.discovery, "endpointslices", namespace).asking(func(o *metav1.ListOptions) {
			o.LabelSelector = selector
		}),
		set: func(v any) (shard.Change, []string) {
			e := v.(*discoveryv1.EndpointSlice)
			s, ok := slice(e, w.Local && headless(&e.ObjectMeta))
			if !ok || of != nil && !of(s.Of()) {
				return nil, nil
			}
			return shard.SliceSet{Slice: s}, nil
		},
		gone: func(namespace, name string) shard.Change {
			return shard.SliceGone{Key: shard.SliceKey{Namespace: namespace, Name: name}}
		},
		all: func(sets []shard.Change) shard.Change {
			return shard.SliceList{Slices: collect(sets, func(s shard.SliceSet) *shard.Slice { return s.Slice })}
		},
		tell: func(c shard.Change) {
			switch c := c.(type) {
			case shard.SliceSet:
				w.endpoints.set(o, c.Slice)
			case shard.SliceGone:
				w.endpoints.gone(o, of, c.Key)
			case shard.SliceList:
				w.endpoints.list(o, of, c.Slices)
			}
		},
	}
}

// byOthers selects the slices that Kubernetes hasn't made of Services and pods: those
// carry no labels of their Service, unless somebody puts them there.
const byOthers = discoveryv1.LabelManagedBy + "!=" + sliceController

// those are the slices of some Services that an origin has told of.
func (e *endpoints) those(o origin, of func(snapshot.Key) bool) known {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := known{}
	for k, s := range e.slices[o] {
		if of(s.Of()) {
			all[k.Namespace+"/"+k.Name] = seen{change: shard.SliceSet{Slice: s}}
		}
	}
	return all
}

// chosen are the slices of what is exported.
func (w *Watcher) chosen(a *api) []*resource {
	out := []*resource{w.slices(a, labelled, "slices", "", w.Selector.String(), nil)}
	if !w.Selector.Empty() {
		others := w.withoutLabels(w.slices(a, unmanaged, "slices of others", "", byOthers, nil))
		others.seldom = true
		out = append(out, others, w.slicesByName(a))
	}
	return out
}

// withoutLabels leaves out of slices those that the watch of the labels has.
func (w *Watcher) withoutLabels(r *resource) *resource {
	set := r.set
	r.set = func(v any) (shard.Change, []string) {
		if w.Selector.Matches(labels.Set(v.(*discoveryv1.EndpointSlice).Labels)) {
			return nil, nil
		}
		return set(v)
	}
	return r
}
