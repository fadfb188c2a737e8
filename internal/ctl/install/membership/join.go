package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/token"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
)

// A Request is how a cluster is to join.
type Request struct {
	Endpoint kubeconfig.Endpoint // of the member, as the operator reaches it
	Server   string              // its address as fedns and fedsync reach it; "": the same
	// Spec are fields of the Cluster object; those that aren't here stay as they are.
	Spec map[string]any
	// Adopt is what the annotation of that name says; "": as it does already.
	Adopt string
	// Kinds are propagated to it beside fedsync's own.
	Kinds []kube.Kind
}

// A Result is what came of it.
type Result struct {
	Again   bool      // it was a member before
	Expires time.Time // of the first of its tokens; zero: they don't
	// Unseen is why the address for fedns and fedsync couldn't be tried from here.
	Unseen error
}

// drainReason is what unjoin writes, and join takes back.
const drainReason = "unjoin"

// Join joins a cluster, or renews what a member has. What a run that fails has
// made is removed again.
func (m *Member) Join(ctx context.Context, r Request, say func(string)) (res Result, err error) {
	there := &apply.Applied{API: m.API, Federation: m.Federation}
	home := &apply.Applied{API: m.Home, Federation: m.Federation}
	defer func() {
		if err == nil {
			return
		}
		// The Cluster object goes before what it leads to.
		if left := errors.Join(home.Rollback(ctx), there.Rollback(ctx)); left != nil {
			err = advice.Errorf("fedctl unjoin "+m.Cluster+" --cluster-context CONTEXT removes it", "%w; and what was made couldn't all be removed: %w", err, left)
		}
	}()
	say("what may be done there")
	identity, err := m.preflight(ctx)
	if err != nil {
		return res, err
	}
	live, err := m.Home.Get(ctx, v1alpha1.Clusters, "", m.Cluster)
	if err != nil && !kube.Missing(err) {
		return res, fmt.Errorf("cluster %s: %w", m.Cluster, err)
	}
	res.Again = err == nil
	if res.Again && live.GetDeletionTimestamp() != nil {
		return res, advice.Errorf("wait until it is gone", "cluster %s is being deleted", m.Cluster)
	}
	kinds, err := m.Find(ctx, r.Kinds)
	if err != nil {
		return res, err
	}
	if kinds, err = bootstrap.Added(ctx, m.API, m.writer(), kinds); err != nil {
		return res, err
	}

	say("accounts for fedns and fedsync")
	if err := there.Namespace(ctx, v1alpha1.System); err != nil {
		return res, err
	}
	objects, err := m.Objects(kinds)
	if err != nil {
		return res, err
	}
	for _, o := range objects {
		if _, err := there.Apply(ctx, o); err != nil {
			return res, err
		}
	}
	say("their tokens")
	tokens, err := token.Tokens(ctx, there, m.reader(), m.writer())
	if err != nil {
		return res, err
	}
	for _, t := range tokens {
		if !t.Expires.IsZero() && (res.Expires.IsZero() || t.Expires.Before(res.Expires)) {
			res.Expires = t.Expires
		}
	}
	say("that they are let in")
	if err := m.verify(ctx, r, tokens, &res); err != nil {
		return res, err
	}

	say("the Cluster object")
	e := endpoint(r.Endpoint, r.Server)
	reader, err := kubeconfig.ForToken(m.Cluster, e, tokens[m.reader()].Value)
	if err != nil {
		return res, err
	}
	writer, err := kubeconfig.ForToken(m.Cluster, e, tokens[m.writer()].Value)
	if err != nil {
		return res, err
	}
	for _, o := range append(m.secrets(identity, reader, writer), m.Leave()...) {
		if _, err := home.Apply(ctx, o); err != nil {
			return res, err
		}
	}
	if _, err := home.ApplyKind(ctx, v1alpha1.Clusters, m.Object(r, live)); err != nil {
		return res, err
	}
	if live != nil {
		// An unjoin that didn't come to its end.
		if why, _, _ := unstructured.NestedString(live.Object, "spec", "drain", "reason"); why == drainReason {
			patch := map[string]any{"spec": map[string]any{"drain": nil}}
			if _, err := m.Home.Merge(ctx, v1alpha1.Clusters, "", m.Cluster, patch, apply.Manager, ""); err != nil {
				return res, fmt.Errorf("cluster %s: %w", m.Cluster, err)
			}
		}
	}
	return res, nil
}

// own are the fields of a Cluster object that join writes. Applying takes away what
// it doesn't name, so it names what stood there.
var own = []string{"region", "zones", "location", "addresses"}

// Object is the Cluster object, with what is there already if that isn't said anew.
func (m *Member) Object(r Request, live *kube.Object) *kube.Object {
	o := v1alpha1.Clusters.New("", m.Cluster)
	s := map[string]any{"secretRef": map[string]any{"name": Reader(m.Cluster)}}
	if live != nil {
		for _, field := range own {
			if v, ok, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", field); ok {
				s[field] = v
			}
		}
	}
	maps.Copy(s, r.Spec)
	maps.DeleteFunc(s, func(_ string, v any) bool { // said to be empty
		list, isList := v.([]any)
		return v == "" || isList && len(list) == 0
	})
	o.Object["spec"] = s
	if live != nil {
		r.Adopt = cmp.Or(r.Adopt, live.GetAnnotations()[v1alpha1.Adopt])
	}
	if r.Adopt != "" {
		o.SetAnnotations(map[string]string{v1alpha1.Adopt: r.Adopt})
	}
	apply.Mark(o, m.Federation)
	return o
}

// preflight makes sure that both APIs can be reached, that what is ahead may be
// done there, and that nobody is mistaken for somebody else.
func (m *Member) preflight(ctx context.Context) (identity string, err error) {
	if identity, err = bootstrap.Identity(ctx, m.API); err != nil {
		return "", err
	}
	if err := need(ctx, m.API, ClusterRights()...); err != nil {
		return "", err
	}
	if err := need(ctx, m.Home, HomeRights()...); err != nil {
		return "", err
	}
	known, err := m.identity(ctx)
	if err != nil {
		return "", err
	}
	if known != "" && known != identity {
		return "", advice.Errorf("another name, or fedctl unjoin "+m.Cluster+" first", "cluster %s of federation %s is another one than %s", m.Cluster, m.Federation, m.API.Server)
	}
	a, err := m.API.Get(ctx, builtin.ServiceAccounts, v1alpha1.System, m.reader())
	if err != nil && !kube.Missing(err) {
		return "", fmt.Errorf("%s: %w", m.API.Server, err)
	}
	if err == nil && apply.Ours(a, m.Federation) {
		if called := a.GetAnnotations()[clusterNote]; called != m.Cluster {
			return "", advice.Errorf("fedctl unjoin "+called+" first", "%s is cluster %s of federation %s already", m.API.Server, called, m.Federation)
		}
	}
	return identity, nil
}

// written is what fedctl does to what it makes.
var written = []string{"get", "create", "patch", "delete"}

// ClusterRights are those that Join takes in the cluster.
func ClusterRights() []kube.Right {
	return rightsOn(written, builtin.Namespaces, builtin.ServiceAccounts, builtin.Secrets, builtin.ClusterRoles, builtin.ClusterRoleBindings)
}

// HomeRights are those that Join takes in the federation's API.
func HomeRights() []kube.Right {
	return rightsOn(written, builtin.Secrets, builtin.Roles, builtin.RoleBindings, v1alpha1.Clusters)
}

// identity tells which cluster goes by this name in the federation; "": none.
func (m *Member) identity(ctx context.Context) (string, error) {
	for _, name := range []string{Reader(m.Cluster), Reader(m.Cluster) + v1alpha1.WriterSuffix} {
		o, err := m.Home.Get(ctx, builtin.Secrets, v1alpha1.System, name)
		if kube.Missing(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", name, err)
		}
		if id := o.GetAnnotations()[identityNote]; id != "" {
			return id, nil
		}
	}
	return "", nil
}

const (
	// grantTime is for a cluster to learn of its own roles and bindings.
	grantTime = 15 * time.Second
	grantStep = 100 * time.Millisecond
)

// verify lists what each program lists first, as that program.
func (m *Member) verify(ctx context.Context, r Request, tokens map[string]token.Token, res *Result) error {
	for name, kind := range map[string]kube.Kind{m.reader(): builtin.Services, m.writer(): builtin.Deployments} {
		if err := try(ctx, r.Endpoint, tokens[name], kind, grantTime); err != nil {
			return fmt.Errorf("service account %s: %w", name, err)
		}
	}
	if r.Server != "" && r.Server != r.Endpoint.Server {
		// It may well be an address that is reached from inside only.
		res.Unseen = try(ctx, endpoint(r.Endpoint, r.Server), tokens[m.reader()], builtin.Services, 0)
	}
	return nil
}

func try(ctx context.Context, e kubeconfig.Endpoint, t token.Token, kind kube.Kind, patience time.Duration) error {
	content, err := kubeconfig.ForToken("x", e, t.Value)
	if err != nil {
		return err
	}
	api, err := kube.Open(kube.Config{Content: content, Agent: "fedctl"})
	if err != nil {
		return err
	}
	defer api.Close()
	over := wait.PollUntilContextTimeout(ctx, grantStep, patience, true, func(context.Context) (bool, error) {
		if err = api.Ready(ctx); err == nil {
			_, err = api.List(ctx, kind, v1alpha1.System, "") // a right to all of them, and little to send
		}
		return !kube.Forbidden(err), nil
	})
	if over != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Clusters names a federation's members.
func Clusters(ctx context.Context, home *kube.API) ([]string, error) {
	list, err := home.List(ctx, v1alpha1.Clusters, "", "")
	if kube.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clusters.fedns.io: %w", err)
	}
	var names []string
	for _, o := range list {
		names = append(names, o.GetName())
	}
	slices.Sort(names)
	return names, nil
}
