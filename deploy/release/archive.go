package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// programs are what is made for servers; clients get fedctl.
var programs = []string{"fedns", "fedsync", "fedctl"}

// beside are the files that go with programs.
var beside = []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/reference/modules.md"}

// A file is one of an archive.
type file struct {
	path string
	mode fs.FileMode
	data []byte
}

// archives makes one of all programs for each platform, and one of fedctl for each of a client.
func (r *release) archives() error {
	for _, p := range r.platforms {
		if err := r.archive("fedns", p, programs); err != nil {
			return err
		}
	}
	for _, p := range slices.Concat(r.platforms, r.clients) {
		if err := r.archive("fedctl", p, []string{"fedctl"}); err != nil {
			return err
		}
	}
	return nil
}

// archiveOf is what the archive of a platform is called.
func (r *release) archiveOf(what, platform string) string {
	ending := ".tar.gz"
	if strings.HasPrefix(platform, "windows/") {
		ending = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s%s", what, r.version, strings.ReplaceAll(platform, "/", "_"), ending)
}

func (r *release) archive(what, platform string, programs []string) error {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is no platform such as linux/amd64", platform)
	}
	var files []file
	for _, p := range programs {
		binary, err := r.build(p, system, architecture)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		files = append(files, file{filepath.Base(binary), 0o755, content})
	}
	for _, path := range beside {
		content, err := os.ReadFile(filepath.Join(r.root, path))
		if err != nil {
			return err
		}
		files = append(files, file{filepath.Base(path), 0o644, content})
	}
	name := r.archiveOf(what, platform)
	if strings.HasSuffix(name, ".zip") {
		return r.zip(name, files)
	}
	return r.tar(name, files)
}

// build makes a program for a platform, once, without what only a debugger reads.
func (r *release) build(program, system, architecture string) (path string, err error) {
	dir, err := filepath.Abs(filepath.Join(r.out, ".programs", system+"-"+architecture))
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, program)
	if system == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, r.command([]string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + architecture},
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+r.tag(), "-o", path, "./cmd/"+program)
}

// tar writes an archive in which nothing but what is in the files differs from one to another.
func (r *release) tar(name string, files []file) (err error) {
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, in := range files {
		if err := t.WriteHeader(&tar.Header{Name: in.path, Mode: int64(in.mode), Size: int64(len(in.data)), ModTime: r.time, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := t.Write(in.data); err != nil {
			return err
		}
	}
	for _, c := range []func() error{t.Close, z.Close, f.Close} {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// zip is tar for systems whose users expect it.
func (r *release) zip(name string, files []file) error {
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	for _, in := range files {
		h := &zip.FileHeader{Name: in.path, Method: zip.Deflate, Modified: r.time}
		h.SetMode(in.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := w.Write(in.data); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
