package tools

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stress runs a command beside busy loops, in a process group of its own.
func stress(t *testing.T, loops string, command ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	cmd := exec.Command(at("test", "tools", "stress.sh"), append([]string{loops}, command...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd, out
}

// busy counts who in a process group isn't asleep but for its leader.
func busy(t *testing.T, group int) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PPID PGRP ...
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if pid := filepath.Base(filepath.Dir(path)); fields[2] == strconv.Itoa(group) && fields[0] == "R" && pid != fields[2] {
			n++
		}
	}
	return n
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// As many loops as were asked for run beside a command, and end with it: when it passes,
// fails, is interrupted, or is killed. Its exit code is the only one.
func TestStress(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  syscall.Signal // 0: it ends by itself
		of   int            // -1: the process group, as Ctrl-C does; 1: the command alone
		code int
	}{
		{"passes", 0, 0, 0},
		{"fails", 0, 0, 3},
		{"Ctrl-C", syscall.SIGINT, -1, -1},
		{"is ended", syscall.SIGTERM, 1, -1},
		{"is killed", syscall.SIGKILL, 1, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "done")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd, out := stress(t, "3", "sh", "-c", `read line <"$0"; exit $1`, fifo, strconv.Itoa(max(tt.code, 0)))
			group := cmd.Process.Pid
			wait(t, "three are busy", func() bool { return busy(t, group) == 3 })
			if tt.end == 0 {
				if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
					t.Fatal(err)
				}
			} else if err := syscall.Kill(tt.of*group, tt.end); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit %d, want %d\n%s", code, tt.code, out)
			}
			wait(t, "nobody is left", func() bool { return syscall.Kill(-group, 0) == syscall.ESRCH })
		})
	}
}

// What can't be a number of loops starts nothing.
func TestStressRefused(t *testing.T) {
	for _, n := range []string{"many", "-1", "2.5"} {
		cmd, out := stress(t, n, "echo", "tests run")
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(out.String(), "STRESS="+n+": isn't a number") || strings.Contains(out.String(), "tests run") {
			t.Errorf("STRESS=%s: exit %d\n%s", n, code, out)
		}
	}
	if out, code := run(t, at(), nil, "make", "-n", "unit", "STRESS=8"); code != 0 || !strings.Contains(out, "test/tools/stress.sh 8 go test") {
		t.Errorf("make -n unit STRESS=8: exit %d\n%s", code, out)
	}
	if out, code := run(t, at(), nil, "make", "-n", "unit"); code != 0 || strings.Contains(out, "stress") {
		t.Errorf("make -n unit: exit %d\n%s", code, out)
	}
}
