package demo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// telling runs a command as the Makefiles have long ones run, and gives what is said so far.
func telling(t *testing.T, command ...string) (*exec.Cmd, *server.Buffer) {
	t.Helper()
	out := &server.Buffer{}
	cmd := exec.Command("sh", append([]string{filepath.Join(vector.Root(), "test", "kube", "tell.sh"), "etcd (1 of 6)"}, command...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "EVERY=0.1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// What is built for minutes says that it is, and how long it took; it exits as the
// command did.
func TestTell(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "done")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, out := telling(t, "sh", "-c", `read line <"$0"; exit 3`, fifo)
	server.Eventually(t, time.Minute, "it says twice that it goes on", func() bool {
		return strings.HasPrefix(out.String(), "etcd (1 of 6): is being built\n") && strings.Count(out.String(), "is being built, for ") >= 2
	})
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 || !strings.Contains(out.String(), "etcd (1 of 6): could not be built, after ") {
		t.Errorf("exit %d, it says\n%s", cmd.ProcessState.ExitCode(), out)
	}
	cmd, out = telling(t, "true")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "etcd (1 of 6): built in ") {
		t.Errorf("%v, it says\n%s", err, out)
	}
}

// Ctrl-C leaves nothing that goes on building, or counting.
func TestTellInterrupted(t *testing.T) {
	cmd, out := telling(t, "sleep", "3600")
	server.Eventually(t, time.Minute, "it goes on", func() bool { return strings.Contains(out.String(), "for ") })
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it returns when nobody holds the pipe any more
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d\n%s", code, out)
	}
	server.Eventually(t, time.Minute, "nobody is left", func() bool { return syscall.Kill(-cmd.Process.Pid, 0) == syscall.ESRCH })
}

// What is typed fits into a terminal, and can be typed so.
func TestPrompt(t *testing.T) {
	for line, want := range map[string]string{
		"kubectl get pods": "$ kubectl get pods\n",
		"fedctl init myfederation --host-cluster-context=gce-europe-west1 --dns-zone-name=example.com --etcd-storage=none": "$ fedctl init myfederation --host-cluster-context=gce-europe-west1 \\\n    --dns-zone-name=example.com --etcd-storage=none\n",
		"kubectl annotate replicaset nginx --overwrite fedns.io/preferences='{\"rebalance\": true, \"clusters\": {}}'":     "$ kubectl annotate replicaset nginx --overwrite \\\n    fedns.io/preferences='{\"rebalance\": true, \"clusters\": {}}'\n",
		strings.Repeat("x", 100): "$ " + strings.Repeat("x", 100) + "\n",
	} {
		var out bytes.Buffer
		(&teller{out: &out}).prompt(line)
		if out.String() != want {
			t.Errorf("%s is shown as\n%swant\n%s", line, out.String(), want)
		}
	}
}

// What is kept can be looked at: the programs, the kubeconfigs, the servers and the logs
// are named, and how it ends.
func TestKept(t *testing.T) {
	var out bytes.Buffer
	w := &walk{teller: &teller{t: t, ctx: t.Context(), out: &out, dir: "/tmp/walk", bin: "/tmp/bin"}, ip: "127.0.0.1", port: 5353, status: "http://127.0.0.1:8053"}
	w.kept()
	for _, want := range []string{
		"export KUBECONFIG=/tmp/walk/config FEDNS_SERVER=http://127.0.0.1:8053 PATH=/tmp/bin:" + filepath.Join(vector.Root(), "bin", "kube") + ":$PATH",
		"kubectl --context=myfederation get clusters", "kubectl --context=gce-us-central1 get nodes",
		"dig @127.0.0.1 -p 5353 nginx.mynamespace.myfederation.svc.example.com", "fedctl explain nginx.mynamespace",
		"/tmp/walk/fedns.log", "/tmp/walk/fedsync.log", "Ctrl-C ends",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it doesn't say %q but\n%s", want, out.String())
		}
	}
}
