package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A hub is what is known of a federation, and what follows from it. It has one owner,
// and neither a goroutine nor a client: steps wait in the clusters' queues, writes to the
// federation's API by the status writer, and the rest is asked of its actions.
type hub struct {
	Config
	actions
	origin kube.Origin // of the federation's API
	heeds  bool        // the kinds are those that the ConfigMap says
	kinds  []*workload.FederatedKind
	table  *workload.Table

	unlisted       map[string]bool // of the federation's API: names of kinds, and clusters
	clusters       map[string]*v1alpha1.Cluster
	secrets        map[string]credential             // by the name of the Secret
	withheld       map[string]string                 // why one of those that are read by name can't be, or unread
	members        map[string]*cluster               // that are written to
	known          map[string]*cluster               // as the table has been told
	troubles       map[string]trouble                // why clusters aren't members
	steps          map[objectInCluster]workload.Step // that may be done, by the last plan; their keys wait in the clusters' queues
	inFlight       map[objectInCluster]bool
	vanished       map[objectInCluster]bool   // of those, what has gone from its cluster meanwhile
	sought         map[objectInCluster]bool   // what isn't there, and was asked for by its name; true: that was answered
	seeking        map[workload.Key]time.Time // since when that is waited for; zero: no longer
	retries        map[objectInCluster]*retry
	reports        map[workload.Key]*report
	clustersSynced bool                    // the table knows the clusters: without them, all would be deleted everywhere
	untold         map[workload.Key]bool   // of the reports, those with something new
	stays          map[workload.Key]string // Namespaces that are being deleted, and what keeps them
	conflicts      map[objectInCluster]*conflict
	expiring       map[workload.Key]bool // Jobs that have ended, and go by themselves
	placements     placements
	podCounts      podCounts
	planned        map[string]view      // how the clusters were when all plans were made
	counted        map[string]time.Time // when a cluster's replicas were last written
	// undeclared is when the federation's API was last found to have a definition of
	// Clusters that knows no replicas.
	undeclared time.Time
	writer     *statusWriter
	deletions  deletionGuard
	preview    bool
	swept      time.Time // when names that were taken were last looked at
	looked     time.Time // when pods were
	renewed    time.Time // when it was last looked which tokens end
	cleared    time.Time // when contests that are over were last forgotten
}

// actions are what a hub has done by whoever runs it. None of them waits.
type actions struct {
	// connect begins to follow and to write to a cluster.
	connect func(name string, content []byte) (*cluster, error)
	// collect begins to do so with one that pulls.
	collect func(c *v1alpha1.Cluster) *cluster
	// pending lists the pods of a cluster that have no node.
	pending func(c *cluster, namespaces []string, done func([]kube.Object, error))
	// reissue has a Secret with credentials of a cluster get another token, of an account.
	reissue func(c *cluster, secret string, s credential, account string, done func(error))
	// shows has a cluster be shown another token.
	shows func(c *cluster, token string)
	// rebind has the right to the Secrets of a federated namespace of the federation's API be there, if somebody has
	// taken it.
	rebind func(namespace string)
	// renew has all begin anew.
	renew func()
}

func newHub(c Config, a actions, all []*workload.FederatedKind, own kube.Origin) *hub {
	u := &hub{
		Config: c, actions: a, origin: own, kinds: all, table: workload.NewTable(c.Federation), writer: newStatusWriter(),
		unlisted: map[string]bool{v1alpha1.Clusters.Name: true}, clusters: map[string]*v1alpha1.Cluster{}, secrets: map[string]credential{}, withheld: map[string]string{},
		members: map[string]*cluster{}, known: map[string]*cluster{}, troubles: map[string]trouble{}, steps: map[objectInCluster]workload.Step{}, inFlight: map[objectInCluster]bool{}, vanished: map[objectInCluster]bool{}, sought: map[objectInCluster]bool{}, seeking: map[workload.Key]time.Time{}, retries: map[objectInCluster]*retry{}, reports: map[workload.Key]*report{},
		untold: map[workload.Key]bool{}, stays: map[workload.Key]string{}, conflicts: map[objectInCluster]*conflict{}, expiring: map[workload.Key]bool{}, placements: newPlacements(), podCounts: newPodCounts(), planned: map[string]view{}, counted: map[string]time.Time{},
	}
	u.table.Kinds = all
	u.deletions.init(u)
	for _, s := range all {
		u.unlisted[s.Kind.Name] = true
	}
	return u
}

// An objectInCluster is a step, or with cluster "" a write to the federation's API, that is
// under way.
type objectInCluster struct {
	cluster string
	workload.Key
}

// A retry is a step that failed.
type retry struct {
	count int
	soon  int // how often what is in the way was to be gone in a moment
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

// impatient is how often it is believed that what is in the way will be gone in a moment:
// for half a minute. A namespace can be on its way out for days.
const impatient = 20

func (t *retry) again(err error, now time.Time, most time.Duration) {
	wait := 200 * time.Millisecond << min(t.count, 10)
	t.count++
	t.until, t.err = now.Add(min(wait, most)), err
}

// failed notes that something has to be tried again, and says whether its error is
// another one than before. What is refused won't be let soon, whoever refuses it.
func (u *hub) failed(f objectInCluster, err error, most time.Duration, what string) (t *retry, news bool) {
	if kube.Refused(err) {
		most = longest
	}
	t = u.retries[f]
	if t == nil || t.what != what {
		t = &retry{what: what}
		u.retries[f] = t
	}
	news = t.err == nil || t.err.Error() != err.Error()
	t.again(err, time.Now(), most)
	return t, news
}

// ended notes how something ended that isn't a step, and says whether its error is news: unless all is well, it is tried
// again.
func (u *hub) ended(f objectInCluster, err error, well bool, most time.Duration) (news bool) {
	if delete(u.inFlight, f); well {
		delete(u.retries, f)
		return false
	}
	_, news = u.failed(f, err, most, "")
	return news
}

// waits says whether something has to wait before it is tried again.
func (u *hub) waits(f objectInCluster, now time.Time) bool {
	t := u.retries[f]
	return t != nil && now.Before(t.until)
}

// complete says whether all that the federation's API has is known: before that,
// nothing can be said to be missing. Kinds that it refuses to list stand aside.
func (u *hub) complete() bool { return len(u.unlisted) == 0 }

// pass does what time asks for.
func (u *hub) pass(now time.Time) {
	if !u.complete() {
		return
	}
	for f, t := range u.retries {
		if !t.until.IsZero() && now.After(t.until) && !u.busy(f) {
			t.until = time.Time{}
			if f.FederatedKind != nil {
				u.table.Touch(f.Key)
			}
		}
	}
	u.syncClusters(now)
	u.clustersSynced = true
	if u.preview {
		return
	}
	if now.Sub(u.swept) > recheck {
		u.swept = now
		u.sweep()
	}
	if now.Sub(u.looked) > podsEvery {
		u.looked = now
		u.pods(now)
	}
	u.renewals(now)
	u.calm(now)
	for _, k := range u.podCounts.overdue(now) {
		u.table.Touch(k)
	}
	u.giveUp(now)
	u.expire(now)
	u.deletions.pass(now)
	u.tell(now)
	u.placements.left = placementsATick
	u.place(now)
	u.forgo(now)
}

// recheck is how often names that others have taken are looked at again.
const recheck = time.Minute

// sweep looks again at what isn't ours: nobody tells of it.
func (u *hub) sweep() {
	for _, k := range u.table.KeysOf(nil) {
		for c := range u.members {
			if h := u.table.Observed(c, k); h != nil && !h.Ours && h.Target == "" {
				u.look(c, k)
			}
		}
	}
}

// look asks a cluster what it has under a name.
func (u *hub) look(cluster string, k workload.Key) {
	if m := u.members[cluster]; m != nil && m.listed[k.FederatedKind] && m.liveness.reachable() {
		u.ask(cluster, k)
	}
}

// ask is look, of a cluster that can be asked.
func (u *hub) ask(cluster string, k workload.Key) {
	if u.busy(objectInCluster{cluster, k}) {
		return
	}
	u.launch(workload.Step{Cluster: cluster, Key: k, Verb: look, Why: "to know what is there"})
}

// seeks says whether it isn't known yet what clusters have of an object that is split, and asks
// those that it is to be made in: what lacks fedsync's label no watch tells of. A share that is
// given is kept to, so none is given before. What isn't known after seekFor holds nothing up.
func (u *hub) seeks(w *workload.Desired, steps []workload.Step, now time.Time) (waits bool) {
	if len(w.Scale) == 0 && w.Whole == "" {
		return false
	}
	for _, c := range u.members {
		waits = waits || c.begins(w.FederatedKind, now)
	}
	for _, s := range steps {
		f := objectInCluster{s.Cluster, s.Key}
		if _, asked := u.sought[f]; s.Verb != workload.Create || asked {
			continue
		}
		u.look(s.Cluster, s.Key)
		waits = waits || u.steps[f].Verb == look || u.inFlight[f]
	}
	since, began := u.seeking[w.Key]
	switch {
	case !waits:
		delete(u.seeking, w.Key)
	case !began:
		u.seeking[w.Key] = now
	case now.Sub(since) >= seekFor:
		return false
	}
	return waits
}

// giveUp has plans made anew, once, of what has been sought for long enough: the answers may be a thousand
// others' turn away.
func (u *hub) giveUp(now time.Time) {
	for k, since := range u.seeking {
		if !since.IsZero() && now.Sub(since) >= seekFor {
			u.seeking[k] = time.Time{}
			u.table.Touch(k)
		}
	}
}

// misses says whether it isn't known yet if a copy that isn't shown, and that nothing is to be done
// about, is there without its label, and asks for it: it would be left behind.
func (u *hub) misses(w *workload.Desired, p workload.Plan, now time.Time) (waits bool) {
	for _, c := range u.table.Unseen(w, p) {
		f := objectInCluster{c, w.Key}
		answered, asked := u.sought[f]
		if answered || asked && !w.Deleting && !w.Leaving {
			continue
		}
		if !u.waits(f, now) {
			u.look(c, w.Key)
		}
		waits = waits || u.busy(f) || u.waits(f, now)
	}
	return waits
}

// seekFor is how long a cluster that is slow or silent when it begins to be followed, or is asked for a name, holds up
// what is split: an answer takes seconds on a machine with thirty times the work that it can do, and a list several
// answers. Longer, one that is silent for good would stop more than it has to.
const seekFor = 15 * time.Second

// look is the verb of asking; no plan has it.
const look workload.Verb = "look"

// plan makes the plans that are out of date, and starts what follows.
func (u *hub) plan(now time.Time) {
	for _, k := range u.table.Dirty() {
		u.planOne(k, now)
	}
}

func (u *hub) planOne(k workload.Key, now time.Time) {
	w := u.table.Desired(k)
	if w == nil {
		u.forget(k)
		return
	}
	if u.preview {
		return
	}
	p := u.table.Plan(k)
	if p.Hold {
		u.intend(w, now)
		return
	}
	if u.seeks(w, p.Steps, now) || u.misses(w, p, now) {
		return
	}
	u.table.Planned(k, p)
	r := u.reports[k].next(p, now)
	u.reports[k] = r
	u.untold[k] = true
	u.deletions.clear(k)
	steps := u.foretold(w, p, now)
	u.cancel(k, steps)
	for _, s := range steps {
		u.start(s, now)
	}
	u.count(w, p, now)
	if !w.Expires.IsZero() {
		u.expiring[k] = true
	}
	if w.Deleting || w.Leaving {
		u.finalize(w, p)
	}
}

// take gives the step that a worker of a cluster is to do under a key, by a plan that is
// up to date; false: there is none any more.
func (u *hub) take(c *cluster, k workload.Key, now time.Time) (s workload.Step, ok bool) {
	if u.members[c.name] != c {
		return s, false
	}
	if u.table.Clean(k) {
		u.planOne(k, now)
	}
	f := objectInCluster{c.name, k}
	if s, ok = u.steps[f]; ok {
		delete(u.steps, f)
		u.inFlight[f] = true
		u.table.Sends(c.name, k, s.Scale)
	}
	return s, ok
}

// busy says whether something is under way, or about to be.
func (u *hub) busy(f objectInCluster) bool {
	_, waits := u.steps[f]
	return waits || u.inFlight[f]
}

// intend writes the finalizer on a federated object, and with it where it is going
// to be: if fedsync ends before it has said what became of it, the next one knows
// where to look.
func (u *hub) intend(w *workload.Desired, now time.Time) {
	ready := *w
	ready.Finalizer, ready.Unsaid = true, false
	p := u.table.PlanOf(&ready)
	switch {
	case w.Deleting:
		p.Standings = w.Record.Clusters // that its like are left doesn't wait for a look at where they are
	case u.seeks(w, p.Steps, now):
		return // a share that is written is kept to
	}
	text, fits := u.foretell(&ready, p, now)
	if fits {
		return
	}
	// Without it, nobody would know where the object may be: it is said, and nothing is done.
	u.reports[w.Key] = u.reports[w.Key].next(workload.Plan{Hold: true, Notes: []workload.Note{short(w, text, false, u.placements.served)}}, now)
	u.untold[w.Key] = true
}

// foretell writes on a federated object where it is going to be, if there is room for that.
func (u *hub) foretell(w *workload.Desired, p workload.Plan, now time.Time) (text string, fits bool) {
	reason, message := verdict(w, p.Missing, p.Standings)
	if text, _, fits = u.record(w, p.Standings, reason, message, now); fits {
		u.mark(w, w.Finalizer, text)
	}
	return text, fits
}

// foretold are the steps that may be done: none brings an object to a cluster before that is written
// on it, as it is of a new one. A fedsync that begins anew, and can't ask that cluster, would take
// it for one that the object never was in, and leave the copy behind.
func (u *hub) foretold(w *workload.Desired, p workload.Plan, now time.Time) (steps []workload.Step) {
	news := false
	for _, s := range p.Steps {
		f := objectInCluster{s.Cluster, s.Key}
		if s.Verb != workload.Create && s.Verb != workload.Adopt || w.Record.Holds(s.Cluster) {
			steps = append(steps, s)
			continue
		}
		if _, asked := u.sought[f]; s.Verb == workload.Create && w.Record.Taken(s.Cluster) && !asked {
			u.look(s.Cluster, s.Key) // the name may be taken still: each start would write that it isn't, and that it is
			if u.busy(f) {
				continue
			}
		}
		news = true
	}
	if news {
		u.foretell(w, p, now)
	}
	return steps
}

// cancel takes back steps that wait and aren't in the plan any more.
func (u *hub) cancel(k workload.Key, steps []workload.Step) {
	for c := range u.members {
		f := objectInCluster{c, k}
		if u.steps[f].Verb != look && !slices.ContainsFunc(steps, func(s workload.Step) bool { return s.Cluster == c }) {
			u.drop(f)
		}
	}
}

// drop takes back a step that waits; false: none does.
func (u *hub) drop(f objectInCluster) bool {
	_, waits := u.steps[f]
	if waits {
		delete(u.steps, f)
		delete(u.deletions.launched, f)
	}
	return waits
}

// forget lets go of what was known of an object that is gone.
func (u *hub) forget(k workload.Key) {
	if r := u.reports[k]; r != nil {
		r.count(k, nil)
		delete(u.reports, k)
	}
	delete(u.untold, k)
	delete(u.stays, k)
	u.placements.lost(k)
	delete(u.expiring, k)
	u.podCounts.drop(k)
	u.deletions.clear(k)
	for f := range u.retries {
		if f.Key == k && !u.deletions.allowed[f] {
			delete(u.retries, f)
		}
	}
	delete(u.seeking, k)
	for c := range u.members {
		delete(u.sought, objectInCluster{c, k})
	}
	for c := range u.members { // what nobody wants isn't made; what an operator has let go goes
		if f := (objectInCluster{c, k}); !u.deletions.launched[f] {
			u.drop(f)
		}
	}
}

// what tells steps apart that mean something else.
func what(s workload.Step) string { return string(s.Verb) + " " + s.Hash + " " + s.Scale.String() }

// start has a step done, unless one for the same object is under way or it has to
// wait.
func (u *hub) start(s workload.Step, now time.Time) {
	f := objectInCluster{s.Cluster, s.Key}
	if u.inFlight[f] {
		return // it is planned anew when this one has ended
	}
	if was, waits := u.steps[f]; waits {
		passed := u.deletions.launched[f]
		switch {
		case was.Verb == look:
			return // what it finds is planned upon
		case s.Verb != workload.Delete: // it needs no pass
			delete(u.deletions.launched, f)
			u.steps[f] = s
			return
		case passed:
			u.steps[f] = s
			return
		}
		u.drop(f)
	}
	if t := u.retries[f]; t != nil && t.what != what(s) {
		delete(u.retries, f) // what failed is asked for no more
	}
	if u.waits(f, now) {
		return
	}
	if s.Verb == workload.Delete {
		u.deletions.add(s, now)
		return
	}
	if u.inConflict(s, now) {
		return
	}
	u.launch(s)
}

func (u *hub) launch(s workload.Step) {
	m := u.members[s.Cluster]
	if m == nil {
		return
	}
	u.steps[objectInCluster{s.Cluster, s.Key}] = s
	m.queue.Add(s.Key)
}

// A conflict is somebody who changes again and again what fedsync puts right.
type conflict struct {
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

// inConflict says whether a step that puts something right has to wait: who writes
// what fedsync writes may never stop, and two that never stop are a load.
func (u *hub) inConflict(s workload.Step, now time.Time) bool {
	if !s.Drift && s.Verb != workload.Adopt {
		return false
	}
	f := objectInCluster{s.Cluster, s.Key}
	c := u.conflicts[f]
	if c == nil {
		c = &conflict{}
		u.conflicts[f] = c
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
func (u *hub) calm(now time.Time) {
	if now.Sub(u.cleared) < time.Second {
		return
	}
	u.cleared = now
	for f, c := range u.conflicts {
		if !c.until.IsZero() && now.After(c.until) {
			c.until = time.Time{}
			u.table.Touch(f.Key)
		}
		if now.Sub(c.last) > peace {
			delete(u.conflicts, f)
		}
	}
}

// saw hears of an object of a cluster.
func (u *hub) saw(c *cluster, k workload.Key, o workload.Object) {
	u.table.SetObserved(c.name, k, o)
}

// listed hears all that a cluster has of a kind.
func (u *hub) listed(c *cluster, s *workload.FederatedKind, all map[workload.Key]workload.Object) {
	u.table.Listed(c.name, s, all)
}

// listedIn hears all that a namespace of a cluster has of a kind.
func (u *hub) listedIn(c *cluster, s *workload.FederatedKind, namespace string, all map[workload.Key]workload.Object) {
	u.table.ListedIn(c.name, s, namespace, all)
}

// lost hears that a cluster has an object no more. The answer to a write that is under way may
// be of before, and nobody would tell again: what it shows is looked at then.
func (u *hub) lost(c *cluster, k workload.Key) {
	f := objectInCluster{c.name, k}
	// What was being deleted, or was let go, hasn't only lost its label.
	h := u.table.Observed(c.name, k)
	if delete(u.sought, f); h != nil && (h.Deleting || !h.Ours && !h.Marked) {
		u.sought[f] = true
	}
	u.table.Gone(c.name, k)
	if u.inFlight[f] {
		u.vanished[f] = true
	}
}

// finish hears how a step ended.
func (u *hub) finish(m *cluster, s workload.Step, r result) {
	if u.members[s.Cluster] != m {
		return // the cluster has left, or has other credentials; what was under way there ended then
	}
	f := objectInCluster{s.Cluster, s.Key}
	delete(u.inFlight, f)
	delete(u.deletions.launched, f)
	vanished := u.vanished[f]
	delete(u.vanished, f)
	u.table.Sends(s.Cluster, s.Key, nil)
	u.Log.Debug(fmt.Sprintf("cluster %s: %s %s: %s", s.Cluster, s.Verb, s.Key, s.Why), "outcome", r.outcome())
	if delete(u.sought, f); s.Verb == look {
		u.sought[f] = r.err == nil                            // whatever came of it: what there is to do is tried
		if t := u.retries[f]; t == nil || t.what == what(s) { // else there is something to be done, and tried again
			if r.err == nil {
				delete(u.retries, f)
			} else if _, news := u.failed(f, r.err, longest, what(s)); news {
				u.Log.Warn(fmt.Sprintf("cluster %s: %s %s: %v; trying again", s.Cluster, s.Verb, s.Key, kube.Plain(r.err)))
			}
		}
		switch {
		case r.err != nil: // it is looked at again
		case r.got == nil:
			u.table.Gone(s.Cluster, s.Key)
		default:
			u.table.SetObserved(s.Cluster, s.Key, r.got.Object)
		}
		u.table.Touch(s.Key) // steps may have waited for it
		return
	}
	stepsTotal.WithLabelValues(s.Cluster, string(s.Verb), r.outcome()).Inc()
	switch {
	case r.err != nil:
		t, news := u.failed(f, r.err, longest, what(s))
		if news && !r.soon {
			u.Log.Warn(fmt.Sprintf("cluster %s: %s %s: %v; trying again", s.Cluster, s.Verb, s.Key, kube.Plain(r.err)))
		}
		if s.FederatedKind.Contains && (news || t.count == sure) { // what is to be in it fails with it
			for _, k := range u.table.InNamespace(s.Name) {
				u.table.Touch(k)
			}
		}
		if r.soon {
			if t.soon++; t.soon < impatient {
				t.count = min(t.count, 3)
			}
			u.again(s)
		}
	case s.Verb == workload.Delete:
		delete(u.retries, f)
		u.table.Going(s.Cluster, s.Key, s.UID)
		u.sought[f] = true
		if h := u.table.Observed(s.Cluster, s.Key); h != nil && !h.Ours {
			u.look(s.Cluster, s.Key) // of what has but one mark, no watch tells
		}
		if vanished {
			u.table.Touch(s.Key)
		}
		return // the watch tells when it is gone, or has told already
	case s.Verb == workload.Release:
		delete(u.retries, f)
		u.sought[f] = true
		if h := u.table.Observed(s.Cluster, s.Key); h != nil && !h.Ours || r.got == nil {
			u.table.Gone(s.Cluster, s.Key) // of what has but one mark, no watch tells
		} else {
			u.table.SetObserved(s.Cluster, s.Key, r.got.Object)
		}
		return
	case r.taken:
		delete(u.retries, f)
		u.table.SetObserved(s.Cluster, s.Key, r.got.Object)
	default:
		delete(u.retries, f)
		if u.table.Wrote(s, r.got.Object); vanished {
			u.look(s.Cluster, s.Key)
		}
	}
	u.table.Touch(s.Key)
}

// again looks at what a step was planned upon, if nobody tells when it changes: an
// object or a namespace that isn't ours.
func (u *hub) again(s workload.Step) {
	if h := u.table.Observed(s.Cluster, s.Key); h != nil && !h.Ours {
		u.look(s.Cluster, s.Key)
	}
	if w := u.table.NamespaceOf(s.Key); w != nil {
		if h := u.table.Observed(s.Cluster, w.Key); h != nil && !h.Ours {
			u.look(s.Cluster, w.Key)
		}
	}
}

// expire deletes Jobs that have ended and been kept for as long as they say. Each cluster does
// so with its own, and no API server without controllers does.
func (u *hub) expire(now time.Time) {
	for k := range u.expiring {
		switch w := u.table.Desired(k); {
		case w == nil || w.Deleting || w.Expires.IsZero():
			delete(u.expiring, k)
		case !now.Before(w.Expires):
			u.remove(w, now)
		}
	}
}

// remove deletes a federated object.
func (u *hub) remove(w *workload.Desired, now time.Time) {
	f := objectInCluster{"", w.Key}
	if u.waits(f, now) {
		return
	}
	u.writer.put(f, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
		return nil, api.Delete(ctx, w.Kind, w.Key.Namespace, w.Name, uid(w.UID))
	}, u.onWritten)
}

// finalize ends the deletion of a federated object whose like are gone, and lets one go that
// isn't federated any more.
func (u *hub) finalize(w *workload.Desired, p workload.Plan) {
	if w.FederatedKind.Contains && w.Deleting {
		for _, k := range u.table.InNamespace(w.Name) {
			if o := u.table.Desired(k); !o.Deleting {
				u.remove(o, time.Now())
			}
		}
	}
	if !p.Done {
		return
	}
	for c := range u.members {
		f := objectInCluster{c, w.Key}
		if u.busy(f) {
			return // what is under way may yet make one
		}
		// A cluster that was released gets one try.
		i := slices.IndexFunc(p.Steps, func(s workload.Step) bool { return s.Cluster == c })
		if i >= 0 && u.retries[f] == nil && !u.deletions.holds(f) {
			return
		}
	}
	if len(w.Collected) > 0 {
		if !u.waits(objectInCluster{"", w.Key}, time.Now()) {
			u.writer.put(objectInCluster{"", w.Key}, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
				return collect(ctx, api, w)
			}, u.onWritten)
		}
		return
	}
	if w.Finalizer {
		u.mark(w, false, "")
		return
	}
	if w.Terminating && !u.waits(objectInCluster{"", w.Key}, time.Now()) {
		u.writer.put(objectInCluster{"", w.Key}, u.inFlight, func(ctx context.Context, api *kube.API) (*kube.Object, error) {
			return nil, emptyNamespace(ctx, api, w)
		}, u.namespaceEmptied)
	}
}
