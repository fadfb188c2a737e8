// Package load asks fedns all the while that something happens to it: reloads, the
// end, changes of what it serves, floods, slow neighbours. Every question is
// answered, and rightly, or the test says which wasn't.
//
// What takes long, or measures, waits for a flag: -reloads 50 for so many by the reload plugin, -figures
// for speed under change and the latency of bystanders of a flood.
package load

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A question is one as it is sent, but for its ID, and what is to come back.
type question struct {
	name   string
	packed []byte
	want   string // as told has it
}

func (q *question) String() string { return q.name }

// ask makes a question. Words of want are put into order.
func ask(name string, qtype uint16, want string) *question {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m.Id = 0
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return &question{name: dns.Fqdn(name) + " " + dns.TypeToString[qtype], packed: packed, want: inOrder(want)}
}

// with adds an OPT record.
func (q *question) with(do bool, options ...dns.EDNS0) *question {
	m := new(dns.Msg)
	if err := m.Unpack(q.packed); err != nil {
		panic(err)
	}
	m.SetEdns0(1232, do)
	m.IsEdns0().Option = options
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return &question{name: q.name, packed: packed, want: q.want}
}

// inOrder sorts all words but the first.
func inOrder(s string) string {
	words := strings.Fields(s)
	slices.Sort(words[1:])
	return strings.Join(words, " ")
}

// told is what an answer says: the response code, and in order of the alphabet what
// its records hold, "→NAME" for a CNAME.
func told(m *dns.Msg) string {
	words := []string{dns.RcodeToString[m.Rcode]}
	if m.Truncated {
		words = append(words, "TC")
	}
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			words = append(words, rr.A.String())
		case *dns.AAAA:
			words = append(words, rr.AAAA.String())
		case *dns.CNAME:
			words = append(words, "→"+rr.Target)
		case *dns.SRV:
			words = append(words, fmt.Sprint(rr.Target, ":", rr.Port))
		case *dns.NS:
			words = append(words, rr.Ns)
		case *dns.RRSIG: // of the dnssec plugin
		default:
			words = append(words, dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return inOrder(strings.Join(words, " "))
}

// A stream asks questions in turn at a fixed rate, whatever becomes of the answers,
// and looks at each of these.
type stream struct {
	sent, answered atomic.Int64
	lines          []*line
	check          func(*question, time.Time, *dns.Msg) string // what is wrong; "": nothing
	patience       time.Duration
	halted         func()

	mu    sync.Mutex // guards the rest
	wrong map[string]int
	took  []time.Duration // of each answer
	lost  []time.Time     // when they were asked, in the end
	last  time.Time       // when an answer came
}

// A line is a socket with the questions that are under way on it.
type line struct {
	conn *net.UDPConn
	next uint16

	mu     sync.Mutex // guards asked
	asked  [1 << 16]asked
	broken bool // nobody listens there any more
}

type asked struct {
	q  *question // nil: none
	at time.Time
}

// A pace is how a stream asks.
type pace struct {
	rate  int      // questions a second, of all sockets
	lines int      // sockets
	from  []string // their addresses, in turn; none: any
	deaf  bool     // answers aren't looked at: a flood's go to somebody else
	check func(*question, time.Time, *dns.Msg) string
}

// patience is how long an answer may take that isn't lost: far longer than any
// promise, shorter than a client's.
const patience = 2 * time.Second

// pour begins to ask until halt, or the end of the test.
func pour(t testing.TB, addr string, p pace, questions ...*question) *stream {
	t.Helper()
	s := &stream{wrong: map[string]int{}, check: p.check, patience: patience}
	to := net.UDPAddrFromAddrPort(addrPort(t, addr))
	var stop atomic.Bool
	var asking, reading sync.WaitGroup
	for i := range cmp.Or(p.lines, 8) {
		var from *net.UDPAddr
		if len(p.from) > 0 {
			from = &net.UDPAddr{IP: net.ParseIP(p.from[i%len(p.from)])}
		}
		c, err := net.DialUDP("udp", from, to)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadBuffer(4 << 20) // as much of it as there is to have
		l := &line{conn: c}
		s.lines = append(s.lines, l)
		if !p.deaf {
			reading.Go(func() { s.read(l) })
		}
	}
	asking.Go(func() {
		// A burst is no longer than two milliseconds' worth even after a pause: what
		// is asked of a queue is to hold what it would have to hold without it.
		most := max(1, p.rate/500)
		n, began := 0, time.Now()
		for !stop.Load() {
			due := int(time.Since(began).Seconds() * float64(p.rate))
			if late := due - n - most; late > 0 {
				began = began.Add(time.Duration(float64(late) / float64(p.rate) * float64(time.Second)))
				due -= late
			}
			for ; n < due; n++ {
				s.send(s.lines[n%len(s.lines)], questions[n%len(questions)])
			}
			time.Sleep(500 * time.Microsecond) // the pace
		}
	})
	s.halted = sync.OnceFunc(func() {
		stop.Store(true)
		asking.Wait()
		for end := time.Now().Add(s.patience); s.answered.Load() < s.sent.Load() && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // between two looks
		}
		for _, l := range s.lines {
			l.conn.Close()
		}
		reading.Wait()
		for _, l := range s.lines {
			for _, a := range l.asked {
				if a.q != nil {
					s.lost = append(s.lost, a.at)
				}
			}
		}
	})
	t.Cleanup(s.halted)
	return s
}

func (s *stream) send(l *line, q *question) {
	b := make([]byte, len(q.packed))
	copy(b, q.packed)
	binary.BigEndian.PutUint16(b, l.next)
	l.mu.Lock()
	if l.broken {
		l.mu.Unlock()
		return
	}
	was := l.asked[l.next]
	l.asked[l.next] = asked{q, time.Now()}
	l.mu.Unlock()
	l.next++
	if was.q != nil {
		s.blame("not answered: " + was.q.name)
	}
	if _, err := l.conn.Write(b); err == nil {
		s.sent.Add(1)
		return
	}
	// The server has gone: this question was never asked.
	l.mu.Lock()
	l.asked[l.next-1] = asked{}
	l.mu.Unlock()
}

func (s *stream) read(l *line) {
	b := make([]byte, 1<<16)
	for {
		n, err := l.conn.Read(b)
		if err != nil {
			if strings.Contains(err.Error(), "refused") { // by ICMP: the server has gone
				l.mu.Lock()
				l.broken = true
				l.mu.Unlock()
				continue
			}
			return // closed
		}
		now := time.Now()
		m := new(dns.Msg)
		if err := m.Unpack(b[:n]); err != nil {
			s.blame(fmt.Sprintf("no message: %x: %v", b[:n], err))
			continue
		}
		l.mu.Lock()
		a := l.asked[m.Id]
		l.asked[m.Id] = asked{}
		l.mu.Unlock()
		if a.q == nil {
			s.blame("an answer to no question: " + m.String())
			continue
		}
		s.answered.Add(1)
		if s.check != nil {
			if what := s.check(a.q, a.at, m); what != "" {
				s.blame(what)
			}
		} else if got := told(m); got != a.q.want {
			s.blame(fmt.Sprintf("%s: %s, want %s", a.q, got, a.q.want))
		}
		s.mu.Lock()
		s.took = append(s.took, now.Sub(a.at))
		s.last = now
		s.mu.Unlock()
	}
}

// blame counts what is wrong, by what it is.
func (s *stream) blame(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 20 || s.wrong[what] > 0 {
		s.wrong[what]++
	}
}

// halt ends the stream once what is under way is answered, or lost.
func (s *stream) halt() { s.halted() }

// whole ends the stream: all was answered, and rightly.
func (s *stream) whole(t testing.TB) {
	t.Helper()
	s.halt()
	s.right(t)
	if sent, answered := s.sent.Load(), s.answered.Load(); sent != answered || sent == 0 {
		t.Errorf("%d questions, %d answers; the kernel has dropped %s", sent, answered, kernelDrops())
		for _, at := range s.lost[:min(len(s.lost), 10)] {
			t.Logf("lost: asked at %s", at.Format("15:04:05.000000"))
		}
	}
}

// right says what was wrong with answers.
func (s *stream) right(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, n := range s.wrong {
		t.Errorf("%d times: %s", n, what)
	}
}

// more waits until n more answers have come.
func (s *stream) more(t testing.TB, n int64) {
	t.Helper()
	n += s.answered.Load()
	server.Eventually(t, 10*time.Second, "answers come", func() bool { return s.answered.Load() >= n })
}

// quantile is how long the slowest of that share of the answers have taken at most.
func (s *stream) quantile(share float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	if len(s.took) == 0 {
		return 0
	}
	return s.took[min(len(s.took)-1, int(float64(len(s.took))*share))]
}

// kernelDrops are the datagrams for which some queue of this host had no room, since
// it was started: whether an answer that is missing may be one of them.
func kernelDrops() string {
	raw, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return "?"
	}
	var head []string
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Udp:" {
			continue
		}
		if head == nil {
			head = f
			continue
		}
		var out []string
		for i, h := range head {
			if h == "RcvbufErrors" || h == "SndbufErrors" || h == "MemErrors" {
				out = append(out, f[i]+" "+h)
			}
		}
		return strings.Join(out, ", ")
	}
	return "?"
}

// A world is a federation of two clusters, and questions with their answers.
type world struct {
	federation string // the stanza
	apex       string // file
	other      string // zone file of example.net
	fast       []*question
	chain      []*question // static names, and another zone: what takes the chain
}

// services is how many of each kind there are.
const services = 20

// newWorld writes one: paris in eu/eu-a and oslo in no/no-a.
//
//	web0 …    in both
//	only0 …   in paris only
func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	paris := []vector.Object{vector.Node("n", "eu", "eu-a")}
	oslo := []vector.Object{vector.Node("n", "no", "no-a")}
	w := &world{apex: filepath.Join(dir, "db.example.com"), other: filepath.Join(dir, "db.example.net")}
	const under = ".shop.myfederation.svc."
	for i := range services {
		web, only := fmt.Sprint("web", i), fmt.Sprint("only", i)
		a, a6, b := fmt.Sprint("192.0.2.", i+1), fmt.Sprintf("2001:db8::%x", i+1), fmt.Sprint("198.51.100.", i+1)
		paris = append(paris, vector.Service("shop", web, a, a6), vector.Slice("shop", web, true, "eu-a"),
			vector.Service("shop", only, a), vector.Slice("shop", only, true, "eu-a"))
		oslo = append(oslo, vector.Service("shop", web, b), vector.Slice("shop", web, true, "no-a"))
		w.fast = append(w.fast,
			ask(web+under+"example.com", dns.TypeA, "NOERROR "+a+" "+b),
			ask(web+under+"eu-a.eu.example.com", dns.TypeA, "NOERROR "+a).with(false),
			ask(web+under+"example.com", dns.TypeAAAA, "NOERROR "+a6).with(true),
			ask(only+under+"no-a.no.example.com", dns.TypeA, "NOERROR "+a+" →"+only+under+"no.example.com. →"+only+under+"example.com."),
			ask("none"+web+under+"example.com", dns.TypeA, "NXDOMAIN"),
			ask(web+under+"no.example.com", dns.TypeTXT, "NOERROR").with(false),
			ask("_http._tcp."+web+under+"eu.example.com", dns.TypeSRV, "NOERROR "+web+under+"eu.example.com.:80").with(false),
		)
	}
	w.chain = []*question{
		ask("example.com", dns.TypeSOA, "NOERROR SOA"),
		ask("example.com", dns.TypeNS, "NOERROR ns1.example.com.").with(false),
		ask("www.example.com", dns.TypeA, "NOERROR 203.0.113.80").with(true),
		ask("www.example.net", dns.TypeA, "NOERROR 203.0.113.81"),
		ask("none.example.net", dns.TypeA, "NXDOMAIN").with(false),
	}
	write(t, w.apex, "$TTL 60\n@ SOA ns1 hostmaster 1 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nwww A 203.0.113.80\n")
	write(t, w.other, "$TTL 60\n@ SOA ns1 hostmaster 1 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nwww A 203.0.113.81\n")
	vector.WriteManifest(t, filepath.Join(dir, "paris", "shop.json"), paris...)
	vector.WriteManifest(t, filepath.Join(dir, "oslo", "shop.json"), oslo...)
	w.federation = fmt.Sprintf(" federation myfederation {\n  cluster paris {\n   manifests %s\n  }\n  cluster oslo {\n   manifests %s\n  }\n  apex %s\n",
		filepath.Join(dir, "paris"), filepath.Join(dir, "oslo"), w.apex)
	return w
}

// corefile has the federation's block with properties of the stanza and plugins
// beside it, the other zone's, and what else there is to be.
func (w *world) corefile(properties, plugins string, blocks ...string) string {
	return "example.com:PORT {\n bind ADDR\n" + w.federation + "  " + properties + "\n }\n ready READY\n prometheus METRICS\n errors\n " + plugins + "\n}\n" +
		"example.net:PORT {\n bind ADDR\n file " + w.other + "\n}\n" + strings.Join(blocks, "")
}

// all are all questions, the chain's between the others.
func (w *world) all() []*question {
	var out []*question
	for i, q := range w.fast {
		out = append(out, q)
		if i%7 == 0 {
			out = append(out, w.chain[i/7%len(w.chain)])
		}
	}
	return out
}

func write(t testing.TB, path, text string) {
	t.Helper()
	// By rename: nobody reads half a file.
	if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// fastPath says whether a server's address has one.
func fastPath(t testing.TB, s *server.Server) bool {
	t.Helper()
	return s.Metric(t, "coredns_federation_fast_path{server=\"dns://"+s.Addr+"\"}") == 1
}

// upstream is a server that answers every question with 203.0.113.82, for forward.
func upstream(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(203, 0, 113, 82)}}
		_ = w.WriteMsg(m) // whoever asked may have gone
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }() // until it is shut down
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return c.LocalAddr().String()
}

func addrPort(t testing.TB, addr string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
