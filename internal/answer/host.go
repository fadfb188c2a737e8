package answer

import (
	"cmp"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/snapshot"
)

// Hosting says whether any of the members' federations has hosts.
func Hosting(s *snapshot.Snapshot, members []Member) bool {
	for i := range members {
		if s.Federations[members[i].Index].HostCount() > 0 {
			return true
		}
	}
	return false
}

// OrHost answers for a name that Resolve finds in no federation: a is what it says,
// and stays so unless a host stands there. name is absolute, in lower case,
// labels are those before the domain, and static is how many of them, from the
// right, exist in the static records: a wildcard ends above what exists (RFC 4592
// section 3.3.1).
func (a Answer) OrHost(s *snapshot.Snapshot, members []Member, name string, labels []string, static int, t Type, now time.Duration) Answer {
	name = strings.TrimSuffix(name, ".")
	if h, ok := hosted(s, members, name, false, t, now); ok {
		return h
	}
	// From the domain down, as far as names exist: the labels below that cost nothing.
	at, depth := 0, 0 // where the encloser begins in the name, and how many labels it has before the domain
	for _, l := range labels {
		at += len(l) + 1
	}
	for depth < len(labels) {
		next := at - len(labels[len(labels)-depth-1]) - 1
		if !reached(s, members, name[next:]) {
			break
		}
		at, depth = next, depth+1
	}
	encloser := name[min(at, len(name)):]
	if depth == len(labels) && a.Outcome != NoData {
		return Answer{Outcome: NoData, Path: a.Path, Depth: depth, Why: "empty non-terminal"}
	}
	if a.Outcome == NameError && depth >= max(a.Depth, static) {
		if h, ok := hosted(s, members, encloser, true, t, now); ok {
			h.Wildcard, h.Depth = true, depth
			if unsure(s, members, name, encloser) {
				h.Degrade()
				h.Awaits = cmp.Or(h.Awaits, string(health.NotAttached))
			}
			return h
		}
	}
	a.Depth = max(a.Depth, depth)
	return a
}

// Host answers for a host that stands at a name itself, absolute and in lower case. It isn't ok where none does.
func Host(s *snapshot.Snapshot, members []Member, name string, t Type, now time.Duration) (a Answer, ok bool) {
	return hosted(s, members, strings.TrimSuffix(name, "."), false, t, now)
}

// unsure says whether what stands below a name may yet turn out not to stand for another.
func unsure(s *snapshot.Snapshot, members []Member, name, encloser string) bool {
	for i := range members {
		if s.Federations[members[i].Index].Unsure(name, encloser) {
			return true
		}
	}
	return false
}

// reached says whether a host stands at a name or below it.
func reached(s *snapshot.Snapshot, members []Member, name string) bool {
	for i := range members {
		if s.Federations[members[i].Index].Hosted(name) {
			return true
		}
	}
	return false
}

// hosted answers for a host, or for the wildcard below a name.
func hosted(s *snapshot.Snapshot, members []Member, name string, wildcard bool, t Type, now time.Duration) (a Answer, ok bool) {
	for i := range members {
		m := &members[i]
		f := s.Federations[m.Index]
		svc := (*snapshot.Service)(nil)
		if wildcard {
			svc = f.Wildcard(name)
		} else {
			svc = f.Host(name)
		}
		if svc == nil {
			continue
		}
		a = Answer{Federation: f, Index: m.Index, Service: svc, rule: m.Policy, limit: m.Answers}
		a.service(*m, t, now)
		return a, true
	}
	return a, false
}
