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
	"strconv"
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

// Pods are etcds and API servers as manifests have them, but on loopback.
type Pods struct {
	Data  string // etcd's folders
	Etcds []*Pod // in the order of their numbers
	APIs  []*Pod // the first listens on the port that New was given
	pki   string // folder of etcd's Secret
}

// A Pod is one of them.
type Pod struct {
	URL     string // of its clients
	Killed  bool
	command []string
	running *server.Started
}

// Kill ends a pod as a node that fails does.
func (p *Pod) Kill() {
	p.Killed = true
	p.running.Kill()
}

// New reads the manifests of a federation. The first API server will listen on port.
func New(t testing.TB, federation string, objects []*kube.Object, port int) *Pods {
	t.Helper()
	dir := t.TempDir()
	etcd, api := names(federation)
	p := &Pods{Data: filepath.Join(dir, "data"), pki: filepath.Join(dir, etcd)}
	elsewhere := []string{
		"/etc/etcd/pki", p.pki,
		"/etc/kubernetes/pki", filepath.Join(dir, api),
	}
	at := func(port int) string { return fmt.Sprintf("//127.0.0.1:%d", port) }
	var workloads []*kube.Object
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
		case "StatefulSet":
			workloads = append(workloads, o)
			service := etcd + "." + v1alpha1.System + ".svc"
			for n := range replicas(t, o) {
				client, pod := vector.Port(t), fmt.Sprintf("%s-%d", etcd, n)
				p.Etcds = append(p.Etcds, &Pod{URL: "https:" + at(client)})
				// What others call it; one that is alone is called by the Service.
				elsewhere = append(elsewhere, "//"+pod+"."+service+":2379", at(client), "//"+pod+"."+service+":2380", at(vector.Port(t)))
				if n == 0 {
					elsewhere = append(elsewhere, "//"+service+":2379", at(client))
				}
			}
		case "Deployment":
			workloads = append(workloads, o)
			for n := range replicas(t, o) {
				if n > 0 {
					port = vector.Port(t)
				}
				p.APIs = append(p.APIs, &Pod{URL: "https:" + at(port)})
			}
		}
	}
	for _, o := range workloads {
		containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) != 1 {
			t.Fatalf("%s: %d containers, %v", o.GetName(), len(containers), err)
		}
		command, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "command")
		if err != nil {
			t.Fatal(err)
		}
		pods := p.APIs
		if o.GetKind() == "StatefulSet" {
			pods = p.Etcds
		}
		for n, pod := range pods {
			name := fmt.Sprintf("%s-%d", o.GetName(), n)
			_, listens, _ := strings.Cut(pod.URL, ":")
			own := strings.NewReplacer("$(POD)", name, "/var/lib/etcd/data", filepath.Join(p.Data, name))
			everybody := strings.NewReplacer(append([]string{
				"//0.0.0.0:2379", listens,
				"//0.0.0.0:2380", strings.NewReplacer(elsewhere...).Replace("//" + name + "." + etcd + "." + v1alpha1.System + ".svc:2380"),
				"//127.0.0.1:2380", at(vector.Port(t)),
				"//127.0.0.1:2381", at(vector.Port(t)),
				"--secure-port=6443", "--secure-port=" + listens[strings.LastIndex(listens, ":")+1:],
			}, elsewhere...)...)
			for _, arg := range command {
				pod.command = append(pod.command, everybody.Replace(own.Replace(arg)))
			}
			if o.GetKind() == "Deployment" {
				pod.command = append(pod.command, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1")
			}
		}
	}
	return p
}

// replicas are how many pods a manifest is for.
func replicas(t testing.TB, o *kube.Object) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(o.Object["spec"].(map[string]any)["replicas"]))
	if err != nil {
		t.Fatalf("%s: %v", o.GetName(), err)
	}
	return n
}

// Run runs all of them until the test ends.
func (p *Pods) Run(t testing.TB) {
	t.Helper()
	for _, pod := range slices.Concat(p.Etcds, p.APIs) {
		pod.running = server.Spawn(t, filepath.Join(vector.Root(), "bin", "kube", pod.command[0]), pod.command[1:]...)
	}
}

// Log is what the API servers have printed.
func (p *Pods) Log() (text string) {
	for _, pod := range p.APIs {
		text += pod.running.Log.String()
	}
	return text
}

// Healthy asks what the probes of the manifests ask: API servers without credentials, etcds with their own.
func (p *Pods) Healthy(t testing.TB) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	own, err := tls.LoadX509KeyPair(filepath.Join(p.pki, "tls.crt"), filepath.Join(p.pki, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	inside := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}, DisableKeepAlives: true}}
	for _, pod := range p.Etcds {
		healthy(t, &inside, pod, "/health")
	}
	for _, pod := range p.APIs {
		healthy(t, &client, pod, "/livez")
		healthy(t, &client, pod, "/readyz")
		for _, path := range []string{"/api/v1/secrets", "/version", "/api", "/metrics"} {
			if resp, err := client.Get(pod.URL + path); err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("without credentials, %s is %s", path, resp.Status)
				}
			}
		}
	}
}

func healthy(t testing.TB, client *http.Client, pod *Pod, path string) {
	t.Helper()
	if pod.Killed {
		return
	}
	resp, err := client.Get(pod.URL + path)
	if err != nil {
		t.Errorf("%s%s: %v", pod.URL, path, err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s%s: %s", pod.URL, path, resp.Status)
	}
}
