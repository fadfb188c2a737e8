// Package metric makes the metrics of fedns and fedsync. It knows them all: the manual's page of them is made
// of what is said here, and tests ask here which there are.
package metric

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A Family is a metric as the manual lists it.
type Family struct {
	Name   string // without the prefix of its set
	Kind   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// A Set is the metrics of one program.
type Set struct {
	Prefix     string // what all names begin with
	register   func(...prometheus.Collector)
	families   []Family
	collectors []prometheus.Collector
}

// Fedns are those of the plugin, which CoreDNS's plugin prometheus serves.
var Fedns = &Set{Prefix: "coredns_federation_", register: prometheus.MustRegister}

// Dnssec are those of the plugin of that name, with the names that CoreDNS's own has for them.
var Dnssec = &Set{Prefix: "coredns_dnssec_", register: prometheus.MustRegister}

// Fedsync are those of fedsync, which registers them where it serves them.
var Fedsync = &Set{Prefix: "fedsync_", register: func(...prometheus.Collector) {}}

// Families are all metrics of a set whose packages are linked, by name.
func (s *Set) Families() []Family {
	return slices.SortedFunc(slices.Values(s.families), func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
}

// Collectors are what there is to register.
func (s *Set) Collectors() []prometheus.Collector { return s.collectors }

func (s *Set) note(kind, name, help string, labels []string) {
	s.families = append(s.families, Family{name, kind, labels, help})
}

func add[C prometheus.Collector](s *Set, c C) C {
	s.register(c)
	s.collectors = append(s.collectors, c)
	return c
}

// Counter makes a counter without labels.
func (s *Set) Counter(name, help string) prometheus.Counter {
	s.note("counter", name, help, nil)
	return add(s, prometheus.NewCounter(prometheus.CounterOpts{Name: s.Prefix + name, Help: help}))
}

// Counters makes a counter for each value of labels.
func (s *Set) Counters(name, help string, labels ...string) *prometheus.CounterVec {
	s.note("counter", name, help, labels)
	return add(s, prometheus.NewCounterVec(prometheus.CounterOpts{Name: s.Prefix + name, Help: help}, labels))
}

// Gauge makes a gauge without labels.
func (s *Set) Gauge(name, help string) prometheus.Gauge {
	s.note("gauge", name, help, nil)
	return add(s, prometheus.NewGauge(prometheus.GaugeOpts{Name: s.Prefix + name, Help: help}))
}

// Gauges makes a gauge for each value of labels.
func (s *Set) Gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	s.note("gauge", name, help, labels)
	return add(s, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: s.Prefix + name, Help: help}, labels))
}

// Histogram makes a histogram without labels.
func (s *Set) Histogram(name, help string, buckets []float64) prometheus.Histogram {
	s.note("histogram", name, help, nil)
	return add(s, prometheus.NewHistogram(prometheus.HistogramOpts{Name: s.Prefix + name, Help: help, Buckets: buckets}))
}

// Live are gauges that are read of what runs when they are asked for, so that nothing is left of what a reload
// has taken away, or the federation's API.
type Live[T comparable] struct {
	set   *Set
	descs []*prometheus.Desc
	read  func(t T, of func(federation string) (show Show, ok bool))

	mu  sync.Mutex // guards the rest
	all []T
}

// Show says what the gauge has for these labels, which stand behind the federation.
type Show func(d *prometheus.Desc, v float64, labels ...string)

// NewLive begins gauges of what is a T.
func NewLive[T comparable](s *Set) *Live[T] { return &Live[T]{set: s} }

// Gauge makes one of the gauges, of a federation and of labels.
func (l *Live[T]) Gauge(name, help string, labels ...string) *prometheus.Desc {
	labels = append([]string{"federation"}, labels...)
	l.set.note("gauge", name, help, labels)
	d := prometheus.NewDesc(l.set.Prefix+name, help, labels, nil)
	l.descs = append(l.descs, d)
	return d
}

// Register has the gauges read of each T that runs. Of several that have a federation of one name, in two server
// blocks or during a reload, the newest is shown; for the others of is false.
func (l *Live[T]) Register(read func(t T, of func(federation string) (show Show, ok bool))) {
	l.read = read
	add(l.set, l)
}

// Watch shows the gauges of t until the function it returns is called.
func (l *Live[T]) Watch(t T) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, t)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(o T) bool { return o == t })
	}
}

// Describe implements prometheus.Collector.
func (l *Live[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *Live[T]) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	all := slices.Clone(l.all)
	l.mu.Unlock()
	shown := map[string]bool{}
	for _, t := range slices.Backward(all) {
		l.read(t, func(federation string) (Show, bool) {
			if shown[federation] {
				return nil, false
			}
			shown[federation] = true
			return func(d *prometheus.Desc, v float64, labels ...string) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{federation}, labels...)...)
			}, true
		})
	}
}
