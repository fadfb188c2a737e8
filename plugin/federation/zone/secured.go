package zone

import (
	"bytes"
	"cmp"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/rrset"
)

// A securing writes a whole zone with its signatures and a chain of NSEC records, as who serves it from a file needs it
// (RFC 4035 section 2): compact denial is made for each question, and can't be handed on. Records go out as soon as they are signed; the
// chain, for which all names have to be known, comes behind them.
type securing struct {
	zone   dnsname.Name
	signer *dnssec.Signer
	began  uint32 // in seconds since 1970
	soa    *dns.SOA
	static []dns.RR               // beside the SOA record
	more   iter.Seq[message.RR]   // all others: each set in one piece, and at no name of the file but the domain's own
	names  []owner                // whose NSEC records are to come
	taken  map[string]bool        // names that take what is below them away: it is delegated, or another name
	bits   map[[2]uint16][]uint16 // types of names that were met, each list once
}

// An owner is a name of a zone, in the form in which canonical order is that of bytes, and the types that the zone speaks of there.
type owner struct {
	key   string
	types []uint16
}

// records are all of them but for the SOA record at the end.
func (z *securing) records() iter.Seq[message.RR] {
	z.taken, z.bits = map[string]bool{}, map[[2]uint16][]uint16{}
	return func(yield func(message.RR) bool) {
		for b := range inOrder(z.batches(), z.sign) {
			for i := range b.out {
				if !yield(b.out[i]) {
					return
				}
			}
		}
	}
}

// A batch is some sets of records and what comes of them.
type batch struct {
	rrs  []message.RR
	bare []bool // of each: it isn't signed
	room []byte // what they hold
	out  []message.RR
	done chan struct{}
}

// batchSize is how many records are signed in one go, about: a message has some hundreds.
const batchSize = 128

// batches are all records before they are signed, the chain last. Batches end where sets do.
func (z *securing) batches() iter.Seq[*batch] {
	return func(yield func(*batch) bool) {
		b, going := &batch{}, true
		add := func(r *message.RR, bare bool) bool {
			if n := len(b.rrs); n >= batchSize && !(b.rrs[n-1].Type == r.Type && bytes.Equal(b.rrs[n-1].Name, r.Name)) {
				going = yield(b)
				b = &batch{}
			}
			b.add(r, bare)
			return going
		}
		if z.file(add) && z.others(add) && z.chain(add) {
			yield(b)
		}
	}
}

func (b *batch) add(r *message.RR, bare bool) {
	from := len(b.room)
	b.room = append(append(b.room, r.Name...), r.Data...) // what was copied before may stay elsewhere
	middle := from + len(r.Name)
	b.rrs = append(b.rrs, message.RR{Name: b.room[from:middle:middle], Type: r.Type, TTL: r.TTL, Data: b.room[middle:len(b.room):len(b.room)]})
	b.bare = append(b.bare, bare)
}

// file adds the records of the zone file, and those of the keys. It is false where nobody wants more.
func (z *securing) file(add func(*message.RR, bool) bool) bool {
	rrs := append([]dns.RR{z.soa}, z.static...)
	for _, t := range [...]uint16{dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY} {
		keys := z.signer.KeysOf(t)
		if keys == nil || slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == t }) {
			continue // the file's own: of who wants no key any more
		}
		for _, data := range keys.Records {
			rrs = append(rrs, rrset.Record(string(z.zone), t, keys.TTL, data))
		}
	}
	apex := keyOf(z.zone.Append(nil))
	for _, n := range namesOf(rrs) {
		below := z.below(n.key)
		cut := !below && n.key != apex && n.has(dns.TypeNS)
		if !below && (cut || n.has(dns.TypeDNAME)) {
			z.taken[n.key] = true
		}
		o := owner{key: n.key}
		for _, set := range n.sets {
			t := set[0].Header().Rrtype
			bare := below || cut && t != dns.TypeDS
			if !cut || t == dns.TypeNS || t == dns.TypeDS {
				o.types = append(o.types, t)
			}
			for _, rr := range set {
				if r := wireOf(rr); !add(&r, bare) {
					return false
				}
			}
		}
		if !below {
			z.names = append(z.names, o)
		}
	}
	return true
}

// others adds the records that don't stand in the file.
func (z *securing) others(add func(*message.RR, bool) bool) bool {
	var name []byte
	var types [2]uint16
	below := false
	end := func() {
		if name != nil && !below {
			list := z.bits[types]
			if list == nil {
				list = slices.DeleteFunc([]uint16{types[0], types[1]}, func(t uint16) bool { return t == 0 })
				z.bits[types] = list
			}
			z.names = append(z.names, owner{keyOf(name), list})
		}
	}
	for r := range z.more {
		if name == nil || !bytes.Equal(name, r.Name) {
			end()
			name, types = append(name[:0], r.Name...), [2]uint16{}
			below = len(z.taken) > 0 && z.below(keyOf(name))
		}
		switch { // two at most: addresses of both families
		case types[0] == 0 || types[0] == r.Type:
			types[0] = r.Type
		default:
			types[1] = r.Type
		}
		if !add(&r, below) {
			return false
		}
	}
	end()
	return true
}

// below says whether a name above one takes it away.
func (z *securing) below(key string) bool {
	for at, end := 0, 0; at < len(key); at = end {
		end = at + strings.Index(key[at:], "\x00\x00") + 2
		if end < len(key) && z.taken[key[:end]] {
			return true
		}
	}
	return false
}

// chain adds the NSEC records of all names.
func (z *securing) chain(add func(*message.RR, bool) bool) bool {
	slices.SortFunc(z.names, func(a, b owner) int { return strings.Compare(a.key, b.key) })
	ttl := min(z.soa.Hdr.Ttl, z.soa.Minttl)
	var name, data []byte
	for i := 0; i < len(z.names); {
		types := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
		own := z.names[i].key
		for ; i < len(z.names) && z.names[i].key == own; i++ { // a host's, and the file's
			types = append(types, z.names[i].types...)
		}
		name = wireOfKey(name[:0], own)
		data = wireOfKey(data[:0], z.names[i%len(z.names)].key)
		slices.Sort(types)
		data = dnssec.Bitmap(data, slices.Compact(types))
		if !add(&message.RR{Name: name, Type: dns.TypeNSEC, TTL: ttl, Data: data}, false) {
			return false
		}
	}
	return true
}

// keyOf is a name on the wire, in lower case, as bytes whose order is the canonical one of names (RFC 4034 section 6.1): its labels from the
// right, each with two zeros behind it; a zero in one is followed by a one.
func keyOf(wire []byte) string {
	var starts [128]int
	n := 0
	for at := 0; wire[at] != 0; at += 1 + int(wire[at]) {
		starts[n] = at
		n++
	}
	out := make([]byte, 0, len(wire)+n)
	for n--; n >= 0; n-- {
		for _, c := range wire[starts[n]+1 : starts[n]+1+int(wire[starts[n]])] {
			if out = append(out, c); c == 0 {
				out = append(out, 1)
			}
		}
		out = append(out, 0, 0)
	}
	return string(out)
}

// wireOfKey adds the name that a key is of.
func wireOfKey(b []byte, key string) []byte {
	labels := strings.Split(strings.TrimSuffix(key, "\x00\x00"), "\x00\x00")
	for i := len(labels) - 1; i >= 0 && key != ""; i-- {
		l := strings.ReplaceAll(labels[i], "\x00\x01", "\x00")
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

// sign signs the sets of a batch.
func (z *securing) sign(b *batch) {
	var set dnssec.Set
	var sigs dnssec.Signatures
	b.out = make([]message.RR, 0, 2*len(b.rrs))
	for i := 0; i < len(b.rrs); {
		first, from := &b.rrs[i], i
		for ; i < len(b.rrs) && b.rrs[i].Type == first.Type && bytes.Equal(b.rrs[i].Name, first.Name); i++ {
			b.out = append(b.out, b.rrs[i])
		}
		if b.bare[from] {
			continue
		}
		set.Begin(first.Name, first.Type, first.TTL)
		for _, r := range b.rrs[from:i] {
			set.Record(func(to []byte) []byte { return append(to, r.Data...) })
		}
		z.signer.SignWhole(&set, z.began, &sigs)
		for _, sig := range sigs.All() {
			b.out = append(b.out, message.RR{Name: first.Name, Type: dns.TypeRRSIG, TTL: first.TTL, Data: sig})
		}
		runtime.Gosched() // who answers is first
	}
}

// inOrder has several at once do something with batches, and gives them in their order: by all processors but one, which is left to who answers.
func inOrder(batches iter.Seq[*batch], do func(*batch)) iter.Seq[*batch] {
	return func(yield func(*batch) bool) {
		workers := max(1, runtime.GOMAXPROCS(0)-1)
		todo, order, stop := make(chan *batch), make(chan *batch, 2*workers), make(chan struct{})
		var all sync.WaitGroup
		defer all.Wait()
		defer close(stop)
		all.Go(func() {
			defer close(todo)
			defer close(order)
			for b := range batches {
				b.done = make(chan struct{})
				for _, to := range [...]chan *batch{order, todo} {
					select {
					case to <- b:
					case <-stop:
						return
					}
				}
			}
		})
		for range workers {
			all.Go(func() {
				for b := range todo {
					do(b)
					close(b.done)
				}
			})
		}
		for b := range order {
			<-b.done
			if !yield(b) {
				return
			}
		}
	}
}

// A node is a name of the zone file, with its sets.
type node struct {
	key  string
	sets [][]dns.RR
}

func (n *node) has(t uint16) bool {
	return slices.ContainsFunc(n.sets, func(set []dns.RR) bool { return set[0].Header().Rrtype == t })
}

// namesOf are the names of records, in canonical order: what is below a name follows it.
func namesOf(rrs []dns.RR) (all []node) {
	index := map[string]int{}
	for _, rr := range rrs {
		name := dnsname.Lower(rr.Header().Name)
		i, ok := index[name]
		if !ok {
			i = len(all)
			index[name] = i
			all = append(all, node{key: keyOf(dnsname.Name(name).Append(nil))})
		}
		n := &all[i]
		at := slices.IndexFunc(n.sets, func(set []dns.RR) bool { return set[0].Header().Rrtype == rr.Header().Rrtype })
		if at < 0 {
			n.sets = append(n.sets, []dns.RR{rr})
		} else if !slices.ContainsFunc(n.sets[at], func(o dns.RR) bool { return dns.IsDuplicate(o, rr) }) {
			n.sets[at] = append(n.sets[at], rr)
		}
	}
	slices.SortFunc(all, func(a, b node) int { return cmp.Compare(a.key, b.key) })
	return all
}
