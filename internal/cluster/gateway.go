package cluster

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
)

// gatewayVersion is what is read of the Gateway API. Its own module would be larger
// than all that counts of it, which is below.
var gatewayVersion = schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}

const gatewayAPI = "gateway.networking.k8s.io/v1"

// A objectListener is one of a Gateway.
type objectListener struct {
	Name          string `json:"name"`
	Hostname      string `json:"hostname"`
	Port          uint16 `json:"port"`
	Protocol      string `json:"protocol"`
	AllowedRoutes struct {
		Namespaces struct {
			From string `json:"from"`
		} `json:"namespaces"`
		Kinds []struct {
			Group *string `json:"group"`
			Kind  string  `json:"kind"`
		} `json:"kinds"`
	} `json:"allowedRoutes"`
}

// An objectAddress is one of a Gateway's status; of a Node's, too, which don't count.
type objectAddress struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// An objectParent is a Gateway that a route wants to be attached to.
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
		case "Accepted", "Programmed":
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
func (o *object) front() (*shard.Front, []string) {
	if o.Kind == string(shard.Gateway) {
		return o.gateway()
	}
	return o.route()
}

func (o *object) gateway() (*shard.Front, []string) {
	m := o.meta()
	d := begin(&m, names.Ing)
	f := &shard.Front{Key: shard.FrontKey{Kind: shard.Gateway, Namespace: d.Key.Namespace, Name: d.Key.Name}, Object: d.Service}
	d.Balancer = true
	d.Class = intern(o.Spec.GatewayClassName)
	d.fronted(o.Metadata.Annotations)
	if unfit(o.Status.Conditions) {
		d.Blocked = health.NotProgrammed
	}
	notReady := func(name string) bool {
		return slices.ContainsFunc(o.Status.Listeners, func(l objectListening) bool { return l.Name == name && unfit(l.Conditions) })
	}
	if all := o.Spec.Listeners; d.Blocked == "" && len(all) > 0 && !slices.ContainsFunc(all, func(l objectListener) bool { return !notReady(l.Name) }) {
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
		l := &o.Spec.Listeners[i]
		if d.Port == 0 && l.Protocol != "UDP" {
			d.Port = l.Port
		}
		if l.Protocol == "UDP" || l.Protocol == "TCP" || l.Protocol == "TLS" {
			continue // their routes know no hosts that could be looked into
		}
		out := shard.Listener{Name: intern(l.Name), Port: l.Port, Only: d.kinds(l), NotReady: notReady(l.Name)}
		if l.Hostname != "" {
			h, err := claimed(l.Hostname)
			if err != nil {
				d.problem("listener %s: hostname %v; left out", l.Name, err)
				continue
			}
			out.Host = h
		}
		switch from := l.AllowedRoutes.Namespaces.From; from {
		case "Same", "":
		case "All":
			out.From = shard.AnyWhere
		case "Selector":
			out.From = shard.Selected
		case "None":
			out.From = shard.Nowhere
		default:
			d.problem("listener %s: allowedRoutes from %q is none of All, Same, Selector and None; left out", l.Name, from)
			continue
		}
		f.Listeners = append(f.Listeners, out)
	}
	return f, d.problems
}

// kinds are those of the routes that a listener takes; none: all that it can.
func (d *draft) kinds(l *objectListener) (only []shard.FrontKind) {
	for _, k := range l.AllowedRoutes.Kinds {
		if k.Group == nil || *k.Group == gatewayVersion.Group {
			only = append(only, shard.FrontKind(intern(k.Kind)))
		}
	}
	if len(only) == 0 && len(l.AllowedRoutes.Kinds) > 0 {
		only = append(only, "") // others' only
	}
	return only
}

func (o *object) route() (*shard.Front, []string) {
	m := o.meta()
	d := begin(&m, names.Ing)
	_, weighs := o.Metadata.Annotations[annotationWeight]
	f := &shard.Front{
		Key:    shard.FrontKey{Kind: shard.FrontKind(intern(o.Kind)), Namespace: d.Key.Namespace, Name: d.Key.Name},
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
			p.Word = o.word(p)
			f.Parents = append(f.Parents, p)
		}
	}
	for i := range o.Spec.Rules {
		for _, b := range o.Spec.Rules[i].BackendRefs {
			if b.Group == "" && (b.Kind == nil || *b.Kind == "Service") && b.Name != "" && (b.Weight == nil || *b.Weight > 0) {
				d.Backends = append(d.Backends, names.Key{Namespace: intern(cmp.Or(b.Namespace, d.Key.Namespace)), Name: intern(b.Name)})
			}
		}
	}
	d.Backends = tidy(d.Backends)
	if len(f.Hostnames) == 0 && len(o.Spec.Hostnames) > 0 {
		f.Parents = nil // none of them is one: that isn't the same as all hosts
	}
	return f, d.problems
}

// parent makes what is kept of a reference to a Gateway, if it is one.
func (p *objectParent) parent(namespace string) (out shard.Parent, ok bool) {
	if p.Group != nil && *p.Group != gatewayVersion.Group || p.Kind != nil && *p.Kind != string(shard.Gateway) {
		return out, false
	}
	return shard.Parent{Namespace: intern(cmp.Or(p.Namespace, namespace)), Name: intern(p.Name), Section: intern(p.SectionName), Port: p.Port}, true
}

// word is what the cluster's controllers say of a route at a parent. Several may
// speak; one that has accepted it is enough.
func (o *object) word(p shard.Parent) shard.Word {
	word := shard.Unsaid
	for i := range o.Status.Parents {
		w := &o.Status.Parents[i]
		if about, ok := w.ParentRef.parent(o.Metadata.Namespace); !ok || about != p {
			continue
		}
		for _, c := range w.Conditions {
			switch {
			case c.Type != "Accepted":
			case c.Status == metav1.ConditionTrue:
				return shard.Accepted
			case c.Status == metav1.ConditionFalse:
				word = shard.Rejected
			}
		}
	}
	return word
}

// unstructuredFront makes what is kept of an object as an API gave it.
func unstructuredFront(u *unstructured.Unstructured) (*shard.Front, []string, error) {
	var o object
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nil, nil, err
	}
	f, problems := o.front()
	return f, problems, nil
}

// plural is what a kind is called in the paths of an API.
func plural(k shard.FrontKind) string { return strings.ToLower(string(k)) + "s" }
