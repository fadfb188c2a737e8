package zone

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/static"
)

// FuzzApex is that a file of static records is read or refused, whatever is in it, and that what was read is found: each name
// exists, or stands below a delegation or an alias of a whole tree.
func FuzzApex(f *testing.F) {
	for _, text := range []string{
		"@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n* TXT x\n", "@ NS ns1\n", "$ORIGIN .\n. NS a.\n",
		"@ SOA a b 1 2 3 4 5\n@ NS a\nsub NS ns.sub\nns.sub A 192.0.2.1\nold DNAME new\nx.*.y A 192.0.2.2\n*.w CNAME a\n", "$TTL -1\n@ SOA . . 4294967296 0 0 0 0",
		"@ SOA a b 1 2 3 4 5\n@ NS a\na\\.b A 192.0.2.1\n\\000 TXT \"\\255\"\n" + strings.Repeat("a.", 126) + " A 192.0.2.1\n", "$GENERATE 1-3 h$ A 192.0.2.$\n@ SOA a b 1 2 3 4 5\n@ NS a\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToUpper(text), "$INCLUDE") || strings.Contains(strings.ToUpper(text), "$GENERATE") && len(text) > 200 {
			return // other files, and more records than a test has time for
		}
		a, err := readStaticZone("example.com.", strings.NewReader(text), "apex", Reserved{})
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error says nothing")
			}
			return
		}
		for name := range a.Zone.Names() {
			rel, ok := dnsname.Name("example.com.").Under(name)
			if !ok {
				t.Fatalf("%q is not in the domain", name)
			}
			labels := dnsname.Labels(rel)
			for _, qtype := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeANY, dns.TypeDS} {
				if found := a.Zone.Lookup(name, labels, qtype); found.Kind == static.NoName && a.Zone.Owns(name) {
					t.Errorf("%q is there, and isn't found", name)
				}
			}
			a.Zone.Depth("x."+name, append([]string{"x"}, labels...))
		}
	})
}
