package answer_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/snapshot"
)

// crowd is n addresses of a cluster at a place, the last bytes of which count from 0.
func crowd(cluster int, place, prefix string, n int, weight uint16) (out []entry) {
	p := netip.MustParsePrefix(prefix)
	addr := p.Addr()
	for range n {
		out = append(out, entry{cluster, place, addr.String(), weight})
		addr = addr.Next()
	}
	return out
}

// bounded is web as these entries are answered, with at most n addresses; turn by turn.
func bounded(t *testing.T, entries []entry, n int, policyText string, typ answer.Type, c answer.Client) func(turn uint32) []netip.Addr {
	t.Helper()
	s := holding(entries, nil, func(s *snapshot.Service) { s.Active = [snapshot.Families]string{"eu", "eu"} })
	members := ruled(policy(t, policyText))
	members[0].Answers = n
	return func(turn uint32) (out []netip.Addr) {
		a := answer.Resolve(s, members, labels(web), typ, now)
		c.Draw = uint64(turn)
		a.Choose(&c)
		for addr := range a.Addrs(typ == answer.TypeA, turn) {
			if slices.Contains(out, addr) {
				t.Fatalf("turn %d: %s twice", turn, addr)
			}
			out = append(out, addr)
		}
		if turn%64 > 0 {
			return out
		}
		if given, of := a.Held(typ == answer.TypeA); given != len(out) || of < given {
			t.Fatalf("turn %d: %d addresses, where %d of %d are held", turn, len(out), given, of)
		}
		return out
	}
}

// Each address is given equally often, and first equally often, also to who sees only
// some of the turns; the sets have one size.
func TestBoundEven(t *testing.T) {
	for _, size := range []int{9, 30, 40, 101, 257, 4200} {
		for _, n := range []int{3, 8, 13} {
			if n > size {
				continue
			}
			deal := bounded(t, crowd(0, "eu/eu-a", "10.0.0.0/8", size, 1), n, "all", answer.TypeA, answer.Client{})
			turns := 100 * size / n
			if size > 1000 {
				turns = 20 * size / n
			}
			for _, stride := range []uint32{1, 2, 3, 8, 256} {
				given, first := map[netip.Addr]int{}, map[netip.Addr]int{}
				for i := range turns {
					set := deal(uint32(i) * stride)
					if len(set) != n {
						t.Fatalf("%d of %d: %d", n, size, len(set))
					}
					for _, a := range set {
						given[a]++
					}
					first[set[0]]++
				}
				if len(given) != size {
					t.Errorf("%d of %d, every %d. turn: %d addresses were never given", n, size, stride, size-len(given))
				}
				for what, counts := range map[string]map[netip.Addr]int{"given": given, "first": first} {
					want := float64(turns) / float64(size)
					if what == "given" {
						want *= float64(n)
					}
					for a, k := range counts {
						if off := math.Abs(float64(k) - want); off > 10+want/10 {
							t.Errorf("%d of %d, every %d. turn: %s is %s %d times, want about %.0f", n, size, stride, a, what, k, want)
							break
						}
					}
				}
			}
		}
	}
}

// Whether addresses are looked up or looked through makes no difference.
func TestBoundListed(t *testing.T) {
	var entries []entry
	for i := range 60 { // clusters over zones, over regions, and with the address of another
		addr := fmt.Sprint("10.0.0.", i*7%40)
		entries = append(entries, entry{i % 5, fmt.Sprintf("r%d/z%d", i%3, i%4), addr, 1})
		if i%3 == 0 {
			entries = append(entries, entry{i % 5, fmt.Sprintf("r%d/z%d", i%3, i%2), fmt.Sprint("2001:db8::", i), 1})
		}
	}
	s := holding(entries, nil, nil)
	for _, name := range []string{web, web + ".r0", web + ".r1", web + ".z0.r0"} {
		for _, v4 := range []bool{true, false} {
			for _, n := range []int{0, 1, 4, 7, 100} {
				members := ruled(snapshot.Policy{})
				members[0].Answers = n
				typ := answer.TypeA
				if !v4 {
					typ = answer.TypeAAAA
				}
				a := answer.Resolve(s, members, labels(name), typ, now)
				for turn := range uint32(200) {
					got, want := slices.Collect(a.Addrs(v4, turn)), slices.Collect(answer.Slowly(&a, v4, turn))
					if !slices.Equal(got, want) {
						t.Fatalf("%s, IPv4 %v, %d at most, turn %d: %v, want %v", name, v4, n, turn, got, want)
					}
				}
			}
		}
	}
}

// Every answer has its share of every shard and place, whatever the turn.
func TestBoundSpread(t *testing.T) {
	entries := slices.Concat(crowd(0, "eu/eu-a", "10.0.0.0/16", 100, 1), crowd(1, "eu/eu-b", "10.1.0.0/16", 100, 1), crowd(2, "us/us-a", "10.2.0.0/16", 200, 1), crowd(2, "us/us-b", "10.2.0.0/16", 200, 1))
	deal := bounded(t, entries, 8, "all", answer.TypeA, answer.Client{})
	for turn := range uint32(2000) {
		var of [3]int
		for _, a := range deal(turn) {
			of[a.As4()[1]]++
		}
		if of[0] < 1 || of[0] > 3 || of[1] < 1 || of[1] > 3 || of[2] < 3 || of[2] > 5 {
			t.Fatalf("turn %d: %v of the shards with 100, 100 and 200", turn, of)
		}
	}
}

// What a policy chose is what there is to choose from, and each shard that it chose by
// number has as many places as the others.
func TestBoundPolicies(t *testing.T) {
	entries := slices.Concat(
		crowd(0, "eu/eu-a", "10.0.0.0/16", 100, 3), crowd(1, "eu/eu-b", "10.1.0.0/16", 2, 1), crowd(2, "us/us-a", "10.2.0.0/16", 50, 1), crowd(3, "as/as-a", "10.3.0.0/16", 5, 0),
		crowd(0, "eu/eu-a", "2001:db8::/64", 3, 3), crowd(2, "us/us-a", "2001:db8:2::/64", 30, 1),
	)
	regions := map[string]geo.Place{"eu": {Point: geo.Point{Lon: 0}, Source: geo.Location}, "us": {Point: geo.Point{Lon: 100}, Source: geo.Location}, "as": {Point: geo.Point{Lon: 101}, Source: geo.Location}}
	atlas := geo.NewAtlas(regions, 50)
	from := func(lon float64) answer.Client {
		return answer.Client{Ranking: atlas.Rank(geo.Point{Lon: lon}), Regions: atlas.Regions(), Within: []int{50}}
	}
	for _, tt := range []struct {
		policy string
		lon    float64
		typ    answer.Type
		want   string // how many of each cluster, at all turns
	}{
		{"nearest", 1, answer.TypeA, "8 0 0 0|7 1 0 0"},
		{"nearest", 101, answer.TypeA, "0 0 0 5"}, // fewer than there is room for
		{"nearest within 50%", 98, answer.TypeA, "0 0 8 0|0 0 7 1"},
		{"nearest 2", 1, answer.TypeA, "6 2 0 0"},
		{"nearest 3", 1, answer.TypeA, "3 2 3 0|3 2 0 3"},
		{"nearest 4", 101, answer.TypeA, "2 2 2 2"},
		{"nearest", 1, answer.TypeAAAA, "3 0 0 0"},
		{"nearest 2", 1, answer.TypeAAAA, "3 0 5 0"},
		{"failover eu us", 1, answer.TypeA, "8 0 0 0|7 1 0 0"},
		{"failover eu us", 1, answer.TypeAAAA, "3 0 0 0"},
		{"weighted 16", 1, answer.TypeA, "3 2 3 0"}, // cluster 3 weighs nothing
		{"weighted", 1, answer.TypeA, "8 0 0 0|0 2 0 0|0 0 8 0"},
	} {
		deal := bounded(t, entries, 8, tt.policy, tt.typ, from(tt.lon))
		seen := map[string]bool{}
		for turn := range uint32(500) {
			var of [4]int
			for _, a := range deal(turn) {
				for _, e := range entries {
					if e.addr == a.String() {
						of[e.cluster]++
					}
				}
			}
			seen[fmt.Sprint(of)] = true
		}
		want := map[string]bool{}
		for s := range strings.SplitSeq(tt.want, "|") {
			want["["+s+"]"] = true
		}
		for s := range seen {
			if !want[s] {
				t.Errorf("%s from %v, %v: %s, want %s", tt.policy, tt.lon, tt.typ, s, tt.want)
			}
		}
	}
}

// A weighted answer of one shard is drawn by weight before it is cut.
func TestBoundWeights(t *testing.T) {
	entries := slices.Concat(crowd(0, "eu/eu-a", "10.0.0.0/16", 100, 3), crowd(1, "us/us-a", "10.1.0.0/16", 10, 1))
	deal := bounded(t, entries, 4, "weighted", answer.TypeA, answer.Client{})
	var drawn [2]int
	for turn := range uint32(8000) {
		drawn[deal(turn)[0].As4()[1]]++
	}
	if drawn[0] < 5700 || drawn[0] > 6300 {
		t.Errorf("%v are drawn, by 3 to 1", drawn)
	}
}

// A bounded answer needs nothing on the heap either.
func TestBoundAllocs(t *testing.T) {
	s := holding(slices.Concat(crowd(0, "eu/eu-a", "10.0.0.0/16", 100, 3), crowd(1, "us/us-a", "10.1.0.0/16", 100, 1)), nil, nil)
	for _, text := range []string{"all", "nearest 3", "weighted", "weighted 16"} {
		members := ruled(policy(t, text))
		members[0].Answers = 8
		path, c := labels(web), answer.Client{}
		if n := testing.AllocsPerRun(200, func() {
			c.Draw++
			a := answer.Resolve(s, members, path, answer.TypeA, now)
			a.Choose(&c)
			for addr := range a.Addrs(true, uint32(c.Draw)) {
				sink += addr.BitLen()
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

// BenchmarkBound is what an answer out of many addresses costs.
func BenchmarkBound(b *testing.B) {
	for _, size := range []int{8, 40, 257, 4200} {
		s := holding(crowd(0, "eu/eu-a", "10.0.0.0/8", size, 1), nil, nil)
		members := ruled(snapshot.Policy{})
		members[0].Answers = answer.DefaultAnswers
		path := labels(web)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for turn := uint32(0); b.Loop(); turn++ {
				a := answer.Resolve(s, members, path, answer.TypeA, now)
				for addr := range a.Addrs(true, turn) {
					sink += addr.BitLen()
				}
			}
		})
	}
}
