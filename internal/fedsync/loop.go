package fedsync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/workload"
)

// tick is how often the loop looks at the clock: for what was put off, and for
// drains that begin or end.
const tick = 100 * time.Millisecond

// A loop owns what is known. Everything but do is for its own goroutine.
type loop struct {
	Config
	api   *kube.API
	sorts []*workload.Sort
	table *workload.Table
	calls chan func()
	over  <-chan struct{}
	wg    sync.WaitGroup

	unlisted map[string]bool // of the federation's API: names of sorts, and clusters
	clusters map[string]*fedapi.Cluster
	secrets  map[string][]byte // kubeconfigs, by the name of the Secret
	members  map[string]*member
	known    map[string]*member // as the table has been told
	troubles map[string]string  // why a cluster isn't a member, as it was said last
	flights  map[flight]bool
	tries    map[flight]*try
	reports  map[workload.Key]*report
	untold   map[workload.Key]bool // reports with something new
	desk     *desk
	gate     gate
	preview  bool
	swept    time.Time // when names that were taken were last looked at
	looked   time.Time // when pods were
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
}

// longest is how long a step that fails again and again waits.
const longest = time.Minute

func (t *try) again(err error, now time.Time) {
	wait := 200 * time.Millisecond << min(t.count, 10)
	t.count++
	t.until, t.err = now.Add(min(wait, longest)), err
}

// keep keeps the federation's objects until ctx ends.
func keep(ctx context.Context, api *kube.API, c Config) error {
	l, err := newLoop(ctx, api, c)
	if err != nil {
		return err
	}
	l.run(ctx)
	return nil
}

func newLoop(ctx context.Context, api *kube.API, c Config) (*loop, error) {
	all, err := sorts(ctx, api, c)
	if err != nil {
		return nil, err
	}
	l := &loop{
		Config: c, api: api, sorts: all, table: workload.NewTable(c.Federation),
		calls: make(chan func(), 256), over: ctx.Done(),
		unlisted: map[string]bool{fedapi.Clusters.Name: true}, clusters: map[string]*fedapi.Cluster{}, secrets: map[string][]byte{},
		members: map[string]*member{}, known: map[string]*member{}, troubles: map[string]string{}, flights: map[flight]bool{}, tries: map[flight]*try{}, reports: map[workload.Key]*report{}, untold: map[workload.Key]bool{},
	}
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
	case <-l.over:
	}
}

// run is the owner. When it returns, nothing it started is left.
func (l *loop) run(ctx context.Context) {
	defer l.wg.Wait()
	l.follow(ctx)
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
		if l.complete() && l.introduced() {
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
// nothing can be said to be missing.
func (l *loop) complete() bool { return len(l.unlisted) == 0 }

// introduced says whether the table has been told of every cluster there is. Before
// that, what is to be deleted everywhere would seem to be nowhere.
func (l *loop) introduced() bool {
	members := l.table.Members()
	for name := range l.clusters {
		if !slices.ContainsFunc(members, func(m *workload.Member) bool { return m.Name == name }) {
			return false
		}
	}
	return true
}

// pass does what time asks for.
func (l *loop) pass(ctx context.Context, now time.Time) {
	if !l.complete() {
		return
	}
	for f, t := range l.tries {
		if !t.until.IsZero() && now.After(t.until) && !l.flights[f] {
			t.until = time.Time{}
			l.table.Touch(f.Key)
		}
	}
	l.muster(ctx, now)
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
	l.gate.pass(now)
	l.tell(now)
}

// recheck is how often names that others have taken are looked at again.
const recheck = time.Minute

// sweep forgets what isn't ours, so that it is looked for again.
func (l *loop) sweep() {
	for _, k := range l.table.Wants(nil) {
		for c := range l.members {
			if h := l.table.Known(c, k); h != nil && !h.Ours && h.Target == "" {
				l.table.Gone(c, k)
			}
		}
	}
}

// plan makes the plans that are out of date, and starts what follows.
func (l *loop) plan(now time.Time) {
	for _, k := range l.table.Dirty() {
		w := l.table.Wanted(k)
		if w == nil {
			l.forget(k)
			continue
		}
		p := l.table.Plan(k)
		l.reports[k] = l.reports[k].next(p, now)
		l.untold[k] = true
		if l.preview {
			continue
		}
		if p.Hold {
			l.mark(w, true, nil)
			continue
		}
		l.gate.clear(k)
		for _, s := range p.Steps {
			l.start(s, now)
		}
		if w.Deleting {
			l.bury(w, p)
		}
	}
}

// forget lets go of what was known of an object that is gone.
func (l *loop) forget(k workload.Key) {
	delete(l.reports, k)
	delete(l.untold, k)
	l.gate.clear(k)
	for f := range l.tries {
		if f.Key == k {
			delete(l.tries, f)
		}
	}
}

// start has a step done, unless one for the same object is under way or it has to
// wait.
func (l *loop) start(s workload.Step, now time.Time) {
	f := flight{s.Cluster, s.Key}
	if t := l.tries[f]; l.flights[f] || t != nil && now.Before(t.until) {
		return
	}
	if s.Verb == workload.Delete {
		l.gate.add(s, now)
		return
	}
	l.launch(s)
}

func (l *loop) launch(s workload.Step) {
	m := l.members[s.Cluster]
	if m == nil {
		return
	}
	f := flight{s.Cluster, s.Key}
	l.flights[f] = true
	m.queue.push(job{step: s, order: s.Order})
}

// finish hears how a step ended.
func (l *loop) finish(m *member, s workload.Step, r result) {
	if l.members[s.Cluster] != m {
		return // the cluster has left, or has other credentials; its flights ended then
	}
	f := flight{s.Cluster, s.Key}
	delete(l.flights, f)
	now := time.Now()
	stepsTotal.WithLabelValues(s.Cluster, string(s.Verb), r.outcome()).Inc()
	l.Log.Debug(fmt.Sprintf("cluster %s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why), "outcome", r.outcome())
	switch {
	case r.err != nil:
		t := l.tries[f]
		if t == nil {
			t = &try{}
			l.tries[f] = t
		}
		if said := t.err != nil && t.err.Error() == r.err.Error(); !said && !r.soon {
			l.Log.Warn(fmt.Sprintf("cluster %s: %s %s: %v; trying again", s.Cluster, s.Verb, s.Key, r.err))
		}
		t.again(r.err, now)
		if r.soon {
			t.count = min(t.count, 3)
		}
	case s.Verb == workload.Delete, s.Verb == workload.Release:
		delete(l.tries, f)
		l.gate.spent(s.Cluster, now)
	case r.stranger:
		delete(l.tries, f)
		l.table.Have(s.Cluster, s.Key, r.got.Object)
	default:
		delete(l.tries, f)
		l.table.Wrote(s.Cluster, s.Key, r.got.Object)
	}
	if r.err == nil && (s.Verb == workload.Delete || s.Verb == workload.Release) {
		return // the watch tells when it is gone
	}
	l.table.Touch(s.Key)
}

// bury ends the deletion of a federated object whose like are gone.
func (l *loop) bury(w *workload.Want, p workload.Plan) {
	if w.Kind.Name == "Namespace" {
		inside := l.table.Inside(w.Name)
		for _, k := range inside {
			if o := l.table.Wanted(k); !o.Deleting {
				l.desk.put(flight{"", k}, l.flights, func(ctx context.Context) error {
					return l.api.Delete(ctx, k.Kind, k.Namespace, k.Name, uid(o.UID))
				}, l.filed)
			}
		}
		if len(inside) > 0 {
			return
		}
	}
	if !p.Done {
		return
	}
	for f := range l.flights {
		if f.Key == w.Key && f.cluster != "" {
			return // what is under way may yet make one
		}
	}
	if w.Finalizer {
		l.mark(w, false, nil)
		return
	}
	if w.Terminating {
		l.desk.put(flight{"", w.Key}, l.flights, func(ctx context.Context) error {
			return finalize(ctx, l.api, w)
		}, l.filed)
	}
}

// A report is what there is to say of a federated object.
type report struct {
	plan  workload.Plan
	since time.Time // when there first was something that hasn't been told
	last  time.Time
	notes map[string]bool // told as events
}

// next is the report after another plan.
func (r *report) next(p workload.Plan, now time.Time) *report {
	if r == nil {
		r = &report{notes: map[string]bool{}}
	}
	r.plan, r.last = p, now
	if r.since.IsZero() {
		r.since = now
	}
	return r
}

// Status is told when nothing has changed for settled, and at the latest after
// overdue: one write for all that happens to an object at once.
const (
	settled = 300 * time.Millisecond
	overdue = time.Second
)

// tell writes what has become of objects, where it is something new.
func (l *loop) tell(now time.Time) {
	for k := range l.untold {
		r := l.reports[k]
		if now.Sub(r.last) < settled && now.Sub(r.since) < overdue {
			continue
		}
		w := l.table.Wanted(k)
		if w == nil || r.plan.Hold || l.flights[flight{"", k}] {
			continue
		}
		if t := l.tries[flight{"", k}]; t != nil && now.Before(t.until) {
			continue
		}
		standings, notes, flying := l.standings(w, r.plan)
		if flying && now.Sub(r.since) < overdue {
			continue
		}
		r.since = time.Time{}
		delete(l.untold, k)
		l.events(w, r, notes)
		if w.Deleting && !w.Finalizer {
			continue
		}
		reason, message := verdict(standings)
		record := w.Record.Next(standings, reason, message, now)
		if record.String() != w.Record.String() {
			l.mark(w, w.Finalizer, &record)
			continue // the answer to that brings the next turn
		}
		if status := l.table.Status(k); status != nil {
			l.desk.put(flight{"", k}, l.flights, func(ctx context.Context) error {
				_, err := l.api.Merge(ctx, k.Kind, k.Namespace, k.Name, map[string]any{"metadata": map[string]any{"uid": w.UID}, "status": status}, agent, "status")
				return err
			}, l.filed)
		}
	}
}

// standings are those of the plan, with what became of its steps.
func (l *loop) standings(w *workload.Want, p workload.Plan) (out []workload.Standing, notes []workload.Note, flying bool) {
	notes = slices.Clone(p.Notes)
	for _, s := range p.Standings {
		f := flight{s.Cluster, w.Key}
		flying = flying || l.flights[f]
		if l.gate.holds(f) {
			s.State, s.Error = workload.Waiting, fmt.Sprintf("more than %d deletions at once wait for an operator: fedctl confirm", l.MaxDeletes)
			notes = append(notes, workload.Note{Warning: true, Reason: "DeletionWaits", Text: "cluster " + s.Cluster + ": " + s.Error})
		} else if t := l.tries[f]; t != nil && t.err != nil && (s.State == workload.Pending || s.State == workload.Deleting) {
			s.Error = t.err.Error()
			if kube.Refused(t.err) {
				s.State = workload.Failed
				notes = append(notes, workload.Note{Warning: true, Reason: "Refused", Text: "cluster " + s.Cluster + ": " + s.Error})
			}
		}
		out = append(out, s)
	}
	return out, notes, flying
}

// verdict is the worst of the standings, and where it is so.
func verdict(standings []workload.Standing) (reason, message string) {
	if len(standings) == 0 {
		return "NoCluster", "no cluster is chosen for it"
	}
	worst := []workload.State{workload.Waiting, workload.NameTaken, workload.Failed, workload.NotServed, workload.Unreachable, workload.Deleting, workload.Pending}
	for _, state := range worst {
		var in []string
		for _, s := range standings {
			if s.State == state {
				in = append(in, s.Cluster)
			}
		}
		if len(in) > 0 {
			return string(state), "in " + strings.Join(in, ", ")
		}
	}
	return string(workload.Applied), ""
}

// events tells what hasn't been told yet.
func (l *loop) events(w *workload.Want, r *report, notes []workload.Note) {
	now := map[string]bool{}
	for _, n := range notes {
		id := n.Reason + "\x00" + n.Text
		if now[id] = true; r.notes[id] {
			continue
		}
		l.Log.Warn(fmt.Sprintf("%s: %s: %s", w.Key, n.Reason, n.Text))
		l.desk.post(func(ctx context.Context) error { return event(ctx, l.api, w, n) })
	}
	r.notes = now
}

// mark writes the finalizer and the record of a federated object.
func (l *loop) mark(w *workload.Want, finalizer bool, record *workload.Record) {
	if t := l.tries[flight{"", w.Key}]; t != nil && time.Now().Before(t.until) {
		return
	}
	l.desk.put(flight{"", w.Key}, l.flights, func(ctx context.Context) error {
		return mark(ctx, l.api, w, finalizer, record)
	}, l.filed)
}

// filed hears how a write to the federation's API ended. What it changed comes by
// the watch.
func (l *loop) filed(f flight, err error) {
	delete(l.flights, f)
	if err == nil || kube.Missing(err) {
		delete(l.tries, f)
	} else {
		t := l.tries[f]
		if t == nil {
			t = &try{}
			l.tries[f] = t
		}
		if !kube.Conflict(err) && (t.err == nil || t.err.Error() != err.Error()) {
			l.Log.Warn(fmt.Sprintf("federation's API: %s: %v; trying again", f.Key, err))
		}
		t.again(err, time.Now())
	}
	if r := l.reports[f.Key]; r != nil && r.since.IsZero() {
		r.since = time.Now()
		l.untold[f.Key] = true
	}
	l.table.Touch(f.Key)
}
