package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// answers has the controller of a cluster say that so many of what is asked for are ready.
func (w *world) answers(cluster string, k Key, ready int64) {
	w.Helper()
	h := w.Observed(cluster, k)
	n := h.Scale["replicas"]
	g := h.Part.Generation
	w.copied(cluster, k, fmt.Sprintf(`{"metadata":{"uid":%q,"generation":%d},"spec":{"replicas":%d},"status":{"observedGeneration":%d,"replicas":%d,"updatedReplicas":%d,"readyReplicas":%d,"availableReplicas":%d}}`, h.UID, g, n, g, n, n, ready, ready))
}

// TestMoves is a drain, step by step.
func TestMoves(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	k := w.want("Deployment", "ns", "web", `{"spec":{"replicas":6}}`)
	w.run()
	for _, c := range []string{"a", "b", "c"} {
		w.answers(c, k, 2)
	}
	says := func() string {
		var out []string
		for _, s := range w.Plan(k).Standings {
			out = append(out, fmt.Sprintf("%s %s %s: %s", s.Cluster, s.State, s.Scale, s.Why))
		}
		return strings.Join(out, "\n")
	}
	w.member("a").Evacuated = true
	w.SetMembers(w.members)
	w.check("new ones first", w.run(), "b: update Deployment ns/web 3 replicas\nc: update Deployment ns/web 3 replicas")
	w.check("what is said", says(), `a Applied 0 replicas: 2 more stay until as many are ready in other clusters
b Applied 3 replicas: 
c Applied 3 replicas: `)
	w.answers("b", k, 2)
	w.answers("c", k, 2)
	w.check("none is ready", w.run(), "")
	w.answers("b", k, 3)
	w.check("one is ready", w.run(), "a: update Deployment ns/web 1 replica")
	w.answers("a", k, 1)
	w.answers("c", k, 3)
	w.check("the other one is, too", w.run(), "a: update Deployment ns/web 0 replicas")
	w.check("what is said then", says(), "a Applied 0 replicas: \nb Applied 3 replicas: \nc Applied 3 replicas: ")

	// A surge of its own, and one that can't be read.
	w.member("a").Evacuated = false
	w.SetMembers(w.members)
	surge := func(s string) {
		w.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/surge":%q,"fedns.io/preferences":"{\"rebalance\":true,\"clusters\":{\"a\":{\"weight\":1}}}"}},"spec":{"replicas":6}}`, s))
	}
	for _, c := range []string{"a", "b", "c"} {
		w.answers(c, k, w.Observed(c, k).Scale["replicas"])
	}
	surge("1") // which stays in the federation
	w.check("one at a time", w.run(), "a: update Deployment ns/web 1 replica")
	w.check("what is said meanwhile", says(), `a Applied 6 replicas: 1 of 6 so far: there may be 1 more than wanted while some move
b Applied 0 replicas: 3 more stay until as many are ready in other clusters
c Applied 0 replicas: 3 more stay until as many are ready in other clusters`)
	surge("a few")
	w.check("one that can't be read", w.Plan(k).Notes[0].Text, `annotation fedns.io/surge: "a few" is neither a number of replicas, such as 2, nor a part of them, such as 25%; what is in the clusters stays as it is`)
	surge("0")
	w.check("none", w.run(), `b: update Deployment ns/web 0 replicas
c: update Deployment ns/web 0 replicas
a: update Deployment ns/web 6 replicas`)
}

// TestMovesToAnotherSelector is that a cluster which isn't selected any more keeps its copy until
// its replicas are elsewhere; a taint drives it away.
func TestMovesToAnotherSelector(t *testing.T) {
	w := newWorld(t, "a", "b")
	in := func(cluster string) Key {
		return w.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/cluster-selector":%q}},"spec":{"replicas":4}}`, `[{"key":"name","operator":"in","values":["`+cluster+`"]}]`))
	}
	k := in("a")
	w.check("at first", w.run(), "a: create Deployment ns/web 4 replicas")
	w.answers("a", k, 4)
	in("b")
	w.check("new ones first", w.run(), "b: create Deployment ns/web 1 replica")
	if s := w.Plan(k).Standings[0]; s.State != Applied || !s.Moving || s.Scale["replicas"] != 0 || s.Why != "4 more stay until as many are ready in other clusters" {
		t.Errorf("it stands as %+v", s)
	}
	for i := range int64(4) {
		w.answers("b", k, i+1)
		w.run()
		if h := w.Observed("a", k); h != nil {
			w.answers("a", k, h.Scale["replicas"])
			w.run()
		}
	}
	if w.Observed("a", k) != nil {
		t.Error("it is there still")
	}
	w.answers("b", k, 4)
	w.check("then", w.run(), "")
	w.member("b").Taints = []placement.Taint{{Key: "k", Effect: placement.NoExecute}}
	w.SetMembers(w.members)
	w.check("driven away", w.run(), "b: delete Deployment ns/web\nb: delete Namespace ns")
}

// TestMovesGoByWhatIsSeen is that what a controller hasn't seen yet may be ready, and that there
// are no pods where none has ever looked.
func TestMovesGoByWhatIsSeen(t *testing.T) {
	for _, tt := range []struct{ name, status, want string }{
		{"none has ever looked", `{}`, "a: update Deployment ns/web 6 replicas\nb: update Deployment ns/web 0 replicas\na: update Deployment ns/web 8 replicas"},
		{"one hasn't looked again", `{"observedGeneration":1,"replicas":4,"updatedReplicas":4,"availableReplicas":4}`, "a: update Deployment ns/web 6 replicas"},
		{"none is available", `{"observedGeneration":2,"replicas":4,"updatedReplicas":4}`, "a: update Deployment ns/web 6 replicas\nb: update Deployment ns/web 0 replicas\na: update Deployment ns/web 8 replicas"},
		{"some are", `{"observedGeneration":2,"replicas":4,"updatedReplicas":4,"availableReplicas":3}`, "a: update Deployment ns/web 6 replicas\nb: update Deployment ns/web 3 replicas\na: update Deployment ns/web 7 replicas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			k := w.want("Deployment", "ns", "web", `{"spec":{"replicas":8}}`)
			w.run()
			w.copied("b", k, fmt.Sprintf(`{"metadata":{"generation":2,"uid":%q},"spec":{"replicas":4},"status":%s}`, w.Observed("b", k).UID, tt.status))
			w.member("b").Evacuated = true
			w.SetMembers(w.members)
			w.check("moves", w.run(), tt.want)
		})
	}
}

// TestMovesCountWhatIsUnderWay is that a write of which nothing is heard yet counts.
func TestMovesCountWhatIsUnderWay(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	k := w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/preferences":"{\"clusters\":{\"a\":{\"weight\":1}}}"}},"spec":{"replicas":4}}`)
	w.run()
	w.answers("a", k, 4)
	w.Sends("b", k, Scale{"replicas": 1}) // by the plan before this one
	w.want("Deployment", "ns", "web", `{"metadata":{"annotations":{"fedns.io/preferences":"{\"rebalance\":true,\"clusters\":{\"c\":{\"weight\":1}}}"}},"spec":{"replicas":4}}`)
	asked := func() string {
		var out []string
		for _, s := range w.Plan(k).Steps {
			out = append(out, s.Cluster+" "+s.Scale.String())
		}
		return strings.Join(out, ", ")
	}
	w.check("four and the one that is under way", asked(), "")
	w.Sends("b", k, nil)
	w.check("when it has ended", asked(), "c 1 replica")
}

// A moving is a Deployment in clusters that do late what they are asked, and tell later.
type moving struct {
	*world
	t     *rapid.T
	key   Key
	total int64
	ready map[string]int64 // in truth
}

func (m *moving) wanted(n int64, surge, preferences, selector string) {
	m.total = n
	m.key = m.want("Deployment", "ns", "web", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/surge":%q,"fedns.io/preferences":%q,"fedns.io/cluster-selector":%q}},"spec":{"replicas":%d}}`, surge, preferences, selector, n))
}

// asked are the replicas of all clusters that count.
func (m *moving) asked() (sum int64) {
	for _, c := range m.members {
		if h := m.Observed(c.Name, m.key); h != nil && !c.Lost {
			sum += h.Scale["replicas"]
		}
	}
	return sum
}

// hidden are the replicas that clusters may have been given of which nothing is known.
func (m *moving) hidden(v *View) (sum int64) {
	for _, c := range m.members {
		if m.Observed(c.Name, m.key) == nil && !c.Lost && !c.knows(v.FederatedKind) {
			sum += v.given(c.Name)["replicas"]
		}
	}
	return sum
}

func (m *moving) up() (sum int64) {
	for _, c := range m.members {
		if !c.Lost {
			sum += m.ready[c.Name]
		}
	}
	return sum
}

// step has one cluster do what the plan says of it; false: there is nothing to do.
func (m *moving) step(which int) bool {
	v := m.view(m.Desired(m.key))
	hidden := m.hidden(&v) // as the plan takes it
	p := m.Plan(m.key)
	m.Planned(m.key, p)
	if len(p.Steps) == 0 {
		return false
	}
	s := p.Steps[which%len(p.Steps)]
	asked, up, most := m.asked(), m.up(), m.total+v.surging()
	m.do(s)
	m.ready[s.Cluster] = min(m.ready[s.Cluster], s.Scale["replicas"]) // what isn't ready goes first
	if now := m.asked(); now > max(asked, most) {
		m.t.Fatalf("%d replicas, at most %d: %+v", now, most, p.Standings)
	}
	var place int64 // that the plan has a place for
	for _, s := range p.Standings {
		place += s.Scale["replicas"]
	}
	if asked+hidden <= most && v.surging() > 0 && m.up() < min(up, place) {
		m.t.Fatalf("%d are ready, %d were, of %d: %+v", m.up(), up, place, p.Standings)
	}
	return true
}

// Whatever comes in whichever order, there never are more replicas than wanted and the surge,
// no ready one goes for a move before a new one is, and in the end all are where they belong.
func TestMovesProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "clusters")]
		m := &moving{world: newWorld(t, names...), t: rt, ready: map[string]int64{}}
		number := func(what string, most int64) int64 { return rapid.Int64Range(0, most).Draw(rt, what) }
		wish := func() {
			clusters := []string{`"*":{"weight":1}`}
			for _, c := range names {
				if rapid.Bool().Draw(rt, "prefers") {
					clusters = append(clusters, fmt.Sprintf(`%q:{"weight":%d,"minReplicas":%d}`, c, number("weight", 3), number("min", 2)))
				}
			}
			selector := "[]"
			if rapid.Bool().Draw(rt, "selects") {
				selector = fmt.Sprintf(`[{"key":"name","operator":"notin","values":[%q]}]`, rapid.SampledFrom(names).Draw(rt, "out"))
			}
			surge := rapid.SampledFrom([]string{"1", "2", "25%", "50%", "0"}).Draw(rt, "surge")
			m.wanted(number("replicas", 12), surge, fmt.Sprintf(`{"rebalance":%v,"clusters":{%s}}`, rapid.Bool().Draw(rt, "rebalance"), strings.Join(clusters, ",")), selector)
		}
		wish()
		cluster := func() *Member { return m.members[rapid.IntRange(0, len(m.members)-1).Draw(rt, "cluster")] }
		for range rapid.IntRange(0, 50).Draw(rt, "events") {
			c := cluster()
			h := m.Observed(c.Name, m.key)
			switch event := rapid.IntRange(0, 8).Draw(rt, "event"); {
			case event < 3:
				m.step(int(number("step", 3)))
			case event < 5 && h != nil && c.Reachable: // some get ready, and it is told
				n := h.Scale["replicas"]
				m.ready[c.Name] = rapid.Int64Range(min(m.ready[c.Name], n), n).Draw(rt, "ready")
				m.answers(c.Name, m.key, m.ready[c.Name])
			case event == 5:
				wish()
			case event == 6:
				c.Evacuated = !c.Evacuated
				m.SetMembers(m.members)
			case event == 7:
				switch {
				case c.Lost:
					c.Lost, c.Reachable = false, true
				case c.Reachable:
					c.Reachable = false
				default:
					c.Lost = true
				}
				m.SetMembers(m.members)
			case event == 8: // another fedsync leads, which knows what is there and what was written
				r := Record{}.Next("uid-web", m.Plan(m.key).Standings, string(Applied), "", time.Time{})
				m.editAll(m.key, func(e *Entry) { *e = Entry{Have: e.Have} })
				m.Desired(m.key).Record = r
			}
		}
		for _, c := range m.members {
			c.Lost, c.Reachable = false, true
		}
		m.SetMembers(m.members)
		for i := 0; ; i++ {
			for _, c := range names {
				if h := m.Observed(c, m.key); h != nil {
					m.ready[c] = h.Scale["replicas"]
					m.answers(c, m.key, m.ready[c])
				}
			}
			if !m.step(i) {
				break
			}
			if i == 300 {
				rt.Fatalf("steps without an end: %+v", m.Plan(m.key).Steps)
			}
		}
		for _, s := range m.Plan(m.key).Standings {
			if h := m.Observed(s.Cluster, m.key); s.Why != "" || s.Moving || !maps.Equal(h.Scale, s.Scale) {
				rt.Fatalf("%s has %s, and is to have %s: %s", s.Cluster, h.Scale, s.Scale, s.Why)
			}
		}
		if can := slices.ContainsFunc(m.members, func(c *Member) bool { return !c.Evacuated }); can && m.asked() > m.total {
			rt.Fatalf("%d replicas of %d", m.asked(), m.total)
		}
	})
}

// TestSurgeOfTheFederation is that another one counts at once, for those that say none.
func TestSurgeOfTheFederation(t *testing.T) {
	w := newWorld(t, "a", "b")
	k := w.want("Deployment", "ns", "web", `{"spec":{"replicas":8}}`)
	w.run()
	w.answers("a", k, 4)
	w.answers("b", k, 4)
	w.member("b").Evacuated = true
	w.SetMembers(w.members)
	w.check("a quarter", w.run(), "a: update Deployment ns/web 6 replicas")
	s, err := replicas.ParseSurge("4")
	if err != nil {
		t.Fatal(err)
	}
	w.SetSurge(s)
	w.check("four", w.run(), "a: update Deployment ns/web 8 replicas")
	w.check("why", w.Plan(k).Standings[1].Why, "4 more stay until as many are ready in other clusters")
}
