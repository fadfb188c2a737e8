package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// A model says by itself what each service is answered with: of a federation in which one
// shard after the other comes and goes.
type model struct {
	at    map[string]point // of regions; those that nobody knows the place of are missing
	up    map[string]map[string]bool
	place string // of the service that an operator fails back
}

// order lists the regions from the closest, for a client in one.
func (m *model) order(home string) []string {
	var out []string
	for _, x := range members {
		out = append(out, x.region)
	}
	far := func(region string) float64 {
		from, known := m.at[home]
		to, ok := m.at[region]
		switch {
		case region == home:
			return -1
		case !known || !ok:
			return math.Inf(1)
		}
		return far(from, to)
	}
	slices.Sort(out)
	slices.SortStableFunc(out, func(a, b string) int {
		switch {
		case far(a) < far(b):
			return -1
		case far(a) > far(b):
			return 1
		}
		return 0
	})
	return out
}

// regions are those in which a service is up.
func (m *model) regions(service string) (out []string) {
	for _, x := range members {
		if m.up[service][x.name] {
			out = append(out, x.region)
		}
	}
	return out
}

// answers are the sets of addresses that a client may get.
func (m *model) answers(service, home string) []string {
	up := m.regions(service)
	addrs := func(regions ...string) string {
		var out []string
		for _, x := range members {
			if slices.Contains(regions, x.region) {
				out = append(out, x.addr)
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	first := func(n int) []string {
		closest := slices.DeleteFunc(m.order(home), func(r string) bool { return !slices.Contains(up, r) })
		return closest[:min(n, len(closest))]
	}
	nowhere := home == ""
	switch service {
	case "web":
		if nowhere {
			return []string{addrs(up...)}
		}
		return []string{addrs(first(1)...)}
	case "two":
		if nowhere {
			return []string{addrs(up...)}
		}
		return []string{addrs(first(2)...)}
	case "draw":
		var out []string
		for _, r := range up {
			if r != "attic" || len(up) == 1 { // it weighs nothing
				out = append(out, addrs(r))
			}
		}
		if len(up) == 0 {
			out = []string{""}
		}
		return out
	case "first":
		for _, r := range []string{"europe-west1", "asia-east1"} {
			if slices.Contains(up, r) {
				return []string{addrs(r)}
			}
		}
	case "hand":
		if m.place != "" {
			return []string{addrs(m.place)}
		}
	}
	return []string{addrs(up...)}
}

// follow moves the place of the service that is failed back by hand.
func (m *model) follow() {
	up := m.regions("hand")
	if slices.Contains(up, m.place) {
		return
	}
	m.place = ""
	for _, r := range []string{"us-central1", "asia-east1", "edo"} {
		if m.place == "" && slices.Contains(up, r) {
			m.place = r
		}
	}
}

// TestStates: whatever comes and goes, every policy answers every client as the model says:
// through both ways, and through restarts.
func TestStates(t *testing.T) {
	t.Parallel()
	names := []string{"web", "two", "draw", "first", "hand", "every"}
	w := newWorld(t, map[string]service{
		"draw":  {policy: "weighted", weights: map[string]string{"attic": "0"}},
		"first": {policy: "failover europe-west1 asia-east1"},
		"hand":  {policy: "failover us-central1 asia-east1 edo failback manual"},
	})
	m := &model{at: known(t), up: map[string]map[string]bool{}}
	m.at["us-west1"], m.at["edo"] = point{66.50, 25.73}, point{35.69, 139.70} // as the Corefile says
	delete(m.at, "attic")
	for _, n := range names {
		m.up[n] = map[string]bool{}
		for _, x := range members {
			m.up[n][x.name] = true
		}
	}
	m.follow()
	clients := map[string]string{"": "8.8.8.8/32"}
	lines := []string{"policy nearest", "geo DATABASE", "state " + t.TempDir()}
	for i, x := range members {
		clients[x.region] = fmt.Sprintf("10.%d.0.0/16", i)
		lines = append(lines, "nets "+clients[x.region]+" "+x.region)
	}
	begin := func(way string) *server.Server {
		s := server.Start(t, w.corefile(append(slices.Clone(lines), "fast "+way)...))
		answering(t, s)
		return s
	}
	s := begin("on")
	r := rand.New(rand.NewPCG(19, 2))
	asked, states := 0, 90
	for state := range states {
		x := members[r.IntN(len(members))]
		var without []string
		for _, n := range names {
			if m.up[n][x.name] = r.IntN(5) > 1; !m.up[n][x.name] {
				without = append(without, n)
			}
		}
		m.follow()
		w.write(t, x, without...)
		if state%30 == 29 { // the change is known to the next one only
			s.Kill()
			s = begin([]string{"off", "on"}[state/30%2])
		}
		wrong := ""
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			wrong = ""
			n := 0
			for _, service := range names {
				for home, subnet := range clients {
					n++
					got := read(s.Exchange(t, "udp", question(service, dns.TypeA, netip.MustParsePrefix(subnet).String())))
					if want := m.answers(service, home); !slices.Contains(want, got.addrs) {
						wrong = fmt.Sprintf("%s for a client in %q: %v, want one of %q", service, home, got, want)
					}
				}
			}
			if wrong == "" {
				asked += n
				break
			}
			if time.Now().After(end) {
				t.Fatalf("state %d, %s without %q, at %q: %s", state, x.name, without, m.place, wrong)
			}
		}
	}
	t.Logf("%d answers in %d states", asked, states)
}
