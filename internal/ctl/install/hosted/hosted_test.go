package hosted

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
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
