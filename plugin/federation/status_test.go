package federation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/status"
	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

func TestStatusAddr(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"", "127.0.0.1:8053"},
		{":9000", "127.0.0.1:9000"}, // a port alone exposes nothing
		{"9000", "127.0.0.1:9000"},
		{"192.0.2.1", "192.0.2.1:8053"},
		{"0.0.0.0:80", "0.0.0.0:80"},
		{"[::]:80", "[::]:80"},
		{"::1", "[::1]:8053"},
		{"localhost:80", "error"},
		{"127.0.0.1:0", "error"},
		{":0", "error"},
		{":70000", "error"},
		{"192.0.2.1 9000", "error"},
	} {
		got, err := statusAddr(strings.Fields(tt.arg))
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%q: %s (%v), want %s", tt.arg, got, err, tt.want)
		}
	}
	stanzas, err := parsed(t, "federation a {\n"+both+"status\n}\nfederation b {\n"+both+"status :9000\n}\nfederation c {\n"+both+"status 8053\n}\nfederation d {\n"+both+"}")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := newStatusServer(&Federation{}, stanzas).addrs(), []string{"127.0.0.1:8053", "127.0.0.1:9000"}; !slices.Equal(got, want) {
		t.Errorf("served at %q, want %q: each once", got, want)
	}
	if _, err := parsed(t, "federation a {\n"+both+"status nowhere\n}"); err == nil || !strings.Contains(err.Error(), `status: "nowhere" is not an address`) {
		t.Errorf("error %v", err)
	}
}

// Two server blocks can't share an address: only one of them could answer.
func TestStatusClaim(t *testing.T) {
	c := caddy.NewTestController("dns", "")
	one := newStatusServer(&Federation{}, []stanza{{status: "127.0.0.1:8053"}})
	if err := one.claim(c); err != nil {
		t.Fatal(err)
	}
	if err := newStatusServer(&Federation{}, []stanza{{status: "127.0.0.1:8054"}, {}}).claim(c); err != nil {
		t.Error(err)
	}
	if err := newStatusServer(&Federation{}, []stanza{{status: "127.0.0.1:8053"}}).claim(c); err == nil || !strings.Contains(err.Error(), "taken by another server block") {
		t.Errorf("error %v", err)
	}
	if err := one.claim(caddy.NewTestController("dns", "")); err != nil {
		t.Errorf("after a reload: %v", err)
	}
}

// A reload opens the address before it closes it; another program's is an error.
func TestStatusListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := taken.Addr().String()
	s := newStatusServer(&Federation{}, []stanza{{status: addr}})
	if err := proc.showStatus(s); err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v", err)
	}
	taken.Close()
	get := func() int {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := c.Get("http://" + addr + "/nothing")
		if err != nil {
			return 0
		}
		r.Body.Close()
		return r.StatusCode
	}
	if err := proc.showStatus(s); err != nil {
		t.Fatal(err)
	}
	n := newStatusServer(&Federation{}, s.stanzas)
	if err := proc.showStatus(n); err != nil {
		t.Fatal(err)
	}
	if proc.status[addr].now.Load() != n {
		t.Error("the old configuration answers still")
	}
	proc.failed(s.f.Instance, s)
	if proc.status[addr].now.Load() != s {
		t.Error("after a reload that failed, the new configuration answers")
	}
	if err := proc.showStatus(n); err != nil {
		t.Fatal(err)
	}
	proc.hideStatus(s)
	if got := get(); got != http.StatusNotFound {
		t.Errorf("after a reload: %d", got)
	}
	proc.hideStatus(n)
	if got := get(); got != 0 {
		t.Errorf("after the end: %d", got)
	}
}

// telling is a status of stanzas in which DIR stands for the world's folder.
func (w *world) telling(text string) *statusServer {
	w.t.Helper()
	f := w.serving(text)
	stanzas, err := parsed(w.t, strings.ReplaceAll(text, "DIR", w.dir))
	if err != nil {
		w.t.Fatal(err)
	}
	return newStatusServer(f, stanzas)
}

// get asks for a path, with key and value of the parameters in turn.
func (s *statusServer) get(t testing.TB, into any, path string, params ...string) int {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/"+path+"?"+v.Encode(), nil))
	raw, err := io.ReadAll(rec.Body)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %v in\n%s", path, err, raw)
	}
	if strings.Contains(string(raw), ": null") && !strings.Contains(string(raw), `"view_age_seconds": null`) {
		t.Errorf("%s %v: a list that is null:\n%s", path, params, raw)
	}
	return rec.Code
}

func (s *statusServer) why(t testing.TB, name string, params ...string) report.Explanation {
	t.Helper()
	var e report.Explanation
	if code := s.get(t, &e, "explain", append([]string{"name", name}, params...)...); code != http.StatusOK {
		t.Fatalf("%s: status %d", name, code)
	}
	return e
}

func TestStatusFaults(t *testing.T) {
	s := shop(t).telling("federation fed {\n" + both + "}")
	for _, tt := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"POST", "/api/v1/clusters", 405, "read with GET"},
		{"DELETE", "/", 405, "read with GET"},
		{"GET", "/nothing", 404, `nothing at \"/nothing\"`},
		{"GET", "/api/v1/clusters/", 404, "/api/v1/explain, /api/v1/openapi.json, /api/v1/peers, /api/v1/preview"},
		{"GET", "/api/v1/clusters?cluster=eu", 400, `unknown parameter \"cluster\"`},
		{"GET", "/api/v1/clusters?%zz", 400, "invalid URL escape"},
		{"GET", "/api/v1/services?limit=0", 400, "limit"},
		{"GET", "/api/v1/services?limit=10001", 400, "limit"},
		{"GET", "/api/v1/services?limit=x", 400, "limit"},
		{"GET", "/api/v1/explain", 400, "name: none is given"},
		{"GET", "/api/v1/explain?name=" + strings.Repeat("a", 64), 400, "not 1 to 63"},
		{"GET", "/api/v1/explain?name=a..b", 400, "0 bytes"},
		{"GET", "/api/v1/explain?name=x&type=AAAAA", 400, "not a type"},
		{"GET", "/api/v1/explain?name=x&type=TYPE70000", 400, "not a type"},
		{"GET", "/api/v1/explain?name=x&client=home", 400, "not an IP address"},
		{"GET", "/api/v1/explain?name=x&without=mars", 400, "known clusters: eu, us"},
		{"GET", "/api/v1/preview", 400, "order: none is given"},
		{"GET", "/api/v1/preview?order=fly+cluster/eu", 400, "none of drain, down, up"},
		{"GET", "/api/v1/preview?order=%23+nothing", 400, "not one line"},
		{"GET", "/api/v1/preview?order=drain+cluster/eu+until+2001-01-01T00:00:00Z+reason+%22x%22", 400, "expired already"},
		{"GET", "/api/v1/preview?federation=x&order=drain+cluster/eu+reason+%22x%22", 400, "no federation"},
	} {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, nil))
		var e report.Error
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Error == "" {
			t.Errorf("%s %s: no error in JSON: %s", tt.method, tt.path, rec.Body)
		}
		if rec.Code != tt.code || !strings.Contains(rec.Body.String(), tt.want) || !strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: %d %v\n%swant %d, %s", tt.method, tt.path, rec.Code, rec.Header(), rec.Body, tt.code, tt.want)
		}
	}
}

func TestStatusLists(t *testing.T) {
	w := shop(t)
	for i := range 5 {
		vector.WriteManifest(t, filepath.Join(w.dir, "eu", fmt.Sprint("more", i, ".json")),
			vector.Service("many", fmt.Sprint("s", i), fmt.Sprint("192.0.2.10", i)), vector.Slice("many", fmt.Sprint("s", i), true, "eu-a"))
	}
	file := w.write("overrides", `drain cluster/us until 2001-01-01T00:00:00Z reason "long ago"
down zone/us-a until 2199-01-01T00:00:00Z reason "rack"
`)
	s := w.telling("federation fed {\n" + both + "overrides " + file + "\n}")

	var clusters report.Clusters
	s.get(t, &clusters, "clusters")
	if len(clusters.Clusters) != 2 || len(clusters.Isolated) != 0 {
		t.Fatalf("%+v", clusters)
	}
	us := clusters.Clusters[1]
	if us.Cluster != "us" || us.Federation != "fed" || !us.Listed || us.Silent || us.ViewAgeSeconds == nil || *us.ViewAgeSeconds > 60 ||
		!slices.Equal(us.Places, []report.Place{{Region: "us", Zone: "us-a"}}) || len(us.Shards) != 1 || us.Shards[0].Verdict != "down" || us.Shards[0].Count != 1 {
		t.Errorf("%+v", us)
	}

	var current report.Snapshot
	s.get(t, &current, "snapshot")
	fed := current.Federations[0]
	if current.Serial != s.f.Current.Load().Serial || current.Services != 6 || current.Versions["go"] == "" ||
		fed.Federation != "fed" || !fed.Heard || !fed.Settled || fed.Isolated || fed.GuardHeldServices != 0 || fed.OverridesFile != file ||
		!slices.Equal(fed.Domains, []string{"example.com."}) || !slices.Equal(fed.Clusters, []string{"eu", "us"}) || len(fed.Scopes) != 4 {
		t.Errorf("%+v", current)
	}
	if o := fed.Overrides; len(o) != 1 || o[0].Subject != "zone/us-a" || o[0].Reason != "rack" || *o[0].LeftSeconds < 1e9 {
		t.Errorf("overrides %+v", o)
	}
	w.write("overrides", "fly\n")
	s.get(t, &current, "snapshot")
	if fed := current.Federations[0]; !strings.Contains(fed.OverridesError, "line 1") || len(fed.Overrides) != 0 {
		t.Errorf("%+v", fed)
	}

	page := func(params ...string) (list report.Services, got []string) {
		s.get(t, &list, "services", params...)
		for _, svc := range list.Services {
			got = append(got, svc.Namespace+"/"+svc.Name)
		}
		return list, got
	}
	all, got := page()
	if want := []string{"many/s0", "many/s1", "many/s2", "many/s3", "many/s4", "shop/web"}; all.Total != 6 || all.Next != "" || !slices.Equal(got, want) {
		t.Errorf("%d, %q, next %q", all.Total, got, all.Next)
	}
	web := all.Services[5]
	if web.Global != "web.shop.fed.svc.example.com." || len(web.Addresses) != 2 || web.Addresses[0].Zone != "eu-a" || web.Kind != "svc" || web.Ports[0] != (report.Port{Name: "http", Protocol: "tcp", Number: 80}) {
		t.Errorf("%+v", web)
	}
	var walked []string
	for after := ""; ; {
		list, got := page("limit", "2", "after", after)
		if walked = append(walked, got...); list.Next == "" {
			break
		}
		after = list.Next
	}
	if _, all := page(); !slices.Equal(walked, all) {
		t.Errorf("page by page %q", walked)
	}
	if list, got := page("namespace", "shop"); list.Total != 1 || got[0] != "shop/web" {
		t.Errorf("by namespace: %q", got)
	}
	if list, _ := page("federation", "other"); list.Total != 0 {
		t.Errorf("another federation: %+v", list)
	}
}

// script is a source that says what a test tells it to, once.
type script struct{ changes []shard.Change }

func (s script) Run(ctx context.Context, report func(...shard.Change)) {
	report(s.changes...)
	<-ctx.Done()
}
func (script) Heard() time.Time { return time.Now() }

// varied is a federation in which services stand in many ways: up in one cluster
// or several, at a shared address, without pods, without addresses, in a silent
// cluster, drained, of one family, with ports of one cluster only, not listed.
func varied(t testing.TB) *statusServer {
	w := &world{t: t, dir: t.TempDir()}
	slice := func(svc string, ready bool, zones ...string) vector.Object {
		return vector.Slice("shop", svc, ready, zones...)
	}
	svc := func(name string, ingress ...string) vector.Object { return vector.Service("shop", name, ingress...) }
	extra := svc("ports", "192.0.2.40")
	extra["spec"] = vector.Object{"type": "LoadBalancer", "ports": []vector.Object{{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}}}
	w.cluster("a", vector.Node("n", "eu", "eu-a"), vector.Node("m", "eu", "eu-b"),
		svc("web", "192.0.2.1", "2001:db8::1"), slice("web", true, "eu-a", "eu-b"),
		svc("shared", "192.0.2.9"), slice("shared", true, "eu-a"),
		svc("sleepy", "192.0.2.5"), slice("sleepy", false, "eu-a"),
		svc("pending"), slice("pending", true, "eu-a"),
		svc("drained", "192.0.2.6"), slice("drained", true, "eu-b"),
		extra, withPorts(slice("ports", true, "eu-a"), "http 80 TCP", "dns 53 UDP"),
		svc("quiet", "192.0.2.70"), slice("quiet", false, "eu-a"))
	w.cluster("b", vector.Node("n", "us", "us-a"),
		svc("web", "192.0.2.2"), slice("web", true, "us-a"),
		svc("shared", "192.0.2.9"), slice("shared", true, "us-a"),
		svc("six", "2001:db8::6"), slice("six", true, "us-a"),
		svc("ports", "192.0.2.41"), slice("ports", true, "us-a"))
	apex := w.write("db", `
@ SOA ns1 hostmaster 7 7200 1800 86400 5
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
txt.deep TXT "hello"
* TXT "wildcard"
lab NS ns.lab
ns.lab A 192.0.2.54
to CNAME mail
out CNAME www.example.net.
`)
	file := w.write("overrides", `drain service/shop/drained until 2199-01-01T00:00:00Z reason "kernel upgrade"`+"\n")
	text := "federation fed {\ncluster a {\nmanifests DIR/a\n}\ncluster b {\nmanifests DIR/b\n}\ncluster c {\nmanifests DIR/c\nregion asia\nzones asia-a\n}\napex " + apex + "\noverrides " + file + "\n}"
	if err := os.Mkdir(filepath.Join(w.dir, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	stanzas, err := parsed(t, strings.ReplaceAll(text, "DIR", w.dir))
	if err != nil {
		t.Fatal(err)
	}
	f, err := build(stanzas, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The third cluster has an API, which has fallen silent.
	fed := pipeline.Federation{Name: "fed", Policy: stanzas[0].policy, Overrides: stanzas[0].override}
	for _, src := range stanzas[0].clusters {
		open, err := src.open(&stanzas[0])
		if err != nil {
			t.Fatal(err)
		}
		if src.Name == "c" {
			object := func(name, addr string) *shard.Service {
				return &shard.Service{Key: snapshot.Key{Namespace: "shop", Name: name}, Balancer: true, Addrs: addrs(addr)}
			}
			endpoint := func(name string) *shard.Slice {
				return &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: name + "-x"}, Service: name, Endpoints: []shard.Endpoint{{Zone: "asia-a", Ready: true}}}
			}
			open = script{[]shard.Change{
				shard.NodeList{}, shard.SliceList{Slices: []*shard.Slice{endpoint("quiet"), endpoint("web")}},
				shard.ServiceList{Kind: snapshot.Svc, Services: []*shard.Service{object("quiet", "192.0.2.7"), object("web", "192.0.2.3")}},
				shard.ServiceList{Kind: snapshot.Ing}, shard.Silent{For: 12 * time.Second},
			}}
		}
		fed.Members = append(fed.Members, pipeline.Member{Cluster: src.Cluster, Source: open, Identity: src.identity("fed", "")})
	}
	f.pipe = pipeline.New([]pipeline.Federation{fed}, pipeline.Static{}, observe.Logger())
	f.Current, f.ready = f.pipe.Current(), f.pipe.Ready()
	f.Next = test.NextHandler(dns.RcodeServerFailure, nil)
	f.start()
	t.Cleanup(f.stop)
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if svc := f.Current.Load().Federations[0].Service(snapshot.Key{Namespace: "shop", Name: "drained"}); f.Ready() && svc != nil && svc.Down != "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not ready, or the override isn't taken in")
		}
	}
	return newStatusServer(f, stanzas)
}

// asked are questions of all kinds: every name, in every form, with what stands
// above and below it; static names; and what exists nowhere.
func asked(f *Federation) (list []string) {
	add := func(l ...string) {
		for _, n := range l {
			list = append(list, n+"example.com.")
		}
	}
	fed := f.Current.Load().Federations[0]
	scopes := []string{"nowhere.", "eu-a.us.", "x.y.z."}
	for _, s := range fed.Map.Scopes() {
		for _, form := range []string{s.Zone + "." + s.Region, s.Zone} {
			if form = strings.Trim(form, "."); form != "" {
				form += "."
			}
			scopes = append(scopes, form)
		}
	}
	for _, scope := range scopes {
		add(scope, "svc."+scope, "ing."+scope, "fed.svc."+scope, "other.svc."+scope, "shop.fed.svc."+scope, "empty.fed.svc."+scope, "nope.shop.fed.svc."+scope)
		for svc := range fed.Services() {
			name := svc.Key.Name + ".shop.fed.svc." + scope
			add(name, strings.ToUpper(name), "_tcp."+name, "_http._tcp."+name, "_dns._udp."+name, "_nope._tcp."+name, "x."+name, "x._http._tcp."+name)
		}
	}
	add("", "ns1.", "mail.", "deep.", "txt.deep.", "any.thing.", "lab.", "host.lab.", "to.", "out.", `a\.b.`, `\000.fed.svc.`)
	return append(list, "www.example.org.", ".", "com.")
}

// On the wire, addresses come in turn; here they are compared in one order.
func sorted(r report.Reply) report.Reply {
	for _, l := range []*[]string{&r.Answer, &r.Authority, &r.Additional} {
		*l = slices.Sorted(slices.Values(*l))
		if *l == nil {
			*l = []string{}
		}
	}
	return r
}

// What explain says is answered, and what is answered, can never differ.
func TestExplainIsTheWire(t *testing.T) {
	s := varied(t)
	for s.f.Current.Load().Pending() { // both are to be of one serial
		time.Sleep(beginPoll)
	}
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeCNAME, dns.TypeANY, dns.TypeSOA, dns.TypeNS, dns.TypeMX, dns.TypeAXFR, dns.TypeNXNAME, 1000}
	outcomes := map[string]int{}
	questions := asked(s.f)
	for _, name := range questions {
		for _, qtype := range types {
			q := new(dns.Msg).SetQuestion(name, qtype)
			q.SetEdns0(dns.MaxMsgSize, false)
			rec := dnstest.NewRecorder(&test.ResponseWriter{TCP: true})
			rcode, err := s.f.ServeDNS(context.Background(), rec, q)
			e := s.why(t, name, "type", dns.Type(qtype).String())
			if rec.Msg == nil {
				if e.Reply.Outcome != "next plugin" || err == nil && rcode != dns.RcodeServerFailure {
					t.Errorf("%s %s: goes on to the next plugin (%v), explained as %+v", name, dns.Type(qtype), err, e.Reply)
				}
				continue
			}
			want := sorted(status.Replied(rec.Msg, zone.Outcome{}))
			want.Outcome, want.Scope = e.Reply.Outcome, e.Reply.Scope
			if got := sorted(e.Reply); !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: explained as\n%+v\nanswered with\n%+v", name, dns.Type(qtype), got, want)
			}
			outcomes[e.Is+", "+e.Reply.Outcome]++
		}
	}
	t.Logf("%d questions: %v", len(questions)*len(types), outcomes)
	for _, want := range []string{"service, success", "service, fallback", "service, nodata", "port, success", "port, nodata", "empty non-terminal, nodata", "unknown, nxdomain", "apex, success", "static, success", "delegation, delegation", "service, refused"} {
		if outcomes[want] == 0 {
			t.Errorf("no question came out as %q", want)
		}
	}
}

// What explain says of a cluster's loss is what its loss comes to: forcing it down
// has the same answers.
func TestWithoutIsTheLoss(t *testing.T) {
	s := varied(t)
	questions := asked(s.f)
	rand.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	questions = questions[:200]
	type key struct {
		name  string
		qtype string
	}
	foretold := map[key]report.Reply{}
	types := []string{"A", "AAAA", "SRV"}
	before := map[key]report.Reply{}
	for _, name := range questions {
		for _, qt := range types {
			e := s.why(t, name, "type", qt, "without", "b")
			if e.Without == nil {
				continue
			}
			before[key{name, qt}], foretold[key{name, qt}] = e.Reply, e.Without.Reply
		}
	}
	file := s.stanzas[0].override
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("down cluster/b reason \"x\"\n"+string(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if svc := s.f.Current.Load().Federations[0].Service(snapshot.Key{Namespace: "shop", Name: "six"}); svc.Down != "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the override isn't taken in")
		}
	}
	differ := 0
	for k, want := range foretold {
		got := sorted(s.why(t, k.name, "type", k.qtype).Reply)
		was := sorted(before[k])
		if !slices.Equal(was.Answer, got.Answer) {
			differ++
		}
		want = sorted(want)
		// The serial has gone on, and the reason is another.
		got.Authority, want.Authority, got.Errors, want.Errors = nil, nil, nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s: foretold\n%+v\ncame\n%+v", k.name, k.qtype, want, got)
		}
	}
	if differ == 0 {
		t.Error("the loss makes no difference to any question")
	}
}

func TestRules(t *testing.T) {
	s := varied(t)
	for _, tt := range []struct {
		name, qtype, cluster, want string
	}{
		{"web.shop.fed.svc.", "A", "a", "in the answer: up in zones eu-a, eu-b"},
		{"web.shop.fed.svc.", "A", "c", "kept: up in zone asia-a when last heard; cluster silent for 12s, hold is 5m"},
		{"web.shop.fed.svc.", "AAAA", "b", "not in the answer: up in zone us-a, but without an address for AAAA"},
		{"web.shop.fed.svc.", "TXT", "b", "not in the answer: up in zone us-a, but type TXT asks for no address"},
		{"web.shop.fed.svc.eu.", "A", "b", "not in the answer: its region is not the one asked for; up in zone us-a"},
		{"web.shop.fed.svc.eu-a.eu.", "A", "b", "not in the answer: its zone is not the one asked for; up in zone us-a"},
		{"web.shop.fed.svc.us-a.", "A", "b", "in the answer: up in zone us-a"},
		{"shared.shop.fed.svc.", "A", "a", "in the answer: up in zone eu-a"},
		{"shared.shop.fed.svc.", "A", "b", "counted already: its address is there from cluster a"},
		{"shared.shop.fed.svc.us.", "A", "b", "in the answer: up in zone us-a"},
		{"sleepy.shop.fed.svc.", "A", "a", "not in the answer: no ready endpoint"},
		{"pending.shop.fed.svc.", "A", "a", "not in the answer: load balancer pending"},
		{"drained.shop.fed.svc.eu.", "A", "a", "not in the answer: drained: kernel upgrade (until 2199-01-01T00:00:00Z)"},
		{"six.shop.fed.svc.eu.", "AAAA", "b", "in the answer: up in zone us-a, where the name leads"},
		{"_dns._udp.ports.shop.fed.svc.", "SRV", "a", "in the answer: up in zone eu-a"},
		{"_http._tcp.ports.shop.fed.svc.", "A", "a", "not in the answer: up in zone eu-a, but a port has SRV records only"},
		{"quiet.shop.fed.svc.", "A", "a", "not in the answer: no ready endpoint"},
	} {
		e := s.why(t, tt.name+"example.com", "type", tt.qtype)
		i := slices.IndexFunc(e.Shards, func(x report.Shard) bool { return x.Cluster == tt.cluster })
		if i < 0 {
			t.Errorf("%s: no shard of %s: %+v", tt.name, tt.cluster, e.Shards)
			continue
		}
		rule := strings.Replace(e.Shards[i].Rule, "for 13s", "for 12s", 1) // on a slow machine
		if rule != tt.want {
			t.Errorf("%s %s, %s: %q, want %q", tt.name, tt.qtype, tt.cluster, rule, tt.want)
		}
		in := strings.HasPrefix(rule, "in ") || strings.HasPrefix(rule, "kept")
		if in != e.Shards[i].InAnswer {
			t.Errorf("%s, %s: in the answer %v, %q", tt.name, tt.cluster, e.Shards[i].InAnswer, rule)
		}
	}
	e := s.why(t, "web.shop.fed.svc.eu.example.com", "without", "a", "without", "c", "client", "198.51.100.7")
	if got := e.Without.Shards[0].Rule; got != "not in the answer: its cluster is lost, as asked" {
		t.Errorf("a lost cluster's: %q", got)
	}
	if got := e.Without.Reply; len(got.Answer) != 2 || !strings.HasSuffix(got.Answer[1], "192.0.2.2") || got.TTL != 30 || got.Outcome != "fallback" {
		t.Errorf("without a and c: %+v", got)
	}
	if !slices.Equal(e.Lost, []string{"a", "c"}) || e.Client.Note != status.Indifferent || !slices.Equal(e.Without.Chain, []string{"web.shop.fed.svc.example.com."}) {
		t.Errorf("%+v", e)
	}
	if e := s.why(t, "drained.shop.fed.svc.example.com"); !slices.Equal(e.Absent, []string{"b", "c"}) || e.Shards[0].Evidence.Order != `drain service/shop/drained until 2199-01-01T00:00:00Z reason "kernel upgrade"` {
		t.Errorf("%+v", e)
	}
}

// The guard keeps an address whose shard is down, and that is said.
func TestGuardIsTold(t *testing.T) {
	w := shop(t)
	s := w.telling("federation fed {\n" + both + "guard 10% 1m 0\n}")
	w.cluster("eu", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", false, "eu-a"))
	var e report.Explanation
	for end := time.Now().Add(time.Minute); !e.GuardHeld; time.Sleep(5 * time.Millisecond) {
		if e = s.why(t, "web.shop.fed.svc.example.com"); time.Now().After(end) {
			t.Fatalf("nothing is held: %+v", e)
		}
	}
	if got := e.Shards[0]; got.Rule != "kept by the guard, for now: no ready endpoint" || !got.InAnswer || e.Note == "" {
		t.Errorf("%+v", e)
	}
	var current report.Snapshot
	s.get(t, &current, "snapshot")
	if n := current.Federations[0].GuardHeldServices; n != 1 {
		t.Errorf("%d services held", n)
	}
}

func TestKinds(t *testing.T) {
	s := varied(t)
	for name, want := range map[string]string{
		"web.shop.fed.svc.eu.example.com":         "service: service shop/web of federation fed, in region eu",
		"_http._tcp.web.shop.fed.svc.example.com": "port: port _http._tcp of shop/web of federation fed, in the federation",
		"_tcp.web.shop.fed.svc.example.com":       "empty non-terminal: an empty non-terminal: only names below it have records",
		"_x._tcp.web.shop.fed.svc.example.com":    "unknown: no name of example.com; no port of this name",
		"shop.fed.svc.example.com":                "empty non-terminal: an empty non-terminal: only names below it have records",
		"deep.example.com":                        "empty non-terminal: an empty non-terminal: only names below it have records",
		"nope.shop.fed.svc.example.com":           "unknown: no name of example.com; no member has the service",
		"web.shop.fed.svc.mars.example.com":       "static: a name that a wildcard of the static records of example.com covers",
		"web.shop.two.svc.example.com":            "unknown: no name of example.com; no federation of this name",
		"example.com":                             "apex: the apex of the domain example.com",
		"mail.example.com":                        "static: a name with static records of example.com",
		"wild.example.com":                        "static: a name that a wildcard of the static records of example.com covers",
		"host.lab.example.com":                    "delegation: at or below a delegation in the static records of example.com",
		"www.example.org":                         "elsewhere: in none of the domains of this server block; another block or plugin answers, or REFUSED",
	} {
		e := s.why(t, name, "without", "a")
		got := e.Is + ": " + e.About
		if e.Why != "" {
			got += "; " + e.Why
		}
		if got != want {
			t.Errorf("%s is\n%s, want\n%s", name, got, want)
		}
		if e.Is != report.IsElsewhere && e.Without == nil {
			t.Errorf("%s: what it is without a cluster isn't said", name)
		}
	}
}

func TestPreview(t *testing.T) {
	s := varied(t)
	preview := func(orders ...string) (p report.Preview) {
		t.Helper()
		var params []string
		for _, o := range orders {
			params = append(params, "order", o)
		}
		if code := s.get(t, &p, "preview", params...); code != http.StatusOK {
			t.Fatalf("%q: status %d", orders, code)
		}
		return p
	}
	p := preview(`drain cluster/a reason "x"`)
	if p.Orphaned != 0 || len(p.Orphans) != 0 {
		t.Errorf("orphans of a: %q", p.Orphans)
	}
	var lines []string
	for _, c := range p.Changes {
		for _, n := range c.Names {
			lines = append(lines, fmt.Sprintf("%s %s: %s %v -> %s %v", c.Service, n.Name, n.Before.To, n.Before.Addresses, n.After.To, n.After.Addresses))
		}
	}
	for _, want := range []string{
		"shop/web web.shop.fed.svc.example.com.:  [192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1] ->  [192.0.2.2 192.0.2.3]",
		"shop/web web.shop.fed.svc.eu.example.com.:  [192.0.2.1 2001:db8::1] -> web.shop.fed.svc.example.com. [192.0.2.2 192.0.2.3]",
		"shop/web web.shop.fed.svc.eu-b.eu.example.com.:  [192.0.2.1 2001:db8::1] -> web.shop.fed.svc.example.com. [192.0.2.2 192.0.2.3]",
		"shop/shared shared.shop.fed.svc.eu-a.eu.example.com.:  [192.0.2.9] -> shared.shop.fed.svc.example.com. [192.0.2.9]",
	} {
		if !slices.ContainsFunc(lines, func(l string) bool { return sameWords(l, want) }) {
			t.Errorf("no change\n%s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if p = preview(`drain cluster/b reason "x"`); !slices.Equal(p.Orphans, []string{"shop/six of federation fed"}) || p.Orphaned != 1 {
		t.Errorf("orphans of b: %q", p.Orphans)
	}
	if p = preview(`drain cluster/a reason "x"`, `drain cluster/b reason "x"`, `drain cluster/c reason "x"`); p.Orphaned != 5 {
		t.Errorf("orphans of all: %q", p.Orphans)
	}
	if p = preview(`up service/shop/sleepy reason "x"`); p.Services != 1 || p.Orphaned != 0 {
		t.Errorf("forced up: %+v", p)
	}
	for subject, known := range map[string][]string{"cluster/d": {"a", "b", "c"}, "zone/eu": {"asia-a", "eu-a", "eu-b", "us-a"}, "region/us-a": {"asia", "eu", "us"}, "service/shop/nope": nil} {
		p := preview("drain " + subject + ` reason "x"`)
		if len(p.Unknown) != 1 || p.Unknown[0].Subject != subject || !slices.Equal(p.Unknown[0].Known, known) || p.Services != 0 {
			t.Errorf("%s: %+v", subject, p)
		}
	}
	for order, want := range map[string]string{
		"failback service/shop/web": "its policy is all; only failover has a region to go back to",
		"failback region/eu":        "no service has the policy failover",
		"drain service/shop/web":    "",
	} {
		p := preview(order + ` reason "x"`)
		if want == "" && len(p.Futile) > 0 || want != "" && (len(p.Futile) != 1 || !strings.Contains(p.Futile[0].Why, want) || p.Futile[0].Order != order+` reason "x"`) {
			t.Errorf("%s: %+v, want %q", order, p.Futile, want)
		}
	}
	// What the file says already counts, whether or not it has been taken in.
	file := s.stanzas[0].override
	if err := os.WriteFile(file, []byte("drain cluster/b reason \"y\"\ndrain cluster/c reason \"y\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p = preview(`drain cluster/a reason "x"`); !slices.Contains(p.Orphans, "shop/web of federation fed") {
		t.Errorf("orphans %q", p.Orphans)
	}
}

// sameWords compares but for the order of addresses.
func sameWords(a, b string) bool {
	words := func(s string) []string {
		return slices.Sorted(slices.Values(strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ").Replace(s))))
	}
	return slices.Equal(words(a), words(b))
}

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}
