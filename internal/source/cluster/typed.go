package cluster

import (
	"context"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// types are those that come as Go types, in protobuf: what there can be many of. They
// are few, and that is why they aren't asked for by client-go's own typed clients: those
// know every type of Kubernetes, how to apply it, and how to pretend that it was, which
// made, with what packages lease and contents keep out, 18 MB of 58 of the program.
var types = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for gv, known := range map[schema.GroupVersion][]runtime.Object{
		corev1.SchemeGroupVersion:       {&corev1.Service{}, &corev1.ServiceList{}, &corev1.Node{}, &corev1.NodeList{}},
		discoveryv1.SchemeGroupVersion:  {&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
		networkingv1.SchemeGroupVersion: {&networkingv1.Ingress{}, &networkingv1.IngressList{}, &networkingv1.IngressClass{}, &networkingv1.IngressClassList{}},
	} {
		s.AddKnownTypes(gv, known...)
		metav1.AddToGroupVersion(s, gv)
	}
	// What goes wrong is told by a Status of v1, whatever was asked for.
	s.AddUnversionedTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	return s
}()

// inTypes reads and writes them; queries writes what is asked.
var (
	inTypes = rest.CodecFactoryForGeneratedClient(types, serializer.NewCodecFactory(types)).WithoutConversion()
	queries = runtime.NewParameterCodec(types)
)

// typed is the way to the types of a group.
func typed(config *rest.Config, through *http.Client, gv schema.GroupVersion) (rest.Interface, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion, c.NegotiatedSerializer = &gv, inTypes
	if c.APIPath = "/apis"; gv.Group == "" {
		c.APIPath = "/api"
	}
	return rest.RESTClientForConfigAndClient(c, through)
}

// A client lists and watches a resource.
type client struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// clientOf is one whose lists are of a type of their own.
func clientOf[L runtime.Object](list func(context.Context, metav1.ListOptions) (L, error), watch func(context.Context, metav1.ListOptions) (watch.Interface, error)) client {
	return client{func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return list(ctx, o) }, watch}
}

// asking is a client whose questions are changed so.
func (c client) asking(change func(*metav1.ListOptions)) client {
	return client{
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			change(&o)
			return c.list(ctx, o)
		},
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			change(&o)
			return c.watch(ctx, o)
		},
	}
}

// named has a client ask for what has that name.
func (c client) named(name string) client {
	return c.asking(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	})
}

// in is the client of a resource of a group, in a namespace or, if that is "", in all.
func in[L any, P interface {
	*L
	runtime.Object
}](group rest.Interface, resource, namespace string) client {
	ask := func(o metav1.ListOptions) *rest.Request {
		var timeout time.Duration
		if o.TimeoutSeconds != nil {
			timeout = time.Duration(*o.TimeoutSeconds) * time.Second
		}
		return group.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&o, queries).Timeout(timeout)
	}
	return client{
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := P(new(L))
			return list, ask(o).Do(ctx).Into(list)
		},
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			return ask(o).Watch(ctx)
		},
	}
}

func services(a *api, namespace string) client {
	return in[corev1.ServiceList](a.core, "services", namespace)
}
