package docs

import (
	"encoding/json"
	"fmt"
	"maps"
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

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// example starts corefile.example as it is, but for its ports.
func example(t *testing.T) *server.Server {
	t.Helper()
	return server.Start(t, strings.NewReplacer(":1053", ":PORT", "127.0.0.1:8053", fmt.Sprint("127.0.0.1:", vector.Port(t))).Replace(read(t, "corefile.example")))
}

// ages are the numbers of the moment in what fedctl prints.
var ages = regexp.MustCompile(`\d+(\.\d+)?m?s ago|snapshot \d+|\s+`)

// prints says whether a command printed what a page shows of it: all of that, in any
// order, since addresses rotate; where the page leaves out something, by a line of
// dots, at least the rest.
func prints(out, shown string) bool {
	got, want := lines(out), lines(shown)
	whole := true
	want = slices.DeleteFunc(want, func(line string) bool {
		dots := line == "..."
		whole = whole && !dots
		return dots
	})
	if whole {
		return slices.Equal(got, want)
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			return false
		}
	}
	return true
}

// lines are those of a text, sorted, without its spaces and its numbers of the moment.
func lines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(ages.ReplaceAllString(l, " ")); l != "" {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

func TestPrints(t *testing.T) {
	for _, tt := range []struct {
		out, shown string
		want       bool
	}{
		{"a  b\nc\n", "c\na b\n", true},
		{"heard 0.1s ago\n", "heard 12s ago\n", true},
		{"a\nb\n", "a\n", false},
		{"a\nb\n", "...\na\n", true},
		{"a\n", "...\nb\n", false},
		{"", "a\n", false},
		{"a\n", "", false},
	} {
		if got := prints(tt.out, tt.shown); got != tt.want {
			t.Errorf("prints(%q, %q) = %v", tt.out, tt.shown, got)
		}
	}
}

// What fedctl is shown to print it does print over corefile.example, line for line,
// whatever the numbers of the moment.
func TestExplain(t *testing.T) {
	told := 0
	for _, b := range blocksOf(t, "text") {
		command, shown, ok := strings.Cut(strings.TrimPrefix(b.text, "$ "), "\n")
		if !strings.HasPrefix(b.text, "$ fedctl explain ") && !strings.HasPrefix(b.text, "$ fedctl services") && !strings.HasPrefix(b.text, "$ fedctl clusters") || !ok {
			continue
		}
		told++
		// It is the first that asks: nobody has over DNS.
		d := newDesk(t)
		if out, err := d.run(command); err != nil || !prints(out, shown) {
			t.Errorf("%s:%d: %s prints\n%s\nnot\n%s(%v)", b.page, b.line, command, out, shown, err)
		}
	}
	if told == 0 {
		t.Error("the manual shows nothing that fedctl prints")
	}
}

// A desk is a reader's: a folder with corefile.example and what it names, a server that
// runs over it, and a shell.
type desk struct {
	dir  string
	path string // where the programs are
	port string // of the server, for questions
	at   string // where its status is
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir(), path: filepath.Dir(build(t, "fedctl")), at: fmt.Sprint("127.0.0.1:", vector.Port(t))}
	if err := os.CopyFS(filepath.Join(d.dir, "zones"), os.DirFS(filepath.Join(vector.Root(), "zones"))); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(":1053", ":PORT", "127.0.0.1:8053", d.at, " zones/", " "+d.dir+"/zones/").Replace(read(t, "corefile.example"))
	s := server.Start(t, text)
	d.port = s.Addr[strings.LastIndexByte(s.Addr, ':')+1:]
	return d
}

// run types a command.
func (d *desk) run(command string) (string, error) {
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "-p 1053", "-p "+d.port))
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+d.path+":"+os.Getenv("PATH"), "FEDNS_SERVER=http://"+d.at)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// asks are commands that change nothing: they may be typed again until what was
// changed before them is answered.
var asks = regexp.MustCompile(`^(dig|fedctl (explain|services|clusters|regions|overrides|version)) ?`)

// Every `$ command` of a page's console blocks prints what the block shows below it.
// A page's commands are typed one after the other, so that a page may tell a story.
func TestConsole(t *testing.T) {
	pages := map[string][]block{}
	for _, b := range blocksOf(t, "console") {
		pages[b.page] = append(pages[b.page], b)
	}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		t.Run(page, func(t *testing.T) {
			d := newDesk(t)
			for _, b := range pages[page] {
				for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
					command, want, _ := strings.Cut(part, "\n")
					out, err := d.run(command)
					for end := time.Now().Add(30 * time.Second); asks.MatchString(command) && (err != nil || !prints(out, want)) && time.Now().Before(end); {
						time.Sleep(50 * time.Millisecond) // between two looks
						out, err = d.run(command)
					}
					if err != nil {
						t.Fatalf("line %d: %s: %v\n%s(hint: make peers)", b.line, command, err, out)
					}
					if !prints(out, want) {
						t.Fatalf("line %d: %s prints\n%s\nnot\n%s", b.line, command, out, want)
					}
				}
			}
		})
	}
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
	for name, text := range map[string]string{"kubeconfig": kubeconfig, "federation.kubeconfig": strings.ReplaceAll(kubeconfig, "gce-us-central1", "myfederation")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k, err := dnskey.Generate("example.com.", dnskey.ED25519, true, 0, dnskey.Dates{})
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "keys"), 0o700)
	}
	if err == nil {
		_, err = k.Write(filepath.Join(dir, "keys"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range blocksOf(t, "corefile") {
		t.Run(fmt.Sprint(shown.page, ":", shown.line), func(t *testing.T) {
			b := shown.text
			b = regexp.MustCompile(`(?m)^([\w.]+)(:\d+)?( [\w.]+)?(?::\d+)? \{$`).ReplaceAllStringFunc(b, func(keys string) string {
				names := strings.Fields(regexp.MustCompile(`:\d+`).ReplaceAllString(keys, ""))
				return strings.Join(names[:len(names)-1], ":PORT ") + ":PORT {\n    bind 127.0.0.1"
			})
			b = strings.NewReplacer("/etc/fedns/", dir+"/", "127.0.0.1:8181", "READY", "127.0.0.1:9153", "METRICS", "127.0.0.1:8053", fmt.Sprint("127.0.0.1:", vector.Port(t)), "forward . 192.0.2.53 198.51.100.53", "forward . 127.0.0.1:1").Replace(b)
			s := server.Launch(t, b)
			server.Eventually(t, 30*time.Second, "it answers", func() bool {
				if s.Exited() {
					t.Fatalf("it ended:\n%s", s.Log())
				}
				c := dns.Client{Timeout: time.Second}
				_, _, err := c.Exchange(new(dns.Msg).SetQuestion("x.example.com.", dns.TypeA), s.Addr)
				return err == nil
			})
		})
	}
}

func TestYAML(t *testing.T) {
	for _, b := range blocksOf(t, "yaml") {
		for text := range strings.SplitSeq(b.text, "---\n") {
			var o struct {
				Kind string
				Data map[string]string
			}
			if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil && !strings.Contains(err.Error(), "unknown field") || o.Kind == "" {
				t.Errorf("%s:%d: %v in\n%s", b.page, b.line, err, text)
			}
			if stub, ok := o.Data["stubDomains"]; ok {
				var domains map[string][]string
				if err := json.Unmarshal([]byte(stub), &domains); err != nil || len(domains) == 0 {
					t.Errorf("%s:%d: stubDomains: %v in %s", b.page, b.line, err, stub)
				}
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	for _, b := range blocksOf(t, "overrides") {
		if orders, err := override.Parse(b.text); err != nil || len(orders) == 0 {
			t.Errorf("%s:%d: %v in\n%s", b.page, b.line, err, b.text)
		}
	}
}

func TestZone(t *testing.T) {
	for _, b := range blocksOf(t, "zone") {
		p := dns.NewZoneParser(strings.NewReader(b.text), "example.com.", b.page)
		n := 0
		for _, ok := p.Next(); ok; _, ok = p.Next() {
			n++
		}
		if p.Err() != nil || n == 0 {
			t.Errorf("%s:%d: %d records, then %v in\n%s", b.page, b.line, n, p.Err(), b.text)
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
	told := 0
	for _, page := range manual(t) {
		blocks, prose := parse(page, read(t, page))
		targets := found("`(?:\\w+=\\w+ )?make ([\\w-]+)", strings.Join(prose, "\n"))
		for _, b := range blocks {
			if b.language != "sh" {
				continue
			}
			targets = append(targets, found(`(?m)^(?:\w+=\w+ )?make +([\w-]+)`, b.text)...)
			check := exec.Command("sh", "-n")
			check.Stdin = strings.NewReader(b.text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", page, b.line, err, out)
			}
		}
		for _, target := range targets {
			told++
			if !regexp.MustCompile(`(?m)^  make ` + target + ` `).Match(out) {
				t.Errorf("%s has make %s; make lists\n%s", page, target, out)
			}
		}
	}
	if told < 10 {
		t.Errorf("only %d targets found", told)
	}
}
