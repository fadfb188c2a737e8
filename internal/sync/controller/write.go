package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// write has what is there be what a step says: by server-side apply, or, where that and
// what others have put beside it are no object together, whole.
//
// Such are the two halves of a union: the rollingUpdate of others stays beside our
// Recreate, and their emptyDir beside our configMap.
func write(ctx context.Context, api *kube.API, s workload.Step) (got *kube.Object, err error) {
	o := &kube.Object{Object: s.Object}
	o.SetUID(types.UID(s.UID)) // one that has gone is not made by an update
	o.SetResourceVersion(s.Version)
	how := kube.How{Manager: agent, Force: true}
	got, _, err = api.Apply(ctx, s.Kind, o, how)
	if err == nil {
		return noteApplied(ctx, api, s, got, how)
	}
	if !kube.Invalid(err) {
		return got, err
	}
	got, failed := replace(ctx, api, s)
	switch {
	case kube.Conflict(failed):
		return nil, failed
	case failed != nil:
		return nil, err // which is what is wrong with it, and not only with the other way
	}
	return noteApplied(ctx, api, s, got, how)
}

// ownTries is how often the note of whose an object is is written anew, where somebody, such as
// its controller, has written the object meanwhile.
const ownTries = 5

// noteApplied has what was written whole noted as applied. Where that was broken off, the next write of
// the object, which can be applied then, goes on from here.
func noteApplied(ctx context.Context, api *kube.API, s workload.Step, got *kube.Object, how kube.How) (*kube.Object, error) {
	if api.Rehearses() || !kube.Updated(got, agent) {
		return got, nil
	}
	for try := 1; ; try++ {
		_, err := api.Own(ctx, s.Kind, got, agent)
		if err == nil {
			break
		}
		if !kube.Conflict(err) || try == ownTries {
			return nil, err
		}
		if got, err = api.Get(ctx, s.Kind, s.Namespace, s.Name); err != nil {
			return nil, err
		}
	}
	o := &kube.Object{Object: s.Object}
	o.SetUID(types.UID(s.UID))
	o.SetResourceVersion("")
	got, _, err := api.Apply(ctx, s.Kind, o, how)
	return got, err
}

// replace writes an object over what is there, in one call: what it says nothing of goes,
// but for what others have noted on it, and for what only the API server gives out.
func replace(ctx context.Context, api *kube.API, s workload.Step) (*kube.Object, error) {
	there, err := api.Get(ctx, s.Kind, s.Namespace, s.Name)
	if err != nil {
		return nil, err
	}
	patch := workload.Replacement(s.Object, there.Object)
	metadata := patch["metadata"].(map[string]any)
	metadata["uid"], metadata["resourceVersion"] = s.UID, there.GetResourceVersion()
	if s.Version != "" {
		metadata["resourceVersion"] = s.Version
	}
	return api.Merge(ctx, s.Kind, s.Namespace, s.Name, patch, agent, "")
}
