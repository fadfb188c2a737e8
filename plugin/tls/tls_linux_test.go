package tls

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNotRegular is that nobody waits for a pipe, that an endless file isn't read, and that links are followed, as those of
// who renews certificates are.
func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, most+1), 0o600); err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(dir, "live", "ns.example.com")
	if err := os.MkdirAll(live, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.Symlink(filepath.Join("..", "..", name), filepath.Join(live, name)); err != nil {
			t.Fatal(err)
		}
	}
	for block, want := range map[string]string{
		"tls pipe key.pem":               "pipe isn't a regular file",
		"tls cert.pem pipe":              "pipe isn't a regular file",
		"tls cert.pem key.pem /dev/zero": "/dev/zero isn't a regular file",
		"tls large key.pem":              "large has more than 1048576 bytes",
		"tls live/ns.example.com/cert.pem live/ns.example.com/key.pem": "",
	} {
		_, _, err := read(t, dir, block)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
}
