package kube

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Namespaced gives every kind that lives in namespaces and can be listed. An API
// that can't say all of it is an error: what isn't listed may be there.
func (a *API) Namespaced(ctx context.Context) ([]Kind, error) { return a.namespaced(ctx, "list") }

// Writable gives every kind, in namespaces or not, that can be listed and written, each in
// one version. An API that can't say all of it is an error.
func (a *API) Writable(ctx context.Context) ([]Kind, error) {
	lists, err := a.disc.ServerPreferredResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return kindsOf(lists, "list", "update")
}

// namespaced gives the kinds in namespaces for which an API has all of these verbs.
func (a *API) namespaced(ctx context.Context, verbs ...string) ([]Kind, error) {
	lists, err := a.disc.ServerPreferredNamespacedResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return kindsOf(lists, verbs...)
}

// kindsOf are the kinds that have all of these verbs.
func kindsOf(lists []*metav1.APIResourceList, verbs ...string) (out []Kind, err error) {
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			lacks := func(verb string) bool { return !slices.Contains(r.Verbs, verb) }
			if !strings.Contains(r.Name, "/") && !slices.ContainsFunc(verbs, lacks) {
				out = append(out, Kind{Group: gv.Group, Version: gv.Version, Name: r.Kind, Resource: r.Name, Namespaced: r.Namespaced})
			}
		}
	}
	return out, nil
}

// Metadata lists all objects of a kind without what they hold: for whoever looks through
// everything that an API has.
func (a *API) Metadata(ctx context.Context, k Kind) ([]Object, error) {
	var all []Object
	for next := ""; ; {
		r := a.at(a.rest.Get(), k, "", "").Param("limit", strconv.Itoa(pageSize)).
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
		if next != "" {
			r = r.Param("continue", next)
		}
		body, err := raw(r.Do(ctx))
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata metav1.ListMeta  `json:"metadata"`
			Items    []map[string]any `json:"items"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			all = append(all, unstructured.Unstructured{Object: o})
		}
		if next = page.Metadata.Continue; next == "" {
			return a.rehearsal.left(all), nil
		}
	}
}
