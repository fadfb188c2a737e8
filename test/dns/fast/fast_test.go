// Package fast holds both ways to an answer to the same: the fast path, which
// reads and writes datagrams on sockets of its own, and CoreDNS's chain of plugins.
//
// Every test runs the program itself, on loopback.
package fast

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// write puts a file into a folder and gives its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// isFast waits until a server has the fast path at an address, and isSlow checks
// that it has none. It comes a moment after CoreDNS's own sockets.
func isFast(t testing.TB, s *server.Server, host string) {
	t.Helper()
	server.Eventually(t, 10*time.Second, "fast path on "+host, func() bool { return strings.Contains(s.Log(), fastLine(s, host)) })
}

func isSlow(t testing.TB, s *server.Server, host string) {
	t.Helper()
	if strings.Contains(s.Log(), fastLine(s, host)) {
		t.Fatalf("there is a fast path on %s", host)
	}
}

func fastLine(s *server.Server, host string) string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return "[INFO] plugin/federation: fast path on dns://" + net.JoinHostPort(host, port)
}

// dig asks a server as dig does, and gives what it prints.
func dig(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("dig")
	if err != nil {
		t.Fatalf("%v\nhint: run make peers", err)
	}
	out, err := exec.Command(path, append([]string{"-r", "@" + host, "-p", port, "+time=3", "+tries=1"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// check looks for parts of what was printed; one that begins with "!" must not be
// there.
func check(t testing.TB, printed string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if bare, not := strings.CutPrefix(part, "!"); strings.Contains(printed, bare) == not {
			verb := "is missing"
			if not {
				verb = "must not be there"
			}
			t.Errorf("%q %s in:\n%s", bare, verb, printed)
			return
		}
	}
}

// article is the stanza of the federation that corefile.example serves.
func article(t testing.TB, more string) string {
	t.Helper()
	return " federation myfederation {\n" + server.ArticleMembers(t) + "  apex zones/db.example.com\n  " + more + "\n }\n"
}

// answers waits until a server says anything to a question.
func answers(t testing.TB, addr string) {
	t.Helper()
	server.Eventually(t, 10*time.Second, addr+" answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), addr)
		return err == nil && m.Rcode == dns.RcodeSuccess
	})
}
