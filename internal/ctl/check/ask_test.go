package check

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// serve answers on a loopback address of its own, over UDP and, unless told otherwise, TCP.
func serve(t *testing.T, udpOnly bool, answer func(q dns.Question, r *dns.Msg)) string {
	t.Helper()
	// A port that is free for both; without TCP, nobody may have it there.
	var packets net.PacketConn
	var stream net.Listener
	for tries := 0; stream == nil; tries++ {
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if stream, err = net.Listen("tcp", packets.LocalAddr().String()); err != nil {
			packets.Close()
			if tries == 100 {
				t.Fatal(err)
			}
		}
	}
	at := packets.LocalAddr().String()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg).SetReply(m)
		if m.IsEdns0() != nil {
			r.SetEdns0(1232, false)
		}
		answer(m.Question[0], r)
		_ = w.WriteMsg(r)
	})
	run := func(s *dns.Server) {
		started, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	run(&dns.Server{PacketConn: packets, Handler: handler})
	if udpOnly {
		stream.Close()
	} else {
		run(&dns.Server{Listener: stream, Handler: handler})
	}
	return at
}

func rr(t *testing.T, s string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// child answers as a server of fed.example.com.
func child(t *testing.T, serial int, address string) func(dns.Question, *dns.Msg) {
	return func(q dns.Question, r *dns.Msg) {
		r.Authoritative = true
		switch {
		case q.Qtype == dns.TypeSOA:
			r.Answer = []dns.RR{rr(t, fmt.Sprintf("fed.example.com. 5 IN SOA ns1.fed.example.com. h. %d 1 1 1 5", serial))}
		case q.Qtype == dns.TypeNS:
			r.Answer = []dns.RR{rr(t, "fed.example.com. 5 IN NS ns1.fed.example.com."), rr(t, "fed.example.com. 5 IN NS ns2.fed.example.com.")}
		case q.Name == "web.shop.f.svc.fed.example.com.":
			r.Answer = []dns.RR{rr(t, q.Name+" 30 IN A "+address)}
		}
	}
}

// What is wrong between a parent zone and its servers is found.
func TestDelegation(t *testing.T) {
	good := child(t, 7, "192.0.2.1")
	parent := func(ns ...string) func(dns.Question, *dns.Msg) {
		return func(q dns.Question, r *dns.Msg) {
			for _, s := range ns {
				if x := rr(t, s); x.Header().Rrtype == dns.TypeNS {
					r.Ns = append(r.Ns, x)
				} else {
					r.Extra = append(r.Extra, x)
				}
			}
		}
	}
	both := parent("fed.example.com. 3600 IN NS ns1.fed.example.com.", "fed.example.com. 3600 IN NS ns2.fed.example.com.",
		"ns1.fed.example.com. 3600 IN A 192.0.2.53", "ns2.fed.example.com. 3600 IN A 192.0.2.54")
	for _, tt := range []struct {
		name    string
		parent  func(dns.Question, *dns.Msg)
		servers []string
		want    []string // "level text", in the order of the findings
	}{
		{"all is well", both, []string{serve(t, false, good), serve(t, false, good)}, []string{
			"ok fed.example.com is delegated by example.com to ns1.fed.example.com, ns2.fed.example.com", "ok 127.0.0.1:", "ok 127.0.0.1:",
			"ok all servers of fed.example.com have the same serial", "ok all servers of fed.example.com answer the same for 1 service",
		}},
		{"not delegated", parent("example.com. 5 IN SOA a. b. 1 1 1 1 5"), []string{serve(t, false, good)}, []string{"error fed.example.com isn't delegated: example.com has no NS records", "ok "}},
		{"no glue", parent("fed.example.com. 3600 IN NS ns1.fed.example.com.", "fed.example.com. 3600 IN NS ns2.fed.example.com.", "ns2.fed.example.com. 5 IN A 192.0.2.54"),
			[]string{serve(t, false, good)}, []string{"error fed.example.com: ns1.fed.example.com is within it, and example.com has no glue", "ok ", "ok "}},
		{"other servers than its own", parent("fed.example.com. 3600 IN NS old.example.net."), []string{serve(t, false, good)}, []string{
			"ok fed.example.com is delegated by example.com to old.example.net", "warning fed.example.com has one name server", "ok ",
			"warning fed.example.com: the parent has NS old.example.net, 127.0.0.1:",
		}},
		{"no TCP", both, []string{serve(t, true, good)}, []string{"ok ", "error 127.0.0.1: doesn't answer for fed.example.com by TCP: connection refused", "ok 127.0.0.1: answers for fed.example.com by UDP, EDNS, serial 7"}},
		{"lame", both, []string{serve(t, false, func(_ dns.Question, r *dns.Msg) { r.Rcode = dns.RcodeRefused })}, []string{
			"ok ", "error 127.0.0.1: doesn't answer for fed.example.com by UDP: it says REFUSED", "error ", "error ",
		}},
		{"not authoritative", both, []string{serve(t, false, func(q dns.Question, r *dns.Msg) { good(q, r); r.Authoritative = false })}, []string{
			"ok ", "error 127.0.0.1: doesn't answer for fed.example.com by UDP: its answer isn't authoritative", "error ", "error ",
		}},
		{"without EDNS", both, []string{serve(t, false, func(q dns.Question, r *dns.Msg) { good(q, r); r.Extra = nil })}, []string{
			"ok ", "error 127.0.0.1: doesn't answer for fed.example.com by EDNS: its answer has no OPT record", "ok ",
		}},
		{"serials and answers that differ", both, []string{serve(t, false, good), serve(t, false, child(t, 9, "192.0.2.9"))}, []string{
			"ok ", "ok ", "ok ", "warning the servers of fed.example.com have serials that differ: 7 at 127.0.0.1:", "warning the servers of fed.example.com answer differently for web.shop.f.svc.fed.example.com",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Asker{Resolver: "127.0.0.1:1", Timeout: 5 * time.Second}
			d := a.Delegation(t.Context(), "fed.example.com", serve(t, false, tt.parent))
			servers, err := a.Servers(t.Context(), d, tt.servers, []string{"web.shop.f.svc.fed.example.com"})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, DNS(d, servers), tt.want)
		})
	}
}

// The parent zone's servers are found by the resolver; where they aren't, that is said.
func TestParent(t *testing.T) {
	a := Asker{Timeout: time.Second}
	a.Resolver = serve(t, false, func(q dns.Question, r *dns.Msg) {
		if q.Name == "example.com." && q.Qtype == dns.TypeNS {
			r.Answer = []dns.RR{rr(t, "example.com. 5 IN NS a.example.com.")}
		} else if q.Name == "a.example.com." && q.Qtype == dns.TypeA {
			r.Answer = []dns.RR{rr(t, "a.example.com. 5 IN A 127.0.0.1")}
		}
	})
	if d := a.Delegation(t.Context(), "f.g.example.com", ""); d.Parent != "example.com" || !strings.Contains(d.Error, "127.0.0.1:53, of example.com: ") {
		t.Errorf("%+v", d) // nobody of ours answers on port 53
	}
	a.Resolver = serve(t, false, func(_ dns.Question, r *dns.Msg) { r.Rcode = dns.RcodeServerFailure })
	if d := a.Delegation(t.Context(), "example.com", ""); !strings.Contains(d.Error, "says SERVFAIL for com") {
		t.Errorf("%+v", d)
	}
	if _, err := a.Servers(t.Context(), Delegation{}, []string{"ns1"}, nil); err == nil || !strings.Contains(err.Error(), `"ns1" isn't an address`) {
		t.Error(err)
	}
}

func compare(t *testing.T, got []Finding, want []string) {
	t.Helper()
	var lines []string
	for _, f := range got {
		if f.Level != OK && f.Fix == "" {
			t.Errorf("%s: it isn't said what to do", f.Text)
		}
		lines = append(lines, string(f.Level)+" "+f.Text)
	}
	for i, line := range lines {
		if i >= len(want) || !matches(line, want[i]) {
			t.Errorf("findings\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
			return
		}
	}
	if len(lines) != len(want) {
		t.Errorf("findings\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// matches compares the beginnings, without the ports.
func matches(line, want string) bool {
	var b strings.Builder
	for i, part := range strings.Split(line, "127.0.0.1:") {
		if i > 0 {
			b.WriteString("127.0.0.1:")
			part = strings.TrimLeft(part, "0123456789")
		}
		b.WriteString(part)
	}
	return strings.HasPrefix(b.String(), want)
}
