// Package replicas says how many replicas of an object each cluster gets.
//
// It decides and does nothing: the same clusters in any order, with the same
// preferences, always give the same plan, and a plan that has been carried out is
// what comes out again. Sums are exact wherever the bounds permit; without
// "rebalance" nothing moves that could stay. It doesn't know which clusters an
// object may go to (package placement does), nor what a replica is.
package replicas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// limit bounds replicas and weights: Kubernetes counts replicas in an int32, and
// sums over as many clusters as there may be then fit an int64.
const limit = math.MaxInt32

// Others is the entry of the clusters that have none of their own.
const Others = "*"

// A ClusterPreference bounds and weighs one cluster's replicas.
type ClusterPreference struct {
	Min    int64  `json:"minReplicas,omitempty"`
	Max    *int64 `json:"maxReplicas,omitempty"` // nil: no bound
	Weight int64  `json:"weight,omitempty"`      // 0: the minimum, and no more
}

// Preferences say how an object's replicas are to be spread.
type Preferences struct {
	Rebalance bool                         `json:"rebalance,omitempty"` // replicas that run may move
	Clusters  map[string]ClusterPreference `json:"clusters"`            // by name, or Others
}

// Default is equal shares.
func Default() Preferences {
	return Preferences{Clusters: map[string]ClusterPreference{Others: {Weight: 1}}}
}

// Of is what a cluster is preferred to have; false if nothing is said of it, and
// then it gets nothing.
func (p Preferences) Of(cluster string) (ClusterPreference, bool) {
	c, ok := p.Clusters[cluster]
	if !ok {
		c, ok = p.Clusters[Others]
	}
	return c, ok
}

// With are the preferences where a cluster has n, whatever else they say of it.
func (p Preferences) With(cluster string, n int64) Preferences {
	p.Clusters = maps.Clone(p.Clusters)
	p.Clusters[cluster] = ClusterPreference{Min: n, Max: &n}
	return p
}

// Named are the clusters with entries of their own, in order: one among them that
// the federation doesn't have is likely misspelled.
func (p Preferences) Named() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p.Clusters)), func(name string) bool { return name == Others })
}

// v1 are the annotations that hold preferences as the first federation had them: one a kind.
var v1 = map[string]string{
	"Deployment": "federation.kubernetes.io/deployment-preferences",
	"ReplicaSet": "federation.kubernetes.io/replica-set-preferences",
	"Job":        "federation.kubernetes.io/job-preferences",
}

// FromAnnotations reads an object's preferences. Where it has none they are
// Default, and found is false.
func FromAnnotations(kind string, annotations map[string]string) (p Preferences, found bool, err error) {
	for _, key := range []string{v1alpha1.Preferences, v1[kind]} {
		s, ok := annotations[key]
		if !ok || key == "" {
			continue
		}
		if p, err = ParsePreferences(s); err != nil {
			return Preferences{}, true, fmt.Errorf("annotation %s: %w", key, err)
		}
		return p, true, nil
	}
	return Default(), false, nil
}

// ParsePreferences reads preferences. Where v1 took the defaults for what it could
// not read, and so put replicas where nobody wanted them, this is an error that
// names all that is wrong.
func ParsePreferences(s string) (Preferences, error) {
	var text struct {
		Rebalance bool
		Clusters  map[string]json.RawMessage
	}
	if err := decode(s, &text, "rebalance and clusters"); err != nil {
		return Preferences{}, err
	}
	if len(text.Clusters) == 0 {
		return Preferences{}, errors.New(`clusters is empty, so no cluster would get any: {"*": {"weight": 1}} gives each its share`)
	}
	p := Preferences{Rebalance: text.Rebalance, Clusters: make(map[string]ClusterPreference, len(text.Clusters))}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(text.Clusters)) {
		c, err := parseCluster(name, string(text.Clusters[name]))
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
		}
		p.Clusters[name] = c
	}
	if len(errs) > 0 {
		return Preferences{}, errors.Join(errs...)
	}
	return p, nil
}

func parseCluster(name, s string) (ClusterPreference, error) {
	if name == "" {
		return ClusterPreference{}, errors.New(`a cluster's name is missing; "*" speaks of all others`)
	}
	var text struct{ MinReplicas, MaxReplicas, Weight *int64 }
	if err := decode(s, &text, "minReplicas, maxReplicas and weight"); err != nil {
		return ClusterPreference{}, err
	}
	c := ClusterPreference{Max: text.MaxReplicas}
	for _, n := range []struct {
		name string
		from *int64
		to   *int64
	}{{"minReplicas", text.MinReplicas, &c.Min}, {"maxReplicas", text.MaxReplicas, nil}, {"weight", text.Weight, &c.Weight}} {
		switch {
		case n.from == nil:
		case *n.from < 0 || *n.from > limit:
			return ClusterPreference{}, fmt.Errorf("%s %d isn't between 0 and %d", n.name, *n.from, limit)
		case n.to != nil:
			*n.to = *n.from
		}
	}
	if c.Max != nil && *c.Max < c.Min {
		return ClusterPreference{}, fmt.Errorf("maxReplicas %d is less than minReplicas %d", *c.Max, c.Min)
	}
	return c, nil
}

// decode reads one JSON object with no fields but known ones. encoding/json takes
// null for an object with nothing in it; here it is most likely a mistake.
func decode(s string, to any, known string) error {
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if string(bytes.TrimSpace(raw)) == "null" {
		return fmt.Errorf("null where an object with %s belongs", known)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s where %s belongs", typed.Value, wanted(typed, known))
	}
	if field, ok := unknown(err); ok {
		return fmt.Errorf("unknown field %s; known are %s", field, known)
	}
	return err
}

func wanted(e *json.UnmarshalTypeError, known string) string {
	switch e.Type.Kind().String() {
	case "int64":
		return "the whole number " + e.Field
	case "bool":
		return "true or false of " + e.Field
	case "map":
		return "an object of clusters"
	}
	return "an object with " + known
}

// unknown reads the name from encoding/json's error, which has no type of its own.
func unknown(err error) (string, bool) {
	if err == nil {
		return "", false
	}
	return strings.CutPrefix(err.Error(), "json: unknown field ")
}
