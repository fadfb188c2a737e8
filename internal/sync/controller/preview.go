package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A Preview is what a run would do now.
type Preview struct {
	Steps []Foreseen
	// Waiting are objects of ours that no federated object asks for.
	Waiting []workload.Stray
	Notes   []string
	// Unknown is who could not be asked, and why: what there is to do there isn't among the steps.
	Unknown []string
	// TooMany are clusters in which so much would go that an operator has to
	// confirm it.
	TooMany []string
	unseen  []objectInCluster // copies that a run looks for by name
}

// A Foreseen is a step, and what a dry run of it has come to.
type Foreseen struct {
	workload.Step
	// Refused is why the cluster would not let it be done; "": it would.
	Refused string
	// Untried is why that can't be said before others are done.
	Untried string
}

// Plan finds out what a run would do, and does nothing. It gives up on clusters that can't be reached, and
// by the deadline of ctx on those that haven't said what they have.
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
		ready := false
		complete, _ := ask(life, l, func() bool {
			complete := l.hub.complete() && l.hub.clustersSynced
			if complete {
				ready, p = l.hub.foresee(final)
			}
			return complete
		})
		switch {
		case ready || final && complete:
			return l.rehearse(ctx, p), nil
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

// unsaid is why it isn't known what a cluster has.
func (c *cluster) unsaid() string {
	if c.liveness.why != "" {
		return c.liveness.why
	}
	var names []string
	for _, s := range c.hub.kinds {
		if !c.tells(s) {
			names = append(names, s.Kind.Name)
		}
	}
	if len(names) == 0 || len(names) == len(c.hub.kinds) {
		return "it didn't answer in time"
	}
	return "it didn't list in time what it has of " + strings.Join(names, ", ")
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
			p.Unknown = append(p.Unknown, fmt.Sprintf("cluster %s: %s", name, m.unsaid()))
			ready = ready && m.absent()
		}
	}
	if !ready && !final {
		return ready, p
	}
	deletes := map[string]int{}
	for _, k := range u.table.KeysOf(nil) {
		w := *u.table.Desired(k)
		w.Finalizer, w.Unsaid = true, false // a run begins with it
		plan := u.table.PlanOf(&w)
		for _, s := range plan.Steps {
			if s.Verb == workload.Delete {
				deletes[s.Cluster]++
			}
		}
		for _, s := range plan.Steps {
			p.Steps = append(p.Steps, Foreseen{Step: s})
		}
		for _, c := range u.table.Unseen(&w, plan) {
			p.unseen = append(p.unseen, objectInCluster{c, k})
		}
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
	slices.SortStableFunc(p.Steps, func(a, b Foreseen) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return ready, p
}
