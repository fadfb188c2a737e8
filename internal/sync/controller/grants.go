package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// Grants are the namespaces of a cluster in which fedsync has the right to write, where it hasn't
// got it in all of them: it makes a RoleBinding where it is to put something, and takes it
// back where nothing of it is left. What is in the cluster is listed in these namespaces only.
//
// They are used by all who work for a member, and by those who follow it.
type grants struct {
	m        *member
	start    func(func()) // has something done that ends with the member
	confined bool         // written before anybody works there

	mu       sync.Mutex // guards the rest
	spaces   map[string]*space
	binding  map[string]chan struct{} // namespaces in which a RoleBinding is being made
	kinds    map[*workload.FederatedKind]v1alpha1.Kind
	reviewed time.Time // when it was last asked whether they are still such
}

// A space is one of these namespaces; what follows it ends with it.
type space struct {
	life context.Context
	end  func()
}

func newGrants(m *member, start func(func())) *grants {
	return &grants{m: m, start: start, spaces: map[string]*space{}, binding: map[string]chan struct{}{}, kinds: map[*workload.FederatedKind]v1alpha1.Kind{}}
}

// sample is a kind whose right tells of all in a namespace: no cluster is joined without it.
var sample = builtin.ConfigMaps

// find asks a cluster whether fedsync may list what is in all of its namespaces, and where it may
// write if it mayn't.
func (g *grants) find(ctx context.Context) {
	for ctx.Err() == nil {
		confined, names, err := g.ask(ctx)
		if err == nil {
			g.mu.Lock()
			g.confined = confined
			for _, name := range names {
				g.open(name)
			}
			g.mu.Unlock()
			return
		}
		kube.Pause(ctx, patience)
	}
}

// ask is find, once. Who may do neither is told so by what follows.
func (g *grants) ask(ctx context.Context) (confined bool, names []string, err error) {
	everywhere, err := g.m.api.May(ctx, kube.Right{Verb: "list", Group: sample.Group, Resource: sample.Resource})
	if everywhere || kube.Refused(err) || kube.Missing(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	all, err := g.m.api.ListWhere(ctx, builtin.RoleBindings, "", "metadata.name="+v1alpha1.WriterAccount(g.m.hub.Federation))
	if kube.Refused(err) {
		return false, nil, nil
	}
	for i := range all {
		names = append(names, all[i].GetNamespace())
	}
	// Its own right to renew tokens has the same name.
	return true, slices.DeleteFunc(names, func(n string) bool { return n == v1alpha1.System }), err
}

// open begins with a namespace. The lock is held.
func (g *grants) open(name string) {
	if g.spaces[name] != nil {
		return
	}
	life, end := context.WithCancel(g.m.ctx)
	g.spaces[name] = &space{life, end}
	for s, kind := range g.kinds {
		g.start(func() { g.follow(life, name, s, kind) })
	}
}

// names are the namespaces.
func (g *grants) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.spaces))
}

// lacks says whether the right to write in a namespace has still to be made.
func (g *grants) lacks(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.confined && namespace != "" && g.spaces[namespace] == nil
}

// serve follows a kind in each namespace that there is, and in those that come.
func (g *grants) serve(ctx context.Context, s *workload.FederatedKind, kind v1alpha1.Kind) {
	names := g.names()
	g.m.tell(func() { g.m.cluster.expect(s, names) })
	g.mu.Lock()
	g.kinds[s] = kind
	for name, sp := range g.spaces {
		g.start(func() { g.follow(sp.life, name, s, kind) })
	}
	g.mu.Unlock()
	<-ctx.Done()
}

// follow hears what a namespace has of a kind. A kind that it may not have at all is asked for seldom.
func (g *grants) follow(ctx context.Context, namespace string, s *workload.FederatedKind, kind v1alpha1.Kind) {
	f := &within{there{member: g.m, hub: g.m.hub, cluster: g.m.cluster, kind: s}, namespace}
	for {
		right := kube.Right{Verb: "list", Group: kind.Group, Resource: kind.Resource, Namespace: namespace}
		may, err := g.m.api.May(ctx, right)
		if may || err != nil && (kube.Refused(err) || kube.Missing(err)) {
			break
		}
		pause := patience
		if err == nil {
			pause = recheck
			g.m.tell(func() { g.m.cluster.withheld(s, namespace, kube.Refusal("fedsync may not "+right.String())) })
		}
		if !kube.Pause(ctx, pause) {
			return
		}
	}
	g.m.api.FollowIn(ctx, kind, namespace, g.m.selector(s), f)
}

// grantTime is for a cluster to learn of its own RoleBindings: it takes milliseconds, and longer for
// one of several API servers.
const (
	grantTime = 10 * time.Second
	grantStep = 20 * time.Millisecond
)

// ensure sees to it that there is the right to write in a namespace.
func (g *grants) ensure(ctx context.Context, namespace string) error {
	if !g.confined || namespace == "" {
		return nil
	}
	for {
		g.mu.Lock()
		if g.spaces[namespace] != nil {
			g.mu.Unlock()
			return nil
		}
		other := g.binding[namespace]
		if other == nil {
			g.binding[namespace] = make(chan struct{})
			g.mu.Unlock()
			break
		}
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := g.bind(ctx, namespace)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.open(namespace)
	}
	close(g.binding[namespace])
	delete(g.binding, namespace)
	return err
}

// bind makes the RoleBinding, and waits until the cluster goes by it.
func (g *grants) bind(ctx context.Context, namespace string) error {
	right := kube.Right{Verb: "create", Group: sample.Group, Resource: sample.Resource, Namespace: namespace}
	name := v1alpha1.WriterAccount(g.m.hub.Federation)
	o := binding(g.m.hub.Federation, namespace, name, v1alpha1.ObjectsRole(g.m.hub.Federation), name)
	return bind(ctx, g.m.api, right, o, "the right to write in namespace "+namespace,
		fmt.Sprintf("the cluster doesn't go by RoleBinding %s/%s, which is to let fedsync write there", namespace, name))
}

// bind makes a RoleBinding that gives fedsync a right, and waits until the API goes by it. what is said of it if it can't be
// made, and unheeded if it isn't gone by.
func bind(ctx context.Context, api *kube.API, right kube.Right, o *kube.Object, what, unheeded string) error {
	may, err := api.May(ctx, right)
	if may || err != nil {
		return err // it may do so everywhere by now
	}
	if _, err := api.Create(ctx, builtin.RoleBindings, o, agent); err != nil && !kube.Conflict(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	over := wait.PollUntilContextTimeout(ctx, grantStep, grantTime, true, func(ctx context.Context) (bool, error) {
		may, err = api.May(ctx, right)
		return may, err
	})
	if over != nil && !kube.Reached(over) && !may && ctx.Err() == nil {
		return kube.Refusal(unheeded)
	}
	return over
}

// binding gives an account of fedsync's a role in a namespace. It is fedctl's, too, which takes it away when the cluster
// leaves, or the federation goes.
func binding(federation, namespace, name, role, account string) *kube.Object {
	o := kube.NewRoleBinding(namespace, name, builtin.ClusterRoles, role, account)
	o.SetLabels(map[string]string{v1alpha1.MadeBy: v1alpha1.Fedctl, v1alpha1.Federation: federation})
	return o
}

// again mends the right to write in a namespace, where somebody has taken it: true says that it is
// there again, or in a preview, which writes nothing, that a run would see to it. Where the namespace has gone,
// so has all that was known of it.
func (g *grants) again(ctx context.Context, namespace string) bool {
	if !g.confined {
		g.review(ctx)
		return false
	}
	g.mu.Lock()
	known := g.spaces[namespace] != nil
	g.mu.Unlock()
	if !known {
		return false
	}
	there, err := g.m.api.Exists(ctx, builtin.RoleBindings, namespace, v1alpha1.WriterAccount(g.m.hub.Federation))
	if there || err != nil {
		return false
	}
	ns, err := g.m.api.Get(ctx, builtin.Namespaces, "", namespace)
	switch {
	case kube.Missing(err):
		g.drop(namespace)
		return false
	case err != nil || ns.GetDeletionTimestamp() != nil:
		return false
	}
	if g.m.hub.preview {
		g.drop(namespace) // as where a run has still to make it
		return true
	}
	return g.bind(ctx, namespace) == nil
}

// review looks whether fedctl join has narrowed what fedsync may do; then the cluster is another member.
func (g *grants) review(ctx context.Context) {
	g.mu.Lock()
	recent := time.Since(g.reviewed) < beforeReview
	if !recent {
		g.reviewed = time.Now()
	}
	g.mu.Unlock()
	if recent {
		return
	}
	if confined, _, err := g.ask(ctx); err == nil && confined {
		g.m.tell(func() {
			g.m.hub.Log.Info(fmt.Sprintf("cluster %s: fedsync may write in the federation's namespaces only, from now on", g.m.cluster.name))
			g.m.cluster.content = nil // the next look at the Cluster objects makes it a member anew
		})
	}
}

// beforeReview is how seldom a cluster that refuses something is asked whether it does so for good.
const beforeReview = 10 * time.Second

// drop ends with a namespace that isn't there any more, or in which nothing is fedsync's.
func (g *grants) drop(namespace string) {
	g.mu.Lock()
	sp := g.spaces[namespace]
	delete(g.spaces, namespace)
	g.mu.Unlock()
	if sp == nil {
		return
	}
	sp.end()
	g.m.tell(func() {
		for _, s := range g.m.hub.kinds {
			if s.Namespaced {
				g.m.cluster.listedIn(s, namespace, nil)
			}
		}
	})
}

// idle is how often it is looked where nothing of fedsync's is left. What is so twice in a row is no pause
// between one object and the next.
const idle = 5 * time.Second

// sweep takes the right to write back where there is nothing to write any more.
func (g *grants) sweep(ctx context.Context) {
	var empty []string
	for kube.Pause(ctx, idle) {
		names := g.names()
		now, ok := ask(ctx, g.m.loop, func() []string {
			return slices.DeleteFunc(names, func(n string) bool { return g.m.cluster.owner.uses(g.m.cluster, n) })
		})
		if !ok {
			return
		}
		for _, name := range now {
			if !slices.Contains(empty, name) {
				continue
			}
			if err := g.m.api.Delete(ctx, builtin.RoleBindings, name, v1alpha1.WriterAccount(g.m.hub.Federation), ""); err == nil {
				g.drop(name)
			}
		}
		empty = now
	}
}

// uses says whether fedsync has, or is to have, anything in a namespace of a cluster. What isn't known whole
// may hide something.
func (u *hub) uses(c *cluster, namespace string) bool {
	if u.members[c.name] != c || !c.known() || c.awaits(namespace) || u.table.Owned(namespace, c.name) > 0 {
		return true
	}
	for _, k := range u.table.InNamespace(namespace) {
		r := u.reports[k]
		if u.busy(objectInCluster{c.name, k}) || r == nil {
			return true
		}
		if slices.ContainsFunc(r.plan.Standings, func(s workload.Propagation) bool { return s.Cluster == c.name }) {
			return true
		}
	}
	return false
}

// within follows the objects of a kind in a namespace.
type within struct {
	there
	namespace string
}

var _ kube.Follower = (*within)(nil)

// Listed is for kube.API.FollowIn.
func (f *within) Listed(all []*kube.Object) {
	f.member.tell(func() {
		f.said = ""
		f.cluster.listedIn(f.kind, f.namespace, f.keyed(all))
	})
}

// Failed is for kube.API.FollowIn.
func (f *within) Failed(err error) {
	if kube.Forbidden(err) && f.member.grants.again(f.member.ctx, f.namespace) {
		return
	}
	if kube.Forbidden(err) {
		f.member.tell(func() { f.cluster.withheld(f.kind, f.namespace, err) })
		return
	}
	f.there.Failed(err)
}

// expect says in which namespaces a kind is to be listed before all of it is known.
func (c *cluster) expect(s *workload.FederatedKind, names []string) {
	c.unheard[s] = map[string]bool{}
	for _, name := range names {
		c.unheard[s][name] = true
	}
	c.whole(s)
}

// awaits says whether a namespace hasn't been listed yet.
func (c *cluster) awaits(namespace string) bool {
	for _, names := range c.unheard {
		if names[namespace] {
			return true
		}
	}
	return false
}

// listedIn takes in all that a namespace has of a kind.
func (c *cluster) listedIn(s *workload.FederatedKind, namespace string, all map[workload.Key]workload.Object) {
	c.owner.listedIn(c, s, namespace, all)
	delete(c.unheard[s], namespace)
	c.whole(s)
}

// withheld hears that a namespace doesn't let a kind be listed. Where others do, somebody has tampered with
// that one: what is to be written there fails, and says so.
func (c *cluster) withheld(s *workload.FederatedKind, namespace string, err error) {
	delete(c.unheard[s], namespace)
	if !c.listed[s] {
		c.denied(s, err)
	}
}

// whole notes that a kind is known, if it is.
func (c *cluster) whole(s *workload.FederatedKind) {
	if len(c.unheard[s]) > 0 || c.unheard[s] == nil {
		return
	}
	c.heard(s)
}
