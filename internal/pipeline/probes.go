package pipeline

import (
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/probe"
)

// target is what a table's check comes to. The tables' checks have been read
// before: a spec that is none probes nothing.
func target(c shard.Check) (t probe.Target, ok bool) {
	spec, err := probe.Parse(strings.Fields(c.Spec))
	if err != nil || spec.Kind == probe.None {
		return t, false
	}
	t = spec.At(c.Addr.Addr(), c.Addr.Port())
	return t, t.Addr.Port() != 0
}

// followChecks gives the prober what the tables want probed, if that has changed.
// Checks of any table that come to the same are one target.
func (w *worker) followChecks() {
	changed := false
	for _, t := range w.tables {
		changed = t.ChecksChanged() || changed
	}
	if !changed {
		return
	}
	w.targets = map[probe.Target][]wanted{}
	var all []probe.Target
	for i, t := range w.tables {
		for _, c := range t.Checks() {
			tg, ok := target(c)
			if !ok {
				t.Idle(c)
				continue
			}
			if w.targets[tg] == nil {
				all = append(all, tg)
			}
			w.targets[tg] = append(w.targets[tg], wanted{i, c})
		}
	}
	w.prober.Set(all)
	for tg, ws := range w.targets {
		// A target that has only just been added may be known from before.
		if r, ok := w.prober.Result(tg); ok && r.State != health.Unprobed {
			w.found(ws, r.State)
		}
	}
}

// A wanted is a check with the federation whose table wants it.
type wanted struct {
	federation int
	check      shard.Check
}

func (w *worker) found(ws []wanted, state health.Probe) {
	for _, x := range slices.Clone(ws) {
		w.tables[x.federation].Checked(x.check, state)
	}
}
