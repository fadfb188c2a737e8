package ctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// drained is the drain of the Cluster object; nil: there is none.
func (h *home) drained() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	spec, _ := h.objects[eu]["spec"].(map[string]any)
	d, _ := spec["drain"].(map[string]any)
	return d
}

// seen says what the server has to say of cluster eu.
func (h *home) seen(c report.Cluster) {
	c.Federation, c.Cluster = "fed", "eu"
	h.desk.mu.Lock()
	defer h.desk.mu.Unlock()
	h.answers["clusters"] = report.Clusters{Clusters: []report.Cluster{{Federation: "other", Cluster: "eu", Answers: 9, TTL: 9999}, c}}
}

const cluster = `{"apiVersion": "fedns.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "eu"}, "spec": {"region": "eu"%s}}`

// A drain goes from answers to replicas: from when is what the servers' TTLs say, and
// what was done before isn't done again.
func TestEvacuate(t *testing.T) {
	const order = `drain cluster/eu reason "x"`
	for _, tt := range []struct {
		name   string
		spec   string // of the Cluster, before
		seen   report.Cluster
		args   string
		code   int
		stderr string
		want   string // spec.drain after
	}{
		{"after the last answer", ``, report.Cluster{TTL: 180, Order: order}, "", 0, "written to Cluster eu of federation fed",
			`{"evacuateAfter":"2026-01-31T12:03:01Z","reason":"x"}`},
		{"longer, if asked", ``, report.Cluster{TTL: 180, Order: order}, "--ttl 10m --for 1h", 0, "",
			`{"evacuateAfter":"2026-01-31T12:10:01Z","reason":"x","until":"2026-01-31T13:00:00Z"}`},
		{"never shorter", ``, report.Cluster{TTL: 180, Order: order}, "--ttl 1s", 0, "",
			`{"evacuateAfter":"2026-01-31T12:03:01Z","reason":"x"}`},
		{"again", `, "drain": {"reason": "y", "evacuateAfter": "2026-01-31T11:59:00Z"}`, report.Cluster{TTL: 180, Order: order}, "", 0, "",
			`{"evacuateAfter":"2026-01-31T11:59:00Z","reason":"x"}`},
		{"after one that has ended", `, "drain": {"reason": "y", "until": "2026-01-31T11:59:59Z", "evacuateAfter": "2026-01-31T11:59:00Z"}`, report.Cluster{TTL: 60, Order: order}, "", 0, "",
			`{"evacuateAfter":"2026-01-31T12:01:01Z","reason":"x"}`},
		{"too short a drain", ``, report.Cluster{TTL: 180, Order: order}, "--for 2m", 1, "by then the drain has ended", ``},
		{"still answered", ``, report.Cluster{TTL: 180, Order: order, Answers: 2}, "--timeout 300ms", 1, "answers 2 services with it still\nfedctl: hint: the cluster stays drained", `{"reason":"x"}`},
		{"not heard of", ``, report.Cluster{TTL: 180}, "--timeout 300ms", 1, "hasn't heard of the drain; it follows Cluster objects if its Corefile has a `registry`", `{"reason":"x"}`},
		{"held up", ``, report.Cluster{TTL: 180, Order: `up cluster/eu reason "lift"`}, "", 1, `whatever else is said: up cluster/eu reason "lift"`, `{"reason":"x"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.put(eu, fmt.Sprintf(cluster, tt.spec))
			h.seen(tt.seen)
			args := []string{"drain", "cluster/eu", "--evacuate", "--reason", "x", "--no-wait"}
			if tt.args != "" {
				args = append(args, strings.Fields(tt.args)...)
			}
			out, stderr, code := h.fed(args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d\n%s%swant %d, %q", code, out, stderr, tt.code, tt.stderr)
			}
			if got := jsonOf(h.drained()); got != tt.want {
				t.Errorf("spec.drain is %s, want %s", got, tt.want)
			}
		})
	}
}

func jsonOf(d map[string]any) string {
	if d == nil {
		return ""
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Nothing is written where it would leave a service without a shard, or nobody can
// say; --force, --dry-run and --ttl decide.
func TestEvacuateRefused(t *testing.T) {
	h := newHome(t)
	h.put(eu, fmt.Sprintf(cluster, ""))
	h.seen(report.Cluster{TTL: 60, Order: `drain cluster/eu reason "x"`})
	h.answers["preview"] = report.Preview{Services: 3, Orphaned: 1, Orphans: []string{"shop/only of federation fed"}}
	base := []string{"drain", "cluster/eu", "--evacuate", "--no-wait", "--reason", "x"}
	with := func(more ...string) []string { return append(base[:len(base):len(base)], more...) }
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{base, 1, "would leave 1 service without any shard: shop/only of federation fed"},
		{with("--dry-run"), 0, "3 services change; nothing is written"},
		{with("--server", "127.0.0.1:1"), 1, "--ttl DURATION goes on without those that can't be asked"},
		{with("--server", h.server, "--server", "127.0.0.1:1", "--force"), 1, "127.0.0.1:1 can't be asked"},
		{with("--federation", "third"), 1, "would leave 1"}, // the server is asked first
		{with("--federation", "third", "--force"), 1, "knows no cluster eu of federation third"},
		{[]string{"drain", "cluster/us", "--evacuate", "--reason", "x"}, 1, `federation fed has no cluster "us"`},
		{[]string{"drain", "zone/eu-a", "--evacuate", "--reason", "x"}, 2, "for a cluster: cluster/NAME"},
		{[]string{"drain", "cluster/eu", "--evacuate"}, 2, "--reason is missing"},
		{with("--file", "x"), 2, "the order goes to the Cluster object"},
		{with("--ttl", "-1s"), 2, "--ttl -1s is over already"},
		{with("--server", "127.0.0.1:1", "--ttl", "1s", "--dry-run"), 1, "no server can be asked"},
		{[]string{"undrain", "zone/eu-a"}, 1, "servers of federation fed"}, // the fake has none
	} {
		out, stderr, code := h.fed(tt.args...)
		if code != tt.code || !strings.Contains(out+stderr, tt.want) {
			t.Errorf("%q: exit %d\n%s%swant %d, %q", tt.args, code, out, stderr, tt.code, tt.want)
		}
		if d := h.drained(); d != nil {
			t.Fatalf("%q: written: %v", tt.args, d)
		}
	}
	if _, stderr, code := h.fed(with("--server", "127.0.0.1:1", "--ttl", "30s")...); code != 0 || !strings.Contains(stderr, "going on without it, as --ttl says") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if got, want := jsonOf(h.drained()), `{"evacuateAfter":"2026-01-31T12:00:31Z","reason":"x"}`; got != want {
		t.Errorf("spec.drain is %s, want %s", got, want)
	}
}

// What is taken back is taken back in two steps, and the second isn't forgotten if
// fedctl ends between them.
func TestUndrainCluster(t *testing.T) {
	h := newHome(t)
	h.put(eu, fmt.Sprintf(cluster, `, "drain": {"reason": "y", "evacuateAfter": "2026-01-31T11:59:00Z"}`))
	h.before = func(h *home, _ *http.Request) { // once, somebody else writes first
		h.before = nil
		h.objects[eu]["metadata"].(map[string]any)["resourceVersion"] = "another"
	}
	var steps []string
	h.after = func(h *home, _ *http.Request) {
		spec := h.objects[eu]["spec"].(map[string]any)
		d, _ := spec["drain"].(map[string]any)
		steps = append(steps, jsonOf(d)+" "+annotation(h.objects[eu], v1alpha1.Returning))
	}
	h.write("drain cluster/eu reason \"too\"\ndrain cluster/us reason \"z\"\n")
	out, stderr, code := h.fed("undrain", "cluster/eu", "--no-wait")
	if code != 0 || !strings.Contains(out, `drain cluster/eu reason "too": taken back`) || !strings.Contains(stderr, "spec.drain taken back") {
		t.Errorf("exit %d, %s%s", code, out, stderr)
	}
	if got, want := strings.Join(steps, ", "), `{"reason":"y"} true,  `; got != want {
		t.Errorf("steps %q, want %q", got, want)
	}
	h.want("drain cluster/us reason \"z\"\n")
	if _, stderr, code := h.fed("undrain", "cluster/eu"); code != 1 || !strings.Contains(stderr, "cluster eu isn't drained by its Cluster object; undrain cluster/eu: ") {
		t.Errorf("again: exit %d, %s", code, stderr)
	}
	h.put(eu, fmt.Sprintf(cluster, `, "drain": {"reason": "y"}`))
	h.desk.mu.Lock()
	delete(h.answers, "snapshot")
	h.desk.mu.Unlock()
	if _, stderr, code := h.fed("undrain", "cluster/eu"); code != 0 || !strings.Contains(stderr, "no file of overrides was looked at") || h.drained() != nil {
		t.Errorf("without a server: exit %d, %s", code, stderr)
	}
}

// What a drain waits for is what fedsync says in the Cluster object, of the object as it
// is now; where it says nothing, that isn't known.
func TestMoves(t *testing.T) {
	const spec = `, "drain": {"reason": "x", "evacuateAfter": "2026-01-31T11:59:00Z"}`
	for _, tt := range []struct {
		name   string
		status string // of generation 7
		code   int
		want   string // of what is printed
	}{
		{"moved", `{"observedGeneration": 7, "elsewhere": {"desired": 6, "current": 6, "ready": 6}}`, 0,
			"cluster/eu is drained: no replicas are left there, 6 are ready elsewhere\n"},
		{"without a place", `{"observedGeneration": 7, "elsewhere": {"desired": 4, "current": 4, "ready": 4, "unplaced": [{"kind": "Deployment", "namespace": "shop", "name": "pinned", "replicas": 2, "placed": 0}], "more": 3}}`, 0,
			"4 are ready elsewhere\nDeployment shop/pinned: 0 of 2 replicas have a place\nand so it is with 3 workloads more\n"},
		{"not ours, or failing", `{"observedGeneration": 7, "current": 2, "held": 2, "failing": 1, "failures": [{"kind": "Deployment", "namespace": "shop", "name": "own", "message": "a HorizontalPodAutoscaler there asks for 2"}], "elsewhere": {"desired": 9, "current": 6, "ready": 6, "failing": 3, "failures": [{"cluster": "us", "kind": "Deployment", "namespace": "shop", "name": "big", "message": "over quota"}]}}`, 0,
			"cluster/eu is drained: 2 replicas are left there that nobody waits for, 6 are ready elsewhere\nDeployment shop/own isn't waited for: a HorizontalPodAutoscaler there asks for 2\nDeployment shop/big isn't waited for in cluster us: over quota\nand so it is with 2 workloads more\n"},
		{"out of reach", `{"observedGeneration": 7, "current": 2, "pending": 1, "message": "no route", "elsewhere": {"desired": 6, "current": 6, "ready": 6}}`, 0,
			"6 replicas are ready elsewhere; it can't be asked what it still has: no route\n"},
		{"some are left", `{"observedGeneration": 7, "current": 1, "pending": 1, "elsewhere": {"desired": 6, "current": 6, "ready": 6}}`, 1,
			"1 replica are left there; elsewhere 6 of 6 replicas are ready\n"},
		{"gone, and not yet as planned", `{"observedGeneration": 7, "pending": 1, "elsewhere": {"desired": 6, "current": 6, "ready": 6}}`, 1, "0 replicas are left there"},
		{"some aren't ready", `{"observedGeneration": 7, "elsewhere": {"desired": 6, "current": 6, "ready": 4, "pending": 2}}`, 1,
			"not within 300ms (--timeout): 0 replicas are left there; elsewhere 4 of 6 replicas are ready, 2 workloads not done\n"},
		{"fedsync's clock is behind", `{"observedGeneration": 7}`, 1, "fedsync hasn't begun to move them"},
		{"of before the drain", `{"observedGeneration": 6, "elsewhere": {"desired": 6, "current": 6, "ready": 6}}`, 1, "fedsync hasn't counted replicas since cluster eu was changed"},
		{"an older fedsync", `null`, 1, "how many replicas are there is not known: fedsync doesn't say; it is of an older version, or doesn't run\nfedctl: hint: fedsync goes on with it even so"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.put(eu, fmt.Sprintf(`{"apiVersion": "fedns.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "eu", "generation": 7}, "spec": {"region": "eu"%s}, "status": {"replicas": %s}}`, spec, tt.status))
			h.seen(report.Cluster{TTL: 180, Order: `drain cluster/eu reason "x"`})
			out, stderr, code := h.fed("drain", "cluster/eu", "--evacuate", "--reason", "x", "--timeout", "300ms")
			if code != tt.code || !strings.Contains(out+stderr, tt.want) {
				t.Errorf("exit %d\n%s%swant %d, %q", code, out, stderr, tt.code, tt.want)
			}
		})
	}
}

// What comes back is waited for as fedsync counts it, after it has heard of it.
func TestComesBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status string // of generation 8
		code   int
		want   string
	}{
		{"ready", `{"observedGeneration": 8, "desired": 2, "current": 2, "ready": 2}`, 0, "cluster eu: 2 of 2 replicas are ready there\n"},
		{"failing", `{"observedGeneration": 8, "desired": 5, "current": 2, "ready": 2, "failing": 1, "failures": [{"kind": "Deployment", "namespace": "shop", "name": "big", "message": "over quota"}]}`, 0, "cluster eu: 2 of 5 replicas are ready there\nDeployment shop/big isn't waited for: over quota\n"},
		{"none is planned", `{"observedGeneration": 8}`, 0, `cluster eu: the plan gives it no replicas: without "rebalance", they stay where they are`},
		{"not ready", `{"observedGeneration": 8, "desired": 2, "current": 2, "ready": 1, "pending": 1}`, 1, "1 of 2 replicas are ready, 1 workload not done there; cluster eu stays drained: it is in no answer, and replicas may come back to it\nfedctl: hint: does fedsync run? --no-wait doesn't wait for pods; fedctl undrain again goes on from there; with --no-wait it puts the cluster into the answers at once"},
		{"of before", `{"observedGeneration": 7}`, 1, "fedsync hasn't counted replicas since cluster eu was changed"},
		{"out of reach", `{"observedGeneration": 8, "message": "no route"}`, 1, "cluster eu can't be asked: no route"},
		{"an older fedsync", `null`, 1, "how many replicas are there is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.put(eu, `{"apiVersion": "fedns.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "eu", "generation": 7}, "spec": {"region": "eu", "drain": {"reason": "y", "evacuateAfter": "2026-01-31T11:59:00Z"}}}`)
			h.after = func(h *home, _ *http.Request) {
				h.after = nil
				h.objects[eu] = merge(h.objects[eu], map[string]any{"metadata": map[string]any{"generation": 8}}).(map[string]any)
				var status any
				if err := json.Unmarshal([]byte(tt.status), &status); err != nil {
					t.Error(err)
				}
				h.objects[eu]["status"] = map[string]any{"replicas": status}
			}
			h.write(`drain cluster/eu reason "too"` + "\n")
			out, stderr, code := h.fed("undrain", "cluster/eu", "--timeout", "300ms")
			if code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d\n%s%swant %d, %q", code, out, stderr, tt.code, tt.want)
			}
			if d := h.drained(); (d != nil) != (code != 0) {
				t.Errorf("the drain is %v", d)
			}
		})
	}
}

func TestHolding(t *testing.T) {
	for spec, want := range map[string]bool{
		``:                                  false,
		`{}`:                                true,
		`{"until": "2026-01-31T12:00:00Z"}`: false,
		`{"until": "2026-01-31T12:00:01Z"}`: true,
	} {
		var d *v1alpha1.Drain
		if spec != "" {
			d = &v1alpha1.Drain{}
			if err := json.Unmarshal([]byte(spec), d); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.Holds(noon.Add(time.Nanosecond)); got != want {
			t.Errorf("%s: %t", spec, got)
		}
	}
}
