package message_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
)

// reads are packets with what they are read as. Everything that is Foreign is read
// once more by who knows all of DNS: to be so is no error, to be Plain can be one.
var reads = []struct {
	name   string
	packet []byte
	want   message.Parsed
}{
	// RFC 1035 section 4.1.1: the header.
	{"nothing", nil, message.Ignore},
	{"half a header", make([]byte, 11), message.Ignore},
	{"a header", make([]byte, 12), message.Unsupported},
	{"a header that promises a question", []byte{5: 1, 11: 0}, message.Unsupported},
	{"a question", ask("www.example.com.", dns.TypeA).packet(), message.Plain},
	{"a question of an unknown type", ask("www.example.com.", 65535).packet(), message.Plain},
	{"an answer", flagged(0x8000).packet(), message.Ignore},
	{"an answer of another opcode", flagged(0xa800).packet(), message.Ignore},
	{"opcode 1", flagged(1 << 11).packet(), message.Unsupported},
	{"STATUS", flagged(2 << 11).packet(), message.Unsupported},
	{"NOTIFY", flagged(4 << 11).packet(), message.Unsupported},
	{"UPDATE", flagged(5 << 11).packet(), message.Unsupported},
	{"opcode 8", flagged(8 << 11).packet(), message.Unsupported},
	{"opcode 15", flagged(15 << 11).packet(), message.Unsupported},
	{"AA, TC, RA, Z, AD, CD and a response code", flagged(0x07ff).packet(), message.Plain},
	{"QDCOUNT 0", counted(0, 0, 0, 0), message.Unsupported},
	{"QDCOUNT 2", counted(2, 0, 0, 0), message.Unsupported},
	{"QDCOUNT 257", counted(257, 0, 0, 0), message.Unsupported},
	{"ANCOUNT 1", counted(1, 1, 0, 0), message.Unsupported},
	{"ANCOUNT 256", counted(1, 256, 0, 0), message.Unsupported},
	{"NSCOUNT 1", counted(1, 0, 1, 0), message.Unsupported},
	{"NSCOUNT 256", counted(1, 0, 256, 0), message.Unsupported},
	{"ARCOUNT 1, and nothing there", counted(1, 0, 0, 1), message.Unsupported},
	{"ARCOUNT 2", counted(1, 0, 0, 2), message.Unsupported},
	{"ARCOUNT 256", counted(1, 0, 0, 256), message.Unsupported},
	{"ARCOUNT 257", counted(1, 0, 0, 257), message.Unsupported},
	{"an OPT record that isn't counted", bare(opt(1232, 0)), message.Plain},
	{"class CH", classed(dns.ClassCHAOS), message.Unsupported},
	{"class ANY", classed(dns.ClassANY), message.Unsupported},
	{"class NONE", classed(dns.ClassNONE), message.Unsupported},
	{"class 0", classed(0), message.Unsupported},
	{"class 257", classed(257), message.Unsupported},

	// RFC 1035 section 4.1.2 and 2.3.4: the name.
	{"the root", ask(".", dns.TypeNS).packet(), message.Plain},
	{"upper case", ask("WwW.eXaMpLe.CoM.", dns.TypeA).packet(), message.Plain},
	{"a label of 63 bytes", ask(strings.Repeat("x", 63)+".example.com.", dns.TypeA).packet(), message.Plain},
	{"a label of 64 bytes", named("\x40" + strings.Repeat("x", 64) + "\x00"), message.Unsupported},
	{"a label of 127 bytes", named("\x7f" + strings.Repeat("x", 127) + "\x00"), message.Unsupported},
	{"a label of kind 0x80", named("\x80" + strings.Repeat("x", 128) + "\x00"), message.Unsupported},
	{"255 bytes", named(long(255)), message.Plain},
	{"256 bytes", named(long(256)), message.Unsupported},
	{"257 bytes", named(long(257)), message.Unsupported},
	{"127 labels", named(strings.Repeat("\x01x", 127) + "\x00"), message.Plain},
	{"128 labels", named(strings.Repeat("\x01x", 128) + "\x00"), message.Unsupported},
	{"400 labels", named(strings.Repeat("\x01x", 400) + "\x00"), message.Unsupported},
	{"a pointer to itself", named("\xc0\x0c"), message.Unsupported},
	{"a pointer to itself behind a label", named("\x01x\xc0\x0e"), message.Unsupported},
	{"a pointer to its own label", named("\x01x\xc0\x0c"), message.Unsupported},
	{"a pointer forward", named("\xc0\x10"), message.Unsupported},
	{"a pointer out of the packet", named("\xff\xff"), message.Unsupported},
	{"a pointer into the header", named("\x03www\xc0\x02"), message.Unsupported},
	{"half a pointer", ask(".", 0).packet()[:13], message.Unsupported},

	// RFC 6891 section 6.1: the OPT record.
	{"EDNS", edns(opt(1232, 0)), message.Plain},
	{"DO", edns(opt(1232, 0x8000)), message.Plain},
	{"unknown flags", edns(opt(1232, 0x7fff)), message.Plain},
	{"an extended response code", edns(opt(1232, 0xff00_0000)), message.Plain},
	{"version 1", edns(opt(1232, 0x0001_0000)), message.BadVersion},
	{"version 255", edns(opt(1232, 0x00ff_0000)), message.BadVersion},
	{"version 1, with half an option", edns(opt(1232, 0x0001_0000, "\x00")), message.BadVersion},
	{"version 1, longer than the packet", edns(short(opt(1232, 0x0001_0000, "abcd"))), message.Unsupported},
	{"a name that isn't the root", edns("\x01x" + opt(1232, 0)), message.Unsupported},
	{"a pointer to the root", edns("\xc0\x1c" + opt(1232, 0)[1:]), message.Unsupported},
	{"another record", edns("\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01"), message.Unsupported},
	{"half an OPT record", edns(opt(1232, 0)[:10]), message.Unsupported},
	{"longer than the packet", edns(short(opt(1232, 0, "abcd"))), message.Unsupported},
	{"bytes behind it", edns(opt(1232, 0) + "trailing"), message.Plain},
	{"half an option", edns(opt(1232, 0, "\x00\x64\x00")), message.Unsupported},
	{"half an option behind a whole one", edns(opt(1232, 0, option(unknown, "x"), "\x00")), message.Unsupported},
	{"an option longer than the record", edns(opt(1232, 0, "\x00\x64\x00\x02x")), message.Unsupported},
	{"an option longer than the record, with bytes behind it", edns(opt(1232, 0, "\x00\x64\x00\x02x") + "yz"), message.Unsupported},
	{"an unknown option", edns(opt(1232, 0, option(unknown, ""))), message.Plain},
	{"option 0", edns(opt(1232, 0, option(0, "abc"))), message.Plain},
	{"option 65535", edns(opt(1232, 0, option(65535, "abc"))), message.Plain},
	{"two options", edns(opt(1232, 0, option(unknown, "abc"), option(nsid, ""))), message.Plain},
	{"padding", edns(opt(1232, 0, option(padding, strings.Repeat("\x00", 3000)))), message.Plain},
	{"NSID", edns(opt(1232, 0, option(nsid, ""))), message.Plain},
	{"NSID with data", edns(opt(1232, 0, option(nsid, "x"))), message.Plain},
	{"ZONEVERSION", edns(opt(1232, 0, option(zoneVersion, ""))), message.Plain},
	{"ZONEVERSION with data", edns(opt(1232, 0, option(zoneVersion, "\x02\x00\x00\x00\x00\x01"))), message.Plain},
	{"options that are FORMERR elsewhere", edns(opt(1232, 0, option(9, "x"), option(11, "x"), option(2, "x"), option(15, "x"), option(16, "x"), option(17, "x"))), message.Plain},

	// RFC 7871 section 6: the client's network.
	{"a network", edns(opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00\x02"))), message.Plain},
	{"a host", edns(opt(1232, 0, option(subnet, "\x00\x01\x20\x00\xc0\x00\x02\x01"))), message.Plain},
	{"all networks", edns(opt(1232, 0, option(subnet, "\x00\x01\x00\x00"))), message.Plain},
	{"all networks of IPv6", edns(opt(1232, 0, option(subnet, "\x00\x02\x00\x00"))), message.Plain},
	{"a network of IPv6", edns(opt(1232, 0, option(subnet, "\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x00\x00"))), message.Plain},
	{"a host of IPv6", edns(opt(1232, 0, option(subnet, "\x00\x02\x80\x00"+strings.Repeat("\xff", 16)))), message.Plain},
	{"20 bits", edns(opt(1232, 0, option(subnet, "\x00\x01\x14\x00\xc0\x00\xf0"))), message.Plain},
	{"family 0, which has no networks", edns(opt(1232, 0, option(subnet, "\x00\x00\x00\x00"))), message.Plain},
	{"family 0 with a network", edns(opt(1232, 0, option(subnet, "\x00\x00\x08\x00\x0a"))), message.BadSubnet},
	{"family 3", edns(opt(1232, 0, option(subnet, "\x00\x03\x00\x00"))), message.BadSubnet},
	{"family 258", edns(opt(1232, 0, option(subnet, "\x01\x02\x00\x00"))), message.BadSubnet},
	{"a network of 33 bits", edns(opt(1232, 0, option(subnet, "\x00\x01\x21\x00\xc0\x00\x02\x01\x80"))), message.BadSubnet},
	{"a network of 129 bits", edns(opt(1232, 0, option(subnet, "\x00\x02\x81\x00"+strings.Repeat("\xff", 17)))), message.BadSubnet},
	{"a scope", edns(opt(1232, 0, option(subnet, "\x00\x01\x18\x18\xc0\x00\x02"))), message.BadSubnet},
	{"too few bytes of an address", edns(opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00"))), message.BadSubnet},
	{"too many bytes of an address", edns(opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00\x02\x00"))), message.BadSubnet},
	{"an address for no network", edns(opt(1232, 0, option(subnet, "\x00\x01\x00\x00\x00"))), message.BadSubnet},
	{"a bit beyond the network", edns(opt(1232, 0, option(subnet, "\x00\x01\x14\x00\xc0\x00\xf8"))), message.BadSubnet},
	{"the last bit beyond the network", edns(opt(1232, 0, option(subnet, "\x00\x01\x19\x00\xc0\x00\x02\x81"))), message.BadSubnet},
	{"no network at all", edns(opt(1232, 0, option(subnet, ""))), message.BadSubnet},
	{"three bytes", edns(opt(1232, 0, option(subnet, "\x00\x01\x00"))), message.BadSubnet},
	{"a good network and a bad one", edns(opt(1232, 0, option(subnet, "\x00\x01\x00\x00"), option(subnet, ""))), message.BadSubnet},
	{"a bad cookie and a bad network", edns(opt(1232, 0, option(cookie, ""), option(subnet, ""))), message.BadSubnet},
	{"a bad cookie and half an option", edns(opt(1232, 0, option(cookie, ""), "\x00")), message.Unsupported},

	// RFC 7873 section 5.2; the lengths of a cookie are in TestCookieLengths.
	{"a bad cookie and others", edns(opt(1232, 0, option(cookie, "x"), option(nsid, ""))), message.BadCookie},
	{"a cookie in a later version", edns(opt(1232, 0x0001_0000, option(cookie, "x"))), message.BadVersion},
}

func flagged(flags uint16) query {
	q := ask("www.example.com.", dns.TypeA)
	q.flags = flags
	return q
}

func counted(qd, an, ns, ar uint16) []byte {
	q := ask("www.example.com.", dns.TypeA)
	q.counts = [4]uint16{qd, an, ns, ar}
	return q.packet()
}

func classed(class uint16) []byte {
	q := ask("www.example.com.", dns.TypeA)
	q.class = class
	return q.packet()
}

// named asks for a name on the wire.
func named(name string) []byte {
	q := ask(".", dns.TypeA)
	q.name = name
	return q.packet()
}

// edns asks with an additional record.
func edns(record string) []byte { return ask("www.example.com.", dns.TypeA).with(record).packet() }

// bare asks with bytes behind the question that the header doesn't speak of.
func bare(behind string) []byte {
	q := ask("www.example.com.", dns.TypeA)
	q.behind = behind
	return q.packet()
}

// short is a record without its last byte.
func short(record string) string { return record[:len(record)-1] }

// long is a name of n bytes on the wire.
func long(n int) string {
	var b strings.Builder
	for n > 1 {
		size := min(n-2, 63)
		if n-2-size == 1 { // no room for a label, but a byte to fill
			size--
		}
		b.WriteString(label(strings.Repeat("x", size)))
		n -= size + 1
	}
	b.WriteByte(0)
	return b.String()
}

func TestRead(t *testing.T) {
	for _, tt := range reads {
		var q message.Question
		if got := q.Read(tt.packet); got != tt.want {
			t.Errorf("%s: reading %d, want %d\n%x", tt.name, got, tt.want, tt.packet)
		}
		agree(t, tt.packet)
	}
}

// No part of a good packet is one, and none is too short to be looked at.
func TestTruncated(t *testing.T) {
	for _, tt := range reads {
		whole := bytes.TrimSuffix(tt.packet, []byte("trailing"))
		if i := bytes.Index(whole, []byte(opt(1232, 0))); i > 0 && whole[11] == 0 {
			whole = whole[:i]
		}
		for n := range whole {
			var q message.Question
			// Capped, so that a look beyond the end is a panic.
			if got := q.Read(whole[:n:n]); got == message.Plain || got == message.BadCookie {
				t.Errorf("%s: the first %d of %d bytes are read as %d\n%x", tt.name, n, len(whole), got, whole[:n])
			}
		}
	}
}

// A byte of a label is Plain if it stands for itself in presentation form, where
// letters are in lower case; all others are left to who knows how to escape them.
func TestBytes(t *testing.T) {
	for c := range 256 {
		for _, name := range []string{"%s", "a%s", "%sz", "a%sz"} {
			l := strings.Replace(name, "%s", string([]byte{byte(c)}), 1)
			p := named(label(l) + labels("example.com."))
			m := new(dns.Msg)
			if err := m.Unpack(p); err != nil {
				t.Fatal(err)
			}
			presented := m.Question[0].Name
			plain := !strings.Contains(presented, `\`)
			var q message.Question
			if got := q.Read(p); got != message.Plain || q.Plain() != plain {
				t.Errorf("byte %d in %q: reading %d, plain %v, want %v", c, presented, got, q.Plain(), plain)
			} else if plain && q.Name.String() != strings.ToLower(presented) {
				t.Errorf("byte %d: %q, want %q", c, q.Name.String(), strings.ToLower(presented))
			}
		}
	}
}

func TestName(t *testing.T) {
	var q message.Question
	if got := q.Read(ask("_HTTP._tcp.Web.shop.EXAMPLE.com.", dns.TypeSRV).packet()); got != message.Plain {
		t.Fatal(got)
	}
	if got := fmt.Sprint(q.Name.String(), q.Labels(0), q.Labels(2), q.Labels(6), q.Suffix(0), q.Suffix(4), q.Suffix(5)); got !=
		"_http._tcp.web.shop.example.com.[_http _tcp web shop example com] [_http _tcp web shop] []_http._tcp.web.shop.example.com.example.com.com." {
		t.Error(got)
	}
	if got := q.Read(ask(".", dns.TypeNS).packet()); got != message.Plain || q.Name.String() != "." || len(q.Labels(0)) != 0 {
		t.Errorf("the root: %d %q %q", got, q.Name.String(), q.Labels(0))
	}
}

// RFC 7873 section 5.2: 8 bytes, or 16 to 40; all else is FORMERR.
func TestCookieLengths(t *testing.T) {
	for n := range 42 {
		data := strings.Repeat("\x07", n)
		want := message.BadCookie
		if n == 8 || n >= 16 && n <= 40 {
			want = message.Plain
		}
		var q message.Question
		got := q.Read(edns(opt(1232, 0, option(cookie, data))))
		if got != want {
			t.Errorf("%d bytes: reading %d, want %d", n, got, want)
		}
		client, server, ok := q.EDNS.Cookie()
		if ok != (want == message.Plain) || ok && string(client)+string(server) != data {
			t.Errorf("%d bytes: %x %x %v", n, client, server, ok)
		}
	}
}

// RFC 7873 section 5.2: of several COOKIE options the first counts.
func TestCookies(t *testing.T) {
	first, second := option(cookie, clientCookie+serverCookie), option(cookie, "87654321")
	for _, tt := range []struct {
		name    string
		options []string
		want    message.Parsed
	}{
		{"one", []string{first}, message.Plain},
		{"two", []string{first, second}, message.Plain},
		{"a good one and a bad one", []string{first, option(cookie, "x")}, message.Plain},
		{"a bad one and a good one", []string{option(cookie, "x"), first}, message.BadCookie},
	} {
		var q message.Question
		got := q.Read(edns(opt(1232, 0, tt.options...)))
		if got != tt.want {
			t.Errorf("%s: reading %d, want %d", tt.name, got, tt.want)
		}
		if got != message.Plain {
			continue
		}
		client, server, ok := q.EDNS.Cookie()
		if string(client) != clientCookie || string(server) != serverCookie || !ok {
			t.Errorf("%s: %q %q %v", tt.name, client, server, ok)
		}
		q.EDNS.NoCookie()
		if _, _, ok := q.EDNS.Cookie(); ok {
			t.Errorf("%s: it isn't forgotten", tt.name)
		}
	}
}

func TestEDNS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opt   string
		want  message.EDNS
		limit int
	}{
		{"none", "", message.EDNS{}, 512},
		{"0", opt(0, 0), message.EDNS{Present: true}, 512},
		{"100", opt(100, 0), message.EDNS{Present: true, Size: 100}, 512},
		{"511", opt(511, 0), message.EDNS{Present: true, Size: 511}, 512},
		{"512", opt(512, 0), message.EDNS{Present: true, Size: 512}, 512},
		{"513", opt(513, 0), message.EDNS{Present: true, Size: 513}, 513},
		{"1232", opt(1232, 0), message.EDNS{Present: true, Size: 1232}, 1232},
		{"1233", opt(1233, 0), message.EDNS{Present: true, Size: 1233}, 1232},
		{"4096", opt(4096, 0), message.EDNS{Present: true, Size: 4096}, 1232},
		{"65535", opt(65535, 0), message.EDNS{Present: true, Size: 65535}, 1232},
		{"DO", opt(1232, 0x8000), message.EDNS{Present: true, Size: 1232, DO: true}, 1232},
		{"all flags but DO", opt(1232, 0x7fff), message.EDNS{Present: true, Size: 1232}, 1232},
		{"NSID", opt(1232, 0, option(nsid, "")), message.EDNS{Present: true, Size: 1232, NSID: true}, 1232},
		{"ZONEVERSION", opt(1232, 0, option(zoneVersion, "")), message.EDNS{Present: true, Size: 1232, ZoneVersion: true}, 1232},
		{"both", opt(1232, 0, option(zoneVersion, ""), option(unknown, "x"), option(nsid, "x")), message.EDNS{Present: true, Size: 1232, NSID: true, ZoneVersion: true}, 1232},
	} {
		q := filled(t)
		p := edns(tt.opt)
		if tt.opt == "" {
			p = bare("")
		}
		if got := q.Read(p); got != message.Plain {
			t.Errorf("%s: reading %d", tt.name, got)
		}
		if q.EDNS != tt.want || q.Limit() != tt.limit {
			t.Errorf("%s: %+v limit %d, want %+v limit %d", tt.name, q.EDNS, q.Limit(), tt.want, tt.limit)
		}
	}
}

// A packet that is Foreign leaves nothing of the one before: whose cookie it was
// would speak for whoever sent this one.
func TestForeignForgets(t *testing.T) {
	for _, tt := range reads {
		if tt.want != message.Unsupported {
			continue
		}
		q := filled(t)
		q.Read(tt.packet)
		if _, _, ok := q.EDNS.Cookie(); q.EDNS.Size == 4711 || ok {
			t.Errorf("%s: the packet before is left: %+v", tt.name, q.EDNS)
		}
	}
}

// filled is a question that has read much.
func filled(t testing.TB) *message.Question {
	t.Helper()
	var q message.Question
	p := ask(strings.Repeat("a.", 60)+strings.Repeat("Z", 60)+".before.example.net.", 4711).
		with(opt(4711, 0x8000, option(nsid, ""), option(zoneVersion, ""), option(cookie, clientCookie+serverCookie))).packet()
	if got := q.Read(p); got != message.Plain {
		t.Fatal("what is to be forgotten can't be read: ", got)
	}
	return &q
}

// agree checks what a packet is read as against what the library makes of it, and
// that nothing of the packet before is left.
func agree(t *testing.T, p []byte) {
	t.Helper()
	before := bytes.Clone(p)
	var q message.Question
	got := q.Read(p[:len(p):len(p)])
	if !bytes.Equal(p, before) {
		t.Fatalf("the packet was changed:\n%x\n%x", before, p)
	}
	used := filled(t)
	again := used.Read(p)
	if again != got || again != message.Ignore && again != message.Unsupported && (used.EDNS != q.EDNS || used.Name.String() != q.Name.String() || used.Type != q.Type || fmt.Sprint(used.Labels(0)) != fmt.Sprint(q.Labels(0))) {
		t.Errorf("after another packet: %d %+v, want %d %+v\n%x", again, used.EDNS, got, q.EDNS, p)
	}
	if (got == message.Ignore) != (len(p) < 12 || p[2]&0x80 != 0) {
		t.Errorf("reading %d\n%x", got, p)
	}
	if got == message.Ignore || got == message.Unsupported {
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(p); err != nil {
		if o := q.EDNS; !o.Present {
			t.Errorf("reading %d, and the library says %v\n%x", got, err, p)
		}
		return // options that are put together wrongly are passed over here
	}
	if len(m.Question) != 1 {
		t.Fatalf("reading %d, and the library finds %d questions\n%x", got, len(m.Question), p)
	}
	theirs := m.Question[0]
	if q.Name.Plain() && q.Name.String() != strings.ToLower(theirs.Name) || q.Type != theirs.Qtype || theirs.Qclass != dns.ClassINET {
		t.Errorf("%s type %d, and the library reads %v\n%x", q.Name.String(), q.Type, theirs, p)
	}
	// What needs escapes is the same on the wire.
	wire := make([]byte, 256)
	end, err := dns.PackDomainName(strings.ToLower(theirs.Name), wire, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var ours []byte
	for _, l := range q.Labels(0) {
		ours = append(append(ours, byte(len(l))), l...)
	}
	if ours = append(ours, 0); !bytes.Equal(ours, wire[:end]) {
		t.Errorf("%x, and the library reads %x\n%x", ours, wire[:end], p)
	}
	if got := strings.Join(append(q.Labels(0), ""), "."); q.Name.String() != "." && got != q.Name.String() {
		t.Errorf("labels %q of %s", got, q.Name.String())
	}
	o := m.IsEdns0()
	if (o != nil) != q.EDNS.Present {
		t.Fatalf("OPT record %v, and the library finds %v\n%x", q.EDNS.Present, o, p)
	}
	if o == nil {
		return
	}
	if o.Do() != q.EDNS.DO || o.UDPSize() != q.EDNS.Size || (o.Version() != 0) != (got == message.BadVersion) {
		t.Errorf("reading %d %+v, and the library reads %v\n%x", got, q.EDNS, o, p)
	}
	if got != message.Plain {
		return
	}
	asks := map[uint16]bool{}
	for _, option := range o.Option {
		asks[option.Option()] = true
	}
	if _, _, ok := q.EDNS.Cookie(); ok != asks[dns.EDNS0COOKIE] || q.EDNS.NSID != asks[dns.EDNS0NSID] || q.EDNS.ZoneVersion != asks[zoneVersion] {
		t.Errorf("%+v, and the library reads %v\n%x", q.EDNS, o, p)
	}
}
