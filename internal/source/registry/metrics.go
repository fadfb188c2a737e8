package registry

import (
	"time"

	"github.com/fedns/fedns/internal/metric"
)

// gauges are read from the registries that run.
var gauges = metric.NewLive[*Registry](metric.Fedns)

func init() { gauges.Register((*Registry).show) }

var (
	upDesc      = gauges.Gauge("registry_up", "1 while the federation's API answers and its Cluster objects can be read.")
	ageDesc     = gauges.Gauge("registry_age_seconds", "Time since the federation's API last said anything.")
	membersDesc = gauges.Gauge("registry_members", "Members by the registry.")
	lostDesc    = gauges.Gauge("registry_lost_members", "Members that the federation's API has lost, too many at once to be believed, and that stay.")
	orderDesc   = gauges.Gauge("registry_order_problem", "1 for each Order object that can't be gone by.", "order")
	problemDesc = gauges.Gauge("registry_problem", "1 for each field of a Cluster object that is wrong, and stays as it was.", "cluster", "field")
)

// show shows how a registry stands.
func (r *Registry) show(of func(federation string) (metric.Show, bool)) {
	gauge, ok := of(r.Federation)
	if !ok {
		return
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
