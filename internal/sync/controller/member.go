package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/internal/sync/workload"
)

// workers is how many calls to one cluster are under way at once.
const workers = 8

// A member is who follows a cluster and writes to it, for a loop. Its fields are those
// that it was started with.
type member struct {
	loop    *loop
	hub     *hub
	cluster *cluster // for the loop's owner
	api     *kube.API
	ctx     context.Context // ends when the cluster is let go
	grants  *grants
}

// An owner decides what is done in a cluster, and hears what is there.
type owner interface {
	// take gives the step that is to be done now under a key; false: there is none.
	take(c *cluster, k workload.Key, now time.Time) (s workload.Step, ok bool)
	// finish hears how a step ended.
	finish(c *cluster, s workload.Step, r result)
	// saw hears of an object, and lost that there is none.
	saw(c *cluster, k workload.Key, o workload.Object)
	lost(c *cluster, k workload.Key)
	// listed hears all that there is of a kind, and listedIn all that a namespace has of it.
	listed(c *cluster, s *workload.FederatedKind, all map[workload.Key]workload.Object)
	listedIn(c *cluster, s *workload.FederatedKind, namespace string, all map[workload.Key]workload.Object)
	// uses says whether anything is, or is to be, in a namespace.
	uses(c *cluster, namespace string) bool
}

var _ owner = (*hub)(nil)

// connect begins to follow and to write to a cluster.
func (l *loop) connect(name string, content []byte) (*cluster, error) {
	api, err := kube.Open(kube.Config{Content: content, Agent: agent, QPS: l.hub.QPS, Burst: l.hub.Burst, Inline: true})
	if err != nil {
		return nil, err
	}
	c := newCluster(l.hub, name, content)
	l.attach(c, api)
	return c, nil
}

// attach begins to follow a cluster, and to write to it as its owner says.
func (l *loop) attach(c *cluster, api *kube.API) {
	ctx, cancel := context.WithCancel(l.life)
	m := &member{loop: l, hub: l.hub, cluster: c, api: api, ctx: ctx}
	c.stop = func() { cancel(); delete(l.links, c) }
	context.AfterFunc(ctx, c.queue.ShutDown)
	l.links[c] = m
	var all sync.WaitGroup
	m.grants = newGrants(m, all.Go)
	kinds := map[*workload.FederatedKind]v1alpha1.Kind{}
	for _, s := range l.hub.kinds {
		kinds[s] = s.Kind // it may be told how the federation's API serves it, later
	}
	found := make(chan struct{}) // where it may write: nobody works there before
	all.Go(func() {
		m.grants.find(ctx)
		close(found)
		for s, kind := range kinds {
			all.Go(func() { m.follow(ctx, s, kind) })
		}
		if m.grants.confined && !l.hub.preview {
			m.grants.sweep(ctx)
		}
	})
	if !l.hub.preview {
		for range workers {
			all.Go(func() {
				<-found
				m.work(ctx)
			})
		}
	}
	all.Go(func() { m.beat(ctx) })
	l.wg.Go(func() {
		all.Wait()
		api.Close()
	})
}

// follow hears what the cluster has of a kind: what is ours, and autoscalers
// whosever they are, since they say who scales.
func (m *member) follow(ctx context.Context, s *workload.FederatedKind, kind v1alpha1.Kind) {
	for wait := patience; ; wait = min(2*wait, time.Minute) {
		found, err := m.api.Find(ctx, kind.Group, kind.Version, kind.Name)
		if err == nil {
			kind = found
			break
		}
		if errors.Is(err, kube.ErrNoKind) {
			kept := m.keeps(ctx, kind)
			m.tell(func() { m.cluster.missing(s, err, kept) })
		}
		if !kube.Pause(ctx, wait) {
			return
		}
	}
	if m.grants.confined && kind.Namespaced {
		m.grants.serve(ctx, s, kind)
		return
	}
	m.api.Follow(ctx, kind, m.selector(s), &there{member: m, hub: m.hub, cluster: m.cluster, kind: s})
}

// selector is by which labels a kind is listed.
func (m *member) selector(s *workload.FederatedKind) string {
	if s.Scaler {
		return ""
	}
	return v1alpha1.ManagedBy + "=" + v1alpha1.Fedsync
}

// keeps says whether a cluster that doesn't serve a kind has its objects nevertheless: it
// serves them in another version, or would with another configuration. With a definition, its
// objects go. An error doesn't say that they have gone.
func (m *member) keeps(ctx context.Context, k v1alpha1.Kind) bool {
	if builtin.Native(k.Group) {
		return true
	}
	version, err := m.api.Serves(ctx, k.Group, k.Name)
	return version != "" || err != nil
}

// tell has the loop's owner do something for a member that is still one.
func (m *member) tell(f func()) {
	m.loop.do(func() {
		if m.hub.members[m.cluster.name] == m.cluster {
			f()
		}
	})
}

// there follows the objects of a kind in a cluster.
type there struct {
	member  *member
	hub     *hub
	cluster *cluster
	kind    *workload.FederatedKind
	said    string
}

var _ kube.Follower = (*there)(nil)

// Listed is for kube.API.Follow.
func (f *there) Listed(all []*kube.Object) {
	f.member.tell(func() {
		f.said = ""
		f.cluster.owner.listed(f.cluster, f.kind, f.keyed(all))
		f.cluster.heard(f.kind)
	})
}

// keyed are objects by what they are called.
func (f *there) keyed(all []*kube.Object) map[workload.Key]workload.Object {
	by := make(map[workload.Key]workload.Object, len(all))
	for _, o := range all {
		by[workload.Key{FederatedKind: f.kind, Namespace: o.GetNamespace(), Name: o.GetName()}] = o.Object
	}
	return by
}

// Set is for kube.API.Follow.
func (f *there) Set(o *kube.Object) {
	f.member.tell(func() {
		f.cluster.owner.saw(f.cluster, workload.Key{FederatedKind: f.kind, Namespace: o.GetNamespace(), Name: o.GetName()}, o.Object)
	})
}

// Gone is for kube.API.Follow.
func (f *there) Gone(namespace, name string) {
	f.member.tell(func() {
		f.cluster.owner.lost(f.cluster, workload.Key{FederatedKind: f.kind, Namespace: namespace, Name: name})
	})
}

// Failed is for kube.API.Follow.
func (f *there) Failed(err error) {
	gone := kube.Missing(err) // its definition has been deleted, or serves another version
	kept := gone && f.member.keeps(f.member.ctx, f.kind.Kind)
	if kube.Forbidden(err) {
		f.member.grants.review(f.member.ctx)
	}
	f.member.tell(func() {
		switch {
		case gone:
			f.cluster.missing(f.kind, err, kept)
			return
		case kube.Refused(err):
			f.cluster.denied(f.kind, err)
		}
		if f.said != err.Error() {
			f.said = err.Error()
			f.hub.Log.Warn(fmt.Sprintf("cluster %s: %s: %v; trying again", f.cluster.name, f.kind.Kind, kube.Plain(err)))
		}
	})
}

// A result is how a step ended.
type result struct {
	got   *kube.Object
	taken bool // there was an object of that name already
	soon  bool // what is in the way will be gone in a moment
	err   error
}

func (r result) outcome() string {
	switch {
	case r.err != nil && kube.Refused(r.err):
		return "refused"
	case r.err != nil:
		return "failed"
	case r.taken:
		return "taken"
	}
	return "done"
}

// work does steps until ctx ends.
func (m *member) work(ctx context.Context) {
	for {
		k, over := m.cluster.queue.Get()
		if over || ctx.Err() != nil {
			return
		}
		s, ok := m.take(ctx, k)
		if !ok {
			m.cluster.queue.Done(k)
			continue
		}
		r := m.execute(ctx, s)
		m.loop.do(func() { m.cluster.owner.finish(m.cluster, s, r) })
		m.cluster.queue.Done(k)
		if r.err != nil && !kube.Refused(r.err) && !r.soon {
			// The cluster is in trouble: every worker that finds it so waits a little
			// before it asks for more.
			if !kube.Pause(ctx, rest) {
				return
			}
		}
	}
}

// take asks what is to be done under a key.
func (m *member) take(ctx context.Context, k workload.Key) (s workload.Step, ok bool) {
	type answer struct {
		workload.Step
		ok bool
	}
	a, _ := ask(ctx, m.loop, func() answer {
		s, ok := m.cluster.owner.take(m.cluster, k, time.Now())
		return answer{s, ok}
	})
	return a.Step, a.ok // without an answer, the cluster is let go, and with it what was to be done there
}

// rest is how long a worker leaves a cluster in trouble alone.
const rest = 500 * time.Millisecond

// execute does one step, where it may.
func (m *member) execute(ctx context.Context, s workload.Step) result {
	if m.api.Rehearses() {
		return m.perform(ctx, s)
	}
	if s.Namespaced {
		if err := m.grants.ensure(ctx, s.Namespace); err != nil {
			if kube.Missing(err) && (s.Verb == look || s.Verb == workload.Delete) {
				return result{} // with all that was in it
			}
			return result{err: err, soon: kube.Missing(err) || kube.Terminating(err)}
		}
	}
	r := m.perform(ctx, s)
	if kube.Forbidden(r.err) && m.grants.again(ctx, s.Namespace) {
		return m.perform(ctx, s)
	}
	return r
}

// perform does one step. Each can be done again after it was cut off anywhere.
func (m *member) perform(ctx context.Context, s workload.Step) result {
	switch s.Verb {
	case look:
		got, err := m.api.Get(ctx, s.Kind, s.Namespace, s.Name)
		if kube.Missing(err) {
			return result{}
		}
		return result{got: got, err: err}
	case workload.Create:
		return m.create(ctx, s)
	case workload.Delete:
		if s.Contains {
			if err := m.empty(ctx, s.Name); err != nil {
				return result{err: err}
			}
		}
		return result{err: m.api.Delete(ctx, s.Kind, s.Namespace, s.Name, types.UID(s.UID))}
	case workload.Release:
		nothing := map[string]any{v1alpha1.Federation: nil, v1alpha1.Applied: nil}
		got, err := m.api.Merge(ctx, s.Kind, s.Namespace, s.Name, map[string]any{"metadata": map[string]any{
			"uid": s.UID, "labels": map[string]any{v1alpha1.ManagedBy: nil}, "annotations": nothing,
		}}, agent, "")
		if kube.Missing(err) {
			got, err = nil, nil
		}
		return result{got: got, err: err, soon: kube.Conflict(err)}
	}
	got, err := write(ctx, m.api, s)
	return result{got: got, err: err, soon: kube.Conflict(err)}
}

// create makes an object where there is none of that name. A stranger that comes
// in between is left as it was.
func (m *member) create(ctx context.Context, s workload.Step) result {
	got, err := m.api.Get(ctx, s.Kind, s.Namespace, s.Name)
	if err == nil {
		return result{got: got, taken: true}
	}
	if !kube.Missing(err) {
		return result{err: err}
	}
	got, created, err := m.api.Apply(ctx, s.Kind, &kube.Object{Object: s.Object}, kube.How{Manager: agent})
	if err != nil {
		// Without force, a conflict says that somebody else was faster.
		return result{err: err, soon: kube.Conflict(err) || kube.Missing(err) || kube.Terminating(err)}
	}
	if created || !kube.Shared(got, agent) {
		// Not created, and yet only ours: a call of ours that was cut off, by the end
		// of a fedsync or a cluster that hung, was carried out later.
		return result{got: got}
	}
	// Nothing of ours stays: what a manager no longer applies goes, and what others
	// had stays as it was.
	got, _, err = m.api.Apply(ctx, s.Kind, s.Kind.New(s.Namespace, s.Name), kube.How{Manager: agent, Force: true})
	return result{got: got, taken: true, err: err}
}

// empty says whether a Namespace holds nothing any more but what the cluster makes
// by itself, since all that it holds goes with it.
func (m *member) empty(ctx context.Context, namespace string) error {
	var err error
	asked := contents.Holds(ctx, m.api, namespace, func(k v1alpha1.Kind, o *kube.Object) bool {
		if workload.Owned(o.Object) || o.Object["type"] == builtin.TokenType || o.GetDeletionTimestamp() != nil {
			return true
		}
		if builtin.InUse(k.Name, o.GetName()) || k.Name == builtin.EndpointSlices.Name {
			return true
		}
		err = fmt.Errorf("%w: it holds %s %s, which would be lost", errInhabited, k.Name, o.GetName())
		return false
	})
	return errors.Join(asked, err)
}

var errInhabited = kube.Refusal("the namespace stays")
