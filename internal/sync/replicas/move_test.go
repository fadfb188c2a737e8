package replicas

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestSurge(t *testing.T) {
	for _, tt := range []struct {
		text  string
		total int64
		want  int64
	}{
		{"25%", 10, 3}, {"25%", 1, 1}, {"25%", 0, 0}, {"0%", 10, 0}, {"100%", 7, 7}, {"200%", 7, 14}, {"3", 10, 3}, {"0", 10, 0}, {"3", 1, 3},
	} {
		s, err := ParseSurge(tt.text)
		if err != nil || s.Of(tt.total) != tt.want || s.String() != tt.text {
			t.Errorf("%s of %d: %d (%s), %v; want %d", tt.text, tt.total, s.Of(tt.total), s, err, tt.want)
		}
	}
	for _, text := range []string{"", "%", "-1", "+1", "1.5", "25 %", "25%%", "all", "99999999999"} {
		if s, err := ParseSurge(text); err == nil {
			t.Errorf("%q is read as %s", text, s)
		}
	}
	if s := DefaultSurge().String(); s != "25%" {
		t.Error(s)
	}
}

func TestMove(t *testing.T) {
	type holdings = []Holding
	h := func(name string, share, asked, ready int64) Holding {
		return Holding{Name: name, Share: share, Sure: share, Asked: asked, Ready: ready}
	}
	for _, tt := range []struct {
		name  string
		surge int64
		all   holdings
		want  string
	}{
		{"nothing moves", 2, holdings{h("a", 3, 3, 3), h("b", 3, 3, 0)}, "a:3 b:3"},
		{"all are new", 1, holdings{h("a", 3, 0, 0), h("b", 3, 0, 0)}, "a:3 b:3"},
		{"more are wanted", 1, holdings{h("a", 9, 3, 3), h("b", 9, 3, 0)}, "a:9 b:9"},
		{"fewer are wanted", 1, holdings{h("a", 1, 3, 3), h("b", 1, 3, 3)}, "a:1 b:1"},
		{"a move begins", 2, holdings{h("a", 0, 6, 6), h("b", 3, 0, 0), h("c", 3, 0, 0)}, "a:6 b:1 c:1"},
		{"one is ready", 2, holdings{h("a", 0, 6, 6), h("b", 3, 1, 1), h("c", 3, 1, 0)}, "a:5 b:1 c:1"},
		{"its place is taken", 2, holdings{h("a", 0, 5, 5), h("b", 3, 1, 1), h("c", 3, 1, 0)}, "a:5 b:2 c:1"},
		{"one that lags gets no more while another one may", 1, holdings{h("a", 0, 4, 4), h("b", 3, 1, 0), h("c", 3, 1, 1)}, "a:4 b:1 c:2"},
		{"the last", 2, holdings{h("a", 0, 1, 1), h("b", 3, 3, 3), h("c", 3, 3, 2)}, "a:1 b:3 c:3"},
		{"done", 2, holdings{h("a", 0, 1, 1), h("b", 3, 3, 3), h("c", 3, 3, 3)}, "a:0 b:3 c:3"},
		{"what isn't ready goes at once", 1, holdings{h("a", 0, 3, 0), h("b", 3, 0, 0)}, "a:0 b:1"},
		{"what had no room goes at once", 1, holdings{h("a", 3, 5, 3), h("b", 2, 0, 0)}, "a:3 b:1"},
		{"without a surge the old ones go first", 0, holdings{h("a", 0, 3, 3), h("b", 3, 0, 0)}, "a:0 b:0"},
		{"and the new ones come then", 0, holdings{h("a", 0, 0, 0), h("b", 3, 0, 0)}, "a:0 b:3"},
		{"what surpasses the surge goes", 1, holdings{h("a", 1, 5, 5), h("b", 1, 1, 0), h("c", 1, 1, 0)}, "a:2 b:1 c:1"},
		{"the one that is to be empty is so first", 1, holdings{h("a", 0, 2, 2), h("b", 2, 4, 4), h("c", 4, 2, 1)}, "a:1 b:4 c:2"},
		{"one of which nothing is heard since", 2, holdings{{Name: "a", Asked: 3, Ready: 3}, {Name: "b", Share: 3, Sure: 3, Asked: 2, Unseen: true}}, "a:3 b:2"},
		{"an old one of which nothing is heard since", 2, holdings{{Name: "a", Asked: 2, Unseen: true}, h("b", 3, 2, 2)}, "a:2 b:3"},
		{"of two templates any may go", 2, holdings{{Name: "a", Asked: 3, Ready: 2, Mixed: true}, h("b", 3, 2, 2)}, "a:2 b:2"},
		{"what can't be asked counts", 1, holdings{{Name: "a", Share: 1, Sure: 1, Asked: 3, Fixed: true}, h("b", 2, 0, 0), h("c", 0, 2, 2)}, "a:3 b:0 c:1"},
		{"what waits for room isn't waited for", 1, holdings{h("a", 0, 2, 2), {Name: "b", Share: 4, Sure: 2, Asked: 4, Ready: 2}}, "a:0 b:4"},
	} {
		if got := fmt.Sprint(Move(tt.surge, tt.all, "shop/web")); got != "map["+tt.want+"]" {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestMoved(t *testing.T) {
	type holdings = []Holding
	for _, tt := range []struct {
		name  string
		surge int64
		all   holdings
		want  string
	}{
		{"a move", 1, holdings{{Name: "a", Asked: 6, Ready: 6}, {Name: "b", Share: 6, Sure: 6}}, "a:0 b:6"},
		{"nobody has been heard", 1, holdings{{Name: "a", Asked: 6, Unseen: true}, {Name: "b", Share: 6, Sure: 6, Asked: 1, Unseen: true}}, "a:0 b:6"},
		{"without a surge", 0, holdings{{Name: "a", Asked: 3, Ready: 3}, {Name: "b", Share: 3, Sure: 3}}, "a:0 b:3"},
		{"what can't be asked holds the others up", 2, holdings{{Name: "a", Share: 2, Sure: 2, Asked: 7, Fixed: true}, {Name: "b", Share: 2, Sure: 2}, {Name: "c", Share: 2, Sure: 2}}, "a:7 b:1 c:0"},
		{"as far as there are too many", 2, holdings{{Name: "a", Share: 2, Sure: 2, Asked: 5, Fixed: true}, {Name: "b", Share: 4, Sure: 4, Asked: 1}}, "a:5 b:3"},
		{"what is to go where nothing can be done stays", 1, holdings{{Name: "a", Share: 2, Sure: 2, Fixed: true}, {Name: "b", Asked: 2, Ready: 2}}, "a:0 b:2"},
	} {
		if got := fmt.Sprint(Moved(tt.surge, tt.all, "shop/web")); got != "map["+tt.want+"]" {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// In the end each has its share, if all can be asked, and there are no more than before or than
// wanted and the surge, if not.
func TestMovedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Holding
		var before, wanted int64
		fixed := false
		surge := rapid.Int64Range(0, 4).Draw(t, "surge")
		for i := range rapid.IntRange(1, 5).Draw(t, "clusters") {
			h := Holding{Name: string(rune('a' + i)), Share: rapid.Int64Range(0, 6).Draw(t, "share"), Asked: rapid.Int64Range(0, 6).Draw(t, "asked"), Unseen: rapid.Bool().Draw(t, "unseen"), Mixed: rapid.Bool().Draw(t, "mixed")}
			h.Sure, h.Ready, h.Fixed = h.Share, rapid.Int64Range(0, h.Asked).Draw(t, "ready"), rapid.IntRange(0, 3).Draw(t, "fixed") == 0
			before, wanted, fixed = before+h.Asked, wanted+h.Share, fixed || h.Fixed
			all = append(all, h)
		}
		out := Moved(surge, all, "shop/web")
		var sum int64
		for _, h := range all {
			sum += out[h.Name]
			if !fixed && out[h.Name] != h.Share || h.Fixed && out[h.Name] != h.Asked {
				t.Fatalf("%s has %d in the end of %+v", h.Name, out[h.Name], all)
			}
		}
		if sum > max(before, wanted+surge) {
			t.Fatalf("%d in the end, %d before, %d wanted: %+v", sum, before, wanted, all)
		}
	})
}

// A mover is the clusters of an object, with what is true of them: Move is told of it late.
type mover struct {
	t     *rapid.T
	surge int64
	all   []Holding
	ready map[string]int64 // in truth
}

func (m *mover) wanted() (sum int64) {
	for _, h := range m.all {
		sum += h.Share
	}
	return sum
}

func (m *mover) sure() (sum int64) {
	for _, h := range m.all {
		sum += h.Sure
	}
	return sum
}

func (m *mover) asked() (sum int64) {
	for _, h := range m.all {
		sum += h.Asked
	}
	return sum
}

func (m *mover) up() (sum int64) {
	for _, h := range m.all {
		sum += m.ready[h.Name]
	}
	return sum
}

// hear has Move know what is true of a cluster.
func (m *mover) hear(h *Holding) { h.Ready, h.Unseen = m.ready[h.Name], false }

// ask carries out a part of what Move says: of one cluster.
func (m *mover) ask(h *Holding) {
	was, up, most := m.asked(), m.up(), m.wanted()+m.surge
	n := Move(m.surge, m.all, "shop/web")[h.Name]
	if n == h.Asked {
		return
	}
	if h.Fixed {
		m.t.Fatalf("%s is asked for %d, and can't be asked", h.Name, n)
	}
	gone := max(0, h.Asked-n)
	if unready := h.Asked - m.ready[h.Name]; !h.Mixed {
		gone = max(0, gone-unready)
	}
	m.ready[h.Name] = max(0, m.ready[h.Name]-gone)
	h.Asked, h.Unseen = n, true
	if now := m.asked(); now > max(was, most) {
		m.t.Fatalf("%d instead of %d, at most %d: %+v", now, was, most, m.all)
	}
	if was <= most && m.surge > 0 && m.up() < min(up, m.sure()) {
		m.t.Fatalf("%d are ready, %d were, of %d: %+v", m.up(), up, m.sure(), m.all)
	}
}

// There never are more replicas than wanted and the surge, nor fewer ready for a move, in
// whichever order clusters do what they are asked, get ready, are told of, are lost and come
// back; and when all get ready, each has its share.
func TestMoveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t, 5, 12)
		m := &mover{t: t, surge: rapid.Int64Range(0, 4).Draw(t, "surge"), ready: map[string]int64{}}
		var away []Holding
		for _, c := range p.Clusters {
			m.all = append(m.all, Holding{Name: c.Name})
		}
		if len(m.all) == 0 {
			return
		}
		plan := func() {
			q := draw(t, 0, 12)
			q.Preferences, q.Key = p.Preferences, p.Key
			for _, h := range m.all {
				q.Clusters = append(q.Clusters, Cluster{Name: h.Name, Current: h.Share, Capacity: some(t, "room", 12), Ceiling: some(t, "ceiling", 12)})
			}
			shares := q.split()
			for i := range m.all {
				h := &m.all[i]
				h.Share, h.Sure = shares[h.Name].Asked(), shares[h.Name].Replicas
			}
		}
		plan()
		one := func() *Holding { return &m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "which")] }
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			switch rapid.IntRange(0, 8).Draw(t, "event") {
			case 0:
				plan()
			case 1, 2, 3:
				m.ask(one())
			case 4, 5:
				h := one()
				m.ready[h.Name] = rapid.Int64Range(min(m.ready[h.Name], h.Asked), h.Asked).Draw(t, "ready")
				m.hear(h)
			case 6: // what was told before isn't so any more: pods have died
				h := one()
				m.ready[h.Name] = rapid.Int64Range(0, m.ready[h.Name]).Draw(t, "left")
				m.hear(h)
			case 7:
				h := one()
				h.Mixed = !h.Mixed
			case 8:
				switch {
				case len(away) > 0:
					m.all, away = append(m.all, away...), nil
				case len(m.all) > 1:
					i := rapid.IntRange(0, len(m.all)-1).Draw(t, "lost")
					away = append(away, m.all[i])
					m.all = append(m.all[:i:i], m.all[i+1:]...)
				}
			}
			if h := one(); rapid.IntRange(0, 9).Draw(t, "fixed") == 0 {
				h.Fixed = !h.Fixed
			}
		}
		seed := rapid.Uint64().Draw(t, "seed")
		for i := range m.all {
			m.all[i].Fixed, m.all[i].Mixed = false, false // a rollout ends, too
		}
		for i := 0; ; i++ {
			done := true
			for _, j := range rand.New(rand.NewPCG(seed, uint64(i))).Perm(len(m.all)) {
				h := &m.all[j]
				m.ready[h.Name] = min(h.Asked, max(h.Sure, m.ready[h.Name]))
				m.hear(h)
				m.ask(h)
				done = done && h.Asked == h.Share
			}
			if done {
				return
			}
			if i == 500 {
				t.Fatalf("it doesn't end, by %d: %+v", m.surge, m.all)
			}
		}
	})
}

// The order in which clusters are told of changes nothing.
func TestMoveIsOfASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Holding
		for i := range rapid.IntRange(0, 5).Draw(t, "clusters") {
			h := Holding{Name: fmt.Sprint("c", i)}
			h.Share, h.Asked = rapid.Int64Range(0, 9).Draw(t, "share"), rapid.Int64Range(0, 9).Draw(t, "asked")
			h.Sure, h.Ready = rapid.Int64Range(0, h.Share).Draw(t, "sure"), rapid.Int64Range(0, 9).Draw(t, "ready")
			all = append(all, h)
		}
		surge := rapid.Int64Range(0, 4).Draw(t, "surge")
		want := Move(surge, all, "k")
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := Move(surge, all, "k"); !maps.Equal(got, want) {
			t.Fatalf("%v, and %v", want, got)
		}
	})
}
