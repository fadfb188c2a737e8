// Package ctl has fedctl's commands: what an operator asks of a running fedns,
// orders to it, and the federation's API with its clusters.
//
// What is asked goes to the status server of fedns. What is ordered goes into its
// file of overrides, which is edited here and followed there: an order holds
// whether or not anybody can be reached.
package ctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/kube"
)

// An Env is what a command knows of the world.
type Env struct {
	Stdout, Stderr io.Writer
	Stdin          io.Reader // nil: nobody is there to be asked
	Terminal       bool      // Stderr is one: a line there can be written over
	Getenv         func(string) string
	Now            func() time.Time
	Version        string
}

// An action is a command with its flags, made for one call.
type action interface {
	declare(*flag.FlagSet)
	run(context.Context) error
}

// A command is one of fedctl's.
type command struct {
	name     string // of one word or two
	args     string // as usage shows them
	what     string
	min, max int // positional arguments
	make     func(*call) action
}

// A group of commands is about one thing.
type group struct {
	about    string
	commands []command
}

// groups is filled in by init: help prints it.
var groups []group

func init() {
	order := "SUBJECT --reason TEXT"
	groups = []group{
		{"a running fedns", []command{
			{"explain", "NAME", "what a name is answered with, and why", 1, 1, func(c *call) action { return &explain{asking: asking{call: c}} }},
			{"services", "", "what is answered for, and how each cluster's shard of it stands", 0, 0, func(c *call) action { return &services{asking: asking{call: c}} }},
			{"clusters", "", "how the member clusters stand", 0, 0, func(c *call) action { return &clusters{asking{call: c}} }},
			{"regions", "", "the regions of the big clouds that are known by name", 0, 0, func(c *call) action { return &regions{asking{call: c}} }},
			{"version", "", "of fedctl, and of the server if it can be asked", 0, 0, func(c *call) action { return &version{asking{call: c}} }},
		}},
		{"orders to it; SUBJECT is cluster/NAME, region/NAME, zone/NAME or service/NAMESPACE/NAME", []command{
			{"drain", order, "take shards out of the answers, and with --evacuate a cluster's replicas elsewhere", 1, 1, newDrain},
			{"down", order, "the same, for what is broken", 1, 1, newPosting},
			{"up", order, "answer with shards whatever their state", 1, 1, newPosting},
			{"failback", order, "go back to the region that failover prefers", 1, 1, newPosting},
			{"undrain", "SUBJECT", "take back what was ordered about a subject", 1, 1, newUndrain},
			{"overrides", "", "list the orders, those of files and those of the federation's API, and where each stands", 0, 0, newOverrides},
		}},
		{"the API of a federation, and its clusters", []command{
			{"init", "NAME --host-cluster-context C --dns-zone-name D", "set one up, or renew it", 1, 1, func(c *call) action { return &initialize{reaching: reaching{call: c}} }},
			{"join", "CLUSTER --cluster-context X", "make a cluster a member, or renew what it has", 1, 1, func(c *call) action { return &join{reaching: reaching{call: c}} }},
			{"unjoin", "CLUSTER", "take a cluster out, first of all out of the answers", 1, 1, func(c *call) action { return &unjoin{reaching: reaching{call: c}} }},
			{"get clusters", "", "the members, as kubectl shows them", 0, 0, func(c *call) action { return &getClusters{reaching: reaching{call: c}} }},
			{"deinit", "NAME --yes", "remove what init made", 1, 1, func(c *call) action { return &deinit{reaching: reaching{call: c}} }},
		}},
		{"the objects of a federation, which fedsync keeps in its clusters", []command{
			{"plan", "", "what fedsync would do now, and why", 0, 0, func(c *call) action { return &plan{steering: steering{reaching: reaching{call: c}}} }},
			{"confirm", "", "show the deletions that wait for an operator, and let them go", 0, 0, func(c *call) action { return &confirm{steering: steering{reaching: reaching{call: c}}} }},
		}},
	}
}

// A call is a command with what it was given.
type call struct {
	Env
	command
	positional []string
	given      map[string]bool // flags that were
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// A problem is an error in how a command was called.
type problem struct {
	error
	hint string
}

func (p *problem) Unwrap() error { return p.error }

// An exit is a result that isn't an error, and that scripts ask for.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func misused(c *command, format string, v ...any) error {
	return &problem{fmt.Errorf(format, v...), "usage: fedctl " + strings.TrimSpace(c.name+" "+c.args) + " [flags]; fedctl help " + c.name + " lists them"}
}

// Run runs fedctl with its arguments, and gives what the process exits with: 0,
// 1 for what went wrong, 2 for what was asked wrongly, and what a command says of its own.
func Run(ctx context.Context, env Env, args []string) int {
	err := run(ctx, env, args)
	if err == nil {
		return 0
	}
	var silent exit
	if errors.As(err, &silent) {
		return int(silent)
	}
	fmt.Fprintln(env.Stderr, "fedctl: error: "+kube.Plain(err))
	var p *problem
	if errors.As(err, &p) {
		fmt.Fprintln(env.Stderr, "fedctl: hint: "+p.hint)
		return 2
	}
	var h *advice.Error
	help := kube.Advice(err)
	if errors.As(err, &h) && h.Hint != "" {
		help = h.Hint
	}
	if help != "" {
		fmt.Fprintln(env.Stderr, "fedctl: hint: "+help)
	}
	return 1
}

func run(ctx context.Context, env Env, args []string) error {
	words, asked := spoken(args)
	if len(words) == 0 || words[0] == "help" {
		if len(words) == 0 && !asked {
			if len(args) > 0 {
				return &problem{fmt.Errorf("no command is given, but %q", args[0]), "fedctl help lists the commands"}
			}
			return &problem{errors.New("no command is given"), "fedctl help lists them"}
		}
		if len(words) < 2 {
			help(env.Stdout)
			return nil
		}
		words, asked = words[1:], true
	}
	k, n := find(words)
	if k == nil {
		return noCommand(words)
	}
	c := &call{Env: env, command: *k, given: map[string]bool{}}
	a := k.make(c)
	fs := flag.NewFlagSet("fedctl", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed by Run, in our words
	a.declare(fs)
	if asked {
		c.help(fs)
		return nil
	}
	// Package flag stops at the first argument that is none: go on behind it.
	for rest := args; ; {
		if err := fs.Parse(rest); err != nil {
			return c.unparsed(fs, err)
		}
		if rest = fs.Args(); len(rest) == 0 {
			break
		}
		c.positional = append(c.positional, rest[0])
		rest = rest[1:]
	}
	c.positional = c.positional[n:]
	if got := len(c.positional); got < k.min {
		return misused(k, "%s: an argument is missing", k.name)
	} else if got > k.max {
		return misused(k, "%s: %q is one argument too many", k.name, c.positional[k.max])
	}
	fs.Visit(func(f *flag.Flag) { c.given[f.Name] = true })
	return a.run(ctx)
}

// unfit is how package flag refuses a value.
var unfit = regexp.MustCompile(`^invalid (?:boolean )?value "([^"]*)" for (?:flag )?-(\S+): (.*)$`)

// noCommand says that there is no command of these words, and what may be meant.
func noCommand(words []string) error {
	var all []string
	for _, g := range groups {
		for _, k := range g.commands {
			all = append(all, k.name)
		}
	}
	// The second word of most is an argument.
	said, help := words[0], "fedctl help lists them"
	near := advice.Near(said, all)
	for _, name := range all {
		if first, _, two := strings.Cut(name, " "); two && first == said {
			said = strings.Join(words[:min(len(words), 2)], " ")
			near = []string{name}
		}
	}
	if len(near) > 0 {
		help = "did you mean " + strings.Join(near, ", or ") + "? " + help
	}
	return &problem{fmt.Errorf("there is no command %q", said), help}
}

// unparsed says what package flag says, in our words.
func (c *call) unparsed(fs *flag.FlagSet, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var all []string
		fs.VisitAll(func(f *flag.Flag) { all = append(all, f.Name) })
		name = strings.TrimPrefix(name, "-")
		if near := advice.Near(name, all); len(near) > 0 {
			return misused(&c.command, "%s: has no flag --%s; did you mean --%s?", c.name, name, strings.Join(near, ", or --"))
		}
		return misused(&c.command, "%s: has no flag --%s", c.name, name)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return misused(&c.command, "%s: flag needs an argument: --%s", c.name, strings.TrimPrefix(name, "-"))
	}
	if m := unfit.FindStringSubmatch(err.Error()); m != nil {
		if m[3] == "parse error" || m[3] == "value out of range" {
			value, usage := flag.UnquoteUsage(fs.Lookup(m[2]))
			if value == "" {
				return misused(&c.command, "%s: --%s takes no value, and %q is one", c.name, m[2], m[1])
			}
			return misused(&c.command, "%s: --%s: %q isn't right: %s", c.name, m[2], m[1], usage)
		}
		return misused(&c.command, "%s: --%s: %s", c.name, m[2], m[3])
	}
	return misused(&c.command, "%s: %v", c.name, err)
}

// spoken gives the arguments that are no flags, and whether help is asked for.
// Flags may stand before the command, whose flags they are: which of them are
// followed by a value is what all commands have to agree on.
func spoken(args []string) (words []string, help bool) {
	lone := alone()
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(words, args[i+1:]...), help
		}
		name := strings.TrimLeft(a, "-")
		if name == a || a == "-" {
			words = append(words, a)
			continue
		}
		if name == "h" || name == "help" {
			help = true
		} else if !strings.Contains(name, "=") && !lone[name] {
			i++
		}
	}
	return words, help
}

// alone are the flags that stand for themselves.
func alone() map[string]bool {
	out := map[string]bool{}
	for _, g := range groups {
		for _, k := range g.commands {
			fs := flag.NewFlagSet("", flag.ContinueOnError)
			k.make(&call{}).declare(fs)
			fs.VisitAll(func(f *flag.Flag) {
				if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
					out[f.Name] = true
				}
			})
		}
	}
	return out
}

// find gives the command that words begin with, and how many of them it is.
func find(words []string) (*command, int) {
	for _, g := range groups {
		for i, k := range g.commands {
			name := strings.Fields(k.name)
			if len(words) >= len(name) && slices.Equal(words[:len(name)], name) {
				return &g.commands[i], len(name)
			}
		}
	}
	return nil, 0
}

func help(w io.Writer) {
	fmt.Fprint(w, "fedctl asks a running fedns what it answers and why, gives it orders, and keeps\nthe clusters of a federation.\n")
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s\n", strings.ToUpper(g.about[:1])+g.about[1:])
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, c := range g.commands {
			fmt.Fprintf(t, "  fedctl %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.what)
		}
		t.Flush()
	}
	fmt.Fprint(w, "\nfedctl help COMMAND lists its flags, which may stand anywhere.\n")
}

// help prints what there is to know of a command.
func (c *call) help(fs *flag.FlagSet) {
	c.printf("fedctl %s [flags]\n  %s\n\n", strings.TrimSpace(c.name+" "+c.args), c.what)
	t := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0s" && f.DefValue != "0" {
			usage += "; default " + f.DefValue
		}
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(dashes+f.Name+" "+value), usage)
	})
	t.Flush()
}
