package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Help writes what there is to know of a command, in kubectl's order: what it is, its
// commands, examples, options, usage. columns is how wide the terminal is; 0: it is none,
// and no line is folded.
func Help(w io.Writer, c *cobra.Command, columns int) {
	var b strings.Builder
	about := c.Long
	if about == "" {
		about = sentence(c.Short)
	}
	for line := range strings.Lines(about) {
		b.WriteString(Fold(strings.TrimSuffix(line, "\n"), "", columns))
	}
	listCommands(&b, c, columns)
	if c.Example != "" {
		b.WriteString("\nExamples:\n")
		for line := range strings.Lines(c.Example) {
			b.WriteString(strings.TrimRight("  "+strings.TrimSpace(line), " ") + "\n")
		}
	}
	if flags := listFlags(c.Flags(), columns); flags != "" {
		b.WriteString("\nOptions:\n" + flags)
	}
	b.WriteString("\nUsage:\n  " + UseLine(c) + "\n")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s COMMAND --help\" for more about one of them.\n", c.CommandPath())
	}
	fmt.Fprint(w, b.String())
}

// UseLine is how a command is called.
func UseLine(c *cobra.Command) string {
	line := c.CommandPath()
	if c.HasAvailableSubCommands() && c.HasParent() && c.Args == nil {
		line += " COMMAND"
	} else if _, args, ok := strings.Cut(c.Use, " "); ok {
		line += " " + args
	}
	if c.HasAvailableFlags() || c.HasAvailableSubCommands() {
		line += " [options]"
	}
	return line
}

// sentence is a line with a capital letter and an end.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// listCommands lists the commands below one, in groups if it has some. Commands of two words
// are listed as they are typed.
func listCommands(b *strings.Builder, c *cobra.Command, columns int) {
	type entry struct{ name, what string }
	lists, titles := map[string][]entry{}, map[string]string{}
	order := []string{}
	for _, g := range c.Groups() {
		order = append(order, g.ID)
		titles[g.ID] = g.Title
	}
	order = append(order, "")
	titles[""] = "Other commands:"
	if len(order) == 1 {
		titles[""] = "Available commands:"
	}
	width := 0
	var add func(prefix, group string, c *cobra.Command)
	add = func(prefix, group string, c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !sub.IsAvailableCommand() && sub.Name() != "help" {
				continue
			}
			in := cmp.Or(group, sub.GroupID)
			below := in != "" && sub.HasAvailableSubCommands()
			if !below || sub.Args != nil { // what takes words is a command itself
				lists[in] = append(lists[in], entry{prefix + sub.Name(), sentence(sub.Short)})
				width = max(width, len(prefix+sub.Name()))
			}
			if below {
				add(prefix+sub.Name()+" ", in, sub)
			}
		}
	}
	add("", "", c)
	for _, id := range order {
		if len(lists[id]) > 0 {
			b.WriteString("\n" + titles[id] + "\n")
		}
		for _, e := range lists[id] {
			line := fmt.Sprintf("  %-*s  ", width, e.name)
			b.WriteString(line + strings.TrimLeft(Fold(e.what, strings.Repeat(" ", len(line)), columns), " "))
		}
	}
}

// listFlags lists flags, each with its default, and what it is for below. Everybody knows
// what --help is.
func listFlags(fs *pflag.FlagSet, columns int) string {
	var all []string
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		switch f.Shorthand {
		case "":
		case f.Name: // one of package flag
			name = "-" + f.Name
		default:
			name = "-" + f.Shorthand + ", " + name
		}
		def := f.DefValue
		if def == "" || f.Value.Type() == "string" {
			def = "'" + def + "'"
		}
		_, usage := pflag.UnquoteUsage(f)
		all = append(all, fmt.Sprintf("    %s=%s:\n%s", name, def, Fold(usage, "        ", columns)))
	})
	return strings.Join(all, "\n")
}

// Fold breaks a line at its spaces where it would be wider than columns; 0 doesn't. A word
// that is wider is left whole.
func Fold(text, indent string, columns int) string {
	if columns <= 0 || len(indent)+len(text) <= columns {
		return indent + text + "\n"
	}
	var b strings.Builder
	line := indent
	for _, word := range strings.Fields(text) {
		switch {
		case line == indent:
			line += word
		case len(line)+1+len(word) > columns:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
	return b.String()
}
