package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/internal/topology"
)

var (
	clusterErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns",
		Subsystem: "federation",
		Name:      "cluster_errors_total",
		Help:      "Counter of calls to a cluster's API that ended badly, by reason; gone, closed and hung are everyday life.",
	}, []string{"federation", "cluster", "reason"})

	clusterLists = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns",
		Subsystem: "federation",
		Name:      "cluster_lists_total",
		Help:      "Counter of complete lists taken from a cluster, by resource.",
	}, []string{"federation", "cluster", "resource"})

	manifestErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns",
		Subsystem: "federation",
		Name:      "manifest_errors_total",
		Help:      "Counter of manifests, or whole folders, that could not be read.",
	}, []string{"federation", "cluster"})
)

// Forget drops what is counted of a cluster that is no member any more.
func Forget(federation string, cluster topology.ClusterName) {
	for _, v := range []*prometheus.CounterVec{clusterErrors, clusterLists, manifestErrors} {
		v.DeletePartialMatch(prometheus.Labels{"federation": federation, "cluster": string(cluster)})
	}
}
