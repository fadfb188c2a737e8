package registry

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

//go:embed testdata/clusters-first.yaml
var first string

// The kinds of today take the place of the first ones over objects that are there: what
// stands in these stays, is read and written as before by programs of then and of now,
// and what is wrong can be mended a field at a time.
func TestUpgrade(t *testing.T) {
	c := cluster.New(t).API(t, "federation")
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	c.Apply(t, first)
	server.Eventually(t, 20*time.Second, "Cluster objects are served", func() bool {
		_, err := api.List(t.Context(), v1alpha1.Clusters, "", "")
		return err == nil
	})
	fields := func(text string) (out map[string]any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(text, err)
		}
		return out
	}
	merge := func(name, patch, sub string) error {
		t.Helper()
		_, err := api.Merge(t.Context(), v1alpha1.Clusters, "", name, fields(patch), "test", sub)
		return err
	}
	// As a fedsync of then writes it: all of it.
	const status = `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Ready","message":"/readyz says ok","lastTransitionTime":"2026-01-31T15:00:00Z"},{"type":"Offline","status":"False","reason":"Reachable","message":"its API answers","lastTransitionTime":"2026-01-31T15:00:00Z"}],"kubernetesVersion":"v1.30.0","region":"%s","zones":["eu-a"],"lastHeartbeatTime":"2026-01-31T15:00:00Z"}}`
	specs := map[string]string{
		"sound": `{"secretRef":{"name":"sound"},"region":"eu","zones":["eu-a","EU-B"],"location":"48.8, 2.3","addresses":["192.0.2.0/24"],"taints":[{"key":"a","effect":"NoSchedule"}],"drain":{"until":"2040-01-01T00:00:00Z","reason":"x","evacuateAfter":"2030-01-01T00:00:00Z"}}`,
		"bare":  `{}`,
		"wrong": `{"secretRef":{"name":"wrong"},"region":"a.b","zones":["z","z","x y"],"location":"91 0","addresses":["nowhere"],"taints":[{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule"}],"drain":{"until":"2030-01-01T00:00:00Z","evacuateAfter":"2031-01-01T00:00:00Z"}}`,
	}
	spec := func(name string) string {
		t.Helper()
		o, err := api.Get(t.Context(), v1alpha1.Clusters, "", name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(o.Object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := map[string]string{}
	for name, text := range specs {
		o := v1alpha1.Clusters.New("", name)
		o.Object["spec"] = fields(text)
		if _, err := api.Create(t.Context(), v1alpha1.Clusters, o, "test"); err != nil {
			t.Fatal(err)
		}
		if err := merge(name, fmt.Sprintf(status, "eu"), "status"); err != nil {
			t.Fatal(err)
		}
		before[name] = spec(name)
	}

	c.Apply(t, deploy.Clusters)
	c.Apply(t, deploy.Orders)
	server.Eventually(t, 20*time.Second, "what is wrong is refused", func() bool {
		o := v1alpha1.Clusters.New("", "probe")
		o.Object["spec"] = map[string]any{"region": "a.b"}
		_, err := api.Create(t.Context(), v1alpha1.Clusters, o, "test")
		return err != nil
	})
	for name := range specs {
		if got := spec(name); got != before[name] {
			t.Errorf("%s was %s and is %s", name, before[name], got)
		}
		// A fedsync of then, a fedns and a fedsync of now, each by its own way.
		if err := merge(name, fmt.Sprintf(status, "us"), "status"); err != nil {
			t.Errorf("%s: its status, as before: %v", name, err)
		}
		o := v1alpha1.Clusters.New("", name)
		o.Object["status"] = fields(`{"conditions":[{"type":"Valid","status":"True","reason":"Valid","message":"","lastTransitionTime":"2026-01-31T15:00:00Z"}],"shards":"1/2","servers":{"a":{"state":"InForce","generation":1}}}`)
		if _, _, err := api.Apply(t.Context(), v1alpha1.Clusters, o, kube.How{Manager: "fedns", Force: true, Subresource: "status"}); err != nil {
			t.Errorf("%s: its status, as now: %v", name, err)
		}
		got, err := api.Get(t.Context(), v1alpha1.Clusters, "", name)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(got.Object["status"]); strings.Count(string(text), `"type"`) != 3 || !strings.Contains(string(text), "v1.30.0") {
			t.Errorf("%s: its status is %s", name, text)
		}
		// What fedctl, fedsync and operators write beside the spec.
		for _, patch := range []string{`{"metadata":{"finalizers":["fedns.io/fedsync"]}}`, `{"metadata":{"labels":{"a":"b"},"annotations":{"fedns.io/returning":"true"}}}`, `{"metadata":{"finalizers":null}}`} {
			if err := merge(name, patch, ""); err != nil {
				t.Errorf("%s: %s: %v", name, patch, err)
			}
		}
	}
	// A drain can be given and taken back where other fields are wrong.
	for _, patch := range []string{`{"spec":{"drain":null}}`, `{"spec":{"drain":{"reason":"x"}}}`, `{"spec":{"drain":{"evacuateAfter":"2031-01-01T00:00:00Z"}}}`, `{"spec":{"drain":null}}`} {
		for name := range specs {
			if err := merge(name, patch, ""); err != nil {
				t.Errorf("%s: %s: %v", name, patch, err)
			}
		}
	}
	// Each field can be mended while the others are wrong, and not be made wrong again.
	for _, tt := range []struct{ good, bad string }{
		{`{"spec":{"region":"eu"}}`, `{"spec":{"region":"a.b"}}`},
		{`{"spec":{"zones":["z"]}}`, `{"spec":{"zones":["z","z"]}}`},
		{`{"spec":{"location":"48.8 2.3"}}`, `{"spec":{"location":"91 0"}}`},
		{`{"spec":{"addresses":["192.0.2.1"]}}`, `{"spec":{"addresses":["nowhere"]}}`},
		{`{"spec":{"taints":[]}}`, `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule"}]}}`},
	} {
		if err := merge("wrong", tt.good, ""); err != nil {
			t.Errorf("%s: %v", tt.good, err)
		}
		if err := merge("wrong", tt.bad, ""); err == nil {
			t.Errorf("%s is taken", tt.bad)
		}
	}
}

// A fedsync of then writes its conditions as if there were no others, at once: fedns
// doesn't write against it, nor the same events again.
func TestOlderFedsync(t *testing.T) {
	w := newWorld(t)
	w.whole(t)
	ctx, cancel := context.WithCancel(t.Context())
	undone := make(chan int)
	go func() {
		n := 0
		defer func() { undone <- n }()
		for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) { // between two looks
			o, err := w.admin.Get(ctx, v1alpha1.Clusters, "", "paris")
			if err != nil {
				continue
			}
			if text, err := json.Marshal(o.Object["status"]); err != nil || !strings.Contains(string(text), `"Valid"`) {
				continue
			}
			var own map[string]any
			if err := json.Unmarshal([]byte(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Ready"}]}}`), &own); err != nil {
				t.Error(err)
			}
			if _, err := w.admin.Merge(ctx, v1alpha1.Clusters, "", "paris", own, "fedsync", "status"); err == nil {
				n++
			}
		}
	}()
	s := start(t, w.calm(""))
	s.becomes("web", everywhere)
	server.Eventually(t, while, "it is said that somebody else takes conditions away", func() bool {
		return strings.Contains(s.Log(), "Cluster paris: somebody else takes conditions away")
	})
	time.Sleep(4 * time.Second) // that nothing more is written, only time can show
	cancel()
	if n := <-undone; n > 2 {
		t.Errorf("conditions were written %d times", n)
	}
	if got := strings.Join(w.events(t, "paris"), " "); got != "Joined" {
		t.Errorf("the events are %s", got)
	}
	if n := strings.Count(s.Log(), "somebody else takes conditions away"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}
