package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// A cluster is shown as drained while its shards are taken out of the answers, by its own
// drain or, as fedns says, by another order; not while a later one counts instead.
func TestDrained(t *testing.T) {
	now := time.Date(2030, 1, 31, 15, 0, 0, 0, time.UTC)
	until := func(d time.Duration) *v1alpha1.Drain { return &v1alpha1.Drain{Until: &metav1.Time{Time: now.Add(d)}} }
	said := func(status metav1.ConditionStatus, reason string) []v1alpha1.Condition {
		return []v1alpha1.Condition{{Type: v1alpha1.Heard, Status: metav1.ConditionTrue}, {Type: v1alpha1.Drained, Status: status, Reason: reason}}
	}
	for _, tt := range []struct {
		name  string
		drain *v1alpha1.Drain
		said  []v1alpha1.Condition
		want  bool
	}{
		{"no drain", nil, nil, false},
		{"a drain, and no fedns", &v1alpha1.Drain{}, nil, true},
		{"a drain that fedns hasn't heard of", &v1alpha1.Drain{}, said(metav1.ConditionFalse, "NotDrained"), true},
		{"a drain until later", until(time.Second), nil, true},
		{"a drain that has ended", until(0), said(metav1.ConditionTrue, "Drained"), false},
		{"a drain, and a later order", &v1alpha1.Drain{}, said(metav1.ConditionFalse, v1alpha1.Overruled), false},
		{"another order", nil, said(metav1.ConditionTrue, "Drained"), true},
		{"another order, taken back", nil, said(metav1.ConditionFalse, "NotDrained"), false},
	} {
		c := &v1alpha1.Cluster{Spec: v1alpha1.ClusterSpec{Drain: tt.drain}, Status: v1alpha1.ClusterStatus{Conditions: tt.said}}
		if got := drained(c, now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
