// Command race measures fedns beside other name servers: each alone on one core, with
// the same names and the same questions.
//
//	go run ./test/perf/race             # how many answers a second, and what one costs
//	go run ./test/perf/race -flood      # the same with an asker that is faster than any server
//	go run ./test/perf/race -latency    # how long an answer takes at a fixed rate
//	go run ./test/perf/race -ways       # what an answer costs over UDP, TCP, TLS, HTTPS and QUIC
//	go run ./test/perf/race -dnssec     # what a signed answer costs
//	go run ./test/perf/race -xdp -rate 100000
//	                               # what an answer costs below the kernel's sockets (root)
//	go run ./test/perf/race -kinds      # what answers of each kind cost, those from zones of plugin file among them
//	go run ./test/perf/race -matrix     # what is left for honest questions beside floods of every kind
//	go run ./test/perf/race -flood -subnets -global -servers fedns,fedns-nearest
//	                               # what it costs to answer by where a client is
//
// It needs Linux, two cores, and what it can find of the servers; one that isn't
// there, or doesn't start, is told so in its line. What it prints on one machine in
// one run can be compared; the figures of two machines can't.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/fedns/fedns/test/framework/geotest"
	"github.com/fedns/fedns/test/framework/vector"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second time it ends us at once
	if len(os.Args) > 1 {
		if ask := map[string]func([]string) error{webAsker: askWeb, paceAsker: askAtPace, signedAsker: askSigned}[os.Args[1]]; ask != nil {
			if err := ask(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "race: error:", err)
				os.Exit(1)
			}
			return
		}
	}
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		if ctx.Err() != nil {
			err = errors.New("stopped before the end")
		}
		fmt.Fprintln(os.Stderr, "race: error:", err)
		var h *hint
		if errors.As(err, &h) {
			fmt.Fprintln(os.Stderr, "race: hint:", h.hint)
		}
		os.Exit(1)
	}
}

// A hint is an error with something to try.
type hint struct {
	error
	hint string
}

func hinted(err error, text string) error { return &hint{err, text} }

// A race is one run of the program.
type race struct {
	root     string // of the repository
	dir      string // where everything is written
	taskset  string
	program  string            // fedns
	compiled map[string]string // programs, by source
	machine  string            // what it runs on and with
	fed      *federation
	field    []contender
	rounds   int
	seconds  int
	flood    bool
	secure   bool   // servers answer over TLS and HTTPS, too
	key      string // the key that servers sign with, without the ends of its files; "": they don't

	// Of the latency only.
	rate, burst int
	data        string
}

// warm is how long a server is asked before its latency counts, in seconds.
const warm = 1

func run(ctx context.Context, args []string) error {
	r := &race{root: vector.Root(), compiled: map[string]string{}}
	fs := flag.NewFlagSet("race", flag.ContinueOnError)
	latency := fs.Bool("latency", false, "measure how long answers take, not how many there are")
	fs.BoolVar(&r.secure, "ways", false, "measure what an answer costs, and how long it takes, over UDP, TCP, TLS, HTTPS and QUIC")
	matrix := fs.Bool("matrix", false, "measure what part of honest questions is answered beside floods")
	kinds := fs.Bool("kinds", false, "measure what answers of each kind cost fedns, those from zones of plugin file among them")
	dnssec := fs.Bool("dnssec", false, "measure what a signed answer costs: of names that are asked for again, of names that don't exist, of those below a wildcard")
	below := fs.Bool("xdp", false, "measure what an answer costs by AF_XDP, and by sockets, over a veth pair: fedns and Knot; it needs root")
	rates := fs.String("rates", "1000,4000,20000,100000", "with -matrix, how many questions a second the floods have")
	servers := fs.String("servers", "", "who races: names with commas between (default all; with -latency floor,gdnsd,fedns; with -matrix fedns,knot,nsd,bind; with -kinds fedns; with -ways nsd,knot,bind,coredns,fedns-slow,fedns; with -dnssec "+signing+")")
	services := fs.Int("services", 1000, "services of the federation")
	dir := fs.String("dir", "", "work in this folder and leave everything there, logs too (default a temporary one)")
	fs.StringVar(&r.program, "fedns", filepath.Join(r.root, "bin", "fedns"), "the fedns that races")
	before := fs.String("before", "", "another fedns, of before a change: it races, too, beside the one of today, by names that end in "+beforeSuffix)
	fs.IntVar(&r.rounds, "rounds", 3, "how often everybody is measured, in turn")
	fs.IntVar(&r.seconds, "seconds", 6, "how long each time")
	subnets := fs.Bool("subnets", false, "with -flood or -latency, have questions say for which network they are asked (EDNS client subnet)")
	worldwide := fs.Bool("global", false, "ask for global names only: those that a policy chooses shards for")
	fs.BoolVar(&r.flood, "flood", false, "ask with a program that is faster than dnsperf, which is slower than the best servers")
	fs.IntVar(&r.rate, "rate", 50_000, "with -latency and -xdp, questions a second")
	fs.IntVar(&r.burst, "burst", 1, "with -latency, how many of them are sent at once")
	fs.StringVar(&r.data, "data", "", "with -latency, a file for the histograms, as JSON")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *servers == "" {
		*servers = strings.Join(all(), ",")
		if *latency {
			// The floor shows what of the long times is the machine's.
			*servers = "floor,gdnsd,fedns"
		}
		if r.secure {
			*servers = "nsd,knot,bind,coredns,fedns-slow,fedns"
		}
		if *matrix {
			*servers = "fedns,knot,nsd,bind"
		}
		if *kinds {
			*servers = "fedns"
		}
		if *dnssec {
			*servers = signing
		}
	}
	var err error
	if r.field, err = pick(*servers); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("%q isn't a flag", fs.Arg(0))
	case *services < minServices || *services > maxServices:
		return fmt.Errorf("-services %d: there can be %d to %d", *services, minServices, maxServices)
	case r.rounds < 1 || r.seconds < 1 || r.rate < 1 || r.burst < 1:
		return errors.New("-rounds, -seconds, -rate and -burst begin at 1")
	case *subnets && !r.flood && !*latency:
		return hinted(errors.New("-subnets: dnsperf asks for one network only"), "add -flood or -latency, which ask with programs of our own")
	case runtime.NumCPU() < 2:
		return hinted(errors.New("one CPU isn't enough"), "a server has one to itself, and the asker another")
	}
	var at []int
	for _, word := range strings.Split(*rates, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("-rates %s: %q is not a number of questions a second", *rates, word)
		}
		at = append(at, n)
	}
	if r.taskset, err = find("taskset", "util-linux"); err != nil {
		return err
	}
	// Servers have working directories of their own; paths are to mean the same there.
	for _, p := range []*string{dir, &r.program, before} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if *before != "" {
		r.field = besideEarlier(r.field, *before)
	}
	r.dir = *dir
	if r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "race"); err != nil {
			return err
		}
		defer os.RemoveAll(r.dir)
	} else if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}

	const questions = 200_000
	asked := usual
	if *worldwide {
		asked = mix{global: 100}
	}
	if *dnssec {
		asked = existing
	}
	r.fed = generate(*services, questions, asked)
	where := networks(geotest.HalfV4, geotest.HalfV6)
	if *subnets {
		r.fed.clients = clients(where, questions)
	}
	if *dnssec {
		if err := r.sign(); err != nil {
			return err
		}
	}
	if *matrix || *kinds {
		if err := r.beside(); err != nil {
			return err
		}
	}
	if err := r.fed.write(r.dir); err != nil {
		return err
	}
	if slices.ContainsFunc(r.field, func(c contender) bool { return c.nearest }) {
		if err := writeNetworks(r.dir, where); err != nil {
			return err
		}
	}
	r.machine = r.describe()
	fmt.Println(r.machine)
	fmt.Printf("%d services in %d clusters, %d records; %d questions: of 100, %d regional, %d zonal, %d global, %d CNAME, %d unknown\n",
		*services, len(places), len(r.fed.records), questions, asked[regional], asked[zonal], asked[global], asked[moved], asked[unknown])
	if *subnets {
		fmt.Printf("each for a network of its own, of %d that are known; one in %d is IPv6\n", len(where), perV6)
	}
	switch {
	case r.secure:
		return r.ways(ctx)
	case *dnssec:
		return r.dnssec(ctx)
	case *matrix:
		return r.matrix(ctx, at)
	case *kinds:
		return r.kinds(ctx)
	case *latency:
		return r.latency(ctx)
	case *below:
		return r.xdp(ctx)
	}
	return r.speed(ctx)
}

// describe says what the figures were made on and with: they mean nothing without.
func (r *race) describe() string {
	model := runtime.GOARCH
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(raw), "model name\t: "); ok {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // nothing depends on it
	out := []string{fmt.Sprintf("%s, %d CPUs, Linux %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())}
	for _, c := range r.field {
		if v := r.version(c); v != "" {
			out = append(out, c.name+" "+v)
		}
	}
	return strings.Join(out, ", ")
}

// versionNumber finds a version: ours has a name of its own, the others' have dots.
var versionNumber = regexp.MustCompile(`fedns ([^ ,]+)|[0-9]+(?:\.[0-9]+)+`)

// version asks a contender what it is, "" if it can't tell.
func (r *race) version(c contender) string {
	if c.version == "" {
		return ""
	}
	path, err := r.find(c)
	if err != nil {
		return "" // the race itself will say so
	}
	out, _ := exec.Command(path, c.version).CombinedOutput() // some tell, and fail
	return strings.TrimPrefix(versionNumber.FindString(string(out)), "fedns ")
}
