package publish

import (
	"context"
	"fmt"
	"net"
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
		p.Set(name, Names{name: records(t, name+" 60 A 192.0.2.1")})
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
	p.Set("s0.example.com.", nil)
	p.Write(ctx, now.Add(time.Minute))
	if p.Moved(ctx) {
		t.Error("its own changes are taken for somebody else's")
	}
	serial.Add(1)
	if !p.Moved(ctx) {
		t.Error("somebody else's change isn't noticed")
	}
	p.Set("s1.example.com.", nil)
	p.Write(ctx, now.Add(2*time.Minute))
	if !p.Moved(ctx) {
		t.Error("somebody else's change is forgotten with one of its own")
	}
}
