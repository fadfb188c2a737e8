package kube

import (
	"context"
	"encoding/json"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
