package workload

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A Record is what became of a federated object, as it is written on it in
// fedns.io/status.
type Record struct {
	// UID is of the object it speaks of: it may have been copied with another one.
	UID      string        `json:"uid,omitempty"`
	Clusters []Propagation `json:"clusters,omitempty"`
	// Orphan is that it was deleted so that its like stay.
	Orphan     bool        `json:"orphan,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// A State is how an object stands in a cluster.
type State string

// The states of an object in a cluster.
const (
	Applied     State = "Applied"     // it is there as it should be
	Pending     State = "Pending"     // a step is under way, or will be tried again
	Failed      State = "Failed"      // the cluster refuses it
	NameTaken   State = "NameTaken"   // an object of that name is there, and isn't ours
	Unreachable State = "Unreachable" // nothing can be said or done there now
	NotServed   State = "NotServed"   // the cluster has no such kind
	Deleting    State = "Deleting"    // it is on its way out there
	Waiting     State = "Waiting"     // for an operator to confirm a deletion
	Finished    State = "Finished"    // a Job that has run there and is gone; it isn't run again
)

// A Propagation is how an object stands in one cluster.
type Propagation struct {
	Cluster string `json:"name"`
	State   State  `json:"state"`
	// Applied is a hash of what was applied last, and At is when.
	Applied string     `json:"applied,omitempty"`
	At      *time.Time `json:"at,omitempty"`
	Scale   Scale      `json:"scale,omitempty"`
	// Asked is what is asked for there now, where an autoscaler makes that something else
	// than Scale.
	Asked Scale  `json:"-"`
	Error string `json:"error,omitempty"`
	// Moving is that it has other replicas than Scale for as long as some move.
	Moving bool `json:"-"`
	// Why is what made it be there and so, where that isn't plain.
	Why string `json:"why,omitempty"`
	// Follows is that it is there only since others are that need it.
	Follows bool `json:"follows,omitempty"`
	// Final is the status of a Job that has ended, for when it is gone.
	Final Object `json:"final,omitempty"`
}

// A Condition is one as Kubernetes has them.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"lastTransitionTime"`
}

// Propagated is the condition that a federated object is in every cluster that it
// is for, as it should be.
const Propagated = "Propagated"

// longestError is how much of an error is written: what matters comes first, and
// annotations of an object are 256 KiB at most.
const longestError = 400

// Bounded is a text of which too much is cut off.
func Bounded(text string, most int) string {
	if text = strings.ToValidUTF8(text, "?"); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Taken says whether somebody else had the name in a cluster, by what was written.
func (r *Record) Taken(cluster string) bool { return r.standing(cluster).State == NameTaken }

// Holds says whether an object may be in a cluster, by what was written of it.
func (r *Record) Holds(cluster string) bool {
	switch r.standing(cluster).State {
	case "", NameTaken, NotServed, Finished: // none is of a cluster that nothing was written of
		return false
	}
	return true
}

func (r *Record) standing(cluster string) Propagation {
	i := slices.IndexFunc(r.Clusters, func(s Propagation) bool { return s.Cluster == cluster })
	if i < 0 {
		return Propagation{Cluster: cluster}
	}
	return r.Clusters[i]
}

// Next is the record after now: what hasn't changed keeps its time.
func (r Record) Next(uid string, standings []Propagation, reason, message string, now time.Time) Record {
	now = now.UTC().Truncate(time.Second)
	next := Record{UID: uid, Orphan: r.Orphan}
	for _, s := range standings {
		was := r.standing(s.Cluster)
		s.Error = Bounded(s.Error, longestError)
		if s.State == Applied {
			if was.State == Applied && was.Applied == s.Applied && was.At != nil {
				s.At = was.At
			} else {
				s.At = &now
			}
		} else {
			s.Applied, s.At = was.Applied, was.At
			if s.Scale == nil && s.State != NameTaken && s.State != NotServed {
				s.Scale = was.Scale // what it was given counts until it is given something else
			}
		}
		next.Clusters = append(next.Clusters, s)
	}
	slices.SortFunc(next.Clusters, func(a, b Propagation) int { return cmp.Compare(a.Cluster, b.Cluster) })
	c := Condition{Type: Propagated, Status: "True", Reason: reason, Message: message, Since: now}
	if reason != string(Applied) {
		c.Status = "False"
	}
	for _, was := range r.Conditions {
		if was.Type == c.Type && was.Status == c.Status && !was.Since.IsZero() {
			c.Since = was.Since
		}
	}
	next.Conditions = []Condition{c}
	return next
}

// String is the record as it is written.
func (r Record) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic("a record isn't JSON: " + err.Error())
	}
	return string(b)
}

// Short is the record without what is for people to read, and long: that is told elsewhere.
func (r Record) Short() Record {
	r.Clusters, r.Conditions = slices.Clone(r.Clusters), slices.Clone(r.Conditions)
	for i := range r.Clusters {
		r.Clusters[i].Error, r.Clusters[i].Why = "", ""
	}
	for i := range r.Conditions {
		r.Conditions[i].Message = ""
	}
	return r
}

// Fit is the record in no more than so many bytes: without its words, and then without its
// times and conditions, as far as there is no room for them. What has to be remembered stays:
// where the object may be, and with which share. whole says that nothing was left out, and ok
// that it fits at all.
func (r Record) Fit(room int) (text string, whole, ok bool) {
	if text = r.String(); len(text) <= room {
		return text, true, true
	}
	next := r.Short()
	if text = next.String(); len(text) <= room {
		return text, false, true
	}
	for i := range next.Clusters {
		next.Clusters[i].At = nil
	}
	next.Conditions = nil
	text = next.String()
	return text, false, len(text) <= room
}
