package server

import (
	"fmt"
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
	return Spawn(t, name, args...).Log
}

// A Started is a program that runs.
type Started struct {
	Log  *Buffer // what it has printed
	cmd  *exec.Cmd
	done <-chan struct{}
}

// Spawn is Program for one that is killed before.
func Spawn(t testing.TB, name string, args ...string) *Started {
	t.Helper()
	cmd := exec.Command(name, args...)
	s := &Started{Log: &Buffer{}, cmd: cmd}
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	var err error
	if s.done, err = vector.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			s.Kill()
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(name), s.Log.String())
		}
	})
	return s
}

// Kill ends it without asking.
func (s *Started) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.done
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

// KnotConfig begins a configuration of Knot: where it listens, and keeps what it has. Its databases take
// room as large as they may become, so that is little.
func KnotConfig(dir, at string, port int) string {
	return fmt.Sprintf(`server:
    rundir: "%[1]s"
    listen: %[2]s@%[3]d
log:
  - target: stdout
    any: info
database:
    storage: "%[1]s"
    journal-db-max-size: 50M
    kasp-db-max-size: 50M
    timer-db-max-size: 50M
`, dir, at, port)
}

// BINDConfig begins a configuration of BIND: where it listens, and keeps what it has. It keeps out of everybody's way: no control
// channel, nothing of the system's. options are what there is to say more.
func BINDConfig(dir string, port int, options string) string {
	return fmt.Sprintf(`options {
  directory "%[1]s"; pid-file none; session-keyfile none; managed-keys-directory "%[1]s";
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  dnssec-validation no; notify no;
  %[3]s
};
controls { };
`, dir, port, options)
}
