package controller

import (
	"log/slog"
	"strings"
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
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	u.known["oslo"] = nil
	t.Cleanup(objects.Reset)
	now := time.Now()
	r := (*report)(nil).next(workload.Plan{Standings: []workload.Propagation{{Cluster: "oslo", State: workload.Applied}, {Cluster: "paris", State: workload.Applied}}}, now)
	u.reports[k] = r
	tell := func() {
		standings, _, _ := u.standings(&workload.Desired{Key: k}, r.plan)
		r.count(k, standings)
	}
	tell()
	u.syncClusters(now)
	tell()
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "oslo"}); n != 0 {
		t.Errorf("%d counts of a cluster that has left", n)
	}
	if n := objects.DeletePartialMatch(prometheus.Labels{"cluster": "paris"}); n != 1 {
		t.Errorf("%d counts of one that is there", n)
	}
}

// TestRefusal is that what several clusters refuse in the same words is said once.
func TestRefusal(t *testing.T) {
	const twice = `failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): errors:
  .spec.template.spec.containers[name="web"].env: duplicate entries for key [name="A"]
  .spec.template.spec.containers[name="web"].ports: duplicate entries for key [containerPort=80,protocol="TCP"]`
	const one = `failed to create typed patch object (shop/web; v1, Kind=Pod): .spec.imagePullSecrets: duplicate entries for key [name="x"]`
	for _, tt := range []struct{ said, clusters, reason, text string }{
		{one, "eu us", "Duplicate", `no cluster takes it: .spec.imagePullSecrets: duplicate entries for key [name="x"]; name each once`},
		{"no", "eu", "Refused", "cluster eu: no"},
		{"no", "eu us", "Refused", "clusters eu, us: no"},
		{twice, "eu", "Duplicate", `no cluster takes it: .spec.template.spec.containers[name="web"].env: duplicate entries for key [name="A"] .spec.template.spec.containers[name="web"].ports: duplicate entries for key [containerPort=80,protocol="TCP"]; name each once`},
	} {
		if n := refusal(tt.said, strings.Fields(tt.clusters)); n.Reason != tt.reason || n.Text != tt.text || !n.Warning {
			t.Errorf("%+v", n)
		}
	}
}
