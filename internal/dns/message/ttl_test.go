package message

import (
	"testing"

	"github.com/miekg/dns"
)

func TestLeastTTL(t *testing.T) {
	for _, tt := range []struct {
		name              string
		rcode             int
		answer, ns, extra []string
		want              uint32
		ok                bool
	}{
		{"an answer", 0, []string{"a. 180 A 192.0.2.1", "a. 7 A 192.0.2.2"}, []string{"b. 3 NS c."}, []string{"c. 1 A 192.0.2.3"}, 7, true},
		{"a chain", 0, []string{"a. 180 CNAME b.", "b. 30 A 192.0.2.2"}, nil, nil, 30, true},
		{"none", 0, nil, []string{"b. 5 SOA c. d. 1 2 3 4 5"}, nil, 5, true},
		{"none, for less than its SOA record", 0, nil, []string{"b. 60 SOA c. d. 1 2 3 4 5"}, nil, 5, true},
		{"no such name", dns.RcodeNameError, nil, []string{"b. 0 SOA c. d. 1 2 3 4 5"}, nil, 0, true},
		{"a failure", dns.RcodeServerFailure, nil, []string{"b. 5 SOA c. d. 1 2 3 4 5"}, nil, 0, false},
		{"refused", dns.RcodeRefused, nil, nil, nil, 0, false},
		{"nothing", 0, nil, nil, []string{"c. 1 A 192.0.2.3"}, 0, false},
	} {
		for _, compress := range []bool{false, true} {
			m := new(dns.Msg).SetQuestion("a.long.name.example.com.", dns.TypeA)
			m.Rcode, m.Compress = tt.rcode, compress
			for at, texts := range map[*[]dns.RR][]string{&m.Answer: tt.answer, &m.Ns: tt.ns, &m.Extra: tt.extra} {
				for _, text := range texts {
					rr, err := dns.NewRR(text)
					if err != nil {
						t.Fatal(err)
					}
					*at = append(*at, rr)
				}
			}
			m.SetEdns0(1232, true) // whose TTL is none
			b, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := LeastTTL(b); got != tt.want || ok != tt.ok {
				t.Errorf("%s: %d, %v; want %d, %v", tt.name, got, ok, tt.want, tt.ok)
			}
			for i := range b { // cut off anywhere, it is no answer, and nothing is read behind its end
				LeastTTL(b[:i:i])
			}
		}
	}
}
