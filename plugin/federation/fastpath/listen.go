package fastpath

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

// Why an address has no fast path.
var (
	ErrOff    = errors.New("it is off")
	ErrShared = errors.New("another process answers there too, and comes first until it ends")
)

// Shared says whether another process has sockets at the address of a server.
func Shared(inst *caddy.Instance, addr string) bool {
	host, port := bypass.ListenHost(addr)
	local, _ := locate(inst, host, port)
	return local != nil && len(sockets.Others("udp", local.AddrPort())) > 0
}

// Listeners are the addresses with our own sockets on them. Its user locks it.
type Listeners struct {
	// server gives CoreDNS's server of an owner at an address, for which it may wait; nil: there
	// is none.
	server func(o *Owner, addr string) *dnsserver.Server
	open   map[string]*listener
}

// NewListeners has none yet.
func NewListeners(server func(o *Owner, addr string) *dnsserver.Server) *Listeners {
	return &Listeners{server: server, open: map[string]*listener{}}
}

// A listener is one address with our own sockets on it. They outlive a reload: what
// answers is changed, the sockets stay.
type listener struct {
	group  *udp.Group
	others int // CoreDNS's own
	owners []*Owner
	server string // as metrics name it
}

// Listen has an address answered for all of fs that can. reason is why others can't,
// or, if it isn't on, why none can.
func (p *Listeners) Listen(inst *caddy.Instance, addr string, fs []*Owner, all []bypass.Block) (on bool, reason error) {
	listening.WithLabelValues(addr).Set(0)
	host, port := bypass.ListenHost(addr)
	h := New(addr, processors())
	for i := range all {
		h.zones = append(h.zones, all[i].At(host, port)...)
	}
	reason = ErrOff
	var owners []*Owner
	for _, f := range fs {
		if !slices.Contains(f.Addresses, addr) || f.Guards.Off {
			continue
		}
		if f.Number >= len(all) {
			return false, errors.New("the Corefile has changed since it was read")
		}
		for _, d := range f.Domains {
			beside, why := bypass.Owns(all, f.Number, d.Name, host, port)
			if why != "" {
				reason = errors.New(why)
				continue
			}
			needed, done, why := all[f.Number].Needs(d.Name, caddy.ValidDirectives("dns"), observe.PluginName)
			if why != "" {
				reason = errors.New(why)
				continue
			}
			h.Add(f, d, beside, needed, done)
			if !slices.Contains(owners, f) {
				owners = append(owners, f)
			}
		}
	}
	if len(h.domains) == 0 {
		return false, reason
	}
	if h.server = p.server(owners[0], addr); h.server == nil {
		return false, errors.New("another server block has its say about what this address writes")
	}
	local, others := locate(inst, host, port)
	if local == nil {
		return false, errors.New("CoreDNS has no socket there")
	}
	if err := h.Guard(owners); err != nil {
		return false, err
	}
	n := processors()
	key := local.String()
	l := p.open[key]
	if l == nil && len(sockets.Others("udp", local.AddrPort())) > 0 {
		return false, ErrShared
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
		l = &listener{group: g, others: others}
		p.open[key] = l
	}
	l.owners, l.server = owners, addr
	listening.WithLabelValues(addr).Set(1)
	observe.Log.Infof("fast path on %s, sockets: %d", addr, n)
	return true, reason
}

// Close closes the listeners whose owners have all gone.
func (p *Listeners) Close(gone func(*Owner) bool) {
	for key, l := range p.open {
		if !slices.ContainsFunc(l.owners, func(f *Owner) bool { return !gone(f) }) {
			l.close()
			delete(p.open, key)
		}
	}
}

func (l *listener) close() {
	if err := l.group.Close(); err != nil {
		observe.Log.Errorf("fast path on %s: %v", l.server, err)
	}
	listening.WithLabelValues(l.server).Set(0)
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

// AddressesOf are the addresses, as CoreDNS names its servers, at which a server
// block answers without encryption.
func AddressesOf(keys []string, hosts []string) []string {
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
