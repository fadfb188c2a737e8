package controller

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// TestAgent is what the fedsync of a cluster that pulls makes of what it is asked for, by one of another version too: what it
// doesn't understand it refuses, and deletes nothing by it. All that it has started is gone when it ends.
func TestAgent(t *testing.T) {
	const federation, namespace = "prod", "federation-cluster-tokyo"
	home := fakeapi.New(t, builtin.Namespaces, v1alpha1.Works, v1alpha1.Agents, builtin.Leases)
	kinds := []kube.Kind{builtin.Nodes, builtin.Pods}
	for _, s := range workload.Kinds() {
		kinds = append(kinds, s.Kind)
	}
	there := fakeapi.New(t, kinds...)
	here, own := home.Client(), there.Client()
	put := func(api *kube.API, k kube.Kind, o *kube.Object) *kube.Object {
		t.Helper()
		got, err := api.Create(t.Context(), k, o, "test")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, name := range []string{"kube-system", v1alpha1.System, "shop"} {
		put(own, builtin.Namespaces, builtin.Namespaces.New("", name))
	}
	for _, name := range []string{"theirs", "other"} {
		put(own, builtin.ConfigMaps, builtin.ConfigMaps.New("shop", name))
	}
	content := strings.Replace(string(home.Kubeconfig()), `"user":"u"}`, `"user":"u","namespace":"`+namespace+`"}`, 1)
	put(own, builtin.Secrets, kube.NewSecret(v1alpha1.System, v1alpha1.PartSecret(federation), map[string][]byte{v1alpha1.KubeconfigKey: []byte(content)}))
	put(here, builtin.Namespaces, builtin.Namespaces.New("", namespace))
	put(here, builtin.Leases, builtin.Leases.New(namespace, v1alpha1.AgentName))
	agent := v1alpha1.Agents.New(namespace, v1alpha1.AgentName)
	agent.Object["spec"] = map[string]any{"cluster": "tokyo", "federation": federation, "colour": "of a later version"}
	put(here, v1alpha1.Agents, agent)

	type fields = map[string]any
	asked := map[string]struct {
		spec   fields
		kind   string
		error  string // part of it; "": it is done
		unsaid bool   // nothing is said of it
	}{
		"mine":    {spec: fields{"verb": "create", "manifest": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"mine","namespace":"shop"}}`, "colour": "of a later version"}},
		"theirs":  {spec: fields{"verb": "purge"}, error: `there is no step "purge" in this version of fedsync`},
		"other":   {spec: fields{"verb": "delete"}, error: `a step "delete" has to say which object it means`},
		"strange": {spec: fields{"verb": "update", "manifest": `[1]`}, error: `a step "update" has to have a manifest`},
		"gadget":  {spec: fields{"verb": "create"}, kind: "Gadget", unsaid: true},
	}
	names := map[string]string{}
	for name, a := range asked {
		o := v1alpha1.WorkObject{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name}
		if a.kind != "" {
			o.Kind = a.kind
		}
		w := v1alpha1.Works.New(namespace, v1alpha1.WorkName(o))
		a.spec["object"], a.spec["sequence"] = fields{"apiVersion": o.APIVersion, "kind": o.Kind, "namespace": o.Namespace, "name": name}, int64(1)
		w.Object["spec"] = a.spec
		put(here, v1alpha1.Works, w)
		names[name] = w.GetName()
	}
	ctx, end := context.WithCancel(t.Context())
	p := &puller{Config: Config{Federation: federation, Log: slog.New(slog.DiscardHandler)}, own: own, holder: "test"}
	over := make(chan error, 1)
	go func() { over <- p.once(ctx) }()
	status := func(name string) v1alpha1.WorkStatus {
		w, err := kube.As[v1alpha1.Work](home.Get(v1alpha1.Works, namespace, names[name]))
		if err != nil {
			t.Fatal(err)
		}
		return w.Status
	}
	for name, a := range asked {
		if a.unsaid {
			continue
		}
		for began := time.Now(); status(name).Sequence == 0; time.Sleep(10 * time.Millisecond) {
			select {
			case err := <-over:
				t.Fatal("it has ended: ", err)
			default:
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: nothing is said of it", name)
			}
		}
		switch s := status(name); {
		case a.error == "" && (s.Error != "" || s.Observed == ""):
			t.Errorf("%s: %+v", name, s)
		case a.error != "" && (s.Reason != v1alpha1.WorkRefused || !strings.Contains(s.Error, a.error)):
			t.Errorf("%s: %+v", name, s)
		}
	}
	for _, name := range []string{"mine", "theirs", "other"} {
		if there.Get(builtin.ConfigMaps, "shop", name) == nil {
			t.Errorf("%s isn't there", name)
		}
	}
	if s := status("gadget"); s != (v1alpha1.WorkStatus{}) {
		t.Errorf("of a kind that it doesn't know it says %+v", s)
	}
	end()
	if err := <-over; err != nil {
		t.Errorf("it ended: %v", err)
	}
}
