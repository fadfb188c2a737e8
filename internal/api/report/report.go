// Package report is what fedns says of itself over HTTP, as JSON.
//
// It holds the types only: the server fills them in, fedctl prints them, and
// whoever else reads them finds the words of metrics and logs. Spans of time and
// ages are numbers of seconds; moments are Unix seconds.
package report

import "time"

// An Error is what comes instead of a report.
type Error struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// Clusters are the members of all federations of a server block.
type Clusters struct {
	Isolated []string  `json:"isolated"` // federations of which more than half of the members are silent
	Clusters []Cluster `json:"clusters"`
}

// A Cluster is how a member stands.
type Cluster struct {
	Federation    string  `json:"federation"`
	Cluster       string  `json:"cluster"`
	Source        string  `json:"source"` // the word of the Corefile that it is a member by
	Listed        bool    `json:"listed"`
	Silent        bool    `json:"silent"`
	SilentSeconds float64 `json:"silent_seconds"`
	// HoldLeftSeconds is how long its shards stay what they are though it is silent; nil: nothing is
	// withdrawn for that, or has been.
	HoldLeftSeconds *float64 `json:"hold_left_seconds,omitempty"`
	Reason          string   `json:"reason,omitempty"`  // why it can't be read at present
	Version         string   `json:"version,omitempty"` // of its API, as that says it
	ViewAgeSeconds  *float64 `json:"view_age_seconds"`  // nil: never heard
	Places          []Place  `json:"places"`
	Shards          []Tally  `json:"shards"`
	Answers         int      `json:"answers"` // services, and hosts, that are answered with it at this moment
	// TTL is the longest that an answer with it may be remembered, in seconds.
	TTL     uint32 `json:"ttl"`
	Order   string `json:"order,omitempty"`   // the order about it that counts
	Warning string `json:"warning,omitempty"` // what an operator should see to
}

// A Place is a region and, within it, a zone; "" where it isn't known.
type Place struct {
	Region string `json:"region"`
	Zone   string `json:"zone"`
}

// A Tally counts shards.
type Tally struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Stale   bool   `json:"stale"`
	Count   int    `json:"count"`
}

// Services are those of a snapshot, a page of them.
type Services struct {
	Serial   uint32    `json:"serial"`
	Total    int       `json:"total"` // that were asked for, on all pages
	Services []Service `json:"services"`
	Next     string    `json:"next,omitempty"` // asks for the next page, as after=
}

// A Service is what is answered for one, and what its shards are.
type Service struct {
	Federation string    `json:"federation"`
	Kind       string    `json:"kind"`
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	Global     string    `json:"global"` // its name in the widest scope
	Addresses  []Address `json:"addresses"`
	Ports      []Port    `json:"ports"`
	TTL        uint32    `json:"ttl,omitempty"`    // its own, if it has one
	Down       string    `json:"down,omitempty"`   // why no shard is up
	Silent     bool      `json:"silent,omitempty"` // a cluster that has it is
	Note       string    `json:"note,omitempty"`
	Healthy    bool      `json:"healthy"` // every cluster that has it has it up, by a fresh word
	// Shards are those of all clusters that have it, up or not; Addresses are what is
	// answered.
	Shards []ServiceShard `json:"shards"`
}

// A ServiceShard is one cluster's piece of a service, in short.
type ServiceShard struct {
	Cluster string `json:"cluster"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Stale   bool   `json:"stale"`
	// Since is when the verdict and its reason became what they are, as far back as this
	// configuration of the server goes.
	Since        int64    `json:"since"`
	SinceSeconds float64  `json:"since_seconds"`
	Places       []Place  `json:"places"`
	Addresses    []string `json:"addresses"`
	Endpoints    int      `json:"endpoints"`
	Order        string   `json:"order,omitempty"` // the line that decided
}

// An Address is one of a shard that is up, where it is.
type Address struct {
	Address string `json:"address"`
	Place
}

// A Port is a named port.
type Port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Number   uint16 `json:"number"`
}

// A Snapshot is what is answered from, and what that rests on.
type Snapshot struct {
	Serial      uint32            `json:"serial"`
	Services    int               `json:"services"`
	Federations []Federation      `json:"federations"`
	Versions    map[string]string `json:"versions"`
	Host        string            `json:"host,omitempty"` // the server's own name for where it runs
	// Contested are hosts on which a claim is refused, the first of them.
	Contested   []Host `json:"contested,omitempty"`
	Publication uint64 `json:"publication,omitempty"` // counts those of this server; 0: it doesn't say
	// Begin is the first moment, in Unix seconds, of which the server knows what it answered; 0: none.
	Begin      float64       `json:"begin,omitempty"`
	Signing    []Signing     `json:"signing,omitempty"`
	Publishing []Publication `json:"publishing,omitempty"`
}

// A Publication is the names of a domain that a federation publishes somewhere else.
type Publication struct {
	Federation string `json:"federation"`
	Domain     string `json:"domain"`
	Server     string `json:"server"` // or external-dns/NAMESPACE
	// Here says that this server writes them: of several that one does which holds a Lease.
	Here bool `json:"here"`
	// Pending are how many services and hosts aren't there as they are to be.
	Pending  int      `json:"pending"`
	Problems []string `json:"problems,omitempty"` // what keeps them from being there, the first of it
	// Limits are what can't be had there of what is answered here, the first of it.
	Limits []string `json:"limits,omitempty"`
}

// A Signing is a domain that is signed.
type Signing struct {
	Domain string       `json:"domain"`
	Keys   []SigningKey `json:"keys"`
	// Problem says why the keys aren't as their dates say, or that they can't be read: the last good ones sign.
	Problem string     `json:"problem,omitempty"`
	Ends    *time.Time `json:"ends,omitempty"` // when no key signs any more; nil: never
	// Unanchored is from when on the parent's DS records point to none of the keys that sign, as their dates are: whoever
	// verifies finds the domain forged then. nil: never, or the parent has none, or hasn't been asked.
	Unanchored *time.Time `json:"unanchored,omitempty"`
}

// A SigningKey is one of its keys.
type SigningKey struct {
	Tag       uint16 `json:"tag"`
	Algorithm uint8  `json:"algorithm"`
	Flags     uint16 `json:"flags"`
	State     string `json:"state"`
}

// SigningNotice is how long before no key signs any more it is said.
const SigningNotice = 7 * 24 * time.Hour

// A Federation is one of a snapshot.
type Federation struct {
	Federation        string   `json:"federation"`
	Domains           []string `json:"domains"`
	Clusters          []string `json:"clusters"`
	Scopes            []Place  `json:"scopes"` // but the global one
	Services          int      `json:"services"`
	Hosts             int      `json:"hosts"`
	Heard             bool     `json:"heard"`
	Settled           bool     `json:"settled"`
	Isolated          bool     `json:"isolated"`
	GuardHeldServices int      `json:"guard_held_services"`
	// GuardLeftSeconds is until the guard lets the first of them go.
	GuardLeftSeconds float64 `json:"guard_left_seconds,omitempty"`
	HoldSeconds      float64 `json:"hold_seconds,omitempty"` // after which a silent cluster's shards are withdrawn
	Keep             bool    `json:"keep,omitempty"`         // they aren't: silence is set to keep
	TTL              uint32  `json:"ttl,omitempty"`
	OverridesFile    string  `json:"overrides_file,omitempty"`
	// Server is the name of this server's Lease in the API of its registry.
	Server string `json:"server,omitempty"`
	// OverridesError says why the file can't be read: the last good orders hold
	// then, and Overrides doesn't have them.
	OverridesError string `json:"overrides_error,omitempty"`
	// OverridesDigest is the SHA-256 of what the file holds; one that isn't there holds
	// nothing. Who edits a file finds out by it whether it is the one that is read.
	OverridesDigest string  `json:"overrides_digest,omitempty"`
	Overrides       []Order `json:"overrides"` // that have not expired
	// InForce are the orders that the snapshot of that serial has, whoever gave them;
	// the last that speaks of a shard counts. nil: the server doesn't say.
	InForce []Order `json:"in_force"`
	// Regions are those that there are, with where they are.
	Regions []Region `json:"regions,omitempty"`
	// Geo is the geographic database by which clients are placed; nil: none is configured, or the
	// server doesn't say.
	Geo *GeoDatabase `json:"geo,omitempty"`
}

// A Region is one with its place.
type Region struct {
	Region   string `json:"region"`
	Location string `json:"location,omitempty"` // latitude and longitude; "": nobody says
	Source   string `json:"source,omitempty"`   // how that is known: location, or cloud
}

// GeoStale is how old a geographic database may be before it is said so: they are made anew every few
// days.
const GeoStale = 60 * 24 * time.Hour

// A GeoDatabase is one of a stanza's option geo.
type GeoDatabase struct {
	File string `json:"file"`
	// Type is what it says that it is; "": none could be read yet.
	Type     string `json:"type,omitempty"`
	Built    int64  `json:"built,omitempty"` // when it was made, in seconds since 1970
	Networks int    `json:"networks,omitempty"`
	// AgeSeconds is since when, for who has another clock.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
}

// An Order is an operator's.
type Order struct {
	Action      string   `json:"action"`
	Subject     string   `json:"subject"`
	Until       int64    `json:"until,omitempty"`        // 0: until it is taken back
	LeftSeconds *float64 `json:"left_seconds,omitempty"` // negative: it has expired
	Reason      string   `json:"reason"`
	Line        string   `json:"line,omitempty"`   // as a file of overrides has it
	Source      string   `json:"source,omitempty"` // the word of the Corefile that it is given by: overrides, or registry
	Object      string   `json:"object,omitempty"` // of a registry: order/NAME, or cluster/NAME
	// OverruledBy are the later orders, as a file has them, that count instead of it
	// wherever it speaks of anything.
	OverruledBy []string `json:"overruled_by,omitempty"`
}

// A Preview is what orders would change, beside those that hold.
type Preview struct {
	Orders   []string   `json:"orders"`
	Services int        `json:"services"` // that would be answered otherwise
	Changes  []Change   `json:"changes"`  // the first of them
	Orphans  []string   `json:"orphans"`  // that have a shard now and would have none anywhere; the first
	Orphaned int        `json:"orphaned"` // how many of these there are
	Unknown  []Unknown  `json:"unknown"`  // subjects that nothing is known of
	Futile   []NoEffect `json:"futile"`   // those of the orders that change nothing, whatever happens
}

// A Change is a service that would be answered otherwise.
type Change struct {
	Federation string       `json:"federation"`
	Service    string       `json:"service"`
	Names      []NameChange `json:"names"`
}

// A NameChange is a name that would be answered otherwise, under the first domain
// of its federation.
type NameChange struct {
	Name string `json:"name"`
	// Clients are who is answered so, where the policy is nearest: those in these regions, or
	// NobodyKnows where. Empty: everybody.
	Clients []string `json:"clients,omitempty"`
	Before  Leads    `json:"before"`
	After   Leads    `json:"after"`
}

// NobodyKnows stands in the place of a region for clients that nobody can place.
const NobodyKnows = "?"

// Leads is where a name leads: to addresses, its own or those of another name, or
// to nothing.
type Leads struct {
	To        string   `json:"to,omitempty"`  // another name
	Addresses []string `json:"addresses"`     // that are given; all of those that may be, where By draws some of them
	By        string   `json:"by,omitempty"`  // the policy; all, if it isn't said
	Why       string   `json:"why,omitempty"` // there is none
}

// A NoEffect is an order that can't change anything as things are.
type NoEffect struct {
	Order string `json:"order"`
	Why   string `json:"why"`
}

// An Unknown is a subject of an order that is no cluster, region, zone or service.
type Unknown struct {
	Subject string   `json:"subject"`
	Known   []string `json:"known"` // of its kind; the first
}
