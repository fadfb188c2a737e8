package message_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
)

// types are those of the questions of TestAnswer.
var types = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeSRV, dns.TypeANY, dns.TypeTXT, 65535}

// opts are its OPT records.
var opts = []string{
	"",
	opt(0, 0),
	opt(512, 0),
	opt(1200, 0x8000),
	opt(1232, 0x7fff, option(unknown, "abc")),
	opt(65535, 0xff00_ffff, option(zoneVersion, ""), option(nsid, ""), option(cookie, clientCookie+serverCookie)),
	opt(700, 0, option(cookie, clientCookie)),
}

// Every name is asked for, in the case of letters that a resolver might use; what
// comes is what the library would have made of the same answer.
func TestAnswer(t *testing.T) {
	n := 0
	for i := range realms {
		for _, name := range asked {
			if realms[i].name != "." {
				name += "."
			}
			name += realms[i].name
			if _, err := dnsname.Parse(name); err != nil {
				continue
			}
			for j, qtype := range types {
				q := ask(mixed(name), qtype)
				q.flags = []uint16{0, 0x0100, 0x0110, 0x07ff}[n%4]
				// Another one for each type of each name: there are twenty scopes.
				if o := opts[(j+n/len(types))%len(opts)]; o != "" {
					q = q.with(o)
				}
				check(t, q.packet(), byte(i), uint32(n))
				n++
			}
		}
	}
	t.Log(n, "questions")
}

func mixed(name string) string {
	b := []byte(name)
	for i, c := range b {
		if i%3 != 1 && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// The question that the chain of plugins gets in place of one with an OPT record
// that it would stumble over.
func TestBare(t *testing.T) {
	x := extras()
	for _, tt := range []struct {
		name, opt string
		size      uint16 // of the OPT record
		limit     int
	}{
		{"no EDNS", "", 0, 512},
		{"EDNS", opt(1232, 0x7fff, option(unknown, "x")), 1232, 1232},
		{"DO", opt(4096, 0xff00_8000), 1232, 1232},
		{"too small", opt(100, 0), 512, 512},
		{"ZONEVERSION", opt(1200, 0, option(zoneVersion, "")), 1200 - 10, 1200},
		{"all options", opt(1232, 0x8000, option(zoneVersion, ""), option(cookie, clientCookie), option(nsid, "")), 1232 - 10 - 28 - 14, 1232},
		{"all options, little room", opt(512, 0, option(zoneVersion, ""), option(cookie, clientCookie), option(nsid, "")), 512, 512},
		{"a network", opt(1232, 0, option(subnet, "\x00\x01\x18\x00\xc0\x00\x02")), 1232, 1232},
		{"long", opt(1232, 0, option(padding, strings.Repeat("x", 3000))), 1232, 1232},
	} {
		q := ask("WWW.example.com.", dns.TypeMX)
		q.flags = 0x0130
		if tt.opt != "" {
			q = q.with(tt.opt)
		}
		p := q.packet()
		var read message.Question
		if got := read.Read(p); got != message.Plain {
			t.Fatalf("%s: reading %d", tt.name, got)
		}
		bare := read.Strip(p, &x)
		m := new(dns.Msg)
		if err := m.Unpack(bare.Bytes); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if bare.Limit != tt.limit || m.Id != id || m.Question[0].Name != "WWW.example.com." || m.Question[0].Qtype != dns.TypeMX || !m.RecursionDesired || !m.CheckingDisabled || !m.AuthenticatedData {
			t.Errorf("%s: limit %d, want %d\n%v", tt.name, bare.Limit, tt.limit, m)
		}
		o := m.IsEdns0()
		if (o != nil) != (tt.opt != "") || o != nil && (o.UDPSize() != tt.size || o.Do() != read.EDNS.DO || o.Hdr.Ttl&^0x8000 != 0 || (len(o.Option) != 0) != (tt.name == "a network")) {
			t.Errorf("%s: %v, want size %d", tt.name, o, tt.size)
		}
	}
}

func TestNote(t *testing.T) {
	e := message.EDNS{Present: true, Size: 4096, DO: true}
	b := message.Note(e.Header(nil, 1), 30, "NXNAME can't be asked for")
	message.Close(b)
	m := new(dns.Msg)
	if err := m.Unpack(append([]byte{11: 1}, b...)); err != nil {
		t.Fatal(err)
	}
	o := m.IsEdns0()
	if len(o.Option) != 1 || o.Option[0].String() != "30 (Invalid Query Type): (NXNAME can't be asked for)" && !strings.HasPrefix(o.Option[0].String(), "30") || o.ExtendedRcode() != 1<<4 || !o.Do() || o.UDPSize() != 1232 {
		t.Errorf("%v %+v", o, o.Option)
	}
}

// Whatever is asked, the answer can be read, is one to the question, and fits.
func FuzzAnswer(f *testing.F) {
	for i, name := range asked {
		if i%7 == 0 {
			q := ask(name+".example.com.", types[i%len(types)])
			if o := opts[i%len(opts)]; o != "" {
				q = q.with(o)
			}
			f.Add(q.packet(), byte(i), uint32(i))
		}
	}
	for _, tt := range reads {
		f.Add(tt.packet, byte(0), uint32(0))
	}
	f.Fuzz(check)
}

// extras are what every answer's OPT record could hold.
func extras() message.Extras {
	x := message.Extras{NSID: []byte("server one"), Serial: serial}
	copy(x.Cookie[:], serverCookie)
	return x
}

// check has a packet answered, and looks at what comes.
func check(t *testing.T, p []byte, which byte, turn uint32) {
	r := &realms[int(which)%len(realms)]
	buf := make([]byte, 4096)
	n := copy(buf, p)
	p = p[:n]
	var q message.Question
	x := extras()
	x.Labels = r.wire.Labels
	switch reading := q.Read(buf[:n]); reading {
	case message.Plain:
	case message.BadVersion:
		size := message.Version(buf, &q)
		if m := common(t, p, buf[:size], &q); m.Rcode != dns.RcodeBadVers || m.IsEdns0() == nil || len(m.IsEdns0().Option) != 0 || len(m.Answer)+len(m.Ns)+len(m.Extra) != 1 {
			t.Errorf("%v", m)
		}
		return
	case message.BadCookie, message.BadSubnet:
		size := message.Refuse(buf, &q, message.FormErr, &x)
		if m := common(t, p, buf[:size], &q); m.Rcode != dns.RcodeFormatError || len(m.Answer)+len(m.Ns)+len(m.Extra) != 1 {
			t.Errorf("%v", m)
		}
		return
	default:
		return
	}
	if !q.Plain() {
		return // it is presented otherwise
	}
	rel, ok := dnsname.Name(r.name).Under(q.Name.String())
	if !ok || rel == "" {
		return
	}
	a := answer.Resolve(r.snapshot, r.members, q.Labels(r.wire.Labels), answer.Type(q.Type), now)
	if a.Outcome == answer.NameError || a.Outcome == answer.NotReady {
		a.Service = nil // as package federation has it
	}
	short := slices.Clone(buf)
	if m := common(t, p, short[:message.Truncate(short, &q, &x)], &q); !m.Truncated || !m.Authoritative || m.Rcode != dns.RcodeSuccess || len(m.Answer)+len(m.Ns) != 0 {
		t.Errorf("%v", m)
	}
	var reply message.Reply
	reply.Begin(buf, &q, q.Limit(), &x)
	reply.In(&r.wire)
	reply.Answer(&a, &x, turn)
	size := len(reply.End())
	theirs := r.model(&q, &a, turn)
	m := common(t, p, buf[:size], &q)
	if m.Truncated && theirs.size+slack < q.Limit() {
		t.Errorf("%s %d: truncated at %d bytes, but the library needs %d:\n%v", q.Name.String(), q.Type, q.Limit(), theirs.size, theirs.Msg)
	}
	same(t, m, theirs.Msg)
	if o := m.IsEdns0(); o != nil && q.Limit() == message.MinSize && !slices.ContainsFunc(o.Option, func(o dns.EDNS0) bool { return o.Option() != dns.EDNS0EDE }) && theirs.size+slack > q.Limit() {
		return // it goes without options, rather than without records
	}
	options(t, m, &q, &x)
	if e, ok := q.EDNS.Subnet(); ok && m.IsEdns0() != nil {
		echoed(t, m, e)
	}
}

// echoed checks that the client's network comes back as it came.
func echoed(t *testing.T, m *dns.Msg, want netip.Prefix) {
	t.Helper()
	for _, o := range m.IsEdns0().Option {
		if o, ok := o.(*dns.EDNS0_SUBNET); ok {
			a, _ := netip.AddrFromSlice(o.Address)
			if want.Addr().Is4() {
				a = a.Unmap()
			}
			if netip.PrefixFrom(a, int(o.SourceNetmask)) != want {
				t.Errorf("network %v comes back as %v/%d", want, a, o.SourceNetmask)
			}
		}
	}
}

// slack is by how much names can be compressed better than they are: by looking
// for more than the domain, and the case of letters aside.
const slack = 100

// common checks what holds for any answer.
func common(t *testing.T, p, got []byte, q *message.Question) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(got); err != nil {
		t.Fatalf("the answer can't be read: %v\n%x\n%x", err, p, got)
	}
	if len(got) > q.Limit() {
		t.Errorf("%d bytes, and at most %d are taken\n%x", len(got), q.Limit(), p)
	}
	end := questionEnd(p)
	if !bytes.Equal(got[:2], p[:2]) || !bytes.Equal(got[12:min(end, len(got))], p[12:end]) {
		t.Errorf("another ID or question:\n%x\n%x", p[:end], got)
	}
	// Of the header only RD and CD are the question's; it has one question.
	if got[2]&0x81 != 0x80|p[2]&0x01 || got[3]&0xf0 != p[3]&0x10 || got[2]&0x78 != 0 || binary.BigEndian.Uint16(got[4:]) != 1 {
		t.Errorf("header %x answers %x", got[:12], p[:12])
	}
	o := m.IsEdns0()
	if (o != nil) != q.EDNS.Present {
		t.Fatalf("OPT record %v in answer to %+v", o, q.EDNS)
	}
	if o == nil {
		return m
	}
	if i := slices.IndexFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT }); i != len(m.Extra)-1 {
		t.Errorf("the OPT record isn't the last: %v", m.Extra)
	}
	flags := uint32(0)
	if q.EDNS.DO {
		flags = 0x8000
	}
	if o.UDPSize() != message.Payload || o.Hdr.Ttl&0x00ff_ffff != flags || o.Version() != 0 {
		t.Errorf("OPT record %v %08x in answer to %+v", o, o.Hdr.Ttl, q.EDNS)
	}
	return m
}

// options checks the options that were asked for.
func options(t *testing.T, m *dns.Msg, q *message.Question, x *message.Extras) {
	t.Helper()
	if !q.EDNS.Present {
		return
	}
	var got []string
	_, subnet := q.EDNS.Subnet()
	for _, o := range m.IsEdns0().Option {
		switch o := o.(type) {
		case *dns.EDNS0_EDE:
		case *dns.EDNS0_SUBNET:
			if subnet = false; o.SourceScope != x.Scope {
				t.Errorf("scope %d, want %d", o.SourceScope, x.Scope)
			}
		case *dns.EDNS0_COOKIE:
			got = append(got, "cookie "+o.Cookie)
		case *dns.EDNS0_NSID:
			got = append(got, "nsid "+o.Nsid)
		case *dns.EDNS0_ZONEVERSION:
			got = append(got, fmt.Sprintf("zoneversion %d %d %x", o.LabelCount, o.Type, o.Version))
		default:
			got = append(got, fmt.Sprintf("%T", o))
		}
	}
	if subnet {
		t.Error("the client's network isn't in the answer")
	}
	var want []string
	if client, _, ok := q.EDNS.Cookie(); ok {
		want = append(want, fmt.Sprintf("cookie %x%x", client, x.Cookie))
	}
	if q.EDNS.NSID {
		want = append(want, fmt.Sprintf("nsid %x", x.NSID))
	}
	if q.EDNS.ZoneVersion {
		want = append(want, fmt.Sprintf("zoneversion %d 0 %08x", x.Labels, x.Serial))
	}
	if !slices.Equal(got, want) {
		t.Errorf("options %q, want %q", got, want)
	}
}

// A model is the answer as the library writes it: all of it, whatever its size.
type model struct {
	*dns.Msg
	size int // packed, with the OPT record
}

func (r *realm) model(q *message.Question, a *answer.Answer, turn uint32) model {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Authoritative: a.Outcome != answer.NotReady}, Compress: true}
	m.Question = []dns.Question{{Name: q.Name.String(), Qtype: q.Type, Qclass: dns.ClassINET}}
	head := func(name string, t uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
	}
	under := func(name string) string {
		if name == "" {
			return r.name
		}
		if r.name == "." {
			return name + "."
		}
		return name + "." + r.name
	}
	name := func(t message.Target) string {
		s, _, err := dns.UnpackDomainName(append(slices.Clone(t.Labels), 0), 0)
		if err != nil {
			panic(err)
		}
		if s = strings.TrimSuffix(s, "."); t.Absolute {
			return s + "."
		}
		return under(s)
	}
	out := model{Msg: m}
	owner := q.Name.String()
	for c := range a.Chain() {
		to := under(a.Path.At(c))
		if _, err := dnsname.Parse(to); err != nil {
			continue // a short name can lead to one that is too long to exist
		}
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: head(owner, dns.TypeCNAME, a.TTL), Target: to})
		owner = to
	}
	addrs := func(owner string, v4 bool) (out []dns.RR) {
		for ip := range a.Addrs(v4, turn) {
			if ip.Is4() {
				out = append(out, &dns.A{Hdr: head(owner, dns.TypeA, a.TTL), A: ip.AsSlice()})
			} else {
				out = append(out, &dns.AAAA{Hdr: head(owner, dns.TypeAAAA, a.TTL), AAAA: ip.AsSlice()})
			}
		}
		return out
	}
	switch {
	case a.Outcome == answer.NotReady:
		m.Rcode = dns.RcodeServerFailure
	case a.Outcome != answer.Found:
		if a.Outcome == answer.NameError {
			m.Rcode = dns.RcodeNameError
		}
		s := &r.wire.SOA
		m.Ns = []dns.RR{&dns.SOA{Hdr: head(r.name, dns.TypeSOA, s.TTL), Ns: name(s.MName), Mbox: name(s.RName), Serial: serial, Refresh: s.Numbers[0], Retry: s.Numbers[1], Expire: s.Numbers[2], Minttl: s.Numbers[3]}}
	case q.Type == dns.TypeA || q.Type == dns.TypeAAAA:
		m.Answer = append(m.Answer, addrs(owner, q.Type == dns.TypeA)...)
	case q.Type == dns.TypeSRV:
		host := strings.SplitN(owner, ".", 3)[2]
		for p := range a.Targets(0) {
			to := host
			if p.Narrow {
				to = under(a.Path.Host(p.At))
			}
			if _, err := dnsname.Parse(to); err != nil {
				continue
			}
			m.Answer = append(m.Answer, &dns.SRV{Hdr: head(owner, dns.TypeSRV, a.TTL), Port: p.Port, Target: to})
			if !a.Parted() {
				continue
			}
			for ip := range a.Behind(p.At) {
				if ip.Is4() {
					m.Extra = append(m.Extra, &dns.A{Hdr: head(to, dns.TypeA, a.TTL), A: ip.AsSlice()})
				} else {
					m.Extra = append(m.Extra, &dns.AAAA{Hdr: head(to, dns.TypeAAAA, a.TTL), AAAA: ip.AsSlice()})
				}
			}
		}
		if !a.Parted() {
			m.Extra = append(addrs(host, true), addrs(host, false)...)
		}
	case q.Type == dns.TypeANY && a.Target:
		m.Answer = append(m.Answer, &dns.HINFO{Hdr: head(owner, dns.TypeHINFO, a.TTL), Cpu: "RFC8482"})
	}
	if q.EDNS.Present {
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		for n := range a.Notes() {
			o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: n.Code, ExtraText: n.String()})
		}
		m.Extra = append(m.Extra, o)
		out.size = 100 // the other options
	}
	out.size += m.Len()
	return out
}

// same compares an answer with the library's, but for what doesn't fit.
func same(t *testing.T, got, want *dns.Msg) {
	t.Helper()
	if got.Rcode != want.Rcode || got.Authoritative != want.Authoritative {
		t.Errorf("%s AA %v, want %s %v", dns.RcodeToString[got.Rcode], got.Authoritative, dns.RcodeToString[want.Rcode], want.Authoritative)
	}
	wantAnswer, wantExtra := lines(want.Answer), lines(want.Extra)
	wantNs := lines(want.Ns)
	if n := len(got.Answer); got.Truncated && n <= len(want.Answer) {
		// What doesn't fit isn't there, and what is behind it: whole sets.
		if n < len(want.Answer) && n > 0 && want.Answer[n].Header().Rrtype == want.Answer[n-1].Header().Rrtype && want.Answer[n].Header().Name == want.Answer[n-1].Header().Name {
			t.Errorf("%v: a part of a set\n%v", want.Question, got.Answer)
		}
		wantAnswer, wantNs, wantExtra = wantAnswer[:n], nil, lines(onlyOPT(want.Extra))
	}
	gotExtra := lines(got.Extra)
	if len(want.Answer) > 0 && len(gotExtra) == len(lines(onlyOPT(want.Extra))) { // additional addresses are dispensable
		wantExtra = lines(onlyOPT(want.Extra))
	}
	for _, s := range []struct {
		name      string
		got, want []string
	}{{"answer", lines(got.Answer), wantAnswer}, {"authority", lines(got.Ns), wantNs}, {"additional", gotExtra, wantExtra}} {
		if !slices.Equal(s.got, s.want) {
			t.Errorf("%v: %s\n%s\nwant\n%s", want.Question, s.name, strings.Join(s.got, "\n"), strings.Join(s.want, "\n"))
		}
	}
}

// onlyOPT are the OPT records of a section.
func onlyOPT(rrs []dns.RR) (out []dns.RR) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeOPT {
			out = append(out, rr)
		}
	}
	return out
}

// lines are records as text, in lower case, in their order; of an OPT record the
// extended errors.
func lines(rrs []dns.RR) (out []string) {
	for _, rr := range rrs {
		o, ok := rr.(*dns.OPT)
		if !ok {
			out = append(out, strings.ToLower(rr.String()))
			continue
		}
		s := "OPT"
		for _, option := range o.Option {
			if e, ok := option.(*dns.EDNS0_EDE); ok {
				s += " " + e.String()
			}
		}
		out = append(out, s)
	}
	return out
}
