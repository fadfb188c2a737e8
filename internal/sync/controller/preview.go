package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A Preview is what a run would do now.
type Preview struct {
	Steps []workload.Step
	// Waiting are objects of ours that no federated object asks for.
	Waiting []workload.Stray
	Notes   []string
	// Unknown are clusters that could not be asked, and why.
	Unknown []string
	// TooMany are clusters in which so much would go that an operator has to
	// confirm it.
	TooMany []string
}

// Plan finds out what a run would do, and does nothing. It gives up on clusters
// that haven't been listed by the deadline of ctx.
func Plan(ctx context.Context, c Config) (Preview, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Content: c.Content, Context: c.Context, Agent: agent})
	if err != nil {
		return Preview{}, err
	}
	defer api.Close()
	if c, _, err = settle(ctx, api, c); err != nil {
		return Preview{}, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l, err := newLoop(ctx, life, api, c)
	if err != nil {
		cancel()
		return Preview{}, err
	}
	l.hub.preview, l.hub.table.Keep = true, true
	done := make(chan struct{})
	go func() { defer close(done); l.run() }()
	defer func() { cancel(); <-done }()

	look := time.NewTicker(tick)
	defer look.Stop()
	var p Preview
	for final := false; ; {
		ready, complete := false, false
		answered := make(chan struct{})
		l.do(func() {
			defer close(answered)
			if complete = l.hub.complete() && l.hub.mustered; complete {
				ready, p = l.hub.foresee(final)
			}
		})
		<-answered
		switch {
		case ready || final && complete:
			return p, l.fields(ctx, &p)
		case final:
			return p, errors.New("the federation's API didn't list what it has in time")
		}
		select {
		case <-ctx.Done():
			final = true
		case <-look.C:
		}
	}
}

// foresee makes all plans. ready says that every cluster has been heard; without
// that there are none, unless it is the final try.
func (u *hub) foresee(final bool) (ready bool, p Preview) {
	u.describe(time.Now())
	ready = true
	for name := range u.clusters {
		m := u.members[name]
		switch {
		case m == nil:
			why := u.troubles[name].why
			p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: %s", name, why))
			ready = ready && why != "" // else it hasn't been started yet
		case m.twin() != "":
			p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: %s", name, m.twin()))
		case !m.known() || !m.reachable():
			why := cmp.Or(m.pulse.why, "hasn't been listed")
			p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: %s", name, why))
			ready = ready && m.pulse.missed >= misses
		}
	}
	if !ready && !final {
		return ready, p
	}
	deletes := map[string]int{}
	for _, k := range u.table.Wants(nil) {
		w := *u.table.Wanted(k)
		w.Finalizer, w.Unsaid = true, false // a run begins with it
		plan := u.table.PlanOf(&w)
		for _, s := range plan.Steps {
			if s.Verb == workload.Delete {
				deletes[s.Cluster]++
			}
		}
		p.Steps = append(p.Steps, plan.Steps...)
		for _, n := range plan.Notes {
			p.Notes = append(p.Notes, fmt.Sprintf("%s: %s: %s", k, n.Reason, n.Text))
		}
	}
	p.Waiting = u.table.Strays()
	for c, n := range deletes {
		if n > u.MaxDeletes {
			p.TooMany = append(p.TooMany, fmt.Sprintf("cluster %s: %d deletions, more than %d: an operator has to confirm them", c, n, u.MaxDeletes))
		}
	}
	slices.Sort(p.Unknown)
	slices.Sort(p.TooMany)
	slices.SortStableFunc(p.Steps, func(a, b workload.Step) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return ready, p
}

// fields asks the clusters what would change in objects that are there already: by
// the very calls that a run makes, as dry runs.
func (l *loop) fields(ctx context.Context, p *Preview) error {
	members := make(chan map[string]*kube.API, 1)
	l.do(func() {
		apis := map[string]*kube.API{}
		for name, c := range l.hub.members {
			apis[name] = l.links[c].api
		}
		members <- apis
	})
	apis := <-members
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dryRunTime)
	defer cancel()
	for i := range p.Steps {
		s := &p.Steps[i]
		api := apis[s.Cluster]
		if api == nil || s.Verb == workload.Delete || s.Verb == workload.Release {
			continue
		}
		was, err := api.Get(ctx, s.Kind, s.Namespace, s.Name)
		switch {
		case kube.Missing(err):
			continue // all of it is new
		case err != nil:
			return fmt.Errorf("cluster %q: %s: %w", s.Cluster, s.Key, err)
		case s.Verb == workload.Create:
			s.Verb, s.Why, s.Object = "", "an object of that name is there, and isn't ours; fedns.io/adopt=true would take it over", nil
			continue
		}
		now, _, err := api.Apply(ctx, s.Kind, &kube.Object{Object: s.Object}, kube.How{Manager: agent, Force: true, DryRun: true})
		if err != nil {
			s.Why += "; it would be refused: " + err.Error()
			continue
		}
		s.Changes = workload.Compare(comparable(was), comparable(now))
		if s.Secret {
			for i := range s.Changes {
				s.Changes[i].Was, s.Changes[i].Now = hide(s.Changes[i].Was), hide(s.Changes[i].Now)
			}
		}
	}
	p.Steps = slices.DeleteFunc(p.Steps, func(s workload.Step) bool {
		if s.Verb == "" {
			p.Notes = append(p.Notes, fmt.Sprintf("%s: NameTaken: cluster %s: %s", s.Key, s.Cluster, s.Why))
			return true
		}
		return false
	})
	return nil
}

// hide keeps what is secret out of terminals and logs.
func hide(value string) string {
	if value == "" {
		return ""
	}
	return "(not shown)"
}

// dryRunTime bounds the asking of all clusters.
const dryRunTime = time.Minute

// comparable is an object without what an API server counts and notes.
func comparable(o *kube.Object) workload.Object {
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	delete(o.Object, "status")
	return o.Object
}
