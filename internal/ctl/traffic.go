package ctl

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/kube"
)

// longestLook is for how long a server counts at most.
const longestLook = 10 * time.Second

// away is for how long a server may be away that was there: as long as one takes to begin again.
const away = 10 * time.Second

// byService looks at the traffic of servers until it is interrupted.
func (c *top) byService(ctx context.Context) error {
	if c.interval > longestLook {
		return misused(&c.command, "top: --interval %s is too long; %s or shorter", c.interval, longestLook)
	}
	if len(c.servers) == 0 {
		c.servers = list{c.usualServer()}
	}
	var heard time.Time
	for {
		t, err := c.traffic(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // whoever has seen enough
		case err != nil && time.Since(heard) > away:
			return err
		case err != nil:
			kube.Pause(ctx, c.interval)
			continue
		}
		heard = time.Now()
		if err := c.showTraffic(t); err != nil || c.once {
			return err
		}
	}
}

// traffic asks all servers at once, and adds up what they say.
func (c *top) traffic(ctx context.Context) (report.Traffic, error) {
	v := url.Values{"seconds": {fmt.Sprint(c.interval.Seconds())}, "limit": {"10000"}}
	c.narrowed(v, map[string]string{"federation": c.federation, "namespace": c.namespace})
	said := make([]report.Traffic, len(c.servers))
	errs := make([]error, len(c.servers))
	var all sync.WaitGroup
	for i, server := range c.servers {
		all.Go(func() {
			one := asking{call: c.call, server: server}
			errs[i] = one.fetch(ctx, "traffic", v, &said[i])
		})
	}
	all.Wait()
	if err := cmp.Or(errs...); err != nil {
		return report.Traffic{}, err
	}
	return added(said), nil
}

// added is what several servers say, together.
func added(said []report.Traffic) report.Traffic {
	out := report.Traffic{Answers: []report.Answers{}}
	sums := map[report.Answers]float64{}
	for _, t := range said {
		out.Seconds = max(out.Seconds, t.Seconds)
		out.PerSecond += t.PerSecond
		for _, a := range t.Answers {
			n := a.PerSecond
			a.PerSecond = 0
			sums[a] += n
		}
	}
	for a, n := range sums {
		a.PerSecond = n
		out.Answers = append(out.Answers, a)
	}
	slices.SortFunc(out.Answers, func(a, b report.Answers) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(subjectOf(&a), subjectOf(&b)), cmp.Compare(a.Federation, b.Federation), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Outcome, b.Outcome))
	})
	out.Total = len(out.Answers)
	return out
}

// subjectOf is the service of answers, as orders and explain take it.
func subjectOf(a *report.Answers) string {
	if a.Name == "" {
		return "-"
	}
	return subject(&report.Service{Kind: a.Kind, Namespace: a.Namespace, Name: a.Name})
}

func (c *top) showTraffic(t report.Traffic) error {
	if c.out.data() {
		return c.put(c.out, t)
	}
	c.clear()
	out := table{head: []string{"FEDERATION", "SERVICE", "SCOPE", "OUTCOME", "A SECOND", "SHARE"}, names: []string{"SERVICE"}}
	for i := range t.Answers[:min(c.rows, len(t.Answers))] {
		a := &t.Answers[i]
		out.rows = append(out.rows, []string{cmp.Or(a.Federation, "-"), subjectOf(a), a.Scope, a.Outcome, fmt.Sprintf("%.1f", a.PerSecond), fmt.Sprintf("%.0f%%", 100*a.PerSecond/t.PerSecond)})
	}
	out.rows = append(out.rows, []string{"all", "", "", "", fmt.Sprintf("%.1f", t.PerSecond), ""})
	c.tabulate(out)
	if more := t.Total - c.rows; more > 0 {
		c.printf("%d more; --rows says how many are shown\n", more)
	}
	return nil
}
