package registry

import (
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/test/framework/server"
)

// Servers that start at different times name the same holder of a host that several claim: one that starts believes those
// that have been there, and not what objects say of their age.
func TestHoldersAgree(t *testing.T) {
	w := newWorld(t)
	const host, theirs, ours = "shop.example.com", "192.0.2.66", "192.0.2.14"
	claim := func(member, namespace, name, addr, zone string) {
		t.Helper()
		c := w.members[member]
		c.Expose(t, namespace, name, addr)
		c.Slice(t, namespace, name, zone, true)
		c.Kubectl(t, "-n", namespace, "annotate", "service", name, "fedns.io/hostname="+host)
	}
	claim("oslo", "evil", "old", theirs, "no-a") // the older one, of whom nobody knows yet
	claim("paris", "shop", "young", ours, "eu-a")
	w.whole(t)
	w.unjoin(t, "oslo")

	says := func(s *running, want string) {
		t.Helper()
		server.Eventually(t, while, host+" is "+want, func() bool { return slices.Equal(server.Addrs(s.Ask(t, host, dns.TypeA)), []string{want}) })
	}
	one := start(t, w.calm(""))
	says(one, ours)
	w.cluster(t, "oslo", ``)
	one.becomes("web", everywhere)
	server.Eventually(t, while, "its Lease says who holds what is claimed twice", func() bool {
		all := w.servers(t)
		return len(all) == 1 && all[0].Published != nil && all[0].Published.Holders[host] == "shop"
	})

	two := start(t, w.calm(""))
	two.becomes("web", everywhere)
	says(two, ours)
	says(one, ours)
	// The first one goes, however it goes, and comes back with nothing.
	one.Kill()
	w.forget(t, 1)
	server.Eventually(t, while, "the second one says so, too", func() bool {
		all := w.servers(t)
		return len(all) == 1 && all[0].Published != nil && all[0].Published.Holders[host] == "shop"
	})
	again := start(t, w.calm(""))
	again.becomes("web", everywhere)
	says(again, ours)
	says(two, ours)

	// With nobody there who knows, age is believed.
	two.Kill()
	again.Kill()
	w.forget(t, 0)
	last := start(t, w.calm(""))
	last.becomes("web", everywhere)
	says(last, theirs)
}

// forget removes the Leases of servers that are gone, as is done after an hour, but for those that were made last.
func (w *world) forget(t *testing.T, keep int) {
	t.Helper()
	all := w.servers(t)
	slices.SortFunc(all, func(a, b v1alpha1.Server) int { return b.Made.Compare(a.Made) })
	for _, s := range all[keep:] {
		if err := w.admin.Delete(t.Context(), builtin.Leases, "federation-system", s.Name, ""); err != nil {
			t.Fatal(err)
		}
	}
}
