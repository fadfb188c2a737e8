package ctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/cli"
)

// arranged puts the words of the command first: flags may stand before it, whose flags they
// are. Which of them are followed by a value is what all commands have to agree on. old are
// flags that were written with one dash.
func arranged(root *cobra.Command, args []string) (out, old []string, err error) {
	all := cli.Flags{}
	each(root, func(c *cobra.Command) { all.Add(c.Flags()) })
	if len(args) > 1 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return completed(root, all, args), nil, nil
	}
	read, old := all.Read(args)
	words := wordsOf(read)
	c, n := find(root, words)
	if len(words) > 0 && n == 0 {
		return nil, nil, noCommand(root, words)
	}
	if n == 0 {
		if len(args) > 0 {
			if err := root.ParseFlags(cli.Texts(read)); err != nil && !errors.Is(err, pflag.ErrHelp) {
				return nil, nil, &problem{fmt.Errorf("no command is given, but %q", read[0].Text), "fedctl help lists the commands"}
			}
		}
		return cli.Texts(read), old, nil
	}
	if c.HasSubCommands() && len(words) > n && (c.Args == nil || c.Args(c, words[n:]) != nil) { // else it takes words itself
		return nil, nil, noCommand(root, words)
	}
	return first(read, n), old, nil
}

func wordsOf(args []cli.Arg) (words []string) {
	for _, a := range args {
		if a.Word {
			words = append(words, a.Text)
		}
	}
	return words
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
	_, n := find(root, wordsOf(read))
	return append(append(args[:1:1], first(read, n)...), args[len(args)-1])
}

// noCommand says that there is no command of these words, and what may be meant.
func noCommand(root *cobra.Command, words []string) error {
	c, n := find(root, words)
	var all []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			all = append(all, sub.Name())
		}
	}
	near := advice.Near(words[n], all)
	if len(near) == 0 && n > 0 { // those of two words are few
		near = all
	}
	before := strings.Join(append(words[:n:n], ""), " ")
	help := "fedctl help lists them"
	if len(near) > 0 {
		help = "did you mean " + before + strings.Join(near, ", or "+before) + "? " + help
	}
	return &problem{fmt.Errorf("there is no command %q", before+words[n]), help}
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
