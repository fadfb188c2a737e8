package fastpath

import (
	"crypto/tls"
	"fmt"
	"sync"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/fedns/fedns/plugin/federation/bypass"
)

// NewServers makes servers for the addresses of an owner whose connections are encrypted: those that
// CoreDNS has made for them aren't told to plugins. It is to be called while nothing answers yet.
func (f *Owner) NewServers() (map[string]*dnsserver.Server, error) {
	out := map[string]*dnsserver.Server{}
	for _, addr := range f.Addresses {
		at := bypass.PlaceOf(addr)
		if !encrypted(at) || f.Config.TLSConfig == nil {
			continue
		}
		var group []*dnsserver.Config
		for _, c := range f.Configs {
			if c.Transport == at.Transport && c.Port == at.Port {
				group = append(group, c)
			}
		}
		s, err := dnsserver.NewServer(addr, group)
		if err != nil {
			return nil, fmt.Errorf("fast path on %s: %w", addr, err)
		}
		out[addr] = s
	}
	return out, nil
}

// encrypted says whether connections to a place are.
func encrypted(at bypass.Place) bool {
	switch at.Transport {
	case transport.TLS, transport.HTTPS, transport.QUIC, transport.HTTPS3:
		return true
	}
	return false
}

// alpn is what DNS over TLS is called (RFC 7858, IANA's TLS ALPN Protocol IDs).
const alpn = "dot"

// secure is how connections to an owner are encrypted. It goes on with sessions that any server
// of the same secrets has begun.
func (f *Owner) secure(protocols ...string) *tls.Config {
	c := f.Config.TLSConfig.Clone()
	c.NextProtos = protocols
	c.DynamicRecordSizingDisabled = true // answers of a batch go in as few records as there can be
	f.sessions.Lock()
	f.sessions.of = append(f.sessions.of, c)
	f.sessions.Unlock()
	f.Rotate()
	return c
}

// sessions are the configurations by which they begin.
type sessions struct {
	sync.Mutex
	of []*tls.Config
}

// Rotate has sessions begin with the secrets of now.
func (f *Owner) Rotate() {
	keys := f.Keyring.Load()
	if keys == nil {
		return // those that crypto/tls makes for itself
	}
	f.sessions.Lock()
	defer f.sessions.Unlock()
	for _, c := range f.sessions.of {
		c.SetSessionTicketKeys(keys.TicketKeys())
	}
}
