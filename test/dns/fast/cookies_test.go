package fast

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
)

// TestCookies asks as dig does by default: with a cookie of its own, and then with
// what came back (RFC 7873).
func TestCookies(t *testing.T) {
	dir := t.TempDir()
	const old = "ffeeddccbbaa99887766554433221100\n"
	shared := write(t, dir, "shared", secret)
	rotated := write(t, dir, "rotated", "# the new one, and the one before\n"+old+secret)
	start := func(cookies string) string {
		s := server.Start(t, "example.com:PORT {\n bind ADDR\n"+article(t, cookies)+" ready READY\n}\n")
		answers(t, s.Addr)
		isFast(t, s, "127.0.0.1")
		return s.Addr
	}
	paris, lyon, third, alone, without := start("cookies "+shared), start("cookies "+shared), start("cookies "+rotated), start(""), start("cookies off")

	for _, name := range []string{"A nginx.mynamespace.myfederation.svc.us-central1.example.com", "A nginx.mynamespace.myfederation.svc.europe-west1.example.com", "SOA example.com", "A nginx.example.com", "A nobody.example.com"} {
		for _, network := range []string{"+notcp", "+tcp"} {
			t.Run(strings.ReplaceAll(name, " ", "_")+network, func(t *testing.T) {
				ask := func(addr, args string) string {
					t.Helper()
					out := dig(t, addr, strings.Fields(network+" +norec +noad "+args+" "+name)...)
					check(t, out, "!Warning", "status: N", "flags: qr aa; QUERY: 1") // NOERROR or NXDOMAIN
					return out
				}
				first := ask(paris, "+cookie=0123456789abcdef")
				client, server := cookieOf(t, first)
				if client != "0123456789abcdef" || len(server) != 32 || !strings.HasPrefix(server, "01000000") {
					t.Fatalf("a client with a new cookie gets %s %s", client, server)
				}
				check(t, first, "(good)")
				for _, s := range []struct {
					name, addr string
					same       bool // the cookie is good there, and so no other is given
				}{
					{"the same server", paris, true},
					{"one with the same secrets", lyon, true},
					{"one that is being given others", third, true},
					{"one with secrets of its own", alone, false},
				} {
					second := ask(s.addr, "+cookie="+client+server)
					check(t, second, "(good)") // the client's part is its own
					c, got := cookieOf(t, second)
					if c != client || (got == server) != s.same || len(got) != 32 {
						t.Errorf("%s: gives %s for %s; the same: %v, want %v", s.name, got, server, got == server, s.same)
					}
				}
				// Of another client, with another's, of another length, from a distant
				// time, and spoilt: each gets one that is good.
				for _, bad := range []string{"fedcba9876543210" + server, client + server[:16], client + server + "00", client + server[:8] + "00000000" + server[16:], client + server[:31] + flip(server[31:])} {
					c, got := cookieOf(t, ask(paris, "+cookie="+bad))
					if c != bad[:16] || len(got) != 32 || strings.HasSuffix(bad, got) {
						t.Errorf("for %s: %s %s", bad, c, got)
					}
					if again, same := cookieOf(t, ask(paris, "+cookie="+c+got)); again != c || same != got {
						t.Errorf("for %s: %s, and for that %s", bad, got, same)
					}
				}
				check(t, ask(without, "+cookie=0123456789abcdef"), "!COOKIE")
				check(t, ask(without, "+cookie="+client+server), "!COOKIE")
				check(t, ask(paris, "+nocookie"), "!COOKIE")
			})
		}
	}

	// A cookie of an impossible length is a fault, where there are cookies; where
	// there are none, an option like any other that isn't known.
	for n := range 42 {
		args := strings.Fields(fmt.Sprintf("+notcp +nocookie +norec +noad +ednsopt=10:%s A nginx.mynamespace.myfederation.svc.us-central1.example.com", strings.Repeat("ab", n)))
		out := dig(t, paris, args...)
		if n == 8 || n >= 16 && n <= 40 {
			check(t, out, "NOERROR", "COOKIE: abababababababab01000000")
		} else {
			check(t, out, "FORMERR", ";; flags: qr; "+onlyOPT, edns, "!COOKIE")
		}
		check(t, dig(t, without, args...), "NOERROR", ";; flags: qr aa; ", edns, "!COOKIE")
	}
}

// TestCookieAddress: a cookie is one address's. The same client has the same one
// whichever kind of socket it comes to.
func TestCookieAddress(t *testing.T) {
	shared := write(t, t.TempDir(), "shared", secret)
	wild := server.Start(t, "example.com:PORT {\n"+article(t, "cookies "+shared)+" ready READY\n}\n")
	bound := server.Start(t, "example.com:PORT {\n bind ADDR\n"+article(t, "cookies "+shared)+" ready READY\n}\n")
	_, port, _ := net.SplitHostPort(wild.Addr)
	const name = "nginx.mynamespace.myfederation.svc.example.com"
	answers(t, wild.Addr)
	answers(t, bound.Addr)
	isFast(t, wild, "")
	ask := func(addr, from, cookie string) (client, server string) {
		t.Helper()
		return cookieOf(t, dig(t, addr, "-b", from, "+notcp", "+cookie="+cookie, name))
	}
	client, one := ask(bound.Addr, "127.0.0.1", "0123456789abcdef")
	for _, tt := range []struct {
		name, addr, from string
		same             bool
	}{
		{"the same", bound.Addr, "127.0.0.1", true},
		{"mapped into IPv6", wild.Addr, "127.0.0.1", true},
		{"another address", bound.Addr, "127.0.0.2", false},
		{"another address, mapped", wild.Addr, "127.0.0.2", false},
		{"another family", net.JoinHostPort("::1", port), "::1", false},
	} {
		if _, got := ask(tt.addr, tt.from, client+one); (got == one) != tt.same {
			t.Errorf("%s: the cookie is good: %v, want %v", tt.name, got == one, tt.same)
		}
	}
}

// cookieOf finds the cookie that dig printed.
func cookieOf(t *testing.T, printed string) (client, server string) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^; COOKIE: ([0-9a-f]{16})([0-9a-f]*)`).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("no cookie in:\n%s", printed)
	}
	return m[1], m[2]
}

// flip is another hex digit.
func flip(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

// TestCookieEverywhere: cookies are the address's, whoever answers and whatever
// (RFC 7873 section 5.2).
func TestCookieEverywhere(t *testing.T) {
	zone := write(t, t.TempDir(), "acme", "@ 3600 IN SOA ns1 h 1 7200 1800 86400 5\n@ IN NS ns1\nns1 IN A 192.0.2.1\n")
	block := "example.com:PORT acme.com:PORT {\n bind ADDR\n chaos\n acl {\n  block type LOC\n }\n file " + zone + " acme.com\n"
	for _, way := range []string{"fast on", "fast off"} {
		corefile := block + article(t, way) + " ready READY\n}\nother.com:PORT {\n bind ADDR\n file " + zone + " other.com\n}\n"
		if way == "fast on" {
			corefile = strings.Replace(corefile, " acl {\n  block type LOC\n }\n", "", 1) // has the fast path step aside
		}
		s := server.Start(t, corefile)
		answers(t, s.Addr)
		asked := []string{"SOA acme.com", "A nobody.acme.com", "DNSKEY example.com", "LOC acme.com"}
		if way == "fast on" {
			isFast(t, s, "127.0.0.1")
			asked = append(asked[:3], "A refused.net", "SOA other.com", "CH TXT version.bind")
		}
		for _, q := range asked {
			for _, network := range []string{"+notcp", "+tcp"} {
				if network == "+tcp" && way == "fast on" && (strings.Contains(q, "refused") || strings.Contains(q, "other") || strings.Contains(q, "CH")) {
					continue // no plugin of the block sees these
				}
				if way == "fast off" && strings.Contains(q, "CH") {
					continue
				}
				out := dig(t, s.Addr, append([]string{network, "+norec", "+cookie=0123456789abcdef"}, strings.Fields(q)...)...)
				if c, server := cookieOf(t, out); c != "0123456789abcdef" || len(server) != 32 {
					t.Errorf("%s, %s %s: %s", way, network, q, out)
				}
			}
		}
		for _, network := range []string{"+notcp", "+tcp"} {
			check(t, dig(t, s.Addr, network, "+norec", "+nocookie", "+ednsopt=10:ababab", "SOA", "acme.com"), "FORMERR")
		}
	}
}
