package federation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/status"
	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

type object = vector.Object

// inside is a Service as pods of its cluster reach it, exported.
func inside(name, spec string, ports ...object) object {
	o := vector.Service("shop", name)
	s := object{"ports": ports}
	for field := range strings.FieldsSeq(spec) {
		key, value, _ := strings.Cut(field, "=")
		if key == "clusterIPs" {
			s[key] = strings.Split(value, ",")
			continue
		}
		s[key] = value
	}
	delete(o, "status")
	o["spec"] = s
	return o
}

// endpoints are pods, by hand: of "10.1.0.1" one that is ready, of "-10.1.0.2" one
// that isn't.
func endpoints(service string, pods ...string) object {
	list := []object{}
	for _, p := range pods {
		addr, unready := strings.CutPrefix(p, "-")
		list = append(list, object{"addresses": []string{addr}, "zone": "eu-a", "conditions": object{"ready": !unready}})
	}
	o := vector.Slice("shop", service, true)
	o["endpoints"], o["ports"] = list, []object{{"name": "http", "port": 8080}}
	return o
}

// home is a world in which the pods of cluster eu ask. Of each service, another
// cluster has a shard that is up.
func home(t testing.TB, more ...object) *world {
	w := &world{t: t, dir: t.TempDir()}
	http, dnsPort := object{"name": "http", "port": 80}, object{"name": "dns", "port": 53, "protocol": "UDP"}
	eu := []object{
		vector.Node("n", "eu", "eu-a"),
		inside("web", "clusterIP=10.0.0.1 clusterIPs=10.0.0.1,fd00::1", http), endpoints("web", "10.1.0.1"),
		inside("four", "clusterIP=10.0.0.4", http), endpoints("four", "10.1.0.1"),
		inside("unready", "clusterIP=10.0.0.2", http), endpoints("unready", "-10.1.0.1"),
		inside("empty", "clusterIP=10.0.0.3", http),
		inside("headless", "clusterIP=None", http, dnsPort), endpoints("headless", "10.1.0.1", "10.1.0.2", "-10.1.0.3"),
		inside("hollow", "clusterIP=None", http), endpoints("hollow", "-10.1.0.1"),
		inside("alias", "type=ExternalName externalName=x.example.net"), endpoints("alias", "10.1.0.1"),
		inside("early", "clusterIP=None", http), endpoints("early", "-10.1.0.1"),
	}
	eu[len(eu)-2]["spec"].(object)["publishNotReadyAddresses"] = true
	w.cluster("eu", append(eu, more...)...)
	us := []object{vector.Node("n", "us", "us-a")}
	for i, name := range []string{"web", "unready", "empty", "headless", "hollow", "alias", "gone"} {
		us = append(us, vector.Service("shop", name, fmt.Sprint("192.0.2.", i+1)), vector.Slice("shop", name, true, "us-a"))
	}
	us = append(us, vector.Service("shop", "down", "192.0.2.99"), vector.Slice("shop", "down", false, "us-a"))
	w.cluster("us", us...)
	return w
}

const homely = "federation fed {\n" + both + "local eu cluster.local\n}"

var homeKeys = []string{"example.com.:1053", "cluster.local.:1053"}

// A cluster's own domain: the cluster's own shard, and without it the name of where
// the cluster stands.
func TestLocal(t *testing.T) {
	f := home(t).servingUnder(homely, homeKeys...)
	const in = ".shop.fed.svc.cluster.local."
	away := func(name, addr string) string {
		return "NOERROR; A " + addr + "; CNAME " + name + ".shop.fed.svc.eu-a.eu.example.com.; CNAME " + name + ".shop.fed.svc.eu.example.com.; CNAME " + name + ".shop.fed.svc.example.com."
	}
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  string
		ede   string
	}{
		{"web" + in, dns.TypeA, "NOERROR; A 10.0.0.1", ""},
		{"web" + in, dns.TypeAAAA, "NOERROR; AAAA fd00::1", ""},
		{"four" + in, dns.TypeAAAA, "NOERROR; SOA", "0 no shard has an address of this family"},
		{"web" + in, dns.TypeTXT, "NOERROR; SOA", "0 services have addresses only"},
		{"web" + in, dns.TypeCNAME, "NOERROR; SOA", "0 services have addresses only"},
		{"web" + in, dns.TypeANY, `NOERROR; HINFO "RFC8482" ""`, ""},
		{"headless" + in, dns.TypeA, "NOERROR; A 10.1.0.1; A 10.1.0.2", ""},
		{"early" + in, dns.TypeA, "NOERROR; A 10.1.0.1", ""}, // publishNotReadyAddresses
		{"unready" + in, dns.TypeA, away("unready", "192.0.2.2"), "0 no healthy shard in this cluster, nor in zone eu-a of region eu"},
		{"empty" + in, dns.TypeA, away("empty", "192.0.2.3"), "0 no healthy shard in this cluster, nor in zone eu-a of region eu"},
		{"hollow" + in, dns.TypeA, away("hollow", "192.0.2.5"), ""},
		{"alias" + in, dns.TypeA, away("alias", "192.0.2.6"), ""},
		{"gone" + in, dns.TypeA, away("gone", "192.0.2.7"), ""},
		{"gone" + in, dns.TypeAAAA, strings.Replace(away("gone", "x"), "A x; ", "", 1) + "; SOA", ""},
		{"gone" + in, dns.TypeCNAME, "NOERROR; CNAME gone.shop.fed.svc.eu-a.eu.example.com.", "0 no healthy shard in this cluster"},
		{"gone" + in, dns.TypeANY, "NOERROR; CNAME gone.shop.fed.svc.eu-a.eu.example.com.", ""},
		{"down" + in, dns.TypeA, strings.Replace(away("down", "x"), "A x; ", "", 1) + "; SOA", "0 no shard is up: no ready endpoint in 1 cluster"},

		{"_http._tcp.web" + in, dns.TypeSRV, "NOERROR; SRV 0 0 80 web.shop.fed.svc.cluster.local.", ""},
		{"_http._tcp.web" + in, dns.TypeA, "NOERROR; SOA", ""},
		{"_http._tcp.headless" + in, dns.TypeSRV, "NOERROR; SRV 0 0 8080 10-1-0-1.headless.shop.fed.svc.cluster.local.; SRV 0 0 8080 10-1-0-2.headless.shop.fed.svc.cluster.local.", ""},
		{"10-1-0-2.headless" + in, dns.TypeA, "NOERROR; A 10.1.0.2", ""},
		{"10-1-0-2.headless" + in, dns.TypeAAAA, "NOERROR; SOA", "0 no shard has an address of this family"},
		{"10-1-0-3.headless" + in, dns.TypeA, "NXDOMAIN; SOA", ""}, // it isn't ready
		{"10-1-0-1.early" + in, dns.TypeA, "NOERROR; A 10.1.0.1", ""},
		{"10-1-0-1.web" + in, dns.TypeA, "NXDOMAIN; SOA", ""}, // not headless
		{"_dns._udp.headless" + in, dns.TypeSRV, "NOERROR; CNAME _dns._udp.headless.shop.fed.svc.eu-a.eu.example.com.; CNAME _dns._udp.headless.shop.fed.svc.eu.example.com.; CNAME _dns._udp.headless.shop.fed.svc.example.com.; SOA", ""},
		{"_http._tcp.gone" + in, dns.TypeSRV, "NOERROR; CNAME _http._tcp.gone.shop.fed.svc.eu-a.eu.example.com.; CNAME _http._tcp.gone.shop.fed.svc.eu.example.com.; CNAME _http._tcp.gone.shop.fed.svc.example.com.; SRV 0 0 80 gone.shop.fed.svc.example.com.", ""},
		{"_https._tcp.web" + in, dns.TypeSRV, "NXDOMAIN; SOA", ""},
		{"_tcp.web" + in, dns.TypeSRV, "NOERROR; SOA", "0 empty non-terminal"},

		{"nobody" + in, dns.TypeA, "NXDOMAIN; SOA", ""},
		{"web.nowhere.fed.svc.cluster.local.", dns.TypeA, "NXDOMAIN; SOA", ""},
		{"pod.headless" + in, dns.TypeA, "NXDOMAIN; SOA", ""}, // no pod's
		{"x._http._tcp.web" + in, dns.TypeSRV, "NXDOMAIN; SOA", ""},
		{"shop.fed.svc.cluster.local.", dns.TypeA, "NOERROR; SOA", "0 empty non-terminal"},
		{"fed.svc.cluster.local.", dns.TypeA, "NOERROR; SOA", ""},
		{"fed.svc.cluster.local.", dns.TypeSOA, "NOERROR; SOA", ""},
		{"fed.svc.cluster.local.", dns.TypeNS, "NOERROR; NS ns1.example.com.", ""},

		// Outside, the federation is what it was.
		{"web.shop.fed.svc.eu.example.com.", dns.TypeA, "NOERROR; A 192.0.2.1; CNAME web.shop.fed.svc.example.com.", ""},
		{"web.shop.fed.svc.example.com.", dns.TypeA, "NOERROR; A 192.0.2.1", ""},
	} {
		m := f.dig(t, tt.name, tt.qtype)
		if got := short(m); got != tt.want {
			t.Errorf("%s %s: %s\nwant %s", tt.name, dns.Type(tt.qtype), got, tt.want)
		}
		if got := ede(m); tt.ede != "" && got != tt.ede {
			t.Errorf("%s %s: extended error %q, want %q", tt.name, dns.Type(tt.qtype), got, tt.ede)
		}
		if !m.Authoritative {
			t.Errorf("%s: without authority", tt.name)
		}
	}

	// Of the cluster's other names nothing is known here.
	if m, rcode := f.ask(t, new(dns.Msg).SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)); m != nil || rcode != dns.RcodeServerFailure {
		t.Errorf("a name that isn't the federation's: %v", m)
	}
	// The case of the question, the records beside an SRV record, and the TTLs: what the
	// cluster says itself is short-lived, what the federation says isn't.
	m := f.dig(t, "_HTTP._tcp.Gone"+in, dns.TypeSRV)
	if m.Answer[0].Header().Name != "_HTTP._tcp.Gone"+in || len(m.Extra) != 2 || m.Extra[0].Header().Name != "gone.shop.fed.svc.example.com." {
		t.Errorf("%v", m)
	}
	if got := []uint32{m.Answer[0].Header().Ttl, m.Answer[1].Header().Ttl, m.Answer[3].Header().Ttl}; !slices.Equal(got, []uint32{5, 180, 180}) {
		t.Errorf("TTLs %v", got)
	}
	if m = f.dig(t, "web"+in, dns.TypeA); m.Answer[0].Header().Ttl != 5 {
		t.Errorf("%v", m)
	}
	// Nothing at the end: it is the federation's domain that says so.
	if m = f.dig(t, "down"+in, dns.TypeA); m.Ns[0].Header().Name != "example.com." {
		t.Errorf("%v", m)
	}
	if m = f.dig(t, "nobody"+in, dns.TypeA); m.Ns[0].Header().Name != "fed.svc.cluster.local." || m.Ns[0].(*dns.SOA).Ns != "ns1.example.com." || m.Ns[0].Header().Ttl != 5 {
		t.Errorf("%v", m)
	}
	f.transfers.allow(f.Domains[0], []transferRule{{from: everywhere}})
	if rrs, err := transferred(t, f, "fed.svc.cluster.local."); err != nil || len(rrs) > 0 {
		t.Errorf("the cluster's own domain is handed out: %v, %v", rrs, err)
	}
}

// What becomes of pods is seen at once, in both directions.
func TestLocalFollows(t *testing.T) {
	w := home(t)
	f := w.servingUnder(homely, homeKeys...)
	becomes := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			got := short(f.dig(t, "web.shop.fed.svc.cluster.local.", dns.TypeA))
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
	becomes("NOERROR; A 10.0.0.1")
	const node = "eu-a"
	w.cluster("eu", vector.Node("n", "eu", node), inside("web", "clusterIP=10.0.0.1", object{"name": "http", "port": 80}), endpoints("web", "-10.1.0.1"))
	away := "NOERROR; A 192.0.2.1; CNAME web.shop.fed.svc.eu-a.eu.example.com.; CNAME web.shop.fed.svc.eu.example.com.; CNAME web.shop.fed.svc.example.com."
	becomes(away)
	// Over several zones, no zone is the cluster's: its region is.
	w.cluster("eu", vector.Node("n", "eu", node), vector.Node("m", "eu", "eu-b"))
	becomes("NOERROR; A 192.0.2.1; CNAME web.shop.fed.svc.eu.example.com.; CNAME web.shop.fed.svc.example.com.")
	w.cluster("eu") // nobody says where it is
	becomes("NOERROR; A 192.0.2.1; CNAME web.shop.fed.svc.example.com.")
	w.cluster("eu", vector.Node("n", "eu", node), inside("web", "clusterIP=10.0.0.9"), endpoints("web", "10.1.0.1"))
	becomes("NOERROR; A 10.0.0.9")
}

// An order of the operator's holds inside the cluster as it does outside.
func TestLocalOrders(t *testing.T) {
	for order, want := range map[string]string{
		`drain cluster/eu reason "r"`:      "CNAME",
		`down zone/eu-a reason "r"`:        "CNAME",
		`down service/shop/web reason "r"`: "CNAME",
		`drain cluster/us reason "r"`:      "A 10.0.0.1",
		`up service/shop/empty reason "r"`: "A 10.0.0.1",
	} {
		w := home(t)
		path := w.write("orders", order+"\n")
		f := w.servingUnder(strings.Replace(homely, "local", "overrides "+path+"\nlocal", 1), homeKeys...)
		got := ""
		for end := time.Now().Add(time.Minute); !strings.Contains(got, want) && time.Now().Before(end); time.Sleep(time.Millisecond) {
			got = short(f.dig(t, "web.shop.fed.svc.cluster.local.", dns.TypeA))
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s", order, got)
		}
		if strings.Contains(order, "empty") {
			if got := short(f.dig(t, "empty.shop.fed.svc.cluster.local.", dns.TypeA)); got != "NOERROR; A 10.0.0.3" {
				t.Errorf("%s: %s", order, got)
			}
		}
	}
}

// A namespace with the federation's name is said, whether or not anything in it is
// exported.
func TestLocalNamesake(t *testing.T) {
	hidden := vector.Service("fed", "web", "192.0.2.1")
	delete(hidden["metadata"].(object), "labels")
	for _, tt := range []struct {
		what  string
		extra []object
		want  bool
	}{
		{"none", nil, false},
		{"another", []object{{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": "feds"}}}, false},
		{"the namespace", []object{{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": "fed"}}}, true},
		{"something in it", []object{hidden}, true},
		{"something in it that is exported", []object{vector.Service("fed", "web")}, true},
	} {
		f := home(t, tt.extra...).servingUnder(homely, homeKeys...)
		all, _, ok := f.pipe.Clusters(t.Context(), 0)
		if !ok || all[0].Shadowed != tt.want || all[1].Shadowed {
			t.Errorf("%s: %v", tt.what, all)
		}
	}
}

// Both ways answer alike, and the fast one allocates nothing.
func TestLocalFast(t *testing.T) {
	for _, domain := range []string{"example.com.", ".", strings.Repeat("d", 60) + ".net.", strings.Repeat(strings.Repeat("d", 60)+".", 3) + "net."} {
		w := home(t)
		f := w.servingUnder(strings.Replace(homely, "fed {", "fed "+domain+" {\ncookies off", 1), homeKeys...)
		f.stop()
		f.Config = &dnsserver.Config{}
		h := fastpath.New("dns://127.0.0.1:53", 0)
		for _, d := range f.Domains {
			h.Add(&f.Owner, d, bypass.Neighbours{}, nil, bypass.Effects{})
		}
		if err := h.Guard([]*fastpath.Owner{&f.Owner}); err != nil {
			t.Fatal(err)
		}
		r := h.Responder(1)
		at := netip.MustParseAddrPort("127.0.0.1:1000")
		p := packet.New(nil, at, unheard)
		n, chained := 0, 0
		for _, host := range []string{
			"", "shop.", "web.shop.", "four.shop.", "unready.shop.", "headless.shop.", "hollow.shop.", "gone.shop.", "down.shop.", "nobody.shop.", "pod.headless.shop.", "_tcp.web.shop.", "_http._tcp.web.shop.",
			"_http._tcp.headless.shop.", "_dns._udp.headless.shop.", "_http._tcp.gone.shop.", "_HTTP._tcp.Gone.Shop.", "GONE.shop.", "x._http._tcp.gone.shop.", "nowhere.",
		} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeCNAME, dns.TypeANY, dns.TypeTXT, dns.TypeSOA, dns.TypeNS} {
				for _, edns := range []bool{false, true} {
					q := new(dns.Msg).SetQuestion(host+"fed.svc.cluster.local.", qtype)
					if edns {
						q.SetEdns0(1232, false)
					}
					bytes, err := q.Pack()
					if err != nil {
						t.Fatal(err)
					}
					want, _ := f.ask(t, q)
					var size int
					ask := func() { p.N = copy(p.Buf, bytes); r.Begin(); size = r.Respond(p) }
					ask()
					n++
					if size == 0 {
						chained++
						continue
					}
					got := new(dns.Msg)
					if err := got.Unpack(p.Buf[:size]); err != nil {
						t.Fatalf("%s %s: %v", q.Question[0].Name, dns.Type(qtype), err)
					}
					for _, m := range []*dns.Msg{got, want} {
						m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT && ede(m) == "" })
						slices.SortFunc(m.Extra, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
						slices.SortStableFunc(m.Answer, func(a, b dns.RR) int { return strings.Compare(a.Header().Name, b.Header().Name) })
						for _, rr := range m.Answer { // pods come in turn
							if rr.Header().Name == q.Question[0].Name && rr.Header().Rrtype == dns.TypeA {
								slices.SortFunc(m.Answer, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
								break
							}
						}
					}
					if g, w := got.String(), want.String(); rest(g) != rest(w) {
						t.Errorf("%s %s:\n%s\nthe chain has\n%s", q.Question[0].Name, dns.Type(qtype), g, w)
					}
					if a := testing.AllocsPerRun(20, ask); a != 0 {
						t.Errorf("%s %s: %v allocations", q.Question[0].Name, dns.Type(qtype), a)
					}
				}
			}
		}
		// The apex is the chain's, and names that lead to one that is too long.
		if chained > 16 && len(domain) < 150 {
			t.Errorf("%s: %d of %d questions are left to the chain", domain, chained, n)
		}
	}
}

// rest is a message printed without its ID and its OPT record's size.
func rest(m string) string {
	var out []string
	for line := range strings.Lines(m) {
		if !strings.Contains(line, "id: ") && !strings.HasPrefix(line, "; EDNS") && !strings.HasPrefix(line, ";; flags") && !strings.Contains(line, "OPT PSEUDO") {
			out = append(out, strings.ToLower(line))
		}
	}
	return strings.Join(out, "")
}

func TestLocalConfig(t *testing.T) {
	stanza := func(zones, local string) string {
		return "federation fed " + zones + " {\ncluster eu {\nmanifests .\n}\ncluster us {\nmanifests .\n}\n" + local + "\n}"
	}
	const l = "local eu cluster.local"
	for _, tt := range []struct {
		text string
		keys []string
		want string // the domains, or the error
	}{
		{stanza("", l), []string{"example.com.:1053", "cluster.local.:1053"}, "example.com."},
		{stanza("", l), []string{"example.com.:1053", "fed.svc.cluster.local.:1053"}, "example.com."},
		{stanza("", l), []string{"svc.cluster.local.:1053", "example.com.:1053", "example.net.:1053"}, "example.com. example.net."},
		{stanza("", "local eu Cluster.Local."), homeKeys, "example.com."},
		{stanza("example.org", l), []string{".:1053"}, "example.org."},
		{stanza("example.org", l), []string{"cluster.local.:1053"}, "example.org."},
		{stanza("", "local eu k8s.example.com"), []string{"example.com.:1053"}, "example.com."},
		{stanza("", l), []string{"example.com.:1053"}, `this server block isn't asked for names in fed.svc.cluster.local.; add "fed.svc.cluster.local:1053" to its keys`},
		{stanza("", l), []string{"example.com.:1053", "default.svc.cluster.local.:1053"}, `add "fed.svc.cluster.local:1053" to its keys`},
		{stanza("", l), []string{"cluster.local.:1053"}, "every key of the server block is in the cluster's domain cluster.local.; add the federation's own domain"},
		{stanza("fed.svc.cluster.local", l), homeKeys, "fed.svc.cluster.local. is a domain of federation \"fed\" already"},
		{stanza("", "local"), homeKeys, "needs a cluster and its domain: local CLUSTER CLUSTERDOMAIN"},
		{stanza("", "local eu"), homeKeys, "needs a cluster and its domain"},
		{stanza("", "local mars cluster.local"), homeKeys, `"mars" is no cluster of federation "fed"; it has eu, us`},
		{stanza("", "local eu a..b"), homeKeys, `name "a..b": label "" has 0 bytes`},
		{stanza("", "local eu ."), homeKeys, `"." is no cluster's domain`},
		{stanza("", l+"\n"+l), homeKeys, "local: stands twice"},
		{stanza("", l) + "\n" + stanza("example.org", l), homeKeys, `the names of federation "fed" in cluster.local. stand twice`},
	} {
		stanzas, err := parsedUnder(t, tt.text, tt.keys...)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s under %v: error %v, want %q", tt.text, tt.keys, err, tt.want)
			}
			continue
		}
		if got := strings.Join(stanzas[0].zones, " "); got != tt.want {
			t.Errorf("%s under %v: domains %s, want %s", tt.text, tt.keys, got, tt.want)
		}
	}
}

// Why a name of the cluster's own domain is answered so, shard by shard; and what is
// explained is what is answered.
func TestLocalExplained(t *testing.T) {
	w := home(t)
	f := w.servingUnder(homely, homeKeys...)
	stanzas, err := parsedUnder(t, strings.ReplaceAll(homely, "DIR", w.dir), homeKeys...)
	if err != nil {
		t.Fatal(err)
	}
	s := newStatusServer(f, stanzas)
	const in = ".shop.fed.svc.cluster.local."
	for name, want := range map[string][]string{
		"web" + in: {
			"service shop/web of federation fed, for pods of cluster eu",
			"eu: in the answer: up in this cluster", "us: not in the answer: the shard of cluster eu itself comes first",
		},
		"_http._tcp.web" + in: {
			"port _http._tcp of shop/web of federation fed, for pods of cluster eu",
			"eu: in the answer: up in this cluster", "us: not in the answer: the shard of cluster eu itself comes first",
		},
		"unready" + in: {
			"service shop/unready of federation fed, for pods of cluster eu",
			"eu: not up in this cluster: no ready endpoint; not in the answer: no external address", "us: in the answer: up in zone us-a, where the name leads",
		},
		"_dns._udp.headless" + in: {
			"port _dns._udp of shop/headless of federation fed, for pods of cluster eu",
			"eu: not in the answer: no external address; up in this cluster, but without the port", "us: not in the answer: up in zone us-a, where the name leads, but without a ready endpoint for port _dns._udp",
		},
		"alias" + in: {
			"service shop/alias of federation fed, for pods of cluster eu",
			"eu: not up in this cluster: no address inside the cluster; not in the answer: no external address", "us: in the answer: up in zone us-a, where the name leads",
		},
		"gone" + in:                   {"service shop/gone of federation fed, for pods of cluster eu", "us: in the answer: up in zone us-a, where the name leads"},
		"shop.fed.svc.cluster.local.": {"an empty non-terminal: only names below it have records"},
		"fed.svc.cluster.local.":      {"the apex of the domain fed.svc.cluster.local"},
		"nobody" + in:                 {"no name of fed.svc.cluster.local"},
	} {
		qtype := dns.TypeA
		if strings.HasPrefix(name, "_") {
			qtype = dns.TypeSRV
		}
		e := s.why(t, name, "type", dns.Type(qtype).String())
		got := []string{e.About}
		for _, sh := range e.Shards {
			got = append(got, sh.Cluster+": "+sh.Rule)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", name, got, want)
		}
		m := f.dig(t, name, qtype)
		if reply := status.Replied(m, zone.Outcome{}); !slices.Equal(sorted(reply).Answer, sorted(e.Reply).Answer) || reply.Rcode != e.Reply.Rcode {
			t.Errorf("%s: explained as %v, answered with %v", name, e.Reply, reply)
		}
	}
	e := s.why(t, "web"+in, "without", "eu")
	if e.Service.Scope != "local" || e.Reply.Scope != "local" || !slices.Equal(e.Shards[0].Inside.Addresses, []string{"10.0.0.1", "fd00::1"}) {
		t.Errorf("%+v", e)
	}
	if len(e.Without.Chain) != 3 || e.Without.Chain[0] != "web.shop.fed.svc.eu-a.eu.example.com." || e.Without.Reply.Outcome != "fallback" {
		t.Errorf("without eu: %+v", e.Without)
	}
}
