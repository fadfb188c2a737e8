// Package docs runs what README.md and corefile.example show.
package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vector.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks are the fenced blocks of the README in one language; the test fails if
// there is none.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var out []string
	for _, m := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	if len(out) == 0 {
		t.Fatalf("README.md has no block of %s", language)
	}
	return out
}

// example starts corefile.example, on a free port.
func example(t *testing.T) *server.Server {
	t.Helper()
	s, _ := exampleAt(t)
	return s
}

// exampleAt also says where its status is, which is on a free port as well.
func exampleAt(t *testing.T) (s *server.Server, status string) {
	t.Helper()
	status = fmt.Sprint("127.0.0.1:", vector.Port(t))
	return server.Start(t, strings.NewReplacer(":1053", ":PORT", "127.0.0.1:8053", status).Replace(read(t, "corefile.example"))), status
}

// What fedctl is shown to print it does print over corefile.example, line for line,
// whatever the numbers of the moment.
func TestExplain(t *testing.T) {
	s, status := exampleAt(t)
	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	// It is the first that asks: nobody has over DNS.
	ages := regexp.MustCompile(`\d+\.\d+s ago|snapshot \d+|\s+`)
	told := 0
	for _, b := range blocks(t, "text") {
		command, shown, ok := strings.Cut(strings.TrimPrefix(b, "$ "), "\n")
		if !strings.HasPrefix(b, "$ fedctl explain ") && !strings.HasPrefix(b, "$ fedctl services") || !ok {
			continue
		}
		told++
		out, err := exec.Command(fedctl, append(strings.Fields(command)[1:], "--server", "http://"+status)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", command, err, out, s.Log())
		}
		got := ages.ReplaceAllString(string(out), " ")
		for line := range strings.Lines(shown) {
			if want := strings.TrimSpace(ages.ReplaceAllString(line, " ")); want != "..." && !strings.Contains(got, want) {
				t.Errorf("%s: doesn't print %q but\n%s", command, want, out)
			}
		}
	}
	if told == 0 {
		t.Error("the README shows nothing that fedctl prints")
	}
}

// Every `$ command` of a console block prints what the block shows below it,
// with addresses in any order: they rotate.
func TestConsole(t *testing.T) {
	s := example(t)
	port := s.Addr[strings.LastIndexByte(s.Addr, ':')+1:]
	for _, b := range blocks(t, "console") {
		for _, part := range strings.Split("\n"+b, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			args := strings.Fields(strings.Replace(command, "-p 1053", "-p "+port, 1))
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s(hint: make peers)", command, err, out)
			}
			if got, want := lines(string(out)), lines(want); !slices.Equal(got, want) {
				t.Errorf("%s prints\n%s\nnot\n%s", command, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

func lines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if f := strings.Fields(l); len(f) > 0 {
			out = append(out, strings.Join(f, " "))
		}
	}
	slices.Sort(out)
	return out
}

// The example is the federation of the article.
func TestExample(t *testing.T) {
	s := example(t)
	const svc = "nginx.mynamespace.myfederation.svc"
	for name, want := range map[string]int{
		svc + ".us-central1-a.us-central1": 1, svc + ".us-central1-b": 1, svc + ".us-central1-f.us-central1": 1,
		svc + ".asia-east1-a.asia-east1": 1, svc + ".asia-east1-c": 1,
		svc + ".us-central1": 3, svc + ".asia-east1": 2, svc: 5,
		svc + ".europe-west1-b.europe-west1": 5, svc + ".europe-west1": 5,
		"nginx": 5, "us.nginx": 3, "eu.nginx": 5,
	} {
		m := s.Ask(t, name+".example.com", dns.TypeA)
		if got := server.Addrs(m); len(got) != want {
			t.Errorf("%s: %d addresses, want %d\n%v", name, len(got), want, m)
		}
	}
	// A static name of another domain leads there, within one answer.
	m := s.Ask(t, "nginx.acme.com", dns.TypeA)
	if got := server.Addrs(m); len(got) != 5 || !slices.Equal(server.Chain(m), []string{svc + ".example.com"}) {
		t.Errorf("nginx.acme.com: %v", m)
	}
	for _, line := range []string{"[ERROR]", "[WARNING]", "[FATAL]"} {
		if strings.Contains(s.Log(), line) {
			t.Errorf("it prints %s:\n%s", line, s.Log())
		}
	}
}

// Every Corefile starts, and answers.
func TestCorefiles(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: gce-us-central1, context: {cluster: c}}]\n"
	for name, text := range map[string]string{"kubeconfig": kubeconfig, "federation.kubeconfig": strings.ReplaceAll(kubeconfig, "gce-us-central1", "federation")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range blocks(t, "corefile") {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			b = regexp.MustCompile(`(?m)^([\w.]+):\d+( [\w.]+)?(?::\d+)? \{$`).ReplaceAllStringFunc(b, func(keys string) string {
				return regexp.MustCompile(`:\d+`).ReplaceAllString(keys, ":PORT") + "\n    bind 127.0.0.1"
			})
			b = strings.NewReplacer("/etc/fedns/", dir+"/", "127.0.0.1:8181", "READY", "127.0.0.1:9153", "METRICS", "127.0.0.1:8053", fmt.Sprint("127.0.0.1:", vector.Port(t)), "forward . 192.0.2.53 198.51.100.53", "forward . 127.0.0.1:1").Replace(b)
			s := server.Launch(t, b)
			server.Eventually(t, 10*time.Second, "it answers", func() bool {
				if s.Exited() {
					t.Fatalf("it ended:\n%s", s.Log())
				}
				c := dns.Client{Timeout: time.Second}
				_, _, err := c.Exchange(new(dns.Msg).SetQuestion("x.fed.example.com.", dns.TypeA), s.Addr)
				return err == nil
			})
		})
	}
}

func TestYAML(t *testing.T) {
	for _, b := range blocks(t, "yaml") {
		var o struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.UnmarshalStrict([]byte(b), &o); err != nil && !strings.Contains(err.Error(), "unknown field") || o.Kind == "" {
			t.Errorf("%v in\n%s", err, b)
		}
		if stub, ok := o.Data["stubDomains"]; ok {
			var domains map[string][]string
			if err := json.Unmarshal([]byte(stub), &domains); err != nil || len(domains) == 0 {
				t.Errorf("stubDomains: %v in %s", err, stub)
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	for _, b := range blocks(t, "overrides") {
		if orders, err := override.Parse(b); err != nil || len(orders) == 0 {
			t.Errorf("%v in\n%s", err, b)
		}
	}
}

func TestZone(t *testing.T) {
	for _, b := range blocks(t, "zone") {
		p := dns.NewZoneParser(strings.NewReader(b), "example.com.", "README.md")
		n := 0
		for _, ok := p.Next(); ok; _, ok = p.Next() {
			n++
		}
		if p.Err() != nil || n == 0 {
			t.Errorf("%d records, then %v in\n%s", n, p.Err(), b)
		}
	}
}

// Every make target that is told of exists, and make alone lists it.
func TestMake(t *testing.T) {
	list := exec.Command("make")
	list.Dir = vector.Root()
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile(`(?m)^make +(\w+)`).FindAllStringSubmatch(strings.Join(blocks(t, "sh"), ""), -1) {
		if !regexp.MustCompile(`(?m)^  make ` + m[1] + ` `).Match(out) {
			t.Errorf("make %s is in the README; make lists\n%s", m[1], out)
		}
	}
}

// Every metric that is exported stands in the README.
func TestMetrics(t *testing.T) {
	text := read(t, "README.md")
	var sources strings.Builder
	for _, f := range []string{"internal/source/cluster/metrics.go", "internal/source/probe/metrics.go", "internal/pipeline/metrics.go", "internal/source/registry/metrics.go", "plugin/federation/metrics.go"} {
		sources.WriteString(read(t, f))
	}
	found := regexp.MustCompile(`(?:Name: |desc\()"(\w+)"`).FindAllStringSubmatch(sources.String(), -1)
	if len(found) < 10 {
		t.Fatalf("only %d metrics found", len(found))
	}
	for _, m := range found {
		if !strings.Contains(text, "`"+m[1]) {
			t.Errorf("the metric %s isn't in the README", m[1])
		}
	}
}
