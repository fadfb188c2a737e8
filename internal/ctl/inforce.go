package ctl

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// A server looks at its file twice a second, and publishes at once what it finds there.
// inForceTime is for one that is busy; mistakenTime is how long a file may look
// different to it before that is because it is another one: network file systems
// show a change late.
var (
	inForceTime  = 10 * time.Second
	mistakenTime = 3 * time.Second
)

// errElsewhere is that a server reads another file than the one that is here.
var errElsewhere = errors.New("isn't the file that the server reads")

// elsewhere says that a server doesn't read what stands here.
func (c *editing) elsewhere(t target, f report.Federation, host string) error {
	theirs := f.OverridesFile
	if host != "" {
		theirs += " on host " + host
	}
	return advice.Errorf("run fedctl there, in the server's pod if it has one; or order it in the federation's API, for all servers at once: --context CONTEXT",
		"%s %w: server %s has %s, which holds something else", t.path, errElsewhere, c.server, theirs)
}

// digest is that of a file as the server tells it.
func digest(path string) (string, error) {
	content, err := inputfile.Read(path, inputfile.Orders)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(content)), nil
}

// concerned are the federations of a snapshot that go by a file: those of that path,
// and where none is, as for a server that sees it elsewhere, those of that content.
func (t target) concerned(s *report.Snapshot, sum string) (out []report.Federation) {
	abs, err := filepath.Abs(t.path)
	for _, f := range s.Federations {
		if err == nil && f.OverridesFile == abs {
			out = append(out, f)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, f := range s.Federations {
		if f.OverridesFile != "" && (f.OverridesDigest == sum || f.OverridesDigest == "") {
			out = append(out, f)
		}
	}
	return out
}

// read says whether the server goes by the file that is here. It is asked while nobody
// else edits it.
func (c *editing) read(ctx context.Context, t target) error {
	defer c.waiting("server " + c.server + " to read " + t.path)()
	var end time.Time
	for {
		var s report.Snapshot
		if err := c.get(ctx, "snapshot", nil, &s); err != nil {
			return nil // who can't be asked is another matter
		}
		sum, err := digest(t.path)
		if err != nil {
			return err
		}
		all := t.concerned(&s, sum)
		at := slices.IndexFunc(all, func(f report.Federation) bool { return f.OverridesDigest != "" && f.OverridesDigest != sum })
		switch {
		case len(all) > 0 && at < 0:
			return nil
		case end.IsZero():
			end = time.Now().Add(mistakenTime)
		case time.Now().After(end) && len(all) > 0:
			return c.elsewhere(t, all[at], s.Host)
		case time.Now().After(end):
			for _, f := range s.Federations {
				if f.OverridesFile != "" {
					return c.elsewhere(t, f, s.Host)
				}
			}
			return advice.Errorf("give the federation one in the Corefile: overrides FILE", "%s %w: server %s has none", t.path, errElsewhere, c.server)
		}
		if !kube.Pause(ctx, interval) {
			return errInterrupted
		}
	}
}

// follows waits until what the server answers by is as holds says, for every
// federation that goes by the file. holds gets the orders that are in force.
func (c *editing) follows(ctx context.Context, t target, holds func(inForce []string) bool) error {
	if t.mute {
		return nil
	}
	defer c.waiting("server " + c.server + " to go by it")()
	began := time.Now()
	for {
		var s report.Snapshot
		if err := c.get(ctx, "snapshot", nil, &s); err != nil {
			return fmt.Errorf("whether it is in force isn't known: %w", err)
		}
		sum, err := digest(t.path)
		if err != nil {
			return err
		}
		why := error(nil)
		all := t.concerned(&s, sum)
		for _, f := range all {
			switch {
			case f.OverridesDigest != "" && f.OverridesDigest != sum && time.Since(began) > mistakenTime:
				return c.elsewhere(t, f, s.Host)
			case f.OverridesError != "":
				return advice.Errorf("until it can, it goes by what it read before", "server %s can't read it: %s", c.server, f.OverridesError)
			case f.InForce == nil && f.Overrides == nil:
				continue // it says neither
			case !holds(inForce(f)):
				why = advice.Errorf("the server's log says why; fedctl overrides tells when it has", "server %s doesn't go by it after %s", c.server, inForceTime)
			}
		}
		if len(all) == 0 {
			why = advice.Errorf("is that the server's file?", "server %s has no such file", c.server)
		}
		if why == nil {
			return nil
		}
		if time.Since(began) > inForceTime {
			return why
		}
		if !kube.Pause(ctx, interval) {
			return fmt.Errorf("whether it is in force isn't known: %w", errInterrupted)
		}
	}
}

// inForce are the orders that a server goes by. One of an older version tells those
// that stand in its file.
func inForce(f report.Federation) []string {
	list := f.InForce
	if list == nil {
		list = f.Overrides
	}
	return collect(list, spelled)
}

// spelled is an order as a file of overrides has it.
func spelled(o report.Order) string {
	if o.Line != "" {
		return o.Line
	}
	sub, err := override.ParseSubject(o.Subject)
	if err != nil {
		return o.Action + " " + o.Subject
	}
	order := override.Order{Action: override.Action(o.Action), Subject: sub, Reason: o.Reason}
	if o.Until != 0 {
		order.Until = time.Unix(o.Until, 0).UTC()
	}
	return order.String()
}
