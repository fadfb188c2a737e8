package operate

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
)

// operator builds fedctl once.
var operator = sync.OnceValues(func() (string, error) { return server.Build("fedctl") })

// fedctl runs fedctl on the federation's API, and gives what it prints and exits
// with.
func (w *world) fedctl(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	bin, err := operator()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"--kubeconfig", w.Fed.Kubeconfig, "--federation", "prod"}, args...)...)
	cmd.Env = append(os.Environ(), "FEDNS_SERVER=127.0.0.1:1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (w *world) must(t testing.TB, args ...string) string {
	t.Helper()
	out, stderr, code := w.fedctl(t, args...)
	if code != 0 {
		t.Fatalf("fedctl %q: exit %d\n%s%s", args, code, out, stderr)
	}
	return out
}
