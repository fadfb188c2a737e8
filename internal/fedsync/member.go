package fedsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/workload"
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

	listed  map[*workload.Sort]bool
	lacks   map[*workload.Sort]bool
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
		loop: l, name: name, content: content, api: api, queue: newQueue(), ctx: ctx,
		listed: map[*workload.Sort]bool{}, lacks: map[*workload.Sort]bool{},
	}
	m.pulse.since = time.Now()
	release := m.queue.closeWith(ctx)
	m.stop = func() { cancel(); release() }
	var all sync.WaitGroup
	for _, s := range l.sorts {
		all.Go(func() { m.follow(ctx, s) })
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
func (m *member) follow(ctx context.Context, s *workload.Sort) {
	kind := s.Kind
	for wait := patience; ; wait = min(2*wait, time.Minute) {
		found, err := m.api.Find(ctx, kind.Group, kind.Version, kind.Name)
		if err == nil {
			kind = found
			m.tell(func() { delete(m.lacks, s) })
			break
		}
		if errors.Is(err, kube.ErrNoKind) {
			m.tell(func() {
				if !m.lacks[s] {
					m.Log.Warn(fmt.Sprintf("cluster %s: %v; looked for again from time to time", m.name, err))
					m.lacks[s] = true
					m.dirty(s)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	selector := fedapi.ManagedBy + "=" + fedapi.Fedsync
	if kind.Name == "HorizontalPodAutoscaler" {
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
		f.listed[f.sort] = true
		f.table.Listed(f.name, f.sort, by)
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
		if f.said != err.Error() {
			f.said = err.Error()
			f.Log.Warn(fmt.Sprintf("cluster %s: %s: %v; trying again", f.name, f.sort.Kind, err))
		}
	})
}

// A result is how a step ended.
type result struct {
	got      *kube.Object
	stranger bool // there is an object of that name, and it isn't ours
	soon     bool // what is missing will be there in a moment
	err      error
}

func (r result) outcome() string {
	switch {
	case r.err != nil && kube.Refused(r.err):
		return "refused"
	case r.err != nil:
		return "failed"
	case r.stranger:
		return "taken"
	}
	return "done"
}

// work does steps until ctx ends.
func (m *member) work(ctx context.Context) {
	for {
		j, ok := m.queue.pop()
		if !ok {
			return
		}
		r := m.execute(ctx, j.step)
		m.do(func() { m.finish(m, j.step, r) })
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
	case workload.Create:
		return m.create(ctx, s)
	case workload.Delete:
		if s.Kind.Name == "Namespace" {
			if err := m.empty(ctx, s.Name); err != nil {
				return result{err: err}
			}
		}
		return result{err: m.api.Delete(ctx, s.Kind, s.Namespace, s.Name, types.UID(s.UID))}
	case workload.Release:
		nothing := map[string]any{fedapi.Federation: nil, fedapi.Applied: nil}
		_, err := m.api.Merge(ctx, s.Kind, s.Namespace, s.Name, map[string]any{"metadata": map[string]any{
			"uid": s.UID, "labels": map[string]any{fedapi.ManagedBy: nil}, "annotations": nothing,
		}}, agent, "")
		if kube.Missing(err) {
			err = nil
		}
		return result{err: err}
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
		return result{got: got, stranger: true}
	}
	if !kube.Missing(err) {
		return result{err: err}
	}
	got, created, err := m.api.Apply(ctx, s.Kind, &kube.Object{Object: s.Object}, kube.How{Manager: agent})
	if err != nil {
		// Without force, a conflict says that somebody else was faster.
		return result{err: err, soon: kube.Conflict(err) || kube.Missing(err)}
	}
	if created {
		return result{got: got}
	}
	// Nothing of ours stays: what a manager no longer applies goes, and what others
	// had stays as it was.
	got, _, err = m.api.Apply(ctx, s.Kind, s.Kind.New(s.Namespace, s.Name), kube.How{Manager: agent, Force: true})
	return result{got: got, stranger: true, err: err}
}

// empty says whether a Namespace holds nothing that isn't ours, since all that it
// holds goes with it.
func (m *member) empty(ctx context.Context, namespace string) error {
	for _, s := range m.sorts {
		if !s.Namespaced {
			continue
		}
		all, err := m.api.List(ctx, s.Kind, namespace, "")
		if kube.Missing(err) {
			continue // it has no such kind
		}
		if err != nil {
			return err
		}
		for _, o := range all {
			k := workload.Key{Sort: s, Namespace: namespace, Name: o.GetName()}
			if workload.Federated(k, o.Object) && o.GetLabels()[fedapi.ManagedBy] != fedapi.Fedsync {
				return fmt.Errorf("%w: it holds %s, which isn't ours", errInhabited, k)
			}
		}
	}
	return nil
}

var errInhabited = kube.Refusal("the namespace stays")

// muster makes the members be those that the Cluster objects speak of, and tells
// the table how they stand.
func (l *loop) muster(ctx context.Context, now time.Time) {
	for name, m := range l.members {
		if l.clusters[name] == nil {
			l.Log.Info(fmt.Sprintf("cluster %s: has left; what is there stays", name))
			l.dismiss(m)
			forgetMember(name)
		}
	}
	for name, c := range l.clusters {
		content, missing := l.credentials(c)
		m := l.members[name]
		switch {
		case missing != "":
			if l.noted(name, missing) {
				l.Log.Error(fmt.Sprintf("cluster %s: %s", name, missing))
			}
			l.absent(c, missing)
			continue // one that is there goes on with the credentials it has
		case m != nil && bytes.Equal(m.content, content):
			continue
		}
		next, err := l.startMember(ctx, name, content)
		if err != nil {
			if l.noted(name, err.Error()) {
				l.Log.Error(fmt.Sprintf("cluster %s: %v", name, err))
			}
			l.absent(c, err.Error())
			continue
		}
		l.noted(name, "")
		if m != nil {
			l.Log.Info(fmt.Sprintf("cluster %s: has other credentials", name))
			l.dismiss(m)
		}
		l.members[name] = next
	}
	l.describe(now)
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
	l.gate.leave(m.name)
}

// credentials are those to write with; missing says what isn't there.
func (l *loop) credentials(c *fedapi.Cluster) (content []byte, missing string) {
	if c.Spec.SecretRef == nil {
		return nil, "has no spec.secretRef; fedctl join makes one"
	}
	name := c.Spec.SecretRef.Name
	if content := l.secrets[name+fedapi.WriterSuffix]; content != nil {
		return content, ""
	}
	if content := l.secrets[name]; content != nil {
		return content, ""
	}
	return nil, fmt.Sprintf("Secret %s/%s%s, with the key %q, isn't there; fedctl join makes it", fedapi.System, name, fedapi.WriterSuffix, fedapi.KubeconfigKey)
}
