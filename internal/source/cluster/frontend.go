package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Clients of an Ingress or a Gateway come in by a Service of the controller's, which is
// seldom exported. What is watched for that is bounded: nothing while the cluster exports
// no Ingress and no Gateway; then the classes, and the Services that have a load balancer,
// which are few in any cluster. Of those that announce an address of an Ingress or a
// Gateway, and of each that an annotation names, the Service and its slices are
// watched.

// followLimit bounds how many Services of a cluster are watched so: a controller has one
// or two, and a cluster a few controllers.
const followLimit = 64

// A demand is what is asked of a cluster because of what else it has.
type demand struct {
	mu        sync.Mutex                     // guards the rest
	objects   map[string]map[string][]string // by resource: object to the addresses and hostnames it announces
	entries   map[string]int                 // of these, how many objects announce each
	balancers map[snapshot.Key][]string      // what load balancers' Services announce
	listed    map[string]bool                // resources, in this generation
	services  map[snapshot.Key]*candidate
	full      bool
	told      bool          // all that is known of them at first
	changed   chan struct{} // closed when something above has changed, and made anew
}

// A candidate is a Service that clients may come in by.
type candidate struct {
	service *shard.Service // nil: not known yet
	slices  bool           // its slices have been listed
}

func newDemand() *demand {
	return &demand{
		objects: map[string]map[string][]string{"ingresses": {}, "gateways": {}}, entries: map[string]int{}, balancers: map[snapshot.Key][]string{},
		listed: map[string]bool{}, services: map[snapshot.Key]*candidate{}, changed: make(chan struct{}),
	}
}

// begin starts a generation, in which nothing has been listed yet.
func (d *demand) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.listed)
}

func (d *demand) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// reported notes that a list is where it should be.
func (d *demand) reported(resource string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.listed[resource] {
		d.listed[resource] = true
		d.signal()
	}
}

// note looks at what a cluster reports for what has to be known beside it. tooMany says,
// once, that there are more Services to be watched than are.
func (d *demand) note(c shard.Change) (tooMany bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.full
	list := func(resource string, all []*shard.Service) {
		have := map[string]bool{}
		for _, o := range all {
			have[o.Key.String()] = true
			d.object(resource, o.Key, o)
		}
		for k := range d.objects[resource] {
			if !have[k] {
				d.forget(resource, k)
			}
		}
	}
	switch c := c.(type) {
	case shard.ServiceSet:
		if c.Service.Key.Kind == snapshot.Ing {
			d.object("ingresses", c.Service.Key, c.Service)
		}
	case shard.ServiceGone:
		if c.Key.Kind == snapshot.Ing {
			d.forget("ingresses", c.Key.String())
		}
	case shard.ServiceList:
		if c.Kind == snapshot.Ing {
			list("ingresses", c.Services)
		}
	case shard.FrontendSet:
		if c.Frontend.Key.Kind == shard.Gateway {
			d.object("gateways", c.Frontend.Object.Key, c.Frontend.Object)
		}
	case shard.FrontendGone:
		if c.Key.Kind == shard.Gateway {
			d.forget("gateways", snapshot.Key{Namespace: c.Key.Namespace, Name: c.Key.Name, Kind: snapshot.Ing}.String())
		}
	case shard.FrontendList:
		if c.Kind == shard.Gateway {
			var all []*shard.Service
			for _, f := range c.Frontends {
				all = append(all, f.Object)
			}
			list("gateways", all)
		}
	case shard.ClassSet:
		d.follow(c.Class.Front)
	case shard.ClassList:
		for _, k := range c.Classes {
			d.follow(k.Front)
		}
	}
	return d.full && !was
}

func (d *demand) object(resource string, k snapshot.Key, o *shard.Service) {
	d.forget(resource, k.String())
	announced := announces(o)
	d.objects[resource][k.String()] = announced
	for _, e := range announced {
		if d.entries[e]++; d.entries[e] == 1 {
			for b, theirs := range d.balancers {
				if slices.Contains(theirs, e) {
					d.follow(b)
				}
			}
		}
	}
	d.follow(o.Routing().Front)
	d.signal()
}

func (d *demand) forget(resource, k string) {
	for _, e := range d.objects[resource][k] {
		if d.entries[e]--; d.entries[e] == 0 {
			delete(d.entries, e)
		}
	}
	delete(d.objects[resource], k)
}

// announces lists the addresses and hostnames of an object.
func announces(o *shard.Service) []string {
	hosts := o.Extras().Hosts
	out := make([]string, 0, len(o.Addrs)+len(hosts))
	for _, a := range o.Addrs {
		out = append(out, a.String())
	}
	return append(out, hosts...)
}

// balancer notes a Service that has a load balancer, or that it hasn't any more.
func (d *demand) balancer(k snapshot.Key, o *shard.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o == nil {
		delete(d.balancers, k)
		return
	}
	d.balancers[k] = announces(o)
	if slices.ContainsFunc(d.balancers[k], func(e string) bool { return d.entries[e] > 0 }) {
		d.follow(k)
	}
}

// follow has a Service watched by its name.
func (d *demand) follow(k snapshot.Key) {
	if d.services[k] != nil || k == (snapshot.Key{}) {
		return
	}
	if len(d.services) == followLimit {
		d.full = true
		return
	}
	d.services[k] = &candidate{}
	d.signal()
}

// learned notes what has become of a Service that is watched by its name, and gives what
// is to be reported of it now.
func (d *demand) learned(k snapshot.Key, change func(*candidate)) []shard.Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.services[k]
	change(c)
	d.signal()
	if !c.known() || !d.told {
		return nil
	}
	return []shard.Change{shard.StandbySet{Service: c.service}}
}

func (c *candidate) known() bool { return c.service != nil && c.slices }

// first gives what is known of all Services that are watched by their names, once it is
// known which those are, and all of them are known.
func (d *demand) first() []shard.Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told {
		return nil
	}
	for _, r := range [...]string{"ingresses", "gateways", "ingressclasses", "gatewayclasses", "balancers"} {
		if !d.listed[r] {
			return nil
		}
	}
	var all []*shard.Service
	for _, c := range d.services {
		if !c.known() {
			return nil
		}
		all = append(all, c.service)
	}
	d.told = true
	return []shard.Change{shard.StandbyList{Services: all}}
}

// lists waits until some resources have been listed in this generation, or ctx ends.
func (d *demand) lists(ctx context.Context, resources ...string) {
	for {
		d.mu.Lock()
		all, changed := !slices.ContainsFunc(resources, func(r string) bool { return !d.listed[r] }), d.changed
		d.mu.Unlock()
		if all {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// await waits until one of the resources has an object. none is called once, when it is
// known that there is none now.
func (d *demand) await(ctx context.Context, resources []string, none func()) {
	for told := false; ; {
		d.mu.Lock()
		some, all, changed := false, true, d.changed
		for _, r := range resources {
			some, all = some || len(d.objects[r]) > 0, all && d.listed[r]
		}
		d.mu.Unlock()
		if some {
			return
		}
		if all && !told {
			none()
			told = true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// balancers are the Services that have a load balancer and aren't exported.
func (w *Watcher) balancers(a *api) *resource {
	return &resource{
		kinds: []apireply.Kind{{APIVersion: "v1", Name: "Service"}},
		name:  "balancers", group: "balancers", optional: true, extra: true, sample: &corev1.Service{}, when: []string{"ingresses", "gateways"},
		client: services(a, "").asking(func(o *metav1.ListOptions) {
			o.FieldSelector = and(fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String(), o.FieldSelector)
		}),
		set: func(o any) (shard.Change, []string) {
			s := o.(*corev1.Service)
			if s.Spec.Type != corev1.ServiceTypeLoadBalancer || w.Selector.Matches(labels.Set(s.Labels)) {
				return nil, nil // it speaks for itself
			}
			return shard.StandbySet{Service: standby(s)}, nil
		},
		gone: func(namespace, name string) shard.Change {
			return shard.StandbyGone{Key: snapshot.Key{Namespace: namespace, Name: name}}
		},
		all: func(sets []shard.Change) shard.Change {
			return shard.StandbyList{Services: collect(sets, func(s shard.StandbySet) *shard.Service { return s.Service })}
		},
		tell: func(c shard.Change) {
			switch c := c.(type) {
			case shard.StandbySet:
				w.demand.balancer(c.Service.Key, c.Service)
			case shard.StandbyGone:
				w.demand.balancer(c.Key, nil)
			case shard.StandbyList:
				w.demand.allBalancers(c.Services)
			}
		},
	}
}

// and joins two field selectors, of which the second may be empty.
func and(a, b string) string {
	if b == "" {
		return a
	}
	return a + "," + b
}

// allBalancers notes all Services that have a load balancer.
func (d *demand) allBalancers(all []*shard.Service) {
	d.mu.Lock()
	clear(d.balancers)
	d.mu.Unlock()
	for _, o := range all {
		d.balancer(o.Key, o)
	}
}

// ingressClasses are asked for what they name, where there are Ingresses.
func (w *Watcher) ingressClasses(a *api) *resource {
	return w.classes(shard.Ingress, shard.IngressClass, &resource{
		kinds: []apireply.Kind{{APIVersion: "networking.k8s.io/v1", Name: "IngressClass"}},
		name:  "ingressclasses", group: "ingressclasses", when: []string{"ingresses"}, sample: &networkingv1.IngressClass{},
		client: in[networkingv1.IngressClassList](a.networking, "ingressclasses", ""),
	}, func(o any) *metav1.ObjectMeta { return &o.(*networkingv1.IngressClass).ObjectMeta })
}

func (w *Watcher) gatewayClasses(a *api) *resource {
	r, kinds := inVersions("GatewayClass", "gatewayclasses", func(gvr schema.GroupVersionResource) client {
		c := a.metadata.Resource(gvr)
		return clientOf(c.List, c.Watch)
	})
	return w.classes(shard.Gateway, shard.GatewayClass, &resource{
		kinds: append(kinds, apireply.Partial),
		name:  "gatewayclasses", group: theGatewayAPI, when: []string{"gateways"}, sample: &metav1.PartialObjectMetadata{},
		client: r,
	}, func(o any) *metav1.ObjectMeta { return &o.(*metav1.PartialObjectMetadata).ObjectMeta })
}

func (w *Watcher) classes(of, kind shard.FrontendKind, r *resource, meta func(any) *metav1.ObjectMeta) *resource {
	r.optional, r.extra, r.none = true, true, shard.ListUnavailable{Kind: kind}
	r.set = func(o any) (shard.Change, []string) {
		c, problems := class(of, meta(o))
		return shard.ClassSet{Class: c}, problems
	}
	r.gone = func(_, name string) shard.Change { return shard.ClassGone{Key: shard.ClassKey{Kind: of, Name: name}} }
	r.all = func(sets []shard.Change) shard.Change {
		return shard.ClassList{Kind: of, Classes: collect(sets, func(s shard.ClassSet) shard.Class { return s.Class })}
	}
	return r
}

// candidate is one Service that is watched by its name.
func (w *Watcher) candidate(a *api, k snapshot.Key) *resource {
	return &resource{
		name: "service " + k.Namespace + "/" + k.Name, sample: &corev1.Service{},
		kinds: []apireply.Kind{{APIVersion: "v1", Name: "Service"}}, client: services(a, k.Namespace).named(k.Name),
		set: func(o any) (shard.Change, []string) {
			s := o.(*corev1.Service)
			if s.Name != k.Name || s.Namespace != k.Namespace {
				return nil, nil
			}
			return shard.StandbySet{Service: standby(s)}, nil
		},
		gone: func(namespace, name string) shard.Change {
			if namespace != k.Namespace || name != k.Name {
				return nil
			}
			return shard.StandbySet{Service: (&shard.Service{Key: k}).Route(shard.Routing{Absent: true})}
		},
		all: func(sets []shard.Change) shard.Change {
			if len(sets) == 0 {
				return shard.StandbySet{Service: (&shard.Service{Key: k}).Route(shard.Routing{Absent: true})}
			}
			return sets[0]
		},
		tell: func(c shard.Change) {
			w.learn(k, func(known *candidate) { known.service = c.(shard.StandbySet).Service })
		},
	}
}

// learn notes something about a Service that is watched by its name, and reports it.
func (w *Watcher) learn(k snapshot.Key, change func(*candidate)) {
	if c := w.demand.learned(k, change); c != nil {
		w.endpoints.report(c...)
	}
}

// follow watches each Service that clients may come in by, until ctx ends.
func (w *Watcher) follow(ctx context.Context, a *api, wg *sync.WaitGroup) {
	following := map[snapshot.Key]bool{}
	for {
		w.demand.mu.Lock()
		changed := w.demand.changed
		var more []snapshot.Key
		for k := range w.demand.services {
			if !following[k] {
				more = append(more, k)
			}
		}
		w.demand.mu.Unlock()
		for _, k := range more {
			following[k] = true
			service := w.candidate(a, k)
			its := w.slices(a, followed, "slices of "+service.name, k.Namespace, discoveryv1.LabelServiceName+"="+k.Name, func(s snapshot.Key) bool { return s == k })
			tell := its.tell
			its.tell = func(c shard.Change) {
				tell(c)
				if _, all := c.(shard.SliceList); all {
					w.learn(k, func(known *candidate) { known.slices = true })
				}
			}
			w.beside(a, service, wg, w.demand.known(k)).run(ctx)
			w.beside(a, its, wg, w.endpoints.those(followed, func(s snapshot.Key) bool { return s == k })).run(ctx)
		}
		if c := w.demand.first(); c != nil {
			w.endpoints.report(c...)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// known is a Service that is watched by its name, if it is there.
func (d *demand) known(k snapshot.Key) known {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.services[k]; c.service != nil && !c.service.Routing().Absent {
		return known{k.Namespace + "/" + k.Name: seen{change: shard.StandbySet{Service: c.service}}}
	}
	return known{}
}

// quiet is for what nobody needs to be told of.
var quiet = slog.New(slog.DiscardHandler)

// noteDemand is told of all that is reported.
func (w *Watcher) noteDemand(c shard.Change) {
	if w.demand.note(c) {
		w.Log.Warn(fmt.Sprintf("cluster %s: more than %d Services are in front of its Ingresses and Gateways; the others are taken to be well", w.Cluster, followLimit))
	}
}

// listener hears of a resource through a; known is what has been reported of it.
func (w *Watcher) listener(a *api, r *resource, wg *sync.WaitGroup, s *apiStatus, known known) *listener {
	return &listener{Watcher: w, resource: r, wg: wg, report: w.endpoints.report, standing: s, known: known, at: a}
}

// beside makes the calls for what counts beside a cluster's lists: how that does is no part
// of how the cluster does.
func (w *Watcher) beside(a *api, r *resource, wg *sync.WaitGroup, known known) *listener {
	its := newAPIStatus(quiet, "", []*resource{r})
	its.begin()
	return w.listener(a, r, wg, its, known)
}

// run starts a reflector that tells l, until ctx ends.
func (l *listener) run(ctx context.Context) {
	reflector := &kube.Reflector[seen]{
		Server: string(l.Cluster), Resource: l.name, Sample: l.sample, Kinds: l.kinds, Budget: l.budget,
		ListFunc: func(ctx context.Context, _ string, o metav1.ListOptions) (runtime.Object, error) {
			return l.list(ctx, l.options(o))
		},
		WatchFunc: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return l.watch(ctx, l.options(o))
		},
		Weigh: weigh, Backoff: &backoff, Silence: l.hungAfter, Pace: l.Watcher.pace, Sink: l,
	}
	l.wg.Go(func() { reflector.Run(ctx) })
}
