package report

// Events are what has changed lately, the oldest first.
type Events struct {
	Serial uint32  `json:"serial"`
	Oldest uint64  `json:"oldest"` // the first that is still known; 0: none is
	Newest uint64  `json:"newest"` // the last
	Events []Event `json:"events"`
	Next   uint64  `json:"next,omitempty"` // asks for those that follow, as after=; 0: there are none yet
}

// The kinds of events.
const (
	// EventShard is of shards that came up, went down, or are kept for another reason.
	EventShard = "shard"
	// EventService is of services that are answered with other addresses, where no shard has
	// come or gone.
	EventService = "service"
	// EventCluster is of a cluster: silent, heard, joined, left.
	EventCluster = "cluster"
	// EventOrder is of an order that has come into force, or has gone.
	EventOrder = "order"
	// EventNotice is of the federation as a whole: the guard, isolation, a host that is refused.
	EventNotice = "notice"
)

// EventKinds are all of them.
var EventKinds = []string{EventShard, EventService, EventCluster, EventOrder, EventNotice}

// An Event is something that has changed. Many services that changed in one way at once
// are one.
type Event struct {
	ID         uint64   `json:"id"` // grows from event to event, across restarts where there is a state
	At         float64  `json:"at"` // Unix seconds, with their fraction
	Serial     uint32   `json:"serial"`
	Federation string   `json:"federation"`
	Kind       string   `json:"kind"`
	Cluster    string   `json:"cluster,omitempty"`
	Services   []string `json:"services,omitempty"` // KIND/NAMESPACE/NAME, as explain takes it; the first of them
	Count      int      `json:"count,omitempty"`    // how many services there are
	From       string   `json:"from,omitempty"`     // what it was
	To         string   `json:"to"`                 // what it has become
	Reason     string   `json:"reason,omitempty"`   // by which signal
	// Scopes are the places whose names are answered otherwise, the empty one the whole
	// federation; Names are these, of the first service.
	Scopes []Place  `json:"scopes,omitempty"`
	Names  []string `json:"names,omitempty"`
	Before []string `json:"before,omitempty"` // addresses that were answered, of the first service; the first of them
	After  []string `json:"after,omitempty"`
}

// A Moment is what the stream says of what is answered now.
type Moment struct {
	Serial      uint32 `json:"serial"`
	Publication uint64 `json:"publication"` // grows with each, also where the serial stays
	Newest      uint64 `json:"newest"`      // the last event
}

// A Missed is what the stream says where events are gone that its reader hasn't been sent:
// it was away for too long, or too slow.
type Missed struct {
	After  uint64 `json:"after"`  // the last that it was sent
	Oldest uint64 `json:"oldest"` // the first that is still known
}

// Peers are the servers of the federations of a server block, beside each other.
type Peers struct {
	Serial uint32   `json:"serial"`
	Peers  []Peer   `json:"peers"`
	Errors []string `json:"errors,omitempty"` // why others can't be known
}

// A Peer is a fedns of a federation, as it says itself.
type Peer struct {
	Federation string `json:"federation"`
	Server     string `json:"server"`
	Self       bool   `json:"self"` // it is the one that is asked
	Version    string `json:"version,omitempty"`
	Live       bool   `json:"live"`
	// HeardSeconds is since it said so last.
	HeardSeconds float64 `json:"heard_seconds"`
	Serial       uint32  `json:"serial"` // 0: it doesn't say
	// Digest tells different answers apart: servers that have the same answer the same.
	Digest string `json:"digest,omitempty"`
	// LagSeconds is how much older its serial is than the newest of the federation.
	LagSeconds float64  `json:"lag_seconds"`
	Silent     []string `json:"silent"` // clusters that it doesn't hear
	// Differs says what it sees otherwise than the server that is asked.
	Differs []string `json:"differs"`
}
