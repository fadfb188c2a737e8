// Command fedns is CoreDNS with the federation plugin, and with those of
// CoreDNS's own plugins that an authoritative server needs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/plugin/federation"
	"github.com/fedns/fedns/plugin/federation/status"

	// The authorities of the public, for where the system has none, as in the image.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is set by the Makefile.
var version = "devel"

func main() {
	if err := dnsserver.SetDirectives(directives); err != nil {
		panic(err) // two lines of the list have one name
	}
	status.Version = version
	flag.BoolVar(&federation.SharePorts, "share", false, "Start although another process answers at an address of the Corefile, for a restart without a gap")
	rest := flags()
	// CoreDNS's own --version speaks of CoreDNS only.
	if said("version") == "true" {
		fmt.Print(versions())
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if runtime.GOOS == "windows" || said("plugins") == "true" {
		coremain.Run() // being a service there is CoreDNS's affair
		return
	}
	start(rest)
}

// flags reads the command line. CoreDNS has declared most of what can stand there, for
// package flag: these have one dash or two, as ever, and it makes no difference.
func flags() (rest []string) {
	command := &cobra.Command{
		Use:  "fedns",
		Long: "fedns answers for services that run in several Kubernetes clusters, as a Corefile says.\n",
		Example: `# Over a Corefile
fedns --conf corefile.example`,
		Run: func(*cobra.Command, []string) {},
	}
	all := command.Flags()
	all.AddGoFlagSet(flag.CommandLine)
	switch _, err := cli.Parse(all, os.Args[1:]); {
	case errors.Is(err, pflag.ErrHelp):
		cli.Help(os.Stdout, command, 0)
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "[FATAL] %v (--help lists the flags)\n", err)
		os.Exit(2)
	}
	return all.Args()
}

// said is the value of one of CoreDNS's flags.
func said(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// gcPercent is how much garbage may lie about, in percent of what lives. What lives
// is mostly the clusters, which seldom change, and each answer leaves a little: at
// Go's own 100, 80,000 shards under load were resident with 1.2 times what they are at 50.
const gcPercent = 50

// versions says what this program is made of, for whoever reports a fault.
func versions() string {
	out := fmt.Sprintf("fedns %s, %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, m := range parts() {
		out += fmt.Sprintf("  %s %s\n", m.Path, m.Version)
	}
	return out
}

// parts are the modules whose versions matter.
func parts() (out []*debug.Module) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/coredns/coredns", "github.com/miekg/dns", "k8s.io/client-go":
			out = append(out, m)
		}
	}
	return out
}

// greeting is the first line of the log: who this is, and what it goes by.
func greeting(corefile string) string {
	made := []string{runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	for _, m := range parts() {
		if strings.HasSuffix(m.Path, "/coredns") {
			made = append([]string{"CoreDNS " + strings.TrimPrefix(m.Version, "v")}, made...)
		}
	}
	return fmt.Sprintf("fedns %s (%s), Corefile %s", version, strings.Join(made, ", "), corefile)
}
