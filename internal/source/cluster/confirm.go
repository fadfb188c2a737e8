package cluster

import (
	"fmt"
	"hash/maphash"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/apireply"
	"github.com/fedns/fedns/internal/shard"
)

// A list may be wrong in a way that no look at it can find: cut, changed on its way, or
// of somewhere else. What it takes away of what is known is asked for once more by name,
// and believed when two answers agree.

// known is what has been reported of a resource, by keys as NAMESPACE/NAME.
type known = apireply.Known[seen]

// A seen is an object as it was seen.
type seen struct {
	object, version uint64       // hashes of its UID and its resourceVersion
	change          shard.Change // what counts of it; nil: it is none of ours
}

var seed = maphash.MakeSeed()

// see makes a seen of an object with what counts of it.
func see(obj any, change shard.Change) seen {
	m, err := meta.Accessor(obj)
	if err != nil {
		return seen{change: change}
	}
	version := m.GetResourceVersion()
	if u, ok := obj.(*unstructured.Unstructured); ok {
		version += " " + u.GetAPIVersion() // it may be another in another one
	}
	return seen{maphash.String(seed, string(m.GetUID())), maphash.String(seed, version), change}
}

// copied is what counts of an object that is seen again: of what is alike, one copy is kept.
func (s seen) copied(now shard.Change) shard.Change {
	if s.change != nil && now != nil && shard.Alike(now, s.change) {
		return s.change
	}
	return now
}

// differs says whether what counts isn't the same.
func (s seen) differs(o seen) bool {
	if s.change == nil || o.change == nil {
		return s.change != o.change
	}
	return !shard.Alike(s.change, o.change)
}

// doubtful says whether an object that a list has shouldn't be believed at once: another
// in the place of one that is known, or the same one, changed and yet of one version. Of
// what is known by its content alone, nothing can be said.
func (s seen) doubtful(was seen) bool {
	return was.version != 0 && s.differs(was) && (s.object != was.object || s.version == was.version)
}

// Doubts implements kube.Sink.
func (l *listener) Doubts(list *kube.Listing[seen]) []string {
	if l.name == "namespaces" {
		return nil // it is asked for by name anyway
	}
	return l.known.Some(func(key string, was seen) bool {
		is, ok := list.Get(key)
		return !ok || is.doubtful(was)
	})
}

// Confirm implements kube.Sink: where an object is there as it was, the list is none of
// all there is.
func (l *listener) Confirm(key string, list *kube.Listing[seen], answer runtime.Object) error {
	if _, ok := list.Get(key); !ok {
		return apireply.Contradiction(l.name, key, answer)
	}
	was := l.known[key]
	return meta.EachListItem(answer, func(o runtime.Object) error {
		at, err := cache.MetaNamespaceKeyFunc(o)
		if is := l.Cut(at, o); err == nil && at == key && is.object == was.object && is.version == was.version && !is.differs(was) {
			return &apireply.UnexpectedReply{What: fmt.Sprintf("a list of %s in which %s isn't what it is by its name", l.name, apireply.Line(key))}
		}
		return nil
	})
}
