package fastpath

import (
	"sync/atomic"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"github.com/fedns/fedns/internal/dns/cookie"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/plugin/federation/filezone"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// An Owner is a server block whose questions are answered past the chain.
type Owner struct {
	zone.Block
	Guards  Guards
	Keyring atomic.Pointer[cookie.Keyring]
	// Interfaces are those whose questions over UDP are answered below the kernel's sockets.
	Interfaces []string

	Instance caddy.Context       // of the configuration it is part of
	Config   *dnsserver.Config   // of the server block
	Configs  []*dnsserver.Config // of its keys: that one is the first
	Number   int                 // of the server block in the Corefile
	// ConfigOf gives the configuration of any server block of the Corefile, by its number.
	ConfigOf  func(number int) *dnsserver.Config
	Addresses []string // as CoreDNS names its servers

	sessions sessions
	files    map[*file.Zone]*filezone.Zone // of all addresses; Listeners' user locks it
}

// file is a zone of plugin file as it is answered here: one, wherever it is.
func (f *Owner) file(name dnsname.Name, z *file.Zone, through fall.F) *filezone.Zone {
	if f.files == nil {
		f.files = map[*file.Zone]*filezone.Zone{}
	}
	if f.files[z] == nil {
		f.files[z] = filezone.New(name, z, through)
	}
	return f.files[z]
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
