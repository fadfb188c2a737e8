package zone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/static"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Static holds the static records of a domain: its SOA, its NS, and whatever
// stands beside the federated names.
type Static struct {
	domain  dnsname.Name
	SOA     *dns.SOA
	Records []dns.RR // all others
	Zone    *static.Zone
	wire    message.Domain // the domain as package message has it
	leads   *Static        // of a cluster's own domain: that of the domain its names lead to
}

// Reserved says which names belong to the federations of a domain, whatever their
// clusters: no static record can stand there.
type Reserved struct {
	Federations []string
	Scopes      []string // configured regions and zones, as names under the domain
	Signed      bool     // the domain is signed here: the file can't say what is signed how
}

// OpenStatic reads the static records of a domain from a file.
func OpenStatic(domain dnsname.Name, path string, o Reserved) (*Static, error) {
	f, err := inputfile.Open(path, inputfile.Zone)
	if err != nil {
		return nil, fmt.Errorf("apex file of %s: %w", domain, err)
	}
	defer f.Close()
	return readStaticZone(domain, f, path, o)
}

// included opens what a zone file includes.
type included struct{}

// Open implements fs.FS.
func (included) Open(path string) (fs.File, error) { return inputfile.Open(path, inputfile.Zone) }

func readStaticZone(domain dnsname.Name, r io.Reader, path string, o Reserved) (*Static, error) {
	a := &Static{domain: domain}
	p := dns.NewZoneParser(r, string(domain), path)
	p.SetIncludeAllowed(true)
	p.SetIncludeFS(included{})
	p.SetDefaultTTL(apexTTL)
	ns := 0
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		h := rr.Header()
		h.Name = canonical(h.Name)
		rel, ok := domain.Under(h.Name)
		if !ok {
			return nil, fmt.Errorf("apex file %q: %s is not in the domain %s", path, h.Name, domain)
		}
		if err := o.conflict(dnsname.Labels(rel), rr); err != nil {
			return nil, fmt.Errorf("apex file %q: %s %s: %w", path, h.Name, dns.TypeToString[h.Rrtype], err)
		}
		switch {
		case o.Signed && slices.Contains(signedHere, h.Rrtype):
			return nil, fmt.Errorf("apex file %q: %s %s: %w", path, h.Name, dns.TypeToString[h.Rrtype], errSigned)
		case h.Rrtype == dns.TypeSOA && a.SOA != nil:
			return nil, fmt.Errorf("apex file %q: a second SOA record; a domain has one", path)
		case h.Rrtype == dns.TypeSOA && rel != "":
			return nil, fmt.Errorf("apex file %q: SOA record at %s; it belongs at %s", path, h.Name, domain)
		case h.Rrtype == dns.TypeNS && rel == "":
			ns++
		}
		if soa, ok := rr.(*dns.SOA); ok {
			// Every way writes it as this: it is compressed only where case is the same.
			soa.Ns, soa.Mbox = dnsname.Lower(soa.Ns), dnsname.Lower(soa.Mbox)
			a.SOA = soa
			continue
		}
		a.Records = append(a.Records, rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("apex file %q: %w", path, err)
	}
	if a.SOA == nil {
		return nil, fmt.Errorf("apex file %q: has no SOA record for %s", path, domain)
	}
	if ns == 0 {
		return nil, fmt.Errorf("apex file %q: has no NS record for %s", path, domain)
	}
	if err := regular(a.Records); err != nil {
		return nil, fmt.Errorf("apex file %q: %w", path, err)
	}
	zone, err := static.New(domain, a.Records)
	if err != nil {
		return nil, fmt.Errorf("apex file %q: %w", path, err)
	}
	a.Zone = zone
	if a.wire, err = zone.Domain(a.SOA); err != nil {
		return nil, fmt.Errorf("apex file %q: SOA: %w", path, err)
	}
	return a, nil
}

// within is the apex of the domain that a federation has inside a cluster: that of the
// federation's own, with its name servers and numbers.
func (a *Static) within(domain dnsname.Name) (*Static, error) {
	var b strings.Builder
	soa := *a.SOA
	soa.Hdr.Name = string(domain)
	fmt.Fprintln(&b, &soa)
	for _, rr := range a.Records {
		if ns, ok := rr.(*dns.NS); ok && ns.Hdr.Name == string(a.domain) {
			own := *ns
			own.Hdr.Name = string(domain)
			fmt.Fprintln(&b, &own)
		}
	}
	in, err := readStaticZone(domain, strings.NewReader(b.String()), "(of "+string(a.domain)+")", Reserved{})
	if err != nil {
		return nil, err
	}
	in.leads, in.wire.Lead = a, &a.wire
	return in, nil
}

// Errors of static records at names that are the federations'.
var (
	errFederated = errors.New("the name belongs to the federation; static records can't stand there")
	errAbove     = errors.New("federated names stand below; CNAME, DNAME and NS records would take them away")
)

// errSigned is for what a file says of signatures beside the option dnssec.
var errSigned = errors.New("the domain is signed by dnssec in the Corefile, which makes these records: take them out (a key of another server goes into the folder of the keys, without its private part)")

// signedHere are the records that come of keys and signatures.
var signedHere = []uint16{dns.TypeRRSIG, dns.TypeDNSKEY, dns.TypeNSEC}

// conflict finds a record that would contradict what is answered from clusters.
func (o Reserved) conflict(labels []string, rr dns.RR) error {
	if o.federated(labels) {
		return errFederated
	}
	switch rr.Header().Rrtype {
	case dns.TypeDNAME:
		if len(labels) == 0 {
			return errAbove
		}
	case dns.TypeCNAME, dns.TypeNS:
		if len(labels) == 0 {
			if rr.Header().Rrtype == dns.TypeCNAME {
				return errAbove
			}
			return nil // the domain's own name servers
		}
	default:
		return nil
	}
	name := strings.Join(labels, ".")
	if _, kind := snapshot.KindOf(labels[0]); kind && len(labels) <= 3 {
		return errAbove
	}
	for _, s := range o.Scopes {
		if name == s || strings.HasSuffix(s, "."+name) {
			return errAbove
		}
	}
	return nil
}

// federated says whether a name is one that services have: FEDERATION.KIND with at
// most a zone and a region behind it, or below.
func (o Reserved) federated(labels []string) bool {
	for i, l := range labels {
		if _, ok := snapshot.KindOf(l); ok && i > 0 && len(labels)-i <= 3 && slices.Contains(o.Federations, labels[i-1]) {
			return true
		}
	}
	return false
}

// mayAnswer says whether the static records may have something for a name, in lower
// case, that the federations have no record of; labels are those before the domain. Where a federated name stands, or may turn out
// to, only static records of that very name count. Else a wildcard may apply, but
// not if a federated name is a closer encloser than any static one (RFC 4592
// section 3.3.1).
func (a *Static) mayAnswer(name string, labels []string, federated *answer.Answer) bool {
	if federated.Outcome != answer.NameError {
		return a.Zone.Owns(name)
	}
	if a.leads != nil {
		return false // a cluster's own domain has none but its own
	}
	return a.Zone.Depth(name, labels) >= federated.Depth
}

// canonical is a name in lower case, and with no escapes but those that it needs.
func canonical(name string) string {
	b := make([]byte, 256)
	if n, err := dns.PackDomainName(name, b, 0, nil, false); err == nil {
		if n, err := Presented(b[:n], 0); err == nil {
			return n
		}
	}
	return dnsname.Lower(name) // which the zone will refuse
}

// DefaultStatic is the apex of a domain that has no file: one name server, ns1, at
// the addresses this server listens on. Secondaries that aren't told of changes look for them
// often: a shard that is down is answered until they do.
func DefaultStatic(domain dnsname.Name, addrs []netip.Addr, told bool) (*Static, error) {
	refresh, retry := 60, 30
	if told {
		refresh, retry = 7200, 1800
	}
	var b strings.Builder
	fmt.Fprintf(&b, "@ IN SOA ns1 hostmaster 1 %d %d 86400 %d\n@ IN NS ns1\n", refresh, retry, negativeTTL)
	for _, a := range addrs {
		t := "A"
		if a.Is6() {
			t = "AAAA"
		}
		fmt.Fprintf(&b, "ns1 IN %s %s\n", t, a)
	}
	return readStaticZone(domain, strings.NewReader(b.String()), "(default)", Reserved{})
}

// apexTTL, in seconds, is for static records of a file that has no $TTL: they are
// as lasting as name servers' addresses usually are.
const apexTTL = 3600

// negativeTTL, in seconds, bounds how long a resolver may remember that a service
// is missing (RFC 2308 section 5). Short, because a new service is looked up too
// early far more often than a missing one is looked up for ever.
const negativeTTL = 5
