package fast

import (
	"net"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/server"
)

// A probe is a line for dig, with parts of what it is to print; with "!", of what
// it must not print. NAME stands for what is asked, and has one record.
type probe struct {
	name, args string
	want       []string
}

const (
	plainly = "QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"
	withOPT = "QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1"
	noData  = "QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 0"
	onlyOPT = "QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"
	edns    = "\n; EDNS: version: 0, flags:; udp: 1232\n"
	ednsDO  = "\n; EDNS: version: 0, flags: do; udp: 1232\n"
)

// probes are the queries of RFC 8906 section 8, for the domain itself and for a
// federated name: whatever a client sends, it gets an answer, and one that it can
// use.
var probes = []probe{
	// 8.1: without EDNS.
	{"plain", "+noedns +noad +norec NAME", []string{"NOERROR", ";; flags: qr aa; " + plainly}},
	{"CD", "+noedns +noad +norec +cd NAME", []string{"NOERROR", ";; flags: qr aa cd; " + plainly}},
	{"AD", "+noedns +norec +ad NAME", []string{"NOERROR", ";; flags: qr aa; " + plainly}},
	{"reserved bit", "+noedns +noad +norec +zflag NAME", []string{"NOERROR", ";; flags: qr aa; " + plainly, "!MBZ"}},
	{"RD", "+noedns +noad +rec NAME", []string{"NOERROR", ";; flags: qr aa rd; " + plainly}},
	{"RD, AD, CD, AA, TC and RA", "+noedns +ad +cd +rec +aaflag +tcflag +raflag NAME", []string{"NOERROR", ";; flags: qr aa rd cd; " + plainly}},
	{"TCP", "+noedns +noad +norec +tcp NAME", []string{"NOERROR", ";; flags: qr aa; " + plainly}},

	// 8.2: with EDNS.
	{"EDNS", "+nocookie +edns=0 +noad +norec NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns}},
	{"EDNS, unknown version", "+nocookie +edns=1 +noednsneg +noad +norec NAME", []string{"BADVERS", ";; flags: qr; " + onlyOPT, edns}},
	{"EDNS, unknown option", "+nocookie +edns=0 +noad +norec +ednsopt=100 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!OPT=100"}},
	{"EDNS, unknown option with data", "+nocookie +edns=0 +noad +norec +ednsopt=65001:0102030405 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!OPT="}},
	{"EDNS, unknown flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x40 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!MBZ"}},
	{"EDNS, another unknown flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x2000 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!MBZ"}},
	{"EDNS, the flag for compact denial", "+nocookie +edns=0 +noad +norec +ednsflags=0x4000 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!MBZ"}},
	{"EDNS, unknown version and flag", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 NAME", []string{"BADVERS", ";; flags: qr; " + onlyOPT, edns, "!MBZ"}},
	{"EDNS, unknown version and option", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 NAME", []string{"BADVERS", ";; flags: qr; " + onlyOPT, edns, "!OPT=100"}},
	{"DO", "+nocookie +edns=0 +noad +norec +dnssec NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, ednsDO}},
	{"DO, unknown version", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec NAME", []string{"BADVERS", ";; flags: qr; " + onlyOPT, ednsDO}},
	{"little room", "+nocookie +norec +noad +dnssec +bufsize=512 +ignore NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, ednsDO}},
	{"several known options", "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, `NSID: 6f 6e 65 ("one")`, "(good)", "CLIENT-SUBNET: 0.0.0.0/0/0", "!EXPIRE"}},

	// What RFC 8906 doesn't list.
	{"the size of the client's buffer is its own affair", "+nocookie +edns=0 +bufsize=600 +noad +norec NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns}},
	{"NSID", "+nocookie +edns=0 +noad +norec +nsid NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, `NSID: 6f 6e 65 ("one")`}},
	{"NSID and DO", "+nocookie +edns=0 +noad +norec +nsid +dnssec NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, ednsDO, `NSID: 6f 6e 65 ("one")`}},
	{"ZONEVERSION", "+nocookie +edns=0 +noad +norec +ednsopt=19 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "\n; OPT=19: 02 00 "}},
	{"a cookie of no possible length", "+nocookie +edns=0 +norec +noad +ednsopt=10:00 NAME", []string{"FORMERR", ";; flags: qr; " + onlyOPT, edns, "!COOKIE"}},
	{"a client's network", "+nocookie +edns=0 +norec +noad +subnet=192.0.2.0/24 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "CLIENT-SUBNET: 192.0.2.0/24/0"}},
	{"a client's network of an unknown family", "+nocookie +edns=0 +norec +noad +ednsopt=8:0003200001020304 NAME", []string{"FORMERR", ";; flags: qr; QUERY: 1, ANSWER: 0"}},
	{"a client's network of more bits than there are", "+nocookie +edns=0 +norec +noad +ednsopt=8:00012100c000020180 NAME", []string{"FORMERR", ";; flags: qr; QUERY: 1, ANSWER: 0"}},
	{"an option put together wrongly", "+nocookie +edns=0 +norec +noad +ednsopt=9:00 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!EXPIRE"}},
	{"keepalive", "+nocookie +edns=0 +norec +noad +keepalive NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!KEEPALIVE"}},
	{"padding", "+nocookie +edns=0 +norec +noad +padding=400 NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, edns, "!PAD"}},
}

// typed are asked of the domain, and of a federated name.
var typed = []probe{
	{"unknown type", "+noedns +noad +norec TYPE1000 NAME", []string{"NOERROR", ";; flags: qr aa; " + noData, "SOA"}},
	{"DNSKEY, little room", "+nocookie +norec +noad +dnssec +bufsize=512 +ignore DNSKEY NAME", []string{"NOERROR", ";; flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1", ednsDO}},
	{"the type that says no name", "+nocookie +norec +noad TYPE128 NAME", []string{"FORMERR", ";; flags: qr; " + onlyOPT, edns, "EDE: 30"}},
	{"OPT", "+nocookie +norec +noad TYPE41 NAME", []string{"FORMERR", ";; flags: qr; " + onlyOPT, edns}},
	{"MAILB", "+nocookie +norec +noad MAILB NAME", []string{"NOERROR", ";; flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1", edns}},
	{"DS", "+nocookie +norec +noad DS NAME", []string{"NOERROR", ";; flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1", "SOA", edns}},
	{"ANY", "+nocookie +norec +noad +notcp ANY NAME", []string{"NOERROR", ";; flags: qr aa; " + withOPT, "\"RFC8482\" \"\"\n", edns}},
}

// others are about no name of the domain.
var others = []probe{
	{"another domain", "+nocookie +norec +noad SOA example.org", []string{"REFUSED", ";; flags: qr; " + onlyOPT}},
	{"the domain above", "+nocookie +norec +noad SOA com", []string{"REFUSED", ";; flags: qr; " + onlyOPT}},
	{"the root", "+nocookie +norec +noad NS .", []string{"REFUSED", ";; flags: qr; " + onlyOPT}},
	{"another class", "+nocookie +norec +noad CH TXT version.bind", []string{"REFUSED", ";; flags: qr; QUERY: 1, ANSWER: 0, "}},
	{"another class for a name that is ours", "+nocookie +norec +noad CH TXT example.com", []string{"REFUSED", ";; flags: qr; QUERY: 1, ANSWER: 0, "}},
	{"no such name", "+nocookie +norec +noad A nobody.mynamespace.myfederation.svc.example.com", []string{"NXDOMAIN", ";; flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1", edns}},
	{"an incremental transfer", "+notcp IXFR=1 example.com", []string{"!\tSOA\t"}},

	// What isn't a plain question, CoreDNS's own sockets have. They have it right, or what they write is put right.
	{"unknown opcode", "+noedns +noad +norec +opcode=15 +header-only", []string{"opcode: RESERVED15, status: NOTIMP", ";; flags: qr; QUERY: 0, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0"}},
	{"no question", "+noedns +noad +norec +header-only", []string{"FORMERR", ";; flags: qr; QUERY: 0, ANSWER: 0, "}},
	{"an update", "+noedns +noad +norec +opcode=update SOA example.com", []string{"opcode: UPDATE, status: NOTIMP", ";; flags: qr;"}},
	{"a notification", "+noedns +noad +norec +opcode=notify SOA example.com", []string{"opcode: NOTIFY", "status: REFUSED", ";; flags: qr;"}},
	{"AD does not come back where the query is not understood", "+noedns +ad +norec +header-only", []string{"FORMERR", ";; flags: qr;"}},
	{"AD with an unknown opcode", "+noedns +ad +norec +opcode=15 +header-only", []string{"NOTIMP", ";; flags: qr;"}},

	// And this not quite; it is shown here as it is, so that a change is noticed.
	{"CoreDNS: FORMERR and NOTIMP have no OPT record (RFC 6891 section 7)", "+nocookie +edns=0 +noad +norec +opcode=update SOA example.com", []string{"NOTIMP", "ADDITIONAL: 0"}},
}

// TestRFC8906 asks a server with the fast path what every server has to have an
// answer to, on each kind of socket there is.
func TestRFC8906(t *testing.T) {
	const host = "nginx.mynamespace.myfederation.svc.us-central1-a.us-central1.example.com"
	bound := server.Start(t, "example.com:PORT {\n bind ADDR\n nsid one\n"+article(t, "")+" ready READY\n}\n")
	six := server.Start(t, "example.com:PORT {\n bind ::1\n nsid one\n"+article(t, "")+" ready READY\n}\n")
	wild := server.Start(t, "example.com:PORT {\n nsid one\n"+article(t, "")+" ready READY\n}\n")
	for _, way := range []struct {
		name   string
		s      *server.Server
		listed string // the host in the log
		host   string // that is asked
	}{
		{"udp4", bound, "127.0.0.1", "127.0.0.1"},
		{"udp6", six, "::1", "::1"},
		{"udp6 of any address", wild, "", "::1"},
		{"udp4 mapped", wild, "", "127.0.0.1"},
	} {
		_, port, _ := net.SplitHostPort(way.s.Addr)
		addr := net.JoinHostPort(way.host, port)
		answers(t, addr)
		isFast(t, way.s, way.listed)
		run := func(group, name string, list []probe) {
			t.Run(way.name+"/"+group, func(t *testing.T) {
				for _, p := range list {
					t.Run(p.name, func(t *testing.T) {
						args := strings.Fields(strings.ReplaceAll(p.args, "NAME", name))
						if !strings.Contains(p.args, "+tcp") {
							args = append([]string{"+notcp"}, args...)
						}
						t.Log("dig", strings.Join(args, " "))
						out := dig(t, addr, args...)
						check(t, out, append(p.want, "!Warning", "!mismatch")...)
					})
				}
			})
		}
		run("domain", "SOA example.com", probes)
		run("domain", "example.com", typed)
		run("federated", "A "+host, probes)
		run("federated", host, typed)
		run("others", "", others)
	}
}
