package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// what a chart says of its versions.
var chartVersions = regexp.MustCompile(`(?m)^(version|appVersion): .*$`)

// chart packs the chart, with this version as its own and that of the image it asks for. Helm's
// own packing writes the time of day into it.
func (r *release) chart() error {
	root := filepath.Join(r.root, "deploy", "charts", "fedns")
	var files []file
	said := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if rel == "Chart.yaml" {
			content = chartVersions.ReplaceAllFunc(content, func(line []byte) []byte {
				said++
				if strings.HasPrefix(string(line), "app") {
					return []byte("appVersion: " + r.tag())
				}
				return []byte("version: " + r.version)
			})
		}
		files = append(files, file{"fedns/" + filepath.ToSlash(rel), 0o644, content})
		return nil
	})
	if err != nil {
		return err
	}
	if said != 2 {
		return errors.New("the chart's Chart.yaml doesn't say its version and appVersion, a line each")
	}
	// Helm reads the chart's own page first.
	slices.SortFunc(files, func(a, b file) int {
		if a.path == "fedns/Chart.yaml" {
			return -1
		}
		if b.path == "fedns/Chart.yaml" {
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	return r.tar(fmt.Sprintf("fedns-chart-%s.tgz", r.version), files)
}

// krew writes what kubectl's package manager installs fedctl by, as kubectl fedns.
func (r *release) krew() error {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: fedns
spec:
  version: %s
  homepage: https://github.com/fedns/fedns
  shortDescription: Federates clusters and explains their DNS
  description: |
    Joins clusters to a federation, drains them, explains why a name is
    answered as it is, and lists where federated objects stand.
  caveats: |
    fedns, which answers, and fedsync run in a cluster or on a host; see
    https://github.com/fedns/fedns/blob/main/docs/install.md
  platforms:
`, r.tag())
	for _, p := range slices.Concat(r.platforms, r.clients) {
		system, architecture, _ := strings.Cut(p, "/")
		name := r.archiveOf("fedctl", p)
		sum, err := sumOf(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		program := "fedctl"
		if system == "windows" {
			program += ".exe"
		}
		fmt.Fprintf(&b, `  - selector:
      matchLabels:
        os: %s
        arch: %s
    uri: %s/%s/%s
    sha256: %s
    bin: %s
    files:
    - from: %s
      to: .
    - from: LICENSE
      to: .
`, system, architecture, r.url, r.tag(), name, sum, program, program)
	}
	return os.WriteFile(filepath.Join(r.out, "fedns-krew.yaml"), []byte(b.String()), 0o644)
}

// packages makes those for Debian.
func (r *release) packages() error {
	if r.nfpm == "" {
		return nil
	}
	nfpm, err := filepath.Abs(r.nfpm)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(r.out)
	if err != nil {
		return err
	}
	for _, p := range r.platforms {
		if architecture, ok := strings.CutPrefix(p, "linux/"); ok {
			if err := r.command(nil, "deploy/debian/build.sh", nfpm, r.tag(), architecture, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// image makes that, as an OCI layout in one file, and lists what the programs are made of.
func (r *release) image() error {
	if r.cyclonedx == "" {
		return nil
	}
	cyclonedx, err := filepath.Abs(r.cyclonedx)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(r.root)
	if err != nil {
		return err
	}
	made, err := filepath.Abs(filepath.Join(r.out, ".image"))
	if err != nil {
		return err
	}
	if err := r.command(nil, "go", "run", "-C", "deploy/image", ".", "-root", root, "-out", made, "-platforms", strings.Join(r.platforms, ","), "-version", r.tag(), "-cyclonedx", cyclonedx); err != nil {
		return err
	}
	var files []file
	layout := filepath.Join(made, "oci")
	err = filepath.WalkDir(layout, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(layout, path)
		if err != nil {
			return err
		}
		files = append(files, file{filepath.ToSlash(rel), 0o644, content})
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.tar(fmt.Sprintf("fedns_%s_image.oci.tar.gz", r.version), files); err != nil {
		return err
	}
	lists, err := filepath.Glob(filepath.Join(made, "sbom", "*"))
	if err != nil {
		return err
	}
	for _, l := range lists {
		if err := os.Rename(l, filepath.Join(r.out, strings.Replace(filepath.Base(l), "-", "_"+r.version+"_", 1))); err != nil {
			return err
		}
	}
	return nil
}

// sums writes the checksums of all files, and takes away what they were made from.
func (r *release) sums() error {
	for _, dir := range []string{".programs", ".image"} {
		if err := os.RemoveAll(filepath.Join(r.out, dir)); err != nil {
			return err
		}
	}
	all, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range all {
		sum, err := sumOf(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, e.Name())
	}
	fmt.Print(b.String())
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// sumOf is the SHA-256 of a file, in hexadecimal.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
