package federation

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/vector"
)

// docs/security.md states how many times larger than the question an answer is, by kind of
// question, without EDNS and with it.
func TestAmplification(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	var addrs []string
	for i := range 8 {
		addrs = append(addrs, fmt.Sprint("192.0.2.", i+1))
	}
	w.cluster("a", vector.Node("n", "europe-west1", "europe-west1-b"),
		vector.Service("mynamespace", "nginx", addrs...), vector.Slice("mynamespace", "nginx", true, "europe-west1-b"),
		vector.Service("mynamespace", "one", "192.0.2.1"), vector.Slice("mynamespace", "one", true, "europe-west1-b"))
	w.cluster("b", vector.Node("n", "us-central1", "us-central1-a"),
		vector.Service("mynamespace", "nginx", "198.51.100.1"), vector.Slice("mynamespace", "nginx", false, "us-central1-a"))
	text := strings.Repeat(`"`+strings.Repeat("t", 199)+`" `, 5) // 1,000 bytes
	apex := w.write("apex", "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.53\nns2 A 198.51.100.53\nbig TXT "+text+"\n")
	stanza := "federation myfederation {\ncluster a {\nmanifests DIR/a\n}\ncluster b {\nmanifests DIR/b\n}\napex " + apex + "\n"
	keys := generated(t, filepath.Join(w.dir, "keys"), anyKey(t, "example.com.", dnskey.ECDSAP256SHA256))
	responders := map[bool]packet.Responder{}
	for signed, f := range map[bool]*Federation{false: w.serving(stanza + "}"), true: w.serving(stanza + "dnssec " + keys + "\n}")} {
		for tick := time.Tick(time.Millisecond); !f.Ready(); {
			<-tick
		}
		responders[signed] = f.responder(t, "errors")
	}
	const svc = "nginx.mynamespace.myfederation.svc."
	stated := statedFactors(t)
	least, most, mostSigned := 100.0, 0.0, 0.0
	for _, tt := range []struct {
		kind, name string
		qtype      uint16
		rcode      int
	}{
		{"A, one address", "one.mynamespace.myfederation.svc.example.com.", dns.TypeA, dns.RcodeSuccess},
		{"A, eight addresses", svc + "example.com.", dns.TypeA, dns.RcodeSuccess},
		{"A that leads up, twice", svc + "us-central1-a.us-central1.example.com.", dns.TypeA, dns.RcodeSuccess},
		{"SRV", "_http._tcp." + svc + "example.com.", dns.TypeSRV, dns.RcodeSuccess},
		{"no record of this type", svc + "example.com.", dns.TypeAAAA, dns.RcodeSuccess},
		{"no such name", "none.mynamespace.myfederation.svc.example.com.", dns.TypeA, dns.RcodeNameError},
		{"ANY", svc + "example.com.", dns.TypeANY, dns.RcodeSuccess},
		{"SOA", "example.com.", dns.TypeSOA, dns.RcodeSuccess},
		{"NS", "example.com.", dns.TypeNS, dns.RcodeSuccess},
		{"DNSKEY of an unsigned zone", "example.com.", dns.TypeDNSKEY, dns.RcodeSuccess},
		{"static TXT of 1,000 bytes", "big.example.com.", dns.TypeTXT, dns.RcodeSuccess},
		{"signed: A, eight addresses", svc + "example.com.", dns.TypeA, dns.RcodeSuccess},
		{"signed: no such name", "none.mynamespace.myfederation.svc.example.com.", dns.TypeA, dns.RcodeNameError},
		{"signed: SOA", "example.com.", dns.TypeSOA, dns.RcodeSuccess},
		{"signed: DNSKEY", "example.com.", dns.TypeDNSKEY, dns.RcodeSuccess},
	} {
		signed := strings.HasPrefix(tt.kind, "signed: ")
		r := responders[signed]
		var got [2]float64
		for i, edns := range []bool{false, true} {
			q := new(dns.Msg).SetQuestion(tt.name, tt.qtype)
			if edns {
				q.SetEdns0(1232, signed)
			}
			query, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			at := netip.MustParseAddrPort("127.0.0.1:4711")
			p := packet.New(query, at, unheard)
			r.Begin()
			n := r.Respond(p)
			r.End()
			m := new(dns.Msg)
			if err := m.Unpack(p.Buf[:n]); err != nil || m.Rcode != tt.rcode && !(signed && edns) {
				t.Fatalf("%s: %v, rcode %d", tt.kind, err, m.Rcode)
			}
			got[i] = float64(n) / float64(len(query))
		}
		t.Logf("| %s | %.1f | %.1f |", tt.kind, got[0], got[1])
		want, ok := stated[tt.kind]
		// A serial number, or a name that is a little longer, changes less than this.
		const tolerance = 0.1
		if !ok || abs(got[0]-want[0]) > tolerance*want[0] || abs(got[1]-want[1]) > tolerance*want[1] {
			t.Errorf("%s: %.2f times the question, and %.2f with EDNS; docs/security.md says %v", tt.kind, got[0], got[1], want)
		}
		delete(stated, tt.kind)
		switch {
		case signed:
			mostSigned = max(mostSigned, want[1])
		case !strings.HasPrefix(tt.kind, "static"): // whose size is somebody's own choice
			least, most = min(least, want[0], want[1]), max(most, want[0], want[1])
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprintf("[%.1f to %.1f times]", least, most); !strings.Contains(string(readme), said) || !strings.Contains(string(readme), fmt.Sprintf("signed at most %.1f times", mostSigned)) {
		t.Errorf("README.md doesn't state %s, and %.1f when signed", said, mostSigned)
	}
	for kind := range stated {
		t.Errorf("docs/security.md states a factor of %q, which nobody has measured", kind)
	}
}

func abs(x float64) float64 { return max(x, -x) }

// statedFactors reads the table of docs/security.md.
func statedFactors(t *testing.T) map[string][2]float64 {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][2]float64{}
	_, table, ok := strings.Cut(string(text), "| question | without EDNS | with EDNS |\n")
	if !ok {
		t.Fatal("docs/security.md has no table of factors")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			break
		}
		if strings.HasPrefix(strings.TrimSpace(cells[1]), "---") {
			continue
		}
		var v [2]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(strings.TrimSpace(cells[i+2]), 64); err != nil {
				t.Fatalf("%s: %v", strings.TrimSpace(line), err)
			}
		}
		out[strings.TrimSpace(cells[1])] = v
	}
	return out
}
