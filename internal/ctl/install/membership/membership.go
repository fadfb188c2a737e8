// Package membership makes a cluster a member of a federation, and takes it out again.
//
// In the member it makes two service accounts: one for fedns, which can only read,
// and one for fedsync, which can write the kinds that are propagated. In the API of
// the federation it makes a Secret for each, and, last, the Cluster object: a
// cluster that is half joined is never seen.
package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
	"github.com/fedns/fedns/internal/sync/workload"
)

// Propagated are the kinds that fedsync keeps in members, in the order in which they
// are taken away: what others need goes last.
var Propagated = func() (out []kube.Kind) {
	for _, s := range slices.Backward(workload.Kinds()) {
		out = append(out, s.Kind)
	}
	return out
}()

// A Member is a cluster of a federation, as the operator reaches both.
type Member struct {
	Federation string    // its name
	Home       *kube.API // the API of the federation
	Cluster    string    // what the cluster is called there
	API        *kube.API // of the cluster
}

func (m *Member) reader() string { return v1alpha1.ReaderAccount(m.Federation) }
func (m *Member) writer() string { return v1alpha1.WriterAccount(m.Federation) }

// Reader names the Secret, in the API of the federation, that leads fedns to a
// cluster. It can't be taken for a Secret with the rights to write, whatever the
// cluster's name is.
func Reader(cluster string) string { return cluster + ".cluster" }

// secrets are the two of a cluster, in the API of the federation. life is how long their tokens are to last.
func (m *Member) secrets(identity string, life time.Duration, reader, writer []byte) []*kube.Object {
	var out []*kube.Object
	for _, s := range []struct {
		name    string
		content []byte
	}{{Reader(m.Cluster), reader}, {Reader(m.Cluster) + v1alpha1.WriterSuffix, writer}} {
		o := kube.NewSecret(v1alpha1.System, s.name, map[string][]byte{v1alpha1.KubeconfigKey: s.content})
		notes := map[string]string{v1alpha1.MemberName: m.Cluster, v1alpha1.MemberIdentity: identity}
		if life > 0 {
			notes[v1alpha1.TokenLife] = life.String()
		}
		o.SetAnnotations(notes)
		apply.Mark(o, m.Federation)
		out = append(out, o)
	}
	return out
}

// Leave lets fedns read one Secret, and fedsync both. A Role for each cluster, not one for all: two
// who join at once would undo each other's, and a list of names that is empty
// means every name.
func (m *Member) Leave() []*kube.Object {
	name := Reader(m.Cluster)
	role := builtin.Roles.New(v1alpha1.System, name)
	role.Object["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "resourceNames": []any{name}, "verbs": []any{"get", "list", "watch"}}}
	binding := kube.NewRoleBinding(v1alpha1.System, name, builtin.Roles, name, bootstrap.Fedns)
	for _, o := range []*kube.Object{role, binding} {
		apply.Mark(o, m.Federation)
	}
	return append([]*kube.Object{role, binding}, bootstrap.Credentials(m.Federation, name)...)
}

// need asks an API whether its operator may do what is ahead, so that nothing is
// begun that can't be finished.
func need(ctx context.Context, api *kube.API, rights ...kube.Right) error {
	var missing []string
	for _, r := range rights {
		may, err := api.May(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", api.Server, err)
		}
		if !may {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 {
		return advice.Errorf("it takes an administrator of that cluster", "%s: you may not %s", api.Server, apply.Some(missing))
	}
	return nil
}

// rightsOn spells rights on what fedctl makes of some kinds.
func rightsOn(verbs []string, kinds ...kube.Kind) (out []kube.Right) {
	for _, k := range kinds {
		namespace := ""
		if k.Namespaced {
			namespace = v1alpha1.System
		}
		for _, v := range verbs {
			out = append(out, kube.Right{Verb: v, Group: k.Group, Resource: k.Resource, Namespace: namespace})
		}
	}
	return out
}

// Find asks the cluster how it serves kinds; those that are propagated anyway are
// left out. What it doesn't serve yet comes with its definition, if those are propagated:
// then it will be served as the federation's API does.
func (m *Member) Find(ctx context.Context, kinds []kube.Kind) ([]kube.Kind, error) {
	var out []kube.Kind
	for _, k := range kinds {
		found, err := m.API.Find(ctx, k.Group, k.Version, k.Name)
		if errors.Is(err, kube.ErrNoKind) && Defines(kinds) {
			if later, missing := m.Home.Find(ctx, k.Group, k.Version, k.Name); missing == nil {
				found, err = later, nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.API.Server, err)
		}
		if !slices.Contains(Propagated, found) {
			out = append(out, found)
		}
	}
	return out, nil
}

// Defines says whether definitions are among kinds, and bring others with them.
func Defines(kinds []kube.Kind) bool {
	return slices.ContainsFunc(kinds, func(k kube.Kind) bool {
		return k.Group == builtin.Definitions.Group && k.Name == builtin.Definitions.Name
	})
}

// endpoint is what the programs use; server, if there is one, is its address as
// they see it.
func endpoint(e kubeconfig.Endpoint, server string) kubeconfig.Endpoint {
	if server != "" {
		e.Server, e.Proxy = server, ""
	}
	return e
}
