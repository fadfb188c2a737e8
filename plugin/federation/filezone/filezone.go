// Package filezone answers for names in zones of CoreDNS's plugin file, as that does.
//
// What the plugin answers it is asked itself, by its own Zone.Lookup, for each name and type once:
// the answer is kept as package message writes it. What is here is how a name is found
// among those of a zone, which has to be as in there (find), and what can't be kept: that is
// for the plugin to answer. The zones are the plugin's own, so that a new version of a file
// is answered from the moment on at which the plugin does. Begin at Zone.Answer.
package filezone

import (
	"sync/atomic"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// A Zone is one of the plugin's.
type Zone struct {
	Name    dnsname.Name
	of      *file.Zone
	through bool // who is denied a name may get it of another plugin
	wire    message.Domain
	index   atomic.Pointer[index]
	claimed atomic.Bool
}

// New is a zone of the plugin, with what that passes on. It has to be read, by Open or by who is the first to ask.
func New(name dnsname.Name, of *file.Zone, through fall.F) *Zone {
	w := name.Append(nil)
	return &Zone{Name: name, of: of, through: len(through.Zones) > 0,
		wire: message.Domain{Name: w[:len(w)-1], Labels: len(dnsname.Labels(string(name)))}}
}

// Domain is the zone as package message has it.
func (z *Zone) Domain() *message.Domain { return &z.wire }

// An Answer is what the plugin answers. Nobody changes it.
type Answer struct {
	Sections message.Sections
	Kinds    bypass.Kinds
	Serial   uint32
	// Lead is where the answer leads to a name that isn't in the zone, of which the whole server is asked: Sections is what is said where
	// nobody answers for that.
	Lead *zone.Lead
}

// Answer is what the plugin answers to a question for a name in the zone: in lower case and presentation form, labels
// are those before the zone; do asks for signatures. It is nil where the plugin has to be asked; stale
// says that this is so because the zone has to be read.
func (z *Zone) Answer(name string, labels []string, t uint16, do bool) (a *Answer, stale bool) {
	i, stale := z.now()
	if i == nil || do && i.signed {
		return nil, stale
	}
	a = i.answer(name, labels, t)
	if a != nil && z.through && len(a.Sections.Answer) == 0 && a != i.nothing && !a.Sections.Referral {
		return nil, false // another plugin may have the name
	}
	return a, false
}

// now is what the zone is answered from; nil: nothing.
func (z *Zone) now() (i *index, stale bool) {
	z.of.RLock()
	t, expired := z.of.Tree, z.of.Expired
	z.of.RUnlock()
	switch i = z.index.Load(); {
	case i == nil || i.tree != t:
		return nil, true
	case i.nodes == nil || expired:
		return nil, false
	}
	return i, false
}

// readFirst is how many names a zone has at most that is read before it is asked for: that takes some milliseconds.
const readFirst = 10_000

// Open reads the zone, unless that takes long or has been done.
func (z *Zone) Open() {
	z.of.RLock()
	names := z.of.Len()
	z.of.RUnlock()
	if _, stale := z.now(); stale && names <= readFirst && z.Claim() {
		z.Read()
	}
}

// Claim says whether who calls it is the one to Read the zone, or else to Release it.
func (z *Zone) Claim() bool { return z.claimed.CompareAndSwap(false, true) }

// Release has the next one read the zone.
func (z *Zone) Release() { z.claimed.Store(false) }

// Read reads the zone as the plugin has it now.
func (z *Zone) Read() {
	defer z.Release()
	z.of.RLock()
	apex, t := z.of.Apex, z.of.Tree
	z.of.RUnlock()
	i := &index{tree: t, wire: &z.wire}
	if err := i.fill(z.Name, apex); err != nil {
		i = &index{tree: t} // it is the plugin's to answer, until there is another version
	}
	z.index.Store(i)
}
