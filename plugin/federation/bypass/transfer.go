package bypass

import (
	"net/netip"

	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// Secondaries are the addresses that the plugin transfer of a block hands a domain to, and from
// which address they are to hear of changes; it tells nobody what it has read. Networks, and whoever
// asks, have no address.
func (b *Block) Secondaries(domain dnsname.Name) (to []netip.AddrPort, source netip.Addr) {
	longest := ""
	d := caddyfile.NewDispenserTokens(b.file, b.tokens["transfer"])
	for d.Next() {
		zone := plugin.Zones(plugin.OriginsFromArgsOrServerBlock(d.RemainingArgs(), b.zones)).Matches(string(domain))
		var hosts []netip.AddrPort
		var from netip.Addr
		for d.NextBlock() {
			switch d.Val() {
			case "to":
				for _, h := range d.RemainingArgs() {
					at, err := coreparse.HostPort(h, transport.Port)
					if err != nil {
						continue // anybody
					}
					if a, err := netip.ParseAddrPort(at); err == nil {
						hosts = append(hosts, a)
					}
				}
			case "source":
				if args := d.RemainingArgs(); len(args) == 1 {
					from, _ = netip.ParseAddr(args[0]) // the plugin itself says what is wrong
				}
			}
		}
		if len(zone) > len(longest) {
			longest, to, source = zone, hosts, from
		}
	}
	return to, source
}
