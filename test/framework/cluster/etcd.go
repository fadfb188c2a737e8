package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// Stored is all that a cluster has in etcd, by key: what no API server hides, or fills in.
func (b *Bed) Stored(t testing.TB, c *Cluster) map[string]string {
	t.Helper()
	out := map[string]string{}
	prefix := "/" + c.Name + "/"
	for from := prefix; ; {
		// Bytes are in base64, as JSON has them.
		question, err := json.Marshal(map[string]any{"key": []byte(from), "range_end": []byte("/" + c.Name + "0"), "limit": "500"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.Post(b.etcd+"/v3/kv/range", "application/json", bytes.NewReader(question))
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			KVs  []struct{ Key, Value []byte }
			More bool
		}
		err = json.NewDecoder(r.Body).Decode(&page)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("etcd: %s: %v", r.Status, err)
		}
		for _, kv := range page.KVs {
			out[strings.TrimPrefix(string(kv.Key), prefix)] = string(kv.Value)
		}
		if !page.More {
			return out
		}
		from = string(page.KVs[len(page.KVs)-1].Key) + "\x00"
	}
}

// restFor is for how long nothing is to come before Settled takes it for all that comes.
const restFor = 2 * time.Second

// Settled is what Stored gives, when Kubernetes has made what it makes by itself, of a new namespace or
// of a Service: when nothing has come for a while, but for leases and events.
func (b *Bed) Settled(t testing.TB, c *Cluster) map[string]string {
	t.Helper()
	now := b.Stored(t, c)
	for was := map[string]string(nil); !slices.Equal(Lasting(was), Lasting(now)); now = b.Stored(t, c) {
		was = now
		time.Sleep(restFor)
	}
	return now
}

// Lasting are the keys of what Stored gives but for those that come and go while nothing happens: what a
// cluster tells of its objects, and who leads; sorted.
func Lasting(stored map[string]string) (keys []string) {
	for key := range stored {
		if !strings.HasPrefix(key, "events/") && !strings.HasPrefix(key, "leases/") && !strings.HasPrefix(key, "masterleases/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
