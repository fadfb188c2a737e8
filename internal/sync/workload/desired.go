package workload

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/sync/placement"
	"github.com/fedns/fedns/internal/sync/replicas"
)

// A Desired is what is known of a federated object.
type Desired struct {
	Key
	UID        string
	Version    string // its resourceVersion
	Generation int64
	Template   *Template
	Deleting   bool
	Finalizer  bool     // it is held until its like are gone from the clusters
	Propagate  string   // "false": it is in clusters only with others; of a Namespace, what is in it
	Follow     bool     // what its pods need goes with it
	Adopt      Adoption // of what was in clusters before; a Namespace's, of all in it
	Preferring bool     // it says how it is to be split
	Orphan     bool     // its like stay when it goes
	Unsaid     bool     // that they do isn't in its record yet, and won't be said for long
	Leaving    bool     // it isn't federated any more, and is marked as if it were
	Collected  []string // finalizers of the garbage collector that hold it
	Release    []string
	Total      Scale // of what is split
	Margins    Scale // those that are split, and say so in numbers
	Loose      bool  // another one is in percent, and more than none
	Target     string
	PodLabels  map[string]string // of a workload
	Selects    Object            // the pods that a Guard speaks of
	// PodSelector selects the pods of a workload, as kubectl has selectors.
	PodSelector string
	// Unclear is why its placement or its preferences can't be read; what is in the
	// clusters stays as it is then.
	Unclear []string
	// Record is what was last written of it, and Room how long it may be: what the other
	// annotations leave.
	Record Record
	Room   int
	Part   Part
	// Whole is why it can't be split, and is in one cluster; "": it can.
	Whole string
	// Ranged is that it is split although its pods have numbers: each cluster has a range of
	// them to itself, the first of which begins with First.
	Ranged bool
	First  int64
	// Everywhere is that each cluster is to do what otherwise only one does.
	Everywhere bool
	// Once is that it is a Job which each cluster takes away when it has ended:
	// where it isn't, it may have run.
	Once bool
	// Expires is when it is to go, as a Job that has ended and says for how long it is kept;
	// zero: it isn't.
	Expires time.Time
	// Balanced is that it is a Service which may have addresses of load balancers.
	Balanced bool
	// Terminating is that it is a Namespace which an API server holds until it is
	// told that nothing is left in it.
	Terminating bool

	surge       *replicas.Surge // nil: as the federation has it
	selector    placement.Selector
	tolerations []placement.Toleration
	preferences replicas.Preferences
	overrides   overrides
	former      []Key // that it needed before, and pods may need still
}

// NewDesired reads a federated object.
func NewDesired(k Key, o Object, federation string) *Desired {
	w := &Desired{Key: k, UID: text(o, "metadata", "uid"), Version: text(o, "metadata", "resourceVersion")}
	w.Generation, _ = number(o, "metadata", "generation")
	w.Template = NewTemplate(k, o, federation)
	w.Deleting = at(o, "metadata", "deletionTimestamp") != nil
	finalizers, _ := at(o, "metadata", "finalizers").([]any)
	w.Finalizer = slices.Contains(finalizers, any(v1alpha1.Finalizer))
	held, _ := at(o, "spec", "finalizers").([]any)
	w.Terminating = k.Contains && w.Deleting && len(held) > 0
	annotations := texts(o, "metadata", "annotations")
	w.Room = room(annotations)
	w.Adopt = Adoption(annotations[v1alpha1.Adopt])
	for c := range strings.SplitSeq(annotations[v1alpha1.Release], ",") {
		if c = strings.TrimSpace(c); c != "" {
			w.Release = append(w.Release, c)
		}
	}
	w.Total, w.Margins = integers(o, k.Scale...), integers(o, k.Margins...)
	for _, path := range k.Margins {
		if s := text(o, under(path)...); s != "" && strings.Trim(s, "0%") != "" {
			w.Loose = true
		}
	}
	if k.Workload() {
		w.PodLabels = texts(o, "spec", "template", "metadata", "labels")
	}
	if k.Guard {
		w.Selects = object(o, "spec", "selector")
	}
	if k.Scaler {
		w.Target = text(o, "spec", "scaleTargetRef", "kind") + " " + text(o, "spec", "scaleTargetRef", "name")
	}
	if w.Once = k.once != nil && k.once(o); w.Once && !w.Deleting {
		w.Expires = expiry(o)
	}
	w.Balanced = k.unbalanced == nil || !k.unbalanced(o)
	if w.PodSelector = podSelector(object(o, "spec", "selector")); k.pods != nil {
		w.PodSelector = cmp.Or(k.pods(o), w.PodSelector)
	}
	w.Everywhere = annotations[v1alpha1.Everywhere] == "true" && k.whole != nil && len(k.Scale) == 0
	if w.Ranged = ranged(k, o); w.Ranged {
		w.First, _ = number(o, under(k.first)...)
	}
	w.Whole = w.indivisible(o)
	w.Part.Status = part(object(o, "status"), k.kept)
	w.Part.Generation = w.Generation
	if s := annotations[v1alpha1.StatusOf]; s != "" {
		if err := json.Unmarshal([]byte(s), &w.Record); err != nil || w.Record.UID != w.UID {
			w.Record = Record{} // somebody else's scribble, or another object's: it is written anew
		}
	}
	if w.Deleting {
		for _, f := range []string{orphan, foreground} {
			if slices.Contains(finalizers, any(f)) {
				w.Collected = append(w.Collected, f)
			}
		}
		// A garbage collector takes its finalizer off within a moment: what it said has to
		// be remembered.
		w.leave(slices.Contains(w.Collected, orphan))
	}
	w.Leaving = w.Finalizer && (k.Dropped || Made(k, o))
	w.Orphan = w.Leaving || w.Record.Orphan || annotations[v1alpha1.Orphan] == "true"
	var err error
	if w.selector, err = placement.SelectorOf(annotations); err != nil {
		w.Unclear = append(w.Unclear, err.Error())
	}
	if w.tolerations, err = placement.TolerationsOf(annotations); err != nil {
		w.Unclear = append(w.Unclear, err.Error())
	}
	if w.overrides, err = w.readOverrides(annotations); err != nil {
		w.Unclear = append(w.Unclear, err.Error())
	}
	w.Propagate = annotations[v1alpha1.Propagate]
	if err := w.readFollow(o, annotations); err != nil {
		w.Unclear = append(w.Unclear, err.Error())
	}
	if p := w.Propagate; p != "" && p != "true" && p != "false" {
		w.Unclear = append(w.Unclear, fmt.Sprintf(`annotation %s: %q is neither "true" nor "false"`, v1alpha1.Propagate, p))
	}
	w.preferences = replicas.Default()
	if len(k.Scale) > 0 || k.whole != nil {
		p, found, err := replicas.FromAnnotations(k.Kind.Name, annotations)
		if err != nil {
			w.Unclear = append(w.Unclear, err.Error())
		} else if found {
			w.preferences, w.Preferring = p, true
		}
	}
	if s, said := annotations[v1alpha1.Surge]; said && k.Workload() {
		if surge, err := replicas.ParseSurge(s); err != nil {
			w.Unclear = append(w.Unclear, fmt.Sprintf("annotation %s: %v", v1alpha1.Surge, err))
		} else {
			w.surge = &surge
		}
	}
	return w
}

// What kubectl delete --cascade=orphan and --cascade=foreground have an API server hold
// an object by, until a garbage collector has seen to what depends on it.
const (
	orphan     = "orphan"
	foreground = "foregroundDeletion"
)

// leave has its like left in the clusters, if that was said once.
func (w *Desired) leave(said bool) {
	if said && !w.Record.Orphan {
		w.Unsaid = w.Finalizer
		w.Record.Orphan, w.Orphan = true, true
	}
}

// limit is how long all annotations of an object may be, keys and values
// (k8s.io/apimachinery/pkg/api/validation.TotalAnnotationSizeLimitB).
const limit = 256 << 10

// room is what is left of that for fedns.io/status.
func room(annotations map[string]string) int {
	left := limit - len(v1alpha1.StatusOf)
	for k, v := range annotations {
		if k != v1alpha1.StatusOf {
			left -= len(k) + len(v)
		}
	}
	return left
}

// podSelector writes a selector of a spec as one of a list; "": it selects by more
// than labels, or nothing.
func podSelector(s map[string]any) string {
	if len(mapsOf(s["matchExpressions"])) > 0 {
		return ""
	}
	labels := texts(s, "matchLabels")
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}

// strangers are those of some clusters that aren't there.
func strangers(named []string, members []*Member) (out []string) {
	for _, n := range named {
		if !slices.ContainsFunc(members, func(m *Member) bool { return m.Name == n }) {
			out = append(out, n)
		}
	}
	return out
}

func (w *Desired) released(cluster string) bool {
	return slices.Contains(w.Release, cluster) || slices.Contains(w.Release, "*")
}

// String names it and its state, for tests and logs.
func (w *Desired) String() string { return fmt.Sprintf("%s@%s", w.Key, w.Version) }
