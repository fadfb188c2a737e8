package workload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/patch"
	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// overrides are what is different of an object in some clusters, with what that comes to, by
// the rules that speak of a cluster. It has one owner, as the table has.
type overrides struct {
	rules patch.Rules
	wrong error // why they can't be gone by, wherever
	made  map[string]variant
}

// A variant is the template of those clusters that the same rules speak of.
type variant struct {
	template *Template
	err      error // why the rules can't be gone by there
}

// A misuse is an override of what can't be different: it is wrong in every cluster, while one
// that leads nowhere is wrong only as long as the object is as it is.
type misuse string

func (e misuse) Error() string { return string(e) }

// readOverrides reads the rules of an object, and looks whether each may change what it does.
func (w *Desired) readOverrides(annotations map[string]string) (o overrides, err error) {
	if o.rules, err = patch.FromAnnotations(annotations); err != nil || o.rules == nil {
		o.wrong = err
		return o, err
	}
	o.made = map[string]variant{}
	var all []error
	for i := range o.rules {
		if bad, ok := errors.AsType[misuse](w.variant(o.rules[i : i+1]).err); ok {
			all = append(all, fmt.Errorf("rule %s: %w", strings.Trim(o.rules[i:i+1].ID(), "[]"), bad))
		}
	}
	if len(all) > 0 {
		o.wrong = fmt.Errorf("annotation %s: %w", v1alpha1.Overrides, errors.Join(all...))
	}
	return o, o.wrong
}

// templateFor is what a cluster gets. An error says that it isn't known: nothing may be written
// there then.
func (w *Desired) templateFor(m *Member) (*Template, error) {
	if w.overrides.wrong != nil {
		return nil, w.overrides.wrong
	}
	rules := w.overrides.rules.For(m.Name, m.Labels)
	if len(rules) == 0 {
		return w.Template, nil
	}
	v, ok := w.overrides.made[rules.ID()]
	if !ok {
		v = w.variant(rules)
		w.overrides.made[rules.ID()] = v
	}
	return v.template, v.err
}

// template is what a cluster gets; nil: nothing, or that isn't known.
func (t *Table) template(cluster string, w *Desired) *Template {
	switch {
	case w == nil || w.overrides.wrong != nil:
		return nil
	case w.overrides.rules == nil:
		return w.Template
	}
	i := slices.IndexFunc(t.members, func(m *Member) bool { return m.Name == cluster })
	if i < 0 {
		return nil
	}
	out, err := w.templateFor(t.members[i])
	if err != nil {
		return nil // it is said when the object is planned
	}
	return out
}

// variant is what rules make of an object, as it is with all that is split.
func (w *Desired) variant(rules patch.Rules) variant {
	was := w.Template.For(w.Total)
	for f, n := range w.Margins {
		put(was, f, n)
	}
	delete(object(was, "metadata", "annotations"), v1alpha1.Applied)
	now, err := rules.Apply(was)
	if err != nil {
		return variant{err: fmt.Errorf("annotation %s: %w", v1alpha1.Overrides, err)}
	}
	if bad := w.misuse(was, now); bad != "" {
		return variant{err: misuse(bad)}
	}
	var fixed *int64
	for _, f := range w.Key.Scale {
		if n, ok := number(now, "spec", f); ok && n != w.total(f) {
			fixed = &n
		} else if _, said := w.Total[f]; ok && !said {
			fixed = &n
		}
	}
	t := seal(w.Key, now)
	t.Replicas = fixed
	return variant{template: t}
}

// misuse is why an object can't be changed so in a cluster, and what could be done instead;
// "": it can.
func (w *Desired) misuse(was, now Object) string {
	metadata := func(o Object) Object {
		m := maps.Clone(object(o, "metadata"))
		delete(m, "labels")
		delete(m, "annotations")
		return m
	}
	switch {
	case was["apiVersion"] != now["apiVersion"] || was["kind"] != now["kind"] || now["status"] != nil:
		return "of an object's apiVersion, kind and status none can be different in a cluster"
	case jsonOf(metadata(was)) != jsonOf(metadata(now)):
		return "of an object's metadata only labels and annotations can be different in a cluster"
	case !isTexts(at(now, "metadata", "labels")) || !isTexts(at(now, "metadata", "annotations")):
		return `labels and annotations are objects of strings, such as {"tier": "1"}`
	}
	for _, l := range []string{v1alpha1.ManagedBy} {
		if at(was, "metadata", "labels", l) != at(now, "metadata", "labels", l) {
			return "label " + l + " is fedsync's own, and can't be different in a cluster"
		}
	}
	for _, a := range append([]string{v1alpha1.Federation, v1alpha1.Applied}, dropped...) {
		if at(was, "metadata", "annotations", a) != at(now, "metadata", "annotations", a) {
			return "annotation " + a + " is of the federated object, and can't be different in a cluster"
		}
	}
	for _, f := range w.Key.Scale {
		switch {
		case jsonOf(at(was, "spec", f)) == jsonOf(at(now, "spec", f)):
		case f != "replicas" || !w.Workload():
			return "spec." + f + " is split over the clusters; " + v1alpha1.Preferences + " says how"
		case w.Whole != "":
			return "spec.replicas can't be different in a cluster, since the object is whole in one of them; " + v1alpha1.Preferences + " says in which"
		default:
			if n, ok := at(now, "spec", f).(int64); !ok || n < 0 {
				return fmt.Sprintf("spec.replicas %s isn't a number of replicas; without an override a cluster has its share", jsonOf(at(now, "spec", f)))
			}
		}
	}
	if !maps.Equal(integers(was, w.Key.Margins...), integers(now, w.Key.Margins...)) {
		return "spec." + strings.Join(w.Key.Margins, ", spec.") + " are split over the clusters where they are numbers; in percent they can be different in each"
	}
	if w.Key.Scaler && jsonOf(at(was, "spec", "scaleTargetRef")) != jsonOf(at(now, "spec", "scaleTargetRef")) {
		return "spec.scaleTargetRef can't be different in a cluster, since the replicas of all of them are planned together"
	}
	if whole := w.indivisible(now); whole != w.Whole {
		return "whether it can be split can't be different in a cluster: " + jsonOf(whole) + " instead of " + jsonOf(w.Whole)
	}
	if w.Ranged && at(now, under(w.first)...) != nil {
		return "spec." + w.first + " is each cluster's own, since the object is split"
	}
	return ""
}

func isTexts(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return v == nil
	}
	for _, e := range m {
		if _, ok := e.(string); !ok {
			return false
		}
	}
	return true
}

// fixed are the preferences with the replicas that overrides ask for.
func (v *View) fixed() replicas.Preferences {
	out := v.preferences
	for _, m := range v.Members {
		if t, err := v.templateFor(m); err == nil && t.Replicas != nil {
			out = out.With(m.Name, *t.Replicas)
		}
	}
	return out
}

// overridden says what is wrong with overrides: which lead nowhere, and where, and which ask for
// replicas that there aren't.
func (v *View) overridden(decided map[string]placement.Decision) (notes []Note) {
	if v.overrides.rules == nil || len(v.unclear()) > 0 {
		return nil
	}
	failed := map[string][]string{} // clusters, by what is said of them
	var fixed []string
	var sum int64
	free := false // some cluster can have what is left
	for _, m := range v.Members {
		if !decided[m.Name].Place {
			continue
		}
		t, err := v.templateFor(m)
		switch {
		case err != nil:
			failed[err.Error()] = append(failed[err.Error()], m.Name)
		case t.Replicas != nil:
			fixed = append(fixed, fmt.Sprintf("%d in %s", *t.Replicas, m.Name))
			sum += *t.Replicas
			continue
		}
		free = true
	}
	for _, text := range slices.Sorted(maps.Keys(failed)) {
		where := "cluster "
		if len(failed[text]) > 1 {
			where = "clusters "
		}
		notes = append(notes, Note{true, "OverrideFailed", where + strings.Join(failed[text], ", ") + ": " + text + "; what is there stays as it is"})
	}
	scales := v.Autoscaler != nil && v.Autoscaler() != nil // then there is no sum to be met
	switch total := v.total("replicas"); {
	case len(fixed) == 0 || scales:
	case sum > total:
		notes = append(notes, Note{true, "Replicas", fmt.Sprintf("overrides ask for %s, and the object for %d replicas in all: not every cluster gets what they ask for", strings.Join(fixed, ", "), total)})
	case sum < total && !free:
		notes = append(notes, Note{true, "Replicas", fmt.Sprintf("overrides ask for %s, and the object for %d replicas in all: the rest is nowhere", strings.Join(fixed, ", "), total)})
	}
	return notes
}
