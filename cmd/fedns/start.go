package main

import (
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/logging"
)

// start serves until the process is told to end. It does what CoreDNS's own main
// function does, but that all lines of the log have one form, the first of them says
// what runs, and what is wrong with a Corefile's place is said in words for users.
// GOMAXPROCS needs no care any more: Go itself looks at the quota of a container.
func start(rest []string) {
	caddy.TrapSignals()
	if format := said("log-format"); format != "text" {
		if err := clog.Configure(format, os.Stdout); err != nil {
			fail(err)
		}
	} else {
		log.SetFlags(0)
		clog.SetOutput(logging.Lines{To: os.Stdout})
	}
	if len(rest) > 0 {
		fail(fmt.Errorf("%q isn't a flag; --conf FILE names the Corefile, --help lists the flags", rest[0]))
	}
	quiet := dnsserver.Quiet
	dnsserver.Quiet = true // what it would say has another form
	where := "from the standard input"
	if conf := said("conf"); conf != "stdin" && !caddy.IsUpgrade() {
		found, err := find(conf)
		if err != nil {
			fail(err)
		}
		if !quiet {
			clog.Info(greeting(found.path))
		}
		if err := found.settle(); err != nil {
			fail(err)
		}
	} else if !quiet {
		clog.Info(greeting(where))
	}
	if err := sockets.UsePermitted(); err != nil {
		clog.Warning(err) // an address that needs it says so, too
	}
	input, err := caddy.LoadCaddyfile("dns")
	if err != nil {
		fail(err)
	}
	instance, err := caddy.Start(input)
	if err != nil {
		fail(err)
	}
	if !quiet {
		clog.Info("answering on " + strings.Join(addresses(instance), ", "))
	}
	instance.Wait()
}

// addresses are those that an instance is asked at, each once.
func addresses(instance *caddy.Instance) []string {
	var out []string
	for _, s := range instance.Servers() {
		if a := s.LocalAddr(); a != nil {
			out = append(out, a.String())
		} else if a := s.Addr(); a != nil {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fail ends what can't go on. It says so where a user looks, whatever the log is.
func fail(err error) {
	if !caddy.IsUpgrade() { // else nobody looks
		clog.SetOutput(logging.Lines{To: os.Stderr})
	}
	clog.Fatal(err)
}
