package dnskey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
)

// A parent points to a key by each kind of digest, as another library makes them.
func TestIs(t *testing.T) {
	k := key(t, dnskey.ECDSAP256SHA256, true, 0, 1, 0, 0)
	rr, err := dns.NewRR(k.Record())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
		ds := rr.(*dns.DNSKEY).ToDS(kind)
		text := strings.SplitN(ds.String(), "\tDS\t", 2)[1]
		a, err := dnskey.ParseAnchor(text)
		if err != nil || !k.Is(a) || a.String() != strings.ToUpper(text) {
			t.Errorf("digest %d: %v, %v", kind, a, err)
		}
		a.Digest[0]++
		if k.Is(a) {
			t.Errorf("digest %d: of another key", kind)
		}
	}
	for _, wrong := range []string{"", "1 13 2", "x 13 2 00", "1 13 2 0", "1 13 2 xy", "70000 13 2 00", "1 300 2 00"} {
		if a, err := dnskey.ParseAnchor(wrong); err == nil {
			t.Errorf("%q: %v", wrong, a)
		}
	}
}

// From when on a parent points to no key that signs the keys.
func TestUnanchored(t *testing.T) {
	const day = 24 * 60 * 60
	old := key(t, dnskey.ECDSAP256SHA256, true, 1, 1, 20*day, 30*day)
	next := key(t, dnskey.ECDSAP256SHA256, true, 5*day, 20*day, 0, 0)
	zsk := key(t, dnskey.ECDSAP256SHA256, false, 1, 1, 0, 0)
	other := key(t, dnskey.ECDSAP256SHA256, true, 1, 1, 0, 0)
	for _, tt := range []struct {
		name    string
		keys    []*dnskey.Key
		anchors []*dnskey.Key
		day     int
		want    string
	}{
		{"the only key", []*dnskey.Key{other}, []*dnskey.Key{other}, 1, "never"},
		{"another's", []*dnskey.Key{other}, []*dnskey.Key{next}, 1, "day 1"},
		{"one of two", []*dnskey.Key{other}, []*dnskey.Key{next, other}, 1, "never"},
		{"the key ends, and no other comes", []*dnskey.Key{old}, []*dnskey.Key{old}, 1, "never"}, // it goes on signing, which is another trouble
		{"the key goes, and the parent doesn't know the next", []*dnskey.Key{old, next}, []*dnskey.Key{old}, 1, "day 30"},
		{"the parent knows both", []*dnskey.Key{old, next}, []*dnskey.Key{old, next}, 1, "never"},
		{"the parent has the next too soon", []*dnskey.Key{old, next}, []*dnskey.Key{next}, 1, "day 1"},
		{"the next is published", []*dnskey.Key{old, next}, []*dnskey.Key{next}, 6, "never"},
		{"a key that the parent can't point to", []*dnskey.Key{zsk, other}, []*dnskey.Key{zsk}, 1, "day 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var anchors []dnskey.Anchor
			for _, k := range tt.anchors {
				a, err := dnskey.ParseAnchor(k.DSText())
				if err != nil {
					t.Fatal(err)
				}
				anchors = append(anchors, a)
			}
			got := "never"
			if from, lost := dnskey.Unanchored("example.com.", tt.keys, anchors, began.AddDate(0, 0, tt.day)); lost {
				got = "day " + strings.TrimSuffix((from.Sub(began)/day).Round(time.Second).String(), "s")
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
