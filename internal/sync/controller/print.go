package controller

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/sync/workload"
)

// Print writes a preview for people, a cluster at a time.
func (p Preview) Print(w io.Writer) error {
	var b strings.Builder
	cluster := ""
	for _, s := range p.Steps {
		if s.Cluster != cluster {
			cluster = s.Cluster
			fmt.Fprintf(&b, "cluster %s\n", cluster)
		}
		fmt.Fprintf(&b, "  %s %s: %s\n", s.Verb, s.Key, s.Why)
		if s.Verb == workload.Create && len(s.Scale) > 0 {
			fmt.Fprintf(&b, "      with %s\n", s.Scale)
		}
		if s.Refused != "" {
			fmt.Fprintf(&b, "      refused: %s\n", s.Refused)
		}
		if s.Untried != "" {
			fmt.Fprintf(&b, "      not tried: %s\n", s.Untried)
		}
		for _, c := range s.Changes {
			fmt.Fprintf(&b, "      %s: %s -> %s\n", c.Path, cmp.Or(c.Was, nothing), cmp.Or(c.Now, nothing))
		}
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintln(&b, title)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	var strays []string
	for _, s := range p.Waiting {
		strays = append(strays, fmt.Sprintf("cluster %s: %s", s.Cluster, s.Key))
	}
	slices.Sort(strays)
	section("no federated object asks for these; they stay until an operator says otherwise (fedctl confirm):", strays)
	section("waits for an operator:", p.TooMany)
	section("to be said:", p.Notes)
	section("couldn't be asked; what there is to do there isn't shown:", p.Unknown)
	if b.Len() == 0 {
		b.WriteString("nothing to do\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// nothing stands for a field that isn't there.
const nothing = "(nothing)"
