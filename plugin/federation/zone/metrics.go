package zone

import (
	"github.com/fedns/fedns/internal/metric"
)

var Answers = metric.Fedns.Counters("answers_total",
	"Answers by outcome (success, fallback (by a wider scope), nodata, nxdomain, servfail, delegation, refused) and scope (zonal, regional, global, local, apex, none).", "server", "outcome", "scope")
