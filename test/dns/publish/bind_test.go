// Package publish has fedns write its names into the zones of other name servers.
package publish

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

const secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="

// A provider is a BIND with the zone example.com, which is updated by whoever has the key pub.
type provider struct {
	addr string
	dir  string
	port int
	stop func()
	kill func() // without a farewell
}

func newProvider(t *testing.T, policy string) *provider {
	t.Helper()
	p := &provider{dir: t.TempDir(), port: vector.Port(t)}
	p.addr = fmt.Sprint("127.0.0.1:", p.port)
	p.write(t, "example.com.db", `$TTL 21600
@ SOA ns-cloud-e1.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 1209600 300
@ NS ns-cloud-e1.googledomains.com.
@ NS ns-cloud-e2.googledomains.com.
www A 203.0.113.80
`)
	p.write(t, "named.conf", server.BINDConfig(p.dir, p.port, "recursion no;")+fmt.Sprintf(`key "pub" { algorithm hmac-sha256; secret "%[1]s"; };
key "other" { algorithm hmac-sha256; secret "%[1]s"; };
zone "example.com" { type primary; file "example.com.db"; update-policy { grant other zonesub ANY; %[2]s }; allow-transfer { key pub; }; };
`, secret, policy))
	p.start(t)
	return p
}

func (p *provider) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *provider) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(server.Tool(t, "named"), "-g", "-c", filepath.Join(p.dir, "named.conf"))
	log := &server.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			p.kill()
		}
	}
	p.kill = func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-gone
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("named printed:\n%s", log)
		}
	})
	server.Eventually(t, time.Minute, "BIND answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), p.addr)
		return err == nil && len(m.Answer) == 1
	})
}

// dig asks for all of a name's records of some types, and prints each set as the article does.
func (p *provider) dig(t *testing.T, name string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(p.addr)
	out, err := exec.Command(server.Tool(t, "dig"), "-r", "@"+host, "-p", port, "+noall", "+answer", "+nocomments", name+".", "A").CombinedOutput()
	if err != nil {
		t.Fatalf("dig: %v\n%s", err, out)
	}
	sets := map[string][]string{}
	head := ""
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] != name+"." {
			continue
		}
		head = f[3] + " " + f[1]
		sets[head] = append(sets[head], strings.TrimSuffix(f[4], "."))
	}
	slices.Sort(sets[head])
	return strings.TrimSpace(head + " " + strings.Join(sets[head], ", "))
}

// mutate sends an update of somebody else's.
func (p *provider) mutate(t *testing.T, change func(m *dns.Msg)) {
	t.Helper()
	m := new(dns.Msg).SetUpdate("example.com.")
	change(m)
	m.SetTsig("other.", dns.HmacSHA256, 300, time.Now().Unix())
	c := dns.Client{Net: "tcp", TsigSecret: map[string]string{"other.": secret}}
	r, _, err := c.Exchange(m, p.addr)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatal(r, err)
	}
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A world is the clusters of the article, as manifests: a zone each, but for us-central1, which has two.
type world struct{ dir string }

// A shard of nginx: where it is, at which address, and whether it has pods.
type shard struct {
	region, zone, addr string
	ready              bool
}

func (w *world) serve(t *testing.T, shards ...shard) {
	t.Helper()
	for _, s := range shards {
		w.cluster(t, s, vector.Service("mynamespace", "nginx", s.addr), vector.Slice("mynamespace", "nginx", s.ready, s.zone))
	}
}

func (w *world) cluster(t *testing.T, s shard, objects ...vector.Object) {
	t.Helper()
	vector.WriteManifest(t, filepath.Join(w.dir, s.zone, "cluster.json"), append([]vector.Object{vector.Node("n", s.region, s.zone)}, objects...)...)
}

var article = []shard{
	{"us-central1", "us-central1-a", "104.197.247.191", true},
	{"us-central1", "us-central1-b", "104.197.74.77", true},
	{"us-central1", "us-central1-f", "104.196.0.44", true},
	{"asia-east1", "asia-east1-a", "130.211.57.243", true},
	{"europe-west1", "europe-west1-b", "104.199.136.89", false},
}

func (w *world) corefile(more string) string {
	clusters := make([]string, len(article))
	for i, s := range article {
		clusters[i] = s.zone
	}
	return "example.com:PORT {\n bind ADDR\n prometheus METRICS\n tsig {\n  secret pub. " + secret + "\n }\n federation myfederation {\n" +
		server.Members(w.dir, clusters...) + more + "\n }\n ready READY\n}\n"
}

const nginx = "nginx.mynamespace.myfederation.svc"

// The records of the article on cross-cluster services stand in the provider's zone, beside its own; they follow
// what becomes of shards; what isn't ours stays, and what went while nobody published goes.
func TestArticle(t *testing.T) {
	w, p := &world{t.TempDir()}, newProvider(t, "grant pub zonesub ANY;")
	w.serve(t, article...)
	// Somebody else has records under a name of ours.
	p.mutate(t, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, nginx+".asia-east1.example.com. 60 A 203.0.113.1")}) })
	s := server.Start(t, w.corefile(" ttl 180s 180s\n publish update "+p.addr+" key pub"))
	const metric = `coredns_federation_unpublished{`
	table := func(want map[string]string) {
		t.Helper()
		for _, scope := range []string{"", ".us-central1", ".us-central1-a", ".us-central1-a.us-central1", ".asia-east1-a", ".asia-east1", ".europe-west1-b", ".europe-west1"} {
			if want[scope] == "" {
				continue
			}
			name, got := nginx+scope+".example.com", ""
			server.Eventually(t, time.Minute, fmt.Sprintf("%s is %s", name, want[scope]), func() bool {
				got = p.dig(t, name)
				return got == want[scope]
			})
			t.Log(name+".", got)
		}
	}
	all := map[string]string{
		"":                           "A 180 104.196.0.44, 104.197.247.191, 104.197.74.77, 130.211.57.243",
		".us-central1-a":             "A 180 104.197.247.191",
		".us-central1-a.us-central1": "A 180 104.197.247.191",
		".us-central1":               "A 180 104.196.0.44, 104.197.247.191, 104.197.74.77",
		".asia-east1-a":              "A 180 130.211.57.243",
		".asia-east1":                "A 60 203.0.113.1", // somebody else's
		".europe-west1":              "CNAME 180 " + nginx + ".example.com",
		".europe-west1-b":            "CNAME 180 " + nginx + ".europe-west1.example.com",
	}
	table(all)
	server.Eventually(t, time.Minute, "the one that is taken is counted", func() bool { return s.Metric(t, metric) == 1 })
	if !strings.Contains(s.Log(), nginx+".asia-east1.example.com.: records that aren't ours stand there") {
		t.Error("the log doesn't say which name is taken")
	}
	// Somebody takes one of ours away: it comes again, without anything having changed here.
	p.mutate(t, func(m *dns.Msg) {
		m.RemoveRRset([]dns.RR{rr(t, nginx+".us-central1-a.example.com. 60 A 203.0.113.1")})
	})
	// They take it away.
	p.mutate(t, func(m *dns.Msg) {
		m.RemoveRRset([]dns.RR{rr(t, nginx+".asia-east1.example.com. 60 A 203.0.113.1")})
	})
	all[".asia-east1"] = "A 180 130.211.57.243"
	table(all)
	server.Eventually(t, time.Minute, "all is published", func() bool { return s.Metric(t, metric) == 0 })

	// A zone has no pods; the whole of a region hasn't; and one has them again.
	w.serve(t, shard{"us-central1", "us-central1-a", "104.197.247.191", false}, shard{"asia-east1", "asia-east1-a", "130.211.57.243", false})
	table(map[string]string{
		"":               "A 180 104.196.0.44, 104.197.74.77",
		".us-central1-a": "CNAME 180 " + nginx + ".us-central1.example.com",
		".us-central1":   "A 180 104.196.0.44, 104.197.74.77",
		".asia-east1-a":  "CNAME 180 " + nginx + ".asia-east1.example.com",
		".asia-east1":    "CNAME 180 " + nginx + ".example.com",
	})
	w.serve(t, article...)
	table(all)
	srv, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("_http._tcp."+nginx+".us-central1.example.com.", dns.TypeSRV), p.addr)
	if err != nil || len(srv.Answer) != 1 || srv.Answer[0].(*dns.SRV).Target != nginx+".us-central1.example.com." {
		t.Errorf("SRV: %v, %v", srv, err)
	}

	// While BIND is away, and while fedns is.
	p.stop()
	w.serve(t, shard{"us-central1", "us-central1-a", "104.197.247.200", true})
	server.Eventually(t, time.Minute, "it can't be published", func() bool {
		return s.Metric(t, `coredns_federation_published_total{federation="myfederation",outcome="unanswered"`) > 0
	})
	p.start(t)
	all["."], all[".us-central1-a"] = "", "A 180 104.197.247.200"
	delete(all, "")
	delete(all, ".us-central1")
	delete(all, ".us-central1-a.us-central1")
	table(all)
	s.Stop()
	for _, a := range article {
		w.cluster(t, a, vector.Service("mynamespace", "other", a.addr), vector.Slice("mynamespace", "other", true, a.zone))
	}
	s.Restart(t)
	server.Eventually(t, time.Minute, "what went meanwhile goes", func() bool {
		return p.dig(t, nginx+".example.com") == "" && p.dig(t, nginx+".us-central1-a.example.com") == ""
	})
	if got := p.dig(t, "www.example.com"); got != "A 21600 203.0.113.80" {
		t.Errorf("what isn't ours: %q", got)
	}
}

// While a cluster hasn't been heard of since the start, nothing goes that may be its own, whether all of a service or a name of
// one; what others have follows them. What it turns out not to have goes then.
func TestUnheard(t *testing.T) {
	w, p := &world{t.TempDir()}, newProvider(t, "grant pub zonesub ANY;")
	w.serve(t, article...)
	asia := article[3]
	only := []vector.Object{vector.Service("mynamespace", "only", asia.addr), vector.Slice("mynamespace", "only", true, asia.zone)}
	w.cluster(t, asia, append(only, vector.Service("mynamespace", "nginx", asia.addr), vector.Slice("mynamespace", "nginx", true, asia.zone))...)
	text := w.corefile(" ttl 180s 180s\n publish update " + p.addr + " key pub")
	s := server.Start(t, text)
	has := func(what string, want map[string]string) {
		t.Helper()
		for name, records := range want {
			server.Eventually(t, time.Minute, what+": "+name+" is "+records, func() bool { return p.dig(t, name+".example.com") == records })
		}
	}
	const other = "only.mynamespace.myfederation.svc"
	has("at first", map[string]string{other: "A 180 " + asia.addr, nginx + ".asia-east1-a": "A 180 " + asia.addr, nginx + ".us-central1-a": "A 180 " + article[0].addr})
	s.Stop()
	manifests := server.Members(w.dir, asia.zone)
	away := filepath.Join(w.dir, "away")
	if err := os.WriteFile(away, []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve(t, shard{"us-central1", "us-central1-a", "192.0.2.1", true})
	s.Write(t, strings.Replace(text, manifests, "  cluster "+asia.zone+" {\n   kubeconfig "+away+"\n  }\n", 1))
	s.Restart(t)
	has("while one isn't heard", map[string]string{nginx + ".us-central1-a": "A 180 192.0.2.1"})
	server.Eventually(t, time.Minute, "all that can be is published", func() bool { return s.Metric(t, `coredns_federation_unpublished{`) == 0 })
	has("and what may be its own stays", map[string]string{other: "A 180 " + asia.addr, nginx + ".asia-east1-a": "A 180 " + asia.addr})
	s.Stop()
	w.serve(t, asia)
	s.Write(t, text)
	s.Restart(t)
	has("when it is heard", map[string]string{other: "", nginx + ".asia-east1-a": "A 180 " + asia.addr})
}

// A server that refuses some of the names has the others; one that refuses all, or knows another key, is told of.
func TestRefused(t *testing.T) {
	w := &world{t.TempDir()}
	w.serve(t, article...)
	some := newProvider(t, "deny pub name "+nginx+".us-central1.example.com. ANY; grant pub zonesub ANY;")
	none := newProvider(t, "deny pub zonesub ANY;")
	status, away := fmt.Sprint("127.0.0.1:", vector.Port(t)), fmt.Sprint("127.0.0.1:", vector.Port(t))
	s := server.Start(t, w.corefile(" publish update "+some.addr+" key pub\n publish update "+none.addr+" key pub\n publish update "+away+"\n status "+status))
	server.Eventually(t, time.Minute, "the others are published", func() bool {
		return strings.HasPrefix(some.dig(t, nginx+".example.com"), "A ") && strings.HasPrefix(some.dig(t, nginx+".us-central1-a.example.com"), "A ")
	})
	if got := some.dig(t, nginx+".us-central1.example.com"); got != "" {
		t.Errorf("what is refused: %q", got)
	}
	server.Eventually(t, time.Minute, "it is told of", func() bool {
		return strings.Contains(s.Log(), some.addr+": "+nginx+".us-central1.example.com.: it answers REFUSED") && strings.Contains(s.Log(), none.addr+": ")
	})
	fedctlSays(t, []string{
		"example.com isn't published on " + some.addr + " as it is answered (1 of its services and hosts): " + nginx + ".us-central1.example.com: it answers REFUSED",
		"example.com isn't published on " + none.addr + " as it is answered (1 of its services and hosts): ",
		"example.com isn't published on " + away + " as it is answered (1 of its services and hosts): what is there can't be read: ",
	}, "check", "--server", "http://"+status)
}

// fedctlSays waits for what fedctl prints.
func fedctlSays(t *testing.T, want []string, args ...string) {
	t.Helper()
	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	defer func() {
		if t.Failed() {
			t.Logf("fedctl %s:\n%s", args, out)
		}
	}()
	server.Eventually(t, time.Minute, fmt.Sprintf("fedctl says %q", want), func() bool {
		out, _ = exec.Command(fedctl, args...).CombinedOutput() // what it exits with says what it found
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(string(out), w) })
	})
}

// fedctl writes the same, once, from what a fedns hands out.
func TestOnce(t *testing.T) {
	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	w, p := &world{t.TempDir()}, newProvider(t, "grant pub zonesub ANY;")
	w.serve(t, article...)
	s := server.Start(t, w.corefile(" transfer 127.0.0.1"))
	p.write(t, "pub.key", "key \"pub\" {\n\talgorithm hmac-sha256;\n\tsecret \""+secret+"\";\n};\n")
	run := func(more ...string) string {
		t.Helper()
		out, err := exec.Command(fedctl, append([]string{"publish", "--once", "--from", s.Addr, "--to", p.addr, "--key", filepath.Join(p.dir, "pub.key"), "--domain", "example.com", "--federation", "myfederation"}, more...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	const want = "+ " + nginx + ".europe-west1.example.com. 180 IN CNAME " + nginx + ".example.com.\n"
	if out := run("--dry-run"); !strings.Contains(out, want) || strings.Contains(out, "HINFO") || p.dig(t, nginx+".example.com") != "" {
		t.Errorf("a dry run prints\n%s", out)
	}
	// A host, which a fedns has published.
	p.mutate(t, func(m *dns.Msg) {
		m.Insert([]dns.RR{rr(t, "shop.example.com. 60 A 192.0.2.9"), rr(t, `_fedns.shop.example.com. 60 TXT "heritage=fedns,owner=myfederation"`)})
	})
	if out := run(); !strings.Contains(out, want) {
		t.Errorf("it prints\n%s", out)
	}
	if got := p.dig(t, "shop.example.com"); got != "A 60 192.0.2.9" {
		t.Errorf("a host is %q", got)
	}
	if got := p.dig(t, nginx+".europe-west1.example.com"); got != "CNAME 180 "+nginx+".example.com" {
		t.Error(got)
	}
	if out := run(); out != "" {
		t.Errorf("once more: it prints\n%s", out)
	}
}

// Two domains of a federation, one in the other, stand in one zone: neither takes the other's names for its own that
// aren't to be there any more.
func TestNested(t *testing.T) {
	w, p := &world{t.TempDir()}, newProvider(t, "grant pub zonesub ANY;")
	serve := func(addr string) {
		a := article[0]
		w.serve(t, article[1:]...)
		w.cluster(t, a, vector.Service("mynamespace", "nginx", addr), vector.Slice("mynamespace", "nginx", true, a.zone),
			vector.Service("mynamespace", "other", a.addr), vector.Slice("mynamespace", "other", true, a.zone))
	}
	serve("192.0.2.1")
	text := strings.Replace(w.corefile(" publish update "+p.addr+" key pub zone example.com\n alias example.com mynamespace/other"), "example.com:PORT {", "example.com:PORT sub.example.com:PORT {", 1)
	s := server.Start(t, strings.Replace(text, "federation myfederation {", "federation myfederation example.com sub.example.com {", 1))
	stands := func(name, addr string) {
		t.Helper()
		for _, domain := range []string{".example.com", ".sub.example.com"} {
			server.Eventually(t, time.Minute, name+domain+" is "+addr, func() bool { return p.dig(t, name+domain) == "A 180 "+addr || p.dig(t, name+domain) == "A 30 "+addr })
		}
	}
	const local, other = nginx + ".us-central1-a", "other.mynamespace.myfederation.svc"
	// The zone's own name has a Service's addresses beside its own records.
	apex := func(addr string) {
		t.Helper()
		server.Eventually(t, time.Minute, "example.com is "+addr, func() bool { return strings.HasSuffix(p.dig(t, "example.com"), " "+addr) })
	}
	stands(local, "192.0.2.1")
	stands(other, article[0].addr)
	apex(article[0].addr)
	s.Stop()
	s.Restart(t)
	serve("192.0.2.2")
	stands(local, "192.0.2.2")
	stands(other, article[0].addr)
	apex(article[0].addr)
	server.Eventually(t, time.Minute, "all is published", func() bool { return s.Metric(t, `coredns_federation_unpublished{`) == 0 })
	if ns, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeNS), p.addr); err != nil || len(ns.Answer) != 2 {
		t.Errorf("the zone's own records: %v, %v", ns, err)
	}
}

// Only the delegation is written: the name servers that the apex file names, and their addresses, as they change.
func TestDelegation(t *testing.T) {
	w, p := &world{t.TempDir()}, newProvider(t, "grant pub zonesub ANY;")
	w.serve(t, article...)
	apex := filepath.Join(w.dir, "db.fed")
	serve := func(addr string) {
		text := "$ORIGIN fed.example.com.\n@ SOA ns1 hostmaster 1 60 30 86400 5\n@ NS ns1\n@ NS ns2\n@ NS ns.acme.test.\nns1 A " + addr + "\n"
		if err := os.WriteFile(apex, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	serve("192.0.2.53")
	// The address of ns2 is that of a Service, as it moves.
	text := strings.Replace(w.corefile(" apex "+apex+"\n alias ns2.fed.example.com mynamespace/nginx asia-east1\n publish update "+p.addr+" key pub zone example.com delegation"), "example.com:PORT {", "fed.example.com:PORT {", 1)
	s := server.Launch(t, text)
	second := "130.211.57.243"
	leads := func(addr string) {
		t.Helper()
		server.Eventually(t, time.Minute, "the zone above leads to "+addr+" and "+second, func() bool {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(nginx+".fed.example.com.", dns.TypeA), p.addr)
			if err != nil || len(m.Answer) > 0 || len(m.Ns) != 3 || len(m.Extra) != 2 {
				return false
			}
			at := map[string]string{}
			for _, rr := range m.Extra {
				at[rr.Header().Name] = rr.(*dns.A).A.String()
			}
			return at["ns1.fed.example.com."] == addr && at["ns2.fed.example.com."] == second
		})
	}
	leads("192.0.2.53")
	second = "130.211.57.1"
	w.serve(t, shard{"asia-east1", "asia-east1-a", second, true})
	leads("192.0.2.53")
	// Nothing is up: it stays as it was, since a delegation without addresses leads nowhere. Asia goes last: until then others
	// would stand in for it.
	for _, a := range article {
		if a.ready = false; a.region != "asia-east1" {
			w.serve(t, a)
		}
	}
	server.Eventually(t, time.Minute, "only Asia is answered", func() bool {
		return slices.Equal(server.Addrs(s.Ask(t, nginx+".fed.example.com", dns.TypeA)), []string{second})
	})
	w.serve(t, shard{"asia-east1", "asia-east1-a", second, false})
	server.Eventually(t, time.Minute, "nothing is answered", func() bool { return len(s.Ask(t, "ns2.fed.example.com", dns.TypeA).Answer) == 0 })
	serve("192.0.2.54")
	leads("192.0.2.54")
	// What becomes of a message without an answer is looked up.
	p.stop()
	serve("192.0.2.55")
	server.Eventually(t, time.Minute, "it can't be published", func() bool {
		return s.Metric(t, `coredns_federation_published_total{federation="myfederation",outcome="unanswered"`) > 0
	})
	p.start(t)
	leads("192.0.2.55")
}
