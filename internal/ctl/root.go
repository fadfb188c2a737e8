package ctl

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
)

// What fedctl is called: by itself, as kubectl's plugin, and as what completes that.
const (
	program   = "fedctl"
	plugin    = "kubectl-fedns"
	completer = "kubectl_complete-fedns"
)

// called is the name of the program, without its folder.
func (e *Env) called() string {
	return strings.TrimSuffix(filepath.Base(e.Program), ".exe")
}

// toType is fedctl where it is to be typed.
var toType = regexp.MustCompile(`\bfedctl( -?-?[a-z])`)

// typed is a text with what somebody types who has called fedctl as a plugin.
func (e *Env) typed(text string) string {
	if e.called() != plugin {
		return text
	}
	return toType.ReplaceAllString(text, "kubectl fedns$1")
}

// Run runs fedctl with its arguments, and gives what the process exits with: 0,
// 1 for what went wrong, 2 for what was asked wrongly, and what a command says of its own.
func Run(ctx context.Context, env Env, args []string) int {
	env.Stderr = &shared{w: env.Stderr} // that something is waited for is said meanwhile
	err := run(ctx, env, args)
	if err == nil {
		return 0
	}
	var silent exit
	if errors.As(err, &silent) {
		return int(silent)
	}
	fmt.Fprintln(env.Stderr, "fedctl: "+env.word(red, "error:")+" "+kube.Plain(err))
	var p *problem
	if errors.As(err, &p) {
		env.hint(p.hint)
		return 2
	}
	var h *advice.Error
	help := kube.Advice(err)
	if errors.As(err, &h) && h.Hint != "" {
		help = h.Hint
	}
	if help != "" {
		env.hint(help)
	}
	return 1
}

// help prints what there is to know of a command.
func (e *Env) help(c *cobra.Command) {
	c.Long, c.Example = e.typed(c.Long), e.typed(c.Example)
	cli.Help(e.Stdout, c, e.Columns)
}

// hint says what may help.
func (e *Env) hint(text string) {
	fmt.Fprintln(e.Stderr, "fedctl: "+e.word(yellow, "hint:")+" "+e.typed(text))
}

// word is one of what is printed to Stderr.
func (e *Env) word(code, text string) string {
	if e.ErrColumns == 0 {
		return text
	}
	return e.colored(code, text)
}

func run(ctx context.Context, env Env, args []string) error {
	if env.called() == completer {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	root := newRoot(env)
	words, old, err := arranged(root, args)
	if err != nil {
		return err
	}
	for _, name := range old {
		if name != "json" { // which is called otherwise, and says so
			env.hint("-" + name + " is --" + name + " now")
		}
	}
	root.SetArgs(words)
	return root.ExecuteContext(ctx)
}

func init() { cobra.EnableCommandSorting = false } // groups has an order

// Command is the tree of commands, for those who write about them. The environment of whoever
// does has no part in it.
func Command() *cobra.Command {
	root := newRoot(Env{})
	root.InitDefaultCompletionCmd()
	return root
}

// newRoot makes the tree of commands, for one call.
func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "ask a running fedns what it answers and why, give it orders, and keep the clusters of a federation",
		Long:  "fedctl asks a running fedns what it answers and why, gives it orders, and keeps\nthe clusters of a federation.\n",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(args)
			}
			return nil
		},
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		Version:       env.Version,
		SilenceErrors: true, // Run prints them, in our words
		SilenceUsage:  true,
	}
	root.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveNoFileComp // commands are proposed anyway, and no files
	}
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	if env.called() == plugin {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fedns"}
	}
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { env.help(c) })
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &problem{cli.Wrong(root.Flags(), err), "fedctl help lists the commands"}
	})
	root.SetHelpCommand(helpCommand(root))
	root.Flags().Bool("version", false, "print the version; fedctl version asks the server for its own, too")
	for _, g := range groups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.about + ":"})
		for _, k := range g.commands {
			parent, name := root, k.name
			if first, second, two := strings.Cut(k.name, " "); two {
				parent, name = child(root, first), second
				if parent == nil {
					parent = newParent(first, g)
					root.AddCommand(parent)
				}
			}
			cmd := newCommand(env, k, name)
			if parent == root {
				cmd.GroupID = g.id
			}
			parent.AddCommand(cmd)
		}
	}
	return root
}

// newParent is the first word of commands that have two.
func newParent(name string, g group) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "list what a federation's API has", GroupID: g.id,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand([]string{name, args[0]})
			}
			return c.Help()
		},
	}
}

// newCommand makes one of cobra's.
func newCommand(env Env, k command, name string) *cobra.Command {
	c := &call{Env: env, command: k, given: map[string]bool{}}
	a := k.make(c)
	cmd := &cobra.Command{
		Use:     strings.TrimSpace(name + " " + k.args),
		Short:   k.what,
		Long:    k.long,
		Example: k.example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < k.min {
				return misused(&k, "%s: an argument is missing", k.name)
			}
			if len(args) > k.max {
				return misused(&k, "%s: %q is one argument too many", k.name, args[k.max])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.positional = args
			cmd.Flags().Visit(func(f *pflag.Flag) {
				c.given[f.Name] = true
				if by := f.Annotations[replaced]; by != nil {
					c.hint("--" + f.Name + " is " + by[0] + " now")
				}
			})
			return a.run(cmd.Context())
		},
	}
	a.declare(cmd.Flags())
	completes(cmd, c)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misused(&k, "%s: %v", k.name, cli.Wrong(cmd.Flags(), err))
	})
	return cmd
}

// helpCommand is help.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			c, n := find(root, args)
			if n == 0 {
				return noCommand(args)
			}
			return c.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			var all []string
			if c, n := find(root, args); n == len(args) {
				for _, sub := range c.Commands() {
					if sub.IsAvailableCommand() {
						all = append(all, sub.Name())
					}
				}
			}
			return proposed(all, begun)
		},
	}
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// find gives the command that words begin with, and how many of them it is.
func find(root *cobra.Command, words []string) (c *cobra.Command, n int) {
	c = root
	for _, w := range words {
		sub := child(c, w)
		if sub == nil {
			break
		}
		c, n = sub, n+1
	}
	return c, n
}

// each visits all commands of a tree.
func each(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		each(sub, visit)
	}
}

// arranged puts the words of the command first: flags may stand before it, whose flags they
// are. Which of them are followed by a value is what all commands have to agree on. old are
// flags that were written with one dash.
func arranged(root *cobra.Command, args []string) (out, old []string, err error) {
	all := cli.Flags{}
	each(root, func(c *cobra.Command) { all.Add(c.Flags()) })
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	if len(args) > 1 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return completed(root, all, args), nil, nil
	}
	read, old := all.Read(args)
	var words []string
	for _, a := range read {
		if a.Word {
			words = append(words, a.Text)
		}
	}
	c, n := find(root, words)
	if len(words) > 0 && n == 0 {
		return nil, nil, noCommand(words)
	}
	if n == 0 {
		if len(args) > 0 {
			if err := root.ParseFlags(cli.Texts(read)); err != nil && !errors.Is(err, pflag.ErrHelp) {
				return nil, nil, &problem{fmt.Errorf("no command is given, but %q", read[0].Text), "fedctl help lists the commands"}
			}
		}
		return cli.Texts(read), old, nil
	}
	if c.HasSubCommands() && len(words) > n {
		return nil, nil, noCommand(words)
	}
	return first(read, n), old, nil
}

// first puts the first n words before all else.
func first(args []cli.Arg, n int) (out []string) {
	var rest []string
	for _, a := range args {
		if a.Word && len(out) < n {
			out = append(out, a.Text)
		} else {
			rest = append(rest, a.Text)
		}
	}
	return append(out, rest...)
}

// completed arranges a line that isn't whole: of the last word nothing is known yet.
func completed(root *cobra.Command, all cli.Flags, args []string) []string {
	read, _ := all.Read(args[1 : len(args)-1])
	var words []string
	for _, a := range read {
		if a.Word {
			words = append(words, a.Text)
		}
	}
	_, n := find(root, words)
	return append(append(args[:1:1], first(read, n)...), args[len(args)-1])
}

// noCommand says that there is no command of these words, and what may be meant.
func noCommand(words []string) error {
	var all []string
	for _, g := range groups() {
		for _, k := range g.commands {
			all = append(all, k.name)
		}
	}
	// The second word of most is an argument.
	said, help := words[0], "fedctl help lists them"
	near := advice.Near(said, append(slices.Clone(all), "help", "completion"))
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
