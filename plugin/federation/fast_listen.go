package federation

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/nsid"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/dns/udp"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/observe"
)

var (
	errOff    = errors.New("it is off")
	errShared = errors.New("another process answers there too, and comes first until it ends")
)

// sharedWith says whether another process has sockets at the address of a server.
func sharedWith(inst *caddy.Instance, addr string) bool {
	host, port := bypass.ListenHost(addr)
	local, _ := locate(inst, host, port)
	return local != nil && len(sockets.Others("udp", local.AddrPort())) > 0
}

// listenAt has an address answered for all of fs that can. reason is why others can't,
// or, if it isn't on, why none can.
func (p *process) listenAt(inst *caddy.Instance, addr string, fs []*Federation, all []bypass.Block) (on bool, reason error) {
	fastPath.WithLabelValues(addr).Set(0)
	host, port := bypass.ListenHost(addr)
	h := &fast{addr: addr, chained: newQueue(processors())}
	for i := range all {
		h.zones = append(h.zones, all[i].At(host, port)...)
	}
	reason = errOff
	var owners []*Federation
	for _, f := range fs {
		if !slices.Contains(f.addresses, addr) || f.guards.slow {
			continue
		}
		if f.number >= len(all) {
			return false, errors.New("the Corefile has changed since it was read")
		}
		for _, d := range f.Domains {
			beside, why := bypass.Owns(all, f.number, d.Name, host, port)
			if why != "" {
				reason = errors.New(why)
				continue
			}
			needed, done, why := all[f.number].Needs(d.Name, caddy.ValidDirectives("dns"), observe.PluginName)
			if why != "" {
				reason = errors.New(why)
				continue
			}
			h.add(f, d, beside, needed, done)
			if !slices.Contains(owners, f) {
				owners = append(owners, f)
			}
		}
	}
	if len(h.domains) == 0 {
		return false, reason
	}
	if h.server = p.awaitServer(owners[0], addr); h.server == nil {
		return false, errors.New("another server block has its say about what this address writes")
	}
	local, others := locate(inst, host, port)
	if local == nil {
		return false, errors.New("CoreDNS has no socket there")
	}
	if err := h.guard(owners); err != nil {
		return false, err
	}
	n := processors()
	key := local.String()
	l := p.open[key]
	if l == nil && len(sockets.Others("udp", local.AddrPort())) > 0 {
		return false, errShared
	}
	if l != nil && l.others != others {
		// The kernel counts sockets in the order they were bound: ours come last again.
		l.close()
		delete(p.open, key)
		l = nil
	}
	if l != nil {
		l.group.Handle(h)
	} else {
		g, err := udp.Open(local.AddrPort(), local.Zone, others, n, h)
		if err != nil {
			return false, err
		}
		l = &fastListener{group: g, others: others}
		p.open[key] = l
	}
	l.owners, l.server = owners, addr
	fastPath.WithLabelValues(addr).Set(1)
	observe.Log.Infof("fast path on %s, sockets: %d", addr, n)
	return true, reason
}

// processors is how many sockets answer at once: as many as there are processors for
// Go. It gives Go one more. A goroutine that waits in a system call keeps its
// processor only while another is idle; else Go's monitor takes it away after 20 µs,
// again and again, and itself wakes up as often for as long: together 8% of a core.
var processors = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return n
})

// locate finds the address that a server of the Corefile is bound to, and how many
// sockets are.
func locate(inst *caddy.Instance, host, port string) (local *net.UDPAddr, n int) {
	want, _ := netip.ParseAddr(host)
	for _, s := range inst.Servers() {
		a, ok := s.LocalAddr().(*net.UDPAddr)
		if !ok || port != "0" && fmt.Sprint(a.Port) != port {
			continue
		}
		ip, _ := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ip != want.Unmap().WithZone("") && !(ip.IsUnspecified() && (host == "" || want.IsUnspecified())) {
			continue
		}
		if local == nil {
			local = &net.UDPAddr{IP: ip.AsSlice(), Port: a.Port, Zone: a.Zone}
		}
		n++
	}
	return local, n
}

// addressesOf are the addresses, as CoreDNS names its servers, at which a server
// block answers without encryption.
func addressesOf(keys []string, hosts []string) []string {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var out []string
	for _, k := range keys {
		trans, rest := coreparse.Transport(k)
		_, port, err := net.SplitHostPort(rest)
		if trans != transport.DNS || err != nil {
			continue
		}
		for _, h := range hosts {
			// As CoreDNS does it, zones of addresses included.
			a, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(h, port))
			if err != nil {
				continue // CoreDNS says so itself
			}
			if addr := trans + "://" + a.String(); !slices.Contains(out, addr) {
				out = append(out, addr)
			}
		}
	}
	return out
}

// identity is what the nsid plugin of a configuration says this server is.
func identity(cfg *dnsserver.Config) []byte {
	if n, ok := cfg.Handler("nsid").(nsid.Nsid); ok {
		return []byte(n.Data)
	}
	return nil
}

// countedBy are the zones that the prometheus plugin of a configuration counts by;
// nil: there is none.
func countedBy(cfg *dnsserver.Config) []string {
	if m, ok := cfg.Handler("prometheus").(*metrics.Metrics); ok {
		return m.ZoneNames()
	}
	return nil
}
