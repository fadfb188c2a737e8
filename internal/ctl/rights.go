package ctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// rightsOf prints what the programs may do in an API, as its live rules have it.
type rightsOf struct {
	reaching
	timeout time.Duration
	out     output
}

func (c *rightsOf) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.Lookup("context").Usage = "`CONTEXT` of the federation, or of a cluster; default: the current one"
	fs.DurationVar(&c.timeout, "timeout", 30*time.Second, "`DURATION` after which it is given up")
	c.out.declare(fs, dataForms)
}

// A grant is what one rule of a role gives a service account of the federation's.
type grant struct {
	Account   string   `json:"account"`             // of System, or all of them; NAMESPACE/NAME: of a cluster that pulls
	Namespace string   `json:"namespace,omitempty"` // "": all
	Groups    []string `json:"apiGroups,omitempty"`
	Resources []string `json:"resources,omitempty"`
	Names     []string `json:"resourceNames,omitempty"` // none: all
	URLs      []string `json:"nonResourceURLs,omitempty"`
	Verbs     []string `json:"verbs"`
	By        string   `json:"by"` // the binding, and the role that it gives
}

func (c *rightsOf) run(ctx context.Context) error {
	return c.bounded(ctx, c.timeout, func(ctx context.Context, _ *progress) error {
		api, _, err := c.open(c.chosen())
		if err != nil {
			return err
		}
		all, err := grants(ctx, api)
		if err != nil {
			return fmt.Errorf("%s: %w", api.Server, err)
		}
		if c.out.data() {
			return c.put(c.out, map[string]any{"rights": all})
		}
		if len(all) == 0 {
			c.printf("no account of %s has any right there\n", v1alpha1.System)
			return nil
		}
		t := table{head: []string{"ACCOUNT", "NAMESPACE", "WHAT", "NAMES", "MAY", "BY"}, free: []string{"BY"}, names: []string{"WHAT", "NAMES"}}
		for _, g := range all {
			t.rows = append(t.rows, []string{g.Account, cmp.Or(g.Namespace, "*"), g.what(), cmp.Or(strings.Join(g.Names, ","), "*"), may(g.Verbs), g.By})
		}
		c.tabulate(t)
		return nil
	})
}

// what are the resources, as kubectl spells them with their group.
func (g grant) what() string {
	var out []string
	for _, r := range g.Resources {
		for _, group := range g.Groups {
			out = append(out, strings.TrimSuffix(r+"."+group, "."))
		}
	}
	return strings.Join(append(out, g.URLs...), ",")
}

// may says verbs in as few words as say all of them.
func may(verbs []string) string {
	left := slices.Clone(verbs)
	var out []string
	for _, w := range []struct {
		word string
		all  []string
	}{{"read", []string{"get", "list", "watch"}}, {"write", []string{"create", "update", "patch", "delete"}}} {
		lacks := func(v string) bool { return !slices.Contains(left, v) }
		if !slices.ContainsFunc(w.all, lacks) {
			left = slices.DeleteFunc(left, func(v string) bool { return slices.Contains(w.all, v) })
			out = append(out, w.word)
		}
	}
	return strings.Join(append(out, left...), ",")
}

// grants reads the live rules: every binding that names an account of System, or all that there are in it.
func grants(ctx context.Context, api *kube.API) (out []grant, err error) {
	roles := map[string][]any{}
	rules := func(kind kube.Kind, namespace, name string) ([]any, error) {
		key := kind.Name + " " + namespace + "/" + name
		if known, ok := roles[key]; ok {
			return known, nil
		}
		o, err := api.Get(ctx, kind, namespace, name)
		if kube.Missing(err) {
			return nil, nil // a binding to nothing gives nothing
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		roles[key], _, err = unstructured.NestedSlice(o.Object, "rules")
		return roles[key], err
	}
	for _, k := range []kube.Kind{builtin.ClusterRoleBindings, builtin.RoleBindings} {
		all, err := api.List(ctx, k, "", "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Resource, err)
		}
		for i := range all {
			b := &all[i]
			accounts := holders(b)
			if len(accounts) == 0 {
				continue
			}
			kind, _, _ := unstructured.NestedString(b.Object, "roleRef", "kind")
			name, _, _ := unstructured.NestedString(b.Object, "roleRef", "name")
			role, where := builtin.ClusterRoles, ""
			if kind == builtin.Roles.Name {
				role, where = builtin.Roles, b.GetNamespace()
			}
			list, err := rules(role, where, name)
			if err != nil {
				return nil, err
			}
			for _, r := range list {
				rule, _ := r.(map[string]any)
				texts := func(field string) []string { t, _, _ := unstructured.NestedStringSlice(rule, field); return t }
				for _, account := range accounts {
					out = append(out, grant{
						Account: account, Namespace: b.GetNamespace(), Groups: texts("apiGroups"), Resources: texts("resources"), Names: texts("resourceNames"),
						URLs: texts("nonResourceURLs"), Verbs: texts("verbs"), By: fmt.Sprintf("%s %s: %s %s", k.Name, b.GetName(), kind, name),
					})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.what(), b.what()), cmp.Compare(may(a.Verbs), may(b.Verbs)), cmp.Compare(a.By, b.By))
	})
	return out, nil
}

// holders are the accounts of System that a binding is for, and those of clusters that pull. What all service accounts have isn't told of.
func holders(binding *kube.Object) (out []string) {
	subjects, _, _ := unstructured.NestedSlice(binding.Object, "subjects")
	for _, s := range subjects {
		m, _ := s.(map[string]any)
		switch {
		case m["kind"] == builtin.ServiceAccounts.Name && m["namespace"] == v1alpha1.System:
			out = append(out, fmt.Sprint(m["name"]))
		case m["kind"] == builtin.ServiceAccounts.Name && v1alpha1.IsPart(fmt.Sprint(m["namespace"])):
			out = append(out, fmt.Sprintf("%s/%s", m["namespace"], m["name"]))
		case m["kind"] == "Group" && m["name"] == "system:serviceaccounts:"+v1alpha1.System:
			out = append(out, "*")
		}
	}
	return out
}

var rightsCommand = command{
	name: "rights",
	what: "what fedns and fedsync may do in an API, by its live rules",
	long: "Print what the service accounts in federation-system, and those of clusters that pull, may do in the API of a federation, or in a cluster: each rule that is bound to one of them, as it is there now. What every account of a cluster may is left out.",
	example: `# In the federation's API
fedctl rights --context myfederation

# In a cluster
fedctl rights --context gke_project_us-central1-a_gce-us-central1-a -o json`,
	make: func(c *call) action { return &rightsOf{reaching: newReaching(c)} },
}
