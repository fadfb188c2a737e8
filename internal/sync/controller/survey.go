package controller

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A Survey is how the pods of a federation stand at a moment, by what the clusters
// themselves say.
type Survey struct {
	Workloads []Pods
	// Unknown are clusters that could not be asked, and why.
	Unknown map[string]string
}

// Pods are those of one federated object with replicas.
type Pods struct {
	workload.Key
	Total int64  // that are wanted, in all clusters
	In    []Part // by cluster
}

// A Part is the pods of a workload in one cluster.
type Part struct {
	Cluster string
	State   workload.State
	Wanted  int64 // replicas that the plan gives it
	There   int64 // that it has
	Ready   int64
}

// Waits says whether a part isn't yet as the plan has it. What the cluster refuses, or
// has of somebody else, isn't waited for.
func (p Part) Waits() bool {
	switch p.State {
	case workload.Pending, workload.Deleting:
		return true
	case workload.Applied:
		return p.There != p.Wanted || p.Ready < p.Wanted
	}
	return false
}

// Follow calls look with how pods stand, every interval once all that can be asked
// has been listed, until look says that it has seen enough, or ctx ends. Nothing is
// written.
func Follow(ctx context.Context, api *kube.API, c Config, interval time.Duration, look func(Survey) (enough bool)) error {
	c.Log = cmp.Or(c.Log, slog.Default())
	run, cancel := context.WithCancel(ctx)
	l, err := newLoop(run, run, api, c)
	if err != nil {
		cancel()
		return err
	}
	l.preview = true
	done := make(chan struct{})
	go func() { defer close(done); l.run() }()
	defer func() { cancel(); <-done }()
	clock := time.NewTicker(interval)
	defer clock.Stop()
	for {
		answer := make(chan *Survey, 1)
		l.do(func() { answer <- l.survey() })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-answer:
			if s != nil && look(*s) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.C:
		}
	}
}

// survey looks at all workloads; nil: what there is isn't known yet.
func (l *loop) survey() *Survey {
	if !l.complete() || !l.mustered {
		return nil
	}
	l.describe(time.Now()) // a cluster that has just been reached is one
	s := &Survey{Unknown: map[string]string{}}
	for name := range l.clusters {
		m := l.members[name]
		switch {
		case m == nil && l.troubles[name].why == "":
			return nil // it hasn't been started yet
		case m == nil:
			s.Unknown[name] = l.troubles[name].why
		case m.twin() != "":
			s.Unknown[name] = m.twin()
		case m.pulse.missed >= misses:
			s.Unknown[name] = m.pulse.why
		case !m.known() || !m.reachable():
			return nil
		}
	}
	for _, k := range l.table.Wants(nil) {
		if !slices.Contains(k.Scale, "replicas") {
			continue
		}
		w := *l.table.Wanted(k)
		if w.Deleting {
			continue
		}
		w.Finalizer = true // a run begins with it
		pods := Pods{Key: k, Total: 1}
		if n, ok := w.Total["replicas"]; ok {
			pods.Total = n
		}
		for _, standing := range l.table.PlanOf(&w).Standings {
			p := Part{Cluster: standing.Cluster, State: standing.State, Wanted: standing.Scale["replicas"]}
			if h := l.table.Known(p.Cluster, k); h != nil && h.Ours {
				p.There = max(h.Scale["replicas"], count(h, "replicas"))
				if seen := count(h, "observedGeneration"); seen >= h.Part.Generation {
					p.Ready = count(h, "readyReplicas")
				}
			}
			pods.In = append(pods.In, p)
		}
		s.Workloads = append(s.Workloads, pods)
	}
	return s
}

func count(h *workload.Have, field string) int64 {
	n, _ := h.Part.Status[field].(int64)
	return n
}
