package controller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// TestBeats is when a cluster that pulls is taken to be there: while its Lease is renewed, whatever its clock says.
// A Lease that is there may be of one that has ended long ago.
func TestBeats(t *testing.T) {
	lease := func(at string) *kube.Object {
		o := builtin.Leases.New(v1alpha1.PartOf("tokyo"), v1alpha1.AgentName)
		if at != "" {
			o.Object["spec"] = map[string]any{"renewTime": at, "leaseDurationSeconds": int64(15)}
		}
		return o
	}
	const one, two, three = "2030-01-31T15:00:00.000000Z", "2030-01-31T15:00:02.500000Z", "2001-01-01T00:00:00.000000Z"
	const unheard, silent = "its fedsync hasn't been heard of yet", "its fedsync has said nothing for 16s"
	for _, tt := range []struct {
		name  string
		beats []string // a second apart
		then  time.Duration
		want  string // why it isn't there; "": it is
	}{
		{"nothing yet", nil, time.Second, unheard},
		{"nothing", nil, agentLease + time.Second, silent},
		{"made, and not held", []string{""}, time.Second, unheard},
		{"held once", []string{one}, time.Second, unheard},
		{"held once, and seen again", []string{one, one}, time.Second, unheard},
		{"held once, long ago", []string{one}, agentLease, silent},
		{"renewed", []string{one, two}, time.Second, ""},
		{"renewed by a clock that was set back", []string{one, three}, time.Second, ""},
		{"taken for the first time", []string{"", one, two}, time.Second, ""},
		{"renewed, and no more", []string{one, two}, agentLease, silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &mailbox{agent: &v1alpha1.Agent{}, at: time.Now()}
				for _, at := range tt.beats {
					b.beats(lease(at))
					time.Sleep(time.Second)
				}
				time.Sleep(tt.then)
				_, err := b.stands(time.Now())
				if got := ""; err != nil {
					if got = err.Error(); got != tt.want {
						t.Errorf("%q", got)
					}
				} else if tt.want != "" {
					t.Error("it is there")
				}
			})
		})
	}
}

// TestSeek is what a cluster is asked to show of what it says that it has: all that federated objects ask for, however
// much that is, and of the rest, which may be a lie, so much and no more. What is of kinds that nobody keeps here isn't waited for.
func TestSeek(t *testing.T) {
	log := &bytes.Buffer{}
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.NewTextHandler(log, nil))}, actions{}, sorts0, kube.Origin{})
	c := newCluster(u, "tokyo", pulled)
	u.members["tokyo"] = c
	object := func(kind, name string) v1alpha1.WorkObject {
		o := v1alpha1.WorkObject{APIVersion: "v1", Kind: kind, Namespace: "shop", Name: name}
		if kind == "Deployment" {
			o.APIVersion = "apps/v1"
		}
		return o
	}
	b := &mailbox{clusterPart: clusterPart{hub: u, read: true, works: map[string]v1alpha1.Work{}}, cluster: c, sent: map[workload.Key]sent{}, agent: &v1alpha1.Agent{}}
	for i := range unknownAtOnce + 1 {
		for _, name := range []string{fmt.Sprint("wanted-", i), fmt.Sprint("stray-", i)} {
			o := object("Deployment", name)
			k, ok := b.key(o)
			if !ok {
				t.Fatal("nobody keeps Deployments")
			}
			if strings.HasPrefix(name, "wanted") {
				u.table.SetDesired(workload.NewDesired(k, workload.Object{"metadata": map[string]any{"name": name, "namespace": "shop", "uid": name}}, "prod"))
			}
			b.agent.Status.Unknown = append(b.agent.Status.Unknown, o)
		}
	}
	b.agent.Status.Unknown = append(b.agent.Status.Unknown, object("Gadget", "x"))
	b.seek()
	wanted, strays := 0, 0
	for f := range u.steps {
		if strings.HasPrefix(f.Name, "wanted") {
			wanted++
		} else {
			strays++
		}
	}
	if wanted != unknownAtOnce+1 || strays != unknownOfOne {
		t.Errorf("%d that are wanted, and %d others", wanted, strays)
	}
	if !strings.Contains(log.String(), "cluster tokyo: it has more than 1000 objects, or 200 in one namespace, that are marked as fedsync's") {
		t.Errorf("it is said: %s", log)
	}
	// What is beyond isn't waited for; what federated objects ask for is, whether the cluster shows it or it is hidden behind that.
	if !b.hides() {
		t.Error("nothing is waited for, and wanted objects haven't been seen")
	}
	b.agent.Status.Unknown = slices.DeleteFunc(b.agent.Status.Unknown, func(o v1alpha1.WorkObject) bool { return strings.HasPrefix(o.Name, "wanted") })
	b.agent.Status.Unknown = b.agent.Status.Unknown[:unknownOfOne+1] // as if it showed no more
	for i := range unknownAtOnce + 1 {
		o := object("Deployment", fmt.Sprint("wanted-", i))
		b.works[v1alpha1.WorkName(o)] = v1alpha1.Work{Spec: v1alpha1.WorkSpec{Object: o, Sequence: 1}, Status: v1alpha1.WorkStatus{Sequence: int64(min(i, 1))}}
	}
	for f := range u.steps {
		delete(u.steps, f)
	}
	b.agent.Status.Session = "s"
	b.seek()
	if k, _ := b.key(object("Deployment", "wanted-0")); !b.hides() || u.steps[objectInCluster{"tokyo", k}].Verb != look {
		t.Error("a wanted object that nothing has been said of isn't asked for, or not waited for")
	}
	w := b.works[v1alpha1.WorkName(object("Deployment", "wanted-0"))]
	w.Status.Sequence = 1
	b.works[v1alpha1.WorkName(w.Spec.Object)] = w
	if b.hides() {
		t.Error("what a tenant has marked holds up the cluster")
	}
	b.agent.Status.Unknown = []v1alpha1.WorkObject{object("Gadget", "x")}
	if got := b.unknown(); len(got) != 0 {
		t.Errorf("%v is waited for", got)
	}
}

// TestFirstOf is what a cluster shows of much that nobody has asked for: something of each namespace, in a steady order.
func TestFirstOf(t *testing.T) {
	var all []v1alpha1.WorkObject
	for i := range 5 * unknownShown {
		all = append(all, v1alpha1.WorkObject{APIVersion: "v1", Kind: "ConfigMap", Namespace: "full", Name: fmt.Sprint(i)})
	}
	all = append(all, v1alpha1.WorkObject{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web"})
	var first []v1alpha1.WorkObject
	for range 3 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := firstOf(slices.Clone(all), unknownShown)
		if len(got) != unknownShown || got[1].Namespace != "shop" || first != nil && !slices.Equal(got, first) {
			t.Fatalf("%d: %v", len(got), got[:3])
		}
		first = got
	}
	if got := firstOf(slices.Clone(all[:3]), unknownShown); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// TestMailbox follows the part of a cluster that pulls: it hears of its fedsync, asks it for something, and hears what came of
// it. When it ends, nothing that it has started is left.
func TestMailbox(t *testing.T) {
	home := fakeapi.New(t, builtin.Namespaces, v1alpha1.Works, v1alpha1.Agents, builtin.Leases)
	there, namespace := home.Client(), v1alpha1.PartOf("tokyo")
	lease := builtin.Leases.New(namespace, v1alpha1.AgentName)
	agent := v1alpha1.Agents.New(namespace, v1alpha1.AgentName)
	agent.Object["spec"] = map[string]any{"cluster": "tokyo", "federation": "prod", "identity": "u"}
	agent.Object["status"] = map[string]any{"kubernetesVersion": "v1.36.3", "identity": "u", "session": "s"}
	for _, x := range []struct {
		kind kube.Kind
		o    *kube.Object
	}{{builtin.Namespaces, builtin.Namespaces.New("", namespace)}, {v1alpha1.Agents, agent}, {builtin.Leases, lease}} {
		if _, err := there.Create(t.Context(), x.kind, x.o, "test"); err != nil {
			t.Fatal(err)
		}
	}
	life, end := context.WithCancel(t.Context())
	l := &loop{api: home.Client(), links: map[*cluster]*member{}, boxes: map[*cluster]*mailbox{}, calls: make(chan func(), 256), life: life, end: end}
	l.hub = newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
	c := l.collect(&v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "tokyo"}})
	l.hub.members["tokyo"] = c
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case f := <-l.calls:
				f()
			case <-life.Done():
				c.stop()
				l.wg.Wait()
				return
			}
		}
	}()
	until := func(what string, ok func() bool) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			said := make(chan bool)
			l.do(func() { said <- ok() })
			if <-said {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatal("never: ", what)
			}
		}
	}
	until("it has read its part", func() bool { b := l.boxes[c]; return b.read && b.agent != nil })
	n := 0
	until("it is in reach", func() bool {
		n++
		at := time.Date(2030, 1, 31, 15, 0, n, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z07:00")
		if _, err := there.Merge(t.Context(), builtin.Leases, namespace, v1alpha1.AgentName, map[string]any{"spec": map[string]any{"renewTime": at}}, "test", ""); err != nil {
			t.Error(err)
		}
		return c.reachable()
	})
	k, ok := l.boxes[c].key(v1alpha1.WorkObject{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"})
	if !ok {
		t.Fatal("nobody keeps Deployments")
	}
	l.do(func() { l.hub.ask("tokyo", k) })
	work := v1alpha1.WorkName(objectOf(k))
	until("it asks", func() bool { return home.Get(v1alpha1.Works, namespace, work) != nil })
	if w, err := kube.As[v1alpha1.Work](home.Get(v1alpha1.Works, namespace, work)); err != nil || w.Spec.Verb != string(look) || w.Spec.Sequence != 1 {
		t.Errorf("it asks for %+v, %v", w.Spec, err)
	}
	if _, err := there.Merge(t.Context(), v1alpha1.Works, namespace, work, map[string]any{"status": map[string]any{"sequence": 1}}, "test", "status"); err != nil {
		t.Fatal(err)
	}
	until("it hears", func() bool { return len(l.boxes[c].sent) == 0 && !l.hub.busy(objectInCluster{"tokyo", k}) })
	end()
	<-over
}
