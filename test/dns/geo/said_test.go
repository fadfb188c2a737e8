package geo

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestSaid: of a policy that means less than it says, an operator hears: in the log, and
// by explain.
func TestSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]service{
		"astray": {members: "iowa taiwan", policy: "failover us-central1 mars failback manual"},
		"hand":   {members: "iowa taiwan", policy: "failover us-central1 asia-east1 failback manual"},
		"bad":    {members: "iowa taiwan", policy: "closest"},
		"close":  {members: "iowa taiwan", policy: "nearest 2"},
	})
	if err := os.WriteFile(w.overrides(), []byte("failback service/shop/first reason \"why not\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprint("127.0.0.1:", vector.Port(t))
	s := server.Start(t, strings.Replace(w.corefile("policy nearest within 5%", "overrides "+w.overrides(), "status "+status), "manifests "+w.dir+"/virginia\n", "manifests "+w.dir+"/virginia\n   region us-central1\n   location 1 2\n", 1))
	explained := func(service, want string) {
		t.Helper()
		server.Eventually(t, 10*time.Second, fmt.Sprintf("explain says %q of %s", want, service), func() bool {
			return strings.Contains(fedctl(t, status, "explain", service+".shop.fed.svc.example.com"), want)
		})
	}
	const stray = "policy failover us-central1 mars failback manual: there is no region mars in the federation now"
	logged(t, s, "[WARNING] plugin/federation: shop/astray: "+stray)
	explained("astray", stray)

	const placeless = "there is neither geo nor nets, so nobody knows where clients are: everybody gets every shard"
	logged(t, s, "federation fed: policy nearest within 5% ("+s.Corefile+":")
	logged(t, s, placeless)
	explained("web", placeless)
	logged(t, s, "[WARNING] plugin/federation: shop/close: policy nearest 2: "+placeless)
	explained("close", placeless)

	logged(t, s, `override "failback service/shop/first" changes nothing: its policy, failover europe-west1 asia-east1, goes back by itself`)
	bin, err := fedctlBinary()
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]string{"service/shop/first": "goes back by itself", "region/europe-west1": "goes back by itself"} {
		if out, err := exec.Command(bin, "failback", subject, "--reason", "x", "--server", status).CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("failback %s: %v, it says\n%s", subject, err, out)
		}
	}

	// An order has its effect once, and says so; the same again is another one.
	for range 2 {
		w.write(t, named("iowa"), "hand")
		becomes(t, s, "192.0.2.9", "hand", taiwan)
		w.write(t, named("iowa"))
		becomes(t, s, "192.0.2.9", "every", every)
		before := strings.Count(s.Log(), "has had its effect: shop/hand is answered from there")
		fedctl(t, status, "failback", "service/shop/hand", "--reason", "it is quiet")
		becomes(t, s, "192.0.2.9", "hand", iowa)
		server.Eventually(t, 5*time.Second, "that is said", func() bool {
			return strings.Count(s.Log(), "has had its effect: shop/hand is answered from there") == before+1
		})
		explained("hand", "has had its effect; it has no other, and can be taken back")
	}
	w.write(t, named("iowa"), "hand")
	becomes(t, s, "192.0.2.9", "hand", taiwan)
	w.write(t, named("iowa"))
	for range 20 {
		if got := from(t, s, "192.0.2.9", "hand"); got != taiwan {
			t.Fatalf("an order that has had its effect went back to %s", got)
		}
		time.Sleep(50 * time.Millisecond) // longer than a change takes
	}
}

// TestTwoLocations: of clusters that say of one region that it is in two places, the last is
// believed, and both are named.
func TestTwoLocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := w.corefile(nearest...)
	text = strings.Replace(text, "manifests "+w.dir+"/iowa\n", "manifests "+w.dir+"/iowa\n   location 41 -95\n", 1)
	text = strings.Replace(text, "manifests "+w.dir+"/virginia\n", "manifests "+w.dir+"/virginia\n   region us-central1\n   location 38 -77\n", 1)
	s := server.Start(t, text)
	logged(t, s, "region us-central1: cluster iowa says that it is at 41 -95, cluster virginia at 38 -77; the last one's location counts, virginia")
}

// TestDisagreeingPolicies: what isn't a policy is said, and is no voice; of those that are one the federation's
// counts instead where they disagree, however old the objects are, and else theirs.
func TestDisagreeingPolicies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects := func(name, created, policy string) {
		o := vector.With(vector.Service("shop", "web", "192.0.2."+name), "fedns.io/policy", policy)
		if created != "" {
			vector.With(o, "creationTimestamp", created)
		}
		vector.WriteManifest(t, fmt.Sprintf("%s/c%s/all.json", dir, name), vector.Node("n", "r"+name, "z"+name), o, vector.Slice("shop", "web", true, "z"+name))
	}
	objects("1", "2001-01-01T00:00:00Z", "closest") // the oldest, which makes no sense
	objects("2", "", "failover r1")                 // no date
	objects("3", "2003-01-01T00:00:00Z", "failover r3 r2")
	objects("4", "2004-01-01T00:00:00Z", "failover r4")
	corefile := "example.com:PORT {\n bind ADDR\n ready READY\n errors\n federation fed {\n"
	for i := range 4 {
		corefile += fmt.Sprintf("  cluster c%d {\n   manifests %s/c%d\n  }\n", i+1, dir, i+1)
	}
	s := server.Start(t, corefile+" }\n}\n")
	if got := from(t, s, "192.0.2.9", "web"); got != "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4" {
		t.Errorf("web is answered with %q", got)
	}
	objects("2", "", "failover r3 r2")
	objects("4", "2004-01-01T00:00:00Z", "failover r3 r2")
	becomes(t, s, "192.0.2.9", "web", "192.0.2.3")
	logged(t, s, `annotation fedns.io/policy: "closest" is no policy`)
}
