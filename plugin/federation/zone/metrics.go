package zone

import (
	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/plugin/federation/observe"
)

var Answers = promauto.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: observe.PluginName, Name: "answers_total",
	Help: "Answers by outcome (success, fallback, nodata, nxdomain, servfail, delegation, refused) and scope (zonal, regional, global, local, apex, none).",
}, []string{"server", "outcome", "scope"})
