package probe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/health"
)

// usual is what holds where nothing is said.
func usual(s Spec) Spec {
	s.Interval, s.Timeout, s.Damping = 2*time.Second, time.Second, health.Damping{Fall: 3, Rise: 2}
	return s
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  Spec
	}{
		{"none", Spec{}},
		{"tcp", usual(Spec{Kind: TCP})},
		{"http", usual(Spec{Kind: HTTP, Path: "/", Low: 200, High: 399})},
		{"https /healthz", usual(Spec{Kind: HTTPS, Path: "/healthz", Low: 200, High: 399})},
		{"http 204", usual(Spec{Kind: HTTP, Path: "/", Low: 204, High: 204})},
		{"http /a?b=c 200-299 host web.example.com", usual(Spec{Kind: HTTP, Path: "/a?b=c", Low: 200, High: 299, Host: "web.example.com"})},
		{"tcp rise 5 timeout 300ms interval 1500ms fall 1 port 8443", Spec{
			Kind: TCP, Port: 8443, Interval: 1500 * time.Millisecond, Timeout: 300 * time.Millisecond, Damping: health.Damping{Fall: 1, Rise: 5},
		}},
		{"tcp interval 1s", Spec{Kind: TCP, Interval: time.Second, Timeout: time.Second, Damping: health.Damping{Fall: 3, Rise: 2}}},
	} {
		got, err := Parse(strings.Fields(tt.words))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.words, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"", "says nothing; it is none, tcp, http or https"},
		{"udp", `"udp" is not a kind of probe; it is none, tcp, http or https`},
		{"TCP", `"TCP" is not a kind of probe`},
		{"none fall 3", `"fall" follows none; nothing can`},
		{"tcp /healthz", `"/healthz" can't stand here; after tcp come port,`},
		{"http healthz", `"healthz" can't stand here; after http come a path, statuses, host, port,`},
		{"http 200 /healthz", `"/healthz" can't stand here`},
		{"http /ü", `path "/ü"`},
		{"http /a#b", `path "/a#b": '#' can't stand in it; escape it as %23`},
		{"http 99", `"99" is not a status or a range of them, such as 200-399`},
		{"http 299-200", `"299-200" is not a status`},
		{"http 200-600", `"200-600" is not a status`},
		{"http 200-", `"200-" is not a status`},
		{"tcp host a.example", "host: a tcp probe names none; http and https do"},
		{"http host a..b", `host: "a..b" is not a host name, such as web.example.com`},
		{"http host a:80", `host: "a:80" is not a host name`},
		{"tcp interval", "interval: has no value"},
		{"tcp fall 2 fall 3", "fall: stands twice"},
		{"tcp interval 2", `interval: "2" is not a duration, such as 2s`},
		{"tcp interval 999ms", `interval: "999ms" is out of range: from 1s to 1h`},
		{"tcp timeout 99ms", `timeout: "99ms" is out of range: from 100ms to 1h`},
		{"tcp interval -2s", `interval: "-2s" is out of range`},
		{"tcp interval 2h", `interval: "2h" is out of range`},
		{"tcp timeout 50ms", `timeout: "50ms" is out of range: from 100ms to 1h`},
		{"tcp timeout 3s", "timeout: 3s is longer than the interval, 2s"},
		{"tcp fall 0", `fall: "0" is out of range: from 1 to 100`},
		{"tcp rise 101", `rise: "101" is out of range: from 1 to 100`},
		{"tcp rise two", `rise: "two" is not a number`},
		{"tcp port 65536", `port: "65536" is out of range: from 1 to 65535`},
		{"tcp port 99999999999999999999", `port: "99999999999999999999" is out of range`},
	} {
		if s, err := Parse(strings.Fields(tt.words)); err == nil || !strings.HasPrefix(err.Error(), tt.want) || s != (Spec{}) {
			t.Errorf("%s: %+v, %v; want %q", tt.words, s, err, tt.want)
		}
	}
}

// Names that ask the same of the same address share the target, wherever they have
// the port from.
func TestAt(t *testing.T) {
	own, _ := Parse([]string{"tcp"})
	set, _ := Parse([]string{"tcp", "port", "8080"})
	a := netip.MustParseAddr("127.0.0.1")
	if x, y := own.At(a, 8080), set.At(netip.MustParseAddr("::ffff:127.0.0.1"), 80); x != y {
		t.Errorf("%v and %v are two targets", x, y)
	}
	if x, y := own.At(a, 80), set.At(a, 80); x == y {
		t.Errorf("%v is one target", x)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"none", "tcp", "https /a?b 200-299 host x.example port 1 interval 1m timeout 1.5s fall 9 rise 1",
		"http 204", "tcp interval 1s", "tcp timeout 1h interval 1h", "http / 0x1", "tcp fall",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := Parse(strings.Fields(line))
		if err != nil {
			if s != (Spec{}) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("%q: %+v, %q", line, s, err)
			}
			return
		}
		if again, err := Parse(strings.Fields(s.String())); err != nil || again != s {
			t.Fatalf("%q is %+v; %q is %+v, %v", line, s, s, again, err)
		}
		if s.Kind != None && (s.Interval < minInterval || s.Timeout < minTimeout || s.Timeout > s.Interval || s.Fall < 1 || s.Rise < 1) {
			t.Fatalf("%q is %+v", line, s)
		}
	})
}
