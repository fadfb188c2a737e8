package controller

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/sync/workload"
)

// TestLeft is that nothing is counted of a cluster that has left, though what was planned
// while it was there is told only now.
func TestLeft(t *testing.T) {
	k := step(1, "c", workload.Update).Key
	l := &loop{
		Config: Config{Log: slog.New(slog.DiscardHandler)}, table: workload.NewTable("prod"),
		known: map[string]*member{"oslo": nil}, reports: map[workload.Key]*report{}, tries: map[flight]*try{},
	}
	l.gate.init(l)
	t.Cleanup(objects.Reset)
	now := time.Now()
	r := (*report)(nil).next(workload.Plan{Standings: []workload.Standing{{Cluster: "oslo", State: workload.Applied}, {Cluster: "paris", State: workload.Applied}}}, now)
	l.reports[k] = r
	tell := func() {
		standings, _, _ := l.standings(&workload.Want{Key: k}, r.plan)
		r.count(k, standings)
	}
	tell()
	l.muster(t.Context(), now)
	tell()
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "oslo"}); n != 0 {
		t.Errorf("%d counts of a cluster that has left", n)
	}
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "paris"}); n != 1 {
		t.Errorf("%d counts of one that is there", n)
	}
}
