package pipeline

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

const (
	namespace = "coredns"
	subsystem = "federation"
)

var (
	latencySeconds = promauto.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "event_to_answer_seconds",
		Help: "Time from a cluster's event being received to the snapshot that answers it being shown.",
		// From the tens of microseconds one change takes to the seconds of a first listing.
		Buckets: prometheus.ExponentialBuckets(25e-6, 2, 18),
	})
	buildSeconds = promauto.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "snapshot_build_seconds",
		Help:    "Time to make and show a snapshot.",
		Buckets: prometheus.ExponentialBuckets(10e-6, 2, 16),
	})
	publications = promauto.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "publications_total",
		Help: "Snapshots shown.",
	})
	notices = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "notices_total",
		Help: "What was left out of the names or decided between members, by kind: label, address, disagree, scope, probe.",
	}, []string{"federation", "cluster", "kind"})
	overrideErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "override_errors_total",
		Help: "Files of overrides that could not be taken in.",
	}, []string{"federation"})
	stateErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "state_errors_total",
		Help: "Reads of the state on disk that found it damaged, and publications that could not be written to it.",
	}, []string{"federation"})
	lookupErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "hostname_errors_total",
		Help: "Lookups of load balancers' hostnames that failed or found nothing.",
	}, []string{"federation"})
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

// The gauges are read from the pipelines that run, so that nothing is left of
// members that a reload has taken away.
var gauges = &collector{}

func init() { prometheus.MustRegister(gauges) }

type collector struct {
	mu   sync.Mutex // guards the rest
	live []*Pipeline
}

// watch shows the gauges of p until the function it returns is called.
func watch(p *Pipeline) (end func()) {
	gauges.mu.Lock()
	defer gauges.mu.Unlock()
	gauges.live = append(gauges.live, p)
	return func() {
		gauges.mu.Lock()
		defer gauges.mu.Unlock()
		gauges.live = slices.DeleteFunc(gauges.live, func(o *Pipeline) bool { return o == p })
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

var (
	shardsDesc   = desc("shards", "Shards by verdict, reason, and whether that is only last known.", "federation", "cluster", "verdict", "reason", "stale")
	ageDesc      = desc("cluster_view_age_seconds", "Time since a cluster last said anything.", "federation", "cluster")
	listedDesc   = desc("cluster_listed", "1 once a cluster has been listed completely.", "federation", "cluster")
	silentDesc   = desc("cluster_silent", "1 while nothing can be learned of a cluster.", "federation", "cluster")
	isolatedDesc = desc("isolated", "1 while more than half of the clusters are silent, and all that is known stays.", "federation")
	guardDesc    = desc("guard_held_services", "Services of which the guard holds withdrawals back.", "federation")
	crowdedDesc  = desc("crowded_services", "Services with more addresses of one family than an answer may have.", "federation")
	unkeptDesc   = desc("state_failing", "1 while what is known can't be kept on disk.", "federation")
	panicDesc    = desc("panic_services", "Services of which probes fail for so many shards that they are ignored.", "federation")
	serialDesc   = desc("snapshot_serial", "Serial of the snapshot that is answered from.", "federation")
	hostsDesc    = desc("snapshot_hosts", "Hosts of Ingresses and routes in the snapshot that is answered from.", "federation")
	refusedDesc  = desc("host_conflicts", "Claims on hosts that are refused: another namespace holds the host, or something else stands there.", "federation")
	servicesDesc = desc("snapshot_services", "Services in the snapshot that is answered from.", "federation")
)

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{shardsDesc, ageDesc, listedDesc, silentDesc, isolatedDesc, guardDesc, unkeptDesc, panicDesc, crowdedDesc, serialDesc, servicesDesc, hostsDesc, refusedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Where two pipelines have a federation
// of one name, in two server blocks or during a reload, the newest is shown.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	live := slices.Clone(c.live)
	c.mu.Unlock()
	done := map[string]bool{}
	for _, p := range slices.Backward(live) {
		st := p.stats.Load()
		for i, f := range p.federations {
			if done[f.Name] {
				continue
			}
			done[f.Name] = true
			gauge := func(d *prometheus.Desc, v float64, labels ...string) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{f.Name}, labels...)...)
			}
			if st == nil {
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
}
