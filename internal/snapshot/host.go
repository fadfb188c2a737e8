package snapshot

import (
	"iter"
	"strings"
)

// hosts are the hosts of a federation, by their names, which end without a dot.
type hosts struct {
	exact trie[string, hosted]
	wild  trie[string, hosted]          // those that begin with an asterisk, by what stands behind it
	above trie[string, *number[string]] // how many there are at a name and below it
	order order                         // their names
}

// A hosted is what a host is found by.
type hosted struct{ *Service }

func (h hosted) key() string { return strings.TrimPrefix(h.Key.Name, wildcard) }

// wildcard is how a host begins that stands for all names below what follows.
const wildcard = "*."

// Host finds the host of a name, in lower case and without the last dot, or nil.
// That of a wildcard is found by the wildcard's own name.
func (f *Federation) Host(name string) *Service {
	if behind, ok := strings.CutPrefix(name, wildcard); ok {
		return f.Wildcard(behind)
	}
	h, _ := f.hosts.exact.get(hash(name), name)
	return h.Service
}

// Wildcard finds the host that stands for all names below one, or nil.
func (f *Federation) Wildcard(name string) *Service {
	h, _ := f.hosts.wild.get(hash(name), name)
	return h.Service
}

// Hosted says whether a host stands at a name or below it.
func (f *Federation) Hosted(name string) bool {
	return counted(&f.hosts.above, hash(name), name) > 0
}

// Around are the labels right below encloser at which, or below which, hosts stand, that are right before and right behind the one of
// name: a name below encloser where none stands. "": there is none.
func (f *Federation) Around(name, encloser string) (before, behind string) {
	before, behind = f.hosts.order.around(name)
	return below(before, encloser), below(behind, encloser)
}

// below is the label right below encloser of a name; "": it isn't below.
func below(name, encloser string) string {
	if encloser != "" {
		var in bool
		if name, in = strings.CutSuffix(name, encloser); !in {
			return ""
		}
		if name, in = strings.CutSuffix(name, "."); !in {
			return ""
		}
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// HostCount is the number of hosts.
func (f *Federation) HostCount() int { return f.hosts.exact.size + f.hosts.wild.size }

// Hosts lists the hosts, in no order.
func (f *Federation) Hosts() iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		more := true
		each := func(h hosted) bool {
			more = yield(h.Service)
			return more
		}
		if f.hosts.exact.all(each); more {
			f.hosts.wild.all(each)
		}
	}
}

// Unsure says whether a name that is answered by what stands for all below encloser, or isn't there,
// would be answered otherwise if all hosts that aren't sure were claimed.
func (f *Federation) Unsure(name, encloser string) bool {
	if f.unsure.above.size == 0 {
		return false
	}
	if _, ok := f.unsure.wild.get(hash(encloser), encloser); ok {
		return true
	}
	for len(name) > len(encloser) {
		if counted(&f.unsure.above, hash(name), name) > 0 {
			return true
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return false
}

func (e *Edit) setHost(s *Service) {
	if e.removeUnsure(s.Key); s.Unsure {
		e.removeHost(s.Key)
		t, name := e.next.unsure.tree(s.Key.Name)
		if _, ok := t.get(hash(name), name); !ok {
			e.next.unsure.raise(e.owner, s.Key.Name, 1)
		}
		t.set(e.owner, hash(name), hosted{s})
		return
	}
	old := e.next.Host(s.Key.Name)
	e.tolerate(old, s)
	e.add(old, s)
	t, name := e.next.hosts.tree(s.Key.Name)
	t.set(e.owner, hash(name), hosted{s})
	if old == nil {
		e.next.hosts.raise(e.owner, s.Key.Name, 1)
		e.next.hosts.order.add(e.owner, s.Key.Name)
	}
}

// removeUnsure takes out a host that isn't sure, if it is the key's.
func (e *Edit) removeUnsure(k Key) {
	t, name := e.next.unsure.tree(k.Name)
	if old, ok := t.get(hash(name), name); ok && old.Key == k {
		t.remove(e.owner, hash(name), name)
		e.next.unsure.raise(e.owner, k.Name, -1)
	}
}

// removeHost takes a host out if it is the key's: another namespace may hold it by
// now.
func (e *Edit) removeHost(k Key) {
	e.removeUnsure(k)
	old := e.next.Host(k.Name)
	if old == nil || old.Key != k {
		return
	}
	e.tolerate(old, nil)
	e.add(old, nil)
	t, name := e.next.hosts.tree(k.Name)
	t.remove(e.owner, hash(name), name)
	e.next.hosts.raise(e.owner, k.Name, -1)
	e.next.hosts.order.remove(e.owner, k.Name)
}

// tree is where a host is found, and by what.
func (h *hosts) tree(host string) (*trie[string, hosted], string) {
	if behind, ok := strings.CutPrefix(host, wildcard); ok {
		return &h.wild, behind
	}
	return &h.exact, host
}

// raise counts a host at its name and at all above.
func (h *hosts) raise(o *owner, name string, by int) {
	for more := true; more; _, name, more = strings.Cut(name, ".") {
		raise(&h.above, o, hash(name), name, by)
	}
}
