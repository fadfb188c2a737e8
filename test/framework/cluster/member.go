package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// Member starts a cluster that is alive: an API server, the controllers, the
// scheduler, and kwok for kubelets. It has no nodes until [Cluster.AddNode].
func (b *Bed) Member(t testing.TB, name string) *Cluster {
	t.Helper()
	return b.Members(t, name)[0]
}

// Members starts a cluster for each name, as [Bed.Member] does, all at once.
func (b *Bed) Members(t testing.TB, names ...string) []*Cluster {
	t.Helper()
	clusters := b.APIs(t, names...)
	var ready []func()
	for _, c := range clusters {
		ready = append(ready, b.startControllers(t, c), b.startScheduler(t, c), b.startKwok(t, c))
	}
	for _, wait := range ready {
		wait()
	}
	return clusters
}

// The programs below each return what waits for them.

func (b *Bed) startControllers(t testing.TB, c *Cluster) func() {
	t.Helper()
	port := vector.Port(t)
	return awaitHealth(t, "https", port, b.launch(t, c.Name, "kube-controller-manager",
		"--kubeconfig="+c.Kubeconfig,
		"--leader-elect=false", // it is alone, and an election takes seconds
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+filepath.Join(c.dir, "controller-manager"),
		"--service-account-private-key-file="+b.key,
		// What makes and unmakes pods, endpoints and tokens, and nothing else. The node
		// lifecycle is here because nodes keep their not-ready taint without it.
		"--controllers=deployment-controller,replicaset-controller,daemonset-controller,endpointslice-controller,job-controller,ttl-after-finished-controller,"+
			"statefulset-controller,persistentvolumeclaim-protection-controller,namespace-controller,serviceaccount-controller,"+
			"serviceaccount-token-controller,garbage-collector-controller,node-lifecycle-controller",
	))
}

func (b *Bed) startScheduler(t testing.TB, c *Cluster) func() {
	t.Helper()
	port := vector.Port(t)
	return awaitHealth(t, "https", port, b.launch(t, c.Name, "kube-scheduler",
		"--kubeconfig="+c.Kubeconfig,
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+filepath.Join(c.dir, "scheduler"),
	))
}

func (b *Bed) startKwok(t testing.TB, c *Cluster) func() {
	t.Helper()
	port := vector.Port(t)
	return awaitHealth(t, "http", port, b.launch(t, c.Name, "kwok",
		"--kubeconfig="+c.Kubeconfig,
		"--config="+filepath.Join(b.programs, "stages.yaml"),
		"--manage-all-nodes=true",
		"--node-lease-duration-seconds=40",
		"--server-address="+addr(port),
	))
}

func awaitHealth(t testing.TB, scheme string, port int, p *process) func() {
	return func() {
		t.Helper()
		p.await(t, "healthy", func(ctx context.Context) error {
			return getOK(ctx, scheme+"://"+addr(port)+"/healthz")
		})
	}
}

// health trusts any certificate: each program makes its own, and it is only
// asked how it is.
var health = http.Client{Transport: &http.Transport{
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	DisableKeepAlives: true, // no connection outlives its question, or its test
}}

// getOK asks a program how it is.
func getOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := health.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
