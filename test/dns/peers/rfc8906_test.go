package peers

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// A probe is a line for dig, with parts of what it is to print; with "!", of what
// it must not print.
type probe struct {
	name, args string
	want       []string
}

// probes are the queries of RFC 8906 section 8, and others of its kind: whatever
// a client sends, it gets an answer, and one that it can use.
var probes = []probe{
	// 8.1: without EDNS.
	{"plain", "+noedns +noad +norec SOA example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"unknown type", "+noedns +noad +norec TYPE1000 example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 0", "SOA"}},
	{"unknown type of a service", "+noedns +noad +norec TYPE1000 " + nginx + ".example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 0", "SOA"}},
	{"CD", "+noedns +noad +norec +cd SOA example.com", []string{"NOERROR", "flags: qr aa", "ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"AD", "+noedns +norec +ad SOA example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"reserved bit", "+noedns +noad +norec +zflag SOA example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"RD", "+noedns +noad +rec SOA example.com", []string{"NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"unknown opcode", "+noedns +noad +norec +opcode=15 +header-only", []string{"opcode: RESERVED15, status: NOTIMP", "flags: qr;"}},

	// 8.2: with EDNS.
	{"EDNS", "+nocookie +edns=0 +noad +norec SOA example.com", []string{"NOERROR", "flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1", "EDNS: version: 0, flags:; udp: 1232"}},
	{"EDNS, unknown version", "+nocookie +edns=1 +noednsneg +noad +norec SOA example.com", []string{"BADVERS", "ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1", "EDNS: version: 0, flags:;"}},
	{"EDNS, unknown option", "+nocookie +edns=0 +noad +norec +ednsopt=100 SOA example.com", []string{"NOERROR", "ANSWER: 1, ", "EDNS: version: 0, flags:;", "!OPT=100"}},
	{"EDNS, unknown flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x40 SOA example.com", []string{"NOERROR", "ANSWER: 1, ", "EDNS: version: 0, flags:; udp", "!MBZ"}},
	{"EDNS, another unknown flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x2000 SOA example.com", []string{"NOERROR", "ANSWER: 1, ", "EDNS: version: 0, flags:; udp", "!MBZ"}},
	{"EDNS, the flag for compact denial", "+nocookie +edns=0 +noad +norec +ednsflags=0x4000 SOA example.com", []string{"NOERROR", "ANSWER: 1, ", "EDNS: version: 0, flags:; udp", "!MBZ"}},
	{"EDNS, unknown version and flag", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 SOA example.com", []string{"BADVERS", "ANSWER: 0, ", "EDNS: version: 0, flags:; udp", "!MBZ"}},
	{"EDNS, unknown version and option", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 SOA example.com", []string{"BADVERS", "ANSWER: 0, ", "EDNS: version: 0, flags:; udp", "!OPT=100"}},
	{"DO", "+nocookie +edns=0 +noad +norec +dnssec SOA example.com", []string{"NOERROR", "ANSWER: 1, ", "EDNS: version: 0, flags: do; udp"}},
	{"DO, unknown version", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec SOA example.com", []string{"BADVERS", "ANSWER: 0, ", "EDNS: version: 0, "}},
	{"little room", "+nocookie +norec +noad +dnssec +bufsize=512 +ignore DNSKEY example.com", []string{"NOERROR", "flags: qr aa;", "EDNS: version: 0, flags: do; udp"}},
	{"several known options", "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 SOA example.com", []string{"NOERROR", "flags: qr aa;", "ANSWER: 1, ", "EDNS: version: 0, ", "NSID: 70 65 65 72 73"}},
	{"a cookie of no possible length", "+nocookie +edns=0 +norec +noad +ednsopt=10:00 SOA example.com", []string{"FORMERR", "ANSWER: 0, ", "EDNS: version: 0, "}},
	{"a client's network", "+nocookie +edns=0 +norec +noad +subnet=192.0.2.0/24 SOA example.com", []string{"NOERROR", "ANSWER: 1, "}},
	{"keepalive", "+nocookie +edns=0 +norec +noad +keepalive SOA example.com", []string{"NOERROR", "ANSWER: 1, "}},
	{"padding", "+nocookie +edns=0 +norec +noad +padding=400 SOA example.com", []string{"NOERROR", "ANSWER: 1, "}},

	// Types that ask for something else than records.
	{"the type that says no name", "+nocookie +norec +noad TYPE128 example.com", []string{"FORMERR", "flags: qr;", "EDE: 30"}},
	{"OPT", "+nocookie +norec +noad TYPE41 example.com", []string{"FORMERR", "flags: qr;"}},
	{"MAILB", "+nocookie +norec +noad MAILB example.com", []string{"flags: qr aa;", "ANSWER: 0, AUTHORITY: 1"}},
	{"DS of the domain", "+nocookie +norec +noad DS example.com", []string{"NOERROR", "flags: qr aa;", "ANSWER: 0, AUTHORITY: 1", "SOA"}},
	{"a transfer that isn't offered", "AXFR example.com", []string{"Transfer failed"}},
	{"an incremental one", "IXFR=1 example.com", []string{"!SOA"}},

	// What isn't ours.
	{"NSID doesn't set DO (RFC 3225)", "+nocookie +edns=0 +noad +norec +nsid SOA example.com", []string{"NOERROR", "NSID", "!flags: do; udp"}},
	{"another domain", "+nocookie +norec +noad SOA example.org", []string{"REFUSED", "flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"}},
	{"the domain above", "+nocookie +norec +noad SOA com", []string{"REFUSED", "flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"}},
	{"the root", "+nocookie +norec +noad NS .", []string{"REFUSED", "flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"}},
	{"another class", "+nocookie +norec +noad CH TXT version.bind", []string{"REFUSED", "flags: qr; QUERY: 1, ANSWER: 0, "}},
	{"no question", "+noedns +noad +norec +header-only", []string{"FORMERR", "flags: qr; QUERY: 0, ANSWER: 0, "}},
	{"an update", "+noedns +noad +norec +opcode=update SOA example.com", []string{"opcode: UPDATE, status: NOTIMP", "flags: qr;"}},
	{"a notification", "+noedns +noad +norec +opcode=notify SOA example.com", []string{"opcode: NOTIFY", "!NOERROR", "flags: qr;"}},
}

// limits are what CoreDNS decides before a plugin is asked, or after: not as the
// RFCs have it, and shown here as it is, so that a change is noticed. They are seen
// with fast off; what the fast path says is in test/dns/fast.
var limits = []probe{
	{"ZONEVERSION is refused, instead of answered or ignored (RFC 9660)", "+nocookie +edns=0 +norec +noad +ednsopt=19 SOA example.com", []string{"FORMERR", "!EDNS: version"}},
	{"a client's network of an unknown family is refused, instead of ignored", "+nocookie +edns=0 +norec +noad +ednsopt=8:0003200001020304 SOA example.com", []string{"FORMERR", "!EDNS: version"}},
	{"a BADVERS reply advertises no UDP size (RFC 6891 6.2.3)", "+nocookie +edns=1 +noednsneg +noad +norec SOA example.com", []string{"BADVERS", "udp: 0"}},
	{"a reply advertises the client's UDP size where that is smaller (RFC 6891 6.2.4)", "+nocookie +edns=0 +bufsize=600 +norec SOA example.com", []string{"NOERROR", "udp: 600"}},
	{"FORMERR and NOTIMP have no OPT record (RFC 6891 7)", "+nocookie +edns=0 +noad +norec +opcode=update SOA example.com", []string{"NOTIMP", "ADDITIONAL: 0"}},
}

// clear is what is put right wherever it can be, echoed how it is over TCP with fast off.
var (
	clear = []probe{
		{"AD does not come back where the query is not understood", "+noedns +ad +norec +header-only", []string{"FORMERR", "flags: qr;"}},
		{"nor with an opcode that isn't known", "+noedns +ad +norec +opcode=15 +header-only", []string{"NOTIMP", "flags: qr;"}},
	}
	echoed = []probe{
		{"AD comes back where the query is not understood", "+noedns +ad +norec +header-only", []string{"FORMERR", "flags: qr ad;"}},
		{"and with an opcode that isn't known", "+noedns +ad +norec +opcode=15 +header-only", []string{"NOTIMP", "flags: qr ad;"}},
	}
)

func TestRFC8906(t *testing.T) {
	corefile := strings.Replace(article(t, "nsid peers"), "bind ADDR", "bind ADDR ::1", 1)
	fast, slow := startFedns(t, corefile), startFedns(t, withoutFast(corefile))
	for _, way := range []struct {
		name, host, args string
		s                *server.Server
		lists            map[string][]probe
	}{
		{"udp4", "127.0.0.1", "+notcp", fast, map[string][]probe{"right": probes, "header": clear}},
		{"udp4, fast off", "127.0.0.1", "+notcp", slow, map[string][]probe{"right": probes, "limits": limits, "header": clear}},
		{"tcp4", "127.0.0.1", "+tcp", fast, map[string][]probe{"right": probes, "header": clear}},
		{"tcp4, fast off", "127.0.0.1", "+tcp", slow, map[string][]probe{"right": probes, "limits": limits, "header": echoed}},
		{"udp6", "::1", "+notcp", fast, map[string][]probe{"right": probes, "header": clear}},
		{"udp6, fast off", "::1", "+notcp", slow, map[string][]probe{"right": probes, "limits": limits, "header": clear}},
		{"tcp6", "::1", "+tcp", fast, map[string][]probe{"right": probes, "header": clear}},
		{"tcp6, fast off", "::1", "+tcp", slow, map[string][]probe{"right": probes, "limits": limits, "header": echoed}},
	} {
		_, port, _ := net.SplitHostPort(way.s.Addr)
		for name, list := range way.lists {
			t.Run(way.name+"/"+name, func(t *testing.T) {
				for _, p := range list {
					t.Run(p.name, func(t *testing.T) {
						t.Log("dig", p.args)
						out := dig(t, net.JoinHostPort(way.host, port), strings.Fields(way.args+" "+p.args)...)
						printed(out).check(t, p.want...)
					})
				}
			})
		}
	}
}

// withoutFast is a Corefile with every question answered by the chain.
func withoutFast(corefile string) string {
	return strings.Replace(corefile, " apex ", " fast off\n  apex ", 1)
}

// TestLongQuery shows one more limit, which dig avoids by asking over TCP: with fast
// off, a query of more than 512 bytes can't be read over UDP.
func TestLongQuery(t *testing.T) {
	corefile := article(t, "")
	fast, slow := startFedns(t, corefile), startFedns(t, withoutFast(corefile))
	for _, tt := range []struct {
		s       *server.Server
		network string
		want    int
	}{{fast, "udp", dns.RcodeSuccess}, {slow, "udp", dns.RcodeFormatError}, {fast, "tcp", dns.RcodeSuccess}} {
		q := new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA).SetEdns0(1232, false)
		q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 600)}}
		if m := tt.s.Exchange(t, tt.network, q); m.Rcode != tt.want {
			t.Errorf("%s: %s, want %s", tt.network, dns.RcodeToString[m.Rcode], dns.RcodeToString[tt.want])
		}
	}
}
