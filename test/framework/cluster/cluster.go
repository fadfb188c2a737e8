// Package cluster is a test bed of real control planes: one etcd, and on it as
// many Kubernetes API servers as a test asks for, each its own cluster.
//
// An API server alone is enough where a test writes the objects itself
// ([Bed.API]). A member ([Bed.Member]) also has the controllers, the scheduler
// and kwok, which plays the kubelets: there a Deployment becomes pods and
// EndpointSlices, and nobody but Kubernetes writes them.
//
// Everything listens on loopback, dies with the test, and comes from
// `make kube`. The bed knows nothing of fedns but the label it exports by and
// the rights it asks for.
package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A Bed is an etcd and the clusters on it. Several goroutines may ask it for
// clusters.
type Bed struct {
	// IPv6 is the name of a cluster whose Services get addresses of IPv6; "": none is.
	IPv6 string

	programs string // folder of kube-apiserver and the others
	dir      string // ours until the test ends
	etcd     string // URL
	key      string // file of the service accounts' signing key

	mu    sync.Mutex // guards the rest
	names map[string]bool
}

// New starts an etcd for clusters to live on. It and they are killed when t
// ends.
func New(t testing.TB) *Bed {
	t.Helper()
	b := &Bed{programs: programs(t), dir: t.TempDir(), names: make(map[string]bool)}
	b.key = filepath.Join(b.dir, "service-accounts.key")
	WriteKey(t, b.key)
	b.startEtcd(t)
	return b
}

// claim takes a cluster's name and gives it a number, from 1.
func (b *Bed) claim(t testing.TB, name string) int {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names[name] {
		t.Fatalf("cluster %q: this bed has one already", name)
	}
	b.names[name] = true
	return len(b.names)
}

// programs is the folder `make kube` fills. A test never skips for want of it:
// a suite that quietly leaves out its real clusters proves nothing.
func programs(t testing.TB) string {
	t.Helper()
	// Not runtime.Caller: under -trimpath it does not name a file.
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(root, "test", "kube", "Makefile")) {
		if root == filepath.Dir(root) {
			t.Fatal("no test/kube in any folder above the working one: not inside fedns' repository")
		}
		root = filepath.Dir(root)
	}
	dir := filepath.Join(root, "bin", "kube")
	for _, f := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "stages.yaml"} {
		if !exists(filepath.Join(dir, f)) {
			t.Fatalf("%s is missing: run `make kube`", filepath.Join(dir, f))
		}
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// WriteKey writes the key that service account tokens are signed with. An API
// server does not start without.
func WriteKey(t testing.TB, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// patience bounds every wait. Only a broken bed comes near it: a cold start of
// five API servers on two busy cores has taken twenty seconds, and of three beside
// twenty other programs, more than a minute.
const patience = 5 * time.Minute

// await asks until the answer is nil, and fails t with the last answer when
// patience ends.
func await(t testing.TB, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// A question has its own limit: a paused API server answers none.
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ask(once)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}
