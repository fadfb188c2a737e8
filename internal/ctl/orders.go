package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/override"
)

// editing is what commands have in common that edit a file of overrides.
type editing struct {
	asking
	file      string
	namespace string
}

func (c *editing) declare(fs *pflag.FlagSet) {
	c.at(fs)
	c.out.declare(fs, orderForms)
	c.which(fs)
	c.whose(fs)
}

// which declares the flag that says which file.
func (c *editing) which(fs *pflag.FlagSet) {
	fs.StringVar(&c.file, "file", "", "`PATH` of the file of overrides; default: the one the server reads")
}

// whose declares the flag that says whose service it is about.
func (c *editing) whose(fs *pflag.FlagSet) {
	fs.StringVarP(&c.namespace, "namespace", "n", "", "`NAMESPACE` of a SUBJECT service/NAME that says none")
}

// order is drain, down, up and failback.
type order struct {
	editing
	reason, until string
	duration      time.Duration
	dry, force    bool
}

func (c *order) declare(fs *pflag.FlagSet) {
	c.editing.declare(fs)
	c.terms(fs)
}

// terms declares the flags that say for what, and how long.
func (c *order) terms(fs *pflag.FlagSet) {
	fs.StringVar(&c.reason, "reason", "", "`TEXT` for whoever finds the order")
	fs.StringVar(&c.until, "until", "", "`TIME` it ends by itself, such as 2026-01-31T15:04:05Z")
	fs.DurationVar(&c.duration, "for", 0, "`DURATION` it holds, such as 90m")
	fs.BoolVar(&c.dry, "dry-run", false, "show what would change, and change nothing")
	fs.BoolVar(&c.force, "force", false, "even if it can't be known what would change, or a service would have no shard left")
}

// wanted makes the order that the command line spells.
func (c *order) wanted() (o override.Order, err error) {
	o.Action, o.Reason = override.Action(c.name), strings.TrimSpace(c.reason)
	if o.Subject, err = c.subject(c.namespace); err != nil {
		return o, misused(&c.command, "%s: %v", c.name, err)
	}
	if err := o.Action.About(o.Subject); err != nil {
		return o, misused(&c.command, "%v", err)
	}
	if o.Reason == "" {
		return o, misused(&c.command, "%s: --reason is missing; whoever finds the order will want to know", c.name)
	}
	now := c.Now()
	switch {
	case c.until != "" && c.duration != 0:
		return o, misused(&c.command, "%s: --until and --for say the same; one is enough", c.name)
	case c.until != "":
		if o.Until, err = time.Parse(time.RFC3339, c.until); err != nil {
			return o, misused(&c.command, "%s: --until: %q is not a time such as 2026-01-31T15:04:05Z", c.name, c.until)
		}
		if o.Expired(now) {
			return o, misused(&c.command, "%s: --until: %s is over already", c.name, c.until)
		}
	case c.duration < 0:
		return o, misused(&c.command, "%s: --for: %s is over already", c.name, c.duration)
	case c.duration > 0:
		// Rounded up to the seconds a file has: never shorter than was asked.
		o.Until = now.Add(c.duration + time.Second - time.Nanosecond).UTC().Truncate(time.Second)
	}
	if again, err := override.Parse(o.String()); err != nil || len(again) != 1 {
		return o, misused(&c.command, "%s: %q can't stand in a file of overrides", c.name, c.positional[0])
	}
	return o, nil
}

// A target is the file to edit, and the federations of the server that go by it.
type target struct {
	path        string
	federations []string // none: all of them
	failed      error    // why the server can't be asked
	mute        bool     // it doesn't say what it goes by
}

// target finds the file. Where only the file matters, the server may be away.
func (c *editing) target(ctx context.Context) (t target, err error) {
	var s report.Snapshot
	if t.failed = c.get(ctx, "snapshot", nil, &s); t.failed != nil {
		if t.path = c.file; t.path == "" {
			return t, t.failed
		}
		return t, nil
	}
	var files []string
	of := map[string][]string{}
	t.mute = true
	for _, f := range s.Federations {
		if f.OverridesFile == "" {
			continue
		}
		t.mute = t.mute && f.InForce == nil && f.Overrides == nil
		if of[f.OverridesFile] == nil {
			files = append(files, f.OverridesFile)
		}
		of[f.OverridesFile] = append(of[f.OverridesFile], f.Federation)
	}
	t.mute = t.mute && len(files) > 0
	switch {
	case c.file != "":
		abs, err := filepath.Abs(c.file)
		if err != nil {
			return t, err
		}
		t.path, t.federations = c.file, of[abs]
		if t.federations == nil && len(files) > 0 {
			c.hint(fmt.Sprintf("the server reads %s; is that the same file?", strings.Join(files, ", ")))
		}
	case len(files) == 0:
		return t, advice.Errorf("give the federation one in the Corefile: overrides FILE", "the server has no file of overrides")
	case len(files) > 1:
		return t, advice.Errorf("--file "+strings.Join(files, ", or --file "), "the server has %d files of overrides", len(files))
	default:
		t.path, t.federations = files[0], of[files[0]]
	}
	return t, nil
}

func (c *order) run(ctx context.Context) error {
	o, err := c.wanted()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s %s", o.Action, o.Subject)
	t, err := c.target(ctx)
	if err != nil {
		return err
	}
	if c.dry {
		p, err := c.preview(ctx, t, o)
		if err != nil {
			return err
		}
		return c.show(what, p, "", o)
	}
	if o.Action == override.Failback && t.failed == nil {
		if err := c.renew(ctx, t, o); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	var p *report.Preview
	var before, after []line
	err = c.edit(ctx, t.path, func(lines []line) ([]line, error) {
		if t.failed == nil {
			if err := c.read(ctx, t); err != nil {
				return nil, fmt.Errorf("%s: nothing is written: %w", what, err)
			}
		}
		// Asked for while nobody else can edit: two orders that are harmless one by
		// one may not be so together.
		p, err = c.preview(ctx, t, o)
		switch {
		case err != nil && !c.force:
			return nil, advice.Errorf("--force orders it unseen", "%s: what it would change is not known: %w", what, err)
		case err == nil && !c.force:
			if err := refusal(what, p); err != nil {
				return nil, err
			}
		}
		kept, _ := without(lines, func(old *override.Order) bool {
			return old.Subject == o.Subject && (old.Action == override.Failback) == (o.Action == override.Failback)
		})
		// At the end: the last order counts, and this one does.
		before, after = lines, slices.Concat(kept, []line{{text: o.String(), order: &o}})
		return after, nil
	})
	if err != nil {
		return err
	}
	if t.failed != nil {
		c.hint(fmt.Sprintf("whether it is in force isn't known: %v", t.failed))
		return c.show(what, p, t.path, o)
	}
	err = c.follows(ctx, t, func(inForce []string) bool { return slices.Contains(inForce, o.String()) })
	if errors.Is(err, errElsewhere) {
		if undone := c.undo(ctx, t, before, after, o); undone != nil {
			return fmt.Errorf("%s: written to %s, and can't be taken back (%w): %w", what, t.path, undone, err)
		}
		return fmt.Errorf("%s: taken back: %w", what, err)
	}
	if err != nil {
		return fmt.Errorf("%s: it stands in %s: %w", what, t.path, err)
	}
	return c.show(what, p, t.path, o)
}

// renew takes an order out of a file that stands there in the same words, so that it is
// another one when it is given: to go back has its effect once.
func (c *order) renew(ctx context.Context, t target, o override.Order) error {
	found := false
	err := c.edit(ctx, t.path, func(lines []line) ([]line, error) {
		kept, same := without(lines, func(old *override.Order) bool { return old.String() == o.String() })
		found = len(same) > 0
		return kept, nil
	})
	if err != nil || !found {
		return err
	}
	return c.follows(ctx, t, func(inForce []string) bool { return !slices.Contains(inForce, o.String()) })
}

// undo has a file be as it was before an order was written to it. What others have
// written since stays.
func (c *order) undo(ctx context.Context, t target, before, after []line, o override.Order) error {
	return c.edit(ctx, t.path, func(now []line) ([]line, error) {
		if text(now) == text(after) {
			return before, nil
		}
		kept, _ := without(now, func(old *override.Order) bool { return *old == o })
		return kept, nil
	})
}

// preview asks the server what an order would change.
func (c *order) preview(ctx context.Context, t target, o override.Order) (*report.Preview, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	var p report.Preview
	if err := c.get(ctx, "preview", url.Values{"order": {o.String()}, "federation": t.federations}, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// refusal says why an order must not be given without being forced.
func refusal(what string, p *report.Preview) error {
	if len(p.Unknown) > 0 { // there is one order, and so one subject
		u, known := p.Unknown[0], ""
		if len(u.Known) > 0 {
			known = "known: " + strings.Join(u.Known, ", ") + "; "
		}
		return advice.Errorf(known+"--force orders it all the same", "%s: the server knows no %s", what, u.Subject)
	}
	if len(p.Futile) > 0 {
		return advice.Errorf("--force orders it all the same, for when that has changed", "%s: it would change nothing: %s", what, p.Futile[0].Why)
	}
	if p.Orphaned == 0 {
		return nil
	}
	list := strings.Join(p.Orphans, ", ")
	if more := p.Orphaned - len(p.Orphans); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return advice.Errorf("--dry-run shows what would change; --force orders it all the same",
		"%s: would leave %s without any shard: %s", what, cli.Plural(p.Orphaned, "service"), list)
}

// show says what an order changes; path is "" if it was not given.
func (c *order) show(what string, p *report.Preview, path string, o override.Order) error {
	if c.out.data() {
		return c.put(c.out, struct {
			Order   string          `json:"order"`
			File    string          `json:"file,omitempty"` // where it was written
			Preview *report.Preview `json:"preview"`        // nil: the server could not be asked
		}{o.String(), path, p}, o.Subject.String())
	}
	if path != "" {
		c.printf("%s: written to %s\n", o, path)
		if p != nil {
			c.printf("%s\n", change(p.Services))
		}
		return nil
	}
	c.changes(what, p)
	for _, u := range p.Unknown {
		c.printf("the server knows no %s\n", u.Subject)
	}
	for _, f := range p.Futile {
		c.printf("it can't change anything: %s; it needs --force\n", f.Why)
	}
	if err := refusal(what, p); err != nil && p.Orphaned > 0 {
		c.printf("%v; it needs --force\n", err)
	}
	return nil
}

// changes says which names would lead elsewhere.
func (c *call) changes(what string, p *report.Preview) {
	c.printf("%s: %s; nothing is written\n", what, change(p.Services))
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range p.Changes {
		fmt.Fprintf(w, "%s of federation %s\n", s.Service, s.Federation)
		for _, n := range s.Names {
			fmt.Fprintf(w, "  %s%s\t%s\t-> %s\n", bare(n.Name), viewers(n.Clients), leads(n.Before), leads(n.After))
		}
	}
	w.Flush()
	if more := p.Services - len(p.Changes); more > 0 {
		c.printf("and %d more\n", more)
	}
}

// viewers says whose answers change, where they aren't everybody's.
func viewers(clients []string) string {
	var in []string
	nowhere := false
	for _, r := range clients {
		if r == report.NobodyKnows {
			nowhere = true
		} else {
			in = append(in, r)
		}
	}
	switch {
	case len(clients) == 0:
		return ""
	case len(in) == 0:
		return ", for clients that nobody can place"
	case nowhere:
		return ", for clients in " + strings.Join(in, ", ") + ", or that nobody can place"
	}
	return ", for clients in " + strings.Join(in, ", ")
}

func change(n int) string {
	if n == 1 {
		return "1 service changes"
	}
	return fmt.Sprintf("%d services change", n)
}

func leads(l report.Leads) string {
	s := strings.Join(l.Addresses, " ")
	if len(l.Addresses) == 0 {
		s = "nothing (" + l.Why + ")"
	}
	if len(l.Addresses) > 1 && l.By != "" && !strings.HasPrefix(l.By, "failover") {
		s += " (" + l.By + ")"
	}
	if l.To != "" {
		s = bare(l.To) + ": " + s
	}
	return s
}

// takeBack removes the orders about a subject from a file.
func (c *editing) takeBack(ctx context.Context, t target, sub override.Subject) (removed []override.Order, err error) {
	err = c.edit(ctx, t.path, func(lines []line) (kept []line, err error) {
		kept, removed = without(lines, func(o *override.Order) bool { return o.Subject == sub })
		if len(removed) > 0 && t.failed == nil {
			err = c.read(ctx, t)
		}
		if len(removed) > 0 {
			return kept, err
		}
		help := "there are no orders at all"
		if subjects := about(lines); len(subjects) > 0 {
			help = "there are orders about " + strings.Join(subjects, ", ")
		}
		if sub.Kind == override.Cluster {
			help += "; with --context, the federation's API is looked at, too"
		}
		return nil, advice.Errorf(help, "undrain %s: %s %w", sub, t.path, errSilent)
	})
	if err != nil || t.failed != nil {
		return removed, err
	}
	err = c.follows(ctx, t, func(inForce []string) bool {
		return !slices.ContainsFunc(removed, func(o override.Order) bool { return slices.Contains(inForce, o.String()) })
	})
	if err != nil {
		err = fmt.Errorf("undrain %s: taken out of %s: %w", sub, t.path, err)
	}
	return removed, err
}

// errSilent is that there is no order about a subject in a file, or in the API.
var errSilent = errors.New("says nothing about it")

func (c *editing) told(removed []override.Order) error {
	if c.out.data() {
		return c.putOrders(removed)
	}
	for _, o := range removed {
		c.printf("%s: taken back\n", o)
	}
	return nil
}

// about lists what lines are about.
func about(lines []line) (subjects []string) {
	for _, l := range lines {
		if l.order != nil && !slices.Contains(subjects, l.order.Subject.String()) {
			subjects = append(subjects, l.order.Subject.String())
		}
	}
	return subjects
}

// putOrders prints orders as data.
func (c *editing) putOrders(all []override.Order) error {
	out := []report.Order{}
	for _, o := range all {
		out = append(out, report.OrderOf(o, c.Now()))
	}
	return c.put(c.out, out, collect(all, func(o override.Order) string { return o.Subject.String() })...)
}
