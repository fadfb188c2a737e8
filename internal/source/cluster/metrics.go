package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/internal/topology"
)

var (
	clusterErrors = metric.Fedns.Counters("cluster_errors_total",
		"Calls to a cluster's API that ended badly, by reason: unauthorized, forbidden, unreachable, tls, throttled, other; unexpected (not what an API server answers: a login page, another list, one without a resourceVersion), redirect (never followed), credential (the plugin gives none), restored (the store went back in time), excess (more than is taken in of an API); gone, closed and hung, which are everyday life, for watches that have to begin anew.", "federation", "cluster", "reason")

	clusterLists = metric.Fedns.Counters("cluster_lists_total",
		"Complete lists taken from a cluster, by resource.", "federation", "cluster", "resource")

	manifestErrors = metric.Fedns.Counters("manifest_errors_total",
		"Manifests, or whole folders, that couldn't be read.", "federation", "cluster")
)

// Forget drops what is counted of a cluster that is no member any more.
func Forget(federation string, cluster topology.ClusterName) {
	for _, v := range []*prometheus.CounterVec{clusterErrors, clusterLists, manifestErrors} {
		v.DeletePartialMatch(prometheus.Labels{"federation": federation, "cluster": string(cluster)})
	}
}
