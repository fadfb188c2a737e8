package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// A Selector chooses objects by their labels.
type Selector = labels.Selector

// ParseSelector reads a label selector as kubectl does; "*" selects everything.
func ParseSelector(s string) (Selector, error) {
	if s == "*" {
		return labels.Everything(), nil
	}
	sel, err := labels.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a label selector, such as fedns.io/export=true: %w", s, err)
	}
	return sel, nil
}
