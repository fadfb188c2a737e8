package start

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A running is a fedns that was started with arguments of a test's own.
type running struct {
	*exec.Cmd
	log  server.Buffer
	done <-chan struct{}
}

func run(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	bin, err := server.Binary()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Cmd: exec.Command(bin, args...)}
	r.Dir, r.Stdout, r.Stderr = dir, &r.log, &r.log
	if r.done, err = vector.Start(r.Cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Process.Kill() // mostly it has ended
		<-r.done
		if t.Failed() {
			t.Logf("fedns printed:\n%s", r.log.String())
		}
	})
	return r
}

// answers waits for an address of a name.
func (r *running) answers(t *testing.T, addr, name string) {
	t.Helper()
	server.Eventually(t, 30*time.Second, name+" has an address", func() bool {
		select {
		case <-r.done:
			t.Fatalf("it has ended:\n%s", r.log.String())
		default:
		}
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), addr)
		return err == nil && len(server.Addrs(m)) > 0
	})
}

// Who starts fedns with a Corefile that can't be one is told what is wrong with it.
func TestNoCorefile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "[FATAL] there is no Corefile here, in " + dir + "; --conf FILE names one"},
		{[]string{"-conf", "nowhere"}, "[FATAL] the Corefile nowhere isn't there"},
		{[]string{"--conf", "nowhere"}, "[FATAL] the Corefile nowhere isn't there"},
		{[]string{"--conf=nowhere", "--dns.port", "5300", "-quiet"}, "[FATAL] the Corefile nowhere isn't there"},
		{[]string{"-dns.port=5300", "-p", "53", "-conf=nowhere"}, "[FATAL] the Corefile nowhere isn't there"},
		{[]string{"-conf", dir}, "[FATAL] the Corefile " + dir + " is a directory; --conf names a file"},
		{[]string{"-conf", "empty"}, "[FATAL] the Corefile empty is empty"},
		{[]string{"Corefile"}, `[FATAL] "Corefile" isn't a flag; --conf FILE names the Corefile`},
	} {
		r := run(t, dir, tt.args...)
		<-r.done
		if !strings.Contains(r.log.String(), tt.want) || strings.Contains(r.log.String(), "whoami") || strings.Contains(r.log.String(), "Caddyfile") || r.ProcessState.ExitCode() != 1 {
			t.Errorf("fedns %s prints\n%s", strings.Join(tt.args, " "), r.log.String())
		}
	}
}

// Flags have one dash, as CoreDNS's do, or two; one that isn't there is named as it would be
// right.
func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-version"}, 0, "fedns devel"},
		{[]string{"--version"}, 0, "fedns devel"},
		{[]string{"-plugins"}, 0, "\nfederation\n"},
		{[]string{"--plugins"}, 0, "\nfederation\n"},
		{[]string{"-help"}, 0, "    --dns.port='53':\n"},
		{[]string{"-h"}, 0, "Usage:\n  fedns [options]\n"},
		{[]string{"--cnf", "x"}, 2, "[FATAL] there is no flag --cnf; did you mean --conf? (--help lists the flags)"},
		{[]string{"-cnf", "x"}, 2, "[FATAL] there is no flag -cnf; did you mean --conf?"},
		{[]string{"--quiet=maybe"}, 2, `[FATAL] --quiet takes no value, and "maybe" is one`},
		{[]string{"--conf"}, 2, "[FATAL] --conf is without a value"},
	} {
		r := run(t, t.TempDir(), tt.args...)
		<-r.done
		if !strings.Contains(r.log.String(), tt.want) || r.ProcessState.ExitCode() != tt.code {
			t.Errorf("fedns %s: exit %d, prints\n%s", strings.Join(tt.args, " "), r.ProcessState.ExitCode(), r.log.String())
		}
	}
}

// example copies corefile.example and what it names into a folder, for another port.
func example(t *testing.T, dir, port string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vector.Root(), "corefile.example"))
	if err != nil {
		t.Fatal(err)
	}
	here := strings.ReplaceAll(string(text), ":1053", ":"+port)
	here = strings.ReplaceAll(here, "127.0.0.1:8053", fmt.Sprint("127.0.0.1:", vector.Port(t)))
	if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "zones"), os.DirFS(filepath.Join(vector.Root(), "zones"))); err != nil {
		t.Fatal(err)
	}
}

// Relative paths in a Corefile are those of its folder, wherever fedns is started, for
// the federation and for CoreDNS's own plugins; those of flags are the working
// directory's.
func TestRelativePaths(t *testing.T) {
	there := t.TempDir()
	port := fmt.Sprint(vector.Port(t))
	example(t, there, port)
	parent, folder := filepath.Split(there)
	for _, tt := range []struct{ dir, conf string }{
		{"/", filepath.Join(there, "Corefile")},
		{there, "Corefile"},
		{there, ""},
		{parent, filepath.Join(folder, "Corefile")},
		{filepath.Join(there, "zones"), "../Corefile"},
	} {
		args := []string{"-conf", tt.conf}
		if tt.conf == "" {
			args = nil
		}
		if tt.dir != "/" {
			args = append(args, "-pidfile", "its.pid")
		}
		r := run(t, tt.dir, args...)
		for _, name := range []string{"nginx.mynamespace.myfederation.svc.example.com", "nginx.acme.com"} {
			r.answers(t, "127.0.0.1:"+port, name)
		}
		if tt.dir != "/" {
			server.Eventually(t, 10*time.Second, "the pid is where it was started", func() bool {
				_, err := os.Stat(filepath.Join(tt.dir, "its.pid"))
				return err == nil
			})
		}
		if err := r.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		<-r.done
	}
}

// A Corefile that was written for the working directory goes on working, and the log
// says so.
func TestWorkingDirectory(t *testing.T) {
	there, elsewhere := t.TempDir(), t.TempDir()
	port := fmt.Sprint(vector.Port(t))
	example(t, there, port)
	conf := filepath.Join(elsewhere, "Corefile")
	if err := os.Rename(filepath.Join(there, "Corefile"), conf); err != nil {
		t.Fatal(err)
	}
	r := run(t, there, "-conf", conf)
	r.answers(t, "127.0.0.1:"+port, "nginx.acme.com")
	if want := "[INFO] relative paths of Corefile " + conf + " are those of the working directory, " + there; !strings.Contains(r.log.String(), want) {
		t.Errorf("it doesn't say %q", want)
	}
}

// The log has one form, and begins with who speaks and what it goes by.
func TestLog(t *testing.T) {
	s := server.Start(t, block("ready READY\nerrors\nhealth 127.0.0.1:0\n"))
	s.Reload(t)
	server.Eventually(t, 20*time.Second, "it has been reloaded", func() bool { return strings.Contains(s.Log(), "Reloading complete") })
	s.Stop()
	first, _, _ := strings.Cut(s.Log(), "\n")
	if !regexp.MustCompile(`^\[INFO\] fedns \S+ \(CoreDNS \d\S+, go\S+ \w+/\w+\), Corefile ` + regexp.QuoteMeta(s.Corefile) + `$`).MatchString(first) {
		t.Errorf("it begins with %q", first)
	}
	form := regexp.MustCompile(`^\[(DEBUG|INFO|WARNING|ERROR|FATAL)\] \S`)
	for line := range strings.Lines(s.Log()) {
		if !form.MatchString(line) {
			t.Errorf("another form: %s", line)
		}
	}
	if want := "[INFO] answering on " + s.Addr + "\n"; !strings.Contains(s.Log(), want) {
		t.Errorf("it doesn't say %q", want)
	}
}

// With -log-format json, every line is one.
func TestLogJSON(t *testing.T) {
	dir := t.TempDir()
	port := fmt.Sprint(vector.Port(t))
	example(t, dir, port)
	r := run(t, "/", "-conf", filepath.Join(dir, "Corefile"), "-log-format", "json")
	r.answers(t, "127.0.0.1:"+port, "nginx.acme.com")
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-r.done
	for line := range strings.Lines(r.log.String()) {
		var o struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Level == "" || o.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
}
