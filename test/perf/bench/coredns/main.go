// Command coredns is CoreDNS with its own kubernetes plugin and hardly anything
// else: what fedns' figures are compared with.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// In CoreDNS's own order.
	if err := dnsserver.SetDirectives([]string{"bind", "ready", "errors", "kubernetes"}); err != nil {
		panic(err)
	}
	coremain.Run()
}
