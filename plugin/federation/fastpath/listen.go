package fastpath

import (
	"crypto/tls"
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
	"github.com/fedns/fedns/internal/dns/stream"
	"github.com/fedns/fedns/internal/dns/udp"
	"github.com/fedns/fedns/internal/dns/xdp"
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
	for _, network := range []string{"udp", "tcp"} {
		if local, _ := locate(inst, addr, network); local.IsValid() && len(sockets.Others(network, local)) > 0 {
			return true
		}
	}
	return false
}

// Listeners are the addresses with our own sockets on them. Its user locks it.
type Listeners struct {
	// server gives CoreDNS's server of an owner at an address, for which it may wait; nil: there
	// is none.
	server func(o *Owner, addr string) *dnsserver.Server
	// conns are the limits of connections, ended hears of those that were beyond them.
	conns func() sockets.ConnLimits
	ended func(why string)
	open  map[string]*listener
	// frames are those of interfaces that are answered before they come to the listeners.
	frames *xdp.Interfaces
	going  sync.WaitGroup // connections of what was closed
}

// NewListeners has none yet.
func NewListeners(server func(o *Owner, addr string) *dnsserver.Server, conns func() sockets.ConnLimits, ended func(why string)) *Listeners {
	return &Listeners{server: server, conns: conns, ended: ended, open: map[string]*listener{}, frames: xdp.New(tellBelow)}
}

// tellBelow says what has become of an interface whose frames are to be answered.
func tellBelow(name string, queues int, err error) {
	below.WithLabelValues(name).Set(float64(queues))
	if err != nil {
		observe.Log.Warningf("no XDP on %s: %v; sockets answer", name, err)
		return
	}
	observe.Log.Infof("XDP on %s, queues: %d", name, queues)
}

// A listener is one address with our own sockets on it, of one protocol. They outlive a reload:
// what answers is changed, the sockets stay.
type listener struct {
	datagrams *udp.Group // nil: there are connections
	streams   *stream.Group
	own       server
	leave     func() // of what comes below the datagrams' sockets
	others    int    // CoreDNS's own
	owners    []*Owner
	server    string // as metrics name it
}

// Listen has an address answered for all of fs that can. reason is why others can't,
// or, if it isn't on, why none can.
func (p *Listeners) Listen(inst *caddy.Instance, addr string, fs []*Owner, all []bypass.Block) (on bool, reason error) {
	listening.WithLabelValues(addr).Set(0)
	at := bypass.PlaceOf(addr)
	h := New(addr, processors())
	for i := range all {
		h.zones = append(h.zones, all[i].At(at)...)
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
			beside, why := bypass.Owns(all, f.Number, d.Name, at)
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
	if encrypted(at) && slices.ContainsFunc(all, func(b bypass.Block) bool { return len(b.At(at)) > 0 && b.Number != owners[0].Number }) {
		return false, errors.New("another server block answers there too")
	}
	if !encrypted(at) {
		h.addFiles(owners[0], all, at)
	}
	if h.server = p.server(owners[0], addr); h.server == nil {
		return false, errors.New("another server block has its say about what this address writes")
	}
	if err := h.Guard(owners); err != nil {
		return false, err
	}
	if encrypted(at) {
		n := 1
		var err error
		if by, ok := protocols[at.Transport]; ok {
			err = p.listenBy(by, inst, h, owners)
		} else {
			n, err = processors(), p.listenTCP(inst, h, owners, owners[0].secure(alpn))
		}
		if err != nil {
			return false, err
		}
		listening.WithLabelValues(addr).Set(1)
		observe.Log.Infof("fast path on %s, sockets: %d", addr, n)
		return true, reason
	}
	if err := p.listenUDP(inst, h, owners); err != nil {
		return false, err
	}
	err := p.listenTCP(inst, h, owners, nil)
	listening.WithLabelValues(addr).Set(1) // once connections have it, too: whoever reads that makes some
	observe.Log.Infof("fast path on %s, sockets: %d", addr, processors())
	if errors.Is(err, ErrShared) {
		return true, err
	} else if err != nil {
		observe.Log.Warningf("no fast path on %s for connections: %v; the plugin chain answers", addr, err)
	}
	return true, reason
}

// listenUDP has datagrams to the address of h answered.
func (p *Listeners) listenUDP(inst *caddy.Instance, h *Handler, owners []*Owner) error {
	local, others := locate(inst, h.addr, "udp")
	if !local.IsValid() {
		return errNoSocket
	}
	l, err := p.find("udp", local, others)
	if err != nil {
		return err
	}
	if l.datagrams != nil {
		l.datagrams.Handle(h)
	} else if l.datagrams, err = udp.Open(local, local.Addr().Zone(), others, processors(), h); err != nil {
		return err
	}
	p.below(inst, local, owners, h, l)
	p.keep("udp", local, l, owners, h)
	return nil
}

// listenTCP has connections to the address of h answered; with a configuration, encrypted ones.
func (p *Listeners) listenTCP(inst *caddy.Instance, h *Handler, owners []*Owner, secure *tls.Config) error {
	local, others := locate(inst, h.addr, "tcp")
	if !local.IsValid() {
		return errNoSocket
	}
	l, err := p.find("tcp", local, others)
	if err != nil {
		return err
	}
	s := p.service(h)
	s.TLS = secure
	if l.streams != nil {
		l.streams.Handle(s)
	} else if l.streams, err = stream.Open(local, local.Addr().Zone(), others, processors(), s); err != nil {
		return err
	}
	p.keep("tcp", local, l, owners, h)
	return nil
}

// below has what comes to an address by the interfaces that the owners name be answered before it comes to the
// listener's sockets.
func (p *Listeners) below(inst *caddy.Instance, local netip.AddrPort, owners []*Owner, h *Handler, l *listener) {
	var names []string
	for _, o := range owners {
		names = append(names, o.Interfaces...)
	}
	slices.Sort(names)
	l.leave = func() { p.frames.Leave(local) }
	p.frames.Listen(local, slices.Compact(names), xdp.Listener{Handler: h, Except: othersAt(inst, local.Port()), Later: l.datagrams.Later})
}

var errNoSocket = errors.New("CoreDNS has no socket there")

// service is how connections to the address of a handler are met.
func (p *Listeners) service(h *Handler) *stream.Service {
	limits := p.conns()
	s := &stream.Service{
		Handler: h.overStreams(processors(), h.server.IdleTimeout),
		Limits: stream.Limits{Question: h.server.ReadTimeout, Idle: h.server.IdleTimeout, Write: h.server.WriteTimeout,
			Queries: max(0, h.server.MaxTCPQueries), All: limits.All, Network: limits.Network},
		Ended: p.ended,
		Short: func(err error) {
			observe.Log.Errorf("connections to %s wait to be accepted: %v", h.addr, err)
		},
	}
	return s
}

// find gives the listener of a protocol at an address, with as many others beside it as there were; a
// new one is empty.
func (p *Listeners) find(network string, local netip.AddrPort, others int) (*listener, error) {
	key := network + " " + local.String()
	l := p.open[key]
	if l == nil && len(sockets.Others(network, local)) > 0 {
		return nil, ErrShared
	}
	if l != nil && l.others != others {
		// The kernel counts sockets in the order they were bound: ours come last again.
		l.close(&p.going)
		delete(p.open, key)
		l = nil
	}
	if l == nil {
		l = &listener{others: others}
	}
	return l, nil
}

// keep notes who answers at an address.
func (p *Listeners) keep(network string, local netip.AddrPort, l *listener, owners []*Owner, h *Handler) {
	l.owners, l.server = owners, h.addr
	p.open[network+" "+local.String()] = l
}

// Close closes the listeners whose owners have all gone. What connections to them have asked is answered
// still, beside all else.
func (p *Listeners) Close(gone func(*Owner) bool) {
	for key, l := range p.open {
		if l.left(gone) {
			delete(p.open, key)
			if l.datagrams == nil {
				p.going.Go(func() { l.close(&p.going) })
				continue
			}
			l.close(&p.going)
		}
	}
}

// End closes them when the process ends: connections first, since datagrams are answered to the last.
func (p *Listeners) End(gone func(*Owner) bool) {
	for key, l := range p.open {
		if l.datagrams == nil && l.left(gone) {
			delete(p.open, key)
			p.going.Go(func() { l.close(&p.going) })
		}
	}
	p.going.Wait()
	p.Close(gone)
}

// left says whether all owners of a listener have gone.
func (l *listener) left(gone func(*Owner) bool) bool {
	return !slices.ContainsFunc(l.owners, func(f *Owner) bool { return !gone(f) })
}

// close gives an address back. Connections that are there go on until they are quiet.
func (l *listener) close(going *sync.WaitGroup) {
	var err error
	if l.datagrams != nil || bypass.PlaceOf(l.server).Transport != transport.DNS {
		listening.WithLabelValues(l.server).Set(0)
	}
	switch {
	case l.datagrams != nil:
		l.leave() // which may want to answer later, by a socket
		err = l.datagrams.Close()
	case l.own != nil:
		err = l.own.leave(going)
	case l.streams != nil:
		err = l.streams.Leave()
		going.Go(l.streams.Wait)
	}
	if err != nil {
		observe.Log.Errorf("fast path on %s: %v", l.server, err)
	}
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
func locate(inst *caddy.Instance, addr, network string) (local netip.AddrPort, n int) {
	at := bypass.PlaceOf(addr)
	want, _ := netip.ParseAddr(at.Host)
	for _, s := range inst.Servers() {
		var a netip.AddrPort
		if u, ok := s.LocalAddr().(*net.UDPAddr); ok && network == "udp" {
			a = u.AddrPort()
		}
		if t, ok := s.Addr().(*net.TCPAddr); ok && network == "tcp" {
			a = t.AddrPort()
		}
		if !a.IsValid() || at.Port != "0" && fmt.Sprint(a.Port()) != at.Port {
			continue
		}
		ip := a.Addr().Unmap()
		if ip.WithZone("") != want.Unmap().WithZone("") && !(ip.IsUnspecified() && (at.Host == "" || want.IsUnspecified())) {
			continue
		}
		if n == 0 {
			local = netip.AddrPortFrom(ip, a.Port())
		}
		n++
	}
	return local, n
}

// othersAt are the addresses that a server of the Corefile is bound to, at a port: what comes there isn't for who is
// bound to all of them.
func othersAt(inst *caddy.Instance, port uint16) (out []netip.Addr) {
	for _, s := range inst.Servers() {
		if u, ok := s.LocalAddr().(*net.UDPAddr); ok && u.AddrPort().Port() == port && !u.IP.IsUnspecified() {
			out = append(out, u.AddrPort().Addr().Unmap().WithZone(""))
		}
	}
	return out
}

// AddressesOf are the addresses, as CoreDNS names its servers, at which a server
// block answers by transports that there is a fast path for.
func AddressesOf(keys []string, hosts []string) []string {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var out []string
	for _, k := range keys {
		trans, rest := coreparse.Transport(k)
		_, port, err := net.SplitHostPort(rest)
		if trans != transport.DNS && !encrypted(bypass.Place{Transport: trans}) || err != nil {
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
