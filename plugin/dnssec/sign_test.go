package dnssec

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

const records = `
$ORIGIN example.org.
$TTL 7200
@           SOA ns.example.org. host.example.org. 1 7200 900 1209600 600
@           NS  ns
@           MX  10 Mail.example.org.
ns          A   192.0.2.53
mail        A   192.0.2.25
www         A   192.0.2.1
www         A   192.0.2.2
www     300 TXT "text"
Mixed.Case  A   192.0.2.3
alias       CNAME www
bare        CNAME mail
*.wild      A   192.0.2.4
a.ent       A   192.0.2.5
cut         NS  ns.cut
ns.cut      A   192.0.2.54
safe        NS  ns.cut
safe        DS  1 13 2 ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789
`

// serving is the plugin before CoreDNS's file with the records above.
func serving(t *testing.T, flags ...uint16) *Dnssec {
	t.Helper()
	dir := t.TempDir()
	s := stanza{zones: []string{"example.org."}, capacity: 100}
	for _, f := range flags {
		s.keys = append(s.keys, key(t, dir, "example.org.", f, dns.ECDSAP256SHA256))
	}
	d, err := s.plugin()
	if err != nil {
		t.Fatal(err)
	}
	z, err := file.Parse(strings.NewReader(records), "example.org.", "stdin", 0)
	if err != nil {
		t.Fatal(err)
	}
	d.Next = file.File{Next: test.ErrorHandler(), Zones: file.Zones{Z: map[string]*file.Zone{"example.org.": z}, Names: []string{"example.org."}}}
	return d
}

// ask asks the plugin, with DO or in another way that set sets.
func ask(t *testing.T, d plugin.Handler, name string, qtype uint16, set func(q *dns.Msg, w *test.ResponseWriter)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(4096, true)
	w := &test.ResponseWriter{}
	if set != nil {
		set(q, w)
	}
	rec := dnstest.NewRecorder(w)
	if _, err := d.ServeDNS(context.Background(), rec, q); err != nil {
		t.Fatalf("%s %s: %v", name, dns.Type(qtype), err)
	}
	return rec.Msg
}

// proven are the names and types of the NSEC records of a message, and of those many types how many.
func proven(m *dns.Msg) string {
	var out []string
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		n, ok := rr.(*dns.NSEC)
		if !ok {
			continue
		}
		types := "many"
		if len(n.TypeBitMap) < 5 {
			types = strings.TrimPrefix(n.String()[strings.LastIndex(n.String(), n.NextDomain)+len(n.NextDomain):], " ")
		}
		out = append(out, fmt.Sprintf("%s>%s %s", n.Hdr.Name, n.NextDomain, types))
	}
	return strings.Join(out, ", ")
}

// verify checks that all sets that are to be signed are, and by whom.
func verify(t *testing.T, what string, m *dns.Msg, keys []*dns.DNSKEY, unsigned ...uint16) {
	t.Helper()
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			h := rr.Header()
			if h.Rrtype == dns.TypeRRSIG || h.Rrtype == dns.TypeOPT || slices.Contains(unsigned, h.Rrtype) || !strings.HasSuffix(dns.CanonicalName(h.Name), "example.org.") {
				continue
			}
			var set []dns.RR
			for _, o := range section {
				if of(o, h.Name, h.Rrtype) {
					set = append(set, o)
				}
			}
			n := 0
			for _, s := range section {
				sig, ok := s.(*dns.RRSIG)
				if !ok || sig.TypeCovered != h.Rrtype || !strings.EqualFold(sig.Hdr.Name, h.Name) {
					continue
				}
				n++
				by := slices.IndexFunc(keys, func(k *dns.DNSKEY) bool { return k.KeyTag() == sig.KeyTag })
				if by < 0 {
					t.Errorf("%s: %s %s is signed by key %d, that isn't there", what, h.Name, dns.Type(h.Rrtype), sig.KeyTag)
				} else if err := sig.Verify(keys[by], set); err != nil {
					t.Errorf("%s: %s %s: %v", what, h.Name, dns.Type(h.Rrtype), err)
				}
				if !sig.ValidityPeriod(time.Now()) || sig.OrigTtl < h.Ttl || sig.Hdr.Ttl != h.Ttl {
					t.Errorf("%s: %v of a TTL of %d", what, sig, h.Ttl)
				}
			}
			if n != 1 {
				t.Errorf("%s: %s %s has %d signatures", what, h.Name, dns.Type(h.Rrtype), n)
			}
		}
	}
}

func keysOf(t *testing.T, d *Dnssec) (keys []*dns.DNSKEY) {
	t.Helper()
	m := ask(t, d, "example.org.", dns.TypeDNSKEY, nil)
	for _, rr := range m.Answer {
		if k, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, k)
		}
	}
	if !m.Authoritative || len(keys) == 0 {
		t.Fatalf("no keys: %v", m)
	}
	return keys
}

func TestSign(t *testing.T) {
	d := serving(t, 257)
	keys := keysOf(t, d)
	for _, tt := range []struct {
		name, qtype, want string // rcode, how many answers that aren't signatures, what is proven
		unsigned          []uint16
	}{
		{"www", "A", "NOERROR 2 ", nil},
		{"example.org.", "MX", "NOERROR 1 ", nil},
		{"mixed.case", "A", "NOERROR 1 ", nil},
		{"alias", "A", "NOERROR 3 ", nil},
		{"x.wild", "A", "NOERROR 1 ", nil},
		{"none", "A", "NOERROR 0 none.example.org.>\\000.none.example.org. RRSIG NSEC NXNAME", nil},
		{"NonE", "A", "NOERROR 0 NonE.example.org.>\\000.none.example.org. RRSIG NSEC NXNAME", nil},
		{"www", "AAAA", "NOERROR 0 www.example.org.>\\000.www.example.org. many", nil},
		{"www", "NSEC", "NOERROR 1 www.example.org.>\\000.www.example.org. many", nil},
		{"bare", "AAAA", "NOERROR 1 ", nil}, // file leaves it to resolvers to ask on
		{"ent", "A", "NOERROR 0 ent.example.org.>\\000.ent.example.org. many", nil},
		{"example.org.", "TXT", "NOERROR 0 example.org.>\\000.example.org. many", nil},
		{"a.cut", "A", "NOERROR 0 cut.example.org.>\\000.cut.example.org. NS RRSIG NSEC", []uint16{dns.TypeNS, dns.TypeA}},
		{"cut", "A", "NOERROR 0 cut.example.org.>\\000.cut.example.org. NS RRSIG NSEC", []uint16{dns.TypeNS, dns.TypeA}},
		{"cut", "DS", "NOERROR 0 cut.example.org.>\\000.cut.example.org. NS RRSIG NSEC", nil},
		{"www", "DS", "NOERROR 0 www.example.org.>\\000.www.example.org. many", nil},
		{"safe", "DS", "NOERROR 1 ", []uint16{dns.TypeNS}},
		{"a.safe", "A", "NOERROR 0 ", []uint16{dns.TypeNS, dns.TypeA}},
		{"www", "NXNAME", "none", nil},
	} {
		name := tt.name
		if !strings.HasSuffix(name, ".") {
			name += ".example.org."
		}
		what := name + " " + tt.qtype
		m := ask(t, d, name, dns.StringToType[tt.qtype], nil)
		if m == nil {
			if tt.want != "none" {
				t.Errorf("%s: no answer", what)
			}
			continue
		}
		n := 0
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != dns.TypeRRSIG {
				n++
			}
		}
		if got := fmt.Sprintf("%s %d %s", dns.RcodeToString[m.Rcode], n, proven(m)); got != tt.want {
			t.Errorf("%s: %q, want %q\n%v", what, got, tt.want, m)
		}
		verify(t, what, m, keys, tt.unsigned...)
	}
}

// TestChains is that, behind aliases, the name is denied that isn't there, if it is of a zone that is signed.
func TestChains(t *testing.T) {
	d := serving(t, 257)
	keys := keysOf(t, d)
	soa := test.SOA("example.org. 7200 IN SOA ns.example.org. host.example.org. 1 7200 900 1209600 600")
	for _, tt := range []struct {
		rcode int
		chain string // name and target, with commas between
		soa   *dns.SOA
		want  string
	}{
		{dns.RcodeNameError, "q>a,a>b", soa, "NOERROR b.example.org.>\\000.b.example.org. RRSIG NSEC NXNAME"},
		{dns.RcodeSuccess, "q>a,a>b", soa, "NOERROR b.example.org.>\\000.b.example.org. many"},
		{dns.RcodeSuccess, "q>a,a>q", soa, "NOERROR q.example.org.>\\000.q.example.org. many"}, // a loop ends
		{dns.RcodeNameError, "q>www.example.net.", test.SOA("example.net. 60 IN SOA a. b. 1 2 3 4 5"), "NXDOMAIN "},
	} {
		d.Next = plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
			m := new(dns.Msg).SetRcode(r, tt.rcode)
			for _, c := range strings.Split(tt.chain, ",") {
				from, to, _ := strings.Cut(c, ">")
				if !strings.HasSuffix(to, ".") {
					to += ".example.org."
				}
				m.Answer = append(m.Answer, test.CNAME(from+".example.org. 60 IN CNAME "+to))
			}
			m.Ns = []dns.RR{tt.soa}
			return 0, w.WriteMsg(m)
		})
		m := ask(t, d, "q.example.org.", dns.TypeA, nil)
		if got := dns.RcodeToString[m.Rcode] + " " + proven(m); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.chain, got, tt.want)
		}
		verify(t, tt.chain, m, keys)
	}
}

// TestTypes is that a proof denies what was asked for, nothing else that may be there, and never says that a name is delegated
// or an alias, or validators take it for the proof of another zone.
func TestTypes(t *testing.T) {
	d := serving(t, 257)
	for _, tt := range []struct {
		name  string
		qtype uint16
		never []uint16
	}{
		{"www.example.org.", dns.TypeAAAA, []uint16{dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS, dns.TypeSOA}},
		{"example.org.", dns.TypeHTTPS, []uint16{dns.TypeCNAME, dns.TypeDS}},
	} {
		m := ask(t, d, tt.name, tt.qtype, nil)
		at := slices.IndexFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNSEC })
		types := m.Ns[at].(*dns.NSEC).TypeBitMap
		for _, want := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCAA, dns.TypeURI, dns.TypeTLSA, dns.TypeRRSIG, dns.TypeNSEC} {
			if want != tt.qtype && !slices.Contains(types, want) {
				t.Errorf("%s %s: denies %s", tt.name, dns.Type(tt.qtype), dns.Type(want))
			}
		}
		for _, no := range append(tt.never, tt.qtype) {
			if slices.Contains(types, no) {
				t.Errorf("%s %s: says that there is %s", tt.name, dns.Type(tt.qtype), dns.Type(no))
			}
		}
		if ttl := m.Ns[at].Header().Ttl; ttl != 600 {
			t.Errorf("%s: the proof is remembered for %d s", tt.name, ttl)
		}
	}
}

// TestSplit is that, where there are both, KSKs sign keys and ZSKs all else.
func TestSplit(t *testing.T) {
	d := serving(t, 257, 256)
	keys := keysOf(t, d)
	by := func(name string, qtype uint16) (flags uint16) {
		for _, rr := range ask(t, d, name, qtype, nil).Answer {
			if sig, ok := rr.(*dns.RRSIG); ok {
				flags = keys[slices.IndexFunc(keys, func(k *dns.DNSKEY) bool { return k.KeyTag() == sig.KeyTag })].Flags
			}
		}
		return flags
	}
	if k, z := by("example.org.", dns.TypeDNSKEY), by("www.example.org.", dns.TypeA); len(keys) != 2 || k != 257 || z != 256 {
		t.Errorf("%d keys; keys are signed by %d, addresses by %d", len(keys), k, z)
	}
}

// TestPlain is what isn't touched: without DO, other zones, and transfers.
func TestPlain(t *testing.T) {
	d := serving(t, 257)
	plain := func(q *dns.Msg, _ *test.ResponseWriter) { q.Extra = nil }
	if m := ask(t, d, "none.example.org.", dns.TypeA, plain); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("without DO: %v", m)
	}
	if m := ask(t, d, "example.org.", dns.TypeDNSKEY, plain); len(m.Answer) != 1 {
		t.Errorf("without DO: %v", m)
	}
	others := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		m := new(dns.Msg).SetReply(r)
		m.Answer = []dns.RR{test.A("www.example.net. 5 IN A 192.0.2.1")}
		return 0, w.WriteMsg(m)
	})
	d.Next = others
	for _, name := range []string{"www.example.net.", "www.example.org."} {
		if m := ask(t, d, name, dns.TypeA, nil); len(m.Answer) != 1 {
			t.Errorf("%s of another zone: %v", name, m)
		}
	}
	if m := ask(t, d, "example.org.", dns.TypeAXFR, nil); len(m.Answer) != 1 {
		t.Errorf("a transfer: %v", m)
	}
}

// TestOthers is that an answer of another plugin is left as it was: it may be kept.
func TestOthers(t *testing.T) {
	d := serving(t, 257)
	kept := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
	kept.Answer = make([]dns.RR, 1, 10)
	kept.Answer[0] = test.A("www.example.org. 5 IN A 192.0.2.1")
	d.Next = plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) { return 0, w.WriteMsg(kept) })
	ask(t, d, "www.example.org.", dns.TypeA, nil)
	if len(kept.Answer) != 1 || kept.Answer[:2][1] != nil {
		t.Errorf("it has become %v", kept.Answer[:2])
	}
}

// TestBudget is that names of which there is no end are denied so many times a second over UDP, and over TCP always.
func TestBudget(t *testing.T) {
	d := serving(t, 257)
	now := time.Now()
	d.now = func() time.Time { return now }
	refused := 0
	for i := range freshPerCore*runtime.GOMAXPROCS(0) + 1 {
		if m := ask(t, d, fmt.Sprintf("none-%d.example.org.", i), dns.TypeA, nil); m.Truncated {
			if len(m.Answer)+len(m.Ns) > 0 || m.Rcode != dns.RcodeSuccess {
				t.Fatalf("truncated: %v", m)
			}
			refused++
			break
		}
	}
	if refused == 0 {
		t.Fatal("there is no bound")
	}
	tcp := func(_ *dns.Msg, w *test.ResponseWriter) { w.TCP = true }
	if m := ask(t, d, "again.example.org.", dns.TypeA, tcp); m.Truncated || proven(m) == "" {
		t.Errorf("over TCP: %v", m)
	}
	if m := ask(t, d, "www.example.org.", dns.TypeA, nil); m.Truncated || len(m.Answer) != 3 {
		t.Errorf("a name that is there: %v", m)
	}
}

// TestKept is that a set is signed once, in whatever order and however long it is still kept.
func TestKept(t *testing.T) {
	d := serving(t, 257)
	n := 0
	d.Next = plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		m := new(dns.Msg).SetReply(r)
		for i := range 3 {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "www.example.org.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: uint32(300 - n)}, A: net.IPv4(192, 0, 2, byte((i+n)%3))})
		}
		n++
		return 0, w.WriteMsg(m)
	})
	for range 10 {
		ask(t, d, "www.example.org.", dns.TypeA, nil)
	}
	if made := d.kept.Made.Load(); made != 1 || d.kept.Len() != 1 {
		t.Errorf("%d signatures are made, %d kept", made, d.kept.Len())
	}
}
