package federation

import (
	"context"
	"net"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// Whoever writes, and however the question came, names are compressed.
func TestCompressed(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	shared := new(dns.Msg)
	e := &edge{plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		return dns.RcodeSuccess, w.WriteMsg(shared.SetReply(r))
	}), f}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAXFR, dns.TypeIXFR} {
		for _, a := range []net.Addr{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 4000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 4000}} {
			rec := dnstest.NewRecorder(&from{addr: a})
			r := new(dns.Msg).SetQuestion("web.other.", qtype)
			if _, err := e.ServeDNS(context.Background(), request.NewScrubWriter(r, rec), r); err != nil {
				t.Fatal(err)
			}
			if !rec.Msg.Compress || shared.Compress {
				t.Errorf("%s to %v: compressed %v, and what is shared %v", dns.TypeToString[qtype], a, rec.Msg.Compress, shared.Compress)
			}
		}
	}
}
