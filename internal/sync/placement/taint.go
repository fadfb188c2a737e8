package placement

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// An Effect is what a taint does to objects that don't tolerate it.
type Effect string

// The effects. There is no PreferNoSchedule: an object goes to every cluster that
// it may go to, so there is nothing to prefer.
const (
	NoSchedule Effect = "NoSchedule" // nothing new; what is there stays, but doesn't grow
	NoExecute  Effect = "NoExecute"  // what is there is taken away, too
)

// A Taint is on a cluster.
type Taint struct {
	Key    string
	Value  string
	Effect Effect
}

// String is the taint as kubectl writes it.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}

// A Toleration is an object's, as pods have them.
type Toleration struct {
	key    string // "" is every key
	value  string // if not exists
	exists bool
	effect Effect // "" is every effect
}

// TolerationsOf reads an object's tolerations.
func TolerationsOf(annotations map[string]string) ([]Toleration, error) {
	s, ok := annotations[v1alpha1.Tolerations]
	if !ok {
		return nil, nil
	}
	out, err := ParseTolerations(s)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", v1alpha1.Tolerations, err)
	}
	return out, nil
}

// ParseTolerations reads a list of tolerations:
//
//	[{"key": "team", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}]
//
// As a pod's, without an effect they are for both, without an operator for Equal,
// and with Exists and no key for every taint. They don't end: tolerationSeconds is
// an error.
func ParseTolerations(s string) ([]Toleration, error) {
	var texts []struct {
		Key, Operator, Value string
		Effect               Effect
	}
	if err := decodeList(s, &texts, "key, operator, value and effect"); err != nil {
		return nil, err
	}
	var out []Toleration
	var errs []error
	for i, text := range texts {
		t := Toleration{text.Key, text.Value, text.Operator == "Exists", text.Effect}
		if err := t.check(text.Operator); err != nil {
			errs = append(errs, fmt.Errorf("toleration %d: %w", i+1, err))
		}
		out = append(out, t)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func (t Toleration) check(operator string) error {
	switch {
	case !slices.Contains([]string{"", "Equal", "Exists"}, operator):
		return fmt.Errorf("operator %q is none of Equal and Exists", operator)
	case !slices.Contains([]Effect{"", NoSchedule, NoExecute}, t.effect):
		return fmt.Errorf("effect %q is none of NoSchedule and NoExecute", t.effect)
	case t.exists && t.value != "":
		return fmt.Errorf("operator Exists takes no value, not %q", t.value)
	case t.exists && t.key == "":
		return nil
	case t.key == "":
		return errors.New("the key is missing; operator Exists without a key tolerates every taint")
	}
	return checkKey(t.key)
}

// tolerates says whether the toleration is for the taint.
func (t Toleration) tolerates(taint Taint) bool {
	return (t.effect == "" || t.effect == taint.Effect) &&
		(t.key == "" || t.key == taint.Key) &&
		(t.exists || t.value == taint.Value)
}
