package ctl

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

type unjoin struct {
	reaching
	asking   asking
	cluster  string // context
	orphan   bool
	force    bool
	wait     time.Duration
	kindList list
	timeout  time.Duration
	dry      bool
	out      output
}

// defaultWait is the longest that answers are remembered by default.
const defaultWait = 180 * time.Second

func (c *unjoin) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	hostFlag(fs)
	c.asking.call = c.call
	c.asking.at(fs)
	fs.StringVar(&c.cluster, "cluster-context", "", "`X`, the context of the cluster; default: one of the cluster's name")
	fs.BoolVar(&c.orphan, "orphan", false, "leave in the cluster what fedsync put there")
	fs.BoolVar(&c.force, "force", false, "even if the cluster can't be reached: what is there stays")
	fs.DurationVar(&c.wait, "drain-wait", defaultWait, "`DURATION` that answers with the cluster may be remembered; fedns is asked for services with more; 0 doesn't wait")
	fs.Var(&c.kindList, "kind", "`GROUP/VERSION/KIND` that was propagated to it, too; may be given several times")
	fs.DurationVar(&c.timeout, "timeout", 15*time.Minute, "`DURATION` after which it is given up; it can be run again")
	fs.BoolVar(&c.dry, "dry-run", false, "remove nothing; say what would be removed, with -o as objects")
	c.out.declareObjects(fs)
}

func (c *unjoin) run(ctx context.Context) error {
	name, err := c.clusterName()
	if err != nil {
		return err
	}
	if c.wait < 0 {
		return misused(&c.command, "unjoin: --drain-wait %s is over already", c.wait)
	}
	if err := c.formatted(c.out, c.dry); err != nil {
		return err
	}
	f := membership.Leaving{Orphan: c.orphan, Wait: c.wait}
	if f.Kinds, err = c.kinds(c.kindList); err != nil {
		return err
	}
	if c.cluster == "" {
		c.cluster = name
	}
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		home, whose, err := c.federation(ctx)
		if err != nil {
			return err
		}
		m := &membership.Member{Federation: whose.Federation, Home: home, Cluster: name}
		away := c.member(ctx, m)
		if away != nil && !c.force {
			return advice.Errorf("--cluster-context says which context is its; --force removes it from the federation, and leaves what is in it", "cluster %s: %w", name, away)
		}
		if named := len(f.Kinds) > 0; m.API != nil {
			if f.Kinds = c.propagated(f.Kinds, whose); !named { // of what it doesn't serve, it has none
				if f.Kinds, _, err = bootstrap.Served(ctx, m.API, f.Kinds); err != nil {
					return err
				}
			}
		}
		if f.Wait > 0 {
			c.ask(ctx, whose, name, &f)
		}
		if c.dry {
			return c.rehearse(ctx, m, f, away, p)
		}
		notes, err := m.Unjoin(ctx, f, p.say)
		p.end()
		for _, n := range notes {
			c.printf("%s\n", n)
		}
		if err != nil {
			return advice.Errorf("fedctl unjoin again goes on from there", "%w", err)
		}
		c.printf("cluster %s is no member of federation %s any more\n", name, whose.Federation)
		if away != nil {
			c.printf("what was made in it is there still: %v\n%s\n", away, c.typed("fedctl unjoin "+name+" --cluster-context X again removes it, once it can be reached"))
		}
		return nil
	})
}

// rehearse goes all the way, and removes nothing.
func (c *unjoin) rehearse(ctx context.Context, m *membership.Member, f membership.Leaving, away error, p *progress) error {
	wait := f.Wait
	f.Wait, f.Drained = 0, nil
	var there, here *kube.Rehearsal
	m.Home, here = m.Home.Rehearse()
	if m.API != nil {
		m.API, there = m.API.Rehearse()
	}
	notes, err := m.Unjoin(ctx, f, p.say)
	p.end()
	if err != nil {
		return err
	}
	if c.out.form == "" {
		c.printf("cluster %s would leave the answers of federation %s, and %s later:\n", m.Cluster, m.Federation, cli.Span(wait.Seconds()))
	}
	if err := c.foretold(fmt.Sprintf("the API of federation %s", m.Federation), here, c.out); err != nil {
		return err
	}
	if there != nil {
		if err := c.foretold(fmt.Sprintf("cluster %s, context %q", m.Cluster, c.cluster), there, c.out); err != nil {
			return err
		}
	}
	if c.out.form != "" {
		return nil
	}
	for _, n := range notes {
		c.printf("%s\n", n)
	}
	if away != nil {
		c.printf("what was made in the cluster would stay: %v\n", away)
	}
	c.printf("nothing is done\n")
	return nil
}

// reachTime is for a cluster to say anything.
var reachTime = 10 * time.Second

// member reaches the cluster, and says why it can't.
func (c *unjoin) member(ctx context.Context, m *membership.Member) error {
	api, _, err := c.open(kubeconfig.Choice{Context: c.cluster})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if _, err := bootstrap.Identity(ctx, api); err != nil {
		if kube.Reached(err) {
			return fmt.Errorf("it answers, but: %w", err)
		}
		return err
	}
	m.API = api
	return nil
}

// ask asks a running fedns, if there is one, how long its answers are remembered
// and whether the cluster is in them.
func (c *unjoin) ask(ctx context.Context, whose v1alpha1.Settings, name string, f *membership.Leaving) {
	drained := func(ctx context.Context) (known, out bool, err error) {
		var all report.Clusters
		if err := c.asking.get(ctx, "clusters", nil, &all); err != nil {
			return false, false, err
		}
		out = true
		for _, m := range all.Clusters {
			if m.Federation != whose.Federation || m.Cluster != name {
				continue
			}
			known = true
			for _, t := range m.Shards {
				out = out && t.Verdict != "up"
			}
		}
		return known, out, nil
	}
	if known, _, err := drained(ctx); err != nil || !known {
		return // none is asked by default, or it is another federation's
	}
	f.Drained = func(ctx context.Context) (bool, error) {
		_, out, err := drained(ctx)
		return out, err
	}
	if c.given["drain-wait"] {
		return
	}
	all, _ := c.asking.services(ctx, url.Values{}) // as far as they can be had
	for _, s := range all.Services {
		f.Wait = max(f.Wait, time.Duration(s.TTL)*time.Second)
	}
}

var unjoinCommand = command{
	name: "unjoin", args: "CLUSTER", min: 1, max: 1,
	what: "take a cluster out, first of all out of the answers",
	example: `# When no answer that names it can be remembered any more, what was made in it goes
fedctl unjoin gce-us-central1-a --context myfederation

# What would be removed
fedctl unjoin gce-us-central1-a --context myfederation --dry-run`,
	proposes: (*shell).members,
	make:     func(c *call) action { return &unjoin{reaching: newReaching(c)} },
}
