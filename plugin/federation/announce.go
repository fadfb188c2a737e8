package federation

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/notify"
)

// announce has the secondaries hear of changes: those that stanzas name, and those of the plugin transfer.
// It is called once the servers listen, since who hears comes at once.
func (f *Federation) announce(blocks []bypass.Block) {
	for _, d := range f.Domains {
		if d.Lead != nil {
			continue // it isn't transferred
		}
		to := slices.Clone(f.transfers.notified[d])
		var others []netip.AddrPort
		var source netip.Addr
		if f.Number < len(blocks) {
			others, source = blocks[f.Number].Secondaries(d.Name)
		}
		for _, at := range others {
			if !slices.ContainsFunc(to, func(n notified) bool { return n.addr == at }) {
				to = append(to, notified{addr: at})
			}
		}
		of := notify.Zone{Name: string(d.Name), SOA: func() *dns.SOA { return d.SOA(&f.Block) }, Changed: f.Current.Changed, Seen: d.Seen}
		for _, n := range to {
			s := notify.Sender{Zone: of, To: n.addr, Source: source, Key: n.key, Secret: f.Config.TsigSecret[n.key]}
			f.tasks.Go(func() {
				select {
				case <-f.ready: // before, nobody can fetch it
					s.Run(f.ending)
				case <-f.ending.Done():
				}
			})
		}
	}
}
