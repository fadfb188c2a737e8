package message_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// crowded is a federation of n services: each has a shard in a zone of two of the
// regions, one of eu-a and us-a, and none in lone.
func crowded(n int) *snapshot.Snapshot {
	eu, us := topology.Place{Region: "eu", Zone: "eu-a"}, topology.Place{Region: "us", Zone: "us-a"}
	e := snapshot.NewFederation("fed").Edit()
	e.Topology(topology.New([]topology.Place{eu, us, {Region: "lone", Zone: "lone-a"}}))
	e.SetListed(true, true, nil)
	for i := range n {
		b := [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
		s := &snapshot.Service{
			Key:    snapshot.Key{Namespace: fmt.Sprint("ns", i%100), Name: fmt.Sprint("svc", i)},
			Shards: []snapshot.Shard{{Place: eu, Addr: netip.AddrFrom4(b)}, {Place: us, Addr: netip.AddrFrom4([4]byte{11, b[1], b[2], b[3]})}},
			Ports:  []snapshot.Port{{Name: "http", Proto: "tcp", Number: 80}},
		}
		e.Set(s.Freeze())
	}
	return &snapshot.Snapshot{Version: snapshot.Version{Serial: serial}, Federations: []*snapshot.Federation{e.Done()}}
}

// asks are kinds of questions for service i.
var asks = []struct {
	name string
	ask  func(i int) query
	want string // the answer's outcome and how many CNAMEs lead there
}{
	{"A", func(i int) query { return ask(service(i)+".eu.example.com.", dns.TypeA) }, "success 0"},
	{"CNAME_chain", func(i int) query { return ask(service(i)+".lone-a.lone.example.com.", dns.TypeA) }, "success 2"},
	{"SRV", func(i int) query { return ask("_http._tcp."+service(i)+".example.com.", dns.TypeSRV) }, "success 0"},
	{"NODATA", func(i int) query { return ask(service(i)+".example.com.", dns.TypeAAAA).with(opt(1232, 0)) }, "nodata 0"},
	{"NXDOMAIN", func(i int) query { return ask("x"+service(i)+".example.com.", dns.TypeA) }, "nxdomain 0"},
	{"EDNS_cookie", func(i int) query {
		return ask(service(i)+".us-a.us.example.com.", dns.TypeA).with(opt(1232, 0x8000, option(cookie, clientCookie+serverCookie), option(nsid, ""), option(zoneVersion, "")))
	}, "success 0"},
	{"CNAME_chain_EDNS_cookie", func(i int) query {
		return ask(service(i)+".lone-a.example.com.", dns.TypeA).with(opt(1232, 0, option(cookie, clientCookie)))
	}, "success 2"},
}

func service(i int) string { return fmt.Sprintf("svc%d.ns%d.fed.svc", i, i%100) }

// A server is what answers the questions of one socket.
type server struct {
	snapshot *snapshot.Snapshot
	members  []answer.Member
	domain   message.Domain
	q        message.Question
	r        message.Reply
	x        message.Extras
	buf      [4096]byte
	turn     uint32
	last     answer.Answer
}

func serving(s *snapshot.Snapshot) *server {
	x := extras()
	x.Labels = 2
	return &server{snapshot: s, members: realms[0].members, domain: realms[0].wire, x: x}
}

// answer has a packet answered as package federation does it.
func (s *server) answer(p []byte) (size int) {
	n := copy(s.buf[:], p)
	if s.q.Read(s.buf[:n]) != message.Plain {
		return 0
	}
	s.turn++
	s.last = answer.Resolve(s.snapshot, s.members, s.q.Labels(s.domain.Labels), answer.Type(s.q.Type), now)
	s.r.Begin(s.buf[:], &s.q, s.q.Limit(), &s.x)
	s.r.In(&s.domain)
	s.r.Answer(&s.last, &s.x, s.turn)
	return len(s.r.End())
}

// The way from a packet to its answer allocates nothing.
func TestNoAllocs(t *testing.T) {
	s := serving(crowded(1000))
	for _, tt := range asks {
		p := tt.ask(7).packet()
		if size := s.answer(p); size == 0 {
			t.Fatalf("%s: no answer", tt.name)
		}
		if got := fmt.Sprint(s.last.Outcome, " ", s.last.Hops); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if n := testing.AllocsPerRun(200, func() { s.answer(p) }); n > 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
	for name, f := range map[string]func(){
		"Refuse":   func() { message.Refuse(s.buf[:], &s.q, message.FormErr, &s.x) },
		"Version":  func() { message.Version(s.buf[:], &s.q) },
		"Truncate": func() { message.Truncate(s.buf[:], &s.q, &s.x) },
	} {
		if n := testing.AllocsPerRun(200, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkAnswer is the way from a packet to its answer without the socket, over
// services in no order.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		s := serving(crowded(n))
		for _, tt := range asks {
			b.Run(fmt.Sprintf("%d_services/%s", n, tt.name), func(b *testing.B) {
				packets := make([][]byte, 4096) // no power of two divides 7919
				for i := range packets {
					packets[i] = tt.ask(i * 7919 % n).packet()
				}
				i := 0
				if allocs := testing.AllocsPerRun(len(packets), func() { s.answer(packets[i%len(packets)]); i++ }); allocs > 0 {
					b.Fatalf("%v allocations an answer; there were none", allocs)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if s.answer(packets[i%len(packets)]) == 0 {
						b.Fatal("no answer")
					}
				}
			})
		}
	}
}
