package ctl

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/report"
)

// services lists what there is, and how each cluster's part of it stands.
type services struct {
	asking
	unhealthy             bool
	federation, namespace string
}

func (c *services) declare(fs *pflag.FlagSet) {
	c.asking.declare(fs)
	fs.BoolVar(&c.unhealthy, "unhealthy", false, "only those of which a shard isn't up, or is only last known to be")
	fs.StringVar(&c.federation, "federation", "", "only those of the federation `NAME`")
	fs.StringVar(&c.namespace, "namespace", "", "only those of the namespace `NAME`")
}

// page is how many services are asked for at once.
const page = "1000"

func (c *services) run(ctx context.Context) error {
	v := url.Values{"limit": {page}}
	for name, value := range map[string]string{"federation": c.federation, "namespace": c.namespace} {
		if c.given[name] {
			v.Set(name, value)
		}
	}
	if c.unhealthy {
		v.Set("unhealthy", "true")
	}
	all := report.Services{Services: []report.Service{}}
	for {
		var part report.Services
		if err := c.get(ctx, "services", v, &part); err != nil {
			return err
		}
		all.Serial, all.Total = part.Serial, part.Total
		all.Services = append(all.Services, part.Services...)
		if part.Next == "" {
			break
		}
		v.Set("after", part.Next)
	}
	if c.json {
		return c.print(all)
	}
	if len(all.Services) == 0 {
		what := "there is no service"
		if c.unhealthy {
			what = "every shard of every service is up"
		}
		c.printf("%s\n", what)
		return nil
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEDERATION\tSERVICE\tUP\tCLUSTER\tVERDICT\tFOR\tREASON")
	for i := range all.Services {
		s := &all.Services[i]
		up := 0
		for _, x := range s.Shards {
			if x.Verdict == "up" {
				up++
			}
		}
		head := fmt.Sprintf("%s\t%s\t%d/%d", s.Federation, subject(s), up, len(s.Shards))
		for _, x := range s.Shards {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", head, x.Cluster, x.Verdict, span(x.SinceSeconds), reason(&x))
			head = "\t\t"
		}
		if len(s.Shards) == 0 {
			fmt.Fprintf(w, "%s\t-\t-\t-\t%s\n", head, s.Down)
		}
	}
	return w.Flush()
}

// subject is a service as orders and explain take it.
func subject(s *report.Service) string {
	switch s.Kind {
	case "svc":
		return s.Namespace + "/" + s.Name
	}
	return s.Kind + "/" + s.Namespace + "/" + s.Name
}

// reason says why a shard is what it is.
func reason(x *report.ServiceShard) string {
	out := x.Reason
	if x.Stale {
		out += ", when last heard"
	}
	if x.Order != "" {
		out += "; order: " + x.Order
	}
	return out
}

func servicesCommand() command {
	return command{
		name: "services",
		what: "what is answered for, and how each cluster's shard of it stands",
		example: `# All services
fedctl services

# Those of a namespace of which a shard isn't up
fedctl services --namespace mynamespace --unhealthy`,
		make: func(c *call) action { return &services{asking: asking{call: c}} },
	}
}
