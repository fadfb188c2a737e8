// Package faults breaks what fedns lives on, one thing after another, and holds
// every answer meanwhile against what was promised: API servers that hang, die or
// lose their memory, networks that are cut, shards that are dead or only
// unreachable, kills in the middle of a write, disks that are full.
//
// Each row of the table is a test or a subtest that begins with the row's own
// words. With -v, each prints a line
//
//	ROW fault | expected | seen | time
package faults

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// The periods of every Corefile here, far shorter than the defaults.
const (
	period  = 200 * time.Millisecond // of the heartbeat
	probing = time.Second            // between two probes of one address
	timeout = 600 * time.Millisecond // of the heartbeat
	hold    = 3 * time.Second
	fall    = 3

	health   = "heartbeat 200ms 600ms\n hold 3s\n guard 50% 3s 5\n"
	patient  = "heartbeat 200ms 600ms\n hold 1m\n guard 50% 3s 5\n" // for faults that aren't about the hold
	steady   = "hold 3s\n guard 50% 3s 5\n"                         // for faults in which no cluster falls silent, on a busy machine either
	healed   = 5 * time.Second                                      // how soon a cluster that is back is fresh
	busy     = 10 * time.Second                                     // what a machine with much other work may add to a time
	degraded = 30                                                   // the TTL while something is wrong
)

// row prints a line of the table.
func row(t *testing.T, fault, expected, seen string, took time.Duration) {
	t.Helper()
	t.Logf("ROW %s | %s | %s | %s", fault, expected, seen, took.Round(time.Millisecond))
}

// A member is a cluster as the Corefile has it.
type member struct{ name, source string }

func corefile(properties string, ms ...member) string {
	var b strings.Builder
	b.WriteString("example.com:PORT {\n bind ADDR\n federation myfederation {\n")
	for _, m := range ms {
		fmt.Fprintf(&b, "  cluster %s {\n   %s\n  }\n", m.name, m.source)
	}
	b.WriteString(properties + "\n }\n ready READY\n prometheus METRICS\n errors\n}\n")
	return b.String()
}

func kubeconfig(name, path string) member { return member{name, "kubeconfig " + path + " " + name} }

func manifests(name, dir string) member { return member{name, "manifests " + dir} }

// A running is a fedns that runs and the way to it.
type running struct {
	*server.Server
	dial     func(network, addr string) (net.Conn, error)
	patience time.Duration // with an answer; 0: as long as resolvers have it
}

func start(t *testing.T, corefile string) running {
	t.Helper()
	return running{Server: server.Start(t, corefile), dial: net.Dial}
}

// An answer is a reply, as far as it is compared.
type answer struct {
	what string   // where it leads, then the addresses, sorted: "→ no → global → 192.0.2.1"
	ttl  uint32   // of the first record
	ede  []string // extended errors: "3 text"
}

func (a answer) equal(b answer) bool {
	return a.what == b.what && a.ttl == b.ttl && slices.Equal(a.ede, b.ede)
}

func (a answer) stale() bool {
	return slices.ContainsFunc(a.ede, func(e string) bool { return strings.HasPrefix(e, "3 ") })
}

func (a answer) String() string { return fmt.Sprintf("%s, TTL %d, EDE %q", a.what, a.ttl, a.ede) }

// full is the name that a short one, such as web.no-a or web for the global one,
// stands for.
func full(short string) string {
	service, scope, _ := strings.Cut(short, ".")
	if scope != "" {
		scope += "."
	}
	return service + ".shop.myfederation.svc." + scope + "example.com."
}

func read(m *dns.Msg) answer {
	a := answer{what: dns.RcodeToString[m.Rcode]}
	if o := m.IsEdns0(); o != nil {
		for _, o := range o.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				a.ede = append(a.ede, fmt.Sprint(e.InfoCode, " ", e.ExtraText))
			}
		}
	}
	if len(m.Answer) > 0 {
		a.ttl = m.Answer[0].Header().Ttl
	}
	if m.Rcode != dns.RcodeSuccess {
		return a
	}
	var way []string
	for _, target := range server.Chain(m) {
		_, scope, _ := strings.Cut(target, ".svc.")
		scope = strings.TrimSuffix(strings.TrimSuffix(scope, "example.com"), ".")
		if scope == "" {
			scope = "global"
		}
		way = append(way, "→ "+scope)
	}
	addrs := server.Addrs(m)
	slices.Sort(addrs)
	if len(addrs) == 0 {
		addrs = []string{"NODATA"}
	}
	if len(way) > 0 {
		way = append(way, "→")
	}
	a.what = strings.Join(append(way, addrs...), " ")
	return a
}

// An asker asks over one socket.
type asker struct {
	running
	conn *dns.Conn
}

func (k *asker) ask(short string) (answer, error) {
	if k.conn == nil {
		c, err := k.dial("udp", k.Addr)
		if err != nil {
			return answer{}, err
		}
		k.conn = &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	}
	q := new(dns.Msg).SetQuestion(full(short), dns.TypeA)
	q.SetEdns0(1232, false)
	c := dns.Client{Timeout: cmp.Or(k.patience, 2*time.Second)}
	m, _, err := c.ExchangeWithConn(q, k.conn)
	if err != nil {
		k.close() // what still comes in belongs to no later question
		return answer{}, err
	}
	return read(m), nil
}

func (k *asker) close() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// ask asks one question.
func (s running) ask(short string) answer {
	k := asker{running: s}
	defer k.close()
	a, err := k.ask(short)
	for range 2 { // as resolvers do: a packet may have been lost
		if s.patience != 0 || !server.Lost(err) {
			break
		}
		a, err = k.ask(short)
	}
	if err != nil {
		return answer{what: err.Error()}
	}
	return a
}

// becomes waits until a name is answered with what, and says how long it took.
func (s running) becomes(t *testing.T, limit time.Duration, short, what string) time.Duration {
	t.Helper()
	limit = server.Patience(limit)
	begin := time.Now()
	k := asker{running: s}
	defer k.close()
	for {
		a, err := k.ask(short)
		if err == nil && a.what == what {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("%s: still %v (%v) after %v, want %q", short, a, err, limit, what)
		}
		time.Sleep(2 * time.Millisecond) // between two questions
	}
}

// metrics is what the server's prometheus plugin says now.
func (s running) metrics(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.Corefile)
	if err != nil {
		t.Fatal(err)
	}
	_, addr, _ := strings.Cut(string(text), " prometheus ")
	addr, _, _ = strings.Cut(addr, "\n")
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(_ context.Context, network, addr string) (net.Conn, error) { return s.dial(network, addr) },
	}}
	r, err := c.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// metric sums a metric over the lines that have all of labels, such as
// `cluster="oslo"`.
func (s running) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
next:
	for line := range strings.Lines(s.metrics(t)) {
		rest, ok := strings.CutPrefix(line, "coredns_federation_"+name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// logs waits until the server has printed a text, and gives the line.
func (s running) logs(t *testing.T, limit time.Duration, text string) string {
	t.Helper()
	server.Eventually(t, limit, fmt.Sprintf("the log says %q", text), func() bool { return strings.Contains(s.Log(), text) })
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, text) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// fresh waits until no cluster is silent and nothing that is asked for is stale.
func (s running) fresh(t *testing.T, limit time.Duration, shorts ...string) time.Duration {
	t.Helper()
	begin := time.Now()
	server.Eventually(t, limit, "all is fresh", func() bool {
		return s.metric(t, "cluster_silent") == 0 && !slices.ContainsFunc(shorts, func(n string) bool {
			a := s.ask(n)
			return a.stale() || a.ttl == 0
		})
	})
	return time.Since(begin)
}

// until waits for a moment: some promises are about nothing happening.
func until(at time.Time) { <-time.After(time.Until(at)) }

// A glimpse is an answer that differs from the one before.
type glimpse struct {
	at time.Time
	answer
}

// An eye asks for names without end and remembers when an answer changed.
type eye struct {
	halt func()

	mu    sync.Mutex // guards the rest
	seen  map[string][]glimpse
	asked int
}

// look begins to ask for names, until halt or the end of the test.
func look(t *testing.T, s running, shorts ...string) *eye {
	t.Helper()
	e := &eye{seen: map[string][]glimpse{}}
	done, ended := make(chan struct{}), make(chan struct{})
	e.halt = sync.OnceFunc(func() { close(done); <-ended })
	t.Cleanup(e.halt)
	go func() {
		defer close(ended)
		k := asker{running: s}
		defer k.close()
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			short := shorts[n%len(shorts)]
			a, err := k.ask(short)
			if err != nil {
				a = answer{what: err.Error()}
			}
			e.mu.Lock()
			e.asked++
			if was := e.seen[short]; len(was) == 0 || !was[len(was)-1].equal(a) {
				e.seen[short] = append(was, glimpse{time.Now(), a})
			}
			e.mu.Unlock()
			if n%8 == 7 {
				time.Sleep(time.Millisecond) // the cores are others' too; some thousand questions a second are tight enough
			}
		}
	}()
	server.Eventually(t, 10*time.Second, "every name has been asked for", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.seen) == len(shorts)
	})
	return e
}

// history is what a name has been answered with, in turn.
func (e *eye) history(short string) []glimpse {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.seen[short])
}

// whats is history where only the records count, not TTL or extended errors.
func (e *eye) whats(short string) []glimpse {
	return slices.CompactFunc(e.history(short), func(a, b glimpse) bool { return a.what == b.what })
}

func (e *eye) last(short string) glimpse {
	h := e.history(short)
	return h[len(h)-1]
}

func (e *eye) questions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

// unchanged says that names have been answered with one thing all the time.
func (e *eye) unchanged(t *testing.T, shorts ...string) {
	t.Helper()
	for _, n := range shorts {
		if h := e.whats(n); len(h) != 1 {
			t.Errorf("%s: the answer changed %d times: %s", n, len(h)-1, timeline(h))
		}
	}
	if e.questions() == 0 {
		t.Error("nothing was asked")
	}
}

func timeline(h []glimpse) string {
	var out []string
	for _, g := range h {
		out = append(out, fmt.Sprintf("+%s %v", g.at.Sub(h[0].at).Round(time.Millisecond), g.answer))
	}
	return "\n\t" + strings.Join(out, "\n\t")
}

// What all three clusters have: web with an address of the documentation, and
// live with one that somebody listens at. Somebody else speaks for the former.
//
//	paris  eu  eu-a  192.0.2.1  127.83.0.1
//	lyon   eu  eu-b  192.0.2.2  127.83.0.2
//	oslo   no  no-a  192.0.2.3  127.83.0.3
var sites = []struct{ name, region, zone, web, live, proxy string }{
	{"paris", "eu", "eu-a", "192.0.2.1", "127.83.0.1", "127.83.1.1"},
	{"lyon", "eu", "eu-b", "192.0.2.2", "127.83.0.2", "127.83.1.2"},
	{"oslo", "no", "no-a", "192.0.2.3", "127.83.0.3", "127.83.1.3"},
}

const (
	everywhere     = "192.0.2.1 192.0.2.2 192.0.2.3"
	everywhereLive = "127.83.0.1 127.83.0.2 127.83.0.3"
)

// A world is three clusters and who listens at their addresses.
type world struct {
	bed               *cluster.Bed
	paris, lyon, oslo *cluster.Cluster
	clusters          []*cluster.Cluster
	members           []member
	shards            map[string]*shard // by address
	port              int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bed: cluster.New(t), shards: map[string]*shard{}, port: vector.Port(t)}
	var names []string
	for _, s := range sites {
		names = append(names, s.name)
	}
	w.clusters = w.bed.APIs(t, names...)
	w.paris, w.lyon, w.oslo = w.clusters[0], w.clusters[1], w.clusters[2]
	var wg sync.WaitGroup
	for i, s := range sites {
		c := w.clusters[i]
		for _, a := range []string{s.live, s.proxy} {
			w.shards[a] = &shard{addr: fmt.Sprintf("%s:%d", a, w.port)}
			w.shards[a].open(t)
			t.Cleanup(w.shards[a].close)
		}
		wg.Go(func() {
			c.AddNode(t, "node-1", s.region, s.zone)
			c.Expose(t, "shop", "web", s.web)
			c.Slice(t, "shop", "web", s.zone, true)
			annotate(t, c, "web", "fedns.io/probe-address", s.proxy)
			c.Expose(t, "shop", "live", s.live)
			c.Slice(t, "shop", "live", s.zone, true)
		})
	}
	wg.Wait()
	for _, c := range w.clusters {
		w.members = append(w.members, kubeconfig(c.Name, c.ReadOnly(t)))
	}
	if _, err := server.Binary(); err != nil { // built before any clock starts
		t.Fatal(err)
	}
	return w
}

// probes is the Corefile's line.
func (w *world) probes() string {
	return fmt.Sprintf("probe tcp port %d interval %s timeout 200ms fall %d rise 2 annotations on allow 127.0.0.0/8\n", w.port, probing, fall)
}

// probed waits until every shard has been found to be alive.
func (w *world) probed(t *testing.T, s running) {
	t.Helper()
	server.Eventually(t, 30*time.Second, "all probes pass", func() bool {
		return s.metric(t, "probes_total", `result="pass"`) >= float64(4*len(w.shards)) // each has had its turns
	})
}

// The faults that need real clusters, one after another over the same three.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	for _, r := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"1 API stopped, withdraw", stoppedWithdraw},
		{"1 API stopped, keep", stoppedKeep},
		{"2 API stopped, probes pass", stoppedProbed},
		{"3 API and shards dead", dead},
		{"3 API stopped, shards hang", hanging},
		{"4 all APIs stopped", allStopped},
		{"4 all APIs stopped, one back later", oneLater},
		{"5 cut off", cutOff},
		{"6 killed during churn", killed},
		{"6 killed, one cluster listed late", killedEarly},
		{"6 the state is lost while it runs", stateLost},
		{"8 APIs that refuse", refusing},
		{"9 flapping endpoint", flapping},
		{"7 empty etcd", forgetful}, // the last: it doesn't leave the clusters as they were
	} {
		t.Run(r.name, func(t *testing.T) { r.test(t, w) })
	}
}
