package membership

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/marks"
	"github.com/fedns/fedns/internal/kube"
)

//go:embed rights.yaml
var rights string

// policy keeps what RBAC can't.
//
//go:embed policy.yaml
var policy string

// Rights are what the programs get in a cluster.
type Rights struct {
	Kinds []kube.Kind // that fedsync may write beside its own
	// Everywhere has it write in all namespaces, for a fedsync that can't do with less.
	Everywhere bool
	// NoSecrets has it neither read nor write Secrets.
	NoSecrets bool
	// Pull has it run in the cluster, and nobody read that from elsewhere.
	Pull bool
	// Policies says that the cluster serves ValidatingAdmissionPolicies.
	Policies bool
}

// Objects are those made in a member.
func (m *Member) Objects(r Rights) ([]*kube.Object, error) {
	roles, err := kube.Parse(m.named(rights))
	if err != nil {
		return nil, fmt.Errorf("rights.yaml: %w", err)
	}
	var reader, writer, objects, renewal = roles[0], roles[1], roles[2], roles[3]
	if r.NoSecrets {
		bootstrap.WithoutSecrets(objects)
	}
	may := []string{"create", "update", "patch", "delete"}
	inSpaces := slices.DeleteFunc(slices.Clone(r.Kinds), func(k kube.Kind) bool { return !k.Namespaced })
	inCluster := slices.DeleteFunc(slices.Clone(r.Kinds), func(k kube.Kind) bool { return k.Namespaced })
	if r.Everywhere {
		writer.Object["rules"] = slices.Concat(rulesOf(writer)[:2], rulesOf(objects))
		bootstrap.AddRules(writer, r.Kinds, may...)
	} else {
		bootstrap.AddRules(objects, inSpaces, may...)
		bootstrap.AddRules(writer, inCluster, may...)
	}
	notes := bootstrap.KindsNote(r.Kinds)
	if r.NoSecrets {
		notes[v1alpha1.NoSecrets] = "true"
	}
	writer.SetAnnotations(notes)

	var out []*kube.Object
	for _, role := range []*kube.Object{reader, writer} {
		account := builtin.ServiceAccounts.New(v1alpha1.System, role.GetName())
		account.SetAnnotations(map[string]string{v1alpha1.MemberName: m.Cluster})
		// No pod runs as this account: its token is for a program elsewhere.
		account.Object["automountServiceAccountToken"] = false
		out = append(out, account, role, bound(builtin.ClusterRoleBindings.New("", role.GetName()), role))
	}
	out = append(out, renewal, bound(builtin.RoleBindings.New(v1alpha1.System, renewal.GetName()), renewal))
	// RoleBindings may be there that give it, even where it isn't needed.
	if out = append(out, objects); r.Pull {
		out = m.asPulled(out)
	}
	if r.Policies {
		more, err := kube.Parse(strings.ReplaceAll(policy, "FEDERATION", m.Federation))
		if err != nil {
			return nil, fmt.Errorf("policy.yaml: %w", err)
		}
		if slices.Contains(r.Kinds, builtin.RoleBindings) {
			if err := bootstrap.Relax(more[0], m.writer()); err != nil {
				return nil, fmt.Errorf("policy.yaml: %w", err)
			}
		}
		// Before there is anything that it is to keep.
		out = append(more, out...)
	}
	for _, o := range out {
		apply.Mark(o, m.Federation)
	}
	return out, nil
}

// named puts the federation's name where the rights leave room for it.
func (m *Member) named(text string) string {
	for _, name := range []string{"fedns-", "fedsync-"} {
		for _, end := range []string{"\n", ",", "]", "."} {
			text = strings.ReplaceAll(text, name+end, name+m.Federation+end)
		}
	}
	return text
}

// bound gives a role to the account of its name.
func bound(binding, role *kube.Object) *kube.Object {
	binding.Object["roleRef"] = map[string]any{"apiGroup": builtin.ClusterRoles.Group, "kind": role.GetKind(), "name": role.GetName()}
	binding.Object["subjects"] = []any{map[string]any{"kind": builtin.ServiceAccounts.Name, "name": role.GetName(), "namespace": v1alpha1.System}}
	return binding
}

func rulesOf(role *kube.Object) []any {
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	return rules
}

// space is the RoleBinding by which fedsync may write in a namespace. It makes them itself, but for
// those of before.
func (m *Member) space(namespace string) *kube.Object {
	return kube.NewRoleBinding(namespace, m.writer(), builtin.ClusterRoles, v1alpha1.ObjectsRole(m.Federation), m.writer())
}

// inhabited are the namespaces in which a fedsync that could write in all of them has put something:
// one that can't looks only where it has a right to.
func (m *Member) inhabited(ctx context.Context, kinds []kube.Kind) ([]string, error) {
	var out []string
	for _, k := range append(slices.Clone(kinds), Propagated...) {
		if !k.Namespaced {
			continue
		}
		list, err := m.API.Metadata(ctx, k)
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Resource, err)
		}
		for i := range list {
			if ns := list[i].GetNamespace(); marks.Kept(&list[i], m.Federation) && !slices.Contains(out, ns) {
				out = append(out, ns)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// before says what fedsync had there, when the cluster was joined last.
func (m *Member) before(ctx context.Context) (everywhere, noSecrets bool, err error) {
	live, err := m.API.Get(ctx, builtin.ClusterRoles, "", m.writer())
	if kube.Missing(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("ClusterRole %s: %w", m.writer(), err)
	}
	for _, r := range rulesOf(live) {
		rule, _ := r.(map[string]any)
		resources, _ := rule["resources"].([]any)
		everywhere = everywhere || slices.Contains(resources, any(builtin.Services.Resource))
	}
	return everywhere, live.GetAnnotations()[v1alpha1.NoSecrets] == "true", nil
}

// policyName is that of the policy, and of its binding.
func (m *Member) policyName() string { return m.writer() + "." + v1alpha1.Group }

// revoke takes from fedsync all that it may do, but for what it is.
func (m *Member) revoke(ctx context.Context) error {
	// Without the first it can't give itself the others again.
	if err := apply.DeleteOwned(ctx, m.API, m.Federation, apply.Named{Kind: builtin.ClusterRoleBindings, Name: m.writer()}); err != nil {
		return err
	}
	// By name: where the cluster is the federation's API, too, that has others.
	all, err := m.API.ListWhere(ctx, builtin.RoleBindings, "", "metadata.name="+m.writer())
	if err != nil {
		return fmt.Errorf("rolebindings: %w", err)
	}
	var names []apply.Named
	for i := range all {
		names = append(names, apply.Named{Kind: builtin.RoleBindings, Namespace: all[i].GetNamespace(), Name: m.writer()})
	}
	return apply.DeleteOwned(ctx, m.API, m.Federation, names...)
}
