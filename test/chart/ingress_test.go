package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/ctl/install/hosted"
	"github.com/fedns/fedns/test/framework/node"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// The walk of the article on cluster federation where pods really run, by its commands, with
// kubefed read as fedctl: an API in one of three clusters, which join it; a ReplicaSet, a Service
// and an Ingress for the world. What curl gets depends on where the client is. What differs: the
// Ingress has a name, and fedns answers it by place, where Google's load balancer had one address.
func TestIngressWalk(t *testing.T) {
	node.Need(t)
	images := t.TempDir()
	fedns, control := filepath.Join(images, "fedns.tar"), filepath.Join(images, "control.tar")
	node.Archive(t, fedns, node.Image{Name: "localhost/fedns:devel", Files: programs(t), Entrypoint: []string{"/fedns"}})
	node.ControlPlane(t, control, hosted.EtcdImage, hosted.APIServerImage)
	bed := node.New(t, []node.Place{
		{Name: "gce-us-east1-b", Region: "us-east1", Zone: "us-east1-b"},
		{Name: "gce-europe-west1-b", Region: "europe-west1", Zone: "europe-west1-b"},
		{Name: "gce-asia-east1-a", Region: "asia-east1", Zone: "asia-east1-a"},
	}, fedns, control)
	us, europe := bed.Clusters[0], bed.Clusters[1]
	contexts := merged(t, us.Kubeconfig, europe.Kubeconfig, bed.Clusters[2].Kubeconfig)
	kubectl := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(vector.Root(), "bin", "kube", "kubectl"), args...)
		cmd.Env = []string{"KUBECONFIG=" + contexts, "HOME=" + images}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}

	// Creating a federation plane.
	began := time.Now()
	fedctl(t, contexts, "init", "federation", "--host-cluster-context=gce-us-east1-b", "--dns-zone-name=example.com", "--etcd-storage=none")
	t.Logf("fedctl init, its pods ready: %v", time.Since(began).Round(100*time.Millisecond))
	if out := kubectl("config", "get-contexts", "-o", "name"); !strings.Contains(out, "federation\n") {
		t.Errorf("the contexts are\n%s", out)
	}
	for _, name := range []string{"europe-west1-b", "asia-east1-a", "us-east1-b"} {
		fedctl(t, contexts, "--context=federation", "join", "cluster-"+name, "--cluster-context=gce-"+name)
	}
	must(t, us.Kubeconfig, "install", "fedns", dir, "--namespace", "federation-system", "--wait", "--timeout", "3m", "--set", "domain=example.com", "--set", "federation=federation",
		"--set", "api.mode=elsewhere", "--set", "api.kubeconfigSecret=federation-fedns", "--set", "member.enabled=false", "--set", "fedsync.enabled=true", "--set", "fedsync.kubeconfigSecret=federation-fedsync",
		"--set", "options={ttl 5s,nets 10.98.1.0/24 us-east1,nets 10.101.0.0/16 us-east1,nets 10.102.0.0/16 europe-west1,nets 10.103.0.0/16 asia-east1}")
	server.Eventually(t, 2*time.Minute, "three clusters are ready", func() bool {
		return strings.Count(kubectl("--context=federation", "get", "clusters"), " Ready ") == 3
	})
	t.Logf("three clusters are ready: %v", time.Since(began).Round(100*time.Millisecond))

	// Using federation to run an application.
	create := func(text string) {
		t.Helper()
		file := filepath.Join(images, "object.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl("--context=federation", "create", "-f", file)
	}
	create(`
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: k8shserver, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: k8shserver}}
  template:
    metadata: {labels: {app: k8shserver}}
    spec:
      containers:
      - name: web
        image: localhost/web:1
        imagePullPolicy: Never
        env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
`)
	create(`
apiVersion: v1
kind: Service
metadata: {name: k8shserver, namespace: default}
spec:
  type: LoadBalancer
  selector: {app: k8shserver}
  ports: [{name: http, port: 80}]
`)
	create(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: k8shserver, namespace: default}
spec:
  rules:
  - host: k8shserver.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: k8shserver, port: {number: 80}}}}]}
`)
	server.Eventually(t, 2*time.Minute, "the Ingress has the addresses of all clusters", func() bool {
		out := kubectl("--context=federation", "get", "ingress", "k8shserver")
		return strings.Contains(out, "10.97.1.") && strings.Contains(out, "10.97.2.") && strings.Contains(out, "10.97.3.")
	})
	t.Logf("the Ingress has its addresses: %v\n%s", time.Since(began).Round(100*time.Millisecond), kubectl("--context=federation", "get", "ingress", "k8shserver"))

	// Clients everywhere.
	servers := balancer(t, us)
	for _, c := range bed.Clusters {
		fedctl(t, contexts, "stub", "--context="+c.Name, "--domain=example.com", "--servers="+servers, "--apply")
		c.RestartDNS(t)
		c.Apply(t, node.Web("clients", "client", "client", 1))
	}
	curl := func(from *node.Cluster, want string) {
		t.Helper()
		since := time.Now()
		server.Eventually(t, 2*time.Minute, "a pod of "+from.Name+" gets what "+want+" says", func() bool {
			out, err := from.TryKubectl(t, "-n", "clients", "exec", "deployment/client", "--", "/curl", "http://k8shserver.example.com")
			return err == nil && strings.TrimSpace(out) == want
		})
		t.Logf("in %s: curl gets %s after %v", from.Name, want, time.Since(since).Round(100*time.Millisecond))
	}
	for _, c := range bed.Clusters {
		c.Kubectl(t, "-n", "clients", "rollout", "status", "deployment/client", "--timeout=2m")
		curl(c, "node-"+c.Name)
	}
	// Europe has no pods any more.
	europe.Kubectl(t, "cordon", "node-"+europe.Name)
	europe.Kubectl(t, "delete", "pods", "-l", "app=k8shserver")
	curl(europe, "node-"+us.Name)
	europe.Kubectl(t, "uncordon", "node-"+europe.Name)
	curl(europe, "node-"+europe.Name)
}
