package snapshot

import (
	"hash/maphash"
	"unsafe"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// An order is names in canonical order (RFC 4034 section 6.1). Like a trie it is persistent: an edit copies the way to what it
// touches. It is a treap: of each two branches, the one above has the higher rank, which nobody outside can work out, so that names
// that a member chooses don't make it a list.
type order struct {
	root *branch
}

type branch struct {
	name        string
	rank        uint64
	left, right *branch // what is before the name, and what is behind
	owner       *owner  // the edit that made it, and may change it in place
}

// ranks is this process's own.
var ranks = maphash.MakeSeed()

func (o *order) add(w *owner, name string) {
	o.root = o.root.with(w, name, maphash.String(ranks, name))
}

func (o *order) remove(w *owner, name string) { o.root = o.root.without(w, name) }

// mine is a branch that an edit may change.
func (b *branch) mine(w *owner) *branch {
	if b.owner == w {
		return b
	}
	own := *b
	own.owner = w
	w.made += int(unsafe.Sizeof(own))
	return &own
}

func (b *branch) with(w *owner, name string, rank uint64) *branch {
	if b == nil {
		w.made += int(unsafe.Sizeof(*b))
		return &branch{name: name, rank: rank, owner: w}
	}
	c := dnsname.Compare(name, b.name)
	if c == 0 {
		return b
	}
	b = b.mine(w)
	if c < 0 {
		if b.left = b.left.with(w, name, rank); b.left.rank > b.rank {
			up := b.left
			b.left, up.right = up.right, b
			return up
		}
		return b
	}
	if b.right = b.right.with(w, name, rank); b.right.rank > b.rank {
		up := b.right
		b.right, up.left = up.left, b
		return up
	}
	return b
}

func (b *branch) without(w *owner, name string) *branch {
	if b == nil {
		return nil
	}
	switch c := dnsname.Compare(name, b.name); {
	case c == 0:
		return joined(w, b.left, b.right)
	case c < 0:
		b = b.mine(w)
		b.left = b.left.without(w, name)
	default:
		b = b.mine(w)
		b.right = b.right.without(w, name)
	}
	return b
}

// joined is what is before a name and what is behind it, without that.
func joined(w *owner, left, right *branch) *branch {
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	case left.rank > right.rank:
		left = left.mine(w)
		left.right = joined(w, left.right, right)
		return left
	}
	right = right.mine(w)
	right.left = joined(w, left, right.left)
	return right
}

// around are the names right before and right behind one that isn't there; "": there is none.
func (o *order) around(name string) (before, behind string) {
	for b := o.root; b != nil; {
		if dnsname.Compare(name, b.name) < 0 {
			behind, b = b.name, b.left
		} else {
			before, b = b.name, b.right
		}
	}
	return before, behind
}
