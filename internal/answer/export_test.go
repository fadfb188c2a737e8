package answer

import (
	"iter"
	"net/netip"

	"github.com/fedns/fedns/internal/snapshot"
)

// Slowly is Addrs without the lists of those that come first.
func Slowly(a *Answer, v4 bool, turn uint32) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		short := *a
		short.Service = &snapshot.Service{} // which has no lists; the run is the answer's
		short.deal(family(v4), []stretch{{to: len(a.run)}}, turn, yield)
	}
}
