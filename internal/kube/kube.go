// Package kube is one Kubernetes API as fedctl, fedsync and the registry use it:
// objects of any kind, written by server-side apply.
//
// It decides nothing, keeps nothing, and retries nothing but what the server asks
// to have retried (429).
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/kube/apireply"
)

// An Object is one of any kind.
type Object = unstructured.Unstructured

// A Kind is a kind of objects as an API serves it.
type Kind = v1alpha1.Kind

func resource(k Kind) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

// ErrNoKind says that an API doesn't serve a kind.
var ErrNoKind = errors.New("isn't served there")

// Config says how to reach an API.
type Config struct {
	Kubeconfig string // path; "": Content is meant
	Content    []byte // of a kubeconfig
	Context    string // "": the kubeconfig's current one
	Agent      string // the name of the program, for the server's logs
	// InCluster is the API of the cluster that this program runs in, as the service account of its pod.
	InCluster bool
	// Inline refuses a kubeconfig that isn't SelfContained.
	Inline bool
	// QPS and Burst bound the calls; zero: they aren't bounded here, but by the
	// server's priority and fairness.
	QPS   float32
	Burst int
	// Timeout bounds each request, watches too; zero: only callTimeout does.
	Timeout time.Duration
	// Wrap is put around all that sends requests, and that gets credentials for them; nil:
	// nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Beats is for an API that is only asked whether it is ready: a request that
	// times out leaves an HTTP/2 connection as it is, and the next would try its
	// luck with the same dead one. HTTP/1.1 begins with a new one.
	Beats bool
}

// An API is the way to one.
type API struct {
	Server string // its URL
	// REST is the configuration it was made from, for libraries that want one.
	REST *rest.Config
	http *http.Client
	rest rest.Interface
	dyn  dynamic.Interface

	budget    *apireply.Budget // what it may take up here
	rehearsal *Rehearsal       // nil: what is written is meant
	silence   time.Duration    // after which a watch is taken to be dead
	token     *atomic.Pointer[string]
}

// dialTimeout is how long a server may take to accept a connection; client-go's
// 30 s would hold a worker up for as long as a whole outage.
const dialTimeout = 5 * time.Second

// callTimeout bounds a call that isn't a watch: a server that accepts and says
// nothing must not hold its callers for ever.
const callTimeout = 30 * time.Second

// Open reads the configuration. It calls nobody.
func Open(c Config) (*API, error) {
	config, err := c.rest()
	if err != nil {
		return nil, err
	}
	config.UserAgent = c.Agent
	config.Timeout = c.Timeout
	config.QPS, config.Burst = c.QPS, c.Burst
	if c.Beats {
		config.NextProtos = []string{"http/1.1"}
	}
	if c.QPS == 0 {
		config.QPS = -1
	}
	config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	// What servers think of kinds and fields is for those who write them.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.ContentType = runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(statuses).WithoutConversion()
	config.Wrap(apireply.Check)
	plugin := &apireply.Plugin{}
	if config.ExecProvider != nil {
		config.Wrap(plugin.Inner)
	}
	a := &API{Server: config.Host, REST: config, silence: apireply.HungAfter, budget: &apireply.Budget{}, token: &atomic.Pointer[string]{}}
	if a.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), unusable(err))
	}
	if config.ExecProvider != nil {
		a.http.Transport = plugin.Outer(a.http.Transport)
	}
	a.http.Transport = bearer{a.http.Transport, a.token}
	if c.Wrap != nil {
		a.http.Transport = c.Wrap(a.http.Transport)
	}
	if a.rest, err = rest.UnversionedRESTClientForConfigAndClient(config, a.http); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), err)
	}
	if a.dyn, err = dynamic.NewForConfigAndClient(config, a.http); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), err)
	}
	return a, nil
}

// unusable says which of a kubeconfig's certificates can't be used.
func unusable(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "root certificates"):
		return errors.New("its certificate-authority holds no certificate in PEM form")
	case strings.HasPrefix(text, "tls: "):
		return fmt.Errorf("its client-certificate and client-key can't be used: %s", strings.TrimPrefix(text, "tls: "))
	}
	return err
}

// raw is what was answered, or what a Status says is wrong.
func raw(r rest.Result) ([]byte, error) {
	body, err := r.Raw()
	if err != nil {
		err = cmp.Or(r.Error(), err) // Raw has no eye for a Status
	}
	return body, err
}

// statuses knows the one type that errors come in.
var statuses = func() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return s
}()

func (c Config) where() string {
	if c.Kubeconfig == "" {
		return "kubeconfig"
	}
	return fmt.Sprintf("kubeconfig %q", c.Kubeconfig)
}

func (c Config) rest() (*rest.Config, error) {
	if c.InCluster {
		return rest.InClusterConfig()
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	var load clientcmd.ClientConfig
	if c.Kubeconfig != "" {
		content, err := inputfile.Read(c.Kubeconfig, inputfile.Kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.where(), unread(err))
		}
		if _, err := clientcmd.Load(content); err != nil {
			return nil, fmt.Errorf("%s: it isn't a kubeconfig", c.where()) // what is said of it is about Go's types
		}
		load = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}, overrides)
	} else {
		config, err := clientcmd.Load(c.Content)
		if err != nil {
			return nil, fmt.Errorf("kubeconfig: %w", err)
		}
		load = clientcmd.NewNonInteractiveClientConfig(*config, c.Context, overrides, nil)
	}
	raw, err := load.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), err)
	}
	name := c.Context
	if name == "" {
		name = raw.CurrentContext
	}
	context := raw.Contexts[name]
	switch {
	case name == "":
		return nil, fmt.Errorf("%s: it has no current-context; name one", c.where())
	case context == nil:
		return nil, fmt.Errorf("%s: context %q isn't there", c.where(), name)
	case raw.Clusters[context.Cluster] == nil || raw.Clusters[context.Cluster].Server == "":
		return nil, fmt.Errorf("%s: context %q: its cluster %q has no server", c.where(), name, context.Cluster)
	}
	if c.Inline {
		if err := SelfContained(&raw); err != nil {
			return nil, fmt.Errorf("%s: %w", c.where(), err)
		}
	}
	config, err := load.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: context %q: %w", c.where(), name, err)
	}
	return config, nil
}

// unread is what is wrong with a file that can't be read, without its name.
func unread(err error) error {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent{err}
	case errors.As(err, &p):
		return p.Err
	}
	return err
}

// absent is the error of a file that isn't there.
type absent struct{ error }

func (absent) Error() string   { return "it isn't there" }
func (a absent) Unwrap() error { return a.error }

// HTTP is what asks the API, for libraries that want to: REST alone knows nothing of what
// was put around it.
func (a *API) HTTP() *http.Client { return a.http }

// Close lets go of idle connections.
func (a *API) Close() { utilnet.CloseIdleConnectionsFor(a.http.Transport) }

// Version is that of the API server, such as v1.36.3.
func (a *API) Version(ctx context.Context) (string, error) {
	body, err := raw(a.rest.Get().AbsPath("/version").Timeout(callTimeout).Do(ctx))
	if err != nil {
		return "", err
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "", fmt.Errorf("version: %w", err)
	}
	if v.GitVersion == "" {
		return "", fmt.Errorf("version: %w", &apireply.UnexpectedReply{What: "no gitVersion"})
	}
	return v.GitVersion, nil
}

// Find asks how an API serves a kind; ErrNoKind: it doesn't.
func (a *API) Find(ctx context.Context, group, version, kind string) (Kind, error) {
	k := Kind{Group: group, Version: version, Name: kind}
	path := "/apis/" + group + "/" + version
	if group == "" {
		path = "/api/" + version
	}
	body, err := raw(a.rest.Get().AbsPath(path).Timeout(callTimeout).Do(ctx))
	if apierrors.IsNotFound(err) {
		return k, fmt.Errorf("%s: %w", k, ErrNoKind)
	}
	if err != nil {
		return k, fmt.Errorf("%s: %w", k, err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err != nil {
		return k, fmt.Errorf("%s: %w", k, err)
	}
	if list.Kind != "APIResourceList" || list.GroupVersion != strings.TrimPrefix(group+"/"+version, "/") {
		return k, fmt.Errorf("%s: %w", k, &apireply.UnexpectedReply{What: fmt.Sprintf("a %q of %q, not the APIResourceList", apireply.Line(list.Kind), apireply.Line(list.GroupVersion))})
	}
	for _, r := range list.APIResources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			k.Resource, k.Namespaced = r.Name, r.Namespaced
			return k, nil
		}
	}
	return k, fmt.Errorf("%s: %w", k, ErrNoKind)
}

// Has says whether an API serves a kind in its version.
func (a *API) Has(ctx context.Context, k Kind) (bool, error) {
	_, err := a.Find(ctx, k.Group, k.Version, k.Name)
	if errors.Is(err, ErrNoKind) {
		return false, nil
	}
	return err == nil, err
}

// Serves gives a version in which an API serves a kind; "": in none.
func (a *API) Serves(ctx context.Context, group, kind string) (version string, err error) {
	body, err := raw(a.rest.Get().AbsPath("/apis/" + group).Timeout(callTimeout).Do(ctx))
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var g metav1.APIGroup
	if err := json.Unmarshal(body, &g); err != nil {
		return "", err
	}
	for _, v := range g.Versions {
		_, err := a.Find(ctx, group, v.Version, kind)
		if err == nil {
			return v.Version, nil
		}
		if !errors.Is(err, ErrNoKind) {
			return "", err
		}
	}
	return "", nil
}

// Get gives an object as it is.
func (a *API) Get(ctx context.Context, k Kind, namespace, name string) (*Object, error) {
	o, err := object(a.at(a.rest.Get(), k, namespace, name).Do(ctx))
	if err == nil && (o.GetAPIVersion() != k.APIVersion() || o.GetKind() != k.Name || o.GetName() == "") {
		return nil, &apireply.UnexpectedReply{What: fmt.Sprintf("a %q, not the %s %q", apireply.Line(o.GetAPIVersion()+" "+o.GetKind()), k, name)}
	}
	return a.rehearsal.found(k, o, err)
}

// Exists asks whether there is an object, without fetching it.
func (a *API) Exists(ctx context.Context, k Kind, namespace, name string) (bool, error) {
	err := a.at(a.rest.Get(), k, namespace, name).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json").Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// listOf is what lists of a kind have to say that they are.
func listOf(k Kind) *apireply.List {
	return &apireply.List{Kinds: []apireply.Kind{{APIVersion: k.APIVersion(), Name: k.Name}}}
}

// pageSize bounds an answer: 20,000 objects are 40 calls.
const pageSize = 500

// List gives all objects of a kind, or an error. namespace "" is all of them;
// selector is one of labels, "" is all.
func (a *API) List(ctx context.Context, k Kind, namespace, selector string) ([]Object, error) {
	return a.list(ctx, k, namespace, metav1.ListOptions{LabelSelector: selector})
}

// ListWhere is List by a selector of fields, such as status.phase=Pending.
func (a *API) ListWhere(ctx context.Context, k Kind, namespace, fields string) ([]Object, error) {
	return a.list(ctx, k, namespace, metav1.ListOptions{FieldSelector: fields})
}

// ListAt is List of all objects of a kind as they were at a revision of the store, which is as
// it was for some minutes.
func (a *API) ListAt(ctx context.Context, k Kind, revision string) ([]Object, error) {
	return a.list(ctx, k, "", metav1.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
}

func (a *API) list(ctx context.Context, k Kind, namespace string, options metav1.ListOptions) ([]Object, error) {
	var all []Object
	pages := listOf(k)
	pages.Budget = a.budget
	defer pages.Release()
	ctx = apireply.Expect(ctx, pages)
	for options.Limit = pageSize; ; {
		list, err := a.dyn.Resource(resource(k)).Namespace(namespace).List(ctx, options)
		if less := pages.Limit(options.Limit); errors.Is(err, apireply.ErrExcess) && less < options.Limit {
			options.Limit = less
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		options.ResourceVersion, options.ResourceVersionMatch = "", "" // Continue says both
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return a.rehearsal.left(all), nil
		}
	}
}

// Revision is how far the store behind an API has come, as the resourceVersion of a
// list. One that falls says that the store was restored from an older copy, or lost:
// a watch from where it was then hears nothing, and no error either.
func (a *API) Revision(ctx context.Context, k Kind) (string, error) {
	list, err := a.dyn.Resource(resource(k)).List(apireply.Expect(ctx, listOf(k)), metav1.ListOptions{Limit: 1})
	if err != nil {
		return "", err
	}
	return list.GetResourceVersion(), nil
}

// Create makes an object, by the field manager named.
func (a *API) Create(ctx context.Context, k Kind, o *Object, manager string) (*Object, error) {
	body, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	a.rehearsal.change(k, o.GetNamespace(), o.GetName())
	return object(a.rehearsal.write(a.at(a.rest.Post(), k, o.GetNamespace(), "").Param("fieldManager", manager)).Body(body).Do(ctx))
}

// How says how to apply.
type How struct {
	Manager     string // the field manager
	Force       bool   // take fields over from others
	DryRun      bool
	Subresource string // "status"; "": the object
}

// Apply applies an object, by server-side apply (KEP-555). created says that it
// wasn't there before.
func (a *API) Apply(ctx context.Context, k Kind, o *Object, how How) (got *Object, created bool, err error) {
	body, err := json.Marshal(o.Object)
	if err != nil {
		return nil, false, err
	}
	r := a.at(a.rest.Patch(types.ApplyPatchType), k, o.GetNamespace(), o.GetName()).
		Param("fieldManager", how.Manager).Param("force", fmt.Sprint(how.Force)).Body(body)
	if how.DryRun {
		r = r.Param("dryRun", metav1.DryRunAll)
	} else {
		r = a.rehearsal.write(r)
		a.rehearsal.change(k, o.GetNamespace(), o.GetName())
	}
	if how.Subresource != "" {
		r = r.SubResource(how.Subresource)
	}
	var code int
	res := r.Do(ctx).StatusCode(&code)
	got, err = object(res)
	return got, err == nil && code == http.StatusCreated, err
}

// Merge changes an object by a JSON merge patch (RFC 7386), by the field manager
// named. With a resourceVersion in the patch, it fails if the object has changed
// since.
func (a *API) Merge(ctx context.Context, k Kind, namespace, name string, patch any, manager, subresource string) (*Object, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	r := a.rehearsal.write(a.at(a.rest.Patch(types.MergePatchType), k, namespace, name).Param("fieldManager", manager)).Body(body)
	a.rehearsal.change(k, namespace, name)
	if subresource != "" {
		r = r.SubResource(subresource)
	}
	return object(r.Do(ctx))
}

// Put writes an object, or a subresource of it, as it stands.
func (a *API) Put(ctx context.Context, k Kind, o *Object, subresource string) (*Object, error) {
	body, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	r := a.rehearsal.write(a.at(a.rest.Put(), k, o.GetNamespace(), o.GetName())).Body(body)
	a.rehearsal.change(k, o.GetNamespace(), o.GetName())
	if subresource != "" {
		r = r.SubResource(subresource)
	}
	return object(r.Do(ctx))
}

// Delete deletes the object with that UID, whatever depends on it in the
// background. One that is gone, or is another by now, is no error.
func (a *API) Delete(ctx context.Context, k Kind, namespace, name string, uid types.UID) error {
	return a.DeleteAs(ctx, k, namespace, name, uid, metav1.DeletePropagationBackground)
}

// DeleteAs is Delete that says what is to become of what depends on the object.
func (a *API) DeleteAs(ctx context.Context, k Kind, namespace, name string, uid types.UID, dependents metav1.DeletionPropagation) error {
	options := metav1.DeleteOptions{PropagationPolicy: &dependents}
	if a.rehearsal != nil {
		options.DryRun = []string{metav1.DryRunAll}
	}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	body, err := json.Marshal(options)
	if err != nil {
		return err
	}
	err = a.at(a.rest.Delete(), k, namespace, name).Body(body).Do(ctx).Error()
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && uid != "" {
		return nil
	}
	if err == nil {
		a.rehearsal.remove(k, namespace, name, uid)
	}
	return err
}

// DeleteAll deletes all objects of a kind in a namespace.
func (a *API) DeleteAll(ctx context.Context, k Kind, namespace string) error {
	return a.rehearsal.write(a.at(a.rest.Delete(), k, namespace, "")).Do(ctx).Error()
}

func (a *API) at(r *rest.Request, k Kind, namespace, name string) *rest.Request {
	path := []string{"apis", k.Group, k.Version}
	if k.Group == "" {
		path = []string{"api", k.Version}
	}
	if k.Namespaced && namespace != "" {
		path = append(path, "namespaces", namespace)
	}
	path = append(path, k.Resource)
	if name != "" {
		path = append(path, name)
	}
	return r.AbsPath(path...).Timeout(callTimeout)
}

func object(r rest.Result) (*Object, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	body, err := r.Raw()
	if err != nil {
		return nil, err
	}
	o := &Object{}
	if err := o.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	return o, nil
}

// Shared says whether anybody but a manager has a say in what an object is: in its
// spec, its data or its labels. Annotations and statuses are written by controllers.
func Shared(o *Object, manager string) bool {
	for _, m := range o.GetManagedFields() {
		if m.Manager == manager && m.Operation == metav1.ManagedFieldsOperationApply || m.Subresource == "status" || m.FieldsV1 == nil {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields); err != nil {
			return true // whatever it is, it isn't ours
		}
		var metadata map[string]json.RawMessage
		if raw := fields["f:metadata"]; raw != nil && json.Unmarshal(raw, &metadata) != nil {
			return true
		}
		delete(fields, "f:metadata")
		delete(fields, "f:status")
		if _, labels := metadata["f:labels"]; labels || len(fields) > 0 {
			return true
		}
	}
	return false
}
