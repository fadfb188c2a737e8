package commands

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/ctl/check"
)

// check says whether all is well, what isn't, and what to do; a drain without
// an end, a server that isn't there.
func TestCheck(t *testing.T) {
	p := start(t)
	look := func(code int, args ...string) string {
		t.Helper()
		out, errs, got := p.fedctl(append([]string{"check", "--servers", p.Addr, "--parent", p.Addr}, args...)...)
		if got != code || errs != "" {
			t.Errorf("check %q: exit %d, want %d\n%s%s", args, got, code, out, errs)
		}
		return out
	}
	out := look(0)
	for _, want := range []string{"delegation\n", "ok       " + p.Addr + " answers for example.com by UDP, TCP, EDNS, serial ", "ok       2 of 2 clusters are listed and fresh", "0 errors\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if _, errs, code := p.fedctl("drain", "cluster/eu", "--reason", "test", "--force"); code != 0 {
		t.Fatal(errs)
	}
	if out := look(0); !strings.Contains(out, "warning  drain cluster/eu (test) has no end\n           fix: ") {
		t.Errorf("of a drain without an end:\n%s", out)
	}
	p.top(t)
	p.Stop()
	if out := look(1, "--timeout", "1s", "--wait"); !strings.Contains(out, "error    "+p.Addr+" doesn't answer for example.com by TCP: connection refused") &&
		!strings.Contains(out, "there is nothing to look at") {
		t.Errorf("of a server that isn't there:\n%s", out)
	}
	out, _, code := p.fedctl("check", "--domain", "example.com", "--servers", p.Addr, "--parent", p.Addr, "-o", "json")
	var said struct {
		Level    check.Level
		Findings []check.Finding
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != 1 || said.Level != check.Error || len(said.Findings) < 4 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	for _, f := range said.Findings {
		if f.Level != check.OK && f.Fix == "" {
			t.Errorf("%s: it isn't said what to do", f.Text)
		}
	}
	for args, want := range map[string]string{
		"--pre":                     "--pre needs --cluster-context",
		"--cluster-context x":       "--cluster-context is for --pre",
		"--servers ns1.example.com": `"ns1.example.com" isn't an address`,
		"--resolver nobody":         `"nobody" isn't an address`,
	} {
		if _, errs, code := p.fedctl(append([]string{"check", "--domain", "example.com"}, strings.Fields(args)...)...); code != 2 && code != 1 || !strings.Contains(errs, want) {
			t.Errorf("check %s: exit %d, %s, want %q", args, code, errs, want)
		}
	}
}

// top has fedctl watch a server that is asked all the while.
func (p *place) top(t *testing.T) {
	t.Helper()
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _, _ = new(dns.Client).Exchange(new(dns.Msg).SetQuestion(onlyUs+".", dns.TypeA), p.Addr) // what is answered is counted there
			}
		}
	})
	type answers struct{ Federation, Kind, Namespace, Name, Scope, Outcome string }
	for _, tt := range []struct {
		args []string
		want answers
	}{
		{[]string{"--metrics", p.MetricsAddr()}, answers{Scope: "global", Outcome: "success"}},
		{nil, answers{"fed", "svc", "shop", "only", "global", "success"}},
	} {
		out, errs, code := p.fedctl(append([]string{"top", "--once", "--interval", "500ms", "-o", "json"}, tt.args...)...)
		var said struct {
			PerSecond float64 `json:"per_second"`
			Answers   []answers
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil || code != 0 || said.PerSecond <= 0 || len(said.Answers) != 1 || said.Answers[0] != tt.want {
			t.Errorf("top %s: exit %d, %v\n%s%s", tt.args, code, err, out, errs)
		}
	}
	close(stop)
	asking.Wait()
}
