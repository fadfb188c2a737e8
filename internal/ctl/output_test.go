package ctl

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/report"
)

// asked has a desk's server know two clusters and two services.
func asked(t *testing.T) *desk {
	d := newDesk(t)
	age := 0.25
	place := []report.Place{{Region: "eu", Zone: "eu-a"}}
	d.answers["clusters"] = report.Clusters{Isolated: []string{}, Clusters: []report.Cluster{
		{Federation: "fed", Cluster: "eu", Source: "kubeconfig", Listed: true, ViewAgeSeconds: &age, Places: place, Answers: 2, TTL: 180, Shards: []report.Tally{{Verdict: "up", Reason: "ready", Count: 3}}},
		{Federation: "fed", Cluster: "us", Source: "registry", Listed: true, ViewAgeSeconds: &age, Order: `drain cluster/us reason "x"`},
	}}
	d.answers["services"] = report.Services{Serial: 7, Total: 2, Services: []report.Service{
		{Federation: "fed", Kind: "svc", Namespace: "shop", Name: "web", Shards: []report.ServiceShard{
			{Cluster: "eu", Verdict: "up", Reason: "ready", SinceSeconds: 60, Endpoints: 2, Places: place, Addresses: []string{"192.0.2.1", "192.0.2.2"}},
			{Cluster: "us", Verdict: "down", Reason: "no ready endpoint", SinceSeconds: 60},
		}},
		{Federation: "fed", Kind: "ing", Namespace: "shop", Name: "site", Down: "no cluster has it", Shards: []report.ServiceShard{}},
	}}
	return d
}

// Each form of what is asked; -o is what --json was.
func TestOutput(t *testing.T) {
	d := asked(t)
	for _, tt := range []struct{ args, want string }{
		{"clusters", "FEDERATION  CLUSTER  SOURCE      STATE   HEARD     PLACES   SHARDS\nfed         eu       kubeconfig  listed  0.2s ago  eu-a.eu  3 up (ready)\nfed         us       registry    listed  0.2s ago\n"},
		{"clusters -o table", "FEDERATION  CLUSTER  SOURCE      STATE   HEARD     PLACES   SHARDS\nfed         eu       kubeconfig  listed  0.2s ago  eu-a.eu  3 up (ready)\nfed         us       registry    listed  0.2s ago\n"},
		{"clusters -o wide", "FEDERATION  CLUSTER  SOURCE      STATE   HEARD     PLACES   SHARDS        ANSWERS  TTL  ORDER\nfed         eu       kubeconfig  listed  0.2s ago  eu-a.eu  3 up (ready)  2        180\nfed         us       registry    listed  0.2s ago                         0        0    drain cluster/us reason \"x\"\n"},
		{"clusters -o name", "cluster/eu\ncluster/us\n"},
		{"clusters -ojsonpath={.clusters[*].cluster}", "eu us"},
		{"clusters --output=go-template={{range.clusters}}{{.source}},{{end}}", "kubeconfig,registry,"},
		{"services -owide", "FEDERATION  SERVICE        UP   CLUSTER  VERDICT  FOR  REASON             ENDPOINTS  PLACES   ADDRESSES\n" +
			"fed         shop/web       1/2  eu       up       1m   ready              2          eu-a.eu  192.0.2.1 192.0.2.2\n" +
			"                                us       down     1m   no ready endpoint  0\n" +
			"fed         ing/shop/site  0/0  -        -        -    no cluster has it  -\n"},
		{"services -o=name", "service/shop/web\ningress/shop/site\n"},
		{"regions -o jsonpath={.items[0].Name}", "af-south-1"},
		{"version -o name", "fedctl/test\n"},
	} {
		out, stderr, code := d.run(strings.Fields(tt.args)...)
		if out != tt.want || stderr != "" || code != 0 {
			t.Errorf("%s: exit %d\n%s%swant\n%s", tt.args, code, stderr, out, tt.want)
		}
	}
	for _, command := range []string{"clusters", "services", "regions", "version", "overrides"} {
		data, _, _ := d.run(command, "-o", "json")
		var v any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Errorf("%s -o json: %v in %s", command, err, data)
		}
		old, stderr, code := d.run(command, "--json")
		if old != data || stderr != "fedctl: hint: --json is -o json now\n" || code != 0 {
			t.Errorf("%s --json: exit %d, %s%s", command, code, stderr, old)
		}
		if once, stderr, _ := d.run(command, "-json"); once != data || stderr != "fedctl: hint: --json is -o json now\n" {
			t.Errorf("%s -json: %s%s", command, stderr, once)
		}
		text, _, _ := d.run(command, "-o", "yaml")
		if again, err := yaml.YAMLToJSON([]byte(text)); err != nil || canonical(t, again) != canonical(t, []byte(data)) {
			t.Errorf("%s -o yaml: %v\n%s", command, err, text)
		}
	}
}

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What programs read is there when there is nothing, too.
func TestEmpty(t *testing.T) {
	d := newDesk(t)
	d.answers["clusters"] = report.Clusters{Isolated: []string{}, Clusters: []report.Cluster{}}
	d.answers["services"] = report.Services{}
	d.write("")
	for args, want := range map[string]string{
		"clusters -o json":              "{\n  \"isolated\": [],\n  \"clusters\": []\n}\n",
		"clusters -o name":              "",
		"services -o jsonpath={.total}": "0",
		"services -o yaml":              "serial: 0\nservices: []\ntotal: 0\n",
		"overrides -o json":             "[]\n",
		"overrides -o yaml":             "[]\n",
		"overrides -o name":             "",
		"overrides --prune -o json":     "[]\n",
	} {
		if out, stderr, code := d.run(strings.Fields(args)...); out != want || stderr != "" || code != 0 {
			t.Errorf("%s: exit %d, %s%swant %s", args, code, stderr, out, want)
		}
	}
}

// What a dry run would make is printed as objects.
func TestObjects(t *testing.T) {
	d := newDesk(t)
	args := "init fed --api x --dns-zone-name example.com --dry-run"
	out, stderr, code := d.run(strings.Fields(args + " -o name")...)
	if code != 0 || stderr != "" || !strings.HasPrefix(out, "namespace/federation-system\n") || !strings.Contains(out, "customresourcedefinition.apiextensions.k8s.io/clusters.fedns.io\n") {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	var list struct {
		Kind  string
		Items []map[string]any
	}
	out, _, _ = d.run(strings.Fields(args + " -o json")...)
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.Kind != "List" || len(list.Items) < 5 {
		t.Errorf("%v, %d objects in %s", err, len(list.Items), out)
	}
	if out, stderr, code := d.run(strings.Fields(args + " -o jsonpath={.items[0].kind}")...); out != "Namespace" || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	if _, stderr, code := d.run("deinit", "fed", "--yes", "-o", "json"); code != 2 || !strings.Contains(stderr, "-o goes with --dry-run") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// An order, and what is taken back, as data.
func TestOrderOutput(t *testing.T) {
	d := newDesk(t)
	d.write("")
	if out, stderr, code := d.run("drain", "cluster/eu", "--reason", "x", "-o", "name"); out != "cluster/eu\n" || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	if out, stderr, code := d.run("overrides", "-o", "name"); out != "cluster/eu\n" || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	if out, stderr, code := d.run("overrides", "-o", "wide"); code != 0 || !strings.HasPrefix(out, "SUBJECT     ORDER  UNTIL       IN FORCE  SERVERS  FROM ") || !strings.Contains(out, "  x       ") {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	if out, stderr, code := d.run("undrain", "cluster/eu", "--to", "file", "-o", "jsonpath={.items[0].subject}"); out != "cluster/eu" || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
}
