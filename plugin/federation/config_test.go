package federation

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
)

// parsed parses stanzas as they stand in the block of example.com.
func parsed(t testing.TB, text string) ([]stanza, error) {
	t.Helper()
	return parsedUnder(t, text, "example.com.:1053")
}

// parsedUnder parses stanzas of a block with these keys.
func parsedUnder(t testing.TB, text string, keys ...string) ([]stanza, error) {
	t.Helper()
	c := caddy.NewTestController("dns", text)
	c.ServerBlockKeys = keys
	return parse(c)
}

func TestParse(t *testing.T) {
	stanzas, err := parsed(t, `federation myfederation {
		cluster gce {
			kubeconfig /etc/fedns/kubeconfig gce-us
		}
		cluster onprem {
			manifests zones/onprem
			region EU-North1
			zones eu-north1-a eu-north1-b
			addresses 203.0.113.7/24 2001:db8::/32 192.0.2.1
		}
		select "app in (web, api)"
		apex zones/db.example.com
		ttl 60 5s
		resolver 127.0.0.1 [::1]:5353
		lenient
		fallthrough
	}
	federation other example.org example.net {
		cluster c {
			manifests .
		}
	}`)
	if err != nil {
		t.Fatal(err)
	}
	one, other := stanzas[0], stanzas[1]
	if one.name != "myfederation" || !slices.Equal(one.zones, []string{"example.com."}) || one.selector != "app in (web, api)" ||
		one.apex != "zones/db.example.com" || one.ttl != 60 || one.degraded != 5 || !one.lenient || !one.fall.Through("x.example.com.") {
		t.Errorf("%+v", one)
	}
	if !slices.Equal(one.resolver.servers, []string{"127.0.0.1:53", "[::1]:5353"}) {
		t.Errorf("resolvers %q", one.resolver.servers)
	}
	gce, onprem := one.clusters[0], one.clusters[1]
	if gce.Name != "gce" || gce.kubeconfig != "/etc/fedns/kubeconfig" || gce.context != "gce-us" || gce.manifests != "" {
		t.Errorf("%+v", gce)
	}
	if onprem.manifests != "zones/onprem" || onprem.Region != "eu-north1" || !slices.Equal(onprem.Zones, []string{"eu-north1-a", "eu-north1-b"}) ||
		!slices.Equal(onprem.Addresses, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32")}) {
		t.Errorf("%+v", onprem)
	}
	if !slices.Equal(other.zones, []string{"example.org.", "example.net."}) || other.ttl != 180 || other.degraded != 30 || other.selector != "fedns.io/export=true" || other.lenient || other.fall.Through("x.example.org.") {
		t.Errorf("defaults: %+v", other)
	}
}

// Each error names the line, the property, and what would be right.
func TestParseErrors(t *testing.T) {
	const cluster = "cluster c {\nmanifests .\n}\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no name", "federation", "federation NAME [ZONES...]"},
		{"name", "federation my.fed {\n" + cluster + "}", `"my.fed" is not one DNS label`},
		{"reserved name", "federation svc {\n" + cluster + "}", "svc"},
		{"no cluster", "federation f {\n}", "has no cluster; say at least one"},
		{"no block", "federation f", "has no cluster"},
		{"unknown property", "federation f {\n" + cluster + "speed 5\n}", `:5 - Error during parsing: federation "f": unknown property "speed"; it has cluster, registry, select`},
		{"registry", "federation f {\n" + cluster + "registry\n}", "registry FILE [CONTEXT]"},
		{"registry of three words", "federation f {\nregistry x y z\n}", "registry FILE [CONTEXT]"},
		{"two registries", "federation f {\nregistry x y\nregistry z\n}", `federation "f" has one`},
		{"Route 53, no health check", "federation f {\n" + cluster + "publish external-dns dns route53 us-east-1=\n}", `route53: "us-east-1=" isn't a region with the one health check of Route 53 for it: REGION=HEALTHCHECK`},
		{"Route 53, two health checks of a region", "federation f {\n" + cluster + "publish external-dns dns route53 us-east-1=a us-east-1=b\n}", `"us-east-1=b" isn't a region`},
		{"Route 53, something else", "federation f {\n" + cluster + "publish external-dns dns route53 us-east-1\n}", "publish external-dns NAMESPACE [route53 [REGION=HEALTHCHECK...]]"},
		{"Route 53 in no API", "federation f {\n" + cluster + "publish external-dns dns route53 us-east-1=a\n}", "in which API? There is no registry"},
		{"policy", "federation f {\n" + cluster + "policy closest\n}", `policy: "closest" is no policy; there are all, nearest`},
		{"policy without a word", "federation f {\n" + cluster + "policy\n}", "policy: needs all, nearest"},
		{"geo", "federation f {\n" + cluster + "geo\n}", "geo: needs one database"},
		{"nets", "federation f {\n" + cluster + "nets 10.0.0.0/8\n}", "nets: needs a network and a region"},
		{"nets of no network", "federation f {\n" + cluster + "nets 10.0.0/8 eu\n}", `"10.0.0/8"`},
		{"nets of no region", "federation f {\n" + cluster + "nets 10.0.0.0/8 e_u\n}", `"e_u" is not one DNS label`},
		{"nets twice", "federation f {\n" + cluster + "nets 10.0.0.0/8 eu\nnets 10.0.0.0/8 us\n}", "10.0.0.0/8 stands twice"},
		{"ecs", "federation f {\n" + cluster + "ecs maybe\n}", "ecs: needs off, or on"},
		{"ecs resolver", "federation f {\n" + cluster + "ecs on dns.example\n}", `"dns.example" is neither an address nor a network`},
		{"location", "federation f {\ncluster c {\nmanifests .\nlocation 91 2\n}\n}", `location: `},
		{"location of one number", "federation f {\ncluster c {\nmanifests .\nlocation 9\n}\n}", "needs a latitude and a longitude"},
		{"cluster without name", "federation f {\ncluster {\n}\n}", "cluster NAME"},
		{"cluster without block", "federation f {\ncluster c\n}", "needs a block"},
		{"cluster without source", "federation f {\ncluster c {\nregion r\n}\n}", "needs a source"},
		{"two sources", "federation f {\ncluster c {\nmanifests .\nkubeconfig x y\n}\n}", "a cluster has one source"},
		{"policy twice", "federation f {\n" + cluster + "policy nearest\npolicy all\n}", "policy stands twice, first in line 5"},
		{"region twice", "federation f {\ncluster c {\nmanifests .\nregion a\nregion b\n}\n}", `region stands twice, first in line 4 in cluster "c"`},
		{"duplicate cluster", "federation f {\n" + cluster + cluster + "}", `cluster "c" stands twice`},
		{"duplicate federation", "federation f {\n" + cluster + "}\nfederation f {\n" + cluster + "}", "stands twice under example.com."},
		{"unknown cluster property", "federation f {\ncluster c {\nmanifests .\naltitude 1\n}\n}", `unknown property "altitude"; it has kubeconfig, manifests`},
		{"unclosed", "federation f {\ncluster c {\nmanifests .\n", "EOF"},
		{"kubeconfig", "federation f {\ncluster c {\nkubeconfig\n}\n}", "kubeconfig FILE [CONTEXT]"},
		{"region", "federation f {\ncluster c {\nmanifests .\nregion a_b\n}\n}", `"a_b" is not one DNS label`},
		{"zones", "federation f {\ncluster c {\nmanifests .\nzones\n}\n}", "needs at least one zone"},
		{"zone twice", "federation f {\ncluster c {\nmanifests .\nzones a a\n}\n}", `"a" stands twice`},
		{"addresses", "federation f {\ncluster c {\nmanifests .\naddresses 1.2.3\n}\n}", `"1.2.3" is not a range`},
		{"exports", "federation f {\ncluster c {\nmanifests .\nexports a/b/c\n}\n}", `"a/b/c" is not a namespace, or NAMESPACE/NAME`},
		{"alias elsewhere", "federation f {\ncluster c {\nmanifests .\n}\nalias www.acme.test shop/web\n}", "alias: www.acme.test is in no domain of federation f"},
		{"hosts", "federation f {\ncluster c {\nmanifests .\nhosts **\n}\n}", `"**" is not a host such as`},
		{"places", "federation f {\ncluster c {\nmanifests .\nplaces eu/a/b\n}\n}", `"eu/a/b" is not a region, or REGION/ZONE`},
		{"no places", "federation f {\ncluster c {\nmanifests .\nplaces\n}\n}", "needs at least one region"},
		{"zone and region of one name", "federation f {\ncluster c {\nmanifests .\nregion eu\n}\ncluster d {\nmanifests .\nregion us\nzones eu\n}\n}", `"eu" is the region of cluster "c" and a zone of cluster "d"`},
		{"selector", "federation f {\n" + cluster + "select a=b=c\n}", "select"},
		{"no selector", "federation f {\n" + cluster + "select\n}", "label selector"},
		{"ttl", "federation f {\n" + cluster + "ttl\n}", "ttl NORMAL [DEGRADED [MIN MAX]]"},
		{"ttl of three", "federation f {\n" + cluster + "ttl 60s 5s 1s\n}", "needs one, two or four durations"},
		{"ttl bounds", "federation f {\n" + cluster + "ttl 60s 5s 1h 1s\n}", "the least TTL of a Service, 1h, is longer than the greatest, 1s"},
		{"tcp", "federation f {\n" + cluster + "tcp\n}", "tcp: needs off, or one or two numbers"},
		{"tcp of none", "federation f {\n" + cluster + "tcp 0\n}", `"0": needs off, or one or two numbers`},
		{"annotations", "federation f {\n" + cluster + "annotations\n}", "annotations: needs none, or some of ttl, policy and weight"},
		{"annotations of others", "federation f {\n" + cluster + "annotations ttl probe\n}", `"probe" is unknown`},
		{"ttl of zero", "federation f {\n" + cluster + "ttl 0s\n}", "out of range: from 1s"},
		{"ttl of ages", "federation f {\n" + cluster + "ttl 1000h\n}", "out of range"},
		{"negative ttl", "federation f {\n" + cluster + "ttl -5\n}", "out of range"},
		{"odd ttl", "federation f {\n" + cluster + "ttl 1500ms\n}", "whole number of seconds"},
		{"ttl that is none", "federation f {\n" + cluster + "ttl soon\n}", `"soon" is not a duration`},
		{"degraded longer", "federation f {\n" + cluster + "ttl 30s 60s\n}", "longer than the normal"},
		{"resolver", "federation f {\n" + cluster + "resolver dns.example\n}", "not an address"},
		{"lenient", "federation f {\n" + cluster + "lenient yes\n}", "takes no value"},
		{"fast", "federation f {\n" + cluster + "fast maybe\n}", "fast: needs on or off"},
		{"cookies", "federation f {\n" + cluster + "cookies\n}", "cookies: needs a file with secrets, on"},
		{"rrl", "federation f {\n" + cluster + "rrl\n}", "rrl: needs off, observe, on or public"},
		{"rrl mode", "federation f {\n" + cluster + "rrl 100\n}", `"100" is not off, observe, on or public`},
		{"rrl rate", "federation f {\n" + cluster + "rrl on 0\n}", `"0" is not a number of answers a second of one network, from 1 to 1000000000`},
		{"rrl slip", "federation f {\n" + cluster + "rrl on 100 -1\n}", `"-1" is not a number of slip, from 0 to 127`},
		{"apex", "federation f {\n" + cluster + "apex\n}", "one zone file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parsed(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// What parses may still be wrong when it is opened.
func TestBuildErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const soa = "@ SOA ns1 hostmaster 1 7200 1800 86400 5\n@ NS ns1\n"
	kubeconfig := write("kubeconfig", "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: there, context: {cluster: a}}]\n")
	manifests := "cluster c {\nmanifests " + dir + "\nregion eu\nzones eu-a\n}\n"
	for _, tt := range []struct{ name, text, want string }{
		{"missing kubeconfig", "cluster c {\nkubeconfig " + dir + "/none here\n}\n", "none"},
		{"unknown context", "cluster c {\nkubeconfig " + kubeconfig + " here\n}\n", `"here"`},
		{"unknown context says which there are", "cluster c {\nkubeconfig " + kubeconfig + " here\n}\n", "there"},
		{"broken kubeconfig", "cluster c {\nkubeconfig " + write("broken", "{") + " here\n}\n", "broken"},
		{"missing folder", "cluster c {\nmanifests " + dir + "/none\n}\n", "none"},
		{"folder that is a file", "cluster c {\nmanifests " + kubeconfig + "\n}\n", "kubeconfig"},
		{"missing apex", manifests + "apex " + dir + "/none\n", "no such file"},
		{"apex without SOA", manifests + "apex " + write("a1", "@ NS ns1\n"), "no SOA record"},
		{"apex without NS", manifests + "apex " + write("a2", "@ 60 SOA ns1 h 1 1 1 1 1\n"), "no NS record"},
		{"apex of another domain", manifests + "apex " + write("a3", soa+"www.example.org. A 192.0.2.1\n"), "not in the domain example.com."},
		{"CNAME beside others", manifests + "apex " + write("a11", soa+"x A 192.0.2.1\nx CNAME ns1\n"), "x.example.com. CNAME: other records of that name stand in it"},
		{"two CNAMEs", manifests + "apex " + write("a12", soa+"x CNAME ns1\nx CNAME ns2\n"), "x.example.com. CNAME: a second one of that name"},
		{"second SOA", manifests + "apex " + write("a4", soa+soa), "a second SOA"},
		{"apex that doesn't parse", manifests + "apex " + write("a5", soa+"www A not-an-address\n"), "line"},
		{"clash with a service", manifests + "apex " + write("a6", soa+"nginx.ns.fed.svc A 192.0.2.1\n"), "belongs to the federation"},
		{"clash with a zonal name", manifests + "apex " + write("a7", soa+"nginx.ns.fed.svc.any.where A 192.0.2.1\n"), "belongs to the federation"},
		{"clash with a port", manifests + "apex " + write("a8", soa+"_http._tcp.nginx.ns.fed.ing.any SRV 0 0 80 www\n"), "belongs to the federation"},
		{"clash with the federation's own name", manifests + "apex " + write("a9", soa+"fed.svc TXT x\n"), "belongs to the federation"},
		{"CNAME above", manifests + "apex " + write("b1", soa+"svc CNAME www\n"), "federated names stand below"},
		{"missing secrets", manifests + "cookies " + dir + "/none\n", "no such file"},
		{"secrets that are none", manifests + "cookies " + write("c1", "hunter2\n"), "32 hex"},
		{"delegation of a region", manifests + "apex " + write("b2", soa+"eu NS ns.example.net.\n"), "federated names stand below"},
		{"delegation of a zone", manifests + "apex " + write("b3", soa+"eu-a.eu NS ns.example.net.\n"), "federated names stand below"},
		{"DNAME at the apex", manifests + "apex " + write("b4", soa+"@ DNAME example.net.\n"), "federated names stand below"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stanzas, err := parsed(t, "federation fed {\n"+tt.text+"\n}")
			if err == nil {
				_, err = build(stanzas, nil)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"two limits": "rrl on 10",
		"two jars":   "cookies off",
	} {
		stanzas, err := parsed(t, "federation one {\nrrl on 20\ncookies "+write("c2", strings.Repeat("ab", 16)+"\n")+"\n"+manifests+"}\nfederation two {\n"+text+"\n"+manifests+"}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = build(stanzas, nil); err == nil || !strings.Contains(err.Error(), "share") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"records beside":            soa + "www A 192.0.2.1\nus.nginx CNAME nginx.ns.fed.svc.us\nother.svc A 192.0.2.1\n",
		"records at a region":       soa + "eu TXT hello\n",
		"another federation's name": soa + "nginx.ns.other.svc A 192.0.2.1\n",
		"a delegation elsewhere":    soa + "lab NS ns.lab\nns.lab A 192.0.2.1\n",
		"a wildcard":                soa + "* A 192.0.2.1\n",
	} {
		stanzas, err := parsed(t, "federation fed {\n"+manifests+"apex "+write("good", text)+"\n}")
		if err == nil {
			_, err = build(stanzas, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever adds an option tells of it.
func TestOptionsAreTold(t *testing.T) {
	for file, of := range map[string]func(name string) string{
		"../../docs/reference/corefile.md": func(name string) string { return "`" + name },
		"README.md":                        func(name string) string { return "    " + name },
		"../../corefile.example":           func(name string) string { return " " + name },
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Split(spelled(options)+", "+spelled(clusterOptions), ", ") {
			if !strings.Contains(string(text), of(name)) {
				t.Errorf("%s says nothing of %s", file, name)
			}
		}
	}
}
