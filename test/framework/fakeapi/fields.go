package fakeapi

import (
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"

	"github.com/fedns/fedns/internal/kube"
)

// manager is who knows who wrote which fields of a kind, as API servers do it (KEP-555). Without
// schemas, lists are of one piece.
func (a *API) manager(k kube.Kind) (*managedfields.FieldManager, error) {
	gvk := schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Name}
	if m := a.fields[gvk]; m != nil {
		return m, nil
	}
	m, err := managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(), plain{}, plain{}, plain{}, gvk, gvk.GroupVersion(), "", nil)
	if err == nil {
		a.fields[gvk] = m
	}
	return m, err
}

// plain converts, fills in and makes objects that have one version and no defaults.
type plain struct{}

func (plain) Convert(in, out, context any) error { return fmt.Errorf("%T isn't converted here", in) }

func (plain) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (plain) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (plain) Default(runtime.Object) {}

func (plain) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	return o, nil
}

var uids atomic.Int64

// newUID is an identifier that no other object has, of any API.
func newUID() types.UID {
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", uids.Add(1)))
}
