package load

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// A cluster is the API of one that a reflector can follow, with Services that change
// as often as a test wants. The state of each has a number, which its addresses show:
// 10.x.y.z, 11.x.y.z and fd00::x.
type cluster struct {
	*httptest.Server

	mu       sync.Mutex // guards the rest
	version  int
	states   [][]moments // by service, and number
	watchers map[*watcher]bool
}

// moments are when a change began to be told, and when it had been.
type moments struct{ begun, told time.Time }

type watcher struct {
	http.ResponseWriter
	gone chan struct{}
}

func newCluster(t testing.TB, services int) *cluster {
	t.Helper()
	c := &cluster{version: 1, states: make([][]moments, services), watchers: map[*watcher]bool{}}
	for i := range c.states {
		c.states[i] = []moments{{}}
	}
	c.Server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

// kubeconfig writes a file that leads here.
func (c *cluster) kubeconfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, `apiVersion: v1
kind: Config
clusters: [{name: paris, cluster: {server: "`+c.URL+`"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: paris, context: {cluster: paris, user: nobody}}]
current-context: paris
`)
	return path
}

// ServeHTTP implements http.Handler.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kinds := map[string][2]string{
		"services": {"Service", "v1"}, "ingresses": {"Ingress", "networking.k8s.io/v1"},
		"endpointslices": {"EndpointSlice", "discovery.k8s.io/v1"}, "nodes": {"Node", "v1"},
	}
	resource := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	k, ok := kinds[resource]
	switch {
	case resource == "readyz":
		return
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	if q.Get("watch") == "" && q.Get("limit") == "1" { // how far it is
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"%d"},"items":[]}`, k[0], k[1], c.version)
		return
	}
	if q.Get("watch") == "" {
		w.WriteHeader(http.StatusUnprocessableEntity) // lists are streamed
		return
	}
	c.mu.Lock()
	if v, err := strconv.Atoi(q.Get("resourceVersion")); err == nil && v < c.version && q.Get("sendInitialEvents") != "true" { // it keeps no history
		c.mu.Unlock()
		w.WriteHeader(http.StatusGone)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}`)
		return
	}
	if q.Get("sendInitialEvents") == "true" {
		var b bytes.Buffer
		switch resource {
		case "nodes":
			fmt.Fprintf(&b, `{"type":"ADDED","object":{"kind":%q,"apiVersion":%q,"metadata":{"name":"n","resourceVersion":"1","labels":{"topology.kubernetes.io/region":"eu","topology.kubernetes.io/zone":"eu-a"}}}}`+"\n", k[0], k[1])
		case "services":
			for i := range c.states {
				c.event(&b, "ADDED", i, len(c.states[i])-1)
			}
		case "endpointslices":
			for i := range c.states {
				fmt.Fprintf(&b, `{"type":"ADDED","object":{"kind":%q,"apiVersion":%q,"addressType":"IPv4","metadata":{"namespace":"shop","name":"s%d-x","resourceVersion":"1","labels":{"fedns.io/export":"true","kubernetes.io/service-name":"s%d"}},"endpoints":[{"addresses":["10.0.0.1"],"zone":"eu-a","conditions":{"ready":true}}]}}`+"\n", k[0], k[1], i, i)
			}
		}
		fmt.Fprintf(&b, `{"type":"BOOKMARK","object":{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n", k[0], k[1], c.version)
		_, _ = w.Write(b.Bytes()) // whoever has gone asks again
	}
	_ = http.NewResponseController(w).Flush()
	me := &watcher{w, make(chan struct{})}
	if resource == "services" {
		c.watchers[me] = true
	}
	c.mu.Unlock()
	<-r.Context().Done()
	c.mu.Lock()
	delete(c.watchers, me)
	c.mu.Unlock()
}

// event writes what a watch says of a service. c is locked.
func (c *cluster) event(b *bytes.Buffer, what string, i, state int) {
	fmt.Fprintf(b, `{"type":%q,"object":{"kind":"Service","apiVersion":"v1","metadata":{"namespace":"shop","name":"s%d","uid":"0b4cbcf0-8d2a-4b2e-9b7c-%012d","resourceVersion":"%d","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"fedns.io/export":"true","app":"s%d"}},`+
		`"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.1","ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":8080,"nodePort":30080}],"selector":{"app":"s%d"},"sessionAffinity":"None","externalTrafficPolicy":"Cluster","ipFamilies":["IPv4"]},`+
		`"status":{"loadBalancer":{"ingress":[{"ip":"10.%s"},{"ip":"11.%s"},{"ip":"fd00::%x"}]}}}}`+"\n", what, i, i, c.version, i, i, digits(state), digits(state), state)
}

// digits are the last three bytes of an IPv4 address that shows a number.
func digits(n int) string { return fmt.Sprintf("%d.%d.%d", n>>16, n>>8&0xff, n&0xff) }

// change gives services their next state, in one breath.
func (c *cluster) change(services ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	begun := time.Now()
	for _, i := range services {
		c.version++
		c.event(&b, "MODIFIED", i, len(c.states[i]))
		c.states[i] = append(c.states[i], moments{begun: begun})
	}
	for w := range c.watchers {
		_, _ = w.Write(b.Bytes()) // whoever has gone asks again
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	told := time.Now()
	for _, i := range services {
		c.states[i][len(c.states[i])-1].told = told
	}
}

// churn changes services one after another, so many a second, until the function it
// returns is called; it gives how many it were.
func (c *cluster) churn(rate int) (stop func() (int, time.Duration)) {
	done, ended := make(chan struct{}), make(chan struct{})
	n, began := 0, time.Now()
	var took time.Duration
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				took = time.Since(began)
				return
			}
			var batch []int
			for due := int(time.Since(began).Seconds() * float64(rate)); n < due; n++ {
				batch = append(batch, n%len(c.states))
			}
			if len(batch) > 0 {
				c.change(batch...)
			}
		}
	}()
	return func() (int, time.Duration) {
		close(done)
		<-ended
		return n, took
	}
}

// shows says which state a message shows: of all its addresses, or none.
func shows(m *dns.Msg) (state int, ok bool) {
	for n, a := range server.Addrs(m) {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return 0, false
		}
		b := addr.As16()
		v := int(b[13])<<16 | int(b[14])<<8 | int(b[15])
		if n > 0 && v != state {
			return 0, false
		}
		state = v
	}
	return state, len(m.Answer) > 0
}

// neighbour checks that an answer shows one state of its service, which was current
// at some moment from a little before it was asked to when it came.
func (c *cluster) neighbour(lag time.Duration) func(*question, time.Time, *dns.Msg) string {
	return func(q *question, asked time.Time, m *dns.Msg) string {
		now := time.Now()
		i, _ := strconv.Atoi(q.name[1:strings.IndexByte(q.name, '.')])
		got, ok := shows(m)
		want := 2
		if strings.HasSuffix(q.name, "AAAA") {
			want = 1
		}
		if !ok || len(m.Answer) != want {
			return fmt.Sprintf("%s: not one state: %v", q, server.Addrs(m))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		first, last := 0, 0
		for n, s := range c.states[i] {
			if !s.begun.After(now) {
				last = n
			}
			if !s.told.IsZero() && !s.told.After(asked.Add(-lag)) || n == 0 {
				first = n
			}
		}
		if got < first || got > last {
			return fmt.Sprintf("%s: state %d, want one of %d to %d", q, got, first, last)
		}
		return ""
	}
}

// corefile has no guard: so many changes are what it is there to hold back.
func (c *cluster) corefile(t testing.TB) string {
	return "example.com:PORT {\n bind ADDR\n federation myfederation {\n  cluster paris {\n   kubeconfig " + c.kubeconfig(t) + " paris\n  }\n  guard off\n }\n ready READY\n prometheus METRICS\n errors\n}\n"
}

func (c *cluster) questions() []*question {
	var out []*question
	for i := range c.states {
		name, t := fmt.Sprintf("s%d.shop.myfederation.svc.example.com", i), dns.TypeA
		switch i % 4 {
		case 1:
			name = strings.Replace(name, ".svc.", ".svc.eu.", 1)
		case 2:
			t = dns.TypeAAAA
		}
		out = append(out, ask(name, t, "NOERROR"))
	}
	return out
}

// A thousand changes a second under load: each answer is of one state of its service,
// the present one or, for a moment, that before; and the last state is answered in
// the end.
func TestChanges(t *testing.T) {
	t.Parallel()
	const rate = 1000
	c := newCluster(t, 1000)
	s := server.Start(t, c.corefile(t))
	server.Eventually(t, patience, "there is a fast path", func() bool { return fastPath(t, s) })
	shown := s.Metric(t, "coredns_federation_publications_total")
	// A change is shown within 20 ms and what a busy machine adds; each service has a
	// new state every second.
	st := pour(t, s.Addr, pace{rate: 3000, check: c.neighbour(500 * time.Millisecond)}, c.questions()...)
	stop := c.churn(rate)
	st.more(t, 9000)
	n, took := stop()
	shown = s.Metric(t, "coredns_federation_publications_total") - shown
	st.whole(t)
	server.Eventually(t, patience, "the last state of each is answered", func() bool {
		for i := range c.states {
			m := s.Ask(t, fmt.Sprintf("s%d.shop.myfederation.svc.example.com", i), dns.TypeA)
			if got, ok := shows(m); !ok || got != len(c.states[i])-1 {
				return false
			}
		}
		return true
	})
	if got := float64(n) / took.Seconds(); got < 0.95*rate {
		t.Errorf("%.0f changes a second were made, want %d", got, rate)
	}
	if most := took.Seconds()*50 + 2; shown > most {
		t.Errorf("%v publications in %v", shown, took)
	}
	t.Logf("%d changes in %v, shown by %v publications, under %d questions", n, took.Round(time.Millisecond), shown, st.answered.Load())
}

// Full load from dnsperf, with a thousand changes a second and without, in turn: how
// many answers a second there are. The server has one CPU to itself, whoever asks and
// the cluster have the other.
func TestFullLoadUnderChange(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: -figures")
	}
	const rounds, seconds, rate, services = 9, 4, 1000, 1000
	asker, err := exec.LookPath("dnsperf")
	if err != nil {
		t.Skip(err)
	}
	pin(t, 1)
	c := newCluster(t, services)
	s := server.Launch(t, c.corefile(t), "taskset", "-c", "0")
	s.WaitReady(t)
	server.Eventually(t, patience, "there is a fast path", func() bool { return fastPath(t, s) })
	file := filepath.Join(t.TempDir(), "questions")
	var b strings.Builder
	for _, q := range c.questions() {
		b.WriteString(strings.Replace(q.name, ". ", " ", 1) + "\n")
	}
	write(t, file, b.String())
	_, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"-s", "127.0.0.1", "-p", port, "-d", file, "-l", fmt.Sprint(seconds), "-c", "8", "-q", "400", "-T", "1"}
	lap := func() (answers, cpu float64) {
		before := cpuTime(t, s.Pid)
		out, err := exec.Command(asker, args...).CombinedOutput()
		used := cpuTime(t, s.Pid) - before
		if err != nil {
			t.Fatalf("dnsperf: %v\n%s", err, out)
		}
		number := func(pattern string) float64 {
			m := regexp.MustCompile(pattern).FindSubmatch(out)
			if m == nil {
				t.Fatalf("dnsperf printed\n%s", out)
			}
			v, _ := strconv.ParseFloat(string(m[1]), 64)
			return v
		}
		if lost := number(`Queries lost: +([0-9]+)`); lost > 0 {
			t.Errorf("%v lost", lost)
		}
		return number(`Queries per second: +([0-9.]+)`), used.Seconds() / seconds
	}
	lap()
	var still, changing, ratios, cost []float64
	made := 0.0
	for round := range rounds {
		var without, cpu, with, more float64
		for half := range 2 {
			if half == round%2 { // neither is always the first
				without, cpu = lap()
				continue
			}
			stop := c.churn(rate)
			with, more = lap()
			n, took := stop()
			made += float64(n) / took.Seconds() / rounds
		}
		t.Logf("%.0f without (server busy %.2f), %.0f with (busy %.2f)", without, cpu, with, more)
		still, changing = append(still, without), append(changing, with)
		// Others use the machine too, and a round is shorter than their moods.
		ratios = append(ratios, with/without)
		cost = append(cost, (more/with)/(cpu/without))
	}
	ratio := middle(ratios)
	t.Logf("%.0f answers a second without changes, %.0f with %.0f changes a second: %.3f times as many, %.3f times the CPU each (medians of %d rounds of %d s)",
		middle(still), middle(changing), made, ratio, middle(cost), rounds, seconds)
	if ratio < 0.9 {
		t.Errorf("changes cost %.0f%% of the answers", 100*(1-ratio))
	}
}

func middle(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	return s[len(s)/2]
}

// cpuTime is what a process has used of the CPUs.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// pid (name) state ppid …, and the name may hold anything.
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * time.Second / 100 // ticks
}
