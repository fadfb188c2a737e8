package fast

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// TestAside: the fast path steps aside where another plugin must see every
// question, and nowhere else. Either way everybody gets an answer.
func TestAside(t *testing.T) {
	weights := write(t, t.TempDir(), "weights", "example.com\n192.0.2.1 3\n")
	for _, tt := range []struct {
		plugin string
		why    string // a part of what the log says; "": there is a fast path
	}{
		{"", ""},
		{"errors", ""},
		{"shed", ""},
		{"prometheus METRICS", ""},
		{"nsid", ""},
		{"any", ""},
		{"chaos", ""},
		{"cache", ""},
		{"multisocket 1", ""},
		{"multisocket 3", ""},
		{"bufsize", ""},
		{"bufsize 1232", ""},
		{"bufsize 4096", ""},
		{"bufsize 1231", ""},
		{"loadbalance", ""},
		{"loadbalance round_robin", ""},
		{"loadbalance round_robin {\n prefer 104.0.0.0/8\n}", ""},
		{"loadbalance {\n prefer 104.0.0.0/8\n}", ""},
		{"loadbalance weighted " + weights, ""},
		{"acl {\n block type AAAA\n}", ""},
		{"log", "log"},
		{"log . {\n class all\n}", "log"},
		{"log {\n class denial error\n}", ""},
		{"log example.org", ""},
		{"metadata", ""},
		{"acl {\n allow net 127.0.0.0/8\n drop\n}", ""},
		{"rewrite name regex (.*)\\.old {1}.new", "rewrite"},
		{"rewrite edns0 local set 0xffee 0x61", "rewrite"},
		{"minimal", ""},
		{"header {\n response set rd\n}", ""},
		{"rewrite name old.example.com new.example.com", ""},
		{"view v {\n expr client_ip() != ''\n}", "view"},
		{"transfer {\n to *\n}", ""},
		{"tsig {\n secret k. c2VjcmV0c2VjcmV0\n require AXFR IXFR\n}", ""},
		{"tsig {\n secret k. c2VjcmV0c2VjcmV0\n require none\n require_opcode NOTIFY\n}", ""},
	} {
		t.Run(tt.plugin, func(t *testing.T) {
			s := server.Start(t, "example.com:PORT {\n bind ADDR\n "+tt.plugin+"\n"+article(t, "")+" ready READY\n}\n")
			if tt.why == "" {
				isFast(t, s, "127.0.0.1")
			} else {
				if !isAside(t, s) {
					t.Error("there is a fast path")
				}
				_, says, _ := strings.Cut(s.Log(), asideLine(s))
				if says, _, _ = strings.Cut(says, "\n"); !strings.Contains(says, tt.why) {
					t.Errorf("the log says %q, and not a word about %s", says, tt.why)
				}
			}
			a := dial(t, s.Addr)
			var packets [][]byte
			for range 20 {
				packets = append(packets,
					question(0, labels("nginx.mynamespace.myfederation.svc.us-central1.example.com"), dns.TypeA, ""),
					question(0, labels("nginx.mynamespace.myfederation.svc.example.com"), dns.TypeA, opt(1232, 0)),
					question(0, labels("example.com"), dns.TypeSOA, ""),
					question(2<<11, labels("example.com"), dns.TypeSOA, ""),
				)
			}
			got, err := a.ask(packets)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range packets {
				if got[i] == nil {
					t.Fatalf("no answer to %x", p)
				}
				want := []string{"NOERROR", "NOERROR", "NOERROR", "NOTIMP"}[i%4]
				if v := look(p, got[i], 0); v["rcode"] != want {
					t.Errorf("%x: %s, want %s", p, v["rcode"], want)
				}
			}
			for _, s := range a.strange {
				t.Error(s)
			}
		})
	}
}

// isAside waits until a server has said whether it has a fast path, and says that
// it has none.
func isAside(t *testing.T, s *server.Server) bool {
	t.Helper()
	aside := false
	server.Eventually(t, 10*time.Second, asideLine(s), func() bool {
		aside = strings.Contains(s.Log(), asideLine(s))
		return aside || strings.Contains(s.Log(), fastLine(s, "127.0.0.1"))
	})
	return aside
}

func asideLine(s *server.Server) string {
	return "[WARNING] plugin/federation: no fast path on dns://" + s.Addr + ": "
}
