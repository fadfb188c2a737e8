package pull

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/vector"
)

var (
	old   = flag.String("old", "", "a fedsync of an older version that knows --pull, to run beside this one")
	older = flag.String("older", "", "a fedsync of an older version, with or without --pull, to take turns with this one")
)

// TestOlderAgent is what comes of two versions of fedsync, one in the cluster that pulls and one that plans, either way:
// what is to be there is there, and stays as it is.
func TestOlderAgent(t *testing.T) {
	if *old == "" {
		t.Skip("-old FILE names a fedsync of an older version")
	}
	b := cluster.New(t)
	all := b.Members(t, "paris", "tokyo")
	paris, tokyo := all[0], all[1]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	fed := b.API(t, "federation")
	w := newWorld(t, fed, paris, tokyo)
	w.fedctl(t, "init", "prod", "--api", "federation", "--dns-zone-name", "example.com")
	w.fedctl(t, "join", "paris", "--token-life", "0")
	w.fedctl(t, "join", "tokyo", "--pull")
	asFedsync := *fed
	asFedsync.Kubeconfig = account(t, fed, "fedsync")
	w.Fed = &asFedsync
	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	fed.Apply(t, shop)
	uid := ""
	for n, pair := range []struct{ name, plans, pulls string }{{"an older agent", bin, *old}, {"an older loop", *old, bin}, {"as before", bin, *old}} {
		w.Cmd, w.Done = w.Launch(t, pair.plans, "--lease", "0", "--listen", fmt.Sprint("127.0.0.1:", vector.Port(t)))
		a := w.agentOf(t, pair.pulls, "tokyo")
		color := fmt.Sprint("color", n)
		merge(t, fed, builtin.ConfigMaps, "shop", "settings", fmt.Sprintf(`{"data":{"color":%q}}`, color))
		name := fmt.Sprint("only", n)
		fed.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+", namespace: shop}\n")
		for _, c := range all {
			eventually(t, c, builtin.ConfigMaps, "shop", "settings", "data/color", color)
			eventually(t, c, builtin.ConfigMaps, "shop", name, "metadata/name", name)
		}
		w.settled(t)
		if err := api(t, fed).Delete(t.Context(), builtin.ConfigMaps, "shop", name, ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range append(all, fed) {
			eventually(t, c, builtin.ConfigMaps, "shop", name, "metadata/name", "")
		}
		eventually(t, fed, v1alpha1.Placements, "shop", "deployment.web", "status/state", "Applied")
		stands := func() string {
			return field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/generation") + " " + field(t, tokyo, builtin.Deployments, "shop", "web", "spec/replicas") + " " +
				field(t, tokyo, builtin.ConfigMaps, "shop", "settings", "metadata/resourceVersion")
		}
		now := field(t, tokyo, builtin.Deployments, "shop", "web", "metadata/uid")
		if uid == "" {
			uid = now
		}
		before := stands()
		time.Sleep(10 * time.Second) // that nothing happens, only time can show
		if after := stands(); now != uid || after != before {
			t.Errorf("%s: web is %s and was %s; tokyo was %s, and is %s", pair.name, now, uid, before, after)
		}
		a.kill()
		w.Kill()
	}
}

// TestOlderLoop is what comes of two versions that take turns over one federation, each killed while the other stands by.
func TestOlderLoop(t *testing.T) {
	if *older == "" {
		t.Skip("-older FILE names a fedsync of an older version")
	}
	b := cluster.New(t)
	all := b.Members(t, "paris", "tokyo")
	paris, tokyo := all[0], all[1]
	paris.AddNode(t, "n1", "eu", "eu-a")
	tokyo.AddNode(t, "n1", "ap", "ap-a")
	fed := b.API(t, "federation")
	w := newWorld(t, fed, paris, tokyo)
	w.fedctl(t, "init", "prod", "--api", "federation", "--dns-zone-name", "example.com")
	for _, c := range all {
		w.fedctl(t, "join", c.Name, "--token-life", "0", "--all-namespaces")
	}
	bin, err := federation.Binary()
	if err != nil {
		t.Fatal(err)
	}
	fed.Apply(t, shop)
	// The generation of a Deployment counts changes of its annotations, too, in which each version keeps account in its own way.
	stands := func() (out string) {
		for _, c := range all {
			for _, path := range []string{"metadata/uid", "spec"} {
				out += field(t, c, builtin.Deployments, "shop", "web", path) + " "
			}
		}
		return out
	}
	begin := func(bin string) (end func()) {
		cmd, gone := w.Launch(t, bin, "--listen", fmt.Sprint("127.0.0.1:", vector.Port(t)))
		end = func() { _ = cmd.Process.Kill(); <-gone } // it may have ended by itself
		t.Cleanup(end)
		return end
	}
	end := begin(*older)
	w.settled(t)
	before := stands()
	for n, next := range []string{bin, *older, bin, *older} {
		other := begin(next)
		time.Sleep(3 * time.Second) // that both are there and one leads, only time can show
		end()
		end = other
		color := fmt.Sprint("color", n)
		merge(t, fed, builtin.ConfigMaps, "shop", "settings", fmt.Sprintf(`{"data":{"color":%q}}`, color))
		for _, c := range all {
			eventually(t, c, builtin.ConfigMaps, "shop", "settings", "data/color", color)
		}
		w.settled(t)
		time.Sleep(10 * time.Second) // as above
		if after := stands(); after != before {
			t.Errorf("turn %d: web was %s, and is %s", n, before, after)
		}
	}
}
