package kube

import "k8s.io/apimachinery/pkg/runtime"

// As reads an object as one of a type that has its fields.
func As[T any](o *Object) (out T, err error) {
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out)
	return out, err
}
