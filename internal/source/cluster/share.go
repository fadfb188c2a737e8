package cluster

import (
	"slices"
	"sync"
	"unique"

	"github.com/fedns/fedns/internal/shard"
)

// intern gives one copy of a string that comes again and again: namespaces, ports
// and zones in every object, names of Services in every cluster.
func intern(s string) string { return unique.Make(s).Value() }

// Lists that come again and again, too: of most objects they have one element.
var (
	portLists     = shared[shard.Port]{}
	endpointLists = shared[shard.Endpoint]{}
)

// maxShared bounds how many lists are kept to be shared: the ports of all that clusters run are fewer, and so are their nodes.
// Beyond it is begun anew, since whoever writes objects says what is in them.
const maxShared = 10_000

// A shared gives one copy of each list with one element. None of them may be changed.
type shared[T comparable] struct {
	mu    sync.Mutex
	lists map[T][]T
}

// of is the copy of a list; one that has other than one element is its own.
func (s *shared[T]) of(list []T) []T {
	if len(list) != 1 {
		return slices.Clip(list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if same, ok := s.lists[list[0]]; ok {
		return same
	}
	if s.lists == nil || len(s.lists) >= maxShared {
		s.lists = map[T][]T{}
	}
	s.lists[list[0]] = slices.Clip(list)
	return s.lists[list[0]]
}
