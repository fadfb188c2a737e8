package federation

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/pipeline"
)

// recursive is a resolver on loopback that knows a few load balancers.
func recursive(t *testing.T) *dnstest.Server {
	rr := func(s string) dns.RR {
		r, err := dns.NewRR(s)
		if err != nil {
			t.Error(err)
		}
		return r
	}
	s := dnstest.NewServer(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		a, aaaa := q.Question[0].Qtype == dns.TypeA, q.Question[0].Qtype == dns.TypeAAAA
		switch q.Question[0].Name {
		case "both.example.":
			if a {
				m.Answer = []dns.RR{rr("both.example. 300 CNAME x.example."), rr("x.example. 60 A 192.0.2.1"), rr("x.example. 60 A 192.0.2.2")}
			} else {
				m.Answer = []dns.RR{rr("both.example. 300 CNAME x.example."), rr("x.example. 90 AAAA 2001:db8::1")}
			}
		case "half.example.": // never answers for AAAA
			if a {
				m.Answer = []dns.RR{rr("half.example. 30 A 192.0.2.3")}
			} else {
				m.Rcode = dns.RcodeServerFailure
			}
		case "slow.example.": // answers long after another server, or the same, could have been asked again
			time.Sleep(patience + patience/2)
			if a {
				m.Answer = []dns.RR{rr("slow.example. 30 A 192.0.2.4")}
			}
		case "empty.example.":
		case "long.example.":
			if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
				m.Truncated = true
			} else if aaaa {
				m.Answer = []dns.RR{rr("long.example. 5 AAAA 2001:db8::2")}
			}
		case "broken.example.":
			m.Rcode = dns.RcodeServerFailure
		default:
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m) // a client that has gone doesn't matter
	})
	t.Cleanup(s.Close)
	return s
}

// patience is that of the test's resolvers.
const patience = time.Second

func TestLookup(t *testing.T) {
	s := recursive(t)
	dead := "127.0.0.1:1" // the first server being down costs time only
	r := &resolver{servers: []string{dead, s.Addr}, patience: patience}
	for _, tt := range []struct {
		host string
		want []string
		ttl  time.Duration
		fail string // "none": no address for certain; "unknown": nothing learned of one family, or of both
	}{
		{"both.example", []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}, 60 * time.Second, ""},
		{"half.example", []string{"192.0.2.3"}, 30 * time.Second, "unknown"},
		{"slow.example", []string{"192.0.2.4"}, 30 * time.Second, ""},
		{"long.example", []string{"2001:db8::2"}, 5 * time.Second, ""},
		{"empty.example", nil, 0, "none"},
		{"missing.example", nil, 0, "none"},
		{"broken.example", nil, 0, "unknown"},
	} {
		addrs, ttl, err := r.Lookup(t.Context(), tt.host)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		fail := ""
		if errors.Is(err, pipeline.ErrNoHost) {
			fail = "none"
		} else if err != nil {
			fail = "unknown"
		}
		if !slices.Equal(got, tt.want) || ttl != tt.ttl || fail != tt.fail {
			t.Errorf("%s: %v, %v, %v; want %v, %v, %q", tt.host, got, ttl, err, tt.want, tt.ttl, tt.fail)
		}
	}
	if _, _, err := (&resolver{servers: []string{dead}, patience: patience}).Lookup(t.Context(), "both.example"); err == nil || errors.Is(err, pipeline.ErrNoHost) {
		t.Errorf("a dead resolver says %v", err)
	} else if strings.Contains(err.Error(), "->") {
		t.Errorf("the socket is named, another one each time, so that each failure is another one: %v", err)
	}
	if _, _, err := (&resolver{servers: []string{s.Addr}, patience: patience}).Lookup(t.Context(), "slow.example"); err != nil {
		t.Errorf("the only resolver is slow: %v", err)
	}
	if _, _, err := (&resolver{}).Lookup(t.Context(), "both.example"); err == nil {
		t.Error("no resolver at all, and no error")
	}
}
