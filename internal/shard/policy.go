package shard

import (
	"net/netip"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Policy is what an operator decided about trouble.
type Policy struct {
	Hold  time.Duration // how long a silent cluster's word is taken
	Keep  bool          // for ever
	Probe string        // how shards are probed that don't say it themselves; "": not
	// Annotations says that objects may say themselves how, and where, they are probed.
	Annotations bool
	Panic       int // percent of ready shards that must pass; fewer, and probes are ignored
	Guard       Guard
	// Choice is how answers are chosen, for services that don't say it themselves.
	Choice snapshot.Policy
	// Placeless says that nothing tells where clients are: neither geo nor nets.
	Placeless bool
	// TTL bounds what objects say of theirs, in seconds; 0: it doesn't.
	TTL struct{ Min, Max uint32 }
	// Mute are the annotations by which objects have no say in how answers are made.
	Mute Mute
	// Foreign has external-dns's annotation of hostnames count, too.
	Foreign bool
	// Aliases are hosts that the configuration gives to Services.
	Aliases []Alias
	// Answers is how many addresses of one family an answer has at most; 0: any number.
	Answers int
	Local   Local
}

// Placeless is what nearest comes to where nobody can be placed.
const Placeless = "there is neither geo nor nets, so nobody knows where clients are: everybody gets every shard"

// Local says which member is the cluster whose own domain is answered here; none, if
// it is zero.
type Local struct {
	Cluster   topology.ClusterName
	Namespace string // which the cluster must not have: the federation's name
}

// A Guard bounds what may be withdrawn at once: more than Percent of all
// addresses, and more than Min of them, within Time wait until they have been gone
// for Time.
type Guard struct {
	Percent int // 0: no guard
	Time    time.Duration
	Min     int
}

// A Check is what is probed, for a namespace of a member: an address, and how. Shards
// that share all of it share it.
type Check struct {
	Addr      netip.AddrPort
	Spec      string // as package probe reads it
	Cluster   topology.ClusterName
	Namespace string
	Annotated bool // it is an annotation that says how
}

// An Alias is a host that is answered by a Service, whatever objects claim.
type Alias struct {
	Host   string // in lower case, without a last dot
	Key    snapshot.Key
	Region string // whose shards are preferred; "": none is
}

// A Mute says which annotations of members' objects don't count.
type Mute struct{ TTL, Policy, Weight bool }
