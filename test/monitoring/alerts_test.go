// Package monitoring tries deploy/monitoring with Debian's Prometheus.
package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/cluster"
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
	p := scrape(t, s)
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

// A monitor is a Prometheus.
type monitor struct{ addr string }

// scrape starts one that asks a fedns every second.
func scrape(t *testing.T, s *server.Server) *monitor {
	t.Helper()
	dir := t.TempDir()
	rules := read(t, "rules.yaml")
	for _, cut := range [][2]string{{`for: \w+`, "for: 0s"}, {`\[(5|10)m\]`, "[10s]"}, {`\[1h\]`, "[20s]"}, {`offset (10m|1h)`, "offset 20s"}} {
		rules = regexp.MustCompile(cut[0]).ReplaceAllString(rules, cut[1])
	}
	addr := fmt.Sprint("127.0.0.1:", vector.Port(t))
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n- job_name: fedns\n  static_configs: [{targets: [%q]}]\n", s.MetricsAddr())
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

func (m *monitor) quiet(t *testing.T) {
	t.Helper()
	// Some evaluations that find something, if there is anything to find.
	server.Eventually(t, time.Minute, "the rules have been looked at", func() bool {
		text, err := m.get("rules")
		return err == nil && !strings.Contains(text, `"lastEvaluation":"0001-`)
	})
	if all := m.firing(t); len(slices.DeleteFunc(all, func(a string) bool { return strings.HasPrefix(a, "Fedsync") })) > 0 {
		t.Errorf("where all is well, these fire: %v", all)
	}
}

func (m *monitor) fires(t *testing.T, alert string) {
	t.Helper()
	server.Eventually(t, 3*time.Minute, alert+" fires", func() bool { return slices.Contains(m.firing(t), alert) })
}

func (m *monitor) ends(t *testing.T, alerts ...string) {
	t.Helper()
	server.Eventually(t, 2*time.Minute, fmt.Sprint(alerts, " end"), func() bool {
		return !slices.ContainsFunc(m.firing(t), func(a string) bool { return slices.Contains(alerts, a) })
	})
}
