package federation

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/plugin/federation/fastpath"
)

var reflectors = []uint16{7, 19, 123, 389, 1900, 11211}

// from is a writer to a client at a port.
type from struct {
	test.ResponseWriter
	addr net.Addr
}

func (w *from) RemoteAddr() net.Addr { return w.addr }

// Questions in datagrams from the ports of other services aren't answered, on either way, and
// are counted; from any other port, and over TCP, they are.
func TestReflects(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	r := f.responder(t, "errors")
	query, err := new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	fast := func(port uint16) bool {
		at := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), port)
		p := packet.New(query, at, unheard)
		r.Begin()
		defer r.End()
		return r.Respond(p) > 0
	}
	e := &edge{plugin.HandlerFunc(f.ServeDNS), f}
	chain := func(a net.Addr) bool {
		rec := dnstest.NewRecorder(&from{addr: a})
		q := new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA)
		if rcode, err := e.ServeDNS(context.Background(), rec, q); err != nil || !plugin.ClientWrite(rcode) {
			t.Errorf("%v: rcode %d, %v", a, rcode, err)
		}
		return rec.Msg != nil
	}
	ip := net.IPv4(192, 0, 2, 9)
	// On the chain of a test nobody says which server it is.
	byFast, byChain := fastpath.Reflected.WithLabelValues("dns://127.0.0.1:53"), fastpath.Reflected.WithLabelValues("")
	fastBefore, chainBefore := count(t, byFast), count(t, byChain)
	for _, port := range reflectors {
		if fast(port) || chain(&net.UDPAddr{IP: ip, Port: int(port)}) {
			t.Errorf("a question from port %d is answered", port)
		}
		if !chain(&net.TCPAddr{IP: ip, Port: int(port)}) {
			t.Errorf("a question over TCP from port %d isn't answered", port)
		}
	}
	if a, b := count(t, byFast)-fastBefore, count(t, byChain)-chainBefore; a != float64(len(reflectors)) || b != a {
		t.Errorf("%v are counted on the fast path and %v on the chain, want %d", a, b, len(reflectors))
	}
	for _, port := range []uint16{53, 1024, 5353, 40000} {
		if !fast(port) || !chain(&net.UDPAddr{IP: ip, Port: int(port)}) {
			t.Errorf("a question from port %d isn't answered", port)
		}
	}
}

// count is what a counter shows.
func count(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
