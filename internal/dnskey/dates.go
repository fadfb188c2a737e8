package dnskey

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Dates say from when a key is what. A zero time is never.
type Dates struct {
	Created     time.Time
	Publish     time.Time // it stands in the DNSKEY records
	Activate    time.Time // it signs
	Inactive    time.Time // it doesn't sign any more
	Delete      time.Time // it stands there no more
	SyncPublish time.Time // CDS and CDNSKEY records ask the parent to point to it
	SyncDelete  time.Time // they don't any more
}

// fields are the dates by the names that files have for them, in their order.
func (d *Dates) fields() []struct {
	name string
	at   *time.Time
} {
	return []struct {
		name string
		at   *time.Time
	}{{"Created", &d.Created}, {"Publish", &d.Publish}, {"Activate", &d.Activate}, {"Inactive", &d.Inactive},
		{"Delete", &d.Delete}, {"SyncPublish", &d.SyncPublish}, {"SyncDelete", &d.SyncDelete}}
}

// none says whether nothing is said: files of old have no dates.
func (d *Dates) none() bool { return *d == Dates{} }

// dateForm is how dates are written in files of keys: in UTC.
const dateForm = "20060102150405"

// date sets the date that a line of a file says, if it is one of those.
func (d *Dates) date(name, value string) error {
	for _, f := range d.fields() {
		if f.name != name {
			continue
		}
		stamp, _, _ := strings.Cut(value, " ") // what follows says it in words
		at, err := time.Parse(dateForm, stamp)
		if err != nil {
			return fmt.Errorf("%s: %q is no date, such as 20260131120000", name, value)
		}
		*f.at = at
	}
	return nil
}

// between says whether a time isn't before one date, nor at or after others.
func between(now, from time.Time, until ...time.Time) bool {
	return !from.IsZero() && !now.Before(from) && !slices.ContainsFunc(until, func(u time.Time) bool { return !u.IsZero() && !now.Before(u) })
}

// Published says whether the key stands among the DNSKEY records at a time.
func (k *Key) Published(now time.Time) bool {
	return k.Dates.none() || between(now, k.Dates.Publish, k.Dates.Delete)
}

// Active says whether the key signs at a time.
func (k *Key) Active(now time.Time) bool {
	return k.Signer != nil && !k.Revoked() && (k.Dates.none() || between(now, k.Dates.Activate, k.Dates.Inactive, k.Dates.Delete))
}

// Lingers says whether the key signs on though it isn't published any more: its date Delete is before Inactive. So ends the
// rollover of an algorithm: who has kept the DNSKEY records of before may want a signature of each algorithm in them
// (RFC 6781 section 4.1.4).
func (k *Key) Lingers(now time.Time) bool {
	d := &k.Dates
	return k.Signer != nil && !k.Revoked() && between(now, d.Delete) && !d.Inactive.IsZero() && between(now, d.Activate, d.Inactive)
}

// Syncs says whether the parent is asked to point to the key at a time.
func (k *Key) Syncs(now time.Time) bool {
	return k.Entry() && !k.Revoked() && k.Published(now) && between(now, k.Dates.SyncPublish, k.Dates.SyncDelete)
}

// Changes is when the key becomes something else; zero: never.
func (k *Key) Changes(now time.Time) (next time.Time) {
	for _, f := range k.Dates.fields() {
		if f.at.After(now) && (next.IsZero() || f.at.Before(next)) {
			next = *f.at
		}
	}
	return next
}

// State is what a key is at a time, in the words of those who write of rollovers (RFC 7583).
func (k *Key) State(now time.Time) string {
	switch d := &k.Dates; {
	case k.Revoked():
		return "revoked"
	case k.Signer == nil && k.Published(now):
		return "published only"
	case k.Active(now) && k.Published(now):
		return "active"
	case k.Active(now), k.Lingers(now):
		return "signs, not published"
	case k.Published(now) && between(now, d.Inactive):
		return "retired"
	case k.Published(now):
		return "published"
	case between(now, d.Delete):
		return "removed"
	}
	return "generated"
}
