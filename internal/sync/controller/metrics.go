package controller

import "github.com/prometheus/client_golang/prometheus"

var (
	stepsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fedsync_steps_total", Help: "Steps carried out, by cluster, verb and outcome: done, taken, refused or failed.",
	}, []string{"cluster", "verb", "outcome"})
	clusterUp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fedsync_cluster_reachable", Help: "Whether a cluster's API answers.",
	}, []string{"cluster"})
	leading = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fedsync_leading", Help: "Whether this one writes.",
	})
	waitingDeletes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fedsync_waiting_deletions", Help: "Deletions that wait for an operator to confirm them.",
	})
	lostEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fedsync_lost_events_total", Help: "Events that could not be written.",
	})
	tokenEnds = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fedsync_token_ends_timestamp_seconds", Help: "When the token of an account in a cluster ends, unless it is renewed.",
	}, []string{"cluster", "account"})
	objects = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fedsync_objects", Help: "Federated objects in clusters, by cluster, kind and state.",
	}, []string{"cluster", "kind", "state"})
)

// Metrics are fedsync's, for a registry.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{stepsTotal, clusterUp, leading, waitingDeletes, lostEvents, tokenEnds, objects}
}

// forgetMember drops the metrics of a cluster that has left.
func forgetMember(name string) {
	clusterUp.DeleteLabelValues(name)
	of := prometheus.Labels{"cluster": name}
	stepsTotal.DeletePartialMatch(of)
	objects.DeletePartialMatch(of)
	tokenEnds.DeletePartialMatch(of)
}

// forgetAll drops what only one that leads knows.
func forgetAll() {
	clusterUp.Reset()
	objects.Reset()
	tokenEnds.Reset()
	waitingDeletes.Set(0)
}
