package federation

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/nsid"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/dns/udp"
)

// listeners are the addresses whose questions are answered past CoreDNS's own
// sockets. They outlive a reload: what answers is changed, the sockets stay.
var listeners = struct {
	sync.Mutex
	open    map[string]*fastListener
	servers map[caddy.Context]map[string]*dnsserver.Server // by their address in the Corefile
	served  *sync.Cond                                     // a server was added
}{
	open:    map[string]*fastListener{},
	servers: map[caddy.Context]map[string]*dnsserver.Server{},
}

// A fastListener is one address with the sockets on it.
type fastListener struct {
	group  *udp.Group
	others int // CoreDNS's own
	owners []*Federation
	server string // as metrics name it
}

func init() { listeners.served = sync.NewCond(&listeners) }

// reconcileOnStart has settle called once this configuration has started.
func reconcileOnStart() { onStart(pluginName, reconcileListeners) }

// onStart has something done once a configuration has started. Each must say so: caddy
// forgets its hooks when a signal makes it reload, though not when the reload plugin
// does.
func onStart(name string, do func(*caddy.Instance)) {
	defer func() {
		_ = recover() // it panics where it has not forgotten
	}()
	caddy.RegisterEventHook(name, func(event caddy.EventName, info any) error {
		if inst, ok := info.(*caddy.Instance); ok && event == caddy.InstanceStartupEvent {
			do(inst)
		}
		return nil
	})
}

// captureServer learns which of CoreDNS's servers f is part of, by the hook that is there to
// change what is written.
func (f *Federation) captureServer(cfg *dnsserver.Config) {
	others := cfg.UDPDecorateWriterFunc
	cfg.UDPDecorateWriterFunc = func(s *dnsserver.Server) dns.DecorateWriter {
		listeners.Lock()
		of := listeners.servers[f.instance]
		if of == nil {
			of = map[string]*dnsserver.Server{}
			listeners.servers[f.instance] = of
		}
		of[s.Addr] = s
		listeners.served.Broadcast()
		listeners.Unlock()
		var theirs dns.DecorateWriter
		if others != nil {
			theirs = others(s)
		}
		return func(w dns.Writer) dns.Writer {
			if theirs != nil {
				w = theirs(w)
			}
			return clearWriter{w}
		}
	}
}

// serverPatience is how long a start waits for CoreDNS's servers to begin: they do
// so in goroutines of their own, at once.
const serverPatience = 2 * time.Second

// server gives the server of f's configuration at an address, or nil. listeners is
// locked.
func (f *Federation) server(addr string) *dnsserver.Server {
	late := time.AfterFunc(serverPatience, listeners.served.Broadcast)
	defer late.Stop()
	for began := time.Now(); ; {
		if s := listeners.servers[f.instance][addr]; s != nil || time.Since(began) >= serverPatience {
			return s
		}
		listeners.served.Wait()
	}
}

// reconcileListeners opens the sockets that a configuration that has just been started asks
// for, and closes those that nobody asks for any more.
func reconcileListeners(inst *caddy.Instance) {
	running.Lock()
	list := slices.Clone(running.list)
	running.Unlock()
	listeners.Lock()
	defer listeners.Unlock()
	var fresh []*Federation
	for _, f := range list {
		if !f.settled {
			f.settled = true
			fresh = append(fresh, f)
		}
	}
	if len(fresh) > 0 {
		all, err := blocks(inst.Caddyfile())
		asked := map[string]bool{}
		var shared []string
		for _, f := range fresh {
			for _, addr := range f.addresses {
				if asked[addr] {
					continue
				}
				asked[addr] = true
				on, reason := false, err
				if err == nil {
					on, reason = listen(inst, addr, fresh, all)
				}
				if reason == nil || errors.Is(reason, errOff) {
					continue
				}
				if errors.Is(reason, errShared) {
					shared = append(shared, addr)
				}
				what := ""
				if on {
					what = " for some domains"
				}
				clogger.Warningf("no fast path on %s: %v; the plugin chain answers%s", addr, reason, what)
			}
		}
		if len(shared) > 0 {
			await(inst, fresh, shared)
		}
	}
	maps.DeleteFunc(listeners.servers, func(c caddy.Context, _ map[string]*dnsserver.Server) bool {
		return !slices.ContainsFunc(list, func(f *Federation) bool { return f.instance == c })
	})
	closeUnowned(func(f *Federation) bool { return !slices.Contains(list, f) })
}

var (
	errOff    = errors.New("it is off")
	errShared = errors.New("another process answers there too, and comes first until it ends")
)

// sharedPoll is how often it is looked whether another process still shares an address:
// until it has gone, the chain answers what of the questions comes here.
const sharedPoll = 500 * time.Millisecond

// await settles once more when nobody else is left at addresses: the kernel numbers the
// sockets of an address in the order they were bound, whosever they are, and those that
// questions are steered to have to come behind CoreDNS's own and before nobody's.
func await(inst *caddy.Instance, fs []*Federation, shared []string) {
	lead := fs[0] // they start and end together
	lead.tasks.Go(func() {
		tick := time.NewTicker(sharedPoll)
		defer tick.Stop()
		for slices.ContainsFunc(shared, func(addr string) bool { return sharedWith(inst, addr) }) {
			select {
			case <-tick.C:
			case <-lead.ending.Done():
				return
			}
		}
		listeners.Lock()
		for _, f := range fs {
			f.settled = false
		}
		listeners.Unlock()
		reconcileListeners(inst)
	})
}

// sharedWith says whether another process has sockets at the address of a server.
func sharedWith(inst *caddy.Instance, addr string) bool {
	host, port := listenHost(addr)
	local, _ := locate(inst, host, port)
	return local != nil && len(sockets.Others("udp", local.AddrPort())) > 0
}

// listen has an address answered for all of fs that can. reason is why others can't,
// or, if it isn't on, why none can.
func listen(inst *caddy.Instance, addr string, fs []*Federation, all []block) (on bool, reason error) {
	fastPath.WithLabelValues(addr).Set(0)
	host, port := listenHost(addr)
	h := &fast{addr: addr, chained: newQueue(processors())}
	for i := range all {
		h.zones = append(h.zones, all[i].at(host, port)...)
	}
	reason = errOff
	var owners []*Federation
	for _, f := range fs {
		if !slices.Contains(f.addresses, addr) || f.guards.slow {
			continue
		}
		if f.block >= len(all) {
			return false, errors.New("the Corefile has changed since it was read")
		}
		for _, d := range f.domains {
			beside, why := owns(all, f.block, d.name, host, port)
			if why != "" {
				reason = errors.New(why)
				continue
			}
			needed, done, why := all[f.block].needs(d.name, caddy.ValidDirectives("dns"))
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
	if h.server = owners[0].server(addr); h.server == nil {
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
	l := listeners.open[key]
	if l == nil && len(sockets.Others("udp", local.AddrPort())) > 0 {
		return false, errShared
	}
	if l != nil && l.others != others {
		// The kernel counts sockets in the order they were bound: ours come last again.
		l.close()
		delete(listeners.open, key)
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
		listeners.open[key] = l
	}
	l.owners, l.server = owners, addr
	fastPath.WithLabelValues(addr).Set(1)
	clogger.Infof("fast path on %s, sockets: %d", addr, n)
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

// closeUnowned closes the listeners whose owners have all gone.
func closeUnowned(gone func(*Federation) bool) {
	for key, l := range listeners.open {
		if !slices.ContainsFunc(l.owners, func(f *Federation) bool { return !gone(f) }) {
			l.close()
			delete(listeners.open, key)
		}
	}
}

func (l *fastListener) close() {
	if err := l.group.Close(); err != nil {
		clogger.Errorf("fast path on %s: %v", l.server, err)
	}
	fastPath.WithLabelValues(l.server).Set(0)
}

// closeListeners closes the listeners of f for good: nobody takes them over.
func (f *Federation) closeListeners() {
	listeners.Lock()
	defer listeners.Unlock()
	closeUnowned(func(o *Federation) bool { return o == f || o.instance == f.instance })
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
