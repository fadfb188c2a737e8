// Package journal keeps what is known of clusters on disk, so that a server that
// starts while their APIs are down can answer from it.
//
// A file is a base, complete lists of each cluster, and behind it a journal of
// what changed since: a line each, with a checksum. The lists are written a line an
// object, so that damage costs the objects that it hits and nothing else. Each
// publication is appended as it is made; when the journal has outgrown the base, the
// file is made anew beside the old one and renamed over it.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Record is something that was learned, or not, of one cluster; or of load
// balancers' names; or the serial of a publication.
type Record struct {
	Cluster string        // its identity, or ""
	At      time.Time     // of the wall clock: the only one that outlives a program
	Silent  time.Duration // how long the cluster had been silent then; 0: it wasn't
	Changes []shard.Change
	Hosts   map[string][]netip.Addr
	// Serial is that of what is answered, which has the digest; 0: nothing is.
	Serial uint32
	Digest uint64
	Leads  []Led // what failover policies have come to
	Recent []Recent
	// Holders are hosts that several claim, by the namespace that holds it; "": no more.
	Holders map[string]string
	// Doubtful says of lists that some of them was lost: they are of what is there, and
	// not of all that is.
	Doubtful bool
}

// The lines of a file. The first says what the file is, and one says where the
// base ends: without it, what isn't there isn't known to be nowhere.
const (
	format  = "fedns-state"
	version = 3 // since lists come in parts; 2: since there are hosts and objects of the Gateway API
	oldest  = 1 // version that can be read
)

type line struct {
	Format  string `json:"format,omitempty"`
	Version int    `json:"version,omitempty"`

	End bool `json:"end,omitempty"` // of the base

	Part bool `json:"part,omitempty"` // of the cluster's lists, which all such lines make together

	Cluster string    `json:"cluster,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Silent  float64   `json:"silent,omitempty"` // seconds
	Changes []change  `json:"changes,omitempty"`

	Hosts map[string][]netip.Addr `json:"hosts,omitempty"`

	Serial uint32 `json:"serial,omitempty"`
	Digest uint64 `json:"digest,omitempty"`

	Leads  []ledLine `json:"leads,omitempty"`
	Recent []Recent  `json:"recent,omitempty"` // servers of before read past it

	Holders map[string]string `json:"holders,omitempty"` // the same

	Doubtful bool `json:"doubtful,omitempty"`
}

// A change is a shard.Change as JSON has it: one of the fields is set.
type change struct {
	ServiceSet  *shard.Service       `json:"serviceSet,omitempty"`
	ServiceGone *snapshot.Key        `json:"serviceGone,omitempty"`
	ServiceList *serviceList         `json:"serviceList,omitempty"`
	SliceSet    *shard.Slice         `json:"sliceSet,omitempty"`
	SliceGone   *shard.SliceKey      `json:"sliceGone,omitempty"`
	SliceList   list[*shard.Slice]   `json:"sliceList,omitzero"`
	FrontSet    *shard.Frontend      `json:"frontSet,omitempty"`
	FrontGone   *shard.FrontendKey   `json:"frontGone,omitempty"`
	FrontList   *frontList           `json:"frontList,omitempty"`
	StandbySet  *shard.Service       `json:"standbySet,omitempty"`
	StandbyGone *snapshot.Key        `json:"standbyGone,omitempty"`
	StandbyList list[*shard.Service] `json:"standbyList,omitzero"`
	ClassSet    *shard.Class         `json:"classSet,omitempty"`
	ClassGone   *shard.ClassKey      `json:"classGone,omitempty"`
	ClassList   *shard.ClassList     `json:"classList,omitempty"`
	NodeSet     *shard.Node          `json:"nodeSet,omitempty"`
	NodeGone    *string              `json:"nodeGone,omitempty"`
	NodeList    list[shard.Node]     `json:"nodeList,omitzero"`
}

// A list is one that may have nothing in it: null is such a list too.
type list[T any] struct {
	is    bool
	items []T
}

func (l list[T]) MarshalJSON() ([]byte, error) { return json.Marshal(l.items) }

func (l *list[T]) UnmarshalJSON(text []byte) error {
	l.is = true
	return json.Unmarshal(text, &l.items)
}

type serviceList struct {
	Kind     snapshot.Kind    `json:"kind"`
	Services []*shard.Service `json:"services"`
}

type frontList struct {
	Kind   shard.FrontendKind `json:"kind"`
	Fronts []*shard.Frontend  `json:"fronts"`
}

// encode makes lines of changes; what says how fresh they are isn't kept with
// them.
func encode(changes []shard.Change) []change {
	out := make([]change, 0, len(changes))
	for _, c := range changes {
		var e change
		switch c := c.(type) {
		case shard.ServiceSet:
			e.ServiceSet = c.Service
		case shard.ServiceGone:
			e.ServiceGone = &c.Key
		case shard.ServiceList:
			e.ServiceList = &serviceList{c.Kind, c.Services}
		case shard.SliceSet:
			e.SliceSet = c.Slice
		case shard.SliceGone:
			e.SliceGone = &c.Key
		case shard.SliceList:
			e.SliceList = list[*shard.Slice]{true, c.Slices}
		case shard.FrontendSet:
			e.FrontSet = c.Frontend
		case shard.FrontendGone:
			e.FrontGone = &c.Key
		case shard.FrontendList:
			e.FrontList = &frontList{c.Kind, c.Frontends}
		case shard.StandbySet:
			e.StandbySet = c.Service
		case shard.StandbyGone:
			e.StandbyGone = &c.Key
		case shard.StandbyList:
			e.StandbyList = list[*shard.Service]{true, c.Services}
		case shard.ClassSet:
			e.ClassSet = &c.Class
		case shard.ClassGone:
			e.ClassGone = &c.Key
		case shard.ClassList:
			e.ClassList = &c
		case shard.NodeSet:
			e.NodeSet = &c.Node
		case shard.NodeGone:
			e.NodeGone = &c.Name
		case shard.NodeList:
			e.NodeList = list[shard.Node]{true, c.Nodes}
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}

func decode(changes []change) ([]shard.Change, error) {
	out := make([]shard.Change, 0, len(changes))
	for _, e := range changes {
		switch {
		case e.hollow():
			return nil, errors.New("a list with nothing in one of its places")
		case e.ServiceSet != nil:
			out = append(out, shard.ServiceSet{Service: e.ServiceSet})
		case e.ServiceGone != nil:
			out = append(out, shard.ServiceGone{Key: *e.ServiceGone})
		case e.ServiceList != nil:
			out = append(out, shard.ServiceList{Kind: e.ServiceList.Kind, Services: e.ServiceList.Services})
		case e.SliceSet != nil:
			out = append(out, shard.SliceSet{Slice: e.SliceSet})
		case e.SliceGone != nil:
			out = append(out, shard.SliceGone{Key: *e.SliceGone})
		case e.SliceList.is:
			out = append(out, shard.SliceList{Slices: e.SliceList.items})
		case e.FrontSet != nil:
			out = append(out, shard.FrontendSet{Frontend: e.FrontSet})
		case e.FrontGone != nil:
			out = append(out, shard.FrontendGone{Key: *e.FrontGone})
		case e.FrontList != nil:
			out = append(out, shard.FrontendList{Kind: e.FrontList.Kind, Frontends: e.FrontList.Fronts})
		case e.StandbySet != nil:
			out = append(out, shard.StandbySet{Service: e.StandbySet})
		case e.StandbyGone != nil:
			out = append(out, shard.StandbyGone{Key: *e.StandbyGone})
		case e.StandbyList.is:
			out = append(out, shard.StandbyList{Services: e.StandbyList.items})
		case e.ClassSet != nil:
			out = append(out, shard.ClassSet{Class: *e.ClassSet})
		case e.ClassGone != nil:
			out = append(out, shard.ClassGone{Key: *e.ClassGone})
		case e.ClassList != nil:
			out = append(out, *e.ClassList)
		case e.NodeSet != nil:
			out = append(out, shard.NodeSet{Node: *e.NodeSet})
		case e.NodeGone != nil:
			out = append(out, shard.NodeGone{Name: *e.NodeGone})
		case e.NodeList.is:
			out = append(out, shard.NodeList{Nodes: e.NodeList.items})
		default:
			return nil, errors.New("a change of no known kind")
		}
	}
	return out, nil
}

// hollow says whether a list has a null in it, which no server writes.
func (e *change) hollow() bool {
	return e.ServiceList != nil && slices.Contains(e.ServiceList.Services, nil) ||
		slices.Contains(e.SliceList.items, nil) || slices.Contains(e.StandbyList.items, nil) ||
		e.FrontList != nil && slices.Contains(e.FrontList.Fronts, nil)
}

// seal writes a line: checksum, space, JSON.
func seal(l line) ([]byte, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+10)
	out = fmt.Appendf(out, "%08x ", crc32.ChecksumIEEE(text))
	out = append(out, text...)
	return append(out, '\n'), nil
}

// unseal reads a line without its newline.
func unseal(text []byte) (l line, err error) {
	if len(text) < 10 || text[8] != ' ' {
		return l, fmt.Errorf("not a line of a state")
	}
	sum, err := strconv.ParseUint(string(text[:8]), 16, 32)
	if err != nil || bytes.ContainsAny(text[:8], "ABCDEF") { // seal writes small ones
		return l, fmt.Errorf("not a line of a state")
	}
	if crc32.ChecksumIEEE(text[9:]) != uint32(sum) {
		return l, fmt.Errorf("the checksum is wrong")
	}
	return l, json.Unmarshal(text[9:], &l)
}

// parts are the lines of a record of complete lists: the lists without what is in
// them, a line for each object, and once more how fresh they are, which is worth
// nothing less than all of them.
func (r Record) parts() []line {
	part := func(c ...shard.Change) line { return line{Part: true, Cluster: r.Cluster, Changes: encode(c)} }
	var lists []shard.Change
	var out []line
	for _, c := range r.Changes {
		empty, parts := split(c)
		lists = append(lists, empty)
		for _, p := range parts {
			out = append(out, part(p))
		}
	}
	head, end := part(lists...), part()
	head.At, head.Silent, head.Doubtful = r.At, r.Silent.Seconds(), r.Doubtful
	end.At, end.Silent, end.Doubtful = head.At, head.Silent, head.Doubtful
	return append(append([]line{head}, out...), end)
}

// nothing are the lists of a cluster that has nothing.
func nothing() []shard.Change {
	return []shard.Change{shard.NodeList{}, shard.SliceList{}, shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}}
}

func (r Record) line() line {
	return line{Cluster: r.Cluster, At: r.At, Silent: r.Silent.Seconds(), Changes: encode(r.Changes), Hosts: r.Hosts, Serial: r.Serial, Digest: r.Digest, Leads: encodeLeads(r.Leads), Recent: r.Recent, Holders: r.Holders, Doubtful: r.Doubtful}
}
