package peers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// signedApex stands beside the federation that is signed.
const signedApex = `$TTL 60
@ SOA ns1 host 1 2 3 4 1
@ NS ns1
@ MX 10 Mail
ns1 A 127.0.0.1
mail A 192.0.2.25
mail 30 A 192.0.2.26
*.wild A 192.0.2.99
*.alias CNAME mail
deep.ent TXT "Upper Case"
lab NS ns.lab
ns.lab A 192.0.2.54
www CNAME web.shop.prod.svc
tree DNAME ent
srv SRV 1 2 80 Mail
`

// signedStanza is a Corefile of a federation under example.com in a folder, which has its keys, too.
func signedStanza(t *testing.T, dir, more string) string {
	t.Helper()
	for _, p := range []place{{"paris", "eu", []string{"eu-a"}}, {"york", "us", []string{"us-b"}}} {
		addr := map[string]string{"paris": "192.0.2.1", "york": "192.0.2.2"}[p.name]
		p.write(t, dir, vector.Service("shop", "web", addr), vector.Slice("shop", "web", p.name == "paris", p.zones[0]),
			vector.Service("shop", "six", addr, "2001:db8::1"), vector.Slice("shop", "six", true, p.zones[0]),
			vector.Ingress("shop", "front", addr, [2]string{"shop.example.com", "six"}, [2]string{"*.hosts.example.com", "six"}))
	}
	return "example.com:PORT {\n bind ADDR\n federation prod {\n" + server.Members(dir, "paris", "york") + "  apex " + write(t, dir, "apex", signedApex) +
		"\n  ttl 1s 1s\n  rrl off\n  alias example.com shop/six\n" + more + " }\n errors\n ready READY\n}\n"
}

// keyAt makes a key with dates in seconds from a moment; a date that is 0 is never. Its files are written.
func keyAt(t *testing.T, dir string, a dnskey.Algorithm, entry bool, from time.Time, publish, activate, inactive, remove, sync int) *dnskey.Key {
	t.Helper()
	at := func(n int) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return from.Add(time.Duration(n) * time.Second).Truncate(time.Second)
	}
	k, err := dnskey.Generate("example.com.", a, entry, 1, dnskey.Dates{Created: from.Truncate(time.Second), Publish: at(publish), Activate: at(activate), Inactive: at(inactive), Delete: at(remove), SyncPublish: at(sync)})
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		_, err = k.Write(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signedParent is NSD with a zone com that BIND's tools have signed, and the DS record of a key of
// example.com: where it answers, and its own DNSKEY record.
func signedParent(t *testing.T, k *dnskey.Key) (addr, anchor string) {
	t.Helper()
	port := vector.Port(t)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), signedCom(t, "127.0.0.1", port, "127.0.0.1", k)
}

// signedCom starts that at an address; example.com is at another.
func signedCom(t *testing.T, addr string, port int, child string, k *dnskey.Key) (anchor string) {
	t.Helper()
	dir := t.TempDir()
	name := strings.TrimSpace(lastLine(output(t, server.Tool(t, "dnssec-keygen"), "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", "com")))
	zone := fmt.Sprintf("$TTL 1\ncom. SOA ns.com. nobody.com. 1 1800 900 604800 1\ncom. NS ns.com.\nns.com. A %s\nexample.com. NS ns1.example.com.\nns1.example.com. A %s\nexample.com. DS %s\n", addr, child, k.DSText())
	output(t, server.Tool(t, "dnssec-signzone"), "-S", "-z", "-K", dir, "-d", dir, "-o", "com", "-f", filepath.Join(dir, "signed"), write(t, dir, "zone", zone))
	server.Program(t, server.Tool(t, "nsd"), "-d", "-c", write(t, dir, "nsd.conf", nsdConf(dir, addr, port, map[string]string{"com": "signed"})))
	text, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(lastLine(string(text)))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// validator is unbound, which trusts a key and asks each zone at its address.
func validator(t *testing.T, anchor string, zones map[string][]string) string {
	t.Helper()
	dir, own := t.TempDir(), vector.Port(t)
	conf := strings.Replace(unboundConf("127.0.0.1", own), `"iterator"`, `"validator iterator"`, 1) +
		fmt.Sprintf("server:\n  trust-anchor: %q\n  val-log-level: 2\n  cache-max-negative-ttl: 1\n  harden-below-nxdomain: yes\n  aggressive-nsec: yes\n  val-bogus-ttl: 1\n  infra-host-ttl: 1\n", anchor)
	for zone, addrs := range zones {
		conf += fmt.Sprintf("stub-zone:\n  name: %s\n", zone)
		for _, addr := range addrs {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			conf += fmt.Sprintf("  stub-addr: %s@%s\n", host, port)
		}
	}
	server.Program(t, server.Tool(t, "unbound"), "-d", "-p", "-c", write(t, dir, "unbound.conf", conf))
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(own))
	server.Eventually(t, time.Minute, "unbound listens", func() bool { // it knows localhost by itself
		c := dns.Client{Timeout: time.Second}
		_, _, err := c.Exchange(new(dns.Msg).SetQuestion("localhost.", dns.TypeA), addr)
		return err == nil
	})
	return addr
}

// validated asks a validating resolver.
func validated(t *testing.T, addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := signedQuestion(name, qtype)
	c := dns.Client{Timeout: 10 * time.Second}
	out, _, err := c.Exchange(m, addr)
	if err == nil && out.Truncated {
		c.Net = "tcp"
		out, _, err = c.Exchange(m, addr)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return out
}

// Everything that is asked below a signed parent is secure to unbound and delv, and says what it says without
// signatures.
func TestDNSSEC(t *testing.T) {
	dir := t.TempDir()
	k := keyAt(t, filepath.Join(dir, "keys"), dnskey.ECDSAP256SHA256, true, time.Now(), -60, -60, 0, 0, -60)
	corefile := signedStanza(t, dir, "")
	plain := startFedns(t, corefile)
	corefile = strings.Replace(corefile, "  rrl off\n", "  rrl off\n  transfer 127.0.0.0/8\n  dnssec "+dir+"/keys\n", 1)
	signed := startFedns(t, corefile)
	twice := server.Launch(t, strings.Replace(corefile, " errors\n", " dnssec {\n  key file "+k.Path+"\n }\n errors\n", 1))
	server.Eventually(t, time.Minute, "it doesn't start where two would sign", twice.Exited)
	printed(twice.Log()).check(t, "plugin dnssec is in the server block of example.com., too")
	parent, anchor := signedParent(t, k)
	unbound := validator(t, anchor, map[string][]string{"com": {parent}, "example.com": {signed.Addr}})
	server.Eventually(t, time.Minute, "unbound and NSD answer", func() bool {
		c := dns.Client{Timeout: time.Second}
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), unbound)
		return err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0
	})
	n := 0
	for _, name := range []string{
		"", "mail", "MAIL", "none", "x.mail", "ent", "deep.ent", "x.y.wild", "b.alias", "www", "tree", "deep.tree", "srv", "svc", "prod.svc", "shop.prod.svc", "none.shop.prod.svc",
		"web.shop.prod.svc", "web.shop.prod.svc.eu", "web.shop.prod.svc.eu-a.eu", "web.shop.prod.svc.us-b.us", "WEB.shop.prod.svc.us-b", "web.shop.prod.svc.nowhere", "six.shop.prod.svc",
		"_http._tcp.web.shop.prod.svc", "_http._tcp.web.shop.prod.svc.us", "_tcp.web.shop.prod.svc", "shop", "x.shop", "a.b.hosts", "hosts",
	} {
		owner := strings.TrimPrefix(name+".example.com.", ".")
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeDS, dns.TypeDNSKEY, dns.TypeCDS, 65399} {
			if name == "" && (qtype == dns.TypeDNSKEY || qtype == dns.TypeCDS || qtype == dns.TypeDS) {
				continue // the parent's, or those of keys
			}
			if name == "deep.tree" && qtype == dns.TypeCNAME {
				continue // unbound 1.17 looks for a DS record there, and takes the DNAME for bogus; delv below doesn't
			}
			want := plain.Ask(t, owner, qtype)
			got := validated(t, unbound, owner, qtype)
			what := fmt.Sprint(owner, " ", dns.TypeToString[qtype])
			if got.Rcode != dns.RcodeSuccess || !got.AuthenticatedData {
				t.Errorf("%s: %s, AD %v\n%v", what, dns.RcodeToString[got.Rcode], got.AuthenticatedData, got)
			}
			if a, b := records(got), records(want); a != b {
				t.Errorf("%s:\n%s, want\n%s", what, a, b)
			}
			n++
		}
	}
	t.Log(n, "questions")
	if m := validated(t, unbound, "lab.example.com.", dns.TypeDS); !m.AuthenticatedData || m.Rcode != dns.RcodeSuccess || len(m.Answer) > 0 {
		t.Errorf("that a delegation isn't signed: %v", m)
	}

	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	printed(output(t, fedctl, "keys", dir+"/keys", "--ds", "--parent", parent, "--resolver", parent)).check(t, "CSK   active  -      yes\n", "example.com. IN DS "+k.DSText(), "!fix")
	printed(output(t, fedctl, "check", "--domain", "example.com", "--servers", signed.Addr, "--parent", parent, "--resolver", parent, "--server", "http://127.0.0.1:1")).check(t, "example.com: 1 of the 1 DS records of its parent point to its keys")

	// A transfer of it, as a zone file.
	file := zoneOf(t, transfer(t, signed.Addr))
	for _, verify := range [][]string{{"dnssec-verify", "-z", "-o", "example.com"}, {"ldns-verify-zone"}, {"kzonecheck", "-d", "on", "-o", "example.com"}} {
		output(t, server.Tool(t, verify[0]), append(verify[1:], file)...)
	}

	// delv, which looks at proofs in another way, and trusts the domain's own key.
	anchors := write(t, dir, "anchors", fmt.Sprintf("trust-anchors { example.com. static-key 257 3 13 %q; };\n", regexp.MustCompile(`\S+$`).FindString(k.Record())))
	host, port, err := net.SplitHostPort(signed.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"web.shop.prod.svc.us-b.us.example.com A", "web.shop.prod.svc.example.com AAAA", "none.example.com A", "example.com SOA", "x.y.wild.example.com A", "_http._tcp.six.shop.prod.svc.example.com SRV", "deep.tree.example.com TXT", "deep.tree.example.com CNAME", "lab.example.com DS", "example.com CDS"} {
		out := output(t, server.Tool(t, "delv"), append([]string{"@" + host, "-p", port, "-a", anchors, "+root=example.com"}, strings.Fields(q)...)...)
		if !strings.Contains(out, "fully validated") || strings.Contains(out, "unsigned") {
			t.Errorf("delv %s:\n%s", q, out)
		}
	}
}

// records are the data of what answers, in their order, without signatures.
func records(m *dns.Msg) string {
	var out []string
	for _, rr := range m.Answer {
		switch h := rr.Header(); h.Rrtype {
		case dns.TypeRRSIG:
		default:
			rr = dns.Copy(rr)
			rr.Header().Ttl, rr.Header().Name = 0, strings.ToLower(h.Name)
			if soa, ok := rr.(*dns.SOA); ok {
				soa.Serial = 0
			}
			out = append(out, rr.String())
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n")
}

// A rollover is one that goes by dates, and by what its parent has.
type rollover struct {
	// begin makes the keys, and gives the one that the parent points to and the one that it is to point to.
	begin func(t *testing.T, dir string, now time.Time) (old, next *dnskey.Key)
	// end says the dates that wait for the parent.
	end  func(settime func(dates string, k *dnskey.Key), old, next *dnskey.Key)
	sign int // so many keys sign addresses in its course
}

var rollovers = map[string]rollover{
	// A ZSK, and then the CSK that takes the place of it and of the KSK.
	"ZSK and CSK": {func(t *testing.T, dir string, now time.Time) (old, next *dnskey.Key) {
		const p256 = dnskey.ECDSAP256SHA256
		keyAt(t, dir, p256, false, now, -60, -60, 6, 9, 0)
		keyAt(t, dir, p256, false, now, 2, 6, 0, 0, 0)
		return keyAt(t, dir, p256, true, now, -60, -60, 0, 0, -60), keyAt(t, dir, p256, true, now, 9, 0, 0, 0, 12)
	}, func(settime func(dates string, k *dnskey.Key), _, next *dnskey.Key) {
		settime("-A +2", next)
		settime("-I +2 -D +5", nil)
	}, 3},
	// The new algorithm's signatures come before its key, and the old one's go after it (RFC 6781 section 4.1.4).
	"algorithm": {func(t *testing.T, dir string, now time.Time) (old, next *dnskey.Key) {
		return keyAt(t, dir, dnskey.ECDSAP256SHA256, true, now, -60, -60, 0, 0, -60), keyAt(t, dir, dnskey.ED25519, true, now, 6, 2, 0, 0, 10)
	}, func(settime func(dates string, k *dnskey.Key), _, _ *dnskey.Key) {
		settime("-D +2 -I +5", nil)
	}, 2},
}

// Keys are rolled over by dates, with the DS record that BIND's dnssec-cds makes of the CDS records, and whoever asks a
// validating resolver never gets a bogus answer.
func TestRollover(t *testing.T) {
	for name, r := range rollovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			r.run(t)
		})
	}
}

func (r *rollover) run(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	now := time.Now()
	old, next := r.begin(t, keys, now)
	child := startFedns(t, signedStanza(t, dir, "  dnssec "+keys+"\n"))
	settime := func(dates string, k *dnskey.Key) { // of a key, or of all that are published but the next one: those that have gone stay away
		t.Helper()
		list, err := dnskey.Load(keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			if o.Tag() == next.Tag() && k != nil || o.Tag() != next.Tag() && k == nil && o.Published(time.Now()) {
				output(t, server.Tool(t, "dnssec-settime"), append(strings.Fields(dates), "-K", keys, o.FileName())...)
			}
		}
	}

	parent := newParent(t, old)
	unbound := validator(t, parent.anchor, map[string][]string{"com": {parent.Addr}, "example.com": {child.Addr}})
	server.Eventually(t, time.Minute, "unbound answers", func() bool {
		c := dns.Client{Timeout: time.Second}
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), unbound)
		return err == nil && len(m.Answer) > 0
	})

	seen := map[uint16]bool{} // keys that signed
	var delegated time.Time   // when the parent had the next key
	ended, rest, asked := false, 20, 0
	for end := time.Now().Add(3 * time.Minute); rest > 0; asked++ {
		if time.Now().After(end) {
			t.Fatalf("the rollover doesn't end; keys that signed: %v\n%s", seen, child.Log())
		}
		for _, q := range []struct {
			name string
			t    uint16
		}{{"web.shop.prod.svc.example.com.", dns.TypeA}, {fmt.Sprintf("r%d.example.com.", asked), dns.TypeA}, {"mail.example.com.", dns.TypeAAAA}, {"example.com.", dns.TypeDNSKEY}} {
			m := validated(t, unbound, q.name, q.t)
			if m.Rcode != dns.RcodeSuccess || !m.AuthenticatedData {
				t.Fatalf("%s %s, %.1fs after the beginning: %v\n%s", q.name, dns.TypeToString[q.t], time.Since(now).Seconds(), m, child.Log())
			}
			for _, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok && q.t == dns.TypeA {
					seen[s.KeyTag] = true
				}
			}
		}
		switch {
		case delegated.IsZero():
			if !slices.ContainsFunc(child.Ask(t, "example.com", dns.TypeCDS).Answer, func(rr dns.RR) bool { return rr.(*dns.CDS).KeyTag == next.Tag() }) {
				break
			}
			settime("-D sync +0", nil)
			server.Eventually(t, time.Minute, "the parent is asked for the next key alone", func() bool { return len(child.Ask(t, "example.com", dns.TypeCDS).Answer) == 1 })
			parent.delegate(t, synced(t, child.Addr, old))
			parent.pointsTo(t, next)
			delegated = time.Now()
		case !ended && time.Since(delegated) > 3*time.Second: // the TTL of the old record, and more
			r.end(settime, old, next)
			ended = true
		case ended:
			m := child.Exchange(t, "udp", signedQuestion("example.com.", dns.TypeDNSKEY))
			if len(m.Answer) == 2 && m.Answer[0].(*dns.DNSKEY).KeyTag() == next.Tag() && len(seen) == r.sign { // and its signature
				rest--
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	server.Eventually(t, time.Minute, "only the next key signs", func() bool {
		m := child.Exchange(t, "udp", signedQuestion("web.shop.prod.svc.example.com.", dns.TypeA))
		return len(m.Answer) == 2 && m.Answer[1].(*dns.RRSIG).KeyTag == next.Tag()
	})
	t.Log(4*asked, "questions; keys that signed:", seen)
}

// A parent is a fedns with a signed zone com, in which example.com is delegated: its zone file is read again when it changes.
type parent struct {
	*server.Server
	anchor string // its DNSKEY record
	zone   string // its zone file
}

// newParent points to a key.
func newParent(t *testing.T, k *dnskey.Key) *parent {
	t.Helper()
	dir := t.TempDir()
	trusted, err := dnskey.Generate("com.", dnskey.ECDSAP256SHA256, true, 1, dnskey.Dates{})
	if err == nil {
		_, err = trusted.Write(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{anchor: trusted.Record(), zone: filepath.Join(dir, "zone")}
	p.delegate(t, "example DS "+k.DSText()+"\n")
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir)
	p.Server = startFedns(t, "com:PORT {\n bind ADDR\n federation f {\n"+server.Members(dir, "paris")+"  apex "+p.zone+"\n  rrl off\n  dnssec "+dir+"\n }\n errors\n ready READY\n}\n")
	return p
}

// delegate gives the zone file other DS records. It is replaced at once, as an editor does it.
func (p *parent) delegate(t *testing.T, ds string) {
	t.Helper()
	dir := filepath.Dir(p.zone)
	write(t, dir, "next", "$TTL 1\n@ SOA ns nobody 1 1800 900 604800 1\n@ NS ns\nns A 127.0.0.1\nexample NS ns1.example\nns1.example A 127.0.0.1\n"+ds)
	if err := os.Rename(filepath.Join(dir, "next"), p.zone); err != nil {
		t.Fatal(err)
	}
}

// pointsTo waits until the parent points to one key alone.
func (p *parent) pointsTo(t *testing.T, k *dnskey.Key) {
	t.Helper()
	server.Eventually(t, time.Minute, "the parent points to the next key alone", func() bool {
		ds := p.Ask(t, "example.com", dns.TypeDS).Answer
		return len(ds) == 1 && ds[0].(*dns.DS).KeyTag == k.Tag()
	})
}

// signedQuestion asks for signatures.
func signedQuestion(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, true)
	return m
}

// synced is what dnssec-cds makes of the CDS records of example.com, as lines of the parent's zone: DS records of what a key vouches
// for that the parent points to.
func synced(t *testing.T, addr string, trusted *dnskey.Key) string {
	t.Helper()
	dir := t.TempDir()
	var all strings.Builder
	for _, qtype := range []string{"DNSKEY", "CDS", "CDNSKEY"} {
		all.WriteString(dig(t, addr, "+dnssec", "+noall", "+answer", "example.com", qtype))
	}
	// Of before the CDS records were made: else they are taken for a replay.
	set := write(t, dir, "dsset-example.com.", "example.com. IN DS "+trusted.DSText()+"\n")
	then := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(set, then, then); err != nil {
		t.Fatal(err)
	}
	out := output(t, server.Tool(t, "dnssec-cds"), "-a", "SHA-256", "-s", "-86400", "-f", write(t, dir, "child", all.String()), "-d", dir, "example.com")
	return out
}
