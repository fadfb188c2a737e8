package controller

import (
	"context"
	"fmt"
	"slices"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// Secrets are those of the federation's API that fedsync has to do with, where it may not read all of them:
// the credentials of clusters, each by its name, and what is in federated namespaces, in each of which it
// gives itself the right. The loop's owner has them.
type secrets struct {
	loop   *loop
	kind   *workload.FederatedKind
	known  bool // which namespaces there are
	spaces map[string]*secretSpace
	named  map[string]func() // ends what follows a Secret with credentials
}

// A secretSpace is a federated namespace.
type secretSpace struct {
	end     func()
	listed  bool
	refused bool // it may not be listed
}

// mayReadSecrets asks the federation's API whether fedsync may read all Secrets, as it may where nobody else has
// any: in one that fedctl init has set up, whose namespaces it empties.
func mayReadSecrets(ctx context.Context, api *kube.API, c Config) (bool, error) {
	return insist(ctx, c, func() (all, over bool, err error) {
		all, err = api.May(ctx, kube.Right{Verb: "list", Resource: builtin.Secrets.Resource})
		if kube.Refused(err) || kube.Missing(err) {
			return true, true, nil // who can't be asked is tried
		}
		return all, false, err
	})
}

// clusters follows the credentials of the clusters that there are, and of no others.
func (s *secrets) clusters(all map[string]*v1alpha1.Cluster) {
	if s == nil {
		return
	}
	u := s.loop.hub
	wanted := map[string]bool{}
	for _, c := range all {
		if c.Spec.SecretRef != nil && !c.Spec.Pull {
			for _, name := range credentialNames(c) {
				wanted[name] = true
			}
		}
	}
	for name, end := range s.named {
		if !wanted[name] {
			end()
			delete(s.named, name)
			delete(u.withheld, name)
			u.secret(name, nil)
		}
	}
	for name := range wanted {
		if s.named[name] != nil {
			continue
		}
		life, end := context.WithCancel(s.loop.life)
		s.named[name] = end
		u.withheld[name] = unread
		still := func(f func()) {
			s.loop.do(func() {
				if life.Err() == nil {
					f()
					s.judge()
				}
			})
		}
		s.loop.wg.Go(func() {
			s.loop.api.FollowOne(life, builtin.Secrets, v1alpha1.System, name,
				func(o *kube.Object) {
					still(func() {
						delete(u.withheld, name)
						u.secret(name, o)
					})
				},
				func(err error) {
					if kube.Refused(err) {
						still(func() { u.withheld[name] = kube.Plain(err) })
					}
				})
		})
	}
	s.judge()
}

// spacesAre hears which namespaces there are.
func (s *secrets) spacesAre(names []string) {
	if s == nil {
		return
	}
	s.known = true
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		s.space(name)
	}
	for name := range s.spaces {
		if !there[name] {
			s.gone(name)
		}
	}
	s.judge()
}

// space begins with a namespace, if it is a federated one.
func (s *secrets) space(name string) {
	if s == nil || s.spaces[name] != nil || !s.loop.hub.table.Inhabits(name) {
		return
	}
	life, end := context.WithCancel(s.loop.life)
	s.spaces[name] = &secretSpace{end: end}
	s.judge()
	f := &secretsWithin{wanted: wanted{loop: s.loop, hub: s.loop.hub, sort: s.kind}, namespace: name, life: life}
	s.loop.wg.Go(func() {
		for life.Err() == nil {
			err := bindSecrets(life, s.loop, name)
			if err == nil {
				break
			}
			f.Failed(err)
			kube.Pause(life, patience)
		}
		s.loop.api.FollowIn(life, s.kind.Kind, name, "", f)
	})
}

// leave ends with a namespace that isn't federated any more, and lets go of the right there.
func (s *secrets) leave(name string) {
	if s == nil || s.spaces[name] == nil {
		return
	}
	s.gone(name)
	s.loop.wg.Go(func() {
		err := unbindSecrets(s.loop.life, s.loop.api, name)
		if err == nil {
			err = s.loop.api.Delete(s.loop.life, builtin.RoleBindings, name, v1alpha1.SecretsRole, "")
		}
		if err != nil && !kube.Missing(err) && s.loop.life.Err() == nil {
			s.loop.hub.Log.Warn(fmt.Sprintf("federation's API: RoleBinding %s/%s stays: %v", name, v1alpha1.SecretsRole, kube.Plain(err)))
		}
	})
}

// gone ends with a namespace that isn't there any more; what was in it went before.
func (s *secrets) gone(name string) {
	if s == nil || s.spaces[name] == nil {
		return
	}
	s.spaces[name].end()
	delete(s.spaces, name)
	f := &secretsWithin{wanted: wanted{loop: s.loop, hub: s.loop.hub, sort: s.kind}, namespace: name}
	f.keep(nil)
	s.judge()
}

// judge says whether all Secrets are known that there are. What is missing before says nothing.
func (s *secrets) judge() {
	if s == nil {
		return
	}
	u := s.loop.hub
	dark, waits := !s.known, !s.known && !u.table.Unlisted(u.spaceKind())
	for _, sp := range s.spaces {
		dark = dark || !sp.listed
		waits = waits || !sp.listed && !sp.refused
	}
	if !waits && !u.unlisted[v1alpha1.Clusters.Name] && !u.unreadAny() {
		delete(u.unlisted, s.kind.Kind.Name)
	}
	u.table.SetUnlisted(s.kind, dark)
}

// unread is in place of why a Secret can't be read that hasn't been yet.
const unread = ""

func (u *hub) unreadAny() bool {
	for _, why := range u.withheld {
		if why == unread {
			return true
		}
	}
	return false
}

// spaceKind is that of namespaces.
func (u *hub) spaceKind() *workload.FederatedKind {
	for _, s := range u.kinds {
		if s.Contains {
			return s
		}
	}
	return nil
}

// secretsWithin follows the Secrets of a federated namespace.
type secretsWithin struct {
	wanted
	namespace string
	life      context.Context
}

var _ kube.Follower = (*secretsWithin)(nil)

// Listed is for kube.API.FollowIn.
func (f *secretsWithin) Listed(all []*kube.Object) {
	f.still(func(sp *secretSpace) {
		f.said = ""
		f.keep(all)
		sp.listed, sp.refused = true, false
		f.loop.secrets.judge()
	})
}

// keep takes in all that there is.
func (f *secretsWithin) keep(all []*kube.Object) {
	there := map[workload.Key]bool{}
	for _, o := range all {
		k := f.key(o.GetNamespace(), o.GetName())
		there[k] = true
		f.set(k, o)
	}
	for _, k := range f.hub.table.InNamespace(f.namespace) {
		if k.FederatedKind == f.sort && !there[k] {
			f.gone(k)
		}
	}
}

// Set is for kube.API.FollowIn.
func (f *secretsWithin) Set(o *kube.Object) {
	if f.life.Err() == nil {
		f.wanted.Set(o)
	}
}

// Failed is for kube.API.FollowIn. A right that somebody has taken is had anew.
func (f *secretsWithin) Failed(err error) {
	if kube.Forbidden(err) && bindSecrets(f.life, f.loop, f.namespace) == nil {
		return
	}
	f.still(func(sp *secretSpace) {
		if kube.Refused(err) || kube.Missing(err) {
			sp.refused = true
			f.loop.secrets.judge()
		}
		if f.said != err.Error() {
			f.said = err.Error()
			f.hub.Log.Error(fmt.Sprintf("federation's API: Secrets in namespace %s: %v; trying again", f.namespace, kube.Plain(err)))
		}
	})
}

// still has the owner do something, unless the namespace has gone.
func (f *secretsWithin) still(do func(*secretSpace)) {
	f.loop.do(func() {
		if sp := f.loop.secrets.spaces[f.namespace]; sp != nil && f.life.Err() == nil {
			do(sp)
		}
	})
}

// bindSecrets sees to it that fedsync may read and mark the Secrets of a federated namespace.
func bindSecrets(ctx context.Context, l *loop, namespace string) error {
	right := kube.Right{Verb: "list", Resource: builtin.Secrets.Resource, Namespace: namespace}
	if l.hub.preview {
		may, err := l.api.May(ctx, right)
		if !may && err == nil {
			err = kube.Refusal("you may not " + right.String())
		}
		return err
	}
	// The finalizer has it stay as long as Secrets there have fedsync's own: a namespace that goes would take it first.
	o := binding(l.hub.Federation, namespace, v1alpha1.SecretsRole, v1alpha1.SecretsRole, v1alpha1.Fedsync)
	o.SetFinalizers([]string{v1alpha1.Finalizer})
	return bind(ctx, l.api, right, o, "the right to read them",
		fmt.Sprintf("RoleBinding %s/%s, which is to let fedsync read them, isn't gone by; fedctl init again brings its role", namespace, v1alpha1.SecretsRole))
}

// rebind is for what is refused to write, while what follows the namespace hears no such thing: a watch isn't
// ended when its right is taken.
func (l *loop) rebind(namespace string) {
	s := l.secrets
	if s == nil || s.spaces[namespace] == nil {
		return
	}
	l.wg.Go(func() {
		if err := bindSecrets(l.life, l, namespace); err != nil && l.life.Err() == nil {
			l.hub.Log.Error(fmt.Sprintf("federation's API: Secrets in namespace %s: %v", namespace, kube.Plain(err)))
		}
	})
}

// unbindSecrets lets go of the right in a namespace that is being deleted, when there are no Secrets any more. Who
// may not look has none, or let go of it before.
func unbindSecrets(ctx context.Context, api *kube.API, namespace string) error {
	there, err := api.Get(ctx, builtin.RoleBindings, namespace, v1alpha1.SecretsRole)
	if kube.Missing(err) || kube.Refused(err) {
		return nil
	}
	if err != nil || len(there.GetFinalizers()) == 0 {
		return err
	}
	left, err := api.List(ctx, builtin.Secrets, namespace, "")
	if err != nil && !kube.Forbidden(err) || len(left) > 0 {
		return err
	}
	rest := slices.DeleteFunc(there.GetFinalizers(), func(f string) bool { return f == v1alpha1.Finalizer })
	_, err = api.Merge(ctx, builtin.RoleBindings, namespace, v1alpha1.SecretsRole, map[string]any{"metadata": map[string]any{
		"uid": there.GetUID(), "resourceVersion": there.GetResourceVersion(), "finalizers": rest,
	}}, agent, "")
	return err
}
