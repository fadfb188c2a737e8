package zone

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/snapshot"
)

// wildcard has the records of a name be signed as those of the wildcard that has them: it stands in the place of the label before
// encloser. types are those that it has in the zone file, a is what the federations have for it.
func (r *Transaction) wildcard(q *message.Question, name string, labels []string, encloser int, types []uint16, a *answer.Answer) {
	if !r.Signing() {
		return
	}
	label := labels[encloser-1]
	for _, l := range labels[:encloser-1] {
		name = name[len(l)+1:]
	}
	switch {
	case q.Type == dns.TypeNSEC, q.Type == dns.TypeRRSIG, // which only the name itself can have
		strings.Contains(label, `\`),                                              // it isn't spelled as on the wire
		slices.Contains(types, dns.TypeNS), slices.Contains(types, dns.TypeDNAME): // NSEC records with these deny nothing
		r.Endless()
		return
	}
	g := gap{label: label}
	r.around(&g, name, labels[encloser:])
	r.Exist(types, false)
	r.Reply.Wildcard(encloser-1, g.before, g.behind, a)
}

// A gap is between two labels that exist below a name, around one that doesn't.
type gap struct {
	label          string
	before, behind string // "": before all, or behind
}

// not says that a label exists, or may. "" and that around which the gap is don't count.
func (g *gap) not(label string) {
	switch {
	case label == "":
	case label < g.label:
		g.before = max(g.before, label)
	case label > g.label && (g.behind == "" || label < g.behind):
		g.behind = label
	}
}

// around finds what exists beside a name that doesn't, in the static records, of the federations, and of other domains: right below
// an encloser that has these labels before the domain.
func (r *Transaction) around(g *gap, name string, labels []string) {
	encloser := name[len(g.label)+1:]
	host, above := strings.TrimSuffix(name, "."), strings.TrimSuffix(encloser, ".")
	if encloser == "" {
		encloser = string(dnsname.Root)
	}
	g.not("*")
	g.both(r.Static.Zone.Around(encloser, g.label))
	for i := range r.Domain.Members {
		f := r.Snapshot.Federations[r.Domain.Members[i].Index]
		g.both(f.Around(host, above))
		if _, scope := f.Map.Scope(labels...); scope {
			g.both(f.Map.Around(g.label)) // some may stand elsewhere: the gap is the smaller
			for _, k := range snapshot.Kinds {
				g.not(k.String())
			}
			continue
		}
		if _, kind := snapshot.KindOf(labels[0]); kind {
			g.not(f.Name)
		}
	}
	for _, d := range r.Of.Domains {
		if rel, in := dnsname.Name(encloser).Under(string(d.Name)); in && rel != "" {
			g.not(rel[strings.LastIndexByte(rel, '.')+1:])
		}
	}
}

func (g *gap) both(before, behind string) {
	g.not(before)
	g.not(behind)
}
