package table_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// Two servers that have seen the same objects in another order, at other times, and with others in between, answer alike:
// the same policy, TTL and weights of every name and host.
func TestAlikeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		type object struct {
			cluster int
			change  shard.Change
			slice   *shard.Slice
			gone    shard.ServiceGone
		}
		draw := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(r, label) }
		make1 := func(cluster int, k snapshot.Key, label string) object {
			o := service(k, fmt.Sprintf("192.0.2.%d", 1+cluster))
			if k.Kind == snapshot.Ing {
				o = ingress(k.Namespace, k.Name, 0, fmt.Sprintf("192.0.2.%d", 1+cluster), claim(host, "web"))
			}
			o.Created = int64(rapid.IntRange(0, 3).Draw(r, label+" created"))
			o.Extend(shard.Extras{Policy: draw(label+" policy", "", "all", "weighted 1", "nearest")})
			o.TTL = rapid.SampledFrom([]uint32{0, 20, 60}).Draw(r, label+" ttl")
			o.Weight = rapid.SampledFrom([]uint16{0, 1, 7}).Draw(r, label+" weight")
			out := object{cluster: cluster, change: shard.ServiceSet{Service: o}, gone: shard.ServiceGone{Key: k}}
			if k.Kind == snapshot.Svc {
				out.slice = slice(k, ready(""))
			}
			return out
		}
		var all []object
		for c := range trio() {
			for _, k := range []snapshot.Key{web, {Namespace: "shop", Name: "x", Kind: snapshot.Ing}, {Namespace: "shop", Name: "y", Kind: snapshot.Ing}} {
				if k == web || rapid.Bool().Draw(r, "has it") {
					all = append(all, make1(c, k, fmt.Sprint(c, " ", k)))
				}
			}
		}
		seen := func(label string) []string {
			b := hosting(t, trio()...)
			for _, c := range rapid.Permutation([]int{0, 1, 2}).Draw(r, label+" listed") {
				b.hear(c, lists()...)
			}
			b.publish()
			b.table.StartupOver()
			for i, at := range rapid.Permutation(indexes(len(all))).Draw(r, label+" order") {
				o := all[at]
				b.now += time.Duration(rapid.IntRange(0, 3).Draw(r, label+" later")) * time.Second
				b.hear(o.cluster, o.change)
				if o.slice != nil {
					b.hear(o.cluster, shard.SliceSet{Slice: o.slice})
				}
				if rapid.Bool().Draw(r, fmt.Sprint(label, " ", i, " published")) {
					b.publish()
				}
				if rapid.Bool().Draw(r, fmt.Sprint(label, " ", i, " again")) {
					b.hear(o.cluster, o.gone).publish()
					b.now += time.Second
					b.hear(o.cluster, o.change)
				}
			}
			b.publish()
			return answers(b.fed)
		}
		if one, other := seen("one"), seen("other"); !slices.Equal(one, other) {
			t.Fatalf("one has\n%q\nand the other\n%q", one, other)
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// answers are what is answered of all names and hosts, but for what has only just changed.
func answers(f *snapshot.Federation) (out []string) {
	say := func(s *snapshot.Service) {
		policy := ""
		if s.Policy != nil {
			policy = s.Policy.String()
		}
		line := fmt.Sprintf("%s policy %q ttl %d", s.Key, policy, s.TTL)
		for _, x := range s.Shards {
			line += fmt.Sprintf(" %s/%d*%d", x.Addr, x.Cluster, x.Weight)
		}
		out = append(out, line)
	}
	for s := range f.Services() {
		say(s)
	}
	for s := range f.Hosts() {
		say(s)
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
