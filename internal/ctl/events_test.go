package ctl

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

var happened = []report.Event{
	{ID: 1, At: 1_769_860_800.5, Kind: report.EventShard, Cluster: "eu", Services: []string{"service/shop/web"}, Count: 1, From: "up", To: "down", Reason: "no ready endpoint", Before: []string{"192.0.2.1", "192.0.2.2"}, After: []string{"192.0.2.2"}},
	{ID: 2, At: 1_769_860_801, Kind: report.EventShard, Cluster: "eu", Services: []string{"service/shop/web", "service/shop/api"}, Count: 40, From: "up", To: "down", Reason: "drained"},
	{ID: 3, At: 1_769_860_802, Kind: report.EventCluster, Cluster: "us", From: "heard", To: "silent", Reason: "connection refused"},
	{ID: 4, At: 1_769_860_803, Kind: report.EventOrder, To: "in force", Reason: `drain cluster/eu reason "x"`},
	{ID: 5, At: 1_769_860_804, Kind: report.EventNotice, To: "guard: nothing is held back any more"},
	{ID: 6, At: 1_769_860_805, Kind: report.EventService, Services: []string{"ingress/shop/web"}, Count: 1, From: "answered", To: "no address"},
}

func TestEvents(t *testing.T) {
	d := newDesk(t)
	d.answers["events"] = report.Events{Newest: 6, Events: happened}
	out, stderr, code := d.run("events", "--since", "1h", "--service", "shop/web", "--of", "eu", "--about", "shard", "--limit", "7")
	want := `2026-01-31 12:00:00.500  shop/web in eu: down, was up (no ready endpoint); answered [192.0.2.2], was [192.0.2.1 192.0.2.2]
2026-01-31 12:00:01.000  40 services (shop/web, ...) in eu: down, was up (drained)
2026-01-31 12:00:02.000  cluster us: silent (connection refused)
2026-01-31 12:00:03.000  order in force: drain cluster/eu reason "x"
2026-01-31 12:00:04.000  guard: nothing is held back any more
2026-01-31 12:00:05.000  ingress/shop/web: no address, was answered
`
	if code != 0 || out != want {
		t.Errorf("exit %d, prints\n%s%s", code, out, stderr)
	}
	if asked := d.asked[len(d.asked)-1]; asked != "events?cluster=eu&kind=shard&limit=7&service=shop%2Fweb&since=1769857200" {
		t.Errorf("asked %s", asked)
	}
	d.answers["events"] = report.Events{}
	if out, _, _ := d.run("events"); !strings.Contains(out, "nothing has changed") {
		t.Errorf("prints %s", out)
	}
}

// Who follows is told each event once, also where the stream is cut off in between.
func TestFollow(t *testing.T) {
	var times atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/events" {
			fmt.Fprint(w, `{"newest":1,"events":[{"id":1,"at":1769860800,"kind":"notice","to":"one"}]}`)
			return
		}
		switch times.Add(1) {
		case 1:
			if r.URL.Query().Get("after") != "1" {
				t.Errorf("asked %s", r.URL)
			}
			fmt.Fprint(w, "retry: 1\n\nevent: moment\ndata: {}\n\nid: 2\nevent: event\ndata: {\"id\":2,\"at\":1769860801,\"kind\":\"notice\",\"to\":\"two\"}\n\n: pulse\n\nid: 3\nevent: event\ndata: {\"id\":3,") // cut off
		case 2:
			if id := r.Header.Get("Last-Event-ID"); id != "3" && id != "2" {
				t.Errorf("goes on behind %q", id)
			}
			fmt.Fprint(w, "event: missed\ndata: {}\n\nid: 4\nevent: event\ndata: {\"id\":4,\"at\":1769860802,\"kind\":\"notice\",\"to\":\"four\"}\n\n")
		default:
			cancel()
		}
	}))
	t.Cleanup(s.Close)
	var out, stderr strings.Builder
	code := Run(ctx, Env{Stdout: &out, Stderr: &stderr, Getenv: func(string) string { return "" }, Version: "test"}, []string{"events", "--follow", "--server", s.URL})
	if want := "12:00:00.000  one\n2026-01-31 12:00:01.000  two\n2026-01-31 12:00:02.000  four\n"; code != 0 || !strings.HasSuffix(out.String(), want) {
		t.Errorf("exit %d, prints\n%s%s", code, &out, &stderr)
	}
	if !strings.Contains(stderr.String(), "some events are gone") {
		t.Errorf("says %s", &stderr)
	}
}

func TestPage(t *testing.T) {
	d := newDesk(t)
	if out, stderr, code := d.run("page", "--print", "--server", "fedns:8053"); code != 0 || out != "http://fedns:8053/\n" {
		t.Errorf("exit %d, prints %s%s", code, out, stderr)
	}

	api := fakeapi.New(t, builtin.Pods, builtin.Namespaces)
	config := filepath.Join(d.dir, "kubeconfig")
	if err := os.WriteFile(config, api.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"page", "--print", "--kubeconfig", config, "--context", "c"}
	if _, stderr, code := d.run(args...); code != 1 || !strings.Contains(stderr, "of 0 pods none is ready") {
		t.Errorf("exit %d, says %s", code, stderr)
	}
	c := api.Client()
	for _, text := range []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"federation-system"}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"fedns-b","namespace":"federation-system","labels":{"app.kubernetes.io/name":"fedns","app.kubernetes.io/component":"dns"}},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"fedns-a","namespace":"federation-system","labels":{"app.kubernetes.io/name":"fedns","app.kubernetes.io/component":"dns"}},"status":{"conditions":[{"type":"Ready","status":"False"}]}}`,
	} {
		o := &kube.Object{}
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		k, _ := builtin.Find("v1", o.GetKind())
		if _, _, err := c.Apply(t.Context(), k, o, kube.How{Manager: "test", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte("#!/bin/sh\necho \"$@\" >"+bin+"/asked\necho 'Forwarding from 127.0.0.1:41234 -> 8053'\necho 'lost connection to pod' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	out, stderr, code := d.run(args...)
	if code != 1 || out != "http://127.0.0.1:41234/\n" || !strings.Contains(stderr, "kubectl forwards no port: lost connection to pod") {
		t.Errorf("exit %d, prints %s%s", code, out, stderr)
	}
	asked, err := os.ReadFile(filepath.Join(bin, "asked"))
	if want := "--kubeconfig " + config + " --context c --namespace federation-system port-forward --address 127.0.0.1 pod/fedns-b :8053\n"; err != nil || string(asked) != want {
		t.Errorf("kubectl was asked %s (%v), want %s", asked, err, want)
	}
}
