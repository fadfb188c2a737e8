package probe

import (
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Refused says what kind of address it is that isn't probed because somebody else says
// so; "": it is none of these. What stands behind them trusts whoever can reach it.
func Refused(a netip.Addr) string {
	a = a.Unmap()
	if inner, ok := embedded(a); ok {
		if why := Refused(inner); why != "" {
			return why + " in another spelling"
		}
	}
	switch {
	case !a.IsValid() || a.Zone() != "":
		return "no address"
	case metadata[a]:
		return "where a cloud tells machines their credentials"
	case a.IsUnspecified(), thisNetwork.Contains(a):
		return "an unspecified address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a.IsMulticast():
		return "a multicast address"
	case reserved.Contains(a):
		return "a broadcast or reserved address"
	case own.has(a):
		return "an address of this server"
	}
	return ""
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")   // RFC 1122 section 3.2.1.3
	reserved    = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112 section 4; the last is broadcast
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	nat64local  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour   = netip.MustParsePrefix("2002::/16")
	compatible  = netip.MustParsePrefix("::/96")
)

// metadata are the addresses at which clouds tell a machine its credentials: AWS, GCP,
// Azure and most others at the first, of which the others are the same elsewhere.
var metadata = func() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, s := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", // machines; containers and pods of AWS
		"fd00:ec2::254", "fd00:ec2::23", // AWS
		"fd20:ce::254",        // GCP
		"168.63.129.16",       // Azure
		"100.100.100.200",     // Alibaba
		"192.0.0.192",         // Oracle
		"fd00:c1::a9fe:a9fe",  // Oracle
		"fd00:42::42",         // Scaleway
		"169.254.42.42",       // Scaleway
		"fd00:a9fe:a9fe::254", // Akamai
	} {
		out[netip.MustParseAddr(s)] = true
	}
	return out
}()

// embedded is the IPv4 address to which a translator, or a tunnel, takes what is sent to an
// IPv6 one (RFC 6052, RFC 3056, RFC 4291 section 2.5.5.1).
func embedded(a netip.Addr) (inner netip.Addr, ok bool) {
	if !a.Is6() || a.IsUnspecified() || a.IsLoopback() {
		return inner, false
	}
	b := a.As16()
	switch {
	case nat64.Contains(a), nat64local.Contains(a), compatible.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return inner, false
}

// ownFor is how long the addresses of this host are taken to be the same: asking the
// kernel takes 0.1 ms, and addresses that move from host to host take longer than this.
const ownFor = time.Second

// own are the addresses of this host.
var own = hostAddrs{list: net.InterfaceAddrs}

type hostAddrs struct {
	list func() ([]net.Addr, error) // as the kernel says

	mu    sync.Mutex // guards the rest
	asked time.Time
	addrs map[netip.Addr]bool
	moves uint64 // how often they have changed
}

// HostAddressChanges counts how often the addresses of this host have changed, by which some may have
// come to be refused, and others not.
func HostAddressChanges() uint64 {
	own.mu.Lock()
	defer own.mu.Unlock()
	own.look(time.Now())
	return own.moves
}

func (h *hostAddrs) has(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look(time.Now())
	return h.addrs[a]
}

// look asks the kernel, if that is due. Where it doesn't say, what it said before holds.
func (h *hostAddrs) look(now time.Time) {
	if h.addrs != nil && now.Sub(h.asked) < ownFor && !now.Before(h.asked) {
		return
	}
	h.asked = now
	list, err := h.list()
	if err != nil {
		return
	}
	addrs := map[netip.Addr]bool{}
	for _, n := range list {
		if p, ok := n.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(p.IP); ok {
				addrs[a.Unmap()] = true
			}
		}
	}
	if h.addrs == nil || !maps.Equal(addrs, h.addrs) {
		h.addrs = addrs
		h.moves++
	}
}
