package ctl

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/controller"
	"github.com/fedns/fedns/internal/sync/workload"
)

// adopt has what clusters had before be taken over, many objects at once.
type adopt struct {
	previewing
	yes bool
	dry bool
}

func (c *adopt) declare(fs *pflag.FlagSet) {
	c.previewing.declare(fs)
	fs.Var(&c.kinds, "kind", "`GROUP/VERSION/KIND`, instead of those that fedsync runs with, beside its own; may be given several times")
	fs.BoolVar(&c.yes, "yes", false, "have it done, unasked")
	fs.BoolVar(&c.dry, "dry-run", false, "change nothing; say what would be taken over, and which fields would change")
}

func (c *adopt) run(ctx context.Context) error {
	api, err := c.home(ctx)
	if err != nil {
		return err
	}
	// What is made from now on is somebody's who knows of the federation, or of that name.
	what := controller.Adopting{As: workload.Adoption(c.Now().UTC().Format(time.RFC3339))}
	if err := c.subjects(ctx, api, &what); err != nil {
		return err
	}
	p, err := c.preview(ctx, what)
	if err != nil {
		return err
	}
	p = taken(p)
	if c.out.data() {
		err = c.put(c.out, foreseen(c.federation, p))
	} else {
		err = c.show(p)
	}
	n := len(p.Steps)
	switch {
	case err != nil:
		return err
	case c.dry && len(p.Unknown) > 0:
		return exit(notAllAsked)
	case c.dry:
		return nil
	case n == 0 && len(p.Unknown) == 0:
		return nil
	case !c.yes && c.Stdin == nil:
		fmt.Fprintln(c.Stderr, "nothing is taken over; --yes has it done")
		return nil
	case !c.yes && !c.agreed(fmt.Sprintf("Take over %s?", cli.Plural(n, "object"))):
		fmt.Fprintln(c.Stderr, "nothing is taken over")
		return nil
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.Adopt: string(what.As)}}}
	for _, all := range []struct {
		kind  kube.Kind
		names []string
	}{{builtin.Namespaces, what.Namespaces}, {v1alpha1.Clusters, what.Clusters}} {
		for _, name := range all.names {
			if _, err := api.Merge(ctx, all.kind, "", name, patch, agent, ""); err != nil {
				return fmt.Errorf("%s %s: %w", all.kind.Name, name, err)
			}
			if !c.out.data() {
				c.printf("%s %s: fedsync takes over what was there before %s\n", strings.ToLower(all.kind.Name), name, what.As)
			}
		}
	}
	return nil
}

// subjects finds out what the arguments mean; without any, all clusters.
func (c *adopt) subjects(ctx context.Context, api *kube.API, to *controller.Adopting) (err error) {
	if len(c.positional) == 0 {
		to.Clusters, err = membership.Clusters(ctx, api)
		return err
	}
	for _, s := range c.positional {
		kind, name, _ := strings.Cut(s, "/")
		of := builtin.Namespaces
		switch {
		case name == "" || kind != "cluster" && kind != "namespace":
			return misused(&c.command, "adopt: %q is neither cluster/NAME nor namespace/NAME", s)
		case kind == "cluster":
			of = v1alpha1.Clusters
			to.Clusters = append(to.Clusters, name)
		default:
			to.Namespaces = append(to.Namespaces, name)
		}
		there, err := api.Exists(ctx, of, "", name)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		if !there {
			return advice.Errorf("kubectl get "+of.Resource+" lists them, in the context of the federation", "federation %s has no %s %s", c.federation, kind, name)
		}
	}
	return nil
}

// taken is what of a preview is about objects that are taken over.
func taken(p controller.Preview) controller.Preview {
	out := controller.Preview{Unknown: p.Unknown}
	for _, s := range p.Steps {
		if s.Verb == workload.Adopt {
			out.Steps = append(out.Steps, s)
		}
	}
	return out
}

func (c *adopt) show(p controller.Preview) error {
	if len(p.Steps) == 0 && len(p.Unknown) == 0 {
		c.printf("nothing is there that could be taken over\n")
		return nil
	}
	if err := p.Print(c.Stdout); err != nil {
		return err
	}
	if c.dry && len(p.Steps) > 0 {
		c.printf("%s; nothing is done\n", tally(p.Steps))
	}
	return nil
}

// mostSubjects is more than anybody types.
const mostSubjects = 1000

var adoptCommand = command{
	name: "adopt", args: "[cluster/NAME|namespace/NAME...]", max: mostSubjects,
	what: "take over what clusters had before, many objects at once",
	long: "Have fedsync take over objects that were in clusters before, where the federation has some of these names: in clusters, in namespaces, or in all clusters. It is shown which, with the fields that change, and asked first. What is another federation's isn't taken over so.",
	example: `# What would be taken over in a cluster, and which fields would change
fedctl adopt cluster/onprem --context myfederation --dry-run

# In a namespace, in all clusters
fedctl adopt namespace/shop --context myfederation`,
	proposes: (*shell).adoptable,
	make: func(c *call) action {
		return &adopt{previewing: previewing{steering: steering{reaching: newReaching(c)}}}
	},
}
