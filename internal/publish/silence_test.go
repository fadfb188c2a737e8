package publish

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A server that doesn't answer is tried with one group, not with each in turn; all of them go when it answers again, and
// somebody else's change is noticed.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var answers atomic.Bool
	var asked, serial atomic.Int32
	serial.Store(1)
	s := &dns.Server{Listener: l, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		switch {
		case r.Opcode == dns.OpcodeUpdate && !answers.Load():
			asked.Add(1)
			return
		case r.Opcode == dns.OpcodeUpdate:
			asked.Add(1)
			serial.Add(1)
		case r.Question[0].Qtype == dns.TypeSOA:
			rr, err := dns.NewRR(fmt.Sprintf("example.com. 60 SOA a. b. %d 1 1 1 1", serial.Load()))
			if err != nil {
				t.Error(err)
			}
			m.Answer = []dns.RR{rr}
		}
		_ = w.WriteMsg(m) // a client that is gone
	})}
	done := make(chan error)
	go func() { done <- s.ActivateAndServe() }()
	defer func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	}()
	p := &Publisher{Server: Server{Addr: l.Addr().String(), Zone: "example.com.", Domain: "example.com.", Owner: "fed", Timeout: 50 * time.Millisecond}}
	p.Guess()
	for i := range 9 {
		name := fmt.Sprintf("s%d.example.com.", i)
		p.Set(name, Names{name: records(t, name+" 60 A 192.0.2.1")}, true)
	}
	ctx, now := context.Background(), time.Now()
	if next := p.Write(ctx, now); asked.Load() != 1 || !next.Equal(now.Add(firstWait)) {
		t.Errorf("asked %d times; again after %s", asked.Load(), next.Sub(now))
	}
	answers.Store(true)
	asked.Store(0)
	p.Timeout = time.Minute
	if next := p.Write(ctx, now.Add(time.Minute)); asked.Load() != 9 || !next.IsZero() || len(p.Pending()) > 0 {
		t.Errorf("asked %d times; %v are left, until %s", asked.Load(), p.Pending(), next)
	}
	if !p.Moved(ctx) {
		t.Error("somebody else may have changed something while it was silent")
	}
	p.serial = uint32(serial.Load()) // it is read
	p.Set("s0.example.com.", nil, true)
	p.Write(ctx, now.Add(time.Minute))
	if p.Moved(ctx) {
		t.Error("its own changes are taken for somebody else's")
	}
	serial.Add(1)
	if !p.Moved(ctx) {
		t.Error("somebody else's change isn't noticed")
	}
	p.Set("s1.example.com.", nil, true)
	p.Write(ctx, now.Add(2*time.Minute))
	if !p.Moved(ctx) {
		t.Error("somebody else's change is forgotten with one of its own")
	}
}

// A list that isn't all there is takes nothing away: what is there and isn't told of stays, whole groups and names of one.
func TestPartly(t *testing.T) {
	const a, b, c = "web.shop.fed.svc.example.com.", "web.shop.fed.svc.eu.example.com.", "api.shop.fed.svc.example.com."
	p := &Publisher{Server: *us}
	p.Guess()
	rr := func(name, addr string) []dns.RR { return records(t, name+" 60 A "+addr) }
	p.there = map[string]Names{a: {a: rr(a, "192.0.2.1"), b: rr(b, "192.0.2.1")}, c: {c: rr(c, "192.0.2.1")}}
	p.Set(a, Names{a: rr(a, "192.0.2.2")}, false)
	p.Only(map[string]bool{a: true}, false)
	plan := func(want ...string) {
		t.Helper()
		if got := p.Plan(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	plan("- "+a+"\t60\tIN\tA\t192.0.2.1", "+ "+a+"\t60\tIN\tA\t192.0.2.2")
	p.Set(a, Names{a: rr(a, "192.0.2.2")}, true)
	p.Only(map[string]bool{a: true}, true)
	plan("- "+c+"\t60\tIN\tA\t192.0.2.1", "- "+b+"\t60\tIN\tA\t192.0.2.1", "- "+a+"\t60\tIN\tA\t192.0.2.1", "+ "+a+"\t60\tIN\tA\t192.0.2.2")
}

// A server that refuses everything isn't asked for all of many services at once, and what it refuses of them keeps nobody up.
func TestRefusedAll(t *testing.T) {
	asked, refuses := map[string]int{}, map[string]bool{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if r.Opcode == dns.OpcodeUpdate {
			name := r.Ns[len(r.Ns)-1].Header().Name
			if asked[name]++; refuses[name] {
				m.Rcode = dns.RcodeRefused
			}
		}
		_ = w.WriteMsg(m) // a client that is gone
	})}
	done := make(chan error)
	go func() { done <- s.ActivateAndServe() }()
	defer func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	}()
	p := &Publisher{Server: Server{Addr: l.Addr().String(), Zone: "example.com.", Domain: "example.com.", Owner: "fed"}}
	p.Guess()
	for i := range 100 {
		name := fmt.Sprintf("s%02d.example.com.", i)
		refuses[name] = i < 60
		p.Set(name, Names{name: records(t, name+" 60 A 192.0.2.1")}, true)
	}
	now := time.Now()
	next := p.Write(context.Background(), now)
	if len(asked) != enough || next.IsZero() {
		t.Errorf("%d services asked for, again after %s", len(asked), next.Sub(now))
	}
	for i := 0; i < 10 && len(p.Pending()) > 60; i++ {
		p.Write(context.Background(), next)
		next = next.Add(time.Millisecond)
	}
	if n := len(p.Pending()); n != 60 {
		t.Errorf("%d aren't there, want the 60 that are refused", n)
	}
}

// A clock that is wrong is said to be, also where the server says less than it should (PowerDNS).
func TestBadTime(t *testing.T) {
	for _, tt := range []struct {
		no   Refusal
		want string
	}{
		{Refusal{Rcode: dns.RcodeNotAuth, TSIG: dns.RcodeBadTime, Signed: true}, "NOTAUTH (TSIG BADTIME: the key's name and secret have to be the same there, the algorithm hmac-sha256, and the clocks alike)"},
		{Refusal{Rcode: dns.RcodeNotAuth, Signed: true}, "the same time?"},
		{Refusal{Rcode: dns.RcodeNotAuth}, "(is it the primary of the zone?)"},
	} {
		if got := tt.no.Error(); !strings.Contains(got, tt.want) {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
