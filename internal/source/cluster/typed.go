package cluster

import (
	"context"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// A reader lists and watches a resource, in a namespace or, if that is "", in all.
type reader[L runtime.Object] struct {
	group               rest.Interface
	resource, namespace string
	empty               func() L
}

func services(a *api, namespace string) reader[*corev1.ServiceList] {
	return reader[*corev1.ServiceList]{a.core, "services", namespace, func() *corev1.ServiceList { return &corev1.ServiceList{} }}
}

func nodes(a *api) reader[*corev1.NodeList] {
	return reader[*corev1.NodeList]{a.core, "nodes", "", func() *corev1.NodeList { return &corev1.NodeList{} }}
}

func slicesOf(a *api, namespace string) reader[*discoveryv1.EndpointSliceList] {
	return reader[*discoveryv1.EndpointSliceList]{a.discovery, "endpointslices", namespace, func() *discoveryv1.EndpointSliceList { return &discoveryv1.EndpointSliceList{} }}
}

func ingresses(a *api) reader[*networkingv1.IngressList] {
	return reader[*networkingv1.IngressList]{a.networking, "ingresses", "", func() *networkingv1.IngressList { return &networkingv1.IngressList{} }}
}

func ingressClasses(a *api) reader[*networkingv1.IngressClassList] {
	return reader[*networkingv1.IngressClassList]{a.networking, "ingressclasses", "", func() *networkingv1.IngressClassList { return &networkingv1.IngressClassList{} }}
}

func (r reader[L]) ask(o metav1.ListOptions) *rest.Request {
	var timeout time.Duration
	if o.TimeoutSeconds != nil {
		timeout = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	return r.group.Get().NamespaceIfScoped(r.namespace, r.namespace != "").Resource(r.resource).VersionedParams(&o, queries).Timeout(timeout)
}

func (r reader[L]) list(ctx context.Context, o metav1.ListOptions) (L, error) {
	list := r.empty()
	err := r.ask(o).Do(ctx).Into(list)
	return list, err
}

func (r reader[L]) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return r.ask(o).Watch(ctx)
}
