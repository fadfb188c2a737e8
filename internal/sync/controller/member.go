package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// workers is how many calls to one cluster are under way at once.
const workers = 8

// A member is a cluster that is written to. Its fields are the loop's owner's,
// except for what its goroutines were started with.
type member struct {
	*loop
	name    string
	content []byte // of its kubeconfig
	api     *kube.API
	queue   *queue
	stop    func()
	ctx     context.Context
	began   time.Time

	listed  map[*workload.Sort]bool
	lacks   map[*workload.Sort]bool
	denies  map[*workload.Sort]string // why it doesn't let a sort be listed
	pulse   pulse
	looking bool // at pods
}

// start begins to follow and to write to a cluster.
func (l *loop) startMember(ctx context.Context, name string, content []byte) (*member, error) {
	api, err := kube.Open(kube.Config{Content: content, Agent: agent, QPS: l.QPS, Burst: l.Burst, Inline: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &member{
		loop: l, name: name, content: content, api: api, queue: newQueue(), ctx: ctx, began: time.Now(),
		listed: map[*workload.Sort]bool{}, lacks: map[*workload.Sort]bool{}, denies: map[*workload.Sort]string{},
	}
	m.pulse.since = time.Now()
	release := m.queue.closeWith(ctx)
	m.stop = func() { cancel(); release() }
	var all sync.WaitGroup
	for _, s := range l.sorts {
		kind := s.Kind // it may be told how the federation's API serves it, later
		all.Go(func() { m.follow(ctx, s, kind) })
	}
	if !l.preview {
		for range workers {
			all.Go(func() { m.work(ctx) })
		}
	}
	all.Go(func() { m.beat(ctx) })
	l.wg.Go(func() {
		all.Wait()
		api.Close()
	})
	return m, nil
}

// follow hears what the cluster has of a sort: what is ours, and autoscalers
// whosever they are, since they say who scales.
func (m *member) follow(ctx context.Context, s *workload.Sort, kind v1alpha1.Kind) {
	for wait := patience; ; wait = min(2*wait, time.Minute) {
		found, err := m.api.Find(ctx, kind.Group, kind.Version, kind.Name)
		if err == nil {
			kind = found
			break
		}
		if errors.Is(err, kube.ErrNoKind) {
			m.tell(func() { m.missing(s, err) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	selector := v1alpha1.ManagedBy + "=" + v1alpha1.Fedsync
	if s.Scaler {
		selector = ""
	}
	m.api.Follow(ctx, kind, selector, &there{member: m, sort: s})
}

// tell has the loop's owner do something for a member that is still one.
func (m *member) tell(f func()) {
	m.do(func() {
		if m.members[m.name] == m {
			f()
		}
	})
}

// missing hears that the cluster serves no such kind.
func (m *member) missing(s *workload.Sort, err error) {
	if m.lacks[s] {
		return
	}
	m.Log.Warn(fmt.Sprintf("cluster %s: %v; looked for again from time to time", m.name, kube.Plain(err)))
	m.lacks[s] = true
	delete(m.listed, s)
	delete(m.denies, s)
	m.table.Listed(m.name, s, nil) // what there was has gone with it
}

// denied hears that the cluster doesn't let a sort be listed.
func (m *member) denied(s *workload.Sort, err error) {
	if m.denies[s] == err.Error() {
		return
	}
	m.denies[s] = err.Error()
	delete(m.listed, s)
	m.dirty(s)
	if s.Home || s.Scaler {
		for _, k := range m.table.Wants(nil) {
			m.table.Touch(k)
		}
	}
}

// known says whether all is known of the sorts that can be known.
func (m *member) known() bool {
	for _, s := range m.sorts {
		if !m.listed[s] && !m.lacks[s] && m.denies[s] == "" {
			return false
		}
	}
	return true
}

// dirty has all plans of a sort made anew.
func (m *member) dirty(s *workload.Sort) {
	for _, k := range m.table.Wants(s) {
		m.table.Touch(k)
	}
}

// there follows the objects of a sort in a cluster.
type there struct {
	*member
	sort *workload.Sort
	said string
}

var _ kube.Follower = (*there)(nil)

// Listed is for kube.API.Follow.
func (f *there) Listed(all []*kube.Object) {
	f.tell(func() {
		f.said = ""
		by := make(map[workload.Key]workload.Object, len(all))
		for _, o := range all {
			by[workload.Key{Sort: f.sort, Namespace: o.GetNamespace(), Name: o.GetName()}] = o.Object
		}
		// Plans of workloads wait for it to be known who scales.
		first := !f.listed[f.sort] && f.sort.Scaler
		f.listed[f.sort] = true
		delete(f.lacks, f.sort)
		delete(f.denies, f.sort)
		f.table.Listed(f.name, f.sort, by)
		if first {
			for _, k := range f.table.Wants(nil) {
				f.table.Touch(k)
			}
		}
	})
}

// Set is for kube.API.Follow.
func (f *there) Set(o *kube.Object) {
	f.tell(func() {
		f.table.Have(f.name, workload.Key{Sort: f.sort, Namespace: o.GetNamespace(), Name: o.GetName()}, o.Object)
	})
}

// Gone is for kube.API.Follow.
func (f *there) Gone(namespace, name string) {
	f.tell(func() { f.table.Gone(f.name, workload.Key{Sort: f.sort, Namespace: namespace, Name: name}) })
}

// Failed is for kube.API.Follow.
func (f *there) Failed(err error) {
	f.tell(func() {
		switch {
		case kube.Missing(err): // its definition has been deleted
			f.missing(f.sort, err)
			return
		case kube.Refused(err):
			f.denied(f.sort, err)
		}
		if f.said != err.Error() {
			f.said = err.Error()
			f.Log.Warn(fmt.Sprintf("cluster %s: %s: %v; trying again", f.name, f.sort.Kind, kube.Plain(err)))
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
		s, ok := m.queue.pop()
		if !ok {
			return
		}
		r := m.execute(ctx, s)
		m.do(func() { m.finish(m, s, r) })
		if r.err != nil && !kube.Refused(r.err) && !r.soon {
			// The cluster is in trouble: every worker that finds it so waits a little
			// before it asks for more.
			select {
			case <-ctx.Done():
				return
			case <-time.After(rest):
			}
		}
	}
}

// rest is how long a worker leaves a cluster in trouble alone.
const rest = 500 * time.Millisecond

// execute does one step. Each can be done again after it was cut off anywhere.
func (m *member) execute(ctx context.Context, s workload.Step) result {
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
		if s.Home {
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
	o := &kube.Object{Object: s.Object}
	o.SetUID(types.UID(s.UID)) // one that has gone is not made by an update
	o.SetResourceVersion(s.Version)
	got, _, err := m.api.Apply(ctx, s.Kind, o, kube.How{Manager: agent, Force: true})
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
	asked := m.api.Holds(ctx, namespace, func(k v1alpha1.Kind, o *kube.Object) bool {
		if workload.Owned(o.Object) || o.Object["type"] == builtin.TokenType || o.GetDeletionTimestamp() != nil {
			return true
		}
		if builtin.InUse(k.Name, o.GetName()) || k.Name == "EndpointSlice" {
			return true
		}
		err = fmt.Errorf("%w: it holds %s %s, which would be lost", errInhabited, k.Name, o.GetName())
		return false
	})
	return errors.Join(asked, err)
}

var errInhabited = kube.Refusal("the namespace stays")

// A trouble is why a cluster isn't a member.
type trouble struct {
	why     string
	content []byte // the kubeconfig that is of no use
	since   time.Time
}

// muster makes the members be those that the Cluster objects speak of, and tells
// the table how they stand.
func (l *loop) muster(ctx context.Context, now time.Time) {
	for name, m := range l.members {
		if l.clusters[name] == nil {
			l.Log.Info(fmt.Sprintf("cluster %s: has left; what is there stays", name))
			l.dismiss(m)
		}
	}
	for name := range l.troubles {
		if l.clusters[name] == nil {
			delete(l.troubles, name)
		}
	}
	for name := range l.known {
		if l.clusters[name] == nil {
			delete(l.known, name)
			delete(l.planned, name)
			delete(l.counted, name)
			for _, r := range l.reports {
				r.leave(name)
			}
			forgetMember(name)
		}
	}
	for name, c := range l.clusters {
		content, missing := l.credentials(c)
		m, was := l.members[name], l.troubles[name]
		switch {
		case missing != "":
			l.wanting(c, trouble{why: missing}, now)
			continue // one that is there goes on with the credentials it has
		case m != nil && bytes.Equal(m.content, content):
			delete(l.troubles, name)
			continue
		case was.content != nil && bytes.Equal(was.content, content):
			l.wanting(c, was, now)
			continue
		}
		next, err := l.startMember(ctx, name, content)
		if err != nil {
			l.wanting(c, trouble{why: err.Error(), content: content}, now)
			continue
		}
		delete(l.troubles, name)
		if m != nil {
			l.Log.Info(fmt.Sprintf("cluster %s: has other credentials", name))
			next.pulse.since = m.pulse.since
			l.dismiss(m)
		}
		l.members[name] = next
	}
	l.describe(now)
}

// wanting notes why a cluster can't be made a member.
func (l *loop) wanting(c *v1alpha1.Cluster, t trouble, now time.Time) {
	was, there := l.troubles[c.Name]
	if t.since = now; there {
		t.since = was.since
	}
	l.troubles[c.Name] = t
	if t.why != was.why {
		l.Log.Error(fmt.Sprintf("cluster %s: %s", c.Name, t.why))
	}
	if l.members[c.Name] == nil {
		l.absent(c, t.why, now)
	}
}

// dismiss ends what is under way in a cluster.
func (l *loop) dismiss(m *member) {
	m.stop()
	delete(l.members, m.name)
	for f := range l.flights {
		if f.cluster == m.name {
			delete(l.flights, f)
			l.table.Touch(f.Key)
		}
	}
	for f := range l.tries {
		if f.cluster == m.name {
			delete(l.tries, f)
		}
	}
	for f := range l.contests {
		if f.cluster == m.name {
			delete(l.contests, f)
		}
	}
	l.gate.leave(m.name)
}

// credentials are those to write with; missing says what isn't there.
func (l *loop) credentials(c *v1alpha1.Cluster) (content []byte, missing string) {
	if c.Spec.SecretRef == nil {
		return nil, "has no spec.secretRef; fedctl join makes one"
	}
	name := c.Spec.SecretRef.Name
	if content := l.secrets[name+v1alpha1.WriterSuffix]; content != nil {
		return content, ""
	}
	if content := l.secrets[name]; content != nil {
		return content, ""
	}
	return nil, fmt.Sprintf("Secret %s/%s%s, with the key %q, isn't there; fedctl join makes it", v1alpha1.System, name, v1alpha1.WriterSuffix, v1alpha1.KubeconfigKey)
}
