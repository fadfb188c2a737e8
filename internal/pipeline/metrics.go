package pipeline

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

var (
	latencySeconds = metric.Fedns.Histogram("event_to_answer_seconds",
		"Time from a cluster's event being received to the snapshot that answers it being shown.",
		// From the tens of microseconds one change takes to the seconds of a first listing.
		prometheus.ExponentialBuckets(25e-6, 2, 18))
	buildSeconds = metric.Fedns.Histogram("snapshot_build_seconds",
		"Time to make and show a snapshot.",
		prometheus.ExponentialBuckets(10e-6, 2, 16))
	publications = metric.Fedns.Counter("publications_total",
		"Snapshots shown.")
	notices = metric.Fedns.Counters("notices_total",
		"What was left out (label, address, grant, answers, unread), decided between members (disagree, scope), is in the way (namespace), or means nothing (override, policy), and probes that aren't made, or less often (probe), by kind.", "federation", "cluster", "kind")
	overrideErrors = metric.Fedns.Counters("override_errors_total",
		"Files of overrides that couldn't be taken in.", "federation")
	stateErrors = metric.Fedns.Counters("state_errors_total",
		"Reads of the state on disk that found it damaged, and publications that couldn't be written to it.", "federation")
	lookupErrors = metric.Fedns.Counters("hostname_errors_total",
		"Lookups of load balancers' hostnames that failed or found nothing.", "federation")
)

// stats is what the gauges of a pipeline show.
type stats struct {
	services []int // by federation
	tally    []map[table.CountKey]int
	members  [][]seen
	isolated []bool
	held     []int // services of which the guard keeps addresses
	panics   []int // services of which probes are ignored
	crowded  []int // services with more addresses than an answer may have
	hosts    []int
	refused  []int // claims on hosts
}

// seen is how a member stands.
type seen struct {
	name           string
	source         Source
	listed, silent bool
}

func (w *worker) count(s *snapshot.Snapshot) *stats {
	st := &stats{}
	for i, t := range w.tables {
		st.services = append(st.services, s.Federations[i].Size())
		st.tally = append(st.tally, t.Counts())
		var members []seen
		for j, m := range w.slotsOf(i) {
			_, silent := t.Silent(j)
			members = append(members, seen{string(m.Name), m.Source, t.Complete(j), silent})
		}
		st.members = append(st.members, members)
		st.isolated, st.held = append(st.isolated, t.Isolated()), append(st.held, t.Held())
		st.panics = append(st.panics, t.Panics())
		st.crowded = append(st.crowded, t.Oversized())
		st.hosts, st.refused = append(st.hosts, s.Federations[i].HostCount()), append(st.refused, t.Refused())
	}
	return st
}

// gauges are read from the pipelines that run.
var gauges = metric.NewLive[*Pipeline](metric.Fedns)

func init() { gauges.Register((*Pipeline).show) }

var (
	shardsDesc   = gauges.Gauge("shards", "Shards by verdict, reason, and whether that is only last known.", "cluster", "verdict", "reason", "stale")
	ageDesc      = gauges.Gauge("cluster_view_age_seconds", "Time since a cluster last said anything.", "cluster")
	listedDesc   = gauges.Gauge("cluster_listed", "1 once a cluster has been listed completely.", "cluster")
	silentDesc   = gauges.Gauge("cluster_silent", "1 while nothing can be learned of a cluster.", "cluster")
	isolatedDesc = gauges.Gauge("isolated", "1 while more than half of the clusters are silent, and all that is known stays.")
	guardDesc    = gauges.Gauge("guard_held_services", "Services of which the guard holds withdrawals back.")
	crowdedDesc  = gauges.Gauge("crowded_services", "Services with more addresses of one family than an answer may have.")
	unkeptDesc   = gauges.Gauge("state_failing", "1 while what is known can't be kept in state.")
	panicDesc    = gauges.Gauge("panic_services", "Services of which probes fail for so many shards that they are ignored.")
	serialDesc   = gauges.Gauge("snapshot_serial", "Serial of the snapshot that is answered from.")
	hostsDesc    = gauges.Gauge("snapshot_hosts", "Hosts of Ingresses and routes in the snapshot that is answered from.")
	refusedDesc  = gauges.Gauge("host_conflicts", "Claims on hosts that are refused: another namespace holds the host, or something else stands there.")
	servicesDesc = gauges.Gauge("snapshot_services", "Services in the snapshot that is answered from.")
)

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// show shows how the federations of a pipeline stand.
func (p *Pipeline) show(of func(federation string) (metric.Show, bool)) {
	st := p.stats.Load()
	for i, f := range p.federations {
		gauge, ok := of(f.Name)
		if !ok || st == nil {
			continue
		}
		gauge(serialDesc, float64(p.board.Load().Serial))
		gauge(servicesDesc, float64(st.services[i]))
		gauge(hostsDesc, float64(st.hosts[i]))
		gauge(refusedDesc, float64(st.refused[i]))
		for s, n := range st.tally[i] {
			gauge(shardsDesc, float64(n), string(s.Cluster), s.State.String(), string(s.Why), strconv.FormatBool(s.Stale))
		}
		if f.State != "" {
			gauge(unkeptDesc, bit(p.unkept[i].Load()))
		}
		gauge(isolatedDesc, bit(st.isolated[i]))
		gauge(guardDesc, float64(st.held[i]))
		gauge(panicDesc, float64(st.panics[i]))
		gauge(crowdedDesc, float64(st.crowded[i]))
		for _, m := range st.members[i] {
			if at := m.source.Heard(); !at.IsZero() {
				gauge(ageDesc, time.Since(at).Seconds(), m.name)
			}
			gauge(listedDesc, bit(m.listed), m.name)
			gauge(silentDesc, bit(m.silent), m.name)
		}
	}
}
