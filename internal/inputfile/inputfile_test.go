//go:build unix

package inputfile_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
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

// What is written on is a regular file of its folder, or is made one: nobody waits for a pipe to be read.
func TestAppend(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("plain"), []byte("1"), 0o600), syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("folder"), 0o755),
		os.Symlink(filepath.Join(other, "new"), at("away")), os.Symlink("plain", at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, want string }{
		{"plain", "12"}, {"new", "2"}, {"link", "122"}, {"pipe", "!pipe: "}, {"folder", "!folder: "}, {"away", "!away: "}, {"no/new", "!no such file"},
	} {
		f, err := inputfile.Append(at(tt.name))
		if part, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, not %q", tt.name, err, part)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		_, err = f.WriteString("2")
		if got, _ := os.ReadFile(at(tt.name)); err != nil || f.Close() != nil || string(got) != tt.want {
			t.Errorf("%s has %q, %v", tt.name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(other, "new")); err == nil {
		t.Error("a link has a file made elsewhere")
	}
}

// opens finds what opens a file by its name.
var opens = regexp.MustCompile(`\bos\.(Open|OpenFile|ReadFile|Create)\(`)

// Files that are opened otherwise than by this package, and why. A reader that has nobody wait, leads nowhere else and
// ends is one that nobody writes twice.
var elsewhere = map[string]string{
	"cmd/fedns/corefile.go":                   "the Corefile: who may write it says all that is done, and it may well be <(a pipe)",
	"internal/kube/kubeconfig/kubeconfig.go":  "of whoever types fedctl, and it may well be <(a pipe)",
	"internal/kube/kubeconfig/edit.go":        "a lock, which nobody else may have made",
	"internal/ctl/check.go":                   "a kubeconfig of whoever types fedctl",
	"internal/ctl/publish.go":                 "of whoever types fedctl, and it may well be <(a pipe)",
	"internal/ctl/restore.go":                 "of whoever types fedctl, and it may well be <(a pipe)",
	"internal/atomicfile/atomicfile.go":       "a folder, to have its names kept",
	"internal/atomicfile/lock_other.go":       "a lock, which nobody else may have made",
	"internal/atomicfile/lock_unix.go":        "a lock: nothing is read of it, and opened for both, no pipe has anybody wait",
	"internal/dns/sockets/sockets_linux.go":   "/proc",
	"internal/dns/sockets/privilege_linux.go": "/proc",
	"internal/dns/sockets/warden_linux.go":    "/proc",
	"internal/dnskey/generate.go":             "a key that is made, and mustn't be there",
}

func TestOneReader(t *testing.T) {
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	for _, folder := range []string{"cmd", "internal", "plugin"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(path)
			if !opens.Match(text) || strings.HasPrefix(name, "internal/inputfile/") {
				return err
			}
			found[name] = true
			if elsewhere[name] == "" {
				t.Errorf("%s opens a file by itself: inputfile does, or say here why not", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range elsewhere {
		if !found[name] {
			t.Errorf("%s opens no file any more", name)
		}
	}
}
