package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A resource is one of the lists that a cluster is known by.
type resource struct {
	name     string
	optional bool     // a cluster that won't give it counts as having none
	extra    bool     // and many don't even know it: nothing waits for it then
	selected bool     // the selector applies
	seldom   bool     // the log speaks of it only where there are any
	group    string   // what it is called in the log together with others, if it is extra
	when     []string // resources of which one has to have an object for this to be asked for; none: always
	sample   runtime.Object
	kinds    []apireply.Kind // that a list of it may say
	client
	set  func(any) (shard.Change, []string) // nil: it is none of ours
	gone func(namespace, name string) shard.Change
	all  func([]shard.Change) shard.Change // the complete list, from what set gave
	none shard.Change                      // the list can't be had, if it is extra
	tell func(shard.Change)                // in the place of reporting; nil: it is reported
	run  func(context.Context)             // in the place of one list and one watch: it has many
}

func (w *Watcher) resources(a *api) []*resource {
	list := []*resource{
		exporting(snapshot.Svc, &resource{
			name: "services", sample: &corev1.Service{}, client: services(a, ""),
			kinds: []apireply.Kind{{APIVersion: "v1", Name: "Service"}},
		}, func(o any) (*shard.Service, []string) { return service(o.(*corev1.Service), w.Local) }),
		exporting(snapshot.Ing, &resource{
			name: "ingresses", optional: true, sample: &networkingv1.Ingress{}, client: in[networkingv1.IngressList](a.networking, "ingresses", ""),
			kinds: []apireply.Kind{{APIVersion: "networking.k8s.io/v1", Name: "Ingress"}},
		}, func(o any) (*shard.Service, []string) { return ingress(o.(*networkingv1.Ingress)) }),
	}
	list = append(list, w.chosen(a)...)
	if w.Nodes {
		list = append(list, w.nodes(a))
	}
	if w.Local {
		list = append(list, w.namesake(a))
	}
	for _, k := range shard.GatewayAPI {
		list = append(list, w.gatewayResource(a, k))
	}
	return append(list, w.ingressClasses(a), w.gatewayClasses(a), w.balancers(a))
}

// exporting is a resource of objects that are reported as Services of a kind.
func exporting(kind snapshot.Kind, r *resource, read func(any) (*shard.Service, []string)) *resource {
	r.selected = true
	r.set = func(o any) (shard.Change, []string) {
		s, problems := read(o)
		return shard.ServiceSet{Service: s}, problems
	}
	r.gone = func(namespace, name string) shard.Change {
		return shard.ServiceGone{Key: snapshot.Key{Namespace: namespace, Name: name, Kind: kind}}
	}
	r.all = func(sets []shard.Change) shard.Change {
		return shard.ServiceList{Kind: kind, Services: collect(sets, func(s shard.ServiceSet) *shard.Service { return s.Service })}
	}
	return r
}

// nodes are asked for whole, for their readiness. Kubelets write it every five minutes, or
// when it changes; their heartbeats are Leases.
func (w *Watcher) nodes(a *api) *resource {
	return &resource{
		name: "nodes", optional: true, sample: &corev1.Node{},
		kinds: []apireply.Kind{{APIVersion: "v1", Name: "Node"}}, client: in[corev1.NodeList](a.core, "nodes", ""),
		set: func(o any) (shard.Change, []string) {
			n := o.(*corev1.Node)
			return shard.NodeSet{Node: node(n.Name, n.Labels, n.Status.Conditions)}, nil
		},
		gone: func(_, name string) shard.Change { return shard.NodeGone{Name: name} },
		all: func(sets []shard.Change) shard.Change {
			return shard.NodeList{Nodes: collect(sets, func(s shard.NodeSet) shard.Node { return s.Node })}
		},
	}
}

// namesake is the namespace that has the federation's name, which there shouldn't be.
func (w *Watcher) namesake(a *api) *resource {
	namespaces := a.metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	return &resource{
		name: "namespaces", optional: true, sample: &metav1.PartialObjectMetadata{},
		kinds:  []apireply.Kind{apireply.Partial, {APIVersion: "v1", Name: "Namespace"}},
		client: clientOf(namespaces.List, namespaces.Watch).named(w.Federation),
		set:    func(any) (shard.Change, []string) { return shard.Shadowed{Is: true}, nil },
		gone:   func(_, _ string) shard.Change { return shard.Shadowed{} },
		all:    func(sets []shard.Change) shard.Change { return shard.Shadowed{Is: len(sets) > 0} },
	}
}

// gatewayResource is one of the Gateway API's. What counts only beside a Gateway is asked
// for only where there is one.
func (w *Watcher) gatewayResource(a *api, k shard.FrontendKind) *resource {
	when := []string{"gateways"}
	switch k {
	case shard.Gateway, shard.HTTPRoute, shard.GRPCRoute:
		when = nil
	}
	r, kinds := inVersions(string(k), plural(k), func(gvr schema.GroupVersionResource) client {
		c := a.dynamic.Resource(gvr)
		return clientOf(c.List, c.Watch)
	})
	return &resource{
		name: plural(k), group: theGatewayAPI, optional: true, extra: true, selected: true, sample: &unstructured.Unstructured{},
		kinds: kinds, when: when, client: r,
		set: func(o any) (shard.Change, []string) {
			f, problems, err := unstructuredFront(o.(*unstructured.Unstructured))
			if err != nil {
				return nil, []string{err.Error() + "; left out"}
			}
			return shard.FrontendSet{Frontend: unheard(f)}, problems
		},
		gone: func(namespace, name string) shard.Change {
			return shard.FrontendGone{Key: shard.FrontendKey{Kind: k, Namespace: namespace, Name: name}}
		},
		all: func(sets []shard.Change) shard.Change {
			return shard.FrontendList{Kind: k, Frontends: collect(sets, func(s shard.FrontendSet) *shard.Frontend { return s.Frontend })}
		},
		none: shard.ListUnavailable{Kind: k},
	}
}

// A versioned resource is asked for in the versions of it that can be read, until the
// cluster knows one. To the cluster they are the same objects, of the same
// resourceVersions.
type versioned struct {
	clients []client     // the best first
	known   atomic.Int32 // of these, the one that was known last
}

// inVersions is a resource of a kind, in all versions of it that are read, and what lists
// of it may say.
func inVersions(kind, resource string, in func(schema.GroupVersionResource) client) (c client, kinds []apireply.Kind) {
	v := &versioned{}
	for _, version := range versions[kind] {
		gv, _ := schema.ParseGroupVersion(version) // a constant
		v.clients = append(v.clients, in(gv.WithResource(resource)))
		kinds = append(kinds, apireply.Kind{APIVersion: version, Name: kind})
	}
	return client{v.list, v.watch}, kinds
}

func (v *versioned) list(ctx context.Context, o metav1.ListOptions) (list runtime.Object, err error) {
	err = v.ask(func(c client) (err error) {
		list, err = c.list(ctx, o)
		return err
	})
	return list, err
}

func (v *versioned) watch(ctx context.Context, o metav1.ListOptions) (w watch.Interface, err error) {
	if o.SendInitialEvents != nil && *o.SendInitialEvents {
		return v.clients[v.known.Load()].watch(ctx, o) // the list that follows finds the version
	}
	err = v.ask(func(c client) (err error) {
		w, err = c.watch(ctx, o)
		return err
	})
	return w, err
}

// ask begins with the version that was known last. Where none is, the error is that of
// the first: it says so of all.
func (v *versioned) ask(call func(client) error) error {
	at := v.known.Load()
	err := call(v.clients[at])
	for i := 0; i < len(v.clients) && apierrors.IsNotFound(err); i++ {
		if int32(i) == at {
			continue
		}
		switch next := call(v.clients[i]); {
		case next == nil:
			v.known.Store(int32(i))
			return nil
		case !apierrors.IsNotFound(next):
			return next
		}
	}
	return err
}

func collect[S, T any](sets []shard.Change, of func(S) T) []T {
	out := make([]T, 0, len(sets))
	for _, s := range sets {
		out = append(out, of(s.(S)))
	}
	return out
}

// A listener is what a reflector of a resource tells, and makes of it what is reported.
type listener struct {
	*Watcher
	*resource
	wg       *sync.WaitGroup
	report   func(...shard.Change)
	standing *apiStatus
	known    known // what has been reported; its Watcher keeps it
	at       *api
	// Of an extra resource: it has been told that there is none, or that it can't be
	// had, and when that was heard last.
	absent, forgone bool
	shunned         time.Time
	later           time.Time // it isn't to be asked before
}

var _ kube.Sink[seen] = (*listener)(nil)

// Pause puts off a question for what nobody needs, isn't there, or isn't given, or while
// the API has asked for a pause.
func (l *listener) Pause(ctx context.Context) {
	if len(l.when) > 0 {
		l.demand.await(ctx, l.when, func() {
			l.standing.listed(l.name, 0)
			l.standing.spare(l.name) // it may have failed while it was needed
			l.say(l.all(nil))
			l.reported()
		})
	}
	apireply.Wait(ctx, time.Until(l.later))
	if !l.shunned.IsZero() {
		apireply.Wait(ctx, time.Until(l.shunned.Add(l.pace)))
	}
}

// reported notes that what is known of a resource has been told in full.
func (l *listener) reported() {
	l.standing.reported(l.name)
	l.demand.reported(l.name)
}

// say reports a change, if it is one.
func (l *listener) say(c shard.Change) {
	switch {
	case c == nil:
	case l.tell != nil:
		l.tell(c)
	default:
		l.endpoints.tell(c)
		l.noteDemand(c)
	}
}

func (l *listener) options(o metav1.ListOptions) metav1.ListOptions {
	if l.selected {
		o.LabelSelector = l.Selector.String()
	}
	return o
}

// Heard implements kube.Sink.
func (l *listener) Heard(version string) {
	l.hear()
	if l.name == "services" {
		l.history.saw(version)
	}
}

// Works implements kube.Sink.
func (l *listener) Works() { l.standing.works(l.name) }

// Ended implements kube.Sink.
func (l *listener) Ended(err error) { l.count(why(err)) }

// weigh is what an object counts for among all that an API has.
func weigh(o runtime.Object) apireply.Load {
	l := apireply.Weigh(o)
	if s, ok := o.(*discoveryv1.EndpointSlice); ok {
		l.Endpoints = int64(len(s.Endpoints))
	}
	return l
}

// Failed notes an error of a call.
func (l *listener) Failed(ctx context.Context, err error) {
	w := why(err)
	if l.extra && apierrors.IsNotFound(err) {
		// It can be believed at once: a server that is starting says 503 instead for
		// as long as it doesn't know what it has. Somebody else may not know anything.
		if l.absent {
			l.without()
			return
		}
		no := l.unknown(ctx, err)
		if no == nil {
			l.without()
			return
		}
		if ctx.Err() != nil {
			return
		}
		err, w = no, why(no)
		l.count(w)
		l.troubled(w, err)
		l.standing.failed(l.name, w, err)
		return
	}
	l.count(w)
	var answered *apierrors.StatusError
	switch {
	case w == gone:
	case l.extra && (w == other || w != unauthorized && errors.As(err, &answered)): // the API is there, and this isn't
		l.forgo(err)
	case l.optional && (w == forbidden || apierrors.IsNotFound(err)):
		final, first := l.standing.refuse(l.name, err)
		if first {
			l.standing.listed(l.name, 0)
			l.say(l.all(nil))
		}
		if final {
			l.reported()
		}
	default:
		l.troubled(w, err)
		l.standing.failed(l.name, w, err)
	}
	l.later = time.Now().Add(apireply.Later(err))
}

// without notes that the cluster doesn't know an extra resource: it has none.
func (l *listener) without() {
	l.shunned = time.Now()
	l.standing.works(l.name)
	if !l.absent {
		l.absent = true
		clear(l.known)
		l.standing.listed(l.name, 0)
		l.say(l.all(nil))
		l.reported()
	}
}

// forgo notes that the cluster won't give an extra resource now. Nothing waits for
// it; what is known stays, unless there is nothing and it is final.
func (l *listener) forgo(err error) {
	if !l.forgone {
		l.forgone = true
		l.say(l.none)
		l.reported()
	}
	l.standing.spare(l.name)
	final, first := l.standing.refuse(l.name, err)
	if first {
		l.standing.listed(l.name, 0)
		l.say(l.all(nil))
	}
	if final {
		l.shunned = time.Now()
	}
}

// Cut implements kube.Sink.
func (l *listener) Cut(key string, obj any) seen {
	change, problems := l.set(obj)
	if o, ok := obj.(metav1.Object); ok && change != nil && l.name != "nodes" { // whose status is written all the time
		l.date(o)
	}
	l.gripes.say(l.name+" "+key, problems)
	return see(obj, change)
}

// Set implements kube.Sink.
func (l *listener) Set(key string, s seen) {
	if s.change == nil { // it may have been ours before
		namespace, name, _ := cache.SplitMetaNamespaceKey(key)
		l.Gone(key, namespace, name)
		return
	}
	s.change = l.known[key].copied(s.change)
	l.known[key] = s
	l.say(s.change)
}

// Gone implements kube.Sink.
func (l *listener) Gone(key, namespace, name string) {
	l.gripes.say(l.name+" "+key, nil)
	delete(l.known, key)
	l.say(l.gone(namespace, name))
}

// Listed implements kube.Sink.
func (l *listener) Listed(list *kube.Listing[seen]) {
	sets, ours := make([]shard.Change, 0, len(list.Items)), make(known, len(list.Items))
	for _, i := range list.Items {
		if i.Of.change != nil {
			i.Of.change = l.known[i.Key].copied(i.Of.change)
			sets, ours[i.Key] = append(sets, i.Of.change), i.Of
		}
	}
	l.gripes.keep(l.name, list)
	clear(l.known)
	maps.Copy(l.known, ours)
	if l.name == "services" {
		l.history.saw(list.Version)
	}
	clusterLists.WithLabelValues(l.Federation, string(l.Cluster), l.name).Inc()
	if l.absent {
		l.Log.Info(fmt.Sprintf("cluster %s: %s: the cluster has them now, %d of ours", l.Cluster, l.name, len(sets)))
	}
	l.absent, l.forgone, l.shunned = false, false, time.Time{}
	l.standing.listed(l.name, len(sets))
	l.say(l.all(sets))
	l.reported()
}

// unknown says whether the API can be believed in that it doesn't know a kind, as err says: it
// gives Services, which all have, to the same question, and where it has given some of the
// kind, says so twice.
func (l *listener) unknown(ctx context.Context, err error) error {
	call, end := context.WithTimeoutCause(ctx, l.hungAfter, kube.ErrHung)
	defer end()
	if _, no := l.at.revision(call, l.Selector.String()); no != nil {
		return kube.CauseOf(call, no)
	}
	if len(l.known) == 0 {
		return nil
	}
	_, again := l.list(apireply.Expect(call, &apireply.List{Kinds: l.kinds}), l.options(metav1.ListOptions{Limit: 1}))
	switch {
	case again == nil:
		return &apireply.UnexpectedReply{What: fmt.Sprintf("%s, which are there: %v", l.name, apireply.Brief(err))}
	case apierrors.IsNotFound(again):
		return nil
	}
	return kube.CauseOf(call, again)
}
