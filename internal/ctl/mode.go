package ctl

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// Where an order goes.
const (
	toFile = "file"
	toAPI  = "api"
)

// A mode is where an order goes: into a file of overrides, or to the API of a federation,
// and from there to all its servers. It is said, and never guessed: by --to, or by a flag
// that speaks of one of the two only.
type mode struct{ to string }

func (m *mode) String() string { return m.to }

// Type is that of the flag, for its help.
func (m *mode) Type() string { return "string" }

// Set takes one of the two.
func (m *mode) Set(to string) error {
	if to != toFile && to != toAPI {
		return fmt.Errorf("%q is neither %s nor %s", to, toFile, toAPI)
	}
	m.to = to
	return nil
}

func (m *mode) declare(fs *pflag.FlagSet) {
	fs.Var(m, "to", "`WHERE` the order goes: file, the file of overrides that the server reads, or api, the federation's API; --context says api, too")
}

// ofAPI are the flags that speak of an API.
var ofAPI = []string{"context", "kubeconfig", "cluster", "user", "as", "as-group", "as-uid", "federation"}

// posted says whether the federation's API is meant, and not a file of overrides, by a flag
// that speaks of an API, or of others that do.
func (c *call) posted(others ...string) bool { return c.speaks(append(others, ofAPI...)...) != "" }

// speaks gives the first of some flags that was given; "": none was.
func (c *call) speaks(flags ...string) string {
	if i := slices.IndexFunc(flags, func(f string) bool { return c.given[f] }); i >= 0 {
		return flags[i]
	}
	return ""
}

// api says whether an order goes to the federation's API. saying are flags of the command
// that say so; needing are those that mean something there only, and don't.
func (m *mode) api(c *call, saying, needing []string) (bool, error) {
	said := c.speaks(append(slices.Clone(ofAPI), saying...)...)
	if m.to == toFile && said != "" {
		return false, misused(&c.command, "%s: --to %s and --%s exclude each other", c.name, toFile, said)
	}
	if m.to == toAPI || said != "" {
		return true, nil
	}
	if f := c.speaks(needing...); f != "" {
		return false, &problem{
			fmt.Errorf("%s: --%s is for the federation's API, and this goes to a file of overrides", c.name, f),
			"say where it goes: --to api for the API of the current context, --context for that of another; without --" + f + " it goes to the file",
		}
	}
	return false, nil
}
