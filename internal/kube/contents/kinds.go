package contents

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/fedns/fedns/internal/kube"
)

// Namespaced gives every kind that lives in namespaces and can be listed. An API
// that can't say all of it is an error: what isn't listed may be there.
func Namespaced(ctx context.Context, api *kube.API) ([]kube.Kind, error) {
	return namespaced(ctx, api, "list")
}

// Writable gives every kind, in namespaces or not, that can be listed and written, each in
// one version. An API that can't say all of it is an error.
func Writable(ctx context.Context, api *kube.API) ([]kube.Kind, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(api.REST, api.HTTP())
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return kindsOf(lists, "list", "update")
}

// namespaced gives the kinds in namespaces for which an API has all of these verbs.
func namespaced(ctx context.Context, api *kube.API, verbs ...string) ([]kube.Kind, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(api.REST, api.HTTP())
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredNamespacedResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return kindsOf(lists, verbs...)
}

// kindsOf are the kinds that have all of these verbs.
func kindsOf(lists []*metav1.APIResourceList, verbs ...string) (out []kube.Kind, err error) {
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			lacks := func(verb string) bool { return !slices.Contains(r.Verbs, verb) }
			if !strings.Contains(r.Name, "/") && !slices.ContainsFunc(verbs, lacks) {
				out = append(out, kube.Kind{Group: gv.Group, Version: gv.Version, Name: r.Kind, Resource: r.Name, Namespaced: r.Namespaced})
			}
		}
	}
	return out, nil
}
