package publish

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A Routing is how a provider that can is to choose among the addresses of a name.
type Routing struct {
	By     Choice
	Shards map[netip.Addr]Shard
}

// A Choice is what a provider goes by.
type Choice uint8

// The choices.
const (
	All     Choice = iota // every client gets every address
	Weight                // one cluster's addresses, drawn by weight
	Latency               // those of the region that is closest to the client
)

// A Shard is what there is to choose by of an address.
type Shard struct {
	Cluster      uint16 // addresses of one are given together
	Region, Zone string
	Weight       uint16
}

// A Choosing is one of the sets of a name that Route 53 chooses from.
type Choosing struct {
	ID          string // among those of the name
	Key, Value  string // what it goes by, in external-dns's words
	HealthCheck string // in Route 53; "": none
}

// mostWeight is Route 53's.
const mostWeight = 255

// awsRegion says whether a region is one of AWS, as the labels of its nodes have them: of any other, Route 53 can't measure how far it is.
func awsRegion(r string) bool {
	part := strings.Split(r, "-")
	if len(part) < 3 {
		return false
	}
	area, n := part[0], part[len(part)-1]
	direction := part[len(part)-2]
	return slices.Contains([]string{"af", "ap", "ca", "cn", "eu", "il", "me", "mx", "sa", "us"}, area) && len(n) == 1 && n >= "1" && n <= "9" &&
		slices.Contains([]string{"central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"}, direction)
}

// Unable says why Route 53 can't choose as it is to; "": it can.
func (r *Routing) Unable() string {
	if r.By != Latency {
		return ""
	}
	for _, s := range r.Shards {
		if !awsRegion(s.Region) {
			return fmt.Sprintf("region %s isn't one of AWS: Route 53 can't know how far it is", s.Region)
		}
	}
	return ""
}

// Route53 parts sets of addresses into those that Route 53 is to choose from, with the health check of a region where there is
// one. A set keeps its form while shards come and go: Route 53 refuses one that is to be chosen beside one that isn't.
func (r *Routing) Route53(all []Endpoint, checks map[string]string) (out []Endpoint) {
	if r.By == All || r.Unable() != "" {
		return all
	}
	top := uint16(0)
	for _, s := range r.Shards {
		top = max(top, s.Weight)
	}
	for _, e := range all {
		sets := map[string]*Endpoint{}
		ids := map[uint16]string{} // of clusters
		for _, target := range e.Targets {
			addr, err := netip.ParseAddr(target)
			s, known := r.Shards[addr]
			if err != nil || !known { // no shard's
				continue
			}
			c := Choosing{ID: s.Region, Key: "aws/region", Value: s.Region, HealthCheck: checks[s.Region]}
			if r.By == Weight {
				id, ok := ids[s.Cluster]
				for n := 1; !ok; n++ { // clusters at one place are told apart by a number
					if id = strings.TrimPrefix(s.Zone+"."+s.Region, "."); n > 1 {
						id += fmt.Sprint("-", n)
					}
					ok = sets[id] == nil
				}
				ids[s.Cluster] = id
				c.ID, c.Key, c.Value = id, "aws/weight", fmt.Sprint(weight(s.Weight, top))
			}
			if sets[c.ID] == nil {
				sets[c.ID] = &Endpoint{Name: e.Name, Type: e.Type, Choosing: c}
			}
			sets[c.ID].Targets = append(sets[c.ID].Targets, target)
		}
		for _, id := range slices.Sorted(maps.Keys(sets)) {
			out = append(out, *sets[id])
		}
	}
	return out
}

// weight is one for Route 53, which knows no more than 255: where there are larger ones, all are made smaller alike.
func weight(w, top uint16) int {
	if top <= mostWeight || w == 0 {
		return int(w)
	}
	return max(1, int(w)*mostWeight/int(top))
}
