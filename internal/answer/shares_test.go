package answer_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
)

// tooFar is Pearson's chi-square of counts against shares, and whether it is larger than chance makes it
// once in three million times (five standard deviations, by the approximation of Wilson and
// Hilferty). What is expected less than five times is counted together.
func tooFar(counts map[string]int, shares map[string]float64) (x float64, far bool) {
	n := 0
	for what, k := range counts {
		if n += k; shares[what] == 0 && k > 0 {
			return math.Inf(1), true
		}
	}
	cells, rest, few := 0, 0.0, 0
	for what, share := range shares {
		want := share * float64(n)
		if want < 5 {
			rest, few = rest+want, few+counts[what]
			continue
		}
		cells++
		x += (float64(counts[what]) - want) * (float64(counts[what]) - want) / want
	}
	if rest >= 5 {
		cells++
		x += (float64(few) - rest) * (float64(few) - rest) / rest
	}
	k := float64(cells - 1)
	if k < 1 {
		return x, x > 1e-9
	}
	return x, x > k*math.Pow(1-2/(9*k)+5*math.Sqrt(2/(9*k)), 3)
}

// addrs are those of some clusters, sorted.
func (e *earth) addrs(v4 bool, of func(cluster int) bool) string {
	var out []string
	for _, x := range e.entries {
		if of(x.cluster) && strings.Contains(x.addr, ".") == v4 && !slices.Contains(out, x.addr) {
			out = append(out, x.addr)
		}
	}
	return strings.Join(sorted(out), " ")
}

// Each shard has its share, in any federation: of weighted what its weight says, however many
// have its address, and of nearest what going round gives. What a cluster that goes leaves
// is shared by the others.
func TestShares(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 11))
	const n = 3000
	answers := 0
	for round := range 25 {
		e := settle(r, 30)
		weights := map[int]int{}
		for i := range e.entries { // one cluster, one weight; many share one place and address
			x := &e.entries[i]
			if _, ok := weights[x.cluster]; !ok {
				weights[x.cluster] = r.IntN(4)
			}
			x.weight = uint16(weights[x.cluster])
			if r.IntN(3) == 0 {
				x.place, x.addr = e.entries[0].place, e.entries[0].addr
			}
		}
		if len(e.entries) == 0 {
			continue
		}
		from := anywhere(r)
		for lost := -1; lost < 3; lost++ {
			here := &earth{regions: e.regions, atlas: e.atlas, within: e.within, entries: slices.DeleteFunc(slices.Clone(e.entries), func(x entry) bool { return x.cluster == lost })}
			s := holding(here.entries, slices.Collect(maps.Keys(e.regions)), nil)
			for _, text := range []string{"weighted", "weighted 2", "nearest 1", "nearest 2", "nearest within 30% 3"} {
				p := policy(t, text)
				shares := map[string]float64{}
				if p.Count == 0 || strings.HasPrefix(text, "weighted") {
					var list, of []int
					for _, sh := range answer.Resolve(s, ruled(p), labels(web), answer.TypeA, now).Service.Shards {
						if c := int(sh.Cluster); snapshot.FamilyOf(sh.Addr) == snapshot.IPv4 && !slices.Contains(of, c) {
							list, of = append(list, weights[c]), append(of, c)
						}
					}
					if len(list) == 0 {
						continue
					}
					for set, share := range drawn(list, max(1, p.Count)) {
						shares[here.addrs(true, func(o int) bool { i := slices.Index(of, o); return i >= 0 && set&(1<<i) != 0 })] += share
					}
				} else {
					for turn := range 60 {
						shares[strings.Join(here.turn(p, from, true, turn), " ")] += 1. / 60
					}
					if shares[""] > 0 {
						continue
					}
				}
				counts := map[string]int{}
				c := here.client(from)
				for range n {
					c.Draw = r.Uint64()
					counts[strings.Join(sorted(chosen(s, p, web, true, c)), " ")]++
				}
				answers += n
				union := map[string]bool{}
				for set := range counts {
					for _, addr := range strings.Fields(set) {
						union[addr] = true
					}
				}
				var possible []string
				a := answer.Resolve(s, ruled(p), labels(web), answer.TypeSRV, now)
				for _, addr := range a.Possible(c, true) {
					possible = append(possible, addr.String())
				}
				if want := slices.Sorted(maps.Keys(union)); !slices.Equal(sorted(possible), want) {
					t.Fatalf("round %d, %s without cluster %d: possible are %q, and given were %q", round, text, lost, possible, want)
				}
				if x, far := tooFar(counts, shares); far {
					t.Fatalf("round %d, %s without cluster %d: %v, want shares of %v (chi-square %.1f)\nof %+v", round, text, lost, counts, shares, x, here.entries)
				}
			}
		}
	}
	t.Logf("%d answers", answers)
	if answers < 500_000 {
		t.Errorf("only %d answers", answers)
	}
}

// Of clusters that announce one address at one place, each adds its weight to it, and takes
// only that with it. Names of the region, and those that lead up, have the same shares.
func TestSharedAddress(t *testing.T) {
	all := []entry{{0, "a/a1", "192.0.2.200", 0}, {1, "a/a1", "192.0.2.200", 1}, {2, "a/a1", "192.0.2.9", 1}}
	for _, tt := range []struct {
		lost int
		want map[string]float64
	}{
		{-1, map[string]float64{"192.0.2.200": .5, "192.0.2.9": .5}},
		{0, map[string]float64{"192.0.2.200": .5, "192.0.2.9": .5}},
		{1, map[string]float64{"192.0.2.9": 1}},
		{2, map[string]float64{"192.0.2.200": 1}},
	} {
		s := holding(slices.DeleteFunc(slices.Clone(all), func(x entry) bool { return x.cluster == tt.lost }), []string{"a/a2"}, nil)
		r := rand.New(rand.NewPCG(5, 12))
		for _, name := range []string{web, web + ".a", web + ".a2.a", web + ".a2"} {
			got := map[string]int{}
			for range 4000 {
				got[strings.Join(chosen(s, policy(t, "weighted"), name, true, answer.Client{Draw: r.Uint64()}), " ")]++
			}
			if x, far := tooFar(got, tt.want); far {
				t.Errorf("without cluster %d, %s: %v, want shares of %v (chi-square %.1f)", tt.lost, name, got, tt.want, x)
			}
		}
		// Whatever the policy, an address is given once.
		for _, text := range []string{"all", "nearest", "nearest 2", "weighted 2", "failover a"} {
			for _, name := range []string{web, web + ".a", web + ".a1.a"} {
				got := chosen(s, policy(t, text), name, true, answer.Client{})
				if len(got) != len(slices.Compact(sorted(got))) {
					t.Errorf("without cluster %d, %s of %s: %q", tt.lost, text, name, got)
				}
			}
		}
	}
}

// A region of many clusters, with many addresses, goes round in as many sets as it has
// clusters, each of which is in equally many of them, and has its share.
func TestSharesOfMany(t *testing.T) {
	for _, clusters := range []int{5, 40} {
		e := five()
		e.entries = nil
		for c := range clusters {
			for i := range 3 {
				e.entries = append(e.entries, entry{c, fmt.Sprintf("a/a%d", i), fmt.Sprintf("10.0.%d.%d", c, i), 1})
			}
		}
		s := holding(e.entries, nil, nil)
		r := rand.New(rand.NewPCG(5, 13))
		counts, shares, in := map[string]int{}, map[string]float64{}, map[string]int{}
		c := e.client(e.regions["b"].Point)
		for range 6000 {
			c.Draw = r.Uint64()
			var of []string
			for _, addr := range chosen(s, policy(t, "nearest 3"), web, true, c) {
				if cluster := strings.Split(addr, ".")[2]; !slices.Contains(of, cluster) {
					of = append(of, cluster)
				}
			}
			counts[strings.Join(sorted(of), " ")]++
		}
		for set := range counts {
			shares[set] = 1 / float64(clusters)
			for _, cluster := range strings.Fields(set) {
				in[cluster]++
			}
		}
		if x, far := tooFar(counts, shares); far || len(counts) != clusters {
			t.Errorf("%d clusters: %v, chi-square %.1f", clusters, counts, x)
		}
		for c := range clusters {
			if n := in[fmt.Sprint(c)]; n != 3 {
				t.Errorf("cluster %d of %d is in %d sets, want 3", c, clusters, n)
			}
		}
	}
}
