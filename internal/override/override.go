// Package override reads and writes what operators order about shards: to drain
// or force a cluster, a region, a zone or a service, for a while and for a reason.
//
// A file of overrides has a line each:
//
//	drain|down|up|failback cluster/NAME|region/NAME|zone/NAME|service/NS/NAME [until TIME] reason "..."
//
// TIME is as RFC 3339 has it. Where several lines speak of one shard, the last
// one counts. The package knows the text only; what follows is package shard's.
package override

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An Action is what is ordered.
type Action string

// The actions. Drain and down both take shards out; failback goes back to the region
// that a service's failover policy prefers.
const (
	Drain    Action = "drain"
	Down     Action = "down"
	Up       Action = "up"
	Failback Action = "failback"
)

// About says what is wrong with an action for a subject.
func (a Action) About(s Subject) error {
	if a == Failback && s.Kind != Region && s.Kind != Service {
		return fmt.Errorf("failback %s: only a region or a service can be gone back to", s)
	}
	return nil
}

// A Kind is what an order is about.
type Kind string

// The kinds.
const (
	Cluster Kind = "cluster"
	Region  Kind = "region"
	Zone    Kind = "zone"
	Service Kind = "service"
)

// A Subject is what an order is about: a cluster, a region or a zone by its name,
// a service by namespace and name.
type Subject struct {
	Kind      Kind
	Namespace string // of a service
	Name      string
}

func (s Subject) String() string {
	if s.Kind == Service {
		return string(s.Kind) + "/" + s.Namespace + "/" + s.Name
	}
	return string(s.Kind) + "/" + s.Name
}

// ParseSubject reads KIND/NAME, or service/NS/NAME.
func ParseSubject(s string) (Subject, error) {
	parts := strings.Split(s, "/")
	sub := Subject{Kind: Kind(parts[0])}
	switch sub.Kind {
	case Cluster, Region, Zone:
		if len(parts) == 2 && parts[1] != "" {
			sub.Name = parts[1]
			return sub, nil
		}
		return sub, fmt.Errorf("%q: a %s is %s/NAME", s, sub.Kind, sub.Kind)
	case Service:
		if len(parts) == 3 && parts[1] != "" && parts[2] != "" {
			sub.Namespace, sub.Name = parts[1], parts[2]
			return sub, nil
		}
		return sub, fmt.Errorf("%q: a service is service/NAMESPACE/NAME", s)
	}
	return sub, fmt.Errorf("%q is none of cluster/NAME, region/NAME, zone/NAME, service/NS/NAME", s)
}

// An Order is one line.
type Order struct {
	Action  Action
	Subject Subject
	Until   time.Time // zero: until it is taken back
	Reason  string
}

// Expired says whether the order is over at a time of the wall clock.
func (o Order) Expired(now time.Time) bool { return !o.Until.IsZero() && !now.Before(o.Until) }

// String is the line that says so.
func (o Order) String() string {
	s := string(o.Action) + " " + o.Subject.String()
	if !o.Until.IsZero() {
		s += " until " + o.Until.Format(time.RFC3339)
	}
	return s + " reason " + strconv.Quote(o.Reason)
}

// wrong is what is wrong with a file, line by line.
type wrong []error

// few is how many wrong lines are named: with more, it isn't a file of overrides.
const few = 5

func (w wrong) Error() string {
	var b strings.Builder
	for i, err := range w {
		switch {
		case i == few:
			fmt.Fprintf(&b, "; and %d more lines", len(w)-few)
			return b.String()
		case i > 0:
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

func (w wrong) Unwrap() []error { return w }

// Parse reads a file of overrides. Wrong lines are named in the error, and
// then no order is given: half of what an operator wrote is not what was meant.
func Parse(text string) ([]Order, error) {
	var out []Order
	var errs []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		o, err := parseLine(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		out = append(out, o)
	}
	if len(errs) > 0 {
		return nil, wrong(errs)
	}
	return out, nil
}

func parseLine(line string) (Order, error) {
	var o Order
	word, rest := cut(line)
	switch o.Action = Action(word); o.Action {
	case Drain, Down, Up, Failback:
	default:
		return o, fmt.Errorf("%q is none of drain, down, up, failback", word)
	}
	word, rest = cut(rest)
	var err error
	if o.Subject, err = ParseSubject(word); err != nil {
		return o, err
	}
	if err := o.Action.About(o.Subject); err != nil {
		return o, err
	}
	word, rest = cut(rest)
	if word == "until" {
		word, rest = cut(rest)
		if o.Until, err = time.Parse(time.RFC3339, word); err != nil {
			return o, fmt.Errorf("until: %q is not a time such as 2026-01-31T15:04:05Z", word)
		}
		word, rest = cut(rest)
	}
	if word != "reason" {
		return o, fmt.Errorf(`%q stands where [until TIME] reason "..." is needed`, cmp.Or(word, "nothing"))
	}
	if o.Reason, err = strconv.Unquote(rest); err != nil || strings.TrimSpace(o.Reason) == "" {
		return o, fmt.Errorf(`reason: %s is not a text in quotes, such as "kernel upgrade"`, cmp.Or(rest, "nothing"))
	}
	return o, nil
}

func cut(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}
