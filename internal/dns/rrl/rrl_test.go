package rrl

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"
)

var (
	seed  = maphash.MakeSeed()
	paris = netip.MustParseAddr("192.0.2.1")
	lyon  = netip.MustParseAddr("2001:db8::1")
)

// TestFlood: ten times the rate, for a hundred seconds of the clock.
func TestFlood(t *testing.T) {
	for _, rate := range []int{1, 3, 7, 20, 3333} {
		table := New(Limit{Rate: rate}, seed)
		first, later := 0, 0
		for i := range 100 * 10 * rate {
			now := time.Duration(i) * time.Second / time.Duration(10*rate)
			if table.Take(paris, now) != Pass {
				continue
			}
			if now < time.Second {
				first++
			} else {
				later++
			}
		}
		// The first second has the burst before its own share.
		if most := 2 * rate; first > most || first < most-1 {
			t.Errorf("rate %d: %d in the first second, want %d", rate, first, most)
		}
		if want := 99 * rate; later < want-want/100 || later > want+want/100 {
			t.Errorf("rate %d: %d in the next 99 seconds, want %d", rate, later, want)
		}
	}
}

func TestBurst(t *testing.T) {
	const rate = 50
	for _, tt := range []struct {
		name string
		idle time.Duration // after a burst
		want int
	}{
		{"not idle", 0, 0},
		{"an answer's time", time.Second / rate, 1},
		{"half a second", time.Second / 2, rate / 2},
		{"a second", time.Second, rate},
		{"an hour", time.Hour, rate},
	} {
		for _, start := range []time.Duration{0, time.Millisecond, 1000 * time.Hour} {
			table := New(Limit{Rate: rate}, seed)
			if got := passes(table, paris, start, 3*rate); got != rate {
				t.Errorf("at %v: a new network gets %d at once, want %d", start, got, rate)
			}
			if got := passes(table, paris, start+tt.idle, 3*rate); got != tt.want {
				t.Errorf("%s, at %v: %d at once, want %d", tt.name, start, got, tt.want)
			}
		}
	}
}

// passes is how many of n answers pass at one time.
func passes(t *Table, a netip.Addr, now time.Duration, n int) int {
	got := 0
	for range n {
		if t.Take(a, now) == Pass {
			got++
		}
	}
	return got
}

func TestNetworks(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.255", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"192.0.2.1", "193.0.2.1", false},
		{"192.0.2.1", "::ffff:192.0.2.9", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.3.1", false},
		{"2001:db8::1", "2001:db8:0:ff:ffff::", true},
		{"2001:db8::1", "2001:db8:0:100::", false},
		{"2001:db8::1", "2002:db8::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"0.0.1.0", "0:0:0:100::", false}, // the same number
		{"0.0.0.0", "::1", false},
		{"255.255.255.255", "ffff:ffff:ffff:ffff::", false},
	} {
		table := New(Limit{Rate: 5}, seed)
		passes(table, netip.MustParseAddr(tt.a), 0, 10)
		if got := passes(table, netip.MustParseAddr(tt.b), 0, 10) == 0; got != tt.same {
			t.Errorf("%s and %s: one network: %v, want %v", tt.a, tt.b, got, tt.same)
		}
	}
	if got := passes(New(Limit{Rate: 5}, seed), netip.Addr{}, 0, 10); got != 5 {
		t.Errorf("no address: %d", got)
	}
}

func TestSlip(t *testing.T) {
	for _, slip := range []int{0, 1, 2, 3, 10, MaxSlip} {
		table := New(Limit{Rate: 1, Slip: slip}, seed)
		addrs := []netip.Addr{paris, lyon}
		limited := map[netip.Addr]int{}
		for i := range 10 * MaxSlip {
			// Lyon is asked a third as often: neither's count moves the other's.
			for _, a := range addrs[:1+i%3/2] {
				got := table.Take(a, time.Duration(i)*10*time.Millisecond)
				if got == Pass {
					continue
				}
				limited[a]++
				want := Drop
				if slip > 0 && limited[a]%slip == 0 {
					want = Slip
				}
				if got != want {
					t.Fatalf("slip %d: limited answer %d to %v is a %v, want %v", slip, limited[a], a, got, want)
				}
			}
		}
		if limited[lyon] < 2*MaxSlip {
			t.Fatal("too few are limited")
		}
	}
}

// TestOthers: one network floods, a hundred others stay within their limit.
func TestOthers(t *testing.T) {
	const rate = 20
	table := New(Limit{Rate: rate, Slip: 2}, seed)
	r := rand.New(rand.NewPCG(1, 2))
	var others []netip.Addr
	for range 50 {
		others = append(others, random(r), random4(r))
	}
	for ms := range 20_000 {
		now := time.Duration(ms) * time.Millisecond
		passes(table, paris, now, 10)
		if ms%50 != 0 {
			continue
		}
		for _, a := range others {
			if got := table.Take(a, now); got != Pass {
				t.Fatalf("%v: %v at %v", a, got, now)
			}
		}
	}
}

// TestMillion: a network that floods is limited as ever while a million others ask,
// fifteen times as many as there is room for.
func TestMillion(t *testing.T) {
	const rate, seconds, others = 100, 10, 1_000_000
	table := New(Limit{Rate: rate}, seed)
	r := rand.New(rand.NewPCG(3, 4))
	got, refused := 0, 0
	start := time.Duration(0)
	run := func() {
		for i := range others {
			now := time.Duration(i) * seconds * time.Second / others
			a := random(r)
			if i%2 == 0 {
				a = random4(r)
			}
			if table.Take(a, start+now) != Pass {
				refused++
			}
			if i%100 == 0 && table.Take(paris, start+now) == Pass && now >= time.Second {
				got++
			}
		}
		start += seconds * time.Second
	}
	if n := testing.AllocsPerRun(1, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// AllocsPerRun runs it once more to warm up.
	if want := 2 * (seconds - 1) * rate; got < want-want/100 || got > want+want/100 {
		t.Errorf("the flood gets %d after the first seconds, want %d", got, want)
	}
	if refused != 0 {
		t.Errorf("%d of the others are limited", refused)
	}
}

// TestReplaced: which of a full set goes, and what that means for it.
func TestReplaced(t *testing.T) {
	const rate = 10
	table := New(Limit{Rate: rate}, seed)
	set := oneSet(table, ways+1)
	for i, a := range set[:ways] {
		passes(table, a, 0, 2*(ways-i)) // the last one will be idle first
	}
	table.Take(set[ways], 0)
	for i, a := range set[:ways-1] {
		if got, want := passes(table, a, 0, 2*rate), rate-2*(ways-i); got != want {
			t.Errorf("network %d was not to be replaced: %d pass, want %d", i, got, want)
		}
	}
	if got := passes(table, set[ways-1], 0, 2*rate); got != rate {
		t.Errorf("the one that was replaced: %d pass, want %d", got, rate)
	}
}

// TestFullSet: a set of floods has room for all but one; the one too many takes
// turns with one of them.
func TestFullSet(t *testing.T) {
	const rate = 10
	for _, floods := range []int{ways, ways + 1} {
		table := New(Limit{Rate: rate}, seed)
		set := oneSet(table, floods)
		got := make([]int, floods)
		for ms := range 10_000 {
			for i, a := range set {
				if table.Take(a, time.Duration(ms)*time.Millisecond) == Pass {
					got[i]++
				}
			}
		}
		limited := 0
		for _, n := range got {
			if n <= 11*rate {
				limited++
			}
		}
		if want := map[int]int{ways: ways, ways + 1: ways - 1}[floods]; limited != want {
			t.Errorf("of %d floods %d are limited, want %d: %d", floods, limited, want, got)
		}
	}
}

// oneSet is n networks that share a set.
func oneSet(t *Table, n int) []netip.Addr {
	r := rand.New(rand.NewPCG(5, 6))
	var out []netip.Addr
	for len(out) < n {
		a := random4(r)
		if t.set(networkOf(a)) == t.set(networkOf(paris)) && !slices.ContainsFunc(out, func(b netip.Addr) bool { return networkOf(b) == networkOf(a) }) {
			out = append(out, a)
		}
	}
	return out
}

func TestSetsFollowTheSeed(t *testing.T) {
	a, b := New(Limit{Rate: 1}, seed), New(Limit{Rate: 1}, maphash.MakeSeed())
	together := 0
	first := b.set(networkOf(paris))
	for _, addr := range oneSet(a, 20) {
		if b.set(networkOf(addr)) == first {
			together++
		}
	}
	if together > 2 {
		t.Errorf("%d of 20 networks of one set are together under another seed", together)
	}
}

// TestClockGoesBack: it shouldn't, but then nobody waits for what it lost.
func TestClockGoesBack(t *testing.T) {
	const rate = 10
	for _, back := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
		table := New(Limit{Rate: rate}, seed)
		passes(table, paris, time.Hour, 2*rate)
		now := time.Hour - back
		if got := passes(table, paris, now, rate); got != 0 {
			t.Errorf("back by %v: %d pass at once", back, got)
		}
		if got := passes(table, paris, now+2*time.Second, 2*rate); got != rate {
			t.Errorf("back by %v: %d pass two seconds later, want %d", back, got, rate)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, l := range []Limit{{}, {Rate: -1}, {Rate: 2_000_000_000}, {Rate: 1, Slip: -1}, {Rate: 1, Slip: MaxSlip + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", l)
				}
			}()
			New(l, seed)
		}()
	}
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(*Table{}.sets); n != 1<<20 {
		t.Errorf("a table is %d bytes, want 1 MiB", n)
	}
}

func TestAllocs(t *testing.T) {
	table := New(Limit{Rate: 1, Slip: 2}, seed)
	r := rand.New(rand.NewPCG(7, 8))
	for name, next := range map[string]func() netip.Addr{
		"IPv4":   func() netip.Addr { return paris },
		"IPv6":   func() netip.Addr { return lyon },
		"others": func() netip.Addr { return random(r) },
	} {
		if n := testing.AllocsPerRun(1000, func() { table.Take(next(), time.Second) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// random is an address of the /56 of anywhere.
func random(r *rand.Rand) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], 0x20<<56|r.Uint64()>>8)
	return netip.AddrFrom16(b)
}

// random4 is an IPv4 address of anywhere but of this network's 192/8.
func random4(r *rand.Rand) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], r.Uint32()>>1)
	return netip.AddrFrom4(b)
}

func BenchmarkTake(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	many := make([]netip.Addr, 1<<20)
	for i := range many {
		many[i] = random(r)
		if i%2 == 0 {
			many[i] = random4(r)
		}
	}
	for _, bb := range []struct {
		name  string
		limit Limit
		addrs []netip.Addr // a power of two
	}{
		{"hit/v4", Limit{Rate: 1_000_000_000}, []netip.Addr{paris}},
		{"hit/v6", Limit{Rate: 1_000_000_000}, []netip.Addr{lyon}},
		{"hit/thousands", Limit{Rate: 1_000_000_000}, many[:1<<12]},
		{"limited", Limit{Rate: 1, Slip: 2}, []netip.Addr{paris}},
		{"miss", Limit{Rate: 1, Slip: 2}, many},
	} {
		b.Run(bb.name, func(b *testing.B) {
			table := New(bb.limit, seed)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Take(bb.addrs[i&(len(bb.addrs)-1)], time.Duration(i))
				i++
			}
		})
	}
}

func ExampleTable_Take() {
	table := New(Limit{Rate: 2, Slip: 2}, maphash.MakeSeed())
	for i := range 6 {
		fmt.Print(table.Take(netip.MustParseAddr("192.0.2.1"), time.Duration(i)), " ")
	}
	fmt.Println(table.Take(netip.MustParseAddr("192.0.2.99"), time.Second))
	// Output: pass pass drop slip drop slip pass
}
