package pull

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// typed is what fedctl prints, and how it ends, in a context.
func (w *world) typed(t *testing.T, context string, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{"KUBECONFIG": w.desk, "FEDNS_SERVER": "http://127.0.0.1:1"}
	got := ctl.Run(t.Context(), ctl.Env{Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, append(args, "--context", context))
	if got != code {
		t.Fatalf("fedctl %q: exit %d\n%s%s", args, got, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// TestOperate is what operators do with a cluster that pulls, and a fedns that isn't led to it.
func TestOperate(t *testing.T) {
	t.Parallel() // it waits for most of its time
	b := cluster.New(t)
	all := b.Members(t, "paris", "tokyo")
	paris, tokyo := all[0], all[1]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	fed, second := b.API(t, "federation"), b.API(t, "second")
	w, v := newWorld(t, fed, paris, tokyo), newWorld(t, second, paris, tokyo)
	w.fedctl(t, "init", "prod", "--api", "federation", "--dns-zone-name", "example.com")
	w.fedctl(t, "join", "tokyo", "--pull")
	asFedsync := *fed
	asFedsync.Kubeconfig = account(t, fed, "fedsync")
	w.Fed = &asFedsync
	w.Start(t)
	// It waits for nobody.
	s := server.Start(t, fmt.Sprintf("example.com:PORT {\n bind ADDR\n ready READY\n prometheus METRICS\n federation prod {\n  registry %s\n  ttl 2s 1s\n  status 127.0.0.1:%d\n }\n errors\n}\n", account(t, fed, "fedns"), vector.Port(t)))
	fed.Apply(t, shop)
	a := w.agent(t, "tokyo")
	eventually(t, tokyo, builtin.Deployments, "shop", "web", "status/readyReplicas", "6")
	w.fedctl(t, "join", "paris", "--token-life", "0")
	w.settled(t)
	for name, want := range map[string]float64{"coredns_federation_registry_members": 1, "coredns_federation_isolated": 0} {
		server.Eventually(t, within, fmt.Sprintf("%s is %v", name, want), func() bool { return s.Metric(t, name) == want })
	}
	if got := w.typed(t, "federation", 0, "get", "clusters"); strings.Count(got, "Ready") != 2 {
		t.Errorf("the clusters are\n%s", got)
	}

	t.Run("drained", func(t *testing.T) {
		w.typed(t, "federation", 0, "drain", "cluster/tokyo", "--reason", "racks")
		if got := w.typed(t, "federation", 0, "drain", "cluster/tokyo", "--evacuate", "--reason", "racks"); !strings.Contains(got, "cluster/tokyo is drained: no replicas are left there, 6 are ready elsewhere") {
			t.Errorf("it says %s", got)
		}
		eventually(t, tokyo, builtin.Deployments, "shop", "web", "spec/replicas", "0")
		w.typed(t, "federation", 0, "undrain", "cluster/tokyo")
		if log := s.Log(); strings.Contains(log, "WARN") || strings.Contains(log, "tokyo") {
			t.Errorf("fedns says of it:\n%s", log)
		}
	})
	t.Run("restored", func(t *testing.T) {
		uid := field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/uid")
		version := field(t, tokyo, builtin.ConfigMaps, "shop", "settings", "metadata/resourceVersion")
		n := w.settled(t)
		file := filepath.Join(t.TempDir(), "backup")
		w.typed(t, "federation", 0, "backup", file)
		w.Stop()
		a.kill()
		v.fedctl(t, "init", "prod", "--api", "second", "--dns-zone-name", "example.com")
		v.typed(t, "second", 0, "restore", file)
		asFedsync := *second
		asFedsync.Kubeconfig = account(t, second, "fedsync")
		v.Fed = &asFedsync
		v.Start(t)
		// Nobody has made its part yet: it is told so, and what is in it stays.
		server.Eventually(t, within, "it says what is missing", func() bool {
			return strings.Contains(v.typed(t, "second", 4, "plan"), "fedctl join --pull makes it")
		})
		v.typed(t, "second", 0, "join", "tokyo", "--pull")
		a = v.agent(t, "tokyo")
		server.Eventually(t, within, "tokyo is in reach", func() bool { return condition(t, second, "tokyo", v1alpha1.Ready) == "Ready" })
		eventually(t, second, v1alpha1.Placements, "shop", "deployment.web", "status/state", "Applied")
		v.typed(t, "second", 0, "plan")
		if now := field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/uid"); now != uid {
			t.Errorf("the Deployment is %s, and was %s", now, uid)
		}
		if now := field(t, tokyo, builtin.ConfigMaps, "shop", "settings", "metadata/resourceVersion"); now != version {
			t.Errorf("the settings are version %s, and were %s", now, version)
		}
		if now := field(t, tokyo, builtin.Deployments, "shop", "web", "spec/replicas"); now != fmt.Sprint(n) {
			t.Errorf("tokyo has %s replicas, and had %d", now, n)
		}
		merge(t, second, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"restored"}}`)
		eventually(t, tokyo, builtin.ConfigMaps, "shop", "settings", "data/color", "restored")
	})
	t.Run("dead", func(t *testing.T) {
		a.kill()
		merge(t, second, builtin.ConfigMaps, "shop", "settings", `{"data":{"color":"late"}}`)
		// What it said last isn't taken for what is so.
		if got := v.typed(t, "second", 4, "plan"); !strings.Contains(got, "cluster tokyo: its fedsync has said nothing for") {
			t.Errorf("plan says %s", got)
		}
		server.Eventually(t, within, "it is told", func() bool {
			return strings.Contains(v.typed(t, "second", 1, "check"), "Cluster tokyo isn't ready: its fedsync isn't heard of")
		})
	})
}
