package fast

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// types are what is asked for: what there is, what there isn't, and what is no
// record.
var types = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeANY, dns.TypeTXT, dns.TypeSOA, dns.TypeNS, dns.TypeDS, dns.TypePTR, dns.TypeHTTPS, dns.TypeMX,
	dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeNXNAME, dns.TypeMAILB, 1000, 65535, 0,
}

// opts are the OPT records of questions.
var opts = []struct{ about, opt string }{
	{"no EDNS", ""},
	{"EDNS, 512", opt(512, 0)},
	{"EDNS, 1232", opt(1232, 0)},
	{"EDNS, 4096", opt(4096, 0)},
	{"EDNS, 100", opt(100, 0)},
	{"EDNS, 0", opt(0, 0)},
	{"EDNS, 1231", opt(1231, 0)},
	{"DO", opt(1232, 0x8000)},
	{"unknown option", opt(1232, 0, option(unknown, "abc"))},
	{"NSID", opt(1232, 0, option(nsid, ""))},
	{"a network", opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00\x02"))},
	{"a network that is none", opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00"))},
	{"a network of an unknown family", opt(1232, 0, option(subnet, "\x00\x03\x20\x00\x01\x02\x03\x04"))},
	{"version 1", opt(1232, 0x0001_0000)},
	{"version 1, DO and a flag", opt(1232, 0x0001_8040)},
	{"cookie", opt(1232, 0, option(cookie, clientCookie))},
	{"cookie, little room", opt(512, 0, option(cookie, clientCookie))},
	{"cookie with a server's part", opt(1232, 0, option(cookie, clientCookie+"\x01\x00\x00\x00\x65\x00\x00\x00\x11\x12\x13\x14\x15\x16\x17\x18"))},
	{"bad cookie", opt(1232, 0, option(cookie, "x"))},
	{"unknown flags", opt(1232, 0x7fff)},
	{"unknown flags, DO and an extended code", opt(1232, 0xff00_c040)},
	{"padding", opt(1232, 0, option(padding, strings.Repeat("\x00", 40)))},
	{"long padding", opt(1232, 0, option(padding, strings.Repeat("\x00", 600)))},
	{"ZONEVERSION", opt(1232, 0, option(zoneVersion, ""))},
	{"expire, keepalive, NSID, a network and a cookie", opt(1232, 0x8000, option(nsid, ""), option(expire, ""), option(keepalive, ""), option(subnet, "\x00\x01\x00\x00"), option(cookie, clientCookie))},
	{"an option put together wrongly", opt(1232, 0, option(ede, "x"))},
}

// questions are the packets for the names of a block: some in every way, the others
// in one way for each type.
func (b *block) questions() (out []packet) {
	domain := b.domains[len(b.domains)-1]
	n := 0
	add := func(name string, i, j, k int) {
		if name += "." + domain; len(labels(name)) > 255 {
			return
		}
		about := opts[j].about
		if k == 1 {
			name, about = mixed(name), about+", mixed case"
		}
		out = append(out, packet{about, question(0x0100*uint16(n%2)|0x0010*uint16(n/2%2), labels(name), types[i], opts[j].opt)})
		n++
	}
	for _, name := range b.core {
		for i := range types {
			for j := range opts {
				if b.corners || (i+j)%4 == 0 {
					add(name, i, j, (i+j)%2)
				}
			}
		}
	}
	for m, name := range b.names {
		for i := range types {
			add(name, i, (m*7+i*5)%len(opts), m/2%2)
		}
		// Those that federations have records of, with and without EDNS, at each size.
		for i := range types[:5] {
			for j := range 7 {
				if b.corners || (m+i+j)%3 == 0 {
					add(name, i, j, (m+j)%2)
				}
			}
		}
	}
	return out
}

// odd are packets that few clients send.
func (b *block) odd(r *rand.Rand) (out []packet) {
	add := func(about string, p []byte) { out = append(out, packet{about, p}) }
	const web = "web.shop.fed.svc.eu.example.com"
	for _, name := range []string{web, "web.shop.fed.svc.us.example.com", "example.com", "nobody.shop.fed.svc.example.com", "mail.example.com", "www.example.org"} {
		for _, o := range []string{"", opt(1232, 0x8000, option(unknown, "x"))} {
			for bit := range 11 { // opcodes aside
				add(fmt.Sprint("header bit ", bit), question(1<<bit, labels(name), dns.TypeA, o))
			}
			add("all header bits", question(0x07ff, labels(name), dns.TypeA, o))
			add("all header bits, SOA", question(0x07ff, labels(name), dns.TypeSOA, o))
			for opcode := range 16 {
				add(fmt.Sprint("opcode ", opcode), question(uint16(opcode)<<11, labels(name), dns.TypeSOA, o))
				add(fmt.Sprint("an answer of opcode ", opcode), question(0x8000|uint16(opcode)<<11, labels(name), dns.TypeSOA, o))
			}
			for i := range 4 {
				for _, n := range []byte{0, 1, 2, 3, 255} {
					for _, high := range []byte{0, 1} {
						p := question(0x0100, labels(name), dns.TypeA, o)
						p[4+2*i], p[5+2*i] = high, n
						add(fmt.Sprintf("count %d is %d", i, int(high)<<8|int(n)), p)
					}
				}
			}
			for _, class := range []byte{0, 2, 3, 4, 254, 255} {
				p := question(0, labels(name), dns.TypeTXT, o)
				p[12+len(labels(name))+3] = class
				add(fmt.Sprint("class ", class), p)
			}
			for n := range len(question(0, labels(name), dns.TypeA, o)) {
				add(fmt.Sprint("the first ", n, " bytes"), question(0x0100, labels(name), dns.TypeA, o)[:n])
			}
			add("bytes behind the message", append(question(0, labels(name), dns.TypeA, o), "behind"...))
		}
	}
	// Names.
	for _, n := range []string{"", "com", "org", "example.org", "www.example.org", "xexample.com", "example.com.net", "www.xexample.com", "version.bind"} {
		for _, t := range types {
			add("another domain", question(0x0100, labels(n), t, opts[r.IntN(len(opts))].opt))
		}
	}
	for c := range 256 {
		s := string([]byte{byte(c)})
		for _, n := range []string{"\x01" + s + labels("shop.fed.svc.example.com"), "\x04w" + s + "eb" + labels("shop.fed.svc.example.com"), "\x04mai" + s + labels("example.com"), labels("mail") + "", "\x08exampl" + s + "e" + labels("com")} {
			for _, t := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeANY} {
				add(fmt.Sprint("byte ", c), question(0, n, t, opts[r.IntN(4)].opt))
			}
		}
	}
	for i, n := range []string{
		"\xc0\x0c", "\x01x\xc0\x0e", "\x01x\xc0\x0c", "\xc0\x10", "\xff\xff", "\x03www\xc0\x02", "\xc0\x02", "\x40" + strings.Repeat("x", 64) + "\x00", "\x80x", "\x3f" + strings.Repeat("x", 63) + "\x00",
		strings.Repeat("\x01x", 120) + labels("example.com"), strings.Repeat("\x01x", 121) + labels("example.com"), strings.Repeat("\x01x", 122) + labels("example.com"), strings.Repeat("\x01x", 127) + "\x00", strings.Repeat("\x01x", 128) + "\x00",
		strings.Repeat("\x3f"+strings.Repeat("x", 63), 3) + "\x2f" + strings.Repeat("x", 47) + labels("example.com"), strings.Repeat("\x3f"+strings.Repeat("x", 63), 3) + "\x30" + strings.Repeat("x", 48) + labels("example.com"),
	} {
		for _, o := range []string{"", opt(1232, 0)} {
			add(fmt.Sprint("name ", i), question(0x0100, n, dns.TypeA, o))
		}
	}
	// Additional records.
	for _, name := range []string{web, "mail.example.com", "nobody.example.com", "example.org"} {
		for i, o := range []string{
			opt(1232, 0)[:10], "\x01x" + opt(1232, 0), "\xc0\x0c" + opt(1232, 0)[1:], opt(1232, 0, "\x00"), opt(1232, 0, "\x00\x64\x00"), opt(1232, 0, "\x00\x64\x00\x02x"), opt(1232, 0, option(unknown, "abc"))[:14],
			opt(1232, 0, option(unknown, "abc"), "\x00"), opt(1232, 0x0001_0000, "\x00"), opt(1232, 0) + "behind", opt(1232, 0, option(zoneVersion, "")) + "behind",
			"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01", "\x00\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00", "\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			opt(1232, 0, option(nsid, "x")), opt(1232, 0, option(nsid, ""), option(nsid, "")), opt(1232, 0, option(cookie, clientCookie), option(cookie, "87654321")), opt(1232, 0, option(cookie, clientCookie), option(cookie, "x")), opt(1232, 0, option(cookie, "x"), option(cookie, clientCookie)),
			opt(1232, 0, option(zoneVersion, "\x02\x00\x00\x00\x00\x01")), opt(1232, 0, option(zoneVersion, "x")), opt(1232, 0x8000, option(zoneVersion, ""), option(nsid, ""), option(cookie, clientCookie)), opt(512, 0x8000, option(zoneVersion, ""), option(nsid, ""), option(cookie, clientCookie)),
		} {
			add(fmt.Sprint("additional record ", i), question(0x0100, labels(name), dns.TypeA, o))
		}
		for code := range uint16(24) {
			for n := range 5 {
				add(fmt.Sprint("option ", code, " of ", n, " bytes"), question(0, labels(name), dns.TypeA, opt(1232, 0, option(code, strings.Repeat("\x00", n)))))
			}
		}
		for n := range 42 {
			add(fmt.Sprint("a cookie of ", n, " bytes"), question(0, labels(name), dns.TypeA, opt(1232, 0, option(cookie, strings.Repeat("c", n)))))
		}
		for family := range 4 {
			for _, source := range []int{0, 1, 8, 24, 31, 32, 33, 56, 128, 129, 255} {
				for _, scope := range []byte{0, 1, 24} {
					for more := range 3 {
						bytes := (source+7)/8 + more - 1
						if bytes < 0 {
							continue
						}
						for _, fill := range []string{"\x00", "\xff", "\x80"} {
							add(fmt.Sprint("family ", family, ", ", source, " bits, scope ", scope, ", ", bytes, " bytes of ", fill), question(0, labels(name), dns.TypeA, opt(1232, 0, option(subnet, "\x00"+string([]byte{byte(family), byte(source), scope})+strings.Repeat(fill, bytes)))))
						}
					}
				}
			}
		}
	}
	// Sizes.
	for _, name := range []string{web, "mail.example.com", "example.org"} {
		for _, n := range []int{0, 300, 400, 440, 450, 460, 470, 500, 1200, 3000, 4000, 4020, 4030, 4040, 4050, 4060, 5000, 9000, 30000, 65400} {
			add(fmt.Sprint(n, " bytes of padding"), question(0x0100, labels(name), dns.TypeA, opt(1232, 0, option(padding, strings.Repeat("\x00", n)))))
			add(fmt.Sprint(n, " bytes behind the message"), append(question(0x0100, labels(name), dns.TypeA, ""), make([]byte, n)...))
		}
	}
	for _, n := range []int{0, 1, 2, 11, 12, 13, 16, 17, 28, 100, 511, 512, 513, 1232, 4095, 4096, 4097, 65507} {
		add(fmt.Sprint(n, " zeros"), make([]byte, n))
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		add(fmt.Sprint(n, " random bytes"), p)
	}
	return out
}

// garbage is packets that were good once, and bytes that never were.
func garbage(r *rand.Rand, good []packet, n int) (out []packet) {
	for range n {
		p := slices.Clone(good[r.IntN(len(good))].bytes)
		for range 1 + r.IntN(3) {
			if len(p) < 13 {
				break
			}
			at := 2 + r.IntN(len(p)-2)
			if r.IntN(4) > 0 { // mostly behind the header
				at = 12 + r.IntN(len(p)-12)
			}
			switch r.IntN(6) {
			case 0:
				p[at] ^= 1 << r.IntN(8)
			case 1:
				p[at] = byte(r.Uint32())
			case 2:
				p = slices.Delete(p, at, min(at+1+r.IntN(3), len(p)))
			case 3:
				p = slices.Insert(p, at, byte(r.Uint32()))
			case 4:
				p[at] = []byte{0, 1, 0x3f, 0x40, 0xc0, 0xff}[r.IntN(6)]
			case 5:
				p = p[:at]
			}
		}
		out = append(out, packet{"spoilt", p})
	}
	for range n / 4 {
		p := make([]byte, r.IntN(80))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		out = append(out, packet{"random", p})
		if len(p) > 12 {
			q := slices.Clone(p)
			copy(q[2:], "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00")
			q[11] = byte(r.IntN(2))
			out = append(out, packet{"random behind a good header", q})
		}
	}
	return out
}
