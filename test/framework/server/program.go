package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
)

// Program runs somebody else's program until the test ends, and shows what it printed
// if the test fails. The program must stay in the foreground.
func Program(t testing.TB, name string, args ...string) (log *Buffer) {
	t.Helper()
	cmd := exec.Command(name, args...)
	log = &Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	done, err := vector.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(name), log.String())
		}
	})
	return log
}

// Tool finds a program of others.
func Tool(t testing.TB, name string) string {
	t.Helper()
	p := find(name)
	if p == "" {
		t.Fatalf("%s is not installed\nhint: run make peers", name)
	}
	return p
}

// Rare is Tool for a program that is one of several that do the same: without it the
// test is skipped.
func Rare(t testing.TB, name string) string {
	t.Helper()
	p := find(name)
	if p == "" {
		t.Skipf("%s is not installed; make peers does it", name)
	}
	return p
}

func find(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // not in everybody's PATH
		if p := filepath.Join(dir, name); executable(p) {
			return p
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
