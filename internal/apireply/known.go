package apireply

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// Known is what has been heard of a kind: keys, as NAMESPACE/NAME. Its owner is who
// hears of it.
type Known map[string]bool

// few is how many of the objects that a list leaves out are asked for by name. They
// are taken at random, so that a list which leaves out many that are there is
// found out nearly always.
const few = 3

// Without gives some that a new list leaves out.
func (k Known) Without(there map[string]bool) []string {
	var out []string
	for key := range k { // in no order
		if !there[key] {
			if out = append(out, key); len(out) == few {
				break
			}
		}
	}
	return out
}

// Refute looks in the answer to a question for one object by its name: where it is
// there, the list without it was none of all there is.
func Refute(kind, key string, answer runtime.Object) error {
	return meta.EachListItem(answer, func(o runtime.Object) error {
		m, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		found := m.GetName()
		if m.GetNamespace() != "" {
			found = m.GetNamespace() + "/" + found
		}
		if found == key {
			return strange("a list of %s without %s, which is there", kind, Line(key))
		}
		return nil
	})
}
