package federation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/cache"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/ready"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/test/framework/vector"
)

// What other plugins look for in this one.
var (
	_ cache.ZoneBypasser = (*Federation)(nil)
	_ ready.Readiness    = (*Federation)(nil)
)

func TestMain(m *testing.M) {
	clog.Discard()
	goleak.VerifyTestMain(m)
}

// A world is clusters as folders of manifests, for the tests to write to.
type world struct {
	t   testing.TB
	dir string
}

func (w *world) cluster(name string, objects ...vector.Object) {
	vector.WriteManifest(w.t, filepath.Join(w.dir, name, "objects.json"), objects...)
}

// serving starts the plugin over stanzas in which DIR stands for the world's
// folder, and waits until it is ready.
func (w *world) serving(text string) *Federation {
	w.t.Helper()
	return w.servingUnder(text, "example.com.:1053")
}

// servingUnder is serving with the keys of the server block.
func (w *world) servingUnder(text string, keys ...string) *Federation {
	w.t.Helper()
	stanzas, err := parsedUnder(w.t, strings.ReplaceAll(text, "DIR", w.dir), keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := build(stanzas, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	f.Next = test.NextHandler(dns.RcodeServerFailure, nil) // who gets here shows it
	f.start()
	w.t.Cleanup(f.stop)
	select {
	case <-f.ready:
	case <-time.After(time.Minute):
		w.t.Fatal("not ready")
	}
	return f
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// shop is a world of two clusters: web is up in eu, and without pods in us.
func shop(t testing.TB) *world {
	dir := t.TempDir()
	if strings.Contains(dir, "#") { // of a seed: in a Corefile it begins a comment
		var err error
		if dir, err = os.MkdirTemp("", "shop"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is no part of the test
	}
	w := &world{t: t, dir: dir}
	w.cluster("eu", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1", "2001:db8::1"), vector.Slice("shop", "web", true, "eu-a"))
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", false, "us-a"))
	return w
}

const both = "cluster eu {\nmanifests DIR/eu\n}\ncluster us {\nmanifests DIR/us\n}\n"

func (f *Federation) ask(t testing.TB, m *dns.Msg) (*dns.Msg, int) {
	t.Helper()
	return f.askBy(t, &test.ResponseWriter{}, m)
}

// askBy is ask over the transport of a writer.
func (f *Federation) askBy(t testing.TB, w dns.ResponseWriter, m *dns.Msg) (*dns.Msg, int) {
	t.Helper()
	rec := dnstest.NewRecorder(w)
	rcode, err := f.ServeDNS(context.Background(), rec, m)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Msg, rcode
}

func (f *Federation) dig(t testing.TB, name string, qtype uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(4096, false)
	m, rcode := f.ask(t, q)
	if m == nil {
		t.Fatalf("%s: nothing written, rcode %d", name, rcode)
	}
	return m
}

// short prints a reply: rcode, answers and authority as "TYPE data".
func short(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range rrs {
			f := strings.Fields(rr.String())
			data := strings.Join(f[4:], " ")
			if rr.Header().Rrtype == dns.TypeSOA {
				data = ""
			}
			out = append(out, strings.TrimSpace(f[3]+" "+data))
		}
		slices.Sort(out[1:])
	}
	return strings.Join(out, "; ")
}

func ede(m *dns.Msg) string {
	if o := m.IsEdns0(); o != nil {
		for _, opt := range o.Option {
			if e, ok := opt.(*dns.EDNS0_EDE); ok {
				return fmt.Sprintf("%d %s", e.InfoCode, e.ExtraText)
			}
		}
	}
	return ""
}

func TestServe(t *testing.T) {
	w := shop(t)
	apex := w.write("db", `
@ SOA ns1 hostmaster 7 7200 1800 86400 5
@ NS ns1
@ NS ns2.example.net.
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
txt.deep TXT "hello"
eu TXT "a region may have records"
* TXT "wildcard"
lab NS ns.lab
ns.lab A 192.0.2.54
gone CNAME nobody
into CNAME host.lab
away CNAME www.example.net.
to CNAME mail
`)
	f := w.serving("federation fed {\n" + both + "apex " + apex + "\n}")
	const svc = "web.shop.fed.svc."
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{svc + "example.com.", dns.TypeA, "NOERROR; A 192.0.2.1"},
		{svc + "example.com.", dns.TypeAAAA, "NOERROR; AAAA 2001:db8::1"},
		{svc + "eu-a.eu.example.com.", dns.TypeA, "NOERROR; A 192.0.2.1"},
		{svc + "us-a.example.com.", dns.TypeA, "NOERROR; A 192.0.2.1; CNAME web.shop.fed.svc.example.com.; CNAME web.shop.fed.svc.us.example.com."},
		{svc + "us.example.com.", dns.TypeTXT, "NOERROR; CNAME web.shop.fed.svc.example.com.; SOA"},
		{svc + "us.example.com.", dns.TypeCNAME, "NOERROR; CNAME web.shop.fed.svc.example.com."},
		{svc + "us.example.com.", dns.TypeANY, "NOERROR; CNAME web.shop.fed.svc.example.com."},
		{svc + "example.com.", dns.TypeANY, `NOERROR; HINFO "RFC8482" ""`},
		{svc + "example.com.", dns.TypeTXT, "NOERROR; SOA"},
		{svc + "example.com.", dns.TypeNS, "NOERROR; SOA"},
		{svc + "example.com.", dns.TypeSOA, "NOERROR; SOA"},
		{svc + "example.com.", dns.TypeDS, "NOERROR; SOA"},
		{svc + "example.com.", 1000, "NOERROR; SOA"},
		{"_http._tcp." + svc + "eu.example.com.", dns.TypeSRV, "NOERROR; SRV 0 0 80 web.shop.fed.svc.eu.example.com."},
		{"_http._tcp." + svc + "us.example.com.", dns.TypeSRV, "NOERROR; CNAME _http._tcp.web.shop.fed.svc.example.com.; SRV 0 0 80 web.shop.fed.svc.example.com."},
		{"_tcp." + svc + "us.example.com.", dns.TypeSRV, "NOERROR; SOA"},
		{"other.shop.fed.svc.example.com.", dns.TypeA, "NXDOMAIN; SOA"},

		{"example.com.", dns.TypeSOA, "NOERROR; SOA"},
		{"example.com.", dns.TypeNS, "NOERROR; NS ns1.example.com.; NS ns2.example.net."},
		{"example.com.", dns.TypeMX, "NOERROR; MX 10 mail.example.com."},
		{"example.com.", dns.TypeA, "NOERROR; SOA"},
		{"example.com.", dns.TypeANY, `NOERROR; HINFO "RFC8482" ""`},
		{"ns1.example.com.", dns.TypeA, "NOERROR; A 192.0.2.53"},
		{"ns1.example.com.", dns.TypeAAAA, "NOERROR; SOA"},
		{"deep.example.com.", dns.TypeTXT, "NOERROR; SOA"},
		{"txt.deep.example.com.", dns.TypeTXT, `NOERROR; TXT "hello"`},
		{"eu.example.com.", dns.TypeTXT, `NOERROR; TXT "a region may have records"`},
		{"eu.example.com.", dns.TypeA, "NOERROR; SOA"},
		{"us.example.com.", dns.TypeTXT, "NOERROR; SOA"}, // exists, and so no wildcard
		{"anything.example.com.", dns.TypeTXT, `NOERROR; TXT "wildcard"`},
		{"anything.else.example.com.", dns.TypeTXT, `NOERROR; TXT "wildcard"`},
		{"anything.us.example.com.", dns.TypeTXT, "NXDOMAIN; SOA"},  // us is a closer encloser
		{"anything.svc.example.com.", dns.TypeTXT, "NXDOMAIN; SOA"}, // svc too
		{"host.lab.example.com.", dns.TypeA, "NOERROR; NS ns.lab.example.com."},
		{"txt.deep.example.com.", dns.TypeANY, `NOERROR; HINFO "RFC8482" ""`},
		{"into.example.com.", dns.TypeA, "NOERROR; CNAME host.lab.example.com.; NS ns.lab.example.com."},
		{"to.example.com.", dns.TypeA, "NOERROR; A 192.0.2.25; CNAME mail.example.com."},
		{"away.example.com.", dns.TypeCNAME, "NOERROR; CNAME www.example.net."},
	} {
		if got := short(f.dig(t, tt.name, tt.qtype)); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.name, dns.TypeToString[tt.qtype], got, tt.want)
		}
	}
	for name, want := range map[string]bool{"into.example.com.": true, "lab.example.com.": false, "x.lab.example.com.": false, svc + "example.com.": true, "nope.us.example.com.": true} {
		if m := f.dig(t, name, dns.TypeA); m.Authoritative != want || m.RecursionAvailable {
			t.Errorf("%s: AA %v, want %v; RA %v", name, m.Authoritative, want, m.RecursionAvailable)
		}
	}
}

// The SOA of a negative answer has MINIMUM for its TTL, that of an answer its own;
// both have the serial of the snapshot.
func TestSOA(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	apex := f.dig(t, "example.com.", dns.TypeSOA).Answer[0].(*dns.SOA)
	neg := f.dig(t, "nope.example.com.", dns.TypeA).Ns[0].(*dns.SOA)
	if apex.Hdr.Ttl != 3600 || neg.Hdr.Ttl != 5 || neg.Minttl != 5 || apex.Serial != neg.Serial || time.Since(time.Unix(int64(apex.Serial), 0)).Abs() > time.Minute {
		t.Errorf("%v\n%v", apex, neg)
	}
}

func TestReasons(t *testing.T) {
	w := shop(t)
	w.cluster("eu", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", false, "eu-a"))
	f := w.serving("federation fed {\n" + both + "}")
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"web.shop.fed.svc.example.com.", dns.TypeA, "0 no shard is up: no ready endpoint in 2 clusters"},
		{"web.shop.fed.svc.us.example.com.", dns.TypeA, "0 no shard is up: no ready endpoint in 2 clusters"},
		{"fed.svc.example.com.", dns.TypeA, "0 empty non-terminal"},
		{"nope.example.com.", dns.TypeA, ""},
		{"nope.shop.fed.svc.example.com.", dns.TypeA, "0 no member has the service"},
		{"web.nope.fed.svc.eu.example.com.", dns.TypeA, "0 no such namespace"},
		{"web.shop.nope.svc.example.com.", dns.TypeA, "0 no federation of this name"},
		{"web.shop.fed.svc.nope.example.com.", dns.TypeA, "0 no member in this zone or region"},
		{"_nope._tcp.web.shop.fed.svc.example.com.", dns.TypeSRV, "0 no port of this name"},
		{"web.shop.fed.svc.example.com.", dns.TypeNXNAME, "30 NXNAME can't be asked for"},
	} {
		if got := ede(f.dig(t, tt.name, tt.qtype)); got != tt.want {
			t.Errorf("%s: EDE %q, want %q", tt.name, got, tt.want)
		}
	}
	if m, _ := f.ask(t, new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA)); m.IsEdns0() != nil {
		t.Error("a client without EDNS gets an OPT record")
	}
}

func TestMeta(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	for qtype, want := range map[uint16]int{
		dns.TypeAXFR: dns.RcodeRefused, dns.TypeIXFR: dns.RcodeRefused, dns.TypeOPT: dns.RcodeFormatError,
		dns.TypeTSIG: dns.RcodeFormatError, dns.TypeTKEY: dns.RcodeFormatError, dns.TypeNXNAME: dns.RcodeFormatError,
		dns.TypeMAILB: dns.RcodeSuccess,
	} {
		if m := f.dig(t, "web.shop.fed.svc.example.com.", qtype); m.Rcode != want {
			t.Errorf("type %d: %s, want %s", qtype, dns.RcodeToString[m.Rcode], dns.RcodeToString[want])
		}
	}
}

func TestNotify(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	if m, _ := f.ask(t, new(dns.Msg).SetNotify("example.com.")); m.Rcode != dns.RcodeRefused || m.Authoritative {
		t.Errorf("a notification is acknowledged: %v", m)
	}
}

func TestFallthrough(t *testing.T) {
	w := shop(t)
	for _, tt := range []struct {
		property, name string
		through        bool
	}{
		{"", "web.shop.other.svc.example.com.", false},
		{"", "www.example.org.", true}, // another domain
		{"fallthrough", "web.shop.other.svc.example.com.", true},
		{"fallthrough", "www.example.com.", true},
		{"fallthrough", "web.shop.fed.svc.example.com.", false},
		{"fallthrough", "fed.svc.example.com.", false},
		{"fallthrough sub.example.com", "x.sub.example.com.", true},
		{"fallthrough sub.example.com", "www.example.com.", false},
	} {
		f := w.serving("federation fed {\n" + both + tt.property + "\n}")
		_, rcode := f.ask(t, new(dns.Msg).SetQuestion(tt.name, dns.TypeA))
		if (rcode == dns.RcodeServerFailure) != tt.through {
			t.Errorf("%q, %s: rcode %d; goes on: %v, want %v", tt.property, tt.name, rcode, !tt.through, tt.through)
		}
	}
}

// Several federations share a domain, and one has a second domain.
func TestFederations(t *testing.T) {
	w := shop(t)
	w.cluster("lab", vector.Node("n", "lab", "lab-a"), vector.Service("x", "y", "203.0.113.1"), vector.Slice("x", "y", true, "lab-a"))
	f := w.serving("federation fed {\n" + both + "}\nfederation two example.com sub.example.com {\ncluster lab {\nmanifests DIR/lab\n}\nttl 60\n}")
	for name, want := range map[string]string{
		"web.shop.fed.svc.example.com.":     "NOERROR; A 192.0.2.1",
		"y.x.two.svc.example.com.":          "NOERROR; A 203.0.113.1",
		"y.x.two.svc.lab.example.com.":      "NOERROR; A 203.0.113.1",
		"y.x.two.svc.lab.sub.example.com.":  "NOERROR; A 203.0.113.1",
		"web.shop.fed.svc.sub.example.com.": "NXDOMAIN; SOA",
		"y.x.two.svc.eu.example.com.":       "NXDOMAIN; SOA",
		"svc.lab.example.com.":              "NOERROR; SOA",
	} {
		if got := short(f.dig(t, name, dns.TypeA)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := f.dig(t, "y.x.two.svc.example.com.", dns.TypeA).Answer[0].Header().Ttl; got != 60 {
		t.Errorf("TTL %d, want the second federation's", got)
	}
	if got := f.CacheBypassZones(); !slices.Equal(got, []string{"example.com.", "sub.example.com."}) {
		t.Errorf("zones that no cache may hold: %q", got)
	}
}

// A zone's short name can lead to a region's name that is too long to exist.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	w := &world{t: t, dir: t.TempDir()}
	w.cluster("c", vector.Node("n", long, "a"), vector.Service(long, long, "192.0.2.1"), vector.Slice(long, long, false, "a"))
	w.cluster("d", vector.Node("n", "eu", "b"), vector.Service(long, long, "192.0.2.2"), vector.Slice(long, long, true, "b"))
	f := w.serving("federation fed " + long + ".example.com {\ncluster c {\nmanifests DIR/c\n}\ncluster d {\nmanifests DIR/d\n}\n}")
	svc := long + "." + long + ".fed.svc."
	domain := long + ".example.com."
	if _, err := dnsname.Parse(svc + long + "." + domain); err == nil {
		t.Fatal("the region's name is not too long")
	}
	m := f.dig(t, svc+"a."+domain, dns.TypeA)
	if want := "NOERROR; A 192.0.2.2; CNAME " + svc + domain; short(m) != want {
		t.Errorf("%s, want %s", short(m), want)
	}
	if _, err := m.Pack(); err != nil {
		t.Error(err)
	}
	rrs, err := transferred(t, f, domain)
	if err != nil || len(rrs) == 0 {
		t.Fatal(len(rrs), err)
	}
	for _, rr := range rrs {
		if _, err := dns.PackRR(rr, make([]byte, 1024), 0, nil, false); err != nil {
			t.Errorf("%v: %v", rr, err)
		}
	}
}

// The question comes back as it was asked, and so does the first owner.
func TestCase(t *testing.T) {
	f := shop(t).serving("federation fed {\n" + both + "}")
	m := f.dig(t, "WeB.ShOp.FeD.sVc.eU.eXaMpLe.CoM.", dns.TypeA)
	if m.Question[0].Name != "WeB.ShOp.FeD.sVc.eU.eXaMpLe.CoM." || m.Answer[0].Header().Name != m.Question[0].Name {
		t.Errorf("%v", m)
	}
}

// Every packet that can be read gets a reply that can be written, and none of
// them stops the server.
func FuzzServe(f *testing.F) {
	w := shop(f)
	apex := w.write("db", "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n* TXT x\n")
	fed := w.serving("federation fed {\n" + both + "apex " + apex + "\nlenient\n}")
	for _, name := range []string{"web.shop.fed.svc.eu.example.com.", "_http._tcp.web.shop.fed.svc.us-a.example.com.", "example.com.", `a\.b.\000.example.com.`, "x.y.z.example.com."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV, dns.TypeANY, dns.TypeSOA, 1000} {
			m := new(dns.Msg).SetQuestion(name, qtype)
			m.SetEdns0(512, true)
			wire, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		q := new(dns.Msg)
		if q.Unpack(packet) != nil || len(q.Question) != 1 || q.Response {
			return // CoreDNS answers these before any plugin
		}
		m, _ := fed.ask(t, q)
		if m == nil {
			return // another domain
		}
		wire, err := m.Pack()
		if err != nil {
			t.Fatalf("the reply to %v can't be written: %v\n%v", q.Question, err, m)
		}
		if len(wire) > 1232 {
			t.Fatalf("the reply to %v has %d bytes", q.Question, len(wire))
		}
	})
}
