package federation

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// SharePorts lets a start go on although another process answers at an address of the
// Corefile. It is set before the start.
var SharePorts bool

func init() {
	// Here, since plugins learn of a start when nothing has been opened yet, and of all
	// server blocks, also those without a federation.
	caddy.RegisterParsingCallback("dns", observe.PluginName, func(caddy.Context) error {
		all := caddy.Instances()
		if len(all) == 0 || caddy.IsUpgrade() {
			return nil // sockets are handed over
		}
		if err := vacant(all[len(all)-1].Caddyfile(), len(all) == 1); err != nil {
			sockets.EndTurn()
			return err
		}
		return nil
	})
}

// An endpoint is an address that a Corefile has something listen at.
type endpoint struct{ network, address string }

const (
	// leavingPatience is for a server of before that is about to end.
	leavingPatience = 2 * time.Second
	leavingStep     = 50 * time.Millisecond
	// turnPatience is for another start at the same ports, which waits for its members'
	// first lists.
	turnPatience = 3 * time.Second
)

// vacant makes sure that nobody else answers where a Corefile wants to: CoreDNS shares
// its sockets with whoever comes (SO_REUSEPORT). first is whether it is the process's
// first; of a later one, those addresses count that this process hasn't got.
func vacant(input caddy.Input, first bool) error {
	wanted, err := listensAt(input)
	if err != nil {
		return nil // CoreDNS finds the same, and says it better
	}
	if first {
		// Now, and not when the members' first lists are there. Later, what it listens at
		// already needs no right any more.
		if err := allowed(wanted); err != nil {
			return err
		}
	}
	if SharePorts {
		return nil
	}
	if first {
		var ports []uint16
		for _, e := range wanted {
			_, port, _ := net.SplitHostPort(e.address)
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				ports = append(ports, uint16(n))
			}
		}
		onStart("ports", func(*caddy.Instance) { sockets.EndTurn() })
		sockets.Turn(ports, turnPatience)
	}
	for end := time.Now().Add(leavingPatience); ; time.Sleep(leavingStep) {
		var found []error
		for _, e := range wanted {
			// What else is wrong with an address is said by whoever listens there.
			var taken *sockets.Taken
			if errors.As(sockets.Look(e.network, e.address, first), &taken) {
				found = append(found, taken)
			}
		}
		if len(found) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w; end that, or start with --share to answer beside it", found[0])
		}
	}
}

// ways are those to a low port without being root.
const ways = "fedns needs the capability NET_BIND_SERVICE (in a pod, capabilities: {add: [NET_BIND_SERVICE]}; in a unit, AmbientCapabilities=CAP_NET_BIND_SERVICE), " +
	"or the sysctl net.ipv4.ip_unprivileged_port_start at %s or less (in a pod, securityContext.sysctls)"

// allowed makes sure that this process may listen where a Corefile wants to.
func allowed(wanted []endpoint) error {
	for _, e := range wanted {
		if err := permitted(sockets.Look(e.network, e.address, true)); err != nil {
			return err
		}
	}
	return nil
}

// permitted is what a look at an address found, if it is that this process has no right to
// its port, with what would give it that.
func permitted(found error) error {
	var f *sockets.Forbidden
	if !errors.As(found, &f) {
		return nil
	}
	_, port, err := net.SplitHostPort(f.Address)
	if err != nil {
		return found
	}
	return fmt.Errorf("%w; "+ways, f, port)
}

// networks are what a server for a transport listens on.
var networks = map[string][]string{
	transport.DNS: {"udp", "tcp"}, transport.TLS: {"tcp"}, transport.GRPC: {"tcp"}, transport.HTTPS: {"tcp"},
	transport.QUIC: {"udp"}, transport.HTTPS3: {"udp"},
}

// sidelines are the plugins that listen beside the servers, and share as these do,
// with where they do so unless they are told.
var sidelines = map[string]string{"prometheus": "localhost:9153", "ready": ":8181", "health": ":8080", "pprof": "localhost:6053"}

// listensAt gives the addresses that a Corefile asks for, but for those whose port the
// kernel is to choose.
func listensAt(input caddy.Input) (out []endpoint, err error) {
	parsed, err := caddyfile.Parse(input.Path(), bytes.NewReader(input.Body()), nil)
	if err != nil {
		return nil, err
	}
	add := func(network, host, port string) {
		e := endpoint{network, net.JoinHostPort(host, port)}
		if port != "0" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	for _, b := range parsed {
		hosts := []string{""}
		if bind, ok := b.Tokens["bind"]; ok {
			if hosts, err = bindHosts(input.Path(), bind); err != nil {
				return nil, err
			}
		}
		for _, k := range b.Keys {
			trans, rest := coreparse.Transport(k)
			_, port, err := plugin.SplitHostPort(rest)
			if err != nil {
				return nil, err
			}
			port = cmp.Or(port, bypass.UsualPort(trans))
			for _, network := range networks[trans] {
				for _, h := range hosts {
					add(network, h, port)
				}
			}
		}
		for name, usual := range sidelines {
			if tokens, ok := b.Tokens[name]; ok {
				d := caddyfile.NewDispenserTokens(input.Path(), tokens)
				d.Next()
				address := usual
				if d.NextArg() {
					address = d.Val()
				}
				if host, port, err := net.SplitHostPort(address); err == nil {
					add("tcp", host, port)
				}
			}
		}
	}
	return out, nil
}

// bindHosts reads the directives bind of a block, as that plugin does: addresses, and
// interfaces with all that these have, but for exceptions.
func bindHosts(file string, tokens []caddyfile.Token) ([]string, error) {
	var hosts, except []string
	for d := caddyfile.NewDispenserTokens(file, tokens); d.Next(); {
		for _, a := range d.RemainingArgs() {
			hosts = append(hosts, hostsOf(a)...)
		}
		for d.NextBlock() {
			for _, a := range d.RemainingArgs() {
				except = append(except, hostsOf(a)...)
			}
		}
	}
	hosts = slices.DeleteFunc(hosts, func(h string) bool { return slices.Contains(except, h) })
	if len(hosts) == 0 {
		return nil, errors.New("bind: it has no address")
	}
	return hosts, nil
}

// hostsOf are an address, or those of an interface.
func hostsOf(name string) (out []string) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return []string{name}
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil // the plugin says so
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr()
		if ip.Is6() && ip.IsLinkLocalUnicast() {
			ip = ip.WithZone(name)
		}
		out = append(out, ip.String())
	}
	return out
}
