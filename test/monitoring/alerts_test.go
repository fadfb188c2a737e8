// Package monitoring tries deploy/monitoring with Debian's Prometheus.
package monitoring

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// prometheus finds its programs, which nobody installs.
func prometheus(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(vector.Root(), "bin", "tools", "prometheus", "usr", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("Debian's Prometheus isn't here: make prometheus")
	}
	return path
}

// Each alert is quiet, and fires once what it is about has lasted: as promtool plays it.
func TestRules(t *testing.T) {
	out, err := exec.Command(prometheus(t, "promtool"), "test", "rules", filepath.Join(vector.Root(), "deploy", "monitoring", "tests.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	rules, tests := read(t, "rules.yaml"), read(t, "tests.yaml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(tests, "- name: "+m[1]+"\n") {
			t.Errorf("deploy/monitoring/tests.yaml has no test of %s", m[1])
		}
	}
}

// Every panel of the board asks something that Prometheus understands.
func TestBoard(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "board.json")), &board); err != nil {
		t.Fatal(err)
	}
	known := strings.NewReplacer("$__rate_interval", "5m", "$federation", ".+")
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, p := range board.Panels {
		for _, x := range p.Targets {
			rules = append(rules, rule{fmt.Sprintf("panel:%d", len(rules)), known.Replace(x.Expr)})
		}
	}
	if len(rules) < 20 {
		t.Fatalf("the board has %d queries", len(rules))
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "board", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(prometheus(t, "promtool"), "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vector.Root(), "deploy", "monitoring", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Faults of a real fedns fire the alerts that are about them, and no others: Prometheus
// asks it, with the waits of the rules cut.
func TestFaults(t *testing.T) {
	prometheus(t, "prometheus")
	bed := cluster.New(t)
	apis := bed.APIs(t, "us", "eu")
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	folder := filepath.Join(dir, "asia")
	manifest := func(name string, objects ...vector.Object) {
		vector.WriteManifest(t, filepath.Join(folder, name), objects...)
	}
	manifest("node.json", vector.Node("n", "asia", "asia-a"))
	many := func(ready bool) (all []vector.Object) {
		for i := range 30 {
			name := fmt.Sprint("s", i)
			all = append(all, vector.Service("shop", name, fmt.Sprint("192.0.2.", i+1)), vector.Slice("shop", name, ready, "asia-a"))
		}
		return all
	}
	manifest("services.json", many(true)...)
	member := func(c *cluster.Cluster, region string) string {
		return fmt.Sprintf("        cluster %s {\n            kubeconfig %s\n            region %s\n        }\n", c.Name, c.ReadOnly(t), region)
	}
	s := server.Start(t, "example.com:PORT fed.svc.cluster.local:PORT {\n    bind ADDR\n    ready READY\n    prometheus METRICS\n    federation fed {\n"+
		member(apis[0], "us")+member(apis[1], "eu")+
		"        cluster asia {\n            manifests "+folder+"\n        }\n        local us cluster.local\n        heartbeat 1s 3s\n        state "+state+"\n    }\n    errors\n}\n")
	p := scrape(t, map[string][]string{"fedns": {s.MetricsAddr()}})
	p.quiet(t)

	apis[0].Pause()
	p.fires(t, "FednsClusterSilent")
	apis[1].Pause()
	p.fires(t, "FednsIsolated")
	apis[0].Resume()
	apis[1].Resume()
	p.ends(t, "FednsIsolated", "FednsClusterSilent")

	apis[1].Revoke(t)
	p.fires(t, "FednsClusterErrors")
	apis[1].Restore(t)

	apis[0].Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: fed}")
	p.fires(t, "FednsShadowed")

	manifest("ingresses.json", vector.Ingress("a", "front", "192.0.2.200", [2]string{"shop.example.com", "web"}), vector.Ingress("b", "front", "192.0.2.201", [2]string{"shop.example.com", "web"}))
	p.fires(t, "FednsHostConflicts")

	if err := os.WriteFile(filepath.Join(folder, "broken.yaml"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "FednsFilesUnread")

	manifest("services.json", many(false)...)
	p.fires(t, "FednsGuardHolds")

	// A folder that is a file can't be written in, by anybody.
	if err := os.Rename(state, state+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "FednsStateNotKept")

	s.Kill()
	p.fires(t, "FednsDown")
}

// What goes wrong in a fedns by itself: its keys, where it publishes, a plugin beside it, and what it was never told.
func TestOwnFaults(t *testing.T) {
	prometheus(t, "prometheus")
	dir := t.TempDir()
	folder, keys := filepath.Join(dir, "asia"), filepath.Join(dir, "keys")
	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(fedctl, "keys", "generate", "example.com", "--dir", keys).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	vector.WriteManifest(t, filepath.Join(folder, "objects.json"), vector.Node("n", "asia", "asia-a"))
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0") // takes what comes, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	s := server.Start(t, "example.com:PORT {\n    bind ADDR\n    ready READY\n    prometheus METRICS\n    federation fed {\n"+
		"        cluster asia {\n            manifests "+folder+"\n        }\n"+
		"        dnssec "+keys+"\n        publish update "+nobody.LocalAddr().String()+"\n        fallthrough\n    }\n    forward example.com "+nobody.LocalAddr().String()+"\n    errors\n}\n")
	// One that has heard of none of its clusters.
	deaf := server.Launch(t, "example.com:PORT {\n    bind ADDR\n    prometheus METRICS\n    federation fed {\n        cluster eu {\n            kubeconfig "+
		unreachable(t)+"\n        }\n    }\n}\n")
	// One that probes what it answers: it is on this machine, which has to be allowed.
	shop, err := net.Listen("tcp", "127.83.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	_, port, err := net.SplitHostPort(shop.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	probed := filepath.Join(dir, "eu")
	vector.WriteManifest(t, filepath.Join(probed, "objects.json"), vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "127.83.0.1"), vector.Slice("shop", "web", true, "eu-a"))
	probing := server.Start(t, "example.com:PORT {\n    bind ADDR\n    ready READY\n    prometheus METRICS\n    federation fed {\n        cluster eu {\n            manifests "+probed+"\n        }\n"+
		"        probe tcp interval 1s timeout 500ms fall 2 port "+port+" allow 127.83.0.0/16\n        panic 50%\n    }\n    errors\n}\n")
	p := scrape(t, map[string][]string{"fedns": {s.MetricsAddr(), deaf.MetricsAddr(), probing.MetricsAddr()}})
	p.quiet(t, "FednsClusterSilent", "FednsIsolated") // the deaf one's

	// All that a service has doesn't answer the probe: it is rather the probe, and what is ready stays answered.
	if err := shop.Close(); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "FednsPanic")
	if got := server.Addrs(probing.Ask(t, "web.shop.fed.svc.example.com.", dns.TypeA)); !slices.Equal(got, []string{"127.83.0.1"}) {
		t.Errorf("while its probes are ignored, web is answered with %v", got)
	}

	vector.WriteManifest(t, filepath.Join(folder, "services.json"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "asia-a"))
	p.fires(t, "FednsUnpublished")

	// All that can be asked of it is SERVFAIL.
	p.firesWhile(t, "FednsServiceFailures", func() {
		c := dns.Client{Timeout: time.Second}
		_, _, _ = c.Exchange(new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA), deaf.Addr)
	})

	// More questions than wait for who doesn't answer.
	conn, err := net.Dial("udp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q, err := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	p.firesWhile(t, "FednsQuestionsLost", func() {
		for range 2000 {
			_, _ = conn.Write(q) // what finds no room in the socket is lost before
		}
	})

	all, err := filepath.Glob(filepath.Join(keys, "*.private"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := os.Remove(all[0]); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "FednsSigningKeys")
}

// unreachable is a kubeconfig that leads to where nobody listens.
func unreachable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: x, cluster: {server: 'https://127.0.0.1:%d'}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {token: x}}]\ncurrent-context: x\n", vector.Port(t))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Faults of a federation's API, of its objects, and of what fedsync keeps.
func TestFederationFaults(t *testing.T) {
	prometheus(t, "prometheus")
	bed := cluster.New(t)
	members := bed.APIs(t, "lyon", "paris")
	w := federation.New(t, bed, members...)
	know := func() {
		t.Helper()
		for _, m := range members {
			w.Secret(t, m.Name, m.ReadOnly(t))
		}
	}
	know()
	s := server.Start(t, "example.com:PORT {\n    bind ADDR\n    ready READY\n    prometheus METRICS\n    federation prod {\n        registry "+w.Fed.Kubeconfig+"\n        heartbeat 1s 3s\n    }\n    errors\n}\n")
	w.Start(t, "--lease", "6s") // it has to be led by a Lease to lose it
	p := scrape(t, map[string][]string{"fedns": {s.MetricsAddr()}, "fedsync": {w.Metrics}})
	server.Eventually(t, time.Minute, "fedsync leads", func() bool {
		v, err := p.get("query?query=fedsync_leading")
		return err == nil && strings.Contains(v, `"1"`)
	})
	p.quiet(t)

	var objects strings.Builder
	objects.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	for i := range 60 {
		fmt.Fprintf(&objects, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: shop}\n", i)
	}
	members[0].Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, namespace: shop}\ndata: {of: others}\n")
	w.Fed.Apply(t, objects.String()+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, namespace: shop}\n")
	p.fires(t, "FedsyncObjectsFailed")
	server.Eventually(t, 2*time.Minute, "the others are there", func() bool {
		return strings.Count(members[1].Kubectl(t, "get", "configmaps", "-n", "shop", "-o", "name"), "/c") == 60
	})

	w.Stop() // or it deletes the first before it sees how many they are
	w.Fed.Kubectl(t, "delete", "-n", "shop", "configmap", "--all", "--wait=false")
	p.fires(t, "FedsyncNoLeader")
	metrics := w.Metrics
	w.StartAt(t, metrics, "--lease", "6s")
	p.fires(t, "FedsyncDeletionsWait")
	p.ends(t, "FedsyncNoLeader")

	members[0].Pause()
	p.fires(t, "FedsyncClusterUnreachable")
	members[0].Resume()
	p.ends(t, "FedsyncClusterUnreachable")

	w.Fed.Kubectl(t, "delete", "-n", "federation-system", "secret", "lyon")
	p.fires(t, "FednsRegistryProblem")
	know()
	p.ends(t, "FednsRegistryProblem")

	w.Fed.Pause()
	p.fires(t, "FednsRegistryDown", "FedsyncNoLeader")
	w.Fed.Resume()
	p.ends(t, "FednsRegistryDown", "FedsyncNoLeader")

	w.Fed.Kill(t)
	w.Fed.StartOn(t, cluster.New(t))
	w.Prepare(t)
	p.fires(t, "FednsRegistryLostMembers")
}

// A monitor is a Prometheus.
type monitor struct{ addr string }

// scrape starts one that asks servers every second, by the job that they are.
func scrape(t *testing.T, jobs map[string][]string) *monitor {
	t.Helper()
	dir := t.TempDir()
	rules := read(t, "rules.yaml")
	for _, cut := range [][2]string{{`for: \w+`, "for: 0s"}, {`\[(5|10)m\]`, "[10s]"}, {`\[1h\]`, "[20s]"}, {`offset (10m|1h)`, "offset 20s"}} {
		rules = regexp.MustCompile(cut[0]).ReplaceAllString(rules, cut[1])
	}
	addr := fmt.Sprint("127.0.0.1:", vector.Port(t))
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n"
	for job, targets := range jobs {
		config += fmt.Sprintf("- job_name: %s\n  static_configs: [{targets: [%s]}]\n", job, strings.Join(targets, ", "))
	}
	for name, text := range map[string]string{"rules.yaml": rules, "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server.Program(t, prometheus(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=error", "--web.console.templates=", "--web.console.libraries=")
	m := &monitor{addr}
	server.Eventually(t, time.Minute, "Prometheus has asked", func() bool {
		up, err := m.get("query?query=up")
		return err == nil && strings.Contains(up, `"1"`)
	})
	return m
}

func (m *monitor) get(what string) (string, error) {
	r, err := http.Get("http://" + m.addr + "/api/v1/" + what)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var body struct{ Data json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return "", err
	}
	return string(body.Data), nil
}

func (m *monitor) firing(t *testing.T) (out []string) {
	t.Helper()
	text, err := m.get("alerts")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all.Alerts {
		if a.State == "firing" {
			out = append(out, a.Labels["alertname"])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// quiet makes sure that nothing fires but known.
func (m *monitor) quiet(t *testing.T, known ...string) {
	t.Helper()
	// Some evaluations that find something, if there is anything to find.
	server.Eventually(t, time.Minute, "the rules have been looked at", func() bool {
		text, err := m.get("rules")
		return err == nil && !strings.Contains(text, `"lastEvaluation":"0001-`)
	})
	if all := slices.DeleteFunc(m.firing(t), func(a string) bool { return slices.Contains(known, a) }); len(all) > 0 {
		t.Errorf("where all is well, these fire: %v", all)
	}
}

func (m *monitor) fires(t *testing.T, alerts ...string) {
	t.Helper()
	for _, a := range alerts {
		m.firesWhile(t, a, func() {})
	}
}

// firesWhile has something done again and again until an alert fires.
func (m *monitor) firesWhile(t *testing.T, alert string, do func()) {
	t.Helper()
	server.Eventually(t, 3*time.Minute, alert+" fires", func() bool { do(); return slices.Contains(m.firing(t), alert) })
}

func (m *monitor) ends(t *testing.T, alerts ...string) {
	t.Helper()
	server.Eventually(t, 2*time.Minute, fmt.Sprint(alerts, " end"), func() bool {
		return !slices.ContainsFunc(m.firing(t), func(a string) bool { return slices.Contains(alerts, a) })
	})
}
