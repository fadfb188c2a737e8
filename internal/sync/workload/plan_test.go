package workload

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A world is a table, and what it is made of.
type world struct {
	testing.TB
	*Table
	members []*Member
	version int
}

func newWorld(t testing.TB, members ...string) *world {
	w := &world{TB: t, Table: NewTable("prod")}
	w.Kinds = sorts
	for _, name := range members {
		w.members = append(w.members, &Member{
			Name: name, Labels: map[string]string{"name": name}, Reachable: true,
			Lists: func(*FederatedKind) bool { return true }, Lacks: func(*FederatedKind) bool { return false },
		})
	}
	w.SetMembers(w.members)
	w.want("Namespace", "", "ns", `{}`)
	w.run()
	return w
}

func (w *world) key(kindName, namespace, name string) Key {
	return Key{kind(w, kindName), namespace, name}
}

// want has a federated object with a finalizer; more is merged over it.
func (w *world) want(kindName, namespace, name, more string) Key {
	w.Helper()
	k := w.key(kindName, namespace, name)
	w.version++
	o := merge(parse(w, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"uid":"uid-%s","resourceVersion":"%d","finalizers":["fedns.io/fedsync"]}}`, name, namespace, name, w.version)), parse(w, more))
	w.SetDesired(NewDesired(k, o, "prod"))
	return k
}

func merge(a, b Object) Object {
	out := maps.Clone(a)
	for k, v := range b {
		if m, ok := v.(map[string]any); ok {
			if n, ok := out[k].(map[string]any); ok {
				v = merge(n, m)
			}
		}
		out[k] = v
	}
	return out
}

// have has an object in a cluster.
func (w *world) have(cluster string, k Key, object string) {
	w.Helper()
	w.version++
	w.SetObserved(cluster, k, merge(parse(w, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"uid":"uid-%s-%d","resourceVersion":"%d"}}`, k.Name, k.Namespace, cluster, w.version, w.version)), parse(w, object)))
}

// copied has what was applied in a cluster, with more merged over it.
func (w *world) copied(cluster string, k Key, more string) {
	w.Helper()
	w.have(cluster, k, jsonOf(merge(w.Desired(k).Template.Object, parse(w, more))))
}

// run carries steps out until there are none, and says what they were.
func (w *world) run() string {
	w.Helper()
	var all []string
	for range 20 {
		n := len(all)
		for _, k := range w.Dirty() {
			if w.Desired(k) == nil {
				continue
			}
			p := w.Plan(k)
			w.Planned(k, p)
			for _, s := range p.Steps {
				all = append(all, fmt.Sprintf("%s: %s %s%s", s.Cluster, s.Verb, s.Key, scaleOf(s)))
				w.do(s)
			}
		}
		if len(all) == n {
			return strings.Join(all, "\n")
		}
	}
	w.Fatalf("steps without an end:\n%s", strings.Join(all, "\n"))
	return ""
}

// do carries a step out.
func (w *world) do(s Step) {
	w.version++
	if s.Verb == Delete || s.Verb == Release {
		w.Gone(s.Cluster, s.Key)
		return
	}
	o := clone(s.Object).(Object)
	generation := int64(1)
	if h := w.Observed(s.Cluster, s.Key); h != nil {
		if generation = h.Part.Generation + 1; h.Part.Status != nil {
			o["status"] = clone(h.Part.Status)
		}
	}
	uid := s.UID
	if uid == "" {
		uid = fmt.Sprint("uid-", w.version)
	}
	w.Wrote(s, merge(o, Object{"metadata": map[string]any{"uid": uid, "resourceVersion": fmt.Sprint(w.version), "generation": generation}}))
}

func scaleOf(s Step) string {
	if len(s.Scale) == 0 {
		return ""
	}
	return " " + s.Scale.String()
}

// stands says how an object stands, in the plan.
func (w *world) stands(k Key) string {
	var out []string
	for _, s := range w.Plan(k).Standings {
		out = append(out, s.Cluster+" "+string(s.State))
	}
	return strings.Join(out, ", ")
}

func (w *world) check(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func (w *world) member(name string) *Member {
	return w.members[slices.IndexFunc(w.members, func(m *Member) bool { return m.Name == name })]
}

func TestPlanOfAnObject(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("ConfigMap", "ns", "c", `{"data":{"x":"1"}}`)
	w.check("new", w.run(), "a: create ConfigMap ns/c\nb: create ConfigMap ns/c")
	w.check("and done", w.run(), "")
	w.check("stands", w.stands(k), "a Applied, b Applied")

	w.copied("a", k, `{"data":{"x":"1","y":"theirs"},"status":{}}`)
	w.check("more than was applied", w.run(), "")
	w.copied("a", k, `{"data":{"x":"2"}}`)
	w.check("drift", w.run(), "a: update ConfigMap ns/c")
	w.Gone("b", k)
	w.check("deleted by hand", w.run(), "b: create ConfigMap ns/c")
	w.have("b", k, `{"metadata":{"annotations":{"fedns.io/federation":"prod"}},"data":{"x":"1"}}`)
	w.check("a mark taken off", w.run(), "b: update ConfigMap ns/c")

	w.have("b", k, `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"}},"data":{"x":"1"}}`)
	w.want("ConfigMap", "ns", "c", fmt.Sprintf(`{"metadata":{"annotations":{`+only+`}},"data":{"x":"1"}}`, "a"))
	w.check("a mark taken off where it isn't to be any more", w.run(), "b: delete ConfigMap ns/c")
	w.want("ConfigMap", "ns", "c", `{"data":{"x":"1"}}`)
	w.check("and back", w.run(), "b: create ConfigMap ns/c")

	w.have("b", k, `{"data":{"x":"theirs"}}`)
	w.check("a stranger", w.run(), "")
	w.check("stands", w.stands(k), "a Applied, b NameTaken")
	w.have("b", k, `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"test"}},"data":{"x":"theirs"}}`)
	w.check("another federation's", w.run(), "")
	if n := w.Plan(k).Notes; len(n) != 1 || !strings.Contains(n[0].Text, `"test"`) {
		t.Errorf("notes are %v", n)
	}
	w.want("ConfigMap", "ns", "c", `{"metadata":{"annotations":{"fedns.io/adopt":"true"}},"data":{"x":"1"}}`)
	w.check("adopted", w.run(), "b: adopt ConfigMap ns/c")

	w.want("ConfigMap", "ns", "c", `{"metadata":{"annotations":{"fedns.io/adopt":"true"},"deletionTimestamp":"2026-01-01T00:00:00Z"},"data":{"x":"1"}}`)
	w.check("deleted", w.run(), "a: delete ConfigMap ns/c\nb: delete ConfigMap ns/c")
	if !w.Plan(k).Done {
		t.Error("it isn't done")
	}
}

// kubectl delete --cascade=orphan leaves the copies, also when a garbage collector has taken
// its finalizer off before the copies have been let go.
func TestPlanOrphans(t *testing.T) {
	const deleting = `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["fedns.io/fedsync"%s]%s}}`
	w := newWorld(t, "a", "b")
	k := w.want("ConfigMap", "ns", "c", `{}`)
	w.run()
	w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleting, `,"orphan"`, ``))
	w.check("before it is written down", w.run(), "")
	if p := w.Plan(k); !p.Hold {
		t.Errorf("it isn't held: %+v", p)
	}
	w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleting, ``, ``))
	if p := w.Plan(k); !p.Hold {
		t.Errorf("it isn't held, as the finalizer is gone: %+v", p)
	}
	record := w.Desired(k).Record.Next("uid-c", nil, string(Deleting), "", time.Time{})
	w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleting, ``, fmt.Sprintf(`,"annotations":{"fedns.io/status":%q}`, record)))
	for _, s := range w.Plan(k).Steps {
		if s.Verb != Release || !strings.Contains(s.Why, "--cascade=orphan") {
			t.Errorf("%s %s: %s", s.Cluster, s.Verb, s.Why)
		}
	}
	w.check("afterwards", w.run(), "a: release ConfigMap ns/c\nb: release ConfigMap ns/c")

	// In a Namespace that goes like that, all is left.
	w.want("ConfigMap", "ns", "c", `{}`)
	w.run()
	w.want("Namespace", "", "ns", fmt.Sprintf(deleting, `,"orphan"`, fmt.Sprintf(`,"annotations":{"fedns.io/status":%q}`, `{"uid":"uid-ns","orphan":true}`)))
	w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleting, ``, ``))
	w.check("its namespace", w.run(), "a: release ConfigMap ns/c\nb: release ConfigMap ns/c")

	// Foreground is deletion.
	w.want("Namespace", "", "ns", `{}`)
	k = w.want("Service", "ns", "s", `{}`)
	w.run()
	w.want("Service", "ns", "s", fmt.Sprintf(deleting, `,"foregroundDeletion"`, ``))
	w.check("foreground", w.run(), "a: delete Service ns/s\nb: delete Service ns/s")
	if p := w.Plan(k); !p.Done || len(w.Desired(k).Collected) != 1 {
		t.Errorf("%+v, held by %v", p, w.Desired(k).Collected)
	}
}

// What isn't federated any more, or never should have been, is let go everywhere.
func TestPlanLetsGo(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("Gadget", "ns", "g", `{}`)
	w.run()
	marked := `{"metadata":{"labels":{"addonmanager.kubernetes.io/mode":"Reconcile"}}}`
	w.want("Gadget", "ns", "g", marked)
	w.member("b").Reachable = false
	w.SetMembers(w.members)
	w.check("one that each cluster makes", w.run(), "a: release Gadget ns/g")
	if p := w.Plan(k); p.Done || len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Text, "letting it go waits") {
		t.Errorf("while b can't be asked: %+v", p)
	}
	w.member("b").Reachable = true
	w.SetMembers(w.members)
	w.check("when it can", w.run(), "b: release Gadget ns/g")
	if p := w.Plan(k); !p.Done {
		t.Errorf("when all is let go: %+v", p)
	}

	dropped := Other(builtin.ServiceAccounts)
	dropped.Dropped = true
	robot := Key{dropped, "ns", "robot"}
	for cluster, o := range map[string]string{"a": `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`, "b": `{}`} {
		w.have(cluster, robot, o)
	}
	w.SetDesired(NewDesired(robot, parse(t, `{"metadata":{"name":"robot","uid":"u","finalizers":["fedns.io/fedsync"],"deletionTimestamp":"2026-01-01T00:00:00Z"}}`), "prod"))
	w.check("of a kind that was dropped", w.run(), "a: release ServiceAccount ns/robot")
	if p := w.Plan(robot); !p.Done || p.Hold {
		t.Errorf("when all is let go: %+v", p)
	}
}

// TestPlanHidden is that a deletion waits for a cluster that has the object and serves it no
// more, and not for one that never had it or has lost it with its definition.
func TestPlanHidden(t *testing.T) {
	deleting := `{"metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z","annotations":{"fedns.io/status":%q,"fedns.io/release":%q}}}`
	was := func(state State, applied string) string {
		return Record{UID: "uid-h", Clusters: []Propagation{{Cluster: "a", State: state, Applied: applied}}}.String()
	}
	for _, tt := range []struct {
		name, record string
		lacks, hides bool
		waits        bool
	}{
		{"it was there", was(NotServed, "h"), true, true, true},
		{"it was never there", was(NotServed, ""), true, true, false},
		{"it has gone with its definition", was(NotServed, "h"), true, false, false},
		{"it is served again", was(NotServed, "h"), false, true, false},
	} {
		w := newWorld(t, "a")
		w.member("a").Lacks = func(s *FederatedKind) bool { return tt.lacks && s.Scaler }
		w.member("a").Hides = func(s *FederatedKind) bool { return tt.hides && s.Scaler }
		w.SetMembers(w.members)
		p := w.Plan(w.want("HorizontalPodAutoscaler", "ns", "h", fmt.Sprintf(deleting, tt.record, "")))
		if p.Done == tt.waits || (len(p.Notes) == 1 && strings.HasPrefix(p.Notes[0].Text, "deletion waits for clusters that can't be asked: a; ")) != tt.waits {
			t.Errorf("%s: %+v", tt.name, p)
		}
		if p := w.Plan(w.want("HorizontalPodAutoscaler", "ns", "h", fmt.Sprintf(deleting, tt.record, "a"))); !p.Done {
			t.Errorf("%s: released, %+v", tt.name, p)
		}
	}
}

// TestNamespaceStays is that a Namespace which is being deleted says what keeps it.
func TestNamespaceStays(t *testing.T) {
	w := newWorld(t, "a")
	k := w.want("ConfigMap", "ns", "held", `{}`)
	w.run()
	home := w.want("Namespace", "", "ns", `{"metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z"}}`)
	if p := w.Plan(home); len(p.Notes) > 0 || p.Done {
		t.Errorf("at first %+v", p)
	}
	w.Clean(home)
	w.want("ConfigMap", "ns", "held", `{"metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z","finalizers":["theirs"]}}`)
	if !w.Clean(home) {
		t.Error("it isn't planned anew")
	}
	p := w.Plan(home)
	if len(p.Notes) != 1 || p.Notes[0].Reason != "NamespaceStays" || p.Notes[0].Text != "it stays: it holds ConfigMap ns/held, which a finalizer of somebody else's keeps" || p.Done {
		t.Errorf("%+v", p)
	}
	w.RemoveDesired(k)
	if p := w.Plan(home); len(p.Notes) > 0 {
		t.Errorf("in the end %+v", p)
	}
}

// TestPlanHolds is that nothing comes before the finalizer, and nothing before the
// namespace.
func TestPlanHolds(t *testing.T) {
	w := newWorld(t, "a")
	k := w.want("ConfigMap", "ns", "c", `{"metadata":{"finalizers":[]}}`)
	w.check("without a finalizer", w.run(), "")
	if !w.Plan(k).Hold {
		t.Error("it isn't held")
	}
	k = w.want("ConfigMap", "new", "c", `{}`)
	w.check("in a namespace that nobody has seen", w.run(), "")
	w.check("stands", w.stands(k), "a Pending")
	w.want("Namespace", "", "new", `{}`)
	w.check("with it", w.run(), "a: create Namespace new\na: create ConfigMap new/c")
	home := w.key("Namespace", "", "new")
	w.have("a", home, `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`)
	w.Gone("a", k)
	w.check("while it is on its way out", w.run(), "")
	w.Gone("a", home)
	w.check("when it is gone", w.run(), "a: create Namespace new\na: create ConfigMap new/c")

	// What is in it goes first, also what nobody asks for any more.
	w.have("a", w.key("Secret", "new", "stray"), `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`)
	w.want("Namespace", "", "new", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}`)
	w.check("with objects in it", w.run(), "")
	w.want("ConfigMap", "new", "c", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}`)
	w.check("one that goes", w.run(), "a: delete ConfigMap new/c")
	w.RemoveDesired(k)
	w.check("and one that nobody asks for", w.run(), "")
	if s := w.Strays(); len(s) != 1 || s[0].Name != "stray" {
		t.Errorf("strays are %v", s)
	}
	w.Gone("a", w.key("Secret", "new", "stray"))
	w.check("empty", w.run(), "a: delete Namespace new")
	w.SetUnlisted(kind(t, "Secret"), true)
	if p := w.Plan(home); p.Done || len(p.Notes) != 1 {
		t.Errorf("a namespace of which it isn't known what it holds: %+v", p)
	}
}

func TestPlanNeedsAnAnswer(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("ConfigMap", "ns", "c", `{}`)
	w.run()
	record := w.Desired(k).Record.Next("uid-c", w.Plan(k).Standings, string(Applied), "", time.Time{}).String()
	silent := func(what string, set, unset func(m *Member)) {
		t.Run(what, func(t *testing.T) {
			w.TB = t
			b := w.member("b")
			set(b)
			w.SetMembers(w.members)
			w.want("ConfigMap", "ns", "c", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q,"fedns.io/cluster-selector":"[{\"key\":\"name\",\"operator\":\"=\",\"values\":[\"a\"]}]"}}}`, record))
			w.check("not selected", w.run(), "")
			deleted := fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q%%s},"deletionTimestamp":"2026-01-01T00:00:00Z"}}`, record)
			w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleted, ""))
			p := w.Plan(k)
			if p.Done || len(p.Notes) != 1 || p.Notes[0].Reason != "DeletionWaits" {
				t.Errorf("a deletion doesn't wait: %+v", p)
			}
			w.want("ConfigMap", "ns", "c", fmt.Sprintf(deleted, `,"fedns.io/release":"x, b"`))
			if p := w.Plan(k); len(p.Notes) != 0 {
				t.Errorf("a deletion that was released waits: %+v", p.Notes)
			}
			unset(b)
			w.SetMembers(w.members)
			w.want("ConfigMap", "ns", "c", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q}}}`, record))
			w.check("as before", w.run(), "")
		})
	}
	silent("out of reach", func(m *Member) { m.Reachable = false }, func(m *Member) { m.Reachable = true })
	silent("not listed", func(m *Member) { m.Lists = func(*FederatedKind) bool { return false } }, func(m *Member) { m.Lists = func(*FederatedKind) bool { return true } })
	silent("forbidden", func(m *Member) {
		m.Lists, m.Denies = func(*FederatedKind) bool { return false }, func(*FederatedKind) string { return "forbidden" }
	}, func(m *Member) { m.Lists, m.Denies = func(*FederatedKind) bool { return true }, nil })
}

func TestPlanPlaces(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("ConfigMap", "ns", "c", `{"metadata":{"annotations":{"fedns.io/cluster-selector":"[{\"key\":\"name\",\"operator\":\"=\",\"values\":[\"a\"]}]"}}}`)
	w.check("by selector", w.run(), "a: create ConfigMap ns/c")
	w.want("ConfigMap", "ns", "c", `{"metadata":{"annotations":{"fedns.io/cluster-selector":"a"}}}`)
	w.check("by one that can't be read", w.run(), "")
	w.check("stands", w.stands(k), "a Applied")
	w.want("ConfigMap", "ns", "c", `{}`)
	w.check("everywhere", w.run(), "b: create ConfigMap ns/c")
	w.want("Namespace", "", "ns", `{"metadata":{"annotations":{"fedns.io/cluster-selector":"a"}}}`)
	w.check("in a namespace whose selector can't be read", w.run(), "")
	w.want("Namespace", "", "ns", `{"metadata":{"annotations":{"fedns.io/cluster-selector":"[{\"key\":\"name\",\"operator\":\"=\",\"values\":[\"a\"]}]"}}}`)
	w.check("in one that is only in a", w.run(), "b: delete ConfigMap ns/c\nb: delete Namespace ns")
	w.want("Namespace", "", "ns", `{}`)
	w.run()
	w.member("b").Taints = []placement.Taint{{Key: "k", Effect: placement.NoSchedule}}
	w.SetMembers(w.members)
	w.want("ConfigMap", "ns", "new", `{}`)
	w.want("ConfigMap", "ns", "tolerant", `{"metadata":{"annotations":{"fedns.io/tolerations":"[{\"operator\":\"Exists\"}]"}}}`)
	w.check("with a taint in b", w.run(), "a: create ConfigMap ns/new\na: create ConfigMap ns/tolerant\nb: create ConfigMap ns/tolerant")
	w.member("b").Taints[0].Effect = placement.NoExecute
	w.SetMembers(w.members)
	w.want("Namespace", "", "ns", `{"metadata":{"annotations":{"fedns.io/tolerations":"[{\"operator\":\"Exists\"}]"}}}`)
	w.check("with one that sends away", w.run(), "b: delete ConfigMap ns/c")
	w.member("a").Lacks = func(s *FederatedKind) bool { return s.Kind.Name == "ConfigMap" }
	w.SetMembers(w.members)
	w.check("where it isn't served", w.stands(w.key("ConfigMap", "ns", "tolerant")), "a NotServed, b Applied")
}

func TestPlanScales(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":6}}`)
	w.check("halves", w.run(), "a: create Deployment ns/web 3 replicas\nb: create Deployment ns/web 3 replicas")
	k := w.key("Deployment", "ns", "web")
	scaled := func(n int) string { return fmt.Sprintf(`{"spec":{"replicas":%d}}`, n) }
	w.copied("a", k, scaled(9))
	w.check("scaled by hand", w.run(), "a: update Deployment ns/web 3 replicas")
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/preferences":"{"}},"spec":{"replicas":8}}`)
	w.check("preferences that can't be read", w.run(), "")
	w.copied("a", k, scaled(9))
	w.check("and scaled by hand", w.run(), "a: update Deployment ns/web 3 replicas")
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":8}}`)
	w.check("without", w.run(), "a: update Deployment ns/web 4 replicas\nb: update Deployment ns/web 4 replicas")

	scaler := w.key("HorizontalPodAutoscaler", "ns", "theirs")
	w.have("a", scaler, `{"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":2,"maxReplicas":9}}`)
	w.copied("a", k, scaled(7))
	w.check("scaled by an autoscaler", w.run(), "")
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":8,"x":"new"}}`)
	p := w.Plan(k)
	if len(p.Steps) != 2 || p.Steps[0].Scale["replicas"] != 7 || p.Steps[0].Version == "" || p.Steps[1].Version != "" {
		t.Errorf("with an autoscaler in a: %+v", p.Steps)
	}
	w.run()
	w.Gone("a", scaler)
	w.check("without it", w.run(), "a: update Deployment ns/web 4 replicas")

	// Before it is known who scales, nobody is scaled back.
	a := w.member("a")
	a.Lists = func(s *FederatedKind) bool { return s.Kind.Name != "HorizontalPodAutoscaler" }
	w.SetMembers(w.members)
	w.copied("a", k, scaled(7))
	w.check("as long as it isn't known", w.run(), "")
	a.Lists = func(*FederatedKind) bool { return true }
	w.SetMembers(w.members)
	w.check("when it is", w.run(), "a: update Deployment ns/web 4 replicas")

	w.member("b").Evacuated = true
	w.SetMembers(w.members)
	w.check("evacuated", w.run(), "a: update Deployment ns/web 6 replicas\nb: update Deployment ns/web 0 replicas\na: update Deployment ns/web 8 replicas")
	w.member("b").Evacuated = false
	w.SetMembers(w.members)
	w.check("what runs stays", w.run(), "")

	// A cluster that has the name taken gets none of the sum.
	w.have("b", k, `{"spec":{"replicas":1}}`)
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":9}}`)
	w.check("taken in b", w.run(), "a: update Deployment ns/web 9 replicas")
	w.Gone("b", k)
	w.run()
	w.member("b").Lost, w.member("b").Reachable = true, false
	w.SetMembers(w.members)
	w.want("Deployment", "ns", "web", `{"spec":{"replicas":12}}`)
	w.check("lost", w.run(), "a: update Deployment ns/web 12 replicas")
}

// TestPlanRemembers is that a fedsync that has just begun plans by what was asked
// for, and not by what happens to be there.
func TestPlanRemembers(t *testing.T) {
	w := newWorld(t, "a", "b")
	const selected = `"fedns.io/preferences":"{\"clusters\":{\"a\":{\"weight\":1,\"maxReplicas\":5},\"b\":{\"weight\":1}}}"`
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{`+selected+`}},"spec":{"replicas":7}}`)
	w.run()
	k := w.key("Deployment", "ns", "web")
	record := Record{}.Next("uid-web", w.Plan(k).Standings, string(Applied), "", time.Time{})
	scaled := func(n int64) string {
		return jsonOf(merge(w.Desired(k).Template.Object, Object{"spec": map[string]any{"replicas": n}}))
	}
	before := map[string]int64{}
	for _, s := range record.Clusters {
		before[s.Cluster] = s.Scale["replicas"]
	}
	next := newWorld(t, "a", "b")
	next.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{%s,"fedns.io/status":%q}},"spec":{"replicas":7}}`, selected, record))
	next.have("a", k, scaled(before["a"]+5)) // by hand, while nobody looked
	next.have("b", k, scaled(before["b"]))
	next.check("it goes back", next.run(), fmt.Sprintf("a: update Deployment ns/web %d replicas", before["a"]))

	// The record of another object of that name doesn't count.
	other := newWorld(t, "a", "b")
	other.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"uid":"another","annotations":{"fedns.io/status":%q}},"spec":{"replicas":7}}`, record))
	if r := other.Desired(k).Record; len(r.Clusters) != 0 {
		t.Errorf("it has a record of another one: %+v", r)
	}
}

func TestPlanOfJobs(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("Job", "ns", "j", `{"spec":{"parallelism":2,"completions":4}}`)
	w.check("halves", w.run(), "a: create Job ns/j 1 parallelism, 2 completions\nb: create Job ns/j 1 parallelism, 2 completions")
	w.copied("a", k, `{"spec":{"parallelism":1,"completions":2},"status":{"succeeded":2,"conditions":[{"type":"Complete","status":"True"}]}}`)
	w.run()
	record := Record{}.Next("uid-j", w.Plan(k).Standings, string(Applied), "", time.Time{})
	w.Gone("a", k)
	w.check("ended and gone", w.run(), "")
	w.check("stands", w.stands(k), "a Finished, b Applied")
	if n, _ := number(w.Status(k, true), "succeeded"); n != 2 {
		t.Errorf("%d have succeeded, want those of the one that is gone", n)
	}
	w.Gone("b", k)
	w.check("gone without having ended", w.run(), "b: create Job ns/j 1 parallelism, 2 completions")

	next := newWorld(t, "a", "b")
	next.want("Job", "ns", "j", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q}},"spec":{"parallelism":2,"completions":4}}`, record))
	next.check("by the record", next.run(), "b: create Job ns/j 1 parallelism, 2 completions")

	// One that goes by itself may have run wherever it was.
	k = w.want("Job", "ns", "ttl", `{"spec":{"parallelism":2,"completions":2,"ttlSecondsAfterFinished":0}}`)
	w.run()
	record = Record{}.Next("uid-ttl", w.Plan(k).Standings, string(Applied), "", time.Time{})
	w.Gone("a", k)
	w.check("gone", w.run(), "")
	next.want("Job", "ns", "ttl", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q}},"spec":{"parallelism":2,"completions":2,"ttlSecondsAfterFinished":0}}`, record))
	next.check("by the record", next.run(), "")

	w.want("Job", "ns", "one", `{"spec":{"parallelism":1,"completions":1}}`)
	if got := strings.Count(w.run(), "create"); got != 1 {
		t.Errorf("a Job of one is made %d times", got)
	}
}

// A Job whose pods aren't alike is in one cluster, and moves only while it hasn't begun.
func TestPlanOfIndexedJobs(t *testing.T) {
	for what, spec := range map[string]string{
		"completionMode":       `"completionMode":"Indexed"`,
		"successPolicy":        `"completionMode":"Indexed","successPolicy":{"rules":[{"succeededCount":1}]}`,
		"backoffLimitPerIndex": `"backoffLimitPerIndex":1`,
		"podFailurePolicy":     `"podFailurePolicy":{"rules":[{"action":"Ignore"},{"action":"FailIndex"}]}`,
	} {
		w := newWorld(t, "a", "b")
		k := w.want("Job", "ns", "j", `{"spec":{"parallelism":2,"completions":4,`+spec+`}}`)
		w.check(what, w.run(), "b: create Job ns/j 2 parallelism, 4 completions")
		if why := w.Plan(k).Standings[0].Why; !strings.Contains(why, "whole") || !strings.Contains(why, what) {
			t.Errorf("%s: it is so since %q", what, why)
		}
	}

	const job = `"spec":{"parallelism":2,"completions":4,"completionMode":"Indexed"}`
	const heavy = `"metadata":{"annotations":{"fedns.io/preferences":"{\"rebalance\":true,\"clusters\":{\"a\":{\"weight\":1},\"b\":{\"weight\":2}}}"}}`
	const running = `{"spec":{"parallelism":2,"completions":4},"status":{"active":2,"startTime":"2026-01-01T00:00:00Z"}}`
	w := newWorld(t, "a", "b")
	k := w.want("Job", "ns", "j", `{`+job+`}`)
	w.run()
	w.member("b").Evacuated = true
	w.SetMembers(w.members)
	w.check("drained before it has begun", w.run(), "b: delete Job ns/j\na: create Job ns/j 2 parallelism, 4 completions")
	w.member("b").Evacuated = false
	w.SetMembers(w.members)
	w.check("and back", w.run(), "")
	w.want("Job", "ns", "j", `{`+heavy+`,`+job+`}`)
	w.check("rebalanced before it has begun", w.run(), "a: delete Job ns/j\nb: create Job ns/j 2 parallelism, 4 completions")

	// What is there goes first.
	w.want("Job", "ns", "j", `{`+job+`}`)
	w.member("b").Evacuated = true
	w.SetMembers(w.members)
	w.copied("b", k, `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"parallelism":2,"completions":4}}`)
	w.check("while it goes", w.run(), "")
	w.Gone("b", k)
	w.check("when it has gone", w.run(), "a: create Job ns/j 2 parallelism, 4 completions")

	// Once it has begun, nothing but its owner's word moves it.
	w.copied("a", k, running)
	w.want("Job", "ns", "j", `{`+heavy+`,`+job+`}`)
	w.member("b").Evacuated = false
	w.SetMembers(w.members)
	w.check("rebalanced when it has begun", w.run(), "")
	if why := w.Plan(k).Standings[0].Why; !strings.Contains(why, "begun") {
		t.Errorf("it stays since %q", why)
	}
	record := Record{}.Next("uid-j", w.Plan(k).Standings, string(Applied), "", time.Time{})
	w.member("a").Evacuated = true
	w.SetMembers(w.members)
	w.check("drained when it has begun", w.run(), "a: update Job ns/j 0 parallelism, 4 completions")
	w.member("a").Evacuated = false
	w.SetMembers(w.members)
	w.check("and back", w.run(), "a: update Job ns/j 2 parallelism, 4 completions")
	w.copied("a", k, running)
	w.member("a").Reachable, w.member("a").Lost = false, true
	w.SetMembers(w.members)
	w.check("lost when it has begun", w.run(), "")
	w.check("stands", w.stands(k), "a Unreachable")
	next := newWorld(t, "a", "b")
	next.member("a").Reachable, next.member("a").Lost = false, true
	next.SetMembers(next.members)
	next.want("Job", "ns", "j", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/status":%q}},%s}`, record, job))
	next.check("lost, by the record", next.run(), "")
	next.SetMembers(next.members[1:])
	next.check("its cluster has left", next.run(), "b: create Job ns/j 2 parallelism, 4 completions")

	w.member("a").Reachable, w.member("a").Lost = true, false
	w.SetMembers(w.members)
	w.copied("a", k, `{"spec":{"parallelism":2,"completions":4},"status":{"succeeded":4,"completedIndexes":"0-3","startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Complete","status":"True"}]}}`)
	w.run()
	if got := text(w.Status(k, true), "completedIndexes"); got != "0-3" {
		t.Errorf("indexes that are done are %q", got)
	}
	w.Gone("a", k)
	w.check("ended and gone", w.run(), "")
	w.check("stands", w.stands(k), "a Finished")

	// One that finds no room where it is hasn't begun.
	now := time.Unix(0, 0)
	w = newWorld(t, "a", "b")
	k = w.want("Job", "ns", "j", `{`+job+`}`)
	w.run()
	w.copied("b", k, running)
	var looked []string
	w.Lagging(func(c string, x *Desired, spec, ready int64, _ bool) {
		looked = append(looked, fmt.Sprint(c, " ", spec, " ", ready, " ", x.PodSelector))
	})
	w.check("whose pods are looked at", strings.Join(looked, ", "), "b 2 0 batch.kubernetes.io/job-name=j")
	w.Pods("b", k, replicas.State{Spec: 2, Pods: []replicas.Pod{{Unschedulable: now}, {Unschedulable: now}}}, now.Add(time.Hour))
	w.check("no room", w.run(), "b: delete Job ns/j\na: create Job ns/j 2 parallelism, 4 completions")

	// Two halves of an older version: one goes, and the one that has begun stays.
	w = newWorld(t, "a", "b")
	k = w.want("Job", "ns", "j", `{`+job+`}`)
	w.copied("a", k, `{"spec":{"parallelism":1,"completions":2}}`)
	w.copied("b", k, running)
	w.check("two", w.run(), "a: delete Job ns/j")
	w = newWorld(t, "a", "b")
	k = w.want("Job", "ns", "j", `{`+job+`}`)
	for _, c := range []string{"a", "b"} {
		w.copied(c, k, `{"spec":{"parallelism":1,"completions":2},"status":{"active":1,"startTime":"2026-01-01T00:00:00Z"}}`)
	}
	w.check("two that have begun", w.run(), "")
	if why := w.Plan(k).Standings[1].Why; !strings.Contains(why, "begun in a, b") {
		t.Errorf("it is so since %q", why)
	}
}

// A StatefulSet is in one cluster, and stays where it may have volumes.
func TestPlanOfStatefulSets(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("StatefulSet", "ns", "db", `{"spec":{"replicas":3}}`)
	w.check("whole", w.run(), "a: create StatefulSet ns/db 3 replicas")
	w.member("a").Evacuated = true
	w.SetMembers(w.members)
	w.check("drained before it has begun", w.run(), "a: delete StatefulSet ns/db\nb: create StatefulSet ns/db 3 replicas")
	w.copied("b", k, `{"spec":{"replicas":3},"status":{"replicas":3,"readyReplicas":2,"currentRevision":"db-1"}}`)
	w.member("b").Evacuated, w.member("a").Evacuated = true, false
	w.SetMembers(w.members)
	w.check("drained when it has begun", w.run(), "b: update StatefulSet ns/db 0 replicas")
	w.copied("b", k, `{"spec":{"replicas":0},"status":{"currentRevision":"db-1"}}`)
	w.member("b").Evacuated = false
	w.SetMembers(w.members)
	w.check("and back", w.run(), "b: update StatefulSet ns/db 3 replicas")
	w.want("StatefulSet", "ns", "db", `{"spec":{"replicas":5}}`)
	w.check("scaled", w.run(), "b: update StatefulSet ns/db 5 replicas")
	if n, _ := number(w.Status(k, true), "replicas"); n != 0 {
		t.Errorf("it tells of %d replicas", n)
	}

	// Its autoscaler goes with it.
	w.want("HorizontalPodAutoscaler", "ns", "db", `{"spec":{"scaleTargetRef":{"kind":"StatefulSet","name":"db"},"minReplicas":2,"maxReplicas":7}}`)
	w.check("scaled by an autoscaler", w.run(), "b: create HorizontalPodAutoscaler ns/db 2 minReplicas, 7 maxReplicas")

	// Copies that an older version has made have volumes, too.
	w = newWorld(t, "a", "b")
	k = w.want("StatefulSet", "ns", "db", `{"spec":{"replicas":3}}`)
	for _, c := range []string{"a", "b"} {
		w.copied(c, k, `{"spec":{"replicas":3},"status":{"replicas":3,"currentRevision":"db-1"}}`)
	}
	w.check("copies", w.run(), "")
	w.check("stand", w.stands(k), "a Applied, b Applied")
}

// What is done on a schedule is done once.
func TestPlanOfCronJobs(t *testing.T) {
	const spec = `"spec":{"schedule":"@daily"}`
	w := newWorld(t, "a", "b", "c")
	k := w.want("CronJob", "ns", "c", `{`+spec+`}`)
	w.check("whole", w.run(), "b: create CronJob ns/c")
	w.check("and done", w.run(), "")
	w.check("stands", w.stands(k), "b Applied")
	w.member("b").Reachable = false
	w.SetMembers(w.members)
	w.check("out of reach", w.run(), "")
	w.member("b").Lost = true
	w.SetMembers(w.members)
	w.check("lost", w.run(), "a: create CronJob ns/c")
	w.member("b").Reachable, w.member("b").Lost = true, false
	w.SetMembers(w.members)
	w.check("and back", w.run(), "b: delete CronJob ns/c")
	w.member("a").Evacuated = true
	w.SetMembers(w.members)
	w.check("drained", w.run(), "a: delete CronJob ns/c\nb: create CronJob ns/c")
	w.member("a").Evacuated = false
	w.SetMembers(w.members)
	w.check("no more", w.run(), "")
	w.member("b").Taints = []placement.Taint{{Key: "full", Effect: placement.NoSchedule}}
	w.SetMembers(w.members)
	w.check("a taint keeps what is there", w.run(), "")
	w.want("CronJob", "ns", "c", `{"metadata":{"annotations":{"fedns.io/everywhere":"true"}},`+spec+`}`)
	w.check("everywhere", w.run(), "a: create CronJob ns/c\nc: create CronJob ns/c")
	w.want("CronJob", "ns", "c", `{"metadata":{"annotations":{"fedns.io/preferences":"{\"rebalance\":true,\"clusters\":{\"*\":{\"weight\":1},\"c\":{\"weight\":2}}}"}},`+spec+`}`)
	w.check("where it is preferred, when it is gone from elsewhere", w.run(), "a: delete CronJob ns/c\nb: delete CronJob ns/c\nc: delete CronJob ns/c\nc: create CronJob ns/c")

	// Another fedsync knows from what was told where it may be.
	w = newWorld(t, "a", "b")
	w.member("b").Reachable = false
	w.SetMembers(w.members)
	w.want("CronJob", "ns", "c", `{"metadata":{"annotations":{"fedns.io/status":"{\"uid\":\"uid-c\",\"clusters\":[{\"name\":\"b\",\"state\":\"Applied\"}]}"}},`+spec+`}`)
	w.check("out of reach since before", w.run(), "")
}

func TestRoom(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("Deployment", "ns", "web", `{"spec":{"replicas":8}}`)
	w.run()
	start := time.Time{}.Add(time.Hour)
	pods := []replicas.Pod{{Running: true}, {Unschedulable: start}, {Unschedulable: start}, {Unschedulable: start}}
	w.Pods("a", k, replicas.State{Spec: 4, Ready: 1, Pods: pods}, start.Add(30*time.Second))
	w.check("it may still find room", w.run(), "")
	w.Pods("a", k, replicas.State{Spec: 4, Ready: 1, Pods: pods}, start.Add(2*time.Minute))
	w.check("no room", w.run(), "a: update Deployment ns/web 1 replica\nb: update Deployment ns/web 6 replicas\nb: update Deployment ns/web 7 replicas")
}

// TestOrder is that it doesn't matter in which order things are heard of.
func TestOrder(t *testing.T) {
	steps := func(seed uint64) string {
		w := &world{TB: t, Table: NewTable("prod")}
		w.Kinds = sorts
		ours := `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}},"spec":{"replicas":9,"minReplicas":1,"scaleTargetRef":{"kind":"Deployment","name":"web"}}}`
		heard := []func(){
			func() { w.want("Namespace", "", "ns", `{}`) },
			func() { w.want("Deployment", "ns", "web", `{"spec":{"replicas":7}}`) },
			func() { w.want("Deployment", "ns", "own", `{"spec":{"replicas":5}}`) },
			func() { w.want("ConfigMap", "ns", "c", `{}`) },
			func() { w.want("HorizontalPodAutoscaler", "ns", "h", `{"spec":{"minReplicas":2,"maxReplicas":6}}`) },
			func() { w.have("a", w.key("Namespace", "", "ns"), ours) },
			func() { w.have("b", w.key("Namespace", "", "ns"), `{}`) },
			func() { w.have("a", w.key("Deployment", "ns", "web"), ours) },
			func() { w.have("b", w.key("ConfigMap", "ns", "c"), `{}`) },
			func() { w.have("a", w.key("HorizontalPodAutoscaler", "ns", "theirs"), ours) },
			func() { w.have("b", w.key("Secret", "ns", "stray"), ours) },
			func() {
				for _, name := range []string{"a", "b", "c"} {
					w.members = append(w.members, &Member{Name: name, Reachable: name != "c", Lists: func(*FederatedKind) bool { return true }, Lacks: func(*FederatedKind) bool { return false }})
				}
				w.SetMembers(w.members)
			},
		}
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(heard), func(i, j int) { heard[i], heard[j] = heard[j], heard[i] })
		for _, h := range heard {
			h()
		}
		var all []string
		for _, k := range w.KeysOf(nil) {
			for _, s := range w.Plan(k).Steps {
				all = append(all, fmt.Sprintf("%s: %s %s%s: %s", s.Cluster, s.Verb, s.Key, scaleOf(s), s.Why))
			}
		}
		for _, s := range w.Strays() {
			all = append(all, fmt.Sprintf("stray %s %s", s.Cluster, s.Key))
		}
		return strings.Join(all, "\n")
	}
	first := steps(0)
	if !strings.Contains(first, "stray b Secret ns/stray") || !strings.Contains(first, "create ConfigMap") {
		t.Fatalf("the steps are\n%s", first)
	}
	for seed := range uint64(50) {
		if got := steps(seed + 1); got != first {
			t.Fatalf("plans depend on what was heard of first:\n got %s\nwant %s", got, first)
		}
	}
}

// TestTableForgets is that nothing is left of what has gone.
func TestTableForgets(t *testing.T) {
	w := newWorld(t, "a", "b")
	for i := range 20 {
		name := fmt.Sprint("o-", i)
		w.want("Deployment", "ns", name, `{"spec":{"replicas":3}}`)
		w.want("HorizontalPodAutoscaler", "ns", name, `{"spec":{"minReplicas":2,"maxReplicas":6,"scaleTargetRef":{"kind":"Deployment","name":"web"}}}`)
		w.want("Namespace", "", name, `{}`)
	}
	w.run()
	for _, k := range w.KeysOf(nil) {
		w.Gone("a", k)
		w.RemoveDesired(k)
		w.Gone("b", k)
	}
	w.Dirty()
	if n := len(w.rows) + len(w.inside) + len(w.orphaned) + len(w.owned) + len(w.namespaces) + len(w.autoscalers); n != 0 {
		t.Errorf("%d entries are left: %+v", n, w.Table)
	}
}

// TestOlder is that late words don't count, except those of a list.
func TestOlder(t *testing.T) {
	w := newWorld(t, "a")
	k := w.want("ConfigMap", "ns", "c", `{"data":{"x":"1"}}`)
	w.run()
	now := w.Observed("a", k)
	late := parse(t, fmt.Sprintf(`{"metadata":{"uid":%q,"resourceVersion":"1","labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`, now.UID))
	w.SetObserved("a", k, late)
	if w.Observed("a", k) != now {
		t.Error("a late word counted")
	}
	w.Listed("a", k.FederatedKind, map[Key]Object{k: late})
	if w.Observed("a", k).Version != "1" {
		t.Error("a list didn't have the last word")
	}
	for _, test := range [][2]string{{"1", "2"}, {"9", "10"}, {"99", "100"}, {"", "1"}} {
		if !v1alpha1.Older(test[0], test[1]) || v1alpha1.Older(test[1], test[0]) || v1alpha1.Older(test[0], test[0]) {
			t.Errorf("%q and %q", test[0], test[1])
		}
	}
}

// TestSecretsGoWhereTheyAreSent is that a cluster gets a Secret only where somebody has said
// so, on it or on its Namespace, and that one which is there from before stays.
func TestSecretsGoWhereTheyAreSent(t *testing.T) {
	selected := func(selector string) string {
		return fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/cluster-selector":%q}}}`, selector)
	}
	for _, tt := range []struct {
		name, kind, namespace, own string
		there                      bool // it is in b
		want                       string
	}{
		{"nobody has said", "Secret", `{}`, `{}`, false, ""},
		{"to all", "Secret", `{}`, selected(`[]`), false, "a: create Secret ns/s\nb: create Secret ns/s"},
		{"to one", "Secret", `{}`, selected(`[{"key":"name","operator":"in","values":["b"]}]`), false, "b: create Secret ns/s"},
		{"its namespace says", "Secret", selected(`[{"key":"name","operator":"in","values":["a","b"]}]`), `{}`, false, "a: create Secret ns/s\nb: create Secret ns/s"},
		{"one from before stays, and is kept alike", "Secret", `{}`, `{"data":{"x":"MQ=="}}`, true, "b: update Secret ns/s"},
		{"what can't be read isn't said", "Secret", `{}`, selected(`nonsense`), false, ""},
		{"others go everywhere", "ConfigMap", `{}`, `{}`, false, "a: create ConfigMap ns/s\nb: create ConfigMap ns/s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.want("Namespace", "", "ns", tt.namespace)
			w.run()
			k := w.want(tt.kind, "ns", "s", tt.own)
			if tt.there {
				w.have("b", k, `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`)
			}
			notes := w.Plan(k).Notes
			w.check("the steps", w.run(), tt.want)
			if said := slices.ContainsFunc(notes, func(n Note) bool { return n.Reason == "Unselected" }); said != (tt.own != selected(`nonsense`) && (tt.want == "" || tt.there)) {
				t.Errorf("it is said of it: %v", notes)
			}
		})
	}
}

// TestListedIn is that the list of a namespace speaks of that one, and of no other.
func TestListedIn(t *testing.T) {
	w := newWorld(t, "a")
	ours := `{"metadata":{"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`
	gone, other, kept := w.key("ConfigMap", "ns", "gone"), w.key("ConfigMap", "other", "x"), w.key("ConfigMap", "ns", "kept")
	for _, k := range []Key{gone, other, kept} {
		w.have("a", k, ours)
	}
	if n := w.Owned("ns", "a"); n != 2 {
		t.Errorf("%d objects are in the namespace", n)
	}
	now := parse(t, `{"metadata":{"name":"kept","namespace":"ns","uid":"new","resourceVersion":"99","labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":"prod"}}}`)
	w.ListedIn("a", gone.FederatedKind, "ns", map[Key]Object{kept: now})
	if w.Observed("a", gone) != nil || w.Observed("a", other) == nil || w.Observed("a", kept) == nil || w.Observed("a", kept).UID != "new" {
		t.Errorf("what isn't in the list is %v, another namespace's %v, and what is in it %+v", w.Observed("a", gone), w.Observed("a", other), w.Observed("a", kept))
	}
	if n := w.Owned("ns", "a"); n != 1 {
		t.Errorf("%d objects are in the namespace", n)
	}
	w.ListedIn("a", gone.FederatedKind, "ns", nil) // it has gone
	if w.Owned("ns", "a") != 0 || w.Owned("other", "a") != 1 {
		t.Errorf("%d and %d objects are left", w.Owned("ns", "a"), w.Owned("other", "a"))
	}
}

// A fedsync that starts hears of one cluster after another, and plans meanwhile: the shares in the
// end are those that it would have given had it heard of all at once.
func TestPlanHearsInAnyOrder(t *testing.T) {
	for i := range 20 {
		name := fmt.Sprint("d", i)
		shares := func(late string) string {
			w := newWorld(t, "a", "b", "c")
			record := Record{UID: "uid-" + name, Clusters: []Propagation{
				{Cluster: "a", State: Applied, Applied: "x", Scale: Scale{"replicas": 2}},
				{Cluster: "b", State: Applied, Applied: "x", Scale: Scale{"replicas": 2}},
				{Cluster: "c", State: Applied, Applied: "x", Scale: Scale{"replicas": 3}},
			}}
			k := w.want("Deployment", "ns", name, fmt.Sprintf(`{"spec":{"replicas":2},"metadata":{"annotations":{"fedns.io/status":%q}}}`, record))
			for c, n := range map[string]int{"a": 2, "b": 2, "c": 3} {
				if c != late {
					w.copied(c, k, fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
				}
			}
			if late != "" {
				m := w.member(late)
				m.Lists = func(*FederatedKind) bool { return false }
				w.SetMembers(w.members)
				w.run()
				m.Lists = func(*FederatedKind) bool { return true }
				w.copied(late, k, `{"spec":{"replicas":2}}`)
				w.SetMembers(w.members)
			}
			w.run()
			var out []string
			for _, c := range []string{"a", "b", "c"} {
				out = append(out, w.Observed(c, k).Scale.String())
			}
			return strings.Join(out, ", ")
		}
		all := shares("")
		for _, late := range []string{"a", "b", "c"} {
			if got := shares(late); got != all {
				t.Errorf("%s: with %s heard of last: %s; at once: %s", name, late, got, all)
			}
		}
	}
}

// A cluster in which nothing can be done keeps its share, too: the others' are those of the first
// plan, however often it is planned again.
func TestPlanKeepsShares(t *testing.T) {
	for i := range 20 {
		name := fmt.Sprint("d", i)
		w := newWorld(t, "a", "b", "c")
		record := Record{UID: "uid-" + name}
		for _, c := range []string{"a", "b", "c"} {
			record.Clusters = append(record.Clusters, Propagation{Cluster: c, State: Applied, Applied: "x", Scale: Scale{"replicas": 3}})
		}
		k := w.want("Deployment", "ns", name, fmt.Sprintf(`{"spec":{"replicas":4},"metadata":{"annotations":{"fedns.io/status":%q,"fedns.io/overrides":"[{\"clusters\":[\"a\"],\"patch\":[{\"op\":\"remove\",\"path\":\"/spec/none\"}]}]"}}}`, record))
		for _, c := range []string{"a", "b", "c"} {
			w.copied(c, k, `{"spec":{"replicas":3}}`)
		}
		first := map[string]string{}
		for _, s := range w.Plan(k).Standings {
			first[s.Cluster] = s.Scale.String()
		}
		w.run()
		if got := w.stands(k); got != "a Failed, b Applied, c Applied" {
			t.Fatalf("%s stands %s", name, got)
		}
		for _, c := range []string{"b", "c"} {
			if got := w.Observed(c, k).Scale.String(); got != first[c] {
				t.Errorf("%s in %s: %s in the end, %s by the first plan (%v)", name, c, got, first[c], first)
			}
		}
	}
}
