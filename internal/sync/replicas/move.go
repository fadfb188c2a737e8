package replicas

import (
	"cmp"
	"maps"
	"slices"
)

// A Holding is what one cluster has of an object whose replicas move.
type Holding struct {
	Name  string
	Share int64 // that it is to have in the end
	Sure  int64 // of these, as many as it has room for
	Asked int64 // that it is asked for now, or may be by a write under way
	Ready int64 // that are ready, for all that is known
	// Unseen is that nobody has said how many are ready since it was last asked for others.
	Unseen bool
	// Mixed is that any of its pods may go first when it is asked for fewer, and not those that
	// aren't ready: it has those of two templates.
	Mixed bool
	// Fixed is that it can't be asked for others now.
	Fixed bool
}

// Move says how many each cluster is to be asked for now, so that in the end each has its
// share. There are never more than surge beyond the shares in all clusters together, whichever
// is asked first, and the old ones that are ready stay until as many new ones are. Where
// nothing may surge, the old ones go first.
//
// What isn't ready goes at once where it isn't wanted, and what surpasses the surge goes in any
// case: fewer are wanted, or a cluster is back that was lost. All of it follows from what is
// there, so who begins anew goes on with it.
func Move(surge int64, all []Holding, key string) map[string]int64 {
	out := make(map[string]int64, len(all))
	surge = clamp(surge)
	var missing, there int64 // that aren't ready, and that there may be already
	room := surge            // for old ones that stay
	var old []*Holding
	for i := range all {
		h := &all[i]
		n := min(h.Asked, h.Share)
		if h.Fixed {
			n = h.Asked
		}
		out[h.Name] = n
		room += h.Share - n
		there += max(h.Asked, n) - h.Share
		missing += h.Sure - h.left(n)
		if !h.Fixed && h.Asked > h.Share {
			old = append(old, h)
		}
	}
	if surge == 0 {
		missing = 0
	}
	// One that is to be empty is so as soon as possible: the others hold theirs first.
	slices.SortFunc(old, func(a, b *Holding) int {
		return cmp.Or(cmp.Compare(min(b.Share, 1), min(a.Share, 1)), cmp.Compare(a.Name, b.Name))
	})
	for _, h := range old {
		if missing <= 0 {
			break
		}
		n := h.Share + min(h.worth(missing), max(room, 0))
		missing -= h.left(n) - h.left(h.Share)
		room -= n - h.Share
		out[h.Name] = n
	}
	// Of those that have new ones which aren't ready, some may never be: they get more last.
	for _, lagging := range []bool{false, true} {
		lacks := map[string]int64{}
		var sum int64
		for _, h := range all {
			if n := h.Share - h.Asked; n > 0 && !h.Fixed && lagging == (h.ready() < h.Asked) {
				lacks[h.Name] = n
				sum += n
			}
		}
		for name, n := range Portions(min(sum, max(surge-there, 0)), lacks, key) {
			out[name] += n
			there += n
		}
	}
	return out
}

// Moved says how many each cluster is asked for in the end, if all that can be asked do what they are
// asked: one that can't has what it has, and holds others up by that.
func Moved(surge int64, all []Holding, key string) map[string]int64 {
	all = slices.Clone(all)
	for out := Move(surge, all, key); ; {
		for i := range all {
			if h := &all[i]; !h.Fixed {
				h.Asked, h.Ready, h.Unseen, h.Mixed = out[h.Name], out[h.Name], false, false
			}
		}
		// What each is asked for comes nearer to its share each time, or it is the end.
		next := Move(surge, all, key)
		if maps.Equal(out, next) {
			return out
		}
		out = next
	}
}

func (h *Holding) ready() int64 { return min(h.Ready, h.Asked) }

// left is how many are ready for sure once the cluster has been asked for n.
func (h *Holding) left(n int64) int64 {
	switch {
	case h.Unseen:
		return 0
	case h.Mixed:
		return min(n, max(0, h.ready()-max(0, h.Asked-n)))
	}
	return min(n, h.ready())
}

// worth is how many of the old ones have to stay for so many ready ones.
func (h *Holding) worth(ready int64) int64 {
	old := h.Asked - h.Share
	switch {
	case h.Unseen:
		return old
	case h.ready() == 0:
		return 0
	case h.Mixed:
		return min(old, max(0, old-h.ready())+ready)
	}
	return min(max(0, h.ready()-h.Share), ready)
}
