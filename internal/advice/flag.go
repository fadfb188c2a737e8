package advice

import (
	"flag"
	"fmt"
	"strings"
)

// Flag says in words what package flag says of an argument that it refuses.
func Flag(fs *flag.FlagSet, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	name = strings.TrimPrefix(name, "-")
	var all []string
	fs.VisitAll(func(f *flag.Flag) { all = append(all, f.Name) })
	if near := Near(name, all); len(near) > 0 {
		return fmt.Errorf("there is no flag -%s; did you mean -%s?", name, strings.Join(near, ", or -"))
	}
	return fmt.Errorf("there is no flag -%s", name)
}
