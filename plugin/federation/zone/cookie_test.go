package zone

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/cookie"
)

// A cookie takes the place of the one that came, stays before a signature, and leaves
// alone what the message shares with others.
func TestWithCookie(t *testing.T) {
	q := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).SetEdns0(1232, true)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}
	due, holder, sound := Recognize(cookie.New(cookie.Secret{1}), q, netip.MustParseAddr("192.0.2.1"))
	if due == nil || holder || !sound || len(due.Cookie) != 48 || due.Cookie[:16] != "0102030405060708" {
		t.Fatalf("due is %v; good: %v, sound: %v", due, holder, sound)
	}
	echo := new(dns.Msg).SetReply(q)
	echo.Extra = q.Extra
	out := WithCookie(echo, due)
	if o := out.IsEdns0().Option; len(o) != 1 || o[0] != dns.EDNS0(due) {
		t.Errorf("options: %v", o)
	}
	if c := q.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie; c != "0102030405060708" {
		t.Errorf("the query's cookie is now %s", c)
	}
	bare := new(dns.Msg).SetReply(q)
	bare.SetTsig("k.", dns.HmacSHA256, 300, 0)
	out = WithCookie(bare, due)
	if len(out.Extra) != 2 || out.IsTsig() == nil || out.IsEdns0() == nil || len(bare.Extra) != 1 {
		t.Errorf("signed: %v", out.Extra)
	}
	for _, bad := range []string{"", "ab", "010203040506070809", "0102030405060708090a0b0c0d0e0f"} {
		q.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie = bad
		if _, _, sound := Recognize(cookie.New(cookie.Secret{1}), q, netip.MustParseAddr("192.0.2.1")); sound {
			t.Errorf("%q is taken for a cookie", bad)
		}
		if _, _, sound := Recognize(nil, q, netip.MustParseAddr("192.0.2.1")); !sound {
			t.Errorf("%q: without cookies, it is an option like any other", bad)
		}
	}
}
