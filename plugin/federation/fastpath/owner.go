package fastpath

import (
	"sync/atomic"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// An Owner is a server block whose questions are answered past the chain.
type Owner struct {
	zone.Block
	Guards  Guards
	Keyring atomic.Pointer[cookie.Keyring]
	// Interfaces are those whose questions over UDP are answered below the kernel's sockets.
	Interfaces []string

	Instance  caddy.Context       // of the configuration it is part of
	Config    *dnsserver.Config   // of the server block
	Configs   []*dnsserver.Config // of its keys: that one is the first
	Number    int                 // of the server block in the Corefile
	Addresses []string            // as CoreDNS names its servers

	sessions sessions
}

// Guards are what a server block says of how questions over UDP are met, whatever
// they ask.
type Guards struct {
	Off       bool // fast off
	RateLimit rrl.Policy
	Cookies   string // file with the secrets; "": secrets of its own; "off": none
}

// Admitted marks, in a context, questions that were admitted before they came to the chain.
type Admitted struct{}
