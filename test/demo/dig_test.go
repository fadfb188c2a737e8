package demo

import (
	"fmt"
	"slices"
	"strings"
)

// name is one of the service's: "" is the global one.
func name(scope string) string {
	return strings.Join(slices.DeleteFunc([]string{"nginx.mynamespace.myfederation.svc", scope, "example.com"}, func(s string) bool { return s == "" }), ".")
}

func (w *walk) dig(flags, scope string) string {
	return strings.Join(strings.Fields(fmt.Sprintf("dig %s %s %s", w.server(), flags, name(scope))), " ")
}

func (w *walk) digFor(name string) string {
	return fmt.Sprintf("dig %s +noall +answer %s", w.server(), name)
}

// server is where dig is to ask.
func (w *walk) server() string {
	const usual = 53
	if w.port == usual {
		return "@" + w.ip
	}
	return fmt.Sprintf("@%s -p %d", w.ip, w.port)
}

// asks shows the answer for a name, once it is what it should be: scopes that it
// leads to, one after the other, and behind them the clusters whose addresses are answered.
func (w *walk) asks(scope string, want ...string) {
	w.t.Helper()
	w.answers(w.digFor(name(scope)), want...)
}

func (w *walk) answers(line string, want ...string) {
	w.t.Helper()
	var need []string
	for _, x := range want {
		switch addr, is := w.addrs[x]; {
		case is:
			x = addr
		case x == "global":
			x = name("") + "."
		case !strings.ContainsAny(x[:1], "0123456789"):
			x = name(x) + "."
		}
		need = append(need, x)
	}
	w.until(line, func(out string) bool {
		var chain, addrs []string
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) < 5 {
				continue
			}
			switch f[3] {
			case "CNAME":
				chain = append(chain, f[4])
			case "A":
				addrs = append(addrs, f[4])
			}
		}
		slices.Sort(addrs)
		have := slices.Concat(chain, addrs)
		return slices.Equal(sorted(need), have)
	})
}

// sorted sorts the addresses at the end of a list, as an answer's are.
func sorted(want []string) []string {
	out := slices.Clone(want)
	i := slices.IndexFunc(out, func(s string) bool { return !strings.HasSuffix(s, ".") })
	if i >= 0 {
		slices.Sort(out[i:])
	}
	return out
}
