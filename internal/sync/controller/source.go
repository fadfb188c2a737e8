package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// follow hears of all that the federation's API has.
func (l *loop) follow(ctx context.Context) {
	for _, s := range l.hub.kinds {
		if l.secrets != nil && s == l.secrets.kind {
			continue // where there is a right to
		}
		f := &wanted{loop: l, hub: l.hub, sort: s}
		if kind := s.Kind; kind.Resource != "" {
			l.wg.Go(func() { l.api.Follow(ctx, kind, "", f) })
			continue
		}
		delete(l.hub.unlisted, s.Kind.Name)
		l.hub.table.SetUnlisted(s, true)
		kind := s.Kind
		l.wg.Go(func() { f.await(ctx, kind) })
	}
	l.wg.Go(func() { l.api.Follow(ctx, v1alpha1.Clusters, "", &joined{loop: l, hub: l.hub}) })
	if !l.hub.preview {
		placed := &shown{loop: l, hub: l.hub}
		l.wg.Go(func() { placed.follow(ctx) })
	}
}

// await follows a kind from when the federation's API serves it.
func (f *wanted) await(ctx context.Context, kind v1alpha1.Kind) {
	for kube.Pause(ctx, recheck) {
		found, err := f.loop.api.Find(ctx, kind.Group, kind.Version, kind.Name)
		if err == nil {
			f.loop.do(func() { f.sort.Kind = found })
			f.loop.api.Follow(ctx, found, "", f)
			return
		}
		if !errors.Is(err, kube.ErrNoKind) {
			f.Failed(err)
		}
	}
}

// wanted follows the federated objects of a kind.
type wanted struct {
	loop *loop
	hub  *hub
	sort *workload.FederatedKind
	said string // the last error
}

var _ kube.Follower = (*wanted)(nil)

// Managed is for kube.API.Follow: what is wanted is what somebody has said.
func (f *wanted) Managed() {}

func (f *wanted) key(namespace, name string) workload.Key {
	return workload.Key{FederatedKind: f.sort, Namespace: namespace, Name: name}
}

// Listed is for kube.API.Follow.
func (f *wanted) Listed(all []*kube.Object) {
	f.loop.do(func() {
		f.said = ""
		there := map[workload.Key]bool{}
		for _, o := range all {
			k := f.key(o.GetNamespace(), o.GetName())
			there[k] = true
			f.set(k, o)
		}
		for _, k := range f.hub.table.KeysOf(f.sort) {
			if !there[k] {
				f.gone(k)
			}
		}
		for _, name := range f.hub.own(f.sort).known() {
			if !there[f.key(v1alpha1.System, name)] {
				f.hub.own(f.sort).hear(name, nil)
			}
		}
		f.hub.table.SetUnlisted(f.sort, false)
		delete(f.hub.unlisted, f.sort.Kind.Name)
		if f.sort.Contains {
			var names []string
			for _, o := range all {
				names = append(names, o.GetName())
			}
			f.loop.secrets.spacesAre(names)
		}
	})
}

// Set is for kube.API.Follow.
func (f *wanted) Set(o *kube.Object) {
	f.loop.do(func() {
		k := f.key(o.GetNamespace(), o.GetName())
		if w := f.hub.table.Desired(k); w != nil && w.UID == string(o.GetUID()) && v1alpha1.Older(o.GetResourceVersion(), w.Version) {
			return // an answer to a write came first
		}
		f.set(k, o)
	})
}

// Gone is for kube.API.Follow.
func (f *wanted) Gone(namespace, name string) {
	f.loop.do(func() {
		f.gone(f.key(namespace, name))
		if f.sort.Contains {
			f.loop.secrets.gone(name)
		}
	})
}

// Failed is for kube.API.Follow.
func (f *wanted) Failed(err error) {
	if f.sort.Is(builtin.Secrets) && kube.Forbidden(err) && !f.hub.preview {
		if all, err := mayReadSecrets(f.loop.life, f.loop.api, f.hub.Config); err == nil && !all {
			f.loop.renew() // fedctl init has narrowed what it may read
			return
		}
	}
	f.loop.do(func() {
		// Without the Secrets there are no clusters; what else isn't shown holds up
		// only itself.
		if f.hub.unlisted[f.sort.Kind.Name] && !f.sort.Is(builtin.Secrets) && (kube.Refused(err) || kube.Missing(err)) {
			f.hub.table.SetUnlisted(f.sort, true)
			delete(f.hub.unlisted, f.sort.Kind.Name)
			f.loop.secrets.judge()
		}
		if f.said != err.Error() {
			f.said = err.Error()
			f.hub.Log.Error(fmt.Sprintf("federation's API: %s: %v; trying again", f.sort.Kind, kube.Plain(err)))
		}
	})
}

// set takes in an object of the federation's API; some are for fedsync itself.
func (f *wanted) set(k workload.Key, o *kube.Object) {
	if k.Namespace == v1alpha1.System {
		f.hub.own(k.FederatedKind).hear(k.Name, o)
	}
	w := workload.NewDesired(k, o.Object, f.hub.Federation)
	if k.Contains && slices.Contains(f.hub.Adopting.Namespaces, k.Name) {
		w.Adopt = f.hub.Adopting.As
	}
	if (k.Dropped || !workload.Federated(k, o.Object)) && !w.Finalizer {
		f.hub.table.RemoveDesired(k)
		if k.Contains {
			f.loop.secrets.leave(k.Name)
		}
		return
	}
	f.hub.table.SetDesired(w)
	if k.Contains {
		f.loop.secrets.space(k.Name)
	}
}

func (f *wanted) gone(k workload.Key) {
	if k.Namespace == v1alpha1.System {
		f.hub.own(k.FederatedKind).hear(k.Name, nil)
	}
	f.hub.table.RemoveDesired(k)
}

// An ownKind is a kind of which fedsync itself needs what is in the federation's namespace.
type ownKind struct {
	hear  func(name string, o *kube.Object) // nil: it is gone
	known func() []string                   // names that may have gone
}

// own is who hears of the objects of a kind there.
func (u *hub) own(s *workload.FederatedKind) ownKind {
	switch {
	case s.Is(builtin.Secrets):
		return ownKind{u.secret, func() []string { return slices.Collect(maps.Keys(u.secrets)) }}
	case s.Is(builtin.ConfigMaps):
		return ownKind{u.config, func() []string { return []string{WaitingName, v1alpha1.ConfigName} }}
	}
	return ownKind{func(string, *kube.Object) {}, func() []string { return nil }}
}

// config takes in a ConfigMap of the federation's namespace.
func (u *hub) config(name string, o *kube.Object) {
	switch name {
	case WaitingName:
		u.deletions.heard(o)
	case v1alpha1.ConfigName:
		u.heed(o)
	}
}

// secret takes in what may be the credentials of a cluster.
func (u *hub) secret(name string, o *kube.Object) {
	if o == nil {
		delete(u.secrets, name)
		return
	}
	content, ok := kube.SecretData(o)[v1alpha1.KubeconfigKey]
	if !ok {
		delete(u.secrets, name)
		return
	}
	life, err := time.ParseDuration(o.GetAnnotations()[v1alpha1.TokenLife])
	if err != nil || life < 0 {
		life = 0 // fedctl join hasn't written it: nobody has asked for renewals
	}
	c := credential{content: content, life: life, version: o.GetResourceVersion(), uid: string(o.GetUID())}
	if said, is := kube.Claims(kube.TokenIn(content)); is {
		c.token = &said
	}
	u.secrets[name] = c
}

// joined follows the Cluster objects.
type joined struct {
	loop *loop
	hub  *hub
	said string
}

var _ kube.Follower = (*joined)(nil)

// Listed is for kube.API.Follow.
func (f *joined) Listed(all []*kube.Object) {
	f.loop.do(func() {
		f.said = ""
		there := map[string]bool{}
		for _, o := range all {
			there[o.GetName()] = true
			f.set(o)
		}
		maps.DeleteFunc(f.hub.clusters, func(name string, _ *v1alpha1.Cluster) bool { return !there[name] })
		delete(f.hub.unlisted, v1alpha1.Clusters.Name)
		f.loop.secrets.clusters(f.hub.clusters)
	})
}

// Set is for kube.API.Follow.
func (f *joined) Set(o *kube.Object) {
	f.loop.do(func() {
		f.set(o)
		f.loop.secrets.clusters(f.hub.clusters)
	})
}

// Gone is for kube.API.Follow.
func (f *joined) Gone(_, name string) {
	f.loop.do(func() {
		delete(f.hub.clusters, name)
		f.loop.secrets.clusters(f.hub.clusters)
	})
}

// Failed is for kube.API.Follow.
func (f *joined) Failed(err error) {
	f.loop.do(func() {
		if f.said != err.Error() {
			f.said = err.Error()
			f.hub.Log.Error(fmt.Sprintf("federation's API: clusters: %v; trying again", kube.Plain(err)))
		}
	})
}

func (f *joined) set(o *kube.Object) {
	c, err := kube.As[v1alpha1.Cluster](o)
	if err != nil {
		f.hub.Log.Error(fmt.Sprintf("cluster %s: %v; it stays as it was", o.GetName(), err))
		return
	}
	f.hub.clusters[c.Name] = &c
}
