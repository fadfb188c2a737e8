package ctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
)

// Run runs fedctl with its arguments, and gives what the process exits with: see ExitCodes.
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
		return askedWrongly
	}
	var h *advice.Error
	help := kube.Advice(err)
	if errors.As(err, &h) && h.Hint != "" {
		help = h.Hint
	}
	if help != "" {
		env.hint(help)
	}
	return wentWrong
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
func Command() *cobra.Command { return newRoot(Env{}) }

// newRoot makes the tree of commands, for one call.
func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "ask a running fedns what it answers and why, give it orders, and keep the clusters of a federation",
		Long:  "fedctl asks a running fedns what it answers and why, gives it orders, and keeps\nthe clusters of a federation.\n",
		Args: func(root *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(root, args)
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &problem{cli.Wrong(c.Flags(), err), "fedctl help lists the commands"}
	})
	root.SetHelpCommand(helpCommand(root))
	root.Flags().Bool("version", false, "print the version; fedctl version asks the server for its own, too")
	for _, g := range groups {
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
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, shell := range child(root, "completion").Commands() {
		shell.Args = func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &problem{fmt.Errorf("completion %s: %q is one argument too many", shell.Name(), args[0]), "usage: fedctl completion " + shell.Name() + " [options]"}
			}
			return nil
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
				return noCommand(c.Root(), []string{name, args[0]})
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
			if o, ok := a.(interface{ close() }); ok {
				defer o.close()
			}
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
			if n == 0 || c.HasSubCommands() && n < len(args) {
				return noCommand(root, args)
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
