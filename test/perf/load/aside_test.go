package load

import (
	"crypto"
	"crypto/ecdsa"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Where something must see every question, the fast path steps aside and says why,
// in one line; where nothing must, it doesn't. The answers are right in each case.
func TestStepsAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	weights := filepath.Join(t.TempDir(), "weights")
	write(t, weights, "www.example.com\n203.0.113.80 1\n")
	const secret = "tsig {\n  secret key. NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk=\n"
	view := "example.com:PORT {\n bind ADDR\n view few {\n  expr name() == 'few.example.com.'\n }\n file " + w.other + " example.net\n}\n"
	sub := "sub.example.com:PORT {\n bind ADDR\n file " + w.other + " sub.example.com\n}\n"
	// It takes away the names of a region, which the federation would answer for.
	region := "no.example.com:PORT {\n bind ADDR\n file " + w.other + " no.example.com\n}\n"
	elsewhere := "example.org:PORT {\n bind ADDR\n" + strings.Replace(w.federation, w.apex, w.other, 1) + "  %s\n }\n %s\n}\n"
	inOrg := ask("web0.shop.myfederation.svc.example.org", dns.TypeA, "NOERROR 192.0.2.1 198.51.100.1")
	plugin := func(text string) string { return w.corefile("", text) }
	for _, tt := range []struct {
		name, corefile string
		why            string // "": nothing is said
		fast           bool
		more           []*question
	}{
		{"nothing else", w.corefile("", ""), "", true, nil},
		{"on", w.corefile("fast on", ""), "", true, nil},
		{"off", w.corefile("fast off", ""), "", false, nil},
		{"off, and a plugin", w.corefile("fast off", "log"), "", false, nil},
		{"log", plugin("log"), "plugin log must see every question", false, nil},
		{"acl", plugin("acl {\n  allow\n }"), "", true, nil},
		{"acl for some", plugin("acl {\n  allow net 127.0.0.0/8\n  block\n }"), "", true, nil},
		{"view", plugin("view all {\n  expr true\n }"), "plugin view must see every question", false, nil},
		{"rewrite", plugin("rewrite name old.example.com www.example.com"), "", true,
			[]*question{ask("old.example.com", dns.TypeA, "NOERROR 203.0.113.80")}},
		{"rewrite of all", plugin("rewrite name regex (.*)\\.old {1}.new"), "plugin rewrite must see every question", false, nil},
		{"header", plugin("header {\n  response set ra\n }"), "", true, nil},
		{"dnssec", plugin("dnssec {\n  key file " + key(t) + "\n }"), "", true, nil},
		{"minimal", plugin("minimal"), "", true, nil},
		{"metadata", plugin("metadata"), "", true, nil},
		{"several", plugin("metadata\n acl {\n  allow\n }\n log"), "plugin log must see every question", false, nil},
		{"weights", plugin("loadbalance weighted " + weights), "", true, nil},
		{"rotation", plugin("loadbalance"), "", true, nil},
		{"small answers", plugin("bufsize 512"), "", true, nil},
		{"answers as here", plugin("bufsize 1232"), "", true, nil},
		{"signatures of one type", plugin(secret + "  require MX\n }"), "", true, nil},
		{"keys", plugin(secret + " }"), "", true, nil},
		{"imported", "(seen) {\n log\n}\n" + plugin("import seen"), "plugin log must see every question", false, nil},
		{"many harmless ones", plugin("any\n chaos\n cache\n debug\n loop\n nsid here\n root .\n timeouts {\n  read 5s\n }"), "", true, nil},
		{"two sockets", plugin("multisocket 2"), "", true, nil},

		{"another block for the zone", w.corefile("", "", view), "two server blocks answer for example.com.", false, nil},
		{"a block for a zone below", w.corefile("", "", sub), "", true,
			[]*question{ask("www.sub.example.com", dns.TypeA, "NOERROR 203.0.113.81"), ask("none.sub.example.com", dns.TypeA, "NXDOMAIN").with(false)}},
		{"a block for everything else", w.corefile("", "", ".:PORT {\n bind ADDR\n log\n file "+w.other+" example.info\n}\n"), "", true,
			[]*question{ask("www.example.info", dns.TypeA, "NOERROR 203.0.113.81")}},
		{"a block for everything", ".:PORT {\n bind ADDR\n" + strings.Replace(w.federation, "myfederation {", "myfederation example.com {", 1) + " }\n file " + w.other + " example.net\n ready READY\n prometheus METRICS\n}\n", "", true, nil},
		{"another federation", w.corefile("", "", fmt.Sprintf(elsewhere, "", "")), "", true, []*question{inOrg}},
		{"another federation, with a plugin", w.corefile("", "", fmt.Sprintf(elsewhere, "", "log")), "plugin log must see every question", true, []*question{inOrg}},
		{"another federation, off", w.corefile("", "", fmt.Sprintf(elsewhere, "fast off", "")), "", true, []*question{inOrg}},
		{"another federation, with its own limit", w.corefile("", "", fmt.Sprintf(elsewhere, "rrl on 10 2", "")), "its server blocks disagree on rrl or cookies", false, nil},
		{"another federation in the block", w.corefile("", strings.Replace(strings.Replace(w.federation, "myfederation", "second", 1), "apex", "# apex", 1)+" }"), "", true,
			[]*question{ask("web0.shop.second.svc.example.com", dns.TypeA, "NOERROR 192.0.2.1 198.51.100.1")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, tt.corefile)
			says := "fast path on dns://" + s.Addr
			if tt.fast || tt.why != "" {
				server.Eventually(t, patience, "the fast path speaks", func() bool { return strings.Contains(s.Log(), says) })
			}
			if got := fastPath(t, s); got != tt.fast {
				t.Errorf("fast path %v, want %v", got, tt.fast)
			}
			before := s.Metric(t, "coredns_federation_fast_questions_total{")
			st := pour(t, s.Addr, pace{rate: 1000, lines: 2}, append(w.all(), tt.more...)...)
			st.more(t, int64(2*len(w.all())))
			st.whole(t)
			if got := s.Metric(t, "coredns_federation_fast_questions_total{") > before; got != tt.fast {
				t.Errorf("the fast path was taken: %v, want %v", got, tt.fast)
			}
			line := "[WARNING] plugin/federation: no " + says + ": " + tt.why + "; the plugin chain answers"
			if tt.fast {
				line += " for some domains"
			}
			line += "\n"
			switch n := strings.Count(s.Log(), "no "+says); {
			case tt.why == "" && n > 0:
				t.Error("the log says that there is no fast path")
			case tt.why != "" && (n != 1 || !strings.Contains(s.Log(), line)):
				t.Errorf("the log doesn't say just once: %s", line)
			}
		})
	}
	t.Run("a block for a region", func(t *testing.T) {
		t.Parallel()
		s := server.Start(t, w.corefile("", "", region))
		st := pour(t, s.Addr, pace{rate: 500, lines: 2},
			ask("www.no.example.com", dns.TypeA, "NOERROR 203.0.113.81"),
			ask("web0.shop.myfederation.svc.no.example.com", dns.TypeA, "NXDOMAIN"),
			ask("web0.shop.myfederation.svc.no-a.no.example.com", dns.TypeA, "NXDOMAIN"),
			ask("web0.shop.myfederation.svc.example.com", dns.TypeA, "NOERROR 192.0.2.1 198.51.100.1"))
		st.more(t, 200)
		st.whole(t)
	})
}

// key makes a key of example.com for the dnssec plugin.
func key(t *testing.T) string {
	t.Helper()
	k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := k.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	var _ crypto.PrivateKey = private.(*ecdsa.PrivateKey)
	path := filepath.Join(t.TempDir(), fmt.Sprintf("Kexample.com.+013+%05d", k.KeyTag()))
	write(t, path+".key", k.String()+"\n")
	write(t, path+".private", k.PrivateKeyString(private))
	return path
}

// A block may have several keys, ports and addresses: each address has its own
// sockets, and answers for what CoreDNS would answer for there.
func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := fmt.Sprint(vector.Port(t))
	s := server.Start(t, strings.Replace(w.corefile("", ""), "example.com:PORT {\n bind ADDR", "example.com:PORT example.org:"+second+" {\n bind ADDR 127.0.0.2", 1))
	_, first, _ := net.SplitHostPort(s.Addr)
	in := func(zone string) *question {
		return ask("web1.shop.myfederation.svc."+zone, dns.TypeA, "NOERROR 192.0.2.2 198.51.100.2")
	}
	refused := func(zone string) *question {
		return ask("web1.shop.myfederation.svc."+zone, dns.TypeA, "REFUSED")
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		for port, questions := range map[string][]*question{
			first:  {in("example.com"), refused("example.org").with(true)},
			second: {in("example.org"), refused("example.com").with(true)},
		} {
			addr := net.JoinHostPort(host, port)
			way := func(way string) float64 {
				return s.Metric(t, `coredns_federation_fast_questions_total{server="dns://`+addr+`",way="`+way+`"}`)
			}
			server.Eventually(t, patience, "a fast path on "+addr, func() bool {
				return s.Metric(t, `coredns_federation_fast_path{server="dns://`+addr+`"}`) == 1
			})
			fast, chain := way("fast"), way("chain")
			st := pour(t, addr, pace{rate: 500, lines: 2}, questions...)
			st.more(t, 50)
			st.whole(t)
			fast, chain = way("fast")-fast, way("chain")-chain
			if n := float64(st.sent.Load()); fast+chain != n || fast < n/2-1 || fast > n/2+1 {
				t.Errorf("%s: of %v questions, %v answered and %v passed on", addr, n, fast, chain)
			}
		}
	}
}

// Wildcard sockets: an answer comes from the address that was asked, of both
// families.
func TestAnyAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, bind := range []string{"", "bind 0.0.0.0", "bind ::"} {
		s := server.Start(t, strings.ReplaceAll(w.corefile("", "", ""), " bind ADDR\n", " "+bind+"\n"))
		_, port, _ := net.SplitHostPort(s.Addr)
		server.Eventually(t, patience, "a fast path", func() bool { return s.Metric(t, "coredns_federation_fast_path{") == 1 })
		hosts := []string{"127.0.0.1", "127.0.0.7"}
		if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
			hosts = append(hosts, "::1")
		}
		for _, host := range hosts {
			st := pour(t, net.JoinHostPort(host, port), pace{rate: 1000, lines: 2}, w.all()...)
			st.more(t, 200)
			st.whole(t) // its sockets are connected: from any other address, nothing would have come
		}
	}
}
