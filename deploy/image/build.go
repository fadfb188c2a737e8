package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// programs are what the image holds, each in a layer of its own: one that is the same in
// the next version isn't fetched again.
var programs = []string{"fedns", "fedsync", "fedctl"}

// build builds them for a platform, without what only a debugger reads.
func build(root, into string, platform v1.Platform, s source) error {
	into, err := filepath.Abs(into)
	if err != nil {
		return err
	}
	for _, p := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+s.version, "-o", filepath.Join(into, p), "./cmd/"+p)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build ./cmd/%s for %s: %w\n%s", p, platform, err, out)
		}
	}
	return nil
}

// texts are the licences of what the programs are made of, which have to go where these go.
func texts(root string) ([]file, error) {
	own, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "licences")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	to := filepath.Join(dir, "modules")
	cmd := exec.Command("go", "run", "./test/tools/licences", "-texts", to)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("licences: %w\n%s", err, out)
	}
	others, err := os.ReadFile(to)
	if err != nil {
		return nil, err
	}
	return []file{
		{path: "licences/", mode: 0o755},
		{path: "licences/LICENSE", mode: 0o644, data: own},
		{path: "licences/modules", mode: 0o644, data: others},
	}, nil
}

// list writes for each program what it is made of, in CycloneDX's form: without a serial
// number and the time, so that the same program has the same list.
func list(cyclonedx, into, programsIn string, platform v1.Platform, s source) error {
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		to := filepath.Join(into, fmt.Sprintf("%s-%s-%s.cdx.json", p, platform.OS, platform.Architecture))
		cmd := exec.Command(cyclonedx, "bin", "-json", "-noserial", "-notimestamp", "-std", "-licenses", "-version", s.version, "-output", to, filepath.Join(programsIn, p))
		// All modules are there, since they have just been built; nobody is to be asked for
		// this one.
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cyclonedx, err, out)
		}
	}
	return nil
}

// user is who the programs are. It is the number that images without a system have
// settled on for nobody in particular.
const user = "65532"

// A packing is how layers are compressed.
type packing []tarball.LayerOption

var (
	// zstd is for registries: a sixth less to fetch than by gzip, and faster to unpack.
	// containerd (1.5, of 2021), CRI-O and Docker (23) know it.
	zstd = packing{tarball.WithCompression(compression.ZStd), tarball.WithCompressionLevel(19), tarball.WithMediaType(types.OCILayerZStd)}
	// gzipped is for archives, which have to go into whatever is there.
	gzipped = packing{tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithMediaType(types.OCILayer)}
)

// image puts an image together. However it is packed, its ID is the same: that is the
// digest of its configuration, which knows what layers are unpacked.
func image(licences []file, programsIn string, platform v1.Platform, s source, how packing) (v1.Image, error) {
	layers := [][]file{append([]file{
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, data: []byte("root:x:0:\nfedns:x:" + user + ":\n")},
		{path: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nfedns:x:" + user + ":" + user + ":fedns:/:/sbin/nologin\n")},
	}, licences...)}
	for _, p := range programs {
		data, err := os.ReadFile(filepath.Join(programsIn, p))
		if err != nil {
			return nil, err
		}
		f := file{path: p, mode: 0o755, data: data}
		if p == "fedns" {
			f.capability = bindPermitted()
		}
		layers = append(layers, []file{f})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := v1.History{Created: v1.Time{Time: s.time}, CreatedBy: "make image"}
	for _, files := range layers {
		packed, err := pack(files, s)
		if err != nil {
			return nil, err
		}
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil },
			append(packing{tarball.WithCompressedCaching}, how...)...)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: history}); err != nil {
			return nil, err
		}
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Variant = platform.OS, platform.Architecture, platform.Variant
	c.Created = v1.Time{Time: s.time}
	c.Config = v1.Config{
		User:         user + ":" + user,
		Entrypoint:   []string{"/fedns"},
		Env:          []string{"PATH=/"},
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{"53/udp": {}, "53/tcp": {}},
		Labels:       labels(s),
	}
	return mutate.ConfigFile(img, c)
}

func labels(s source) map[string]string {
	const at = "org.opencontainers.image."
	l := map[string]string{
		at + "title":       "fedns",
		at + "description": "One service, several Kubernetes clusters, one name: an authoritative DNS server, with fedsync and fedctl.",
		at + "version":     s.version,
		at + "created":     s.time.Format("2006-01-02T15:04:05Z07:00"),
		at + "licenses":    "Apache-2.0",
		at + "source":      "https://github.com/fedns/fedns",
	}
	if s.revision != "" {
		l[at+"revision"] = s.revision
	}
	return l
}

// A file is one in a layer, or a folder.
type file struct {
	path       string // ends with a slash: a folder
	mode       int64
	data       []byte
	capability []byte // security.capability; nil: none
}

// pack writes files as a layer: root's, of the commit's time.
func pack(files []file, s source) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.path, Mode: f.mode, Size: int64(len(f.data)), ModTime: s.time, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if f.data == nil {
			h.Typeflag = tar.TypeDir
		}
		if f.capability != nil {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(f.capability)}
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// bindPermitted is cap_net_bind_service=+p, as a file has it (capabilities(7), and
// struct vfs_cap_data): fedns, as the user that it is, may take port 53 where its
// container has the capability, and starts where it hasn't. With it in force from the
// start (+ep) the kernel would refuse to start it there.
func bindPermitted() []byte {
	const (
		revision2 = 0x02000000 // without the flag that it is in force
		bind      = 10         // CAP_NET_BIND_SERVICE
	)
	var out []byte
	for _, word := range []uint32{revision2, 1 << bind, 0, 0, 0} { // then permitted and inheritable, twice
		out = binary.LittleEndian.AppendUint32(out, word)
	}
	return out
}
