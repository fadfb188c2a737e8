package ctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
)

// statusOf says how the clusters and the objects of a federation stand, or one object.
type statusOf struct {
	steering
	namespace string
	exit      bool
	out       output
}

func (c *statusOf) declare(fs *pflag.FlagSet) {
	c.steering.declare(fs)
	fs.StringVarP(&c.namespace, "namespace", "n", "", "`NAME` of the namespace, for KIND/NAME; without an argument, only the objects in it")
	fs.BoolVar(&c.exit, "exit-code", false, "exit with 3 if anything that is shown isn't as it should be")
	c.out.declare(fs, forms)
}

func (c *statusOf) run(ctx context.Context) error {
	var namespace, kind, name string
	if len(c.positional) > 0 {
		parts := strings.Split(c.positional[0], "/")
		switch {
		case len(parts) == 3 && c.namespace != "" && parts[0] != c.namespace:
			return misused(&c.command, "status: %q isn't of the namespace %q that -n says", c.positional[0], c.namespace)
		case len(parts) == 2:
			parts = append([]string{c.namespace}, parts...)
		case len(parts) != 3:
			return misused(&c.command, "status: %q is neither NAMESPACE/KIND/NAME nor KIND/NAME", c.positional[0])
		}
		if namespace, kind, name = parts[0], parts[1], parts[2]; kind == "" || name == "" {
			return misused(&c.command, "status: %q is neither NAMESPACE/KIND/NAME nor KIND/NAME", c.positional[0])
		}
	}
	api, err := c.home(ctx)
	if err != nil {
		return err
	}
	all, err := placementsOf(ctx, api)
	if err != nil {
		return err
	}
	if kind != "" {
		return c.one(all, namespace, kind, name)
	}
	clusters, err := clustersOf(ctx, api)
	if err != nil {
		return err
	}
	return c.all(all, clusters)
}

// one says how an object stands.
func (c *statusOf) one(all []placement, namespace, kind, name string) error {
	i := slices.IndexFunc(all, func(p placement) bool { return p.about(namespace, kind, name) })
	if i < 0 {
		asked := strings.TrimPrefix(namespace+"/"+kind+"/"+name, "/")
		help := "fedctl get objects lists those that it has told of"
		if near := nearTo(all, kind, name); len(near) > 0 {
			help = "did you mean " + strings.Join(near, ", or ") + "?"
		}
		return advice.Errorf(help, "fedsync has told of no object %s in federation %s", asked, c.federation)
	}
	p := &all[i]
	if err := c.show(p); err != nil {
		return err
	}
	if c.exit && !p.Status.Well() {
		return exit(notWell)
	}
	return nil
}

// few is how many objects are shown where not all are.
const few = 20

// nearTo are objects that may be meant.
func nearTo(all []placement, kind, name string) (out []string) {
	var names []string
	for _, p := range all {
		names = append(names, p.Object.Name)
	}
	near := advice.Near(name, names)
	for i := range all {
		o := all[i].Object
		if (o.Name == name || slices.Contains(near, o.Name)) && all[i].about(o.Namespace, kind, o.Name) && len(out) < 3 {
			out = append(out, o.String())
		}
	}
	return out
}

// show prints how one object stands.
func (c *statusOf) show(p *placement) error {
	s := p.Status
	switch {
	case c.out.form == "name":
		return c.put(c.out, nil, p.Object.String())
	case c.out.data():
		return c.putObjects(c.out, []*kube.Object{p.whole})
	}
	c.printf("%s: %s", p.Object, s.State)
	if s.Desired != nil && s.Ready != nil {
		c.printf(", %d of %d ready", *s.Ready, *s.Desired)
	}
	if s.Since != nil {
		c.printf(", for %s", cli.Span(c.Now().Sub(s.Since.Time).Seconds()))
	}
	c.printf("\n")
	if s.Why != "" {
		c.fold("  ", s.Why)
	}
	if len(s.Clusters) == 0 {
		return nil
	}
	t := table{head: []string{"CLUSTER", "DESIRED", "READY", "STATE", "WHY"}, free: []string{"WHY"}, names: []string{"CLUSTER"}}
	for _, m := range s.Clusters {
		t.rows = append(t.rows, []string{m.Name, count(m.Desired), count(m.Ready), m.State, m.Why})
	}
	c.tabulate(t)
	return nil
}

// A clusterStanding is how a cluster stands, with what is in it.
type clusterStanding struct {
	Cluster string `json:"cluster"`
	Status  string `json:"status"` // as kubectl get clusters shows it
	Message string `json:"message,omitempty"`
	Objects int    `json:"objects"`
	NotOK   int    `json:"notOK"`
}

// clustersOf are the clusters of a federation, by name.
func clustersOf(ctx context.Context, api *kube.API) (out []clusterStanding, err error) {
	list, err := api.List(ctx, v1alpha1.Clusters, "", "")
	if err != nil {
		return nil, err
	}
	for i := range list {
		m, err := clusterOf(&list[i])
		if err != nil {
			return nil, err
		}
		s := clusterStanding{Cluster: m.Name, Status: "Unknown"}
		for _, cond := range m.Status.Conditions {
			if cond.Type == v1alpha1.Ready {
				s.Status = cmp.Or(cond.Reason, s.Status)
				if cond.Status != "True" {
					s.Message = cond.Message
				}
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b clusterStanding) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return out, nil
}

// ready says whether its API says that it is.
func (s *clusterStanding) ready() bool {
	return s.Status == v1alpha1.Ready || s.Status == v1alpha1.Ready+v1alpha1.AndDrained
}

// A summary is how all stands, as data.
type summary struct {
	Federation string               `json:"federation"`
	Clusters   []clusterStanding    `json:"clusters"`
	Objects    int                  `json:"objects"`
	NotOK      []v1alpha1.Placement `json:"notOK"`
}

// all says how the clusters stand, and which objects aren't as they should be.
func (c *statusOf) all(all []placement, clusters []clusterStanding) error {
	s := summary{Federation: c.federation, Clusters: clusters, NotOK: []v1alpha1.Placement{}}
	var bad []placement
	for _, p := range all {
		if c.namespace != "" && p.Object.Namespace != c.namespace {
			continue
		}
		s.Objects++
		if !p.Status.Well() {
			bad = append(bad, p)
			s.NotOK = append(s.NotOK, p.Placement)
		}
		for _, m := range p.Status.Clusters {
			for i := range s.Clusters {
				if k := &s.Clusters[i]; k.Cluster == m.Name {
					if k.Objects++; !settledStates[m.State] {
						k.NotOK++
					}
				}
			}
		}
	}
	err := c.sum(s, bad)
	unready := slices.ContainsFunc(s.Clusters, func(k clusterStanding) bool { return !k.ready() })
	if err == nil && c.exit && (len(bad) > 0 || unready) {
		return exit(notWell)
	}
	return err
}

// settledStates are those of an object with which nothing is to be done in a cluster.
var settledStates = map[string]bool{v1alpha1.PlacedWell: true, "Finished": true}

// sum prints a summary.
func (c *statusOf) sum(s summary, bad []placement) error {
	if c.out.data() {
		return c.put(c.out, s, subjectsOf(bad)...)
	}
	if len(s.Clusters) == 0 {
		c.printf("federation %s has no clusters\n", s.Federation)
	} else {
		t := table{head: []string{"CLUSTER", "STATUS", "OBJECTS", "NOT OK", "MESSAGE"}, free: []string{"MESSAGE"}, names: []string{"CLUSTER"}}
		for _, k := range s.Clusters {
			t.rows = append(t.rows, []string{k.Cluster, k.Status, fmt.Sprint(k.Objects), fmt.Sprint(k.NotOK), k.Message})
		}
		c.tabulate(t)
	}
	c.printf("\n%d of %s as they should be\n", s.Objects-len(bad), cli.Plural(s.Objects, "object"))
	if len(bad) == 0 {
		return nil
	}
	shown := bad
	if !c.out.wide() {
		shown = bad[:min(few, len(bad))]
	}
	c.tabulate(objectTable(shown, c.out.wide()))
	if n := len(bad) - len(shown); n > 0 {
		c.printf("and %d more: fedctl get objects --not-ok\n", n)
	}
	return nil
}

var statusCommand = command{
	name: "status",
	args: "[NAMESPACE/KIND/NAME]",
	what: "how the clusters and the objects of a federation stand, or one object",
	long: "How the clusters of a federation stand and which of its objects aren't everywhere as they should be, or how one object stands in each cluster, as fedsync says. An object in no namespace is KIND/NAME, and so is one of the namespace that -n says.",
	example: `# All in all
fedctl status --context myfederation

# One object
fedctl status --context myfederation shop/Deployment/web

# Is all well?
fedctl status --context myfederation --exit-code`,
	max:      1,
	proposes: (*shell).objects,
	make:     func(c *call) action { return &statusOf{steering: steering{reaching: newReaching(c)}} },
}
