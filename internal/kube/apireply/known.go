package apireply

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// Known is what has been heard of a kind, by keys as NAMESPACE/NAME. Its owner is who
// hears of it.
type Known[V any] map[string]V

// few is how many of the objects that a list leaves out are asked for by name. They
// are taken at random, so that a list which leaves out many that are there is
// found out nearly always.
const few = 3

// Some gives some of which something is to be asked.
func (k Known[V]) Some(ask func(string, V) bool) []string {
	var out []string
	for key, v := range k { // in no order
		if ask(key, v) {
			if out = append(out, key); len(out) == few {
				break
			}
		}
	}
	return out
}

// Contradiction looks in the answer to a question for one object by its name: where it is
// there, the list without it was none of all there is.
func Contradiction(kind, key string, answer runtime.Object) error {
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
