// Package placement says which clusters an object goes to, and whether its replicas
// do.
//
// A selector chooses clusters by their labels; taints keep away what doesn't
// tolerate them; a drain keeps the objects where they are but sends the replicas to
// other clusters. Each decision comes with the reason, for people to read. The
// package knows neither what an object is nor how many replicas it has (package
// replica does).
package placement

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// The annotations that hold a selector, the first that is there counts. v1 changed
// the name once.
var selectorAnnotations = []string{
	v1alpha1.Selector,
	"federation.kubernetes.io/cluster-selector",
	"federation.alpha.kubernetes.io/cluster-selector",
}

// federationOnly is what v1 wrote in place of a selector on the objects that served
// itself. It isn't one, so that they went nowhere.
const federationOnly = "federation.kubernetes.io/federation-control-plane=true"

// A Selector chooses clusters. The zero value chooses all.
type Selector struct {
	requirements []requirement
	none         string // if it chooses no cluster, why
	said         bool   // an annotation has it: one that asks for nothing is one, too
}

// Said says whether somebody has written it.
func (s Selector) Said() bool { return s.said }

// An operator is what a requirement asks of a label, as Kubernetes spells it.
type operator string

const (
	in           operator = "in"
	notIn        operator = "notin"
	exists       operator = "exists"
	doesNotExist operator = "doesn't exist"
	greater      operator = ">"
	less         operator = "<"
)

// spellings are v1's.
var spellings = map[string]operator{
	"in": in, "In": in, "=": in, "==": in,
	"notin": notIn, "NotIn": notIn, "!=": notIn,
	"exists": exists, "Exists": exists,
	"!": doesNotExist, "DoesNotExist": doesNotExist,
	"gt": greater, "Gt": greater, ">": greater,
	"lt": less, "Lt": less, "<": less,
}

const operators = "in, notin, =, ==, !=, exists, !, gt and lt"

type requirement struct {
	key    string
	op     operator
	values []string
	bound  int64 // of greater and less
}

// SelectorOf reads an object's selector. An object without one goes to all
// clusters. One with a selector that can't be read must go nowhere.
func SelectorOf(annotations map[string]string) (Selector, error) {
	for _, key := range selectorAnnotations {
		s, ok := annotations[key]
		if !ok {
			continue
		}
		selector, err := ParseSelector(s)
		selector.said = true
		if err != nil {
			return selector, fmt.Errorf("annotation %s: %w", key, err)
		}
		return selector, nil
	}
	return Selector{}, nil
}

// ParseSelector reads a list of requirements, all of which have to be met:
//
//	[{"key": "location", "operator": "in", "values": ["europe"]}]
//
// What it can't read selects nothing.
func ParseSelector(s string) (Selector, error) {
	if strings.TrimSpace(s) == federationOnly {
		return Selector{none: "it is for the federation only"}, nil
	}
	none := Selector{none: "its selector can't be read"}
	var texts []struct {
		Key      string
		Operator string
		Values   []string
	}
	if err := decodeList(s, &texts, "key, operator and values"); err != nil {
		return none, err
	}
	var out Selector
	var errs []error
	for i, text := range texts {
		r, err := newRequirement(text.Key, text.Operator, text.Values)
		if err != nil {
			errs = append(errs, fmt.Errorf("requirement %d: %w", i+1, err))
		}
		out.requirements = append(out.requirements, r)
	}
	if len(errs) > 0 {
		return none, errors.Join(errs...)
	}
	return out, nil
}

func newRequirement(key, spelling string, values []string) (requirement, error) {
	r := requirement{key: key, op: spellings[spelling], values: values}
	if err := checkKey(key); err != nil {
		return r, err
	}
	for _, v := range values {
		if !isName(v) && v != "" {
			return r, fmt.Errorf("key %q: no label has the value %q: letters, digits, -, _ and . are allowed, 63 at most", key, v)
		}
	}
	several := spelling == "=" || spelling == "==" || spelling == "!="
	switch {
	case r.op == "":
		return r, fmt.Errorf("key %q: operator %q is none of %s", key, spelling, operators)
	case (r.op == exists || r.op == doesNotExist) && len(values) > 0:
		return r, fmt.Errorf("key %q: operator %s takes no values, not %q", key, spelling, values)
	case (several || r.op == greater || r.op == less) && len(values) != 1:
		return r, fmt.Errorf("key %q: operator %s takes one value, not %q", key, spelling, values)
	case (r.op == in || r.op == notIn) && len(values) == 0:
		return r, fmt.Errorf("key %q: operator %s takes values, and there are none", key, spelling)
	}
	if r.op == greater || r.op == less {
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil {
			return r, fmt.Errorf("key %q: operator %s takes a whole number, not %q", key, spelling, values[0])
		}
		r.bound = n
	}
	return r, nil
}

// Matches says whether a cluster with these labels is chosen; if not, why.
func (s Selector) Matches(labels map[string]string) (ok bool, why string) {
	if s.none != "" {
		return false, s.none
	}
	for _, r := range s.requirements {
		if r.met(labels) {
			continue
		}
		has := "has no label " + r.key
		if v, ok := labels[r.key]; ok {
			has = "has " + r.key + "=" + v
		}
		return false, fmt.Sprintf("selector asks for %s; the cluster %s", r, has)
	}
	return true, ""
}

// met has Kubernetes' meaning: what isn't there is not in any set, and no number.
func (r requirement) met(labels map[string]string) bool {
	v, ok := labels[r.key]
	switch r.op {
	case in:
		return ok && slices.Contains(r.values, v)
	case notIn:
		return !ok || !slices.Contains(r.values, v)
	case exists:
		return ok
	case doesNotExist:
		return !ok
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return false
	}
	if r.op == greater {
		return n > r.bound
	}
	return n < r.bound
}

// String is the requirement as kubectl writes it.
func (r requirement) String() string {
	switch r.op {
	case exists:
		return r.key
	case doesNotExist:
		return "!" + r.key
	case greater, less:
		return r.key + string(r.op) + r.values[0]
	}
	if len(r.values) == 1 {
		return r.key + map[operator]string{in: "=", notIn: "!="}[r.op] + r.values[0]
	}
	return r.key + " " + string(r.op) + " (" + strings.Join(r.values, ", ") + ")"
}
