package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/apply"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/ctl/install/token"
	"github.com/fedns/fedns/internal/kube"
)

// A Leaving is how a cluster is to leave.
type Leaving struct {
	// Orphan leaves what fedsync put into the cluster, without its marks.
	Orphan bool
	// Kinds were propagated beside fedsync's own.
	Kinds []kube.Kind
	// Wait is how long answers that name the cluster may be remembered.
	Wait time.Duration
	// Drained says whether fedns doesn't name it any more; nil: it can't be asked.
	Drained func(context.Context) (bool, error)
}

const (
	// heedTime is for fedns to learn of a drain; it follows Cluster objects by watch.
	heedTime = 30 * time.Second
	heedStep = 250 * time.Millisecond
)

// Unjoin takes a cluster out: first out of the answers, then out of the
// federation, then what was made there. It can be run again wherever it ended. An
// API that is nil can't be reached: what is there stays. Notes say what stays
// although it could be thought to go.
func (m *Member) Unjoin(ctx context.Context, f Leaving, say func(string)) (notes []string, err error) {
	live, err := m.Home.Get(ctx, v1alpha1.Clusters, "", m.Cluster)
	if err != nil && !kube.Missing(err) {
		return nil, fmt.Errorf("cluster %s: %w", m.Cluster, err)
	}
	if kube.Missing(err) {
		live = nil
	}
	if err := m.same(ctx, live != nil); err != nil {
		return nil, err
	}
	if live != nil {
		if err := m.drain(ctx, f, say); err != nil {
			return nil, err
		}
		say("the Cluster object to go")
		if err := m.dismiss(ctx, live); err != nil {
			return nil, err
		}
	}
	if m.API != nil {
		if notes, err = m.clean(ctx, f, say); err != nil {
			return notes, err
		}
		kept, err := m.retire(ctx)
		if err != nil {
			return notes, err
		}
		if kept != "" {
			notes = append(notes, fmt.Sprintf("namespace %s stays: %s", v1alpha1.System, kept))
		}
	}
	say("what the federation has of it")
	return notes, errors.Join(m.dropCredentials(ctx), m.dropPart(ctx))
}

// same makes sure that the cluster at hand is the one that goes by this name.
func (m *Member) same(ctx context.Context, member bool) error {
	known, err := m.identity(ctx)
	if err != nil {
		return err
	}
	if m.API == nil {
		if known == "" && !member {
			return m.stranger(ctx)
		}
		return nil
	}
	identity, err := bootstrap.Identity(ctx, m.API)
	if err != nil {
		return err
	}
	if known != "" && known != identity {
		return advice.Errorf("--cluster-context says which context is its", "%s isn't cluster %s of federation %s", m.API.Server, m.Cluster, m.Federation)
	}
	if known != "" || member {
		return nil
	}
	// Only what is left there can tell.
	called, err := m.called(ctx)
	if err != nil {
		return err
	}
	if called == "" {
		return m.stranger(ctx)
	}
	if called != m.Cluster {
		return advice.Errorf("fedctl unjoin "+called, "%s is cluster %s of federation %s", m.API.Server, called, m.Federation)
	}
	return nil
}

func (m *Member) stranger(ctx context.Context) error {
	names, err := Clusters(ctx, m.Home)
	if err != nil {
		return err
	}
	known := "it has none"
	if len(names) > 0 {
		known = "known: " + apply.Some(names)
	}
	return advice.Errorf(known, "federation %s has no cluster %s", m.Federation, m.Cluster)
}

// drain takes the cluster out of the answers, and waits until the last of those
// that named it has expired.
func (m *Member) drain(ctx context.Context, f Leaving, say func(string)) error {
	patch := map[string]any{"spec": map[string]any{"drain": map[string]any{"reason": drainReason, "until": nil}}}
	if _, err := m.Home.Merge(ctx, v1alpha1.Clusters, "", m.Cluster, patch, apply.Manager, ""); err != nil && !kube.Missing(err) {
		return fmt.Errorf("cluster %s: %w", m.Cluster, err)
	}
	if f.Wait <= 0 {
		return nil
	}
	if f.Drained != nil {
		say("fedns to leave it out of the answers")
		var out bool
		var err error
		over := wait.PollUntilContextTimeout(ctx, heedStep, heedTime, true, func(context.Context) (bool, error) {
			out, err = f.Drained(ctx)
			return err == nil && out, nil
		})
		switch {
		case over != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case over != nil:
			why := cmp.Or(err, errors.New("its shards are up there"))
			return advice.Errorf("does its Corefile have a registry? --drain-wait 0 doesn't wait", "fedns still answers with cluster %s: %w", m.Cluster, why)
		}
	}
	say(fmt.Sprintf("answers that name it to expire, until %s", time.Now().Add(f.Wait).Format(time.TimeOnly)))
	if !kube.Pause(ctx, f.Wait) {
		return context.Cause(ctx)
	}
	return nil
}

// dismiss deletes the Cluster object, and waits for whoever has a finalizer on it.
func (m *Member) dismiss(ctx context.Context, live *kube.Object) error {
	if err := m.Home.Delete(ctx, v1alpha1.Clusters, "", m.Cluster, live.GetUID()); err != nil {
		return fmt.Errorf("cluster %s: %w", m.Cluster, err)
	}
	return gone(ctx, m.Home, v1alpha1.Clusters, live, "cluster "+m.Cluster)
}

// retire removes the accounts in the member. The kinds that were added are noted
// on the writer's role, which therefore goes last.
func (m *Member) retire(ctx context.Context) (kept string, err error) {
	if err := m.dropAgent(ctx); err != nil {
		return "", err
	}
	var all []apply.Named
	for _, name := range []string{m.reader(), m.writer(), v1alpha1.ObjectsRole(m.Federation)} {
		all = append(all,
			apply.Named{Kind: builtin.ClusterRoleBindings, Name: name},
			apply.Named{Kind: builtin.RoleBindings, Namespace: v1alpha1.System, Name: name},
			apply.Named{Kind: builtin.Roles, Namespace: v1alpha1.System, Name: name},
			apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: token.Lasting(name)},
			apply.Named{Kind: builtin.Secrets, Namespace: v1alpha1.System, Name: v1alpha1.BoundTo(name)},
			apply.Named{Kind: builtin.ServiceAccounts, Namespace: v1alpha1.System, Name: name},
			apply.Named{Kind: builtin.ClusterRoles, Name: name})
	}
	if err := apply.DeleteOwned(ctx, m.API, m.Federation, all...); err != nil {
		return "", err
	}
	if served, err := m.API.Has(ctx, builtin.Policies); err != nil {
		return "", err
	} else if served {
		if err := apply.DeleteOwned(ctx, m.API, m.Federation, apply.Named{Kind: builtin.PolicyBindings, Name: m.policyName()}, apply.Named{Kind: builtin.Policies, Name: m.policyName()}); err != nil {
			return "", err
		}
	}
	if m.API.Server == m.Home.Server {
		return "", nil // the federation's own namespace
	}
	return apply.DeleteOwnedNamespace(ctx, m.API, v1alpha1.System)
}
