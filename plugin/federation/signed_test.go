package federation

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dns/packet"
	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

// signedRecords stand beside the federation that is signed.
const signedRecords = `@ 60 SOA NS1 host 1 2 3 4 5
@ NS ns1
@ MX 10 Mail
@ CAA 0 issue "ca.example.net"
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
mail 30 A 192.0.2.26
*.wild A 192.0.2.99
*.wild TXT "x"
*.alias CNAME mail
deep.ent TXT "Upper Case"
lab NS ns.lab
ns.lab A 192.0.2.54
safe NS ns.safe
safe DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.safe A 192.0.2.55
www CNAME web.shop.fed.svc
gone CNAME none.shop.fed.svc
far CNAME www.elsewhere.test.
tree DNAME ent
srv SRV 1 2 80 Mail
naptr NAPTR 1 1 "U" "E2U+sip" "!^.*$!sip:A@B!" Mail
`

// generated puts keys of a domain into a folder.
func generated(t testing.TB, dir string, keys ...*dnskey.Key) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if _, err := k.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// anyKey is a CSK that signs now.
func anyKey(t testing.TB, zone string, a dnskey.Algorithm) *dnskey.Key {
	t.Helper()
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	k, err := dnskey.Generate("example.com.", a, true, 60, dnskey.Dates{Created: then, Publish: then, Activate: then, SyncPublish: then})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signedShop is a world of which everything that there is can be asked, and its stanza without the end.
func signedShop(t testing.TB) (*world, string) {
	w := &world{t: t, dir: t.TempDir()}
	for _, c := range []struct{ name, zone, region, addr string }{
		{"a", "eu-a", "eu", "192.0.2.1"}, {"b", "us-b", "us", "192.0.2.2"}, {"c", "as-c", "as", "192.0.2.3"},
	} {
		objects := []vector.Object{vector.Node("n", c.region, c.zone)}
		for _, s := range []string{"web", "drawn", "six", "down"} {
			svc := vector.Service("shop", s, c.addr)
			switch s {
			case "six":
				svc = vector.Service("shop", s, c.addr, "2001:db8::"+c.addr[8:])
			case "drawn":
				svc["metadata"].(map[string]any)["annotations"] = map[string]string{"fedns.io/policy": "weighted"}
			}
			objects = append(objects, svc, vector.Slice("shop", s, s != "down" && c.name != "c", c.zone))
		}
		objects = append(objects, vector.Ingress("shop", "front", c.addr, [2]string{"shop.example.com", "web"}, [2]string{"*.hosts.example.com", "web"}))
		w.cluster(c.name, objects...)
	}
	return w, "federation fed {\ncluster a {\nmanifests DIR/a\nhosts *\n}\ncluster b {\nmanifests DIR/b\nhosts *\n}\ncluster c {\nmanifests DIR/c\nhosts *\n}\nrrl off\napex " +
		w.write("apex", signedRecords) + "\n"
}

// signedNames are names of all kinds.
var signedNames = []string{
	"", "mail", "MAIL", "ns1", "x.mail", "none", "ent", "deep.ent", "x.y.wild", "wild", "*.wild", "b.alias", "lab", "x.lab", "ns.lab", "safe", "x.safe", "www", "gone", "far",
	"tree", "deep.tree", "none.tree", "srv", "naptr", "svc", "fed.svc", "shop.fed.svc", "none.shop.fed.svc", "web.shop.fed.svc", "WEB.Shop.fed.svc.as-c.as", "web.shop.fed.svc.as",
	"web.shop.fed.svc.eu-a.eu", "web.shop.fed.svc.eu-a", "web.shop.fed.svc.nowhere", "six.shop.fed.svc", "drawn.shop.fed.svc", "down.shop.fed.svc", "down.shop.fed.svc.eu",
	"_http._tcp.web.shop.fed.svc", "_http._tcp.six.shop.fed.svc.as", "_tcp.web.shop.fed.svc", "_none._tcp.web.shop.fed.svc", "shop", "x.shop", "a.b.hosts", "hosts",
	strings.Repeat("x.", 100) + "mail", strings.Repeat("x.", 110) + "wild", `a\.b`, `a\.b.wild`, `\000\255.mail`, strings.Repeat(strings.Repeat("y", 60)+".", 3) + strings.Repeat("z", 51),
}

var signedTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeDS, dns.TypeANY,
	dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeNSEC, dns.TypeRRSIG, dns.TypeHINFO, dns.TypeNAPTR, dns.TypeCAA, 65399}

// below is a name in the domain.
func below(name string) string {
	if name == "" {
		return "example.com."
	}
	return name + ".example.com."
}

// What is signed can be verified, says what is said without signatures, and denies what isn't
// there: past the chain and through it, by datagrams and streams.
func TestSigned(t *testing.T) {
	for _, a := range []dnskey.Algorithm{dnskey.ECDSAP256SHA256, dnskey.ED25519} {
		w, stanza := signedShop(t)
		k := anyKey(t, "example.com.", a)
		generated(t, w.dir+"/keys", k)
		plain, signed := w.serving(stanza+"}"), w.serving(stanza+"dnssec DIR/keys\n}")
		r, without := signed.responder(t, ""), plain.responder(t, "")
		n := 0
		for _, name := range signedNames {
			for _, qtype := range signedTypes {
				for _, co := range []bool{false, true} {
					q := new(dns.Msg).SetQuestion(below(name), qtype)
					q.SetEdns0(4096, true)
					if co {
						q.IsEdns0().SetCo()
					}
					bare := q.Copy()
					bare.IsEdns0().Hdr.Ttl = 0
					want, _ := plain.askBy(t, &test.ResponseWriter{TCP: true}, bare.Copy())
					same, _ := signed.askBy(t, &test.ResponseWriter{TCP: true}, bare.Copy())
					what := fmt.Sprint(below(name), " ", dns.TypeToString[qtype], " CO ", co)
					if about := []uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY}; !(name == "" && slices.Contains(about, qtype)) && !strings.HasPrefix(name, "drawn") {
						if got, want := said(same), said(want); got != want {
							t.Errorf("%s without DO:\n%s, want\n%s", what, got, want)
						}
					}
					stream, _ := signed.askBy(t, &test.ResponseWriter{TCP: true}, q.Copy())
					verified(t, what+" by a stream", k, q, stream, want)
					small := q.Copy()
					small.IsEdns0().SetUDPSize(512)
					if m, bare := past(t, r, small), past(t, without, bare.Copy()); m != nil && bare != nil && !m.Truncated && !bare.Truncated {
						verified(t, what+" with little room", k, q, m, bare)
					}
					datagram, _ := signed.askBy(t, &test.ResponseWriter{}, q.Copy())
					fast := past(t, r, q)
					for i, m := range []*dns.Msg{datagram, fast} {
						which := []string{"chain", "fast"}[i]
						if m == nil { // the chain's affair
							continue
						}
						if m.Truncated {
							if len(m.Answer)+len(m.Ns) > 0 && stream.Len() <= 1232 {
								t.Errorf("%s, %s: truncated, and %d bytes fit:\n%v", what, which, stream.Len(), m)
							}
							continue
						}
						if bare := past(t, without, bare); which == "fast" && bare != nil && !bare.Truncated {
							want = bare // of CNAMEs, more than the chain gives without a server
						}
						verified(t, what+" by "+which, k, q, m, want)
					}
					n++
				}
			}
		}
		t.Log(n, "questions,", signed.signing.kept.Made.Load(), "signatures")
	}
}

// past asks past the chain; nil: it is asked.
func past(t testing.TB, r packet.Responder, q *dns.Msg) *dns.Msg {
	t.Helper()
	query, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	p := packet.New(query, netip.MustParseAddrPort("127.0.0.1:4711"), unheard)
	r.Begin()
	copy(p.Buf, query)
	p.N = len(query)
	size := r.Respond(p)
	r.End()
	if size == 0 {
		return nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(p.Buf[:size]); err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	return m
}

// said is what an answer says, in some order, without TTLs, signatures, and proofs.
func said(m *dns.Msg) string {
	var out []string
	for i, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			switch rr.Header().Rrtype {
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeSOA, dns.TypeDS:
				continue
			}
			rr = dns.Copy(rr)
			rr.Header().Ttl = 0
			out = append(out, fmt.Sprint(i, " ", rr))
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n")
}

// verified looks at an answer as a validator does that has the key; plain is what is said without
// signatures.
func verified(t *testing.T, what string, k *dnskey.Key, q, m, plain *dns.Msg) {
	t.Helper()
	rr, err := dns.NewRR(k.Record())
	if err != nil {
		t.Fatal(err)
	}
	key := rr.(*dns.DNSKEY)
	if m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeServerFailure || m.Rcode == dns.RcodeRefused {
		if m.Rcode != plain.Rcode {
			t.Errorf("%s: %s", what, dns.RcodeToString[m.Rcode])
		}
		return
	}
	about := []uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeNSEC, dns.TypeRRSIG}
	if t1 := q.Question[0].Qtype; !slices.Contains(about, t1) && said(m) != said(plain) && !strings.Contains(q.Question[0].Name, "drawn") {
		t.Errorf("%s:\n%s, want\n%s", what, said(m), said(plain))
	}
	o := m.IsEdns0()
	if o == nil || !o.Do() || o.Co() != q.IsEdns0().Co() {
		t.Errorf("%s: OPT %v", what, o)
	}
	made := false // of a DNAME
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		sigs := map[string]int{}
		for _, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			var set []dns.RR
			for _, rr := range section {
				if h := rr.Header(); h.Rrtype == sig.TypeCovered && strings.EqualFold(h.Name, sig.Hdr.Name) {
					set = append(set, rr)
					if h.Ttl != sig.Hdr.Ttl || h.Ttl > sig.OrigTtl {
						t.Errorf("%s: TTL %d, %d of the signature, originally %d", what, h.Ttl, sig.Hdr.Ttl, sig.OrigTtl)
					}
				}
			}
			if err := verifies(key, sig, dns.Dedup(set, nil)); err != nil || !sig.ValidityPeriod(time.Now()) {
				t.Errorf("%s: %v\n%v\n%v", what, err, sig, set)
			}
			sigs[strings.ToLower(sig.Hdr.Name)+dns.TypeToString[sig.TypeCovered]]++
		}
		for _, rr := range section {
			h := rr.Header()
			made = made || h.Rrtype == dns.TypeDNAME
			id := strings.ToLower(h.Name) + dns.TypeToString[h.Rrtype]
			want := 1
			switch {
			case h.Rrtype == dns.TypeRRSIG || h.Rrtype == dns.TypeOPT, h.Rrtype == dns.TypeNS && !strings.EqualFold(h.Name, "example.com."), i == 2 && !m.Authoritative,
				h.Rrtype == dns.TypeCNAME && made && strings.HasSuffix(id, "tree.example.com.CNAME"):
				want = 0
			}
			if sigs[id] != want {
				t.Errorf("%s: %d signatures of %v, want %d\n%v", what, sigs[id], rr, want, m)
			}
		}
	}
	denied(t, what, q, m, plain)
}

// checked are what Verify said of signatures, as text with their keys and records: most are in
// many answers, and nothing else here takes as long.
var checked sync.Map

func verifies(key *dns.DNSKEY, sig *dns.RRSIG, set []dns.RR) error {
	id := fmt.Sprint(key, sig, set)
	if said, ok := checked.Load(id); ok {
		err, _ := said.(error)
		return err
	}
	err := sig.Verify(key, set)
	checked.Store(id, err)
	return err
}

// denied looks at the proof that there is nothing.
func denied(t *testing.T, what string, q, m, plain *dns.Msg) {
	t.Helper()
	name := strings.ToLower(q.Question[0].Name)
	for range 10 {
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) && q.Question[0].Qtype != dns.TypeCNAME {
				name = strings.ToLower(c.Target)
			}
		}
	}
	var proof *dns.NSEC
	gaps := map[*dns.NSEC]bool{} // and whether they are needed
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		if n, ok := rr.(*dns.NSEC); ok && canonically(n.NextDomain, `\000.`+n.Hdr.Name) > 0 {
			gaps[n] = false
		} else if ok {
			proof = n
		}
	}
	for _, rr := range m.Answer {
		if sig, ok := rr.(*dns.RRSIG); ok && int(sig.Labels) < dns.CountLabel(sig.Hdr.Name) && !strings.HasPrefix(sig.Hdr.Name, "*.") {
			covered(t, what, gaps, sig.Hdr.Name, int(sig.Labels))
		}
	}
	if proof != nil && strings.HasPrefix(proof.Hdr.Name, "*.") && !strings.EqualFold(proof.Hdr.Name, name) {
		covered(t, what, gaps, name, dns.CountLabel(proof.Hdr.Name)-1)
		if !dns.IsSubDomain(proof.Hdr.Name[2:], name) {
			t.Errorf("%s: proof %v of %s", what, proof, name)
		}
		name = proof.Hdr.Name
	}
	for g, needed := range gaps {
		if !needed {
			t.Errorf("%s: %v proves nothing", what, g)
		}
	}
	soa := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	switch {
	case proof == nil && !soa:
		if m.Rcode != plain.Rcode {
			t.Errorf("%s: %s", what, dns.RcodeToString[m.Rcode])
		}
		return
	case proof == nil:
		t.Errorf("%s: no proof\n%v", what, m)
		return
	}
	delegation := slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS })
	bits := proof.TypeBitMap
	if !delegation && !strings.EqualFold(proof.Hdr.Name, name) || delegation && !slices.Equal(bits, []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}) {
		t.Errorf("%s: proof %v of %s", what, proof, name)
	}
	if !delegation && slices.Contains(bits, q.Question[0].Qtype) && q.Question[0].Qtype != dns.TypeNSEC && q.Question[0].Qtype != dns.TypeRRSIG || !delegation && slices.Contains(bits, dns.TypeCNAME) {
		t.Errorf("%s: proof %v says that there is", what, proof)
	}
	none := slices.Equal(bits, []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME})
	if none != (plain.Rcode == dns.RcodeNameError) {
		t.Errorf("%s: proof %v of %s", what, proof, dns.RcodeToString[plain.Rcode])
	}
	want := dns.RcodeSuccess
	if none && q.IsEdns0().Co() || plain.Rcode == dns.RcodeYXDomain {
		want = plain.Rcode
	}
	if m.Rcode != want {
		t.Errorf("%s: %s, want %s", what, dns.RcodeToString[m.Rcode], dns.RcodeToString[want])
	}
}

// covered looks for the gap in which a name is, below an encloser that has so many labels (RFC 4035 section 5.3.4).
func covered(t *testing.T, what string, gaps map[*dns.NSEC]bool, name string, labels int) {
	t.Helper()
	for g := range gaps {
		closest := max(dns.CompareDomainName(g.Hdr.Name, name), dns.CompareDomainName(g.NextDomain, name))
		if canonically(g.Hdr.Name, name) < 0 && canonically(name, g.NextDomain) < 0 && closest == labels {
			gaps[g] = true
			return
		}
	}
	t.Errorf("%s: no proof that nothing is closer to %s than %d labels: %v", what, name, labels, slices.Collect(maps.Keys(gaps)))
}

// canonically compares names as RFC 4034 section 6.1 has it.
func canonically(a, b string) int {
	labels := func(name string) (out [][]byte) {
		wire := make([]byte, 256)
		if _, err := dns.PackDomainName(strings.ToLower(name), wire, 0, nil, false); err != nil {
			panic(err)
		}
		for ; wire[0] != 0; wire = wire[1+wire[0]:] {
			out = append(out, wire[1:1+wire[0]])
		}
		slices.Reverse(out)
		return out
	}
	return slices.CompareFunc(labels(a), labels(b), bytes.Compare)
}

// A proof says what there is, and nothing else.
func TestTruthfulBitmaps(t *testing.T) {
	w, stanza := signedShop(t)
	generated(t, w.dir+"/keys", anyKey(t, "example.com.", dnskey.ED25519))
	f := w.serving(stanza + "dnssec DIR/keys\n}")
	for name, want := range map[string]string{
		"":                            "NS SOA MX RRSIG NSEC DNSKEY CDS CDNSKEY CAA",
		"mail":                        "A RRSIG NSEC",
		"ent":                         "RRSIG NSEC",
		"x.wild":                      "A TXT RRSIG NSEC",
		"none":                        "RRSIG NSEC NXNAME",
		"fed.svc":                     "RRSIG NSEC",
		"web.shop.fed.svc":            "A RRSIG NSEC",
		"six.shop.fed.svc":            "A AAAA RRSIG NSEC",
		"down.shop.fed.svc":           "HINFO RRSIG NSEC",
		"_http._tcp.web.shop.fed.svc": "SRV RRSIG NSEC",
		"shop":                        "A RRSIG NSEC",
		"a.b.hosts":                   "A RRSIG NSEC",
	} {
		q := new(dns.Msg).SetQuestion(below(name), 65399)
		q.SetEdns0(1232, true)
		m, _ := f.ask(t, q)
		var got []string
		for _, rr := range m.Ns {
			if n, ok := rr.(*dns.NSEC); ok { // that of a gap has the wildcard's types, too
				got = got[:0]
				for _, b := range n.TypeBitMap {
					got = append(got, dns.TypeToString[b])
				}
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", below(name), s, want)
		}
	}
}

// Keys that are wrong are said at the start; once it has started, the last good ones stay.
func TestWrongKeys(t *testing.T) {
	w, stanza := signedShop(t)
	k := anyKey(t, "example.com.", dnskey.ED25519)
	dir := generated(t, w.dir+"/keys", k)
	build := func(more string) error {
		stanzas, err := parsedUnder(t, strings.ReplaceAll(stanza+more+"\n}", "DIR", w.dir), "example.com.:1053")
		if err == nil {
			_, err = build(stanzas, nil)
		}
		return err
	}
	for more, want := range map[string]string{
		"dnssec":                             "dnssec: needs the folder with the keys",
		"dnssec DIR/nothing":                 "nothing.key",
		"dnssec DIR/a":                       "no key in it",
		"dnssec DIR/keys DIR/keys":           "stands twice",
		"dnssec DIR/keys\ndnssec DIR/others": "dnssec",
	} {
		if err := build(more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", more, err, want)
		}
	}
	f := w.serving(stanza + "dnssec DIR/keys\n}")
	z := f.signing.zones[0]
	ask := func() *dns.RRSIG {
		q := new(dns.Msg).SetQuestion("mail.example.com.", dns.TypeA)
		q.SetEdns0(1232, true)
		m, _ := f.ask(t, q)
		for _, rr := range m.Answer {
			if s, ok := rr.(*dns.RRSIG); ok {
				return s
			}
		}
		t.Fatalf("unsigned: %v", m)
		return nil
	}
	if err := os.Chmod(k.Path+".private", 0o444); err != nil {
		t.Fatal(err)
	}
	z.look(time.Now())
	if s := ask(); s.KeyTag != k.Tag() || !strings.Contains(z.problem, "chmod 0400") {
		t.Error(s, z.problem)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	z.look(time.Now())
	if s := ask(); s.KeyTag != k.Tag() || z.problem == "" {
		t.Error(s, z.problem)
	}
	// Another key comes, and the first ends.
	next := anyKey(t, "example.com.", dnskey.ED25519)
	k.Dates.Inactive = time.Now().Add(-time.Minute)
	generated(t, dir, k, next)
	z.look(time.Now())
	if s := ask(); s.KeyTag != next.Tag() || z.problem != "" {
		t.Error(s, z.problem)
	}
	// All end.
	z.keys[0].Dates.Inactive, z.keys[1].Dates.Inactive = time.Now().Add(time.Minute), time.Now().Add(time.Minute)
	z.plan.Next = time.Now()
	z.look(time.Now())
	if z.problem != "" || !z.noticed {
		t.Error("no warning of the end", z.problem)
	}
	z.look(time.Now().Add(2 * time.Minute))
	if s := ask(); s == nil || !strings.Contains(z.problem, "is active") {
		t.Error(z.problem)
	}
}

// Files that are seen while they are written, up to whatever byte, leave the keys that sign: their own, and another's.
func TestKeysHalfWritten(t *testing.T) {
	w, stanza := signedShop(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	k := anyKey(t, "example.com.", dnskey.ED25519)
	next, err := dnskey.Generate("example.com.", dnskey.ED25519, true, 60, dnskey.Dates{Created: at, Publish: at, Activate: at, Inactive: at.Add(30 * 24 * time.Hour), Delete: at.Add(40 * 24 * time.Hour), SyncPublish: at})
	if err != nil {
		t.Fatal(err)
	}
	dir := generated(t, w.dir+"/keys", k)
	f := w.serving(stanza + "dnssec DIR/keys\n}")
	z := f.signing.zones[0]
	signs := func() bool { // the first one
		q := new(dns.Msg).SetQuestion("mail.example.com.", dns.TypeA)
		q.SetEdns0(1232, true)
		m, _ := f.ask(t, q)
		return slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { s, ok := rr.(*dns.RRSIG); return ok && s.KeyTag == k.Tag() })
	}
	later := generated(t, t.TempDir(), next)
	for _, name := range []string{k.FileName() + ".key", k.FileName() + ".private", next.FileName() + ".key", next.FileName() + ".private"} {
		from := dir
		if strings.HasPrefix(name, next.FileName()) {
			from = later
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(text) + 1 {
			if err := os.WriteFile(filepath.Join(dir, name), text[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if z.look(time.Now()); !signs() {
				t.Fatalf("%s, %d bytes of %d: the key doesn't sign; %s", name, n, len(text), z.problem)
			}
		}
		if z.problem != "" {
			t.Errorf("%s is whole: %s", name, z.problem)
		}
	}
}

// A zone that is transferred has a chain of NSEC records and all signatures; delegations and glue have none.
func TestSignedTransfer(t *testing.T) {
	w, stanza := signedShop(t)
	k := anyKey(t, "example.com.", dnskey.ECDSAP256SHA256)
	generated(t, w.dir+"/keys", k)
	f := w.serving(stanza + "dnssec DIR/keys\n}")
	rr, err := dns.NewRR(k.Record())
	if err != nil {
		t.Fatal(err)
	}
	sets, next := map[string][]dns.RR{}, map[string]string{}
	var sigs []*dns.RRSIG
	all := records(f.Domains[0].Transfer(&f.Block, zone.Secondary{}, nil))
	for _, rr := range all[:len(all)-1] {
		h := rr.Header()
		switch rr := rr.(type) {
		case *dns.RRSIG:
			sigs = append(sigs, rr)
			continue
		case *dns.NSEC:
			next[h.Name] = rr.NextDomain
		}
		id := h.Name + " " + dns.TypeToString[h.Rrtype]
		sets[id] = append(sets[id], rr)
	}
	for _, s := range sigs {
		id := s.Hdr.Name + " " + dns.TypeToString[s.TypeCovered]
		if err := s.Verify(rr.(*dns.DNSKEY), sets[id]); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		for _, rr := range sets[id] { // which Verify doesn't look at
			if rr.Header().Ttl != s.OrigTtl {
				t.Errorf("%s: signed with the TTL %d: %v", id, s.OrigTtl, rr)
			}
		}
		delete(sets, id)
	}
	for id := range sets {
		if id != "lab.example.com. NS" && id != "safe.example.com. NS" && !strings.HasPrefix(id, "ns.lab.") && !strings.HasPrefix(id, "ns.safe.") {
			t.Errorf("%s isn't signed", id)
		}
	}
	at := "example.com."
	for range len(next) - 1 {
		if at = next[at]; at == "example.com." {
			t.Fatal("the chain is short")
		}
	}
	if next[at] != "example.com." || next["lab.example.com."] == "ns.lab.example.com." {
		t.Errorf("the chain ends with %s, which leads to %s", at, next[at])
	}
	serial := all[0].(*dns.SOA).Serial - 1
	if tr := f.Domains[0].Transfer(&f.Block, zone.Secondary{}, &serial); tr.Form != zone.Whole {
		t.Error(tr.Form)
	}
	z := f.signing.zones[0]
	if now := time.Now(); z.edition(now) == z.edition(now.Add(resigned)) {
		t.Error("secondaries don't hear of new signatures")
	}
}

// What a cluster's own names lead to in a signed domain is signed; that they aren't themselves, their parent proves, if it is
// signed, too.
func TestSignedLocal(t *testing.T) {
	w, stanza := signedShop(t)
	k := anyKey(t, "example.com.", dnskey.ED25519)
	generated(t, w.dir+"/keys", k)
	for _, inside := range []string{"cluster.local", "cluster.example.com"} {
		f := w.servingUnder(stanza+"dnssec DIR/keys\nlocal a "+inside+"\n}", "example.com.:1053", inside+".:1053")
		ask := func(name string, qtype uint16) *dns.Msg {
			q := new(dns.Msg).SetQuestion(name, qtype)
			q.SetEdns0(1232, true)
			m, _ := f.ask(t, q)
			return m
		}
		sigs := func(rrs []dns.RR) (out []string) {
			for _, rr := range rrs {
				if s, ok := rr.(*dns.RRSIG); ok {
					out = append(out, s.Hdr.Name+" "+dns.TypeToString[s.TypeCovered]+" by "+s.SignerName)
				}
			}
			return out
		}
		const home = "web.shop.fed.svc.eu-a.eu.example.com. A by example.com."
		if m := ask("web.shop.fed.svc."+inside+".", dns.TypeA); len(m.Answer) != 3 || !slices.Equal(sigs(m.Answer), []string{home}) {
			t.Errorf("%s: %v", inside, m)
		}
		m := ask("web.shop.fed.svc."+inside+".", dns.TypeAAAA)
		if got := sigs(m.Ns); !slices.Equal(got, []string{"example.com. SOA by example.com.", "web.shop.fed.svc.eu-a.eu.example.com. NSEC by example.com."}) {
			t.Errorf("%s: %q\n%v", inside, got, m)
		}
		if m := ask("none.shop.fed.svc."+inside+".", dns.TypeA); len(sigs(m.Ns)) > 0 || m.Rcode != dns.RcodeNameError {
			t.Errorf("%s: %v", inside, m)
		}
		if inside == "cluster.local" {
			continue
		}
		for name, want := range map[string]string{"fed.svc.cluster.example.com.": "NS RRSIG NSEC", "svc.cluster.example.com.": "RRSIG NSEC", "cluster.example.com.": "RRSIG NSEC", "clusters.example.com.": "RRSIG NSEC NXNAME"} {
			m := ask(name, dns.TypeDS)
			got := ""
			for _, rr := range m.Ns {
				if n, ok := rr.(*dns.NSEC); ok {
					got = strings.Join(strings.Fields(n.String())[5:], " ")
				}
			}
			if got != want {
				t.Errorf("DS of %s: %s, want %s\n%v", name, got, want, m)
			}
		}
	}
}

// A CNAME that leads to another signed domain of the server block is signed by its own, and what it leads to by that one's.
func TestSignedAcross(t *testing.T) {
	w, _ := signedShop(t)
	com := anyKey(t, "example.com.", dnskey.ED25519)
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	org, err := dnskey.Generate("example.org.", dnskey.ECDSAP256SHA256, true, 60, dnskey.Dates{Created: then, Publish: then, Activate: then})
	if err != nil {
		t.Fatal(err)
	}
	generated(t, w.dir+"/keys", com, org)
	stanza := func(name, domain, apex string) string {
		return "federation " + name + " " + domain + " {\ncluster a {\nmanifests DIR/a\n}\nrrl off\ndnssec DIR/keys\napex " + w.write(domain, apex) + "\n}\n"
	}
	f := w.servingUnder(stanza("fed", "example.com", "@ 60 SOA ns host 1 2 3 4 5\n@ NS ns\nover CNAME web.shop.other.svc.example.org.\nlost CNAME none.example.org.\nh1 CNAME h2\nh2 CNAME h3\nh3 CNAME h4\nh4 CNAME web.shop.other.svc.example.org.\ntree DNAME example.org.\n")+
		stanza("other", "example.org", "@ 60 SOA ns host 1 2 3 4 5\n@ NS ns\nmail A 192.0.2.25\n"), "example.com.:1053", "example.org.:1053")
	r := f.responder(t, "")
	for name, want := range map[string]string{
		"over":                             "CNAME by example.com., A by example.org.",
		"lost":                             "CNAME by example.com., SOA by example.org., NSEC by example.org.",
		"mail.tree":                        "DNAME by example.com., A by example.org.",
		"h1":                               "CNAME by example.com., CNAME by example.com., CNAME by example.com., CNAME by example.com., A by example.org.",
		strings.Repeat("x.", 100) + "tree": "DNAME by example.com., SOA by example.org., NSEC by example.org.",
	} {
		for size := uint16(512); size < 1232; size += 7 { // whatever there is room for, it can be read
			q := new(dns.Msg).SetQuestion(below(name), dns.TypeA)
			q.SetEdns0(size, true)
			if m := past(t, r, q); m.Truncated && len(m.Answer) > 0 && m.Answer[len(m.Answer)-1].Header().Rrtype != dns.TypeRRSIG {
				t.Errorf("%s, %d bytes: %v", name, size, m)
			}
		}
		q := new(dns.Msg).SetQuestion(below(name), dns.TypeA)
		q.SetEdns0(1232, true)
		m := past(t, r, q)
		var got []string
		for _, rr := range slices.Concat(m.Answer, m.Ns) {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			got = append(got, dns.TypeToString[sig.TypeCovered]+" by "+sig.SignerName)
			key, err := dns.NewRR(map[string]*dnskey.Key{"example.com.": com, "example.org.": org}[sig.SignerName].Record())
			if err != nil {
				t.Fatal(err)
			}
			var set []dns.RR
			for _, rr := range slices.Concat(m.Answer, m.Ns) {
				if h := rr.Header(); h.Rrtype == sig.TypeCovered && h.Name == sig.Hdr.Name {
					set = append(set, rr)
				}
			}
			if err := sig.Verify(key.(*dns.DNSKEY), set); err != nil {
				t.Errorf("%s: %v: %v", name, sig, err)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: %s, want %s\n%v", name, s, want, m)
		}
	}
}

// Random names get TC when too many were asked for, and are answered over TCP; names that exist are answered all the while.
func TestSignedFlood(t *testing.T) {
	w, stanza := signedShop(t)
	generated(t, w.dir+"/keys", anyKey(t, "example.com.", dnskey.ED25519))
	f := w.serving(stanza + "dnssec DIR/keys\n}")
	d := f.Domains[0]
	d.Signer = dnssec.NewSigner(d.Name, dnssec.NewKept(0))
	d.Signer.Use(&f.signing.zones[0].plan)
	if err := f.Publish(d, d.Static.Load()); err != nil {
		t.Fatal(err)
	}
	r := f.responder(t, "")
	for name, cut := range map[string]bool{"none": true, "x.y.wild": false, "a.b.hosts": false, "gone": true, "mail": false, "web.shop.fed.svc": false, "x.alias": false, "shop": false} {
		q := new(dns.Msg).SetQuestion(below(name), dns.TypeA)
		q.SetEdns0(1232, true)
		if m := past(t, r, q); m == nil || m.Truncated != cut || cut && len(m.Answer)+len(m.Ns) > 0 {
			t.Errorf("%s: %v", name, m)
		}
		if name == "gone" {
			continue // the chain asks a server
		}
		if m, _ := f.askBy(t, &test.ResponseWriter{TCP: true}, q.Copy()); m.Truncated || len(m.Answer)+len(m.Ns) == 0 {
			t.Errorf("%s over TCP: %v", name, m)
		}
		q.IsEdns0().Hdr.Ttl = 0
		if m := past(t, r, q); m == nil || m.Truncated {
			t.Errorf("%s without DO: %v", name, m)
		}
	}
}

// What is drawn by weight is signed once for each set that is drawn, of which there are as many as shards: what is
// asked again finds its signature.
func TestSignedByWeight(t *testing.T) {
	const clusters, questions = 12, 600
	w := &world{t: t, dir: t.TempDir()}
	stanza := "federation fed {\npolicy weighted 4\nrrl off\ndnssec DIR/keys\n"
	for i := range clusters {
		name := fmt.Sprint("c", i)
		w.cluster(name, vector.Node("n", "r"+name, "z"+name),
			vector.With(vector.Service("shop", "web", fmt.Sprint("192.0.2.", i+1)), "fedns.io/weight", fmt.Sprint(i+1)), vector.Slice("shop", "web", true, "z"+name))
		stanza += "cluster " + name + " {\nmanifests DIR/" + name + "\n}\n"
	}
	k := anyKey(t, "example.com.", dnskey.ECDSAP256SHA256)
	generated(t, w.dir+"/keys", k)
	f := w.serving(stanza + "}")
	r := f.responder(t, "")
	q := new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA)
	q.SetEdns0(1232, true)
	before := f.signing.kept.Made.Load()
	for range questions {
		m := past(t, r, q)
		if m == nil || len(m.Answer) != 5 {
			t.Fatal(m)
		}
		verified(t, "a drawn set", k, q, m, m)
	}
	if made := f.signing.kept.Made.Load() - before; made > clusters {
		t.Errorf("%d signatures for %d answers of %d shards", made, questions, clusters)
	}
}

// BenchmarkSigned answers questions past the chain, of an unsigned domain and of a signed one.
func BenchmarkSigned(b *testing.B) {
	for _, a := range []dnskey.Algorithm{0, dnskey.ECDSAP256SHA256, dnskey.ED25519} {
		w, stanza := signedShop(b)
		what := "unsigned"
		if a != 0 {
			generated(b, w.dir+"/keys", anyKey(b, "example.com.", a))
			stanza += "dnssec DIR/keys\n"
			what = a.String()
		}
		f := w.serving(stanza + "}")
		if a != 0 { // without a budget
			d := f.Domains[0]
			d.Signer = dnssec.NewSigner(d.Name, dnssec.NewKept(1<<31))
			d.Signer.Use(&f.signing.zones[0].plan)
			if err := f.Publish(d, d.Static.Load()); err != nil {
				b.Fatal(err)
			}
		}
		r := f.responder(b, "")
		for _, q := range []struct {
			what, name string
			random     bool
		}{
			{"address", "web.shop.fed.svc", false}, {"chain", "web.shop.fed.svc.as-c.as", false}, {"no such type", "mail", false},
			{"no such name again", "none", false}, {"no such name", "xxxxxxxx.mail", true}, {"wildcard", "xxxxxxxx.wild", true},
		} {
			for _, do := range []bool{false, true} {
				m := new(dns.Msg).SetQuestion(below(q.name), dns.TypeA)
				if q.what == "no such type" {
					m.Question[0].Qtype = dns.TypeMX
				}
				m.SetEdns0(1232, do)
				query, err := m.Pack()
				if err != nil {
					b.Fatal(err)
				}
				from := netip.MustParseAddrPort("127.0.0.1:4711")
				p := packet.New(query, from, unheard)
				b.Run(fmt.Sprintf("%s/%s/DO=%v", what, strings.ReplaceAll(q.what, " ", "_"), do), func(b *testing.B) {
					b.ReportAllocs()
					r.Begin()
					n := 0
					for b.Loop() {
						copy(p.Buf, query)
						p.N = len(query)
						if q.random {
							n++
							copy(p.Buf[13:], fmt.Appendf(nil, "%08d", n)) // past the header, and the length of the label
						}
						if r.Respond(p) == 0 {
							b.Fatal("the chain's")
						}
					}
					r.End()
				})
			}
		}
	}
}
