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

// OrHost answers for a name that Resolve finds in no federation: what it says
// stays so unless a host stands there. name is absolute, in lower case,
// labels are those before the domain, and static is how many of them, from the
// right, exist in the static records: a wildcard ends above what exists (RFC 4592
// section 3.3.1).
func (a *Answer) OrHost(s *snapshot.Snapshot, members []Member, name string, labels []string, static int, t Type, now time.Duration) {
	name = strings.TrimSuffix(name, ".")
	if a.host(s, members, name, (*snapshot.Federation).Host, t, now) {
		return
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
		*a = Answer{Outcome: NoData, Path: a.Path, Depth: depth, Why: "empty non-terminal"}
		return
	}
	if a.Outcome == NameError && depth >= max(a.Depth, static) && a.host(s, members, encloser, (*snapshot.Federation).Wildcard, t, now) {
		a.Wildcard, a.Depth = true, depth
		if unsure(s, members, name, encloser) {
			a.Degrade()
			a.Awaits = cmp.Or(a.Awaits, string(health.NotAttached))
		}
		return
	}
	a.Depth = max(a.Depth, depth)
}

// ResolveHost makes a the answer for a host that stands at a name itself, absolute and in lower case, and says whether one does.
func (a *Answer) ResolveHost(s *snapshot.Snapshot, members []Member, name string, t Type, now time.Duration) bool {
	return a.host(s, members, strings.TrimSuffix(name, "."), (*snapshot.Federation).Host, t, now)
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

// host makes a the answer for what a federation has for a name, if one has something: a host, or the wildcard below it.
func (a *Answer) host(s *snapshot.Snapshot, members []Member, name string, has func(*snapshot.Federation, string) *snapshot.Service, t Type, now time.Duration) bool {
	for i := range members {
		m := &members[i]
		f := s.Federations[m.Index]
		svc := has(f, name)
		if svc == nil {
			continue
		}
		*a = Answer{}
		a.of(f, m)
		a.Service = svc
		a.service(m, t, now)
		return true
	}
	return false
}
