package federation

import (
	"errors"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"
)

// Transfer implements transfer.Transferer: the snapshot written out as a zone,
// every name in every scope (RFC 5936). A serial that isn't ours gets the whole
// zone, since no differences are kept.
func (f *Federation) Transfer(zone string, serial uint32) (<-chan []dns.RR, error) {
	ctx := passingNow()
	for _, d := range f.Domains {
		if string(d.Name) == zone && d.Lead == nil { // what a cluster's pods are told is nobody else's affair
			select {
			case <-f.ready:
				return d.Transfer(ctx, &f.Block, serial), nil
			default:
				return nil, errNotReady
			}
		}
	}
	return nil, transfer.ErrNotAuthoritative
}

// errNotReady is SERVFAIL: a secondary would keep for hours what isn't the whole zone.
var errNotReady = errors.New("not everything is known yet that stands in the zone")
