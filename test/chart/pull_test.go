package chart

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/node"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A cluster that pulls, by what fedctl join --pull --manifests prints and its administrator applies: fedsync is a
// pod there, in a namespace that takes only restricted ones, and reaches the federation's API and nothing else
// outside its cluster. It is killed, its credential is about to end, ends, and is given anew.
func TestPullInPods(t *testing.T) {
	image := filepath.Join(t.TempDir(), "fedns.tar")
	node.Need(t)
	node.Archive(t, image, node.Image{Name: "localhost/fedns:devel", Files: programs(t), Entrypoint: []string{"/fedns"}})
	bed := node.New(t, []node.Place{{Name: "home", Region: "us-central1", Zone: "us-central1-a"}, {Name: "far", Region: "europe-west1", Zone: "europe-west1-b"}}, image)
	home, far := bed.Clusters[0], bed.Clusters[1]
	fedctl(t, home.Kubeconfig, "init", "prod", "--api", "home", "--dns-zone-name", "example.com")

	far.Confine(t, home.Nodes[0].Address)
	far.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: federation-system, labels: {pod-security.kubernetes.io/enforce: restricted}}\n")
	join := func() {
		t.Helper()
		far.Apply(t, fedctl(t, home.Kubeconfig, "join", "far", "--context", "home", "--pull", "--manifests", "--image-fedns", "localhost/fedns:devel"))
	}
	join()
	runFedsync(t, home)
	home.Apply(t, federated("blue"))
	arrives := func(color string) {
		t.Helper()
		server.Eventually(t, 2*time.Minute, "far has "+color, func() bool {
			out, err := far.TryKubectl(t, "-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.color}")
			return err == nil && out == color
		})
	}
	arrives("blue")
	far.Kubectl(t, "-n", "shop", "rollout", "status", "daemonset/web", "--timeout=2m")
	server.Eventually(t, time.Minute, "far's pods are counted", func() bool {
		return strings.Contains(home.Kubectl(t, "-n", "shop", "get", "placement", "daemonset.web", "-o", "yaml"), "Applied")
	})

	end := func() {
		t.Helper()
		far.Kubectl(t, "-n", "federation-system", "delete", "pods", "-l", "app.kubernetes.io/name=fedsync", "--grace-period=0", "--force")
	}
	end()
	home.Apply(t, federated("red"))
	arrives("red")

	// Its credential is one that it is to renew, for it lasts for longer than the week that join said.
	short, err := home.Client.CoreV1().ServiceAccounts(v1alpha1.PartOf("far")).CreateToken(t.Context(), v1alpha1.AgentName, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(10 * 24 * 60 * 60))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, far, short.Status.Token)
	end()
	server.Eventually(t, 2*time.Minute, "the credential is renewed", func() bool {
		said, ok := kube.Claims(kept(t, far))
		return ok && said.Life() < 8*24*time.Hour
	})
	home.Apply(t, federated("green"))
	arrives("green")

	// It ends while fedsync runs: nothing is done, nothing goes, and it says what to do.
	home.Kubectl(t, "-n", v1alpha1.PartOf("far"), "delete", "secret", v1alpha1.BoundTo(v1alpha1.AgentName))
	server.Eventually(t, 2*time.Minute, "fedsync says that its credential isn't taken any more", func() bool {
		out, _ := far.TryKubectl(t, "-n", "federation-system", "logs", "deployment/fedsync-prod")
		return strings.Contains(out, "until fedctl join --pull gives it another")
	})
	server.Eventually(t, 2*time.Minute, "the federation says that far is silent", func() bool {
		return strings.Contains(home.Kubectl(t, "get", "cluster", "far", "-o", "yaml"), "has said nothing for")
	})
	home.Kubectl(t, "-n", "shop", "delete", "configmap", "settings", "--wait=false")
	if out := far.Kubectl(t, "-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.color}"); out != "green" {
		t.Errorf("without a credential, far has %q", out)
	}
	join()
	server.Eventually(t, 2*time.Minute, "what was deleted meanwhile goes", func() bool {
		_, err := far.TryKubectl(t, "-n", "shop", "get", "configmap", "settings")
		return err != nil
	})
	far.Kubectl(t, "-n", "shop", "rollout", "status", "daemonset/web", "--timeout=2m")

	contexts := merged(t, home.Kubeconfig, far.Kubeconfig)
	fedctl(t, contexts, "--context=home", "unjoin", "far", "--cluster-context=far", "--drain-wait=0s")
	server.Eventually(t, 2*time.Minute, "nothing of the federation is left in far, nor of far in the federation", func() bool {
		there := far.Kubectl(t, "get", "namespaces,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings", "-o", "name") + home.Kubectl(t, "get", "namespaces,clusters", "-o", "name")
		return !strings.Contains(there, "fedsync-prod") && strings.Count(there, "namespace/federation-system") == 1 && strings.Count(there, "namespace/shop") == 1 && !strings.Contains(there, "far")
	})
}

// runFedsync runs the federation's until the test ends.
func runFedsync(t *testing.T, home *node.Cluster) {
	t.Helper()
	var log server.Buffer
	cmd := exec.Command(programs(t)["fedsync"], "--kubeconfig", home.Kubeconfig, "--federation", "prod", "--lease", "0", "--listen", fmt.Sprint("127.0.0.1:", vector.Port(t)))
	cmd.Stdout, cmd.Stderr = &log, &log
	gone, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-gone
		if t.Failed() {
			t.Logf("the federation's fedsync printed:\n%s", log.String())
		}
	})
}

// federated is what far is to have. The federation's API is that of a cluster, whose node takes no pods of it.
func federated(color string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: %s}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {topology.kubernetes.io/region: europe-west1}
      containers: [{name: web, image: "localhost/web:1", imagePullPolicy: Never}]
`, color)
}

// kept is the token with which far reaches the federation.
func kept(t *testing.T, far *node.Cluster) string {
	t.Helper()
	s, err := far.Client.CoreV1().Secrets(v1alpha1.System).Get(t.Context(), v1alpha1.PartSecret("prod"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return kube.TokenIn(s.Data[v1alpha1.KubeconfigKey])
}

// keep puts another there.
func keep(t *testing.T, far *node.Cluster, token string) {
	t.Helper()
	s, err := far.Client.CoreV1().Secrets(v1alpha1.System).Get(t.Context(), v1alpha1.PartSecret("prod"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := kube.WithToken(s.Data[v1alpha1.KubeconfigKey], token)
	if err != nil {
		t.Fatal(err)
	}
	far.Kubectl(t, "-n", v1alpha1.System, "patch", "secret", v1alpha1.PartSecret("prod"), "-p", fmt.Sprintf(`{"data":{"kubeconfig":%q}}`, base64.StdEncoding.EncodeToString(content)))
}
