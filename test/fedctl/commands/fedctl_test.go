// Package commands runs fedctl beside fedns, as operators do.
package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// binary builds fedctl once a test run, and gives its path.
var binary = sync.OnceValues(func() (string, error) { return server.Build("fedctl") })

const (
	web    = "web.shop.fed.svc.example.com"
	euWeb  = "web.shop.fed.svc.eu.example.com"
	onlyUs = "only.shop.fed.svc.example.com"
)

// A place is a running fedns with an operator before it: web is up in eu and in
// us, only in us alone; www leads to web.
type place struct {
	*server.Server
	t         *testing.T
	status    string // host:port
	overrides string // path
}

func start(t *testing.T) *place {
	dir := t.TempDir()
	cluster := func(region string, objects ...vector.Object) {
		vector.WriteManifest(t, filepath.Join(dir, region, "objects.json"), append(objects, vector.Node("n", region, region+"-a"))...)
	}
	cluster("eu", vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"))
	cluster("us", vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "us-a"),
		vector.Service("shop", "only", "192.0.2.3"), vector.Slice("shop", "only", true, "us-a"))
	apex := filepath.Join(dir, "db")
	if err := os.WriteFile(apex, []byte("@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nwww CNAME "+web+".\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, status: fmt.Sprint("127.0.0.1:", vector.Port(t)), overrides: filepath.Join(dir, "overrides")}
	p.Server = server.Start(t, fmt.Sprintf(`example.com:PORT {
    bind ADDR
    ready READY
    prometheus METRICS
    federation fed {
        cluster eu {
            manifests %[1]s/eu
        }
        cluster us {
            manifests %[1]s/us
        }
        apex %[2]s
        overrides %[3]s
        status %[4]s
    }
    errors
}
`, dir, apex, p.overrides, p.status))
	return p
}

// fedctl runs it, and gives what it prints and exits with.
func (p *place) fedctl(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	bin, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "FEDNS_SERVER="+p.status)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (p *place) must(args ...string) string {
	p.t.Helper()
	out, stderr, code := p.fedctl(args...)
	if code != 0 {
		p.t.Fatalf("fedctl %q: exit %d\n%s%s", args, code, out, stderr)
	}
	return out
}

func (p *place) addrs(name string) string {
	p.t.Helper()
	return strings.Join(slices.Sorted(slices.Values(server.Addrs(p.Ask(p.t, name, dns.TypeA)))), " ")
}

// taken waits until a name is answered with these addresses.
func (p *place) taken(limit time.Duration, name, want string) {
	p.t.Helper()
	server.Eventually(p.t, limit, name+" is answered with "+want, func() bool { return p.addrs(name) == want })
}

func (p *place) file() string {
	p.t.Helper()
	text, err := os.ReadFile(p.overrides)
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(text)
}

// A cluster is drained for two seconds, and comes back by the clock.
func TestDrain(t *testing.T) {
	p := start(t)
	p.taken(0, euWeb, "192.0.2.1")
	if out := p.must("drain", "cluster/eu", "--reason", "kernel upgrade", "--for", "2s"); !strings.Contains(out, "1 service changes") {
		t.Errorf("it says %s", out)
	}
	p.taken(1500*time.Millisecond, euWeb, "192.0.2.2")
	p.taken(0, web, "192.0.2.2")
	if out := p.must("explain", euWeb); !strings.Contains(out, "not in the answer: drained: kernel upgrade (until 20") {
		t.Errorf("explained as\n%s", out)
	}
	if out := p.must("overrides"); !strings.Contains(out, "cluster/eu") || strings.Contains(out, "expired") {
		t.Errorf("listed as\n%s", out)
	}
	p.taken(4*time.Second, euWeb, "192.0.2.1")
	if !strings.Contains(p.Log(), "override has expired: drain cluster/eu") {
		t.Error("the log doesn't say that the order has expired")
	}
	if out := p.must("overrides", "--prune"); !strings.Contains(out, "expired") || p.file() != "" {
		t.Errorf("%s, and left %q", out, p.file())
	}

	p.must("drain", "zone/us-a", "--reason", "rack", "--force")
	p.taken(1500*time.Millisecond, web, "192.0.2.1")
	p.must("undrain", "zone/us-a")
	p.taken(1500*time.Millisecond, web, "192.0.2.1 192.0.2.2")
}

// What would leave a service without a shard is refused, and shown; two orders
// that are harmless one by one aren't together.
func TestRefused(t *testing.T) {
	p := start(t)
	_, stderr, code := p.fedctl("drain", "region/us", "--reason", "x")
	if want := "fedctl: error: drain region/us: would leave 1 service without any shard: shop/only of federation fed\nfedctl: hint: "; code != 1 || !strings.HasPrefix(stderr, want) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	out := p.must("drain", "region/us", "--reason", "x", "--dry-run")
	for _, want := range []string{"2 services change; nothing is written", "192.0.2.1 192.0.2.2  -> 192.0.2.1\n", "-> " + web + ": 192.0.2.1\n", "-> nothing (no shard is up: drained in 1 cluster)", "it needs --force"} {
		if !strings.Contains(out, want) {
			t.Errorf("the preview lacks %q:\n%s", want, out)
		}
	}
	if _, stderr, code := p.fedctl("drain", "zone/ue-a", "--reason", "x"); code != 1 || !strings.Contains(stderr, "hint: known: eu-a, us-a") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if p.file() != "" {
		t.Errorf("written: %q", p.file())
	}
	p.must("drain", "service/shop/only", "--reason", "x", "--force")
	p.taken(1500*time.Millisecond, onlyUs, "")
	p.must("drain", "cluster/eu", "--reason", "one")
	if _, stderr, code := p.fedctl("down", "cluster/us", "--reason", "two"); code != 1 || !strings.Contains(stderr, "shop/web") {
		t.Errorf("right after another: exit %d, %s", code, stderr)
	}
	if _, stderr, code := p.fedctl("--server", "127.0.0.1:1", "--file", p.overrides, "drain", "cluster/us", "--reason", "x"); code != 1 || !strings.Contains(stderr, "can't be asked") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// What explain says is what the wire says, static CNAMEs followed through the
// whole server included; and what it is without a cluster.
func TestExplain(t *testing.T) {
	p := start(t)
	for _, name := range []string{web, euWeb, "www.example.com", "web.shop.fed.svc.us-a.us.example.com", "only.shop.fed.svc.eu.example.com", "nope.example.com", "svc.example.com", "example.com"} {
		var e report.Explanation
		if err := json.Unmarshal([]byte(p.must("explain", name, "-o", "json")), &e); err != nil {
			t.Fatal(err)
		}
		m := p.Ask(t, name, dns.TypeA)
		var want []string
		for _, rr := range m.Answer {
			want = append(want, rr.String())
		}
		slices.Sort(want)
		slices.Sort(e.Reply.Answer)
		if !slices.Equal(e.Reply.Answer, want) || e.Reply.Rcode != dns.RcodeToString[m.Rcode] || e.Reply.Authoritative != m.Authoritative {
			t.Errorf("%s: explained as %+v\nanswered with\n%v", name, e.Reply, m)
		}
	}
	out := p.must("explain", euWeb, "--without", "eu", "--client", "198.51.100.7")
	_, lost, _ := strings.Cut(out, "without eu")
	for _, want := range []string{"NOERROR, fallback, regional, TTL 30", "CNAME", web + ".", "192.0.2.2", "not in the answer: its cluster is lost, as asked"} {
		if !strings.Contains(lost, want) {
			t.Errorf("without eu, %q is missing:\n%s", want, out)
		}
	}
	if _, stderr, code := p.fedctl("explain", euWeb, "--without", "ue"); code != 1 || !strings.Contains(stderr, "hint: known clusters: eu, us") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if out := p.must("clusters"); !strings.Contains(out, "eu-a.eu") || !strings.Contains(out, "2 up (ready)") {
		t.Errorf("clusters:\n%s", out)
	}
}

// A reload doesn't keep anybody from asking, and another program can't have the
// same address.
func TestStatusReload(t *testing.T) {
	p := start(t)
	done := make(chan struct{})
	var asking sync.WaitGroup
	asked := 0
	asking.Go(func() {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		for {
			r, err := c.Get("http://" + p.status + "/api/v1/snapshot")
			if err != nil {
				t.Errorf("after %d requests: %v", asked, err)
				return
			}
			r.Body.Close()
			if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("status %s", r.Status)
			}
			asked++
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond): // enough to meet the reload, without wearing out ports
			}
		}
	})
	for i := range 10 {
		p.Reload(t)
		server.Eventually(t, 20*time.Second, "it reloads", func() bool { return strings.Count(p.Log(), "Reloading complete") > i })
	}
	close(done)
	asking.Wait()
	if asked < 10 {
		t.Errorf("only %d requests", asked)
	}
	text, err := os.ReadFile(p.Corefile)
	if err != nil {
		t.Fatal(err)
	}

	// A reload that fails leaves the status with what is answered.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	p.Write(t, strings.Replace(string(text), "federation fed", "federation other", 1)+"example.org:"+port+" {\n    bind 127.0.0.1\n    errors\n}\n")
	p.Reload(t)
	server.Eventually(t, 20*time.Second, "it fails to reload", func() bool { return strings.Contains(p.Log(), "address already in use") })
	server.Eventually(t, 5*time.Second, "the status is of what is answered", func() bool { return strings.Contains(p.must("clusters"), "fed  ") })
	p.taken(0, web, "192.0.2.1 192.0.2.2")
	p.Write(t, string(text))

	port = p.Addr[strings.LastIndexByte(p.Addr, ':')+1:]
	other := server.Launch(t, strings.NewReplacer(":"+port, ":PORT", "ready ", "# ready ", "prometheus ", "# prometheus ").Replace(string(text)))
	select {
	case <-other.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it started")
	}
	if log := other.Log(); !strings.Contains(log, "address already in use") || !strings.Contains(log, p.status) {
		t.Errorf("it says\n%s", log)
	}
}

// The server of another host names a file that is here, too, and isn't the one that it
// reads: nothing is ordered here, and nothing is said to be done.
func TestElsewhere(t *testing.T) {
	p := start(t)
	here := filepath.Join(t.TempDir(), "overrides")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get("http://" + p.status + r.URL.RequestURI())
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(bytes.ReplaceAll(body, []byte(p.overrides), []byte(here)))
	}))
	defer front.Close()
	there := func(name string) {
		t.Helper()
		if _, err := os.Stat(here); !os.IsNotExist(err) {
			text, _ := os.ReadFile(here)
			if len(text) > 0 {
				t.Errorf("%s: left behind: %q", name, text)
			}
		}
		p.taken(0, web, "192.0.2.1 192.0.2.2")
	}
	// Both are empty, so that only the server's silence tells.
	_, stderr, code := p.fedctl("--server", front.URL, "drain", "cluster/eu", "--reason", "x")
	if code != 1 || !strings.Contains(stderr, "drain cluster/eu: taken back: "+here+" isn't the file that the server reads") || !strings.Contains(stderr, "hint: run fedctl there") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	there("both empty")
	if err := os.WriteFile(p.overrides, []byte("# theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"drain", "cluster/eu"}, {"drain", "cluster/eu", "--force"}, {"up", "zone/us-a", "--force"}} {
		_, stderr, code := p.fedctl(append(args, "--server", front.URL, "--reason", "x")...)
		if code != 1 || !strings.Contains(stderr, "nothing is written") {
			t.Errorf("%q: exit %d, %s", args, code, stderr)
		}
		there(args[0])
	}
	if err := os.WriteFile(here, []byte("drain cluster/eu reason \"here\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := p.fedctl("undrain", "cluster/eu", "--server", front.URL); code != 1 || !strings.Contains(stderr, "isn't the file that the server reads") {
		t.Errorf("undrain: exit %d, %s", code, stderr)
	}
	if text, _ := os.ReadFile(here); string(text) != "drain cluster/eu reason \"here\"\n" {
		t.Errorf("undrain has left %q", text)
	}
	// Where it is the file, what is reported is in force.
	p.must("drain", "cluster/eu", "--reason", "x")
	p.taken(0, web, "192.0.2.2")
	var s report.Snapshot
	resp, err := http.Get("http://" + p.status + "/api/v1/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || len(s.Federations[0].InForce) != 1 || s.Federations[0].InForce[0].Source != "overrides" || s.Federations[0].InForce[0].Line != `drain cluster/eu reason "x"` {
		t.Errorf("%v: %+v", err, s.Federations)
	}
	p.must("undrain", "cluster/eu")
	p.taken(0, web, "192.0.2.1 192.0.2.2")
}
