// Package netns makes network namespaces for tests.
package netns

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A Namespace is a network namespace without a name: it is a thread's, and goes with it and with
// the programs started there.
type Namespace struct {
	TID  int // of the thread
	work chan func()
}

// New makes one for a test, which is skipped where that can't be done.
func New(t testing.TB) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces can only be made by root")
	}
	n := &Namespace{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		n.TID = syscall.Gettid()
		made <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.work) })
	n.Run(t, "ip link set lo up")
	return n
}

// Do calls f in the namespace, and waits for it.
func (n *Namespace) Do(f func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done) // also where f ends the test
		f()
	}
	<-done
}

// Run runs a command there.
func (n *Namespace) Run(t testing.TB, command string) {
	t.Helper()
	if err := n.Try(command); err != nil {
		t.Fatal(err)
	}
}

// Try is Run of what may fail.
func (n *Namespace) Try(command string) (err error) {
	n.Do(func() { err = Here(command) })
	return err
}

// Here runs a command in the namespace of whoever calls.
func Here(command string) error {
	args := strings.Fields(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}

// Inside is a command that runs another in the namespace. Programs that last are started by
// a thread of their own, which isn't there.
func (n *Namespace) Inside() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/task/%d/ns/net", os.Getpid(), n.TID), "--"}
}
