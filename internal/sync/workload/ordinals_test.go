package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const spread = `"fedns.io/preferences":"{\"clusters\":{\"*\":{\"weight\":1}}}"`

// numbered wants a StatefulSet that is split.
func (w *world) numbered(replicas int64, annotations string) Key {
	w.Helper()
	return w.want("StatefulSet", "ns", "db", fmt.Sprintf(`{"metadata":{"annotations":{%s}},"spec":{"replicas":%d,"ordinals":{"start":0}}}`, annotations, replicas))
}

func TestPlanOfOrdinals(t *testing.T) {
	const most = `"fedns.io/preferences":"{\"clusters\":{\"*\":{\"weight\":1,\"maxReplicas\":3}}}"`
	w := newWorld(t, "a", "b", "c")
	k := w.numbered(7, spread)
	w.check("each has its own", w.run(), "a: create StatefulSet ns/db 3 replicas, from number 0\nb: create StatefulSet ns/db 2 replicas, from number 100\nc: create StatefulSet ns/db 2 replicas, from number 200")
	w.check("and done", w.run(), "")
	w.check("stands", w.stands(k), "a Applied, b Applied, c Applied")
	if o := w.Desired(k).Template.For(Scale{"replicas": 2, "ordinals.start": 100}); jsonOf(o["spec"]) != `{"ordinals":{"start":100},"replicas":2}` {
		t.Errorf("b gets %s", jsonOf(o["spec"]))
	}
	w.copied("b", k, `{"spec":{"replicas":2,"ordinals":{"start":0}}}`)
	w.check("changed by hand", w.run(), "b: update StatefulSet ns/db 2 replicas, from number 100")
	w.member("b").Evacuated = true
	w.SetMembers(w.members)
	w.check("drained", w.run(), "a: update StatefulSet ns/db 4 replicas, from number 0\nb: update StatefulSet ns/db 0 replicas, from number 100\nc: update StatefulSet ns/db 3 replicas, from number 200")

	// maxReplicas says how far apart they are, where nothing is yet.
	w = newWorld(t, "a", "b", "c")
	w.numbered(7, most)
	w.check("as far apart as they may be many", w.run(), "a: create StatefulSet ns/db 3 replicas, from number 0\nb: create StatefulSet ns/db 2 replicas, from number 3\nc: create StatefulSet ns/db 2 replicas, from number 6")
	w.numbered(30, spread)
	w.check("and grow as far as the next", w.run(), "b: update StatefulSet ns/db 3 replicas, from number 3\nc: update StatefulSet ns/db 24 replicas, from number 6")

	// Also where one cluster comes to be ready for it before another.
	w = newWorld(t, "a", "b")
	w.Gone("b", w.key("Namespace", "", "ns"))
	k = w.numbered(2, most)
	for _, s := range w.Plan(k).Steps {
		w.Planned(k, w.Plan(k))
		w.do(s)
	}
	w.check("later", w.run(), "b: create Namespace ns\nb: create StatefulSet ns/db 1 replica, from number 3")

	// One that was whole keeps its numbers, and so does one that is to be whole again.
	w = newWorld(t, "a", "b")
	k = w.want("StatefulSet", "ns", "db", `{"spec":{"replicas":4,"ordinals":{"start":0}}}`)
	w.check("whole", w.run(), "a: create StatefulSet ns/db 4 replicas")
	w.copied("a", k, `{"spec":{"replicas":4,"ordinals":{"start":0}},"status":{"replicas":4,"currentRevision":"db-1"}}`)
	w.numbered(6, spread)
	w.check("split", w.run(), "a: update StatefulSet ns/db 4 replicas, from number 0\nb: create StatefulSet ns/db 2 replicas, from number 100")
	w.copied("b", k, `{"spec":{"replicas":2,"ordinals":{"start":100}},"status":{"replicas":2,"currentRevision":"db-1"}}`)
	w.want("StatefulSet", "ns", "db", `{"spec":{"replicas":6,"ordinals":{"start":0}}}`)
	w.check("whole again", w.run(), "a: update StatefulSet ns/db 4 replicas, from number 0\nb: update StatefulSet ns/db 2 replicas, from number 100")
	if s := w.Plan(k).Standings; !strings.Contains(s[0].Why, "it has begun in a, b, and stays in each") {
		t.Errorf("it stands as %+v", s)
	}

	// An autoscaler takes no cluster past its numbers.
	w = newWorld(t, "a", "b")
	w.numbered(4, most)
	w.run()
	w.want("HorizontalPodAutoscaler", "ns", "db", `{"spec":{"scaleTargetRef":{"kind":"StatefulSet","name":"db"},"minReplicas":2,"maxReplicas":20}}`)
	w.run()
	w.check("bounded", w.Observed("a", w.key("HorizontalPodAutoscaler", "ns", "db")).Scale.String(), "1 minReplica, 3 maxReplicas")
}

// An ordered is what really is in the clusters of a StatefulSet that is split, of which a table
// learns later.
type ordered struct {
	*world
	t     *rapid.T
	k     Key
	there map[string]Scale
	under map[string]Step // done, and not yet heard of
	note  string          // fedns.io/status
	spec  func(status string)
}

// disjoint is that no number is in two clusters.
func (o *ordered) disjoint(after string) {
	owner := map[int64]string{}
	for c, s := range o.there {
		for n := s["ordinals.start"]; n < s["ordinals.start"]+s["replicas"]; n++ {
			if other := owner[n]; other != "" {
				o.t.Fatalf("after %s, number %d is in %s and %s: %v", after, n, other, c, o.there)
			}
			owner[n] = c
		}
	}
}

// write does a step in its cluster.
func (o *ordered) write(s Step) {
	o.under[s.Cluster] = s
	o.Sends(s.Cluster, o.k, s.Scale)
	was := o.there[s.Cluster]
	if s.Verb == Delete {
		delete(o.there, s.Cluster)
	} else {
		o.there[s.Cluster] = maps.Clone(s.Scale)
		if was["replicas"] > 0 && was["ordinals.start"] != s.Scale["ordinals.start"] {
			o.t.Fatalf("%s had numbers from %d, and has them from %d", s.Cluster, was["ordinals.start"], s.Scale["ordinals.start"])
		}
	}
	o.disjoint(fmt.Sprintf("%s: %s %s", s.Cluster, s.Verb, s.Scale))
}

// hear has the table learn of it.
func (o *ordered) hear(cluster string) {
	if s, ok := o.under[cluster]; ok {
		delete(o.under, cluster)
		o.Sends(cluster, o.k, nil)
		o.do(s)
	}
}

// steps are those that may be begun.
func (o *ordered) steps() []Step {
	p := o.Plan(o.k)
	o.Planned(o.k, p)
	return slices.DeleteFunc(p.Steps, func(s Step) bool {
		_, busy := o.under[s.Cluster]
		return busy || !o.member(s.Cluster).Reachable
	})
}

// tell writes down how it stands, as fedsync does before it ends and before it begins elsewhere.
func (o *ordered) tell() {
	p := o.Plan(o.k)
	o.note = o.Desired(o.k).Record.Next(o.Desired(o.k).UID, p.Standings, "Applied", "", time.Unix(0, 0)).Short().String()
	o.spec(o.note)
}

// restart is another fedsync, which knows what was told, and what clusters say that can be asked.
func (o *ordered) restart() {
	for _, m := range o.members {
		if !m.Reachable {
			o.hear(m.Name)
		}
	}
	o.tell()
	o.under = map[string]Step{}
	members := o.members
	fresh := newWorld(o.TB, "a", "b", "c", "d")
	fresh.members, fresh.version = members, o.version
	o.world = fresh
	o.SetMembers(members)
	o.spec(o.note)
	for _, m := range members {
		if s := o.there[m.Name]; s != nil && m.Reachable {
			o.seen(m.Name, s)
		}
	}
}

func (o *ordered) seen(cluster string, s Scale) {
	o.copied(cluster, o.k, fmt.Sprintf(`{"spec":{"replicas":%d,"ordinals":{"start":%d}}}`, s["replicas"], s["ordinals.start"]))
}

// However a StatefulSet is scaled, preferred, moved and lost, in whichever order its clusters are
// written to and tell of it: no number is in two clusters at any time, no range
// that has any moves, and in the end all replicas are there.
func TestOrdinalProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := &ordered{world: newWorld(t, "a", "b", "c", "d"), t: rt, there: map[string]Scale{}, under: map[string]Step{}}
		total, preferences, selected := int64(5), `{"clusters":{"*":{"weight":1}}}`, `[]`
		o.spec = func(status string) {
			o.k = o.want("StatefulSet", "ns", "db", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/preferences":%q,"fedns.io/cluster-selector":%q,"fedns.io/status":%q}},"spec":{"replicas":%d,"ordinals":{"start":7}}}`, preferences, selected, status, total))
		}
		o.spec("")
		cluster := func() *Member { return o.members[rapid.IntRange(0, len(o.members)-1).Draw(rt, "cluster")] }
		for range rapid.IntRange(0, 60).Draw(rt, "events") {
			switch rapid.IntRange(0, 12).Draw(rt, "event") {
			default:
				if all := o.steps(); len(all) > 0 {
					s := all[rapid.IntRange(0, len(all)-1).Draw(rt, "step")]
					if s.Verb == Create {
						o.tell() // where it is going to be is known before it is there
					}
					o.write(s)
				}
			case 0, 1:
				o.hear(cluster().Name)
			case 2:
				total = rapid.Int64Range(0, 14).Draw(rt, "replicas")
				o.spec(o.note)
			case 3:
				preferences = rapid.SampledFrom([]string{
					`{"clusters":{"*":{"weight":1}}}`, `{"rebalance":true,"clusters":{"*":{"weight":1}}}`, `{"clusters":{"*":{"weight":1,"maxReplicas":4}}}`,
					`{"rebalance":true,"clusters":{"a":{"weight":5},"*":{"minReplicas":1,"maxReplicas":2}}}`, `{"clusters":{"b":{"weight":1}}}`,
				}).Draw(rt, "preferences")
				o.spec(o.note)
			case 4:
				selected = rapid.SampledFrom([]string{`[]`, `[{"key":"name","operator":"!=","values":["a"]}]`, `[{"key":"name","operator":"in","values":["b","c"]}]`}).Draw(rt, "selector")
				o.spec(o.note)
			case 5:
				m := cluster()
				m.Evacuated = !m.Evacuated
				o.SetMembers(o.members)
			case 6:
				m := cluster()
				if m.Reachable, m.Lost = !m.Reachable, m.Reachable && rapid.Bool().Draw(rt, "lost"); m.Reachable {
					o.hear(m.Name)
					if s := o.there[m.Name]; s != nil {
						o.seen(m.Name, s)
					}
				}
				o.SetMembers(o.members)
			case 7:
				o.tell()
			case 8:
				o.restart()
			}
		}
		preferences, selected = `{"clusters":{"*":{"weight":1}}}`, `[]`
		for _, m := range o.members {
			m.Evacuated, m.Reachable, m.Lost = false, true, false
			o.hear(m.Name)
			if s := o.there[m.Name]; s != nil {
				o.seen(m.Name, s)
			}
		}
		o.SetMembers(o.members)
		o.spec(o.note)
		for range 100 {
			all := o.steps()
			if len(all) == 0 {
				break
			}
			o.write(all[0])
			o.hear(all[0].Cluster)
		}
		if all := o.steps(); len(all) > 0 {
			rt.Fatalf("steps without an end: %v", all)
		}
		sum := int64(0)
		for _, s := range o.there {
			sum += s["replicas"]
		}
		if sum != total {
			rt.Fatalf("%d replicas of %d: %v", sum, total, o.there)
		}
	})
}
