package shard

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/snapshot"
)

// A FrontendKind is a kind of objects that lead clients to Services.
type FrontendKind string

// The kinds. Ingresses are kept as Services, whose kind is names.Ing.
const (
	Ingress   FrontendKind = "Ingress"
	Gateway   FrontendKind = "Gateway"
	HTTPRoute FrontendKind = "HTTPRoute"
	GRPCRoute FrontendKind = "GRPCRoute"
	TLSRoute  FrontendKind = "TLSRoute"
	// More listeners for a Gateway, in an object of their own; the second is what they
	// were called while they were on trial.
	ListenerSet  FrontendKind = "ListenerSet"
	XListenerSet FrontendKind = "XListenerSet"
)

// NamedService is a Service that has hosts of its own.
const NamedService FrontendKind = "Service"

// What a source may not be able to list, beside those of the Gateway API.
const (
	Standby      FrontendKind = "Service" // that isn't exported
	IngressClass FrontendKind = "IngressClass"
	GatewayClass FrontendKind = "GatewayClass"
)

// GatewayAPI lists the kinds of the Gateway API, which a cluster may not have.
var GatewayAPI = [...]FrontendKind{Gateway, HTTPRoute, GRPCRoute, TLSRoute, ListenerSet, XListenerSet}

func (k FrontendKind) Listens() bool { return k == Gateway || k.IsSet() }

// IsSet says whether it is of listeners that a Gateway has beside its own.
func (k FrontendKind) IsSet() bool { return k == ListenerSet || k == XListenerSet }

// A FrontendKey names a front within a cluster.
type FrontendKey struct {
	Kind            FrontendKind
	Namespace, Name string
}

func (k FrontendKey) String() string { return string(k.Kind) + " " + k.Namespace + "/" + k.Name }

// A Frontend is what is kept of an object of the Gateway API.
type Frontend struct {
	Key FrontendKey
	// Object is what a Gateway announces, and what either says of how that is
	// answered; of a route, Backends is where it leads.
	Object    *Service
	Listeners []Listener // of a Gateway, or a set
	Sets      From       // of a Gateway: whose sets of listeners it takes
	Hostnames []string   // of a route; none: those of the listeners
	Parents   []Parent   // of a route; of a set, its Gateway
	Weighs    bool       // a route that says what a shard weighs
}

// A Listener is one of a Gateway, or a set, that routes can be attached to.
type Listener struct {
	Name string
	Host string // "": any
	Port uint16
	From From
	Only []FrontendKind // none: those that speak HTTP
	// NotReady says that the cluster's own controller can't serve it.
	NotReady bool `json:",omitempty"`
}

// A From says from which namespaces a listener lets routes in, or a Gateway sets of
// listeners.
type From uint8

// The namespaces.
const (
	Same     From = iota // its own
	AnyWhere             // all
	Selected             // those whose labels are right, which only the cluster's own controller knows
	Nowhere              // none
)

// A Admission is whether something is let in.
type Admission uint8

const (
	NotAdmitted   Admission = iota
	MayBeAdmitted           // its controller hasn't said so yet
	Admitted
)

// Admits says whether what is in one namespace is let in by what is in another. Where
// namespaces are chosen by their labels, the word of the cluster's own controller is
// needed.
func (f From) Admits(into, from string, w ParentStatus) Admission {
	switch {
	case w == Rejected:
	case f == AnyWhere, f == Same && from == into, f == Selected && w == Accepted:
		return Admitted
	case f == Selected && w == AwaitingController:
		return MayBeAdmitted
	}
	return NotAdmitted
}

// A Parent is a Gateway, or a set of listeners, that a route wants to be attached to; or
// the Gateway of a set.
type Parent struct {
	Kind            FrontendKind `json:",omitempty"` // "": Gateway
	Namespace, Name string
	Section         string       // the listener's name; "": any
	Port            uint16       // the listener's; 0: any
	Status          ParentStatus `json:"Word"` // the key in state files
}

func (p Parent) Ref() FrontendKey {
	return FrontendKey{cmp.Or(p.Kind, Gateway), p.Namespace, p.Name}
}

// A ParentStatus is what a cluster's controller says of a route, or a set, at a parent.
type ParentStatus uint8

// The words.
const (
	Unstated ParentStatus = iota // nothing, as in manifests that are written by hand
	Accepted
	Rejected
	AwaitingController // nothing yet, and its controller may speak
)

func (f *Frontend) Equal(o *Frontend) bool {
	return f.Key == o.Key && f.Weighs == o.Weighs && f.Sets == o.Sets && f.Object.Equal(o.Object) && slices.Equal(f.Hostnames, o.Hostnames) && slices.Equal(f.Parents, o.Parents) &&
		slices.EqualFunc(f.Listeners, o.Listeners, func(a, b Listener) bool {
			return a.Name == b.Name && a.Host == b.Host && a.Port == b.Port && a.From == b.From && a.NotReady == b.NotReady && slices.Equal(a.Only, b.Only)
		})
}

// A Claim is a host of an Ingress, with the Services that its rules lead to, or one that a Service has
// for itself.
type Claim struct {
	Host     string // in lower case, without a last dot
	Backends []snapshot.Key
	Region   string `json:",omitempty"` // of a Service: whose shards are preferred; "": none is
	// Foreign says that it stands in external-dns's annotation, which counts where that is configured.
	Foreign bool `json:",omitempty"`
}

func (c Claim) equal(o Claim) bool {
	return c.Host == o.Host && c.Region == o.Region && c.Foreign == o.Foreign && slices.Equal(c.Backends, o.Backends)
}

// A Way is an address, or a load balancer's hostname, with the Service that clients
// come in by there.
type Way struct {
	Entry
	Front snapshot.Key
}

// An Entry is where clients come in: one of the two is set.
type Entry struct {
	Addr netip.Addr `json:",omitzero"`
	Host string     `json:",omitempty"`
}

func CompareEntries(a, b Entry) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Host, b.Host))
}

// A ClassKey names a class of Ingresses or of Gateways within a cluster.
type ClassKey struct {
	Kind FrontendKind // Ingress or Gateway
	Name string       // "": of the Ingresses that name none
}

// A Class is what is kept of an IngressClass or a GatewayClass.
type Class struct {
	Key     ClassKey
	Default bool         // also of the objects that name none
	Front   snapshot.Key // zero: none is named
}

// Entries are those that an object announces.
func (s *Service) Entries() []Entry {
	hosts := s.Extras().Hosts
	out := make([]Entry, 0, len(s.Addrs)+len(hosts))
	for _, a := range s.Addrs {
		out = append(out, Entry{Addr: a})
	}
	for _, h := range hosts {
		out = append(out, Entry{Host: h})
	}
	return out
}

// Listens says whether a Service takes what comes in for a port over TCP.
func (s *Service) Listens(port uint16) bool {
	return s.Port == port || slices.ContainsFunc(s.Ports, func(p Port) bool { return p.Number == port && p.Proto == "tcp" })
}

// Admits says whether a listener of a Gateway or a set lets a route in.
func (l *Listener) Admits(its, r *Frontend, p Parent) Admission {
	if (p.Section != "" && p.Section != l.Name) || (p.Port != 0 && p.Port != l.Port) || !l.takes(r.Key.Kind) {
		return NotAdmitted
	}
	return l.From.Admits(its.Key.Namespace, r.Key.Namespace, p.Status)
}

// takes says whether a listener takes routes of a kind.
func (l *Listener) takes(k FrontendKind) bool {
	if len(l.Only) == 0 {
		return k == HTTPRoute || k == GRPCRoute
	}
	return slices.Contains(l.Only, k)
}

// Serves gives the hosts of a route that a listener serves: what both allow. It is
// false if there is nothing that both do; a route and a listener that say nothing
// serve whatever comes, and no host by name.
func (l *Listener) Serves(hostnames []string) (hosts []string, ok bool) {
	if len(hostnames) == 0 {
		if l.Host == "" {
			return nil, true
		}
		return []string{l.Host}, true
	}
	for _, h := range hostnames {
		switch {
		case l.Host == "" || h == l.Host || Covers(l.Host, h):
			hosts = append(hosts, h)
		case Covers(h, l.Host):
			hosts = append(hosts, l.Host)
		}
	}
	return hosts, len(hosts) > 0
}

// Covers says whether a host is a wildcard that stands for another, too.
func Covers(wildcard, host string) bool {
	behind, ok := strings.CutPrefix(wildcard, "*")
	return ok && len(host) > len(behind) && strings.HasSuffix(host, behind)
}

// EnteredBy says whether the Service in front is at a port that clients of an Ingress or a
// Gateway use.
func (s *Service) EnteredBy(front *Service) bool {
	return front.Listens(httpPort) || front.Listens(httpsPort) || s.Port != 0 && front.Listens(s.Port)
}

// Where clients of hosts come in, whatever a Gateway's first listener is.
const (
	httpPort  = 80
	httpsPort = 443
)
