package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fedns/fedns/internal/shard"
)

// BenchmarkFolder reads eight folders at once, each of one file with a List of
// 10,000 Services and as many EndpointSlices.
func BenchmarkFolder(b *testing.B) {
	const folders, services = 8, 10_000
	var list strings.Builder
	list.WriteString(`{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "us-a"}}}`)
	for i := range services {
		fmt.Fprintf(&list, `, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc%d", "namespace": "ns%d", "labels": {"fedns.io/export": "true"}}, `+
			`"spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}, "status": {"loadBalancer": {"ingress": [{"ip": "198.51.%d.%d"}]}}}`,
			i, i%20, i>>8, i&255)
		fmt.Fprintf(&list, `, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "metadata": {"name": "svc%d-x", "namespace": "ns%d", `+
			`"labels": {"fedns.io/export": "true", "kubernetes.io/service-name": "svc%d"}}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], `+
			`"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}, "zone": "us-a"}]}`, i, i%20, i)
	}
	list.WriteString("]}\n")
	dirs := make([]string, folders)
	for i := range dirs {
		dirs[i] = b.TempDir()
		if err := os.WriteFile(filepath.Join(dirs[i], "services.json"), []byte(list.String()), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(folders * list.Len()))
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		var listed, done sync.WaitGroup
		listed.Add(folders)
		for _, dir := range dirs {
			f, err := NewFolder(FolderConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			done.Go(func() { f.Run(ctx, func(...shard.Change) { listed.Done() }) })
		}
		listed.Wait()
		cancel()
		done.Wait()
	}
}
