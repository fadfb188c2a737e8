package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A mailbox is the way to a cluster that pulls: what is to be done there is put into Works, in the cluster's
// part of the federation's API, and how the cluster is stands in their statuses, in its Agent and in its
// Lease. To the hub it is a cluster as any other.
//
// What stands in a status was written with the cluster's credential: it counts for that cluster, and for no other.
type mailbox struct {
	loop      *loop
	cluster   *cluster // for the loop's owner, as all that follows
	namespace string
	ctx       context.Context // ends when the cluster is let go

	clusterPart
	sent    map[workload.Key]sent // steps that are waited for
	agent   *v1alpha1.Agent
	beyond  bool      // it has more that nobody asks for than is looked at
	synced  string    // the session that all is known of
	listing string    // the session that is being listed
	renewed string    // when the Lease was, by the clock there
	alive   bool      // that has changed: what it was at first may be of long ago
	at      time.Time // that was heard; until then, since when it is waited for
	said    string    // the last error
}

// A sent step waits for its answer.
type sent struct {
	workload.Step
	sequence int64
	since    time.Time
}

// stepTime is how long a cluster has to do a step: as long as a call to one that doesn't pull may take.
const stepTime = 30 * time.Second

// agentLease is how long a cluster may be silent. It is heard of every 2.5 s.
const agentLease = 15 * time.Second

// pulled stands for the credentials of a cluster that pulls: there are none.
var pulled = []byte("pull")

// collect begins to follow the part of a cluster that pulls.
func (l *loop) collect(c *v1alpha1.Cluster) *cluster {
	ctx, cancel := context.WithCancel(l.life)
	m := newCluster(l.hub, c.Name, pulled)
	m.pulled, m.joined = true, c.CreationTimestamp.Time
	b := &mailbox{loop: l, clusterPart: newPart(l.hub), cluster: m, namespace: v1alpha1.PartOf(c.Name), ctx: ctx, sent: map[workload.Key]sent{}, at: time.Now()}
	m.stop = func() { cancel(); delete(l.boxes, m) }
	context.AfterFunc(ctx, m.queue.ShutDown)
	l.boxes[m] = b
	l.wg.Go(func() { l.api.FollowIn(ctx, v1alpha1.Works, b.namespace, "", b.follower()) })
	l.wg.Go(func() {
		l.api.FollowOne(ctx, v1alpha1.Agents, b.namespace, v1alpha1.AgentName, func(o *kube.Object) { b.tell(func() { b.hears(o) }) }, b.failed)
	})
	l.wg.Go(func() {
		l.api.FollowOne(ctx, builtin.Leases, b.namespace, v1alpha1.AgentName, func(o *kube.Object) { b.tell(func() { b.beats(o) }) }, b.failed)
	})
	if !l.hub.preview {
		for range workers {
			l.wg.Go(func() { b.work(ctx) })
		}
	}
	l.wg.Go(func() { b.look(ctx) })
	return m
}

// tell has the loop's owner do something for a cluster that is still a member.
func (b *mailbox) tell(f func()) {
	b.loop.do(func() {
		if b.hub.members[b.cluster.name] == b.cluster {
			f()
		}
	})
}

// failed hears why nothing is heard: of a cluster whose part isn't there, or may not be read, that is
// the same as silence.
func (b *mailbox) failed(err error) {
	b.tell(func() { b.complain(fmt.Errorf("its part of the federation's API: %v; trying again", kube.Plain(err))) })
}

// complain says what is wrong, once.
func (b *mailbox) complain(err error) {
	if b.said != err.Error() {
		b.hub.Log.Warn(fmt.Sprintf("cluster %s: %v", b.cluster.name, err))
		b.said = err.Error()
	}
}

// look is what a beat is to other clusters, until ctx ends.
func (b *mailbox) look(ctx context.Context) {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	for swept := time.Now(); ; {
		b.tell(func() {
			if found, err := b.stands(time.Now()); !errors.Is(err, errUnheard) {
				b.cluster.felt(err, found)
			}
			b.overdue(time.Now())
			b.advance()
			if !b.hub.preview && time.Since(swept) > idle {
				swept = time.Now()
				b.sweep()
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// errUnheard is that it isn't known yet whether anybody is there.
var errUnheard = errors.New("its fedsync hasn't been heard of yet")

// stands is what the cluster says of itself.
func (b *mailbox) stands(now time.Time) (found findings, err error) {
	a := b.agent
	switch {
	case a == nil:
		return found, fmt.Errorf("it has no Agent %s/%s; fedctl join --pull makes it", b.namespace, v1alpha1.AgentName)
	case now.Sub(b.at) > agentLease:
		return found, fmt.Errorf("its fedsync has said nothing for %s", now.Sub(b.at).Truncate(time.Second))
	case !b.alive:
		return found, errUnheard
	case a.Spec.Identity != "" && a.Status.Identity != "" && a.Spec.Identity != a.Status.Identity:
		return found, fmt.Errorf("another cluster (kube-system %s) uses its credential; it is %s: nothing is done", a.Status.Identity, a.Spec.Identity)
	case a.Status.Offline:
		return found, errors.New(a.Status.Message)
	}
	s := a.Status
	if s.KubernetesVersion != "" && a.Spec.Identity != "" {
		found = findings{version: s.KubernetesVersion, region: s.Region, zones: s.Zones, origin: kube.Origin{Identity: a.Spec.Identity, Revision: s.Revision}}
	}
	if s.Message != "" {
		return found, kube.Refusal(s.Message) // it is there, and says that it isn't ready
	}
	return found, nil
}

// beats hears of the Lease. Its clock is the cluster's: only that it goes on counts.
func (b *mailbox) beats(o *kube.Object) {
	if o == nil {
		return
	}
	renewed, _ := v1alpha1.Term(o)
	if renewed.IsZero() || renewed.String() == b.renewed {
		return
	}
	if b.renewed != "" {
		b.alive, b.at = true, time.Now()
	}
	b.renewed = renewed.String()
}

// hears takes in what the cluster says of itself.
func (b *mailbox) hears(o *kube.Object) {
	if o == nil {
		b.agent = nil
		return
	}
	a, err := kube.As[v1alpha1.Agent](o)
	if err != nil {
		b.hub.Log.Error(fmt.Sprintf("cluster %s: its Agent: %v; it stays as it was", b.cluster.name, err))
		return
	}
	b.agent = &a
	b.instruct()
	b.advance()
}

// instruct tells the cluster what it has to know.
func (b *mailbox) instruct() {
	spec := map[string]any{}
	var kinds []any
	for _, s := range b.hub.kinds {
		if !slices.ContainsFunc(workload.Kinds(), func(o *workload.FederatedKind) bool { return o.Is(s.Kind) }) {
			kinds = append(kinds, s.Kind.String())
		}
	}
	if !slices.EqualFunc(kinds, b.agent.Spec.Kinds, func(x any, y string) bool { return x == y }) {
		spec["kinds"] = kinds
	}
	if b.agent.Spec.Identity == "" && b.agent.Status.Identity != "" {
		spec["identity"] = b.agent.Status.Identity
	}
	if len(spec) == 0 || b.hub.preview {
		return
	}
	uid := string(b.agent.UID)
	b.loop.wg.Go(func() {
		_, err := b.loop.api.Merge(b.ctx, v1alpha1.Agents, b.namespace, v1alpha1.AgentName, map[string]any{"metadata": map[string]any{"uid": uid}, "spec": spec}, agent, "")
		if err != nil {
			b.failed(err)
		}
	})
}

// unknownAtOnce bounds how many Works are made for what a cluster says that it has, and no federated object asks for; what
// it says may be a lie, or what a tenant has marked as fedsync's. unknownOfOne is how many of these may be of one namespace.
const (
	unknownAtOnce = 1000
	unknownOfOne  = 200
)

// seek has the cluster show what it has found. What is beyond the bounds stays as it is there, and isn't known here;
// then it is asked for all that federated objects ask for, since that may be hidden behind it.
func (b *mailbox) seek() {
	if !b.read {
		return
	}
	strays, of := 0, map[string]int{}
	for _, w := range b.works {
		if k, ok := b.key(w.Spec.Object); ok && b.hub.table.Desired(k) == nil {
			strays++
			of[k.Namespace]++
		}
	}
	b.beyond = false
	for _, o := range b.unknown() {
		k, _ := b.key(o)
		if _, there := b.works[v1alpha1.WorkName(o)]; there {
			continue
		}
		if _, waits := b.sent[k]; waits {
			continue
		}
		if b.hub.table.Desired(k) == nil {
			if strays >= unknownAtOnce || of[k.Namespace] >= unknownOfOne {
				b.beyond = true
				continue
			}
			strays++
			of[k.Namespace]++
		}
		if !b.hub.preview {
			b.hub.ask(b.cluster.name, k)
		}
	}
	if !b.beyond || b.hub.preview {
		return
	}
	b.complain(fmt.Errorf("it has more than %d objects, or %d in one namespace, that are marked as fedsync's and that no federated object asks for: the others aren't looked at, and stay as they are", unknownAtOnce, unknownOfOne))
	if b.synced == b.agent.Status.Session {
		return
	}
	for _, k := range b.hub.table.KeysOf(nil) {
		if _, waits := b.sent[k]; !waits && !answered(b.works[v1alpha1.WorkName(objectOf(k))]) {
			b.hub.ask(b.cluster.name, k)
		}
	}
}

// answered says whether a cluster has said of a Work what is there.
func answered(w v1alpha1.Work) bool { return w.Status.Sequence > 0 || w.Status.Observed != "" }

// hides says whether something isn't known yet of what the cluster has that counts here.
func (b *mailbox) hides() bool {
	if !b.beyond {
		return len(b.unknown()) > 0
	}
	for _, o := range b.unknown() {
		if k, _ := b.key(o); b.hub.table.Desired(k) != nil {
			return true
		}
	}
	return !b.hub.preview && slices.ContainsFunc(b.hub.table.KeysOf(nil), func(k workload.Key) bool {
		return !answered(b.works[v1alpha1.WorkName(objectOf(k))])
	})
}

// unknown is what the cluster has found, of the kinds that are kept: it may be of another version, which keeps more.
func (b *mailbox) unknown() (out []v1alpha1.WorkObject) {
	for _, o := range b.agent.Status.Unknown {
		if _, ok := b.key(o); ok {
			out = append(out, o)
		}
	}
	return out
}

// sync takes over all that a cluster has, when it says that it has said it.
func (b *mailbox) sync() {
	s := b.agent.Status
	if !b.read || !s.Synced || b.hides() || s.Session == b.synced || s.Session == b.listing {
		return
	}
	b.listing = s.Session
	b.loop.wg.Go(func() {
		// The follower may be behind the Agent.
		all, err := b.loop.api.List(b.ctx, v1alpha1.Works, b.namespace, "")
		b.tell(func() {
			if b.listing = ""; err != nil || b.agent == nil || b.agent.Status.Session != s.Session {
				return // it is tried again with the next look
			}
			b.synced = s.Session
			b.takeOver(all)
		})
	})
}

func (b *mailbox) takeOver(all []kube.Object) {
	by := map[*workload.FederatedKind]map[workload.Key]workload.Object{}
	for i := range all {
		w, err := kube.As[v1alpha1.Work](&all[i])
		if err != nil {
			continue
		}
		b.takeIn(w)
		if k, ok := b.key(w.Spec.Object); ok {
			if o := observed(w); o != nil {
				if by[k.FederatedKind] == nil {
					by[k.FederatedKind] = map[workload.Key]workload.Object{}
				}
				by[k.FederatedKind][k] = o.Object
			}
		}
	}
	states := map[string]v1alpha1.AgentKind{}
	for _, k := range b.agent.Status.Kinds {
		states[k.Kind] = k
	}
	for _, s := range b.hub.kinds {
		switch k := states[s.Kind.String()]; k.State {
		case v1alpha1.KindListed:
			b.hub.listed(b.cluster, s, by[s])
			b.cluster.heard(s)
		case v1alpha1.KindMissing, v1alpha1.KindHidden:
			b.cluster.missing(s, errors.New(k.Message), k.State == v1alpha1.KindHidden)
		case v1alpha1.KindDenied:
			b.cluster.denied(s, kube.Refusal(k.Message))
		default:
			b.cluster.denied(s, kube.Refusal(fmt.Sprintf("its fedsync (%s) doesn't know the kind %s", b.agent.Status.Version, s.Kind)))
		}
	}
}

// observed is the object that a Work speaks of; nil: it isn't there. Whatever a status says, it is of no other.
func observed(w v1alpha1.Work) *kube.Object {
	if w.Status.Observed == "" {
		return nil
	}
	o := &kube.Object{}
	if err := o.UnmarshalJSON([]byte(w.Status.Observed)); err != nil || o.Object["metadata"] == nil {
		return nil
	}
	o.SetAPIVersion(w.Spec.Object.APIVersion)
	o.SetKind(w.Spec.Object.Kind)
	o.SetNamespace(w.Spec.Object.Namespace)
	o.SetName(w.Spec.Object.Name)
	return o
}

// follower follows the Works of the cluster.
func (b *mailbox) follower() *partFollower {
	return &partFollower{clusterPart: &b.clusterPart, tell: b.tell, set: b.set, gone: func(v1alpha1.Work) {}, listed: b.advance, failed: b.failed}
}

// advance goes on with what the cluster has said, once it has said something.
func (b *mailbox) advance() {
	if b.agent != nil {
		b.seek()
		b.sync()
	}
}

// set takes in a Work, and with it what came of a step and how the object is.
func (b *mailbox) set(o *kube.Object) {
	w, err := kube.As[v1alpha1.Work](o)
	if err != nil {
		return
	}
	if _, ok := b.takeIn(w); !ok {
		return
	}
	k, ok := b.key(w.Spec.Object)
	if !ok || v1alpha1.WorkName(w.Spec.Object) != w.Name {
		return
	}
	there := observed(w)
	if s, waits := b.sent[k]; waits && w.Status.Sequence >= s.sequence && w.Spec.Sequence == s.sequence {
		delete(b.sent, k)
		b.hub.finish(b.cluster, s.Step, outcome(s.Verb, w.Status, there))
	}
	if !b.cluster.tells(k.FederatedKind) {
		return // all of the kind is taken in at once
	}
	if there != nil {
		b.hub.saw(b.cluster, k, there.Object)
	} else if w.Status.Sequence > 0 && b.hub.table.Observed(b.cluster.name, k) != nil {
		b.hub.lost(b.cluster, k)
	}
}

// outcome is how a step ended, by what a cluster says.
func outcome(verb workload.Verb, s v1alpha1.WorkStatus, there *kube.Object) result {
	r := result{got: there, taken: s.Taken, soon: s.Reason == v1alpha1.WorkSoon}
	switch {
	case s.Error != "" && s.Reason == v1alpha1.WorkRefused:
		r.err = kube.Refusal(s.Error)
	case s.Error != "":
		r.err = errors.New(s.Error)
	case there == nil && verb != look && verb != workload.Delete && verb != workload.Release:
		r.err = errors.New("the cluster says that it was done, and doesn't show the object")
	}
	return r
}

// work posts steps until ctx ends.
func (b *mailbox) work(ctx context.Context) {
	for {
		k, over := b.cluster.queue.Get()
		if over || ctx.Err() != nil {
			return
		}
		b.post(ctx, k)
		b.cluster.queue.Done(k)
	}
}

// post puts the step that is to be done under a key where the cluster finds it.
func (b *mailbox) post(ctx context.Context, k workload.Key) {
	type letter struct {
		step workload.Step
		spec v1alpha1.WorkSpec
		uid  types.UID // of the Work; "": there is none
		ok   bool
	}
	l, _ := ask(ctx, b.loop, func() (l letter) {
		if l.step, l.ok = b.hub.take(b.cluster, k, time.Now()); l.ok {
			w, _ := b.workOf(k)
			l.uid = w.UID
			l.spec = v1alpha1.WorkSpec{Object: objectOf(k), Sequence: max(w.Spec.Sequence, w.Status.Sequence) + 1, Verb: string(l.step.Verb), UID: l.step.UID, Version: l.step.Version, Manifest: w.Spec.Manifest}
			b.sent[k] = sent{l.step, l.spec.Sequence, time.Now()}
		}
		return l
	})
	if !l.ok {
		return
	}
	got, err := b.write(ctx, l.spec, l.uid, l.step.Object)
	b.tell(func() {
		if err == nil {
			b.set(got)
			return
		}
		if s := b.sent[k]; s.sequence == l.spec.Sequence {
			delete(b.sent, k)
			b.hub.finish(b.cluster, l.step, result{err: fmt.Errorf("its part of the federation's API: %w", err), soon: kube.Conflict(err)})
		}
	})
}

// write makes a Work, or changes it.
func (b *mailbox) write(ctx context.Context, spec v1alpha1.WorkSpec, uid types.UID, o workload.Object) (*kube.Object, error) {
	if o != nil {
		text, err := (&kube.Object{Object: o}).MarshalJSON()
		if err != nil {
			return nil, err
		}
		if spec.Manifest = strings.TrimSuffix(string(text), "\n"); len(text) > v1alpha1.LongestManifest {
			return nil, kube.Refusal(fmt.Sprintf("it has %d bytes, and a cluster that pulls takes %d", len(text), v1alpha1.LongestManifest))
		}
	}
	fields, err := patched(&spec, "", "verb", "uid", "version", "manifest")
	if err != nil {
		return nil, err
	}
	name := v1alpha1.WorkName(spec.Object)
	if uid == "" {
		w := v1alpha1.Works.New(b.namespace, name)
		w.Object["spec"] = fields
		return b.loop.api.Create(ctx, v1alpha1.Works, w, agent)
	}
	return b.loop.api.Merge(ctx, v1alpha1.Works, b.namespace, name, map[string]any{"metadata": map[string]any{"uid": string(uid)}, "spec": fields}, agent, "")
}

// overdue takes back steps that a cluster hasn't done: it may come back when they are no longer right.
func (b *mailbox) overdue(now time.Time) {
	for k, s := range b.sent {
		if now.Sub(s.since) < stepTime {
			continue
		}
		delete(b.sent, k)
		w, _ := b.workOf(k)
		spec := w.Spec
		spec.Sequence, spec.Verb = s.sequence+1, ""
		b.loop.wg.Go(func() {
			if _, err := b.write(b.ctx, spec, w.UID, nil); err != nil && !kube.Missing(err) {
				b.failed(err)
			}
		})
		b.hub.finish(b.cluster, s.Step, result{err: fmt.Errorf("its fedsync hasn't done it within %s", stepTime)})
	}
}

// sweep removes Works of what isn't in the cluster, and isn't to be there.
func (b *mailbox) sweep() {
	if !b.read || b.synced == "" {
		return
	}
	for name, w := range b.works {
		if w.Status.Observed != "" || w.Status.Sequence < w.Spec.Sequence && w.Spec.Verb != "" {
			continue
		}
		if k, ok := b.key(w.Spec.Object); ok {
			_, waits := b.sent[k]
			f := objectInCluster{b.cluster.name, k}
			if r := b.hub.reports[k]; waits || b.hub.busy(f) || b.hub.waits(f, time.Now()) || b.hub.retries[f] != nil ||
				r != nil && slices.ContainsFunc(r.plan.Standings, func(s workload.Propagation) bool { return s.Cluster == b.cluster.name }) {
				continue
			}
		}
		b.loop.wg.Go(func() {
			if err := b.loop.api.Delete(b.ctx, v1alpha1.Works, b.namespace, name, w.UID); err != nil {
				b.failed(err)
			}
		})
	}
}

// pending are the pods without a node that the cluster tells of.
func (b *mailbox) pending() (out []kube.Object) {
	if b.agent == nil {
		return nil
	}
	for _, p := range b.agent.Status.Pending {
		o := kube.Object{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "status": map[string]any{"conditions": []any{map[string]any{
			"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": p.Since.UTC().Format(time.RFC3339),
		}}}}}
		o.SetNamespace(p.Namespace)
		o.SetLabels(p.Labels)
		out = append(out, o)
	}
	return out
}
