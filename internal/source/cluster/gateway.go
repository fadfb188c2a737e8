package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// gatewayGroup is the group of the Gateway API, and gatewayAPI its newest version. Its own
// module would be larger than all that counts of it, which is below.
const (
	gatewayGroup = "gateway.networking.k8s.io"
	gatewayAPI   = gatewayGroup + "/v1"
)

// gatewayTrials is the group of what the Gateway API has on trial.
const gatewayTrials = "gateway.networking.x-k8s.io"

// An objectListener is one of a Gateway or a ListenerSet.
type objectListener struct {
	Name          string `json:"name"`
	Hostname      string `json:"hostname"`
	Port          uint16 `json:"port"`
	Protocol      string `json:"protocol"`
	AllowedRoutes struct {
		Namespaces objectNamespaces `json:"namespaces"`
		Kinds      []struct {
			Group *string `json:"group"`
			Kind  string  `json:"kind"`
		} `json:"kinds"`
	} `json:"allowedRoutes"`
}

// objectNamespaces says from where something is let in.
type objectNamespaces struct {
	From string `json:"from"`
}

// from reads where something is let in from.
func (n objectNamespaces) from(unsaid shard.From) (from shard.From, err error) {
	switch n.From {
	case "":
		return unsaid, nil
	case "Same":
		return shard.Same, nil
	case "All":
		return shard.AnyWhere, nil
	case "Selector":
		return shard.Selected, nil
	case "None":
		return shard.Nowhere, nil
	}
	return shard.Nowhere, fmt.Errorf("from %q is none of All, Same, Selector and None", n.From)
}

// An objectAddress is one of a Gateway's status; of a Node's, too, which don't count.
type objectAddress struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// An objectParent is what a route or a ListenerSet wants to be attached to.
type objectParent struct {
	Group       *string `json:"group"`
	Kind        *string `json:"kind"`
	Namespace   string  `json:"namespace"`
	Name        string  `json:"name"`
	SectionName string  `json:"sectionName"`
	Port        uint16  `json:"port"`
}

// An objectWord is what a controller says of a route at a parent.
type objectWord struct {
	ParentRef  objectParent      `json:"parentRef"`
	Conditions []objectCondition `json:"conditions"`
}

// An objectCondition is one of a status.
type objectCondition struct {
	Type   string                 `json:"type"`
	Status metav1.ConditionStatus `json:"status"`
}

// An objectListening is what a controller says of a listener of a Gateway.
type objectListening struct {
	Name       string            `json:"name"`
	Conditions []objectCondition `json:"conditions"`
}

// unfit says whether a Gateway's controller says that it, or a listener of it, doesn't
// serve. What it hasn't said yet (Unknown) says nothing.
func unfit(conditions []objectCondition) bool {
	return slices.ContainsFunc(conditions, func(c objectCondition) bool {
		switch c.Type {
		case "Accepted", "Programmed", "Ready": // the last as controllers of before v1 have it
			return c.Status == metav1.ConditionFalse
		case "Conflicted":
			return c.Status == metav1.ConditionTrue
		}
		return false
	})
}

type objectBackend struct {
	Group     string  `json:"group"`
	Kind      *string `json:"kind"`
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	Weight    *int32  `json:"weight"`
}

// front makes what is kept of an object of the Gateway API.
func (o *object) front() (*shard.Frontend, []string) {
	switch shard.FrontendKind(o.Kind) {
	case shard.Gateway:
		return o.gateway()
	case shard.ListenerSet, shard.XListenerSet:
		return o.listenerSet()
	}
	return o.route()
}

func (o *object) gateway() (*shard.Frontend, []string) {
	m := o.meta()
	d := begin(&m, snapshot.Ing)
	f := &shard.Frontend{Key: shard.FrontendKey{Kind: shard.Gateway, Namespace: d.Key.Namespace, Name: d.Key.Name}, Object: d.Service}
	d.Balancer = true
	d.Class = intern(o.Spec.GatewayClassName)
	d.fronted(o.Metadata.Annotations)
	if unfit(o.Status.Conditions) {
		d.Blocked = health.NotProgrammed
	}
	var err error
	if f.Sets, err = o.Spec.AllowedListeners.Namespaces.from(shard.Nowhere); err != nil {
		d.problem("allowedListeners %v; none are let in", err)
	}
	if all := o.Spec.Listeners; d.Blocked == "" && len(all) > 0 && !slices.ContainsFunc(all, func(l objectListener) bool { return !o.notReady(l.Name) }) {
		d.Blocked = health.NotListening
	}
	if !d.annotated(o.Metadata.Annotations) {
		for _, a := range o.Status.Addresses {
			switch a.Type {
			case "IPAddress", "":
				d.address("status.addresses", a.Value)
			case "Hostname":
				d.entry("", a.Value)
			default:
				d.problem("status.addresses: type %q is neither IPAddress nor Hostname; left out", a.Type)
			}
		}
	}
	for i := range o.Spec.Listeners {
		if l := &o.Spec.Listeners[i]; d.Port == 0 && l.Protocol != "UDP" {
			d.Port = l.Port
		}
	}
	f.Listeners = d.listeners(o)
	d.done()
	return f, d.problems
}

// listenerSet makes what is kept of a set of listeners. Its Gateway announces what it is
// reached at.
func (o *object) listenerSet() (*shard.Frontend, []string) {
	m := o.meta()
	d := begin(&m, snapshot.Ing)
	f := &shard.Frontend{Key: shard.FrontendKey{Kind: shard.FrontendKind(intern(o.Kind)), Namespace: d.Key.Namespace, Name: d.Key.Name}, Object: d.Service}
	f.Listeners = d.listeners(o)
	switch p, ok := o.Spec.ParentRef.parent(d.Key.Namespace); {
	case ok && p.Kind == "":
		f.Parents = []shard.Parent{{Namespace: p.Namespace, Name: p.Name, Status: said(o.Status.Conditions)}}
	case o.Spec.ParentRef == nil:
		d.problem("spec.parentRef is missing; its listeners are nobody's")
	default:
		group, kind := o.Spec.ParentRef.of()
		d.problem("spec.parentRef %q of %q is no Gateway; its listeners are nobody's", kind, group)
	}
	if unfit(o.Status.Conditions) {
		for i := range f.Listeners {
			f.Listeners[i].NotReady = true
		}
	}
	d.done()
	return f, d.problems
}

// notReady says whether a controller says so of a listener.
func (o *object) notReady(listener string) bool {
	return slices.ContainsFunc(o.Status.Listeners, func(l objectListening) bool { return l.Name == listener && unfit(l.Conditions) })
}

// listeners are those that routes which know hosts can be attached to.
func (d *draft) listeners(o *object) (out []shard.Listener) {
	for i := range o.Spec.Listeners {
		l := &o.Spec.Listeners[i]
		if l.Protocol == "UDP" || l.Protocol == "TCP" {
			continue // their routes know no hosts
		}
		listener := shard.Listener{Name: intern(l.Name), Port: l.Port, Only: l.kinds(), NotReady: o.notReady(l.Name)}
		if l.Hostname != "" {
			h, err := claimed(l.Hostname)
			if err != nil {
				d.problem("listener %s: hostname %v; left out", l.Name, err)
				continue
			}
			listener.Host = h
		}
		var err error
		if listener.From, err = l.AllowedRoutes.Namespaces.from(shard.Same); err != nil {
			d.problem("listener %s: allowedRoutes %v; left out", l.Name, err)
			continue
		}
		out = append(out, listener)
	}
	return out
}

// kinds are those of the routes that a listener takes; none: those that speak HTTP. What
// speaks TLS only, and doesn't look inside, takes no others than TLSRoutes.
func (l *objectListener) kinds() (only []shard.FrontendKind) {
	tls := l.Protocol == "TLS"
	if len(l.AllowedRoutes.Kinds) == 0 && tls {
		return []shard.FrontendKind{shard.TLSRoute}
	}
	for _, k := range l.AllowedRoutes.Kinds {
		if (k.Group == nil || *k.Group == gatewayGroup) && tls == (k.Kind == string(shard.TLSRoute)) {
			only = append(only, shard.FrontendKind(intern(k.Kind)))
		}
	}
	if len(only) == 0 && len(l.AllowedRoutes.Kinds) > 0 {
		only = append(only, "") // others' only
	}
	return only
}

func (o *object) route() (*shard.Frontend, []string) {
	m := o.meta()
	d := begin(&m, snapshot.Ing)
	_, weighs := o.Metadata.Annotations[v1alpha1.Weight]
	f := &shard.Frontend{
		Key:    shard.FrontendKey{Kind: shard.FrontendKind(intern(o.Kind)), Namespace: d.Key.Namespace, Name: d.Key.Name},
		Object: d.Service, Weighs: weighs,
	}
	for _, s := range o.Spec.Hostnames {
		h, err := claimed(s)
		switch {
		case err != nil:
			d.problem("spec.hostnames: %v; left out", err)
		case !slices.Contains(f.Hostnames, h):
			f.Hostnames = append(f.Hostnames, h)
		}
	}
	for i := range o.Spec.ParentRefs {
		if p, ok := o.Spec.ParentRefs[i].parent(d.Key.Namespace); ok {
			p.Status = o.parentStatus(p)
			f.Parents = append(f.Parents, p)
		}
	}
	for i := range o.Spec.Rules {
		for _, b := range o.Spec.Rules[i].BackendRefs {
			if b.Group == "" && (b.Kind == nil || *b.Kind == "Service") && b.Name != "" && (b.Weight == nil || *b.Weight > 0) {
				d.Backends = append(d.Backends, snapshot.Key{Namespace: intern(cmp.Or(b.Namespace, d.Key.Namespace)), Name: intern(b.Name)})
			}
		}
	}
	d.Backends = snapshot.SortedKeys(d.Backends)
	if len(f.Hostnames) == 0 && len(o.Spec.Hostnames) > 0 {
		f.Parents = nil // none of them is one: that isn't the same as all hosts
	}
	d.done()
	return f, d.problems
}

// parent makes what is kept of a reference to what has listeners, if it is one.
func (p *objectParent) parent(namespace string) (out shard.Parent, ok bool) {
	if p == nil {
		return out, false
	}
	group, kind := p.of()
	out = shard.Parent{Namespace: intern(cmp.Or(p.Namespace, namespace)), Name: intern(p.Name), Section: intern(p.SectionName), Port: p.Port}
	switch {
	case group == gatewayGroup && kind == shard.Gateway:
		return out, true
	case group == gatewayGroup && kind == shard.ListenerSet, group == gatewayTrials && kind == shard.XListenerSet:
		out.Kind = shard.FrontendKind(intern(string(kind)))
		return out, true
	}
	return shard.Parent{}, false
}

// of is what is referred to, by default a Gateway.
func (p *objectParent) of() (group string, kind shard.FrontendKind) {
	group, kind = gatewayGroup, shard.Gateway
	if p.Group != nil {
		group = *p.Group
	}
	if p.Kind != nil {
		kind = shard.FrontendKind(*p.Kind)
	}
	return group, kind
}

// parentStatus is what the cluster's controllers say of a route at a parent. Several may
// speak; one that has accepted it is enough.
func (o *object) parentStatus(p shard.Parent) shard.ParentStatus {
	word := shard.Unstated
	for i := range o.Status.Parents {
		w := &o.Status.Parents[i]
		if about, ok := w.ParentRef.parent(o.Metadata.Namespace); !ok || about != p {
			continue
		}
		switch its := said(w.Conditions); its {
		case shard.Accepted:
			return its
		case shard.Rejected:
			word = its
		}
	}
	return word
}

// said is what conditions say of whether something is accepted.
func said(conditions []objectCondition) shard.ParentStatus {
	for _, c := range conditions {
		switch {
		case c.Type != "Accepted":
		case c.Status == metav1.ConditionTrue:
			return shard.Accepted
		case c.Status == metav1.ConditionFalse:
			return shard.Rejected
		}
	}
	return shard.Unstated
}

// unstructuredFront makes what is kept of an object as an API gave it.
func unstructuredFront(u *unstructured.Unstructured) (*shard.Frontend, []string, error) {
	var o object
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nil, nil, err
	}
	f, problems := o.front()
	return f, problems, nil
}

// unheard notes that a controller may yet speak of what an API gives: behind manifests
// there is none.
func unheard(f *shard.Frontend) *shard.Frontend {
	for i := range f.Parents {
		if p := &f.Parents[i]; p.Status == shard.Unstated {
			p.Status = shard.AwaitingController
		}
	}
	return f
}

// plural is what a kind is called in the paths of an API.
func plural(k shard.FrontendKind) string { return strings.ToLower(string(k)) + "s" }
