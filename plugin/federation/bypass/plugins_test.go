package bypass

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// What each plugin needs to see of the questions for names in example.com, and what is
// answered past it.
func TestNeeds(t *testing.T) {
	order := strings.Fields("metadata log any tsig rewrite acl cache header dnssec minimal template transfer federation file forward loop view")
	const (
		in, out, deep = "web.shop.fed.svc.example.com.", "www.example.org.", "a.web.shop.fed.svc.example.com."
		home, guest   = "10.1.2.3", "192.0.2.7"
	)
	type asked struct {
		name  string
		qtype uint16
		do    bool
		from  string
		want  Kinds
	}
	everybody := func(k Kinds) []asked {
		return []asked{{in, dns.TypeA, false, home, k}, {deep, dns.TypeSRV, true, guest, k}, {in, dns.TypeANY, false, "2001:db8::1", k}}
	}
	const all = Whatever | Silent
	for _, tt := range []struct {
		plugins string
		whole   string // which needs everything; "": none
		asked   []asked
	}{
		{"errors\n cache\n transfer {\n to *\n}\n chaos\n nsid x\n cancel\n geoip /db", "", everybody(0)},
		{"metadata", "", everybody(0)},
		{"bufsize 512", "", everybody(0)},
		{"header {\n response set ra\n}", "", everybody(0)},
		{"stranger", "stranger", nil},
		{"view v {\n expr true\n}", "view", nil},
		// Behind federation, and before it.
		{"forward . 192.0.2.1\n file db\n loop", "", everybody(0)},

		{"log", "log", nil},
		{"log .", "log", nil},
		{"log example.com \"{name}\"", "log", nil},
		{"log com {\n class all\n}", "log", nil},
		{"log {\n class denial success error\n}", "log", nil},
		{"log example.org", "", everybody(0)},
		{"log sub.example.com example.org \"{name} {type}\"", "", everybody(0)},
		{"log {\n class error\n}", "", everybody(Failed)},
		{"log . {\n class denial error\n}", "", everybody(Denied | Failed)},
		{"log {\n class success\n}", "", everybody(Found)},
		{"log Web.shop.fed.svc.Example.com", "", []asked{{in, dns.TypeA, false, home, Whatever}, {deep, dns.TypeA, false, home, Whatever}, {"x" + in, dns.TypeA, false, home, 0}}},
		// The first rule for a name is the one that counts.
		{"log web.shop.fed.svc.example.com {\n class error\n}\nlog . {\n class denial\n}", "", []asked{{in, dns.TypeA, false, home, Failed}, {"x" + in, dns.TypeA, false, home, Denied}}},

		{"any", "", []asked{{in, dns.TypeANY, false, home, Whatever}, {in, dns.TypeA, false, home, 0}}},
		{"minimal", "", everybody(Padded)},
		{"loadbalance", "", everybody(0)},
		{"loadbalance round_robin", "", everybody(0)},
		{"loadbalance weighted file", "", everybody(Found)},
		{"loadbalance round_robin {\n prefer 10.0.0.0/8\n}", "", everybody(Found)},
		{"loadbalance {\n prefer 10.0.0.0/8\n}", "", everybody(Found)},

		{"dnssec", "", []asked{{in, dns.TypeA, true, home, Whatever}, {in, dns.TypeA, false, home, 0}, {in, dns.TypeDNSKEY, false, home, Whatever}}},
		{"dnssec example.org {\n key file x\n}", "", everybody(0)},
		{"dnssec web.shop.fed.svc.example.com", "", []asked{{in, dns.TypeA, true, home, Whatever}, {"x" + in, dns.TypeA, true, home, 0}}},

		{"tsig {\n secret k x\n}", "", everybody(0)},
		{"tsig {\n require AXFR IXFR A\n}", "", []asked{{in, dns.TypeA, false, home, Whatever}, {in, dns.TypeAAAA, false, home, 0}}},
		{"tsig {\n require A\n require AAAA\n}", "", []asked{{in, dns.TypeA, false, home, 0}, {in, dns.TypeAAAA, false, home, Whatever}}},
		{"tsig example.org {\n require all\n}", "", everybody(0)},
		{"tsig {\n require all\n}", "tsig", nil},
		{"tsig {\n require_opcode QUERY\n}", "tsig", nil},
		{"tsig {\n require_opcode all\n}", "tsig", nil},
		{"tsig {\n require none\n require_opcode NOTIFY UPDATE\n}", "", everybody(0)},

		{"acl {\n allow\n}", "", everybody(0)},
		{"acl {\n block\n}", "acl", nil},
		{"acl {\n drop net *\n}", "acl", nil},
		{"acl {\n block net 0.0.0.0/0 ::/0\n}", "acl", nil},
		{"acl {\n block net 0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1\n}", "acl", nil},
		{"acl example.org {\n block\n}", "", everybody(0)},
		{"acl shop.fed.svc.example.com {\n block\n}", "", []asked{{in, dns.TypeA, false, home, Whatever}, {"pay.fed.svc.example.com.", dns.TypeA, false, home, 0}}},
		{"acl {\n block type AAAA\n}", "", []asked{{in, dns.TypeAAAA, false, home, Whatever}, {in, dns.TypeA, false, home, 0}}},
		{"acl {\n filter type * net 10.0.0.0/8\n}", "", []asked{{in, dns.TypeAAAA, false, home, Whatever}, {in, dns.TypeA, false, guest, 0}}},
		{"acl {\n drop net 10.1.2.3\n}", "", []asked{{in, dns.TypeA, false, home, all}, {in, dns.TypeA, false, "10.1.2.4", 0}, {in, dns.TypeA, false, "10.1.2.2", 0}}},
		{"acl {\n block net 2001:db8::1 fe80::/10\n}", "", []asked{{in, dns.TypeA, false, "2001:db8::1", Whatever}, {in, dns.TypeA, false, "2001:db8::2", 0}, {in, dns.TypeA, false, "fe80::1%eth0", Whatever}, {in, dns.TypeA, false, home, 0}}},
		{"acl {\n allow net 10.0.0.0/8\n block\n}", "", []asked{{in, dns.TypeA, false, home, 0}, {in, dns.TypeA, false, guest, Whatever}, {in, dns.TypeA, false, "2001:db8::1", Whatever}}},
		{"acl {\n allow type A net 10.0.0.0/8 192.0.2.0/24\n DROP NET 192.0.2.0/25\n}", "", []asked{{in, dns.TypeA, false, guest, 0}, {in, dns.TypeAAAA, false, guest, all}, {in, dns.TypeAAAA, false, "192.0.2.200", 0}}},
		{"acl {\n block net 10.0.0.0/9\n block net 10.128.0.0/9 192.0.2.7\n allow net 198.51.100.1\n block net 198.51.100.0/24\n}", "", []asked{{in, dns.TypeA, false, home, Whatever}, {in, dns.TypeA, false, "10.200.0.1", Whatever}, {in, dns.TypeA, false, guest, Whatever},
			{in, dns.TypeA, false, "198.51.100.1", 0}, {in, dns.TypeA, false, "198.51.100.2", Whatever}, {in, dns.TypeA, false, "11.0.0.0", 0}, {in, dns.TypeA, false, "9.255.255.255", 0}}},
		{"acl example.com {\n allow net 10.0.0.0/8\n}\nacl {\n block type A\n}", "", []asked{{in, dns.TypeA, false, home, 0}, {in, dns.TypeA, false, guest, Whatever}, {in, dns.TypeAAAA, false, guest, 0}}},

		{"rewrite name www.example.org web.shop.fed.svc.example.com", "", everybody(0)},
		{"rewrite stop name exact www.example.org web.shop.fed.svc.example.com answer auto", "", everybody(0)},
		{"rewrite continue {\n name suffix .example.org .example.com\n answer auto\n}", "", everybody(0)},
		{"rewrite name web.shop.fed.svc.Example.com x.example.com", "", []asked{{in, dns.TypeA, false, home, Whatever}, {"x" + in, dns.TypeA, false, home, 0}}},
		{"rewrite name suffix .shop.fed.svc.example.com .pay.fed.svc.example.com", "", []asked{{in, dns.TypeA, false, home, Whatever}, {"pay.fed.svc.example.com.", dns.TypeA, false, home, 0}}},
		{"rewrite name suffix op.fed.svc.example.com .pay.fed.svc.example.com", "", []asked{{in, dns.TypeA, false, home, Whatever}, {"fed.example.com.", dns.TypeA, false, home, 0}}},
		{"rewrite name suffix .com .net", "rewrite", nil},
		{"rewrite name suffix xample.com .net", "rewrite", nil},
		{"rewrite name substring org net", "rewrite", nil},
		{"rewrite name prefix web www", "rewrite", nil},
		{"rewrite name regex (.*)org {1}net", "rewrite", nil},
		{"rewrite edns0 local set 0xffee 0x61", "rewrite", nil},
		{"rewrite cname exact a.example.org. b.example.org.", "rewrite", nil},
		{"rewrite type ANY HINFO", "", []asked{{in, dns.TypeANY, false, home, Whatever}, {in, dns.TypeA, false, home, 0}}},
		{"rewrite class CH IN", "", everybody(0)},
		{"rewrite class IN CH", "rewrite", nil},
		{"rewrite ttl example.org 60", "", everybody(0)},
		{"rewrite ttl suffix .example.com 60", "rewrite", nil},
		{"rewrite rcode exact www.example.org NXDOMAIN NOERROR", "", everybody(0)},
		{"rewrite rcode www.example.org NXDOMAIN NOERROR", "", everybody(0)},
		{"rewrite rcode regex .* NXDOMAIN NOERROR", "rewrite", nil},

		{"template IN A example.org {\n answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}", "", everybody(0)},
		{"template IN TXT {\n match x\n rcode NXDOMAIN\n}", "", []asked{{in, dns.TypeTXT, false, home, Whatever}, {in, dns.TypeANY, false, home, Whatever}, {in, dns.TypeA, false, home, 0}}},
		{"template IN ANY com", "template", nil},
		{"template CH ANY .", "", everybody(0)},
		{"autopath cluster.local @kubernetes", "", everybody(0)},
		{"autopath @kubernetes", "autopath", nil},

		// Each is asked.
		{"log {\n class error\n}\nacl {\n block type AAAA\n}\nminimal", "", []asked{{in, dns.TypeA, false, home, Failed | Padded}, {in, dns.TypeAAAA, false, home, Whatever | Padded}}},
	} {
		t.Run(tt.plugins, func(t *testing.T) {
			all, err := Blocks(caddy.CaddyfileInput{Contents: []byte("example.com:53 tls://example.com {\n federation fed\n " + tt.plugins + "\n}\n"), Filepath: "Corefile", ServerTypeName: "dns"})
			if err != nil {
				t.Fatal(err)
			}
			needed, _, why := all[0].Needs("example.com.", order, "federation")
			if want := "plugin " + tt.whole + " must see every question"; tt.whole != "" && why != want || tt.whole == "" && why != "" {
				t.Fatalf("the reason is %q, and %q must see everything", why, tt.whole)
			}
			for _, a := range tt.asked {
				if got := needed.Of(questionFor(t, a.name, a.qtype, a.do), dnsname.Lower(a.name), netip.MustParseAddr(a.from)); got != a.want {
					t.Errorf("%s %s, DO %v, from %s: %b is needed, want %b", a.name, dns.Type(a.qtype), a.do, a.from, got, a.want)
				}
			}
		})
	}
	t.Run("before federation", func(t *testing.T) {
		all, err := Blocks(caddy.CaddyfileInput{Contents: []byte("example.com {\n file db\n}\n"), ServerTypeName: "dns"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, why := all[0].Needs("example.com.", []string{"file", "federation"}, "federation"); !strings.Contains(why, "plugin file ") {
			t.Errorf("file is asked before federation, and the reason is %q", why)
		}
	})
}

// A key without a port means the one that a flag has set before the Corefile is read.
func TestUsualPort(t *testing.T) {
	defer func(was string) { dnsserver.Port = was }(dnsserver.Port)
	dnsserver.Port = "1053"
	all, err := Blocks(caddy.CaddyfileInput{Contents: []byte("example.com {\n}\n"), ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	if zones := all[0].At(Place{Transport: "dns", Port: "1053"}); len(zones) != 1 {
		t.Errorf("zones %q", zones)
	}
}

// Sources hold what their networks hold, whatever their order and overlaps.
func TestSources(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var networks []*net.IPNet
		for range r.IntN(12) {
			text := fmt.Sprintf("%d.%d.0.0/%d", 10+r.IntN(2), r.IntN(4), 7+r.IntN(26))
			if r.IntN(3) == 0 {
				text = fmt.Sprintf("2001:db8:%x::/%d", r.IntN(4), 30+r.IntN(99))
			}
			_, n, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			networks = append(networks, n)
		}
		s := sourcesOf(networks)
		for i := 1; i < len(s); i++ {
			if s[i-1].reaches(s[i].from) || s[i].from.Less(s[i-1].to) {
				t.Fatalf("%v of %v: ranges touch", s, networks)
			}
		}
		for range 200 {
			a := netip.AddrFrom4([4]byte{byte(9 + r.IntN(4)), byte(r.IntN(5)), byte(r.IntN(2)) * 255, byte(r.IntN(4))})
			if r.IntN(3) == 0 {
				a = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", r.IntN(5), r.IntN(3)))
			}
			want := slices.ContainsFunc(networks, func(n *net.IPNet) bool { return n.Contains(a.AsSlice()) })
			if got := s.contains(a); got != want {
				t.Fatalf("%v is among %v: %v, want %v", a, networks, got, want)
			}
		}
	}
}

// questionFor is a question as it is read from a packet.
func questionFor(t *testing.T, name string, qtype uint16, do bool) *message.Question {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	if do {
		m.SetEdns0(1232, true)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(message.Question)
	if r := q.Read(b); r != message.Plain {
		t.Fatalf("%s is read as %v", name, r)
	}
	return q
}

// What is done in the place of header, by its rules in their order.
func TestHeaderFlags(t *testing.T) {
	for _, tt := range []struct {
		rules        string
		before, want [2]byte
	}{
		{"response set ra", [2]byte{0x84, 0x00}, [2]byte{0x84, 0x80}},
		{"response clear aa", [2]byte{0x85, 0x03}, [2]byte{0x81, 0x03}},
		{"response set ra\n response clear ra rd", [2]byte{0x85, 0}, [2]byte{0x84, 0}},
		{"query set rd", [2]byte{0x84, 0}, [2]byte{0x85, 0}},
		{"query set aa ra", [2]byte{0x80, 0x10}, [2]byte{0x80, 0x10}},
		{"query SET RD\n Response clear rd", [2]byte{0x85, 0}, [2]byte{0x84, 0}},
		{"query clear rd\n response set rd", [2]byte{0x84, 0}, [2]byte{0x85, 0}},
		{"response set ra\n }\n header {\n response set rd", [2]byte{0x84, 0}, [2]byte{0x84, 0x80}}, // the plugin, too, reads only the first
	} {
		all, err := Blocks(caddy.CaddyfileInput{Contents: []byte("example.com {\n header {\n " + tt.rules + "\n }\n}\n"), ServerTypeName: "dns"})
		if err != nil {
			t.Fatal(err)
		}
		_, done, why := all[0].Needs("example.com.", nil, "federation")
		got := []byte{0, 0, tt.before[0], tt.before[1]}
		if done.Flags.Apply(got); why != "" || [2]byte(got[2:]) != tt.want {
			t.Errorf("%q: %x of %x, want %x; %s", tt.rules, got[2:], tt.before, tt.want, why)
		}
	}
}
