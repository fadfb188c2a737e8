package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
)

// Wrong says in a user's words what the parser says of a flag.
func Wrong(fs *pflag.FlagSet, err error) error {
	var (
		none    *pflag.NotExistError
		nothing *pflag.ValueRequiredError
		value   *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &none):
		return noFlag(fs, none)
	case errors.As(err, &nothing):
		return fmt.Errorf("%s is without a value", dashed(nothing.GetFlag()))
	case errors.As(err, &value):
		return fmt.Errorf("%s", unfit(value))
	case errors.As(err, &syntax):
		return fmt.Errorf("%q is no flag", syntax.GetSpecifiedFlag())
	}
	return err
}

// noFlag says that a flag isn't there, and what may be meant.
func noFlag(fs *pflag.FlagSet, none *pflag.NotExistError) error {
	if letters := none.GetSpecifiedShortnames(); letters != "" {
		letters, _, _ = strings.Cut(letters, "=")
		var near []string
		if len(letters) > 1 {
			near = advice.Near(letters, names(fs))
		}
		if len(near) > 0 {
			return fmt.Errorf("there is no flag -%s; did you mean --%s?", letters, strings.Join(near, ", or --"))
		}
		return fmt.Errorf("there is no flag -%s", none.GetSpecifiedName())
	}
	name := none.GetSpecifiedName()
	if len(name) == 1 && fs.ShorthandLookup(name) != nil {
		return fmt.Errorf("there is no flag --%s; did you mean -%s?", name, name)
	}
	if near := advice.Near(name, names(fs)); len(near) > 0 {
		return fmt.Errorf("there is no flag --%s; did you mean --%s?", name, strings.Join(near, ", or --"))
	}
	return fmt.Errorf("there is no flag --%s", name)
}

// names are the long names of flags that are meant to be used.
func names(fs *pflag.FlagSet) (out []string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			out = append(out, f.Name)
		}
	})
	return out
}

// dashed is a flag as it is mostly written.
func dashed(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// unfit says what a value has to be.
func unfit(e *pflag.InvalidValueError) string {
	f := e.GetFlag()
	what := e.Unwrap().Error()
	switch f.Value.Type() {
	case "bool", "boolfunc":
		return fmt.Sprintf("%s takes no value, and %q is one", dashed(f), e.GetValue())
	case "duration":
		what = "isn't a duration such as 90s, 15m or 2h"
	case "int":
		what = "isn't a whole number"
	case "float32", "float64":
		what = "isn't a number"
	default:
		if strings.Contains(what, fmt.Sprintf("%q", e.GetValue())) {
			return fmt.Sprintf("%s: %s", dashed(f), what)
		}
	}
	return fmt.Sprintf("%s: %q %s", dashed(f), e.GetValue(), what)
}
