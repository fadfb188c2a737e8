// Package image looks at the image that make image makes: what is in it, that it is the
// same whenever and wherever it is made, and that the programs in it run with nothing else
// around them.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var (
	twice     = flag.Bool("twice", false, "make it for all platforms, once more from another directory, and compare")
	cyclonedx = flag.String("cyclonedx", "", "the program that lists what the others are made of, for -twice")
)

// most is what there may be to fetch.
const most = 40_000_000

// made makes the image as make image does, of the tree at root, and gives the folder.
func made(t *testing.T, root string, args ...string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("go", append([]string{"run", ".", "-root", root, "-out", out}, args...)...)
	cmd.Dir = filepath.Join(root, "deploy", "image")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GIT_OPTIONAL_LOCKS=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

// A descriptor is what the parts of an image are named by.
type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ OS, Architecture string }
	Annotations       map[string]string
}

// A layout is the folder of an OCI layout.
type layout string

// blob reads what has a digest, which it has to have.
func (l layout) blob(t *testing.T, digest string) []byte {
	t.Helper()
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		t.Fatalf("digest %q", digest)
	}
	b, err := os.ReadFile(filepath.Join(string(l), "blobs", "sha256", sum))
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
		t.Fatalf("%s has another digest", digest)
	}
	return b
}

// unpacked reads JSON.
func unpacked[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type index struct {
	Manifests []descriptor
}

type manifest struct {
	Config descriptor
	Layers []descriptor
}

type config struct {
	OS, Architecture string
	Created          time.Time
	Config           struct {
		User, WorkingDir string
		Entrypoint, Cmd  []string
		Labels           map[string]string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

// TestImage looks into the image for this platform, and runs what is in it.
func TestImage(t *testing.T) {
	out := made(t, vector.Root(), "-platforms", "linux/"+runtime.GOARCH, "-version", "v1.2.3")
	l := layout(filepath.Join(out, "oci"))
	b, err := os.ReadFile(filepath.Join(string(l), "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	top := unpacked[index](t, b)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1.2.3" {
		t.Fatalf("index.json: %s", b)
	}
	all := unpacked[index](t, l.blob(t, top.Manifests[0].Digest))
	if len(all.Manifests) != 1 || all.Manifests[0].Platform.OS != "linux" || all.Manifests[0].Platform.Architecture != runtime.GOARCH {
		t.Fatalf("the index: %+v", all)
	}
	m := unpacked[manifest](t, l.blob(t, all.Manifests[0].Digest))
	size := m.Config.Size
	for _, layer := range m.Layers {
		l.blob(t, layer.Digest)
		size += layer.Size
	}
	if size > most {
		t.Errorf("%d bytes to fetch, of %d", size, most)
	}
	t.Logf("%.1f MB to fetch", float64(size)/1e6)
	c := unpacked[config](t, l.blob(t, m.Config.Digest))
	if c.Config.User != "65532:65532" || !slices.Equal(c.Config.Entrypoint, []string{"/fedns"}) || c.Config.Cmd != nil || c.Config.WorkingDir != "/" || c.OS != "linux" || c.Architecture != runtime.GOARCH {
		t.Errorf("config: %+v", c)
	}
	for label, want := range map[string]string{"title": "fedns", "version": "v1.2.3", "licenses": "Apache-2.0", "created": c.Created.Format(time.RFC3339), "description": "*", "source": "*"} {
		if got := c.Config.Labels["org.opencontainers.image."+label]; got != want && (want != "*" || got == "") {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	// The archive is the same image, packed in another way.
	root := filepath.Join(t.TempDir(), "root")
	inArchive, files := unpack(t, filepath.Join(out, "fedns-linux-"+runtime.GOARCH+".tar"), root)
	// One name: of several, the order would differ from run to run.
	if want := "localhost/fedns:v1.2.3"; !slices.Equal(inArchive.RepoTags, []string{want}) || !strings.Contains(inArchive.Config, strings.TrimPrefix(m.Config.Digest, "sha256:")) {
		t.Errorf("the archive has %+v, want %s and the ID %s", inArchive, want, m.Config.Digest)
	}
	if !slices.Equal(inArchive.diffIDs, c.RootFS.DiffIDs) {
		t.Errorf("layers of the archive: %v, of the layout: %v", inArchive.diffIDs, c.RootFS.DiffIDs)
	}
	var names []string
	for _, h := range files {
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o7022 != 0 || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir || !h.ModTime.Equal(c.Created) {
			t.Errorf("%s: %+v", h.Name, h)
		}
		capability := h.PAXRecords["SCHILY.xattr.security.capability"]
		if want := "\x00\x00\x00\x02\x00\x04" + strings.Repeat("\x00", 14); h.Name == "fedns" && capability != want || h.Name != "fedns" && capability != "" {
			t.Errorf("%s: capability %q", h.Name, capability)
		}
	}
	if want := []string{"etc/", "etc/group", "etc/passwd", "fedctl", "fedns", "fedsync", "licences/", "licences/LICENSE", "licences/modules"}; !slices.Equal(slices.Sorted(slices.Values(names)), want) {
		t.Errorf("it holds %v, want %v", names, want)
	}
	for _, p := range []string{"fedns", "fedsync", "fedctl"} {
		bare(t, filepath.Join(root, p))
	}
	t.Run("runs", func(t *testing.T) { runs(t, root) })
}

// An archive is one for docker load.
type archive struct {
	Config   string
	RepoTags []string
	Layers   []string
	diffIDs  []string
}

// unpack unpacks an archive's layers into a folder.
func unpack(t *testing.T, path, root string) (a archive, files []*tar.Header) {
	t.Helper()
	whole := map[string][]byte{}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if whole[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	a = unpacked[[]archive](t, whole["manifest.json"])[0]
	for _, layer := range a.Layers {
		z, err := gzip.NewReader(bytes.NewReader(whole[layer]))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		a.diffIDs = append(a.diffIDs, "sha256:"+hex.EncodeToString(sum[:]))
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, h)
			to := filepath.Join(root, h.Name)
			if h.Typeflag == tar.TypeDir {
				if err := os.MkdirAll(to, 0o755); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, content, h.FileInfo().Mode()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, files
}

// bare says that a program needs no libraries, and has nothing that only a debugger reads.
func bare(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s isn't static: %v", path, p.Type)
		}
	}
	for _, s := range f.Sections {
		if s.Name == ".symtab" || strings.HasPrefix(s.Name, ".debug") || strings.HasPrefix(s.Name, ".zdebug") {
			t.Errorf("%s isn't stripped: %s", path, s.Name)
		}
	}
}

// runs starts what was unpacked with nothing around it, as the image's user, where nothing
// can be written.
func runs(t *testing.T, root string) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a process a root directory of its own")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no mounts of its own: %v: %s", err, out)
	}
	in := func(program string, args ...string) *exec.Cmd {
		script := `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65532:65532 --groups= "$0" "$@"`
		return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, root, program}, args...)...)
	}
	for _, p := range []string{"/fedns", "/fedsync", "/fedctl"} {
		if out, err := in(p, "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "v1.2.3") {
			t.Errorf("%s --version: %v\n%s", p, err, out)
		}
	}
	const folder = "zones/clusters/gce-us-central1-a"
	if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join(vector.Root(), folder))); err != nil {
		t.Fatal(err)
	}
	port := vector.Port(t)
	corefile := fmt.Sprintf("example.com:%d {\nbind 127.0.0.1\nfederation myfederation {\ncluster a {\nmanifests /%s\n}\n}\n}\n", port, folder)
	if err := os.WriteFile(filepath.Join(root, "Corefile"), []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
	// Its working directory is /, and there the Corefile is found.
	cmd := in("/fedns")
	var log server.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	done, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("fedns printed:\n%s", log.String())
		}
	}()
	question := new(dns.Msg).SetQuestion("nginx.mynamespace.myfederation.svc.example.com.", dns.TypeA)
	server.Eventually(t, 30*time.Second, "fedns answers", func() bool {
		m, err := dns.Exchange(question, fmt.Sprint("127.0.0.1:", port))
		return err == nil && len(server.Addrs(m)) == 1
	})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil || !strings.Contains(string(status), "Uid:\t65532\t65532\t65532\t65532") {
		t.Errorf("it isn't 65532: %v\n%s", err, status)
	}
}

// TestTwice: the image is the same to the byte, from another directory too, and so is what
// is said to be in it.
func TestTwice(t *testing.T) {
	if !*twice {
		t.Skip("it builds everything for two platforms, twice; make e2e-image does it")
	}
	args := []string{"-cyclonedx", *cyclonedx}
	first := made(t, vector.Root(), args...)
	there := filepath.Join(t.TempDir(), "elsewhere")
	copyTree(t, there)
	second := made(t, there, args...)
	one, two := sums(t, first), sums(t, second)
	for path, sum := range one {
		if two[path] != sum {
			t.Errorf("%s differs", path)
		}
	}
	if len(one) != len(two) {
		t.Errorf("%d files, then %d", len(one), len(two))
	}
	for _, want := range []string{"oci/index.json", "fedns-linux-amd64.tar", "fedns-linux-arm64.tar"} {
		if one[want] == "" {
			t.Errorf("there is no %s", want)
		}
	}
	symbols(t, filepath.Join(first, "programs", "linux-"+runtime.GOARCH, "fedns"))
	if *cyclonedx == "" {
		return
	}
	for _, p := range []string{"fedns", "fedsync", "fedctl"} {
		for _, arch := range []string{"amd64", "arm64"} {
			b, err := os.ReadFile(filepath.Join(first, "sbom", p+"-linux-"+arch+".cdx.json"))
			if err != nil {
				t.Fatal(err)
			}
			sbom := unpacked[struct {
				BomFormat  string
				Components []struct{ Name, Version string }
			}](t, b)
			if sbom.BomFormat != "CycloneDX" || len(sbom.Components) < 40 {
				t.Errorf("what %s is made of: %d components, %q", p, len(sbom.Components), sbom.BomFormat)
			}
		}
	}
}

// symbols says that the program as make build has it, which a debugger can read, is the same
// code at the same addresses as one that is stripped.
func symbols(t *testing.T, stripped string) {
	t.Helper()
	full := filepath.Join(t.TempDir(), "fedns")
	version, err := exec.Command("git", "-C", vector.Root(), "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version="+strings.TrimSpace(string(version)), "-o", full, "./cmd/fedns")
	cmd.Dir = vector.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := func(path string) (uint64, [sha256.Size]byte) {
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		text := f.Section(".text")
		b, err := text.Data()
		if err != nil {
			t.Fatal(err)
		}
		return text.Addr, sha256.Sum256(b)
	}
	at, sum := code(stripped)
	if fullAt, fullSum := code(full); at != fullAt || sum != fullSum {
		t.Error("make build of the same commit has other code: its symbols are of no use")
	}
}

// copyTree copies what git knows, or would take up, to another place. It is the same
// commit there.
func copyTree(t *testing.T, to string) {
	t.Helper()
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = vector.Root()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return string(out)
	}
	for name := range strings.SplitSeq(git("ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		from := filepath.Join(vector.Root(), name)
		info, err := os.Lstat(from)
		if name == "" || err != nil || !info.Mode().IsRegular() {
			continue // it is deleted, and not committed
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	dir := strings.TrimSpace(git("rev-parse", "--absolute-git-dir"))
	if err := os.WriteFile(filepath.Join(to, ".git"), []byte("gitdir: "+dir+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sums are the digests of all files below a folder.
func sums(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		out[path] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
