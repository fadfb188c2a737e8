package propagation

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/controller"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
)

var (
	kills = flag.Int("kills", 12, "how often fedsync is killed while objects change")
	down  = flag.Duration("down", 8*time.Second, "how long the federation's API is down, and the Lease with it")
)

// TestFaults has what can break, break. No pods are needed for that; namespaces go
// only where a controller takes them away, and so are kept.
func TestFaults(t *testing.T) {
	t.Parallel() // it waits for most of its time
	b := cluster.New(t)
	all := b.APIs(t, "paris", "tokyo", "oslo")
	w := newWorld(t, b, all...)
	w.Start(t, "--debug", "--lost-after", "4s")
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *world)
	}{
		{"foretold", foretold},
		{"a dead member", deadMember},
		{"a member that hangs", hungMember},
		{"the federation's API is down", fedDown},
		{"the federation's API is down for longer than a Lease", leaseDown},
		{"two of them", leaders},
		{"killed", killed},
		{"random histories", randomHistory},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, w) }) {
			return // the rest would fail of the same
		}
	}
	other := cluster.New(t)
	t.Run("a member's etcd is lost", func(t *testing.T) { memberLost(t, w, other) })
	t.Run("the federation's etcd is lost", func(t *testing.T) { etcdLost(t, w, other) })
}

// foretold compares what a dry run says with what a run does.
func foretold(t *testing.T, w *world) {
	paris := w.Members["paris"]
	paris.Apply(t, ns("told")+configMap("told", "taken", "", "theirs"))
	w.Fed.Apply(t, ns("told")+configMap("told", "a", "", "blue")+configMap("told", "b", "", "blue")+configMap("told", "c", "", "blue")+deployment("told", "web", "", 5))
	for _, m := range w.Members {
		w.stands(t, "deployment", "told", "web", m.Name, workload.Applied)
		w.stands(t, "configmap", "told", "c", m.Name, workload.Applied)
	}
	w.Stop()
	// A change, a drift, a new one, one that is taken, one to go, one to leave.
	patch(t, w.Fed, "configmap", "told", "a", `{"data":{"color":"green"}}`)
	patch(t, paris, "deployment", "told", "web", `{"spec":{"replicas":9}}`)
	remove(t, w.Fed, "configmap", "told", "b")
	annotate(t, w.Fed, "configmap", "told", "c", "fedns.io/orphan", "true")
	remove(t, w.Fed, "configmap", "told", "c")
	paris.Apply(t, union("told", "", `{type: RollingUpdate, rollingUpdate: {maxSurge: 2, maxUnavailable: 1}}`, `emptyDir: {}`))
	w.Fed.Apply(t, union("told", `fedns.io/adopt: "true", fedns.io/cluster-selector: '[{"key":"name","operator":"in","values":["paris"]}]'`, `{type: Recreate}`, `configMap: {name: a}`))
	w.Fed.Apply(t, ns("told-new")+configMap("told-new", "new", "", "blue")+deployment("told-new", "web", "", 4)+configMap("told", "taken", "", "ours")+"apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: told, annotations: {fedns.io/cluster-selector: \"[]\"}}\nstringData: {password: hunter2}\n")

	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := dump(t, w)
	plan, err := controller.Plan(ctx, controller.Config{Kubeconfig: w.Fed.Kubeconfig, Federation: "prod", MaxDeletes: 50, QPS: 200, Burst: 400, LostAfter: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := exec.Command(bin, "--kubeconfig", w.Fed.Kubeconfig, "--federation", "prod", "--dry-run").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"create ConfigMap told-new/new: ", "data.color: \"blue\" -> \"green\"", "spec.replicas: 9 -> ", "release ConfigMap told/c", "NameTaken: cluster paris", "with ",
		"adopt Deployment told/union: ", "spec.strategy.rollingUpdate: ", "spec.template.spec.volumes[v].emptyDir: "} {
		if !strings.Contains(string(printed), want) {
			t.Errorf("the dry run doesn't say %q:\n%s", want, printed)
		}
	}
	if after := dump(t, w); after != before {
		t.Errorf("the dry run wrote something:\n%s", changed(before, after))
	}
	var foreseen []string
	for _, s := range plan.Steps {
		foreseen = append(foreseen, fmt.Sprintf("cluster %s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why))
	}
	w.Log = &server.Buffer{}
	w.Restart(t)
	for _, m := range w.Members {
		w.stands(t, "configmap", "told-new", "new", m.Name, workload.Applied)
		w.stands(t, "deployment", "told-new", "web", m.Name, workload.Applied)
	}
	gone(t, w.Fed, "configmap", "told", "b")
	gone(t, w.Fed, "configmap", "told", "c")
	w.stands(t, "deployment", "told", "union", "paris", workload.Applied)
	w.shares(t, "told", "web", w.replicas(t, "told", "web", "paris"), "paris")
	var done []string
	for line := range strings.Lines(w.Log.String()) {
		step, ok := strings.CutPrefix(line, "[DEBUG] ")
		step, outcome, _ := strings.Cut(step, " outcome=")
		if ok && strings.HasPrefix(step, "cluster ") && !strings.Contains(step, ": look ") && outcome != "\"taken\"\n" { // what is taken is asked for, and left
			done = append(done, step)
		}
	}
	slices.Sort(foreseen)
	slices.Sort(done)
	if !slices.Equal(foreseen, done) {
		t.Errorf("foreseen:\n%s\ndone:\n%s", strings.Join(foreseen, "\n"), strings.Join(done, "\n"))
	}
}

func deadMember(t *testing.T, w *world) {
	paris, tokyo, oslo := w.Members["paris"], w.Members["tokyo"], w.Members["oslo"]
	w.Fed.Apply(t, ns("dead")+configMap("dead", "update", "", "blue")+configMap("dead", "delete", "", "blue")+configMap("dead", "release", "", "blue")+deployment("dead", "web", "", 6))
	for _, name := range []string{"update", "delete", "release"} {
		for m := range w.Members {
			w.stands(t, "configmap", "dead", name, m, workload.Applied)
		}
	}
	w.shares(t, "dead", "web", "2 2 2", "paris", "tokyo", "oslo")
	tokyo.Kill(t)
	patch(t, w.Fed, "configmap", "dead", "update", `{"data":{"color":"green"}}`)
	w.Fed.Apply(t, configMap("dead", "create", "", "blue"))
	remove(t, w.Fed, "configmap", "dead", "delete")
	remove(t, w.Fed, "configmap", "dead", "release")
	for _, m := range []*cluster.Cluster{paris, oslo} {
		eventually(t, m, "configmap", "dead", "update", "data/color", "green")
		there(t, m, "configmap", "dead", "create")
		gone(t, m, "configmap", "dead", "delete")
	}
	w.stands(t, "configmap", "dead", "update", "tokyo", workload.Unreachable)
	w.says(t, "dead", "delete", "DeletionWaits", "tokyo")
	eventually(t, w.Fed, "clusters", "", "tokyo", "status/conditions/1/status", "True")
	if get(t, w.Fed, "configmap", "dead", "delete") == nil {
		t.Error("it is gone, though a copy of it may be in the dead cluster")
	}
	annotate(t, w.Fed, "configmap", "dead", "release", "fedns.io/release", "tokyo")
	gone(t, w.Fed, "configmap", "dead", "release")
	// Its replicas go to the others, after --lost-after.
	w.shares(t, "dead", "web", "3 3", "paris", "oslo")
	// A fedsync that begins now does no better.
	w.Stop()
	w.Restart(t)
	w.stands(t, "configmap", "dead", "create", "oslo", workload.Applied)
	w.says(t, "dead", "delete", "DeletionWaits", "tokyo")

	tokyo.Start(t)
	eventually(t, tokyo, "configmap", "dead", "update", "data/color", "green")
	there(t, tokyo, "configmap", "dead", "create")
	gone(t, w.Fed, "configmap", "dead", "delete")
	if get(t, tokyo, "configmap", "dead", "delete") != nil {
		t.Error("the copy outlived the federated object")
	}
	eventually(t, w.Fed, "clusters", "", "tokyo", "status/conditions/1/status", "False")
	w.sum(t, "dead", "web", 6)
	// What was released has a copy there that nobody asks for. It stays until an
	// operator says otherwise.
	server.Eventually(t, within, "it is told of", func() bool {
		return strings.Contains(field(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", "data/tokyo"), "dead/release")
	})
	there(t, tokyo, "configmap", "dead", "release")
	w.confirm(t)
	gone(t, tokyo, "configmap", "dead", "release")
	gone(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting")
}

func hungMember(t *testing.T, w *world) {
	paris, tokyo := w.Members["paris"], w.Members["tokyo"]
	w.Fed.Apply(t, ns("hung"))
	there(t, tokyo, "namespace", "", "hung")
	tokyo.Pause()
	start := time.Now()
	w.Fed.Apply(t, configMap("hung", "a", "", "blue")+configMap("hung", "b", "", "blue"))
	there(t, paris, "configmap", "hung", "a")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("a cluster that hangs held another up for %v", d)
	}
	w.stands(t, "configmap", "hung", "a", "tokyo", workload.Unreachable)
	running := w.Cmd
	w.Stop()
	if running.ProcessState.ExitCode() < 0 {
		t.Errorf("with a cluster that hangs it doesn't stop, and had to be killed: %v", running.ProcessState)
	}
	w.Restart(t)
	patch(t, w.Fed, "configmap", "hung", "a", `{"data":{"color":"green"}}`)
	eventually(t, paris, "configmap", "hung", "a", "data/color", "green")
	// What was sent before it hung is carried out now, beside what is sent now.
	tokyo.Resume()
	eventually(t, tokyo, "configmap", "hung", "a", "data/color", "green")
	eventually(t, tokyo, "configmap", "hung", "b", "data/color", "blue")
	w.stands(t, "configmap", "hung", "b", "tokyo", workload.Applied)
}

func fedDown(t *testing.T, w *world) {
	before := dump(t, w)
	w.Fed.Kill(t)
	paris := w.Members["paris"]
	patch(t, paris, "configmap", "hung", "a", `{"data":{"color":"red"}}`) // without a lease, it is still put right
	eventually(t, paris, "configmap", "hung", "a", "data/color", "green")
	w.Stop()
	w.Restart(t) // and one that knows nothing does nothing
	server.Eventually(t, within, "it says so", func() bool { return strings.Contains(w.Log.String(), "federation's API") })
	w.Fed.Start(t)
	w.Fed.Apply(t, configMap("hung", "c", "", "blue"))
	there(t, paris, "configmap", "hung", "c")
	for line := range strings.Lines(before) {
		if parts := strings.Fields(line); parts[0] != "federation" && !strings.Contains(dump(t, w), strings.Join(parts[:3], " ")) {
			t.Errorf("it is gone: %s", line)
		}
	}
}

// leaders has two of them, kills the one that leads, and stops the other.
// leaseDown: who can't renew its Lease stops, keeps everything, and goes on by itself
// once the API is back.
func leaseDown(t *testing.T, w *world) {
	w.Stop()
	usual := w.Args
	w.Start(t, append(slices.Clone(usual), "--lease", "3s")...)
	w.Fed.Apply(t, configMap("hung", "leased", "", "blue"))
	for _, m := range w.Members {
		there(t, m, "configmap", "hung", "leased")
	}
	held := &world{&federation.World{Fed: w.Members["tokyo"], Members: w.Members}} // all but the federation's API
	// Its last word may still be on its way.
	var before string
	server.Eventually(t, within, "nothing is written", func() bool {
		was := before
		before = dump(t, held)
		return was == before
	})
	w.Fed.Kill(t)
	for end := time.Now().Add(*down); time.Now().Before(end); time.Sleep(250 * time.Millisecond) { // between two looks
		if now := dump(t, held); now != before {
			t.Fatalf("something was written:\n%s", changed(before, now))
		}
	}
	if !strings.Contains(w.Log.String(), "no longer leading") {
		t.Errorf("it leads without a Lease:\n%s", w.Log.String())
	}
	w.Fed.Start(t)
	w.Fed.Apply(t, configMap("hung", "later", "", "blue"))
	for _, m := range w.Members {
		there(t, m, "configmap", "hung", "later")
	}
	w.Stop()
	w.Start(t, usual...)
}

func leaders(t *testing.T, w *world) {
	w.Stop()
	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	holder := func() string { return field(t, w.Fed, "lease", v1alpha1.System, "fedsync-prod", "spec/holderIdentity") }
	args := []string{"--lease", "3s", "--listen", "", "--debug"}
	first, firstDone := w.Launch(t, bin, args...)
	server.Eventually(t, within, "the first leads", func() bool { return holder() != "" })
	leader := holder()
	second, secondDone := w.Launch(t, bin, args...)
	w.Fed.Apply(t, ns("led")+configMap("led", "a", "", "blue"))
	there(t, w.Members["oslo"], "configmap", "led", "a")
	if holder() != leader {
		t.Error("the second took the lease from the first")
	}
	_ = first.Process.Kill() // it runs, as its lease says
	<-firstDone
	start := time.Now()
	w.Fed.Apply(t, configMap("led", "b", "", "blue"))
	there(t, w.Members["oslo"], "configmap", "led", "b")
	t.Logf("the second led %v after the first was killed", time.Since(start).Round(10*time.Millisecond))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the second took %v to lead", d)
	}
	// While it can't renew the lease, it doesn't write; and then it does again.
	w.Fed.Pause()
	server.Eventually(t, within, "it says so", func() bool { return strings.Contains(w.Log.String(), "no longer leading") })
	patch(t, w.Members["oslo"], "configmap", "led", "b", `{"data":{"color":"red"}}`)
	w.Fed.Resume()
	eventually(t, w.Members["oslo"], "configmap", "led", "b", "data/color", "blue")
	_ = second.Process.Signal(syscall.SIGTERM)
	<-secondDone
	if h := holder(); h != "" {
		t.Errorf("after a clean end %q holds the lease", h)
	}
	w.Restart(t)
}

// killed kills fedsync at random moments while objects come, change and go.
func killed(t *testing.T, w *world) {
	const objects = 8
	w.Fed.Apply(t, ns("killed"))
	type version struct {
		color    string
		replicas int
	}
	want := map[string]*version{}
	churn := rand.New(rand.NewPCG(1, 2))
	change := func(i int) {
		name := fmt.Sprint("o-", churn.IntN(objects))
		if want[name] != nil && churn.IntN(3) == 0 {
			remove(t, w.Fed, "configmap", "killed", name)
			remove(t, w.Fed, "deployment", "killed", name)
			want[name] = nil
			return
		}
		// One that is still on its way out can't be had anew yet.
		if o := get(t, w.Fed, "configmap", "killed", name); o != nil && o.GetDeletionTimestamp() != nil {
			return
		}
		if o := get(t, w.Fed, "deployment", "killed", name); o != nil && o.GetDeletionTimestamp() != nil {
			return
		}
		v := &version{fmt.Sprint("c", i), churn.IntN(20)}
		w.Fed.Apply(t, configMap("killed", name, "", v.color)+deployment("killed", name, "", v.replicas))
		want[name] = v
	}
	for i := range *kills {
		for range 1 + churn.IntN(4) {
			change(i)
		}
		pause := time.Duration(churn.IntN(900)) * time.Millisecond
		for end := time.Now().Add(pause); time.Now().Before(end); {
			time.Sleep(time.Millisecond) // that is the random moment
		}
		w.Kill()
		w.Log = &server.Buffer{}
		w.Restart(t)
	}
	for i := range objects {
		name := fmt.Sprint("o-", i)
		if v := want[name]; v == nil {
			gone(t, w.Fed, "configmap", "killed", name)
			gone(t, w.Fed, "deployment", "killed", name)
			for _, m := range w.Members {
				gone(t, m, "configmap", "killed", name)
				gone(t, m, "deployment", "killed", name)
			}
		} else {
			for _, m := range w.Members {
				eventually(t, m, "configmap", "killed", name, "data/color", v.color)
				w.stands(t, "configmap", "killed", name, m.Name, workload.Applied)
				w.stands(t, "deployment", "killed", name, m.Name, workload.Applied)
			}
			w.sum(t, "killed", name, v.replicas)
		}
	}
	if n := w.metric(t, "fedsync_waiting_deletions"); n != 0 {
		t.Errorf("%v objects are there that nobody asks for", n)
	}
	for _, m := range w.Members {
		for _, kind := range []string{"configmap", "deployment"} {
			for _, name := range ours(t, m, kind, "killed") {
				if want[strings.TrimPrefix(name, "killed/")] == nil {
					t.Errorf("%s: %s %s is an orphan", m.Name, kind, name)
				}
			}
		}
	}
}

// memberLost empties a member: it gets all back.
func memberLost(t *testing.T, w *world, b *cluster.Bed) {
	oslo := w.Members["oslo"]
	before := copies(t, w)
	oslo.Kill(t)
	oslo.StartOn(t, b)
	server.Eventually(t, within, "all of it is back", func() bool { return copies(t, w) == before })
	eventually(t, oslo, "configmap", "hung", "a", "data/color", "green")
	w.stands(t, "configmap", "hung", "b", "oslo", workload.Applied)
}

// etcdLost empties the federation's API, and with it all that fedsync goes by.
func etcdLost(t *testing.T, w *world, b *cluster.Bed) {
	before := copies(t, w)
	w.Fed.Kill(t)
	w.Fed.StartOn(t, b)
	// It knows of no cluster then, and of nothing that should be anywhere.
	server.Eventually(t, within, "it sees that", func() bool { return strings.Contains(w.Log.String(), "has lost what it held") })
	w.Prepare(t)
	server.Eventually(t, within, "it has listed what is there", func() bool { return strings.Contains(w.Log.String(), "clusters") })
	for _, m := range w.Members {
		w.Join(t, m, "")
	}
	for _, m := range w.Members {
		eventually(t, w.Fed, "clusters", "", m.Name, "status/conditions/0/status", "True")
	}
	if now := copies(t, w); now != before {
		t.Errorf("copies went with the federation's etcd:\n%s", changed(now, before))
	}
	w.Fed.Apply(t, ns("hung")+configMap("hung", "a", "", "purple"))
	for _, m := range w.Members {
		eventually(t, m, "configmap", "hung", "a", "data/color", "purple") // what comes back finds its copies
	}
	server.Eventually(t, within, "they wait for an operator", func() bool {
		return strings.Contains(field(t, w.Fed, "configmap", v1alpha1.System, "fedsync-waiting", "data/paris"), "hung/b")
	})
	if a, b := strings.Count(copies(t, w), "\n"), strings.Count(before, "\n"); a != b {
		t.Errorf("there are %d copies, and were %d", a, b)
	}
}

// copies are all objects of ours in the members.
func copies(t testing.TB, w *world) string {
	t.Helper()
	var all []string
	for _, m := range w.Members {
		for _, kind := range []string{"namespace", "configmap", "deployment"} {
			for _, name := range ours(t, m, kind, "") {
				all = append(all, m.Name+" "+kind+" "+name+"\n")
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// dump is all objects of the kinds that are kept, with their versions.
func dump(t testing.TB, w *world) string {
	t.Helper()
	var all []string
	clusters := []*cluster.Cluster{w.Fed}
	for _, m := range w.Members {
		clusters = append(clusters, m)
	}
	for _, c := range clusters {
		for _, s := range workload.Kinds() {
			for _, o := range list(t, c, strings.ToLower(s.Kind.Name), "") {
				all = append(all, fmt.Sprintf("%s %s %s/%s %s\n", c.Name, s.Kind.Name, o.GetNamespace(), o.GetName(), o.GetResourceVersion()))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// sum waits for the replicas of a Deployment to add up.
func (w *world) sum(t testing.TB, ns, name string, want int) {
	t.Helper()
	sum := 0
	server.Eventually(t, within, fmt.Sprintf("the replicas of %s/%s add up to %d", ns, name, want), func() bool {
		sum = 0
		for _, m := range w.Members {
			var n int
			_, _ = fmt.Sscan(field(t, m, "deployment", ns, name, "spec/replicas"), &n) // zero is asked again
			sum += n
		}
		return sum == want
	})
}
