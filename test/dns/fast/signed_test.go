package fast

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestSigned asks with signatures (RFC 8945), which the chain of plugins sees to on
// either way: also in datagrams that came past CoreDNS's own socket.
func TestSigned(t *testing.T) {
	const (
		key  = "key.example.com."
		good = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
		bad  = "AAAAAU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
	)
	host := "nginx.mynamespace.myfederation.svc.us-central1-a.us-central1.example.com."
	for _, tt := range []struct {
		name, tsig string
		must       bool // see every question: it has to be signed
		unsigned   int  // what the answer to an unsigned question is
	}{
		{"signatures are checked", "secret " + key + " " + good, false, dns.RcodeSuccess},
		{"transfers have to be signed", "secret " + key + " " + good + "\n  require AXFR IXFR", false, dns.RcodeSuccess},
		{"notifications have to be signed", "secret " + key + " " + good + "\n  require_opcode NOTIFY", false, dns.RcodeSuccess},
		{"addresses have to be signed", "secret " + key + " " + good + "\n  require A", false, dns.RcodeRefused},
		{"all has to be signed", "secret " + key + " " + good + "\n  require all", true, dns.RcodeRefused},
		{"all queries have to be signed", "secret " + key + " " + good + "\n  require_opcode QUERY", true, dns.RcodeRefused},
		{"all opcodes have to be signed", "secret " + key + " " + good + "\n  require_opcode all", true, dns.RcodeRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := func(way string) *server.Server {
				return server.Start(t, "example.com:PORT {\n bind ADDR\n tsig {\n  "+tt.tsig+"\n }\n"+article(t, way)+" ready READY\n}\n")
			}
			fast, chain := start("fast on"), start("fast off")
			if isAside(t, fast) != tt.must {
				t.Errorf("there is a fast path: %v, want %v", tt.must, !tt.must)
			}
			for _, q := range []struct {
				name, key, secret string
				edns              bool
				want              string
			}{
				{"unsigned", "", "", false, dns.RcodeToString[tt.unsigned]},
				{"unsigned, EDNS", "", "", true, dns.RcodeToString[tt.unsigned]},
				{"signed", key, good, false, "NOERROR, signed"},
				{"signed, EDNS", key, good, true, "NOERROR, signed"},
				{"with another secret", key, bad, false, ""},
				{"with another secret, EDNS", key, bad, true, ""},
				{"with another key", "other.example.com.", good, false, ""},
				{"with another key, EDNS", "other.example.com.", good, true, ""},
			} {
				got := signed(t, fast.Addr, host, q.key, q.secret, q.edns)
				if want := signed(t, chain.Addr, host, q.key, q.secret, q.edns); got != want || q.want != "" && got != q.want {
					t.Errorf("%s: %s; with fast off %s; want %s", q.name, got, want, q.want)
				}
			}
		})
	}
}

// signed asks with a signature, and says what comes.
func signed(t *testing.T, addr, name, key, secret string, edns bool) string {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	if edns {
		q.SetEdns0(1232, false)
	}
	c := dns.Client{Timeout: 2 * time.Second}
	if key != "" {
		q.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
		c.TsigSecret = map[string]string{key: secret}
	}
	m, _, err := c.Exchange(q, addr)
	if m == nil {
		return fmt.Sprint("nothing: ", err)
	}
	out := dns.RcodeToString[m.Rcode]
	switch sig := m.IsTsig(); {
	case sig != nil && err == nil:
		out += ", signed"
	case sig != nil:
		out += fmt.Sprintf(", signed with error %d: %v", sig.Error, err)
	case err != nil:
		out += ": " + err.Error()
	}
	if len(m.Answer) > 0 != (m.Rcode == dns.RcodeSuccess) {
		out += fmt.Sprint(" ", len(m.Answer), " records")
	}
	return out
}
