// Package cluster turns a cluster's own words into changes of package shard: a
// Watcher reads a Kubernetes API, a Folder reads manifests that stand for one.
//
// It is the only user of client-go. Objects are cut down to what counts as they
// arrive, and not kept: what is known of a cluster is the table's. An error never
// withdraws anything; only a complete list, or a deletion, does.
package cluster

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// rotation is how often the kubeconfig is looked at. Credentials overlap by
// minutes when they are rotated.
const rotation = 5 * time.Second

// backoff is how reflectors wait after an error: a healed cluster must not look silent
// for longer.
var backoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 10, Cap: 2 * time.Second}

// Config says which cluster a Watcher watches.
type Config struct {
	Federation string
	Cluster    topology.ClusterName
	Kubeconfig string            // a file
	Inline     *InlineKubeconfig // in its place, if it isn't nil
	Context    string            // "": the kubeconfig's current one
	Selector   labels.Selector   // of all but Nodes; nil: all
	Nodes      bool              // false: nobody needs them, and they count as listed
	Local      bool              // the cluster's own domain is answered here
	Heartbeat  Heartbeat
	Dial       dialer       // how the API is connected to; nil: by TCP
	Log        *slog.Logger // nil: the default one
}

// A Watcher follows a cluster's API.
type Watcher struct {
	Config
	api       *api
	rotation  time.Duration
	hungAfter time.Duration
	pace      time.Duration
	content   []byte      // of the kubeconfig that api is of
	info      os.FileInfo // of the file, when it was last looked at
	broken    string      // what is wrong with a newer kubeconfig
	status    *apiStatus
	demand    *demand
	endpoints *endpoints
	pulse     liveness
	shy       bool // it has been said that readyz can't be asked
	gripes    warnings
	heard     atomic.Int64 // Unix nanoseconds
	changed   atomic.Int64 // Unix seconds
	plugin    *apireply.Plugin
	budget    *apireply.Budget       // what the API may take up
	trouble   atomic.Pointer[string] // what is wrong now
	version   atomic.Pointer[string] // of the API
	known     map[string]known       // by resource, what has been reported
	history   history
	relist    time.Duration
	compared  time.Duration
}

// NewWatcher reads the kubeconfig. It calls nobody yet.
func NewWatcher(c Config) (*Watcher, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Selector == nil {
		c.Selector = labels.Everything()
	}
	c.Heartbeat = c.Heartbeat.orDefault()
	w := &Watcher{Config: c, rotation: rotation, hungAfter: apireply.HungAfter, pace: kube.Pace, relist: kube.Relist, compared: compared, known: map[string]known{}, pulse: liveness{timeout: c.Heartbeat.Timeout}, demand: newDemand(), budget: &apireply.Budget{}}
	if w.endpoints = newEndpoints(labelled); !c.Selector.Empty() {
		w.endpoints = newEndpoints(labelled, unmanaged, unlabelled)
	}
	w.gripes.init(c.Log, "cluster "+string(c.Cluster)+": ")
	if c.Inline != nil {
		return w, nil // Run waits for it
	}
	var err error
	if w.info, err = os.Stat(c.Kubeconfig); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if w.content, err = inputfile.Read(c.Kubeconfig, inputfile.Kubeconfig); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if w.api, err = w.open(w.content); err != nil {
		return nil, err
	}
	w.status = newAPIStatus(c.Log, string(c.Cluster), w.resources(w.api))
	return w, nil
}

// open is the way to the API that a kubeconfig's content leads to.
func (w *Watcher) open(content []byte) (*api, error) {
	if w.plugin == nil || !bytes.Equal(content, w.content) { // what failed with another user's may succeed now
		w.plugin = &apireply.Plugin{}
	}
	return newAPI(credentials{path: w.Kubeconfig, inline: w.Inline != nil, content: content, plugin: w.plugin, dial: w.Dial}, w.Context)
}

// SilenceClientGo keeps client-go from logging: what it would say is said by the Watcher,
// once and with the cluster's name.
func SilenceClientGo() { klog.SetLogger(logr.Discard()) }

// Heard is when the API last said anything; zero: never.
func (w *Watcher) Heard() time.Time { return moment(&w.heard) }

// Changed is when an object that counts was changed last, by the clock of the API; zero:
// that isn't known. What is gone tells no time.
func (w *Watcher) Changed() time.Time {
	if n := w.changed.Load(); n != 0 {
		return time.Unix(n, 0)
	}
	return time.Time{}
}

// date notes when an object was changed.
func (w *Watcher) date(o metav1.Object) {
	at := o.GetCreationTimestamp().Time
	for _, m := range o.GetManagedFields() {
		if m.Time != nil && m.Time.After(at) {
			at = m.Time.Time
		}
	}
	for is := at.Unix(); ; {
		if was := w.changed.Load(); at.IsZero() || is <= was || w.changed.CompareAndSwap(was, is) {
			return
		}
	}
}

// Trouble is why the cluster can't be read at present; "": it can.
func (w *Watcher) Trouble() string {
	if t := w.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

// troubled notes what is wrong, as a line.
func (w *Watcher) troubled(why reason, err error) {
	text := string(why) + ": " + apireply.Brief(err)
	w.trouble.Store(&text)
}

func (w *Watcher) hear() { w.heard.Store(time.Now().UnixNano()) }

func (w *Watcher) count(r reason) {
	clusterErrors.WithLabelValues(w.Federation, string(w.Cluster), string(r)).Inc()
}

func moment(n *atomic.Int64) time.Time {
	if n := n.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Run reports what the cluster has, until ctx ends. It can be called once.
func (w *Watcher) Run(ctx context.Context, report func(...shard.Change)) {
	w.endpoints.report = report
	defer w.endpoints.end()
	report(shard.Awaited{Frontends: true})
	if !w.Nodes {
		report(shard.NodeList{})
	}
	a := w.api
	if a == nil {
		if a = w.await(ctx); a == nil {
			return
		}
		w.status = newAPIStatus(w.Log, string(w.Cluster), w.resources(a))
	}
	w.pulse.beat = time.Now() // silence is counted from here
	for a != nil {
		a = w.generation(ctx, a, report)
	}
}

// await waits for a first kubeconfig; nil: ctx has ended.
func (w *Watcher) await(ctx context.Context) *api {
	for {
		if a := w.rotated(); a != nil {
			return a
		}
		select {
		case <-w.Inline.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// generation runs reflectors until there is reason for new ones: other
// credentials, or the end of a silence. What is known stays meanwhile, since they
// begin with complete lists. It gives the way to the API for the next ones, or nil
// when ctx has ended.
func (w *Watcher) generation(ctx context.Context, a *api, report func(...shard.Change)) *api {
	defer a.close()
	w.pulse.begin(time.Now())
	w.status.begin()
	w.demand.begin()
	generation, cancel := context.WithCancel(ctx)
	answers, other := make(chan error), make(chan string)
	var heart sync.WaitGroup
	heart.Go(func() { w.beat(generation, a, answers) })
	heart.Go(func() { w.compare(generation, a, other) })
	done := w.reflect(generation, a)
	defer func() { cancel(); done(); heart.Wait() }()

	rotation := time.NewTicker(w.rotation)
	defer rotation.Stop()
	var given <-chan struct{}
	if w.Inline != nil {
		given = w.Inline.changed
	}
	// A list finds what no watch has told. Clusters that were begun at once aren't
	// listed at once for ever.
	anew := time.NewTimer(w.relist*4/5 + rand.N(w.relist*2/5+1))
	defer anew.Stop()
	look := time.NewTicker(w.Heartbeat.Timeout / 50) // a silence isn't noticed much later than it is one
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-given:
			if next := w.rotated(); next != nil {
				return next
			}
		case <-rotation.C:
			if next := w.rotated(); next != nil {
				return next
			}
		case err := <-answers:
			now := time.Now()
			if w.check(now, report) { // a gap is one, even if this answer ends it
				return w.again(a)
			}
			w.answered(now, err)
		case what := <-other:
			w.Log.Error(fmt.Sprintf("cluster %s: %s: it was restored from an older copy, or is another cluster; it is listed anew, and what is known stays until then", w.Cluster, what))
			w.count(restored)
			return w.again(a)
		case <-anew.C:
			if w.pulse.silent.IsZero() {
				return w.again(a)
			}
			anew.Reset(w.relist)
		case <-w.status.changed:
		case <-look.C:
		}
		if w.check(time.Now(), report) {
			return w.again(a)
		}
	}
}

// again is the way to the API as before, but with new connections: those of a
// silence may be dead without knowing it.
func (w *Watcher) again(a *api) *api {
	next, err := w.open(w.content)
	if err != nil { // a file that it names has gone; a has read it
		return a
	}
	return next
}

// reflect starts the reflectors of a generation; done waits for their end.
func (w *Watcher) reflect(ctx context.Context, a *api) (done func()) {
	var wg sync.WaitGroup
	for _, r := range w.resources(a) {
		if r.run != nil {
			wg.Go(func() { r.run(ctx) })
			continue
		}
		if w.known[r.name] == nil {
			w.known[r.name] = known{}
		}
		w.listener(a, r, &wg, w.status, w.known[r.name]).run(ctx)
	}
	wg.Go(func() { w.follow(ctx, a, &wg) })
	return wg.Wait
}

// rotated gives what other content of the kubeconfig leads to; nil: it is as it was.
func (w *Watcher) rotated() *api {
	a, err := w.reread()
	if err != nil {
		if w.broken != err.Error() {
			w.broken = err.Error()
			w.Log.Error(fmt.Sprintf("cluster %s: %v; going on with the one before", w.Cluster, err))
		}
		return nil
	}
	w.broken = ""
	switch {
	case a == nil:
	case w.Inline == nil:
		w.Log.Info(fmt.Sprintf("cluster %s: kubeconfig %q has changed", w.Cluster, w.Kubeconfig))
	case w.api != nil:
		w.Log.Info(fmt.Sprintf("cluster %s: %s has changed", w.Cluster, w.Inline.origin))
	}
	if a != nil {
		w.api = a
	}
	return a
}

func (w *Watcher) reread() (*api, error) {
	if w.Inline != nil {
		content := w.Inline.get()
		if len(content) == 0 || bytes.Equal(content, w.content) {
			return nil, nil
		}
		return w.take(content)
	}
	info, err := os.Stat(w.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if w.broken == "" && same(info, w.info) {
		return nil, nil
	}
	content, err := inputfile.Read(w.Kubeconfig, inputfile.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	w.info = info
	if bytes.Equal(content, w.content) {
		return nil, nil
	}
	return w.take(content)
}

func (w *Watcher) take(content []byte) (*api, error) {
	a, err := w.open(content)
	if err != nil {
		return nil, err
	}
	w.content = content
	return a, nil
}

// same says whether a file looks as it did.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
