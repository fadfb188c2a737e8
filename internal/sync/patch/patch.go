// Package patch says how an object differs from cluster to cluster.
//
// A rule names clusters, and what is changed in the object there: by a JSON patch (RFC 6902) or
// by a JSON merge patch (RFC 7386), or by another registry for images. The package knows what these are, and not what an object
// is: which of its fields may be changed is for package workload to say.
package patch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/fedns/fedns/internal/sync/placement"
)

// Everywhere is the name of all clusters.
const Everywhere = "*"

// A Rule is what is changed in some clusters.
type Rule struct {
	number   int      // its place in the list, from one
	clusters []string // nil: all that the selector chooses
	selector placement.Selector
	patch    jsonpatch.Patch
	merge    json.RawMessage // in place of patch
	registry string          // of images, in place of both
}

// Rules are those of one object, in their order: each changes what those before it have left.
type Rules []Rule

// For are the rules that speak of a cluster.
func (r Rules) For(cluster string, labels map[string]string) (out Rules) {
	for _, x := range r {
		named := x.clusters == nil || slices.Contains(x.clusters, Everywhere) || slices.Contains(x.clusters, cluster)
		if ok, _ := x.selector.Matches(labels); named && ok {
			out = append(out, x)
		}
	}
	return out
}

// Named are the clusters that rules name: one among them that isn't there is likely misspelled.
func (r Rules) Named() (out []string) {
	for _, x := range r {
		for _, c := range x.clusters {
			if c != Everywhere && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// ID tells a choice of rules of an object from others.
func (r Rules) ID() string {
	var out []int
	for _, x := range r {
		out = append(out, x.number)
	}
	return fmt.Sprint(out)
}

// Apply gives a changed copy of an object. It is changed by all of the rules, or not at all.
func (r Rules) Apply(o map[string]any) (map[string]any, error) {
	doc, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	for _, x := range r {
		if doc, err = x.apply(doc); err != nil {
			return nil, fmt.Errorf("rule %d: %w", x.number, err)
		}
	}
	return decode(doc)
}

// An object may come to as many bytes as etcd takes; operations "copy" can double it, again and
// again. mostWork is how many bytes may be written for all operations of a rule, each of which
// writes the object anew: what is done for one mustn't hold up all others.
const (
	most     = 3 << 19
	mostWork = 16 << 20
)

func init() { jsonpatch.AccumulatedCopySizeLimit = most }

// apply does one operation after the other, for who reads of one that doesn't fit to learn
// which it is.
func (r *Rule) apply(doc []byte) (out []byte, err error) {
	if r.merge != nil {
		return jsonpatch.MergePatch(doc, r.merge)
	}
	if r.registry != "" {
		o, err := decode(doc)
		if err != nil {
			return nil, err
		}
		relocated(o, r.registry)
		return json.Marshal(o)
	}
	if len(r.patch)*len(doc) > mostWork {
		return nil, fmt.Errorf("%d operations are too many for an object of %d bytes; merge says more at once", len(r.patch), len(doc))
	}
	for _, op := range r.patch {
		if op.Kind() == "copy" { // of nothing, the library makes a null
			from, _ := op.From() // it was looked at when the rule was read
			if o, err := decode(doc); err != nil || !leads(o, from) {
				return nil, misfit(op, doc, err)
			}
		}
		next, err := jsonpatch.Patch{op}.Apply(doc)
		if err != nil {
			return nil, misfit(op, doc, err)
		}
		if doc = next; len(doc) > most {
			return nil, fmt.Errorf("the object comes to more than the %d bytes that an API server takes", most)
		}
	}
	return doc, nil
}

// misfit is why an operation doesn't fit an object, and what there is instead.
func misfit(op jsonpatch.Operation, doc []byte, err error) error {
	path, _ := op.Path() // both were looked at when the rule was read
	if from, failed := op.From(); failed == nil {
		path = from
	}
	o, broken := decode(doc)
	switch {
	case op.Kind() == "test" && errors.Is(err, jsonpatch.ErrTestFailed):
		return fmt.Errorf("test %s: it is another value there", path)
	case broken != nil || leads(o, path):
		return fmt.Errorf("%s %s: %w", op.Kind(), path, err)
	}
	return fmt.Errorf("%s %s: the object says nothing there: %s", op.Kind(), path, reach(o, path))
}
