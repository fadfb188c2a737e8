// Package shard is what sources report, as values: a cluster's objects that make up its
// part (shard) of a service, how they change (Change), what an operator has said of clusters
// and trouble (Cluster, Policy), and what is to be probed (Check). Begin with Change in
// object.go. What follows from it all is package table's.
package shard

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Service is what is kept of a Service or an Ingress of one cluster. There are as many as shards: what is seldom said is in
// Extras and Routing, and what is small stands together.
type Service struct {
	Key     snapshot.Key
	Created int64 // Unix seconds, as its cluster said first
	// Seen is when it was seen first, in Unix nanoseconds; 0: it was there at the beginning. Where
	// members disagree, what was seen first decides; Table.Sighted sets it, once.
	Seen     int64 `json:",omitempty"`
	Deleting bool
	Balancer bool // a load balancer gives it an address
	NotReady bool // endpoints count whether they are ready or not
	// Spread says that only endpoints on the cluster's nodes are reached from outside
	// (externalTrafficPolicy: Local).
	Spread   bool         `json:",omitempty"`
	Headless bool         `json:",omitempty"` // pods of the cluster whose own domain is answered here reach its pods
	Port     uint16       // its first TCP port, named or not: where a probe goes
	Weight   uint16       // of its shard, where answers are drawn by weight
	TTL      uint32       // seconds; 0: as configured
	Addrs    []netip.Addr // announced for it
	Ports    []Port       // named ports only
	// nil: nothing of it; never changed, since copies share them.
	extras  *Extras
	routing *Routing
}

// Extras are what few Services have, or say.
type Extras struct {
	Hosts []string // names of load balancers, resolved in the background
	// Inside is where pods reach it, of a Service of the cluster whose own domain is answered here.
	Inside  []netip.Addr   `json:",omitempty"`
	Policy  string         // how answers are chosen, as names.ParsePolicy reads it; "": as configured
	Probe   string         // how it is to be probed; "": as configured
	ProbeAt netip.AddrPort // probed in the place of its addresses, if valid; port 0: Port
	Asker   string         `json:",omitempty"` // the namespace that has it probed, where Key has none
}

// Extras are those that the object has.
func (s *Service) Extras() Extras {
	if s.extras == nil {
		return Extras{}
	}
	return *s.extras
}

// Extend gives an object its extras, and returns it. Copies of the object keep theirs.
func (s *Service) Extend(e Extras) *Service {
	s.extras = nil
	if !e.equal(Extras{}) {
		s.extras = &e
	}
	return s
}

func (e Extras) equal(o Extras) bool {
	return e.Policy == o.Policy && e.Probe == o.Probe && e.ProbeAt == o.ProbeAt && e.Asker == o.Asker &&
		slices.Equal(e.Hosts, o.Hosts) && slices.Equal(e.Inside, o.Inside)
}

// A Routing is what an object has to say of where it leads, and of who clients come in by. Ingresses, Gateways, routes
// and hosts have one; of Services, few.
type Routing struct {
	Backends []snapshot.Key // the Services that an Ingress leads to
	Claims   []Claim        `json:",omitempty"` // the hosts of an Ingress, or a Service's own
	// Alias says of a host that it is a Service's own, and which region's shards it prefers: AnyRegion, or one. "": it is
	// an Ingress's, or a route's.
	Alias string `json:",omitempty"`
	// Class is the name of an Ingress's or a Gateway's class; Front the Service that
	// clients come in by, where an annotation names one.
	Class string       `json:",omitempty"`
	Front snapshot.Key `json:",omitzero"`
	// Ways are those addresses and hostnames of which the Service in front is named.
	Ways []Way `json:",omitempty"`
	// Blocked is why nothing comes in, as the cluster itself says; "": it doesn't.
	Blocked health.Reason `json:",omitempty"`
	// Absent says of a Service that is named to be in front that it isn't there.
	Absent bool `json:",omitempty"`
	// Unsaid is how much of it rests on what its controller hasn't said yet.
	Unsaid Share `json:",omitempty"`
}

// Routing is what the object has of that.
func (s *Service) Routing() Routing {
	if s.routing == nil {
		return Routing{}
	}
	return *s.routing
}

// Route gives an object its routing, and returns it. Copies of the object keep theirs.
func (s *Service) Route(r Routing) *Service {
	s.routing = nil
	if !r.equal(Routing{}) {
		s.routing = &r
	}
	return s
}

func (r Routing) equal(o Routing) bool {
	return r.Alias == o.Alias && r.Absent == o.Absent && r.Class == o.Class && r.Front == o.Front && r.Blocked == o.Blocked && r.Unsaid == o.Unsaid &&
		slices.Equal(r.Ways, o.Ways) && slices.Equal(r.Backends, o.Backends) && slices.EqualFunc(r.Claims, o.Claims, Claim.equal)
}

// said is a Service without how it is written in JSON.
type said Service

// In JSON, which files of state have, all of it stands side by side.

// MarshalJSON writes it.
func (s *Service) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*said
		*Extras
		*Routing
	}{(*said)(s), s.extras, s.routing})
}

// UnmarshalJSON reads it.
func (s *Service) UnmarshalJSON(text []byte) error {
	var e Extras
	var r Routing
	err := json.Unmarshal(text, &struct {
		*said
		*Extras
		*Routing
	}{(*said)(s), &e, &r})
	s.Extend(e).Route(r)
	return err
}

// AnyRegion is the Alias of a host that prefers no region.
const AnyRegion = "*"

// A Share is how much of something has a quality.
type Share uint8

const (
	None Share = iota // nothing
	Partly
	Wholly
)

// A Port is a named port of a Service, in the spelling of names.
type Port struct {
	Name, Proto string
	Number      uint16
}

func (s *Service) Equal(o *Service) bool {
	return s.Key == o.Key && s.Created == o.Created && s.Deleting == o.Deleting &&
		s.Balancer == o.Balancer && s.NotReady == o.NotReady && s.TTL == o.TTL && s.Weight == o.Weight && s.Port == o.Port &&
		slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.Ports, o.Ports) && s.Headless == o.Headless && s.Spread == o.Spread &&
		(s.extras == o.extras || s.Extras().equal(o.Extras())) &&
		(s.routing == o.routing || s.Routing().equal(o.Routing()))
}

// Alike says whether two changes say the same of an object.
func Alike(a, b Change) bool {
	switch a := a.(type) {
	case ServiceSet:
		b, ok := b.(ServiceSet)
		return ok && a.Service.Equal(b.Service)
	case StandbySet:
		b, ok := b.(StandbySet)
		return ok && a.Service.Equal(b.Service)
	case SliceSet:
		b, ok := b.(SliceSet)
		return ok && a.Slice.Equal(b.Slice)
	case FrontendSet:
		b, ok := b.(FrontendSet)
		return ok && a.Frontend.Equal(b.Frontend)
	case ClassSet, NodeSet, Shadowed:
		return a == b
	}
	return false
}

// A SliceKey names an EndpointSlice within a cluster.
type SliceKey struct{ Namespace, Name string }

// A Slice is what is kept of an EndpointSlice: where it has endpoints, not which.
type Slice struct {
	Key       SliceKey
	Service   string // the Service's name, in the slice's namespace
	Endpoints []Endpoint
	// Ports are those of the endpoints, by the names that their Service has for them. Where
	// there is none, the slice says nothing of ports, and has those of its Service.
	Ports []Port `json:",omitempty"`
}

// An Endpoint stands for all endpoints of a slice that are alike in what counts.
type Endpoint struct {
	Zone  string // as the slice says, or ""
	Node  string // the name, or ""
	Ready bool   // and not terminating
	// Addr is the pod's, where somebody asks for it: of headless Services in the cluster
	// whose own domain is answered here.
	Addr     netip.Addr `json:",omitzero"`
	Hostname string     `json:",omitempty"` // of the same
}

// Of is the Service that a slice is of.
func (s *Slice) Of() snapshot.Key { return snapshot.Key{Namespace: s.Key.Namespace, Name: s.Service} }

func (s *Slice) Equal(o *Slice) bool {
	return s.Key == o.Key && s.Service == o.Service && slices.Equal(s.Endpoints, o.Endpoints) && slices.Equal(s.Ports, o.Ports)
}

// A Node says where the pods on it stand, labels as they are, and whether the
// cluster has lost it.
type Node struct {
	Name, Region, Zone string
	NotReady           bool `json:",omitempty"`
}

// An Event is what a source reports of one cluster.
type Event struct {
	Federation int // index in the configuration
	Cluster    int // index within the federation
	Change     Change
}

// A Change is one of the types below. A list is complete: what it lacks is gone.
// What they point to is shared from then on, and never changed, but for Seen of a Service: the table that takes
// it in first says when that was. Sources don't look at it.
type Change interface{ change() }

// The changes.
type (
	ServiceSet  struct{ *Service }
	ServiceGone struct{ Key snapshot.Key }
	// ServiceList holds all services of one kind.
	ServiceList struct {
		Kind     snapshot.Kind
		Services []*Service
	}
	SliceSet     struct{ *Slice }
	SliceGone    struct{ Key SliceKey }
	SliceList    struct{ Slices []*Slice }
	FrontendSet  struct{ *Frontend }
	FrontendGone struct{ Key FrontendKey }
	// FrontendList holds all objects of one kind of the Gateway API.
	FrontendList struct {
		Kind      FrontendKind
		Frontends []*Frontend
	}
	// Awaited says that lists of the Gateway API are to come, and of what may be in
	// front: the cluster isn't known before. A source that says nothing has none, or
	// sends them with the others.
	Awaited struct{ Frontends bool }
	// ListUnavailable says that such a list can't be had. The cluster counts as listed
	// without it, and what is known stays.
	ListUnavailable struct{ Kind FrontendKind }
	// StandbyList holds all Services that aren't exported but may stand in front of
	// Ingresses and Gateways. They have no names.
	StandbyList struct{ Services []*Service }
	StandbySet  struct{ *Service }
	StandbyGone struct{ Key snapshot.Key }
	// ClassList holds all classes of Ingresses, or of Gateways.
	ClassList struct {
		Kind    FrontendKind
		Classes []Class
	}
	ClassSet  struct{ Class }
	ClassGone struct{ Key ClassKey }
	NodeSet   struct{ Node }
	NodeGone  struct{ Name string }
	NodeList  struct{ Nodes []Node }
	// Shadowed says whether the cluster has a namespace with the federation's name.
	Shadowed struct{ Is bool }
	// SourceNotice is something that a source has to say of what it was given.
	SourceNotice struct {
		Kind NoticeKind
		Text string
	}
	// Silent says that nothing can be learned of the cluster any more, and for how
	// long that has been so. What is known of it ages from then on.
	Silent struct{ For time.Duration }
	// Fresh says that what has been reported is the cluster's present state: after
	// a silence, only once everything has been listed again.
	Fresh struct{}
)

func (ServiceSet) change()      {}
func (ServiceGone) change()     {}
func (ServiceList) change()     {}
func (SliceSet) change()        {}
func (SliceGone) change()       {}
func (SliceList) change()       {}
func (FrontendSet) change()     {}
func (FrontendGone) change()    {}
func (FrontendList) change()    {}
func (Awaited) change()         {}
func (ListUnavailable) change() {}
func (StandbyList) change()     {}
func (StandbySet) change()      {}
func (StandbyGone) change()     {}
func (ClassList) change()       {}
func (ClassSet) change()        {}
func (ClassGone) change()       {}
func (NodeSet) change()         {}
func (NodeGone) change()        {}
func (NodeList) change()        {}
func (Shadowed) change()        {}
func (SourceNotice) change()    {}
func (Silent) change()          {}
func (Fresh) change()           {}

func (s *Service) ID() snapshot.Key { return s.Key }
func (s *Slice) ID() SliceKey       { return s.Key }
func (f *Frontend) ID() FrontendKey { return f.Key }
func (c Class) ID() ClassKey        { return c.Key }

// HasPort says whether the endpoints of a slice have a port of their Service.
func (s *Slice) HasPort(p Port) bool {
	return len(s.Ports) == 0 || slices.ContainsFunc(s.Ports, func(o Port) bool { return o.Name == p.Name && o.Proto == p.Proto })
}

// CompareBool sorts false before true.
func CompareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
