package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// dryRunTime bounds the asking of all clusters.
const dryRunTime = time.Minute

// rehearse does all steps of a preview as dry runs, by the very calls of a run: then it is
// known what a cluster has of a name that isn't ours, what it refuses, and what changes in
// the objects that are there.
func (l *loop) rehearse(ctx context.Context, p Preview) Preview {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dryRunTime)
	defer cancel()
	stages := l.stages()
	for {
		found, failed := seek(ctx, stages, p)
		if len(found) == 0 || ctx.Err() != nil {
			for _, f := range p.unseen { // of the others, it is told when they are done
				if err := failed[f]; err != nil {
					p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: whether %s is there: %s", f.cluster, f.Key, kube.Plain(err)))
				}
			}
			break
		}
		// A run finds them in the same way, and plans anew.
		p, _ = ask(l.life, l, func() Preview {
			for f, o := range found {
				l.hub.table.SetObserved(f.cluster, f.Key, o.Object)
			}
			_, p := l.hub.foresee(true)
			return p
		})
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for name, m := range stages {
		all.Go(func() {
			for _, act := range inOrder(p.Steps, name) {
				each(act, func(s *Foreseen) {
					if err := m.rehearse(ctx, s); err != nil {
						mu.Lock()
						defer mu.Unlock()
						p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: %s %s: %s", s.Cluster, s.Verb, s.Key, kube.Plain(err)))
						s.Untried = kube.Plain(err)
					}
				})
			}
		})
	}
	all.Wait()
	for i := range p.Steps {
		if s := &p.Steps[i]; stages[s.Cluster] == nil {
			s.Untried = "the cluster pulls: only its own fedsync could try it"
		}
	}
	slices.Sort(p.Unknown)
	// A write by which nothing changes is no step: a webhook there has made of the object what
	// it makes of it each time.
	p.Steps = slices.DeleteFunc(p.Steps, func(s Foreseen) bool {
		return s.Verb == workload.Update && len(s.Changes) == 0 && s.Refused == "" && s.Untried == ""
	})
	return p
}

// stages are the clusters, in which nothing is done.
func (l *loop) stages() map[string]*member {
	out, _ := ask(l.life, l, func() map[string]*member {
		all := map[string]*member{}
		for name, c := range l.hub.members {
			if c.pulled {
				continue // only its own fedsync could try it
			}
			m := *l.links[c]
			m.api, _ = m.api.Rehearse()
			all[name] = &m
		}
		return all
	})
	return out
}

// seek looks for what clusters have already of what is to be made there, and of what they don't show; failed is
// what they didn't say.
func seek(ctx context.Context, stages map[string]*member, p Preview) (found map[objectInCluster]*kube.Object, failed map[objectInCluster]error) {
	found, failed = map[objectInCluster]*kube.Object{}, map[objectInCluster]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, m := range stages {
		var names []objectInCluster
		for _, s := range p.Steps {
			if s.Cluster == name && s.Verb == workload.Create {
				names = append(names, objectInCluster{name, s.Key})
			}
		}
		for _, f := range p.unseen {
			if f.cluster == name {
				names = append(names, f)
			}
		}
		all.Go(func() {
			each(names, func(f objectInCluster) {
				o, err := m.api.Get(ctx, f.Kind, f.Namespace, f.Key.Name)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					found[f] = o
				case !kube.Missing(err):
					failed[f] = err
				}
			})
		})
	}
	all.Wait()
	return found, failed
}

// inOrder are the steps of a cluster, in acts that have to come one after the other: a
// namespace goes when what is in it has gone.
func inOrder(steps []Foreseen, cluster string) [3][]*Foreseen {
	var acts [3][]*Foreseen
	for i := range steps {
		s, act := &steps[i], 0
		switch {
		case s.Cluster != cluster:
			continue
		case s.Verb == workload.Delete && s.FederatedKind.Contains:
			act = 2
		case s.Verb == workload.Delete:
			act = 1
		}
		acts[act] = append(acts[act], s)
	}
	return acts
}

// each does something for each step or name, for as many at once as a run does.
func each[T any](steps []T, do func(T)) {
	// What ctx has cut off has to be said of each step, too.
	workqueue.ParallelizeUntil(context.Background(), workers, len(steps), func(i int) { do(steps[i]) })
}

// rehearse does one step as a dry run, and notes on it what it comes to. An error says that
// the cluster hasn't told.
func (m *member) rehearse(ctx context.Context, s *Foreseen) error {
	s.Changes = nil
	if m.grants.lacks(s.Namespace) {
		s.Untried = "fedsync has no right in its namespace yet; a run gives it to itself"
		return nil
	}
	var was *kube.Object
	if s.Verb != workload.Create && s.Verb != workload.Delete {
		var err error
		if was, err = m.api.Get(ctx, s.Kind, s.Namespace, s.Name); err != nil {
			return err
		}
	}
	r := m.execute(ctx, s.Step)
	switch {
	case r.taken:
		return errors.New("somebody has made one of that name meanwhile")
	case s.Verb == workload.Create && kube.Missing(r.err):
		s.Untried = "its namespace isn't there yet"
	case kube.Unrehearsed(r.err):
		s.Untried = kube.Plain(r.err)
	case r.err != nil && kube.Refused(r.err):
		s.Refused = kube.Plain(r.err)
	case r.err != nil:
		return r.err
	case was != nil && r.got != nil:
		s.Changes = workload.Compare(comparable(was), comparable(r.got))
	}
	if s.Secret {
		for i := range s.Changes {
			s.Changes[i].Was, s.Changes[i].Now = hide(s.Changes[i].Was), hide(s.Changes[i].Now)
		}
	}
	return nil
}

// hide keeps what is secret out of terminals and logs.
func hide(value string) string {
	if value == "" {
		return ""
	}
	return `"(not shown)"`
}

// comparable is an object without what an API server counts and notes.
func comparable(o *kube.Object) workload.Object {
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	delete(o.Object, "status")
	return o.Object
}
