package workload

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// What the Gateway API takes in the status of a route, as of its version 1.5: with one parent or condition that
// isn't so it takes nothing of the status.
const (
	mostParents    = 32
	mostConditions = 8
	longestMessage = 32768
	longestReason  = 1024
	longestType    = 316
	longestName    = 253
	longestLabel   = 63
	mostPort       = 65535
)

var (
	controllerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$`)
	conditionType  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`)
	reasonWord     = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)
	kindWord       = regexp.MustCompile(`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`)
	namespaceForm  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// A parent is what a gateway says of a route.
type parent struct {
	id         string
	controller any
	ref        Object
	conditions []Object
}

// routes are what the clusters' gateways say of a route, each gateway's once: a condition is true
// where it is so in every cluster, and else is as it is where it isn't.
func routes(parts []Part, was Object, _ bool) map[string]any {
	all, _ := parents(parts)
	var out []any
	for _, p := range all {
		conditions := make([]any, len(p.conditions))
		for i, c := range p.conditions {
			conditions[i] = c
		}
		out = append(out, map[string]any{"controllerName": p.controller, "parentRef": p.ref, "conditions": conditions})
	}
	if out == nil {
		if was["parents"] == nil {
			return map[string]any{}
		}
		out = []any{}
	}
	return map[string]any{"parents": out}
}

// routesOmit says that not all that gateways say is in the status of a route; "": it is.
func routesOmit(parts []Part) string {
	if _, more := parents(parts); more {
		return fmt.Sprintf("the gateways of its clusters name more than %d parents, and its status may have no more: it has some of each cluster", mostParents)
	}
	return ""
}

// parents are those of all clusters, as many as there may be. If there are more, each cluster has its turn,
// with what comes first by its text, so that none can take the room of another's.
func parents(parts []Part) (all []*parent, more bool) {
	byID := map[string]*parent{}
	turns := make([][]*parent, len(parts))
	for i, part := range parts {
		for _, m := range mapsOf(part.Status["parents"]) {
			said := parentOf(m)
			if said == nil {
				continue
			}
			into := byID[said.id]
			if into == nil {
				into = &parent{id: said.id, controller: said.controller, ref: said.ref}
				byID[said.id] = into
				all = append(all, into)
			}
			into.join(said, part.Cluster)
			turns[i] = append(turns[i], into)
		}
	}
	if more = len(all) > mostParents; more {
		all = byTurns(turns)
	}
	for _, p := range all {
		if len(p.conditions) > mostConditions {
			slices.SortStableFunc(p.conditions, func(a, b Object) int {
				return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(text(a, "type"), text(b, "type")))
			})
			p.conditions = p.conditions[:mostConditions]
		}
	}
	return all, more
}

// byTurns takes from each list what comes first, until there are as many as there may be.
func byTurns(turns [][]*parent) (all []*parent) {
	compare := func(a, b *parent) int { return cmp.Compare(a.id, b.id) }
	for i := range turns {
		slices.SortFunc(turns[i], compare)
		turns[i] = slices.Compact(turns[i])
	}
	has := map[*parent]bool{}
	for turn := 0; ; turn++ {
		over := true
		for _, list := range turns {
			if turn >= len(list) {
				continue
			}
			over = false
			if p := list[turn]; !has[p] && len(all) < mostParents {
				has[p], all = true, append(all, p)
			}
		}
		if over || len(all) == mostParents {
			slices.SortFunc(all, compare)
			return all
		}
	}
}

// rank has the conditions of the Gateway API itself come before others.
func rank(c Object) int {
	if i := slices.Index([]string{"Accepted", "ResolvedRefs", "PartiallyInvalid"}, text(c, "type")); i >= 0 {
		return i
	}
	return 3
}

// join adds what a cluster's gateway says of a route to what others' say.
func (p *parent) join(said *parent, cluster string) {
	for _, c := range said.conditions {
		i := slices.IndexFunc(p.conditions, func(have Object) bool { return have["type"] == c["type"] })
		switch {
		case i < 0:
			p.conditions = append(p.conditions, c)
		case c["status"] != "True" && p.conditions[i]["status"] == "True":
			c["message"] = clip("in cluster "+cluster+": "+text(c, "message"), longestMessage)
			p.conditions[i] = c
		}
	}
}

// parentOf is what the federation's API takes of a parent; nil: nothing.
func parentOf(m map[string]any) *parent {
	ref := object(m, "parentRef")
	p := &parent{controller: m["controllerName"], ref: Object{}}
	if c := text(m, "controllerName"); len(c) > longestName || !controllerName.MatchString(c) {
		return nil
	}
	for _, f := range []struct {
		name string
		most int
		form *regexp.Regexp // nil: anything
	}{{"group", longestName, subdomain}, {"kind", longestLabel, kindWord}, {"namespace", longestLabel, namespaceForm}, {"name", longestName, nil}, {"sectionName", longestName, subdomain}} {
		v, said := ref[f.name]
		if !said && f.name != "name" {
			continue
		}
		s, is := v.(string)
		if core := f.name == "group" && s == ""; !is || len(s) > f.most || !core && (s == "" || f.form != nil && !f.form.MatchString(s)) {
			return nil
		}
		p.ref[f.name] = s
	}
	if _, said := ref["port"]; said {
		n, ok := number(ref, "port")
		if !ok || n < 1 || n > mostPort {
			return nil
		}
		p.ref["port"] = n
	}
	types := map[string]bool{}
	for _, c := range mapsOf(m["conditions"]) {
		if c := parentCondition(c); c != nil && !types[text(c, "type")] {
			types[text(c, "type")] = true
			p.conditions = append(p.conditions, c)
		}
	}
	if len(p.conditions) == 0 {
		return nil
	}
	p.id = text(m, "controllerName") + " " + jsonOf(p.ref)
	return p
}

// parentCondition is what the federation's API takes of a condition; nil: nothing. Which generation it is about isn't
// told: that is one of the cluster's object.
func parentCondition(c map[string]any) Object {
	kind, reason, when := text(c, "type"), text(c, "reason"), text(c, "lastTransitionTime")
	_, notime := time.Parse(time.RFC3339, when)
	switch {
	case len(kind) > longestType || !conditionType.MatchString(kind),
		len(reason) > longestReason || !reasonWord.MatchString(reason),
		notime != nil, !fitsText("status", text(c, "status")):
		return nil
	}
	return Object{"type": kind, "status": text(c, "status"), "reason": reason, "message": clip(text(c, "message"), longestMessage), "lastTransitionTime": when}
}

// clip is the beginning of a text, of so many characters at most.
func clip(text string, most int) string { return fmt.Sprintf("%.*s", most, text) }
