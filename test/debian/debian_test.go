// Package debian installs the Debian package in a folder.
package debian

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// build makes the package of a version.
func build(t *testing.T, version string) string {
	t.Helper()
	nfpm := filepath.Join(vector.Root(), "bin", "tools", "nfpm")
	if _, err := os.Stat(nfpm); err != nil {
		t.Fatalf("%v: run `make nfpm`", err)
	}
	out := t.TempDir()
	run(t, vector.Root(), "deploy/debian/build.sh", nfpm, version, "amd64", out)
	all, err := filepath.Glob(filepath.Join(out, "*.deb"))
	if err != nil || len(all) != 1 {
		t.Fatalf("there are %v, %v", all, err)
	}
	return all[0]
}

// The package in the life of a host: it is installed, its program answers, an upgrade keeps
// what the operator wrote, and a purge leaves nothing of its own.
func TestPackage(t *testing.T) {
	for _, tool := range []string{"dpkg", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " isn't here")
		}
	}
	first, second := build(t, "v0.1.0"), build(t, "v0.1.0-3-gabcdef")
	root := t.TempDir()
	admin := filepath.Join(root, "var", "lib", "dpkg")
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(admin, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(admin, "status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		t.Helper()
		return run(t, root, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-not-root"}, args...)...)
	}
	version := func() string { return run(t, root, filepath.Join(root, "usr", "bin", "fedns"), "--version") }

	dpkg("--install", first)
	if got := version(); !strings.Contains(got, "v0.1.0") {
		t.Errorf("it says %s", got)
	}
	corefile := filepath.Join(root, "etc", "fedns", "Corefile")
	if _, err := os.Stat(corefile); err == nil {
		t.Error("there is a Corefile that nobody wrote")
	}
	answers(t, root, corefile)

	dpkg("--install", second)
	if got := version(); !strings.Contains(got, "v0.1.0-3-gabcdef") {
		t.Errorf("after the upgrade it says %s", got)
	}
	if got := dpkg("--verify", "fedns"); strings.TrimSpace(got) != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	if _, err := os.Stat(corefile); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
	if out, err := exec.Command("dpkg", "--compare-versions", field(t, second), "gt", field(t, first)).CombinedOutput(); err != nil {
		t.Errorf("%s isn't newer than %s: %s", field(t, second), field(t, first), out)
	}

	dpkg("--purge", "fedns")
	left := run(t, root, "find", ".", "-path", "./var/lib/dpkg", "-prune", "-o", "-type", "f", "-print")
	if strings.TrimSpace(left) != "./etc/fedns/Corefile" {
		t.Errorf("after the purge there is\n%s", left)
	}
}

func field(t *testing.T, deb string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "", "dpkg-deb", "--field", deb, "Version"))
}

// answers writes a Corefile and a folder of manifests, and asks the program that is installed.
func answers(t *testing.T, root, corefile string) {
	t.Helper()
	vector.WriteManifest(t, filepath.Join(root, "manifests", "web.json"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "a"))
	port := vector.Port(t)
	text := fmt.Sprintf("example.com:%d {\n    bind 127.0.0.1\n    federation fed {\n        cluster a {\n            manifests %s\n            region eu\n            zones a\n        }\n    }\n}\n", port, filepath.Join(root, "manifests"))
	if err := os.WriteFile(corefile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("answers", func(t *testing.T) {
		server.Program(t, filepath.Join(root, "usr", "bin", "fedns"), "--conf", corefile)
		server.Eventually(t, time.Minute, "it answers", func() bool {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.fed.svc.example.com.", dns.TypeA), net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
			return err == nil && len(m.Answer) == 1
		})
	})
	if err := os.RemoveAll(filepath.Join(root, "manifests")); err != nil {
		t.Fatal(err)
	}
}

// The units are as confined as the manual says: 2.0 at the most.
func TestUnits(t *testing.T) {
	if out, err := exec.Command("systemd-analyze", "security", "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "--offline") {
		t.Skipf("systemd-analyze isn't here, or is too old: %v", err)
	}
	for _, unit := range []string{"fedns", "fedsync"} {
		out := run(t, vector.Root(), "systemd-analyze", "security", "--offline=true", "--threshold=20", filepath.Join("deploy", "debian", unit+".service"))
		if !strings.Contains(out, "Overall exposure level for "+unit) {
			t.Errorf("%s: %s", unit, out)
		}
	}
}
