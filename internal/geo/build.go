package geo

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A Net is an operator's word that the clients of a network are in a region. With
// the region "" they are nowhere, whatever a database says.
type Net struct {
	Prefix netip.Prefix
	Region string
}

// ParseNet reads a network in CIDR notation.
func ParseNet(cidr, region string) (Net, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return Net{}, fmt.Errorf("%q is not a network such as 192.0.2.0/24 or 2001:db8::/32", cidr)
	}
	if p != p.Masked() {
		return Net{}, fmt.Errorf("%s has bits beyond its length; the network is %s", cidr, p.Masked())
	}
	if f, ok := formOf(p); ok && f.prefix.Bits() <= p.Bits() {
		if f != &forms[mapped] {
			return Net{}, fmt.Errorf("%s: addresses in %v hold an IPv4 address and have the place of that; name the IPv4 network", cidr, f.prefix)
		}
		p = unmap(p)
	}
	return Net{p, region}, nil
}

// Build compiles a table: of layers that say where networks are, later ones over
// earlier ones, and over them all an operator's nets. Within each the longest prefix
// wins; of equal ones in a layer, the later. What they say of IPv6 addresses that
// hold an IPv4 one is not heard (see Embedded), but for the IPv4-mapped, which mean
// just that.
//
// A layer is quickly read if its networks come in order, as they do from a database;
// if not, it is read again and sorted.
//
// It is an error if a net's region is not in the atlas (which may well have regions
// without a cluster), or if two nets are the same network.
func Build(a *Atlas, nets []Net, layers ...iter.Seq2[netip.Prefix, Place]) (*Table, error) {
	r := newRegistry(a)
	v4, v6 := runs{{id: 0}}, runs{{id: 0}}
	for _, layer := range layers {
		over4, over6 := sweep(func(yield func(netip.Prefix, RankingID) bool) {
			for prefix, place := range layer {
				if !yield(prefix, r.at(place)) {
					return
				}
			}
		})
		v4, v6 = overlay(v4, over4), overlay(v6, over6)
	}

	nets = slices.Clone(nets)
	for i := range nets {
		nets[i].Prefix = unmap(nets[i].Prefix).Masked()
	}
	ranked, err := r.nets(nets)
	if err != nil {
		return nil, err
	}
	over4, over6 := sweep(ranked)
	v4 = overlay(v4, over4)
	v6 = overlay(v6, overlay(over6, held(v4)))

	upper, deep := v6.split()
	return &Table{
		v4:       makeSpans[uint32](v4, 0, 16),
		v6:       makeSpans[uint64](upper, global, globalShift),
		deep:     deep,
		atlas:    a,
		rankings: slices.Clip(r.cells),
		nets:     nets,
	}, nil
}

// A registry gives rankings their ids: equal ones the same.
type registry struct {
	atlas   *Atlas
	cells   []uint16 // of ids 1, 2..., one after the other
	ids     map[string]RankingID
	points  map[Point]RankingID // a database names few points for many networks
	pending []uint16
	key     []byte
}

func newRegistry(a *Atlas) *registry {
	return &registry{atlas: a, ids: map[string]RankingID{}, points: map[Point]RankingID{}}
}

// at is the id of the ranking from a place. If that is unknown, or every region's
// place is, there is nothing to rank by, and it is 0.
func (r *registry) at(p Place) RankingID {
	if p.Source == Unknown || r.atlas.located == 0 {
		return 0
	}
	id, ok := r.points[p.Point]
	if !ok {
		r.pending = r.atlas.appendRanking(r.pending[:0], nobody, p.Point, true)
		id = r.intern()
		r.points[p.Point] = id
	}
	return id
}

// nets are the networks of nets with the ids of their rankings.
func (r *registry) nets(nets []Net) (iter.Seq2[netip.Prefix, RankingID], error) {
	ids := map[netip.Prefix]RankingID{}
	for _, n := range nets {
		if _, twice := ids[n.Prefix]; twice {
			return nil, fmt.Errorf("nets %v: the network is there twice", n.Prefix)
		}
		ids[n.Prefix] = 0
		if n.Region == "" {
			continue
		}
		ranking, ok := r.atlas.RankFrom(n.Region)
		if !ok {
			return nil, fmt.Errorf("nets %v: there is no region %q; there are: %s", n.Prefix, n.Region, strings.Join(r.atlas.names, ", "))
		}
		r.pending = append(r.pending[:0], ranking.cells...)
		ids[n.Prefix] = r.intern()
	}
	return maps.All(ids), nil // in any order: a sweep sorts them
}

// intern is the id of the pending ranking.
func (r *registry) intern() RankingID {
	r.key = r.key[:0]
	for _, c := range r.pending {
		r.key = binary.NativeEndian.AppendUint16(r.key, c)
	}
	id, ok := r.ids[string(r.key)]
	if !ok {
		id = RankingID(len(r.ids) + 1)
		r.ids[string(r.key)] = id
		r.cells = append(r.cells, r.pending...)
	}
	return id
}

// held are the addresses that hold an IPv4 one. If all of IPv4 has one ranking, they
// have it too; then, and only then, their blocks may be wider than their form.
func held(v4 runs) runs {
	s := newSweeper()
	for i, f := range forms {
		id := inForms + RankingID(i)
		if len(v4) == 1 {
			id = v4[0].id
		}
		s.add(network{numOf(f.prefix.Addr()), f.prefix.Bits(), id})
	}
	return s.close()
}
