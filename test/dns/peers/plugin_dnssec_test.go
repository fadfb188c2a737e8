package peers

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/server"
)

// What the plugin dnssec signs, of a zone of file and one of secondary, is secure to unbound below a signed parent, and to delv.
func TestDnssecPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := keyAt(t, dir+"/keys", dnskey.ECDSAP256SHA256, true, time.Now().Add(-time.Hour), 1, 1, 0, 0, 1)
	zone := write(t, dir, "zone", strings.ReplaceAll(signedApex, "www CNAME web.shop.prod.svc\n", "www CNAME mail\ndangling CNAME none\n")+"lab.sub A 192.0.2.55\n")
	file := "example.com:PORT {\n bind ADDR\n errors\n ready READY\n transfer {\n  to *\n }\n dnssec {\n  key file " + k.Path + "\n }\n file " + zone + "\n}\n"
	first := server.Start(t, file)
	second := server.Start(t, strings.ReplaceAll(file, " file "+zone, " secondary {\n  transfer from "+first.Addr+"\n }"))
	for of, s := range map[string]*server.Server{"file": first, "secondary": second} {
		t.Run(of, func(t *testing.T) {
			parent, anchor := signedParent(t, k)
			resolver := validator(t, anchor, map[string][]string{"com": {parent}, "example.com": {s.Addr}})
			server.Eventually(t, time.Minute, "unbound and NSD answer", func() bool {
				c := dns.Client{Timeout: time.Second}
				m, _, err := c.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), resolver)
				return err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0
			})
			for _, q := range []struct {
				name  string
				qtype uint16
				rcode int
				n     int // answers that aren't signatures
			}{
				{"example.com.", dns.TypeSOA, 0, 1}, {"example.com.", dns.TypeMX, 0, 1}, {"example.com.", dns.TypeDNSKEY, 0, 1}, {"example.com.", dns.TypeHTTPS, 0, 0},
				{"mail.example.com.", dns.TypeA, 0, 2}, {"mail.example.com.", dns.TypeTXT, 0, 0}, {"mail.example.com.", dns.TypeA, 0, 2}, {"MaiL.example.com.", dns.TypeDS, 0, 0},
				{"www.example.com.", dns.TypeA, 0, 3}, {"www.example.com.", dns.TypeAAAA, 0, 1}, {"x.y.wild.example.com.", dns.TypeA, 0, 1}, {"x.wild.example.com.", dns.TypeAAAA, 0, 0},
				{"x.alias.example.com.", dns.TypeA, 0, 3}, {"ent.example.com.", dns.TypeA, 0, 0}, {"deep.ent.example.com.", dns.TypeTXT, 0, 1}, {"srv.example.com.", dns.TypeSRV, 0, 1},
				{"deep.tree.example.com.", dns.TypeTXT, 0, 3}, {"lab.example.com.", dns.TypeDS, 0, 0}, {"sub.example.com.", dns.TypeDS, 0, 0}, {"lab.sub.example.com.", dns.TypeA, 0, 1},
				{"none.example.com.", dns.TypeA, 0, 0}, {"a.b.none.example.com.", dns.TypeMX, 0, 0}, {"dangling.example.com.", dns.TypeA, 0, 1},
			} {
				m := validated(t, resolver, q.name, q.qtype)
				n := 0
				for _, rr := range m.Answer {
					if rr.Header().Rrtype != dns.TypeRRSIG {
						n++
					}
				}
				if !m.AuthenticatedData || m.Rcode != q.rcode || n != q.n {
					t.Errorf("%s %s: %d answers, want %d\n%v", q.name, dns.Type(q.qtype), n, q.n, m)
				}
			}
			anchors := write(t, dir, "anchors-"+of, fmt.Sprintf("trust-anchors { example.com. static-key 257 3 13 %q; };\n", regexp.MustCompile(`\S+$`).FindString(k.Record())))
			host, port, err := net.SplitHostPort(s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range []string{"mail A", "mail AAAA", "none A", "www A", "x.wild A", "ent TXT", "lab DS", "deep.tree TXT", "srv SRV", "a.none.sub A"} {
				name, qtype, _ := strings.Cut(q, " ")
				out := output(t, server.Tool(t, "delv"), "@"+host, "-p", port, "-a", anchors, "+root=example.com", name+".example.com", qtype)
				if !strings.Contains(out, "fully validated") || strings.Contains(out, "unsigned") {
					t.Errorf("delv %s:\n%s", q, out)
				}
			}
		})
	}
}
