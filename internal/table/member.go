package table

import (
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// The lists that make a cluster known.
const (
	listServices = 1 << iota
	listIngresses
	listSlices
	listNodes
	listGateways
	listHTTPRoutes
	listGRPCRoutes
	listStandby
	listIngressClasses
	listGatewayClasses
	listTLSRoutes
	listListenerSets
	listXListenerSets
	listAll        = listServices | listIngresses | listSlices | listNodes
	listGatewayAPI = listGateways | listHTTPRoutes | listGRPCRoutes
)

// listOf gives the lists that a cluster may not have by the kind of their objects.
var listOf = map[shard.FrontendKind]int{
	shard.Gateway: listGateways, shard.HTTPRoute: listHTTPRoutes, shard.GRPCRoute: listGRPCRoutes,
	shard.TLSRoute: listTLSRoutes, shard.ListenerSet: listListenerSets, shard.XListenerSet: listXListenerSets,
	shard.Standby: listStandby, shard.IngressClass: listIngressClasses, shard.GatewayClass: listGatewayClasses,
}

// A member is a cluster's part of the table that isn't a service's.
type member struct {
	shard.Cluster
	vacant  bool // there is none, any more
	waived  bool // it had its time to be listed
	silent  bool
	since   time.Duration // when the silence began
	counts  time.Duration // since when it counts towards the hold
	expired bool          // the silence has lasted longer than the hold
	listed  int           // bits of the lists that have come
	needed  int           // those that make the cluster known
	doubted bool          // some of what was known of it was lost: what isn't there may be
	settled bool          // was listed at an earlier publication: what changes now is news
	nodes   map[string]node
	slices  sliceIndex
	fronts  map[snapshot.Key][]snapshot.Key // Service to the Ingresses that lead to it
	seen    map[string]int                  // zone label of endpoints, and how often
	outside map[string]bool                 // places that it may not be in, and has nodes in
	astray  map[string]bool                 // zones of nodes without a region that have been noticed
	places  []topology.Place                // where the cluster is, sorted
	region  string                          // of zones that no node tells of
	shadow  bool                            // it has a namespace with the federation's name, as it says
	shadows int                             // services in that namespace
	gatewayIndex
	standby   map[snapshot.Key]*shard.Service // Services that aren't exported
	classes   map[shard.ClassKey]snapshot.Key // of those that name one, the Service in front
	defaults  map[shard.FrontendKind]string   // the class of what names none
	announced map[shard.Entry][]snapshot.Key  // by what is announced, who does, but for Services
	doors     map[shard.Entry][]snapshot.Key  // the same of Services; nil until somebody asks what stands in front
	named     map[snapshot.Key][]snapshot.Key // Service to the objects that it is named to be in front of
}

// A node is what is kept of one.
type node struct {
	topology.Place
	lost bool // NotReady
}

// takes says whether an endpoint takes what comes; all: whether it is ready or not.
func (m *member) takes(e *shard.Endpoint, all bool) bool {
	return all || e.Ready && !m.nodes[e.Node].lost
}

func (m *member) complete() bool { return m.listed&m.needed == m.needed }

// awaited says whether it is waited for: what it has may decide about any name.
func (m *member) awaited() bool { return (!m.complete() || m.doubted) && !m.waived && !m.vacant }

// locate works out the places of a cluster from its configuration, its nodes and
// its endpoints, and says whether they changed.
func (m *member) locate() bool {
	regions := map[string]bool{}
	places := map[topology.Place]bool{}
	for _, n := range m.nodes {
		p := n.Place
		if m.Region != "" {
			p.Region = m.Region
		}
		if p.Region == "" {
			continue
		}
		regions[p.Region] = true
		if len(m.Zones) == 0 {
			places[p] = true
		}
	}
	region := m.Region
	if region == "" && len(regions) == 1 {
		for r := range regions {
			region = r
		}
	}
	if region != "" {
		for _, z := range m.Zones {
			places[topology.Place{Region: region, Zone: z}] = true
		}
		if len(m.Zones) == 0 {
			for z := range m.seen {
				if !anywhere(places, z) {
					places[topology.Place{Region: region, Zone: z}] = true
				}
			}
			for _, p := range m.nodes {
				if p.Region == "" && p.Zone != "" && !anywhere(places, p.Zone) {
					places[topology.Place{Region: region, Zone: p.Zone}] = true
				}
			}
		}
		if len(places) == 0 {
			places[topology.Place{Region: region}] = true
		}
	}
	list := make([]topology.Place, 0, len(places))
	for p := range places {
		if p = m.allowed(p); p.Region != "" && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, topology.Place.Compare)
	if region == m.region && slices.Equal(list, m.places) {
		return false
	}
	m.region, m.places = region, list
	return true
}

func anywhere(places map[topology.Place]bool, zone string) bool {
	for p := range places {
		if p.Zone == zone {
			return true
		}
	}
	return false
}

// place finds where in the cluster a zone of an endpoint is; ok is false where
// the configuration names the cluster's zones and this is none of them.
func (m *member) place(zone string) (p topology.Place, ok bool) {
	for _, p := range m.places {
		if p.Zone == zone {
			return p, true
		}
	}
	if m.region == "" && len(m.Zones) == 0 {
		return topology.Place{}, true // nobody knows where it is, but it is none of the others
	}
	return m.allowed(topology.Place{Region: m.region, Zone: zone}), len(m.Zones) == 0
}

// allowed is as much of a place as the federation lets the cluster be in. What it says of it itself, it means.
func (m *member) allowed(p topology.Place) topology.Place {
	switch {
	case p.Region == m.Region && slices.Contains(m.Zones, p.Zone), m.MayStand(p):
		return p
	case p.Region == m.Region || m.MayStand(topology.Place{Region: p.Region}):
		return topology.Place{Region: p.Region}
	}
	return topology.Place{}
}

// own are the places of a shard of which no zone is known: the cluster's.
func (m *member) own() []topology.Place {
	if len(m.places) == 0 {
		return []topology.Place{{Region: m.region}}
	}
	return m.places
}

// label makes part of a name of a topology label's value; what can't be one is
// left out, and noticed.
func (t *Table) label(m *member, what, value string) string {
	if value == "" {
		return ""
	}
	if l, ok := t.labels[value]; ok && l != "" {
		return l
	}
	l, err := topology.Label(value)
	if err != nil {
		t.notice(m.Name, shard.BadLabel, fmt.Sprintf("%s: %v; left out of the names", what, err))
	}
	t.labels[value] = l
	return l
}
