package cluster

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// startEtcd starts the one etcd every cluster of b keeps its objects in, each
// under its own prefix.
func (b *Bed) startEtcd(t testing.TB) {
	t.Helper()
	b.etcd = "http://" + addr(vector.Port(t))
	peer := "http://" + addr(vector.Port(t)) // it insists, although it is alone
	p := b.launch(t, "bed", "etcd",
		"--data-dir="+filepath.Join(b.dir, "etcd"),
		"--unsafe-no-fsync", // nobody restores a test from its disk
		"--log-level=warn",
		"--listen-client-urls="+b.etcd,
		"--advertise-client-urls="+b.etcd,
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster=default="+peer,
	)
	p.await(t, "healthy", func(ctx context.Context) error { return getOK(ctx, b.etcd+"/health") })
}
