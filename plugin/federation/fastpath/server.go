package fastpath

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/transport"
)

// A server has the connections of one address, by a protocol of which somebody else's library makes
// requests or streams.
type server interface {
	bounds() serverLimits
	// handle has questions be met by a handler, and connections be encrypted, as is said now.
	handle(h *Handler, c *tls.Config)
	// leave gives the address back. What was asked is answered, some of it by what goes on.
	leave(going *sync.WaitGroup) error
}

// serverLimits are those that a server has from its beginning: as CoreDNS's own.
type serverLimits struct {
	conns, streams, workers int // 0: no limit
	read, write, idle       time.Duration
}

func or(said *int, usual int) int {
	if said != nil {
		return *said
	}
	return usual
}

// serverGrace is how long what was asked may take when a server ends, as in CoreDNS.
const serverGrace = 5 * time.Second

// A protocol is what there is a server for.
type protocol struct {
	network  string
	alpn     []string
	requests bool // of HTTP: a plugin may say which of them are questions
	limits   func(*dnsserver.Config, *dnsserver.Server) serverLimits
	open     func(local netip.AddrPort, others int, limits serverLimits, c *tls.Config, ended func(why string)) (server, error)
}

var protocols = map[string]protocol{
	transport.HTTPS:  {"tcp", []string{"h2", "http/1.1"}, true, webLimitsOf, openWeb},
	transport.QUIC:   {"udp", []string{"doq"}, false, doqLimitsOf, openDoQ},
	transport.HTTPS3: {"udp", []string{"h3"}, true, web3LimitsOf, openWeb3},
}

// listenBy has questions by a protocol to the address of h answered. Where limits have changed, its server begins
// anew.
func (p *Listeners) listenBy(by protocol, inst *caddy.Instance, h *Handler, owners []*Owner) error {
	f := owners[0]
	if by.requests && f.Config.HTTPRequestValidateFunc != nil {
		return errors.New("a plugin says which requests are questions")
	}
	local, others := locate(inst, h.addr, by.network)
	if !local.IsValid() {
		return errNoSocket
	}
	l, err := p.find(by.network, local, others)
	if err != nil {
		return err
	}
	limits, secure := by.limits(f.Config, h.server), f.secure(by.alpn...)
	if l.own != nil && l.own.bounds() != limits {
		l.close(&p.going)
		l = &listener{others: others}
	}
	if l.own == nil {
		if l.own, err = by.open(local, others, limits, secure, p.ended); err != nil {
			return err
		}
	}
	l.own.handle(h.overStreams(processors(), limits.idle), secure)
	p.keep(by.network, local, l, owners, h)
	return nil
}
