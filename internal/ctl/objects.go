package ctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// getObjects lists the federated objects, as fedsync says that they stand.
type getObjects struct {
	steering
	namespace string
	notOK     bool
	out       output
}

func (c *getObjects) declare(fs *pflag.FlagSet) {
	c.steering.declare(fs)
	fs.StringVarP(&c.namespace, "namespace", "n", "", "only those of the namespace `NAME`")
	fs.BoolVar(&c.notOK, "not-ok", false, "only those that aren't everywhere as they should be")
	c.out.declare(fs, forms)
}

func (c *getObjects) run(ctx context.Context) error {
	api, err := c.home(ctx)
	if err != nil {
		return err
	}
	all, err := placementsOf(ctx, api)
	if err != nil {
		return err
	}
	none := fmt.Sprintf("federation %s has no objects that fedsync has told of", c.federation)
	if len(all) > 0 && c.notOK {
		none = "all objects are as they should be"
	}
	all = slices.DeleteFunc(all, func(p placement) bool {
		return c.namespace != "" && p.Object.Namespace != c.namespace || c.notOK && p.Status.Well()
	})
	if c.out.form == "name" {
		return c.put(c.out, nil, subjectsOf(all)...)
	}
	if c.out.data() {
		var objects []*kube.Object
		for i := range all {
			objects = append(objects, all[i].whole)
		}
		return c.putObjects(c.out, objects)
	}
	if len(all) == 0 {
		fmt.Fprintln(c.Stderr, none)
		return nil
	}
	c.tabulate(objectTable(all, c.out.wide()))
	return nil
}

// A placement is what a Placement says, with the object itself.
type placement struct {
	v1alpha1.Placement
	whole *kube.Object
}

// placementsOf lists all of a federation, in the order of namespaces, kinds and names.
func placementsOf(ctx context.Context, api *kube.API) ([]placement, error) {
	list, err := api.List(ctx, v1alpha1.Placements, "", "")
	if kube.Missing(err) {
		return nil, advice.Errorf("fedctl init again brings it; fedsync of this version tells how objects stand then", "%s has no kind Placement, as of an older version", api.Server)
	}
	if err != nil {
		return nil, err
	}
	var all []placement
	for i := range list {
		o := &list[i]
		o.SetManagedFields(nil)
		p, err := kube.As[v1alpha1.Placement](o)
		if err != nil {
			return nil, fmt.Errorf("what is told of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
		all = append(all, placement{p, o})
	}
	slices.SortFunc(all, func(a, b placement) int {
		x, y := a.Object, b.Object
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name), cmp.Compare(x.APIVersion, y.APIVersion))
	})
	return all, nil
}

func subjectsOf(all []placement) []string {
	return collect(all, func(p placement) string { return p.Object.String() })
}

// objectTable is a line for each object, or one for each of its clusters.
func objectTable(all []placement, wide bool) table {
	t := table{head: []string{"NAMESPACE", "KIND", "NAME", "DESIRED", "READY", "STATE", "WHY"}, free: []string{"WHY"}, names: []string{"NAMESPACE", "KIND", "NAME"}}
	if wide {
		t.head = slices.Insert(t.head, 3, "CLUSTER")
		t.names = append(t.names, "CLUSTER")
	}
	for _, p := range all {
		o, s := p.Object, p.Status
		head := []string{cmp.Or(o.Namespace, "-"), o.Kind, o.Name}
		if !wide || len(s.Clusters) == 0 {
			if wide {
				head = append(head, "-")
			}
			t.rows = append(t.rows, append(head, count(s.Desired), count(s.Ready), s.State, s.Why))
			continue
		}
		for _, c := range s.Clusters {
			t.rows = append(t.rows, append(slices.Clone(head), c.Name, count(c.Desired), count(c.Ready), c.State, c.Why))
			head = []string{"", "", ""}
		}
	}
	return t
}

// count is a number that may not be there.
func count(n *int64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

// about says whether a Placement is of an object that somebody has named: the kind as it is
// spelled, in small letters or in the plural.
func (p *placement) about(namespace, kind, name string) bool {
	o := p.Object
	if o.Namespace != namespace || o.Name != name {
		return false
	}
	group, _, _ := strings.Cut(o.APIVersion, "/")
	plural, singular := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: group, Kind: o.Kind})
	kind = strings.ToLower(kind)
	return kind == singular.Resource || kind == plural.Resource
}

var getObjectsCommand = command{
	name: "get objects",
	what: "the federated objects, and how each stands in the clusters",
	long: "The federated objects, and how each stands in the clusters, as fedsync says in the Placement objects of the federation's API. With -o wide there is a line for each cluster. fedctl status sums them up.",
	example: `# Those that aren't everywhere as they should be
fedctl get objects --context myfederation --not-ok

# All of a namespace, with a line for each cluster
fedctl get objects --context myfederation -n shop -o wide

# As data
fedctl get objects --context myfederation -o json`,
	make: func(c *call) action { return &getObjects{steering: steering{reaching: newReaching(c)}} },
}
