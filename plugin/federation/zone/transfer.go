package zone

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Form is what a transfer consists of.
type Form string

// The forms.
const (
	Whole      Form = "axfr"    // all records (RFC 5936)
	Difference Form = "ixfr"    // what takes an older edition to this one (RFC 1995)
	UpToDate   Form = "current" // the SOA record, since there is nothing newer
)

// A Transfer is a domain on its way to a secondary.
type Transfer struct {
	Form   Form
	Serial uint32
	// Records are given one after the other: each is there until the next one is asked for.
	Records iter.Seq[message.RR]
	// Done has to be called when the secondary has got all of it.
	Done func()
}

// RRs are the records as CoreDNS has them.
func (t *Transfer) RRs() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		for r := range t.Records {
			if !yield(rrOf(&r)) {
				return
			}
		}
	}
}

// wires are records as they are on the wire.
func wires(rrs []dns.RR) iter.Seq[message.RR] {
	return func(yield func(message.RR) bool) {
		for _, rr := range rrs {
			if !yield(wireOf(rr)) {
				return
			}
		}
	}
}

// Transfer writes the zone out for a secondary: all of it, or, if since isn't nil, what has changed
// since that serial, where that is known and less.
func (d *Domain) Transfer(b *Block, to Secondary, since *uint32) Transfer {
	e := d.history.latest(d, b)
	soa := e.static.serialized(e.serial, false)
	t := Transfer{Form: Whole, Serial: e.serial, Done: func() { d.history.give(to, e) }}
	if since != nil && int32(*since-e.serial) >= 0 {
		t.Form, t.Records, t.Done = UpToDate, wires([]dns.RR{soa}), func() { d.history.met(to, *since) }
		return t
	}
	signed := d.Signer.On()
	if since != nil && !signed { // a change of one name is one of its neighbours' NSEC records, too: all of it
		if was := d.history.given(to, *since); was != nil {
			if away, anew, ok := e.since(was, d, b); ok {
				t.Form = Difference
				t.Records = wires(slices.Concat(
					[]dns.RR{soa, was.static.serialized(was.serial, false)}, away, []dns.RR{soa}, anew, []dns.RR{soa}))
				return t
			}
		}
	}
	t.Records = d.whole(b, e, soa, signed)
	return t
}

// whole are all records of an edition, between its SOA record twice.
func (d *Domain) whole(b *Block, e *edition, soa *dns.SOA, signed bool) iter.Seq[message.RR] {
	w := e.writer(d, b)
	w.now = pipeline.Now() // TTLs grow without a change
	parts := []iter.Seq[message.RR]{wires(append([]dns.RR{soa}, e.static.Records...)), w.records()}
	if signed {
		z := &securing{zone: d.Name, signer: d.Signer, began: uint32(time.Now().Unix()), soa: soa, static: e.static.Records, more: w.records()}
		parts = []iter.Seq[message.RR]{z.records()}
	}
	return func(yield func(message.RR) bool) {
		for _, part := range append(parts, wires([]dns.RR{soa})) {
			for r := range part {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Seen is the serial that who has an address was last seen to have: it was given that here, or said so.
func (d *Domain) Seen(at netip.Addr) (serial uint32, ok bool) {
	d.history.mu.Lock()
	defer d.history.mu.Unlock()
	serial, ok = d.history.has[at]
	return serial, ok
}

// SOA is the record as it is answered now.
func (d *Domain) SOA(b *Block) *dns.SOA {
	return d.Static.Load().serialized(b.Current.Load().Serial, false)
}

func (e *edition) writer(d *Domain, b *Block) *writer {
	return &writer{Block: b, Domain: d, Static: e.static, Snapshot: e.snapshot, now: e.now}
}

// since is the difference to an earlier edition, in one step (RFC 1995 section 5): the records
// that go, and those that come. It isn't ok where all of the zone is as short, or where more than services
// have changed: which names there are, or the static records.
func (e *edition) since(was *edition, d *Domain, b *Block) (away, anew []dns.RR, ok bool) {
	if e.static != was.static {
		return nil, nil, false
	}
	type change struct {
		member int
		key    snapshot.Key
	}
	var changed []change
	hosts := map[string]bool{}
	size := 0
	for i, m := range d.Members {
		now, before := e.snapshot.Federations[m.Index], was.snapshot.Federations[m.Index]
		if !now.SameScopes(before) {
			return nil, nil, false
		}
		size += now.Size() + now.HostCount()
		for k := range now.Changes(before) {
			if k.Kind == snapshot.Host {
				hosts[k.Name] = true
			} else {
				changed = append(changed, change{i, k})
			}
		}
	}
	if 2*(len(changed)+len(hosts)) > size { // each stands in it as it was and as it is
		return nil, nil, false
	}
	of := func(e *edition) map[set][]dns.RR {
		w := e.writer(d, b)
		out := map[set][]dns.RR{}
		add := func(rrs []dns.RR) {
			for _, rr := range rrs {
				s := set{rr.Header().Name, rr.Header().Rrtype}
				out[s] = append(out[s], rr)
			}
		}
		for _, c := range changed {
			m := d.Members[c.member]
			if svc := e.snapshot.Federations[m.Index].Service(c.key); svc != nil {
				add(rrsOf(w.service(m, svc)))
			}
		}
		for name := range hosts {
			for _, m := range d.Members {
				if svc := e.snapshot.Federations[m.Index].Host(name); svc != nil {
					add(rrsOf(w.hosted(svc)))
				}
			}
		}
		return out
	}
	before, now := of(was), of(e)
	for _, s := range slices.SortedFunc(maps.Keys(before), set.compare) {
		if !same(before[s], now[s]) {
			away = append(away, before[s]...)
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(now), set.compare) {
		if !same(before[s], now[s]) {
			anew = append(anew, now[s]...)
		}
	}
	return away, anew, true
}

// A set is the name and the type of records that change together.
type set struct {
	name  string
	rtype uint16
}

func (s set) compare(o set) int {
	return cmp.Or(strings.Compare(s.name, o.name), cmp.Compare(s.rtype, o.rtype))
}

// same says whether two sets have the same records, in whatever order.
func same(a, b []dns.RR) bool {
	if len(a) != len(b) {
		return false
	}
	text := func(rrs []dns.RR) []string {
		out := make([]string, len(rrs))
		for i, rr := range rrs {
			out[i] = rr.String()
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(text(a), text(b))
}
