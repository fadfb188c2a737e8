package propagation

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
)

var (
	histories = flag.Duration("histories", 0, "for how long random histories are made with whole clusters")
	seed      = flag.Uint64("seed", 0, "of the first random history; 0: another one each time")
)

// TestHistories does for long what the row "random histories" of TestFaults does for a moment, with
// controllers and pods, and with an etcd that is lost.
func TestHistories(t *testing.T) {
	if *histories == 0 {
		t.Skip("make soak runs it: -histories 1h")
	}
	b := cluster.New(t)
	alive := b.Members(t, "paris", "tokyo")
	for _, c := range alive {
		c.AddNode(t, "n1", "eu", "eu-a")
	}
	w := newWorld(t, b, append(alive, b.API(t, "oslo"))...)
	w.Start(t, "--lost-after", "4s", "--max-deletes", "1000")
	h := newHistory(t, w, "histories")
	h.beds = []*cluster.Bed{b, cluster.New(t)}
	n := 0
	for end := time.Now().Add(*histories); time.Now().Before(end); n++ {
		h.round(60)
	}
	t.Logf("%d histories: %v", n, h.counts)
}

// randomHistory is a few of them.
func randomHistory(t *testing.T, w *world) {
	h := newHistory(t, w, "histories")
	for range 2 {
		h.round(30)
	}
	t.Logf("%v", h.counts)
}

// A wish is what a federated object of a history says.
type wish struct {
	kind     string
	color    string          // of a ConfigMap, or the image of a Deployment
	replicas int             // of a Deployment
	most     map[string]int  // by cluster, that its preferences let it have
	in       map[string]bool // clusters that it is for; nil: all
}

// A history is what has been done to a federation, and the model of what is to come of it.
type history struct {
	*world
	testing.TB
	*rand.Rand
	namespace string
	names     []string // of clusters
	beds      []*cluster.Bed
	wishes    map[string]*wish // by kind and name
	drained   map[string]bool
	strangers map[string]map[string]string // what others have in a cluster: by name, its uid and version
	paused    map[string]bool
	lost      time.Time // when oslo's etcd last was
	killed    map[string]bool
	did       []string
	counts    map[string]int
}

// noticed is after how long fedsync has noticed that an API has another etcd: it asks every ten
// seconds. One that has its old etcd back before looks as if nothing had been.
const noticed = 20 * time.Second

func newHistory(t testing.TB, w *world, namespace string) *history {
	h := &history{
		world: w, TB: t, namespace: namespace, names: slices.Sorted(maps.Keys(w.Members)), wishes: map[string]*wish{}, drained: map[string]bool{},
		strangers: map[string]map[string]string{}, paused: map[string]bool{}, killed: map[string]bool{}, counts: map[string]int{},
	}
	w.Fed.Apply(t, ns(namespace))
	for _, name := range h.names {
		there(t, w.Members[name], "namespace", "", namespace)
		h.move(name)
	}
	return h
}

// move has others' objects in a cluster: some whose names are those of federated ones.
func (h *history) move(name string) {
	c := h.Members[name]
	c.Apply(h, configMap(h.namespace, "theirs", "", name)+configMap(h.namespace, "c4", "", "theirs-in-"+name)+deployment(h.namespace, "theirs", "", 1))
	h.strangers[name] = map[string]string{}
	for _, o := range h.others(name) {
		h.strangers[name][o.GetKind()+" "+o.GetName()] = identity(o)
	}
}

// identity tells whether somebody has written to an object, but for its own controller.
func identity(o *kube.Object) string {
	return fmt.Sprint(o.GetUID(), " ", o.GetGeneration(), o.GetLabels(), o.Object["data"])
}

func (h *history) others(name string) (out []*kube.Object) {
	for _, o := range h.all(name) {
		if o.GetLabels()[v1alpha1.ManagedBy] != v1alpha1.Fedsync && o.GetName() != "kube-root-ca.crt" {
			out = append(out, o)
		}
	}
	return out
}

// all is what a cluster has in the namespace.
func (h *history) all(name string) (out []*kube.Object) {
	for _, kind := range []string{"configmap", "deployment"} {
		list, err := api(h, h.Members[name]).List(h.Context(), kinds[kind], h.namespace, "")
		if err != nil {
			return nil
		}
		for i := range list {
			list[i].SetKind(kinds[kind].Name)
			out = append(out, &list[i])
		}
	}
	return out
}

func (h *history) note(what, format string, args ...any) {
	h.counts[what]++
	h.did = append(h.did, fmt.Sprintf("%s: %s", what, fmt.Sprintf(format, args...)))
}

// round is one history: events, and then rest, in which all has to come to be as the model
// has it.
func (h *history) round(events int) {
	h.Helper()
	start := *seed
	if start == 0 || h.counts["rest"] > 0 {
		start = rand.Uint64()
	}
	h.Rand, h.did = rand.New(rand.NewPCG(start, 0)), nil
	for range events {
		h.event()
		pause := time.Duration(h.IntN(150)) * time.Millisecond
		for end := time.Now().Add(pause); time.Now().Before(end); {
			time.Sleep(time.Millisecond) // that is the random moment
		}
	}
	h.rest()
	h.counts["rest"]++
	var wrong []string
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // between two looks
		if wrong = h.wrong(); len(wrong) == 0 {
			break
		}
		if time.Now().After(end) {
			h.Fatalf("-seed %d: not within 2m:\n%s\nafter\n%s", start, strings.Join(wrong, "\n"), strings.Join(h.did, "\n"))
		}
	}
}

func (h *history) cluster() string { return h.names[h.IntN(len(h.names))] }

// event is one thing that happens.
func (h *history) event() {
	switch n := h.IntN(40); {
	case n < 12:
		h.wish()
	case n < 16:
		h.unwish()
	case n < 22:
		h.meddle()
	case n < 25:
		h.drain(h.cluster(), h.IntN(2) == 0)
	case n < 28:
		h.note("kill", "fedsync")
		h.Kill()
		h.Restart(h)
	case n < 31:
		if name := h.cluster(); !h.killed[name] {
			h.note("silence", "%s", name)
			h.Members[name].Pause()
			h.paused[name] = true
		}
	case n < 34:
		for name := range h.paused {
			h.note("hear", "%s", name)
			h.Members[name].Resume()
			delete(h.paused, name)
			break
		}
	case n < 36:
		if name := h.cluster(); !h.killed[name] && !h.paused[name] {
			h.note("end", "%s", name)
			h.Members[name].Kill(h)
			h.killed[name] = true
		}
	case n < 39:
		h.begin()
	case n == 39 && len(h.beds) > 0 && !h.killed["oslo"] && !h.paused["oslo"] && time.Since(h.lost) > noticed:
		h.note("lose", "the etcd of oslo")
		h.lost = time.Now()
		h.Members["oslo"].Kill(h)
		h.beds = append(h.beds[1:], h.beds[0])
		h.Members["oslo"].StartOn(h, h.beds[0])
		h.Members["oslo"].Apply(h, ns(h.namespace))
		// An etcd that it has been on before has what was there then. What nobody wants any more
		// of that would wait for an operator.
		for _, o := range h.all("oslo") {
			kind := kinds[strings.ToLower(o.GetKind())]
			if err := api(h, h.Members["oslo"]).Delete(h.Context(), kind, h.namespace, o.GetName(), ""); err != nil && !kube.Missing(err) {
				h.Fatalf("oslo: %s %s: %v", kind.Name, o.GetName(), err)
			}
		}
		h.move("oslo")
	}
}

// begin starts clusters that have ended.
func (h *history) begin() {
	for _, name := range slices.Sorted(maps.Keys(h.killed)) {
		h.note("start", "%s", name)
		h.Members[name].Start(h)
		delete(h.killed, name)
	}
}

// rest has nothing be broken any more.
func (h *history) rest() {
	for name := range h.paused {
		h.Members[name].Resume()
	}
	clear(h.paused)
	h.begin()
}

// wish makes a federated object, or changes it.
func (h *history) wish() {
	var name, text string
	x := &wish{color: fmt.Sprint("v", h.IntN(1000))}
	annotations := []string{}
	if h.IntN(3) == 0 {
		x.in = map[string]bool{}
		for _, c := range h.names {
			x.in[c] = true
		}
		out := h.cluster()
		delete(x.in, out)
		annotations = append(annotations, fmt.Sprintf(`fedns.io/cluster-selector: '[{"key":"name","operator":"!=","values":["%s"]}]'`, out))
	}
	if h.IntN(2) == 0 {
		x.kind, name = "configmap", fmt.Sprint("c", h.IntN(5))
		text = configMap(h.namespace, name, strings.Join(annotations, ", "), x.color)
	} else {
		x.kind, name, x.replicas = "deployment", fmt.Sprint("d", h.IntN(4)), h.IntN(12)
		c := h.cluster()
		switch h.IntN(4) {
		case 0:
			annotations = append(annotations, `fedns.io/preferences: '{"rebalance":true,"clusters":{"*":{"weight":1}}}'`)
		case 1:
			annotations = append(annotations, fmt.Sprintf(`fedns.io/preferences: '{"rebalance":%v,"clusters":{"%s":{"weight":3},"*":{"weight":1}}}'`, h.IntN(2) == 0, c))
		case 2:
			x.most = map[string]int{c: h.IntN(4)}
			annotations = append(annotations, fmt.Sprintf(`fedns.io/preferences: '{"clusters":{"%s":{"weight":1,"maxReplicas":%d},"*":{"weight":1}}}'`, c, x.most[c]))
		}
		if h.IntN(3) == 0 {
			annotations = append(annotations, fmt.Sprintf(`fedns.io/surge: "%s"`, []string{"1", "50%", "0"}[h.IntN(3)]))
		}
		text = strings.Replace(deployment(h.namespace, name, strings.Join(annotations, ", "), x.replicas), "nginx:1", "nginx:"+x.color, 1)
	}
	// One that is on its way out can't be had anew yet.
	if o := get(h, h.Fed, x.kind, h.namespace, name); o != nil && o.GetDeletionTimestamp() != nil {
		return
	}
	h.Fed.Apply(h, text)
	h.wishes[x.kind+" "+name] = x
	h.note("wish", "%s %s %+v", x.kind, name, *x)
}

// unwish takes one away.
func (h *history) unwish() {
	all := slices.Sorted(maps.Keys(h.wishes))
	if len(all) == 0 {
		return
	}
	which := all[h.IntN(len(all))]
	kind, name, _ := strings.Cut(which, " ")
	remove(h, h.Fed, kind, h.namespace, name)
	delete(h.wishes, which)
	h.note("unwish", "%s", which)
}

// meddle has somebody change, or take away, what is ours in a cluster.
func (h *history) meddle() {
	name := h.cluster()
	if h.paused[name] || h.killed[name] {
		return
	}
	var ours []*kube.Object
	for _, o := range h.all(name) {
		if o.GetLabels()[v1alpha1.ManagedBy] == v1alpha1.Fedsync {
			ours = append(ours, o)
		}
	}
	if len(ours) == 0 {
		return
	}
	o := ours[h.IntN(len(ours))]
	kind := strings.ToLower(o.GetKind())
	var err error
	switch c := api(h, h.Members[name]); {
	case h.IntN(3) == 0:
		err = c.Delete(h.Context(), kinds[kind], h.namespace, o.GetName(), "")
	case kind == "configmap":
		_, err = c.Merge(h.Context(), kinds[kind], h.namespace, o.GetName(), map[string]any{"data": map[string]any{"color": "meddled"}}, "somebody", "")
	default:
		_, err = c.Merge(h.Context(), kinds[kind], h.namespace, o.GetName(), map[string]any{"spec": map[string]any{"replicas": h.IntN(12)}}, "somebody", "")
	}
	if err != nil && !kube.Missing(err) {
		h.Fatalf("%s: %s %s: %v", name, kind, o.GetName(), err)
	}
	h.note("meddle", "%s: %s %s", name, kind, o.GetName())
}

// drain has a cluster's replicas go, or come back.
func (h *history) drain(name string, out bool) {
	if h.drained[name] == out {
		return
	}
	text := `{"spec":{"drain":null}}`
	if out {
		text = `{"spec":{"drain":{"reason":"soak","evacuateAfter":"2026-01-01T00:00:00Z"}}}`
	}
	patch(h, h.Fed, "clusters", "", name, text)
	h.drained[name] = out
	h.note("drain", "%s %v", name, out)
}

// wrong is where things aren't as the model has them.
func (h *history) wrong() (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	sums, room, unready := map[string]int{}, map[string]int{}, map[string]int{}
	settled := map[string]int{}                            // ready where they belong
	stay, where := map[string]int{}, map[string][]string{} // that are to be elsewhere
	for _, name := range h.names {
		have := map[string]*kube.Object{}
		all := h.all(name)
		if all == nil {
			say("%s can't be asked", name)
			continue
		}
		others := map[string]string{}
		for _, o := range all {
			if o.GetLabels()[v1alpha1.ManagedBy] == v1alpha1.Fedsync {
				have[strings.ToLower(o.GetKind())+" "+o.GetName()] = o
			} else if o.GetName() != "kube-root-ca.crt" {
				others[o.GetKind()+" "+o.GetName()] = identity(o)
			}
		}
		if !maps.Equal(others, h.strangers[name]) {
			say("%s: others' objects are %v, and were %v", name, others, h.strangers[name])
		}
		for which, x := range h.wishes {
			kind, object, _ := strings.Cut(which, " ")
			o, away := have[which], x.in != nil && !x.in[name]
			if h.strangers[name][kinds[kind].Name+" "+object] != "" || away && (o == nil || kind == "configmap") {
				continue // somebody else has the name, or it isn't for this one
			}
			delete(have, which)
			if o == nil {
				say("%s: %s isn't there", name, which)
				continue
			}
			if kind == "configmap" {
				if got, _ := o.Object["data"].(map[string]any); got["color"] != x.color {
					say("%s: %s is %v, not %s", name, which, got["color"], x.color)
				}
				continue
			}
			spec := o.Object["spec"].(map[string]any)
			container := spec["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
			if container["image"] != "nginx:"+x.color {
				say("%s: %s has %v, not %s", name, which, container["image"], x.color)
			}
			n := int(spec["replicas"].(int64))
			if away && n == 0 {
				say("%s: %s is there, and isn't for it", name, which)
			}
			sums[which] += n
			status, _ := o.Object["status"].(map[string]any)
			ready, _ := status["availableReplicas"].(int64)
			unready[which] += max(0, n-int(ready))
			most, bound := x.most[name]
			if h.drained[name] || away {
				most, bound = 0, true
			}
			if bound && n > most {
				stay[which] += n - most
				where[which] = append(where[which], fmt.Sprintf("%s has %d replicas, at most %d", name, n, most))
			}
			if !bound {
				most = x.replicas
			}
			room[which] += most
			settled[which] += min(int(ready), most)
		}
		for which := range have {
			say("%s: %s is there, and nobody wants it", name, which)
		}
	}
	for which, x := range h.wishes {
		if x.kind != "deployment" {
			continue
		}
		// Where no pod is ever ready, as in one without controllers, what is to move there stays: as many
		// as aren't ready where they belong, and those that aren't ready anyhow.
		want := min(x.replicas, room[which])
		if stay[which] > max(0, want-settled[which])+unready[which] {
			say("%s: %s; %d of %d are ready where they belong, and %d aren't ready", which, strings.Join(where[which], ", "), settled[which], want, unready[which])
		}
		if sums[which] < want || sums[which] > want+unready[which] {
			say("%s has %d replicas in all, not %d, and %d aren't ready", which, sums[which], want, unready[which])
		}
	}
	for _, kind := range []string{"configmap", "deployment"} {
		list, err := api(h, h.Fed).List(h.Context(), kinds[kind], h.namespace, "")
		if err != nil {
			say("the federation's API: %v", err)
			continue
		}
		for _, o := range list {
			if which := kind + " " + o.GetName(); h.wishes[which] == nil {
				say("the federation has %s still", which)
			}
		}
	}
	slices.Sort(out)
	return out
}
