package live

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// healed bounds how long a cluster that is back may look gone: its reader's
// longest pause between two calls, and a busy machine on top.
const healed = 15 * time.Second

// What goes wrong with a cluster takes nothing of it out of the answers, and
// what it is goes into the log and the metrics. Three clusters stand for all the
// faults, one after another; each has a fedns of its own.
func TestFaults(t *testing.T) {
	cs := cluster.New(t).APIs(t, "paris", "lyon", "oslo")
	paris, lyon, oslo := cs[0], cs[1], cs[2]
	web(t, paris, "eu", "eu-a", "192.0.2.1")
	web(t, lyon, "eu", "eu-b", "192.0.2.2")
	web(t, oslo, "no", "no-a", "192.0.2.3")
	all := members(t, paris, lyon, oslo)
	const everywhere = "192.0.2.1 192.0.2.2 192.0.2.3"
	healthy := func(t *testing.T) (*server.Server, view) {
		t.Helper()
		s := server.Start(t, corefile(all...))
		v := view{s, "web.shop", "svc"}
		v.is(t, everywhere, "global")
		return s, v
	}

	t.Run("unreachable at the start", func(t *testing.T) {
		oslo.Kill(t)
		if _, err := server.Binary(); err != nil { // built before the clock starts
			t.Fatal(err)
		}
		launched := time.Now()
		s := server.Launch(t, corefile(all...))
		v := view{s, "web.shop", "svc"}
		listening(t, s)
		v.becomes(t, 3*time.Second, "192.0.2.1 192.0.2.2", "eu", "global")
		v.is(t, "192.0.2.1", "eu-a", "eu-a.eu")
		v.is(t, "SERVFAIL", "no", "no-a") // who knows?
		view{s, "api.shop", "svc"}.is(t, "SERVFAIL", "global", "eu")
		if ready(t, s) {
			t.Error("ready at once, although a cluster may still come")
		}
		logs(t, s, 3*time.Second, "cluster oslo: unreachable")
		s.WaitReady(t)
		// Not before; and what it had waited for is said at its end.
		if took := time.Since(launched); took < 9*time.Second {
			t.Errorf("ready after %v, want the grace of 10 s", took)
		}
		logs(t, s, time.Second, "cluster oslo: not listed within 10s")
		v.becomes(t, time.Second, "NXDOMAIN", "no", "no-a")
		view{s, "api.shop", "svc"}.is(t, "NXDOMAIN", "global", "eu")
		oslo.Start(t)
		v.becomes(t, healed, "192.0.2.3", "no-a", "no")
		v.is(t, everywhere, "global")
		logs(t, s, time.Second, "cluster oslo: back after")
	})

	t.Run("killed and started again", func(t *testing.T) {
		s, v := healthy(t)
		v.while(t, func() {
			lyon.Kill(t)
			logs(t, s, healed, "cluster lyon: unreachable")
			lyon.Start(t)
		}, "192.0.2.2", "eu-b", "eu-b.eu")
		v.is(t, everywhere, "global")
		lyon.Expose(t, "shop", "web", "192.0.2.22")
		v.becomes(t, healed, "192.0.2.22", "eu-b")
		lyon.Expose(t, "shop", "web", "192.0.2.2")
		v.becomes(t, prompt, "192.0.2.2", "eu-b")
		logs(t, s, time.Second, "cluster lyon: back after")
		if n := errorsOf(t, s, "lyon", "unreachable"); n == 0 {
			t.Error("no call to lyon is counted as unreachable")
		}
	})

	t.Run("paused", func(t *testing.T) {
		_, v := healthy(t)
		paris.Pause()
		defer paris.Resume()
		end := time.Now().Add(2 * time.Second)
		v.while(t, func() {
			server.Eventually(t, 3*time.Second, "two seconds", func() bool { return time.Now().After(end) })
		}, "192.0.2.1", "eu-a")
		paris.Resume()
		paris.Expose(t, "shop", "web", "192.0.2.11")
		v.becomes(t, prompt, "192.0.2.11", "eu-a")
		paris.Expose(t, "shop", "web", "192.0.2.1")
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
	})

	t.Run("credentials revoked", func(t *testing.T) {
		s, v := healthy(t)
		v.while(t, func() {
			oslo.Revoke(t) // the open watches go on, so they are broken
			oslo.Kill(t)
			oslo.Start(t)
			logs(t, s, healed, "cluster oslo: forbidden")
			oslo.Expose(t, "shop", "web", "192.0.2.33") // which fedns may not know
		}, "192.0.2.3", "no-a", "no")
		v.is(t, everywhere, "global")
		if n := errorsOf(t, s, "oslo", "forbidden"); n == 0 {
			t.Error("no call to oslo is counted as forbidden")
		}
		oslo.Restore(t)
		v.becomes(t, healed, "192.0.2.33", "no-a", "no")
		logs(t, s, healed, "cluster oslo: back after")
		if n := strings.Count(s.Log(), "cluster oslo: forbidden"); n > 2 {
			t.Errorf("the log says %d times that oslo is forbidden", n)
		}
		oslo.Expose(t, "shop", "web", "192.0.2.3")
		v.becomes(t, prompt, "192.0.2.3", "no-a")
	})

	t.Run("reload while one is down", func(t *testing.T) {
		s, v := healthy(t)
		lyon.Kill(t)
		v.while(t, func() {
			s.Reload(t)
			logs(t, s, 20*time.Second, "Reloading complete")
		}, everywhere, "global")
		v.is(t, "192.0.2.2", "eu-b", "eu-b.eu")
		v.is(t, "NXDOMAIN", "eu-c")
		lyon.Start(t)
		lyon.Expose(t, "shop", "web", "192.0.2.22")
		v.becomes(t, healed, "192.0.2.22", "eu-b")
		lyon.Expose(t, "shop", "web", "192.0.2.2")
		v.becomes(t, prompt, "192.0.2.2", "eu-b")
	})

	t.Run("reload without a member", func(t *testing.T) {
		s, v := healthy(t)
		s.Write(t, corefile(all[0], all[2]))
		s.Reload(t)
		v.becomes(t, healed, "192.0.2.1 192.0.2.3", "global")
		v.becomes(t, healed, "NXDOMAIN", "eu-b")
		s.Write(t, corefile(all...))
		s.Reload(t)
		v.becomes(t, healed, everywhere, "global")
		v.is(t, "192.0.2.2", "eu-b")
	})

	t.Run("reload of a broken Corefile", func(t *testing.T) {
		s, v := healthy(t)
		broken := all[1]
		broken.kubeconfig += ".gone"
		s.Write(t, corefile(all[0], broken))
		v.while(t, func() {
			s.Reload(t)
			logs(t, s, 10*time.Second, `cluster "lyon": kubeconfig: stat `+broken.kubeconfig)
		}, everywhere, "global")
		paris.Expose(t, "shop", "web", "192.0.2.11")
		v.becomes(t, prompt, "192.0.2.11", "eu-a") // the old one goes on, and follows
		paris.Expose(t, "shop", "web", "192.0.2.1")
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
	})

	t.Run("changes missed while cut off", func(t *testing.T) {
		l := connect(t, paris)
		far := all[0]
		far.kubeconfig = l.kubeconfig(t, far.kubeconfig)
		paris.Expose(t, "shop", "doomed", "192.0.2.9")
		slice(t, paris, "doomed", "x", "zone: eu-a")
		s := server.Start(t, corefile(far, all[1]))
		v, doomed, born := view{s, "web.shop", "svc"}, view{s, "doomed.shop", "svc"}, view{s, "born.shop", "svc"}
		doomed.is(t, "192.0.2.9", "eu-a")
		l.cut()
		logs(t, s, healed, "cluster paris: unreachable")
		if err := paris.Client.CoreV1().Services("shop").Delete(t.Context(), "doomed", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		paris.Expose(t, "shop", "web", "192.0.2.11")
		paris.Expose(t, "shop", "born", "192.0.2.8")
		slice(t, paris, "born", "x", "zone: eu-a")
		v.is(t, "192.0.2.1", "eu-a")
		doomed.is(t, "192.0.2.9", "eu-a")
		born.is(t, "NXDOMAIN", "eu-a")
		l.mend(t)
		doomed.becomes(t, healed, "NXDOMAIN", "eu-a", "eu", "global")
		v.becomes(t, healed, "192.0.2.11", "eu-a")
		born.becomes(t, healed, "192.0.2.8", "eu-a", "global")
		paris.Expose(t, "shop", "web", "192.0.2.1")
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
	})

	t.Run("nodes forbidden", func(t *testing.T) {
		rule := `{apiGroups: [""], resources: [%s], verbs: [get, list, watch]}`
		role := func(core string) {
			oslo.Apply(t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fedns}
rules:
- %s
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list, watch]}
`, fmt.Sprintf(rule, core)))
		}
		role("services")
		// The API server learns of its own roles a moment late.
		server.Eventually(t, prompt, "fedns may not list nodes", func() bool { return !may(t, oslo, "nodes") })
		placed := all[2]
		placed.more = "   region no\n   zones no-a\n"
		s := server.Start(t, corefile(all[0], all[1], placed))
		view{s, "web.shop", "svc"}.is(t, "192.0.2.3", "no-a", "no") // the Corefile says it all
		s.Stop()

		s = server.Start(t, corefile(all...))
		v := view{s, "web.shop", "svc"}
		v.is(t, everywhere, "global") // it counts, wherever it may be
		v.is(t, "NXDOMAIN", "no")
		logs(t, s, prompt, "cluster oslo: nodes: ")
		role("services, nodes")
		v.becomes(t, healed, "192.0.2.3", "no-a", "no")
	})

	t.Run("the kubeconfig is replaced", func(t *testing.T) {
		moving := all[0]
		moving.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
		copyFile(t, all[0].kubeconfig, moving.kubeconfig)
		l := connect(t, paris)
		s := server.Start(t, corefile(moving, all[1]))
		v := view{s, "web.shop", "svc"}
		v.while(t, func() {
			copyFile(t, l.kubeconfig(t, all[0].kubeconfig), moving.kubeconfig)
			logs(t, s, healed, "cluster paris: kubeconfig")
			server.Eventually(t, healed, "fedns calls the other address", func() bool { return l.calls() > 0 })
		}, "192.0.2.1", "eu-a")
		paris.Expose(t, "shop", "web", "192.0.2.11")
		v.becomes(t, healed, "192.0.2.11", "eu-a")
		paris.Expose(t, "shop", "web", "192.0.2.1")
		v.becomes(t, prompt, "192.0.2.1", "eu-a")
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}
