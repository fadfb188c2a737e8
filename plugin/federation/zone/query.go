package zone

import (
	"net/netip"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/snapshot"
)

// Following marks questions that a query asks of the whole server, to follow a
// static CNAME: with the query, which passes on what it has learnt.
type Following struct{}

// A Query is a question with all it is answered from: loaded once, so that one
// answer shows one generation.
type Query struct {
	request.Request
	Domain   *Domain
	Static   *Static
	Snapshot *snapshot.Snapshot
	Turn     uint32
	cookie   *dns.EDNS0_COOKIE // due to the client
	Holder   bool              // its own cookie was good
	Of       *Block
	Client   netip.Prefix      // its network, as its resolver says; invalid: nothing is said
	Network  *dns.EDNS0_SUBNET // the same, as it came
	Scope    uint8             // of the answer
	Subject  Subject           // of the answer
}
