package federation

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dns/udp"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/filezone"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/test/framework/vector"
)

// staticRecords stand beside the federation that is read of.
const staticRecords = `@ 60 SOA ns1 host 1 2 3 4 5
@ NS ns1
ns1 A 192.0.2.53
mail A 192.0.2.25
* A 192.0.2.99
lab NS ns.lab
ns.lab A 192.0.2.54
www CNAME web.shop.fed.svc
far CNAME www.elsewhere.test.
to CNAME mail
`

// fileZone is a zone of plugin file in a server block of its own.
const fileZone = `@ 60 SOA ns1 host 1 2 3 4 5
@ NS ns1
ns1 A 192.0.2.53
mail A 192.0.2.25
* A 192.0.2.99
lab NS ns.lab
ns.lab A 192.0.2.54
shop CNAME web.shop.fed.svc.example.com.
none CNAME none.shop.fed.svc.example.com.
far CNAME www.elsewhere.test.
`

// reading is what comes to one socket of a small federation: by name, a packet each,
// over and over. Beside it stand plugins.
func reading(t testing.TB, plugins string) (packet.Responder, map[string]func() int) {
	return readingBeyond(t, plugins, "1000000000")
}

// readingBeyond is that with a limit of answers a second.
func readingBeyond(t testing.TB, plugins, limit string) (packet.Responder, map[string]func() int) {
	w := &world{t: t, dir: t.TempDir()}
	for _, c := range []struct{ name, zone, region, addr string }{
		{"a", "eu-a", "eu", "192.0.2.1"}, {"b", "us-b", "us", "192.0.2.2"}, {"c", "as-c", "as", "192.0.2.3"},
	} {
		ready := c.name != "c"
		objects := []vector.Object{vector.Node("n", c.region, c.zone)}
		for _, s := range []string{"web", "near", "drawn", "first"} {
			svc := vector.Service("shop", s, c.addr)
			if policy := map[string]string{"near": "nearest within 5% 2", "drawn": "weighted", "first": "failover us eu"}[s]; policy != "" {
				svc["metadata"].(map[string]any)["annotations"] = map[string]string{"fedns.io/policy": policy}
			}
			objects = append(objects, svc, vector.Slice("shop", s, ready, c.zone))
		}
		objects = append(objects, vector.Ingress("shop", "front", c.addr, [2]string{"shop.example.com", "web"}, [2]string{"*.wild.example.com", "web"}))
		w.cluster(c.name, objects...)
	}
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\nhosts *\n}\ncluster b {\nmanifests DIR/b\nhosts *\n}\ncluster c {\nmanifests DIR/c\nhosts *\n}\nnets 127.0.0.0/8 us\nnets 2001:db8::/32 eu\nrrl on " + limit + "\napex " + w.write("apex", staticRecords) + "\n}")
	for tick := time.Tick(time.Millisecond); !f.Ready(); {
		<-tick
	}
	r := f.responder(t, plugins)
	from := netip.MustParseAddrPort("127.0.0.1:4711")
	out := map[string]func() int{}
	for name, q := range map[string]struct {
		name string
		t    uint16
		edns bool
		from string // the client subnet
	}{
		"addresses":        {"web.shop.fed.svc.example.com.", dns.TypeA, false, ""},
		"with EDNS":        {"web.shop.fed.svc.eu-a.eu.example.com.", dns.TypeA, true, ""},
		"a chain":          {"web.shop.fed.svc.as-c.as.example.com.", dns.TypeA, true, ""},
		"no such service":  {"none.shop.fed.svc.example.com.", dns.TypeA, true, ""},
		"no such family":   {"web.shop.fed.svc.example.com.", dns.TypeAAAA, false, ""},
		"ANY":              {"web.shop.fed.svc.example.com.", dns.TypeANY, false, ""},
		"an empty name":    {"fed.svc.example.com.", dns.TypeA, false, ""},
		"nearest":          {"near.shop.fed.svc.example.com.", dns.TypeA, true, ""},
		"nearest to IPv4":  {"near.shop.fed.svc.example.com.", dns.TypeA, true, "198.51.100.0/24"},
		"nearest to IPv6":  {"near.shop.fed.svc.example.com.", dns.TypeA, true, "2001:db8:1::/48"},
		"weighted":         {"drawn.shop.fed.svc.example.com.", dns.TypeA, false, ""},
		"failover":         {"first.shop.fed.svc.example.com.", dns.TypeA, false, ""},
		"a host":           {"shop.example.com.", dns.TypeA, true, ""},
		"none at a host":   {"Shop.Example.com.", dns.TypeTXT, true, ""},
		"below wildcard":   {"a.b.wild.example.com.", dns.TypeA, false, ""},
		"above wildcard":   {"wild.example.com.", dns.TypeA, false, ""},
		"below a host":     {"x.shop.example.com.", dns.TypeA, false, ""},
		"a static name":    {"mail.example.com.", dns.TypeA, true, ""},
		"a wildcard":       {"x.y.z.example.com.", dns.TypeA, true, ""},
		"60 labels":        {strings.Repeat("x.", 60) + "example.com.", dns.TypeA, true, ""},
		"no such static":   {"x.mail.example.com.", dns.TypeA, true, ""},
		"none, 110":        {strings.Repeat("x.", 110) + "mail.example.com.", dns.TypeA, true, ""},
		"none, federated":  {strings.Repeat("x.", 100) + "web.shop.fed.svc.example.com.", dns.TypeA, true, ""},
		"a delegation":     {"a.b.lab.example.com.", dns.TypeA, true, ""},
		"an alias":         {"www.example.com.", dns.TypeA, true, ""},
		"a static alias":   {"to.example.com.", dns.TypeA, true, ""},
		"an alias away":    {"far.example.com.", dns.TypeA, true, ""},
		"the domain":       {"example.com.", dns.TypeSOA, true, ""},
		"its servers":      {"example.com.", dns.TypeNS, false, ""},
		"a file's name":    {"mail.example.org.", dns.TypeA, true, ""},
		"a file's none":    {"x.mail.example.org.", dns.TypeA, true, ""},
		"a file's * name":  {"x.y.example.org.", dns.TypeA, true, ""},
		"a file's zone":    {"example.org.", dns.TypeSOA, true, "198.51.100.0/24"},
		"a file's cut":     {"x.lab.example.org.", dns.TypeA, true, ""},
		"a file's alias":   {"shop.example.org.", dns.TypeA, true, ""},
		"none of an alias": {"none.example.org.", dns.TypeA, true, ""},
		"a file's leads":   {"far.example.org.", dns.TypeA, true, ""},
		"upper case":       {"WEB.SHOP.FED.SVC.AS-C.AS.EXAMPLE.COM.", dns.TypeA, false, ""},
	} {
		m := new(dns.Msg).SetQuestion(q.name, q.t)
		if q.edns {
			m.SetEdns0(1232, true)
			o := m.IsEdns0()
			o.Option = append(o.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		}
		if q.from != "" {
			n := netip.MustParsePrefix(q.from)
			e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(n.Bits()), Address: n.Addr().AsSlice()}
			if n.Addr().Is6() {
				e.Family = 2
			}
			m.IsEdns0().Option = append(m.IsEdns0().Option, e)
		}
		query, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		p := packet.New(query, from, unheard)
		out[name] = func() int {
			copy(p.Buf, query)
			p.N = len(query)
			return r.Respond(p)
		}
	}
	return r, out
}

// responder is one socket of the fast path, beside plugins.
func (f *Federation) responder(t testing.TB, plugins string) packet.Responder {
	f.stop() // what it does beside would be counted, too; its last snapshot is answered
	f.Config = &dnsserver.Config{}
	h := fastpath.New("dns://127.0.0.1:53", 0) // there is no chain here
	all, err := bypass.Blocks(caddy.CaddyfileInput{Contents: []byte("example.com:53 {\n" + plugins + "\n}\n"), ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Domains {
		needed, done, why := all[0].Needs(d.Name, nil, observe.PluginName)
		if why != "" {
			t.Fatal(why)
		}
		h.Add(&f.Owner, d, bypass.Neighbours{}, needed, done)
	}
	of, err := file.Parse(strings.NewReader(fileZone), "example.org.", "db", -1)
	if err != nil {
		t.Fatal(err)
	}
	z := filezone.New("example.org.", of, fall.F{})
	z.Read()
	h.AddFile(z, f.Config, bypass.Neighbours{}, nil, bypass.Effects{})
	if err := h.Guard([]*fastpath.Owner{&f.Owner}); err != nil {
		t.Fatal(err)
	}
	return h.Responder(1)
}

// beside are plugins that let all pass that is asked here.
var beside = map[string]string{
	"":            "errors",
	"errors only": "log . {\n class error\n}",
	"acl":         guarded(1000),
	"many":        "log . {\n class error\n}\ndnssec other.example.com\nheader {\n response set ra\n}\nbufsize 1000\nrewrite name old.example.com new.example.com\n" + guarded(10),
}

// guarded is an acl of networks that nobody here is in.
func guarded(n int) string {
	b := "acl {\n"
	for i := range n {
		b += fmt.Sprintf(" block net 10.%d.%d.0/25\n", i/250, i%250)
	}
	return b + " allow net 127.0.0.0/8\n drop\n}"
}

// No answer of the fast path allocates anything, whatever is asked, and whatever
// other plugins there are.
func TestFastAllocations(t *testing.T) {
	for plugins, text := range beside {
		r, questions := reading(t, text)
		for name, ask := range questions {
			r.Begin()
			if ask() == 0 {
				t.Errorf("%s, beside %s: it isn't answered by the fast path", name, plugins)
			}
			r.End()
			if n := testing.AllocsPerRun(100, func() {
				r.Begin()
				ask()
				r.End()
			}); n != 0 {
				t.Errorf("%s, beside %s: %v allocations", name, plugins, n)
			}
		}
	}
}

// Beyond the limit of rates, whom acl drops gets nothing, not even that the answer is
// truncated.
func TestFastLimitOfDropped(t *testing.T) {
	for acl, answered := range map[string]bool{"drop net 127.0.0.0/8": false, "drop net 192.0.2.0/24": true, "allow": true} {
		r, questions := readingBeyond(t, "acl {\n "+acl+"\n}", "1 1")
		r.Begin()
		for i := range 10 {
			if size := questions["addresses"](); size > 0 != answered {
				t.Errorf("acl %s, question %d: an answer of %d bytes", acl, i, size)
			}
		}
		r.End()
	}
}

func BenchmarkBeside(b *testing.B) {
	for plugins, text := range beside {
		r, questions := reading(b, text)
		b.Run(plugins, func(b *testing.B) {
			b.ReportAllocs()
			r.Begin()
			defer r.End()
			for ask := questions["addresses"]; b.Loop(); {
				ask()
			}
		})
	}
}

func BenchmarkFast(b *testing.B) {
	r, questions := reading(b, "errors")
	for name, ask := range questions {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r.Begin()
			if n := testing.AllocsPerRun(10, func() { ask() }); n != 0 {
				b.Fatalf("%v allocations", n)
			}
			for i := 0; b.Loop(); i++ {
				if ask(); i%udp.Batch == 0 {
					r.End()
					r.Begin()
				}
			}
		})
	}
}

// lost is a question of which it is enough to know that it would go through the chain.
type lost struct{}

func unheard() packet.Deferred { return lost{} }

func (lost) Query() []byte      { return nil }
func (lost) Write([]byte) error { return nil }
func (lost) To() net.Addr       { return nil }
func (lost) Done()              {}
