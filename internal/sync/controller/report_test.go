package controller

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// TestLeft is that nothing is counted of a cluster that has left, though what was planned
// while it was there is told only now.
func TestLeft(t *testing.T) {
	k := step(1, "c", workload.Update).Key
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, acts{}, nil, kube.Origin{})
	u.known["oslo"] = nil
	t.Cleanup(objects.Reset)
	now := time.Now()
	r := (*report)(nil).next(workload.Plan{Standings: []workload.Standing{{Cluster: "oslo", State: workload.Applied}, {Cluster: "paris", State: workload.Applied}}}, now)
	u.reports[k] = r
	tell := func() {
		standings, _, _ := u.standings(&workload.Want{Key: k}, r.plan)
		r.count(k, standings)
	}
	tell()
	u.muster(now)
	tell()
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "oslo"}); n != 0 {
		t.Errorf("%d counts of a cluster that has left", n)
	}
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "paris"}); n != 1 {
		t.Errorf("%d counts of one that is there", n)
	}
}
