package federation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fedns/fedns/internal/api/report"
)

// problemsTold bounds how many problems of a publication the status tells.
const problemsTold = 5

// publications are the names that are published, for whoever asks how that stands.
type publications struct {
	mu  sync.Mutex // guards the rest, and what the publications hold
	all []*publication
}

// A publication is the names of a domain somewhere.
type publication struct {
	of       *publications
	told     report.Publication
	unread   string            // why it can't be known what is there
	problems map[string]string // by what they are of
	limits   map[string]string // by services and hosts: what can't be had there
}

// add begins one.
func (l *publications) add(federation, domain, where string) *publication {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &publication{of: l, told: report.Publication{Federation: federation, Domain: domain, Server: where}, problems: map[string]string{}, limits: map[string]string{}}
	l.all = append(l.all, p)
	return p
}

// here notes whether this server publishes it.
func (p *publication) here(is bool) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.told.Here = is
	if !is {
		p.told.Pending, p.unread, p.problems, p.limits = 0, "", map[string]string{}, map[string]string{}
	}
}

// stands notes how many services and hosts aren't there, and why it can't be known what is.
func (p *publication) stands(pending int, unread string) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.told.Pending, p.unread = pending, unread
}

// tell notes a problem, or its end.
func (p *publication) tell(of, problem string) {
	p.note(&p.problems, of, problem)
}

// limit notes what of a service or host can't be had there; "": nothing.
func (p *publication) limit(of, limit string) {
	p.note(&p.limits, of, limit)
}

// note notes what there is to say of something; "": nothing.
func (p *publication) note(in *map[string]string, of, text string) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if text == "" {
		delete(*in, of)
	} else {
		(*in)[of] = text
	}
}

// only forgets the limits of what isn't in a list.
func (p *publication) only(groups map[string]bool) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	maps.DeleteFunc(p.limits, func(of, _ string) bool { return !groups[of] })
}

// report tells of all.
func (l *publications) report() (out []report.Publication) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.all {
		r := p.told
		if p.unread != "" {
			r.Problems = append(r.Problems, "what is there can't be read: "+p.unread)
		}
		for _, of := range slices.Sorted(maps.Keys(p.problems)) {
			if len(r.Problems) == problemsTold {
				break
			}
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s", strings.TrimSuffix(of, "."), p.problems[of]))
		}
		r.Limits = p.limited()
		out = append(out, r)
	}
	return out
}

// limited are the limits, a line each, with how many services and hosts have them. The caller holds mu.
func (p *publication) limited() (out []string) {
	n := map[string]int{}
	for _, limit := range p.limits {
		n[limit]++
	}
	for _, limit := range slices.Sorted(maps.Keys(n)) {
		if len(out) == problemsTold {
			break
		}
		out = append(out, fmt.Sprintf("%s (%d of its services and hosts)", limit, n[limit]))
	}
	return out
}
