package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/probe"
)

// target is what a check of a federation's table comes to, and why it isn't probed; "":
// it is, or there is nothing to be said of it. The tables' checks have been read before: a
// spec that is none probes nothing.
func (w *worker) target(federation int, c shard.Check) (t probe.Target, why string, ok bool) {
	spec, err := probe.Parse(strings.Fields(c.Spec))
	if err != nil || spec.Kind == probe.None {
		return t, "", false
	}
	t = spec.At(c.Addr.Addr(), c.Addr.Port())
	if t.Addr.Port() == 0 {
		return t, "", false
	}
	if !w.tables[federation].MayAnnounce(c.Cluster, t.Addr.Addr()) {
		return t, fmt.Sprintf("outside the addresses of cluster %q", c.Cluster), false
	}
	why = w.federations[federation].Probes.Refuses(t, c.Annotated)
	return t, why, why == ""
}

// followChecks gives the prober what the tables want probed, if that has changed, or if
// this host's addresses have, which aren't probed.
// Checks of any table that come to the same are one target.
func (w *worker) followChecks() {
	moves := probe.HostAddressChanges()
	changed := moves != w.moves
	w.moves = moves
	for _, t := range w.tables {
		changed = t.ChecksChanged() || changed
	}
	if !changed {
		return
	}
	w.targets = map[probe.Target][]wanted{}
	var all []probe.Request
	for i, t := range w.tables {
		rules := &w.federations[i].Probes
		for _, c := range t.Checks() {
			tg, why, ok := w.target(i, c)
			if !ok {
				t.NotProbed(c, why)
				continue
			}
			all = append(all, probe.Request{
				Target: tg, Requester: probe.Requester{Federation: w.federations[i].Name, Member: string(c.Cluster), Namespace: c.Namespace},
				Rates: rules.Rates, Free: rules.Allows(tg.Addr.Addr()),
			})
			w.targets[tg] = append(w.targets[tg], wanted{i, c})
		}
	}
	jobs := probe.Pace(all)
	w.prober.Set(jobs)
	for _, j := range jobs {
		slowed := ""
		if j.Every > j.Spec.Interval {
			slowed = fmt.Sprintf("every %s only, for the rate of its namespace, member or address", j.Every.Round(time.Second/10))
		}
		for _, x := range w.targets[j.Target] {
			w.tables[x.federation].BeingProbed(x.check, slowed)
		}
	}
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
