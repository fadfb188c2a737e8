package kube

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
)

// NewSecret makes a Secret.
func NewSecret(namespace, name string, data map[string][]byte) *Object {
	o := builtin.Secrets.New(namespace, name)
	o.Object["type"] = "Opaque"
	coded := map[string]any{}
	for k, v := range data {
		coded[k] = base64.StdEncoding.EncodeToString(v)
	}
	o.Object["data"] = coded
	return o
}

// SecretData is what a Secret holds; what isn't base64 no API server gave.
func SecretData(o *Object) map[string][]byte {
	out := map[string][]byte{}
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	for k, s := range data {
		if raw, err := base64.StdEncoding.DecodeString(s); err == nil {
			out[k] = raw
		}
	}
	return out
}
