package registry

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The gauges are read from the registries that run, so that nothing is left of
// objects that have gone.
var gauges = &collector{}

func init() { prometheus.MustRegister(gauges) }

type collector struct {
	mu   sync.Mutex // guards the rest
	live []*Registry
}

// watch shows the gauges of r until the function it returns is called.
func watch(r *Registry) (end func()) {
	gauges.mu.Lock()
	defer gauges.mu.Unlock()
	gauges.live = append(gauges.live, r)
	return func() {
		gauges.mu.Lock()
		defer gauges.mu.Unlock()
		gauges.live = slices.DeleteFunc(gauges.live, func(o *Registry) bool { return o == r })
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("coredns", "federation", name), help, append([]string{"federation"}, labels...), nil)
}

var (
	upDesc      = desc("registry_up", "1 while the federation's API answers and its Cluster objects can be read.")
	ageDesc     = desc("registry_age_seconds", "Time since the federation's API last said anything.")
	membersDesc = desc("registry_members", "Members by the registry.")
	lostDesc    = desc("registry_lost_members", "Members that the federation's API has lost, too many at once to be believed, and that stay.")
	orderDesc   = desc("registry_order_problem", "1 for each Order object that can't be gone by.", "order")
	problemDesc = desc("registry_problem", "1 for each field of a Cluster object that is wrong, and stays as it was.", "cluster", "field")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, ageDesc, membersDesc, lostDesc, problemDesc, orderDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Of two registries of one federation, as
// during a reload, the newest is shown.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	live := slices.Clone(c.live)
	c.mu.Unlock()
	done := map[string]bool{}
	for _, r := range slices.Backward(live) {
		if done[r.Federation] {
			continue
		}
		done[r.Federation] = true
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{r.Federation}, labels...)...)
		}
		v := r.Now()
		up := 0.0
		if r.up.Load() {
			up = 1
		}
		gauge(upDesc, up)
		if n := r.heard.Load(); n != 0 {
			gauge(ageDesc, time.Since(time.Unix(0, n)).Seconds())
		}
		gauge(membersDesc, float64(len(v.Members)))
		gauge(lostDesc, float64(v.lost))
		for _, p := range v.wrong {
			gauge(problemDesc, 1, p.Cluster, p.Field)
		}
		for _, m := range v.unfit {
			gauge(orderDesc, 1, m.Order)
		}
	}
}
