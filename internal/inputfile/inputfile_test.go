//go:build unix

package inputfile_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fedns/fedns/internal/inputfile"
)

func TestRead(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("plain"), []byte("12345"), 0o600))
	must(os.WriteFile(filepath.Join(other, "secret"), []byte("secret"), 0o600))
	// As Kubernetes mounts a ConfigMap.
	must(os.Mkdir(at("..2026"), 0o755))
	must(os.WriteFile(at("..2026/key"), []byte("value"), 0o600))
	must(os.Symlink("..2026", at("..data")))
	must(os.Symlink("..data/key", at("key")))
	must(os.Symlink(filepath.Join(other, "secret"), at("away")))
	must(os.Symlink("../"+filepath.Base(other)+"/secret", at("up")))
	must(os.Symlink("nothing", at("dangling")))
	must(os.Symlink(at("plain"), at("spelled")))
	must(syscall.Mkfifo(at("pipe"), 0o600))
	must(os.Symlink("pipe", at("piped")))
	must(os.Mkdir(at("folder"), 0o755))
	// Sockets have short names.
	if l, err := net.Listen("unix", at("s")); err == nil {
		defer l.Close()
	}
	for _, tt := range []struct {
		name string
		most int64
		want string // what is read, or a part of the error behind "!"
	}{
		{"plain", 5, "12345"},
		{"plain", 4, "!plain: has more than 4 bytes"},
		{"key", 10, "value"},
		{"spelled", 5, "12345"},
		{"away", 10, "!away: is a link that leads out of its folder"},
		{"up", 10, "!up: is a link that leads out of its folder"},
		{"dangling", 10, "!no such file"},
		{"none", 10, "!no such file"},
		{"no/folder", 10, "!no such file"},
		{"pipe", 10, "!pipe: is a named pipe, not a regular file"},
		{"piped", 10, "!piped: is a named pipe, not a regular file"},
		{"folder", 10, "!folder: is a directory, not a regular file"},
	} {
		got, err := inputfile.Read(at(tt.name), tt.most)
		why, wrong := strings.CutPrefix(tt.want, "!")
		switch {
		case !wrong && (err != nil || string(got) != tt.want):
			t.Errorf("%s: %q, %v", tt.name, got, err)
		case wrong && (err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), at(tt.name))):
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, why)
		case strings.Contains(why, "no such") && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %v isn't fs.ErrNotExist", tt.name, err)
		}
	}
	if got, err := inputfile.Read("/dev/null", 10); err == nil || !strings.Contains(err.Error(), "a device") {
		t.Errorf("/dev/null: %q, %v", got, err)
	}
}
