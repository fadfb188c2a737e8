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
	"github.com/fedns/fedns/internal/sync/controller"
	"github.com/fedns/fedns/internal/sync/workload"
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

func TestWeigh(t *testing.T) {
	sorts := map[string]*workload.Sort{}
	for _, s := range workload.Kinds() {
		sorts[s.Kind.Name] = s
	}
	pods := func(name string, total int64, in ...controller.Part) controller.Pods {
		return controller.Pods{Key: workload.Key{Sort: sorts["Deployment"], Namespace: "shop", Name: name}, Total: total, In: in}
	}
	part := func(cluster string, state workload.State, wanted, there, ready int64) controller.Part {
		return controller.Part{Cluster: cluster, State: state, Wanted: wanted, There: there, Ready: ready}
	}
	s := controller.Survey{
		Unknown: map[string]string{"dark": "no route"},
		Workloads: []controller.Pods{
			pods("moved", 3, part("eu", workload.Applied, 0, 0, 0), part("us", workload.Applied, 3, 3, 3)),
			pods("going", 4, part("eu", workload.Pending, 0, 2, 2), part("us", workload.Applied, 4, 4, 1)),
			pods("pinned", 2, part("eu", workload.Applied, 0, 1, 0)),
			pods("taken", 1, part("us", workload.NameTaken, 0, 0, 0), part("dark", workload.Unreachable, 1, 1, 0)),
		},
	}
	b := weigh(s, "eu")
	if want := (share{wanted: 0, there: 3, waiting: 2}); b.here != want {
		t.Errorf("here %+v, want %+v", b.here, want)
	}
	if want := (share{wanted: 7, there: 7, ready: 4, waiting: 1}); b.elsewhere != want {
		t.Errorf("elsewhere %+v, want %+v", b.elsewhere, want)
	}
	if len(b.homeless) != 1 || b.homeless[0] != "Deployment shop/pinned: 0 of 2 replicas have a place" {
		t.Errorf("homeless %q", b.homeless)
	}
	if got := b.elsewhere.String(); got != "4 of 7 replicas are ready, 1 workload not done" {
		t.Errorf("%s", got)
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
		if got := holding(d, noon.Add(time.Nanosecond)); got != want {
			t.Errorf("%s: %t", spec, got)
		}
	}
}
