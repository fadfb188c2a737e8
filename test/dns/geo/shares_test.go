package geo

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A share is a cluster of one region with its address of web there, and its weight.
type share struct {
	name, zone, addr, weight string
	down                     bool
}

// shared writes down a region of these clusters, and gives the Corefile that serves them.
// The addresses of the service mark tell of which round it is.
func shared(t *testing.T, dir string, round int, clusters []share, more ...string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprint(&b, "example.com:PORT {\n bind ADDR\n ready READY\n errors\n federation fed {\n")
	for i, c := range clusters {
		mark := vector.With(vector.Service("shop", "mark", fmt.Sprintf("198.51.%d.%d", round, i)), "fedns.io/policy", "all")
		o := vector.Service("shop", "web", c.addr)
		ingress := vector.With(vector.Ingress("shop", "site", c.addr, [2]string{"site.example.com", "web"}), "fedns.io/policy", "weighted")
		if c.weight != "" {
			vector.With(o, "fedns.io/weight", c.weight)
			vector.With(ingress, "fedns.io/weight", c.weight)
		}
		vector.WriteManifest(t, filepath.Join(dir, c.name, "all.json"), vector.Node("n", "us-central1", c.zone), o, vector.Slice("shop", "web", !c.down, c.zone), ingress, mark, vector.Slice("shop", "mark", true, c.zone))
		fmt.Fprintf(&b, "  cluster %s {\n   manifests %s\n  }\n", c.name, filepath.Join(dir, c.name))
	}
	for _, line := range more {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	fmt.Fprint(&b, " }\n}\n")
	return b.String()
}

// answers waits until a round is answered.
func answers(t *testing.T, s *server.Server, round int, clusters []share) {
	t.Helper()
	var want []string
	for i := range clusters {
		want = append(want, fmt.Sprintf("198.51.%d.%d", round, i))
	}
	server.Eventually(t, 10*time.Second, fmt.Sprint("round ", round, " is answered"), func() bool {
		return read(s.Exchange(t, "udp", question("mark", dns.TypeA, ""))).addrs == strings.Join(want, " ")
	})
}

// counted asks n times, and counts the answers.
func counted(t *testing.T, s *server.Server, n int, name, subnet string) map[string]int {
	t.Helper()
	m := question("web", dns.TypeA, subnet)
	m.Question[0].Name = name
	out := map[string]int{}
	conn, err := (&dns.Client{Timeout: 5 * time.Second}).Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range n {
		m.Id = dns.Id()
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		r, err := conn.ReadMsg()
		if err != nil || r.Id != m.Id {
			t.Fatalf("%s: %v, %v", name, r, err)
		}
		out[read(r).addrs]++
	}
	return out
}

// chiSquare is that of counts that are to be in these shares; infinite, where there is
// something that isn't to be.
func chiSquare(counts map[string]int, shares map[string]float64) (x float64) {
	n := 0
	for what, k := range counts {
		if n += k; shares[what] == 0 {
			return math.Inf(1)
		}
	}
	for what, share := range shares {
		want := share * float64(n)
		x += (float64(counts[what]) - want) * (float64(counts[what]) - want) / want
	}
	return x
}

// rare is a chi-square that chance reaches once in three million times, of up to five
// different answers (29 with one degree of freedom, 36 with four).
const rare = 36

// TestSharedAddress: clusters of one zone that announce one address each add their weight
// to it, by every name that is drawn for, and whoever goes takes only his own.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	clusters := []share{{name: "a", zone: "us-central1-a", addr: "192.0.2.200", weight: "0"}, {name: "b", zone: "us-central1-a", addr: "192.0.2.200", weight: "1"}, {name: "c", zone: "us-central1-a", addr: "192.0.2.9", weight: "1"}}
	half := map[string]float64{"192.0.2.200": .5, "192.0.2.9": .5}
	const n = 2000
	for _, way := range []string{"on", "off"} {
		dir := t.TempDir()
		s := server.Start(t, shared(t, dir, 0, clusters, "policy weighted", "fast "+way))
		for round, tt := range []struct {
			down string
			want map[string]float64
		}{{"", half}, {"a", half}, {"b", map[string]float64{"192.0.2.9": 1}}, {"c", map[string]float64{"192.0.2.200": 1}}} {
			now := slices.Clone(clusters)
			for i := range now {
				now[i].down = now[i].name == tt.down
			}
			shared(t, dir, round, now)
			answers(t, s, round, now)
			for _, name := range []string{"web.shop.fed.svc.example.com.", "web.shop.fed.svc.us-central1.example.com.", "site.example.com."} {
				got := counted(t, s, n, name, "")
				if x := chiSquare(got, tt.want); x > rare {
					t.Errorf("fast %s, without %q: %s: %v, want shares of %v (chi-square %.1f)", way, tt.down, name, got, tt.want, x)
				}
			}
		}
		s.Stop()
	}
}

// TestNearestGoesRound: of five clusters in the closest region, three are answered, each as often
// as the others, in five sets.
func TestNearestGoesRound(t *testing.T) {
	t.Parallel()
	var clusters []share
	want := map[string]float64{}
	for i := range 5 {
		clusters = append(clusters, share{name: fmt.Sprint("c", i), zone: "us-central1-" + string("abcde"[i]), addr: fmt.Sprint("192.0.2.", i+1)})
		want[clusters[i].addr] = 1. / 5
	}
	for _, way := range []string{"on", "off"} {
		s := server.Start(t, shared(t, t.TempDir(), 0, clusters, "policy nearest 3", "nets 10.0.0.0/8 us-central1", "fast "+way))
		answers(t, s, 0, clusters)
		sets := counted(t, s, 3000, "web.shop.fed.svc.example.com.", "10.1.0.0/16")
		of := map[string]int{}
		for set, n := range sets {
			addrs := strings.Fields(set)
			if len(addrs) != 3 {
				t.Errorf("fast %s: an answer has %q", way, set)
			}
			for _, a := range addrs {
				of[a] += n
			}
		}
		// Each set is drawn by itself, so that the counts of addresses vary less than this.
		if x := chiSquare(of, want); x > rare || len(sets) != 5 {
			t.Errorf("fast %s: %v in the sets %v, chi-square %.1f", way, of, sets, x)
		}
		s.Stop()
	}
}
