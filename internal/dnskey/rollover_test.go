package dnskey_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/dnskey"
)

// The waits of a rollover in the test: each TTL, and what servers' clocks may be apart, on both sides, and a minute.
const (
	ttlWait = 3600
	apart   = 300
	wait    = ttlWait + 2*apart + 60
)

// A rollover by the dates that the manual says is right for whatever validators have kept, of whichever of several servers, whose
// clocks are five minutes off in either direction: an old set of keys beside new signatures, and new keys beside old ones; the
// parent's old record beside either. Of an algorithm that a set of keys has there is a signature by one of them (RFC 6840 section 5.11,
// RFC 6781 section 4.1.4).
func TestRollovers(t *testing.T) {
	const p256, ed = dnskey.ECDSAP256SHA256, dnskey.ED25519
	for _, tt := range []struct {
		name  string
		keys  []*dnskey.Key
		ds    func(at int) int // which key the parent points to
		end   int
		wrong bool // a wait is left out: that has to be seen
	}{
		{"ZSK", []*dnskey.Key{key(t, p256, true, 1, 1, 0, 0), key(t, p256, false, 1, 1, 2*wait, 3*wait), key(t, p256, false, wait, 2*wait, 0, 0)},
			func(int) int { return 0 }, 5 * wait, false},
		{"CSK", []*dnskey.Key{key(t, p256, true, 1, 1, 3*wait, 4*wait), key(t, p256, true, wait, 3*wait, 0, 0)},
			func(at int) int { return min(at/(2*wait), 1) }, 6 * wait, false},
		{"algorithm", []*dnskey.Key{key(t, p256, true, 1, 1, 6*wait, 5*wait), key(t, ed, true, 2*wait, wait, 0, 0)},
			func(at int) int { return min(at/(4*wait), 1) }, 8 * wait, false},
		{"algorithm of KSK and ZSK", []*dnskey.Key{key(t, p256, true, 1, 1, 6*wait, 5*wait), key(t, ed, true, 2*wait, wait, 0, 0), key(t, p256, false, 1, 1, 6*wait, 5*wait), key(t, ed, false, 2*wait, wait, 0, 0)},
			func(at int) int { return min(at/(4*wait), 1) }, 8 * wait, false},
		{"algorithm whose keys come first", []*dnskey.Key{key(t, p256, true, 1, 1, 6*wait, 5*wait), key(t, ed, true, wait, wait, 0, 0)},
			func(at int) int { return min(at/(4*wait), 1) }, 8 * wait, true},
		{"algorithm whose signatures go first", []*dnskey.Key{key(t, p256, true, 1, 1, 5*wait, 6*wait), key(t, ed, true, 2*wait, wait, 0, 0)},
			func(at int) int { return min(at/(4*wait), 1) }, 8 * wait, true},
		{"ZSK at once", []*dnskey.Key{key(t, p256, true, 1, 1, 0, 0), key(t, p256, false, 1, 1, wait, wait), key(t, p256, false, wait, wait, 0, 0)},
			func(int) int { return 0 }, 3 * wait, true},
	} {
		const step = 150
		plans := make([]dnskey.Plan, tt.end/step)
		for i := range plans {
			p, err := dnskey.PlanAt("example.com.", tt.keys, began.Add(time.Duration(i*step+1)*time.Second))
			if err != nil || p.Problem != "" {
				t.Fatalf("%s: at %d: %v %s", tt.name, i*step, err, p.Problem)
			}
			plans[i] = p
		}
		problem := ""
		for i := range plans {
			for j := max(0, i-(ttlWait+2*apart)/step); j <= min(len(plans)-1, i+(ttlWait+2*apart)/step); j++ {
				keys, sigs := &plans[i], &plans[j]
				if !slices.Contains(keys.Keys, tt.keys[tt.ds(j*step)]) {
					problem = "the parent points to a key that signs none"
				}
				for _, k := range keys.Publish {
					if !slices.ContainsFunc(sigs.Data, func(s *dnskey.Key) bool { return s.Algorithm == k.Algorithm && slices.Contains(keys.Publish, s) }) {
						problem = "of " + k.String() + " there is no signature"
					}
				}
			}
		}
		if (problem != "") != tt.wrong {
			t.Errorf("%s: %q", tt.name, problem)
		}
	}
}

// A key that is taken out before it ceases to sign signs on only beside others: what can't be looked up verifies nothing.
func TestSignsUnpublished(t *testing.T) {
	const p256, ed = dnskey.ECDSAP256SHA256, dnskey.ED25519
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	old, next := key(t, p256, true, 1, 1, 30, 20), key(t, ed, true, 1, 1, 0, 0)
	p, err := dnskey.PlanAt("example.com.", []*dnskey.Key{old, next}, at(25))
	if err != nil || p.Problem != "" || !slices.Equal(p.Data, []*dnskey.Key{next, old}) || !slices.Equal(p.Publish, []*dnskey.Key{next}) || !slices.Equal(p.Keys, p.Publish) {
		t.Errorf("%+v, %v", p, err)
	}
	if !p.Next.Equal(at(30)) || old.State(at(25)) != "signs, not published" || old.State(at(30)) != "removed" {
		t.Errorf("until %s: %s, %s", p.Next, old.State(at(25)), old.State(at(30)))
	}
	p, err = dnskey.PlanAt("example.com.", []*dnskey.Key{old}, at(15))
	if err != nil || !p.Ends.Equal(at(20)) {
		t.Errorf("alone: %+v, %v", p, err)
	}
	p, err = dnskey.PlanAt("example.com.", []*dnskey.Key{old}, at(25))
	if err != nil || p.Problem == "" || !slices.Equal(p.Data, []*dnskey.Key{old}) || !slices.Equal(p.Publish, p.Data) {
		t.Errorf("alone: %+v, %v", p, err)
	}
}
