// Package bootstrap is what makes an API that of a federation: its kinds, a namespace, the name of the federation and its domain, and what fedns and fedsync
// may do there.
package bootstrap

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/token"
	"github.com/fedns/fedns/internal/kube"
)

// Settings are a federation's, as it is to be. Install asks how its kinds are served, and
// adds those that it had before.
type Settings v1alpha1.Settings

// The service accounts of the two programs.
const (
	Fedns   = "fedns"
	Fedsync = "fedsync"
)

//go:embed rights.yaml
var rights string

// emptying are the rights of a namespace controller, where there is none.
//
//go:embed emptying.yaml
var emptying string

// fedsyncRole is the one that kinds are added to.
const fedsyncRole = "fedns.io:fedsync"

// Objects are those of the API of a federation, the namespace but, in the order to
// write them.
func (c Settings) Objects(r Reach) ([]*kube.Object, error) {
	crd, err := kube.Parse(strings.Join(deploy.Definitions, "\n---\n"))
	if err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	config := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
	config.Object["data"] = v1alpha1.Settings(c).Data()
	text := rights
	if r == Hollow {
		text += "\n---\n" + emptying
	}
	rest, err := kube.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("rights.yaml: %w", err)
	}
	if r == ByName {
		more, err := bindings(c.Kinds)
		if err != nil {
			return nil, err
		}
		// Before that which it is to do without.
		rest = append(more, rest...)
	}
	out := slices.Concat(crd, []*kube.Object{config})
	for _, o := range slices.Concat(out, rest) {
		apply.Mark(o, c.Federation)
	}
	for _, o := range rest {
		if o.GetKind() == builtin.ClusterRoles.Name && o.GetName() == fedsyncRole {
			if r == ByName {
				WithoutSecrets(o)
			}
			AddRules(o, c.Kinds, "create", "update", "patch", "delete", "deletecollection")
		}
	}
	return append(out, rest...), nil
}

// AddRules adds kinds to a ClusterRole, to read and to do what verbs say.
func AddRules(role *kube.Object, kinds []kube.Kind, verbs ...string) {
	if len(kinds) == 0 {
		return
	}
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	may := []any{"get", "list", "watch"}
	for _, v := range verbs {
		may = append(may, v)
	}
	for _, k := range kinds {
		verbs := slices.Clone(may)
		// Who writes what others may do has to be let, unless it may do all that itself.
		switch k.Group + "/" + k.Name {
		case "rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/ClusterRole":
			verbs = append(verbs, "escalate")
		case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
			rules = append(rules, map[string]any{"apiGroups": []any{k.Group}, "resources": []any{"roles", "clusterroles"}, "verbs": []any{"bind"}})
		}
		rules = append(rules, map[string]any{"apiGroups": []any{k.Group}, "resources": []any{k.Resource, k.Resource + "/status"}, "verbs": verbs})
	}
	role.Object["rules"] = rules
	role.SetAnnotations(KindsNote(kinds))
}

// KindsNote are the annotations of a role that kinds were added to.
func KindsNote(kinds []kube.Kind) map[string]string {
	var note []string
	for _, k := range kinds {
		note = append(note, k.String())
	}
	if note == nil {
		return map[string]string{}
	}
	return map[string]string{v1alpha1.AddedKinds: strings.Join(note, ",")}
}

// Added gives the kinds that a ClusterRole had before and those that are wanted
// now: what was allowed once stays until the role goes.
func Added(ctx context.Context, api *kube.API, role string, wanted []kube.Kind) ([]kube.Kind, error) {
	live, err := api.Get(ctx, builtin.ClusterRoles, "", role)
	if kube.Missing(err) {
		return wanted, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ClusterRole %s: %w", role, err)
	}
	out := slices.Clone(wanted)
	for text := range strings.SplitSeq(live.GetAnnotations()[v1alpha1.AddedKinds], ",") {
		if text == "" {
			continue
		}
		k, err := v1alpha1.ParseKind(text)
		if err != nil {
			return nil, fmt.Errorf("ClusterRole %s: annotation %s: %w", role, v1alpha1.AddedKinds, err)
		}
		k, err = api.Find(ctx, k.Group, k.Version, k.Name)
		if kube.Missing(err) || err != nil && isNoKind(err) {
			continue // it isn't served any more
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out, nil
}

// Tokens are those of the two programs.
type Tokens struct{ Fedns, Fedsync token.Token }

// Install writes the charter, and waits until the API serves Cluster objects. An API
// that fedctl made has no controllers that would fill in tokens.
func (c Settings) Install(ctx context.Context, l *apply.Applied, say func(string)) (t Tokens, err error) {
	say("the rights of fedns and fedsync")
	before, err := c.vacant(ctx, l.API)
	if err != nil {
		return t, err
	}
	c.Surge = cmp.Or(c.Surge, before.Surge)
	for i, k := range c.Kinds {
		if c.Kinds[i], err = l.API.Find(ctx, k.Group, k.Version, k.Name); err != nil {
			return t, fmt.Errorf("%s: %w", l.API.Server, err)
		}
	}
	kept, _, err := Served(ctx, l.API, before.AllKinds())
	if err != nil {
		return t, err
	}
	for _, k := range kept {
		if !slices.Contains(c.Kinds, k) {
			c.Kinds = append(c.Kinds, k)
		}
	}
	if c.Kinds, err = Added(ctx, l.API, fedsyncRole, c.Kinds); err != nil {
		return t, err
	}
	far, err := reach(ctx, l.API, before)
	if err != nil {
		return t, err
	}
	objects, err := c.Objects(far)
	if err != nil {
		return t, err
	}
	if err := l.Namespace(ctx, v1alpha1.System); err != nil {
		return t, err
	}
	if err := c.credentials(ctx, l); err != nil {
		return t, err
	}
	for _, o := range objects {
		if o.GetKind() == builtin.Definitions.Name {
			if err := define(ctx, l, o); err != nil {
				return t, err
			}
			continue
		}
		if _, err := l.Apply(ctx, o); err != nil {
			return t, err
		}
	}
	say("the kinds Cluster, Order, Placement, Work and Agent to be served")
	if err := established(ctx, l.API); err != nil {
		return t, err
	}
	if c.Hosted {
		if t.Fedns, err = token.Request(ctx, l.API, Fedns); err == nil {
			t.Fedsync, err = token.Request(ctx, l.API, Fedsync)
		}
		return t, err
	}
	tokens, err := token.Tokens(ctx, l, Fedns, Fedsync)
	return Tokens{tokens[Fedns], tokens[Fedsync]}, err
}

// Served parts kinds into those that an API serves, as it does, and others.
func Served(ctx context.Context, api *kube.API, kinds []kube.Kind) (served, lacks []kube.Kind, err error) {
	for _, k := range kinds {
		found, err := api.Find(ctx, k.Group, k.Version, k.Name)
		switch {
		case err == nil:
			served = append(served, found)
		case isNoKind(err):
			lacks = append(lacks, k)
		default:
			return nil, nil, fmt.Errorf("%s: %w", api.Server, err)
		}
	}
	return served, lacks, nil
}

// vacant makes sure that no other federation lives in an API, and gives what this one's
// was told before.
func (c Settings) vacant(ctx context.Context, api *kube.API) (there v1alpha1.Settings, err error) {
	there, err = Read(ctx, api)
	switch {
	case err != nil && isNone(err):
		return there, nil
	case err != nil:
		return there, err
	case there.Restoring != c.Restoring:
		return there, advice.Errorf("fedctl restore of the same file goes on with it", "a restore into the API of federation %s has begun, and isn't whole", there.Federation)
	case there.Federation != c.Federation:
		return there, advice.Errorf("Cluster objects are of one federation: give each an API of its own", "%s is the API of federation %s already", api.Server, there.Federation)
	}
	return there, nil
}

// define writes the CustomResourceDefinition, but where somebody else did: then it
// is theirs to keep up.
func define(ctx context.Context, l *apply.Applied, o *kube.Object) error {
	live, err := l.API.Get(ctx, builtin.Definitions, "", o.GetName())
	if err == nil && !apply.Ours(live, l.Federation) {
		return nil
	}
	if err != nil && !kube.Missing(err) {
		return fmt.Errorf("CustomResourceDefinition %s: %w", o.GetName(), err)
	}
	_, err = l.Apply(ctx, o)
	return err
}

// servedStep is between two looks whether a new kind is served.
const servedStep = 100 * time.Millisecond

func established(ctx context.Context, api *kube.API) error {
	for _, k := range []kube.Kind{v1alpha1.Clusters, v1alpha1.Orders, v1alpha1.Placements, v1alpha1.Works, v1alpha1.Agents} {
		var err error
		over := wait.PollUntilContextCancel(ctx, servedStep, true, func(ctx context.Context) (bool, error) {
			_, err = api.List(ctx, k, "", "")
			return !kube.Missing(err), nil
		})
		switch {
		case over != nil:
			return fmt.Errorf("the kind %s isn't served yet: %w", k.Name, context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("%s.%s: %w", k.Resource, k.Group, err)
		}
	}
	return nil
}
