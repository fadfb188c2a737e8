package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A row is an order as fedctl overrides -o json gives it.
type row struct {
	report.Order
	From    string `json:"from"`
	InForce string `json:"in_force"`
	Of      int    `json:"of"`
	Servers map[string]struct {
		State string `json:"state"`
	} `json:"servers"`
}

// in counts the servers in which it is in force.
func (r row) in() (n int) {
	for _, s := range r.Servers {
		if s.State == v1alpha1.InForce {
			n++
		}
	}
	return n
}

// rows are the orders, a line each.
func rows(t *testing.T, out string) string {
	t.Helper()
	var all []row
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var lines []string
	for _, r := range all {
		from, _, _ := strings.Cut(r.From, " on ")
		lines = append(lines, fmt.Sprintf("%s %s from %s: %s, %d of %d, %s", r.Action, r.Subject, from, r.InForce, r.in(), r.Of, r.Reason))
	}
	return strings.Join(lines, "\n")
}

// The orders of files and those of the API are listed together, with where each stands;
// who has only a server, or only the API, sees what that knows.
func TestOverrides(t *testing.T) {
	w := newWorld(t)
	w.whole(t)
	file, status := filepath.Join(t.TempDir(), "overrides"), fmt.Sprint("127.0.0.1:", vector.Port(t))
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	one, two := start(t, w.calm("  overrides "+file+"\n  status "+status+"\n")), start(t, w.calm(""))
	var all report.Peers
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("peers: %+v", all)
		}
	})
	server.Eventually(t, while, "each is seen beside the other, with what it answers", func() bool {
		all = report.Peers{}
		resp, err := http.Get("http://" + status + "/api/v1/peers")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if json.NewDecoder(resp.Body).Decode(&all) != nil || len(all.Peers) != 2 || len(all.Errors) != 0 {
			return false
		}
		self, other := all.Peers[0], all.Peers[1]
		return self.Self && !other.Self && self.Server != other.Server && self.Live && other.Live && other.Serial != 0 && other.Digest == self.Digest && len(other.Differs) == 0
	})
	for _, s := range []*running{one, two} {
		s.becomes("web", everywhere)
	}
	server.Eventually(t, while, "both servers say that they are there", func() bool { return len(w.servers(t)) == 2 })
	if out := w.must(t, "", "overrides"); !strings.HasPrefix(out, "no orders in the API of federation myfederation, file "+file+" on ") {
		t.Errorf("of none it says %s", out)
	}

	w.order(t, "fire", `"action":"Down","subject":"zone/eu-b","reason":"fire"`)
	w.order(t, "oslo", `"action":"Drain","subject":"service/shop/oslo","reason":"test"`)
	w.order(t, "over", fmt.Sprintf(`"action":"Drain","subject":"zone/no-a","reason":"test","until":%q`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)))
	// One that an API of another version lets through.
	w.fed.Apply(t, was(deploy.Orders))
	server.Eventually(t, while, "the API takes any subject", func() bool {
		o := v1alpha1.Orders.New("", "wrong")
		o.Object["spec"] = map[string]any{"action": "Drain", "subject": "planet/earth", "reason": "test"}
		_, _, err := w.admin.Apply(t.Context(), v1alpha1.Orders, o, kube.How{Manager: "test", Force: true})
		return err == nil
	})
	w.cluster(t, "paris", `"drain":{"reason":"kernel upgrade","until":"2040-01-31T15:00:00Z"}`)
	write("up region/eu reason \"lift\"\ndrain zone/no-a until 2020-01-31T15:00:00Z reason \"before\"\n")
	one.becomes("web", everywhere)
	two.becomes("web", oslo)
	w.stated(t, "oslo", 2, v1alpha1.InForce)
	lists := func(flags []string, want string) {
		t.Helper()
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("it lists\n%s", got)
			}
		}()
		server.Eventually(t, while, "fedctl overrides lists\n"+want, func() bool {
			out, stderr, code := w.fedctl(t, flags, "overrides", "-o", "json")
			if code != 0 || stderr != "" {
				t.Fatalf("exit %d, %s", code, stderr)
			}
			got = rows(t, out)
			return got == want
		})
	}
	const posted = `drain cluster/paris from cluster/paris: partly, 1 of 2, kernel upgrade
down zone/eu-b from order/fire: partly, 1 of 2, fire
drain service/shop/oslo from order/oslo: yes, 2 of 2, test
drain zone/no-a from order/over: expired, 0 of 2, test
drain planet/earth from order/wrong: no, 0 of 2, test
`
	lift := "up region/eu from file " + file + ": yes, 1 of %d, lift"
	past := "\ndrain zone/no-a from file " + file + ": expired, 0 of %d, before"
	lists(nil, posted+fmt.Sprintf(lift, 2)) // the API alone, by the servers' Leases
	lists([]string{"--kubeconfig", w.fed.Kubeconfig, "--federation", "myfederation", "--server", status}, posted+fmt.Sprintf(lift+past, 2, 2))
	lists([]string{"--server", status}, `drain cluster/paris from cluster/paris: overruled, 0 of 1, kernel upgrade
down zone/eu-b from order/fire: overruled, 0 of 1, fire
drain service/shop/oslo from order/oslo: yes, 1 of 1, test
`+fmt.Sprintf(lift+past, 1, 1))

	// For the eye: no line is wider than a terminal, and what overrules is said.
	out := w.must(t, "SUBJECT", "overrides")
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	flat := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{"cluster/paris drain 2040-01-31T15:00:00Z partly 1 of 2 cluster/paris", `a later order counts: up region/eu reason "lift"`, "reason: kernel upgrade", "order/over", "it has ended at", "file " + file + " on "} {
		if !strings.Contains(flat, want) {
			t.Errorf("%q isn't said:\n%s", want, out)
		}
	}
	t.Logf("fedctl overrides:\n%s", out)

	// What is wrong is in the log and in a metric, by its name.
	for _, s := range []*running{one, two} {
		if n := s.Metric(t, `coredns_federation_registry_order_problem{federation="myfederation",order="wrong"}`); n != 1 {
			t.Errorf("registry_order_problem is %v", n)
		}
		if !strings.Contains(s.Log(), "Order wrong isn't followed: ") {
			t.Error("the log doesn't say that an Order isn't followed")
		}
	}

	// A file that can't be read any more: what it said before holds, and that is said.
	write("down everything\n")
	server.Eventually(t, while, "it is said that the file can't be read", func() bool {
		out, _, _ := w.fedctl(t, nil, "overrides")
		return strings.Contains(strings.Join(strings.Fields(out), " "), `the file can't be read any more, and what it said before holds: line 1: "down everything" is`) ||
			strings.Contains(out, "the file can't be read any more")
	})
	write("")

	// What has expired goes, and nothing else; a dry run that somebody has left, too.
	w.order(t, "left", fmt.Sprintf(`"action":"Drain","subject":"zone/no-a","reason":"x","dryRun":true,"until":%q`, time.Now().Add(-time.Second).UTC().Format(time.RFC3339)))
	w.cluster(t, "lyon", fmt.Sprintf(`"drain":{"reason":"x","until":%q}`, time.Now().Add(-time.Second).UTC().Format(time.RFC3339)))
	if out := w.must(t, "", "overrides", "--prune"); out != "order/over: removed; it has expired\norder/left: removed; it has expired\ncluster/lyon: removed; it has expired\n" {
		t.Errorf("pruned: %s", out)
	}
	w.must(t, "no order in the API of federation myfederation has expired", "overrides", "--prune")
	if c := typed[v1alpha1.Cluster](t, w.admin, v1alpha1.Clusters, "lyon"); c.Spec.Drain != nil {
		t.Errorf("lyon: %+v", c.Spec.Drain)
	}
	w.order(t, "left", fmt.Sprintf(`"action":"Drain","subject":"zone/no-a","reason":"x","dryRun":true,"until":%q`, time.Now().Add(-time.Second).UTC().Format(time.RFC3339)))
	w.must(t, "nothing is written", "down", "zone/no-a", "--reason", "x", "--dry-run")
	if all, err := w.admin.List(t.Context(), v1alpha1.Orders, "", ""); err != nil || len(all) != 3 {
		t.Errorf("%d Orders are there, %v", len(all), err)
	}
}

// drain and undrain wait for a server that is slow, and for one that was killed for as
// long as its Lease runs; then they go on with those that are there.
func TestServersGone(t *testing.T) {
	w := newWorld(t)
	w.whole(t)
	one, two, three := start(t, w.calm("")), start(t, w.calm("")), start(t, w.calm(""))
	named := func() map[string]bool {
		out := map[string]bool{}
		for _, s := range w.servers(t) {
			out[s.Name] = true
		}
		return out
	}
	server.Eventually(t, while, "all three say that they are there", func() bool { return len(named()) == 3 })
	one.becomes("web", everywhere)

	// One doesn't move for a while: nothing is reported as done before it has said so.
	if err := syscall.Kill(two.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(two.Pid, syscall.SIGCONT) }) // it may be gone
	var errs server.Buffer
	done := make(chan int, 1)
	go func() {
		_, code := w.fedctlTo(t, &errs, nil, "drain", "cluster/oslo", "--reason", "x", "--force")
		done <- code
	}()
	server.Eventually(t, while, "it waits for the slow one", func() bool { return strings.Contains(errs.String(), "hasn't said anything of it yet") })
	select {
	case code := <-done:
		t.Fatalf("exit %d while a server says nothing: %s", code, errs.String())
	case <-time.After(2 * time.Second): // that nothing happens, only time can show
	}
	if err := syscall.Kill(two.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 0 || strings.Contains(errs.String(), "hint") {
		t.Fatalf("exit %d, %s", code, errs.String())
	}
	for _, s := range []*running{one, two, three} {
		if got := s.ask("web"); got != both {
			t.Errorf("it is reported as done, and web is %s", got)
		}
	}

	// One is killed. Its Lease would run for most of a minute; here, for a few seconds.
	// Which of the names is its own shows when another ends by itself.
	before := named()
	two.Stop()
	server.Eventually(t, while, "two are left", func() bool { return len(named()) == 2 })
	three.Kill()
	for name := range named() {
		if !before[name] {
			t.Fatalf("%s has come", name)
		}
	}
	short := func(seconds int) {
		t.Helper()
		for name := range named() {
			patch := map[string]any{"spec": map[string]any{"leaseDurationSeconds": seconds}}
			if _, err := w.admin.Merge(t.Context(), builtin.Leases, v1alpha1.System, name, patch, "test", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	// That of the one that lives is renewed within 15 s, with its own length again; so it
	// must not be short for longer than that. The killed one's isn't.
	short(20)
	w.must(t, "spec.drain taken back", "undrain", "cluster/oslo")
	one.becomes("web", everywhere)
	w.must(t, "in force in 1 server", "down", "zone/eu-b", "--reason", "fire", "--force")
	if got := one.ask("web"); got != others {
		t.Errorf("web is %s", got)
	}
	w.must(t, "taken back", "undrain", "zone/eu-b")
}

// kubectl describe tells when a cluster has left.
func TestLeft(t *testing.T) {
	w := newWorld(t)
	w.whole(t)
	one, two := start(t, w.calm("")), start(t, w.calm(""))
	one.becomes("web", everywhere)
	two.becomes("web", everywhere)
	server.Eventually(t, while, "lyon is a member", func() bool { return strings.Join(w.events(t, "lyon"), " ") == "Joined" })
	w.unjoin(t, "lyon")
	one.becomes("web", others)
	server.Eventually(t, while, "lyon has left", func() bool { return strings.Join(w.events(t, "lyon"), " ") == "Joined Left" })
	w.cluster(t, "lyon", ``)
	server.Eventually(t, while, "lyon is back", func() bool { return strings.Join(w.events(t, "lyon"), " ") == "Joined Joined Left" })
	if got := strings.Join(w.events(t, "paris"), " "); got != "Joined" {
		t.Errorf("paris has events %s", got)
	}
}
