package membership

import (
	"cmp"
	"context"
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
	// Fedsync is what the one that leads runs with; nil: none has led yet.
	Fedsync *v1alpha1.FedsyncSettings
	// Everywhere has it write in all namespaces of the cluster.
	Everywhere bool
	// Pull says that the cluster pulls.
	Pull bool
	// NoSecrets has it neither read nor write Secrets there; nil: as before.
	NoSecrets *bool
	// TokenLife is how long tokens last, unless they are renewed; 0: for ever.
	TokenLife time.Duration
}

// DefaultTokenLife is how long a fedsync may be away without being locked out: from when it renews a token,
// at a third of that, two thirds are left.
const DefaultTokenLife = 7 * 24 * time.Hour

// old says whether the fedsync that leads is one of before: it needs to list in all namespaces, and
// renews no tokens.
func (r Request) old() bool { return r.Fedsync != nil && !r.Fedsync.Confined }

// life is how long tokens last while somebody renews them; 0: for ever.
func (r Request) life() time.Duration {
	if r.old() {
		return 0
	}
	return r.TokenLife
}

// A Result is what came of it.
type Result struct {
	Again   bool      // it was a member before
	Expires time.Time // of the first of its tokens; zero: they don't
	// Lasts says that the token of fedns doesn't end: nobody renews it yet.
	Lasts bool
	// Everywhere says that fedsync may write in all namespaces, and Unkept that nothing keeps it
	// out of those of the cluster: it serves no policies.
	Everywhere, Unkept bool
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
	// The Cluster object goes before what it leads to.
	defer apply.Undo(ctx, &err, "fedctl unjoin "+m.Cluster+" --cluster-context CONTEXT removes it", home, there)
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
	may, err := m.grant(ctx, there, r, kinds)
	if err != nil {
		return res, err
	}
	res.Everywhere, res.Unkept = may.Everywhere, !may.Everywhere && !may.Policies
	say("their tokens")
	tokens, err := m.tokens(ctx, there, r)
	if err != nil {
		return res, err
	}
	for _, t := range tokens {
		if !t.Expires.IsZero() && (res.Expires.IsZero() || t.Expires.Before(res.Expires)) {
			res.Expires = t.Expires
		}
	}
	res.Lasts = tokens[m.reader()].Expires.IsZero()
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
	for _, o := range append(m.secrets(identity, r.life(), reader, writer), m.Leave()...) {
		if _, err := home.Apply(ctx, o); err != nil {
			return res, err
		}
	}
	if _, err := home.ApplyKind(ctx, v1alpha1.Clusters, m.Object(r, live)); err != nil {
		return res, err
	}
	// What was given before is worth nothing from here on.
	for name, t := range tokens {
		spare := token.Lasting(name)
		switch {
		case t.Expires.IsZero() && r.life() > 0:
			continue
		case t.Expires.IsZero():
			spare = v1alpha1.BoundTo(name)
		}
		if err := apply.DeleteOwned(ctx, m.API, m.Federation, apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: spare}); err != nil {
			return res, err
		}
	}
	// It may have pulled before.
	if err := m.dropPart(ctx); err != nil {
		return res, err
	}
	if err := m.dropAgent(ctx); err != nil {
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

// rights are what the programs are to have in the cluster; wide says that fedsync had more.
func (m *Member) rights(ctx context.Context, r Request, kinds []kube.Kind) (may Rights, wide bool, err error) {
	may = Rights{Kinds: kinds, Everywhere: r.Everywhere || r.old()}
	if wide, may.NoSecrets, err = m.before(ctx); err != nil {
		return may, wide, err
	}
	if r.NoSecrets != nil {
		may.NoSecrets = *r.NoSecrets
	}
	may.Policies, err = m.API.Has(ctx, builtin.Policies)
	return may, wide, err
}

// Planned are the objects that Join would make in the cluster, but for tokens.
func (m *Member) Planned(ctx context.Context, r Request, kinds []kube.Kind) ([]*kube.Object, error) {
	may, _, err := m.rights(ctx, r, kinds)
	if err != nil {
		return nil, err
	}
	return m.Objects(may)
}

// grant writes what the programs may do in the cluster.
func (m *Member) grant(ctx context.Context, there *apply.Applied, r Request, kinds []kube.Kind) (may Rights, err error) {
	may, wide, err := m.rights(ctx, r, kinds)
	if err != nil {
		return may, err
	}
	objects, err := m.Objects(may)
	if err != nil {
		return may, err
	}
	if wide && !may.Everywhere {
		spaces, err := m.inhabited(ctx, kinds)
		if err != nil {
			return may, err
		}
		for _, namespace := range spaces {
			objects = append(objects, m.space(namespace))
		}
		// The ClusterRole that is bound everywhere comes last: until then fedsync may do as before.
		slices.SortStableFunc(objects, func(a, b *kube.Object) int { return cmp.Compare(lastly(a, m), lastly(b, m)) })
	}
	for _, o := range objects {
		if _, err := there.Apply(ctx, o); err != nil {
			return may, err
		}
	}
	return may, nil
}

// lastly puts fedsync's ClusterRole behind all others.
func lastly(o *kube.Object, m *Member) int {
	if o.GetKind() == builtin.ClusterRoles.Name && o.GetName() == m.writer() {
		return 1
	}
	return 0
}

// tokens gets one for each account. Those of fedns last until there is somebody who renews them: a federation need not
// have a fedsync, and without them it is out of the answers. One that is fresh is good for longer.
func (m *Member) tokens(ctx context.Context, there *apply.Applied, r Request) (map[string]token.Token, error) {
	out := map[string]token.Token{}
	life := r.life()
	var lasting []string
	for name, secret := range map[string]string{m.reader(): Reader(m.Cluster), m.writer(): Reader(m.Cluster) + v1alpha1.WriterSuffix} {
		if life == 0 || name == m.reader() && r.Fedsync == nil {
			lasting = append(lasting, name)
			if life > 0 { // for the first fedsync, which will renew it
				if err := token.Bind(ctx, there, name); err != nil {
					return nil, err
				}
			}
			continue
		}
		o, err := m.Home.Get(ctx, builtin.Secrets, v1alpha1.System, secret)
		if err != nil && !kube.Missing(err) {
			return nil, fmt.Errorf("secret %s: %w", secret, err)
		}
		if err == nil {
			t := token.Token{Value: kube.TokenIn(kube.SecretData(o)[v1alpha1.KubeconfigKey])}
			c, ok := kube.Claims(t.Value)
			if t.Expires = c.Expires; ok && c.Account == name && !c.Due(life, time.Now()) && try(ctx, r.Endpoint, t, builtin.Namespaces, 0) == nil {
				out[name] = t
				continue
			}
		}
		if out[name], err = token.Ending(ctx, there, name, life); err != nil {
			return nil, err
		}
	}
	last, err := token.Tokens(ctx, there, lasting...)
	maps.Copy(out, last)
	return out, err
}

// own are the fields of a Cluster object that join writes. Applying takes away what
// it doesn't name, so it names what stood there.
var own = []string{"region", "zones", "location", "addresses"}

// Object is the Cluster object, with what is there already if that isn't said anew.
func (m *Member) Object(r Request, live *kube.Object) *kube.Object {
	o := v1alpha1.Clusters.New("", m.Cluster)
	s := map[string]any{"secretRef": map[string]any{"name": Reader(m.Cluster)}}
	if r.Pull {
		s = map[string]any{"pull": true}
	}
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
	called, err := m.called(ctx)
	if err != nil {
		return "", err
	}
	if called != "" && called != m.Cluster {
		return "", advice.Errorf("fedctl unjoin "+called+" first", "%s is cluster %s of federation %s already", m.API.Server, called, m.Federation)
	}
	return identity, nil
}

// written is what fedctl does to what it makes.
var written = []string{"get", "create", "patch", "delete"}

// ClusterRights are those that Join takes in the cluster.
func ClusterRights() []kube.Right {
	return append(rightsOn(written, builtin.Namespaces, builtin.ServiceAccounts, builtin.Secrets, builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Roles, builtin.RoleBindings, builtin.Policies, builtin.PolicyBindings),
		kube.Right{Verb: "create", Resource: builtin.ServiceAccounts.Resource + "/token", Namespace: v1alpha1.System})
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
		if id := o.GetAnnotations()[v1alpha1.MemberIdentity]; id != "" {
			return id, nil
		}
	}
	a, err := m.Home.Get(ctx, v1alpha1.Agents, v1alpha1.PartOf(m.Cluster), v1alpha1.AgentName)
	if kube.Missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("its Agent: %w", err)
	}
	id, _, _ := unstructured.NestedString(a.Object, "spec", "identity")
	return id, nil
}

// called is what the cluster is called in the federation, as an account in it says; "": nothing does.
func (m *Member) called(ctx context.Context) (string, error) {
	for _, account := range []string{m.writer(), m.reader()} {
		a, err := m.API.Get(ctx, builtin.ServiceAccounts, v1alpha1.System, account)
		if err != nil && !kube.Missing(err) {
			return "", fmt.Errorf("%s: %w", m.API.Server, err)
		}
		if err == nil && apply.Ours(a, m.Federation) {
			return a.GetAnnotations()[v1alpha1.MemberName], nil
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
	for name, kind := range map[string]kube.Kind{m.reader(): builtin.Services, m.writer(): builtin.Namespaces} {
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
			namespace := "" // a right to all of them, and little to send
			if kind.Namespaced {
				namespace = v1alpha1.System
			}
			_, err = api.List(ctx, kind, namespace, "")
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
