package fast

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A view is an answer as whoever asked sees it, by its aspects: two answers are the
// same if their views are.
type view map[string]string

// look makes a view of the answer to a packet. The serial is the server's own, and
// stands for itself.
func look(p, raw []byte, serial uint32) view {
	if raw == nil {
		return view{"silence": "yes"}
	}
	v := view{}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		return view{"broken": fmt.Sprintf("%v: %x", err, raw)}
	}
	if len(raw) < 12 {
		return view{"broken": fmt.Sprintf("%x", raw)}
	}
	v["rcode"] = dns.RcodeToString[m.Rcode]
	if m.Rcode == dns.RcodeBadVers { // the library calls it by what else it stands for
		v["rcode"] = "BADVERS"
	}
	v["opcode"] = dns.OpcodeToString[m.Opcode]
	for i, name := range []string{"rcode", "rcode", "rcode", "rcode", "CD", "AD", "Z", "RA", "RD", "TC", "AA"} {
		if i >= 4 && binary.BigEndian.Uint16(raw[2:])&(1<<i) != 0 {
			v[name] = "1"
		}
	}
	if raw[2]&0x80 == 0 {
		v["QR"] = "0"
	}
	v["question"] = questionOf(raw)
	for name, rrs := range map[string][]dns.RR{"answer": m.Answer, "authority": m.Ns, "additional": m.Extra} {
		v[name] = section(rrs, serial)
	}
	v["counts"] = fmt.Sprint(binary.BigEndian.Uint16(raw[4:]), len(m.Answer), len(m.Ns), len(m.Extra))
	if want := fmt.Sprint(binary.BigEndian.Uint16(raw[4:]), binary.BigEndian.Uint16(raw[6:]), binary.BigEndian.Uint16(raw[8:]), binary.BigEndian.Uint16(raw[10:])); v["counts"] != want {
		v["broken"] = "the header speaks of other records than there are"
	}
	delete(v, "counts")
	n := 0
	for _, rr := range m.Extra {
		o, ok := rr.(*dns.OPT)
		if !ok {
			continue
		}
		n++
		v["size"] = fmt.Sprint(o.UDPSize())
		v["version"] = fmt.Sprint(o.Version())
		v["DO"] = fmt.Sprint(o.Do())
		v["eflags"] = fmt.Sprintf("%04x", o.Hdr.Ttl&0x7fff)
		for _, option := range o.Option {
			v.option(option)
		}
	}
	v["OPT"] = fmt.Sprint(n)
	maps.DeleteFunc(v, func(_, s string) bool { return s == "" })
	return v
}

// option makes an aspect of an option.
func (v view) option(option dns.EDNS0) {
	switch o := option.(type) {
	case *dns.EDNS0_EDE:
		v["EDE"] += fmt.Sprintf("%d %s; ", o.InfoCode, o.ExtraText)
	case *dns.EDNS0_COOKIE:
		// The server's part has the time in it.
		v["COOKIE"] += fmt.Sprintf("%.16s and %d bytes; ", o.Cookie, len(o.Cookie)/2-8)
	case *dns.EDNS0_NSID:
		v["NSID"] += o.Nsid + "; "
	case *dns.EDNS0_ZONEVERSION:
		v["ZONEVERSION"] += fmt.Sprintf("%d labels, type %d, %d bytes; ", o.LabelCount, o.Type, len(o.Version))
	default:
		v["options"] += fmt.Sprintf("%d %s; ", option.Option(), option)
	}
}

// questionOf is the question section as it stands in an answer.
func questionOf(raw []byte) string {
	at := 12
	for range binary.BigEndian.Uint16(raw[4:]) {
		for at < len(raw) && raw[at] != 0 && raw[at] < 64 {
			at += 1 + int(raw[at])
		}
		if at < len(raw) && raw[at] >= 64 {
			at++
		}
		at += 5
	}
	return fmt.Sprintf("%x", raw[12:max(12, min(at, len(raw)))])
}

// section is a section of a message but for OPT records: one record a line, in
// lower case, and the addresses of one name, which rotate, in their order.
func section(rrs []dns.RR, serial uint32) string {
	type set struct {
		name   string
		rrtype uint16
	}
	var lines []string
	var last set
	from := 0
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		if s, ok := rr.(*dns.SOA); ok && s.Serial == serial {
			c := *s
			c.Serial = 0
			rr = &c
		}
		this := set{strings.ToLower(h.Name), h.Rrtype}
		if this != last || h.Rrtype != dns.TypeA && h.Rrtype != dns.TypeAAAA {
			slices.Sort(lines[from:])
			from = len(lines)
		}
		last = this
		lines = append(lines, strings.ToLower(rr.String()))
	}
	slices.Sort(lines[from:])
	return strings.Join(lines, "\n")
}

// differ lists the aspects in which two views differ.
func differ(a, b view) []string {
	var out []string
	for k := range a {
		if a[k] != b[k] {
			out = append(out, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// lines prints some aspects of two views.
func lines(aspects []string, fast, chain view) string {
	var b strings.Builder
	for _, k := range aspects {
		fmt.Fprintf(&b, "\t%s:\n\t\tfast  %q\n\t\tchain %q\n", k, fast[k], chain[k])
	}
	return b.String()
}
