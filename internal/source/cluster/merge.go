package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A whole is what all files hold together.
type whole struct {
	services, ingresses []*shard.Service
	fronts              map[shard.FrontendKind][]*shard.Frontend
	slices              []*shard.Slice
	nodes               []shard.Node
	standby             []*shard.Service // not exported, but may be in front of others
	classes             map[shard.FrontendKind][]shard.Class
	unread              []string
	shadow              bool
}

// merge puts the files together, in the order of their names: of an object that
// is in several, the last counts.
func (f *Folder) merge() *whole {
	services := pile[snapshot.Key, chosen[*shard.Service]]{folder: f}
	fronts := pile[shard.FrontendKey, chosen[*shard.Frontend]]{folder: f}
	endpoints := pile[shard.SliceKey, *shard.Slice]{folder: f}
	nodes := pile[string, shard.Node]{folder: f}
	classes := pile[shard.ClassKey, shard.Class]{folder: f}
	shadow := false
	var unread []string
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		c := &f.files[name].content
		shadow = shadow || c.shadow
		for _, text := range c.unread {
			if !slices.Contains(unread, text) {
				unread = append(unread, text)
			}
		}
		for _, s := range c.services {
			services.add(s.object.Key, s, name)
		}
		for _, s := range c.fronts {
			fronts.add(s.object.Key, s, name)
		}
		for _, s := range c.slices {
			endpoints.add(s.Key, s, name)
		}
		for _, n := range c.nodes {
			nodes.add(n.Name, n, name)
		}
		for _, k := range c.classes {
			classes.add(k.Key, k, name)
		}
	}
	m := &whole{nodes: nodes.all, unread: unread, shadow: shadow, fronts: map[shard.FrontendKind][]*shard.Frontend{}, classes: map[shard.FrontendKind][]shard.Class{}}
	named := map[snapshot.Key]bool{} // to be in front
	entries := map[string]bool{}     // that somebody has to stand behind
	announced := func(o *shard.Service) {
		named[o.Routing().Front] = true
		for _, e := range announces(o) {
			entries[e] = true
		}
	}
	for _, k := range classes.all {
		named[k.Front] = true
		m.classes[k.Key.Kind] = append(m.classes[k.Key.Kind], k)
	}
	for _, s := range fronts.all {
		if k := s.object.Key.Kind; s.wanted {
			if k == shard.Gateway {
				announced(s.object.Object)
			}
			m.fronts[k] = append(m.fronts[k], s.object)
		}
	}
	for _, s := range services.all {
		if s.wanted && s.object.Key.Kind == snapshot.Ing {
			announced(s.object)
		}
	}
	found := func(o *shard.Service) bool {
		return o.Balancer && slices.ContainsFunc(announces(o), func(e string) bool { return entries[e] })
	}
	standing := map[snapshot.Key]bool{}
	for _, s := range services.all {
		switch {
		case !s.wanted && s.object.Key.Kind == snapshot.Svc && (named[s.object.Key] || found(s.object)):
			standing[s.object.Key] = true
			m.standby = append(m.standby, s.object)
		case !s.wanted:
		case s.object.Key.Kind == snapshot.Ing:
			m.ingresses = append(m.ingresses, s.object)
		default:
			m.services = append(m.services, s.object)
		}
	}
	for k := range named {
		if _, ok := services.at[k]; !ok && k != (snapshot.Key{}) {
			m.standby = append(m.standby, (&shard.Service{Key: k}).Route(shard.Routing{Absent: true}))
		}
	}
	for _, s := range endpoints.all {
		// By the Service that they name, whatever labels they have.
		k := s.Of()
		if i, ok := services.at[k]; standing[k] || ok && services.all[i].wanted {
			m.slices = append(m.slices, s)
		}
	}
	return m
}

// A pile has one object of each key: the last that was put on it.
type pile[K comparable, V any] struct {
	folder *Folder
	all    []V
	from   []string // the files of all
	at     map[K]int
}

func (p *pile[K, V]) add(k K, v V, file string) {
	if i, ok := p.at[k]; ok {
		p.folder.both(p.from[i], file, k)
		p.all[i], p.from[i] = v, file
		return
	}
	if p.at == nil {
		p.at = map[K]int{}
	}
	p.at[k] = len(p.all)
	p.all, p.from = append(p.all, v), append(p.from, file)
}

// both says, once for two files, that they hold the same.
func (f *Folder) both(before, after string, key any) {
	if pair := [2]string{before, after}; !f.twice[pair] {
		f.twice[pair] = true
		f.Log.Warn(fmt.Sprintf("manifests %s: %v is in %s and again in %s; the latter counts", f.Dir, key, before, after))
	}
}
