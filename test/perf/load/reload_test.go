package load

import (
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var reloads = flag.Int("reloads", 3, "how often the reload plugin reloads a configuration under load, which takes two seconds each time")

// signals is how often a signal does.
const signals = 100

// steady is a load that leaves two cores time for others.
var steady = pace{rate: 3000}

// nsid is what the server says it is, and whether the fast path says so: CoreDNS gives back
// the size that the client takes, where that is the smaller. It is "" if there is no answer: the
// connections that a reload finds are CoreDNS's to close.
func nsid(t testing.TB, s *server.Server, network string) (id string, fast bool) {
	t.Helper()
	q := new(dns.Msg).SetQuestion("web0.shop.myfederation.svc.example.com.", dns.TypeA)
	const size = 1000
	q.SetEdns0(size, false)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	m, _, err := (&dns.Client{Net: network, Timeout: patience}).Exchange(q, s.Addr)
	if err != nil {
		if network == "udp" {
			t.Error(err)
		}
		return "", false
	}
	for _, o := range m.IsEdns0().Option {
		if n, ok := o.(*dns.EDNS0_NSID); ok {
			b, _ := hex.DecodeString(n.Nsid)
			return string(b), m.IsEdns0().UDPSize() != size
		}
	}
	return "", false
}

// becomes waits until a configuration answers, on the fast path too if it has one.
//
// It goes on asking over TCP: caddy hands a listener over by way of a moment in which
// it blocks, and the old server can't end while it sits in accept(2) until somebody
// comes. It happens to one reload of some hundred.
func becomes(t testing.TB, s *server.Server, generation string, fast bool) {
	t.Helper()
	server.Eventually(t, 10*time.Second, fmt.Sprintf("%s answers, over UDP by the fast path: %v", generation, fast), func() bool {
		over, _ := nsid(t, s, "tcp")
		id, by := nsid(t, s, "udp")
		return over == generation && id == generation && by == fast
	})
}

// held is what a server holds on to, once it has tidied up.
type held struct {
	files, goroutines, kb int
}

func holds(t testing.TB, s *server.Server, pprof string) held {
	t.Helper()
	// Twice: what the first finds to be finalized, the second takes away.
	for range 2 {
		r, err := http.Get("http://" + pprof + "/debug/pprof/heap?gc=1")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return held{len(files), int(s.Metric(t, "go_goroutines ")), int(s.Metric(t, "go_memstats_heap_alloc_bytes ")) / 1024}
}

// Reloads by signal, one after the other, under load: no question is lost, each is
// answered rightly, what the fast path says is the new configuration's, and nothing
// piles up.
func TestReloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pprof := fmt.Sprint("127.0.0.1:", vector.Port(t))
	forward := "example.edu:PORT {\n bind ADDR\n forward . " + upstream(t) + "\n}\n"
	generation := func(n int) string {
		return w.corefile("", fmt.Sprint("nsid generation-", n, "\n pprof ", pprof), forward)
	}
	s := server.Start(t, generation(0))
	becomes(t, s, "generation-0", true)
	st := pour(t, s.Addr, steady, append(w.all(), ask("www.example.edu", dns.TypeA, "NOERROR 203.0.113.82"), ask("www.example.edu", dns.TypeA, "NOERROR 203.0.113.82").with(true))...)
	var before held
	began := time.Now()
	for n := 1; n <= signals; n++ {
		s.Write(t, generation(n))
		s.Reload(t)
		becomes(t, s, fmt.Sprint("generation-", n), true)
		st.more(t, 100)
		if n == signals/4 {
			before = holds(t, s, pprof)
		}
	}
	took := time.Since(began)
	// Connections of ours and of the kernel's moments come and go, and a socket that nothing has come to holds on to the handler of before.
	more := signals - signals/4
	var after held
	enough := func() bool {
		after = holds(t, s, pprof)
		return after.files-before.files <= 3+more/10 && after.goroutines-before.goroutines <= 5+more/10 && after.kb-before.kb <= 1024+more*10
	}
	for end := time.Now().Add(time.Minute); !enough() && time.Now().Before(end); {
		st.more(t, 100)
	}
	st.whole(t)
	if strings.Count(s.Log(), "Reloading complete") != signals {
		t.Errorf("%d reloads by the log", strings.Count(s.Log(), "Reloading complete"))
	}
	t.Logf("%d reloads in %v under %d questions a second, %d answers; after %d of them %+v, after all %+v",
		signals, took.Round(time.Millisecond), steady.rate, st.answered.Load(), signals/4, before, after)
	if grown := after.files - before.files; grown > 3+more/10 {
		t.Errorf("%d more files after %d reloads", grown, more)
	}
	if grown := after.goroutines - before.goroutines; grown > 5+more/10 {
		t.Errorf("%d more goroutines after %d reloads", grown, more)
	}
	if grown := after.kb - before.kb; grown > 1024+more*10 {
		t.Errorf("%d KiB more memory after %d reloads", grown, more)
	}
}

// Reloads that the reload plugin makes when it finds the Corefile changed.
func TestReloadPlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	generation := func(n int) string { return w.corefile("", fmt.Sprint("nsid generation-", n, "\n reload 2s 0s")) }
	s := server.Start(t, generation(0))
	becomes(t, s, "generation-0", true)
	st := pour(t, s.Addr, steady, w.all()...)
	for n := 1; n <= *reloads; n++ { // it looks every other second
		s.Write(t, generation(n))
		becomes(t, s, fmt.Sprint("generation-", n), true)
	}
	st.whole(t)
}

// What was answered before a reload is followed after it: a change of the clusters
// is seen by the fast path of each new configuration.
func TestReloadFollows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := func(addr string) {
		vector.WriteManifest(t, dir+"/shop.json", vector.Node("n", "eu", "eu-a"),
			vector.Service("shop", "web", addr), vector.Slice("shop", "web", true, "eu-a"))
	}
	set("192.0.2.1")
	s := server.Start(t, "example.com:PORT {\n bind ADDR\n federation myfederation {\n  cluster paris {\n   manifests "+dir+"\n  }\n }\n ready READY\n}\n")
	for n := 2; n < 5; n++ {
		s.Reload(t)
		server.Eventually(t, 10*time.Second, "it is reloaded", func() bool { return strings.Count(s.Log(), "Reloading complete") == n-1 })
		addr := fmt.Sprint("192.0.2.", n)
		set(addr)
		server.Eventually(t, 5*time.Second, "the answer is "+addr, func() bool {
			a := server.Addrs(s.Ask(t, "web.shop.myfederation.svc.example.com", dns.TypeA))
			return len(a) == 1 && a[0] == addr
		})
	}
}

// Reloads that change what the fast path is, or whether it is: meanwhile all is
// answered.
func TestReloadChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := server.Start(t, w.corefile("", "nsid 0"))
	becomes(t, s, "0", true)
	st := pour(t, s.Addr, pace{rate: 2000}, w.all()...)
	elsewhere := "example.org:PORT {\n bind ADDR\n" + w.federation + " }\n}\n"
	var steps []string
	defer func() {
		if t.Failed() {
			t.Log("the steps:\n" + strings.Join(steps, "\n"))
		}
	}()
	for n, r := range []struct {
		what, properties, plugins, block string
		fast                             bool
	}{
		{"off", "fast off", "", "", false},
		{"off again", "fast off", "", "", false},
		{"on", "fast on", "", "", true},
		{"a plugin that must see all", "", "log .", "", false},
		{"without it", "", "", "", true},
		{"two sockets", "", "multisocket 2", "", true},
		{"four sockets", "", "multisocket 4", "", true},
		// Never fewer: CoreDNS closes a socket with what waits in it.
		{"four sockets, and off", "fast off", "multisocket 4", "", false},
		{"four sockets, and on", "", "multisocket 4", "", true},
		{"four, and a plugin", "", "multisocket 4\n view all {\n  expr true\n }", "", false},
		{"four, without it", "", "multisocket 4", "", true},
		{"a more specific zone", "", "multisocket 4", "sub.example.com:PORT {\n bind ADDR\n multisocket 4\n file " + w.other + " example.net\n}\n", true},
		{"limits that nobody reaches", "rrl on 100000 2", "multisocket 4", "", true},
		{"another federation beside", "", "multisocket 4", strings.Replace(elsewhere, w.apex, w.other, 1), true},
		{"no cookies", "cookies off", "multisocket 4", "", true},
	} {
		generation := fmt.Sprint(n + 1)
		steps = append(steps, time.Now().Format("15:04:05.000000 ")+r.what)
		plugins := "nsid " + generation + "\n " + r.plugins
		s.Write(t, w.corefile(r.properties, plugins, r.block))
		s.Reload(t)
		becomes(t, s, generation, r.fast)
		// It is said when connections have it, too.
		server.Eventually(t, time.Minute, fmt.Sprintf("%s: fast path %v", r.what, r.fast), func() bool { return fastPath(t, s) == r.fast })
		fast, answered := s.Metric(t, "coredns_federation_fast_questions_total{"), st.answered.Load()
		st.more(t, 200)
		if got := s.Metric(t, "coredns_federation_fast_questions_total{") > fast; got != r.fast {
			t.Errorf("%s: the fast path has answered: %v, of %d answers", r.what, got, st.answered.Load()-answered)
		}
		if strings.Contains(s.Log(), "Restart failed") {
			t.Fatalf("%s: the configuration isn't taken", r.what)
		}
	}
	st.whole(t)
}

// A reload that fails leaves all as it was, however often.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.corefile("", "nsid good")
	s := server.Start(t, good)
	becomes(t, s, "good", true)
	st := pour(t, s.Addr, pace{rate: 1000}, w.all()...)
	for n, bad := range []string{
		"nonsense {",
		w.corefile("unheard of", ""),
		w.corefile("", "", "example.info:PORT {\n bind 192.0.2.1\n file "+w.other+"\n}\n"), // not an address of this host: found once all else is under way
		w.corefile("", "pprof 192.0.2.1:6053"),                                             // when it has been started
	} {
		s.Write(t, bad)
		s.Reload(t)
		server.Eventually(t, 10*time.Second, "it is refused", func() bool { return strings.Count(s.Log(), "[ERROR] SIGUSR1") == n+1 })
		becomes(t, s, "good", true)
		server.Eventually(t, time.Minute, "there is a fast path after\n"+bad, func() bool { return fastPath(t, s) })
		st.more(t, 100)
	}
	s.Write(t, strings.Replace(good, "nsid good", "nsid better", 1))
	s.Reload(t)
	becomes(t, s, "better", true)
	st.whole(t)
}
