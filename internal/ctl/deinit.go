package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/hosted"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

type deinit struct {
	reaching
	hostName   string // context
	yes, force bool
	timeout    time.Duration
	dry        bool
	out        output
}

func (c *deinit) declare(fs *pflag.FlagSet) {
	c.files(fs)
	fs.StringVar(&c.hostName, "host-cluster-context", "", "`C` of the cluster that the API was set up in; not for one made with --api")
	fs.BoolVar(&c.yes, "yes", false, "mean it: the federation's objects go, too")
	fs.BoolVar(&c.force, "force", false, "even if it has clusters, or that can't be known, or fedsync's marks can't be taken off")
	fs.DurationVar(&c.timeout, "timeout", 5*time.Minute, "`DURATION` after which it is given up; it can be run again")
	fs.BoolVar(&c.dry, "dry-run", false, "remove nothing; say what would be removed, with -o as objects")
	c.out.declareObjects(fs)
}

func (c *deinit) run(ctx context.Context) error {
	name := c.positional[0]
	if err := c.formatted(c.out, c.dry); err != nil {
		return err
	}
	if !c.yes && !c.dry {
		return misused(&c.command, "deinit: --yes is missing: the API of federation %s goes, with all that is in it", name)
	}
	return c.bounded(ctx, c.timeout, func(ctx context.Context, p *progress) error {
		var server string
		var notes []string
		var err error
		if c.hostName != "" {
			server, notes, err = c.raze(ctx, name, p)
		} else {
			server, notes, err = c.strike(ctx, name, p)
		}
		if err != nil {
			return err
		}
		p.end()
		for _, n := range notes {
			if c.out.form == "" {
				c.printf("%s\n", n)
			}
		}
		if c.dry {
			return c.unmade(name)
		}
		removed, err := c.find().Remove(ctx, name, server)
		if err != nil {
			return err
		}
		c.printf("federation %s is gone\n", name)
		if removed {
			c.printf("context %q is, too\n", name)
		}
		return nil
	})
}

// raze removes an API from its host cluster.
func (c *deinit) raze(ctx context.Context, name string, p *progress) (server string, notes []string, err error) {
	api, _, err := c.open(kubeconfig.Choice{Context: c.hostName})
	if err != nil {
		return "", nil, err
	}
	admin, err := hosted.Admin(ctx, api, name)
	if err != nil && !kube.Missing(err) {
		return "", nil, err
	}
	if admin == nil && !c.force {
		return "", nil, advice.Errorf("--force removes what is left of one", "%s: there is no federation %s", api.Server, name)
	}
	if admin != nil {
		e, err := kubeconfig.EndpointOf(admin)
		if err != nil {
			return "", nil, err
		}
		server = e.Server
		if !c.force {
			home, err := c.reach(admin)
			if err != nil {
				return "", nil, err
			}
			if err := c.empty(ctx, home, name); err != nil {
				return "", nil, err
			}
		}
	}
	p.say("what stands in the host cluster")
	if c.dry {
		var r *kube.Rehearsal
		api, r = api.Rehearse()
		defer func() { err = c.after(err, fmt.Sprintf("the host cluster, context %q", c.hostName), r, p) }()
	}
	kept, err := hosted.Delete(ctx, api, name)
	if kept != "" {
		notes = append(notes, fmt.Sprintf("namespace %s stays: %s", v1alpha1.System, kept))
	}
	return server, notes, err
}

// after prints what a rehearsal that went well would have removed.
func (c *deinit) after(err error, where string, r *kube.Rehearsal, p *progress) error {
	p.end()
	if err != nil {
		return err
	}
	return c.foretold(where, r, c.out)
}

// unmade ends a dry run.
func (c *deinit) unmade(name string) error {
	if c.out.form != "" {
		return nil
	}
	has, err := c.find().Has(name)
	if err != nil {
		return err
	}
	if has {
		c.printf("would remove context %q, in kubeconfig %s\n", name, c.find())
	}
	c.printf("nothing is done\n")
	return nil
}

// strike takes the federation out of an API that stays.
func (c *deinit) strike(ctx context.Context, name string, p *progress) (server string, notes []string, err error) {
	api, cut, err := c.open(kubeconfig.Choice{Context: name})
	if err != nil {
		return "", nil, err
	}
	whose, err := bootstrap.Read(ctx, api)
	if err != nil {
		return "", nil, err
	}
	if whose.Federation != name {
		return "", nil, advice.Errorf("", "context %q leads to federation %s", name, whose.Federation)
	}
	if whose.Hosted {
		return "", nil, advice.Errorf("--host-cluster-context C", "federation %s has an API of its own, in a host cluster: which one?", name)
	}
	if !c.force {
		if err := c.empty(ctx, api, name); err != nil {
			return "", nil, err
		}
	}
	if c.dry {
		var r *kube.Rehearsal
		api, r = api.Rehearse()
		defer func() { err = c.after(err, fmt.Sprintf("the API of federation %s", name), r, p) }()
	}
	notes, err = bootstrap.Uninstall(ctx, api, name, c.force, p.say)
	return cut.Endpoint.Server, notes, err
}

// empty makes sure that no cluster is joined: what is in it would be left, with
// rights that nobody needs.
func (c *deinit) empty(ctx context.Context, home *kube.API, name string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	names, err := membership.Clusters(ctx, home)
	if err != nil {
		return advice.Errorf("--force doesn't ask", "federation %s: whether it has clusters can't be known: %w", name, err)
	}
	if len(names) > 0 {
		return advice.Errorf("fedctl unjoin each of them first; --force leaves in them what is there", "federation %s has clusters: %s", name, apply.Some(names))
	}
	return nil
}

var deinitCommand = command{
	name: "deinit", args: "NAME --yes", min: 1, max: 1,
	what: "remove what init made",
	long: "Remove the API of a federation, with all that is in it. Its clusters have to have left before. An API that init was given with --api stays, with the " +
		"objects in it: what fedsync has written on them, such as the finalizer that keeps them from being deleted, is taken off.",
	example: `# What would be removed
fedctl deinit myfederation --host-cluster-context host --dry-run

# Remove it
fedctl deinit myfederation --host-cluster-context host --yes`,
	proposes: (*shell).contexts,
	make:     func(c *call) action { return &deinit{reaching: newReaching(c)} },
}
