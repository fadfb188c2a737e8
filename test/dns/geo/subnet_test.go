package geo

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// ways starts the same with the fast path and without.
func ways(t *testing.T, w *world, lines ...string) map[string]*server.Server {
	t.Helper()
	out := map[string]*server.Server{}
	for _, way := range []string{"on", "off"} {
		s := start(t, w.corefile(append(slices.Clone(lines), "fast "+way)...))
		const says = "fast path on dns://"
		if way == "on" {
			logged(t, s, says)
		} else if strings.Contains(s.Log(), says) {
			t.Fatal("there is a fast path")
		}
		out[way] = s
	}
	return out
}

// everywhere asks all ways the same, and gives the answer, which is one.
func everywhere(t *testing.T, servers map[string]*server.Server, local string, m *dns.Msg) reply {
	t.Helper()
	var first reply
	for i, way := range []string{"on", "off"} {
		for j, network := range []string{"udp", "tcp"} {
			got := via(t, servers[way], network, local, m)
			if i+j == 0 {
				first = got
			} else if got != first {
				t.Errorf("%v from %q: %v; fast %s over %s %v", m, local, first, way, network, got)
			}
		}
	}
	return first
}

// TestPlaces asks from many places.
func TestPlaces(t *testing.T) {
	servers := ways(t, newWorld(t), nearest...)
	for _, tt := range []struct {
		service, local, subnet string
		want, back             string
	}{
		// By the address of who asks.
		{"web", "127.0.10.1", "", belgium, ""},
		{"web", "127.0.20.1", "", edo, ""},
		{"web", "127.0.30.1", "", iowa, ""},
		{"web", "127.0.40.1", "", every, ""}, // nobody knows where
		{"few", "127.0.20.1", "", taiwan, ""},
		{"lone", "127.0.20.1", "", "192.0.2.7", ""}, // where nobody knows, but there is no other
		{"two", "127.0.20.1", "", taiwan + " " + edo, ""},
		{"every", "127.0.20.1", "", every, ""},
		{"down", "127.0.20.1", "", "", ""},

		// By the client's subnet.
		{"web", "127.0.10.1", "192.0.2.77/32", iowa, "1 192.0.2.77/32/25"},
		{"web", "127.0.10.1", "192.0.2.0/24", iowa, "1 192.0.2.0/24/25"},
		{"web", "", "192.0.2.130/32", belgium, "1 192.0.2.130/32/26"},
		{"web", "", "192.0.2.200/32", edo, "1 192.0.2.200/32/27"},
		{"web", "", "198.51.100.0/24", taiwan, "1 198.51.100.0/24/24"},
		{"web", "", "203.0.113.200/32", lapland, "1 203.0.113.200/32/24"}, // two networks of one place
		{"web", "", "2001:db8:1::/48", virginia, "2 2001:db8:1::/48/40"},
		{"web", "", "2001:db8:100::/56", lapland, "2 2001:db8:100::/56/40"},
		{"web", "", "2001:db8:200::1/128", edo, "2 2001:db8:200::1/128/64"},
		{"web", "", "2002:c000:24d::/48", iowa, "2 2002:c000:24d::/48/41"}, // 6to4 of 192.0.2.77
		{"few", "", "2001:db8:100::/56", iowa, "2 2001:db8:100::/56/40"},
		{"two", "", "192.0.2.200/32", taiwan + " " + edo, "1 192.0.2.200/32/27"},

		// By the operator's word, of which the longest counts.
		{"web", "", "10.1.2.0/24", iowa, "1 10.1.2.0/24/13"},
		{"web", "", "10.9.2.0/24", lapland, "1 10.9.2.0/24/21"},
		{"web", "", "10.9.9.0/24", taiwan, "1 10.9.9.0/24/24"},
		{"web", "", "fd00:9:1::/48", edo, "2 fd00:9:1::/48/32"},
		{"web", "", "2002:a09:909::/48", taiwan, "2 2002:a09:909::/48/40"}, // 6to4 of 10.9.9.9
		{"web", "", "64:ff9b::a09:909/128", taiwan, "2 64:ff9b::a09:909/128/120"},

		// What the database says of private networks doesn't count, in any form.
		{"web", "", "172.16.5.0/24", every, "1 172.16.5.0/24/12"},
		{"web", "", "172.15.5.0/24", edo, "1 172.15.5.0/24/12"},
		{"web", "", "2002:ac10:500::/40", every, "2 2002:ac10:500::/40/28"},
		{"web", "", "64:ff9b::ac10:500/120", every, "2 64:ff9b::ac10:500/120/108"},
		{"web", "", "::ffff:172.16.5.0/120", every, "2 ::ffff:172.16.5.0/120/108"},

		// The client asks not to be told from others.
		{"web", "127.0.10.1", "0.0.0.0/0", every, "1 0.0.0.0/0/0"},
		{"web", "127.0.10.1", "::/0", every, "2 ::/0/0"},

		// The answer doesn't depend on it.
		{"every", "", "192.0.2.0/24", every, "1 192.0.2.0/24/0"},
		{"nobody", "", "192.0.2.0/24", "", "1 192.0.2.0/24/0"},
		{"first", "", "192.0.2.0/24", belgium, "1 192.0.2.0/24/0"},
	} {
		got := everywhere(t, servers, tt.local, question(tt.service, dns.TypeA, tt.subnet))
		rcode := "NOERROR"
		if tt.service == "nobody" {
			rcode = "NXDOMAIN"
		}
		if got.rcode != rcode || got.addrs != tt.want || got.subnet != tt.back {
			t.Errorf("%s from %q and %q: %v; want %s and %q", tt.service, tt.local, tt.subnet, got, tt.want, tt.back)
		}
	}

	// Names of regions and zones are what they are, and so is their scope; what leads
	// up to the global name depends on who asks again.
	for _, tt := range []struct{ name, want, back string }{
		{"web.shop.fed.svc.asia-east1", taiwan, "1 192.0.2.0/24/0"},
		{"web.shop.fed.svc.asia-east1-a.asia-east1", taiwan, "1 192.0.2.0/24/0"},
		{"few.shop.fed.svc.edo", iowa, "1 192.0.2.0/24/25"},
		{"few.shop.fed.svc.edo-a.edo", iowa, "1 192.0.2.0/24/25"},
	} {
		m := question("x", dns.TypeA, "192.0.2.0/24")
		m.Question[0].Name = tt.name + ".example.com."
		if got := everywhere(t, servers, "", m); got.addrs != tt.want || got.subnet != tt.back {
			t.Errorf("%s: %v; want %s and %q", tt.name, got, tt.want, tt.back)
		}
	}

	// An answer to ANY is the same for everybody: that there is something.
	if got := everywhere(t, servers, "", question("web", dns.TypeANY, "192.0.2.0/24")); got.addrs != "" || got.subnet != "1 192.0.2.0/24/0" {
		t.Errorf("ANY of web: %v", got)
	}

	// The closest of a family is the closest that has it.
	if got := everywhere(t, servers, "", question("six", dns.TypeAAAA, "192.0.2.0/24")); got.addrs != "2001:db8::3" || got.scope != 25 {
		t.Errorf("AAAA of six from Chicago: %v", got)
	}
	if got := everywhere(t, servers, "", question("six", dns.TypeA, "192.0.2.0/24")); got.rcode != "NOERROR" || got.addrs != "" {
		t.Errorf("A of six: %v", got)
	}
	if got := everywhere(t, servers, "", question("web", dns.TypeSRV, "198.51.100.0/24")); got.scope != 0 && got.scope != 24 {
		t.Errorf("SRV of web: %v", got)
	}
}

// TestScopeOfNothing: where there is no record, or only a CNAME that is everybody's, the
// answer doesn't depend on who asks.
func TestScopeOfNothing(t *testing.T) {
	servers := ways(t, newWorld(t), nearest...)
	for _, tt := range []struct {
		name  string
		qtype uint16
	}{
		{"down.shop.fed.svc", dns.TypeA},
		{"six.shop.fed.svc", dns.TypeA},
		{"web.shop.fed.svc", dns.TypeTXT},
		{"few.shop.fed.svc.edo", dns.TypeCNAME},
		{"nobody.shop.fed.svc", dns.TypeA},
	} {
		m := question("x", tt.qtype, "192.0.2.0/24")
		m.Question[0].Name = tt.name + ".example.com."
		if got := everywhere(t, servers, "", m); got.subnet != "1 192.0.2.0/24/0" {
			t.Errorf("type %d of %s: %v", tt.qtype, tt.name, got)
		}
	}
}

// TestBlocks: whoever is in the block that an answer is said to hold for gets that
// answer, down to the block's edges, and what is asked for a network is the answer
// for its first address.
func TestBlocks(t *testing.T) {
	servers := ways(t, newWorld(t), nearest...)
	r := rand.New(rand.NewPCG(5, 7))
	prefixes := []string{
		"0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/8", "1.2.3.4/32", "172.1.2.3/32", "224.0.0.1/32", "255.255.255.255/32", "169.254.1.0/24", "100.64.0.0/24",
		"172.16.5.0/24", "192.168.1.0/24", "192.168.1.1/32", "10.0.0.0/8", "10.200.0.0/24", "127.0.10.9/32", "192.0.0.0/16",
		"fe80::1/128", "fd00:1::/48", "fc00::/7", "2000::/3", "::1/128", "ff02::1/128", "2001:db8:300::/48", "2001:db8:200:1::/64", "::/1",
		"::ffff:192.0.2.0/120", "::ffff:198.51.100.9/128", "::ffff:10.9.9.0/120", "::ffff:192.168.1.0/120", "64:ff9b::c000:200/120", "2002:c000:2ff::/48", "2002:c0a8:101::/48",
		"2001:0:4136:e378:8000:63bf:3fff:fdd2/128", // Teredo, of 192.0.2.45
	}
	known := slices.Sorted(maps.Keys(networks))
	for _, cidr := range known {
		p := netip.MustParsePrefix(cidr)
		if p.Addr().IsLoopback() {
			continue // one of them is enough
		}
		prefixes = append(prefixes, cidr)
		for _, a := range edges(p) {
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()).String())
			for _, beside := range []netip.Addr{a.Next(), a.Prev()} {
				prefixes = append(prefixes, netip.PrefixFrom(beside, a.BitLen()).String())
			}
		}
		a := somewhere(r, p)
		short, _ := a.Prefix(a.BitLen() - r.IntN(20))
		prefixes = append(prefixes, short.String())
	}
	for _, text := range prefixes {
		t.Run(text, func(t *testing.T) {
			p := netip.MustParsePrefix(text)
			got := everywhere(t, servers, "", question("web", dns.TypeA, text))
			full := p.Addr().BitLen()
			block, err := p.Addr().Prefix(got.scope)
			if got.rcode != "NOERROR" || got.subnet == "" || err != nil {
				t.Fatalf("%v, %v", got, err)
			}
			ends := edges(block)
			inside := append(ends[:], somewhere(r, block), somewhere(r, block))
			// Others in it, if it is wide.
			for _, cidr := range append(known, "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10") {
				if a := netip.MustParsePrefix(cidr).Addr(); block.Contains(a) {
					inside = append(inside, a)
				}
			}
			for _, a := range inside {
				one := read(servers["on"].Exchange(t, "udp", question("web", dns.TypeA, netip.PrefixFrom(a, full).String())))
				if one.addrs != got.addrs {
					t.Fatalf("it says %v: all of %v. But %v gets %v", got, block, a, one)
				}
			}
		})
	}
}

// TestBothWays asks both ways for any network there may be.
func TestBothWays(t *testing.T) {
	servers := ways(t, newWorld(t), nearest...)
	r := rand.New(rand.NewPCG(5, 8))
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("2002:c000::/24"), netip.MustParsePrefix("10.8.0.0/15"), netip.MustParsePrefix("192.0.2.0/24")}
	for range 150 {
		a := somewhere(r, all[r.IntN(len(all))])
		p, _ := a.Prefix(r.IntN(a.BitLen() + 1))
		for _, service := range []string{"web", "two", "first"} {
			m := question(service, dns.TypeA, p.String())
			on, off := via(t, servers["on"], "udp", "", m), via(t, servers["off"], "udp", "", m)
			if on != off || on.rcode != "NOERROR" {
				t.Errorf("%s for %s: fast %v, chain %v", service, p, on, off)
			}
		}
	}
	got := map[string]map[string]int{"on": {}, "off": {}}
	for way, s := range servers {
		for range 600 {
			a := via(t, s, "udp", "", question("draw", dns.TypeA, "192.0.2.0/24"))
			if a.scope != 0 {
				t.Fatalf("drawn for nobody else: %v", a)
			}
			got[way][a.addrs]++
		}
		if n := got[way][iowa]; len(got[way]) != 2 || n < 390 || n > 510 { // 450 are due
			t.Errorf("fast %s: 600 draws, 3 of 4 for iowa, gave %v", way, got[way])
		}
	}
}

// raw packs a question with a client subnet of any bytes.
func raw(option []byte) *dns.Msg {
	m := question("web", dns.TypeA, "")
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: option}}
	return m
}

// TestMalformed: a client subnet that isn't put together as RFC 7871 section 6 says is
// FORMERR.
func TestMalformed(t *testing.T) {
	servers := ways(t, newWorld(t), nearest...)
	subnet := func(family uint16, source, scope byte, addr ...byte) []byte {
		return append(append(binary.BigEndian.AppendUint16(nil, family), source, scope), addr...)
	}
	for _, tt := range []struct {
		name   string
		option []byte
		rcode  string
	}{
		{"good", subnet(1, 24, 0, 192, 0, 2), "NOERROR"},
		{"of no family, for nobody", subnet(0, 0, 0), "NOERROR"},
		{"a bit beyond its length", subnet(1, 23, 0, 192, 0, 3), "FORMERR"},
		{"bits beyond its length", subnet(2, 20, 0, 0x20, 0x01, 0x0f), "FORMERR"},
		{"with a scope", subnet(1, 24, 24, 192, 0, 2), "FORMERR"},
		{"longer than IPv4", subnet(1, 33, 0, 192, 0, 2, 0, 0), "FORMERR"},
		{"longer than IPv6", subnet(2, 129, 0, slices.Repeat([]byte{0x20}, 17)...), "FORMERR"},
		{"of another family", subnet(3, 24, 0, 192, 0, 2), "FORMERR"},
		{"of no family, with a length", subnet(0, 8, 0, 10), "FORMERR"},
		{"cut short", []byte{0, 1, 24}, "FORMERR"},
		{"empty", nil, "FORMERR"},
		{"too few bytes", subnet(1, 24, 0, 192, 0), "FORMERR"},
		{"too many bytes", subnet(1, 24, 0, 192, 0, 2, 0), "FORMERR"},
		{"bytes for nobody", subnet(1, 0, 0, 0), "FORMERR"},
		{"too few bytes of IPv6", subnet(2, 56, 0, 0x20, 0x01, 0x0d, 0xb8), "FORMERR"},
		{"too many bytes of IPv6", subnet(2, 32, 0, 0x20, 0x01, 0x0d, 0xb8, 0), "FORMERR"},
		{"all bytes of IPv6", subnet(2, 128, 0, slices.Repeat([]byte{0x20}, 16)...), "NOERROR"},
	} {
		for way, s := range servers {
			for _, network := range []string{"udp", "tcp"} {
				got := via(t, s, network, "", raw(tt.option))
				if got.rcode != tt.rcode {
					t.Errorf("%s, fast %s over %s: %v, want %s", tt.name, way, network, got, tt.rcode)
				}
				if got.rcode == "FORMERR" && got.subnet != "" {
					t.Errorf("%s, fast %s over %s: what isn't well formed is sent back: %v", tt.name, way, network, got)
				}
			}
		}
	}
}

// TestEcs: whose word is taken.
func TestEcs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		line         string
		trusted, not []string // local addresses of resolvers
	}{
		{"ecs on", []string{"127.0.10.1", "127.0.40.1"}, nil},
		{"ecs off", nil, []string{"127.0.10.1", "127.0.40.1"}},
		{"ecs on 127.0.10.0/24 2001:db8::/32", []string{"127.0.10.1"}, []string{"127.0.40.1", "127.0.20.1"}},
		{"ecs on 127.0.40.1", []string{"127.0.40.1"}, []string{"127.0.40.2", "127.0.10.1"}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			for _, way := range []string{"on", "off"} {
				s := server.Start(t, w.corefile(with(tt.line, "fast "+way)...))
				answering(t, s)
				server.Eventually(t, 10*time.Second, "the database is in use", func() bool {
					return via(t, s, "udp", "127.0.30.1", question("web", dns.TypeA, "")).addrs == iowa
				})
				for _, network := range []string{"udp", "tcp"} {
					for _, local := range tt.trusted {
						if got := via(t, s, network, local, question("web", dns.TypeA, "192.0.2.200/32")); got.addrs != edo || got.subnet != "1 192.0.2.200/32/27" {
							t.Errorf("fast %s over %s: the word of %s: %v", way, network, local, got)
						}
					}
					for _, local := range tt.not {
						own := via(t, s, network, local, question("web", dns.TypeA, ""))
						if got := via(t, s, network, local, question("web", dns.TypeA, "192.0.2.200/32")); got.addrs != own.addrs || got.subnet != "" {
							t.Errorf("fast %s over %s: the word of %s counts, or is sent back: %v, not %v", way, network, local, got, own)
						}
						for _, name := range []string{"example.com.", "nobody.shop.fed.svc.example.com.", "every.shop.fed.svc.example.com."} {
							m := question("web", dns.TypeSOA, "192.0.2.200/32")
							m.Question[0].Name = name
							if got := via(t, s, network, local, m); got.subnet != "" {
								t.Errorf("fast %s over %s: the word of %s is sent back with %s: %v", way, network, local, name, got)
							}
						}
					}
				}
			}
		})
	}
}

// TestDigSubnet has dig ask for networks.
func TestDigSubnet(t *testing.T) {
	for way, s := range ways(t, newWorld(t), nearest...) {
		for _, tt := range []struct {
			args string
			want []string
		}{
			{"+subnet=192.0.2.0/24 web", []string{"status: NOERROR", "CLIENT-SUBNET: 192.0.2.0/24/25", "IN A " + iowa, "ANSWER: 1,"}},
			{"+subnet=192.0.2.200 web", []string{"CLIENT-SUBNET: 192.0.2.200/32/27", "IN A " + edo}},
			{"+tcp +subnet=198.51.100.0/24 web", []string{"CLIENT-SUBNET: 198.51.100.0/24/24", "IN A " + taiwan}},
			{"+subnet=2001:db8:100::/56 web", []string{"CLIENT-SUBNET: 2001:db8:100::/56/40", "IN A " + lapland}},
			{"+subnet=10.9.9.9 web", []string{"CLIENT-SUBNET: 10.9.9.9/32/24", "IN A " + taiwan}},
			{"+subnet=0 web", []string{"CLIENT-SUBNET: 0.0.0.0/0/0", "ANSWER: 7,"}},
			{"+subnet=::/0 web", []string{"CLIENT-SUBNET: ::/0/0", "ANSWER: 7,"}},
			{"+subnet=192.0.2.0/24 every", []string{"CLIENT-SUBNET: 192.0.2.0/24/0", "ANSWER: 7,"}},
			{"+subnet=192.0.2.0/24 apache", []string{"status: NXDOMAIN", "CLIENT-SUBNET: 192.0.2.0/24/0"}},
			{"+noedns web", []string{"status: NOERROR", "!CLIENT-SUBNET"}},
			{"web", []string{"status: NOERROR", "!CLIENT-SUBNET"}},
		} {
			args := strings.Fields(tt.args)
			args[len(args)-1] += ".shop.fed.svc.example.com"
			t.Run(fmt.Sprint("fast ", way, " ", tt.args), func(t *testing.T) { has(t, dig(t, s, args...), tt.want...) })
		}
	}
}

// TestCacheInFront: what one client gets is no answer for another, whatever stands in
// front.
func TestCacheInFront(t *testing.T) {
	w := newWorld(t)
	s := start(t, strings.Replace(w.corefile(nearest...), " errors\n", " errors\n cache 60\n", 1))
	if want := "[WARNING] plugin/federation: plugin cache is in the server block of example.com."; !strings.Contains(s.Log(), want) {
		t.Errorf("the log lacks %q:\n%s", want, s.Log())
	}
	for range 3 {
		for local, want := range map[string]string{"127.0.10.1": belgium, "127.0.20.1": edo, "127.0.30.1": iowa} {
			for _, network := range []string{"udp", "tcp"} {
				if got := via(t, s, network, local, question("web", dns.TypeA, "")); got.addrs != want {
					t.Errorf("%s over %s: %v, want %s", local, network, got, want)
				}
			}
		}
		for client, want := range clients {
			if got := from(t, s, client, "web"); got != want {
				t.Errorf("%s: %q, want %s", client, got, want)
			}
		}
	}
}

// TestStaticNames: a static name that leads to one of a service is answered by the
// client's place, and for its block.
func TestStaticNames(t *testing.T) {
	w := newWorld(t)
	apex := filepath.Join(w.dir, "db")
	replace(t, apex, []byte("@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nwww CNAME web.shop.fed.svc\nsame CNAME every.shop.fed.svc\n"))
	servers := ways(t, w, with("apex "+apex)...)
	for _, tt := range []struct{ name, local, subnet, want, back string }{
		{"www", "127.0.10.1", "", belgium, ""},
		{"www", "127.0.20.1", "", edo, ""},
		{"www", "127.0.10.1", "192.0.2.0/24", iowa, "1 192.0.2.0/24/25"},
		{"www", "", "198.51.100.0/24", taiwan, "1 198.51.100.0/24/24"},
		{"www", "", "2001:db8:100::/56", lapland, "2 2001:db8:100::/56/40"},
		{"same", "", "192.0.2.0/24", every, "1 192.0.2.0/24/0"},
	} {
		m := question("x", dns.TypeA, tt.subnet)
		m.Question[0].Name = tt.name + ".example.com."
		if got := everywhere(t, servers, tt.local, m); got.addrs != tt.want || got.subnet != tt.back {
			t.Errorf("%s from %q for %q: %v; want %s and %q", tt.name, tt.local, tt.subnet, got, tt.want, tt.back)
		}
	}
}

// TestForeignNames: a name of another domain that leads to one of a service, by CoreDNS's
// own file plugin, has one answer for all that one resolver asks for, or says for whom it is.
func TestForeignNames(t *testing.T) {
	w := newWorld(t)
	zone := filepath.Join(w.dir, "db.acme.com")
	replace(t, zone, []byte("$ORIGIN acme.com.\n@ 60 SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nwww CNAME web.shop.fed.svc.example.com.\n"))
	s := start(t, w.corefile(nearest...)+"acme.com:PORT {\n bind ADDR\n file "+zone+"\n}\n")
	ask := func(local, subnet string) reply {
		m := question("x", dns.TypeA, subnet)
		m.Question[0].Name = "www.acme.com."
		return via(t, s, "udp", local, m)
	}
	for local, want := range map[string]string{"127.0.10.1": belgium, "127.0.20.1": edo} {
		if got := ask(local, ""); got.addrs != want {
			t.Errorf("from %s: %v, want %s", local, got, want)
		}
	}
	one, other := ask("127.0.10.1", "192.0.2.0/24"), ask("127.0.10.1", "198.51.100.0/24")
	if one.addrs != other.addrs && (one.scope == 0 || other.scope == 0) {
		t.Errorf("for one network %v, for another %v", one, other)
	}
}
