package membership

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/token"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// part is what a cluster that pulls has in the federation's API.
//
//go:embed part.yaml
var part string

// agents keep what RBAC can't of what they may do there.
//
//go:embed agents.yaml
var agents string

// agent runs in it.
//
//go:embed agent.yaml
var agent string

// forever is asked for where tokens aren't to end; a server may give less.
const forever = 10 * 365 * 24 * time.Hour

// A Pulling is how a cluster is to pull.
type Pulling struct {
	Request
	// Federation is where the federation's API is, as the cluster reaches it.
	Federation kubeconfig.Endpoint
	// Image has fedsync in it; "": it is run in another way.
	Image string
}

// Pull makes a cluster one that pulls, or renews what it has. there is what it needs: it is made in the cluster, unless
// m.API is nil, which is for who administers the cluster himself.
func (m *Member) Pull(ctx context.Context, r Pulling, say func(string)) (there []*kube.Object, res Result, err error) {
	home := &apply.Applied{API: m.Home, Federation: m.Federation}
	own := &apply.Applied{API: m.API, Federation: m.Federation}
	defer apply.Undo(ctx, &err, "fedctl unjoin "+m.Cluster+" removes it", home, own)
	identity := ""
	if m.API != nil {
		say("what may be done there")
		if identity, err = m.preflight(ctx); err != nil {
			return nil, res, err
		}
	}
	if has, err := m.Home.Has(ctx, v1alpha1.Works); err != nil {
		return nil, res, err
	} else if !has {
		return nil, res, advice.Errorf("fedctl init again brings it", "the API of federation %s has no kind %s: it is of an older version", m.Federation, v1alpha1.Works.Name)
	}
	live, err := m.Home.Get(ctx, v1alpha1.Clusters, "", m.Cluster)
	if err != nil && !kube.Missing(err) {
		return nil, res, fmt.Errorf("cluster %s: %w", m.Cluster, err)
	}
	if res.Again = err == nil; res.Again && live.GetDeletionTimestamp() != nil {
		return nil, res, advice.Errorf("wait until it is gone", "cluster %s is being deleted", m.Cluster)
	}
	say("its part of the federation's API")
	secret, err := m.makePart(ctx, home, r, identity, &res)
	if err != nil {
		return nil, res, err
	}
	if there, err = m.pullObjects(ctx, r); err != nil {
		return nil, res, err
	}
	there = append(there, secret)
	if r.Image != "" {
		running, err := kube.Parse(strings.NewReplacer("FEDERATION", m.Federation, "IMAGE", r.Image).Replace(agent))
		if err != nil {
			return nil, res, fmt.Errorf("agent.yaml: %w", err)
		}
		there = append(there, running...)
	}
	for _, o := range there {
		apply.Mark(o, m.Federation)
	}
	if m.API != nil {
		say("what its fedsync may do there")
		if err := own.Namespace(ctx, v1alpha1.System); err != nil {
			return nil, res, err
		}
		for _, o := range there {
			if _, err := own.Apply(ctx, o); err != nil {
				return nil, res, err
			}
		}
	}
	say("the Cluster object")
	if _, err := home.ApplyKind(ctx, v1alpha1.Clusters, m.Object(r.Request, live)); err != nil {
		return nil, res, err
	}
	// What was given away before is worth nothing from here on.
	if err := m.dropCredentials(ctx); err != nil {
		return nil, res, err
	}
	if m.API != nil {
		if err := m.dropAccounts(ctx); err != nil {
			return nil, res, err
		}
	}
	return append([]*kube.Object{apply.NewNamespace(v1alpha1.System)}, there...), res, nil
}

// makePart makes what the cluster has in the federation's API, and gives the Secret that leads there.
func (m *Member) makePart(ctx context.Context, home *apply.Applied, r Pulling, identity string, res *Result) (*kube.Object, error) {
	namespace := v1alpha1.PartOf(m.Cluster)
	if err := home.Namespace(ctx, namespace); err != nil {
		return nil, err
	}
	objects, err := kube.Parse(strings.ReplaceAll(part, "PART", namespace))
	if err != nil {
		return nil, fmt.Errorf("part.yaml: %w", err)
	}
	if kept, err := m.Home.Has(ctx, builtin.Policies); err != nil {
		return nil, err
	} else if kept {
		more, err := kube.Parse(agents)
		if err != nil {
			return nil, fmt.Errorf("agents.yaml: %w", err)
		}
		objects = append(more, objects...) // before there is anything that it is to keep
	}
	for _, o := range append(objects, kube.NewSecret(namespace, v1alpha1.BoundTo(v1alpha1.AgentName), nil)) {
		if _, err := home.Apply(ctx, o); err != nil {
			return nil, err
		}
	}
	// It may renew the Lease, and make none.
	if _, err := home.ApplyKind(ctx, builtin.Leases, builtin.Leases.New(namespace, v1alpha1.AgentName)); err != nil {
		return nil, err
	}
	a := v1alpha1.Agents.New(namespace, v1alpha1.AgentName)
	spec := map[string]any{"cluster": m.Cluster, "federation": m.Federation}
	// Another cluster than the one that was heard of is meant only by who says so by reaching it.
	if identity != "" {
		spec["identity"] = identity
	}
	if r.TokenLife > 0 {
		spec["tokenLife"] = r.TokenLife.String()
	}
	a.Object["spec"] = spec
	if _, err := home.ApplyKind(ctx, v1alpha1.Agents, a); err != nil {
		return nil, err
	}
	life, bound := r.TokenLife, v1alpha1.BoundTo(v1alpha1.AgentName)
	if life == 0 {
		life, bound = forever, ""
	}
	value, expires, err := m.Home.Token(ctx, namespace, v1alpha1.AgentName, life, bound)
	if err != nil {
		return nil, fmt.Errorf("the token of service account %s/%s: %w", namespace, v1alpha1.AgentName, err)
	}
	res.Expires = expires
	content, err := kubeconfig.ForToken(m.Federation, r.Federation, value)
	if err != nil {
		return nil, err
	}
	if content, err = kubeconfig.In(content, namespace); err != nil {
		return nil, err
	}
	return kube.NewSecret(v1alpha1.System, v1alpha1.PartSecret(m.Federation), map[string][]byte{v1alpha1.KubeconfigKey: content}), nil
}

// pullObjects are those that are made in the cluster, but for the Secret.
func (m *Member) pullObjects(ctx context.Context, r Pulling) ([]*kube.Object, error) {
	may := Rights{Kinds: r.Kinds, Everywhere: r.Everywhere, NoSecrets: r.NoSecrets != nil && *r.NoSecrets, Policies: true, Pull: true}
	if m.API == nil {
		return m.Objects(may)
	}
	kinds, err := m.Find(ctx, r.Kinds)
	if err != nil {
		return nil, err
	}
	if kinds, err = bootstrap.Added(ctx, m.API, m.writer(), kinds); err != nil {
		return nil, err
	}
	if may, _, err = m.rights(ctx, r.Request, kinds); err != nil {
		return nil, err
	}
	may.Pull = true
	return m.Objects(may)
}

// dropCredentials removes the Secrets with credentials of the cluster, and the rights to read them.
func (m *Member) dropCredentials(ctx context.Context) error {
	reader := Reader(m.Cluster)
	writer := reader + v1alpha1.WriterSuffix
	return apply.DeleteOwned(ctx, m.Home, m.Federation, []apply.Named{
		{Kind: builtin.RoleBindings, Namespace: v1alpha1.System, Name: reader}, {Kind: builtin.Roles, Namespace: v1alpha1.System, Name: reader},
		{Kind: builtin.RoleBindings, Namespace: v1alpha1.System, Name: writer}, {Kind: builtin.Roles, Namespace: v1alpha1.System, Name: writer},
		{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: writer}, {Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: reader},
	}...)
}

// dropAccounts has all tokens that were given out of the cluster be worth nothing.
func (m *Member) dropAccounts(ctx context.Context) error {
	return apply.DeleteOwned(ctx, m.API, m.Federation, []apply.Named{
		{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: v1alpha1.BoundTo(m.writer())},
		{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: token.Lasting(m.writer())},
		{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: v1alpha1.BoundTo(m.reader())},
		{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: token.Lasting(m.reader())},
		{Kind: builtin.ClusterRoleBindings, Name: m.reader()},
		{Kind: builtin.ClusterRoles, Name: m.reader()},
		{Kind: builtin.ServiceAccounts, Namespace: v1alpha1.System, Name: m.reader()},
	}...)
}

// dropPart removes what a cluster that pulls has in the federation's API: then its credential is worth nothing.
func (m *Member) dropPart(ctx context.Context) error {
	namespace := v1alpha1.PartOf(m.Cluster)
	if there, err := m.Home.Exists(ctx, builtin.Namespaces, "", namespace); err != nil || !there {
		return err
	}
	for _, n := range []apply.Named{
		{Kind: builtin.RoleBindings, Name: v1alpha1.AgentName}, {Kind: builtin.Secrets, Name: v1alpha1.BoundTo(v1alpha1.AgentName)}, {Kind: builtin.ServiceAccounts, Name: v1alpha1.AgentName},
		{Kind: v1alpha1.Agents, Name: v1alpha1.AgentName}, {Kind: builtin.Leases, Name: v1alpha1.AgentName},
		{Kind: builtin.Roles, Name: v1alpha1.AgentName}, {Kind: builtin.RoleBindings, Name: bootstrap.Fedsync}, {Kind: builtin.Roles, Name: bootstrap.Fedsync},
	} {
		n.Namespace = namespace
		if err := apply.DeleteOwned(ctx, m.Home, m.Federation, n); err != nil && !kube.Missing(err) {
			return err
		}
	}
	works, err := m.Home.List(ctx, v1alpha1.Works, namespace, "")
	if err != nil && !kube.Missing(err) {
		return fmt.Errorf("works: %w", err)
	}
	for i := range works {
		if err := m.Home.Delete(ctx, v1alpha1.Works, namespace, works[i].GetName(), ""); err != nil {
			return fmt.Errorf("Work %s is left: %w", works[i].GetName(), err) //nolint:staticcheck // a kind's name
		}
	}
	kept, err := apply.DeleteOwnedNamespace(ctx, m.Home, namespace)
	if err == nil && kept != "" {
		err = fmt.Errorf("namespace %s stays: %s", namespace, kept)
	}
	return err
}

// dropAgent removes what runs in a cluster that pulls, and leads to the federation.
func (m *Member) dropAgent(ctx context.Context) error {
	return apply.DeleteOwned(ctx, m.API, m.Federation,
		apply.Named{Kind: builtin.Deployments, Namespace: v1alpha1.System, Name: m.writer()},
		apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: v1alpha1.PartSecret(m.Federation)})
}

// asPulled has objects that are made in a cluster be those of one that pulls: nobody reads it from elsewhere, and its
// fedsync renews its own credential.
func (m *Member) asPulled(all []*kube.Object) []*kube.Object {
	all = slices.DeleteFunc(all, func(o *kube.Object) bool { return o.GetName() == m.reader() })
	for _, o := range all {
		if o.GetKind() == builtin.Roles.Name && o.GetName() == m.writer() {
			o.Object["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets"}, "resourceNames": []any{v1alpha1.PartSecret(m.Federation)}, "verbs": []any{"get", "patch"}}}
		}
	}
	return all
}
