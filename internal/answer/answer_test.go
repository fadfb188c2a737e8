package answer_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/test/framework/vector"
)

const now = time.Hour // on the program's own clock

var plain = []answer.Member{{TTL: 180, Degraded: 30}}

// publish is the snapshot of a table that never had another state.
func publish(name string, t *table.Table) *snapshot.Snapshot {
	f, _ := t.Publish(snapshot.NewFederation(name), now)
	var s *snapshot.Snapshot
	return s.Next([]*snapshot.Federation{f})
}

func labels(rel string) []string {
	if rel == "" {
		return nil
	}
	return strings.Split(rel, ".")
}

func TestVectors(t *testing.T) {
	for _, v := range vector.Vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			s := publish(v.Service.Federation, v.Table())
			for name, want := range v.Expect {
				check(t, s, &v, name, want)
				if short, ok := v.ShortForm(name); ok {
					check(t, s, &v, short, want)
				}
			}
		})
	}
}

func check(t *testing.T, s *snapshot.Snapshot, v *vector.Vector, name string, want vector.Expect) {
	t.Helper()
	suffix := "." + v.Service.DNSSuffix
	for _, q := range []struct {
		t    answer.Type
		want []netip.Addr
	}{{answer.TypeA, want.A}, {answer.TypeAAAA, want.AAAA}} {
		a := answer.Resolve(s, plain, labels(strings.TrimSuffix(name, suffix)), q.t, now)
		rcode := "NOERROR"
		if a.Outcome == answer.NameError {
			rcode = "NXDOMAIN"
		}
		if len(v.Clusters) == 0 && a.Outcome == answer.NotReady {
			// A federation without clusters has never heard of anything. On the
			// wire it can't be configured at all.
			rcode = "NXDOMAIN"
		}
		var chain []string
		for c := range a.Chain() {
			chain = append(chain, a.Path.At(c)+suffix)
		}
		got := slices.Collect(a.Addrs(q.t == answer.TypeA, 7))
		slices.SortFunc(got, netip.Addr.Compare)
		slices.SortFunc(q.want, netip.Addr.Compare)
		if rcode != want.Rcode || !slices.Equal(chain, want.Chain) || !slices.Equal(got, q.want) {
			t.Errorf("%s type %d: %s %q %v, want %s %q %v", name, q.t, rcode, chain, got, want.Rcode, want.Chain, q.want)
		}
	}
}

// blog is the federation of the articles: pods in all regions but Europe.
func blog(t *testing.T) *snapshot.Snapshot {
	for _, v := range vector.Vectors(t) {
		if v.ID == "N01" {
			table := v.Table()
			table.Apply(0, shard.ServiceSet{Service: &shard.Service{
				Key: snapshot.Key{Namespace: "mynamespace", Name: "nginx"}, Balancer: true,
				Addrs: []netip.Addr{netip.MustParseAddr("104.154.0.1")},
				Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 80}},
			}})
			table.Apply(5, shard.ServiceSet{Service: &shard.Service{
				Key: snapshot.Key{Namespace: "mynamespace", Name: "nginx"}, Balancer: true,
				Addrs: []netip.Addr{netip.MustParseAddr("146.148.0.1")},
				Ports: []shard.Port{{Name: "metrics", Proto: "tcp", Number: 9100}},
			}})
			return publish("myfederation", table)
		}
	}
	t.Fatal("vector N01 is missing")
	return nil
}

// line prints an answer as the tables below have it.
func line(a answer.Answer) string {
	out := a.Outcome.String()
	for c := range a.Chain() {
		out += " -> " + a.Path.At(c)
	}
	for p := range a.Targets(0) {
		out += fmt.Sprint(" port ", p.Port)
	}
	return out
}

func TestNames(t *testing.T) {
	s := blog(t)
	const (
		svc = "nginx.mynamespace.myfederation.svc"
		typ = answer.TypeA
	)
	for _, tt := range []struct {
		name  string
		typ   answer.Type
		want  string
		depth int
	}{
		{svc, typ, "success", 4},
		{svc + ".us-central1", typ, "success", 5},
		{svc + ".us-central1-a.us-central1", typ, "success", 6},
		{svc + ".us-central1-a", typ, "success", 5},
		{svc + ".europe-west1", typ, "success -> " + svc, 5},
		{svc + ".europe-west1-b", typ, "success -> " + svc + ".europe-west1 -> " + svc, 5},
		{svc, answer.TypeAAAA, "nodata", 4},
		{svc + ".europe-west1", answer.TypeAAAA, "nodata -> " + svc, 5},
		{svc + ".europe-west1", answer.TypeCNAME, "success -> " + svc, 5},
		{svc + ".europe-west1-b", answer.TypeANY, "success -> " + svc + ".europe-west1", 5},
		{svc, answer.TypeCNAME, "nodata", 4},
		{svc, answer.TypeANY, "success", 4},
		{svc, 16, "nodata", 4},
		{svc, 1000, "nodata", 4},
		{svc + ".europe-west1", 1000, "nodata -> " + svc, 5},

		// Ports.
		{"_http._tcp." + svc, answer.TypeSRV, "success port 80", 6},
		{"_http._tcp." + svc + ".us-central1-a", answer.TypeSRV, "success port 80", 7},
		{"_http._tcp." + svc + ".us-central1-b", answer.TypeSRV, "success -> _http._tcp." + svc + ".us-central1 port 80", 7},
		{"_http._tcp." + svc + ".asia-east1", answer.TypeSRV, "success -> _http._tcp." + svc + " port 80", 7},
		{"_http._tcp." + svc, typ, "nodata", 6},
		{"_metrics._tcp." + svc, answer.TypeSRV, "nodata", 6}, // only a shard that is down has it
		{"_tcp." + svc, typ, "nodata", 5},
		{"_udp." + svc, typ, "nxdomain", 4},
		{"tcp." + svc, typ, "nxdomain", 4},
		{"_ssh._tcp." + svc, answer.TypeSRV, "nxdomain", 5},
		{"x._http._tcp." + svc, typ, "nxdomain", 6},
		{"y.x._http._tcp." + svc, typ, "nxdomain", 6},

		// Empty non-terminals.
		{"svc", typ, "nodata", 1},
		{"myfederation.svc", typ, "nodata", 2},
		{"mynamespace.myfederation.svc", typ, "nodata", 3},
		{"us-central1", typ, "nodata", 1},
		{"us-central1-a.us-central1", typ, "nodata", 2},
		{"us-central1-a", typ, "nodata", 1},
		{"svc.us-central1", typ, "nodata", 2},
		{"myfederation.svc.us-central1-a", typ, "nodata", 3},
		{"mynamespace.myfederation.svc.us-central1-a.us-central1", typ, "nodata", 5},

		// What isn't there.
		{"nope", typ, "nxdomain", 0},
		{"nope.us-central1", typ, "nxdomain", 1},
		{"a.b.c.d", typ, "nxdomain", 0},
		{"ing", typ, "nxdomain", 0},
		{"ing.us-central1", typ, "nxdomain", 1},
		{"myfederation.ing", typ, "nxdomain", 0},
		{"nginx.mynamespace.myfederation.ing.us-central1", typ, "nxdomain", 1},
		{"nginx.mynamespace.other.svc", typ, "nxdomain", 1},
		{"other.svc.us-central1", typ, "nxdomain", 2},
		{"nginx.other.myfederation.svc", typ, "nxdomain", 2},
		{"other.mynamespace.myfederation.svc", typ, "nxdomain", 3},
		{svc + ".mars", typ, "nxdomain", 0},
		{svc + ".us-central1-z.us-central1", typ, "nxdomain", 1},
		{svc + ".us-central1-a.asia-east1", typ, "nxdomain", 1},
		{svc + ".x.us-central1-a.us-central1", typ, "nxdomain", 2},
	} {
		a := answer.Resolve(s, plain, labels(tt.name), tt.typ, now)
		if got := line(a); got != tt.want {
			t.Errorf("%s type %d: %s, want %s", tt.name, tt.typ, got, tt.want)
		}
		if a.Depth != tt.depth {
			t.Errorf("%s: %d labels exist, want %d", tt.name, a.Depth, tt.depth)
		}
		if a.Outcome != answer.Found && a.Why == "" {
			t.Errorf("%s: no reason", tt.name)
		}
	}
}

func TestLenient(t *testing.T) {
	s := blog(t)
	const svc = "nginx.mynamespace.myfederation.svc"
	for name, want := range map[string]string{
		svc + ".mars":                       "success -> " + svc,
		svc + ".olympus.mars":               "success -> " + svc + ".mars -> " + svc,
		svc + ".us-central1-z.us-central1":  "success -> " + svc + ".us-central1",
		svc + ".us-central1-a":              "success",
		"other." + svc[6:] + ".mars":        "nxdomain",
		"mynamespace.myfederation.svc.mars": "nodata",
		"myfederation.svc.olympus.mars":     "nodata",
		"olympus.mars":                      "nodata",
		"mars":                              "nodata",
		"x.olympus.mars":                    "nxdomain",
	} {
		a := answer.Resolve(s, []answer.Member{{TTL: 180, Degraded: 30, Lenient: true}}, labels(name), answer.TypeA, now)
		if got := line(a); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Before every member has been listed, a name that isn't known may yet turn out
// to exist; one that is known is answered.
func TestNotReady(t *testing.T) {
	ready := table.New([]shard.Cluster{{Name: "a", Region: "r", Zones: []string{"z"}}, {Name: "b", Region: "r2"}}, shard.Policy{})
	one := netip.MustParseAddr("192.0.2.1")
	ready.Apply(0, shard.ServiceList{Services: []*shard.Service{{Key: snapshot.Key{Namespace: "n", Name: "s"}, Addrs: []netip.Addr{one}}}})
	ready.Apply(0, shard.ServiceList{Kind: snapshot.Ing})
	ready.Apply(0, shard.SliceList{Slices: []*shard.Slice{{Key: shard.SliceKey{Namespace: "n", Name: "s-x"}, Service: "s", Endpoints: []shard.Endpoint{{Ready: true}}}}})
	f, _ := ready.Publish(snapshot.NewFederation("fed"), now)
	var s *snapshot.Snapshot
	ask := func(name string) string {
		return answer.Resolve(s, plain, labels(name), answer.TypeA, now).Outcome.String()
	}
	s = s.Next([]*snapshot.Federation{f})
	if got := ask("s.n.fed.svc"); got != "notready" {
		t.Errorf("half a list is answered from: %s", got)
	}
	ready.EndWait()
	f, _ = ready.Publish(f, now)
	s = s.Next([]*snapshot.Federation{f})
	if got := ask("s.n.fed.svc"); got != "notready" {
		t.Errorf("a federation that never heard from any member says %s", got)
	}

	ready.Apply(0, shard.NodeList{})
	f, _ = ready.Publish(f, now)
	s = s.Next([]*snapshot.Federation{f})
	for name, want := range map[string]string{
		"s.n.fed.svc": "success", "s.n.fed.svc.r": "success", "s.n.fed.svc.z.r": "success",
		"s.n.fed.svc.r2": "success", // a member, by its configuration
		"x.n.fed.svc":    "nxdomain", "n.fed.svc": "nodata", "s.n.other.svc": "nxdomain",
	} {
		if got := ask(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// In the beginning there is no answer that depends on what isn't known yet, and one at
// once that doesn't; later, what is known is answered, for a short time. Members that
// have not been listed hold up only names where nobody is up.
func TestHeld(t *testing.T) {
	place := func(region, zone string) topology.Place { return topology.Place{Region: region, Zone: zone} }
	addr := netip.MustParseAddr("192.0.2.1")
	us, eu, as := place("us", "us1"), place("eu", "eu1"), place("as", "as1")
	type list = []snapshot.Await
	for _, tt := range []struct {
		name     string
		awaits   list // of s, which is up in eu
		unlisted list
		want     string // of s in us1, us, eu1, eu, the world, and of d, which is down, in eu1 and the world
	}{
		{"nothing", nil, nil, "180 180 180 180 180 nodata nodata"},
		{"a shard", list{{Place: us, What: "x", Hold: true}}, nil, "x x 180 180 x nodata nodata"},
		{"a shard that is up", list{{Place: eu, What: "x", Hold: true}}, nil, "x x x x x nodata nodata"},
		{"a shard, later", list{{Place: us, What: "x"}}, nil, "30x 30x 180 180 30x nodata nodata"},
		{"a member", nil, list{{Place: us, What: "x", Hold: true}}, "x x 180 180 30x x x"},
		{"a member elsewhere", nil, list{{Place: as, What: "x", Hold: true}}, "30x 30x 180 180 30x x x"},
		{"a member beside the one that is up", nil, list{{Place: eu, What: "x", Hold: true}}, "30x 30x 30x 30x 30x x x"},
		{"a member of which it isn't known where it is", nil, list{{What: "x", Hold: true}}, "30x 30x 180 180 30x x x"},
		{"a member, later", nil, list{{Place: us, What: "x"}}, "30x 30x 180 180 30x nodatax nodatax"},
	} {
		e := snapshot.NewFederation("fed").Edit()
		e.Topology(topology.New([]topology.Place{us, eu, as}))
		e.SetListed(true, true, tt.unlisted)
		svc := &snapshot.Service{Key: snapshot.Key{Namespace: "n", Name: "s"}, Shards: []snapshot.Shard{{Place: eu, Addr: addr}}, Awaits: tt.awaits}
		e.Set(svc.Freeze())
		e.Set((&snapshot.Service{Key: snapshot.Key{Namespace: "n", Name: "d"}, Down: "no shard is up"}).Freeze())
		var s *snapshot.Snapshot
		s = s.Next([]*snapshot.Federation{e.Done()})
		var got []string
		for _, name := range []string{"s.n.fed.svc.us1.us", "s.n.fed.svc.us", "s.n.fed.svc.eu1.eu", "s.n.fed.svc.eu", "s.n.fed.svc", "d.n.fed.svc.eu1.eu", "d.n.fed.svc"} {
			a := answer.Resolve(s, plain, labels(name), answer.TypeA, now)
			switch a.Outcome {
			case answer.NotReady:
				for n := range a.Notes() {
					if n.Code != answer.NoteNotReady || n.String() != a.Awaits {
						t.Errorf("%s: %s: note %d %s", tt.name, name, n.Code, n)
					}
				}
				if n := slices.Collect(a.Addrs(true, 0)); a.Hops > 0 || a.Target {
					t.Errorf("%s: %s: it isn't known, and leads to %v", tt.name, name, n)
				}
				got = append(got, a.Awaits)
			case answer.NoData:
				got = append(got, "nodata"+a.Awaits)
			default:
				got = append(got, fmt.Sprint(a.TTL)+a.Awaits)
			}
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, g, tt.want)
		}
	}
}

// The order of the addresses rotates from answer to answer; the set doesn't.
func TestRotation(t *testing.T) {
	s := blog(t)
	first := map[netip.Addr]int{}
	for turn := range uint32(10) {
		a := answer.Resolve(s, plain, labels("nginx.mynamespace.myfederation.svc"), answer.TypeA, now)
		got := slices.Collect(a.Addrs(true, turn))
		if len(got) != 5 {
			t.Fatalf("turn %d: %v", turn, got)
		}
		first[got[0]]++
	}
	if counts := slices.Collect(maps.Values(first)); !slices.Equal(counts, []int{2, 2, 2, 2, 2}) {
		t.Errorf("first addresses of ten answers: %v", first)
	}
}

// An answer is short-lived for half an hour after a shard that could be in it
// came or went, and others aren't.
func TestDegradedTTL(t *testing.T) {
	var working *table.Table
	for _, v := range vector.Vectors(t) {
		if v.ID == "N01" {
			working = v.Table()
		}
	}
	f, _ := working.Publish(snapshot.NewFederation("myfederation"), now)
	key := shard.SliceKey{Namespace: "mynamespace", Name: "nginx-x"}
	working.Apply(1, shard.SliceSet{Slice: &shard.Slice{Key: key, Service: "nginx", Endpoints: []shard.Endpoint{{Zone: "us-central1-b"}}}})
	f, moved := working.Publish(f, now)
	if len(moved) != 1 || moved[0].String() != "mynamespace/nginx in gce-us-central1-b: down (no ready endpoint)" {
		t.Errorf("transitions: %v", moved)
	}
	var s *snapshot.Snapshot
	s = s.Next([]*snapshot.Federation{f})
	const svc = "nginx.mynamespace.myfederation.svc"
	for _, tt := range []struct {
		name string
		at   time.Duration
		want uint32
	}{
		{svc, now, 30},
		{svc + ".us-central1", now, 30},
		{svc + ".us-central1-b", now, 30},
		{svc + ".us-central1-a", now, 180},
		{svc + ".asia-east1", now, 180},
		{svc + ".europe-west1", now, 30}, // leads to the global name
		{svc, now + table.Settling - 1, 30},
		{svc, now + table.Settling, 180},
	} {
		if got := answer.Resolve(s, plain, labels(tt.name), answer.TypeA, tt.at).TTL; got != tt.want {
			t.Errorf("%s at +%v: TTL %d, want %d", tt.name, tt.at-now, got, tt.want)
		}
	}
}

// Two federations share a domain: each has its own services and scopes, and the
// names above them exist if either has something there.
func TestTwoFederations(t *testing.T) {
	mk := func(name string, c shard.Cluster) *snapshot.Federation {
		table := table.New([]shard.Cluster{c}, shard.Policy{})
		table.Apply(0, shard.ServiceList{Services: []*shard.Service{{Key: snapshot.Key{Namespace: name + "-ns", Name: "s"}}}})
		table.Apply(0, shard.ServiceList{Kind: snapshot.Ing})
		table.Apply(0, shard.SliceList{})
		table.Apply(0, shard.NodeList{})
		f, _ := table.Publish(snapshot.NewFederation(name), now)
		return f
	}
	var s *snapshot.Snapshot
	s = s.Next([]*snapshot.Federation{
		mk("one", shard.Cluster{Name: "a", Region: "eu", Zones: []string{"eu-a"}}),
		mk("two", shard.Cluster{Name: "b", Region: "us", Zones: []string{"us-a"}}),
	})
	both := []answer.Member{{Index: 0}, {Index: 1}}
	for name, want := range map[string]string{
		"s.one-ns.one.svc": "nodata", "s.two-ns.two.svc": "nodata", "s.one-ns.two.svc": "nxdomain",
		"s.one-ns.one.svc.eu": "nodata -> s.one-ns.one.svc", "s.one-ns.one.svc.us": "nxdomain",
		"svc.eu": "nodata", "svc.us": "nodata", "one.svc.us": "nxdomain", "two.svc.us": "nodata",
		"us-a.us": "nodata", "eu-a.us": "nxdomain",
	} {
		if got := line(answer.Resolve(s, both, labels(name), answer.TypeA, now)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := line(answer.Resolve(s, both[:1], labels("s.two-ns.two.svc"), answer.TypeA, now)); got != "nxdomain" {
		t.Errorf("a federation that isn't under the domain answers: %s", got)
	}
}

var sink int

func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n, "_services"), func(b *testing.B) {
			s := large(n)
			qs := make([][]string, 4096)
			for i := range qs {
				qs[i] = labels(fmt.Sprintf("svc%d.ns%d.fed.svc.r%d", i%n, i%n%20, i%4))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := answer.Resolve(s, plain, qs[i&4095], answer.TypeA, now)
				for range a.Addrs(true, uint32(i)) {
					sink++
				}
			}
		})
	}
}

// large is a federation of n services in eight zones of four regions.
func large(n int) *snapshot.Snapshot {
	var places []topology.Place
	e := snapshot.NewFederation("fed").Edit()
	for i := range 8 {
		places = append(places, topology.Place{Region: fmt.Sprint("r", i/2), Zone: fmt.Sprint("z", i)})
	}
	for i := range n {
		s := &snapshot.Service{Key: snapshot.Key{Namespace: fmt.Sprint("ns", i%20), Name: fmt.Sprint("svc", i)}}
		for j, p := range places {
			s.Shards = append(s.Shards, snapshot.Shard{Place: p, Addr: netip.AddrFrom4([4]byte{198, byte(18 + j), byte(i >> 8), byte(i)})})
		}
		e.Set(s.Freeze())
	}
	e.Topology(topology.New(places))
	e.SetListed(true, true, nil)
	var s *snapshot.Snapshot
	return s.Next([]*snapshot.Federation{e.Done()})
}
