package workload

import (
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// An Adoption is what fedns.io/adopt says of objects that were in a cluster before: "true" is
// that they are taken over, "false" that they aren't, whatever is said of more than this one,
// and a time that those are which were made before it.
type Adoption string

const (
	adoptAll  Adoption = "true"
	adoptNone Adoption = "false"
)

// takes says whether an object is taken over that was made at a time.
func (a Adoption) takes(made string) bool {
	if a == "" || a == adoptAll {
		return a == adoptAll
	}
	until, err := time.Parse(time.RFC3339, string(a))
	if err != nil {
		return false
	}
	at, err := time.Parse(time.RFC3339, made)
	return err == nil && !at.After(until)
}

// adopts is why an object that isn't ours is taken over in a cluster; "": it isn't. What is
// another federation's is only by the object's own word: two would fight for all that a
// namespace or a cluster has.
func (v *View) adopts(m *Member, h *Observed) (why string) {
	own := v.Adopt
	switch {
	case own == adoptNone:
		return ""
	case own.takes(h.Made):
		return v1alpha1.Adopt + " says so"
	case h.Others != "":
		return ""
	case v.Namespace != nil && v.Namespace.Adopt.takes(h.Made):
		return v1alpha1.Adopt + " of its namespace says so"
	case m.Adopt.takes(h.Made):
		return v1alpha1.Adopt + " of the cluster says so"
	}
	// What is in a cluster since others need it is taken over as they are.
	if v.Followed != nil && !v.alone(m).Place {
		for _, f := range v.Followed {
			if f.Adopt.takes(h.Made) && v.follows(f, m) {
				return v1alpha1.Adopt + " of " + f.Key.String() + ", which needs it, says so"
			}
		}
	}
	return ""
}

// taken says whether an object that isn't ours, and is to stay so, has the name in a
// cluster.
func (v *View) taken(m *Member) bool {
	h := v.Entries[m.Name].Have
	return h != nil && !h.Ours && !h.Marked && v.adopts(m, h) == ""
}
