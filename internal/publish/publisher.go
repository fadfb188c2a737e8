package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	firstWait   = time.Second // after a failure; each that follows waits twice as long
	longestWait = time.Minute
	// enough refusals in a row are no matter of single names: the others wait for a moment, so that a server which refuses all of
	// many thousand isn't asked for each of them at once.
	enough = 20
)

// A Publisher takes the names of a domain on a server to what they are to be. One goroutine uses it.
type Publisher struct {
	Server
	// Tell hears of problems and of their ends, once each: what they are of (a name, or a group of them), and
	// what is wrong; "": it is well again.
	Tell func(of, problem string)
	// Count hears of each update: done, refused, taken (somebody else's record stands there) or unanswered.
	Count func(outcome string)

	want     map[string]Names // by group
	there    map[string]Names
	doubts   map[string]bool // groups of which it isn't known what became of the last update
	troubles map[string]trouble
	problems Problems
	silent   bool   // the server hasn't answered the last message
	serial   uint32 // of the zone as it was read, or written by us, last; 0: it isn't known
}

// A trouble is a group that couldn't be written.
type trouble struct {
	until time.Time
	wait  time.Duration
}

// Load begins with what the server has.
func (p *Publisher) Load(ctx context.Context) error {
	names, serial, err := p.Read(ctx)
	if err != nil {
		return err
	}
	p.serial = serial
	p.there, p.doubts = map[string]Names{}, map[string]bool{}
	if p.want == nil {
		p.want = map[string]Names{}
	}
	for name, rrs := range names {
		put(p.there, Group(p.Domain, name), name, rrs)
	}
	return nil
}

// Moved says whether the zone has changed since it was read or written last: by somebody else.
func (p *Publisher) Moved(ctx context.Context) bool {
	if p.silent {
		return false
	}
	serial, err := p.Serial(ctx)
	if err == nil && p.serial == 0 { // the zone couldn't be read
		p.serial = serial
	}
	return err == nil && serial != p.serial // what can't be asked can't be read either
}

// Leave leaves alone the groups that server has which aren't the caller's to speak of.
func (p *Publisher) Leave(others func(group string) bool) {
	maps.DeleteFunc(p.there, func(g string, _ Names) bool { return others(g) })
}

// Guess begins without knowing what the server has: each name is looked at when it is written. What isn't wanted any
// more stays.
func (p *Publisher) Guess() {
	p.there, p.doubts = map[string]Names{}, map[string]bool{}
	if p.want == nil {
		p.want = map[string]Names{}
	}
}

func put(all map[string]Names, group, name string, rrs []dns.RR) {
	if all[group] == nil {
		all[group] = Names{}
	}
	all[group][name] = rrs
}

// Set says what the names of a group are to be; nil: none is to be there. Unless that is all of them, others that are there
// stay. Names that can't be marked as ours are left out, and told of.
func (p *Publisher) Set(group string, names Names, all bool) {
	if !all && names != nil {
		for name, rrs := range p.there[group] {
			if _, ok := names[name]; !ok {
				names[name] = rrs
			}
		}
	}
	for name := range names {
		if p.mark(name) == nil {
			p.tell(name, "it is too long to have a TXT record beside it")
			delete(names, name)
		}
	}
	if len(names) == 0 {
		delete(p.want, group)
	} else {
		p.want[group] = names
	}
	if t, ok := p.troubles[group]; ok {
		t.until = time.Time{} // it is something new
		p.troubles[group] = t
	}
}

// Only takes away what is in no group of a list; unless that is all of them, it stays as it is there.
func (p *Publisher) Only(groups map[string]bool, all bool) {
	maps.DeleteFunc(p.want, func(g string, _ Names) bool { return !groups[g] })
	if all {
		return
	}
	for g, names := range p.there {
		if !groups[g] {
			p.want[g] = maps.Clone(names)
		}
	}
}

// Pending are the groups that aren't as they are to be.
func (p *Publisher) Pending() (out []string) {
	all := maps.Clone(p.there)
	if all == nil {
		all = map[string]Names{}
	}
	maps.Copy(all, p.want)
	for _, g := range slices.Sorted(maps.Keys(all)) {
		if p.doubts[g] || !alike(p.want[g], p.there[g]) {
			out = append(out, g)
		}
	}
	return out
}

// Plan is what the updates for what is pending would do, a line for a name.
func (p *Publisher) Plan() (out []string) {
	for _, g := range p.Pending() {
		for _, s := range steps(p.want[g], p.there[g]) {
			for _, rr := range s.before {
				if s.gone || !slices.ContainsFunc(s.after, func(o dns.RR) bool { return o.String() == rr.String() }) {
					out = append(out, "- "+rr.String())
				}
			}
			for _, rr := range s.after {
				if !slices.ContainsFunc(s.before, func(o dns.RR) bool { return o.String() == rr.String() }) {
					out = append(out, "+ "+rr.String())
				}
			}
		}
	}
	return out
}

// Write writes what is pending and may be tried now. next is when there is something to be tried again; zero:
// all is as it is to be.
func (p *Publisher) Write(ctx context.Context, now time.Time) (next time.Time) {
	if p.troubles == nil {
		p.troubles = map[string]trouble{}
	}
	later := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	sole := false // nobody else has written since
	defer func() {
		if !sole {
			return
		}
		if serial, err := p.Serial(ctx); err == nil {
			p.serial = serial
		}
	}()
	began, refused := false, 0 // so many in a row
	for _, g := range p.Pending() {
		t := p.troubles[g]
		if now.Before(t.until) {
			later(t.until)
			continue
		}
		if ctx.Err() != nil {
			return now
		}
		if !began {
			began, sole = true, !p.silent && !p.Moved(ctx)
		}
		if p.write(ctx, g) {
			delete(p.troubles, g)
			refused = 0
			continue
		}
		t.wait = min(max(2*t.wait, firstWait), longestWait)
		t.until = now.Add(t.wait)
		p.troubles[g] = t
		later(t.until)
		if p.silent { // what else there is would wait as long for no answer
			later(now.Add(firstWait))
			break
		}
		if refused++; refused == enough {
			later(now.Add(firstWait))
			break
		}
	}
	for g := range p.troubles { // of what has come to be as it is there
		if !p.doubts[g] && alike(p.want[g], p.there[g]) {
			delete(p.troubles, g)
			p.tell(g, "")
		}
	}
	return next
}

// write takes a group to what it is to be. done: nothing of it is left to be tried.
func (p *Publisher) write(ctx context.Context, g string) (done bool) {
	all := steps(p.want[g], p.there[g])
	if p.doubts[g] {
		return p.writeEach(ctx, g, all)
	}
	for _, b := range p.messages(all) {
		err := p.send(ctx, b.msg)
		var no *Refusal
		switch {
		case err == nil:
			p.wrote(g, b.steps)
		case errors.As(err, &no) && (no.prerequisite() || no.Rcode == dns.RcodeRefused):
			return p.writeEach(ctx, g, all) // one name may be the reason, and the others are to go on
		default:
			if no == nil {
				p.doubts[g], p.silent = true, true // it may have been done
			}
			p.tell(g, err.Error())
			return false
		}
	}
	p.tell(g, "")
	return true
}

// writeEach does the steps of a group one by one, after a look at whose each name is.
func (p *Publisher) writeEach(ctx context.Context, g string, all []step) (done bool) {
	done = true
	for _, s := range all {
		mine, err := p.owns(ctx, s.name)
		if err == nil {
			switch {
			case mine:
				s.state = unsure
			case s.gone:
				p.wrote(g, []step{s})
				continue
			default:
				s.state = free
			}
			err = p.send(ctx, p.update([]step{s}))
		}
		var no *Refusal
		switch {
		case err == nil:
			p.wrote(g, []step{s})
			p.tell(s.name, "")
			continue
		case errors.As(err, &no) && (no.Rcode == dns.RcodeYXDomain || no.Rcode == dns.RcodeYXRrset):
			err = errTaken
		case no == nil:
			p.doubts[g], p.silent = true, true
			p.tell(g, err.Error())
			return false // it doesn't answer
		}
		p.tell(s.name, err.Error())
		done = false
	}
	if done {
		delete(p.doubts, g)
		p.tell(g, "")
	}
	return done
}

// wrote notes that steps were done.
func (p *Publisher) wrote(g string, all []step) {
	for _, s := range all {
		if s.gone {
			delete(p.there[g], s.name)
			p.tell(s.name, "")
		} else {
			put(p.there, g, s.name, s.after)
		}
	}
	if len(p.there[g]) == 0 {
		delete(p.there, g)
	}
}

func (p *Publisher) send(ctx context.Context, m *dns.Msg) error {
	_, err := p.exchange(ctx, m)
	p.silent = false
	var no *Refusal
	outcome := "done"
	switch {
	case errors.As(err, &no) && no.prerequisite():
		outcome = "taken"
	case no != nil:
		outcome = "refused"
	case err != nil:
		outcome = "unanswered"
	}
	if p.Count != nil {
		p.Count(outcome)
	}
	return err
}

// tell tells what has changed.
func (p *Publisher) tell(of, problem string) { p.problems.Note(of, problem, p.Tell) }

// Problems are what is wrong, by what it is of.
type Problems map[string]string

// Note notes what is wrong with something, and tells of it where that has changed; "": it is well.
func (p *Problems) Note(of, problem string, tell func(of, problem string)) {
	if *p == nil {
		*p = Problems{}
	}
	if (*p)[of] == problem {
		return
	}
	if (*p)[of] = problem; problem == "" {
		delete(*p, of)
	}
	if tell != nil {
		tell(of, problem)
	}
}

// Problems are what is wrong now, a line each.
func (p *Publisher) Problems() (out []string) {
	for _, of := range slices.Sorted(maps.Keys(p.problems)) {
		out = append(out, fmt.Sprintf("%s: %s", strings.TrimSuffix(of, "."), p.problems[of]))
	}
	return out
}
