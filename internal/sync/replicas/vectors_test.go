package replicas

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

// vectors reads a part of test/vectors/planner.json.
func vectors[T any](t *testing.T, part string) []T {
	t.Helper()
	raw, err := os.ReadFile("../../../test/vectors/planner.json")
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		t.Fatal(err)
	}
	var out []T
	if err := json.Unmarshal(parts[part], &out); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("planner.json holds no %s", part)
	}
	return out
}

func TestPlanVectors(t *testing.T) {
	type counts = map[string]int64
	for _, v := range vectors[struct {
		ID                string
		Rebalance         bool
		Clusters          map[string]ClusterPreference
		Replicas          int64
		AvailableClusters []string
		CurrentReplicas   counts
		EstimatedCapacity counts
		Key               string
		Expect            struct{ Plan, Overflow counts }
		TiesFree          bool
	}](t, "plans") {
		var clusters []Cluster
		for _, name := range v.AvailableClusters {
			c := Cluster{Name: name, Current: v.CurrentReplicas[name]}
			if n, ok := v.EstimatedCapacity[name]; ok {
				c.Capacity = &n
			}
			clusters = append(clusters, c)
		}
		plan, overflow := counts{}, counts{}
		for name, s := range Split(Preferences{v.Rebalance, v.Clusters}, v.Replicas, clusters, v.Key) {
			plan[name] = s.Replicas
			if s.Overflow != 0 {
				overflow[name] = s.Overflow
			}
		}
		same := maps.Equal[counts, counts]
		if v.TiesFree {
			same = func(a, b counts) bool {
				return slices.Equal(slices.Sorted(maps.Values(a)), slices.Sorted(maps.Values(b)))
			}
		}
		if !same(plan, v.Expect.Plan) || !same(overflow, v.Expect.Overflow) {
			t.Errorf("%s: plan %v overflow %v, want %v and %v", v.ID, plan, overflow, v.Expect.Plan, v.Expect.Overflow)
		}
	}
}

func TestCapacityVectors(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, v := range vectors[struct {
		ID       string
		Clusters map[string]*struct {
			SpecReplicas, ReadyReplicas int64
			Pods                        []struct {
				Phase                   string
				UnschedulableForSeconds int64
			}
		}
		Expect struct{ Current, EstimatedCapacity map[string]int64 }
	}](t, "capacity") {
		current, capacity := map[string]int64{}, map[string]int64{}
		for name, c := range v.Clusters {
			if c == nil {
				continue
			}
			s := State{Spec: c.SpecReplicas, Ready: c.ReadyReplicas}
			for _, p := range c.Pods {
				pod := Pod{Running: p.Phase == "Running"}
				if n := p.UnschedulableForSeconds; n > 0 {
					pod.Unschedulable = now.Add(-time.Duration(n) * time.Second)
				}
				s.Pods = append(s.Pods, pod)
			}
			e := s.Estimate(now)
			current[name] = e.Running
			if e.Capacity != nil {
				capacity[name] = *e.Capacity
			}
		}
		if !maps.Equal(current, v.Expect.Current) || !maps.Equal(capacity, v.Expect.EstimatedCapacity) {
			t.Errorf("%s: current %v capacity %v, want %v", v.ID, current, capacity, v.Expect)
		}
	}
}
