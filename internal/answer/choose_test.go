package answer_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// web is the service that answers are chosen of, here.
const web = "web.shop.fed.svc"

// An entry is an address of a cluster's shard at a place, as "region/zone".
type entry struct {
	cluster int
	place   string
	addr    string
	weight  uint16
}

func (e entry) at() topology.Place {
	region, zone, _ := strings.Cut(e.place, "/")
	return topology.Place{Region: region, Zone: zone}
}

// holding is a snapshot in which web is up at these entries; change may say more of
// it. The places more are there, without a shard.
func holding(entries []entry, more []string, change func(*snapshot.Service)) *snapshot.Snapshot {
	s := &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "web"}}
	var places []topology.Place
	for _, e := range entries {
		s.Shards = append(s.Shards, snapshot.Shard{Place: e.at(), Addr: netip.MustParseAddr(e.addr), Cluster: uint16(e.cluster), Weight: e.weight})
		places = append(places, e.at())
	}
	for _, p := range more {
		places = append(places, entry{place: p}.at())
	}
	if len(entries) == 0 {
		s.Down = "no shard is up"
	}
	if change != nil {
		change(s)
	}
	edit := snapshot.NewFederation("fed").Edit()
	edit.Set(s.Freeze())
	edit.Topology(topology.New(places))
	edit.SetListed(true, true, nil)
	var none *snapshot.Snapshot
	return none.Next([]*snapshot.Federation{edit.Done()})
}

func policy(t testing.TB, text string) snapshot.Policy {
	t.Helper()
	p, err := snapshot.ParsePolicy(strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ruled(p snapshot.Policy) []answer.Member {
	return []answer.Member{{TTL: 180, Degraded: 30, Policy: p}}
}

// chosen resolves and chooses, and gives the addresses in their order.
func chosen(s *snapshot.Snapshot, p snapshot.Policy, name string, v4 bool, c answer.Client) []string {
	typ := answer.TypeAAAA
	if v4 {
		typ = answer.TypeA
	}
	a := answer.Resolve(s, ruled(p), labels(name), typ, now)
	a.Choose(&c)
	var out []string
	for addr := range a.Addrs(v4, 0) {
		out = append(out, addr.String())
	}
	if (a.Outcome == answer.Found) != (len(out) > 0) {
		panic(fmt.Sprintf("%s with %d addresses", a.Outcome, len(out)))
	}
	return out
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// An earth is a federation somewhere on it.
type earth struct {
	entries []entry
	regions map[string]geo.Place
	atlas   *geo.Atlas
	within  []int
}

func anywhere(r *rand.Rand) geo.Point {
	return geo.Point{Lat: math.Asin(2*r.Float64()-1) * 180 / math.Pi, Lon: 360*r.Float64() - 180}
}

// settle makes a federation at random: some regions without a known place or without
// a shard, shards at several zones, of both families, and with addresses that others
// have too.
func settle(r *rand.Rand, within ...int) *earth {
	e := &earth{regions: map[string]geo.Place{}, within: within}
	cluster := 0
	for i := range 2 + r.IntN(7) {
		region := fmt.Sprint("r", i)
		e.regions[region] = geo.Place{Point: anywhere(r), Source: geo.Location}
		if r.IntN(6) == 0 {
			e.regions[region] = geo.Place{}
		}
		for range r.IntN(4) {
			for range 1 + r.IntN(3) {
				addr := fmt.Sprintf("192.0.%d.%d", cluster, r.IntN(250))
				switch r.IntN(8) {
				case 0, 1:
					addr = fmt.Sprintf("2001:db8::%x:%x", 1+cluster, 1+r.IntN(250))
				case 2:
					addr = fmt.Sprintf("198.51.100.%d", r.IntN(3)) // anycast
				}
				e.entries = append(e.entries, entry{cluster, fmt.Sprintf("%s/z%d-%d", region, i, r.IntN(2)), addr, uint16(r.IntN(3))})
			}
			cluster++
		}
	}
	e.atlas = geo.NewAtlas(e.regions, within...)
	return e
}

func (e *earth) client(at geo.Point) answer.Client {
	return answer.Client{Ranking: e.atlas.Rank(at), Regions: e.atlas.Regions(), Within: e.within}
}

// shards lists the clusters of a region that have an address of a family, in the
// order of their places and addresses.
func (e *earth) shards(entries []entry, region string, v4 bool) (out []int) {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(a.at().Compare(b.at()), netip.MustParseAddr(a.addr).Compare(netip.MustParseAddr(b.addr)))
	})
	for _, x := range entries {
		if x.at().Region == region && netip.MustParseAddr(x.addr).Is4() == v4 && !slices.Contains(out, x.cluster) {
			out = append(out, x.cluster)
		}
	}
	return out
}

// angle is the distance between two points as seen from the middle of the earth:
// another way to it than package geo's.
func angle(p, q geo.Point) float64 {
	v := func(p geo.Point) (x, y, z float64) {
		lat, lon := p.Lat*math.Pi/180, p.Lon*math.Pi/180
		return math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)
	}
	a, b, c := v(p)
	x, y, z := v(q)
	i, j, k := b*z-c*y, c*x-a*z, a*y-b*x
	return math.Atan2(math.Sqrt(i*i+j*j+k*k), a*x+b*y+c*z)
}

// order lists the regions from the closest; those that nobody knows the place of last.
func (e *earth) order(from geo.Point) []string {
	regions := slices.Sorted(maps.Keys(e.regions))
	far := func(r string) float64 {
		if p := e.regions[r]; p.Source != geo.Unknown {
			return angle(from, p.Point)
		}
		return math.Inf(1)
	}
	slices.SortStableFunc(regions, func(a, b string) int { return cmp.Compare(far(a), far(b)) })
	return regions
}

// expected are the sets of addresses that nearest is to give, by the letter of
// docs/policies.md: one, or where it goes round among shards one for each that it begins with.
func (e *earth) expected(p snapshot.Policy, from geo.Point, v4 bool) (out []string) {
	most := 1
	for r := range e.regions {
		most = max(most, len(e.shards(e.entries, r, v4)))
	}
	turns := 1 // that begin with each shard of each region once
	for n := 2; n <= most; n++ {
		turns = turns / gcd(turns, n) * n
	}
	for turn := range turns {
		set := strings.Join(e.turn(p, from, v4, turn), " ")
		if !slices.Contains(out, set) {
			out = append(out, set)
		}
	}
	return sorted(out)
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// turn is one of them.
func (e *earth) turn(p snapshot.Policy, from geo.Point, v4 bool, turn int) (out []string) {
	var picked []int
	var regions []string
	first := -1.0
	for _, region := range e.order(from) {
		shards := e.shards(e.entries, region, v4)
		if len(shards) == 0 {
			continue
		}
		far := math.Inf(1)
		if place := e.regions[region]; place.Source != geo.Unknown {
			far = angle(from, place.Point)
		}
		close := first < 0 || far <= first*float64(100+p.Within)/100 && !math.IsInf(far, 1)
		if first < 0 {
			first = far
		}
		if !close && (p.Count == 0 || len(picked) >= p.Count) {
			break
		}
		regions = append(regions, region)
		shards = slices.DeleteFunc(shards, func(c int) bool { return slices.Contains(picked, c) })
		for i := range shards {
			if p.Count == 0 || len(picked) < p.Count {
				picked = append(picked, shards[(turn+i)%len(shards)])
			}
		}
	}
	for _, x := range e.entries {
		if slices.Contains(regions, x.at().Region) && slices.Contains(picked, x.cluster) && netip.MustParseAddr(x.addr).Is4() == v4 && !slices.Contains(out, x.addr) {
			out = append(out, x.addr)
		}
	}
	return sorted(out)
}

var nearests = []string{"nearest", "nearest within 30%", "nearest 1", "nearest 2", "nearest within 100% 3", "nearest 16"}

// The closest region that has a shard of the asked family answers, those that are
// hardly farther too, and as many shards as are asked for, in turn.
func TestNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	several, rounds := 0, 0
	for range 300 {
		e := settle(r, 30, 100)
		s := holding(e.entries, []string{"r0"}, nil)
		for range 4 {
			from := anywhere(r)
			c, order := e.client(from), e.order(from)
			rank := map[string]int{} // of addresses: how many regions are closer
			for _, x := range e.entries {
				at := slices.Index(order, x.at().Region)
				if known, ok := rank[x.addr]; !ok || at < known {
					rank[x.addr] = at
				}
			}
			for _, text := range nearests {
				for _, v4 := range []bool{true, false} {
					p := policy(t, text)
					want := e.expected(p, from, v4)
					var sets []string
					for draw := range uint64(60) { // of which all numbers of shards here are divisors
						c.Draw = draw
						got := chosen(s, p, web, v4, c)
						if set := strings.Join(sorted(got), " "); !slices.Contains(sets, set) {
							sets = append(sets, set)
						}
						// The closer ones come first.
						last := -1
						for _, addr := range got {
							at := rank[addr]
							if !strings.HasPrefix(addr, "198.51.100.") && at < last {
								t.Fatalf("%s from %v: %q, but %s is closer than those before it", text, from, got, addr)
							}
							last = max(last, at)
						}
						if len(got) > 1 {
							several++
						}
						if p.Count == 0 {
							break
						}
					}
					if !slices.Equal(sorted(sets), want) {
						t.Fatalf("%s from %v, IPv4 %v: %q, want %q\nof %+v\nin %v", text, from, v4, sets, want, e.entries, e.order(from))
					}
					if len(want) > 1 {
						rounds++
					}
				}
			}
		}
	}
	if several < 1000 || rounds < 500 {
		t.Errorf("only %d answers had more than one address, %d kinds of clients more than one answer", several, rounds)
	}
}

// To lose a shard changes nothing for clients that weren't using it.
func TestNearestIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2))
	stayed, moved := 0, 0
	for range 150 {
		e := settle(r, 30, 100)
		s := holding(e.entries, nil, nil)
		var without []*snapshot.Snapshot
		clusters := 0
		for _, x := range e.entries {
			clusters = max(clusters, x.cluster+1)
		}
		places := slices.Collect(maps.Keys(e.regions))
		for c := range clusters {
			without = append(without, holding(slices.DeleteFunc(slices.Clone(e.entries), func(x entry) bool { return x.cluster == c }), places, nil))
		}
		for range 3 {
			c := e.client(anywhere(r))
			for _, text := range nearests {
				for _, v4 := range []bool{true, false} {
					all := func(s *snapshot.Snapshot) (out []string) {
						for c.Draw = range uint64(12) {
							out = append(out, chosen(s, policy(t, text), web, v4, c)...)
						}
						return slices.Compact(sorted(out))
					}
					before := all(s)
					for lost := range clusters {
						uses := slices.ContainsFunc(e.entries, func(x entry) bool { return x.cluster == lost && slices.Contains(before, x.addr) })
						after := all(without[lost])
						switch {
						case uses:
							moved++
						case !slices.Equal(before, after):
							t.Fatalf("%s, IPv4 %v: %q became %q without cluster %d\nof %+v", text, v4, before, after, lost, e.entries)
						default:
							stayed++
						}
					}
				}
			}
		}
	}
	if stayed < 1000 || moved < 1000 {
		t.Errorf("%d answers stayed, %d were of the lost cluster", stayed, moved)
	}
}

// five is a federation of five regions from west to east, as far apart as each other;
// the fourth has only IPv6, and far nobody knows the place of.
func five() *earth {
	e := &earth{regions: map[string]geo.Place{}, within: []int{5, 10}, entries: []entry{
		{0, "a/a1", "192.0.2.1", 1}, {0, "a/a1", "2001:db8::1", 1},
		{1, "b/b1", "192.0.2.2", 1}, {1, "b/b2", "192.0.2.2", 1}, {2, "b/b2", "192.0.2.3", 1},
		{3, "c/c1", "192.0.2.4", 1},
		{4, "d/d1", "2001:db8::4", 1},
		{5, "far/f1", "192.0.2.5", 1}, {5, "far/f1", "2001:db8::5", 1},
	}}
	for i, name := range []string{"a", "b", "c", "d"} {
		e.regions[name] = geo.Place{Point: geo.Point{Lon: float64(20 * i)}, Source: geo.Cloud}
	}
	e.regions["far"] = geo.Place{}
	e.atlas = geo.NewAtlas(e.regions, e.within...)
	return e
}

// Rows: what a client at a longitude of the equator gets.
func TestChoose(t *testing.T) {
	e := five()
	const every4, every6 = "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5", "2001:db8::1 2001:db8::4 2001:db8::5"
	unknown := math.NaN()
	for _, tt := range []struct {
		policy string
		lon    float64
		name   string
		v6     bool
		active string
		want   string
	}{
		{"all", 0, web, false, "", every4},
		{"all", 0, web, true, "", every6},
		{"nearest", -5, web, false, "", "192.0.2.1"},
		{"nearest", 22, web, false, "", "192.0.2.2 192.0.2.3"},
		{"nearest", 65, web, false, "", "192.0.2.4"}, // d is closer, but has no IPv4
		{"nearest", 65, web, true, "", "2001:db8::4"},
		{"nearest", 22, web, true, "", "2001:db8::1"}, // 22 degrees to a, 38 to d
		{"nearest", 179, web, false, "", "192.0.2.4"}, // far comes last, however far the others are
		{"nearest within 10%", 9.8, web, false, "", "192.0.2.1 192.0.2.2 192.0.2.3"},
		{"nearest within 5%", 9.8, web, false, "", "192.0.2.1 192.0.2.2 192.0.2.3"}, // 9.8 to 10.2 is 4.1%
		{"nearest within 5%", 9.7, web, false, "", "192.0.2.1"},                     // 9.7 to 10.3 is 6.2%
		{"nearest within 10%", 9.7, web, false, "", "192.0.2.1 192.0.2.2 192.0.2.3"},
		{"nearest within 33%", 9.7, web, false, "", "192.0.2.1"}, // the atlas doesn't know it yet
		{"nearest 1", 22, web, false, "", "192.0.2.2"},
		{"nearest 2", 22, web, false, "", "192.0.2.2 192.0.2.3"},
		{"nearest 3", 22, web, false, "", "192.0.2.2 192.0.2.3 192.0.2.4"},
		{"nearest 4", 22, web, false, "", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4"},
		{"nearest 16", 22, web, false, "", every4},
		{"nearest within 10% 1", 9.7, web, false, "", "192.0.2.1"},

		// Nobody knows where the client is.
		{"nearest", unknown, web, false, "", every4},
		{"nearest within 5%", unknown, web, true, "", every6},
		{"nearest 2", unknown, web, false, "", every4},

		// Narrower names are what they are, wherever the client is.
		{"nearest", -5, web + ".b", false, "", "192.0.2.2 192.0.2.3"},
		{"nearest 1", -5, web + ".b", false, "", "192.0.2.2 192.0.2.3"},
		{"nearest", -5, web + ".b1.b", false, "", "192.0.2.2"},
		{"nearest 1", -5, web + ".b2", false, "", "192.0.2.2 192.0.2.3"},
		{"weighted", -5, web + ".b2.b", false, "", "192.0.2.2 192.0.2.3"},
		{"failover a c", -5, web + ".b", false, "a", "192.0.2.2 192.0.2.3"},
		{"failover a c", -5, web + ".c1.c", false, "a", "192.0.2.4"},
		// Unless they lead up to the global one.
		{"nearest", 22, web + ".none", false, "", "192.0.2.2 192.0.2.3"},
		{"nearest", 65, web + ".n1.none", false, "", "192.0.2.4"},
		{"nearest 1", 22, web + ".n1", false, "", "192.0.2.2"},
		{"failover c a", 22, web + ".n1.none", false, "c", "192.0.2.4"},
		{"nearest", -5, web + ".b3.b", false, "", "192.0.2.2 192.0.2.3"}, // only up to the region

		{"failover c a", -5, web, false, "c", "192.0.2.4"},
		{"failover c a", -5, web, false, "a", "192.0.2.1"},
		{"failover c a", -5, web, true, "a", "2001:db8::1"},
		{"failover x y", -5, web, false, "", every4}, // none of the list is up
		{"failover x y", -5, web, true, "", every6},
		// A region without the family isn't answered from, whatever is remembered of it.
		{"failover c a", -5, web, true, "c", every6},
		{"failover d a", -5, web, false, "d", every4},
	} {
		s := holding(e.entries, []string{"none/n1", "b/b3"}, func(s *snapshot.Service) { s.Active = [2]string{tt.active, tt.active} })
		c := answer.Client{}
		if !math.IsNaN(tt.lon) {
			c = e.client(geo.Point{Lon: tt.lon})
		}
		p := policy(t, tt.policy)
		if got := strings.Join(sorted(chosen(s, p, tt.name, !tt.v6, c)), " "); got != tt.want {
			t.Errorf("%s of %s at %v, IPv6 %v: %q, want %q", tt.policy, tt.name, tt.lon, tt.v6, got, tt.want)
		}
		// What a service says itself comes before what the federation says.
		s = holding(e.entries, []string{"none/n1", "b/b3"}, func(s *snapshot.Service) { s.Active, s.Policy = [2]string{tt.active, tt.active}, &p })
		for _, other := range []string{"all", "nearest 1", "weighted", "failover a"} {
			if got := strings.Join(sorted(chosen(s, policy(t, other), tt.name, !tt.v6, c)), " "); got != tt.want {
				t.Errorf("annotated %s, where the configuration says %s, of %s at %v: %q, want %q", tt.policy, other, tt.name, tt.lon, got, tt.want)
			}
		}
	}
}

// Each family goes its own way: who asks for one gets it wherever it is, and behind an
// SRV record stand those that the target's own name would be answered with.
func TestChooseByFamily(t *testing.T) {
	e := five()
	at := e.client(geo.Point{Lon: 65}) // next to c, which has no IPv6
	at.Draw = 7
	for _, text := range []string{"all", "nearest", "nearest 1", "nearest within 5% 2", "weighted", "weighted 2", "failover c a", "failover x"} {
		s := holding(e.entries, nil, func(s *snapshot.Service) {
			if text == "failover c a" {
				s.Active = [snapshot.Families]string{"c", "a"}
			}
		})
		both := answer.Resolve(s, ruled(policy(t, text)), labels(web), answer.TypeANY, now)
		both.Choose(&at)
		for _, v4 := range []bool{true, false} {
			got := chosen(s, policy(t, text), web, v4, at)
			if len(got) == 0 {
				t.Errorf("%s, IPv4 %v: nothing, though a shard is up that has it", text, v4)
			}
			var beside []string
			for addr := range both.Addrs(v4, 0) {
				beside = append(beside, addr.String())
			}
			if !slices.Equal(beside, got) {
				t.Errorf("%s, IPv4 %v: %q beside other records, %q on their own", text, v4, beside, got)
			}
		}
	}
}

// A set is some shards by their numbers, a bit each.
type set uint32

// drawn is how likely each set of n shards is: of a wheel on which each has its share n times, those on which n spokes stand
// that are one turn of n apart. Who has more than fits between two spokes is in all sets.
func drawn(weights []int, n int) map[set]float64 {
	left := make([]float64, len(weights))
	for i, w := range weights {
		left[i] = float64(w)
		if slices.Max(weights) == 0 {
			left[i] = 1
		}
	}
	sum := func() (total float64) {
		for _, w := range left {
			total += w
		}
		return total
	}
	always := set(0)
	for again := true; again && n > 0; {
		again = false
		for i, w := range left {
			if w > 0 && n > 0 && w*float64(n) >= sum() {
				always, n, left[i], again = always|1<<i, n-1, 0, true
			}
		}
	}
	if n == 0 || sum() == 0 {
		return map[set]float64{always: 1}
	}
	edges := []float64{0, 1}
	at := 0.0
	for _, w := range left {
		at += w * float64(n) / sum()
		edges = append(edges, at-math.Floor(at))
	}
	slices.Sort(edges)
	out := map[set]float64{}
	for i := range edges[1:] {
		size := edges[i+1] - edges[i]
		if size < 1e-9 {
			continue
		}
		middle := edges[i] + size/2
		picked, at := always, 0.0
		for k, w := range left {
			next := at + w*float64(n)/sum()
			if math.Ceil(at-middle) < math.Ceil(next-middle) { // a spoke stands between the two
				picked |= 1 << k
			}
			at = next
		}
		out[picked] += size
	}
	return out
}

// Shares converge on the weights: within 1% over 100,000 answers.
func TestWeighted(t *testing.T) {
	for _, tt := range []struct {
		policy  string
		weights []int
	}{
		{"weighted", []int{1, 1}},
		{"weighted", []int{1, 2, 3, 4}},
		{"weighted", []int{5}},
		{"weighted", []int{0}},
		{"weighted", []int{0, 1}},
		{"weighted", []int{3, 0, 1}},
		{"weighted", []int{0, 0, 0}},
		{"weighted", []int{65535, 1}},
		{"weighted", []int{65535, 65535, 65535}},
		{"weighted", []int{1, 10, 100, 1000}},
		{"weighted 2", []int{1, 1, 1}},
		{"weighted 2", []int{1, 2, 3, 4}},
		{"weighted 2", []int{90, 5, 5}},
		{"weighted 2", []int{1, 0, 3}}, // two are both, always
		{"weighted 2", []int{0, 0, 5}}, // one is all there is
		{"weighted 2", []int{0, 0, 0}},
		{"weighted 3", []int{4, 3, 2, 1, 0}},
		{"weighted 16", []int{1, 2, 3}},
		{"weighted 2", []int{50, 30, 20, 1, 1, 1, 1}},
		{"weighted 3", []int{1, 1, 1, 1, 1, 1, 1, 1}},
		{"weighted 4", []int{100, 100, 3, 2, 1, 9, 9, 0}},
	} {
		t.Run(fmt.Sprintf("%s of %v", tt.policy, tt.weights), func(t *testing.T) {
			var entries []entry
			for i, w := range tt.weights {
				// In two zones: one shard still.
				for _, zone := range []string{"x", "y"} {
					entries = append(entries, entry{i, fmt.Sprintf("r%d/%s%d", i%2, zone, i), fmt.Sprint("192.0.2.", i), uint16(w)})
				}
			}
			p := policy(t, tt.policy)
			a := answer.Resolve(holding(entries, nil, nil), ruled(p), labels(web), answer.TypeA, now)
			var order []int // the wheel's
			var weights []int
			for _, sh := range a.Service.Shards {
				if i := int(sh.Cluster); !slices.Contains(order, i) {
					order, weights = append(order, i), append(weights, int(sh.Weight))
				}
			}
			want := map[set]float64{}
			in := make([]float64, len(order))
			for of, share := range drawn(weights, max(1, p.Count)) {
				var s set
				for k, i := range order {
					if of&(1<<k) != 0 {
						s |= 1 << i
						in[i] += share
					}
				}
				want[s] = share
			}
			if len(want) > len(order) {
				t.Errorf("%d sets of %d shards", len(want), len(order))
			}
			// Who has no more than a spoke's share is given as its weight says, exactly.
			total := 0
			for _, w := range weights {
				total += w
			}
			if n := max(1, p.Count); slices.Max(weights)*n <= total {
				for i, share := range in {
					if is := float64(n*tt.weights[i]) / float64(total); total > 0 && math.Abs(share-is) > 1e-6 {
						t.Errorf("shard %d is in %.3f of the answers, want %.3f", i, share, is)
					}
				}
			}
			r := rand.New(rand.NewPCG(5, 3))
			for _, draws := range []struct {
				by   string
				next func(i uint64) uint64
			}{{"chance", func(uint64) uint64 { return r.Uint64() }}, {"counting", func(i uint64) uint64 { return i }}} {
				const n = 25_000 // of the same draws each time
				got := map[set]int{}
				for i := range uint64(n) {
					a.Choose(&answer.Client{Draw: draws.next(i)})
					var s set
					for addr := range a.Addrs(true, uint32(i)) {
						s |= 1 << addr.As4()[3]
					}
					got[s]++
				}
				for s, k := range got {
					share, is := want[s], float64(k)/n
					if share == 0 || math.Abs(is-share) > 0.01 {
						t.Errorf("drawn by %s: the set %05b has %.2f%% of the answers, want %.2f%%", draws.by, s, 100*is, 100*share)
					}
				}
			}
		})
	}
}

// The name of a region draws among its own shards, and a question for a family among
// those that have it.
func TestWeightedPart(t *testing.T) {
	s := holding([]entry{
		{0, "a/a1", "192.0.2.1", 1}, {1, "a/a1", "192.0.2.2", 3}, {2, "b/b1", "192.0.2.3", 100},
		{1, "a/a1", "2001:db8::2", 3}, {1, "a/a1", "2001:db8::1:2", 3}, {2, "b/b1", "2001:db8::3", 100}, {3, "b/b1", "2001:db8::4", 100},
	}, []string{"b/b2", "c/c1"}, nil)
	for _, tt := range []struct {
		name string
		v4   bool
		want map[string]float64
	}{
		{web, true, map[string]float64{"192.0.2.1": 1. / 104, "192.0.2.2": 3. / 104, "192.0.2.3": 100. / 104}},
		{web, false, map[string]float64{"2001:db8::1:2 2001:db8::2": 3. / 203, "2001:db8::3": 100. / 203, "2001:db8::4": 100. / 203}},
		{web + ".a", true, map[string]float64{"192.0.2.1": .25, "192.0.2.2": .75}},
		{web + ".a", false, map[string]float64{"2001:db8::1:2 2001:db8::2": 1}},
		{web + ".b2.b", false, map[string]float64{"2001:db8::3": .5, "2001:db8::4": .5}}, // leads up to the region
		{web + ".c1.c", true, map[string]float64{"192.0.2.1": 1. / 104, "192.0.2.2": 3. / 104, "192.0.2.3": 100. / 104}},
		{web + ".a1.a", true, map[string]float64{"192.0.2.1 192.0.2.2": 1}},
	} {
		r := rand.New(rand.NewPCG(5, 4))
		const n = 20_000
		got := map[string]float64{}
		for range n {
			got[strings.Join(sorted(chosen(s, policy(t, "weighted"), tt.name, tt.v4, answer.Client{Draw: r.Uint64()})), " ")] += 1. / n
		}
		for set, share := range tt.want {
			if math.Abs(got[set]-share) > 0.015 {
				t.Errorf("%s, IPv4 %v: %q has %.3f, want %.3f", tt.name, tt.v4, set, got[set], share)
			}
			delete(got, set)
		}
		if len(got) > 0 {
			t.Errorf("%s, IPv4 %v: also %v", tt.name, tt.v4, got)
		}
	}
}

// Whatever comes and goes, the first region of the list that is up answers, and if
// none is, all others do.
func TestFailover(t *testing.T) {
	regions := []string{"a", "b", "c", "d", "e"}
	list := []string{"c", "a", "e"}
	var clusters []shard.Cluster
	for i := range 2 * len(regions) {
		region := regions[i%len(regions)]
		clusters = append(clusters, shard.Cluster{Name: topology.ClusterName(fmt.Sprint("c", i)), Region: region, Zones: []string{region + "-z"}})
	}
	p := policy(t, "failover "+strings.Join(list, " "))
	table := table.New(clusters, shard.Policy{Choice: p})
	key := snapshot.Key{Namespace: "shop", Name: "web"}
	for i := range clusters {
		for _, c := range []shard.Change{shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}, shard.SliceList{}, shard.NodeList{}} {
			table.Apply(i, c)
		}
		table.Apply(i, shard.ServiceSet{Service: &shard.Service{Key: key, Balancer: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}}})
	}
	up := make([]bool, len(clusters))
	f := snapshot.NewFederation("fed")
	r := rand.New(rand.NewPCG(5, 5))
	seen := map[string]int{}
	for range 2000 {
		i := r.IntN(len(clusters))
		up[i] = r.IntN(3) == 0
		table.Apply(i, shard.SliceSet{Slice: &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Ready: up[i]}}}})
		f, _ = table.Publish(f, now)
		active := ""
		for _, region := range slices.Backward(list) {
			for i, c := range clusters {
				if up[i] && c.Region == region {
					active = region
				}
			}
		}
		var want []string
		for i, c := range clusters {
			if up[i] && (active == "" || c.Region == active) {
				want = append(want, fmt.Sprint("192.0.2.", i))
			}
		}
		seen[active]++
		var none *snapshot.Snapshot
		s := none.Next([]*snapshot.Federation{f})
		if got := chosen(s, p, web, true, answer.Client{}); !slices.Equal(sorted(got), sorted(want)) {
			t.Fatalf("%v are up: %q, want %q of region %q", up, got, want, active)
		}
	}
	if len(seen) != len(list)+1 || slices.Min(slices.Collect(maps.Values(seen))) < 20 {
		t.Errorf("regions that were answered from: %v", seen)
	}
}

// TestChooseAllocs: an answer is chosen without anything on the heap.
func TestChooseAllocs(t *testing.T) {
	e := five()
	s := holding(e.entries, []string{"none/n1"}, func(s *snapshot.Service) { s.Active = [2]string{"b", "b"} })
	c := e.client(geo.Point{Lon: 22})
	for _, text := range []string{"all", "nearest", "nearest within 5%", "nearest within 10% 3", "weighted", "weighted 3", "failover b a", "failover b a failback manual"} {
		members := ruled(policy(t, text))
		for _, name := range []string{web, web + ".b", web + ".b2.b", web + ".n1.none"} {
			path := labels(name)
			n := testing.AllocsPerRun(200, func() {
				c.Draw++
				a := answer.Resolve(s, members, path, answer.TypeA, now)
				a.Choose(&c)
				for addr := range a.Addrs(true, uint32(c.Draw)) {
					sink += addr.BitLen()
				}
			})
			if n != 0 {
				t.Errorf("%s of %s: %v allocations", text, name, n)
			}
		}
	}
}
