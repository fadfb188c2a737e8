// Package cli is how the programs take their command lines: as those of Kubernetes do,
// with flags of two dashes that may stand anywhere, and with help as kubectl prints it.
//
// Flags once had one dash. That goes on working: Flags.Read is where it ends.
package cli

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are those of a program, by name and by letter, and whether a value follows each.
type Flags map[string]bool

// Add adds those of a set.
func (f Flags) Add(fs *pflag.FlagSet) {
	f["help"], f["h"] = false, false // every program has them
	fs.VisitAll(func(p *pflag.Flag) {
		f[p.Name] = p.NoOptDefVal == ""
		if p.Shorthand != "" {
			f[p.Shorthand] = p.NoOptDefVal == ""
		}
	})
}

// An Arg is one of a command line.
type Arg struct {
	Text string
	Word bool // neither a flag nor the value of one
}

// Read tells words from flags and their values. The long name of a flag after one dash is
// what it was before there were two; old are those that were written so. A letter with its
// value, such as -ojson, is none of them.
func (f Flags) Read(args []string) (read []Arg, old []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			read = append(read, Arg{Text: a})
			for _, rest := range args[i+1:] {
				read = append(read, Arg{rest, true})
			}
			break
		}
		name := strings.TrimLeft(a, "-")
		if name == a || name == "" {
			read = append(read, Arg{a, true})
			continue
		}
		name, _, valued := strings.Cut(name, "=")
		if _, known := f[name]; known && len(name) > 1 && a[1] != '-' {
			a = "-" + a
			if name != "help" {
				old = append(old, name)
			}
		}
		read = append(read, Arg{Text: a})
		follows, known := f[name]
		if !known && a[1] != '-' && len(name) > 1 {
			// A letter with its value behind it, or several letters.
			last := name[len(name)-1:]
			follows = !f[name[:1]] && f[last]
			known = true
		}
		if (follows || !known) && !valued && i+1 < len(args) {
			i++
			read = append(read, Arg{Text: args[i]})
		}
	}
	return read, old
}

// Parse parses the command line of a program that has no commands, and gives the flags of it
// that were written with one dash. What is wrong is said in a user's words; help is
// pflag.ErrHelp.
func Parse(fs *pflag.FlagSet, args []string) (old []string, err error) {
	f := Flags{}
	f.Add(fs)
	read, old := f.Read(args)
	fs.Usage = func() {} // whoever asked for it prints it
	if err = fs.Parse(Texts(read)); err != nil && !errors.Is(err, pflag.ErrHelp) {
		err = Wrong(fs, err)
	}
	return old, err
}

// Texts are arguments as they are parsed.
func Texts(args []Arg) (out []string) {
	for _, a := range args {
		out = append(out, a.Text)
	}
	return out
}
