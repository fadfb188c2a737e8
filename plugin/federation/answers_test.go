package federation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/test/framework/vector"
)

// numbered are n addresses of a network.
func numbered(network string, n int) (out []string) {
	a := netip.MustParseAddr(network)
	for range n {
		a = a.Next()
		out = append(out, a.String())
	}
	return out
}

// many is a world with services of many addresses in eu, and without pods in us;
// headless ones, too.
func many(t testing.TB, sizes ...int) *world {
	w := &world{t: t, dir: t.TempDir()}
	eu, us := []object{vector.Node("n", "eu", "eu-a")}, []object{vector.Node("n", "us", "us-a")}
	for _, n := range sizes {
		name, inner := fmt.Sprint("many", n), fmt.Sprint("pods", n)
		eu = append(eu, vector.Service("shop", name, slices.Concat(numbered("192.1.0.0", n), numbered("2001:db8::", n))...), vector.Slice("shop", name, true, "eu-a"))
		us = append(us, vector.Service("shop", name, "192.0.2.2"), vector.Slice("shop", name, false, "us-a"))
		us = append(us, inside(inner, "clusterIP=None", object{"name": "http", "port": 80}), endpoints(inner, numbered("10.1.0.0", n)...))
	}
	w.cluster("eu", eu...)
	w.cluster("us", us...)
	return w
}

const manyStanza = "federation fed {\n" + both + "local us cluster.local\n%s}"

// ipsOf are those of a section, as text.
func ipsOf(rrs []dns.RR) (out []string) {
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.A:
			out = append(out, rr.A.String())
		case *dns.AAAA:
			out = append(out, rr.AAAA.String())
		}
	}
	return out
}

// Whoever asks over UDP, without EDNS too, gets a whole answer, however many addresses
// there are; in a few of them all of these are given.
func TestAnswers(t *testing.T) {
	sizes := []int{8, 9, 40, 101, 257, 4200}
	f := many(t, sizes...).servingUnder(fmt.Sprintf(manyStanza, ""), homeKeys...)
	for _, n := range sizes {
		for _, name := range []string{
			fmt.Sprintf("many%d.shop.fed.svc.example.com.", n),
			fmt.Sprintf("many%d.shop.fed.svc.eu-a.eu.example.com.", n),
			fmt.Sprintf("many%d.shop.fed.svc.us-a.us.example.com.", n), // leads up
			fmt.Sprintf("many%d.shop.fed.svc.cluster.local.", n),       // leads away, and up
			fmt.Sprintf("pods%d.shop.fed.svc.cluster.local.", n),
		} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
				if strings.HasPrefix(name, "pods") && qtype == dns.TypeAAAA {
					continue
				}
				seen := map[string]bool{}
				for range min(n+20, 400) {
					m, _ := f.ask(t, new(dns.Msg).SetQuestion(name, qtype))
					got := ipsOf(m.Answer)
					for _, a := range got {
						seen[a] = true
					}
					if m.Compress = true; m.Truncated || m.Len() > dns.MinMsgSize || len(got) != min(n, answer.DefaultAnswers) {
						t.Fatalf("%s %s: TC %v, %d bytes, %d addresses", name, dns.Type(qtype), m.Truncated, m.Len(), len(got))
					}
				}
				if n < 1000 && len(seen) != n {
					t.Errorf("%s %s: %d of %d addresses are given", name, dns.Type(qtype), len(seen), n)
				}
			}
		}
		// Beside an SRV record, each family has as many.
		m := f.dig(t, fmt.Sprintf("_http._tcp.many%d.shop.fed.svc.example.com.", n), dns.TypeSRV)
		if got := len(ipsOf(m.Extra)); got != 2*min(n, answer.DefaultAnswers) {
			t.Errorf("%d addresses beside an SRV record of %d", got, n)
		}
	}
}

// answers says how many; static records are what somebody wrote.
func TestAnswersOption(t *testing.T) {
	w := many(t, 101)
	records := "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\n"
	for _, a := range numbered("198.51.100.0", 20) {
		records += "static A " + a + "\n"
	}
	apex := w.write("db", records)
	for _, tt := range []struct {
		option string
		want   int
	}{{"", 8}, {"answers 1", 1}, {"answers 40", 40}, {"answers 2000", 101}} {
		f := w.serving("federation fed {\n" + both + "apex " + apex + "\n" + tt.option + "\n}")
		q := new(dns.Msg).SetQuestion("many101.shop.fed.svc.example.com.", dns.TypeA)
		m, _ := f.askOver(t, q)
		if got := len(ipsOf(m.Answer)); got != tt.want {
			t.Errorf("%q: %d addresses, want %d", tt.option, got, tt.want)
		}
		m, _ = f.askOver(t, new(dns.Msg).SetQuestion("static.example.com.", dns.TypeA))
		if got := len(ipsOf(m.Answer)); got != 20 {
			t.Errorf("%q: %d static addresses, want 20", tt.option, got)
		}
		// A transfer has as many, and the same ones each time, in whatever order the
		// cluster says them.
		sets := map[string]int{}
		var last []string
		for range 3 {
			var all []string
			rrs, err := transferred(t, f, "example.com.")
			if err != nil {
				t.Fatal(err)
			}
			clear(sets)
			for _, rr := range rrs {
				all = append(all, rr.String())
				sets[rr.Header().Name+" "+dns.Type(rr.Header().Rrtype).String()]++
			}
			if slices.Sort(all); last != nil && !slices.Equal(all, last) {
				t.Errorf("%q: two transfers of one serial differ", tt.option)
			}
			last = all
		}
		for _, set := range []string{"many101.shop.fed.svc.example.com. A", "many101.shop.fed.svc.example.com. AAAA", "many101.shop.fed.svc.eu-a.eu.example.com. A", "many101.shop.fed.svc.eu.example.com. AAAA"} {
			if sets[set] != tt.want {
				t.Errorf("%q: %d of %s are transferred, want %d", tt.option, sets[set], set, tt.want)
			}
		}
		if n := sets["static.example.com. A"]; n != 20 {
			t.Errorf("%q: %d static records are transferred", tt.option, n)
		}
	}
	for option, want := range map[string]string{
		"answers":      "answers: needs how many addresses an answer has at most, such as 8",
		"answers 0":    `answers: "0" is not a number of addresses from 1 to 2000`,
		"answers 2001": `answers: "2001" is not a number of addresses from 1 to 2000`,
		"answers many": `answers: "many" is not a number of addresses from 1 to 2000`,
		"answers 1 2":  "answers: needs how many addresses an answer has at most, such as 8",
	} {
		if _, err := parsed(t, "federation fed {\n"+strings.ReplaceAll(both, "DIR", w.dir)+option+"\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", option, err, want)
		}
	}
}

// What an answer leaves out is explained.
func TestAnswersExplained(t *testing.T) {
	w := many(t, 40)
	w.cluster("us", vector.Node("n", "us", "us-a"), vector.Service("shop", "many40", "192.0.2.2"), vector.Slice("shop", "many40", true, "us-a"),
		inside("pods40", "clusterIP=None", object{"name": "http", "port": 80}), endpoints("pods40", numbered("10.1.0.0", 40)...))
	f := w.servingUnder(fmt.Sprintf(manyStanza, ""), homeKeys...)
	stanzas, err := parsedUnder(t, strings.ReplaceAll(fmt.Sprintf(manyStanza, ""), "DIR", w.dir), homeKeys...)
	if err != nil {
		t.Fatal(err)
	}
	status := newStatusServer(f, stanzas)
	e := status.why(t, "many40.shop.fed.svc.example.com", "type", "AAAA")
	for _, sh := range e.Shards {
		if sh.Cluster != "eu" {
			continue
		}
		if want := "in the answer: up in zone eu-a, but for 32 of its addresses: an answer has at most 8 (answers), and others have their turn"; sh.Rule != want {
			t.Errorf("%s\nwant %s", sh.Rule, want)
		}
		if len(sh.LeftOut) != 32 || len(e.Reply.Answer) != 8 {
			t.Errorf("%d are in the answer and %d left out of 40", len(e.Reply.Answer), len(sh.LeftOut))
		}
	}
	left, in := 0, 0
	for range 40 { // of 41 IPv4 addresses one is of us
		f.Turn.Add(1)
		for _, sh := range status.why(t, "many40.shop.fed.svc.example.com").Shards {
			if sh.Cluster != "us" {
				continue
			}
			if sh.InAnswer {
				in++
			} else if left++; sh.Rule != "not in the answer: up in zone us-a, but an answer has at most 8 (answers), and others have their turn" || !slices.Equal(sh.LeftOut, []string{"192.0.2.2"}) {
				t.Errorf("%s; left out %q", sh.Rule, sh.LeftOut)
			}
		}
	}
	if in < 4 || left < 20 {
		t.Errorf("the other cluster's address was in %d answers, and left out of %d", in, left)
	}
	e = status.why(t, "pods40.shop.fed.svc.cluster.local")
	for _, sh := range e.Shards {
		if sh.Cluster == "us" && (len(sh.LeftOut) != 32 || !strings.Contains(sh.Rule, "but for 32 of its addresses")) {
			t.Errorf("%s; %d left out", sh.Rule, len(sh.LeftOut))
		}
	}
}

// askOver is ask over TCP.
func (f *Federation) askOver(t testing.TB, m *dns.Msg) (*dns.Msg, int) {
	t.Helper()
	return f.askBy(t, &test.ResponseWriter{TCP: true}, m)
}
