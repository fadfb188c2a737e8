package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
	"github.com/fedns/fedns/internal/sync/workload"
)

// errControlled says that the API has a namespace controller, whose business it is.
var errControlled = errors.New("its controller hasn't emptied it yet")

// errStays says what keeps a Namespace.
type errStays string

func (e errStays) Error() string { return string(e) }

// emptyNamespace empties a Namespace that is being deleted of everything, and tells the API server
// when nothing is left in it. Where a controller does that, it is left to it: it may do so
// with rights that fedsync doesn't have there.
func emptyNamespace(ctx context.Context, api *kube.API, w *workload.Desired) error {
	o, err := api.Get(ctx, w.Kind, "", w.Name)
	if err != nil {
		return err
	}
	spec, _ := o.Object["spec"].(map[string]any)
	finalizers, _ := spec["finalizers"].([]any)
	others := slices.DeleteFunc(slices.Clone(finalizers), func(f any) bool { return f == kubernetes })
	if len(others) == len(finalizers) {
		return nil // what holds it isn't for Kubernetes to do
	}
	// Controllers put this account into every namespace. Who may not look has an API of
	// fedctl's, of before it gave that right, in which there are none.
	controlled, err := api.Exists(ctx, builtin.ServiceAccounts, builtin.Identity, "default")
	if controlled || err != nil && !kube.Forbidden(err) {
		return errors.Join(err, unbindSecrets(ctx, api, w.Name), errControlled)
	}
	left, err := contents.Clear(ctx, api, w.Name)
	status, _ := o.Object["status"].(map[string]any)
	if next, changed := remaining(status["conditions"], left, err, time.Now()); changed {
		patch := map[string]any{"metadata": map[string]any{"uid": w.UID}, "status": map[string]any{"conditions": next}}
		if _, err := api.Merge(ctx, w.Kind, "", w.Name, patch, agent, "status"); err != nil {
			return err
		}
	}
	if text := stays(left, err); text != "" {
		return errStays(text)
	}
	// As it is by now: the conditions have made another version of it.
	if o, err = api.Get(ctx, w.Kind, "", w.Name); err != nil {
		return err
	}
	spec, _ = o.Object["spec"].(map[string]any)
	if others == nil {
		others = []any{}
	}
	spec["finalizers"] = others
	_, err = api.Put(ctx, w.Kind, o, "finalize")
	return err
}

// kubernetes is the finalizer, in its spec, by which a Namespace is held until it is empty.
const kubernetes = "kubernetes"

// stays says what keeps a Namespace; "": nothing does.
func stays(left []contents.Rest, err error) string {
	if err != nil {
		return "it stays: which kinds it may hold can't be known: " + kube.Plain(err)
	}
	var holds, unknown []string
	for _, r := range left {
		switch {
		case r.Count == 0:
			unknown = append(unknown, fmt.Sprintf("%s: %s", r.Resource, kube.Plain(r.Err)))
			continue
		case r.Count > len(r.Names):
			holds = append(holds, fmt.Sprintf("%d %s, such as %s", r.Count, r.Resource, strings.Join(r.Names, ", ")))
		default:
			holds = append(holds, fmt.Sprintf("%s %s", r.Kind.Name, strings.Join(r.Names, ", ")))
		}
		if f := slices.Sorted(maps.Keys(r.Finalizers)); len(f) > 0 {
			holds[len(holds)-1] += fmt.Sprintf(" (finalizers %s)", strings.Join(f, ", "))
		} else if r.Err != nil {
			holds[len(holds)-1] += fmt.Sprintf(" (%s)", kube.Plain(r.Err))
		}
	}
	text := ""
	if len(holds) > 0 {
		text = "it stays: it holds " + strings.Join(holds, "; ")
	}
	if len(unknown) > 0 {
		if text != "" {
			return text + "; and it may hold more"
		}
		text = "it stays: whether it is empty can't be known; fedctl init again gives fedsync the rights: " + strings.Join(unknown, "; ")
	}
	return text
}

// The conditions of a Namespace by which its controller tells what keeps it, and what each
// says where nothing does.
var emptying = []struct{ kind, reason, well, text string }{
	{"NamespaceDeletionDiscoveryFailure", "DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered"},
	{"NamespaceDeletionContentFailure", "ContentDeletionFailed", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"},
	{"NamespaceContentRemaining", "SomeResourcesRemain", "ContentRemoved", "All content successfully removed"},
	{"NamespaceFinalizersRemaining", "SomeFinalizersRemain", "ContentHasNoFinalizers", "All content-preserving finalizers finished"},
}

// remaining are the conditions of a Namespace, in the words of Kubernetes's own controller:
// others' stay, and what is as it was keeps its time. changed says whether they are others.
func remaining(was any, left []contents.Rest, failed error, now time.Time) (next []any, changed bool) {
	said := map[string]string{}
	if failed != nil {
		said["NamespaceDeletionDiscoveryFailure"] = "Discovery failed for some groups: " + kube.Plain(failed)
	}
	var errs, rest []string
	finalizers := map[string]int{}
	for _, r := range left {
		if r.Err != nil {
			errs = append(errs, r.Resource+": "+kube.Plain(r.Err))
		}
		if r.Count > 0 {
			rest = append(rest, fmt.Sprintf("%s has %d resource instances", strings.TrimSuffix(r.Resource+"."+r.Group, "."), r.Count))
		}
		for f, n := range r.Finalizers {
			finalizers[f] += n
		}
	}
	if len(errs) > 0 {
		said["NamespaceDeletionContentFailure"] = "Failed to delete all resource types, " + fmt.Sprintf("%d remaining: ", len(errs)) + strings.Join(errs, ", ")
	}
	if len(rest) > 0 {
		said["NamespaceContentRemaining"] = "Some resources are remaining: " + strings.Join(rest, ", ")
	}
	if len(finalizers) > 0 {
		var all []string
		for _, f := range slices.Sorted(maps.Keys(finalizers)) {
			all = append(all, fmt.Sprintf("%s in %d resource instances", f, finalizers[f]))
		}
		said["NamespaceFinalizersRemaining"] = "Some content in the namespace has finalizers remaining: " + strings.Join(all, ", ")
	}
	before, _ := was.([]any)
	for _, c := range before {
		m, _ := c.(map[string]any)
		if !slices.ContainsFunc(emptying, func(e struct{ kind, reason, well, text string }) bool { return e.kind == m["type"] }) {
			next = append(next, c)
		}
	}
	for _, e := range emptying {
		c := map[string]any{"type": e.kind, "status": "False", "reason": e.well, "message": e.text}
		if text := said[e.kind]; text != "" {
			c["status"], c["reason"], c["message"] = "True", e.reason, text
		}
		c["lastTransitionTime"] = now.UTC().Format(time.RFC3339)
		i := slices.IndexFunc(before, func(b any) bool { m, _ := b.(map[string]any); return m["type"] == e.kind })
		if i < 0 {
			changed = true
		} else {
			b := before[i].(map[string]any)
			if b["status"] == c["status"] {
				c["lastTransitionTime"] = b["lastTransitionTime"]
			}
			changed = changed || b["status"] != c["status"] || b["message"] != c["message"]
		}
		next = append(next, c)
	}
	return next, changed
}

// namespaceEmptied hears how the emptying of a Namespace ended.
func (u *hub) namespaceEmptied(f objectInCluster, got *kube.Object, err error) {
	var keeps errStays
	if errors.As(err, &keeps) {
		u.stays[f.Key] = string(keeps)
	} else if err == nil {
		delete(u.stays, f.Key)
	}
	if errors.Is(err, errControlled) {
		delete(u.inFlight, f)
		u.failed(f, err, soonest, "")
		return // the next turn comes with time
	}
	u.onWritten(f, got, err)
}
