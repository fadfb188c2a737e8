// Command coredns is CoreDNS with its plugins file and dnssec and nothing else: the CoreDNS
// that fedns races, of the very version it is made of.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/dnssec"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() {
	// In CoreDNS's own order.
	if err := dnsserver.SetDirectives([]string{"bind", "dnssec", "file"}); err != nil {
		panic(err) // a name stands there twice
	}
	coremain.Run()
}
