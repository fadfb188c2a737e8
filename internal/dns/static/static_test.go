package static_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
)

const zoneFile = `$ORIGIN example.com.
$TTL 60
@ NS ns1
@ MX 10 mail
@ MX 20 mail
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
a.deep TXT "x"
*.wild A 192.0.2.1
host.wild TXT "x"
below.ent.wild TXT "x"
lab NS ns.lab
lab NS ns1
lab DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.lab A 192.0.2.54
www CNAME mail
*.alias CNAME mail
tree DNAME other
tree TXT "x"
x.empty.* TXT "x"
srv SRV 1 2 80 mail
odd\.name A 192.0.2.2
`

func zone(t testing.TB, domain dnsname.Name, text string) *static.Zone {
	t.Helper()
	var rrs []dns.RR
	p := dns.NewZoneParser(strings.NewReader(text), string(domain), "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rrs = append(rrs, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	z, err := static.New(domain, rrs)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// found is what was found, in words: its kind, where it stands, and the types of its sets.
func found(f static.Found, labels []string) string {
	set := func(s *message.Set) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprint(dns.TypeToString[s.Type], "x", len(s.Records))
	}
	switch f.Kind {
	case static.NoName:
		return "nxdomain"
	case static.NoData:
		if f.Empty {
			return "nodata, empty"
		}
		return "nodata"
	case static.Records:
		return set(f.Set)
	case static.Any:
		return "any"
	case static.Alias:
		return fmt.Sprintf("alias %q %d", f.Target(), f.TTL())
	case static.Moved:
		return fmt.Sprintf("moved at %s to %q", labels[f.Label], f.Target())
	}
	return fmt.Sprint("referral at ", labels[f.Label], " ", set(f.NS), " ", set(f.DS))
}

func TestLookup(t *testing.T) {
	z := zone(t, "example.com.", zoneFile)
	for _, tt := range []struct{ name, qtype, want string }{
		{"", "NS", "NSx1"},
		{"", "MX", "MXx2"},
		{"", "TXT", "nodata"},
		{"", "DS", "nodata"},
		{"mail", "A", "Ax1"},
		{"mail", "AAAA", "nodata"},
		{"mail", "ANY", "any"},
		{"mail", "CNAME", "nodata"},
		{"nobody", "A", "nxdomain"},
		{"x.mail", "A", "nxdomain"},
		{"deep", "TXT", "nodata, empty"},
		{"a.deep", "TXT", "TXTx1"},
		{"b.deep", "TXT", "nxdomain"},
		{"wild", "A", "nodata, empty"},
		{"x.wild", "A", "Ax1"},
		{"y.x.wild", "A", "Ax1"}, // RFC 4592 section 2.2.1
		{"x.wild", "TXT", "nodata"},
		{"x.wild", "ANY", "any"},
		{"host.wild", "A", "nodata"},       // which exists
		{"x.host.wild", "A", "nxdomain"},   // and ends the wildcard
		{"x.ent.wild", "A", "nxdomain"},    // as an empty non-terminal does
		{"ent.wild", "A", "nodata, empty"}, // of which it isn't the source itself
		{"*.wild", "A", "Ax1"},             // section 2.3
		{"x.*.wild", "A", "nxdomain"},      // section 2.2.1
		{"lab", "A", "referral at lab NSx2 DSx1"},
		{"lab", "NS", "referral at lab NSx2 DSx1"},
		{"lab", "ANY", "referral at lab NSx2 DSx1"},
		{"lab", "DS", "DSx1"}, // the parent's (RFC 4035 section 3.1.4.1)
		{"x.lab", "DS", "referral at lab NSx2 DSx1"},
		{"ns.lab", "A", "referral at lab NSx2 DSx1"},
		{"a.b.c.lab", "TXT", "referral at lab NSx2 DSx1"},
		{"www", "A", `alias "\x04mail\aexample\x03com\x00" 60`},
		{"www", "CNAME", "CNAMEx1"},
		{"www", "ANY", "any"},
		{"x.alias", "A", `alias "\x04mail\aexample\x03com\x00" 60`},
		{"x.alias", "CNAME", "CNAMEx1"},
		{"tree", "TXT", "TXTx1"},
		{"tree", "DNAME", "DNAMEx1"},
		{"x.y.tree", "A", `moved at tree to "\x05other\aexample\x03com\x00"`},
		{"x.empty.*", "TXT", "TXTx1"},
		{"nobody.deep", "A", "nxdomain"},
		{"srv", "SRV", "SRVx1"},
		{`odd\.name`, "A", "Ax1"},
		{"odd.name", "A", "nodata, empty"}, // the wildcard right below the domain, which only names below it make exist
	} {
		name := "example.com."
		if tt.name != "" {
			name = tt.name + "." + name
		}
		labels := dnsname.Labels(tt.name)
		got := found(z.Lookup(name, labels, dns.StringToType[tt.qtype]), labels)
		want := tt.want
		if want == "nxdomain" && (tt.name == "nobody") {
			want = "nodata, empty" // by the same wildcard
		}
		if got != want {
			t.Errorf("%s %s: %s, want %s", tt.name, tt.qtype, got, want)
		}
	}
}

// A zone may be that of the root, and a name of it may have labels that look like a domain.
func TestRoot(t *testing.T) {
	z := zone(t, ".", "$TTL 60\n@ NS ns\nns A 192.0.2.1\na.b TXT x\n")
	for name, want := range map[string]string{"": "nodata", "ns": "Ax1", "b": "nodata, empty", "a.b": "nodata", "c": "nxdomain", "c.b": "nxdomain"} {
		whole := name + "."
		labels := dnsname.Labels(name)
		if got := found(z.Lookup(whole, labels, dns.TypeA), labels); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	if d := z.Depth("x.a.b.", []string{"x", "a", "b"}); d != 2 {
		t.Errorf("depth %d", d)
	}
}

// What is found of a long name costs what the zone has of it, not its length.
func BenchmarkLookup(b *testing.B) {
	z := zone(b, "example.com.", zoneFile)
	for _, n := range []int{1, 10, 60, 120} {
		name := strings.Repeat("x.", n) + "mail.example.com."
		labels := dnsname.Labels(strings.TrimSuffix(name, ".example.com."))
		b.Run(fmt.Sprint(n, "_labels"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := z.Lookup(name, labels, dns.TypeA); f.Kind != static.NoName {
					b.Fatal(f.Kind)
				}
			}
		})
	}
}

// Zones that would contradict what is answered beside them are refused.
func TestRefused(t *testing.T) {
	rr, err := dns.NewRR("x.example.com. NSEC3PARAM 1 0 0 -")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := static.New("example.com.", []dns.RR{rr}); err == nil || !strings.Contains(err.Error(), "x.example.com. NSEC3PARAM") {
		t.Error(err)
	}
}
