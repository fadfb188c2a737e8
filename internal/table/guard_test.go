package table_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

var guarded = shard.Policy{Guard: shard.Guard{Percent: 50, Time: 10 * time.Second, Min: 20}}

func numbered(i int) snapshot.Key { return snapshot.Key{Namespace: "shop", Name: fmt.Sprint("s", i)} }

func (b *bed) wantQuiet(when string) {
	b.t.Helper()
	for _, s := range b.table.Announcements() {
		if strings.HasPrefix(s, "guard") {
			b.t.Errorf("%s: %s", when, s)
		}
	}
	if n := b.table.Held(); n != 0 {
		b.t.Errorf("%s: %d services are held", when, n)
	}
}

// A Service that is given another address, however often, and with a moment without
// any in between, has the last of them and nothing else; and another's withdrawal
// meanwhile is believed at once.
func TestGuardChurn(t *testing.T) {
	for _, gap := range []bool{false, true} {
		b := many(t, 30, guarded)
		for i := range 90 {
			at := time.Duration(i) * 100 * time.Millisecond
			if gap {
				b.apply(0, shard.ServiceSet{Service: service(numbered(0))})
				if b.at(at); b.up(numbered(0)) != "" {
					t.Fatalf("change %d: answered with %s", i, b.up(numbered(0)))
				}
			}
			addr := fmt.Sprint("198.51.100.", i)
			b.apply(0, shard.ServiceSet{Service: service(numbered(0), addr)})
			if b.at(at + 50*time.Millisecond); b.answered() != 30 || !strings.Contains(b.up(numbered(0)), addr) {
				t.Fatalf("change %d: answered with %s; %d in all", i, b.up(numbered(0)), b.answered())
			}
		}
		b.apply(0, shard.ServiceGone{Key: numbered(7)})
		if b.at(9 * time.Second); b.answered() != 29 {
			t.Errorf("%d addresses after the withdrawal of another, want 29", b.answered())
		}
		b.wantQuiet("in the end")
	}
}

// All Services are given other addresses at once, as with a new load balancer: nothing
// goes. Where half as many come, what has nothing in its place does.
func TestGuardReplaced(t *testing.T) {
	b := many(t, 100, guarded)
	for i := range 100 {
		b.apply(0, shard.ServiceSet{Service: service(numbered(i), fmt.Sprint("198.51.100.", i))})
	}
	if b.at(0); b.answered() != 100 || !strings.Contains(b.up(numbered(5)), "198.51.100.5") {
		t.Errorf("%d addresses, s5 has %s", b.answered(), b.up(numbered(5)))
	}
	b.wantQuiet("all replaced")

	for i := range 100 { // two each
		b.apply(0, shard.ServiceSet{Service: service(numbered(i), fmt.Sprint("192.0.2.", i), fmt.Sprint("203.0.113.", i))})
	}
	b.at(time.Second)
	for i := range 100 { // and then none of one cluster's, but one of another's: that isn't in their place
		b.apply(0, shard.ServiceGone{Key: numbered(i)})
		b.apply(1, shard.ServiceSet{Service: service(numbered(i), fmt.Sprint("198.51.100.", i))}, shard.SliceSet{Slice: slice(numbered(i), ready(""))})
	}
	if b.at(2 * time.Second); b.answered() != 300 || b.table.Held() != 100 {
		t.Errorf("%d addresses, %d held", b.answered(), b.table.Held())
	}
	b.wantSaid("guard: 200 of 200 addresses would go within 10s: of clusters c (200); of services shop/s0 (2), shop/s1 (2), shop/s10 (2) and 97 more")
	if b.at(12 * time.Second); b.answered() != 100 {
		t.Errorf("%d addresses after the guard's time", b.answered())
	}
}

// The line counts all that goes within the time, and not what the last step of it adds.
func TestGuardLine(t *testing.T) {
	b := many(t, 91, guarded)
	for i := range 60 {
		b.apply(0, shard.ServiceGone{Key: numbered(i)})
		b.at(time.Duration(i) * 10 * time.Millisecond)
	}
	b.wantSaid("guard: 46 of 91 addresses would go within 10s: of clusters c (46); of services shop/s0 (1), shop/s1 (1), shop/s10 (1) and 43 more")
	if said := b.table.Announcements(); len(said) > 0 {
		t.Errorf("and then it says: %q", said)
	}
	if b.answered() != 91-45 {
		t.Errorf("%d addresses", b.answered())
	}
}

// One Service that has most of all addresses loses them: that is its own affair, and
// holds up no other's. If it is the only one, it is all there is.
func TestGuardOne(t *testing.T) {
	for _, others := range []int{40, 20, 0} {
		b := newBedWith(t, guarded, shard.Cluster{Name: "c"})
		b.apply(0, lists()...)
		for i := range others {
			b.apply(0, shard.ServiceSet{Service: service(numbered(i), fmt.Sprint("192.0.2.", i))}, shard.SliceSet{Slice: slice(numbered(i), ready(""))})
		}
		var lots []string
		for i := range 30 {
			lots = append(lots, fmt.Sprint("198.51.100.", i))
		}
		big := snapshot.Key{Namespace: "shop", Name: "big"}
		b.apply(0, shard.ServiceSet{Service: service(big, lots...)}, shard.SliceSet{Slice: slice(big, ready(""))}).publish()
		b.apply(0, shard.SliceSet{Slice: slice(big, shard.Endpoint{})})
		b.at(0)
		if others == 0 {
			if b.answered() != 30 || b.table.Held() != 1 {
				t.Errorf("the only one: %d addresses, %d held", b.answered(), b.table.Held())
			}
			continue
		}
		if b.answered() != others {
			t.Errorf("%d addresses, want those of the %d others", b.answered(), others)
		}
		b.apply(0, shard.ServiceGone{Key: numbered(3)})
		if b.at(time.Second); b.answered() != others-1 {
			t.Errorf("%d addresses after one of the %d others has gone", b.answered(), others)
		}
		b.wantQuiet(fmt.Sprint(others, " others"))
	}
}

// Few Services that have most of all addresses are a mass loss too.
func TestGuardFew(t *testing.T) {
	b := many(t, 6, guarded)
	for i := range 4 {
		var lots []string
		for j := range 15 {
			lots = append(lots, fmt.Sprintf("198.51.%d.%d", i, j))
		}
		b.apply(0, shard.ServiceSet{Service: service(numbered(10+i), lots...)}, shard.SliceSet{Slice: slice(numbered(10+i), ready(""))})
	}
	b.publish()
	for i := range 4 {
		b.apply(0, shard.ServiceGone{Key: numbered(10 + i)})
	}
	if b.at(0); b.answered() != 66 {
		t.Errorf("%d addresses, want all 66", b.answered())
	}
	b.wantSaid("guard: 60 of 66 addresses would go within 10s: of clusters c (60); of services shop/s10 (15), shop/s11 (15), shop/s12 (15) and 1 more")
}

// A change of one Service is never held up by what happens to fewer than the guard's
// share of the others, whatever that is and however often; and all that goes of most of
// them at once is held.
func TestGuardProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := shard.Policy{Guard: shard.Guard{
			Percent: rapid.IntRange(10, 90).Draw(r, "percent"), Time: 10 * time.Second, Min: rapid.IntRange(0, 10).Draw(r, "min"),
		}}
		n := rapid.IntRange(4, 40).Draw(r, "services")
		b := many(t, n, p)
		at, fresh := time.Duration(0), 0
		// Those that are restless are fewer than the share, the one that changes not
		// among them.
		restless := ((n-1)*p.Guard.Percent - 1) / 100
		step := func() {
			at += time.Duration(rapid.IntRange(1, 3000).Draw(r, "ms")) * time.Millisecond
			b.at(at)
		}
		for range rapid.IntRange(1, 40).Draw(r, "changes") {
			if restless == 0 {
				break
			}
			for range rapid.IntRange(1, restless).Draw(r, "together") {
				k := numbered(1 + rapid.IntRange(0, restless-1).Draw(r, "which"))
				switch rapid.IntRange(0, 3).Draw(r, "what") {
				case 0:
					fresh++
					b.apply(0, shard.ServiceSet{Service: service(k, fmt.Sprintf("198.51.%d.%d", fresh>>8, fresh&255))})
				case 1:
					b.apply(0, shard.ServiceSet{Service: service(k)})
				case 2:
					b.apply(0, shard.ServiceGone{Key: k})
				case 3:
					b.apply(0, shard.SliceSet{Slice: slice(k, shard.Endpoint{Ready: rapid.Bool().Draw(r, "ready")})})
				}
			}
			step()
		}
		one := numbered(0)
		b.apply(0, shard.ServiceGone{Key: one})
		before := b.answered()
		if b.publish(); b.fed.Service(one) != nil {
			r.Fatalf("held up by %d of %d others: %d addresses before, %d held, %q", restless, n-1, before, b.table.Held(), b.table.Announcements())
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(22, 80).Draw(r, "services")
		b := many(t, n, guarded)
		// All but a few go within the time, in steps, and nothing comes.
		goes := rapid.IntRange(max(21, n/2+1), n).Draw(r, "go")
		for i := range goes {
			b.apply(0, shard.ServiceGone{Key: numbered(i)})
			if rapid.Bool().Draw(r, "publish") {
				b.at(time.Duration(i) * 100 * time.Millisecond)
			}
		}
		last := time.Duration(goes) * 100 * time.Millisecond
		if b.at(last); last < guarded.Guard.Time && (b.table.Held() == 0 || b.answered() < min(n/2, n-20)-1) {
			r.Fatalf("%d of %d went: %d are answered, %d held", goes, n, b.answered(), b.table.Held())
		}
		if b.at(last + 2*guarded.Guard.Time); b.answered() != n-goes || b.table.Held() != 0 {
			r.Fatalf("the truth isn't served: %d answered of %d, %d held", b.answered(), n-goes, b.table.Held())
		}
	})
}
