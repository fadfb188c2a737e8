package kube

import "k8s.io/apimachinery/pkg/runtime"

// As reads an object as one of a type that has its fields.
func As[T any](o *Object) (out T, err error) {
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out)
	return out, err
}

// Title names an object for people: Deployment shop/web.
func Title(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return kind + " " + name
}

// TitleOf names an object as Title does.
func TitleOf(o *Object) string { return Title(o.GetKind(), o.GetNamespace(), o.GetName()) }
