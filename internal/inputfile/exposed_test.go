package inputfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExposed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o640: "",
		0o644: "can be read by everybody on this host (mode 0644): chmod 0640",
		0o604: "chmod 0600", 0o660: "is written by others than its owner, or may be (mode 0660): chmod 0640", 0o666: "chmod 0640", 0o602: "chmod 0600",
	} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if got := Exposed(file); want == "" && got != "" || !strings.Contains(got, want) || want != "" && !strings.HasPrefix(got, file) {
			t.Errorf("%o: %q, want %q", mode, got, want)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..data", "key"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "mounted")
	if err := os.Symlink("..data/key", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, filepath.Join(dir, "none")} {
		if got := Exposed(path); got != "" {
			t.Errorf("%s: %s", path, got)
		}
	}
}
