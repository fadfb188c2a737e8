package fast

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// far is a region with the longest of names.
var far = strings.Repeat("f", 63)

// secret is of the cookies that both servers make.
const secret = "000102030405060708090a0b0c0d0e0f\n"

// sizes are services with about as many addresses as there is room for, without
// EDNS and with it.
var sizes = []int{25, 26, 27, 28, 29, 30, 70, 71, 72, 73, 74, 75, 76, 200}

// manifests writes the clusters of the federation, and gives their names.
func manifests(t testing.TB, dir string) []string {
	t.Helper()
	long := strings.Repeat("x", 63)
	type object = vector.Object
	ports := func(service object, ports ...object) object {
		service["spec"].(object)["ports"] = ports
		return service
	}
	port := func(name, proto string, number int) object {
		return object{"name": name, "protocol": proto, "port": number}
	}
	inside := func(o object, ips ...string) object { // as the pods of its cluster reach it
		o["spec"].(object)["clusterIP"], o["spec"].(object)["clusterIPs"] = ips[0], ips
		return o
	}
	slice := func(name string, ready bool, zones ...string) object {
		return vector.Slice("shop", name, ready, zones...)
	}
	service := func(name string, addrs ...string) object { return vector.Service("shop", name, addrs...) }
	annotated := func(o object, key, value string) object {
		o["metadata"].(object)["annotations"] = object{key: value}
		return o
	}
	crowd := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("203.0.113.%d", i+1))
		}
		return out
	}

	// Paris stands in two zones, of which one has no pods of web.
	paris := []object{
		vector.Node("a", "eu", "eu-a"), vector.Node("b", "eu", "eu-b"),
		inside(service("web", "192.0.2.1", "2001:db8::1"), "10.0.0.1", "fd00::1"), slice("web", true, "eu-a"),
		inside(service("down", "192.0.2.1"), "10.0.0.2"), slice("down", false, "eu-a"),
		inside(service("pods"), "None"), slice("pods", true, "eu-a"),
		service("six", "2001:db8::6", "2001:db8::7"), slice("six", true, "eu-a", "eu-b"),
		inside(ports(service("ports", "192.0.2.20"), port("http", "TCP", 80), port("dns", "UDP", 53)), "10.0.0.3"), slice("ports", true, "eu-a"),
		ports(service("plain", "192.0.2.21"), object{"port": 80}), slice("plain", true, "eu-a"),
		annotated(service("own", "192.0.2.22"), "fedns.io/ttl", "7s"), slice("own", true, "eu-b"),
		service("pending"), slice("pending", true, "eu-a"),
		vector.Service(long, long, "192.0.2.23"), vector.Slice(long, long, true, "eu-a"),
		vector.Ingress("shop", "hosts", "192.0.2.61", [2]string{"shop.example.com", "web"}, [2]string{"*.any.example.com", "web"}, [2]string{"a.host.below.example.com", "web"},
			[2]string{"mail.example.com", "web"}, [2]string{"*.wild.example.com", "web"}, [2]string{"host.lab.example.com", "web"}, [2]string{"us.example.com", "six"},
			[2]string{"anything.example.com", "down"}, [2]string{"x.shop.fed.svc.example.com", "web"}, [2]string{"open.sub.example.com", "web"}),
		vector.Gateway("shop", "gateway", "2001:db8::62"),
		vector.Route("HTTPRoute", "shop", "route", "gateway", "web", "shop.example.com", "six.example.com"),
		{
			"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
			"metadata": object{"name": "front", "namespace": "shop", "labels": object{"fedns.io/export": "true"}},
			"spec":     object{"defaultBackend": object{"service": object{"name": "web", "port": object{"number": 80}}}},
			"status":   object{"loadBalancer": object{"ingress": []object{{"ip": "192.0.2.24"}}}},
		},
	}
	for _, n := range sizes {
		name := fmt.Sprint("big", n)
		paris = append(paris, service(name, crowd(n)...), slice(name, true, "eu-a"))
	}
	clusters := map[string][]object{
		"paris": paris,
		"lyon": {
			vector.Node("c", "eu", "eu-c"), vector.Node("z", "eu", "z"),
			service("web", "192.0.2.2", "192.0.2.1"), slice("web", true, "eu-c", "z"),
			vector.Ingress("shop", "hosts", "192.0.2.63", [2]string{"shop.example.com", "web"}),
			ports(service("ports", "192.0.2.25", "2001:db8::25"), port("http", "TCP", 8080), port("metrics", "TCP", 9100)), slice("ports", true, "eu-c"),
		},
		"ohio": {
			vector.Node("a", "us", "us-a"), vector.Node("z", "us", "z"),
			service("web", "192.0.2.3"), slice("web", false, "us-a"),
			ports(service("ports", "192.0.2.26"), port("metrics", "TCP", 9200)), slice("ports", true, "z"),
		},
		"oslo": {
			vector.Node("n", "north", ""), // a region without zones
			service("web", "192.0.2.4", "2001:db8::4"), slice("web", true, ""),
			vector.Ingress("shop", "hosts", "192.0.2.64", [2]string{"shop.example.com", "web"}, [2]string{"*.any.example.com", "web"}),
		},
		"moon": {vector.Node("n", far, "far-a"), service("web", "192.0.2.5"), slice("web", false, "far-a"), service("down", "192.0.2.5"), slice("down", false, "far-a")},
	}
	for name, objects := range clusters {
		vector.WriteManifest(t, filepath.Join(dir, name, "all.json"), objects...)
	}
	vector.WriteManifest(t, filepath.Join(dir, "lab", "all.json"), vector.Node("n", "lab", "lab-a"), service("web", "198.51.100.1"), slice("web", true, "lab-a"),
		vector.Ingress("lab", "hosts", "198.51.100.9", [2]string{"shop.example.com", "web"}, [2]string{"open.sub.example.com", "web"}))
	return slices.Sorted(maps.Keys(clusters))
}

// apex has static records of every kind beside the federated names.
const apex = `$ORIGIN example.com.
@ 3600 SOA ns1 hostmaster 7 7200 1800 86400 5
@ NS ns1
@ NS ns2.example.net.
@ MX 10 mail
@ TXT "v=spf1 -all"
@ HTTPS 1 . alpn=h2
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
txt.deep TXT "Hello" "World"
eu TXT "a region may have records"
* TXT "wildcard"
* A 192.0.2.99
*.wild A 192.0.2.98
lab NS ns.lab
lab DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.lab A 192.0.2.54
gone CNAME nobody.shop.fed.svc
into CNAME host.lab
away CNAME www.example.net.
to CNAME mail
www CNAME web.shop.fed.svc
led CNAME web.shop.fed.svc.us-a.us
srv SRV 1 2 80 web.shop.fed.svc
tree DNAME other
x.other A 192.0.2.97
`

// many adds a set of records that is too large for a datagram.
func many() string {
	var b strings.Builder
	for i := range 90 {
		fmt.Fprintf(&b, "many A 198.51.100.%d\n", i+1)
	}
	for i := range 20 {
		fmt.Fprintf(&b, "text TXT \"%d %s\"\n", i, strings.Repeat("long ", 30))
	}
	return b.String()
}

// A block is what one address answers, and the names that are asked there.
type block struct {
	host    string // "": the server's own
	domains []string
	names   []string // relative to the last of the domains
	core    []string // that are asked in every way
	corners bool     // malformed packets, too

	elsewhere bool   // other plugins answer for some names of the domains
	cookies   bool   // are given
	text      string // of the Corefile
}

// world writes all there is to answer from, and gives what each address answers. In
// the Corefile, WAY stands for fast on or fast off.
func world(t testing.TB) []block {
	t.Helper()
	dir := t.TempDir()
	clusters := server.Members(dir, manifests(t, dir)...)
	lab := server.Members(dir, "lab")
	db := write(t, dir, "db.example.com", apex+many())
	behind := write(t, dir, "db.behind", "$ORIGIN example.com.\n@ 60 SOA ns9 hostmaster 7 7200 1800 86400 9\n@ NS ns9\nns9 A 192.0.2.9\n*.nowhere.fed.svc A 192.0.2.96\nwww A 192.0.2.95\n")
	other := write(t, dir, "db.other", "$ORIGIN deep.sub.example.com.\n@ 60 SOA ns8 hostmaster 7 7200 1800 86400 8\n@ NS ns8\nns8 A 192.0.2.8\nwww A 192.0.2.94\n")
	secrets := write(t, dir, "secrets", secret)
	deep := strings.Repeat("d", 60) + ".example.com"
	out := []block{
		{
			domains: []string{"example.com"}, corners: true, cookies: true,
			text: "example.com:PORT {\n bind ADDR\n prometheus METRICS\n federation fed {\n" + clusters + "  answers 2000\n  apex " + db + "\n  cookies " + secrets + "\n  WAY\n }\n ready READY\n}\n",
		},
		{
			host: "127.0.54.1", domains: []string{"example.com"},
			text: "example.com:PORT {\n bind 127.0.54.1\n nsid server one\n federation fed {\n" + clusters + "  answers 2000\n  lenient\n  cookies off\n  WAY\n }\n}\n",
		},
		{
			host: "127.0.54.2", elsewhere: true, cookies: true, domains: []string{"example.com", "sub.example.com"},
			text: "example.com:PORT {\n bind 127.0.54.2\n any\n federation fed {\n" + clusters + "  answers 2000\n  fallthrough\n  WAY\n }\n" +
				" federation two example.com sub.example.com {\n" + lab + "  ttl 60s\n  fallthrough\n }\n file " + behind + "\n}\n" +
				"deep.sub.example.com:PORT {\n bind 127.0.54.2\n file " + other + "\n}\n",
		},
		{
			host: "127.0.54.3", cookies: true, domains: []string{deep},
			text: deep + ":PORT {\n bind 127.0.54.3\n federation fed {\n" + clusters + "  answers 2000\n  WAY\n }\n}\n",
		},
		{
			host: "127.0.54.4", cookies: true, domains: []string{""},
			text: ".:PORT {\n bind 127.0.54.4\n federation fed {\n" + clusters + "  answers 2000\n  WAY\n }\n}\n",
		},
	}
	for i := range out {
		out[i].names, out[i].core = names, core // of the vectors below, all are asked
	}
	// Inside two clusters: one with shards in two zones, and one that only leads away, to
	// names that are nearly too long.
	for i, l := range []struct{ cluster, keys, zones, domain string }{
		{"paris", "example.com:PORT fed.svc.cluster.local:PORT", "", "example.com"},
		{"moon", ".:PORT", deep, deep},
		{"oslo", "cluster.local:PORT .:PORT", "", ""},
	} {
		b := block{host: fmt.Sprint("127.0.54.", 5+i), cookies: true, domains: []string{l.domain, "fed.svc.cluster.local"}, names: local, core: local[:12]}
		b.text = l.keys + " {\n bind " + b.host + "\n federation fed " + l.zones + " {\n" + clusters + "  answers 2000\n  local " + l.cluster + " cluster.local\n  WAY\n }\n}\n"
		out = append(out, b)
	}
	for i, v := range vector.Vectors(t) {
		if len(v.Clusters) == 0 || len(v.Resolve) > 0 {
			continue // in the background: two servers learn it at two times
		}
		b := block{host: fmt.Sprint("127.0.55.", i+1), domains: []string{v.Service.DNSSuffix}, names: []string{"", "nobody"}, cookies: true}
		folders := v.Manifests(t, filepath.Join(dir, v.ID))
		b.text = fmt.Sprintf("%s:PORT {\n bind %s\n federation %s {\n", v.Service.DNSSuffix, b.host, v.Service.Federation)
		for _, c := range slices.Sorted(maps.Keys(folders)) {
			b.text += fmt.Sprintf("  cluster %s {\n   manifests %s\n   hosts *\n  }\n", c, folders[c])
		}
		b.text += "  WAY\n }\n}\n"
		for _, name := range slices.Sorted(maps.Keys(v.Expect)) {
			b.names = append(b.names, strings.TrimSuffix(strings.TrimSuffix(name, "."), "."+v.Service.DNSSuffix))
			if short, ok := v.ShortForm(name); ok {
				b.names = append(b.names, strings.TrimSuffix(short, "."+v.Service.DNSSuffix))
			}
		}
		out = append(out, b)
	}
	return out
}

// corefile puts the blocks together for one way of answering.
func corefile(blocks []block, way string) string {
	var b strings.Builder
	for i := range blocks {
		b.WriteString(strings.ReplaceAll(blocks[i].text, "WAY", way))
	}
	return b.String()
}

// names are all that is asked in the federation, with the domain left out.
var names = func() (out []string) {
	scopes := []string{"", ".eu", ".us", ".north", "." + far, ".eu-a", ".eu-b", ".eu-c", ".us-a", ".far-a", ".z", ".eu-a.eu", ".eu-b.eu", ".z.eu", ".z.us", ".us-a.us", ".far-a." + far, ".eu-a.us", ".mars", ".m.mars", ".a.b.c"}
	for _, s := range scopes {
		for _, h := range []string{"web.shop.fed.svc", "down.shop.fed.svc", "six.shop.fed.svc", "ports.shop.fed.svc", "own.shop.fed.svc", "pending.shop.fed.svc", "front.shop.fed.ing",
			"nobody.shop.fed.svc", "web.nowhere.fed.svc", "web.shop.two.svc", "shop.fed.svc", "fed.svc", "fed.ing", "svc", "x.web.shop.fed.svc",
			"_http._tcp.ports.shop.fed.svc", "_metrics._tcp.ports.shop.fed.svc", "_dns._udp.ports.shop.fed.svc", "_tcp.ports.shop.fed.svc", "_none._tcp.ports.shop.fed.svc", "_http._udp.web.shop.fed.svc", "_http._tcp.down.shop.fed.svc", "x._http._tcp.web.shop.fed.svc"} {
			out = append(out, h+s)
		}
		if s != "" {
			out = append(out, s[1:])
		}
	}
	for _, n := range sizes {
		for _, s := range []string{"", ".eu-a.eu", ".us", ".far-a", ".far-a." + far} {
			out = append(out, fmt.Sprintf("big%d.shop.fed.svc%s", n, s), fmt.Sprintf("_http._tcp.big%d.shop.fed.svc%s", n, s))
		}
	}
	long := strings.Repeat("x", 63)
	for _, s := range []string{"", ".eu", ".eu-b", ".us-a", ".far-a", ".far-a." + far} {
		out = append(out, long+"."+long+".fed.svc"+s)
	}
	out = append(out, "shop", "x.shop", "x.any", "y.x.any", "any", "*.any", "x.*.any", "host.below", "a.host.below", "b.host.below", "below", "x.below", "six", "open", "x.open")
	return append(out, "", "ns1", "ns9", "mail", "txt.deep", "deep", "anything", "anything.else", "anything.us", "anything.svc", "x.wild", "wild", "host.lab", "lab", "ns.lab", "into", "to",
		"away", "gone", "www", "led", "srv", "x.tree", "y.tree", "tree", "x.other", "many", "text", "nobody", "many.many", "www.deep", "ns8.deep", "deep.deep", "*", "*.wild", "*.svc", "x.shop.fed.svc.*", "_http._tcp")
}()

// local are all that is asked in a cluster's own domain, with that left out.
var local = func() []string {
	out := []string{"web.shop", "down.shop", "six.shop", "ports.shop", "pods.shop", "pending.shop", "nobody.shop", "shop", "_http._tcp.ports.shop", "_metrics._tcp.ports.shop", "_http._tcp.pods.shop", "",
		"own.shop", "plain.shop", "front.shop", "web.nowhere", "nowhere", "x.web.shop", "_tcp.ports.shop", "_dns._udp.ports.shop", "_none._tcp.ports.shop", "_http._tcp.down.shop", "_http._udp.web.shop", "x._http._tcp.web.shop",
		"*", "*.shop", "ns1", "a.b.c.d.e.f.g"}
	for _, n := range sizes {
		out = append(out, fmt.Sprintf("big%d.shop", n), fmt.Sprintf("_http._tcp.big%d.shop", n))
	}
	long := strings.Repeat("x", 63)
	return append(out, long+"."+long)
}()

// core are the names that are asked in every way.
var core = []string{
	"web.shop.fed.svc", "web.shop.fed.svc.eu-a.eu", "web.shop.fed.svc.us-a", "web.shop.fed.svc.us", "down.shop.fed.svc.eu", "six.shop.fed.svc.eu-b", "_http._tcp.ports.shop.fed.svc",
	"_metrics._tcp.ports.shop.fed.svc.eu-a", "nobody.shop.fed.svc", "shop.fed.svc", "web.shop.fed.svc.mars", "big30.shop.fed.svc", "big74.shop.fed.svc.us", "big200.shop.fed.svc", "front.shop.fed.ing",
	"shop", "x.any", "any", "six", "", "mail", "anything", "lab", "host.lab", "www", "led", "gone", "many",
}
