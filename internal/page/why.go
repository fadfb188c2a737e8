package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fedns/fedns/internal/api/report"
)

// fewChanges is how many services a page names that would be answered otherwise.
const fewChanges = 50

// A whyView explains a name, and what would be.
type whyView struct {
	Frame
	Name, Type, Client string
	Taken              []string // subjects that are taken away
	Subjects           []subjects
	Order              string
	Fault              *Fault // why there is no explanation
	E                  *report.Explanation
	Steps              []step
	After              *report.View
	Preview            *report.Preview
	Regions            []flow
	Command            string
	Proposals          []string
}

// subjects are what can be taken away, of one kind.
type subjects struct {
	Kind string
	List []choice
}

type choice struct {
	Subject, Name string
	Taken         bool
}

// A step is a name on the way of an answer.
type step struct {
	Scope, Name string
	Lit, Asked  bool
}

// A flow is where the clients of a region are led, before and after.
type flow struct{ Clients, Before, After string }

var types = []string{"A", "AAAA", "SRV", "TXT", "HTTPS", "NS", "SOA", "CNAME"}

// Types are those that can be chosen.
func (whyView) Types() []string { return types }

func why(ctx context.Context, p *Page, v url.Values) (any, error) {
	f, snap, err := p.frame(ctx, "why", "Why", v)
	if err != nil {
		return nil, err
	}
	out := whyView{Frame: f, Name: strings.TrimSpace(v.Get("name")), Type: v.Get("type"), Client: strings.TrimSpace(v.Get("client")), Order: strings.TrimSpace(v.Get("order"))}
	for _, s := range v["take"] {
		if s != "" && len(out.Taken) < 16 {
			out.Taken = append(out.Taken, s)
		}
	}
	out.Subjects = subjectsOf(&snap, out.Taken)
	list, err := ask[report.Services](ctx, p, "services", "limit", "500")
	if err != nil {
		return nil, err
	}
	for i := range list.Services {
		out.Proposals = append(out.Proposals, subject(&list.Services[i]))
	}
	at := ""
	if f.At > 0 {
		at = stamp(f.At)
	}
	client := out.Client
	if out.Name != "" {
		pairs := []string{"name", out.Name, "type", out.Type, "client", client, "at", at}
		if at == "" {
			for _, s := range out.Taken {
				if name, ok := strings.CutPrefix(s, "cluster/"); ok {
					pairs = append(pairs, "without", name)
				}
			}
		}
		e, err := ask[report.Explanation](ctx, p, "explain", pairs...)
		switch {
		case err == nil:
			out.E, out.Steps, out.After = &e, steps(&e), e.Without
		case !fault(err, &out.Fault):
			return nil, err
		}
	}
	var lines []string
	for _, s := range out.Taken {
		lines = append(lines, "down "+s+` reason "what if"`)
	}
	if out.Order != "" {
		lines = append(lines, out.Order)
	}
	if len(lines) > 0 && at == "" && out.Fault == nil {
		pairs := []string{"limit", strconv.Itoa(fewChanges)}
		for _, l := range lines {
			pairs = append(pairs, "order", l)
		}
		pre, err := ask[report.Preview](ctx, p, "preview", pairs...)
		switch {
		case err == nil:
			out.Preview, out.Regions, out.Command = &pre, flows(&pre), command(out.Taken, out.Order)
		case !fault(err, &out.Fault):
			return nil, err
		}
	}
	return out, nil
}

// fault takes what was wrong with what somebody asked; false: it is something else.
func fault(err error, into **Fault) bool {
	var f *Fault
	if !errors.As(err, &f) || f.Code != http.StatusBadRequest && f.Code != http.StatusNotFound {
		return false
	}
	*into = f
	return true
}

// subjectsOf are what can be taken away.
func subjectsOf(s *report.Snapshot, taken []string) []subjects {
	kinds := []subjects{{Kind: "clusters"}, {Kind: "regions"}, {Kind: "zones"}}
	add := func(i int, kind, name string) {
		c := choice{kind + "/" + name, name, slices.Contains(taken, kind+"/"+name)}
		if name != "" && !slices.Contains(kinds[i].List, c) {
			kinds[i].List = append(kinds[i].List, c)
		}
	}
	for _, f := range s.Federations {
		for _, c := range f.Clusters {
			add(0, "cluster", c)
		}
		for _, p := range f.Scopes {
			if p.Zone == "" {
				add(1, "region", p.Region)
			} else {
				add(2, "zone", p.Zone)
			}
		}
	}
	return slices.DeleteFunc(kinds, func(k subjects) bool { return len(k.List) == 0 })
}

// steps is the way from the name that was asked for up to where the answer comes from, and on to the
// widest scope.
func steps(e *report.Explanation) (out []step) {
	if e.Service == nil {
		return nil
	}
	lit := e.Name
	if n := len(e.Chain); n > 0 {
		lit = e.Chain[n-1]
	}
	names := []string{e.Name}
	for _, n := range e.Chain {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	answered := len(e.Reply.Answer) > 0
	scopes := map[string][]string{"zonal": {"zone", "region", "everywhere"}, "regional": {"region", "everywhere"}, "global": {"everywhere"}}[e.Service.Scope]
	for i, n := range names {
		s := step{Name: n, Lit: n == lit && answered, Asked: i == 0}
		if i < len(scopes) {
			s.Scope = scopes[i]
		}
		out = append(out, s)
	}
	for _, s := range scopes[min(len(names), len(scopes)):] {
		out = append(out, step{Scope: s})
	}
	return out
}

// flows is where the clients of each region go, of the first service that they go elsewhere for.
func flows(p *report.Preview) (out []flow) {
	for _, c := range p.Changes {
		for _, n := range c.Names {
			for _, who := range n.Clients {
				if who == report.NobodyKnows {
					who = "who can't be placed"
				}
				if !slices.ContainsFunc(out, func(f flow) bool { return f.Clients == who }) {
					out = append(out, flow{who, leads(&n.Before), leads(&n.After)})
				}
			}
		}
	}
	return out[:min(len(out), fewChanges)]
}

// leads says where a name leads.
func leads(l *report.Leads) string {
	const few = 4
	text := strings.Join(l.Addresses[:min(len(l.Addresses), few)], " ")
	if n := len(l.Addresses) - few; n > 0 {
		text += sprint(" and %d more", n)
	}
	switch {
	case text == "":
		return "nothing: " + l.Why
	case l.To != "":
		return bare(l.To) + ": " + text
	}
	return text
}

// Leads is for templates.
func (whyView) Leads(l report.Leads) string { return leads(&l) }

// Empty says whether a name leads to nothing.
func (whyView) Empty(l report.Leads) bool { return len(l.Addresses) == 0 }

// command is what to type for an order, which is only looked at until somebody takes --dry-run away.
func command(taken []string, order string) string {
	var lines []string
	for _, s := range taken {
		lines = append(lines, "fedctl down "+quoted(s)+" --reason 'what if' --dry-run")
	}
	action, rest, _ := strings.Cut(order, " ")
	subject, rest, _ := strings.Cut(rest, " ")
	if order != "" && slices.Contains([]string{"drain", "down", "up", "failback"}, action) && subject != "" {
		line := "fedctl " + action + " " + quoted(subject)
		if until, ok := strings.CutPrefix(rest, "until "); ok {
			moment, after, _ := strings.Cut(until, " ")
			line, rest = line+" --until "+quoted(moment), after
		}
		if reason, ok := strings.CutPrefix(rest, "reason "); ok {
			if text, err := strconv.Unquote(reason); err == nil {
				line += " --reason " + quoted(text)
			}
		}
		lines = append(lines, line+" --dry-run")
	}
	return strings.Join(lines, "\n")
}
