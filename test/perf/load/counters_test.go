package load

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// scrape reads all metrics: a value for each NAME{LABELS}.
func scrape(t testing.TB, addr string) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[at+1:], &v); err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		out[line[:at]] = v
	}
	return out
}

// An entry is a kind of question with what it is counted as.
type entry struct {
	*question
	qtype   string
	do      bool
	zone    string
	rcode   string
	outcome string // with the scope; "": the federation hasn't answered
	fast    bool
}

// A book is what the counters should show.
type book map[string]float64

func (b book) add(e *entry, server, network, family string) {
	b[fmt.Sprintf(`coredns_dns_requests_total{family=%q,proto=%q,server=%q,type=%q,view="",zone=%q}`, family, network, server, e.qtype, e.zone)]++
	b[fmt.Sprintf(`coredns_dns_responses_total{rcode=%q,server=%q,view="",zone=%q}`, e.rcode, server, e.zone)]++
	if e.do {
		b[fmt.Sprintf(`coredns_dns_do_requests_total{server=%q,view="",zone=%q}`, server, e.zone)]++
	}
	if e.outcome != "" {
		outcome, scope, _ := strings.Cut(e.outcome, " ")
		b[fmt.Sprintf(`coredns_federation_answers_total{outcome=%q,scope=%q,server=%q}`, outcome, scope, server)]++
	}
	way := "chain"
	if e.fast {
		way = "fast"
	}
	b[fmt.Sprintf(`coredns_federation_fast_questions_total{server=%q,way=%q}`, server, way)]++
}

// booked are the metrics that are kept in a book.
var booked = []string{"coredns_dns_requests_total{", "coredns_dns_responses_total{", "coredns_dns_do_requests_total{",
	"coredns_federation_answers_total{", "coredns_federation_fast_questions_total{"}

var byPlugin = regexp.MustCompile(`{plugin="[^"]*",`)

// differs lists where metrics and book differ, since the metrics of before.
func (b book) differs(now, before map[string]float64) []string {
	got := book{}
	for k, v := range now {
		if slices.ContainsFunc(booked, func(p string) bool { return strings.HasPrefix(k, p) }) && v != before[k] {
			// Whichever plugin: CoreDNS names that behind prometheus, here errors, whoever
			// has written the answer.
			got[byPlugin.ReplaceAllString(k, "{")] += v - before[k]
		}
	}
	if maps.Equal(got, b) {
		return nil
	}
	var out []string
	for k, v := range got {
		if b[k] != v {
			out = append(out, fmt.Sprintf("%s: %v, want %v", k, v, b[k]))
		}
	}
	for k, v := range b {
		if _, ok := got[k]; !ok {
			out = append(out, fmt.Sprintf("%s: nothing, want %v", k, v))
		}
	}
	slices.Sort(out)
	return out
}

// Every question is counted once, by the metrics it would be counted by without the
// fast path, and is there to be seen as soon as its answer is.
func TestCounters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	metrics, ready := fmt.Sprint("127.0.0.1:", vector.Port(t)), fmt.Sprint("127.0.0.1:", vector.Port(t))
	text := strings.NewReplacer("bind ADDR", "bind 127.0.0.1 ::1", "READY", ready, "METRICS", metrics).Replace(w.corefile("", ""))
	text = strings.Replace(text, " file "+w.other, " prometheus "+metrics+"\n file "+w.other, 1)
	s := server.Launch(t, text)
	_, port, _ := net.SplitHostPort(s.Addr)
	servers := map[string]string{"1": "dns://127.0.0.1:" + port, "2": "dns://[::1]:" + port}
	server.Eventually(t, 10*time.Second, "there is a fast path on both addresses", func() bool {
		return strings.Count(s.Log(), "fast path on dns://") == 2
	})

	const web = "web0.shop.myfederation.svc."
	fast := func(q *question, qtype, rcode, outcome string, do bool) entry {
		return entry{question: q, qtype: qtype, do: do, zone: "example.com.", rcode: rcode, outcome: outcome, fast: true}
	}
	slow := func(q *question, qtype, zone, rcode, outcome string, do bool) entry {
		return entry{question: q, qtype: qtype, do: do, zone: zone, rcode: rcode, outcome: outcome}
	}
	file := func(q *question, qtype, rcode string, do bool) entry { // of the plugin: no answer of a federation
		return entry{question: q, qtype: qtype, do: do, zone: "example.net.", rcode: rcode, fast: true}
	}
	both := "NOERROR 192.0.2.1 198.51.100.1"
	ours := []entry{
		fast(ask(web+"example.com", dns.TypeA, both), "A", "NOERROR", "success global", false),
		fast(ask(strings.ToUpper(web)+"example.com", dns.TypeA, both).with(true), "A", "NOERROR", "success global", true),
		fast(ask(web+"eu.example.com", dns.TypeAAAA, "NOERROR 2001:db8::1").with(false), "AAAA", "NOERROR", "success regional", false),
		fast(ask(web+"eu-a.eu.example.com", dns.TypeA, "NOERROR 192.0.2.1"), "A", "NOERROR", "success zonal", false),
		fast(ask("only0.shop.myfederation.svc.no-a.no.example.com", dns.TypeA, "NOERROR 192.0.2.1 →only0.shop.myfederation.svc.no.example.com. →only0.shop.myfederation.svc.example.com.").with(true), "A", "NOERROR", "fallback zonal", true),
		fast(ask("_http._tcp."+web+"example.com", dns.TypeSRV, "NOERROR web0.shop.myfederation.svc.example.com.:80").with(false), "SRV", "NOERROR", "success global", false),
		fast(ask(web+"example.com", dns.TypeTXT, "NOERROR"), "TXT", "NOERROR", "nodata global", false),
		fast(ask(web+"no.example.com", dns.TypeAAAA, "NOERROR"), "AAAA", "NOERROR", "nodata regional", false),
		fast(ask(web+"example.com", dns.TypeLOC, "NOERROR").with(true), "other", "NOERROR", "nodata global", true),
		fast(ask(web+"example.com", dns.TypeANY, "NOERROR HINFO"), "ANY", "NOERROR", "success global", false),
		fast(ask("shop.myfederation.svc.example.com", dns.TypeA, "NOERROR").with(false), "A", "NOERROR", "nodata none", false),
		fast(ask("none.shop.myfederation.svc.example.com", dns.TypeA, "NXDOMAIN"), "A", "NXDOMAIN", "nxdomain none", false),
		fast(ask("none.shop.myfederation.svc.example.com", dns.TypeHTTPS, "NXDOMAIN").with(true), "HTTPS", "NXDOMAIN", "nxdomain none", true),
	}
	others := []entry{
		fast(ask("example.com", dns.TypeSOA, "NOERROR SOA"), "SOA", "NOERROR", "success apex", false),
		fast(ask("www.example.com", dns.TypeA, "NOERROR 203.0.113.80").with(true), "A", "NOERROR", "success apex", true),
		fast(ask("www.example.com", dns.TypeMX, "NOERROR"), "MX", "NOERROR", "nodata apex", false),
		fast(ask(web+"example.com", dns.TypeDS, "NOERROR").with(true), "DS", "NOERROR", "nodata global", true),
		file(ask("www.example.net", dns.TypeA, "NOERROR 203.0.113.81").with(false), "A", "NOERROR", false),
		file(ask("none.example.net", dns.TypeAAAA, "NXDOMAIN"), "AAAA", "NXDOMAIN", false),
		slow(ask("www.example.info", dns.TypeA, "REFUSED").with(true), "A", "dropped", "REFUSED", "", true),
	}

	before := scrape(t, metrics)
	want := book{}
	answered := map[string]int{}
	for family, host := range map[string]string{"1": "127.0.0.1", "2": "::1"} {
		conns := []net.Conn{dial(t, "udp", host, port), dial(t, "udp", host, port), dial(t, "udp", host, port)}
		for round := range 150 {
			for i := range ours {
				exchange(t, conns[(round+i)%len(conns)], ours[i].question)
				want.add(&ours[i], servers[family], "udp", family)
				answered[family]++
			}
			if round%50 == 0 {
				// Whoever has an answer finds it counted.
				if diff := want.differs(scrape(t, metrics), before); diff != nil {
					t.Fatalf("after %d rounds:\n%s", round+1, strings.Join(diff, "\n"))
				}
			}
		}
	}
	now := scrape(t, metrics)
	if diff := want.differs(now, before); diff != nil {
		t.Fatal(strings.Join(diff, "\n"))
	}
	for family, n := range answered {
		for _, histogram := range []string{"request_duration_seconds", "request_size_bytes", "response_size_bytes"} {
			got := 0.0
			for k, v := range now {
				if strings.HasPrefix(k, "coredns_dns_"+histogram+"_count{") && strings.Contains(k, servers[family]) {
					got += v - before[k]
				}
			}
			// One of 64, on each socket.
			if want := float64(n / 64); got > want || got < want-2 {
				t.Errorf("%s: %v of %d questions to %s", histogram, got, n, servers[family])
			}
		}
	}

	// The other ways. CoreDNS counts once it has answered.
	for family, host := range map[string]string{"1": "127.0.0.1", "2": "::1"} {
		udp, tcp := dial(t, "udp", host, port), dial(t, "tcp", host, port)
		for range 20 {
			for i := range others {
				exchange(t, udp, others[i].question)
				want.add(&others[i], servers[family], "udp", family)
				exchange(t, tcp, others[i].question)
				want.add(&others[i], servers[family], "tcp", family)
			}
			for i := range ours {
				exchange(t, tcp, ours[i].question)
				want.add(&ours[i], servers[family], "tcp", family)
				exchange(t, udp, ours[i].question)
				want.add(&ours[i], servers[family], "udp", family)
			}
		}
	}
	var diff []string
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(diff, "\n"))
		}
	}()
	server.Eventually(t, patience, "all is counted", func() bool {
		diff = want.differs(scrape(t, metrics), before)
		return diff == nil
	})
}

// An answer to a question whose cookie has an impossible length is counted as it is
// over TCP.
func TestCountersOfRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := server.Start(t, w.corefile("", ""))
	server.Eventually(t, patience, "there is a fast path", func() bool { return fastPath(t, s) })
	_, port, _ := net.SplitHostPort(s.Addr)
	bad := ask("web0.shop.myfederation.svc.example.com", dns.TypeA, "FORMERR").with(false, &dns.EDNS0_LOCAL{Code: dns.EDNS0COOKIE, Data: []byte("nine byte")})
	refused := func() float64 { return s.Metric(t, `coredns_federation_answers_total{outcome="refused",scope="none"`) }
	for _, network := range []string{"tcp", "udp"} {
		before := refused()
		exchange(t, dial(t, network, "127.0.0.1", port), bad)
		server.Eventually(t, patience, "it is counted over "+network, func() bool { return refused() == before+1 })
	}
}

func dial(t testing.TB, network, host, port string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange asks a question and waits for its answer.
func exchange(t testing.TB, c net.Conn, q *question) {
	t.Helper()
	b := slices.Clone(q.packed)
	binary.BigEndian.PutUint16(b, 7)
	conn := &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	m, err := conn.ReadMsg()
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	if got := told(m); got != q.want || m.Id != 7 {
		t.Fatalf("%s: %s, want %s", q, got, q.want)
	}
}
