package probe

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	namespace = "coredns"
	subsystem = "federation"
)

var (
	probes = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "probes_total",
		Help: "Probes by result: pass, fail, or local when this server could not ask.",
	}, []string{"result"})
	passes, failures, locals = probes.WithLabelValues("pass"), probes.WithLabelValues("fail"), probes.WithLabelValues("local")

	seconds = promauto.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "probe_seconds",
		Help: "Time a probe took that passed or failed.",
		// From the same rack to the longest timeout that makes sense.
		Buckets: prometheus.ExponentialBuckets(250e-6, 2, 15),
	})
	lates = promauto.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "probes_late_total",
		Help: "Probes that began more than 100 ms late, because too many were under way or the server is too busy.",
	})
	held = promauto.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "probe_targets",
		Help: "Targets that are probed. Names that ask the same of the same address share one.",
	})
)
