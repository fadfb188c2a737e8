package geo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestRefused: what can't be meant keeps the server from starting, with words that say
// what would be right.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"policy", "policy: needs all, nearest"},
		{"policy closest", `policy: "closest" is no policy; there are all, nearest`},
		{"policy nearest within", "policy: within: needs a percentage, such as 5%"},
		{"policy nearest within 5", `policy: within: "5" is not a percentage from 0% to 100%`},
		{"policy nearest within 101%", `"101%" is not a percentage`},
		{"policy nearest within -1%", `"-1%" is not a percentage`},
		{"policy nearest 0", `"0" is not a number of shards from 1 to 16`},
		{"policy nearest 17", `"17" is not a number of shards from 1 to 16`},
		{"policy weighted -1", `policy: weighted: "-1" is not a number of shards`},
		{"policy weighted 2 3", `policy: weighted: "3" is left over`},
		{"policy all 3", `policy: all: "3" is left over`},
		{"policy failover", "policy: failover: needs at least one region"},
		{"policy failover us-central1 us-central1", `region "us-central1" stands twice`},
		{"policy failover u_s", `"u_s" is not one DNS label`},
		{"policy failover edo failback", "failback: needs auto, delayed DURATION, or manual"},
		{"policy failover edo failback later", "failback: needs auto, delayed DURATION, or manual"},
		{"policy failover edo failback delayed", "failback: needs auto, delayed DURATION, or manual"},
		{"policy failover edo failback delayed -5m", `failback delayed: "-5m" is not a duration`},
		{"policy failover edo failback delayed soon", `failback delayed: "soon" is not a duration`},
		{"geo", "geo: needs one database"},
		{"geo a b", "geo: needs one database"},
		{"nets", "nets: needs a network and a region"},
		{"nets 10.0.0.0/8", "nets: needs a network and a region"},
		{"nets 10.0.0.0/33 edo", `nets: "10.0.0.0/33" is not a network such as`},
		{"nets 10.0.0.1/8 edo", "nets: 10.0.0.1/8 has bits beyond its length; the network is 10.0.0.0/8"},
		{"nets 10.0.0.0/8 e.do", `nets: "e.do" is not one DNS label`},
		{"nets 2002:a00::/24 edo", "name the IPv4 network"},
		{"nets 10.0.0.0/8 edo\n  nets ::ffff:10.0.0.0/104 attic", "nets: 10.0.0.0/8 stands twice"},
		{"ecs", "ecs: needs off, or on"},
		{"ecs perhaps", "ecs: needs off, or on"},
		{"ecs off 192.0.2.1", "ecs: needs off, or on"},
		{"ecs on 192.0.2.0/33", `ecs: "192.0.2.0/33" is neither an address nor a network`},
		{"cluster x {\n   manifests .\n   location 91 0\n  }", `cluster "x": location: latitude 91 is not between -90 and 90 degrees`},
		{"cluster x {\n   manifests .\n   location -90.1 0\n  }", "latitude -90.1 is not between -90 and 90 degrees"},
		{"cluster x {\n   manifests .\n   location 0 181\n  }", "longitude 181 is not between -180 and 180 degrees"},
		{"cluster x {\n   manifests .\n   location 139.7 35.7\n  }", "it comes before the longitude"},
		{"cluster x {\n   manifests .\n   location NaN 0\n  }", `latitude "NaN" is not a number of degrees`},
		{"cluster x {\n   manifests .\n   location 60N 25E\n  }", `latitude "60N" is not a number of degrees`},
		{"cluster x {\n   manifests .\n   location 60\n  }", "needs a latitude and a longitude"},
		{"cluster x {\n   manifests .\n   location\n  }", "needs a latitude and a longitude"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			s := server.Launch(t, "example.com:PORT {\n bind ADDR\n federation fed {\n  cluster iowa {\n   manifests "+t.TempDir()+"\n  }\n  "+tt.line+"\n }\n}\n")
			select {
			case <-s.Done():
				if !strings.Contains(s.Log(), tt.want) {
					t.Errorf("it says %q, want %q", s.Log(), tt.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("it runs")
			}
		})
	}
}

// TestNonsense: an annotation that can't be meant is told of and ignored; what the
// configuration says holds.
func TestNonsense(t *testing.T) {
	odd := map[string]service{"drawn": {members: "iowa edo", policy: "weighted", weights: map[string]string{"iowa": "0", "edo": "0"}}}
	policies := []string{"closest", "nearest within a mile", "nearest 1000", "weighted 0", "failover", "failover Ü", ";", "all all"}
	for i, policy := range policies {
		odd[fmt.Sprint("odd", i)] = service{members: "iowa taiwan", policy: policy}
	}
	weights := []string{"-1", "x", "70000", "65536", "1.5", "1e3", " 7"}
	for i, weight := range weights {
		odd[fmt.Sprint("heavy", i)] = service{members: "iowa edo", policy: "weighted", weights: map[string]string{"iowa": "0", "edo": weight}}
	}
	s := start(t, newWorld(t, odd).corefile(nearest...))
	says := func(name, what string) bool {
		for line := range strings.Lines(s.Log()) {
			if strings.Contains(line, "[WARNING]") && strings.Contains(line, "shop/"+name+":") && strings.Contains(line, what) {
				return true
			}
		}
		return false
	}
	for i, policy := range policies {
		name := fmt.Sprint("odd", i)
		if !says(name, "annotation fedns.io/policy: ") {
			t.Errorf("nobody says anything of the policy %q", policy)
		}
		if got := from(t, s, "198.51.100.1", name); got != taiwan { // nearest
			t.Errorf("policy %q: %q", policy, got)
		}
	}
	for i, weight := range weights {
		name := fmt.Sprint("heavy", i)
		if !says(name, `annotation fedns.io/weight: "`+weight+`" is not a whole number from 0 to 65535; ignored`) {
			t.Errorf("nobody says anything of the weight %q", weight)
		}
		for range 30 { // it weighs 1, as if nothing were said, and the other 0
			if got := from(t, s, "192.0.2.1", name); got != edo {
				t.Fatalf("weight %q: %q", weight, got)
			}
		}
	}
	// Where all weigh 0, all weigh the same.
	got := map[string]int{}
	for range 200 {
		got[from(t, s, "192.0.2.1", "drawn")]++
	}
	if len(got) != 2 || got[iowa] < 60 || got[edo] < 60 { // 100 are due
		t.Errorf("200 draws gave %v", got)
	}
}

// TestStrangeRegions: regions that the federation doesn't have are a warning in the
// log, and clients there go to the closest that there is.
func TestStrangeRegions(t *testing.T) {
	w := newWorld(t, map[string]service{"few": {members: "iowa taiwan", policy: "failover atlantis asia-east1"}})
	s := start(t, w.corefile("policy nearest", "geo DATABASE", "nets 10.0.0.0/8 mars", "nets 10.1.0.0/16 europe-west3"))
	logged(t, s, "[WARNING] plugin/federation: federation fed: nets 10.0.0.0/8 mars: there is no such region")
	logged(t, s, "[WARNING] plugin/federation: federation fed: nets 10.1.0.0/16 europe-west3: there is no such region")
	if got := from(t, s, "10.1.1.1", "web"); got != belgium { // a region of a cloud: Frankfurt
		t.Errorf("web from Frankfurt: %q", got)
	}
	if got := from(t, s, "10.2.1.1", "web"); got == "" { // nobody knows where that is
		t.Errorf("web from Mars: %q", got)
	}
	if got := from(t, s, "192.0.2.1", "few"); got != taiwan {
		t.Errorf("few, whose policy begins with Atlantis: %q", got)
	}
	if n := strings.Count(s.Log(), "nets 10.0.0.0/8 mars"); n != 1 {
		t.Errorf("%d lines of the log are about Mars", n)
	}
}

// TestStrangeFailover: so are those of a failover policy.
func TestStrangeFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := server.Start(t, w.corefile("policy failover atlantis asia-east1"))
	answering(t, s)
	becomes(t, s, "192.0.2.1", "web", taiwan)
	logged(t, s, "atlantis")
	if !strings.Contains(s.Log()[:strings.Index(s.Log(), "atlantis")], "[WARNING]") {
		t.Error("it is no warning")
	}
}

// TestLocationOverrides: a place in the Corefile comes before the clouds', also by a
// reload.
func TestLocationOverrides(t *testing.T) {
	dir := t.TempDir()
	for name, region := range map[string]string{"one": "us-central1", "two": "europe-west1"} {
		addr := map[string]string{"one": iowa, "two": belgium}[name]
		vector.WriteManifest(t, dir+"/"+name+"/all.json", vector.Node("n", region, region+"-a"), vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, region+"-a"))
	}
	w := newWorld(t)
	corefile := func(location string) string {
		return "example.com:PORT {\n bind ADDR\n ready READY\n federation fed {\n  cluster one {\n   manifests " + dir + "/one\n  }\n  cluster two {\n   manifests " + dir + "/two\n" + location + "  }\n  policy nearest\n  geo " + w.database() + "\n }\n}\n"
	}
	s := server.Start(t, corefile(""))
	becomes(t, s, "192.0.2.140", "web", belgium)
	becomes(t, s, "198.51.100.1", "web", belgium)     // Hong Kong
	s.Write(t, corefile("   location -54.8 -68.3\n")) // Ushuaia
	s.Reload(t)
	becomes(t, s, "198.51.100.1", "web", iowa)
	becomes(t, s, "192.0.2.140", "web", iowa)
}
