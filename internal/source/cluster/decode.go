package cluster

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/shard"
)

// An object is any of the kinds that count, with what counts of them. One type
// for all of them makes decoding a single pass, whatever the kind turns out to be;
// Kubernetes' own types take twice the time and the memory.
type object struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Metadata   objectMeta `json:"metadata"`
	Spec       struct {
		Type                     corev1.ServiceType    `json:"type"`
		ClusterIP                string                `json:"clusterIP"`
		ClusterIPs               []string              `json:"clusterIPs"`
		ExternalIPs              []string              `json:"externalIPs"`
		PublishNotReadyAddresses bool                  `json:"publishNotReadyAddresses"`
		ExternalTrafficPolicy    string                `json:"externalTrafficPolicy"`
		IngressClassName         *string               `json:"ingressClassName"`
		GatewayClassName         string                `json:"gatewayClassName"`
		Ports                    []objectPort          `json:"ports"`
		DefaultBackend           *objectIngressBackend `json:"defaultBackend"`
		Backend                  *objectIngressBackend `json:"backend"` // the same, in v1beta1
		Rules                    []objectRule          `json:"rules"`
		Listeners                []objectListener      `json:"listeners"`
		Hostnames                []string              `json:"hostnames"`
		ParentRefs               []objectParent        `json:"parentRefs"`
		ParentRef                *objectParent         `json:"parentRef"`
		AllowedListeners         struct {
			Namespaces objectNamespaces `json:"namespaces"`
		} `json:"allowedListeners"`
	} `json:"spec"`
	Status struct {
		Addresses  []objectAddress   `json:"addresses"`
		Parents    []objectWord      `json:"parents"`
		Conditions []objectCondition `json:"conditions"`
		Listeners  []objectListening `json:"listeners"`

		LoadBalancer struct {
			Ingress []objectIngress `json:"ingress"`
		} `json:"loadBalancer"`
	} `json:"status"`
	Endpoints []objectEndpoint `json:"endpoints"`
	Ports     []objectPort     `json:"ports"` // of the endpoints
	Items     []object         `json:"items"`
}

type objectMeta struct {
	Namespace         string            `json:"namespace"`
	Name              string            `json:"name"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	CreationTimestamp metav1.Time       `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time      `json:"deletionTimestamp"`
}

type objectPort struct {
	Name     string          `json:"name"`
	Protocol corev1.Protocol `json:"protocol"`
	Port     int32           `json:"port"`
}

type objectIngress struct {
	IP       string `json:"ip"`
	Hostname string `json:"hostname"`
}

// An objectRule is one of an Ingress, or of a route.
type objectRule struct {
	Host string `json:"host"`
	HTTP *struct {
		Paths []struct {
			Backend objectIngressBackend `json:"backend"`
		} `json:"paths"`
	} `json:"http"`
	BackendRefs []objectBackend `json:"backendRefs"`
}

// An objectIngressBackend is where an Ingress leads: to a Service, or to something else.
type objectIngressBackend struct {
	Service *struct {
		Name string `json:"name"`
	} `json:"service"`
	ServiceName string `json:"serviceName"` // the same, in v1beta1
}

// v1 is the backend in today's words; of a Service, only the name counts.
func (b *objectIngressBackend) v1() *networkingv1.IngressBackend {
	switch {
	case b == nil:
		return nil
	case b.Service != nil:
		return &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: b.Service.Name}}
	case b.ServiceName != "":
		return &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: b.ServiceName}}
	}
	return &networkingv1.IngressBackend{}
}

type objectEndpoint struct {
	Addresses  []string `json:"addresses"`
	Conditions struct {
		Ready       *bool `json:"ready"`
		Terminating *bool `json:"terminating"`
	} `json:"conditions"`
	Hostname *string           `json:"hostname"`
	NodeName *string           `json:"nodeName"`
	Zone     *string           `json:"zone"`
	Topology map[string]string `json:"topology"` // of v1beta1: labels of the node, and its name
}

// stands gives the node and the zone of an endpoint, in the words of either version.
func (e *objectEndpoint) stands() (node, zone *string) {
	node, zone = e.NodeName, e.Zone
	if z, ok := e.Topology[corev1.LabelTopologyZone]; ok && zone == nil {
		zone = &z
	}
	if n, ok := e.Topology[corev1.LabelHostname]; ok && node == nil {
		node = &n
	}
	return node, zone
}

// versions are the kinds that count, in the versions of them that are read: those
// that have the fields that count. The same word under another group is another
// kind: Knative has Services too.
var versions = map[string][]string{
	"Service":       {"v1"},
	"Node":          {"v1"},
	"EndpointSlice": {"discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"},
	"Ingress":       {"networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"},
	"Namespace":     {"v1"},
	"Gateway":       {gatewayAPI, "gateway.networking.k8s.io/v1beta1", "gateway.networking.k8s.io/v1alpha2"},
	"HTTPRoute":     {gatewayAPI, "gateway.networking.k8s.io/v1beta1", "gateway.networking.k8s.io/v1alpha2"},
	"GRPCRoute":     {gatewayAPI, "gateway.networking.k8s.io/v1alpha2"},
	"TLSRoute":      {gatewayAPI, "gateway.networking.k8s.io/v1alpha3", "gateway.networking.k8s.io/v1alpha2"},
	"ListenerSet":   {gatewayAPI, "gateway.networking.k8s.io/v1alpha1"},
	"XListenerSet":  {gatewayTrials + "/v1alpha1"},
	"GatewayClass":  {gatewayAPI, "gateway.networking.k8s.io/v1beta1", "gateway.networking.k8s.io/v1alpha2"},
	"IngressClass":  {"networking.k8s.io/v1", "networking.k8s.io/v1beta1"},
}

// clusterScoped are those of the kinds that are in no namespace.
var clusterScoped = map[string]bool{"Node": true, "Namespace": true, "GatewayClass": true, "IngressClass": true}

func (o *object) counts() bool {
	read, ok := versions[o.Kind]
	return ok && (o.APIVersion == "" || slices.Contains(read, o.APIVersion)) // which is easily left out by hand
}

// builtIn are the groups of Kubernetes' own in which nothing names a host, nor a
// Service that is to be known.
var builtIn = []string{
	"", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
	"certificates.k8s.io", "coordination.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "metrics.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
	"scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io", "internal.apiserver.k8s.io", "kustomize.config.k8s.io",
}

// silent are kinds of other groups that don't either.
var silent = []string{"NetworkPolicy", "ReferenceGrant", "BackendTLSPolicy", "ServiceCIDR", "IPAddress", "Cluster"}

// strange says whether an object that isn't read may well have been meant to count: of
// a kind that does, in another version or group, or of one that nobody here knows.
func (o *object) strange() bool {
	if o.counts() || o.list() || o.Kind == "" {
		return false
	}
	if _, ok := versions[o.Kind]; ok || o.Kind == "Endpoints" {
		return true
	}
	group, _, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		group = ""
	}
	return !slices.Contains(builtIn, group) && !slices.Contains(silent, o.Kind)
}

// unread says what has been left out, and what would be read instead.
func (o *object) unread() string {
	text := fmt.Sprintf("%s of %s isn't read", o.Kind, cmp.Or(o.APIVersion, "no version"))
	if o.Kind == "Endpoints" {
		return text + ", but EndpointSlice of " + versions["EndpointSlice"][0]
	}
	if read, ok := versions[o.Kind]; ok {
		return text + ", but that of " + strings.Join(read, " and ")
	}
	return text + ", nor what it may say of hosts and Services"
}

func (o *object) list() bool { return strings.HasSuffix(o.Kind, "List") }

func (o *object) meta() metav1.ObjectMeta {
	m := &o.Metadata
	return metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, Annotations: m.Annotations,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}

func (o *object) service() *corev1.Service {
	s := &corev1.Service{ObjectMeta: o.meta()}
	s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs = o.Spec.Type, o.Spec.ClusterIP, o.Spec.ClusterIPs
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicy(o.Spec.ExternalTrafficPolicy)
	s.Spec.ExternalIPs, s.Spec.PublishNotReadyAddresses = o.Spec.ExternalIPs, o.Spec.PublishNotReadyAddresses
	for _, p := range o.Spec.Ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port})
	}
	for _, in := range o.Status.LoadBalancer.Ingress {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: in.IP, Hostname: in.Hostname})
	}
	return s
}

// node makes what is kept of a Node.
func (o *object) node() shard.Node {
	var conditions []corev1.NodeCondition
	for _, c := range o.Status.Conditions {
		conditions = append(conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(c.Type), Status: corev1.ConditionStatus(c.Status)})
	}
	return node(o.Metadata.Name, o.Metadata.Labels, conditions)
}

func (o *object) ingress() *networkingv1.Ingress {
	i := &networkingv1.Ingress{ObjectMeta: o.meta()}
	i.Spec.DefaultBackend, i.Spec.IngressClassName = cmp.Or(o.Spec.DefaultBackend, o.Spec.Backend).v1(), o.Spec.IngressClassName
	for _, r := range o.Spec.Rules {
		rule := networkingv1.IngressRule{Host: r.Host}
		if r.HTTP != nil {
			rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
			for j := range r.HTTP.Paths {
				rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{Backend: *r.HTTP.Paths[j].Backend.v1()})
			}
		}
		i.Spec.Rules = append(i.Spec.Rules, rule)
	}
	for _, in := range o.Status.LoadBalancer.Ingress {
		i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{IP: in.IP, Hostname: in.Hostname})
	}
	return i
}

func (o *object) slice() *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: o.meta()}
	for i := range o.Endpoints {
		e := &o.Endpoints[i]
		node, zone := e.stands()
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: e.Addresses, Hostname: e.Hostname, NodeName: node, Zone: zone,
			Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready, Terminating: e.Conditions.Terminating},
		})
	}
	for i := range o.Ports {
		p := &o.Ports[i]
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Port})
	}
	return s
}

// A lineError is what is wrong with a file, and where.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// decode gives yield every object that counts of a file, and those that are strange, in
// order. The object is
// yield's only during the call. What is wrong with the content is a lineError.
func decode(name string, file io.ReadSeeker, yield func(*object)) error {
	if filepath.Ext(name) == ".json" {
		return decodeJSON(file, yield)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return decodeYAML(content, yield)
}

// bom is what some editors begin a file with.
const bom = "\xef\xbb\xbf"

// yamlLine is where YAML's errors say what they are about.
var yamlLine = regexp.MustCompile(`\bline (\d+)(: )?`)

func decodeYAML(content []byte, yield func(*object)) error {
	content = bytes.TrimPrefix(content, []byte(bom))
	for line := 1; len(content) > 0; {
		doc, rest := splitYAML(content)
		asJSON, err := yaml.YAMLToJSON(doc)
		if err != nil {
			at, text := line, strings.TrimPrefix(err.Error(), "yaml: ")
			if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
				n, _ := strconv.Atoi(text[m[2]:m[3]])
				n = min(n, 1+bytes.Count(bytes.TrimRight(doc, "\r\n"), []byte("\n"))) // it counts on past the end
				at, text = line+n-1, text[:m[0]]+text[m[1]:]
			}
			return &lineError{at, errors.New(text)}
		}
		if err := decodeJSON(bytes.NewReader(asJSON), yield); err != nil {
			// Of JSON that has been made of YAML no line is known but the first.
			return &lineError{line + leading(doc), errors.Unwrap(err)}
		}
		line += bytes.Count(content[:len(content)-len(rest)], []byte("\n"))
		content = rest
	}
	return nil
}

// splitYAML cuts the first document off. What separates documents stays with the
// one before: it holds nothing that counts.
func splitYAML(content []byte) (doc, rest []byte) {
	for end := 0; end < len(content); {
		line := content[end:]
		if nl := bytes.IndexByte(line, '\n'); nl >= 0 {
			line = line[:nl+1]
		}
		end += len(line)
		if after, ok := bytes.CutPrefix(line, []byte("---")); ok && (len(after) == 0 || bytes.IndexByte([]byte(" \t\r\n"), after[0]) >= 0) {
			// What stands on the line of the marker belongs to the next document.
			cut := end - len(after)
			return content[:end-len(line)], content[cut:]
		}
	}
	return content, nil
}

// leading counts the lines before a document's first word.
func leading(doc []byte) int {
	n := 0
	for line := range bytes.Lines(doc) {
		if t := bytes.TrimSpace(line); len(t) > 0 && t[0] != '#' {
			return n
		}
		n++
	}
	return 0
}

// decodeJSON reads the objects of a file one at a time, so that a list of 20,000
// takes the memory of one.
func decodeJSON(file io.ReadSeeker, yield func(*object)) error {
	d := &decoder{yield: yield}
	buffered := bufio.NewReaderSize(file, 64<<10) // the decoder asks for half a kilobyte at a time
	if b, _ := buffered.Peek(len(bom)); string(b) == bom {
		_, _ = buffered.Discard(len(bom))
		d.base = int64(len(bom))
	}
	d.Decoder = json.NewDecoder(buffered)
	for {
		err := d.document()
		var failed *fs.PathError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &failed):
			return failed // the disk's fault, not the file's
		case err != nil:
			return &lineError{d.line(file, err), explain(err)}
		}
	}
}

// A decoder walks through the documents of a JSON file.
type decoder struct {
	*json.Decoder
	base  int64 // where it began in the file
	start int64 // of the value that is being decoded, or what stands before it
	torn  bool  // it isn't JSON
	yield func(*object)
}

// document reads one document; io.EOF: there is none left.
func (d *decoder) document() error {
	t, err := d.Token()
	start := d.InputOffset()
	switch {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return &located{start, errors.New("not an object")}
	}
	var (
		o     object
		wrong error    // a value of the wrong type, which may be none of our business
		early []object // items that came before the list's kind, and have none of their own
		items bool
	)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return unexpected(err)
		}
		switch key {
		case "apiVersion":
			err = d.value(&o.APIVersion)
		case "kind":
			err = d.value(&o.Kind)
		case "metadata":
			err = d.value(&o.Metadata)
		case "spec":
			err = d.value(&o.Spec)
		case "status":
			err = d.value(&o.Status)
		case "endpoints":
			err = d.value(&o.Endpoints)
		case "ports":
			err = d.value(&o.Ports)
		case "items":
			items = true
			early, err = d.items(&o)
		default:
			err = d.value(&skip{})
		}
		var t *located
		if errors.As(err, &t) {
			wrong, err = firstError(wrong, err), nil
		}
		if err != nil {
			return unexpected(err)
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return unexpected(err)
	}
	d.start = start
	switch {
	case wrong != nil && (o.counts() || items || o.Kind == ""):
		return wrong
	case items:
		for i := range early {
			if err := d.item(&o, &early[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return d.walk(&o)
}

// items reads the items of a list. Those that don't say their kind are given back
// if the list hasn't said its kind yet.
func (d *decoder) items(list *object) (early []object, err error) {
	t, err := d.Token()
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, nil
	case t != json.Delim('['):
		return nil, &located{d.InputOffset(), errors.New("items is not a list")}
	}
	var wrong error
	o := new(object)
	for d.More() {
		*o = object{}
		if err := d.value(o); err != nil {
			var t *located
			if !errors.As(err, &t) {
				return nil, err
			}
			if o.counts() || o.list() || o.Kind == "" {
				wrong = firstError(wrong, err)
			}
			continue
		}
		if o.Kind == "" && list.Kind == "" {
			early = append(early, *o)
			continue
		}
		wrong = firstError(wrong, d.item(list, o))
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return nil, err
	}
	return early, wrong
}

// item takes in an object of a list, which may have its kind from the list's.
func (d *decoder) item(list, o *object) error {
	if o.Kind == "" && list.Kind != "List" {
		o.Kind, o.APIVersion = strings.TrimSuffix(list.Kind, "List"), list.APIVersion
	}
	return d.walk(o)
}

func (d *decoder) walk(o *object) error {
	if o.list() {
		for i := range o.Items {
			if err := d.item(o, &o.Items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case o.Kind == "":
		return &located{d.start, errors.New("an object without a kind")}
	case o.strange():
		d.yield(o)
		return nil
	case !o.counts():
		return nil
	case o.Metadata.Name == "":
		return &located{d.start, fmt.Errorf("a %s without a name", o.Kind)}
	case !clusterScoped[o.Kind] && o.Metadata.Namespace == "":
		o.Metadata.Namespace = metav1.NamespaceDefault
	}
	d.yield(o)
	return nil
}

// value decodes the next value. One that is JSON, but not of the type it should
// be, is a located error, and reading can go on behind it.
func (d *decoder) value(v any) error {
	d.start = d.InputOffset()
	err := d.Decode(v)
	var t *json.UnmarshalTypeError
	var s *json.SyntaxError
	switch {
	case errors.As(err, &t):
		return &located{d.start + t.Offset, err}
	case errors.As(err, &s):
		d.torn = true
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return &located{d.start, err} // what a type's own decoding says, of a time for example
	}
	return err
}

// A located error is one of a value, with its offset.
type located struct {
	offset int64
	err    error
}

func (l *located) Error() string { return l.err.Error() }
func (l *located) Unwrap() error { return l.err }

// line finds the line that an error is about. It costs another look at the file,
// for errors only.
func (d *decoder) line(file io.ReadSeeker, err error) int {
	if _, err := file.Seek(d.base, io.SeekStart); err != nil {
		return 1
	}
	content, _ := io.ReadAll(file)
	at := func(offset int64) int {
		return 1 + bytes.Count(content[:min(offset, int64(len(content)))], []byte("\n"))
	}
	begin := func(offset int64) int64 { // of the value behind what separates values
		rest := content[min(offset, int64(len(content))):]
		return offset + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n,:")))
	}
	var l *located
	var t *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return at(int64(len(bytes.TrimRight(content, " \t\r\n"))))
	case errors.As(err, &t) && errors.As(err, &l):
		return at(l.offset)
	case errors.As(err, &l):
		return at(begin(l.offset))
	case d.torn:
		// The decoder's own count leaves out what it has read as tokens.
		from := begin(d.start)
		var s *json.SyntaxError
		if errors.As(json.Unmarshal(content[from:], &skip{}), &s) {
			from += s.Offset
		}
		return at(from)
	}
	return at(d.InputOffset())
}

// skip is a value that nobody wants.
type skip struct{}

func (*skip) UnmarshalJSON([]byte) error { return nil }

// explain says what is wrong in words for who wrote the file.
func explain(err error) error {
	var t *json.UnmarshalTypeError
	var l *located
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends in the middle of an object")
	case errors.As(err, &t):
		return fmt.Errorf("%s is a %s, not a %s", t.Field, t.Value, t.Type)
	case errors.As(err, &l):
		return l.err
	}
	return err
}

// unexpected is for where a file must not end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
