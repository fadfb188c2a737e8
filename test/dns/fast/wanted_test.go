package fast

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

// An asked is a packet with what is known of it.
type asked struct {
	reading
	p     []byte
	usual bool // it has the form that reading is about
	b     *block
}

// ours says whether the name is in a domain that is answered here.
func (q *asked) ours() bool {
	n := strings.ToLower(q.name)
	for _, d := range q.b.domains {
		if d == "" || n == d+"." || strings.HasSuffix(n, "."+d+".") {
			return true
		}
	}
	return false
}

// astray says whether a question with a cookie may not come to the federation's
// server block: another has the name, or none, or it isn't of class IN, and so no
// more is known of it.
func (q *asked) astray() bool {
	if q.has(cookie) {
		return !q.ours() || q.b.elsewhere
	}
	return !q.usual && q.end >= 17 && q.end <= len(q.p) &&
		binary.BigEndian.Uint16(q.p[q.end-2:]) != dns.ClassINET && bytes.Contains(q.p[q.end:], []byte{0, cookie, 0})
}

// A difference is one between the two ways that is meant to be: what the fast path
// does right and CoreDNS can't be brought to do.
type difference struct {
	name    string
	aspects string
	when    func(q *asked, fast, chain view) bool
}

// Those that hardly ever show, which packets do depends on the seed.
const (
	full  = "an answer that fills 512 bytes goes without the cookie, rather than without records"
	blind = "a question of more than 512 bytes is read, also one that this test doesn't understand"
)

// wanted are all of them. Each must show: what doesn't differ any more has to go.
var wanted = []difference{
	{
		full,
		"COOKIE TC answer authority",
		func(q *asked, fast, chain view) bool {
			return q.has(cookie) && fast["COOKIE"] == "" && q.limit() == 512
		},
	},
	{
		"the size that is advertised is the server's own (RFC 6891 section 6.2.4), not the client's",
		"size",
		func(q *asked, fast, chain view) bool { return fast["size"] == "1232" },
	},
	{
		"an empty ZONEVERSION option is answered (RFC 9660)",
		"ZONEVERSION",
		func(q *asked, fast, chain view) bool { return q.has(zoneVersion) && chain["ZONEVERSION"] == "" },
	},
	{
		"NSID is answered without setting DO (RFC 3225), which CoreDNS's plugin does",
		"DO",
		func(q *asked, fast, chain view) bool {
			return q.has(nsid) && fast["DO"] == "false" && chain["DO"] == "true" && q.flags&0x8000 == 0
		},
	},
	{
		"DO comes back with BADVERS",
		"DO",
		func(q *asked, fast, chain view) bool {
			return fast["rcode"] == "BADVERS" && chain["rcode"] == "BADVERS" && fast["DO"] == "true" && q.flags&0x8000 != 0
		},
	},
	{
		"a later version of EDNS is answered with the one that is spoken, whatever stands in it",
		"rcode OPT size version DO eflags",
		func(q *asked, fast, chain view) bool {
			return fast["rcode"] == "BADVERS" && chain["rcode"] == "FORMERR"
		},
	},
	{
		"COOKIE is answered also where no server block answers (RFC 7873 section 5.2)",
		"COOKIE",
		func(q *asked, fast, chain view) bool {
			return q.astray() && chain["COOKIE"] == ""
		},
	},
	{
		"a cookie of an impossible length is FORMERR also where no server block answers (RFC 7873 section 5.2.2)",
		"rcode answer authority additional AA EDE TC",
		func(q *asked, fast, chain view) bool {
			return q.astray() && fast["rcode"] == "FORMERR"
		},
	},
	{
		"a client's network that is put together wrongly is FORMERR (RFC 7871 section 7.1.2); the library fills up what is missing",
		"rcode answer authority additional AA EDE TC options COOKIE NSID OPT size version DO eflags",
		func(q *asked, fast, chain view) bool {
			return q.has(subnet) && q.ours() && fast["rcode"] == "FORMERR" && chain["rcode"] != "FORMERR"
		},
	},
	{
		"a client's network comes back from every name of the domains, also where other plugins answer (RFC 7871 section 7.2.1)",
		"options",
		func(q *asked, fast, chain view) bool { return q.has(subnet) && q.ours() && q.b.elsewhere },
	},
	{
		"FORMERR to it has an OPT record, and the options that are due",
		"OPT size version DO eflags COOKIE NSID options EDE",
		func(q *asked, fast, chain view) bool {
			return q.has(subnet) && q.ours() && fast["rcode"] == "FORMERR" && chain["rcode"] == "FORMERR"
		},
	},
	{
		blind,
		"rcode answer authority additional AA EDE TC RD CD AD RA Z question OPT size version DO eflags COOKIE ZONEVERSION",
		func(q *asked, fast, chain view) bool {
			return !q.usual && len(q.p) > 512 && chain["rcode"] == "FORMERR"
		},
	},
	{
		"unknown EDNS flags are cleared for every name (RFC 6891 section 6.1.4)",
		"eflags",
		func(q *asked, fast, chain view) bool { return fast["eflags"] == "0000" && q.flags&0x7fff != 0 },
	},
}

// Reasons for which CoreDNS answers FORMERR to what is a good question.
const (
	tooLong  = "a question of more than 512 bytes is read"
	versions = "an empty ZONEVERSION option is one (RFC 9660)"
	unneeded = "an option that nobody here needs is ignored, however it is put together"
)

// stumbles says why CoreDNS may not understand what is understood here; "": it has
// no reason that is known.
func (q *asked) stumbles() string {
	if !q.usual || len(q.p) > 4096 {
		return ""
	}
	for _, o := range q.options {
		if o.code == zoneVersion {
			return versions
		}
	}
	for _, o := range q.options {
		switch o.code {
		case 1, 2, 4, 5, 6, 7, 9, 11, 15, 17, 18, 20, 21, 22, 23:
			return unneeded
		}
	}
	if len(q.p) > 512 {
		return tooLong
	}
	return ""
}
