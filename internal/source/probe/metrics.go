package probe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/metric"
)

var (
	probes = metric.Fedns.Counters("probes_total",
		"Probes by result: pass, fail, or local when this server could not ask.", "result")
	passes, failures, locals = probes.WithLabelValues("pass"), probes.WithLabelValues("fail"), probes.WithLabelValues("local")

	seconds = metric.Fedns.Histogram("probe_seconds",
		"Time a probe took that passed or failed.",
		// From the same rack to the longest timeout that makes sense.
		prometheus.ExponentialBuckets(250e-6, 2, 15))
	lates = metric.Fedns.Counter("probes_late_total",
		"Probes that began more than 100 ms late, because too many were under way or the server is too busy.")
	held = metric.Fedns.Gauge("probe_targets",
		"Targets that are probed. Names that ask the same of the same address share one.")
)
