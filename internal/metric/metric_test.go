package metric

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type running struct {
	federations []string
	value       float64
	ready       bool
}

// Of two that have a federation of one name the newest is shown, also where it has nothing to show yet; what ends
// leaves nothing.
func TestLive(t *testing.T) {
	set := &Set{Prefix: "x_", register: func(...prometheus.Collector) {}}
	live := NewLive[*running](set)
	d := live.Gauge("value", "A value.", "cluster")
	live.Register(func(r *running, of func(string) (Show, bool)) {
		for _, f := range r.federations {
			if show, ok := of(f); ok && r.ready {
				show(d, r.value, "paris")
			}
		}
	})
	shown := func(want ...float64) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(set.Collectors()...)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got = append(got, m.GetGauge().GetValue())
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v are shown, not %v", got, want)
		}
	}
	older := &running{[]string{"a", "b"}, 1, true}
	newer := &running{[]string{"b"}, 2, false}
	endOlder := live.Watch(older)
	shown(1, 1)
	endNewer := live.Watch(newer)
	shown(1)
	newer.ready = true
	shown(1, 2)
	endOlder()
	shown(2)
	endNewer()
	shown()
	if f := set.Families(); len(f) != 1 || f[0].Name != "value" || len(f[0].Labels) != 2 {
		t.Errorf("families: %+v", f)
	}
}
