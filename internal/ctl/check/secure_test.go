package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
)

// What a parent says of a domain is compared with each of its servers.
func TestSecure(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	long := now.AddDate(0, 0, 10)
	for _, tt := range []struct {
		name    string
		ds      []string
		servers []Signed
		want    Level // the worst; "": nothing is said
	}{
		{"neither", nil, []Signed{{Addr: "a"}}, ""},
		{"all is well", []string{"x", "old"}, []Signed{{"a", []string{"x"}, long}, {"b", []string{"y", "x"}, long}}, OK},
		{"the parent hasn't got it", nil, []Signed{{"a", []string{"x"}, long}}, Warning},
		{"the parent has another", []string{"old"}, []Signed{{"a", []string{"x"}, long}}, Error},
		{"one server isn't signed", []string{"x"}, []Signed{{"a", []string{"x"}, long}, {Addr: "b"}}, Error},
		{"a server has another key", []string{"x"}, []Signed{{"a", []string{"x"}, long}, {"b", []string{"y"}, long}}, Error},
		{"no signature", []string{"x"}, []Signed{{"a", []string{"x"}, time.Time{}}}, Error},
		{"signatures end", []string{"x"}, []Signed{{"a", []string{"x"}, now.AddDate(0, 0, 1)}}, Error},
	} {
		all := Secure(Anchors{Domain: "example.com", Records: tt.ds}, tt.servers, now)
		if len(all) == 0 && tt.want == "" {
			continue
		}
		if len(all) == 0 || Worst(all) != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, all, tt.want)
		}
	}
	if all := Secure(Anchors{Domain: "example.com", Error: "timeout"}, []Signed{{"a", []string{"x"}, long}}, now); Worst(all) != Warning {
		t.Errorf("%+v", all)
	}
}

// What fedctl says of a key, and of all of them, goes by one comparison, whatever digest the parent has taken.
func TestParentOfKeys(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	until := func(gone time.Time) *dnskey.Key {
		k, err := dnskey.Generate("example.com.", dnskey.ECDSAP256SHA256, true, 60, dnskey.Dates{Created: now, Publish: now, Activate: now, Inactive: gone, Delete: gone})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k, next, ends := until(time.Time{}), until(time.Time{}), until(now.AddDate(0, 0, 3))
	rr, err := dns.NewRR(k.Record())
	if err != nil {
		t.Fatal(err)
	}
	ds := rr.(*dns.DNSKEY).ToDS(dns.SHA384)
	long := fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
	for _, tt := range []struct {
		name string
		ds   []string
		keys []*dnskey.Key
		want Level
		says string
	}{
		{"none", nil, []*dnskey.Key{k}, Warning, "no DS record"},
		{"one", []string{k.DSText()}, []*dnskey.Key{k}, OK, "1 of the 1"},
		{"SHA-384", []string{long}, []*dnskey.Key{k}, OK, "1 of the 1"},
		{"both, and another's", []string{k.DSText(), long, next.DSText()}, []*dnskey.Key{k}, OK, "2 of the 3"},
		{"another's", []string{next.DSText()}, []*dnskey.Key{k}, Error, "none of its keys"},
		{"one that ends in three days", []string{ends.DSText()}, []*dnskey.Key{ends, k}, Error, "from 2026-12-03T12:00:00Z on no key signs that the parent's"},
	} {
		all := Parent(Anchors{Domain: "example.com", Records: tt.ds}, tt.keys, now)
		if len(all) != 1 || Worst(all) != tt.want || !strings.Contains(all[0].Text, tt.says) {
			t.Errorf("%s: %+v", tt.name, all)
		}
	}
	if a := (Anchors{Records: []string{long}}); len(a.To(k)) != 1 || len(a.To(next)) > 0 {
		t.Error("SHA-384: ", a.To(k), a.To(next))
	}
}
