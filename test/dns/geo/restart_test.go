package geo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestRestart: where a failover policy has come to outlives the server, whatever ends
// it: who was restarted agrees with who wasn't.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]service{
		"first": {members: "belgium iowa taiwan", policy: "failover europe-west1 asia-east1 failback delayed 1h"},
		"few":   {members: "iowa taiwan", policy: "failover us-central1 asia-east1 failback manual"},
	})
	folder := t.TempDir()
	state := filepath.Join(folder, "fed.state")
	corefile := func(way string) string { return w.corefile(with("fast "+way, "state "+folder)...) }
	witness := start(t, w.corefile(with("fast on")...)) // isn't restarted, and has no state
	s := start(t, corefile("on"))
	for _, s := range []*server.Server{witness, s} {
		becomes(t, s, "192.0.2.200", "first", belgium)
		becomes(t, s, "192.0.2.200", "few", iowa)
	}
	w.write(t, named("belgium"), "first")
	w.write(t, named("iowa"), "few")
	for _, s := range []*server.Server{witness, s} {
		becomes(t, s, "192.0.2.200", "first", taiwan)
		becomes(t, s, "192.0.2.200", "few", taiwan)
	}
	w.write(t, named("belgium"))
	w.write(t, named("iowa"))
	for _, s := range []*server.Server{witness, s} {
		becomes(t, s, "192.0.2.9", "every", every)
		m := question("first", dns.TypeA, "")
		m.Question[0].Name = "first.shop.fed.svc.europe-west1.example.com."
		server.Eventually(t, 10*time.Second, "belgium is up again", func() bool { return read(s.Exchange(t, "udp", m)).addrs == belgium })
	}

	// again starts the server and asks from its first answer on.
	again := func(what, way string) {
		t.Helper()
		s = server.Launch(t, corefile(way))
		answered := map[string]int{}
		for end := time.Now().Add(server.Patience(0)); answered["first"] < 20 || answered["few"] < 20; {
			if time.Now().After(end) {
				t.Fatalf("%s: there are no answers", what)
			}
			for _, service := range []string{"first", "few"} {
				m, _, err := (&dns.Client{Timeout: time.Second}).Exchange(question(service, dns.TypeA, ""), s.Addr)
				if err != nil || m.Rcode == dns.RcodeServerFailure {
					continue // not yet
				}
				if got := read(m); got.addrs != taiwan || got.addrs != from(t, witness, "192.0.2.200", service) {
					t.Fatalf("%s, fast %s: %s is answered with %v", what, way, service, got)
				}
				answered[service]++
			}
			time.Sleep(10 * time.Millisecond) // all through the start
		}
	}
	s.Stop()
	again("SIGTERM", "on")
	s.Kill()
	again("SIGKILL", "off")
	s.Kill()

	edit := func(f func(lines [][]byte) [][]byte) {
		t.Helper()
		text, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(state, bytes.Join(f(bytes.SplitAfter(text, []byte("\n"))), nil), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(lines [][]byte) [][]byte { return append(lines, []byte(`0123abcd {"leads":[{"key":{"Namesp`)) })
	again("a torn line", "on")
	s.Kill()
	edit(func(lines [][]byte) [][]byte { // all that the state knows of taiwan is lost
		for i, l := range lines {
			if bytes.Contains(l, []byte(`taiwan`)) && !bytes.Contains(l, []byte(`"leads"`)) {
				lines[i] = append([]byte("x"), l...)
			}
		}
		return lines
	})
	again("a damaged file", "on")
	s.Kill()

	// A file of a server of before, which knew of no place, is as good as ever.
	edit(func(lines [][]byte) [][]byte {
		kept := lines[:0]
		for _, l := range lines {
			if !bytes.Contains(l, []byte(`"leads"`)) {
				kept = append(kept, l)
			}
		}
		return kept
	})
	s = start(t, corefile("on"))
	becomes(t, s, "192.0.2.200", "few", iowa)
	if log := s.Log(); strings.Contains(log, "damaged") || !strings.Contains(log, "answers from the state on disk") {
		t.Errorf("of an older state it says\n%s", log)
	}
}
