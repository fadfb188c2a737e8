package zone

import (
	"math/rand/v2"
	"net/netip"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/geoindex"
)

// Choose picks the shards that a client gets, who asks from an address and, if it is
// valid, for a network (RFC 7871). scope is how long the prefix is whose clients all
// get this answer; 0: everybody does.
func (b *Block) Choose(a *answer.Answer, from netip.Addr, subnet netip.Prefix) (scope uint8) {
	p := a.Policy()
	switch p.Choice {
	case snapshot.All:
		return 0
	case snapshot.Nearest:
		draw := uint64(0)
		if p.Count > 0 {
			draw = rand.Uint64()
		}
		l := b.Geo[a.Index]
		if l.Waits(a) {
			a.NotKnown(geoindex.Unlocated)
			return 0
		}
		lacks := l.Lacks()
		if lacks {
			a.Degrade()
		}
		if !subnet.IsValid() || !l.TrustsSubnets(from) {
			c := l.Client(from.WithZone(""))
			c.Draw = draw
			a.Choose(&c)
			return 0
		}
		if subnet.Bits() == 0 {
			a.Choose(&answer.Client{}) // it asks not to be told from others
			return 0
		}
		c, length := l.Subnet(subnet.Addr())
		if lacks { // no other network may have an answer that isn't its own soon
			length = max(length, subnet.Bits())
		}
		c.Draw = draw
		a.Choose(&c)
		if a.Outcome == answer.Found && a.Target && !a.AnyType() {
			return uint8(length)
		}
	default:
		a.Choose(&answer.Client{Draw: rand.Uint64()})
	}
	return 0
}
