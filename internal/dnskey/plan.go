package dnskey

import (
	"fmt"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// A Plan is what the keys of one zone are for at a moment.
type Plan struct {
	Publish []*Key    // in the DNSKEY records
	Keys    []*Key    // sign those, and the CDS and CDNSKEY records
	Data    []*Key    // sign all else
	Sync    []*Key    // the parent is asked to point to them
	Next    time.Time // when that changes; zero: never
	Ends    time.Time // when no key signs any more; zero: never, as the dates are
	Problem string    // why it isn't as the dates say; "": it is
}

// TTL is that of the DNSKEY, CDS and CDNSKEY records: the shortest that a file says.
func (p *Plan) TTL() uint32 {
	ttl := uint32(0)
	for _, k := range p.Publish {
		if k.TTL > 0 && (ttl == 0 || k.TTL < ttl) {
			ttl = k.TTL
		}
	}
	if ttl == 0 {
		return keyTTL
	}
	return ttl
}

// keyTTL, in seconds, is for keys whose files say none. A rollover has to wait for it.
const keyTTL = 3600

// PlanAt makes the plan of a zone at a time, from all keys that there are. Where no key is
// active, those go on signing that were last: what validators find is old, and not bogus. An error
// says that none has ever been.
func PlanAt(zone dnsname.Name, all []*Key, now time.Time) (Plan, error) {
	var keys []*Key
	var others []string
	for _, k := range all {
		if k.Zone == zone {
			keys = append(keys, k)
		} else if z := string(k.Zone); !slices.Contains(others, z) {
			others = append(others, z)
		}
	}
	switch {
	case len(keys) == 0 && len(others) > 0:
		return Plan{}, fmt.Errorf("there is no key of %s, only of %v: make one with fedctl keys generate %s", zone, others, zone)
	case len(keys) == 0:
		return Plan{}, fmt.Errorf("there is no key of %s: make one with fedctl keys generate %s", zone, zone)
	}
	p := Plan{Data: dataSigners(keys, now)}
	for _, k := range keys {
		if k.Published(now) {
			p.Publish = append(p.Publish, k)
		}
		if k.Syncs(now) {
			p.Sync = append(p.Sync, k)
		}
	}
	active := len(p.Data) > 0
	if !active {
		if p.Data = lastActive(keys, now); len(p.Data) == 0 {
			return Plan{}, fmt.Errorf("no key of %s signs yet: %s", zone, firstActive(keys))
		}
		p.Problem = fmt.Sprintf("no key of %s is active: %s goes on signing, whose date Inactive or Delete has passed", zone, p.Data[0])
	}
	p.Next, p.Ends = ahead(keys, now)
	for _, k := range p.Data { // what can't be looked up can't be verified
		if !slices.Contains(p.Publish, k) {
			if p.Problem != "" || k.Dates.Publish.IsZero() {
				p.Publish = append(p.Publish, k)
			}
			if k.Dates.Publish.IsZero() && p.Problem == "" {
				p.Problem = fmt.Sprintf("key %s signs and has no date Publish: it is published all the same", k)
			}
		}
	}
	for _, k := range p.Publish {
		// Whichever of them the parent points to: so the DS record may change any time.
		if k.Entry() && k.Signer != nil {
			p.Keys = append(p.Keys, k)
		}
	}
	if len(p.Keys) == 0 {
		p.Keys = p.Data
		if p.Problem == "" && !slices.ContainsFunc(p.Publish, (*Key).Entry) {
			p.Problem = fmt.Sprintf("no key of %s is a KSK or CSK (flags 257): the parent can't point to one", zone)
		}
	}
	if active {
		p.Data = append(p.Data, lingering(keys, now)...)
	}
	return p, nil
}

// dataSigners are the keys that sign what isn't a key: of each algorithm the ZSKs, or where there
// are none, CSKs.
func dataSigners(keys []*Key, now time.Time) (out []*Key) {
	for _, k := range keys {
		if !k.Active(now) {
			continue
		}
		if k.Entry() && slices.ContainsFunc(keys, func(o *Key) bool { return o.Algorithm == k.Algorithm && !o.Entry() && o.Active(now) }) {
			continue
		}
		out = append(out, k)
	}
	return out
}

// lingering are the keys that sign beside those that are published, and aren't: of each algorithm the ZSKs, or where there are
// none, CSKs.
func lingering(keys []*Key, now time.Time) (out []*Key) {
	for _, k := range keys {
		other := func(o *Key) bool { return o.Algorithm == k.Algorithm && !o.Entry() && o.Lingers(now) }
		if k.Lingers(now) && !(k.Entry() && slices.ContainsFunc(keys, other)) {
			out = append(out, k)
		}
	}
	return out
}

// lastActive are the keys that signed last.
func lastActive(keys []*Key, now time.Time) []*Key {
	var last time.Time
	for _, k := range keys {
		if end := k.end(); k.Signer != nil && !end.IsZero() && !now.Before(end) && end.After(last) && k.Active(end.Add(-time.Second)) {
			last = end
		}
	}
	if last.IsZero() {
		return nil
	}
	return dataSigners(keys, last.Add(-time.Second))
}

// end is when a key ceases to sign.
func (k *Key) end() time.Time {
	end := k.Dates.Inactive
	if d := k.Dates.Delete; end.IsZero() || !d.IsZero() && d.Before(end) {
		end = d
	}
	return end
}

// firstActive says when one will sign.
func firstActive(keys []*Key) string {
	var first *Key
	for _, k := range keys {
		if k.Signer != nil && !k.Dates.Activate.IsZero() && (first == nil || k.Dates.Activate.Before(first.Dates.Activate)) {
			first = k
		}
	}
	if first == nil {
		return "none has a private part and a date Activate"
	}
	return fmt.Sprintf("the first is %s, from %s", first, first.Dates.Activate.Format(time.RFC3339))
}

// changes are the dates that are to come, in their order.
func changes(keys []*Key, now time.Time) (dates []time.Time) {
	for _, k := range keys {
		for _, f := range k.Dates.fields() {
			if f.at.After(now) {
				dates = append(dates, *f.at)
			}
		}
	}
	slices.SortFunc(dates, time.Time.Compare)
	return dates
}

// ahead is when something changes next, and from when on no key signs.
func ahead(keys []*Key, now time.Time) (next, ends time.Time) {
	dates := changes(keys, now)
	if len(dates) > 0 {
		next = dates[0]
	}
	for _, at := range dates {
		if len(dataSigners(keys, at)) == 0 {
			return next, at
		}
	}
	return next, ends
}
