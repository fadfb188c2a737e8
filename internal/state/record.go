// Package state keeps what is known of clusters on disk, so that a server that
// starts while their APIs are down can answer from it.
//
// A file is a base, complete lists of each cluster, and behind it a journal of
// what changed since: a line each, with a checksum. Each publication is appended
// as it is made; when the journal has outgrown the base, the file is made anew
// beside the old one and renamed over it.
package state

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"time"

	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
)

// A Record is something that was learned, or not, of one cluster; or of load
// balancers' names; or the serial of a publication.
type Record struct {
	Cluster string        // its identity, or ""
	At      time.Time     // of the wall clock: the only one that outlives a program
	Silent  time.Duration // how long the cluster had been silent then; 0: it wasn't
	Changes []shard.Change
	Hosts   map[string][]netip.Addr
	Serial  uint32 // that was shown; 0: none was
}

// The lines of a file. The first says what the file is, and one says where the
// base ends: before it, a file is worth nothing.
const (
	format  = "fedns-state"
	version = 2 // since there are hosts and objects of the Gateway API
	oldest  = 1 // version that can be read
)

type line struct {
	Format  string `json:"format,omitempty"`
	Version int    `json:"version,omitempty"`

	End bool `json:"end,omitempty"` // of the base

	Cluster string    `json:"cluster,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Silent  float64   `json:"silent,omitempty"` // seconds
	Changes []change  `json:"changes,omitempty"`

	Hosts map[string][]netip.Addr `json:"hosts,omitempty"`

	Serial uint32 `json:"serial,omitempty"`
}

// A change is a shard.Change as JSON has it: one of the fields is set.
type change struct {
	ServiceSet  *shard.Service  `json:"serviceSet,omitempty"`
	ServiceGone *names.Key      `json:"serviceGone,omitempty"`
	ServiceList *serviceList    `json:"serviceList,omitempty"`
	SliceSet    *shard.Slice    `json:"sliceSet,omitempty"`
	SliceGone   *shard.SliceKey `json:"sliceGone,omitempty"`
	SliceList   *[]*shard.Slice `json:"sliceList,omitempty"`
	FrontSet    *shard.Front    `json:"frontSet,omitempty"`
	FrontGone   *shard.FrontKey `json:"frontGone,omitempty"`
	FrontList   *frontList      `json:"frontList,omitempty"`
	NodeSet     *shard.Node     `json:"nodeSet,omitempty"`
	NodeGone    *string         `json:"nodeGone,omitempty"`
	NodeList    *[]shard.Node   `json:"nodeList,omitempty"`
}

type serviceList struct {
	Kind     names.Kind       `json:"kind"`
	Services []*shard.Service `json:"services"`
}

type frontList struct {
	Kind   shard.FrontKind `json:"kind"`
	Fronts []*shard.Front  `json:"fronts"`
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
			e.SliceList = &c.Slices
		case shard.FrontSet:
			e.FrontSet = c.Front
		case shard.FrontGone:
			e.FrontGone = &c.Key
		case shard.FrontList:
			e.FrontList = &frontList{c.Kind, c.Fronts}
		case shard.NodeSet:
			e.NodeSet = &c.Node
		case shard.NodeGone:
			e.NodeGone = &c.Name
		case shard.NodeList:
			e.NodeList = &c.Nodes
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
		case e.SliceList != nil:
			out = append(out, shard.SliceList{Slices: *e.SliceList})
		case e.FrontSet != nil:
			out = append(out, shard.FrontSet{Front: e.FrontSet})
		case e.FrontGone != nil:
			out = append(out, shard.FrontGone{Key: *e.FrontGone})
		case e.FrontList != nil:
			out = append(out, shard.FrontList{Kind: e.FrontList.Kind, Fronts: e.FrontList.Fronts})
		case e.NodeSet != nil:
			out = append(out, shard.NodeSet{Node: *e.NodeSet})
		case e.NodeGone != nil:
			out = append(out, shard.NodeGone{Name: *e.NodeGone})
		case e.NodeList != nil:
			out = append(out, shard.NodeList{Nodes: *e.NodeList})
		default:
			return nil, fmt.Errorf("a change of no known kind")
		}
	}
	return out, nil
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
	if err != nil {
		return l, fmt.Errorf("not a line of a state")
	}
	if crc32.ChecksumIEEE(text[9:]) != uint32(sum) {
		return l, fmt.Errorf("the checksum is wrong")
	}
	return l, json.Unmarshal(text[9:], &l)
}

func (r Record) line() line {
	return line{Cluster: r.Cluster, At: r.At, Silent: r.Silent.Seconds(), Changes: encode(r.Changes), Hosts: r.Hosts, Serial: r.Serial}
}
