// Package release makes a release, and looks at what is in it.
package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/test/framework/vector"
)

var (
	whole     = flag.Bool("whole", false, "make all of it, for all platforms, twice")
	cyclonedx = flag.String("cyclonedx", "", "the `program` cyclonedx-gomod, for -whole")
)

const version = "0.2.0"

// release makes one of what is checked out, and gives its folder.
func release(t *testing.T, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "release")
	text, err := try(append([]string{"-dirty", "-version", version, "-out", out}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

func try(args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"run", "./deploy/release"}, args...)...)
	cmd.Dir = vector.Root()
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// sums are the checksums of all files of a folder, by name.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		out[e.Name()] = hex.EncodeToString(sum[:])
	}
	return out
}

// contents are the files of an archive.
func contents(t *testing.T, path string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if out[f.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// Each file of a release is what it says: programs that run and say their version, a chart that
// Helm takes, a manifest whose checksums are right, notes.
func TestRelease(t *testing.T) {
	here := runtime.GOOS + "/" + runtime.GOARCH
	args := []string{"-platforms", here, "-clients", ""} // for others all is compiled anew
	if *whole {
		nfpm := filepath.Join(vector.Root(), "bin", "tools", "nfpm")
		args = []string{"-nfpm", nfpm, "-cyclonedx", *cyclonedx}
	}
	dir := release(t, args...)
	got := sums(t, dir)
	listed, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(listed)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if n++; got[name] != sum {
			t.Errorf("SHA256SUMS says of %s %s; it is %s", name, sum, got[name])
		}
	}
	if n != len(got)-1 {
		t.Errorf("SHA256SUMS has %d of %d files", n, len(got)-1)
	}

	// The programs.
	archive := contents(t, filepath.Join(dir, fmt.Sprintf("fedns_%s_%s.tar.gz", version, strings.ReplaceAll(here, "/", "_"))))
	bin := t.TempDir()
	for _, p := range []string{"fedns", "fedsync", "fedctl"} {
		path := filepath.Join(bin, p)
		if err := os.WriteFile(path, archive[p], 0o755); err != nil {
			t.Fatal(err)
		}
		text, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(text), "v"+version) {
			t.Errorf("%s --version: %v, %s", p, err, text)
		}
	}
	for _, path := range []string{"LICENSE", "README.md", "CHANGELOG.md", "modules.md"} {
		if len(archive[path]) == 0 {
			t.Errorf("the archive has no %s", path)
		}
	}
	if *whole {
		client := contents(t, filepath.Join(dir, fmt.Sprintf("fedctl_%s_windows_amd64.zip", version)))
		if !bytes.HasPrefix(client["fedctl.exe"], []byte("MZ")) || len(client["fedns.exe"]) > 0 {
			t.Errorf("the client's archive has no fedctl.exe, or more programs")
		}
	}

	// The chart.
	chart := filepath.Join(dir, "fedns-chart-"+version+".tgz")
	said := string(contents(t, chart)["fedns/Chart.yaml"])
	if !strings.Contains(said, "version: "+version+"\n") || !strings.Contains(said, "appVersion: v"+version+"\n") {
		t.Errorf("the chart says\n%s", said)
	}
	helm := filepath.Join(vector.Root(), "bin", "tools", "helm")
	if text, err := exec.Command(helm, "template", "fedns", chart, "--set", "domain=example.com", "--set", "federation=fed").CombinedOutput(); err != nil || !strings.Contains(string(text), `image: "localhost/fedns:v`+version+`"`) {
		t.Errorf("helm: %v\n%.2000s", err, text)
	}

	// The manifest for krew.
	text, err := os.ReadFile(filepath.Join(dir, "fedns-krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var krew struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, ShortDescription string
			Platforms                 []struct {
				Selector         struct{ MatchLabels map[string]string }
				URI, SHA256, Bin string
				Files            []struct{ From, To string }
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &krew); err != nil && !strings.Contains(err.Error(), "unknown field") {
		t.Fatal(err)
	}
	if krew.Metadata.Name != "fedns" || krew.Spec.Version != "v"+version || len(krew.Spec.ShortDescription) > 50 {
		t.Errorf("krew: %+v", krew)
	}
	for _, p := range krew.Spec.Platforms {
		name := filepath.Base(p.URI)
		if got[name] == "" || got[name] != p.SHA256 || p.URI != "https://github.com/fedns/fedns/releases/download/v"+version+"/"+name {
			t.Errorf("krew: %s with %s; there is %s", p.URI, p.SHA256, got[name])
		}
		in := contents(t, filepath.Join(dir, name))
		for _, f := range p.Files {
			if len(in[f.From]) == 0 {
				t.Errorf("krew: %s has no %s", name, f.From)
			}
		}
		if !slices.ContainsFunc(p.Files, func(f struct{ From, To string }) bool { return f.From == p.Bin }) {
			t.Errorf("krew: %s isn't installed for %v", p.Bin, p.Selector.MatchLabels)
		}
	}
	notes, err := os.ReadFile(filepath.Join(dir, "NOTES.md"))
	if err != nil || !strings.HasPrefix(string(notes), "## "+version) || strings.Contains(string(notes), "## Unreleased") {
		t.Errorf("notes: %v, %.100s", err, notes)
	}

	if !*whole {
		return
	}
	if again := sums(t, release(t, args...)); fmt.Sprint(again) != fmt.Sprint(got) {
		for name, sum := range got {
			if again[name] != sum {
				t.Errorf("made again, %s differs", name)
			}
		}
	}
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	t.Logf("a release has\n%s", strings.Join(names, "\n"))
}

// What can't be made again, or isn't told of, isn't made.
func TestReleaseRefused(t *testing.T) {
	out := filepath.Join(t.TempDir(), "release")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, `-version "": it is to be a version such as 0.2.0`},
		{[]string{"-version", "v0.2.0"}, `-version "v0.2.0": it is to be a version such as 0.2.0`},
		{[]string{"-version", "0.1.7", "-dirty"}, "CHANGELOG.md says nothing of 0.1.7; it has Unreleased, 0.2.0"},
		{[]string{"-version", "0.2.0", "-dirty", "-platforms", "linux"}, `"linux" is no platform such as linux/amd64`},
	} {
		text, err := try(append(tt.args, "-out", out)...)
		if err == nil || !strings.Contains(text, tt.want) {
			t.Errorf("%q: %v, %s; want %q", tt.args, err, text, tt.want)
		}
	}
}
