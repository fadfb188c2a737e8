package registry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// A posted is an Order object as it is understood.
type posted struct {
	Name       string    `json:"name"`
	UID        string    `json:"uid,omitempty"`
	Generation int64     `json:"generation,omitempty"`
	Created    time.Time `json:"created"`
	Line       string    `json:"order,omitempty"` // as a file of overrides has it; "": it can't be gone by
	Dry        bool      `json:"dry,omitempty"`
	wrong      string    // why it can't be
	order      override.Order
	lost       bool // the API doesn't list it any more, and that isn't believed yet
}

// mark is what tells an order of an object from one of the same words elsewhere.
func mark(name string) string { return "Order " + name }

// post reads an Order object. The API has checked its form, by a schema that may be
// another version's.
func post(o *kube.Object) posted {
	p := posted{Name: o.GetName(), UID: string(o.GetUID()), Generation: o.GetGeneration(), Created: o.GetCreationTimestamp().UTC()}
	var spec v1alpha1.OrderSpec
	text, err := json.Marshal(o.Object["spec"])
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	p.Dry = spec.DryRun
	if err == nil {
		p.order.Action = override.Action(strings.ToLower(spec.Action))
		p.order.Subject, err = override.ParseSubject(spec.Subject)
	}
	if err != nil {
		p.wrong = err.Error()
		return p
	}
	p.order.Reason = strings.TrimSpace(spec.Reason) + " (" + mark(p.Name) + ")"
	if spec.Until != nil {
		p.order.Until = spec.Until.UTC()
	}
	p.Line = p.order.String()
	// What can't stand in a file can't be here: both say the same.
	if again, err := override.Parse(p.Line); err != nil || len(again) != 1 {
		p.wrong, p.Line = fmt.Sprint(cmp.Or(err, fmt.Errorf("%q isn't one order", p.Line))), ""
	}
	return p
}

// holds says whether an order is to be gone by at a moment.
func (p *posted) holds(now time.Time) bool { return p.Line != "" && !p.Dry && !p.order.Expired(now) }

func (p *posted) same(o posted) bool {
	return p.UID == o.UID && p.Generation == o.Generation && p.Line == o.Line && p.Dry == o.Dry && p.wrong == o.wrong && p.lost == o.lost
}

// post takes in what an Order object says.
func (r *roster) post(p posted) (changed bool) {
	was, there := r.orders[p.Name]
	r.orders[p.Name] = p
	return !there || !was.same(p)
}

// unpost takes in that an Order was deleted, by word.
func (r *roster) unpost(name string) (changed bool) {
	_, changed = r.orders[name]
	delete(r.orders, name)
	return changed
}

// postAll takes in all the Orders there are. Those that are missing have been deleted
// meanwhile, unless the API's memory went: then Cluster objects are missing, too, and
// both stay. settle says which.
func (r *roster) postAll(all []posted) (changed bool) {
	missing := maps.Clone(r.orders)
	for _, p := range all {
		delete(missing, p.Name)
		changed = r.post(p) || changed
	}
	for _, p := range missing {
		p.lost = true
		changed = r.post(p) || changed
	}
	return changed
}

// settle has the Orders go that aren't listed, once the clusters are, and none is lost.
func (r *roster) settle() (changed bool) {
	for _, e := range r.entries {
		if e.lost {
			return false
		}
	}
	for name, p := range r.orders {
		if p.lost {
			changed = r.unpost(name) || changed
		}
	}
	return changed
}

// inTurn are the Orders as they were made: the last counts.
func (r *roster) inTurn() []posted {
	return slices.SortedFunc(maps.Values(r.orders), func(a, b posted) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
}

// An orderFollower hears of Order objects.
type orderFollower struct{ *generation }

var _ kube.Follower = (*orderFollower)(nil)

// Listed implements kube.Follower.
func (f *orderFollower) Listed(all []*kube.Object) {
	f.do(func() {
		f.hear()
		var list []posted
		f.seen.orders(all)
		for _, o := range all {
			if o.GetDeletionTimestamp() == nil {
				list = append(list, post(o))
			}
		}
		f.changed = f.roster.postAll(list) || f.changed
		if f.listed {
			f.changed = f.roster.settle() || f.changed
		}
		f.awaited()
	})
}

// Set implements kube.Follower.
func (f *orderFollower) Set(o *kube.Object) {
	if o.GetDeletionTimestamp() != nil {
		f.Gone("", o.GetName())
		return
	}
	f.do(func() {
		f.hear()
		f.seen.order(o)
		f.changed = f.roster.post(post(o)) || f.changed
	})
}

// Gone implements kube.Follower.
func (f *orderFollower) Gone(_, name string) {
	f.do(func() {
		f.hear()
		f.seen.goneOrder(name)
		f.changed = f.roster.unpost(name) || f.changed
	})
}

// Failed implements kube.Follower. An API of an older version has no Orders, or gives
// no right to read them: it does without, and so do we.
func (f *orderFollower) Failed(err error) {
	if !kube.Missing(err) && !apierrors.IsForbidden(err) {
		return // it is the API's trouble, which Cluster objects tell of, too
	}
	f.do(func() {
		if !f.without {
			f.without = true
			f.Log.Warn(fmt.Sprintf("%sOrders can't be read: %v; going on without them (fedctl init again adds them)", f.prefix(), err))
		}
		f.awaited()
	})
}

// awaited notes that what Orders there are is known.
func (g *generation) awaited() {
	g.changed = g.changed || g.roster.awaiting
	g.roster.awaiting = false
}
