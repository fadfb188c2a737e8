package federation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/vector"
)

// The static records of random zones are answered as CoreDNS's file answers them, which
// knows nothing of how they are looked up here.
func TestStaticAsFile(t *testing.T) {
	const zones, asked = 100, 200
	r, w := rand.New(rand.NewPCG(1, 2)), shop(t)
	n := 0
	for range zones {
		n += asFile(t, w, r, asked)
	}
	t.Log(n, "questions")
}

// FuzzStaticAsFile goes on with that, for as long as it is let.
func FuzzStaticAsFile(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) { asFile(t, shop(t), rand.New(rand.NewPCG(a, b)), 50) })
}

// asFile asks both of a random zone in a world, and gives how many answers were compared.
func asFile(t *testing.T, w *world, r *rand.Rand, asked int) (n int) {
	text := vector.RandomZone(r)
	path := w.write("apex", text)
	s := w.serving("federation fed {\n" + both + "apex " + path + "\n}")
	defer s.stop()
	z, err := file.Parse(strings.NewReader(text), "example.com.", "apex", 0)
	if err != nil {
		t.Fatal(err)
	}
	for range asked {
		name := vector.RandomName(r)
		qtype := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeMX, dns.TypeDS, dns.TypeSRV, dns.TypeDNAME}[r.IntN(8)]
		if qtype == dns.TypeDS && name == "example.com." {
			continue
		}
		q := new(dns.Msg).SetQuestion(name, qtype)
		got, _ := s.ask(t, q.Copy())
		want, ok := byFile(z, q)
		if !ok || empty(text, name) {
			continue
		}
		n++
		if g, w := sections(got), sections(want); g != w {
			t.Fatalf("%s %s:\n%s\nfile has\n%s\nof\n%s", name, dns.Type(qtype), g, w, text)
		}
	}
	return n
}

// byFile is the answer of CoreDNS's file. It isn't ok where that leaves the zone, or answers
// for a name that is itself an empty non-terminal, which it can't.
func byFile(z *file.Zone, q *dns.Msg) (m *dns.Msg, ok bool) {
	state := request.Request{W: &test.ResponseWriter{}, Req: q}
	answer, ns, extra, result := z.Lookup(context.Background(), state, state.Name())
	m = new(dns.Msg).SetReply(q)
	m.Authoritative, m.Answer, m.Extra = true, answer, extra
	switch result {
	case file.Delegation:
		m.Authoritative, m.Ns = len(answer) > 0, ns
	case file.NameError:
		m.Rcode = dns.RcodeNameError
	case file.ServerFailure:
		return nil, false
	case file.Success:
		if len(answer) > 0 {
			if c, ok := answer[len(answer)-1].(*dns.CNAME); ok && q.Question[0].Qtype != dns.TypeCNAME && !dns.IsSubDomain("example.com.", c.Target) {
				return nil, false
			}
		}
	}
	return m, true
}

// empty says whether a name of a zone, or one that a record of it leads to, is an empty
// non-terminal: CoreDNS has wildcards answer for those.
func empty(zone, name string) bool {
	ent := func(name string) (yes bool) {
		for line := range strings.Lines(zone) {
			owner := strings.Fields(line)[0]
			if owner == name {
				return false
			}
			yes = yes || dns.IsSubDomain(name, owner)
		}
		return yes
	}
	if ent(name) {
		return true
	}
	for line := range strings.Lines(zone) {
		if f := strings.Fields(line); (f[1] == "CNAME" || f[1] == "DNAME") && ent(f[2]) {
			return true
		}
	}
	return false
}

// sections is what matters of a message: SOA records in its authority section don't.
func sections(m *dns.Msg) string {
	var out []string
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var lines []string
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT || i == 1 && rr.Header().Rrtype == dns.TypeSOA {
				continue
			}
			lines = append(lines, strings.ToLower(rr.String()))
		}
		slices.Sort(lines)
		out = append(out, fmt.Sprintf("%d: %s", i, strings.Join(slices.Compact(lines), "\n   ")))
	}
	return fmt.Sprintf("%s AA %v\n%s", dns.RcodeToString[m.Rcode], m.Authoritative, strings.Join(out, "\n"))
}
