package filezone

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/pkg/fall"
	plugintest "github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

var (
	seed  = flag.Uint64("seed", 1, "of the zones and the questions; 0: others each time")
	zones = flag.Int("zones", 60, "how many")
)

// nobody answers for names of other zones.
type nobody struct{}

func (nobody) Lookup(_ context.Context, state request.Request, name string, t uint16) (*dns.Msg, error) {
	return new(dns.Msg).SetRcode(new(dns.Msg).SetQuestion(name, t), dns.RcodeRefused), nil
}

// read is a zone of the plugin, as it is with nobody beside it.
func read(t testing.TB, origin, text string) *file.Zone {
	t.Helper()
	z, err := file.Parse(strings.NewReader(text), origin, "db", -1)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	z.Upstream = nobody{}
	return z
}

// written is the answer of a zone to a question, as it is sent; nil: the plugin has to be asked.
func written(t testing.TB, z *Zone, q *dns.Msg) *dns.Msg {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var asked message.Question
	if got := asked.Read(b); got != message.Plain || !asked.Plain() {
		return nil
	}
	a, stale := z.Answer(asked.String(), asked.Labels(z.Domain().Labels), asked.Type, asked.EDNS.DO)
	if stale {
		t.Fatal("the zone hasn't been read")
	}
	if a == nil {
		return nil
	}
	var r message.Reply
	r.Begin(append(make([]byte, 0, dns.MaxMsgSize), b...), &asked, dns.MaxMsgSize, &message.Extras{})
	if !r.In(z.Domain()) || !r.Sections(&a.Sections) {
		t.Fatalf("%s doesn't fit", q.Question[0].String())
	}
	m := new(dns.Msg)
	if err := m.Unpack(r.End()); err != nil {
		t.Fatalf("%s: %v", q.Question[0].String(), err)
	}
	return m
}

// shown are the records of an answer and what its header says.
func shown(m *dns.Msg) string {
	var b strings.Builder
	fmt.Fprintln(&b, dns.RcodeToString[m.Rcode], "AA", m.Authoritative, "TC", m.Truncated)
	for _, s := range []struct {
		name string
		rrs  []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		fmt.Fprintln(&b, s.name)
		for _, rr := range s.rrs {
			if rr.Header().Rrtype != dns.TypeOPT {
				rr = dns.Copy(rr)
				rr.Header().Name, rr.Header().Rdlength = dnsname.Lower(rr.Header().Name), 0
				fmt.Fprintln(&b, " ", rr)
			}
		}
	}
	return b.String()
}

// randomly writes zones and asks for names.
type randomly struct{ *rand.Rand }

func (r randomly) pick(of ...string) string { return of[r.IntN(len(of))] }

// name is one of few, so that what is in a zone and what is asked for meet; relative to its zone.
func (r randomly) name() string {
	n := 1 + r.IntN(4)
	labels := make([]string, n)
	for i := range labels {
		labels[i] = r.pick("a", "b", "c", "d", "w", "*", "ns", "x-y")
	}
	return strings.Join(labels, ".")
}

func (r randomly) target() string {
	return r.pick(r.name(), r.name(), r.name(), "@", "www.elsewhere.test.", "Mixed.Elsewhere.test.")
}

func (r randomly) zone(signed bool) string {
	var b strings.Builder
	moved := r.IntN(3) == 0
	fmt.Fprintf(&b, "$TTL %d\n@ %d SOA ns.a Host.a %d 2 3 4 %d\n", 1+r.IntN(100), r.IntN(100), 1+r.Uint32N(1<<31), r.IntN(100))
	for range r.IntN(3) {
		fmt.Fprintf(&b, "@ NS %s\n", r.target())
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "@ %s\n", r.pick("A 192.0.2.1", "MX 1 a", "TXT hello"))
	}
	for range r.IntN(30) {
		name := r.name()
		if r.IntN(20) == 0 {
			name = r.pick("out.side.test.", `es\.caped.a`, `\097.b`, "UP.per", "*.UP")
		}
		for range 1 + r.IntN(2) {
			kinds := []string{"A 192.0.2." + fmt.Sprint(r.IntN(250)), "A 192.0.2." + fmt.Sprint(r.IntN(250)), "AAAA 2001:db8::" + fmt.Sprint(r.IntN(250)), "TXT \"some text\" " + fmt.Sprint(r.IntN(9)), "MX " + fmt.Sprint(r.IntN(9)) + " " + r.target(),
				"SRV 1 2 " + fmt.Sprint(r.IntN(999)) + " " + r.target(), "CNAME " + r.target(), "PTR " + r.target(), "HTTPS 1 " + r.target() + " alpn=h2", "SVCB 1 " + r.target(), "CAA 0 issue \"x\"", "TYPE1000 \\# 2 abcd"}
			switch r.IntN(14) {
			case 0:
				kinds = []string{"NS " + r.target()}
			case 1:
				if moved {
					kinds = []string{"DNAME " + r.target()}
				}
			case 2, 3:
				kinds = []string{"CNAME " + r.target()}
			}
			fmt.Fprintf(&b, "%s %d %s\n", name, r.IntN(300), r.pick(kinds...))
		}
		if signed {
			fmt.Fprintf(&b, "%s %s\n", name, r.pick("DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000", "NSEC a.b A NSEC",
				"RRSIG A 13 4 60 20300101000000 20200101000000 1 @ AAAA", "RRSIG CNAME 13 4 60 20300101000000 20200101000000 1 @ AAAA"))
		}
	}
	return b.String()
}

func (r randomly) question(origin string) *dns.Msg {
	types := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypePTR, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeDS, dns.TypeDNAME, dns.TypeANY, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeCAA, 1000, 0, 65535}
	name := r.name() + "." + origin
	switch r.IntN(12) {
	case 0:
		name = origin
	case 1:
		name = r.pick("up.per.", "x.up.", "uP.PeR.", "es\\.caped.a.", "a.b.", "X.Y.Z.A.B.C.D.") + origin
	}
	q := new(dns.Msg).SetQuestion(strings.Replace(name, "..", ".", 1), types[r.IntN(len(types))])
	if r.IntN(3) == 0 {
		q.SetEdns0(4096, r.IntN(2) == 0)
	}
	return q
}

// Whatever is in a zone and whatever is asked for, the answer is the plugin's, or the plugin is left to give it.
func TestSame(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Log("seed", *seed)
	kinds := map[string][2]int{} // not answered here, answered
	for n := range *zones {
		r := randomly{rand.New(rand.NewPCG(*seed, uint64(n)))}
		origin := r.pick("example.org.", "example.org.", "0.2.192.in-addr.arpa.", "org.")
		text := r.zone(n%4 == 0)
		of := read(t, origin, text)
		through := fall.F{}
		if n%5 == 0 {
			through = fall.Root
		}
		next := plugintest.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
			return dns.RcodeSuccess, w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeYXDomain))
		})
		plugin := file.File{Next: next, Zones: file.Zones{Z: map[string]*file.Zone{origin: of}, Names: []string{origin}}, Fall: through}
		z := New(dnsname.Name(origin), of, through)
		z.Read()
		for range 300 {
			q := r.question(origin)
			got := written(t, z, q)
			w := dnstest.NewRecorder(&plugintest.ResponseWriter{})
			rcode, _ := plugin.ServeDNS(context.Background(), w, q.Copy())
			want := w.Msg
			if want == nil {
				want = new(dns.Msg).SetRcode(q, rcode)
			}
			about := dns.RcodeToString[want.Rcode]
			if want.Rcode == dns.RcodeSuccess && len(want.Answer) == 0 {
				about = "no records"
			}
			c := kinds[about]
			if got == nil {
				c[0]++
			} else {
				c[1]++
			}
			kinds[about] = c
			if got == nil {
				continue
			}
			if g, w := shown(got), shown(want); g != w {
				t.Fatalf("zone %d, %s:\n%s\nthe plugin says\n%s\nof\n%s", n, q.Question[0].String(), g, w, text)
			}
		}
	}
	for _, about := range []string{"NOERROR", "no records", "NXDOMAIN"} {
		t.Logf("%s: %d answered, %d left to the plugin", about, kinds[about][1], kinds[about][0])
		if c := kinds[about]; c[1] < c[0] {
			t.Errorf("%s: %d are answered, and %d are left to the plugin", about, c[1], c[0])
		}
	}
	if c := kinds["SERVFAIL"]; c[1] > 0 {
		t.Errorf("%d failures are kept", c[1])
	}
}
