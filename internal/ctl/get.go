package ctl

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

type getClusters struct {
	reaching
	out output
}

func (c *getClusters) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	c.out.declare(fs, forms)
}

func (c *getClusters) run(ctx context.Context) error {
	api, whose, err := c.federation(ctx)
	if err != nil {
		return err
	}
	if c.out.data() {
		list, err := api.List(ctx, v1alpha1.Clusters, "", "")
		if err != nil {
			return err
		}
		var all []*kube.Object
		for i := range list {
			list[i].SetManagedFields(nil)
			all = append(all, &list[i])
		}
		return c.putObjects(c.out, all)
	}
	t, err := api.Table(ctx, v1alpha1.Clusters, "", c.out.wide())
	if err != nil {
		return err
	}
	if len(t.Rows) == 0 {
		fmt.Fprintf(c.Stderr, "federation %s has no clusters; fedctl join makes one a member\n", whose.Federation)
		return nil
	}
	members := table{rows: t.Rows, pad: 3, least: 6} // as kubectl spaces it
	for _, name := range t.Columns {
		members.head = append(members.head, strings.ToUpper(name))
	}
	members.names, members.free = members.head[:1], members.head[1:]
	c.tabulate(members)
	return nil
}

var getClustersCommand = command{
	name: "get clusters",
	what: "the members, as kubectl shows them",
	long: "The members of a federation, as its API has them, and as kubectl shows them. fedctl clusters lists what a running fedns sees of them.",
	example: `# Of a federation
fedctl get clusters --context myfederation

# As data
fedctl get clusters --context myfederation -o yaml`,
	make: func(c *call) action { return &getClusters{reaching: newReaching(c)} },
}
