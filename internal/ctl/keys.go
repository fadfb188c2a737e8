package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/ctl/check"
	"github.com/fedns/fedns/internal/dnskey"
)

// keysOf lists the keys of signed domains.
type keysOf struct {
	*call
	out      output
	parent   string
	resolver string
	delegate bool
	question time.Duration
}

var keysCommand = command{
	name: "keys",
	args: "KEYS...",
	what: "the keys that a domain is signed with, and what its parent has",
	long: "The keys of signed domains: a folder of them, or their files, as dnssec in the Corefile names them. It says what each is for now, when that changes, and the DS record " +
		"that the parent needs. With --ds the parent is asked for those that it has. It exits with 1 if something is wrong.",
	example: `# What there is
fedctl keys /etc/fedns/keys

# The parent, too
fedctl keys /etc/fedns/keys --ds`,
	min: 1, max: 1000,
	make: func(c *call) action { return &keysOf{call: c, question: 3 * time.Second} },
}

func (c *keysOf) declare(fs *pflag.FlagSet) {
	c.out.declare(fs, dataForms)
	fs.BoolVar(&c.delegate, "ds", false, "ask the parent zone for its DS records")
	fs.StringVar(&c.parent, "parent", "", "`ADDRESS` of a name server of the parent zone, with --ds; default: the resolver knows them")
	fs.StringVar(&c.resolver, "resolver", "", "`ADDRESS` of the resolver, with --ds; default: the host's")
}

// A keyState is one key, as it is told.
type keyState struct {
	Zone      string     `json:"zone"`
	Tag       uint16     `json:"tag"`
	Algorithm uint8      `json:"algorithm"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Next      *time.Time `json:"next,omitempty"` // when that changes
	Path      string     `json:"path"`
	DS        string     `json:"ds,omitempty"`
	AtParent  *bool      `json:"at_parent,omitempty"`
}

func (c *keysOf) run(ctx context.Context) error {
	if (c.parent != "" || c.resolver != "") && !c.delegate {
		return misused(&c.command, "keys: --parent and --resolver are for --ds")
	}
	keys, err := dnskey.Load(c.positional...)
	if err != nil {
		return err
	}
	now := c.Now()
	var zones []string
	for _, k := range keys {
		if z := string(k.Zone); !slices.Contains(zones, z) {
			zones = append(zones, z)
		}
	}
	slices.Sort(zones)
	ds := map[string]check.Anchors{}
	var all []check.Finding
	for _, z := range zones {
		var mine []*dnskey.Key
		for _, k := range keys {
			if string(k.Zone) == z {
				mine = append(mine, k)
			}
		}
		all = append(all, check.Keys(mine, now)...)
		if c.delegate {
			found, err := c.ask(ctx, z)
			if err != nil {
				return err
			}
			ds[z] = found
			all = append(all, check.Parent(found, mine, now)...)
		}
	}
	var states []keyState
	for _, k := range keys {
		s := keyState{Zone: bare(string(k.Zone)), Tag: k.Tag(), Algorithm: uint8(k.Algorithm), Kind: "ZSK", State: k.State(now), Path: k.Path}
		if k.Entry() {
			s.Kind, s.DS = "KSK", k.DSText()
			if !slices.ContainsFunc(keys, func(o *dnskey.Key) bool { return o.Zone == k.Zone && o.Algorithm == k.Algorithm && !o.Entry() }) {
				s.Kind = "CSK"
			}
			if c.delegate {
				has := len(ds[string(k.Zone)].To(k)) > 0
				s.AtParent = &has
			}
		}
		if at := k.Changes(now); !at.IsZero() {
			s.Next = &at
		}
		states = append(states, s)
	}
	if err := c.tell(states, all); err != nil {
		return err
	}
	if check.Worst(all) == check.Error {
		return exit(wentWrong)
	}
	return nil
}

// ask asks the parent of a zone.
func (c *keysOf) ask(ctx context.Context, zone string) (check.Anchors, error) {
	asker, err := check.NewAsker(c.resolver, resolvConf, c.question)
	if err != nil {
		return check.Anchors{}, misused(&c.command, "keys: %v", err)
	}
	return asker.Anchors(ctx, bare(zone), c.parent), nil
}

func (c *keysOf) tell(states []keyState, all []check.Finding) error {
	if c.out.data() {
		return c.put(c.out, struct {
			Keys     []keyState      `json:"keys"`
			Findings []check.Finding `json:"findings"`
		}{states, all})
	}
	t := table{head: []string{"ZONE", "TAG", "ALGORITHM", "KIND", "STATE", "UNTIL"}, same: []string{"ZONE"}, names: []string{"ZONE"}}
	if c.delegate {
		t.head = append(t.head, "AT PARENT")
	}
	for _, s := range states {
		until := "-"
		if s.Next != nil {
			until = s.Next.UTC().Format(time.RFC3339)
		}
		row := []string{s.Zone, fmt.Sprint(s.Tag), fmt.Sprint(s.Algorithm), s.Kind, s.State, until}
		if c.delegate {
			at := "-"
			if s.AtParent != nil {
				at = map[bool]string{true: "yes", false: "no"}[*s.AtParent]
			}
			row = append(row, at)
		}
		t.rows = append(t.rows, row)
	}
	c.tabulate(t)
	for _, s := range states {
		if s.DS != "" {
			c.printf("%s. IN DS %s\n", s.Zone, s.DS)
		}
	}
	for _, f := range all {
		if f.Level != check.OK {
			c.printf("%s: %s\n  fix: %s\n", f.Level, f.Text, f.Fix)
		}
	}
	return nil
}

// generating makes a key.
type generating struct {
	*call
	folder    string
	algorithm uint8
	kind      string
	ttl       time.Duration
	dates     [6]string
}

var generateKeysCommand = command{
	name: "keys generate",
	args: "DOMAIN",
	what: "make a key that a domain is signed with",
	long: "Makes a key, as dnssec-keygen does: two files, of which the private one can be read by its owner only. Without more it is a CSK, which signs everything at once. " +
		"A TIME is now, from now on such as +36h, a date such as 2026-12-24T06:00:00Z, or never. Before one is in use, give the parent its DS record, which is printed.",
	example: `# The first key
fedctl keys generate example.com --dir /etc/fedns/keys

# The next one: published now, signs in two days, when the parent has its DS record
fedctl keys generate example.com --dir /etc/fedns/keys --sync +2h --activate +48h`,
	min: 1, max: 1,
	make: func(c *call) action { return &generating{call: c} },
}

func (c *generating) declare(fs *pflag.FlagSet) {
	fs.StringVar(&c.folder, "dir", ".", "`DIR` where its files go")
	fs.Uint8Var(&c.algorithm, "algorithm", uint8(dnskey.ECDSAP256SHA256), "`NUMBER`: 13 (ECDSAP256SHA256) or 15 (ED25519)")
	fs.StringVar(&c.kind, "type", "csk", "`TYPE`: csk or ksk (the parent points to it), or zsk")
	fs.DurationVar(&c.ttl, "ttl", 0, "`DURATION`: the TTL of the DNSKEY records; default: an hour")
	for i, d := range []struct{ name, begin, what string }{
		{"publish", "now", "it is published"}, {"activate", "now", "it signs"}, {"inactive", "never", "it signs no more"}, {"delete", "never", "it isn't published any more"},
		{"sync", "", "CDS and CDNSKEY ask the parent to point to it; default: as --publish, of a zsk never"}, {"sync-end", "never", "they don't any more"},
	} {
		fs.StringVar(&c.dates[i], d.name, d.begin, "`TIME` when "+d.what)
	}
}

func (c *generating) run(context.Context) error {
	zone, err := dnskey.Zone(c.positional[0])
	if err != nil {
		return misused(&c.command, "keys generate: %v", err)
	}
	if !slices.Contains([]string{"csk", "ksk", "zsk"}, c.kind) {
		return misused(&c.command, "keys generate: --type %q is none of csk, ksk and zsk", c.kind)
	}
	if c.dates[4] == "" {
		if c.dates[4] = c.dates[0]; c.kind == "zsk" {
			c.dates[4] = "never"
		}
	}
	now := c.Now().UTC().Truncate(time.Second)
	d := dnskey.Dates{Created: now}
	for i, into := range []*time.Time{&d.Publish, &d.Activate, &d.Inactive, &d.Delete, &d.SyncPublish, &d.SyncDelete} {
		if *into, err = moment(c.dates[i], now); err != nil {
			return misused(&c.command, "keys generate: %v", err)
		}
	}
	if c.ttl < 0 || c.ttl%time.Second != 0 {
		return misused(&c.command, "keys generate: --ttl %s is no whole number of seconds", c.ttl)
	}
	k, err := dnskey.Generate(zone, dnskey.Algorithm(c.algorithm), c.kind != "zsk", uint32(c.ttl/time.Second), d)
	if err != nil {
		return misused(&c.command, "keys generate: %v", err)
	}
	base, err := k.Write(c.folder)
	if err != nil {
		return fmt.Errorf("the key can't be written: %w", err)
	}
	c.printf("%s.key\n%s.private\n", base, base)
	if k.Entry() {
		c.printf("%s IN DS %s\n", zone, k.DSText())
	}
	return nil
}

// moment reads a time, or a time from now on.
func moment(s string, now time.Time) (time.Time, error) {
	switch {
	case s == "never":
		return time.Time{}, nil
	case s == "now":
		return now, nil
	case strings.HasPrefix(s, "+"):
		d, err := time.ParseDuration(s[1:])
		if err == nil && d >= 0 {
			return now.Add(d), nil
		}
	default:
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New(s + ` is no time: now, never, +36h or 2026-12-24T06:00:00Z`)
}
