// Command fedns is CoreDNS with the federation plugin, and with those of
// CoreDNS's own plugins that an authoritative server needs.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

// version is set by the Makefile.
var version = "devel"

func main() {
	if err := dnsserver.SetDirectives(directives); err != nil {
		panic(err) // two lines of the list below have one name
	}
	// CoreDNS's own -version speaks of CoreDNS only.
	if slices.ContainsFunc(os.Args[1:], func(a string) bool { return a == "-version" || a == "--version" }) {
		fmt.Print(versions())
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	coremain.Run()
}

// gcPercent is how much garbage may lie about, in percent of what lives. What lives
// is mostly the clusters, which seldom change, and each answer leaves a little: at
// Go's own 100, 80,000 shards under load are 224 MB resident, at 50 they are 183.
const gcPercent = 50

// versions says what this program is made of, for whoever reports a fault.
func versions() string {
	out := fmt.Sprintf("fedns %s, %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/coredns/coredns", "github.com/miekg/dns", "k8s.io/client-go":
			out += fmt.Sprintf("  %s %s\n", m.Path, m.Version)
		}
	}
	return out
}
