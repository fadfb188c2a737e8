package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
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
