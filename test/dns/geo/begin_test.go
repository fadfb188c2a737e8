package geo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// large is a database that isn't read within a moment: it has so many more networks.
func large(t testing.TB, more int, of map[string]point) []byte {
	t.Helper()
	all := maps.Clone(of)
	r := rand.New(rand.NewPCG(3, 9))
	for i := range more {
		all[fmt.Sprintf("%d.%d.%d.0/24", 20+i>>14, i>>6&255, i&63<<2)] = point{float64(r.IntN(160) - 80), float64(r.IntN(340) - 170)}
	}
	return city(t, built, all)
}

// places are who asks in these tests, with what they get of web.
var places = map[string]string{"192.0.2.0/25": iowa, "192.0.2.128/26": belgium, "198.51.100.0/24": taiwan, "2001:db8:100::/56": lapland}

// TestDatabaseTakesLong: from the first answer on, nobody is told of all shards, and no
// answer is for everybody, however long it takes until it is known where clients are.
func TestDatabaseTakesLong(t *testing.T) {
	w := newWorld(t)
	replace(t, w.database(), large(t, 60_000, networks))
	for _, way := range []string{"on", "off"} {
		s := server.Launch(t, w.corefile(with("fast "+way)...))
		waited := 0
		for end := time.Now().Add(60 * time.Second); ; {
			placed := 0
			for subnet, want := range places {
				m, _, err := (&dns.Client{Timeout: time.Second}).Exchange(question("web", dns.TypeA, subnet), s.Addr)
				if err != nil {
					continue // there is no socket yet
				}
				switch got := read(m); {
				case got.rcode == "SERVFAIL":
					waited++
				case got.addrs != want || got.scope == 0:
					t.Fatalf("fast %s: %s: %v, want %s", way, subnet, got, want)
				default:
					placed++
				}
			}
			if placed == len(places) {
				break
			}
			if time.Now().After(end) {
				t.Fatal("nobody is placed")
			}
		}
		t.Logf("fast %s: %d questions came before the database was read", way, waited)
		s.Stop()
	}
}

// TestDatabaseMissing: everybody gets every shard, for a short time, and each network for
// itself: what is nobody's now has a place as soon as there is a database.
func TestDatabaseMissing(t *testing.T) {
	w := newWorld(t)
	data, err := os.ReadFile(w.database())
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"on", "off"} {
		if err := os.Remove(w.database()); err != nil {
			t.Fatal(err)
		}
		s := server.Start(t, w.corefile(with("fast "+way)...))
		answering(t, s)
		for subnet := range places {
			for _, network := range []string{"udp", "tcp"} {
				m := s.Exchange(t, network, question("web", dns.TypeA, subnet))
				_, bits, _ := strings.Cut(subnet, "/")
				if got := read(m); got.addrs != every || !strings.HasSuffix(got.subnet, "/"+bits+"/"+bits) || m.Answer[0].Header().Ttl != 30 {
					t.Errorf("fast %s: %s over %s: %v for %d s; want every shard for 30 s, for /%s", way, subnet, network, got, m.Answer[0].Header().Ttl, bits)
				}
			}
		}
		// What an operator says has its scope, and so has what doesn't depend on the client.
		for _, tt := range [][4]string{{"web", "10.9.9.0/26", taiwan, "1 10.9.9.0/26/26"}, {"web", "10.9.0.0/16", lapland, "1 10.9.0.0/16/21"}, {"every", "192.0.2.0/25", every, "1 192.0.2.0/25/0"}} {
			if got := read(s.Exchange(t, "udp", question(tt[0], dns.TypeA, tt[1]))); got.addrs != tt[2] || got.subnet != tt[3] {
				t.Errorf("fast %s: %s for %s: %v; want %q", way, tt[0], tt[1], got, tt[2:])
			}
		}
		replace(t, w.database(), data)
		for subnet, want := range places {
			server.Eventually(t, 10*time.Second, subnet+" is placed", func() bool {
				return read(s.Exchange(t, "udp", question("web", dns.TypeA, subnet))).addrs == want
			})
		}
		s.Stop()
	}
}

// TestReloadToAnotherDatabase: places are those of the last good database until another
// one has been read, also if that takes long, or never comes.
func TestReloadToAnotherDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	corefile := w.corefile(with("fast on")...)
	s := start(t, corefile)
	reload := func(database string, ok ...string) {
		t.Helper()
		done := strings.Count(s.Log(), "Reloading complete")
		s.Write(t, strings.ReplaceAll(corefile, w.database(), database))
		s.Reload(t)
		more := 0
		for end := time.Now().Add(60 * time.Second); more < 50; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("there was no reload")
			}
			if strings.Count(s.Log(), "Reloading complete") > done {
				more++ // as long again as a rebuild takes
			}
			m, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(question("web", dns.TypeA, "198.51.100.1/32"), s.Addr)
			if err != nil {
				continue // lost between two sockets: not this test's matter
			}
			if got := read(m).addrs; !slices.Contains(ok, got) {
				t.Fatalf("during a reload to %s: %q", database, got)
			}
		}
	}
	reload(w.database()+".missing", taiwan)
	logged(t, s, "the last good one stays")

	other := w.database() + ".other"
	replace(t, other, large(t, 60_000, map[string]point{"198.51.100.0/24": berlin}))
	reload(other, taiwan, belgium)
	becomes(t, s, "198.51.100.1", "web", belgium)
}
