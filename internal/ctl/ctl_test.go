package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/override"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	awhile = time.Hour // what takes long on a busy machine isn't said, but in the tests of that
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// A desk is where fedctl is run: a folder, and a server that says what it was
// told to and notes what it was asked.
type desk struct {
	t      *testing.T
	dir    string
	server string
	env    map[string]string // beside FEDNS_SERVER
	as     string            // what fedctl is called; "": that
	// Of the terminals that it is run at; 0: it isn't.
	columns, errColumns int

	mu      sync.Mutex // guards the rest
	asked   []string
	answers map[string]any // by path; an error is status 400
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, dir: t.TempDir(), answers: map[string]any{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.asked = append(d.asked, strings.TrimPrefix(r.URL.RequestURI(), "/api/v1/"))
		a := d.answers[strings.TrimPrefix(r.URL.Path, "/api/v1/")]
		if now, ok := a.(func() report.Snapshot); ok {
			a = now()
		}
		if e, ok := a.(report.Error); ok || a == nil {
			w.WriteHeader(http.StatusBadRequest)
			a = e
		}
		_ = json.NewEncoder(w).Encode(a)
	}))
	t.Cleanup(s.Close)
	d.server = s.URL
	d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{{Federation: "fed", OverridesFile: d.file()}}, Versions: map[string]string{"fedns": "v1"}}
	d.answers["preview"] = report.Preview{Services: 2}
	return d
}

func (d *desk) file() string { return filepath.Join(d.dir, "overrides") }

func (d *desk) write(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.file(), []byte(text), 0o640); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) want(text string) {
	d.t.Helper()
	got, err := os.ReadFile(d.file())
	if err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	if string(got) != text {
		d.t.Errorf("the file holds\n%swant\n%s", got, text)
	}
}

// run runs fedctl at noon, and gives what it prints and exits with.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	env := map[string]string{"FEDNS_SERVER": d.server}
	maps.Copy(env, d.env)
	code = Run(context.Background(), Env{Program: d.as, Stdout: &out, Stderr: &err, Columns: d.columns, ErrColumns: d.errColumns, Getenv: func(k string) string { return env[k] }, Now: func() time.Time { return noon }, Version: "test"}, args)
	return out.String(), err.String(), code
}

func TestUsage(t *testing.T) {
	d := newDesk(t)
	for _, tt := range []struct{ args, want string }{
		{"fly", `there is no command "fly"`},
		{"explian x", "there is no command \"explian\"\nfedctl: hint: did you mean explain? fedctl help"},
		{"unjion eu", "did you mean unjoin?"},
		{"get pods", "did you mean get clusters, or get objects?"},
		{"--nope", `no command is given, but "--nope"`},
		{"drain cluster/a --raeson x", "drain: there is no flag --raeson; did you mean --reason?"},
		{"drain cluster/a --reason x --for soon", `drain: --for: "soon" isn't a duration such as 90s, 15m or 2h`},
		{"explain a --json=maybe", `--json takes no value, and "maybe" is one`},
		{"explain", "explain: an argument is missing"},
		{"explain a b", `"b" is one argument too many`},
		{"explain a --reason x", "explain: there is no flag --reason"},
		{"explain a --nope", "there is no flag --nope"},
		{"clusters x", "too many"},
		{"drain --reason x", "an argument is missing"},
		{"drain cluster/a", "--reason is missing"},
		{"drain cluster/a --reason", "drain: --reason is without a value"},
		{"drain a --reason x", "none of cluster/NAME"},
		{"drain cluster/a/b --reason x", "cluster/NAME"},
		{"drain cluster/a\tb --reason x", "can't stand in a file"},
		{"drain cluster/a --reason x --for 1h --until 2026-02-01T00:00:00Z", "one is enough"},
		{"drain cluster/a --reason x --until tomorrow", "not a time"},
		{"drain cluster/a --reason x --until 2026-01-31T11:59:59Z", "is over already"},
		{"drain cluster/a --reason x --for -1h", "is over already"},
		{"drain cluster/a --reason x --for soon", "soon"},
		{"undrain a", "none of cluster/NAME"},
		{"overrides --force", "there is no flag --force"},
		{"plan --kind Deployment", `"Deployment" is not a kind`},
		{"plan --deadline 0s", "--deadline 0s is over already"},
		{"plan --max-deletes -1", "has to be 0 or more"},
		{"explain a -x", "there is no flag -x"},
		{"explain a -cliet", "there is no flag -cliet; did you mean --client?"},
		{"plan --max-deletes many", `--max-deletes: "many" isn't a whole number`},
		{"plan --max-deletes=", `--max-deletes: "" isn't a whole number`},
		{"fly -h", `there is no command "fly"`},
		{"completion bash x", `completion bash: "x" is one argument too many`},
		{"completion bash --nope", "there is no flag --nope"},
		{"completion powershel", "there is no command \"completion powershel\"\nfedctl: hint: did you mean completion powershell? fedctl help"},
		{"help get pods", "there is no command \"get pods\"\nfedctl: hint: did you mean get clusters, or get objects? fedctl help"},
		{"help fly", `there is no command "fly"`},
		{"get -h pods", `there is no command "get pods"`},
		{"drian cluster/a --reason x", "did you mean drain?"},
		{"drain cluster/a --reason x -- --force", `"--force" is one argument too many`},
		{"-- fly", `there is no command "fly"`},
		{"get pods", `there is no command "get pods"`},
		{"get clusters x", "too many"},
		{"get clusters -o html", `get clusters: -o: "html" is none of table, wide, json, yaml, name, jsonpath=TEMPLATE and go-template=TEMPLATE`},
		{"init", "an argument is missing"},
		{"init a.b --dns-zone-name d", "its name is a label in others"},
		{"init fed", `--dns-zone-name "" is not a domain`},
		{"init fed --dns-zone-name example.com.", "is not a domain"},
		{"init fed --dns-zone-name d", "--host-cluster-context is missing"},
		{"init fed --dns-zone-name d --api x --host-cluster-context y", "exclude each other"},
		{"init fed --dns-zone-name d --api-server-service-type NodePort", "needs --api-server-advertise-address"},
		{"init fed --dns-zone-name d --api-server-service-type Magic", `"Magic" is none of`},
		{"init fed --dns-zone-name d --api-server-port 30000", "is for --api-server-service-type NodePort"},
		{"init fed --dns-zone-name d --api-server-advertise-address h:x", `"x" is not a port`},
		{"init fed --dns-zone-name d --dry-run -o html", "none of json, yaml, name"},
		{"clusters -o jsn", "did you mean json?"},
		{"clusters -o JSON", "did you mean json?"},
		{"get clusters --as-group admins", "get clusters: --as-group is of somebody: --as says who"},
		{"clusters -o", "clusters: -o is without a value"},
		{"clusters -o jsonpath={", "unclosed action"},
		{"plan -o wide", "none of table, json, yaml"},
		{"drain cluster/a --reason x --to nowhere", `--to: "nowhere" is neither file nor api`},
		{"drain cluster/a --reason x --to file --context fed", "drain: --to file and --context exclude each other"},
		{"drain cluster/a --reason x --to file --evacuate", "drain: --to file and --evacuate exclude each other"},
		{"up zone/a --reason x --to file --as jane", "up: --to file and --as exclude each other"},
		{"drain cluster/a --reason x --timeout 1m", "drain: --timeout is for the federation's API, and this goes to a file of overrides\nfedctl: hint: say where it goes: --to api"},
		{"undrain cluster/a --no-wait", "undrain: --no-wait is for the federation's API, and this goes to a file of overrides"},
		{"get clusters --request-timeout soon", `--request-timeout: "soon" isn't a duration`},
		{"init fed --dns-zone-name d --kind Deployment", "is not a kind"},
		{"join A_b", "can't be called"},
		{"join a --location here", "not a latitude"},
		{"join a --location=91,0", "not a latitude"},
		{"join a --addresses 10.0.0.0/33", "neither an address nor a network"},
		{"join a --cluster-server 10.0.0.1:6443", "not a URL"},
		{"unjoin a --drain-wait -1s", "is over already"},
		{"deinit fed", "--yes is missing"},
	} {
		var args []string
		if tt.args != "" {
			args = strings.Split(tt.args, " ")
		}
		_, stderr, code := d.run(args...)
		if code != 2 || !strings.HasPrefix(stderr, "fedctl: error: ") || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "\nfedctl: hint: ") {
			t.Errorf("%q: exit %d\n%swant %q and a hint", tt.args, code, stderr, tt.want)
		}
	}
	d.want("")
	for _, tt := range []struct{ args, want string }{
		{"", "  explain        What a name is answered with, and why."},
		{"--help", "  get clusters   The members, as kubectl shows them."},
		{"help", "  get clusters   The members, as kubectl shows them."},
		{"-h", "Usage:\n  fedctl [options]\n"},
		{"drain -h", "Usage:\n  fedctl drain SUBJECT --reason TEXT [options]\n"},
		{"-h drain", "Usage:\n  fedctl drain SUBJECT --reason TEXT [options]\n"},
		{"drain cluster/a -help", "Usage:\n  fedctl drain SUBJECT --reason TEXT [options]\n"},
		{"--reason x --help drain", "    --until='':\n        TIME it ends by itself"},
		{"help get clusters", "    --context='':\n"},
		{"help init", "    --etcd-storage='10Gi':\n        SIZE of etcd's volume"},
		{"get", "Available commands:\n  clusters  The members"},
		{"get --help", "Usage:\n  fedctl get COMMAND [options]\n"},
		{"--version", "fedctl version test\n"},
		{"explain a -h", "Examples:\n  # Who answers for a service, and why not the others\n  fedctl explain nginx.mynamespace\n"},
	} {
		out, stderr, code := d.run(strings.Fields(tt.args)...)
		if code != 0 || stderr != "" || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d, %s%swant %q", tt.args, code, stderr, out, tt.want)
		}
	}
}

// Flags of one dash are those of two, wherever they stand, and it is said.
func TestOneDash(t *testing.T) {
	for _, tt := range []struct {
		args string
		old  []string
	}{
		{"drain cluster/a -reason x -for=90m", []string{"reason", "for"}},
		{"-reason x drain cluster/a -for 90m", []string{"reason", "for"}},
		{"drain cluster/a --reason -for --for 90m", nil}, // a value
		{"drain -force cluster/a --reason=x --for 90m", []string{"force"}},
		{"drain --reason x --for 90m -- cluster/a", nil},
	} {
		d := newDesk(t)
		_, stderr, code := d.run(strings.Fields(tt.args)...)
		want := ""
		for _, name := range tt.old {
			want += "fedctl: hint: -" + name + " is --" + name + " now\n"
		}
		if code != 0 || stderr != want {
			t.Errorf("%s: exit %d, %swant\n%s", tt.args, code, stderr, want)
		}
		text, err := os.ReadFile(d.file())
		if err != nil || !strings.HasPrefix(string(text), "drain cluster/a until 2026-01-31T13:30:00Z reason ") {
			t.Errorf("%s: the file holds %q, %v", tt.args, text, err)
		}
	}
}

// What help shows to type can be typed.
func TestExamples(t *testing.T) {
	root := newRoot(Env{})
	each(root, func(c *cobra.Command) {
		if c.Runnable() && !c.HasSubCommands() && c.Name() != "help" && c.Parent().Name() != "completion" && !strings.Contains(c.Example, "\nfedctl "+strings.TrimPrefix(c.CommandPath(), "fedctl ")) {
			t.Errorf("%s: has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "# ") {
				continue
			}
			words := strings.Fields(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(line, "TEXT"))
			found, n := find(root, words[1:])
			if words[0] != "fedctl" || found != c {
				t.Errorf("%s: example %q is of another command", c.CommandPath(), line)
				continue
			}
			again, _ := find(newRoot(Env{}), words[1:])
			if err := again.ParseFlags(words[1+n:]); err != nil {
				t.Errorf("%q: %v", line, err)
			} else if err := again.ValidateArgs(again.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

// A flag stands for itself in all commands that have it, or in none: it may stand
// before the command, and nobody knows then whose it is.
func TestFlagsAgree(t *testing.T) {
	seen := map[string]*pflag.Flag{}
	each(newRoot(Env{}), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, name := range []string{f.Name, f.Shorthand} {
				other := seen[name]
				if other == nil || name == "" {
					seen[name] = f
					continue
				}
				if (f.NoOptDefVal == "") != (other.NoOptDefVal == "") || name == f.Shorthand && f.Name != other.Name {
					t.Errorf("%s: --%s isn't what it is elsewhere", c.CommandPath(), f.Name)
				}
			}
			if f.Usage == "" {
				t.Errorf("%s: --%s isn't explained", c.CommandPath(), f.Name)
			}
		})
	})
}

// Comments, other orders and odd spacing stay as they are; the order about the
// same subject gives way.
func TestOrders(t *testing.T) {
	d := newDesk(t)
	d.write("# by hand\n\n  drain   zone/x   reason \"old\"\ndown cluster/a reason \"before\"  \n# the end")
	for _, args := range [][]string{
		{"drain", "cluster/a", "--reason", "kernel upgrade", "--for", "90m"},
		{"--reason", "lift", "up", "--until", "2026-02-01T00:00:00Z", "service/shop/web"}, // flags stand anywhere
		{"down", "--reason=fire", "region/eu"},
	} {
		if out, stderr, code := d.run(args...); code != 0 || !strings.Contains(out, "2 services change") {
			t.Fatalf("%q: exit %d, %s%s", args, code, out, stderr)
		}
	}
	d.want(`# by hand

  drain   zone/x   reason "old"
# the end
drain cluster/a until 2026-01-31T13:30:00Z reason "kernel upgrade"
up service/shop/web until 2026-02-01T00:00:00Z reason "lift"
down region/eu reason "fire"
`)
	if info, err := os.Stat(d.file()); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if out, _, code := d.run("undrain", "cluster/a"); code != 0 || !strings.Contains(out, "kernel upgrade\": taken back") {
		t.Errorf("exit %d, %s", code, out)
	}
	_, stderr, code := d.run("undrain", "cluster/a")
	if code != 1 || !strings.Contains(stderr, "hint: there are orders about zone/x, service/shop/web, region/eu") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.goes(d.file(), func(f *report.Federation) { f.OverridesFile = "/etc/overrides" }) // short, for the eye
	out, _, _ := d.run("overrides")
	if want := `SUBJECT           ORDER  UNTIL                 IN FORCE  SERVERS  FROM
zone/x            drain  taken back            yes       1 of 1
    from file /etc/overrides on pod-7
    reason: old
service/shop/web  up     2026-02-01T00:00:00Z  yes       1 of 1
    from file /etc/overrides on pod-7
    reason: lift
region/eu         down   taken back            yes       1 of 1
    from file /etc/overrides on pod-7
    reason: fire
`; out != want {
		t.Errorf("listed:\n%swant\n%s", out, want)
	}
}

func TestPrune(t *testing.T) {
	d := newDesk(t)
	d.write("# one\ndrain cluster/a until 2026-01-31T12:00:00Z reason \"over\"\ndrain cluster/b until 2026-01-31T12:00:01Z reason \"not yet\"\n")
	d.goes(d.file(), func(f *report.Federation) { f.Overrides, f.InForce = f.Overrides[1:], f.InForce[1:] })
	if out, _, _ := d.run("overrides"); !strings.Contains(out, "cluster/a  drain  2026-01-31T12:00:00Z  expired   0 of 1\n") || !strings.Contains(out, "cluster/b  drain  2026-01-31T12:00:01Z  yes       1 of 1\n") {
		t.Errorf("%s", out)
	}
	var list []report.Order
	out, _, _ := d.run("overrides", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || *list[0].LeftSeconds != 0 || list[1].Until != noon.Unix()+1 {
		t.Errorf("%v, %s", err, out)
	}
	if out, stderr, code := d.run("overrides", "--prune"); code != 0 || !strings.Contains(out, "cluster/a") || strings.Contains(out, "cluster/b") {
		t.Errorf("exit %d, %s%s", code, out, stderr)
	}
	d.want("# one\ndrain cluster/b until 2026-01-31T12:00:01Z reason \"not yet\"\n")
	if out, _, code := d.run("overrides", "--prune"); code != 0 || !strings.Contains(out, "has expired") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// A file that somebody broke isn't touched, and the line is named.
func TestBroken(t *testing.T) {
	d := newDesk(t)
	const text = "drain cluster/a reason \"x\"\ndrain everything\n"
	d.write(text)
	for _, args := range [][]string{{"drain", "cluster/b", "--reason", "x", "--force"}, {"undrain", "cluster/a"}, {"overrides"}, {"overrides", "--prune"}} {
		_, stderr, code := d.run(args...)
		if code != 1 || !strings.Contains(stderr, "line 2") || !strings.Contains(stderr, d.file()) || !strings.Contains(stderr, "hint: mend it") {
			t.Errorf("%q: exit %d, %s", args, code, stderr)
		}
		d.want(text)
	}
}

// What is orphaned, mistyped or can't be known is refused, unless it is forced.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		preview any
		want    string
	}{
		{"orphans", report.Preview{Services: 9, Orphaned: 3, Orphans: []string{"shop/web", "shop/api"}}, "would leave 3 services without any shard: shop/web, shop/api and 1 more"},
		{"mistyped", report.Preview{Unknown: []report.Unknown{{Subject: "cluster/a", Known: []string{"b", "c"}}}}, "the server knows no cluster/a\nfedctl: hint: known: b, c; --force"},
		{"futile", report.Preview{Futile: []report.NoEffect{{Why: "its policy is all; only failover has a region to go back to"}}}, "it would change nothing: its policy is all; only failover has a region to go back to\nfedctl: hint: --force"},
		{"broken", report.Error{Error: "out of order"}, "what it would change is not known: out of order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.answers["preview"] = tt.preview
			_, stderr, code := d.run("drain", "cluster/a", "--reason", "x")
			if code != 1 || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "--force") {
				t.Errorf("exit %d, %s", code, stderr)
			}
			d.want("")
			if _, stderr, code := d.run("drain", "cluster/a", "--reason", "x", "--force"); code != 0 {
				t.Errorf("forced: exit %d, %s", code, stderr)
			}
			d.want("drain cluster/a reason \"x\"\n")
		})
	}
}

func TestServerAway(t *testing.T) {
	d := newDesk(t)
	d.server = "http://127.0.0.1:1"
	file := []string{"--file", d.file()}
	for _, tt := range []struct {
		args []string
		want string // "": it works
	}{
		{[]string{"explain", "x"}, "server http://127.0.0.1:1 can't be asked: connection refused\nfedctl: hint: does its Corefile say `status`?"},
		{[]string{"drain", "cluster/a", "--reason", "x", "--force"}, "can't be asked"}, // nobody knows which file
		{append(file, "drain", "cluster/a", "--reason", "x"), "what it would change is not known: server http://127.0.0.1:1 can't be asked"},
		{append(file, "drain", "cluster/a", "--reason", "x", "--dry-run", "--force"), "can't be asked"},
		{append(file, "drain", "cluster/a", "--reason", "x", "--force"), ""},
		{append(file, "overrides"), ""},
		{append(file, "undrain", "cluster/a"), ""},
		{[]string{"version"}, ""},
	} {
		_, stderr, code := d.run(tt.args...)
		if (code == 0) != (tt.want == "") || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: exit %d, %s", tt.args, code, stderr)
		}
	}
}

// A server may have several files, or none; which to edit is never guessed.
func TestWhichFile(t *testing.T) {
	d := newDesk(t)
	d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{{Federation: "one", OverridesFile: d.file()}, {Federation: "two", OverridesFile: "/elsewhere"}, {Federation: "three", OverridesFile: d.file()}}}
	if _, stderr, code := d.run("drain", "cluster/a", "--reason", "x"); code != 1 || !strings.Contains(stderr, "--file "+d.file()+", or --file /elsewhere") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if _, stderr, code := d.run("drain", "cluster/a", "--reason", "x", "--file", d.file()); code != 0 || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if got := d.asked[len(d.asked)-1]; got != "preview?federation=one&federation=three&order=drain+cluster%2Fa+reason+%22x%22" {
		t.Errorf("asked %s", got)
	}
	if _, stderr, code := d.run("overrides", "--file", filepath.Join(d.dir, "other")); code != 0 || !strings.Contains(stderr, "is that the same file?") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{{Federation: "one"}}}
	if _, stderr, code := d.run("overrides"); code != 1 || !strings.Contains(stderr, "hint: give the federation one in the Corefile: overrides FILE") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// However many edit at once, every order is kept, and none of them is ever read
// in half.
func TestConcurrent(t *testing.T) {
	d := newDesk(t)
	d.write("# kept\n")
	const many = 20
	stop := make(chan struct{})
	var readers, wg sync.WaitGroup
	readers.Go(func() {
		for {
			text, err := os.ReadFile(d.file())
			if err == nil {
				_, err = override.Parse(string(text))
			}
			if err != nil {
				t.Errorf("%v in %q", err, text)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for i := range many {
		wg.Go(func() {
			if _, stderr, code := d.run("drain", fmt.Sprint("cluster/c", i), "--reason", "x"); code != 0 {
				t.Errorf("exit %d, %s", code, stderr)
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	raw, err := os.ReadFile(d.file())
	if err != nil {
		t.Fatal(err)
	}
	orders, err := override.Parse(string(raw))
	if err != nil || len(orders) != many || !strings.HasPrefix(string(raw), "# kept\n") {
		t.Errorf("%d orders, %v:\n%s", len(orders), err, raw)
	}
}

// A link is edited where it leads, and stays.
func TestLink(t *testing.T) {
	d := newDesk(t)
	real := filepath.Join(d.dir, "real")
	if err := os.WriteFile(real, []byte("# real\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, d.file()); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := d.run("drain", "cluster/a", "--reason", "x"); code != 0 {
		t.Fatal(stderr)
	}
	if info, err := os.Lstat(d.file()); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	d.want("# real\ndrain cluster/a reason \"x\"\n")
}

func TestDryRun(t *testing.T) {
	d := newDesk(t)
	d.answers["preview"] = report.Preview{Services: 2, Orphaned: 1, Orphans: []string{"shop/api of federation fed"}, Changes: []report.Change{{
		Federation: "fed", Service: "shop/web", Names: []report.NameChange{
			{Name: "web.shop.fed.svc.example.com.", Before: report.Leads{Addresses: []string{"192.0.2.1", "192.0.2.2"}}, After: report.Leads{Addresses: []string{"192.0.2.2"}}},
			{Name: "web.shop.fed.svc.eu.example.com.", Before: report.Leads{Addresses: []string{"192.0.2.1"}}, After: report.Leads{To: "web.shop.fed.svc.example.com.", Addresses: []string{"192.0.2.2"}}},
		},
	}}}
	out, stderr, code := d.run("drain", "cluster/a", "--reason", "x", "--dry-run")
	if want := `drain cluster/a: 2 services change; nothing is written
shop/web of federation fed
  web.shop.fed.svc.example.com     192.0.2.1 192.0.2.2  -> 192.0.2.2
  web.shop.fed.svc.eu.example.com  192.0.2.1            -> web.shop.fed.svc.example.com: 192.0.2.2
and 1 more
drain cluster/a: would leave 1 service without any shard: shop/api of federation fed; it needs --force
`; out != want || code != 0 || stderr != "" {
		t.Errorf("exit %d\n%s%swant\n%s", code, out, stderr, want)
	}
	d.want("")
}

// What people see of an explanation.
func TestExplain(t *testing.T) {
	raw, err := os.ReadFile("testdata/explain.json")
	if err != nil {
		t.Fatal(err)
	}
	var e report.Explanation
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.answers["explain"] = e
	out, stderr, code := d.run("explain", "web.shop.fed.svc.us.example.com", "--without", "eu", "--client", "198.51.100.7", "--without", "ap", "--type", "a")
	if code != 0 {
		t.Fatal(stderr)
	}
	if got, want := d.asked[0], "explain?client=198.51.100.7&name=web.shop.fed.svc.us.example.com&type=a&without=eu&without=ap"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	const golden = "testdata/explain.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("printed\n%swant\n%s", out, want)
	}
	var again report.Explanation
	out, _, _ = d.run("explain", "x", "-o", "json")
	if err := json.Unmarshal([]byte(out), &again); err != nil || again.Reply.Rcode != "NOERROR" {
		t.Errorf("%v, %s", err, out)
	}
}

func TestClusters(t *testing.T) {
	d := newDesk(t)
	age := 0.25
	d.answers["clusters"] = report.Clusters{Isolated: []string{"fed"}, Clusters: []report.Cluster{
		{Federation: "fed", Cluster: "eu", Source: "kubeconfig", Listed: true, ViewAgeSeconds: &age, Places: []report.Place{{Region: "eu", Zone: "eu-a"}}, Shards: []report.Tally{{Verdict: "up", Reason: "ready", Count: 3}}},
		{Federation: "fed", Cluster: "us", Source: "registry", Listed: true, Silent: true, SilentSeconds: 72, ViewAgeSeconds: &age, Places: []report.Place{{Region: "us"}}, Shards: []report.Tally{{Verdict: "up", Reason: "ready", Stale: true, Count: 1}}},
		{Federation: "fed", Cluster: "ap", Source: "manifests"},
	}}
	out, _, code := d.run("clusters")
	if want := `FEDERATION  CLUSTER  SOURCE      STATE             HEARD        PLACES   SHARDS
fed         eu       kubeconfig  listed            0.2s ago     eu-a.eu  3 up (ready)
fed         us       registry    silent for 1m12s  0.2s ago     us       1 up (ready, when last heard)
fed         ap       manifests   not listed yet    never heard
federation fed: isolated; more than half of its clusters are silent at once, and all that is known stays
`; out != want || code != 0 {
		t.Errorf("exit %d\n%swant\n%s", code, out, want)
	}
}

func TestVersion(t *testing.T) {
	d := newDesk(t)
	if out, _, code := d.run("version"); code != 0 || !strings.HasPrefix(out, "fedctl test, go") || !strings.Contains(out, "fedns v1 at "+d.server) {
		t.Errorf("exit %d, %s", code, out)
	}
}
