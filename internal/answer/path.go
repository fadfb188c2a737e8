package answer

import (
	"strings"

	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// A Path is what a name under the domain spells, label for label; what the name
// leaves out is "". It says nothing of whether any of it exists.
//
//	_PORT . _PROTO . SERVICE . NAMESPACE . FEDERATION . KIND . SCOPE
type Path struct {
	Port, Proto, Service, Namespace, Federation string
	Kind                                        snapshot.Kind
	Scope                                       []string // zone and region, region, short zone, or none
	Pod                                         string   // in a cluster's own domain, in the place of Proto: a pod of the service

	hasKind bool
	extra   bool // more labels than any name has
}

// parse has the path, which is zero, be that of a name with these labels, in lower case, leftmost first, without those
// of the domain. The rightmost "svc" or "ing" marks where the scope begins: no
// region or zone is called so (topology.Label).
func (p *Path) parse(labels []string) {
	mark := len(labels)
	for i := len(labels) - 1; i >= 0 && i >= len(labels)-3; i-- {
		if k, ok := snapshot.KindOf(labels[i]); ok {
			mark, p.Kind, p.hasKind = i, k, true
			break
		}
	}
	if !p.hasKind {
		p.Scope, p.extra = labels, len(labels) > 2
		return
	}
	p.Scope = labels[mark+1:]
	if left := labels[:mark]; len(left) > 0 {
		p.Federation = left[len(left)-1]
		p.host(left[:len(left)-1])
	}
}

// host reads the labels before the federation's.
func (p *Path) host(left []string) {
	for _, field := range []*string{&p.Namespace, &p.Service, &p.Proto, &p.Port} {
		if len(left) == 0 {
			return
		}
		*field = left[len(left)-1]
		left = left[:len(left)-1]
	}
	p.extra = len(left) > 0
}

// key is the service a path leads to.
func (p *Path) key() snapshot.Key {
	return snapshot.Key{Namespace: p.Namespace, Name: p.Service, Kind: p.Kind}
}

// bare is a port's or protocol's label without the underscore that marks it.
func bare(label string) (string, bool) {
	if len(label) < 2 || label[0] != '_' {
		return "", false
	}
	return label[1:], true
}

// At spells the name that p has in a scope, without the domain: a port's, if p is
// a port's.
func (p *Path) At(s topology.Scope) string {
	if p.Port == "" {
		return p.Host(s)
	}
	return p.Port + "." + p.Proto + "." + p.Host(s)
}

// Host spells the service's name in a scope, without the domain.
func (p *Path) Host(s topology.Scope) string {
	var b strings.Builder
	for _, l := range [...]string{p.Service, p.Namespace, p.Federation, p.Kind.String(), s.Zone, s.Region} {
		if l == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(l)
	}
	return b.String()
}
