package controller

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A clusterPart is what is known of a cluster's part of the federation's API, on both its sides: by the federation's fedsync,
// and by that of the cluster. The loop's owner has it.
type clusterPart struct {
	hub   *hub
	works map[string]v1alpha1.Work // by name
	read  bool                     // they have been listed
}

func newPart(u *hub) clusterPart { return clusterPart{hub: u, works: map[string]v1alpha1.Work{}} }

// key is what an object of a cluster is called here; false: nobody keeps it.
func (p *clusterPart) key(o v1alpha1.WorkObject) (workload.Key, bool) {
	return p.hub.keyOf(v1alpha1.PlacedObject(o))
}

func objectOf(k workload.Key) v1alpha1.WorkObject { return v1alpha1.WorkObject(placedObject(k)) }

// workOf is the Work of an object.
func (p *clusterPart) workOf(k workload.Key) (w v1alpha1.Work, ok bool) {
	w, ok = p.works[v1alpha1.WorkName(objectOf(k))]
	return w, ok
}

// takeIn takes in a Work in the place of what it was; false: an answer to a write came first.
func (p *clusterPart) takeIn(w v1alpha1.Work) (was v1alpha1.Work, ok bool) {
	was = p.works[w.Name]
	if was.UID == w.UID && v1alpha1.Older(w.ResourceVersion, was.ResourceVersion) {
		return was, false
	}
	p.works[w.Name] = w
	return was, true
}

// A partFollower follows the Works of a part, for whose it is.
type partFollower struct {
	*clusterPart
	tell   func(func()) // has the loop's owner do something
	set    func(*kube.Object)
	gone   func(v1alpha1.Work)
	listed func()
	failed func(error)
}

var _ kube.Follower = (*partFollower)(nil)

// Listed is for kube.API.FollowIn.
func (f *partFollower) Listed(all []*kube.Object) {
	f.tell(func() {
		there := map[string]bool{}
		for _, o := range all {
			there[o.GetName()] = true
			f.set(o)
		}
		for name := range f.works {
			if !there[name] {
				f.drop(name)
			}
		}
		f.read = true
		f.listed()
	})
}

// Set is for kube.API.FollowIn.
func (f *partFollower) Set(o *kube.Object) { f.tell(func() { f.set(o) }) }

// Gone is for kube.API.FollowIn.
func (f *partFollower) Gone(_, name string) { f.tell(func() { f.drop(name) }) }

// Failed is for kube.API.FollowIn.
func (f *partFollower) Failed(err error) { f.failed(err) }

func (f *partFollower) drop(name string) {
	w := f.works[name]
	delete(f.works, name)
	f.gone(w)
}

// patched are the fields of a struct for a merge patch: of names, those that it doesn't say are absent, since a merge
// leaves as it is what isn't said.
func patched(v, absent any, names ...string) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		return nil, err
	}
	for _, f := range names {
		if _, said := fields[f]; !said {
			fields[f] = absent
		}
	}
	return fields, nil
}
