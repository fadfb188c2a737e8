package shard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/names"
)

// A step of a story: which regions are up, or are ordered back to, and which is
// answered from then.
func TestLead(t *testing.T) {
	type step struct {
		at   time.Duration
		up   string
		back string
		want string
		wake time.Duration
	}
	for _, tt := range []struct {
		name, policy string
		steps        []step
	}{
		{"in order", "failover a b c", []step{
			{0, "a b c", "", "a", 0}, {1, "b c", "", "b", 0}, {2, "c", "", "c", 0}, {3, "b c", "", "b", 0}, {4, "a b c", "", "a", 0},
		}},
		{"none of the list", "failover a b", []step{{0, "x y", "", "", 0}, {1, "b x", "", "b", 0}, {2, "x", "", "", 0}, {3, "a b", "", "a", 0}}},
		{"delayed", "failover a b failback delayed 10s", []step{
			{0, "a b", "", "a", 0},
			{1 * time.Second, "b", "", "b", 0},
			{2 * time.Second, "a b", "", "b", 12 * time.Second},
			{5 * time.Second, "a b", "", "b", 12 * time.Second},
			{6 * time.Second, "b", "", "b", 0}, // it went again: the time begins anew
			{7 * time.Second, "a b", "", "b", 17 * time.Second},
			{17 * time.Second, "a b", "", "a", 0},
		}},
		{"delayed, but the other goes", "failover a b failback delayed 10s", []step{
			{0, "b", "", "b", 0}, {1, "a b", "", "b", 1 + 10*time.Second}, {2, "a", "", "a", 0},
		}},
		{"delayed, step by step", "failover a b c failback delayed 10s", []step{
			{0, "c", "", "c", 0}, {1, "b c", "", "c", 1 + 10*time.Second}, {2, "a b c", "", "c", 1 + 10*time.Second},
			{1 + 10*time.Second, "a b c", "", "b", 2 + 10*time.Second}, {2 + 10*time.Second, "a b c", "", "a", 0},
		}},
		{"manual", "failover a b failback manual", []step{
			{0, "a b", "", "a", 0}, {1, "b", "", "b", 0}, {time.Hour, "a b", "", "b", 0}, {2 * time.Hour, "a b", "a", "a", 0}, {3 * time.Hour, "b", "a", "b", 0},
		}},
		{"delayed and ordered", "failover a b failback delayed 1h", []step{{0, "b", "", "b", 0}, {1, "a b", "a", "a", 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := names.ParsePolicy(strings.Fields(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			var l lead
			for _, s := range tt.steps {
				in := func(list string) func(string) bool {
					return func(r string) bool { return slices.Contains(strings.Fields(list), r) }
				}
				var wake time.Duration
				l, wake = l.next(p, in(s.up), in(s.back), s.at)
				if l.active != s.want || wake != s.wake {
					t.Errorf("at %v with %q up: %q, again at %v; want %q, %v", s.at, s.up, l.active, wake, s.want, s.wake)
				}
			}
		})
	}
}
