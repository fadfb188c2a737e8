package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// support is an archive of the images that every cluster has: pause, which holds a pod's
// namespaces; web, which serves and asks (see package pod); and coredns, the cluster's DNS.
func support(t testing.TB, dir string) string {
	t.Helper()
	archive := filepath.Join(dir, "support.tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	pod, coredns := build(t, "./test/framework/node/pod"), build(t, "./test/dns/incluster/coredns")
	Archive(t, archive,
		Image{"localhost/pause:1", map[string]string{"pause": pod}, []string{"/pause"}},
		Image{"localhost/web:1", map[string]string{"web": pod, "curl": pod, "nslookup": pod}, []string{"/web"}},
		Image{"localhost/coredns:1", map[string]string{"coredns": coredns}, []string{"/coredns"}},
	)
	return archive
}

// WebArchive writes an archive of the image that serves, under another name.
func WebArchive(t testing.TB, archive, name string) {
	t.Helper()
	Archive(t, archive, Image{name, map[string]string{"web": build(t, "./test/framework/node/pod")}, []string{"/web"}})
}

// ControlPlane writes an archive of etcd and kube-apiserver, as images of these names.
func ControlPlane(t testing.TB, name, etcd, apiServer string) {
	t.Helper()
	Archive(t, name,
		Image{etcd, map[string]string{"etcd": kube("etcd"), "etcdctl": build(t, "./test/framework/node/pod")}, []string{"/etcd"}},
		Image{apiServer, map[string]string{"kube-apiserver": kube("kube-apiserver")}, []string{"/kube-apiserver"}},
	)
}

// build builds a static program of the repository.
func build(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(vector.Root(), "bin", "test", filepath.Base(pkg)+"-static")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir = vector.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	return out
}

// An Image is files, by their names in its root, and what it starts.
type Image struct {
	Name       string
	Files      map[string]string
	Entrypoint []string
}

// Archive writes images as docker save does: containerd imports that.
func Archive(t testing.TB, name string, images ...Image) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := tar.NewWriter(f)
	put := func(name string, content []byte) {
		t.Helper()
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var manifest []entry
	for i, image := range images {
		layer := layerOf(t, image.Files)
		sum := sha256.Sum256(layer)
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux",
			"config": map[string]any{"Entrypoint": image.Entrypoint, "Env": []string{"PATH=/"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		})
		if err != nil {
			t.Fatal(err)
		}
		id := sha256.Sum256(config)
		e := entry{hex.EncodeToString(id[:]) + ".json", []string{image.Name}, []string{fmt.Sprintf("layer%d.tar", i)}}
		put(e.Config, config)
		put(e.Layers[0], layer)
		manifest = append(manifest, e)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	put("manifest.json", text)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// layerOf is a layer of programs; what is there twice is linked.
func layerOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	first := map[string]string{}
	for name, from := range files {
		h := &tar.Header{Name: name, Mode: 0o755}
		if same := first[from]; same != "" {
			h.Typeflag, h.Linkname = tar.TypeLink, same
			if err := out.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			continue
		}
		first[from] = name
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		h.Size = int64(len(content))
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
