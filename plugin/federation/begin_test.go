package federation

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/test/framework/vector"
)

// starting starts the plugin, and doesn't wait until it is ready.
func (w *world) starting(text string) *Federation {
	w.t.Helper()
	stanzas, err := parsed(w.t, strings.ReplaceAll(text, "DIR", w.dir))
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := build(stanzas, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	f.Next = test.NextHandler(dns.RcodeRefused, nil)
	f.Config = &dnsserver.Config{}
	f.start()
	w.t.Cleanup(f.stop)
	return f
}

// fastly asks the fast path.
func (f *Federation) fastly(t *testing.T, name string, qtype uint16) *dns.Msg {
	t.Helper()
	h := fastpath.New("dns://127.0.0.1:53", 1)
	for _, d := range f.Domains {
		h.Add(&f.Owner, d, bypass.Neighbours{}, nil, bypass.Effects{})
	}
	if err := h.Guard([]*fastpath.Owner{&f.Owner}); err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	p := packet.New(query, netip.MustParseAddrPort("192.0.2.200:4711"), nil)
	p.N = copy(p.Buf, query)
	r := h.Responder(1)
	r.Begin()
	defer r.End()
	size := r.Respond(p)
	if size == 0 {
		t.Fatalf("%s: the fast path leaves it to the chain", name)
	}
	out := new(dns.Msg)
	if err := out.Unpack(p.Buf[:size]); err != nil {
		t.Fatal(err)
	}
	return out
}

// bothWays asks both ways, which agree, and prints what they say with its TTL and why.
func (f *Federation) bothWays(t *testing.T, name string, qtype uint16) string {
	t.Helper()
	print := func(m *dns.Msg) string {
		out := short(m)
		for _, rr := range m.Answer {
			if rr.Header().Ttl != 180 {
				out += "; TTL " + time.Duration(uint64(rr.Header().Ttl)*uint64(time.Second)).String()
				break
			}
		}
		if m.Rcode == dns.RcodeServerFailure {
			out += "; " + ede(m)
		}
		return out
	}
	chain, fast := f.dig(t, name, qtype), f.fastly(t, name, qtype)
	if a, b := print(chain), print(fast); a != b || chain.Authoritative != fast.Authoritative {
		t.Errorf("%s: the chain says %s, the fast path %s", name, a, b)
	}
	return print(fast)
}

// A server whose resolver is slow says nothing that depends on it, and all else at once.
func TestSlowResolver(t *testing.T) {
	w := shop(t)
	w.cluster("us", vector.Node("n", "us", "us-a"), balanced("shop", "web"), vector.Slice("shop", "web", true, "us-a"),
		balanced("shop", "only"), vector.Slice("shop", "only", true, "us-a"), balanced("shop", "bare"), vector.Slice("shop", "bare", false, "us-a"))
	answers := make(chan struct{})
	s := dnstest.NewServer(func(w dns.ResponseWriter, q *dns.Msg) {
		<-answers
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{test.A("lb-1.cloud.test. 60 IN A 192.0.2.7")}
		}
		_ = w.WriteMsg(m) // a client that has gone doesn't matter
	})
	t.Cleanup(s.Close)
	f := w.starting("federation fed {\n" + both + "resolver " + s.Addr + "\nfallthrough\n}")

	const unknown = "SERVFAIL; 14 load-balancer hostname not looked up yet"
	for name, want := range map[string]string{
		"web.shop.fed.svc.us-a.us.example.com.":       unknown,
		"web.shop.fed.svc.us.example.com.":            unknown,
		"web.shop.fed.svc.example.com.":               unknown,
		"_http._tcp.web.shop.fed.svc.us.example.com.": unknown,
		"only.shop.fed.svc.eu.example.com.":           unknown, // it would lead there
		"web.shop.fed.svc.eu-a.eu.example.com.":       "NOERROR; A 192.0.2.1",
		"web.shop.fed.svc.eu.example.com.":            "NOERROR; A 192.0.2.1",
		"shop.fed.svc.example.com.":                   "NOERROR; SOA",
		"bare.shop.fed.svc.example.com.":              "NOERROR; SOA", // it has no pods, wherever its load balancer is
	} {
		qtype := dns.TypeA
		if strings.HasPrefix(name, "_") {
			qtype = dns.TypeSRV
		}
		if got := f.bothWays(t, name, qtype); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if f.Ready() {
		t.Error("ready")
	}
	if _, err := transferred(t, f, "example.com."); !errors.Is(err, errNotReady) {
		t.Errorf("a transfer: %v", err)
	}
	close(answers)
	for tick := time.Tick(time.Millisecond); !f.Ready(); {
		<-tick
	}
	if got, want := f.bothWays(t, "web.shop.fed.svc.us-a.us.example.com.", dns.TypeA), "NOERROR; A 192.0.2.7"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if rrs, err := transferred(t, f, "example.com."); err != nil || len(rrs) == 0 {
		t.Errorf("a transfer: %d records, %v", len(rrs), err)
	}
}

// balanced is a Service whose load balancer has a name.
func balanced(namespace, name string) vector.Object {
	o := vector.Service(namespace, name)
	o["status"] = map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"hostname": "lb-1.cloud.test"}}}}
	return o
}

// Before a database has been read, nobody is sent to the wrong continent; without it,
// answers are short-lived.
func TestSlowDatabase(t *testing.T) {
	w := shop(t)
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "us-a"))
	f := w.starting("federation fed {\n" + both + "policy nearest\n}")
	for tick := time.Tick(time.Millisecond); !f.Ready(); {
		<-tick
	}
	f.stop()                                                                                                                        // its last snapshot is answered
	l := geoindex.New(geoindex.Options{Database: "city.mmdb", ECS: true}, "fed", 0, snapshot.Policy{Choice: snapshot.Nearest}, nil) // which nobody reads
	f.Geo[0] = l
	f.begun.Store(false)
	const unknown = "SERVFAIL; 14 where clients and regions are isn't known yet"
	for name, want := range map[string]string{
		"web.shop.fed.svc.example.com.":         unknown,
		"web.shop.fed.svc.us-a.us.example.com.": "NOERROR; A 192.0.2.2",
		"web.shop.fed.svc.us.example.com.":      "NOERROR; A 192.0.2.2",
		"no.shop.fed.svc.example.com.":          "NXDOMAIN; SOA",
	} {
		if got := f.bothWays(t, name, dns.TypeA); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if f.Ready() {
		t.Error("ready")
	}
	if l.GiveUp(); !f.Ready() {
		t.Error("not ready after its time")
	}
	if got, want := f.bothWays(t, "web.shop.fed.svc.example.com.", dns.TypeA), "NOERROR; A 192.0.2.1; A 192.0.2.2; TTL 30s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// That is for nobody else than who asks: others may have an answer of their own soon.
	for _, network := range []string{"192.0.2.0/24", "198.51.100.7/32", "2001:db8::/56"} {
		p := netip.MustParsePrefix(network)
		var a answer.Answer
		f.Domains[0].Resolve(&a, f.Current.Load(), f.Domains[0].Static.Load(), "web.shop.fed.svc.example.com.", []string{"web", "shop", "fed", "svc"}, answer.TypeA, pipeline.Now())
		if scope := f.Choose(&a, netip.MustParseAddr("127.0.0.1"), p); int(scope) != p.Bits() || a.TTL != 30 {
			t.Errorf("for %s: scope %d, TTL %d; want %d and 30", p, scope, a.TTL, p.Bits())
		}
	}
}
