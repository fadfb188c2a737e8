// Package kubelet runs what stands in the pods of a federation's own API, where
// kwok only says that they run: etcd and kube-apiserver, with the arguments and the
// Secrets of the manifests.
package kubelet

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Objects waits for the manifests that `fedctl init` puts into a host cluster.
func Objects(t testing.TB, host *kube.API, federation string) (all []*kube.Object) {
	t.Helper()
	etcd, api := names(federation)
	for _, x := range []struct {
		kind kube.Kind
		name string
	}{{builtin.Secrets, etcd}, {builtin.Secrets, api}, {builtin.StatefulSets, etcd}, {builtin.Deployments, api}} {
		server.Eventually(t, time.Minute, fmt.Sprintf("%s %s is there", x.kind.Name, x.name), func() bool {
			o, err := host.Get(t.Context(), x.kind, v1alpha1.System, x.name)
			if err == nil {
				all = append(all, o)
			} else if !kube.Missing(err) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	return all
}

// names are those of the two workloads, and of their Secrets.
func names(federation string) (etcd, api string) {
	return federation + "-etcd", federation + "-apiserver"
}

// Pods are etcd and an API server as manifests have them, but on loopback.
type Pods struct {
	Data string // etcd's folder

	etcd, api []string
	etcdURL   string // of its clients
	etcdPKI   string // folder
	apiURL    string
	log       *server.Buffer
}

// New reads the manifests of a federation. The API server will listen on port.
func New(t testing.TB, federation string, objects []*kube.Object, port int) *Pods {
	t.Helper()
	dir := t.TempDir()
	etcd, api := names(federation)
	p := &Pods{Data: filepath.Join(dir, "data")}
	client, peer, health := vector.Port(t), vector.Port(t), vector.Port(t)
	p.etcdURL, p.etcdPKI = fmt.Sprintf("https://127.0.0.1:%d", client), filepath.Join(dir, etcd)
	p.apiURL = fmt.Sprintf("https://127.0.0.1:%d", port)
	elsewhere := strings.NewReplacer(
		"/etc/etcd/pki", filepath.Join(dir, etcd),
		"/etc/kubernetes/pki", filepath.Join(dir, api),
		"/var/lib/etcd/data", p.Data,
		"//0.0.0.0:2379", fmt.Sprintf("//127.0.0.1:%d", client),
		"//"+etcd+"."+v1alpha1.System+".svc:2379", fmt.Sprintf("//127.0.0.1:%d", client),
		"//127.0.0.1:2380", fmt.Sprintf("//127.0.0.1:%d", peer),
		"//127.0.0.1:2381", fmt.Sprintf("//127.0.0.1:%d", health),
		"--secure-port=6443", fmt.Sprintf("--secure-port=%d", port),
	)
	for _, o := range objects {
		switch o.GetKind() {
		case "Secret":
			if err := os.MkdirAll(filepath.Join(dir, o.GetName()), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, value := range kube.SecretData(o) {
				if err := os.WriteFile(filepath.Join(dir, o.GetName(), name), value, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		case "StatefulSet", "Deployment":
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("%s: %d containers, %v", o.GetName(), len(containers), err)
			}
			command, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "command")
			if err != nil {
				t.Fatal(err)
			}
			for n := range command {
				command[n] = elsewhere.Replace(command[n])
			}
			if o.GetKind() == "StatefulSet" {
				p.etcd = command
			} else {
				p.api = slices.Concat(command, []string{"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"})
			}
		}
	}
	return p
}

// Run runs both until the test ends.
func (p *Pods) Run(t testing.TB) {
	t.Helper()
	for _, command := range [][]string{p.etcd, p.api} {
		p.log = server.Program(t, filepath.Join(vector.Root(), "bin", "kube", command[0]), command[1:]...)
	}
}

// Log is what the API server has printed.
func (p *Pods) Log() string { return p.log.String() }

// Healthy asks what the probes of the manifests ask: the API server without credentials, etcd with its own.
func (p *Pods) Healthy(t testing.TB) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	own, err := tls.LoadX509KeyPair(filepath.Join(p.etcdPKI, "tls.crt"), filepath.Join(p.etcdPKI, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	inside := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}, DisableKeepAlives: true}}
	if resp, err := inside.Get(p.etcdURL + "/health"); err != nil {
		t.Errorf("etcd: %v", err)
	} else if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("etcd: %s", resp.Status)
	}
	for _, url := range []string{p.apiURL + "/livez", p.apiURL + "/readyz"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	for _, path := range []string{"/api/v1/secrets", "/version", "/api", "/metrics"} {
		if resp, err := client.Get(p.apiURL + path); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("without credentials, %s is %s", path, resp.Status)
			}
		}
	}
}
