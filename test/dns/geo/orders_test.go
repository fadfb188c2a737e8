package geo

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// clients are those of some networks, with what they get of web.
var clients = map[string]string{
	"192.0.2.9": iowa, "192.0.2.140": belgium, "192.0.2.200": edo, "198.51.100.1": taiwan, "203.0.113.1": lapland,
	"2001:db8::1": virginia, "2001:db8:100::1": lapland, "10.1.1.1": iowa, "10.9.9.9": taiwan,
}

// operated starts a server that an operator can speak to, at an address of status.
func operated(t *testing.T, w *world, more ...string) (s *server.Server, status string) {
	t.Helper()
	status = fmt.Sprint("127.0.0.1:", vector.Port(t))
	return start(t, w.corefile(with(append(more, "overrides "+w.overrides(), "status "+status)...)...)), status
}

// TestDrain: when a region is drained its clients go to the next closest, and all
// others stay where they are.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	s, status := operated(t, w)
	check := func(except map[string]string) {
		t.Helper()
		for client, want := range clients {
			if other, ok := except[client]; ok {
				want = other
			}
			if got := from(t, s, client, "web"); got != want {
				t.Errorf("%s gets %q, want %q", client, got, want)
			}
		}
	}
	check(nil)
	fedctl(t, status, "drain", "region/europe-west1", "--reason", "a strike")
	becomes(t, s, "192.0.2.140", "web", lapland)
	check(map[string]string{"192.0.2.140": lapland})
	fedctl(t, status, "drain", "cluster/edo", "--reason", "an earthquake")
	becomes(t, s, "192.0.2.200", "web", taiwan)
	check(map[string]string{"192.0.2.140": lapland, "192.0.2.200": taiwan})
	if got := from(t, s, "192.0.2.9", "first"); got != taiwan { // failover europe-west1 asia-east1
		t.Errorf("first is answered with %q", got)
	}
	fedctl(t, status, "undrain", "region/europe-west1")
	becomes(t, s, "192.0.2.140", "web", belgium)
	fedctl(t, status, "undrain", "cluster/edo")
	becomes(t, s, "192.0.2.200", "web", edo)
	check(nil)
	if got := from(t, s, "192.0.2.9", "first"); got != belgium { // failback auto
		t.Errorf("first is answered with %q", got)
	}
}

// TestFailback: a region that was failed over from is gone back to when it has been up
// for a while, or when an operator says so.
func TestFailback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]service{
		"first": {members: "belgium iowa taiwan", policy: "failover europe-west1 asia-east1 failback delayed 2s"},
		"few":   {members: "iowa taiwan", policy: "failover us-central1 asia-east1 failback manual"},
	})
	s, status := operated(t, w)
	becomes(t, s, "192.0.2.200", "first", belgium)
	becomes(t, s, "192.0.2.200", "few", iowa)

	w.write(t, named("belgium"), "first")
	w.write(t, named("iowa"), "few")
	becomes(t, s, "192.0.2.200", "first", taiwan)
	becomes(t, s, "192.0.2.200", "few", taiwan)

	up := time.Now()
	w.write(t, named("belgium"))
	w.write(t, named("iowa"))
	becomes(t, s, "192.0.2.200", "first", belgium)
	if after := time.Since(up); after < 2*time.Second {
		t.Errorf("gone back to after %v", after)
	}
	if got := from(t, s, "192.0.2.200", "few"); got != taiwan {
		t.Errorf("few has gone back to %q by itself", got)
	}

	// A reload forgets nothing of it.
	text, err := os.ReadFile(s.Corefile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Corefile, []byte(strings.Replace(string(text), "overrides ", "ttl 90s\n  overrides ", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Reload(t)
	for end := time.Now().Add(server.Patience(0)); ; {
		done := strings.Contains(s.Log(), "Reloading complete")
		if got := from(t, s, "192.0.2.200", "few"); got != taiwan {
			t.Fatalf("by a reload few has gone back to %q", got)
		}
		if done {
			break
		}
		if time.Now().After(end) {
			t.Fatal("there was no reload")
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}

	if out := fedctl(t, status, "failback", "service/shop/few", "--reason", "it is quiet now"); !strings.Contains(out, "failback service/shop/few") {
		t.Errorf("it says %s", out)
	}
	becomes(t, s, "192.0.2.200", "few", iowa)
	fedctl(t, status, "undrain", "service/shop/few")
	server.Eventually(t, 5*time.Second, "the order is taken back", func() bool {
		text, err := os.ReadFile(w.overrides())
		return err == nil && !strings.Contains(string(text), "failback")
	})
	if got := from(t, s, "192.0.2.200", "few"); got != iowa {
		t.Errorf("with the order gone, few is answered with %q", got)
	}

	// Where nothing can be gone back to, nothing is ordered.
	bin, err := fedctlBinary()
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]string{"service/shop/every": "it would change nothing: its policy is all", "region/nowhere": "the server knows no region/nowhere", "service/shop/nothing": "the server knows no service/shop/nothing"} {
		out, err := exec.Command(bin, "failback", subject, "--reason", "x", "--server", status).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("failback %s: %v, it says\n%swant exit 1 and %q", subject, err, out, want)
		}
	}
	if text, err := os.ReadFile(w.overrides()); err != nil || strings.Contains(string(text), "failback") {
		t.Errorf("the file says %q, %v", text, err)
	}

	// The same by the region.
	w.write(t, named("iowa"), "few")
	becomes(t, s, "192.0.2.200", "few", taiwan)
	w.write(t, named("iowa"))
	becomes(t, s, "192.0.2.9", "every", every)
	fedctl(t, status, "failback", "region/us-central1", "--reason", "it is quiet again")
	becomes(t, s, "192.0.2.200", "few", iowa)
}

var (
	regionLine = regexp.MustCompile(`(?m)^(\S+) +(\S+) +(-?[\d.]+) +(-?[\d.]+)  (\S.*)$`)
	legLine    = regexp.MustCompile(`(?m)^ +(\d+)\. (\S+), (?:(\d+) km \((\w+)\)|wherever that is)$`)
)

// known reads what fedctl regions prints.
func known(t *testing.T) map[string]point {
	out := map[string]point{}
	for _, m := range regionLine.FindAllStringSubmatch(fedctl(t, "", "regions"), -1) {
		lat, err := strconv.ParseFloat(m[3], 64)
		lon, err2 := strconv.ParseFloat(m[4], 64)
		if err != nil || err2 != nil || math.Abs(lat) > 90 || math.Abs(lon) > 180 {
			t.Errorf("regions says %q", m[0])
		}
		out[m[1]] = point{lat, lon}
	}
	return out
}

// km is how far two points are from each other, by the spherical law of cosines.
func km(p, q point) float64 {
	const radian = math.Pi / 180
	return 6371.0088 * math.Acos(math.Sin(p[0]*radian)*math.Sin(q[0]*radian)+math.Cos(p[0]*radian)*math.Cos(q[0]*radian)*math.Cos((p[1]-q[1])*radian))
}

// TestRegions: where the clouds are is printed, without a server.
func TestRegions(t *testing.T) {
	regions := known(t)
	if len(regions) < 80 {
		t.Errorf("there are only %d regions", len(regions))
	}
	for name, near := range map[string]point{"us-central1": {41.26, -95.86}, "europe-west1": {50.45, 3.82}, "asia-east1": {24.05, 120.52}, "us-east-1": {38.9, -77.5}, "eu-central-1": {50.11, 8.68}, "ap-southeast-2": {-33.87, 151.21}} {
		if p, ok := regions[name]; !ok || km(p, near) > 100 {
			t.Errorf("%s is at %v, want about %v", name, p, near)
		}
	}
}

// TestExplain: explain says where a client is, how that is known, in which order the
// regions are tried, and who else gets the same answer.
func TestExplain(t *testing.T) {
	s, status := operated(t, newWorld(t))
	regions := known(t)
	regions["us-west1"], regions["edo"] = point{66.50, 25.73}, point{35.69, 139.70} // as the Corefile says
	for _, tt := range []struct {
		client string
		says   []string
		at     *point
		first  string
	}{
		{"192.0.2.9", []string{"client 192.0.2.9: at 41.88 -87.63, by the city of 192.0.2.0/25\n", "    that is in Chicago, Illinois, United States\n", "all of 192.0.2.0/25 is answered so"}, &chicago, "us-central1"},
		{"203.0.113.250", []string{"by the city of 203.0.113.128/25\n", "all of 203.0.113.0/24 is answered so"}, &stockholm, "us-west1"},
		{"2001:db8:200::7", []string{"at 35.68 139.69, by the city of 2001:db8:200::/64\n", "all of 2001:db8:200::/64 is answered so"}, &tokyo, "edo"},
		{"10.9.9.9", []string{"in asia-east1, by nets 10.9.9.0/24\n", "all of 10.9.9.0/24 is answered so"}, nil, "asia-east1"},
		{"10.9.1.1", []string{"in us-west1, by nets 10.9.0.0/16\n"}, nil, "us-west1"},
		{"8.8.8.8", []string{"where it is isn't known, so it gets every shard\n"}, nil, ""},
		{"192.168.1.1", []string{"where it is isn't known, so it gets every shard\n"}, nil, ""},
	} {
		out := fedctl(t, status, "explain", "web.shop.fed.svc.example.com", "--client", tt.client)
		for _, want := range tt.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.client, want, out)
			}
		}
		legs := legLine.FindAllStringSubmatch(out, -1)
		if tt.first == "" {
			if len(legs) > 0 {
				t.Errorf("%s is nowhere, and is ranked\n%s", tt.client, out)
			}
		} else if len(legs) != len(members) || legs[0][2] != tt.first || legs[len(legs)-1][2] != "attic" || legs[len(legs)-1][3] != "" {
			t.Errorf("%s: ranked as %q", tt.client, legs)
			continue
		}
		last := -1
		for i, leg := range legs {
			if leg[1] != strconv.Itoa(i+1) {
				t.Errorf("%s: %q is not number %d", tt.client, leg[0], i+1)
			}
			if leg[3] == "" {
				continue
			}
			n, _ := strconv.Atoi(leg[3])
			if n < last {
				t.Errorf("%s: %q is closer than the one before it", tt.client, leg[0])
			}
			last = n
			at := tt.at
			if at == nil {
				p := regions[tt.first]
				at = &p
			}
			if want := km(*at, regions[leg[2]]); math.Abs(want-float64(n)) > 1.5 {
				t.Errorf("%s: %q, want %.0f km", tt.client, leg[0], want)
			}
			source := "cloud"
			if leg[2] == "us-west1" || leg[2] == "edo" {
				source = "location"
			}
			if leg[4] != source {
				t.Errorf("%s: %q, want %s", tt.client, leg[0], source)
			}
		}
		// What it says is what is answered.
		for _, addr := range strings.Fields(every) {
			got := from(t, s, tt.client, "web")
			if in := strings.Contains(" "+got+" ", " "+addr+" "); in != regexp.MustCompile(`IN\s+A\s+`+regexp.QuoteMeta(addr)+`\n`).MatchString(out) {
				t.Errorf("%s gets %q, explained as\n%s", tt.client, got, out)
				break
			}
		}
	}
	named := fedctl(t, status, "explain", "web.shop.fed.svc.example.com", "--client", "192.0.2.9", "-o", "json")
	for _, want := range []string{`"city": "Chicago"`, `"subdivision": "Illinois"`, `"country": "United States"`, `"continent": "North America"`} {
		if !strings.Contains(named, want) {
			t.Errorf("%s is missing in\n%s", want, named)
		}
	}
	if bare := fedctl(t, status, "explain", "web.shop.fed.svc.example.com", "--client", "203.0.113.250"); strings.Contains(bare, "that is in") {
		t.Errorf("the database has no names, explained as\n%s", bare)
	}
	out := fedctl(t, status, "explain", "every.shop.fed.svc.example.com", "--client", "192.0.2.9")
	if !strings.Contains(out, "makes no difference: answers don't depend on who asks") {
		t.Errorf("explained as\n%s", out)
	}
}
