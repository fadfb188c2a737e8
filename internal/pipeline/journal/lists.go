package journal

import (
	"fmt"

	"github.com/fedns/fedns/internal/shard"
)

// A listType knows the lists of one type: how they are taken apart into lists of one
// object each, and put together again.
type listType struct {
	// split gives a list without what is in it, and one for each object; ok says that it
	// is of this type.
	split func(shard.Change) (empty shard.Change, parts []shard.Change, ok bool)
	// join gives a list of what is in both; ok says that they are lists of this type, and
	// of the same objects.
	join func(a, b shard.Change) (both shard.Change, ok bool)
}

// listTypes are all that there are.
var listTypes = []listType{
	listsOf(func(l *shard.ServiceList) (any, *[]*shard.Service) { return l.Kind, &l.Services }),
	listsOf(func(l *shard.SliceList) (any, *[]*shard.Slice) { return nil, &l.Slices }),
	listsOf(func(l *shard.FrontendList) (any, *[]*shard.Frontend) { return l.Kind, &l.Frontends }),
	listsOf(func(l *shard.StandbyList) (any, *[]*shard.Service) { return nil, &l.Services }),
	listsOf(func(l *shard.ClassList) (any, *[]shard.Class) { return l.Kind, &l.Classes }),
	listsOf(func(l *shard.NodeList) (any, *[]shard.Node) { return nil, &l.Nodes }),
}

// listsOf makes a listType out of where a list has its objects, and which kind it says
// that they are of, if it says so.
func listsOf[L shard.Change, T any](open func(*L) (kind any, items *[]T)) listType {
	return listType{
		split: func(c shard.Change) (empty shard.Change, parts []shard.Change, ok bool) {
			if !is[L](c) {
				return nil, nil, false
			}
			l := c.(L)
			_, items := open(&l)
			all := *items
			for i := range all {
				*items = all[i : i+1]
				parts = append(parts, l)
			}
			*items = nil
			return l, parts, true
		},
		join: func(a, b shard.Change) (both shard.Change, ok bool) {
			if !is[L](a) || !is[L](b) {
				return nil, false
			}
			l, more := a.(L), b.(L)
			kind, items := open(&l)
			other, added := open(&more)
			if kind != other {
				return nil, false
			}
			*items = append(*items, *added...)
			return l, true
		},
	}
}

func is[L shard.Change](c shard.Change) bool {
	_, ok := c.(L)
	return ok
}

// split takes a list apart.
func split(c shard.Change) (empty shard.Change, parts []shard.Change) {
	for _, t := range listTypes {
		if empty, parts, ok := t.split(c); ok {
			return empty, parts
		}
	}
	panic(fmt.Sprintf("state: a base is made of lists, not of %T", c))
}

// merge adds parts to lists.
func merge(lists, parts []shard.Change) []shard.Change {
next:
	for _, p := range parts {
		for i, l := range lists {
			for _, t := range listTypes {
				if both, ok := t.join(l, p); ok {
					lists[i] = both
					continue next
				}
			}
		}
		lists = append(lists, p)
	}
	return lists
}
