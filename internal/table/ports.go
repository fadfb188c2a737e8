package table

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// ready gives the endpoints that count: outside, for who comes from outside the cluster.
func (p *piece) ready(m *member, outside bool) iter.Seq2[*shard.Slice, *shard.Endpoint] {
	return func(yield func(*shard.Slice, *shard.Endpoint) bool) {
		notReady := p.object != nil && p.object.NotReady
		spread := outside && p.object != nil && p.object.Spread
		for _, sl := range p.slices {
			for i := range sl.Endpoints {
				e := &sl.Endpoints[i]
				if m.takes(e, notReady) && (!spread || e.Node != "") && !yield(sl, e) {
					return
				}
			}
		}
	}
}

// placesOfPort gives those of the places of a shard where a port of its Service is ready: not those
// whose endpoints all lack it. Where no endpoint is known, an operator has said that the
// shard is up, and means all of it.
func (t *Table) placesOfPort(f *evaluation, p *piece, port shard.Port, places []topology.Place) []topology.Place {
	if !slices.ContainsFunc(p.slices, func(sl *shard.Slice) bool { return !sl.HasPort(port) }) {
		return places
	}
	m := t.members[f.cluster]
	if !p.serves(m, port, true) {
		return nil
	}
	var all, having []topology.Place
	for sl, e := range p.ready(m, true) {
		if place, ok := t.where(m, *e); ok {
			all = append(all, place)
			if sl.HasPort(port) {
				having = append(having, place)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(places), func(at topology.Place) bool {
		return slices.Contains(all, at) && !slices.Contains(having, at)
	})
}

// serves says whether an endpoint that counts has a port, or none is known.
func (p *piece) serves(m *member, port shard.Port, outside bool) bool {
	none := true
	for sl := range p.ready(m, outside) {
		if none = false; sl.HasPort(port) {
			return true
		}
	}
	return none
}

// pods are the addresses of the endpoints that count, and these with their names and
// ports: of a headless Service its own ports are nobody's.
func (p *piece) pods(m *member) (addrs []netip.Addr, targets []snapshot.Target) {
	type key struct {
		host string
		addr netip.Addr
	}
	ports := map[key][]snapshot.Port{} // what several slices say of one address adds up
	for sl, e := range p.ready(m, false) {
		if !e.Addr.IsValid() {
			continue
		}
		k := key{e.Hostname, e.Addr}
		if _, ok := ports[k]; !ok {
			if addrs = append(addrs, e.Addr); unusable(e.Addr) != "" {
				continue
			}
			ports[k] = nil
		}
		for _, o := range sl.Ports {
			if o.Name != "" && o.Number != 0 {
				ports[k] = append(ports[k], snapshot.Port{Name: o.Name, Proto: o.Proto, Number: o.Number})
			}
		}
	}
	byLabel := map[string]*snapshot.Target{}
	add := func(label string, addr netip.Addr, ports []snapshot.Port) {
		g := byLabel[label]
		if g == nil {
			g = &snapshot.Target{Label: label, Ports: ports}
			byLabel[label] = g
		}
		g.Shards = append(g.Shards, snapshot.Shard{Addr: addr})
	}
	mixed := map[string]bool{} // hostnames of pods that differ in their ports
	first := map[string][]snapshot.Port{}
	for k, list := range ports {
		ports[k] = sortPorts(list)
		if before, ok := first[k.host]; !ok {
			first[k.host] = ports[k]
		} else if k.host != "" && !slices.EqualFunc(before, ports[k], samePort) {
			mixed[k.host] = true
		}
	}
	for k, list := range ports {
		switch {
		case k.host == "":
			add(label(k.addr), k.addr, list)
		case mixed[k.host]: // the name is theirs, but leads to nobody's port in particular
			add(k.host, k.addr, nil)
			add(label(k.addr), k.addr, list)
		default:
			add(k.host, k.addr, list)
		}
	}
	for _, g := range byLabel {
		slices.SortFunc(g.Shards, func(a, b snapshot.Shard) int { return a.Addr.Compare(b.Addr) })
		g.Shards = slices.CompactFunc(g.Shards, func(a, b snapshot.Shard) bool { return a.Addr == b.Addr })
		targets = append(targets, *g)
	}
	slices.SortFunc(targets, func(a, b snapshot.Target) int { return strings.Compare(a.Label, b.Label) })
	return addrs, targets
}

// label is the name that a pod without one has, the one that CoreDNS gives it: its
// address with dashes. A label can't begin or end with one.
func label(a netip.Addr) string {
	s := strings.NewReplacer(".", "-", ":", "-").Replace(a.String())
	if strings.HasPrefix(s, "-") {
		s = "0" + s
	}
	if strings.HasSuffix(s, "-") {
		s += "0"
	}
	return s
}

// sortPorts sorts ports, and leaves one of each name: whoever has two by one name can't
// say which is meant.
func sortPorts(list []snapshot.Port) []snapshot.Port {
	slices.SortFunc(list, func(a, b snapshot.Port) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Number, b.Number))
	})
	return slices.CompactFunc(list, func(a, b snapshot.Port) bool { return a.Name == b.Name && a.Proto == b.Proto })
}

func samePort(a, b snapshot.Port) bool {
	return a.Name == b.Name && a.Proto == b.Proto && a.Number == b.Number
}
