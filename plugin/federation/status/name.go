package status

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// fewNear is how many services are looked at whose names are the nearest to a mistyped one.
const fewNear = 3

// kinds are the words for what a name may be of, before NAMESPACE/NAME.
var kindWords = map[string]snapshot.Kind{
	"service": snapshot.Svc, "svc": snapshot.Svc, "ingress": snapshot.Ing, "ing": snapshot.Ing, "gateway": snapshot.Ing, "host": snapshot.Host,
}

// expand gives the name that a shorter word for it means: service/NAMESPACE/NAME or
// NAMESPACE/NAME, as orders have it; NAME.NAMESPACE; and NAME.NAMESPACE.FEDERATION, which
// pods ask for. What is none of these, or in one of our domains, is taken as it is. A
// port (_PORT._PROTO.) may stand before it.
func (s *Status) expand(asked string, current *snapshot.Snapshot) (string, error) {
	if strings.Contains(asked, "/") {
		return s.named(asked, current)
	}
	lower := strings.ToLower(asked)
	if d, _ := s.Block.Find(dns.Fqdn(lower)); d != nil || strings.HasSuffix(asked, ".") {
		return asked, nil
	}
	labels := strings.Split(lower, ".")
	port := ""
	if len(labels) > 2 && strings.HasPrefix(labels[0], "_") && strings.HasPrefix(labels[1], "_") {
		port, labels = labels[0]+"."+labels[1]+".", labels[2:]
	}
	kinds := []snapshot.Kind{snapshot.Svc, snapshot.Ing}
	if last := len(labels) - 1; last == 3 {
		k, ok := snapshot.KindOf(labels[last])
		if !ok {
			return asked, nil
		}
		kinds, labels = []snapshot.Kind{k}, labels[:last]
	}
	if len(labels) != 2 && len(labels) != 3 {
		return asked, nil
	}
	for _, kind := range kinds {
		k := snapshot.Key{Kind: kind, Namespace: labels[1], Name: labels[0]}
		for i, f := range current.Federations {
			if len(labels) == 3 && f.Name != labels[2] || f.Service(k) == nil {
				continue
			}
			if l := s.Federations[i]; len(labels) == 3 && kind == snapshot.Svc && l.Home != "" {
				return port + k.Name + "." + k.Namespace + "." + l.HomeZone, nil // as the search path of a pod has it
			}
			if d := s.Block.Home(i); d != nil {
				return port + spell(d, f.Name, k, topology.Global), nil
			}
		}
	}
	return asked, nil
}

// named finds what KIND/NAMESPACE/NAME, or NAMESPACE/NAME, is called.
func (s *Status) named(asked string, current *snapshot.Snapshot) (string, error) {
	parts := strings.Split(asked, "/")
	k := snapshot.Key{Kind: snapshot.Svc}
	if len(parts) == 3 {
		kind, ok := kindWords[strings.ToLower(parts[0])]
		if !ok {
			return "", bad("name: %q: %q is no kind of what has a name", asked, parts[0]).with("service/NAMESPACE/NAME, ingress/NAMESPACE/NAME or host/NAMESPACE/HOST")
		}
		k.Kind, parts = kind, parts[1:]
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return "", bad("name: %q is neither a name nor NAMESPACE/NAME", asked).with("service/NAMESPACE/NAME")
	}
	k.Namespace, k.Name = parts[0], parts[1]
	var near []string
	for i, f := range current.Federations {
		if d := s.Block.Home(i); d != nil && f.Service(k) != nil {
			return spell(d, f.Name, k, topology.Global), nil
		}
		for svc := range f.All() {
			if svc.Key.Kind == k.Kind {
				near = append(near, svc.Key.Namespace+"/"+svc.Key.Name)
			}
		}
	}
	help := "fedctl services lists them"
	if near = advice.Near(k.Namespace+"/"+k.Name, near); len(near) > 0 {
		help = "did you mean " + strings.Join(near, ", or ") + "?"
	}
	return "", (&fault{code: http.StatusNotFound, text: "there is no " + asked}).with(help)
}

// near are names that somebody may have meant who asked for one that isn't there: of
// services wherever they are answered, of hosts, and static ones.
func (s *Status) near(asked string, current *snapshot.Snapshot) []string {
	asked = strings.TrimSuffix(strings.ToLower(asked), ".")
	first := strings.Split(asked, ".")
	var all []string
	type candidate struct {
		federation int
		key        snapshot.Key
		distance   int
	}
	var services []candidate
	for i, f := range current.Federations {
		for svc := range f.All() {
			k := svc.Key
			if k.Kind == snapshot.Host {
				all = append(all, k.Name)
				continue
			}
			short := k.Name + "." + k.Namespace
			switch len(first) {
			case 2:
				all = append(all, short)
			case 3:
				all = append(all, short+"."+f.Name)
			default:
				services = append(services, candidate{i, k, advice.Distance(strings.Join(first[:min(len(first), 3)], "."), short+"."+f.Name)})
			}
		}
	}
	slices.SortStableFunc(services, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	for _, c := range services[:min(len(services), fewNear)] {
		d, f := s.Block.Home(c.federation), current.Federations[c.federation]
		if d == nil {
			continue
		}
		for _, scope := range f.Map.Scopes() { // the global one among them
			all = append(all, strings.TrimSuffix(spell(d, f.Name, c.key, scope), "."))
		}
	}
	for _, d := range s.Block.Domains {
		if a := d.Static.Load(); a != nil {
			for name := range a.Zone.Names() {
				all = append(all, strings.TrimSuffix(name, "."))
			}
		}
	}
	return advice.Near(asked, all)
}
