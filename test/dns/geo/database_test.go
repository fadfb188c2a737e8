package geo

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

const (
	errorsTotal  = `coredns_federation_geo_errors_total{federation="fed"}`
	builtSeconds = `coredns_federation_geo_database_built_seconds{federation="fed"}`
)

// TestDatabase: a database that is replaced is used; what isn't one is an error, and
// the last good one stays.
func TestDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w.corefile(with("fast on")...))
	if got := s.Metric(t, builtSeconds); got != float64(built.Unix()) {
		t.Errorf("built %f, want %d", got, built.Unix())
	}
	if got := s.Metric(t, errorsTotal); got != 0 {
		t.Errorf("%v errors", got)
	}
	becomes(t, s, "198.51.100.1", "web", taiwan)

	// Another one, by rename.
	moved := map[string]point{"198.51.100.0/24": berlin, "192.0.2.0/25": chicago}
	newer := built.Add(24 * time.Hour)
	replace(t, w.database(), city(t, newer, moved))
	becomes(t, s, "198.51.100.1", "web", belgium)
	becomes(t, s, "203.0.113.1", "web", every) // no longer in it
	if got := s.Metric(t, builtSeconds); got != float64(newer.Unix()) {
		t.Errorf("built %f, want %d", got, newer.Unix())
	}

	good := city(t, newer, moved)
	for i, tt := range []struct {
		name string
		file func()
		says string
	}{
		{"truncated", func() { replace(t, w.database(), good[:len(good)/2]) }, "not a MaxMind database, or not all of it"},
		{"in place, truncated", func() {
			if err := os.WriteFile(w.database(), good[:100], 0o644); err != nil {
				t.Fatal(err)
			}
		}, "not a MaxMind database, or not all of it"},
		{"empty", func() { replace(t, w.database(), nil) }, "not a MaxMind database, or not all of it"},
		{"of the wrong kind", func() { replace(t, w.database(), asn(t)) }, "GeoLite2-ASN database: doesn't say where networks are"},
		{"without a place", func() { replace(t, w.database(), nowhere(t)) }, "none of its 2 networks has a place"},
		{"missing", func() {
			if err := os.Remove(w.database()); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
		{"a folder", func() {
			if err := os.Mkdir(w.database(), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is a directory, not a regular file"},
	} {
		errors := func() int { return strings.Count(s.Log(), "[ERROR] plugin/federation: federation fed: geo: ") }
		before := errors()
		tt.file()
		server.Eventually(t, 10*time.Second, tt.name+" is an error, and said", func() bool { return s.Metric(t, errorsTotal) == float64(i+1) && errors() > before })
		said := s.Log()[strings.LastIndex(s.Log(), "[ERROR]"):]
		if !strings.Contains(said, w.database()) || !strings.Contains(said, tt.says) || !strings.Contains(said, "the last good one stays") {
			t.Errorf("%s: the log says %q", tt.name, said)
		}
		if n := errors(); n != before+1 {
			t.Errorf("%s: %d errors are in the log, of %d before", tt.name, n, before)
		}
		if got := from(t, s, "198.51.100.1", "web"); got != belgium {
			t.Errorf("%s: answered with %q", tt.name, got)
		}
	}

	// And good again.
	if err := os.Remove(w.database()); err != nil {
		t.Fatal(err)
	}
	replace(t, w.database(), city(t, built, networks))
	becomes(t, s, "198.51.100.1", "web", taiwan)
}

// nowhere is a database of cities that has lost its coordinates.
func nowhere(t testing.TB) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, RecordSize: 28, BuildEpoch: built.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for i, cidr := range []string{"198.51.100.0/24", "192.0.2.0/25"} {
		_, n, _ := net.ParseCIDR(cidr)
		if err := tree.Insert(n, mmdbtype.Map{"city": mmdbtype.Map{"geoname_id": mmdbtype.Uint32(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	return bytesOf(t, tree)
}

// asn is a database that says nothing of places.
func asn(t testing.TB) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"})
	if err != nil {
		t.Fatal(err)
	}
	return bytesOf(t, tree)
}

// TestNoDatabase: without one, or with a broken one, clients are placed by nets only, and the
// others get everything. It may come later.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{"missing": nil, "broken": []byte("PK\x03\x04")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.Remove(w.database()); err != nil {
				t.Fatal(err)
			}
			if data != nil {
				replace(t, w.database(), data)
			}
			s := server.Start(t, w.corefile(nearest...))
			answering(t, s)
			logged(t, s, "clients are placed by nets only, others get all shards")
			becomes(t, s, "10.9.9.9", "web", taiwan)
			for client, want := range map[string]string{"192.0.2.9": every, "198.51.100.1": every, "10.9.1.1": lapland} {
				if got := from(t, s, client, "web"); got != want {
					t.Errorf("%s gets %q, want %q", client, got, want)
				}
			}
			if got := s.Metric(t, errorsTotal); got != 1 {
				t.Errorf("%v errors, want one", got)
			}
			if got := s.Metric(t, builtSeconds); got != 0 {
				t.Errorf("none is built %v", got)
			}
			replace(t, w.database(), city(t, built, networks))
			becomes(t, s, "192.0.2.9", "web", iowa)
		})
	}
}

// TestOldDatabase: one that is months old is a warning, and counts.
func TestOldDatabase(t *testing.T) {
	w := newWorld(t)
	replace(t, w.database(), city(t, time.Now().Add(-100*24*time.Hour), networks))
	status := fmt.Sprint("127.0.0.1:", vector.Port(t))
	s := start(t, w.corefile(append(slices.Clone(nearest), "status "+status)...))
	logged(t, s, "[WARNING] plugin/federation: federation fed: geo: the database is 100 days old")
	r, err := http.Get("http://" + status + "/api/v1/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var snapshot report.Snapshot
	if err := json.NewDecoder(r.Body).Decode(&snapshot); err != nil {
		t.Fatal(err)
	}
	if g := snapshot.Federations[0].Geo; g == nil || g.File != w.database() || g.Type == "" || g.Networks == 0 || g.AgeSeconds < 100*86400 || g.AgeSeconds > 101*86400 {
		t.Errorf("it says of its database %+v", g)
	}
}

// TestReload: places are known all through a reload, also one to other nets.
func TestReload(t *testing.T) {
	w := newWorld(t)
	corefile := w.corefile(with("fast on")...)
	s := start(t, corefile)
	clients := map[string]string{"192.0.2.9": iowa, "198.51.100.1": taiwan, "203.0.113.1": lapland, "2001:db8:200::1": edo, "10.9.9.9": taiwan}
	for client, want := range clients {
		becomes(t, s, client, "web", want)
	}
	for round := range 2 {
		// Something differs, so that it is another configuration.
		s.Write(t, strings.Replace(corefile, "policy nearest within 5%", fmt.Sprintf("policy nearest within %d%%", 6+round), 1))
		reloads := strings.Count(s.Log(), "Reloading complete")
		s.Reload(t)
		wrong := map[string]int{}
		asked := 0
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			done := strings.Count(s.Log(), "Reloading complete") > reloads
			// As long again as it takes to look whether something has changed.
			if done && end.After(time.Now().Add(1500*time.Millisecond)) {
				end = time.Now().Add(1500 * time.Millisecond)
			}
			for client, want := range clients {
				m, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(question("web", dns.TypeA, client+map[bool]string{true: "/128", false: "/32"}[strings.Contains(client, ":")]), s.Addr)
				if err != nil {
					continue // lost between two sockets: not this test's matter
				}
				asked++
				if got := read(m).addrs; got != want {
					wrong[fmt.Sprintf("%s got %q", client, got)]++
				}
			}
			time.Sleep(20 * time.Millisecond) // enough to see a gap
		}
		if asked < 50 {
			t.Errorf("only %d questions were answered", asked)
		}
		for what, n := range wrong {
			t.Errorf("during reload %d: %s, %d times of %d", round+1, what, n, asked)
		}
		if strings.Count(s.Log(), "Reloading complete") == reloads {
			t.Fatal("there was no reload")
		}
	}
	// The words of nets are taken at once.
	s.Write(t, strings.Replace(corefile, "nets 10.9.9.0/24 asia-east1", "nets 10.9.9.0/24 edo", 1))
	s.Reload(t)
	becomes(t, s, "10.9.9.9", "web", edo)
	becomes(t, s, "192.0.2.9", "web", iowa)
	if n := s.Metric(t, errorsTotal); n != 0 {
		t.Errorf("%v errors", n)
	}
}
