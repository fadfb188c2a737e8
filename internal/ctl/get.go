package ctl

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

type getClusters struct {
	reaching
	output string
}

func (c *getClusters) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.StringVarP(&c.output, "output", "o", "", "`FORMAT`: wide, json or yaml")
}

func (c *getClusters) run(ctx context.Context) error {
	switch c.output {
	case "", "wide", "json", "yaml":
	default:
		return misused(&c.command, "get clusters: -o %q is none of wide, json and yaml", c.output)
	}
	api, whose, err := c.federation(ctx)
	if err != nil {
		return err
	}
	defer api.Close()
	if c.output == "json" || c.output == "yaml" {
		list, err := api.List(ctx, v1alpha1.Clusters, "", "")
		if err != nil {
			return err
		}
		var all []*kube.Object
		for i := range list {
			list[i].SetManagedFields(nil)
			all = append(all, &list[i])
		}
		text, err := kube.Print(all, c.output)
		c.printf("%s", text)
		return err
	}
	t, err := api.Table(ctx, v1alpha1.Clusters, "", c.output == "wide")
	if err != nil {
		return err
	}
	if len(t.Rows) == 0 {
		fmt.Fprintf(c.Stderr, "federation %s has no clusters; fedctl join makes one a member\n", whose.Federation)
		return nil
	}
	// As kubectl spaces it.
	w := tabwriter.NewWriter(c.Stdout, 6, 4, 3, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(t.Columns, "\t")))
	for _, row := range t.Rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func getClustersCommand() command {
	return command{
		name: "get clusters",
		what: "the members, as kubectl shows them",
		long: "The members of a federation, as its API has them, and as kubectl shows them. fedctl clusters lists what a running fedns sees of them.",
		example: `# Of a federation
fedctl get clusters --context myfederation

# As data
fedctl get clusters --context myfederation -o yaml`,
		make: func(c *call) action { return &getClusters{reaching: reaching{call: c}} },
	}
}
