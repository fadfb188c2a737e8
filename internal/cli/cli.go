// Package cli has fedctl's commands: what an operator asks of a running fedns,
// and orders of it.
//
// What is asked goes to the status server of fedns. What is ordered goes into its
// file of overrides, which is edited here and followed there: an order holds
// whether or not anybody can be reached.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// An Env is what a command knows of the world.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	Version        string
}

// A command is one of fedctl's.
type command struct {
	name  string
	args  string // as usage shows them
	what  string
	min   int // positional arguments
	max   int
	flags []string // beside those of all commands
	run   func(*call, context.Context) error
}

var orderFlags = []string{"reason", "until", "for", "dry-run", "force"}

// commands is filled in by init: help prints it.
var commands []command

func init() {
	order := "SUBJECT --reason TEXT [--until TIME | --for DURATION] [--dry-run] [--force]"
	commands = []command{
		{"explain", "NAME [--type T] [--client IP] [--without CLUSTER]...", "what a name is answered with, and why", 1, 1, []string{"type", "client", "without"}, (*call).explain},
		{"regions", "", "the regions of the big clouds that are known by name, and where they are", 0, 0, nil, (*call).regions},
		{"clusters", "", "how the member clusters stand", 0, 0, nil, (*call).clusters},
		{"drain", order, "take shards out of the answers", 1, 1, orderFlags, (*call).order},
		{"down", order, "the same, for what is broken", 1, 1, orderFlags, (*call).order},
		{"up", order, "answer with shards whatever their state", 1, 1, orderFlags, (*call).order},
		{"failback", order, "go back to the region that failover prefers: SUBJECT is a region or a service", 1, 1, orderFlags, (*call).order},
		{"undrain", "SUBJECT", "take back what was ordered about a subject", 1, 1, nil, (*call).undrain},
		{"overrides", "[--prune]", "list the orders; --prune removes those that have expired", 0, 0, []string{"prune"}, (*call).overrides},
		{"version", "", "of fedctl, and of the server if it can be asked", 0, 0, nil, (*call).version},
	}
}

// A call is a command with what it was given.
type call struct {
	Env
	command
	positional []string

	server, file      string
	json              bool
	qtype, client     string
	without           list
	reason, until     string
	duration          time.Duration
	dry, force, prune bool
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// defaultServer is where fedns serves its status unless it is told otherwise.
const defaultServer = "http://127.0.0.1:8053"

// everywhere are the flags of all commands.
var everywhere = []string{"server", "file", "json"}

// A problem is an error with what may help.
type problem struct {
	error
	hint  string
	usage bool // it is in how the command was called
}

func (p *problem) Unwrap() error { return p.error }

func wrong(hint, format string, v ...any) error {
	return &problem{error: fmt.Errorf(format, v...), hint: hint}
}

func misused(c *command, format string, v ...any) error {
	return &problem{error: fmt.Errorf(format, v...), hint: "usage: fedctl " + strings.TrimSpace(c.name+" "+c.args), usage: true}
}

// Run runs fedctl with its arguments, and gives what the process exits with: 0,
// 1 for what went wrong, 2 for what was asked wrongly.
func Run(ctx context.Context, env Env, args []string) int {
	err := run(ctx, env, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(env.Stderr, "fedctl: error: "+err.Error())
	var p *problem
	if !errors.As(err, &p) {
		return 1
	}
	if p.hint != "" {
		fmt.Fprintln(env.Stderr, "fedctl: hint: "+p.hint)
	}
	if p.usage {
		return 2
	}
	return 1
}

func run(ctx context.Context, env Env, args []string) error {
	c := &call{Env: env}
	fs := flag.NewFlagSet("fedctl", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed by Run, in our words
	fs.StringVar(&c.server, "server", "", "")
	fs.StringVar(&c.file, "file", "", "")
	fs.BoolVar(&c.json, "json", false, "")
	fs.StringVar(&c.qtype, "type", "", "")
	fs.StringVar(&c.client, "client", "", "")
	fs.Var(&c.without, "without", "")
	fs.StringVar(&c.reason, "reason", "", "")
	fs.StringVar(&c.until, "until", "", "")
	fs.DurationVar(&c.duration, "for", 0, "")
	fs.BoolVar(&c.dry, "dry-run", false, "")
	fs.BoolVar(&c.force, "force", false, "")
	fs.BoolVar(&c.prune, "prune", false, "")
	// Package flag stops at the first argument that is none: go on behind it.
	for rest := args; ; {
		if err := fs.Parse(rest); errors.Is(err, flag.ErrHelp) {
			help(env.Stdout)
			return nil
		} else if err != nil {
			return &problem{error: err, hint: "fedctl --help lists commands and flags", usage: true}
		}
		if rest = fs.Args(); len(rest) == 0 {
			break
		}
		c.positional = append(c.positional, rest[0])
		rest = rest[1:]
	}
	if len(c.positional) == 0 {
		return &problem{error: errors.New("no command is given"), hint: "fedctl --help lists them", usage: true}
	}
	name := c.positional[0]
	c.positional = c.positional[1:]
	if name == "help" {
		help(env.Stdout)
		return nil
	}
	i := slices.IndexFunc(commands, func(k command) bool { return k.name == name })
	if i < 0 {
		return &problem{error: fmt.Errorf("there is no command %q", name), hint: "fedctl --help lists them", usage: true}
	}
	c.command = commands[i]
	if n := len(c.positional); n < c.min {
		return misused(&c.command, "%s: an argument is missing", name)
	} else if n > c.max {
		return misused(&c.command, "%s: %q is one argument too many", name, c.positional[c.max])
	}
	var alien string
	fs.Visit(func(f *flag.Flag) {
		if !slices.Contains(everywhere, f.Name) && !slices.Contains(c.flags, f.Name) {
			alien = f.Name
		}
	})
	if alien != "" {
		return misused(&c.command, "%s: has no flag --%s", name, alien)
	}
	if c.server == "" {
		c.server = env.Getenv("FEDNS_SERVER")
	}
	if c.server == "" {
		c.server = defaultServer
	}
	return c.run(c, ctx)
}

func help(w io.Writer) {
	fmt.Fprint(w, "fedctl asks a running fedns what it answers and why, and gives it orders.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  fedctl %s\n        %s\n", strings.TrimSpace(c.name+" "+c.args), c.what)
	}
	fmt.Fprint(w, `
SUBJECT is cluster/NAME, region/NAME, zone/NAME or service/NAMESPACE/NAME; TIME is
as 2026-01-31T15:04:05Z, DURATION as 90m. Flags may stand anywhere:

  --server URL   of fedns's status; default $FEDNS_SERVER, then `+defaultServer+`
  --file PATH    the file of overrides; default: the one the server reads
  --json         for programs
`)
}
