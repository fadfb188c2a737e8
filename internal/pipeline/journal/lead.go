package journal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
)

// A Led is what a failover policy has come to for a service, on the wall clock.
type Led struct {
	Key    snapshot.Key
	Policy snapshot.Policy // the zero one: nothing is to be remembered
	Places [snapshot.Families]Place
}

// A Place is where the addresses of one family are answered from, and why.
type Place struct {
	Active string      `json:"active,omitempty"`
	Since  []time.Time `json:"since,omitempty"` // by the policy's regions; zero while one isn't up
	Done   []string    `json:"done,omitempty"`  // orders to go back that have had their effect
}

// ledLine is a Led as JSON has it. Servers of before don't know it, and read past it.
type ledLine struct {
	Key    snapshot.Key             `json:"key"`
	Policy string                   `json:"policy,omitempty"`
	Places [snapshot.Families]Place `json:"places,omitzero"`
}

// IsZero says whether nothing is said of a place.
func (p Place) IsZero() bool { return p.Active == "" && len(p.Since) == 0 && len(p.Done) == 0 }

func encodeLeads(leads []Led) (out []ledLine) {
	for _, l := range leads {
		e := ledLine{Key: l.Key, Places: l.Places}
		if l.Policy.Choice == snapshot.Failover {
			e.Policy = l.Policy.String()
		}
		out = append(out, e)
	}
	return out
}

func decodeLeads(leads []ledLine) (out []Led, err error) {
	for _, e := range leads {
		l := Led{Key: e.Key, Places: e.Places}
		if e.Policy == "" {
			out = append(out, l)
			continue
		}
		if l.Policy, err = snapshot.ParsePolicy(strings.Fields(e.Policy)); err != nil {
			return nil, fmt.Errorf("%s: policy: %w", e.Key, err)
		}
		if slices.ContainsFunc(e.Places[:], func(p Place) bool { return len(p.Since) != len(l.Policy.Regions) }) {
			return nil, fmt.Errorf("%s: policy %s: not a time for each region", e.Key, l.Policy)
		}
		out = append(out, l)
	}
	return out, nil
}
