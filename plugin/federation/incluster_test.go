package federation

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/vector"
)

// An incluster is a state of a cluster, with what a server before this one answered
// there.
type incluster struct {
	ID, Server, Title, ClusterDomain string
	Federations                      map[string]string
	NodeLabels                       map[string]string
	Local                            *struct {
		Type, ClusterIP, ExternalName string
		EndpointSubsets               int
		ReadyAddresses                *int
	}
	Query  struct{ Name, Type string }
	Expect struct {
		Cname, Rcode string
		A            []string
		ConfigError  bool
	}
	Upstream struct{ Rcode string }
}

// notAsked stands for questions that a stub domain doesn't send here: the cluster's own
// server answers them.
const notAsked = "not asked here"

// otherwise says where the answer here is another one than that of kube-dns or of
// CoreDNS's old plugin, and why. All others are equal.
var otherwise = map[string]struct{ want, why string }{
	"K03": {"A 1.2.3.4", "the name is kept, as CoreDNS had it: nobody has to follow a CNAME back to the server that sent the question here"},
	"K06": {"A 10.0.0.1", "the name is kept"},
	"K07": {"CNAME testservice.default.myfederation.svc.testcontinent-testreg-testzone.testcontinent-testreg.example.com.", "an ExternalName has no endpoint, so that nobody knows whether anything is there"},
	"K08": {"CNAME testservice.default.myfederation.svc.testcontinent-testreg-testzone.testcontinent-testreg.example.com.", "pods that aren't ready don't answer; kube-dns counted them"},
	"K10": {notAsked, "a name of the cluster's own"},
	"K11": {notAsked, "a name of the cluster's own"},
	"K13": {"CNAME _http._tcp.testservice.default.myfederation.svc.testcontinent-testreg-testzone.testcontinent-testreg.example.com.", "ports have names here, and so they have in the cluster"},
	"K17": {notAsked, "a name of the cluster's own"},
	"K18": {"CNAME testservice.default.myfederation.svc.example.com.", "where nobody knows where the cluster stands, any shard is better than none"},
	"K19": {"NXDOMAIN", "no chain can end so: a name that leads on leads to one that exists; this service is nobody's"},
	"K21": {"CNAME testservice.default.myfederation.svc.testcontinent-testreg-testzone.testcontinent-testreg.example.com.", "the record that is there can be asked for (RFC 1034 section 3.6.2)"},
	"K23": {"CNAME testservice.default.myfederation.svc.testcontinent-testreg-testzone.testcontinent-testreg.example.com.", "a trailing dot changes nothing about a domain"},
	"P03": {"CNAME svc1.testns.prod.svc.fd-az.fd-r.federal.example.", "a Service without an endpoint answers nobody"},
	"P04": {"CNAME svc0.testns.prod.svc.federal.example.", "where nobody knows where the cluster stands, any shard is better than none"},
	"P05": {notAsked, "a name of the cluster's own"},
	"P06": {"NXDOMAIN", "no such name was ever published anywhere"},
	"P07": {"CNAME _http._tcp.svc0.testns.prod.svc.fd-az.fd-r.federal.example.", "the port is kept: it has SRV records there"},
	"P08": {"NXDOMAIN", "too many labels, and no port"},
	"P09": {"NXDOMAIN", "too many labels"},
}

// answered is what was answered before, in the words of the table.
func (v *incluster) answered() string {
	switch e := v.Expect; {
	case e.ConfigError:
		return "configuration error"
	case e.Cname != "":
		return "CNAME " + e.Cname
	case len(e.A) > 0:
		return "A " + strings.Join(e.A, " ")
	case e.Rcode == "NOERROR":
		return "NODATA"
	default:
		return e.Rcode
	}
}

// objects are the cluster's, and those of another one of the federation, which has a
// shard of the service that is asked for.
func (v *incluster) objects() (here, there []object) {
	here = []object{{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": "n", "labels": v.NodeLabels}}}
	there = []object{vector.Node("n", "elsewhere", "elsewhere-a")}
	labels := dns.SplitDomainName(v.Query.Name)
	at := len(labels) - dns.CountLabel(v.ClusterDomain) - 2 // the federation's label
	if at < 2 || strings.ContainsAny(labels[at-2][:1], "*0123456789") || v.Upstream.Rcode == "NXDOMAIN" {
		return here, there
	}
	name, namespace := labels[at-2], labels[at-1]
	there = append(there, vector.Service(namespace, name, "192.0.2.1"), vector.Slice(namespace, name, true, "elsewhere-a"))
	l := v.Local
	if l == nil {
		return here, there
	}
	s := vector.Service(namespace, name)
	spec := object{"type": l.Type, "clusterIP": l.ClusterIP, "externalName": l.ExternalName}
	if l.Type == "Headless" {
		spec["type"], spec["clusterIP"] = "ClusterIP", "None"
	}
	s["spec"] = spec
	here = append(here, s)
	for range l.EndpointSubsets {
		here = append(here, vector.Slice(namespace, name, l.ReadyAddresses == nil || *l.ReadyAddresses > 0, ""))
	}
	return here, there
}

// ask answers the vector's question, in the words of the table.
func (v *incluster) ask(t *testing.T) string {
	w := &world{t: t, dir: t.TempDir()}
	here, there := v.objects()
	w.cluster("here", here...)
	w.cluster("there", there...)
	keys := []string{v.ClusterDomain + ":53"}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(v.Federations)) {
		keys = append(keys, dns.Fqdn(v.Federations[name])+":53")
		text += fmt.Sprintf("federation %s %s {\ncluster here {\nmanifests DIR/here\n}\ncluster there {\nmanifests DIR/there\n}\nlocal here %s\n}\n", name, v.Federations[name], v.ClusterDomain)
	}
	if _, err := parsedUnder(t, text, keys...); err != nil {
		return "configuration error"
	}
	m, _ := w.servingUnder(text, keys...).ask(t, new(dns.Msg).SetQuestion(v.Query.Name, dns.StringToType[v.Query.Type]))
	switch {
	case m == nil:
		return notAsked
	case m.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[m.Rcode]
	case len(m.Answer) == 0:
		return "NODATA"
	}
	var addrs []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			if last := m.Answer[len(m.Answer)-1]; v.Query.Type != "CNAME" && last.Header().Rrtype == dns.TypeCNAME {
				t.Errorf("%s: %v leads to nothing", v.ID, last)
			}
			return "CNAME " + rr.Target
		case *dns.A:
			addrs = append(addrs, rr.A.String())
		}
	}
	return "A " + strings.Join(addrs, " ")
}

// TestInCluster holds the answers to pods beside those of the servers that gave them
// before.
func TestInCluster(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(vector.Root(), "test", "vectors", "incluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []incluster
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, v := range all {
		t.Run(v.ID, func(t *testing.T) {
			got, before := v.ask(t), v.answered()
			o, differs := otherwise[v.ID]
			switch {
			case differs && o.want == before:
				t.Errorf("%s: %q is what %s answered; it needs no reason", v.Title, before, v.Server)
			case differs && got != o.want:
				t.Errorf("%s: %q, want %q: %s", v.Title, got, o.want, o.why)
			case !differs && got != before:
				t.Errorf("%s: %q, and %s answered %q", v.Title, got, v.Server, before)
			}
			if differs {
				seen++
			}
		})
	}
	if len(all) != 33 || seen != len(otherwise) {
		t.Errorf("%d vectors, of which %d differ; %d have a reason", len(all), seen, len(otherwise))
	}
}
