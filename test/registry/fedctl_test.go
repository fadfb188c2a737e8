package registry

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/serve"
)

// fedctl gives orders to all servers in the API, finds them by itself, and has done so
// when all of them go by it.
func TestFedctl(t *testing.T) {
	bin, err := serve.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.fed.Apply(t, deploy.Orders)
	w.fed.Apply(t, may)
	serve.Eventually(t, while, "Orders are served", func() bool {
		_, err := w.admin.List(t.Context(), fedapi.Orders, "", "")
		return err == nil
	})
	for _, name := range []string{"paris", "lyon", "oslo"} {
		w.secret(t, name, w.kubeconfig(t, name))
		w.cluster(t, name, ``)
	}
	fedctl := func(args ...string) (out, stderr string, code int) {
		t.Helper()
		cmd := exec.Command(bin, append(args, "--kubeconfig", w.fed.Kubeconfig, "--federation", "myfederation")...)
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "FEDNS_SERVER=") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return o.String(), e.String(), cmd.ProcessState.ExitCode()
	}
	must := func(want string, args ...string) {
		t.Helper()
		out, stderr, code := fedctl(args...)
		if code != 0 || !strings.Contains(out+stderr, want) || strings.Contains(stderr, "hint") || strings.Contains(stderr, "going on without") {
			t.Fatalf("fedctl %q: exit %d\n%s%swant %q", args, code, out, stderr, want)
		}
	}
	if _, stderr, code := fedctl("down", "zone/eu-b", "--reason", "x"); code != 1 || !strings.Contains(stderr, "no server says that it follows federation myfederation") {
		t.Errorf("without a server: exit %d, %s", code, stderr)
	}
	one, two := start(t, w.corefile("")), start(t, w.corefile(""))
	is := func(want string) { // at once: what is reported is so
		t.Helper()
		for _, s := range []*server{one, two} {
			if got := s.ask("web"); got != want {
				t.Errorf("web is %s, want %s", got, want)
			}
		}
	}
	for _, s := range []*server{one, two} {
		s.becomes("web", everywhere)
	}
	serve.Eventually(t, while, "both servers say that they are there", func() bool { return len(w.servers(t)) == 2 })

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
	if all, err := w.admin.List(t.Context(), fedapi.Orders, "", ""); err != nil || len(all) != 1 {
		t.Errorf("%d Orders, %v", len(all), err)
	}
	must("2/2", "overrides")
	must("taken back", "undrain", "zone/eu-b")
	is(everywhere)
	must("cluster/oslo is in no answer any more", "drain", "cluster/oslo", "--reason", "kernel upgrade", "--force", "--for", "1h")
	is(both)
	must("Cluster oslo", "overrides")
	must("spec.drain taken back", "undrain", "cluster/oslo")
	for _, s := range []*server{one, two} {
		s.becomes("web", everywhere)
	}
	if all, err := w.admin.List(t.Context(), kube.Leases, fedapi.System, ""); err != nil || len(all) != 2 {
		t.Errorf("%d Leases, %v", len(all), err)
	}
}
