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
	// Of Failover: the one name that is chosen for, without the last dot, the regions in order of preference, and by type of
	// record the one of them that the name's addresses are of; "": of none.
	Name    string
	Regions []string
	Active  map[string]string
}

// A Choice is what a provider goes by.
type Choice uint8

// The choices.
const (
	All      Choice = iota // every client gets every address
	Weight                 // one cluster's addresses, drawn by weight
	Latency                // those of the region that is closest to the client
	Failover               // those of the first region, and of another while a health check says that it is down
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

// awsRegions are the regions that Route 53 knows the distance to, from its API's ResourceRecordSetRegion. Of any other it refuses
// the whole name, and a region is called whatever somebody has written on nodes.
var awsRegions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
	ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
	ca-central-1 ca-west-1 cn-north-1 cn-northwest-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2
	eu-west-1 eu-west-2 eu-west-3 eusc-de-east-1 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1
	us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2`)

// Unable says why Route 53 can't choose as it is to; "": it can.
func (r *Routing) Unable() string {
	if r.By != Latency {
		return ""
	}
	strange := ""
	for _, s := range r.Shards {
		if !slices.Contains(awsRegions, s.Region) && (strange == "" || s.Region < strange) {
			strange = s.Region
		}
	}
	if strange == "" {
		return ""
	}
	return fmt.Sprintf("region %s isn't one of AWS: Route 53 can't know how far it is", strange)
}

// Route53 parts sets of addresses into those that Route 53 is to choose from, with the health check of a region where there is
// one. A set keeps its form while shards come and go: Route 53 refuses one that is to be chosen beside one that isn't.
func (r *Routing) Route53(all []Endpoint, checks map[string]string) (out []Endpoint) {
	switch {
	case r.By == All || r.Unable() != "":
		return all
	case r.By == Failover:
		return r.failover(all, checks)
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

// failover has Route 53 give the addresses of another region while the health check of the active one says that it is down. It
// takes no primary set without a health check, so that where no region of the list has one, there are no such sets. Where only
// the active one has none, or no region of the list is active, the primary set stands alone, with the check of another: a set
// that has no other beside it is answered whatever its check says, and the name keeps its form.
func (r *Routing) failover(all []Endpoint, checks map[string]string) (out []Endpoint) {
	named := slices.IndexFunc(r.Regions, func(region string) bool { return checks[region] != "" })
	for _, e := range all {
		if named < 0 || e.Name != r.Name {
			out = append(out, e)
			continue
		}
		// The identifiers stay with the roles: Route 53 refuses two sets that change theirs with each other.
		primary, active := e, r.Active[e.Type]
		primary.Choosing = Choosing{ID: "primary", Key: "aws/failover", Value: "PRIMARY", HealthCheck: checks[active]}
		if primary.HealthCheck == "" {
			primary.HealthCheck = checks[r.Regions[named]]
			out = append(out, primary)
			continue
		}
		out = append(out, primary)
		if region, targets := r.second(e); len(targets) > 0 {
			out = append(out, Endpoint{Name: e.Name, Type: e.Type, Targets: targets,
				Choosing: Choosing{ID: "secondary", Key: "aws/failover", Value: "SECONDARY", HealthCheck: checks[region]}})
		}
	}
	return out
}

// second are the addresses that would be answered without those that are: of the first region of the list that has one,
// else of all others, whose region is "".
func (r *Routing) second(e Endpoint) (region string, targets []string) {
	others := map[string][]string{}
	for addr, s := range r.Shards {
		if target := addr.String(); addr.Is4() == (e.Type == "A") && !slices.Contains(e.Targets, target) {
			others[s.Region] = append(others[s.Region], target)
		}
	}
	for _, region = range r.Regions {
		if targets = others[region]; len(targets) > 0 {
			slices.Sort(targets)
			return region, targets
		}
	}
	for _, of := range others {
		targets = append(targets, of...)
	}
	slices.Sort(targets)
	return "", targets
}

// weight is one for Route 53, which knows no more than 255: where there are larger ones, all are made smaller alike.
func weight(w, top uint16) int {
	if top <= mostWeight || w == 0 {
		return int(w)
	}
	return max(1, int(w)*mostWeight/int(top))
}
