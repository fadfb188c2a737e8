package ctl

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
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
	fs.StringVarP(&c.namespace, "namespace", "n", "", "only those of the namespace `NAME`")
}

// page is how many services are asked for at once.
const page = "1000"

func (c *services) run(ctx context.Context) error {
	v := c.narrowed(url.Values{"limit": {page}}, map[string]string{"federation": c.federation, "namespace": c.namespace})
	if c.unhealthy {
		v.Set("unhealthy", "true")
	}
	all, err := c.services(ctx, v)
	if err != nil {
		return err
	}
	if c.out.data() {
		return c.put(c.out, all, collect(all.Services, named)...)
	}
	if len(all.Services) == 0 {
		what := "there is no service"
		if c.unhealthy {
			what = "every shard of every service is up"
		}
		c.printf("%s\n", what)
		return nil
	}
	t := table{head: []string{"FEDERATION", "SERVICE", "UP", "CLUSTER", "VERDICT", "FOR", "REASON"}, same: []string{"FEDERATION"}, free: []string{"REASON"}, names: []string{"SERVICE", "CLUSTER"}}
	if c.out.wide() {
		t.head = append(t.head, "ENDPOINTS", "PLACES", "ADDRESSES")
		t.free = append(t.free, "PLACES", "ADDRESSES")
	}
	for i := range all.Services {
		s := &all.Services[i]
		up := 0
		for _, x := range s.Shards {
			if x.Verdict == "up" {
				up++
			}
		}
		head := []string{s.Federation, subject(s), fmt.Sprintf("%d/%d", up, len(s.Shards))}
		add := func(cells ...string) {
			t.rows = append(t.rows, append(slices.Clone(head), cells[:len(t.head)-len(head)]...))
			head = []string{"", "", ""}
		}
		for _, x := range s.Shards {
			add(x.Cluster, x.Verdict, cli.Span(x.SinceSeconds), reason(&x), fmt.Sprint(x.Endpoints), where(x.Places), strings.Join(x.Addresses, " "))
		}
		if len(s.Shards) == 0 {
			add("-", "-", "-", s.Down, "-", "", "")
		}
	}
	c.tabulate(t)
	return nil
}

// narrowed adds the flags that were given, with their values, to what is asked for.
func (c *call) narrowed(v url.Values, flags map[string]string) url.Values {
	for name, value := range flags {
		if c.given[name] {
			v.Set(name, value)
		}
	}
	return v
}

// named is a service by its kind's whole name, as explain takes it.
func named(s report.Service) string {
	switch s.Kind {
	case "svc":
		return "service/" + s.Namespace + "/" + s.Name
	case "ing":
		return "ingress/" + s.Namespace + "/" + s.Name
	case "host":
		return "host/" + s.Name
	}
	return s.Kind + "/" + s.Namespace + "/" + s.Name
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

var servicesCommand = command{
	name: "services",
	what: "what is answered for, and how each cluster's shard of it stands",
	example: `# All services
fedctl services

# Those of a namespace of which a shard isn't up
fedctl services --namespace mynamespace --unhealthy`,
	make: func(c *call) action { return &services{asking: asking{call: c}} },
}
