package dnssec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/dnskey"
)

// now is of signatures in tests, in seconds since 1970.
const now = 1796029000

func signer(t testing.TB, budget uint32, a ...dnskey.Algorithm) *Signer {
	t.Helper()
	var all []*dnskey.Key
	for _, a := range a {
		k, err := dnskey.Generate("example.com.", a, true, 0, dnskey.Dates{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	p, err := dnskey.PlanAt("example.com.", all, time.Unix(now, 0))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSigner("example.com.", NewKept(budget))
	s.Use(&p)
	return s
}

func addresses(owner string, last ...byte) *Set {
	s := &Set{}
	s.Begin([]byte(owner), 1, 180)
	for _, n := range last {
		s.Record(func(b []byte) []byte { return append(b, 192, 0, 2, n) })
	}
	return s
}

const web = "\x03web\x07example\x03com\x00"

// A set is signed once, whatever the order of its records.
func TestOnce(t *testing.T) {
	s := signer(t, 0, dnskey.ECDSAP256SHA256)
	var first, out Signatures
	s.Sign(addresses(web, 1, 2, 3), now, false, false, &first)
	for _, order := range [][]byte{{3, 2, 1}, {2, 1, 3}, {1, 2, 3, 2}} {
		if ok := s.Sign(addresses(web, order...), now+1, false, false, &out); !ok || !bytes.Equal(out.All()[0], first.All()[0]) {
			t.Error(order, ok)
		}
	}
	if n := s.kept.Made.Load(); n != 1 {
		t.Errorf("%d signatures", n)
	}
	s.Sign(addresses(web, 1, 2), now, false, false, &out)
	if s.kept.Made.Load() != 2 || bytes.Equal(out.All()[0], first.All()[0]) {
		t.Error("another set has the same signature")
	}
	// It is made anew long before it ends.
	s.Sign(addresses(web, 1, 2, 3), now+9*24*3600, false, false, &out)
	if s.kept.Made.Load() != 3 || bytes.Equal(out.All()[0], first.All()[0]) {
		t.Error("it is given out for ever")
	}
	// A clock that was ahead and is set right leaves none behind that begins to hold later.
	s.Sign(addresses(web, 1, 2, 3), now, false, false, &out)
	if from := binary.BigEndian.Uint32(out.All()[0][12:]); from > now {
		t.Errorf("it holds %d s from now", from-now)
	}
}

// Each key signs, and keys that are read again go on with what they have signed.
func TestKeys(t *testing.T) {
	s := signer(t, 0, dnskey.ECDSAP256SHA256, dnskey.ED25519)
	var out Signatures
	s.Sign(addresses(web, 1), now, false, false, &out)
	if len(out.All()) != 2 || out.All()[0][2] != 13 || out.All()[1][2] != 15 || s.kept.Made.Load() != 2 {
		t.Errorf("%x", out.All())
	}
	w := s.with.Load()
	s.Use(&dnskey.Plan{Publish: []*dnskey.Key{w.data[1].Key}, Keys: []*dnskey.Key{w.data[1].Key}, Data: []*dnskey.Key{w.data[1].Key}})
	s.Sign(addresses(web, 1), now, false, false, &out)
	if len(out.All()) != 1 || out.All()[0][2] != 15 || s.kept.Made.Load() != 2 {
		t.Errorf("%x, %d made", out.All(), s.kept.Made.Load())
	}
	if s.KeysOf(TypeDNSKEY) == nil || s.KeysOf(TypeCDS) != nil || s.KeysOf(1) != nil {
		t.Error("sets of keys")
	}
}

// Names that have no end get so many signatures a second, and those that exist as many as are
// wanted.
func TestBudget(t *testing.T) {
	s := signer(t, 3, dnskey.ED25519)
	var out Signatures
	ask := func(n int, at uint32, must bool) bool {
		return s.Sign(addresses(fmt.Sprintf("\x05r%04d\x07example\x03com\x00", n), 1), at, true, must, &out)
	}
	for i := range 3 {
		if !ask(i, now, false) {
			t.Error(i)
		}
	}
	if ask(3, now, false) || s.kept.Refused.Load() != 1 {
		t.Error("over budget")
	}
	if !ask(1, now, false) {
		t.Error("one that is there costs nothing")
	}
	if !ask(4, now, true) || !ask(5, now+1, false) {
		t.Error("refused")
	}
	if !s.Sign(addresses(web, 1), now, false, false, &out) {
		t.Error("a name that exists")
	}
}

// What is kept is bounded; what is asked for stays.
func TestBounded(t *testing.T) {
	tab := newTable(1 << 10)
	id := func(i int) [2]uint64 { return [2]uint64{uint64(i) * 0x9e3779b97f4a7c15, uint64(i)} }
	tab.put(&signature{id: id(1), until: now + 100000}, now, false)
	for i := 2; i < 20000; i++ {
		tab.put(&signature{id: id(i), until: now + 100000}, now+uint32(i), false)
		if tab.find(id(1), now+uint32(i)) == nil {
			t.Fatal("gone at", i)
		}
	}
	n := 0
	for i := range tab.places {
		if tab.places[i].Load() != nil {
			n++
		}
	}
	if n != len(tab.places) {
		t.Errorf("%d of %d places", n, len(tab.places))
	}
}

// A zone that is transferred again finds its signatures, though there are more of them than places; those that are no longer asked for go.
func TestWholeAgain(t *testing.T) {
	s := signer(t, 0, dnskey.ED25519)
	small := newTable(1 << 6)
	s.kept.whole = func() *table { return &small }
	var out Signatures
	pass := func(from, to int, at uint32) uint64 {
		was := s.kept.Made.Load()
		for i := from; i < to; i++ {
			s.SignWhole(addresses(fmt.Sprintf("\x03%03d\x07example\x03com\x00", i), 1), at, &out)
			if len(out.All()) != 1 {
				t.Fatal("unsigned")
			}
		}
		return s.kept.Made.Load() - was
	}
	pass(0, 70, now)
	if n := pass(0, 70, now+60); n > 40 || n == 0 {
		t.Errorf("%d of 70 were made again, in 64 places", n)
	}
	pass(100, 164, now+120)
	if n := pass(100, 164, now+180); n > 40 {
		t.Errorf("%d of 64 were made again, in the places of others", n)
	}
}

// What several transfers ask for at the same time is signed once.
func TestWholeAtOnce(t *testing.T) {
	s := signer(t, 0, dnskey.ECDSAP256SHA256)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			var out Signatures
			for i := range 300 {
				if s.SignWhole(addresses(fmt.Sprintf("\x03%03d\x07example\x03com\x00", i), 1), now, &out); len(out.All()) != 1 {
					t.Error("unsigned")
				}
			}
		})
	}
	group.Wait()
	if n := s.kept.Made.Load(); n != 300 {
		t.Errorf("%d signatures of 300 sets", n)
	}
}

// Many sign at once, while keys change: each signature is of one of the keys, over the set that was given.
func TestAtOnce(t *testing.T) {
	s := signer(t, 1000, dnskey.ECDSAP256SHA256, dnskey.ED25519)
	w := s.with.Load()
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			var out Signatures
			for i := range 200 {
				set := addresses(fmt.Sprintf("\x02%02d\x07example\x03com\x00", i%20), byte(i%20), byte(g))
				if !s.Sign(set, now+uint32(i/50), i%3 == 0, true, &out) || len(out.All()) == 0 {
					t.Error("unsigned")
				}
				for _, sig := range out.All() {
					for _, k := range w.data {
						if byte(k.Algorithm) != sig[2] {
							continue
						}
						head := sig[:len(sig)-64]
						if again := k.signature(nil, append(slices.Clone(head), set.canonical...)); !bytes.Equal(again, sig[len(head):]) {
							t.Error("another set's")
						}
					}
				}
			}
		})
	}
	for i := range 100 {
		k := []*dnskey.Key{w.data[i%2].Key}
		s.Use(&dnskey.Plan{Publish: k, Keys: k, Data: k})
	}
	group.Wait()
}

func TestNext(t *testing.T) {
	label := func(n int, last string) string {
		return string(rune(n)) + string(bytes.Repeat([]byte("x"), n-len(last))) + last
	}
	l := label(63, "")
	for _, tt := range []struct{ name, want string }{
		{web, "\x01\x00" + web},
		{label(59, "") + l + l + l + "\x00", "\x01\x00" + label(59, "") + l + l + l + "\x00"},
		{label(60, "") + l + l + l + "\x00", "\x3d" + label(60, "")[1:] + "\x00" + l + l + l + "\x00"},
		{label(61, "a") + l + l + l + "\x00", label(61, "b") + l + l + l + "\x00"},
		{label(61, "@") + l + l + l + "\x00", label(61, "[") + l + l + l + "\x00"},
		{label(61, "a\xff") + l + l + l + "\x00", label(60, "b") + l + l + l + "\x00"},
	} {
		if got := Next(nil, []byte(tt.name)); string(got) != tt.want {
			t.Errorf("%q (%d bytes):\n%q, want\n%q", tt.name, len(tt.name), got, tt.want)
		}
	}
	if got := Next(nil, append(bytes.Repeat([]byte("\x01\xff"), 127), 0)); len(got) > maxName {
		t.Errorf("%q", got)
	}
}

// Around a label that doesn't exist, one is the first behind another, and one the last of all, however much room there is.
func TestSiblings(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 62))
	for _, tt := range []struct {
		label string
		above int
		want  string
	}{
		{"", 13, "\x00"},
		{"a", 13, "a\x00"},
		{long, 13, long + "\x00"},
		{long + "a", 13, long + "b"},
		{long + "@", 13, long + "["},
		{long + "\xff", 13, long[1:] + "y"},
		{"abc", 251, "abd"}, // as long as it can be
		{"ab\xff", 251, "ac"},
	} {
		if got, ok := Behind([]byte("-"), tt.label, tt.above); !ok || string(got) != "-"+tt.want {
			t.Errorf("behind %q: %q, %v, want %q", tt.label, got, ok, tt.want)
		}
	}
	if got, ok := Behind(nil, string(bytes.Repeat([]byte{0xff}, 63)), 13); ok {
		t.Errorf("behind the last: %q", got)
	}
	if got := len(Last(nil, 13)); got != 63 {
		t.Errorf("%d bytes", got)
	}
	if got := len(Last(nil, 250)); got != 4 {
		t.Errorf("%d bytes", got)
	}
}

func TestBitmap(t *testing.T) {
	if got, want := Bitmap(nil, []uint16{TypeNSEC, 1, TypeRRSIG}), []byte{0, 6, 0x40, 0, 0, 0, 0, 3}; !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if got, want := Bitmap(nil, []uint16{257, 1}), []byte{0, 1, 0x40, 1, 1, 0x40}; !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// Names in records are signed in lower case, strings as they are.
func TestLower(t *testing.T) {
	for _, tt := range []struct {
		t          uint16
		data, want string
	}{
		{2, "\x03WWW\x00", "\x03www\x00"},
		{15, "\x00\x41\x01A\x00", "\x00\x41\x01a\x00"},
		{33, "AAAAAA\x01A\x00", "AAAAAA\x01a\x00"},
		{6, "\x01A\x00\x01B\x00AAAA", "\x01a\x00\x01b\x00AAAA"},
		{35, "AAAA\x01U\x01E\x00\x01R\x00", "AAAA\x01U\x01E\x00\x01r\x00"},
		{16, "\x03ABC", "\x03ABC"},
	} {
		var s Set
		s.Begin([]byte{0}, tt.t, 1)
		s.Record(func(b []byte) []byte { return append(b, tt.data...) })
		if string(s.data) != tt.want {
			t.Errorf("%d: %q, want %q", tt.t, s.data, tt.want)
		}
	}
}

// Signatures of the same at the same time are the same.
func TestWithoutChance(t *testing.T) {
	s := signer(t, 0, dnskey.ECDSAP256SHA256)
	k := &s.with.Load().data[0]
	one, two := k.signature(nil, []byte("x")), k.signature(nil, []byte("x"))
	if !slices.Equal(one, two) || len(one) != 64 {
		t.Errorf("%x %x", one, two)
	}
}

func BenchmarkSign(b *testing.B) {
	for _, a := range []dnskey.Algorithm{dnskey.ECDSAP256SHA256, dnskey.ED25519} {
		s := signer(b, 0, a)
		set := addresses(web, 1, 2, 3, 4)
		set.sort()
		k := &s.with.Load().data[0]
		b.Run("fresh/"+a.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.sign(s.zone, set, now)
			}
		})
		b.Run("kept/"+a.String(), func(b *testing.B) {
			b.ReportAllocs()
			var out Signatures
			for b.Loop() {
				s.Sign(set, now, false, false, &out)
			}
		})
	}
}
