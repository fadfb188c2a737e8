package federation

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/test/framework/vector"
)

// What a Corefile says nothing of: who may ask from a network of the Internet is limited, above
// what resolvers ask; who asks from within isn't, unless that is said.
func TestRatesByDefault(t *testing.T) {
	const asked, rate = 5000, 2000
	for _, tt := range []struct {
		rrl, from   string
		whole, less int // answers of 5,000 questions at once, whole and truncated
	}{
		{"", "198.51.100.7", rate, (asked - rate) / 2},
		{"", "2001:db8::7", rate, (asked - rate) / 2},
		{"", "::ffff:198.51.100.7", rate, (asked - rate) / 2},
		{"", "10.96.0.10", asked, 0},
		{"", "::ffff:172.16.3.4", asked, 0},
		{"", "100.64.0.1", asked, 0},
		{"", "127.0.0.1", asked, 0},
		{"", "fd00::7", asked, 0},
		{"rrl off", "198.51.100.7", asked, 0},
		{"rrl observe", "198.51.100.7", asked, 0},
		{"rrl public 100 0", "198.51.100.7", 100, 0},
		{"rrl public 100 0", "10.96.0.10", asked, 0},
		{"rrl on", "10.96.0.10", rate, (asked - rate) / 2},
		{"rrl on 100 1", "10.96.0.10", 100, asked - 100},
	} {
		w := &world{t: t, dir: t.TempDir()}
		w.cluster("a", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"))
		r := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\n"+tt.rrl+"\n}").responder(t, "errors")
		query, err := new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		at := netip.AddrPortFrom(netip.MustParseAddr(tt.from), 4711)
		whole, less := 0, 0
		r.Begin() // one moment for all
		for range asked {
			p := packet.New(query, at, unheard)
			m := new(dns.Msg)
			if n := r.Respond(p); n == 0 {
				continue
			} else if err := m.Unpack(p.Buf[:n]); err != nil {
				t.Fatal(err)
			}
			if m.Truncated {
				less++
			} else {
				whole++
			}
		}
		r.End()
		if whole != tt.whole || less != tt.less {
			t.Errorf("%q, %s: %d answers and %d truncated ones, want %d and %d", tt.rrl, tt.from, whole, less, tt.whole, tt.less)
		}
	}
}
