package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/metric"
)

var (
	stepsTotal = metric.Fedsync.Counters("steps_total",
		"Steps carried out, by cluster, verb (create, update, adopt, delete, release) and outcome: done, taken, refused or failed.", "cluster", "verb", "outcome")
	clusterUp = metric.Fedsync.Gauges("cluster_reachable",
		"1 while a cluster's API answers.", "cluster")
	leading = metric.Fedsync.Gauge("leading",
		"1 while this one writes.")
	waitingDeletes = metric.Fedsync.Gauge("waiting_deletions",
		"Deletions that wait for an operator to confirm them.")
	lostEvents = metric.Fedsync.Counter("lost_events_total",
		"Events that couldn't be written.")
	tokenEnds = metric.Fedsync.Gauges("token_ends_timestamp_seconds",
		"When the token of an account in a cluster ends, unless it is renewed.", "cluster", "account")
	objects = metric.Fedsync.Gauges("objects",
		"Federated objects in clusters, by cluster, kind and state: Applied, Pending, Failed, NameTaken, NotServed, Unreachable, Deleting, Waiting or Finished.", "cluster", "kind", "state")
)

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
