package controller

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/lease"
	"github.com/fedns/fedns/internal/sync/workload"
)

// Pull does in one cluster what the federation's fedsync asks for, and reports what is there, until ctx ends.
// c leads to that cluster; what leads to its part of the federation's API stands in a Secret there.
func Pull(ctx context.Context, c Config) error {
	c.Log = cmp.Or(c.Log, slog.Default())
	own, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Context: c.Context, InCluster: c.Kubeconfig == "", Agent: agent, QPS: c.QPS, Burst: c.Burst})
	if err != nil {
		return err
	}
	defer own.Close()
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("this host's name: %w", err)
	}
	p := &puller{Config: c, own: own, holder: fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano())}
	for ctx.Err() == nil {
		if err := p.once(ctx); err != nil && ctx.Err() == nil {
			p.complain(err)
		}
		kube.Pause(ctx, patience)
	}
	return nil
}

// A puller is the fedsync of a cluster that pulls, whatever becomes of its credential.
type puller struct {
	Config
	own    *kube.API
	holder string // tells this run from others
	said   string // the last error
}

func (p *puller) complain(err error) {
	if text := kube.Plain(err); text != p.said {
		p.said = text
		p.Log.Error(text + "; trying again")
	}
}

// once goes on for as long as one credential, one Agent, and one cluster are what they are.
func (p *puller) once(ctx context.Context) error {
	name := v1alpha1.PartSecret(p.Federation)
	secret, err := p.own.Get(ctx, builtin.Secrets, v1alpha1.System, name)
	if err != nil {
		return fmt.Errorf("Secret %s/%s, which leads to the federation's API: %w", v1alpha1.System, name, err) //nolint:staticcheck // a kind's name
	}
	content := kube.SecretData(secret)[v1alpha1.KubeconfigKey]
	if content == nil {
		return fmt.Errorf("Secret %s/%s has no key %q; fedctl join --pull makes it", v1alpha1.System, name, v1alpha1.KubeconfigKey) //nolint:staticcheck // a kind's name
	}
	home, err := kube.Open(kube.Config{Content: content, Agent: agent, QPS: p.QPS, Burst: p.Burst, Inline: true})
	if err != nil {
		return fmt.Errorf("Secret %s/%s: %w", v1alpha1.System, name, err) //nolint:staticcheck // a kind's name
	}
	defer home.Close()
	namespace := kube.NamespaceIn(content)
	o, err := home.Get(ctx, v1alpha1.Agents, namespace, v1alpha1.AgentName)
	switch {
	case kube.Forbidden(err) || kube.Missing(err):
		return fmt.Errorf("the federation's API takes the credential in Secret %s/%s no more, or the cluster is no member: until fedctl join --pull gives it another, nothing is done, and nothing goes: %w", v1alpha1.System, name, err)
	case err != nil:
		return fmt.Errorf("the federation's API: %w", err)
	}
	said, err := kube.As[v1alpha1.Agent](o)
	if err != nil {
		return fmt.Errorf("Agent %s/%s: %w", namespace, v1alpha1.AgentName, err) //nolint:staticcheck // a kind's name
	}
	if said.Spec.Federation != p.Federation {
		return fmt.Errorf("its part is of federation %s, and this is fedsync --federation %s", said.Spec.Federation, p.Federation)
	}
	id, err := p.own.Origin(ctx, builtin.Namespaces)
	if err != nil {
		return err
	}
	if known := said.Spec.Identity; known != "" && known != id.Identity {
		return fmt.Errorf("its credential is that of cluster %s, which is another one (kube-system %s, and here %s): nothing is done; fedctl join --pull gives this one its own", said.Spec.Cluster, known, id.Identity)
	}
	l := lease.Lease{Namespace: namespace, Name: v1alpha1.AgentName, Holder: p.holder, Duration: agentLease}
	life, end := context.WithCancel(ctx)
	defer end()
	k := &keeper{puller: p, home: home, namespace: namespace, life: said.Spec.TokenLife, content: content}
	var wg sync.WaitGroup
	wg.Go(func() { k.run(life, end) })
	defer wg.Wait()
	defer end()
	p.Log.Info(fmt.Sprintf("cluster %s: waits until it holds Lease %s/%s, as one fedsync of a cluster does at a time", said.Spec.Cluster, l.Namespace, l.Name))
	var failed error
	err = lease.Lead(life, home, l, func(ctx context.Context) {
		k.leads.Store(true)
		p.Log.Info(fmt.Sprintf("cluster %s of federation %s: does what %s asks for", said.Spec.Cluster, said.Spec.Federation, home.Server))
		p.said = ""
		failed = p.do(ctx, home, namespace, &said)
		end()
	})
	return errors.Join(err, failed)
}

// do is once, for who holds the Lease.
func (p *puller) do(ctx context.Context, home *kube.API, namespace string, said *v1alpha1.Agent) error {
	c := p.Config
	c.Federation = said.Spec.Federation
	all := workload.Kinds()
	for _, text := range said.Spec.Kinds {
		k, err := v1alpha1.ParseKind(text)
		if err != nil {
			return fmt.Errorf("Agent: %w", err) //nolint:staticcheck // a kind's name
		}
		all = append(all, workload.Other(k))
	}
	life, end := context.WithCancel(ctx)
	l := &loop{api: home, links: map[*cluster]*member{}, boxes: map[*cluster]*mailbox{}, calls: make(chan func(), 256), life: life, end: end}
	l.hub = newHub(c, actions{}, all, kube.Origin{})
	a := &hands{
		loop: l, home: home, own: p.own, namespace: namespace, spec: said.Spec, uid: said.UID, session: fmt.Sprintf("%s-%d", p.holder, time.Now().UnixNano()), version: p.Version,
		clusterPart: newPart(l.hub), objects: map[workload.Key]workload.Object{}, done: map[types.UID]v1alpha1.WorkStatus{}, running: map[workload.Key]int64{}, reports: workqueue.NewTyped[workload.Key](),
	}
	context.AfterFunc(life, a.reports.ShutDown)
	m := newCluster(l.hub, said.Spec.Cluster, pulled)
	m.owner = a
	a.cluster = m
	l.hub.members[m.name] = m
	l.attach(m, p.own)
	l.wg.Go(func() { home.FollowIn(life, v1alpha1.Works, namespace, "", a.follower()) })
	l.wg.Go(func() {
		home.FollowOne(life, v1alpha1.Agents, namespace, v1alpha1.AgentName, func(o *kube.Object) {
			// What it is told is other than before: all begins anew.
			if o == nil || o.GetUID() != said.UID {
				end()
				return
			}
			if now, err := kube.As[v1alpha1.Agent](o); err == nil && (!slices.Equal(now.Spec.Kinds, said.Spec.Kinds) || now.Spec.Federation != said.Spec.Federation || now.Spec.Cluster != said.Spec.Cluster) {
				end()
			}
		}, func(error) {})
	})
	for range workers {
		l.wg.Go(func() { a.report(life) })
	}
	l.wg.Go(func() { a.tell(life) })
	l.wg.Go(func() { a.count(life) })
	defer func() {
		end()
		l.wg.Wait()
		forgetAll()
	}()
	for {
		select {
		case <-life.Done():
			m.stop()
			return nil
		case f := <-l.calls:
			f()
			l.drain()
			if m.content == nil { // another cluster by now, or other rights in it
				end()
			}
		}
	}
}

// Hands do the steps of Works in their own cluster, and report. They plan nothing, and keep nothing that
// isn't in a Work: one that ends at any moment goes on where it was.
type hands struct {
	loop      *loop
	cluster   *cluster
	home, own *kube.API
	namespace string
	spec      v1alpha1.AgentSpec
	uid       types.UID // of the Agent
	session   string
	version   string

	// The loop's owner has the rest.
	clusterPart
	objects map[workload.Key]workload.Object // in the cluster
	done    map[types.UID]v1alpha1.WorkStatus
	running map[workload.Key]int64 // which step is under way
	reports *workqueue.Typed[workload.Key]
	pods    []v1alpha1.AgentPod
	written v1alpha1.AgentStatus
}

var _ owner = (*hands)(nil)

// due says whether a Work asks for a step that hasn't been done.
func (a *hands) due(w v1alpha1.Work) bool {
	return w.Spec.Verb != "" && w.Spec.Sequence > max(w.Status.Sequence, a.done[w.UID].Sequence)
}

// take is for the member.
func (a *hands) take(c *cluster, k workload.Key, _ time.Time) (s workload.Step, ok bool) {
	w, ok := a.workOf(k)
	if _, busy := a.running[k]; !ok || busy || !a.due(w) {
		return s, false
	}
	s = workload.Step{Cluster: c.name, Key: k, Verb: workload.Verb(w.Spec.Verb), UID: w.Spec.UID, Version: w.Spec.Version, Why: "the federation's fedsync asks for it"}
	a.running[k] = w.Spec.Sequence
	if w.Spec.Manifest != "" {
		o := &kube.Object{}
		if err := o.UnmarshalJSON([]byte(w.Spec.Manifest)); err == nil {
			s.Object = o.Object
		}
	}
	if why := unclear(s); why != "" {
		a.finish(c, s, result{err: kube.Refusal(why)})
		return s, false
	}
	return s, true
}

// unclear says why a step isn't done as it stands, as one of another version may ask for it; "": it is clear.
func unclear(s workload.Step) string {
	switch s.Verb {
	case look:
		return ""
	case workload.Delete, workload.Release:
		if s.UID == "" {
			return fmt.Sprintf("a step %q has to say which object it means, by its UID", s.Verb)
		}
		return ""
	case workload.Create, workload.Update, workload.Adopt:
		if s.Object == nil {
			return fmt.Sprintf("a step %q has to have a manifest that is a JSON object with apiVersion and kind", s.Verb)
		}
		return ""
	}
	return fmt.Sprintf("there is no step %q in this version of fedsync: is the federation's newer?", s.Verb)
}

// finish is for the member.
func (a *hands) finish(_ *cluster, s workload.Step, r result) {
	sequence := a.running[s.Key]
	delete(a.running, s.Key)
	w, ok := a.workOf(s.Key)
	if !ok {
		return
	}
	if r.err != nil {
		a.loop.hub.Log.Warn(fmt.Sprintf("%s %s: %s", s.Verb, s.Key, kube.Plain(r.err)))
	} else {
		a.loop.hub.Log.Debug(fmt.Sprintf("%s %s", s.Verb, s.Key), "outcome", r.outcome())
	}
	stepsTotal.WithLabelValues(s.Cluster, string(s.Verb), r.outcome()).Inc()
	out := v1alpha1.WorkStatus{Sequence: sequence, Taken: r.taken}
	if r.err != nil {
		out.Error = fmt.Sprintf("%.1000s", kube.Plain(r.err))
		switch {
		case r.soon:
			out.Reason = v1alpha1.WorkSoon
		case kube.Refused(r.err):
			out.Reason = v1alpha1.WorkRefused
		}
	}
	a.done[w.UID] = out
	switch was := a.objects[s.Key]; {
	case r.err != nil || s.Verb == workload.Delete: // the watch tells
	case r.got == nil:
		delete(a.objects, s.Key)
	case was == nil || !v1alpha1.Older(r.got.GetResourceVersion(), (&kube.Object{Object: was}).GetResourceVersion()):
		r.got.SetManagedFields(nil)
		a.objects[s.Key] = r.got.Object
	}
	a.reports.Add(s.Key)
	if a.due(w) {
		a.cluster.queue.Add(s.Key)
	}
}

// saw is for the member.
func (a *hands) saw(_ *cluster, k workload.Key, o workload.Object) {
	version := func(o workload.Object) string { return (&kube.Object{Object: o}).GetResourceVersion() }
	if was := a.objects[k]; was != nil && v1alpha1.Older(version(o), version(was)) {
		return // an answer to a write came first
	}
	a.objects[k] = o
	a.reports.Add(k)
}

// lost is for the member.
func (a *hands) lost(_ *cluster, k workload.Key) {
	delete(a.objects, k)
	a.reports.Add(k)
}

// listed is for the member.
func (a *hands) listed(_ *cluster, s *workload.FederatedKind, all map[workload.Key]workload.Object) {
	a.replace(all, func(k workload.Key) bool { return k.FederatedKind == s })
}

// listedIn is for the member.
func (a *hands) listedIn(_ *cluster, s *workload.FederatedKind, namespace string, all map[workload.Key]workload.Object) {
	a.replace(all, func(k workload.Key) bool { return k.FederatedKind == s && k.Namespace == namespace })
}

func (a *hands) replace(all map[workload.Key]workload.Object, among func(workload.Key) bool) {
	for k, o := range a.objects {
		if among(k) && all[k] == nil && (a.mine(o) || k.Scaler) { // what isn't ours isn't in the list
			a.lost(nil, k)
		}
	}
	for k, o := range all {
		a.objects[k] = o
		a.reports.Add(k)
	}
	for _, w := range a.works {
		if k, ok := a.key(w.Spec.Object); ok && among(k) {
			a.reports.Add(k) // it may be gone since it was reported
		}
	}
}

func (a *hands) mine(o workload.Object) bool {
	u := &kube.Object{Object: o}
	return u.GetLabels()[v1alpha1.ManagedBy] == v1alpha1.Fedsync && u.GetAnnotations()[v1alpha1.Federation] == a.spec.Federation
}

// uses is for the member: where there is a Work, something may be, or is to be.
func (a *hands) uses(c *cluster, namespace string) bool {
	if !a.read || !c.known() || c.awaits(namespace) {
		return true
	}
	for _, w := range a.works {
		if w.Spec.Object.Namespace == namespace && (a.due(w) || w.Status.Observed != "" || a.done[w.UID].Sequence > w.Status.Sequence) {
			return true
		}
	}
	for k, o := range a.objects {
		if k.Namespace == namespace && a.mine(o) {
			return true
		}
	}
	return false
}

// follower follows the Works.
func (a *hands) follower() *partFollower {
	return &partFollower{
		clusterPart: &a.clusterPart, tell: a.loop.do, set: a.set, gone: func(w v1alpha1.Work) { delete(a.done, w.UID) }, listed: func() {},
		failed: func(err error) {
			a.hub.Log.Warn(fmt.Sprintf("the federation's API: %v; trying again", kube.Plain(err)))
		},
	}
}

// set takes in a Work.
func (a *hands) set(o *kube.Object) {
	w, err := kube.As[v1alpha1.Work](o)
	if err != nil {
		a.hub.Log.Error(fmt.Sprintf("Work %s: %v", o.GetName(), err))
		return
	}
	was, ok := a.takeIn(w)
	if !ok {
		return
	}
	if was.UID != w.UID {
		delete(a.done, was.UID)
	}
	k, ok := a.key(w.Spec.Object)
	if !ok || v1alpha1.WorkName(w.Spec.Object) != w.Name {
		return // of another version, which knows more kinds
	}
	if a.due(w) {
		a.cluster.queue.Add(k)
	}
	a.reports.Add(k)
}

// status is what the status of a Work is to be.
func (a *hands) status(k workload.Key, w v1alpha1.Work) v1alpha1.WorkStatus {
	out := w.Status
	if done, ok := a.done[w.UID]; ok && done.Sequence >= out.Sequence {
		out = done
	}
	o := a.objects[k]
	if o == nil && !a.cluster.tells(k.FederatedKind) {
		out.Observed = w.Status.Observed // it isn't known yet whether that has gone
		return out
	}
	if out.Observed = ""; o != nil {
		var want workload.Object
		if m := (&kube.Object{}); w.Spec.Manifest != "" && m.UnmarshalJSON([]byte(w.Spec.Manifest)) == nil {
			want = m.Object
		}
		out.Observed = excerpt(k, o, want, a.spec.Federation)
	}
	return out
}

// excerpt is what is shown of an object; of one that is too large for that, what anybody may see.
func excerpt(k workload.Key, o, want workload.Object, federation string) string {
	text, err := (&kube.Object{Object: workload.Excerpt(k, o, want, federation)}).MarshalJSON()
	if err != nil {
		return ""
	}
	if len(text) > v1alpha1.LongestManifest && want != nil {
		return excerpt(k, o, nil, federation)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// report writes statuses until ctx ends.
func (a *hands) report(ctx context.Context) {
	for {
		k, over := a.reports.Get()
		if over || ctx.Err() != nil {
			return
		}
		err := a.write(ctx, k)
		a.reports.Done(k)
		if err != nil && ctx.Err() == nil {
			a.loop.hub.Log.Warn(fmt.Sprintf("the federation's API: the status of %s: %v; trying again", k, kube.Plain(err)))
			if !kube.Pause(ctx, rest) {
				return
			}
			a.reports.Add(k)
		}
	}
}

// write has the Work of a key say what is so; one that has gone says nothing.
func (a *hands) write(ctx context.Context, k workload.Key) error {
	type page struct {
		name   string
		uid    types.UID
		status v1alpha1.WorkStatus
		news   bool
	}
	p, _ := ask(ctx, a.loop, func() page {
		w, ok := a.workOf(k)
		p := page{name: w.Name, uid: w.UID}
		if ok {
			p.status = a.status(k, w)
			p.news = p.status != w.Status
		}
		return p
	})
	if !p.news {
		return nil
	}
	fields, err := patched(&p.status, nil, "error", "reason", "observed", "taken")
	if err != nil {
		return err
	}
	got, err := a.home.Merge(ctx, v1alpha1.Works, a.namespace, p.name, map[string]any{"metadata": map[string]any{"uid": string(p.uid)}, "status": fields}, agent, "status")
	if kube.Missing(err) || kube.Conflict(err) {
		return nil // it has gone, or is another one
	}
	if err == nil {
		a.loop.do(func() { a.set(got) })
	}
	return err
}

// told is how often it is looked whether the Agent has to say something else.
const told = 200 * time.Millisecond

// tell writes the status of the Agent until ctx ends.
func (a *hands) tell(ctx context.Context) {
	for kube.Pause(ctx, told) {
		s, _ := ask(ctx, a.loop, func() *v1alpha1.AgentStatus {
			if s := a.says(); !reflect.DeepEqual(s, a.written) {
				return &s
			}
			return nil
		})
		if s == nil {
			continue
		}
		fields, err := patched(s, nil, "synced", "message", "offline", "kubernetesVersion", "region", "zones", "identity", "revision", "kinds", "unknown", "pending")
		if err == nil {
			_, err = a.home.Merge(ctx, v1alpha1.Agents, a.namespace, v1alpha1.AgentName, map[string]any{"metadata": map[string]any{"uid": string(a.uid)}, "status": fields}, agent, "status")
		}
		if err != nil {
			if ctx.Err() == nil {
				a.loop.hub.Log.Warn(fmt.Sprintf("the federation's API: the status of the Agent: %v; trying again", kube.Plain(err)))
			}
			kube.Pause(ctx, rest)
			continue
		}
		a.loop.do(func() { a.written = *s })
	}
}

// unknownShown is how much is told at once of what no Work speaks of, and of pods without a node.
const unknownShown = 200

// says is what the Agent is to say now.
func (a *hands) says() v1alpha1.AgentStatus {
	c, p := a.cluster, &a.cluster.liveness
	s := v1alpha1.AgentStatus{
		Version: a.version, Session: a.session, KubernetesVersion: p.find.version, Region: p.find.region, Zones: p.find.zones,
		Identity: p.find.origin.Identity, Revision: p.find.origin.Revision, Pending: a.pods,
	}
	if p.heard && !p.ready {
		s.Message = fmt.Sprintf("%.1000s", p.why)
	}
	if s.Offline = p.heard && !p.reachable(); s.Offline {
		s.Message = cmp.Or(s.Message, "its API can't be reached")
	}
	for _, k := range a.loop.hub.kinds {
		state := v1alpha1.AgentKind{Kind: k.Kind.String()}
		switch {
		case c.listed[k]:
			state.State = v1alpha1.KindListed
		case c.hides[k]:
			state.State, state.Message = v1alpha1.KindHidden, "isn't served there"
		case c.lacks[k]:
			state.State, state.Message = v1alpha1.KindMissing, "isn't served there"
		case c.denies[k] != "":
			state.State, state.Message = v1alpha1.KindDenied, fmt.Sprintf("%.1000s", c.denies[k])
		default:
			return s // it isn't known yet
		}
		s.Kinds = append(s.Kinds, state)
	}
	if !a.read {
		return s
	}
	spaces := map[string]bool{}
	s.Synced = true
	for _, w := range a.works {
		spaces[w.Spec.Object.Namespace] = true
		if k, ok := a.key(w.Spec.Object); ok && a.status(k, w).Observed != w.Status.Observed {
			s.Synced = false
		}
	}
	for k, o := range a.objects {
		if _, there := a.workOf(k); !there && (a.mine(o) || k.Scaler && spaces[k.Namespace]) {
			s.Unknown = append(s.Unknown, objectOf(k))
		}
	}
	s.Unknown = firstOf(s.Unknown, unknownShown)
	s.Synced = s.Synced || a.written.Synced // once is enough: what comes later comes by itself
	return s
}

// firstOf are so many of objects, of each namespace in its turn: what one is full of hides nothing of the others.
func firstOf(all []v1alpha1.WorkObject, most int) []v1alpha1.WorkObject {
	slices.SortFunc(all, func(x, y v1alpha1.WorkObject) int {
		return cmp.Compare(v1alpha1.WorkName(x), v1alpha1.WorkName(y))
	})
	if len(all) <= most {
		return all
	}
	by := map[string][]v1alpha1.WorkObject{}
	for _, o := range all {
		by[o.Namespace] = append(by[o.Namespace], o)
	}
	names := slices.Sorted(maps.Keys(by))
	var out []v1alpha1.WorkObject
	for turn := 0; len(out) < most; turn++ {
		for _, n := range names {
			if turn < len(by[n]) && len(out) < most {
				out = append(out, by[n][turn])
			}
		}
	}
	return out
}

// count looks for pods that no node has room for, until ctx ends.
func (a *hands) count(ctx context.Context) {
	for kube.Pause(ctx, podsEvery) {
		spaces, ok := ask(ctx, a.loop, func() map[string]bool {
			spaces := map[string]bool{}
			for k, o := range a.objects {
				if len(k.Scale) > 0 && a.mine(o) {
					spaces[k.Namespace] = true
				}
			}
			return spaces
		})
		if !ok {
			return
		}
		var out []v1alpha1.AgentPod
		var failed error
		for _, namespace := range slices.Sorted(maps.Keys(spaces)) {
			pods, err := a.own.ListWhere(ctx, builtin.Pods, namespace, "status.phase=Pending")
			if failed = errors.Join(failed, err); err != nil {
				break
			}
			for i := range pods {
				if since := unschedulable(pods[i].Object); !since.IsZero() && len(out) < unknownShown {
					out = append(out, v1alpha1.AgentPod{Namespace: namespace, Labels: pods[i].GetLabels(), Since: metav1.Time{Time: since.UTC()}})
				}
			}
		}
		if failed == nil {
			a.loop.do(func() { a.pods = out })
		}
	}
}

// A keeper sees to it that the credential which is used is the one in the Secret.
type keeper struct {
	*puller
	home      *kube.API
	namespace string
	life      string // of its tokens; "": nobody has asked for new ones
	content   []byte // a kubeconfig
	leads     atomic.Bool
}

// run renews the credential when a third of its life is over, until ctx ends, or until somebody has put another into
// the Secret: then it calls end. fedctl join does that, and who leads, while others wait for that one to end.
func (k *keeper) run(ctx context.Context, end func()) {
	life, err := time.ParseDuration(k.life)
	renews := err == nil && life > 0
	for {
		secret, err := k.own.Get(ctx, builtin.Secrets, v1alpha1.System, v1alpha1.PartSecret(k.Federation))
		if err == nil && !bytes.Equal(kube.SecretData(secret)[v1alpha1.KubeconfigKey], k.content) {
			k.Log.Info("there is another credential for the federation's API: it is taken")
			end()
			return
		}
		if said, is := kube.Claims(kube.TokenIn(k.content)); err == nil && is && renews && k.leads.Load() && said.Due(life, time.Now()) {
			if err := k.renew(ctx, secret.GetResourceVersion(), life); err == nil {
				k.Log.Info("its token is renewed")
			} else if ctx.Err() == nil {
				k.Log.Warn(fmt.Sprintf("its token can't be renewed: %v; trying again", kube.Plain(err)))
			}
		}
		if !kube.Pause(ctx, renewEvery) {
			return
		}
	}
}

// renew gets another token, and keeps it before it is used; not over what somebody else has put there since version.
func (k *keeper) renew(ctx context.Context, version string, life time.Duration) error {
	token, _, err := k.home.Token(ctx, k.namespace, v1alpha1.AgentName, life, v1alpha1.BoundTo(v1alpha1.AgentName))
	if err != nil {
		return err
	}
	next, err := kube.WithToken(k.content, token)
	if err != nil {
		return err
	}
	name := v1alpha1.PartSecret(k.Federation)
	o := kube.NewSecret(v1alpha1.System, name, map[string][]byte{v1alpha1.KubeconfigKey: next})
	if _, err := k.own.Merge(ctx, builtin.Secrets, v1alpha1.System, name, map[string]any{"metadata": map[string]any{"resourceVersion": version}, "data": o.Object["data"]}, agent, ""); err != nil {
		return err
	}
	k.content = next
	k.home.Renew(token)
	return nil
}
