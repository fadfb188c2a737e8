package registry

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// was is the kind Cluster as it was before anything was checked, from the same text.
func was(text string) string {
	var kept []string
	skip := -1
	for _, line := range strings.Split(text, "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " -"))
		if skip >= 0 && (indent > skip || strings.HasPrefix(strings.TrimLeft(line, " "), "- rule")) {
			continue
		}
		skip = -1
		if strings.Contains(line, "x-kubernetes-validations:") {
			skip = indent
			continue
		}
		if word := strings.TrimSpace(line); strings.HasPrefix(word, "maxItems:") || strings.HasPrefix(word, "maxLength:") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

// The API refuses what can't be gone by, and says which field; what was there before it
// was checked stays, and its status can be written.
func TestDefinitions(t *testing.T) {
	c := cluster.New(t).API(t, "federation")
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	served := func(k kube.Kind) {
		t.Helper()
		server.Eventually(t, 20*time.Second, k.Resource+" are served", func() bool {
			_, err := api.List(t.Context(), k, "", "")
			return err == nil
		})
	}
	apply := func(k kube.Kind, name, spec, sub string) error {
		o := k.New("", name)
		var fields map[string]any
		if err := json.Unmarshal([]byte(spec), &fields); err != nil {
			t.Fatal(spec, err)
		}
		part := "spec"
		if sub != "" {
			part = sub
		}
		o.Object[part] = fields
		_, _, err := api.Apply(t.Context(), k, o, kube.How{Manager: "test", Force: true, Subresource: sub})
		return err
	}
	c.Apply(t, was(deploy.Clusters))
	served(v1alpha1.Clusters)
	const broken = `{"region":"a.b","zones":["z","z"],"location":"91 0","addresses":["x"],"drain":{"until":"2030-01-01T00:00:00Z","evacuateAfter":"2031-01-01T00:00:00Z"}}`
	if err := apply(v1alpha1.Clusters, "broken", broken, ""); err != nil {
		t.Fatalf("before: %v", err)
	}
	c.Apply(t, deploy.Clusters)
	c.Apply(t, deploy.Orders)
	served(v1alpha1.Orders)
	server.Eventually(t, 20*time.Second, "what is wrong is refused", func() bool { return apply(v1alpha1.Clusters, "probe", `{"region":"a.b"}`, "") != nil })

	for _, tt := range []struct {
		kind kube.Kind
		spec string
		want string // "": it is taken
	}{
		{v1alpha1.Clusters, `{}`, ""},
		{v1alpha1.Clusters, `{"region":"US-East1","zones":["a","B-1"],"location":"","addresses":[]}`, ""},
		{v1alpha1.Clusters, `{"region":""}`, ""},
		{v1alpha1.Clusters, `{"region":"us.east"}`, "spec.region"},
		{v1alpha1.Clusters, `{"region":"svc"}`, "spec.region"},
		{v1alpha1.Clusters, `{"region":"-a"}`, "spec.region"},
		{v1alpha1.Clusters, `{"zones":["a","a_b"]}`, "spec.zones[1]"},
		{v1alpha1.Clusters, `{"zones":["a","b","A"]}`, "spec.zones"},
		{v1alpha1.Clusters, `{"location":"60.17 24.94"}`, ""},
		{v1alpha1.Clusters, `{"location":"-60.17, -170"}`, ""},
		{v1alpha1.Clusters, `{"location":" 60   +24.94 "}`, ""},
		{v1alpha1.Clusters, `{"location":"60,24"}`, ""},
		{v1alpha1.Clusters, `{"location":"6e1 2.4e1"}`, ""},
		{v1alpha1.Clusters, `{"location":"91 24"}`, "latitude"},
		{v1alpha1.Clusters, `{"location":"-91,0"}`, "latitude"},
		{v1alpha1.Clusters, `{"location":"60 181"}`, "longitude"},
		{v1alpha1.Clusters, `{"location":"60"}`, "spec.location"},
		{v1alpha1.Clusters, `{"location":"60 24 1"}`, "spec.location"},
		{v1alpha1.Clusters, `{"location":"Paris"}`, "spec.location"},
		{v1alpha1.Clusters, `{"addresses":["203.0.113.7","203.0.113.0/24","2001:db8::/32","2001:db8::1"]}`, ""},
		{v1alpha1.Clusters, `{"addresses":["203.0.113.0/33"]}`, "spec.addresses[0]"},
		{v1alpha1.Clusters, `{"addresses":["203.0.113"]}`, "spec.addresses[0]"},
		{v1alpha1.Clusters, `{"addresses":["203.0.113.7","203.0.113.7"]}`, "twice"},
		{v1alpha1.Clusters, `{"exports":["shop","shop/*","kube-*/dns.v1"],"hosts":["shop.example.com",".Example.com","*.eu.example.com"]}`, ""},
		{v1alpha1.Clusters, `{"exports":["shop/web/x"]}`, "spec.exports[0]"},
		{v1alpha1.Clusters, `{"exports":["a","Shop"]}`, "spec.exports[1]"},
		{v1alpha1.Clusters, `{"hosts":["*"],"places":["eu-west1","us/us-*","*/a"]}`, ""},
		{v1alpha1.Clusters, `{"hosts":["**"]}`, "spec.hosts[0]"},
		{v1alpha1.Clusters, `{"places":["eu/a/b"]}`, "spec.places[0]"},
		{v1alpha1.Clusters, `{"places":["EU"]}`, "spec.places[0]"},
		{v1alpha1.Clusters, `{"hosts":["a.*.example.com"]}`, "spec.hosts[0]"},
		{v1alpha1.Clusters, `{"taints":[{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoExecute"}]}`, ""},
		{v1alpha1.Clusters, `{"taints":[{"key":"a","effect":"NoSchedule"},{"key":"a","value":"b","effect":"NoSchedule"}]}`, "spec.taints"},
		{v1alpha1.Clusters, `{"drain":{"until":"2030-01-01T00:00:00Z","evacuateAfter":"2029-01-01T00:00:00Z"}}`, ""},
		{v1alpha1.Clusters, `{"drain":{"until":"2030-01-01T00:00:00Z","evacuateAfter":"2030-01-01T00:00:00Z"}}`, "spec.drain.until"},
		{v1alpha1.Clusters, `{"drain":{"evacuateAfter":"2030-01-01T00:00:00Z"}}`, ""},
		{v1alpha1.Orders, `{"action":"Drain","subject":"cluster/paris","reason":"x"}`, ""},
		{v1alpha1.Orders, `{"action":"Up","subject":"service/shop/web","reason":"x","until":"2030-01-01T00:00:00Z"}`, ""},
		{v1alpha1.Orders, `{"action":"Failback","subject":"region/eu","reason":"x"}`, ""},
		{v1alpha1.Orders, `{"action":"Failback","subject":"zone/eu","reason":"x"}`, "gone back to"},
		{v1alpha1.Orders, `{"action":"drain","subject":"zone/eu","reason":"x"}`, "spec.action"},
		{v1alpha1.Orders, `{"action":"Drain","subject":"service/web","reason":"x"}`, "spec.subject"},
		{v1alpha1.Orders, `{"action":"Drain","subject":"planet/earth","reason":"x"}`, "spec.subject"},
		{v1alpha1.Orders, `{"action":"Drain","subject":"zone/eu","reason":""}`, "spec.reason"},
		{v1alpha1.Orders, `{"action":"Drain","subject":"zone/eu"}`, "reason"},
		{v1alpha1.Orders, `{"action":"Drain","subject":"zone/eu","reason":"x","until":"tomorrow"}`, "spec.until"},
	} {
		err := apply(tt.kind, "one", tt.spec, "")
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s %s: %v", tt.kind.Name, tt.spec, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s %s: %v, want %q", tt.kind.Name, tt.spec, err, tt.want)
		}
	}

	// What was wrong before it was checked.
	if err := apply(v1alpha1.Clusters, "broken", `{"shards":"1/2","conditions":[{"type":"Ready","status":"True","reason":"Ready,Drained"}],"servers":{"a":{"state":"InForce","generation":1}}}`, "status"); err != nil {
		t.Errorf("its status: %v", err)
	}
	if _, err := api.Merge(t.Context(), v1alpha1.Clusters, "", "broken", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, "test", ""); err != nil {
		t.Errorf("its labels: %v", err)
	}
	if _, err := api.Merge(t.Context(), v1alpha1.Clusters, "", "broken", map[string]any{"spec": map[string]any{"region": "c.d"}}, "test", ""); err == nil {
		t.Error("its region can be made wrong otherwise")
	}
	table, err := api.Table(t.Context(), v1alpha1.Clusters, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ToUpper(strings.Join(table.Columns, " ")); got != "NAME STATUS DRAIN REGION SHARDS HEARD AGE" || !strings.Contains(fmt.Sprint(table.Rows), "broken Ready,Drained   1/2") {
		t.Errorf("%s\n%v", got, table.Rows)
	}

	// As kubectl has them: short names, a category for both, and every field explained.
	// An API says what its kinds are a moment after it serves them.
	kubectl := func(args ...string) string {
		t.Helper()
		var out []byte
		server.Eventually(t, 60*time.Second, fmt.Sprintf("kubectl %q", args), func() bool {
			cmd := exec.Command(filepath.Join(vector.Root(), "bin", "kube", "kubectl"), args...)
			cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + t.TempDir()}
			var err error
			out, err = cmd.CombinedOutput()
			return err == nil
		})
		return string(out)
	}
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"get fedc", []string{"NAME STATUS DRAIN REGION SHARDS HEARD AGE", "broken Ready,Drained"}},
		{"get fedo", []string{"NAME ACTION SUBJECT UNTIL IN FORCE REASON AGE", "one Failback region/eu"}},
		{"get fedns", []string{"cluster.fedns.io/broken Ready,Drained", "order.fedns.io/one Failback region/eu"}},
		{"get clusters -o wide", []string{"AGE REPLICAS READY VERSION ZONES VALID HEARTBEAT"}},
		{"explain clusters.spec.drain.evacuateAfter", []string{"From when its replicas go to the other clusters"}},
		{"explain fedc.status.servers", []string{"What each fedns has made of the drain", "ttlSeconds <integer> How long answers"}},
		{"explain orders.spec", []string{"subject <string> -required- cluster/NAME, region/NAME", "dryRun <boolean> It is never in force"}},
	} {
		out := strings.Join(strings.Fields(kubectl(strings.Fields(tt.args)...)), " ")
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("kubectl %s lacks %q: %s", tt.args, want, out)
			}
		}
	}

	// Every field is documented, and so says kubectl explain.
	for _, text := range deploy.Definitions {
		all, err := kube.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		v := all[0].Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
		documented(t, all[0].GetName(), v["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any))
	}
}

func documented(t *testing.T, at string, s map[string]any) {
	t.Helper()
	for name, p := range object(s["properties"]) {
		f := object(p)
		if d, _ := f["description"].(string); d == "" && name != "metadata" { // which is every object's
			t.Errorf("%s.%s has no description", at, name)
		}
		documented(t, at+"."+name, f)
		documented(t, at+"."+name+"[]", object(f["items"]))
		documented(t, at+"."+name+"{}", object(f["additionalProperties"]))
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
