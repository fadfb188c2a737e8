package replicas

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// pods are as many running, starting, and waiting for room for so long.
func pods(running, starting, waiting int, long time.Duration) []Pod {
	out := slices.Repeat([]Pod{{}}, starting)
	for range running {
		out = append(out, Pod{Running: true})
	}
	for range waiting {
		out = append(out, Pod{Unschedulable: noon.Add(-long)})
	}
	return out
}

func TestEstimate(t *testing.T) {
	for _, tt := range []struct {
		name                string
		state               State
		running, held, room int64 // room -1: no bound
	}{
		{"all ready", State{Spec: 5, Ready: 5}, 5, 5, -1},
		{"none asked for", State{}, 0, 0, -1},
		{"a rollout, none ready", State{5, 0, pods(2, 3, 0, 0)}, 2, 5, -1},
		{"a crash of all", State{5, 0, pods(5, 0, 0, 0)}, 5, 5, -1},
		{"not started yet", State{Spec: 5}, 0, 5, -1},
		{"a minute isn't more than a minute", State{5, 3, pods(3, 0, 2, time.Minute)}, 3, 5, -1},
		{"two wait", State{5, 3, pods(3, 0, 2, time.Minute+1)}, 3, 3, 3},
		{"two wait, one starts", State{5, 2, pods(2, 1, 2, time.Hour)}, 2, 3, 3},
		{"all wait", State{5, 0, pods(0, 0, 5, time.Hour)}, 0, 0, 0},
		{"only the surge of a rollout waits", State{5, 4, pods(5, 0, 2, time.Hour)}, 5, 5, 5},
		{"more wait than were asked for", State{2, 0, pods(0, 0, 5, time.Hour)}, 0, 0, 0},
		{"more are ready than were asked for", State{Spec: 2, Ready: 3}, 3, 2, -1},
	} {
		e := tt.state.Estimate(noon)
		room := int64(-1)
		if e.Capacity != nil {
			room = *e.Capacity
		}
		if e.Running != tt.running || e.Held != tt.held || room != tt.room {
			t.Errorf("%s: running %d, held %d, room %d; want %d, %d, %d", tt.name, e.Running, e.Held, room, tt.running, tt.held, tt.room)
		}
	}
}

func TestLimit(t *testing.T) {
	full := Limit{Capacity: 3, Seen: noon.Add(-time.Minute)}
	for _, tt := range []struct {
		name  string
		limit Limit
		state State
		want  Limit
	}{
		{"nothing known", Limit{}, State{5, 3, pods(3, 2, 0, 0)}, Limit{}},
		{"seen", Limit{}, State{5, 3, pods(3, 0, 2, time.Hour)}, Limit{3, noon}},
		{"seen again", full, State{5, 4, pods(4, 0, 1, time.Hour)}, Limit{4, noon}},
		{"those that wait were taken away", full, State{Spec: 3, Ready: 3}, full},
		{"a rollout", full, State{5, 0, pods(0, 5, 0, 0)}, full},
		{"there was room", full, State{Spec: 4, Ready: 4}, Limit{}},
		{"ten minutes are over", Limit{3, noon.Add(-10*time.Minute - 1)}, State{Spec: 3, Ready: 3}, Limit{}},
		{"not yet", Limit{3, noon.Add(-10 * time.Minute)}, State{Spec: 3, Ready: 3}, Limit{3, noon.Add(-10 * time.Minute)}},
	} {
		got := tt.limit.Next(tt.state, noon)
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if room := got.Room(); (room == nil) != got.Seen.IsZero() || room != nil && *room != got.Capacity {
			t.Errorf("%s: room %v of %v", tt.name, room, got)
		}
	}
}

// A member has room for one of a minimum of four. Without memory, the next plan
// would take three from the other member again, and the one after give them back.
func TestFullStaysFull(t *testing.T) {
	p := Preferences{Clusters: map[string]ClusterPreference{Others: {Min: 4, Weight: 1}}}
	state := map[string]State{"eu": {Spec: 8, Ready: 8}, "us": {4, 1, pods(1, 0, 3, time.Hour)}}
	limits := map[string]Limit{}
	for i := range 9 {
		now := noon.Add(time.Duration(i) * time.Minute)
		var in []Cluster
		for name, s := range state {
			limits[name] = limits[name].Next(s, now)
			in = append(in, Cluster{Name: name, Current: s.Estimate(now).Held, Capacity: limits[name].Room()})
		}
		plan := Split(p, 12, in, "default/a")
		if plan["eu"].Asked() != 11 || plan["us"].Asked() != 1 {
			t.Fatalf("minute %d: %v", i, plan)
		}
		for name, s := range plan {
			state[name] = State{Spec: s.Asked(), Ready: s.Asked()}
		}
	}
}

// Kubernetes #39856, #46119: a rollout in two members, ready in one at first.
func TestRolloutMovesNothing(t *testing.T) {
	states := map[string]State{"eu": {6, 6, nil}, "us": {6, 0, pods(1, 5, 0, 0)}, "asia": {Spec: 0}}
	var in []Cluster
	for name, s := range states {
		in = append(in, Cluster{Name: name, Current: s.Estimate(noon).Held})
	}
	plan := Split(Default(), 12, in, "default/a")
	if plan["eu"].Replicas != 6 || plan["us"].Replicas != 6 || plan["asia"].Replicas != 0 {
		t.Error(plan)
	}
}
