package hosted

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// What can stay stays; what ends soon, has other names or another issuer is made
// anew, and nothing beside it.
func TestComplete(t *testing.T) {
	p := Plan{Federation: "fed", ServiceType: LoadBalancer}
	first := &keys{}
	if err := first.complete(p.Federation, p.names(""), p.etcdNames(), noon); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		change  func(*keys)
		address string
		now     time.Time
		anew    string // c: authority, e: etcd's, s: server, d: etcd, l: its client, a: admin
	}{
		{"nothing", func(*keys) {}, "", noon, ""},
		{"a name it has", func(*keys) {}, "fed-apiserver.federation-system.svc", noon.AddDate(0, 1, 0), ""},
		{"an address", func(*keys) {}, "192.0.2.1", noon, "s"},
		{"an IPv6 address", func(*keys) {}, "2001:db8::1", noon, "s"},
		{"a year later", func(*keys) {}, "", noon.AddDate(0, 11, 0), "a"},
		{"ten years later", func(*keys) {}, "", noon.AddDate(9, 11, 0), "cesdla"},
		{"a lost key", func(k *keys) { k.admin.key = nil }, "", noon, "a"},
		{"another's key", func(k *keys) { k.admin.key = k.server.key }, "", noon, "a"},
		{"a lost authority", func(k *keys) { k.etcdCA = pair{} }, "", noon, "edl"},
		{"a leaf in its place", func(k *keys) { k.ca = k.server }, "", noon, "csa"},
	} {
		k := *first
		tt.change(&k)
		before := k
		if err := k.complete(p.Federation, p.names(tt.address), p.etcdNames(), tt.now); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		anew := ""
		for _, c := range []struct {
			letter   string
			was, now pair
		}{{"c", before.ca, k.ca}, {"e", before.etcdCA, k.etcdCA}, {"s", before.server, k.server}, {"d", before.etcd, k.etcd}, {"l", before.etcdClient, k.etcdClient}, {"a", before.admin, k.admin}} {
			if !bytes.Equal(c.was.cert, c.now.cert) || !bytes.Equal(c.was.key, c.now.key) {
				anew += c.letter
			}
		}
		if anew != tt.anew {
			t.Errorf("%s: made anew %q, want %q", tt.name, anew, tt.anew)
		}
		if !bytes.Equal(before.accounts, k.accounts) || !bytes.Equal(before.encryption.text(), k.encryption.text()) {
			t.Errorf("%s: keys without an end are made anew", tt.name)
		}
		verify(t, tt.name, &k, tt.address, tt.now)
	}
}

// verify is what the programs do with them.
func verify(t *testing.T, name string, k *keys, address string, now time.Time) {
	t.Helper()
	for _, c := range []struct {
		leaf, by pair
		host     string
		use      x509.ExtKeyUsage
	}{
		{k.server, k.ca, address, x509.ExtKeyUsageServerAuth},
		{k.etcd, k.etcdCA, "fed-etcd.federation-system.svc", x509.ExtKeyUsageServerAuth},
		{k.etcd, k.etcdCA, "", x509.ExtKeyUsageClientAuth},
		{k.etcdClient, k.etcdCA, "", x509.ExtKeyUsageClientAuth},
		{k.admin, k.ca, "", x509.ExtKeyUsageClientAuth},
	} {
		leaf, _, err := c.leaf.parse()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(c.by.cert)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: c.host, KeyUsages: []x509.ExtKeyUsage{c.use}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		foreign := x509.NewCertPool()
		foreign.AppendCertsFromPEM(k.ca.cert)
		if bytes.Equal(c.by.cert, k.etcdCA.cert) {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: foreign, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{c.use}}); err == nil {
				t.Errorf("%s: what opens etcd opens the API", name)
			}
		}
	}
}

// A volume is there or isn't; odd values stay values.
func TestRender(t *testing.T) {
	for _, p := range []Plan{
		{Federation: "fed", ServiceType: LoadBalancer, APIImage: APIServerImage, EtcdImage: EtcdImage, Storage: "10Gi"},
		{Federation: "fed", ServiceType: NodePort, NodePort: 30443, Advertise: "[2001:db8::1]:30443", APIImage: `x" y: {z`, EtcdImage: "a#b", Storage: "1Gi", StorageClass: "fast: yes"},
		{Federation: "fed", ServiceType: ClusterIP, APIImage: "a", EtcdImage: "b"},
		{Federation: "fed", ServiceType: ClusterIP, APIImage: "a", EtcdImage: "b", Storage: "1Gi", HA: true},
		{Federation: "fed", ServiceType: ClusterIP, APIImage: "a", EtcdImage: "b", Storage: "1Gi", HA: true, formed: true},
	} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		objects, err := p.Render(noon)
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		for _, o := range objects {
			if _, known := builtin.Find(o.GetAPIVersion(), o.GetKind()); !known || o.GetLabels()["app.kubernetes.io/managed-by"] != "fedctl" {
				t.Errorf("%s %s: known %v, labels %v", o.GetKind(), o.GetName(), known, o.GetLabels())
			}
			spec, _ := o.Object["spec"].(map[string]any)
			if _, has := spec["volumeClaimTemplates"]; o.GetKind() == "StatefulSet" && has != (p.Storage != "") {
				t.Errorf("storage %q: a volume: %v", p.Storage, has)
			}
		}
	}
}

// With HA there are as many as that takes, which can be lost one at a time, and know each other.
func TestHA(t *testing.T) {
	p := Plan{Federation: "fed", ServiceType: ClusterIP, APIImage: "a", EtcdImage: "b", Storage: "1Gi", HA: true}
	texts := map[bool]string{}
	for _, formed := range []bool{false, true} {
		p.formed = formed
		objects, err := p.Render(noon)
		if err != nil {
			t.Fatal(err)
		}
		budgets := 0
		for _, o := range objects {
			spec, _ := o.Object["spec"].(map[string]any)
			switch o.GetKind() {
			case "PodDisruptionBudget":
				budgets++
				if n := fmt.Sprint(spec["maxUnavailable"]); n != "1" {
					t.Errorf("%s: %s may be missing", o.GetName(), n)
				}
			case "StatefulSet":
				if n := fmt.Sprint(spec["replicas"]); n != "3" || spec["podManagementPolicy"] != "Parallel" {
					t.Errorf("%s etcds, or one behind the other", n)
				}
				texts[formed] = fmt.Sprint(o.Object)
			case "Deployment":
				if n := fmt.Sprint(spec["replicas"]); n != "2" {
					t.Errorf("%s API servers", n)
				}
				if want := "--etcd-servers=https://fed-etcd-0.fed-etcd.federation-system.svc:2379,https://fed-etcd-1.fed-etcd.federation-system.svc:2379,https://fed-etcd-2.fed-etcd.federation-system.svc:2379"; !strings.Contains(fmt.Sprint(o.Object), want) {
					t.Errorf("the API server isn't run with %s", want)
				}
			}
		}
		if budgets != 2 {
			t.Errorf("%d PodDisruptionBudgets", budgets)
		}
	}
	if !strings.Contains(texts[false], "--initial-cluster-state=new") || !strings.Contains(texts[true], "--initial-cluster-state=existing") || !strings.Contains(texts[true], v1alpha1.EtcdFormed) {
		t.Errorf("an etcd without data begins as\n%s\nand then as\n%s", texts[false], texts[true])
	}
	k := &keys{}
	if err := k.complete(p.Federation, p.names(""), p.etcdNames(), noon); err != nil {
		t.Fatal(err)
	}
	for _, pod := range p.etcdPods() {
		leaf, _, err := k.etcd.parse()
		if err == nil {
			err = leaf.VerifyHostname(pod + ".fed-etcd.federation-system.svc")
		}
		if err != nil {
			t.Errorf("%s: %v", pod, err)
		}
	}
	p.Storage = ""
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "--ha needs --etcd-storage") {
		t.Errorf("without volumes: %v", err)
	}
}

// The programs have this federation's names, and nothing is left of those that the chart was given; odd
// values stay values.
func TestPrograms(t *testing.T) {
	p := Plan{Federation: "prod"}
	objects, err := p.Programs("example.com", `r.example/a: {b`)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, o := range objects {
		if _, known := builtin.Find(o.GetAPIVersion(), o.GetKind()); !known {
			t.Errorf("%s %s isn't among the known kinds", o.GetKind(), o.GetName())
		}
		if o.GetNamespace() != p.Namespace() || !strings.HasPrefix(o.GetName(), "prod-fedns") || o.GetLabels()["app.kubernetes.io/managed-by"] != "fedctl" || o.GetLabels()["fedns.io/federation"] != "prod" {
			t.Errorf("%s %s/%s has labels %v", o.GetKind(), o.GetNamespace(), o.GetName(), o.GetLabels())
		}
		text += fmt.Sprintf("%s %v\n", o.GetKind(), o.Object)
	}
	for _, want := range []string{"example.com:1053 {", "federation prod {", "secretName:prod-fedns", "secretName:prod-fedsync", "configMap:map[name:prod-fedns]", "image:r.example/a: {b", "serviceAccountName:prod-fedns"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
	for _, not := range []string{"invalid", "helm", "Helm", "federation-fed", "federation federation"} {
		if strings.Contains(text, not) {
			t.Errorf("there is %q left", not)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct{ advertise, want string }{
		{"192.0.2.1", "https://192.0.2.1"},
		{"192.0.2.1:443", "https://192.0.2.1"},
		{"192.0.2.1:6443", "https://192.0.2.1:6443"},
		{"2001:db8::1", "https://[2001:db8::1]"},
		{"[2001:db8::1]", "https://[2001:db8::1]"},
		{"[2001:db8::1]:6443", "https://[2001:db8::1]:6443"},
		{"api.example.com", "https://api.example.com"},
	} {
		p := Plan{Advertise: tt.advertise}
		host, port := p.advertised()
		if got := p.endpoint(&keys{}, host, port).Server; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.advertise, got, tt.want)
		}
	}
}

// A claim without a class waits for ever where the cluster has no default one.
func TestClassless(t *testing.T) {
	claim := func(class, phase string) *kube.Object {
		o := builtin.VolumeClaims.New(v1alpha1.System, "data-fed-etcd-0")
		o.Object["spec"] = map[string]any{}
		if class != "" {
			o.Object["spec"] = map[string]any{"storageClassName": class}
		}
		o.Object["status"] = map[string]any{"phase": phase}
		return o
	}
	for _, tt := range []struct {
		name  string
		plan  Plan
		claim *kube.Object
		want  string
	}{
		{"none", Plan{Storage: "10Gi"}, claim("", "Pending"), "data-fed-etcd-0"},
		{"the default one", Plan{Storage: "10Gi"}, claim("standard", "Pending"), ""},
		{"one that is said", Plan{Storage: "10Gi", StorageClass: "fast"}, claim("fast", "Pending"), ""},
		{"bound by hand", Plan{Storage: "10Gi"}, claim("", "Bound"), ""},
		{"no claim yet", Plan{Storage: "10Gi"}, nil, ""},
		{"no volume", Plan{}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fakeapi.New(t, builtin.VolumeClaims)
			api := f.Client()
			if tt.claim != nil {
				if _, err := api.Create(t.Context(), builtin.VolumeClaims, tt.claim, "test"); err != nil {
					t.Fatal(err)
				}
			}
			tt.plan.Federation = "fed"
			if got, err := tt.plan.classless(t.Context(), api); err != nil || got != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
