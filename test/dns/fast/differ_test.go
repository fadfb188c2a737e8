package fast

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

var seed = flag.Uint64("seed", 1, "of the packets that are spoilt at random; 0: another one each time")

// TestSame asks both ways the same, in all ways there are. They answer the same,
// but for what is wanted.
func TestSame(t *testing.T) {
	blocks := world(t)
	ways := map[string]*server.Server{"fast": server.Start(t, corefile(blocks, "fast on")), "chain": server.Start(t, corefile(blocks, "fast off"))}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Log("seed", *seed)
	total := 0
	tally := newTally()
	for i := range blocks {
		b := &blocks[i]
		host := b.host
		if host == "" {
			host, _, _ = net.SplitHostPort(ways["fast"].Addr)
		}
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		packets := b.questions()
		if b.corners {
			packets = append(packets, b.odd(r)...)
		}
		packets = append(packets, garbage(r, packets, len(packets)/6)...)
		total += len(packets)
		isFast(t, ways["fast"], host)
		isSlow(t, ways["chain"], host)
		fast, chain := wayTo(t, ways["fast"], host, b), wayTo(t, ways["chain"], host, b)
		var sent [][]byte
		for _, p := range packets {
			sent = append(sent, p.bytes)
		}
		both(t, fast, chain, sent, sent)
		again, answers, instead := tally.compare(b, packets, fast, chain)
		if _, err := chain.ask(instead); err != nil {
			t.Fatal(err)
		}
		for i, p := range again {
			f, c := look(p.bytes, answers[i], fast.serial), look(instead[i], chain.answers[i], chain.serial)
			r, _ := read(p.bytes)
			q := &asked{p: p.bytes, reading: r, usual: true, b: b}
			if d := tally.left(q, f, c); len(d) > 0 {
				tally.finding(q, p, d, f, c)
			}
		}
	}
	t.Logf("%d packets to each", total)
	tally.report(t)
	counted := func(way string) float64 {
		return ways["fast"].Metric(t, `coredns_federation_fast_questions_total{server="dns://`+ways["fast"].Addr+`",way="`+way+`"}`)
	}
	// Most of what is asked there is no plain question for a federated name.
	if fast, chain := counted("fast"), counted("chain"); fast < 20_000 || chain < 20_000 || counted("lost") > 0 {
		t.Errorf("%v of the questions were answered fast, %v by the chain, %v were lost", fast, chain, counted("lost"))
	}
}

// A way is a server that is asked at one address.
type way struct {
	*asker
	serial uint32
}

func wayTo(t *testing.T, s *server.Server, host string, b *block) *way {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	addr := net.JoinHostPort(host, port)
	w := &way{asker: dial(t, addr)}
	server.Eventually(t, 10*time.Second, addr+" answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(b.domains[len(b.domains)-1]), dns.TypeSOA), addr)
		if err != nil || len(m.Answer) != 1 {
			return false
		}
		w.serial = m.Answer[0].(*dns.SOA).Serial
		return true
	})
	return w
}

// both asks two servers at once.
func both(t *testing.T, fast, chain *way, a, b [][]byte) {
	t.Helper()
	errs := make(chan error)
	go func() {
		_, err := fast.ask(a)
		errs <- err
	}()
	_, err := chain.ask(b)
	if err2 := <-errs; err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
}

// A tallied is the differences of one kind.
type tallied struct {
	n     int
	first []string
}

type tally struct {
	kinds map[string]*tallied
	// How often each wanted difference was.
	seen map[string]int
}

func newTally() *tally { return &tally{map[string]*tallied{}, map[string]int{}} }

func (y *tally) add(kind, sample string) {
	k := y.kinds[kind]
	if k == nil {
		k = &tallied{}
		y.kinds[kind] = k
	}
	if k.n++; len(k.first) < 3 {
		k.first = append(k.first, sample)
	}
}

func (y *tally) report(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(y.seen)) {
		t.Logf("%7d %s", y.seen[name], name)
	}
	all := []string{tooLong, versions, unneeded}
	for _, d := range wanted {
		all = append(all, d.name)
	}
	for _, name := range all {
		if y.seen[name] == 0 && name != full && name != blind {
			t.Errorf("this difference is no more, and its line can go: %s", name)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(y.kinds)) {
		k := y.kinds[kind]
		t.Errorf("%s: %d times, such as\n%s", kind, k.n, strings.Join(k.first, "\n"))
	}
}

// compare tells the tally of what differs and isn't meant to. Of packets that
// CoreDNS doesn't understand, and that are understood here, it gives the fast
// answers, with the packets that CoreDNS has to be asked in their place.
func (y *tally) compare(b *block, packets []packet, fast, chain *way) (again []packet, answers [][]byte, instead [][]byte) {
	for _, s := range append(fast.strange, chain.strange...) {
		y.add("strange", s)
	}
	for i, p := range packets {
		f, c := look(p.bytes, fast.answers[i], fast.serial), look(p.bytes, chain.answers[i], chain.serial)
		r, ok := read(p.bytes)
		q := &asked{p: p.bytes, reading: r, usual: ok, b: b}
		if n := len(fast.answers[i]); ok && n > r.limit() {
			y.add("too long", fmt.Sprintf("%s %s: %d bytes, and at most %d are taken\n%x", b.host, p.about, n, r.limit(), p.bytes))
		}
		d := y.left(q, f, c)
		if len(d) == 0 {
			continue
		}
		if why := q.stumbles(); why != "" && c["rcode"] == "FORMERR" {
			y.seen[why]++
			again = append(again, p)
			answers = append(answers, fast.answers[i])
			instead = append(instead, r.tidied(p.bytes))
			continue
		}
		y.finding(q, p, d, f, c)
	}
	return again, answers, instead
}

func (y *tally) finding(q *asked, p packet, d []string, f, c view) {
	y.add(strings.Join(d, " "), fmt.Sprintf("%s %s: %s type %d\n%x\n%s", q.b.host, p.about, q.name, q.qtype, p.bytes[:min(len(p.bytes), 300)], lines(d, f, c)))
}

// left are the aspects that differ for no reason that is known.
func (y *tally) left(q *asked, f, c view) (out []string) {
	var rules []string
	for _, aspect := range differ(f, c) {
		i := slices.IndexFunc(wanted, func(w difference) bool {
			return slices.Contains(strings.Fields(w.aspects), aspect) && w.when(q, f, c)
		})
		if i < 0 {
			out = append(out, aspect)
			continue
		}
		rules = append(rules, wanted[i].name)
	}
	if len(out) == 0 {
		for _, r := range rules {
			y.seen[r]++
		}
	}
	return out
}
