package report

import (
	"cmp"
	"slices"
	"strings"
)

// An Explanation says of a name what is answered, and why.
type Explanation struct {
	Name    string   `json:"name"`
	Word    string   `json:"word,omitempty"` // shorter, that was said for it
	Type    string   `json:"type"`
	Is      string   `json:"is"`                // a Kind of name
	About   string   `json:"about"`             // the same in a sentence
	Why     string   `json:"why,omitempty"`     // there is no such name, or no record
	Note    string   `json:"note,omitempty"`    // what else was decided, or isn't known
	Remarks []string `json:"remarks,omitempty"` // what is odd about its policy
	Near    []string `json:"near,omitempty"`    // names that may have been meant
	Serial  uint32   `json:"serial"`
	At      float64  `json:"at,omitempty"` // the moment that was asked for, in Unix seconds; 0: now
	Client  *Client  `json:"client,omitempty"`
	Domain  string   `json:"domain,omitempty"`
	Service *Subject `json:"service,omitempty"` // of a service's name, a port's, or a host
	Host    *Host    `json:"host,omitempty"`    // who claims the name for an Ingress or a route
	View
	Without *View    `json:"without,omitempty"` // as if clusters were lost
	Lost    []string `json:"lost,omitempty"`    // these
}

// The kinds of names.
const (
	IsService    = "service"
	IsPort       = "port"
	IsHost       = "host"
	IsApex       = "apex"
	IsStatic     = "static"
	IsDelegation = "delegation"
	IsEmpty      = "empty non-terminal"
	IsUnknown    = "unknown"
	IsNotReady   = "not known yet"
	IsElsewhere  = "elsewhere" // in no domain of the server block
)

// A Client is who asks.
type Client struct {
	Address string `json:"address"`
	Note    string `json:"note"` // what difference that makes
	// Source is how its place is known: nets, city, country or continent.
	Source   string `json:"source,omitempty"`
	Location string `json:"location,omitempty"` // latitude and longitude
	// What the database calls the place: each may be missing.
	City        string `json:"city,omitempty"`
	Subdivision string `json:"subdivision,omitempty"` // the largest within the country
	Country     string `json:"country,omitempty"`     // its code, if it has no name
	Continent   string `json:"continent,omitempty"`   // likewise
	// Block is the network around it whose clients all get the same answer.
	Block   string `json:"block,omitempty"`
	Ranking []Leg  `json:"ranking,omitempty"`
}

// Where is where it is in words, "": nobody says. Only who isn't known to be in a country
// is said to be on a continent.
func (c *Client) Where() string {
	words := []string{c.City, c.Subdivision, cmp.Or(c.Country, c.Continent)}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	return strings.Join(slices.Compact(words), ", ") // the city of Luxembourg is in that of Luxembourg, in Luxembourg
}

// A Leg is a region in the order in which a client tries them.
type Leg struct {
	Region string `json:"region"`
	KM     int    `json:"km"`               // 0 where nobody says where it is
	Source string `json:"source,omitempty"` // how that is known: location, or cloud
}

// A Subject is a service with the scope that a name speaks of.
type Subject struct {
	Federation string `json:"federation"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Scope      string `json:"scope"` // zonal, regional, global
	Place             // the scope's
}

// A Host is a name that Ingresses and routes claim: that of the question, or of the
// wildcard that covers it.
type Host struct {
	Name   string  `json:"name"`
	Claims []Claim `json:"claims"` // the holder's first
}

// A Claim is a namespace's.
type Claim struct {
	Federation string `json:"federation"`
	Namespace  string `json:"namespace"`
	Created    int64  `json:"created,omitempty"` // of its oldest object, in Unix seconds; 0: it isn't known
	Refused    string `json:"refused,omitempty"` // why; "": it holds the host
}

// A View is an answer and the shards behind it.
type View struct {
	Reply Reply `json:"reply"`
	// Chain are the scopes' names that the answer leads through.
	Chain []string `json:"chain,omitempty"`
	// GuardHeld says that addresses that have gone are answered still.
	GuardHeld bool    `json:"guard_held,omitempty"`
	Shards    []Shard `json:"shards,omitempty"`
	// Absent are the clusters without such a service.
	Absent []string `json:"absent,omitempty"`
}

// A Reply is what is on the wire, records as in a zone file.
type Reply struct {
	Rcode         string          `json:"rcode"`   // "": the next plugin's affair
	Outcome       string          `json:"outcome"` // as metrics count it, with Scope
	Scope         string          `json:"scope"`
	Authoritative bool            `json:"authoritative"`
	TTL           uint32          `json:"ttl"` // how long it may be remembered, whole
	Answer        []string        `json:"answer"`
	Authority     []string        `json:"authority"`
	Additional    []string        `json:"additional"`
	Errors        []ExtendedError `json:"errors"`
}

// An ExtendedError is one of RFC 8914.
type ExtendedError struct {
	Code uint16 `json:"code"`
	Text string `json:"text"`
}

// A Shard is one cluster's piece of the service, what is known of it, and what
// follows.
type Shard struct {
	Cluster   string   `json:"cluster"`
	Verdict   string   `json:"verdict"`
	Reason    string   `json:"reason"`
	Stale     bool     `json:"stale"`
	InScope   bool     `json:"in_scope"`  // it belongs to the scope that was asked
	InAnswer  bool     `json:"in_answer"` // an address of it is in the reply
	Rule      string   `json:"rule"`      // what kept it in the answer, or took it out
	Places    []Place  `json:"places"`
	Addresses []string `json:"addresses"`
	LeftOut   []string `json:"left_out,omitempty"` // addresses for which the reply has no room; other replies have them
	Hostnames []string `json:"hostnames,omitempty"`
	Evidence  Evidence `json:"evidence"`
	// Inside is how its own cluster reaches it, where a name of that cluster's own domain
	// is explained.
	Inside *Inside `json:"inside,omitempty"`
}

// An Inside is a shard as the pods of its cluster reach it.
type Inside struct {
	Verdict   string   `json:"verdict"`
	Reason    string   `json:"reason"`
	Addresses []string `json:"addresses"`
}

// Evidence is all that is known of a shard.
type Evidence struct {
	Listed         bool     `json:"listed"`
	ViewAgeSeconds *float64 `json:"view_age_seconds"` // since its cluster last said anything; nil: never
	Silent         bool     `json:"silent"`
	SilentSeconds  float64  `json:"silent_seconds"`
	Deleting       bool     `json:"deleting"`
	Endpoints      int      `json:"endpoints"`
	Addresses      int      `json:"addresses"`
	Refused        int      `json:"refused"`    // outside the cluster's range
	Unusable       int      `json:"unusable"`   // loopback, multicast and their like
	Unresolved     int      `json:"unresolved"` // hostnames without an address
	Balancer       bool     `json:"balancer"`
	Closed         []string `json:"closed,omitempty"` // Services in front, NAMESPACE/NAME, that let nobody in
	Probe          string   `json:"probe"`
	Probes         []Probe  `json:"probes,omitempty"`
	Order          string   `json:"order,omitempty"` // the line that decided
}

// A Probe is one target with what it has come to.
type Probe struct {
	Target string `json:"target"`
	Spec   string `json:"spec"`
	State  string `json:"state"`
	Note   string `json:"note,omitempty"` // what keeps it from being made, or from being made as it says
}
