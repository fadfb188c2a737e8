package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/source/probe"
)

// annotationExternalDNS is external-dns's, which is read too.
const annotationExternalDNS = "external-dns.alpha.kubernetes.io/hostname"

// Where nodes say that they stand: today's label first, then the one before it.
var (
	zoneLabels   = [...]string{corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone}
	regionLabels = [...]string{corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaRegion}
)

// maxTTL is the longest TTL that a Service may ask for: a day. Whoever has an
// answer keeps using it after the shard has gone, so a slip of a digit must not
// last for weeks.
const maxTTL = 24 * time.Hour

// A draft is what is being made of an object, with what is wrong about it.
type draft struct {
	*shard.Service
	shard.Extras
	shard.Routing
	problems []string
}

// done is what has been made, and what is wrong about it.
func (d *draft) done() (*shard.Service, []string) {
	d.Ports = portLists.of(d.Ports)
	d.Extend(d.Extras).Route(d.Routing)
	return d.Service, d.problems
}

func (d *draft) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// service makes what is kept of a Service; of one of the cluster whose own domain is
// answered here, also how its pods reach it. Problems are for the log; whatever
// they are about is left out.
func service(o *corev1.Service, local bool) (*shard.Service, []string) {
	d := begin(&o.ObjectMeta, snapshot.Svc)
	d.NotReady = o.Spec.PublishNotReadyAddresses
	d.Balancer = o.Spec.Type == corev1.ServiceTypeLoadBalancer
	d.Spread = o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		if d.Port == 0 && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) && p.Port > 0 && p.Port <= 65535 {
			d.Port = uint16(p.Port)
		}
		d.port(p)
	}
	d.named(v1alpha1.Hostname, o.Annotations[v1alpha1.Hostname], false)
	d.named(annotationExternalDNS, o.Annotations[annotationExternalDNS], true)
	if o.Spec.Type == corev1.ServiceTypeExternalName {
		return d.done() // an alias of somewhere else: no addresses, whatever is written on it
	}
	if local {
		d.inside(&o.Spec)
	}
	if d.annotated(o.Annotations) {
		return d.done()
	}
	if d.Balancer {
		for _, in := range o.Status.LoadBalancer.Ingress {
			d.entry(in.IP, in.Hostname)
		}
	}
	if o.Spec.ClusterIP != corev1.ClusterIPNone {
		for _, ip := range o.Spec.ExternalIPs {
			d.address("spec.externalIPs", ip)
		}
	}
	return d.done()
}

// annotationIngressClass is how Ingresses named their class before they had a field for it.
const annotationIngressClass = "kubernetes.io/ingress.class"

// fronted takes which Service clients come in by.
func (d *draft) fronted(annotations map[string]string) {
	front, err := front(annotations)
	if err != nil {
		d.problem("%v; ignored", err)
	}
	d.Front = front
}

// front reads which Service an object names as the one that clients come in by; zero: none.
func front(annotations map[string]string) (k snapshot.Key, err error) {
	s, ok := annotations[v1alpha1.Front]
	if !ok {
		return k, nil
	}
	namespace, name, ok := strings.Cut(s, "/")
	for _, part := range [...]string{namespace, name} {
		if l, err := dnsname.Label(part); err != nil || l != part {
			ok = false
		}
	}
	if !ok {
		return k, fmt.Errorf("annotation %s: %q is not NAMESPACE/SERVICE", v1alpha1.Front, s)
	}
	return snapshot.Key{Namespace: intern(namespace), Name: intern(name)}, nil
}

// class makes what is kept of the class of Ingresses, or of Gateways.
func class(kind shard.FrontendKind, m *metav1.ObjectMeta) (shard.Class, []string) {
	c := shard.Class{Key: shard.ClassKey{Kind: kind, Name: intern(m.Name)}}
	c.Default = kind == shard.Ingress && m.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
	var err error
	if c.Front, err = front(m.Annotations); err != nil {
		return c, []string{err.Error() + "; ignored"}
	}
	return c, nil
}

// standby makes what is kept of a Service that isn't exported: what it announces, and
// whether something is there to take it.
func standby(o *corev1.Service) *shard.Service {
	s, _ := service(o, false) // what is wrong about it is nobody's business here
	out := &shard.Service{
		Key: s.Key, Deleting: s.Deleting, NotReady: s.NotReady, Addrs: s.Addrs,
		Ports: s.Ports, Port: s.Port, Spread: s.Spread, Balancer: s.Balancer,
	}
	return out.Extend(shard.Extras{Hosts: s.Extras().Hosts})
}

// ingressPort is where an Ingress listens: the API knows no other.
const ingressPort = 80

// ingress makes what is kept of an Ingress.
func ingress(o *networkingv1.Ingress) (*shard.Service, []string) {
	d := begin(&o.ObjectMeta, snapshot.Ing)
	d.Balancer = true
	d.Port = ingressPort
	d.Class = o.Annotations[annotationIngressClass]
	if o.Spec.IngressClassName != nil {
		d.Class = *o.Spec.IngressClassName
	}
	d.Class = intern(d.Class)
	d.fronted(o.Annotations)
	if o.Spec.DefaultBackend != nil {
		d.backend(o.Spec.DefaultBackend)
	}
	for i := range o.Spec.Rules {
		if http := o.Spec.Rules[i].HTTP; http != nil {
			for j := range http.Paths {
				d.backend(&http.Paths[j].Backend)
			}
		}
		d.claim(&o.Spec.Rules[i], o.Spec.DefaultBackend)
	}
	d.Backends = snapshot.SortedKeys(d.Backends)
	if !d.annotated(o.Annotations) {
		for _, in := range o.Status.LoadBalancer.Ingress {
			d.entry(in.IP, in.Hostname)
		}
	}
	return d.done()
}

func begin(m *metav1.ObjectMeta, k snapshot.Kind) *draft {
	d := &draft{Service: &shard.Service{}}
	d.Key = snapshot.Key{Namespace: intern(m.Namespace), Name: intern(m.Name), Kind: k}
	d.Deleting = m.DeletionTimestamp != nil
	if !m.CreationTimestamp.IsZero() {
		d.Created = m.CreationTimestamp.Unix()
	}
	if s, ok := m.Annotations[v1alpha1.TTL]; ok {
		ttl, err := parseTTL(s)
		if err != nil {
			d.problem("annotation %s: %v; ignored", v1alpha1.TTL, err)
		}
		d.TTL = ttl
	}
	d.chosen(m.Annotations)
	d.probed(m.Annotations)
	return d
}

// defaultWeight is that of a shard of which none is said.
const defaultWeight = 1

// maxWeight is the largest weight there is: as in SRV records (RFC 2782).
const maxWeight = 65535

// chosen takes how an object asks for answers to be chosen.
func (d *draft) chosen(annotations map[string]string) {
	if s, ok := annotations[v1alpha1.Policy]; ok {
		p, err := snapshot.ParsePolicy(strings.Fields(s))
		if err != nil {
			d.problem("annotation %s: %v; ignored", v1alpha1.Policy, err)
		} else {
			d.Policy = intern(p.String())
		}
	}
	d.Weight = defaultWeight
	if s, ok := annotations[v1alpha1.Weight]; ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxWeight {
			d.problem("annotation %s: %q is not a whole number from 0 to %d; ignored", v1alpha1.Weight, s, maxWeight)
		} else {
			d.Weight = uint16(n)
		}
	}
}

// probed takes how, and where, an object asks to be probed.
func (d *draft) probed(annotations map[string]string) {
	if s, ok := annotations[v1alpha1.Probe]; ok {
		spec, err := probe.Parse(strings.Fields(s))
		if err != nil {
			d.problem("annotation %s: %v; ignored", v1alpha1.Probe, err)
		} else {
			d.Probe = intern(spec.String())
		}
	}
	s, ok := annotations[v1alpha1.ProbeAddress]
	if !ok {
		return
	}
	at, err := netip.ParseAddrPort(s)
	if a, aerr := netip.ParseAddr(s); aerr == nil {
		at, err = netip.AddrPortFrom(a, 0), nil
	}
	if err != nil || at.Addr().Zone() != "" {
		d.problem("annotation %s: %q is not an address with an optional port; ignored", v1alpha1.ProbeAddress, s)
		return
	}
	d.ProbeAt = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func parseTTL(s string) (uint32, error) {
	ttl, err := time.ParseDuration(s)
	if n, atoi := strconv.ParseUint(s, 10, 32); atoi == nil {
		ttl, err = time.Duration(n)*time.Second, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%q is neither seconds nor a duration like 30s", s)
	}
	if ttl < time.Second || ttl > maxTTL {
		return 0, fmt.Errorf("%q is not between 1 s and %d s", s, int(maxTTL.Seconds()))
	}
	return uint32(ttl / time.Second), nil
}

// annotated takes the addresses from the annotation, if there is one. An empty
// one says that there are none.
func (d *draft) annotated(annotations map[string]string) bool {
	list, ok := annotations[v1alpha1.Addresses]
	if !ok {
		return false
	}
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			d.address("annotation "+v1alpha1.Addresses, s)
		}
	}
	return true
}

// entry takes in one entry of a load balancer's status.
func (d *draft) entry(ip, hostname string) {
	const where = "status.loadBalancer.ingress"
	switch {
	case ip != "":
		d.address(where, ip)
		if hostname != "" {
			d.problem("%s: hostname %q stands beside ip %s, which counts; left out", where, hostname, ip)
		}
	case hostname != "":
		h, err := host(hostname)
		if err != nil {
			d.problem("%s: hostname %v; left out", where, err)
		} else if !slices.Contains(d.Hosts, h) {
			d.Hosts = append(d.Hosts, h)
		}
	}
}

func (d *draft) address(where, s string) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		d.problem("%s: %q is not an IP address; left out", where, s)
	case a.Zone() != "":
		d.problem("%s: %q has a zone, which means nothing elsewhere; left out", where, s)
	default:
		if a = a.Unmap(); !slices.Contains(d.Addrs, a) {
			d.Addrs = append(d.Addrs, a)
		}
	}
}

// inside takes what the cluster's own pods reach a Service at.
func (d *draft) inside(o *corev1.ServiceSpec) {
	ips := o.ClusterIPs
	if len(ips) == 0 && o.ClusterIP != "" {
		ips = []string{o.ClusterIP} // manifests that were written by hand say but one
	}
	for _, ip := range ips {
		if d.Headless = ip == corev1.ClusterIPNone; d.Headless {
			return
		}
		a, err := netip.ParseAddr(ip)
		if err != nil {
			d.problem("spec.clusterIP: %q is not an IP address; left out", ip)
			continue
		}
		d.Inside = append(d.Inside, a.Unmap())
	}
}

// host spells the name of a load balancer: what can be looked up, in one spelling.
func host(s string) (string, error) {
	n, err := dnsname.Parse(s)
	if err != nil {
		return "", err
	}
	for _, l := range dnsname.Labels(string(n)) {
		if _, err := dnsname.Label(l); err != nil {
			return "", fmt.Errorf("%q: %w", s, err)
		}
	}
	if n == dnsname.Root {
		return "", fmt.Errorf("%q names no host", s)
	}
	return strings.TrimSuffix(string(n), "."), nil
}

func (d *draft) port(p *corev1.ServicePort) {
	if p.Name == "" {
		return
	}
	name, err := dnsname.Label(p.Name)
	switch {
	case err != nil:
		d.problem("port: %v; left out", err)
		return
	case p.Port < 1 || p.Port > 65535:
		d.problem("port %s: %d is not a port; left out", name, p.Port)
		return
	}
	proto := dnsname.Lower(string(cmp.Or(p.Protocol, corev1.ProtocolTCP)))
	d.Ports = append(d.Ports, shard.Port{Name: intern(name), Proto: intern(proto), Number: uint16(p.Port)})
}

func (d *draft) backend(b *networkingv1.IngressBackend) {
	if k, ok := d.leads(b); ok {
		d.Backends = append(d.Backends, k)
	}
}

// leads is the Service that a backend is, if it is one.
func (d *draft) leads(b *networkingv1.IngressBackend) (k snapshot.Key, ok bool) {
	if b == nil || b.Service == nil || b.Service.Name == "" {
		return k, false
	}
	return snapshot.Key{Namespace: d.Key.Namespace, Name: intern(b.Service.Name)}, true
}

// claim takes the host of a rule, with where the rule leads.
func (d *draft) claim(r *networkingv1.IngressRule, fallback *networkingv1.IngressBackend) {
	if r.Host == "" {
		return
	}
	h, err := claimed(r.Host)
	if err != nil {
		d.problem("spec.rules: host %v; left out", err)
		return
	}
	i := slices.IndexFunc(d.Claims, func(c shard.Claim) bool { return c.Host == h })
	if i < 0 {
		i = len(d.Claims)
		d.Claims = append(d.Claims, shard.Claim{Host: h})
	}
	c := &d.Claims[i]
	if r.HTTP == nil { // all of it goes where nothing else does
		if k, ok := d.leads(fallback); ok {
			c.Backends = append(c.Backends, k)
		}
	} else {
		for j := range r.HTTP.Paths {
			if k, ok := d.leads(&r.HTTP.Paths[j].Backend); ok {
				c.Backends = append(c.Backends, k)
			}
		}
	}
	c.Backends = snapshot.SortedKeys(c.Backends)
}

// maxNames bounds how many hosts a Service may have for its own: whoever may write it has each answered, and contested.
const maxNames = 64

// named takes the hosts that a Service has for its own: HOST, or HOST=REGION, with commas between.
func (d *draft) named(annotation, list string, foreign bool) {
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		name, region, preferred := s, "", false
		if !foreign {
			name, region, preferred = strings.Cut(s, "=")
		}
		h, err := claimed(strings.TrimSpace(name))
		if err == nil && preferred {
			region, err = dnsname.Label(strings.TrimSpace(region))
		}
		switch {
		case err != nil:
			d.problem("annotation %s: %q: %v; left out", annotation, s, err)
		case slices.ContainsFunc(d.Claims, func(c shard.Claim) bool { return c.Host == h && (c.Foreign == foreign || !c.Foreign) }):
		case len(d.Claims) == maxNames:
			d.problem("annotation %s: more than %d hosts; left out", annotation, maxNames)
			return
		default:
			d.Claims = append(d.Claims, shard.Claim{Host: h, Region: intern(region), Foreign: foreign})
		}
	}
}

// claimed spells a host that an object claims, which may begin with an asterisk.
func claimed(s string) (string, error) {
	behind, wild := strings.CutPrefix(s, "*.")
	h, err := host(behind)
	if err != nil {
		return "", err
	}
	if wild {
		h = "*." + h
	}
	return intern(h), nil
}

// slice makes what is kept of an EndpointSlice; false: it belongs to no Service. Endpoints that are alike become one: a thousand pods in three zones
// are a few entries, and compare equal while only pods change. With pods, each is one
// of its own.
func slice(o *discoveryv1.EndpointSlice, pods bool) (*shard.Slice, bool) {
	s := &shard.Slice{}
	s.Key = shard.SliceKey{Namespace: intern(o.Namespace), Name: o.Name}
	s.Service = intern(o.Labels[discoveryv1.LabelServiceName])
	if s.Service == "" {
		return s, false
	}
	all := make([]shard.Endpoint, 0, len(o.Endpoints))
	for i := range o.Endpoints {
		e := endpoint(&o.Endpoints[i])
		if pods {
			e.Addr = pod(&o.Endpoints[i])
			if h := o.Endpoints[i].Hostname; h != nil && e.Addr.IsValid() {
				if l, err := dnsname.Label(*h); err == nil { // else it is named by its address
					e.Hostname = intern(l)
				}
			}
		}
		all = append(all, e)
	}
	for i := range o.Ports {
		s.Ports = append(s.Ports, endpointPort(&o.Ports[i]))
	}
	slices.SortFunc(all, func(a, b shard.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Node, b.Node), shard.CompareBool(a.Ready, b.Ready), a.Addr.Compare(b.Addr), cmp.Compare(a.Hostname, b.Hostname))
	})
	few := slices.Compact(all)
	if len(few) < len(o.Endpoints) {
		few = slices.Clone(few) // let go of the longer array
	}
	s.Endpoints, s.Ports = endpointLists.of(few), portLists.of(s.Ports)
	return s, true
}

func endpoint(e *discoveryv1.Endpoint) shard.Endpoint {
	isnt := func(p *bool) bool { return p != nil && !*p }
	is := func(p *bool) bool { return p != nil && *p }
	out := shard.Endpoint{Ready: !isnt(e.Conditions.Ready) && !is(e.Conditions.Terminating)}
	if e.Zone != nil {
		out.Zone = intern(*e.Zone)
	}
	if e.NodeName != nil {
		out.Node = intern(*e.NodeName)
	}
	return out
}

// headless says whether the endpoints of a slice may be those of a headless Service,
// whose addresses are the pods'. Of the slices that it writes, Kubernetes says so;
// others are few.
func headless(o *metav1.ObjectMeta) bool {
	_, is := o.Labels[corev1.IsHeadlessService]
	return is || o.Labels[discoveryv1.LabelManagedBy] != sliceController
}

// sliceController is what slices are labelled with that Kubernetes makes of Services
// and their pods.
const sliceController = "endpointslice-controller.k8s.io"

// pod is the address of an endpoint. Others than the first mean nothing to anybody
// (the API says so).
func pod(e *discoveryv1.Endpoint) netip.Addr {
	if len(e.Addresses) == 0 {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(e.Addresses[0])
	if err != nil || a.Zone() != "" {
		return netip.Addr{} // a name, where the slice has those
	}
	return a.Unmap()
}

// endpointPort makes what is kept of a port of a slice. One without a name, or with one
// that can't be asked for, is kept without: a slice that has only such ports has none of
// those that can. Number 0 is none.
func endpointPort(p *discoveryv1.EndpointPort) (out shard.Port) {
	if p.Port != nil && *p.Port > 0 && *p.Port <= 65535 {
		out.Number = uint16(*p.Port)
	}
	if p.Name == nil {
		return out
	}
	name, err := dnsname.Label(*p.Name)
	if err != nil {
		return out // its Service has said so
	}
	proto := corev1.ProtocolTCP
	if p.Protocol != nil && *p.Protocol != "" {
		proto = *p.Protocol
	}
	out.Name, out.Proto = intern(name), intern(dnsname.Lower(string(proto)))
	return out
}

// node makes what is kept of a Node.
func node(name string, labels map[string]string, conditions []corev1.NodeCondition) shard.Node {
	first := func(keys [2]string) string {
		for _, k := range keys {
			if v := labels[k]; v != "" {
				return intern(v)
			}
		}
		return ""
	}
	// What its cluster knows nothing of any more (Unknown) is lost, too.
	lost := slices.ContainsFunc(conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
	})
	return shard.Node{Name: name, Region: first(regionLabels), Zone: first(zoneLabels), NotReady: lost}
}
