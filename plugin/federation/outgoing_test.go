package federation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/minimal" // registers itself
	"github.com/miekg/dns"

	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

// A taker takes so many messages of a transfer, and is gone then.
type taker struct {
	dns.ResponseWriter
	takes int
	got   []*dns.Msg
}

func (s *taker) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
}
func (s *taker) LocalAddr() net.Addr { return s.RemoteAddr() }
func (s *taker) TsigTimersOnly(bool) {}
func (s *taker) WriteMsg(m *dns.Msg) error {
	if len(s.got) == s.takes {
		return errors.New("broken pipe")
	}
	s.got = append(s.got, m)
	return nil
}
func (s *taker) Write(b []byte) (int, error) {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return 0, err
	}
	return len(b), s.WriteMsg(m)
}

// When a client of a transfer goes away nothing more is written for it, and no more than so
// many run at a time: whose turn comes later is told to ask again, and gets a cookie as ever.
func TestOutgoing(t *testing.T) {
	const services = 1000 // five records each, or more
	w := &world{t: t, dir: t.TempDir()}
	objects := []vector.Object{vector.Node("n", "eu", "eu-a")}
	for i := range services {
		name := fmt.Sprint("web", i)
		objects = append(objects, vector.Service("shop", name, "192.0.2.1"), vector.Slice("shop", name, true, "eu-a"))
	}
	w.cluster("a", objects...)
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\ntransfer 127.0.0.1\n}")
	ask := new(dns.Msg).SetAxfr("example.com.")
	serve := func(next plugin.Handler, r *dns.Msg, takes int) *taker {
		s := &taker{takes: takes}
		_, _ = (&edge{next, f}).ServeDNS(t.Context(), s, r)
		return s
	}
	written := func(s *taker) (n int) {
		for _, m := range s.got {
			n += len(m.Answer)
		}
		return n
	}
	whole := serve(f, ask, 1e9)
	all := written(whole)
	if all < 5*services || len(whole.got) <= 4 {
		t.Fatalf("%d records in %d messages", all, len(whole.got))
	}
	if s := serve(f, ask, 3); len(s.got) != 3 {
		t.Errorf("%d messages to somebody who has gone after three", len(s.got))
	}
	if s := serve(f, new(dns.Msg).SetAxfr("below.example.com."), 1); len(s.got) != 1 || s.got[0].Rcode != dns.RcodeRefused {
		t.Errorf("what is no zone: %v", s.got)
	}
	if n := written(serve(f, ask, 1e9)); n != all {
		t.Errorf("the next: %d of %d records", n, all)
	}

	// Some hang.
	release, hang := make(chan struct{}), sync.WaitGroup{}
	stuck := plugin.HandlerFunc(func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
		<-release
		return dns.RcodeSuccess, nil
	})
	for range transfersOfNetwork {
		hang.Go(func() { serve(stuck, ask, 1e9) })
	}
	run := func() int {
		running.mu.Lock()
		defer running.mu.Unlock()
		return running.taken
	}
	for run() < transfersOfNetwork {
		time.Sleep(time.Millisecond)
	}
	polite := ask.Copy()
	polite.SetEdns0(1232, false)
	polite.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
	s := serve(f, polite, 1e9)
	if len(s.got) != 1 || s.got[0].Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many: %v", s.got)
	} else if !strings.Contains(s.got[0].String(), "COOKIE: 0123456789abcdef") {
		t.Errorf("one too many gets no cookie: %v", s.got[0])
	}
	close(release)
	hang.Wait()
	if n := written(serve(f, ask, 1e9)); n != all || run() != 0 {
		t.Errorf("afterwards: %d of %d records, %d run", n, all, run())
	}
}

// A datagram is a taker of one.
type datagram struct{ taker }

func (s *datagram) RemoteAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
}

// Who asks for a difference in a datagram, as NSD does where it is told to (request-xfr: UDP), is told that there is one by TCP.
func TestDifferenceByUDP(t *testing.T) {
	w := shop(t)
	f := w.serving("federation fed {\n" + both + "transfer 127.0.0.1\n}")
	for _, tt := range []struct {
		what  string
		zone  string
		qtype uint16
		rules map[*zone.Domain][]transferRule
		rcode int
		soas  int
	}{
		{"of the zone", "example.com.", dns.TypeIXFR, f.transfers.rules, dns.RcodeSuccess, 1},
		{"to who may not have it", "example.com.", dns.TypeIXFR, nil, dns.RcodeRefused, 0},
		{"of what is no zone", "below.example.com.", dns.TypeIXFR, f.transfers.rules, dns.RcodeRefused, 0},
		{"of all of it", "example.com.", dns.TypeAXFR, f.transfers.rules, dns.RcodeRefused, 0},
	} {
		f.transfers.rules = tt.rules
		ask := new(dns.Msg).SetIxfr(tt.zone, 1, ".", ".")
		ask.Question[0].Qtype = tt.qtype
		s := &datagram{taker{takes: 1}}
		if _, err := (&edge{f, f}).ServeDNS(t.Context(), s, ask); err != nil || len(s.got) != 1 {
			t.Fatalf("%s: %v, %v", tt.what, s.got, err)
		}
		m := s.got[0]
		if m.Rcode != tt.rcode || len(m.Answer) != tt.soas {
			t.Errorf("%s: %v", tt.what, m)
		}
		if tt.soas > 0 && m.Answer[0].(*dns.SOA).Serial != f.Current.Load().Serial {
			t.Errorf("%s: the serial isn't the one that is answered: %v", tt.what, m)
		}
	}
}

// The plugin minimal keeps what is answered, and would write one of the messages of a transfer (coredns/coredns#8391).
func TestTransferPassesMinimal(t *testing.T) {
	c := caddy.NewTestController("dns", "minimal")
	set, err := caddy.DirectiveAction("dns", "minimal")
	if err == nil {
		err = set(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	objects := []vector.Object{vector.Node("n", "eu", "eu-a")}
	for i := range 1000 {
		name := fmt.Sprint("web", i)
		objects = append(objects, vector.Service("shop", name, "192.0.2.1"), vector.Slice("shop", name, true, "eu-a"))
	}
	w.cluster("a", objects...)
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\ntransfer 127.0.0.1\n}")
	cfg := dnsserver.GetConfig(c)
	f.addEdge(cfg)
	chain := plugin.Handler(f)
	for _, p := range slices.Backward(cfg.Plugin) {
		chain = p(chain)
	}
	serve := func(h plugin.Handler, r *dns.Msg) []*dns.Msg {
		s := &taker{takes: 1e9}
		if _, err := h.ServeDNS(t.Context(), s, r); err != nil {
			t.Error(err)
		}
		return s.got
	}
	ask := new(dns.Msg).SetAxfr("example.com.")
	if got, want := serve(chain, ask), serve(f, ask); len(got) != len(want) || len(got) < 4 {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
	q := new(dns.Msg).SetQuestion("web1.shop.nowhere.example.com.", dns.TypeA)
	if got := serve(chain, q); len(got) != 1 {
		t.Errorf("any other question: %v", got)
	}
}

// Who comes when there are too many waits for a while; those of one network keep no other out.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(5, 2)
		here, near, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("2001:db8::1")
		take := func(from netip.Addr, want bool) func() {
			t.Helper()
			give := s.take(t.Context(), from, time.Second)
			if (give != nil) != want {
				t.Errorf("a slot for %s: %v", from, give != nil)
			}
			return give
		}
		take(here, true)
		give := take(near, true)
		take(here, false)
		take(there, true)
		time.AfterFunc(time.Second/2, give)
		take(here, true)
		take(near, false)
		take(there, true)
		take(netip.MustParseAddr("198.51.100.1"), true)
		take(netip.MustParseAddr("203.0.113.1"), false) // of all, there are five
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if s.take(over, there, time.Hour) != nil {
			t.Error("a slot when all is over")
		}
	})
}

// Who may have a zone is said by network and by key: without a word, nobody.
func TestTransferRules(t *testing.T) {
	for _, tt := range []struct {
		line string
		from string
		key  string
		want bool
	}{
		{"", "192.0.2.1", "", false},
		{"transfer *", "192.0.2.1", "", true},
		{"transfer *", "2001:db8::1", "", true},
		{"transfer 192.0.2.1", "192.0.2.1", "", true},
		{"transfer 192.0.2.1", "192.0.2.2", "", false},
		{"transfer 192.0.2.0/24 2001:db8::/32", "192.0.2.2", "", true},
		{"transfer 192.0.2.0/24 2001:db8::/32", "2001:db8::7", "", true},
		{"transfer 192.0.2.0/24 2001:db8::/32", "198.51.100.1", "", false},
		{"transfer * key Xfr", "192.0.2.1", "", false},
		{"transfer * key Xfr", "192.0.2.1", "xfr.", true},
		{"transfer * key Xfr", "192.0.2.1", "other.", false},
		{"transfer 192.0.2.0/24 key a b", "192.0.2.1", "b.", true},
		{"transfer 192.0.2.0/24 key a b", "198.51.100.1", "b.", false},
		{"transfer 192.0.2.0/24 key a\ntransfer 198.51.100.1", "198.51.100.1", "", true},
	} {
		stanzas, err := parsedUnder(t, strings.ReplaceAll("federation fed {\ncluster a {\nmanifests "+t.TempDir()+"\n}\n"+tt.line+"\n}", "DIR", ""), "example.com.:1053")
		if err != nil {
			t.Fatal(err)
		}
		who := zone.Secondary{Addr: netip.MustParseAddr(tt.from), Key: tt.key}
		got := slices.ContainsFunc(stanzas[0].transfers, func(r transferRule) bool { return r.allows(who) })
		if got != tt.want {
			t.Errorf("%q: %s with key %q may have it: %v", tt.line, tt.from, tt.key, got)
		}
	}
}

// A connWriter writes to a connection, as CoreDNS does.
type connWriter struct {
	taker
	net.Conn
}

func (c *connWriter) LocalAddr() net.Addr         { return c.Conn.LocalAddr() }
func (c *connWriter) RemoteAddr() net.Addr        { return c.Conn.RemoteAddr() }
func (c *connWriter) Close() error                { return c.Conn.Close() }
func (c *connWriter) Write(b []byte) (int, error) { return c.Conn.Write(b) }
func (c *connWriter) WriteMsg(m *dns.Msg) error {
	b, err := m.Pack()
	if err == nil {
		_, err = c.Conn.Write(b)
	}
	return err
}
func (*connWriter) TsigTimersOnly(bool) {}

// A secondary that asks and never reads loses its connection, whoever has the zone; and so does one that reads
// ever so little.
func TestStall(t *testing.T) {
	for _, tt := range []struct {
		name string
		read func(net.Conn)
	}{
		{"nothing is read", func(net.Conn) {}},
		{"a byte at a time", func(c net.Conn) {
			for {
				if _, err := c.Read(make([]byte, 1)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			var reader sync.WaitGroup
			defer reader.Wait()
			defer client.Close()
			reader.Go(func() { tt.read(client) })
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			w := &outgoingWriter{ResponseWriter: &connWriter{Conn: server}, stall: 100 * time.Millisecond}
			s := &stream{ResponseWriter: w, raw: true}
			m := new(dns.Msg).SetAxfr("example.com.")
			rr, err := dns.NewRR("a.example.com. TXT " + strings.Repeat("x", 200))
			if err != nil {
				t.Fatal(err)
			}
			for range 250 {
				m.Answer = append(m.Answer, rr)
			}
			b, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; s.send(b) == nil; n++ {
				if n > 1e5 {
					t.Fatal("all is written to who doesn't read")
				}
			}
			if !w.stalled.Load() || !w.failed {
				t.Error("it isn't said why the connection ended")
			}
		})
	}
}
