package registry

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/server"
)

// whole makes the API one of a federation with Orders, and all three clusters members.
func (w *world) whole(t *testing.T) {
	t.Helper()
	w.fed.Apply(t, deploy.Orders)
	w.fed.Apply(t, may)
	server.Eventually(t, while, "Orders are served", func() bool {
		_, err := w.admin.List(t.Context(), v1alpha1.Orders, "", "")
		return err == nil
	})
	for _, name := range []string{"paris", "lyon", "oslo"} {
		w.secret(t, name, w.kubeconfig(t, name))
		w.cluster(t, name, ``)
	}
}

// fedctl runs it in the federation's API; with flags of its own, as they say.
func (w *world) fedctl(t *testing.T, flags []string, args ...string) (out, stderr string, code int) {
	t.Helper()
	var errs server.Buffer
	out, code = w.fedctlTo(t, &errs, flags, args...)
	return out, errs.String(), code
}

// fedctlTo has it tell somebody who listens meanwhile.
func (w *world) fedctlTo(t *testing.T, errs *server.Buffer, flags []string, args ...string) (out string, code int) {
	t.Helper()
	bin, err := server.Build("fedctl")
	if err != nil {
		t.Error(err)
		return "", -1
	}
	if flags == nil {
		flags = []string{"--kubeconfig", w.fed.Kubeconfig, "--federation", "myfederation"}
	}
	cmd := exec.Command(bin, append(args, flags...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FEDNS_SERVER=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "FEDNS_SERVER=127.0.0.1:1") // nobody asks one that happens to run here
	var o bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Error(err)
		return "", -1
	}
	return o.String(), cmd.ProcessState.ExitCode()
}

// must runs it, and it has to work, and to say what is wanted and no warning.
func (w *world) must(t *testing.T, want string, args ...string) string {
	t.Helper()
	out, stderr, code := w.fedctl(t, nil, args...)
	if code != 0 || !strings.Contains(out+stderr, want) || strings.Contains(stderr, "hint") || strings.Contains(stderr, "going on without") || strings.Contains(stderr, "error") {
		t.Fatalf("fedctl %q: exit %d\n%s%swant %q", args, code, out, stderr, want)
	}
	return out
}

// fedctl gives orders to all servers in the API, finds them by itself, and has done so
// when all of them go by it.
func TestFedctl(t *testing.T) {
	w := newWorld(t)
	w.whole(t)
	fedctl := func(args ...string) (out, stderr string, code int) { t.Helper(); return w.fedctl(t, nil, args...) }
	must := func(want string, args ...string) { t.Helper(); w.must(t, want, args...) }
	if _, stderr, code := fedctl("down", "zone/eu-b", "--reason", "x"); code != 1 || !strings.Contains(stderr, "no server says that it follows federation myfederation") {
		t.Errorf("without a server: exit %d, %s", code, stderr)
	}
	one, two := start(t, w.corefile("")), start(t, w.corefile(""))
	is := func(want string) { // at once: what is reported is so
		t.Helper()
		for _, s := range []*running{one, two} {
			if got := s.ask("web"); got != want {
				t.Errorf("web is %s, want %s", got, want)
			}
		}
	}
	for _, s := range []*running{one, two} {
		s.becomes("web", everywhere)
	}
	server.Eventually(t, while, "both servers say that they are there", func() bool { return len(w.servers(t)) == 2 })

	if _, stderr, code := fedctl("down", "zone/eu-b", "--reason", "x"); code != 1 || !strings.Contains(stderr, "would leave 1 service without any shard: ") {
		t.Errorf("refused: exit %d, %s", code, stderr)
	}
	if _, stderr, code := fedctl("drain", "zone/nowhere", "--reason", "x"); code != 1 || !strings.Contains(stderr, "it knows no zone/nowhere; known: ") {
		t.Errorf("mistyped: exit %d, %s", code, stderr)
	}
	is(everywhere)
	must("in force in 2 servers", "down", "zone/eu-b", "--reason", "fire", "--force")
	is(others)
	must("in force in 2 servers", "drain", "zone/eu-b", "--reason", "again", "--force") // in its place
	if all, err := w.admin.List(t.Context(), v1alpha1.Orders, "", ""); err != nil || len(all) != 1 {
		t.Errorf("%d Orders, %v", len(all), err)
	}
	must("2 of 2", "overrides")
	must("taken back", "undrain", "zone/eu-b")
	is(everywhere)
	must("cluster/oslo is in no answer any more", "drain", "cluster/oslo", "--reason", "kernel upgrade", "--force", "--for", "1h")
	is(both)
	must("cluster/oslo", "overrides")
	must("spec.drain taken back", "undrain", "cluster/oslo")
	for _, s := range []*running{one, two} {
		s.becomes("web", everywhere)
	}
	if all, err := w.admin.List(t.Context(), builtin.Leases, v1alpha1.System, ""); err != nil || len(all) != 2 {
		t.Errorf("%d Leases, %v", len(all), err)
	}
}
