package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// tick is how often the loop looks at the clock: for what was put off, and for
// drains that begin or end.
const tick = 100 * time.Millisecond

// A loop owns what is known. Everything but do is for its own goroutine.
type loop struct {
	Config
	api    *kube.API
	origin kube.Origin // of the federation's API
	anew   atomic.Bool // this API has another one by now, or other kinds are to be kept
	heeds  bool        // the kinds are those that the ConfigMap says
	sorts  []*workload.Sort
	table  *workload.Table
	calls  chan func()
	life   context.Context
	end    func()
	wg     sync.WaitGroup

	unlisted map[string]bool // of the federation's API: names of sorts, and clusters
	clusters map[string]*v1alpha1.Cluster
	secrets  map[string][]byte // kubeconfigs, by the name of the Secret
	members  map[string]*member
	known    map[string]*member // as the table has been told
	troubles map[string]trouble // why clusters aren't members
	flights  map[flight]bool
	tries    map[flight]*try
	reports  map[workload.Key]*report
	mustered bool                  // the table knows the clusters: without them, all would be deleted everywhere
	untold   map[workload.Key]bool // of the reports, those with something new
	contests map[flight]*contest
	census   census
	planned  map[string]view      // how the clusters were when all plans were made
	counted  map[string]time.Time // when a cluster's replicas were last written
	// undeclared is when the federation's API was last found to have a definition of
	// Clusters that knows no replicas.
	undeclared time.Time
	desk       *desk
	gate       gate
	preview    bool
	swept      time.Time // when names that were taken were last looked at
	looked     time.Time // when pods were
	cleared    time.Time // when contests that are over were last forgotten
}

// A flight is a step, or with cluster "" a write to the federation's API, that is
// under way.
type flight struct {
	cluster string
	workload.Key
}

// A try is a step that failed.
type try struct {
	count int
	until time.Time
	err   error
	what  string // of the step: another one needn't wait
}

// A step that fails again and again waits, for longest at the most; a write to the
// federation's API for soonest, since there is only one and all wait for it.
const (
	longest = time.Minute
	soonest = 10 * time.Second
)

func (t *try) again(err error, now time.Time, most time.Duration) {
	wait := 200 * time.Millisecond << min(t.count, 10)
	t.count++
	t.until, t.err = now.Add(min(wait, most)), err
}

// failed notes that something has to be tried again, and says whether its error is
// another one than before.
func (l *loop) failed(f flight, err error, most time.Duration, what string) (t *try, news bool) {
	t = l.tries[f]
	if t == nil || t.what != what {
		t = &try{what: what}
		l.tries[f] = t
	}
	news = t.err == nil || t.err.Error() != err.Error()
	t.again(err, time.Now(), most)
	return t, news
}

// waits says whether something has to wait before it is tried again.
func (l *loop) waits(f flight, now time.Time) bool {
	t := l.tries[f]
	return t != nil && now.Before(t.until)
}

// keep keeps the federation's objects until ctx ends.
func keep(ctx context.Context, api *kube.API, c Config) error {
	for {
		settled, _, err := settle(ctx, api, c)
		if err != nil {
			return err
		}
		l, err := newLoop(ctx, ctx, api, settled)
		if err != nil {
			return err
		}
		l.heeds = c.Kinds == nil
		l.run()
		if ctx.Err() != nil || !l.anew.Load() {
			return nil
		}
	}
}

// newLoop makes a loop that ends with life; asking for what it needs to begin ends
// with ctx.
func newLoop(ctx, life context.Context, api *kube.API, c Config) (*loop, error) {
	all, err := sorts(ctx, api, c)
	if err != nil {
		return nil, err
	}
	own, err := begin(ctx, api, c)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(life)
	l := &loop{
		Config: c, api: api, origin: own, end: end, sorts: all, table: workload.NewTable(c.Federation),
		calls: make(chan func(), 256), life: life,
		unlisted: map[string]bool{v1alpha1.Clusters.Name: true}, clusters: map[string]*v1alpha1.Cluster{}, secrets: map[string][]byte{},
		members: map[string]*member{}, known: map[string]*member{}, troubles: map[string]trouble{}, flights: map[flight]bool{}, tries: map[flight]*try{}, reports: map[workload.Key]*report{},
		untold: map[workload.Key]bool{}, contests: map[flight]*contest{}, census: newCensus(), planned: map[string]view{}, counted: map[string]time.Time{},
	}
	l.table.Sorts = all
	l.gate.init(l)
	l.desk = newDesk(api)
	for _, s := range all {
		l.unlisted[s.Kind.Name] = true
	}
	return l, nil
}

// do has a function called by the owner.
func (l *loop) do(f func()) {
	select {
	case l.calls <- f:
	case <-l.life.Done():
	}
}

// run is the owner. When it returns, nothing it started is left.
func (l *loop) run() {
	ctx := l.life
	defer func() {
		l.end()
		l.wg.Wait()
		forgetAll()
	}()
	l.follow(ctx)
	if !l.preview {
		l.wg.Go(func() { l.guard(ctx) })
		l.wg.Go(func() { l.declare(ctx) })
	}
	for range desks {
		l.wg.Go(func() { l.desk.work(ctx, l.do) })
	}
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, m := range l.members {
				m.stop()
			}
			return
		case f := <-l.calls:
			f()
			l.drain()
		case now := <-clock.C:
			l.pass(ctx, now)
		}
		if l.complete() && l.mustered {
			l.plan(time.Now())
		}
	}
}

// most is how many calls are heard before plans are made: enough for those that
// came while the last were made, and no starving of them.
const most = 1024

func (l *loop) drain() {
	for range most {
		select {
		case f := <-l.calls:
			f()
		default:
			return
		}
	}
}

// complete says whether all that the federation's API has is known: before that,
// nothing can be said to be missing. Sorts that it refuses to list stand aside.
func (l *loop) complete() bool { return len(l.unlisted) == 0 }

// pass does what time asks for.
func (l *loop) pass(ctx context.Context, now time.Time) {
	if !l.complete() {
		return
	}
	for f, t := range l.tries {
		if !t.until.IsZero() && now.After(t.until) && !l.flights[f] {
			t.until = time.Time{}
			if f.Sort != nil {
				l.table.Touch(f.Key)
			}
		}
	}
	l.muster(ctx, now)
	l.mustered = true
	if l.preview {
		return
	}
	if now.Sub(l.swept) > recheck {
		l.swept = now
		l.sweep()
	}
	if now.Sub(l.looked) > podsEvery {
		l.looked = now
		l.pods(now)
	}
	l.calm(now)
	l.gate.pass(now)
	l.tell(now)
}

// recheck is how often names that others have taken are looked at again.
const recheck = time.Minute

// sweep looks again at what isn't ours: nobody tells of it.
func (l *loop) sweep() {
	for _, k := range l.table.Wants(nil) {
		for c := range l.members {
			if h := l.table.Known(c, k); h != nil && !h.Ours && h.Target == "" {
				l.look(c, k)
			}
		}
	}
}

// look asks a cluster what it has under a name.
func (l *loop) look(cluster string, k workload.Key) {
	if m := l.members[cluster]; m == nil || !m.listed[k.Sort] || !m.pulse.reachable() || l.flights[flight{cluster, k}] {
		return
	}
	l.launch(workload.Step{Cluster: cluster, Key: k, Verb: look, Why: "it isn't ours"})
}

// look is the verb of asking; no plan has it.
const look workload.Verb = "look"

// plan makes the plans that are out of date, and starts what follows.
func (l *loop) plan(now time.Time) {
	for _, k := range l.table.Dirty() {
		w := l.table.Wanted(k)
		if w == nil {
			l.forget(k)
			continue
		}
		if l.preview {
			continue
		}
		p := l.table.Plan(k)
		if p.Hold {
			l.intend(w, now)
			continue
		}
		r := l.reports[k].next(p, now)
		l.reports[k] = r
		l.untold[k] = true
		l.gate.clear(k)
		l.recall(k, p.Steps)
		for _, s := range p.Steps {
			l.start(s, now)
		}
		l.count(w, p)
		if w.Deleting {
			l.bury(w, p)
		}
	}
}

// intend writes the finalizer on a federated object, and with it where it is going
// to be: if fedsync ends before it has said what became of it, the next one knows
// where to look.
func (l *loop) intend(w *workload.Want, now time.Time) {
	ready := *w
	ready.Finalizer = true
	p := l.table.PlanOf(&ready)
	reason, message := verdict(&ready, p.Standings)
	record := w.Record.Next(w.UID, p.Standings, reason, message, now)
	l.mark(w, true, &record)
}

// recall takes back steps that wait and aren't in the plan any more.
func (l *loop) recall(k workload.Key, steps []workload.Step) {
	for c, m := range l.members {
		f := flight{c, k}
		if !l.flights[f] || slices.ContainsFunc(steps, func(s workload.Step) bool { return s.Cluster == c }) {
			continue
		}
		if m.queue.drop(k) {
			delete(l.flights, f)
			delete(l.gate.launched, f)
		}
	}
}

// forget lets go of what was known of an object that is gone.
func (l *loop) forget(k workload.Key) {
	if r := l.reports[k]; r != nil {
		r.count(k, nil)
		delete(l.reports, k)
	}
	delete(l.untold, k)
	l.census.drop(k)
	l.gate.clear(k)
	for f := range l.tries {
		if f.Key == k && !l.gate.allowed[f] {
			delete(l.tries, f)
		}
	}
}

// what tells steps apart that mean something else.
func what(s workload.Step) string { return string(s.Verb) + " " + s.Hash + " " + s.Scale.String() }

// start has a step done, unless one for the same object is under way or it has to
// wait.
func (l *loop) start(s workload.Step, now time.Time) {
	f := flight{s.Cluster, s.Key}
	if l.flights[f] {
		m := l.members[s.Cluster]
		switch passed := l.gate.launched[f]; {
		case s.Verb == workload.Delete && !passed:
			if !m.queue.drop(s.Key) {
				return // it is planned anew when this one has ended
			}
			delete(l.flights, f)
		case m.queue.replace(s) && s.Verb != workload.Delete:
			delete(l.gate.launched, f)
			return
		default:
			return
		}
	}
	if t := l.tries[f]; t != nil && t.what != what(s) {
		delete(l.tries, f) // what failed is asked for no more
	}
	if l.waits(f, now) {
		return
	}
	if s.Verb == workload.Delete {
		l.gate.add(s, now)
		return
	}
	if l.contested(s, now) {
		return
	}
	l.launch(s)
}

func (l *loop) launch(s workload.Step) {
	m := l.members[s.Cluster]
	if m == nil {
		return
	}
	l.flights[flight{s.Cluster, s.Key}] = true
	m.queue.push(s)
}

// A contest is somebody who changes again and again what fedsync puts right.
type contest struct {
	count int
	last  time.Time
	until time.Time
}

// patient is how often in a row drift is put right at once; peace is how long there
// has to be none before that counts anew.
const (
	patient = 5
	peace   = 10 * time.Minute
)

// contested says whether a step that puts something right has to wait: who writes
// what fedsync writes may never stop, and two that never stop are a load.
func (l *loop) contested(s workload.Step, now time.Time) bool {
	if !s.Drift && s.Verb != workload.Adopt {
		return false
	}
	f := flight{s.Cluster, s.Key}
	c := l.contests[f]
	if c == nil {
		c = &contest{}
		l.contests[f] = c
	}
	if now.Before(c.until) {
		return true
	}
	c.count++
	c.last = now
	if over := c.count - patient; over >= 0 {
		c.until = now.Add(min(time.Second<<min(over, 6), longest))
	}
	return false
}

// calm ends the waiting of contests, and forgets those that are over.
func (l *loop) calm(now time.Time) {
	if now.Sub(l.cleared) < time.Second {
		return
	}
	l.cleared = now
	for f, c := range l.contests {
		if !c.until.IsZero() && now.After(c.until) {
			c.until = time.Time{}
			l.table.Touch(f.Key)
		}
		if now.Sub(c.last) > peace {
			delete(l.contests, f)
		}
	}
}

// finish hears how a step ended.
func (l *loop) finish(m *member, s workload.Step, r result) {
	if l.members[s.Cluster] != m {
		return // the cluster has left, or has other credentials; its flights ended then
	}
	f := flight{s.Cluster, s.Key}
	delete(l.flights, f)
	delete(l.gate.launched, f)
	l.Log.Debug(fmt.Sprintf("cluster %s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why), "outcome", r.outcome())
	if s.Verb == look {
		switch {
		case r.err != nil: // it is looked at again
		case r.got == nil:
			l.table.Gone(s.Cluster, s.Key)
		default:
			l.table.Have(s.Cluster, s.Key, r.got.Object)
		}
		l.table.Touch(s.Key) // steps may have waited for it
		return
	}
	stepsTotal.WithLabelValues(s.Cluster, string(s.Verb), r.outcome()).Inc()
	switch {
	case r.err != nil:
		t, news := l.failed(f, r.err, longest, what(s))
		if news && !r.soon {
			l.Log.Warn(fmt.Sprintf("cluster %s: %s %s: %v; trying again", s.Cluster, s.Verb, s.Key, kube.Plain(r.err)))
		}
		if r.soon {
			t.count = min(t.count, 3)
			l.again(s)
		}
	case s.Verb == workload.Delete:
		delete(l.tries, f)
		l.table.Going(s.Cluster, s.Key, s.UID)
		return // the watch tells when it is gone
	case s.Verb == workload.Release:
		delete(l.tries, f)
		if h := l.table.Known(s.Cluster, s.Key); h != nil && !h.Ours || r.got == nil {
			l.table.Gone(s.Cluster, s.Key) // of what has but one mark, no watch tells
		} else {
			l.table.Have(s.Cluster, s.Key, r.got.Object)
		}
		return
	case r.taken:
		delete(l.tries, f)
		l.table.Have(s.Cluster, s.Key, r.got.Object)
	default:
		delete(l.tries, f)
		l.table.Wrote(s.Cluster, s.Key, r.got.Object, s.Share)
	}
	l.table.Touch(s.Key)
}

// again looks at what a step was planned upon, if nobody tells when it changes: an
// object or a namespace that isn't ours.
func (l *loop) again(s workload.Step) {
	if h := l.table.Known(s.Cluster, s.Key); h != nil && !h.Ours {
		l.look(s.Cluster, s.Key)
	}
	if w := l.table.Home(s.Key); w != nil {
		if h := l.table.Known(s.Cluster, w.Key); h != nil && !h.Ours {
			l.look(s.Cluster, w.Key)
		}
	}
}

// bury ends the deletion of a federated object whose like are gone.
func (l *loop) bury(w *workload.Want, p workload.Plan) {
	if w.Sort.Home {
		for _, k := range l.table.Inside(w.Name) {
			if o := l.table.Wanted(k); !o.Deleting && !l.waits(flight{"", k}, time.Now()) {
				l.desk.put(flight{"", k}, l.flights, func(ctx context.Context) (*kube.Object, error) {
					return nil, l.api.Delete(ctx, k.Kind, k.Namespace, k.Name, uid(o.UID))
				}, l.filed)
			}
		}
	}
	if !p.Done {
		return
	}
	for c := range l.members {
		f := flight{c, w.Key}
		if l.flights[f] {
			return // what is under way may yet make one
		}
		// A cluster that was released gets one try.
		i := slices.IndexFunc(p.Steps, func(s workload.Step) bool { return s.Cluster == c })
		if i >= 0 && l.tries[f] == nil && !l.gate.holds(f) {
			return
		}
	}
	if w.Finalizer {
		l.mark(w, false, nil)
		return
	}
	if w.Terminating && !l.waits(flight{"", w.Key}, time.Now()) {
		l.desk.put(flight{"", w.Key}, l.flights, func(ctx context.Context) (*kube.Object, error) {
			return nil, finalize(ctx, l.api, w)
		}, l.filed)
	}
}
