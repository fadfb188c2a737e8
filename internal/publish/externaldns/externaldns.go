// Package externaldns tells external-dns of names, by DNSEndpoint objects: it writes them to the DNS of
// public providers.
//
// An object holds what belongs to a service. One that would be empty is left as it is: external-dns would take its records
// away, and a service none of whose shards is up is no better off without a name. What counts as up is decided before.
package externaldns

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/publish"
)

// Kind is that of the objects.
var Kind = v1alpha1.Kind{Group: "externaldns.k8s.io", Version: "v1alpha1", Name: "DNSEndpoint", Resource: "dnsendpoints", Namespaced: true}

const (
	manager = "fedns"
	// gap is the least time between two writes of an object. External-dns looks once a second at most, and providers bill
	// calls, or limit them.
	gap         = 5 * time.Second
	longestWait = time.Minute
	// reread is how often it is looked whether somebody has changed an object: external-dns looks as often by default.
	reread = time.Minute
)

// A Writer keeps the objects of a federation's names under a domain. One goroutine uses it.
type Writer struct {
	API                *kube.API
	Namespace          string
	Federation, Domain string // the domain is absolute
	TTL                uint32 // of every record
	// Route53 says that external-dns writes there: sets are chosen from as policies say, with these health checks, by
	// region. nil: it may be any provider.
	Route53 map[string]string
	// Tell hears of problems and of their ends, once each; "": it is well again.
	Tell func(of, problem string)
	// Count hears of each write: done, refused, or unanswered.
	Count func(outcome string)

	gap      time.Duration              // 0: the constant
	routings map[string]publish.Routing // by group
	want     map[string][]publish.Endpoint
	stay     map[string][]any // of the same objects: endpoints that stay as they are
	read     time.Time        // when what is there was looked at last
	there    map[string][]any // by the names of objects: their endpoints
	next     map[string]time.Time
	waits    map[string]time.Duration
	problems publish.Problems
}

// errTaken is that an object of a name isn't ours.
var errTaken = errors.New("an object of that name is there that isn't ours")

func (w *Writer) labels() map[string]string {
	domain := strings.Trim(w.Domain, ".")
	if len(domain) > 63 { // more than a label's value may have
		h := fnv.New64a()
		_, _ = h.Write([]byte(domain)) // it takes everything
		domain = fmt.Sprintf("%x", h.Sum64())
	}
	return map[string]string{v1alpha1.Publishes: w.Federation, v1alpha1.Domain: domain, "app.kubernetes.io/managed-by": manager}
}

// Load begins with the objects that are there.
func (w *Writer) Load(ctx context.Context) error {
	l := w.labels()
	all, err := w.API.List(ctx, Kind, w.Namespace, fmt.Sprintf("%s=%s,%s=%s", v1alpha1.Publishes, l[v1alpha1.Publishes], v1alpha1.Domain, l[v1alpha1.Domain]))
	if err != nil {
		return err
	}
	w.read, w.there = time.Now(), map[string][]any{}
	if w.want == nil {
		w.want, w.stay = map[string][]publish.Endpoint{}, map[string][]any{}
	}
	for i := range all {
		spec, _ := all[i].Object["spec"].(map[string]any)
		list, _ := spec["endpoints"].([]any)
		w.there[all[i].GetName()] = list
	}
	return nil
}

// Moved says whether it is time to look whether somebody has changed an object.
func (w *Writer) Moved(context.Context) bool { return time.Since(w.read) > reread }

// object is the name of a group's object: its own, without the domain.
func (w *Writer) object(group string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(group, w.Domain), ".")
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		name = "fedns-wildcard" + rest
	}
	if name == "" { // the domain's own
		name = "fedns-apex"
	}
	return name + "." + strings.Trim(w.Domain, ".")
}

// Route says how providers that can are to choose among the addresses of a group from now on.
func (w *Writer) Route(group string, r publish.Routing) {
	if w.routings == nil {
		w.routings = map[string]publish.Routing{}
	}
	w.routings[group] = r
}

// Set says what the names of a group are to be; nil: none is to be there. Unless that is all of them, others that are
// there stay.
func (w *Writer) Set(group string, names publish.Names, complete bool) {
	delete(w.stay, w.object(group))
	if names == nil {
		delete(w.want, w.object(group))
		delete(w.routings, group)
		return
	}
	all := publish.Endpoints(names)
	if w.Route53 != nil {
		r := w.routings[group]
		all = r.Route53(all, w.Route53)
	}
	w.want[w.object(group)] = all
	if complete {
		return
	}
	for _, e := range w.there[w.object(group)] {
		fields, _ := e.(map[string]any)
		name, _ := fields["dnsName"].(string)
		if !slices.ContainsFunc(all, func(e publish.Endpoint) bool { return e.Name == name }) {
			w.stay[w.object(group)] = append(w.stay[w.object(group)], e)
		}
	}
}

// Only takes away what is in no group of a list; unless that is all of them, it stays as it is there.
func (w *Writer) Only(groups map[string]bool, all bool) {
	names := map[string]bool{}
	for g := range groups {
		names[w.object(g)] = true
	}
	maps.DeleteFunc(w.want, func(name string, _ []publish.Endpoint) bool { return !names[name] })
	maps.DeleteFunc(w.routings, func(g string, _ publish.Routing) bool { return !groups[g] })
	if all {
		return
	}
	for name, list := range w.there {
		if !names[name] {
			w.want[name], w.stay[name] = nil, list
		}
	}
}

// endpoints are what an object is to hold.
func (w *Writer) endpoints(object string) []any {
	out := []any{}
	for _, e := range w.want[object] {
		targets := []any{}
		for _, t := range e.Targets {
			targets = append(targets, t)
		}
		o := map[string]any{"dnsName": e.Name, "recordType": e.Type, "recordTTL": int64(w.TTL), "targets": targets}
		if e.ID != "" {
			specific := []any{map[string]any{"name": e.Key, "value": e.Value}}
			if e.HealthCheck != "" {
				specific = append(specific, map[string]any{"name": "aws/health-check-id", "value": e.HealthCheck})
			}
			o["setIdentifier"], o["providerSpecific"] = e.ID, specific
		}
		out = append(out, o)
	}
	return append(out, w.stay[object]...)
}

// Pending are the objects that aren't as they are to be. Those that would be empty are, whatever they hold.
func (w *Writer) Pending() (out []string) {
	for name, e := range w.want {
		if len(e) > 0 && !reflect.DeepEqual(w.endpoints(name), w.there[name]) {
			out = append(out, name)
		}
	}
	for name := range w.there {
		if _, ok := w.want[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Write writes what is pending and may be written now. again is when there is something more to do; zero: nothing is.
func (w *Writer) Write(ctx context.Context, now time.Time) (again time.Time) {
	if w.next == nil {
		w.next, w.waits = map[string]time.Time{}, map[string]time.Duration{}
	}
	least := w.gap
	if least == 0 {
		least = gap
	}
	later := func(at time.Time) {
		if again.IsZero() || at.Before(again) {
			again = at
		}
	}
	for _, name := range w.Pending() {
		if at := w.next[name]; now.Before(at) {
			later(at)
			continue
		}
		if ctx.Err() != nil {
			return now
		}
		err := w.write(ctx, name)
		outcome := "done"
		switch {
		case err == nil:
			delete(w.waits, name)
			w.next[name] = now.Add(least)
			w.tell(name, "")
		case kube.Refused(err) || errors.Is(err, errTaken):
			outcome = "refused"
		default:
			outcome = "unanswered"
		}
		if w.Count != nil {
			w.Count(outcome)
		}
		if err != nil && ctx.Err() == nil {
			w.tell(name, err.Error())
			w.waits[name] = min(max(2*w.waits[name], least), longestWait)
			w.next[name] = now.Add(w.waits[name])
			later(w.next[name])
		}
	}
	maps.DeleteFunc(w.next, func(_ string, at time.Time) bool { return now.After(at) })
	return again
}

// write writes an object, or deletes it if nothing of it is wanted.
func (w *Writer) write(ctx context.Context, name string) error {
	if _, wanted := w.want[name]; !wanted {
		o, err := w.API.Get(ctx, Kind, w.Namespace, name)
		if err == nil && o.GetLabels()[v1alpha1.Publishes] == w.Federation {
			err = w.API.Delete(ctx, Kind, w.Namespace, name, o.GetUID())
		}
		if err != nil && !kube.Missing(err) {
			return err
		}
		delete(w.there, name)
		return nil
	}
	if _, ours := w.there[name]; !ours {
		exists, err := w.API.Exists(ctx, Kind, w.Namespace, name)
		if err != nil {
			return err
		}
		if exists {
			return errTaken
		}
	}
	o := Kind.New(w.Namespace, name)
	o.SetLabels(w.labels())
	list := w.endpoints(name)
	o.Object["spec"] = map[string]any{"endpoints": list}
	if _, _, err := w.API.Apply(ctx, Kind, o, kube.How{Manager: manager, Force: true}); err != nil {
		return err
	}
	w.there[name] = list
	return nil
}

func (w *Writer) tell(of, problem string) { w.problems.Note(of, problem, w.Tell) }
