package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dnskey"
)

// Anchors are the DS records that the servers of the parent zone have for a domain.
type Anchors struct {
	Domain  string
	Error   string // why they couldn't be asked
	Records []string
}

// To are those of the records that point to one of the keys, by whatever digest.
func (a Anchors) To(keys ...*dnskey.Key) (out []dnskey.Anchor) {
	for _, text := range a.Records {
		ds, err := dnskey.ParseAnchor(text)
		if err == nil && slices.ContainsFunc(keys, func(k *dnskey.Key) bool { return k.Is(ds) }) {
			out = append(out, ds)
		}
	}
	return out
}

// Keys judges the keys of one zone, at a time.
func Keys(keys []*dnskey.Key, now time.Time) []Finding {
	f := findings{group: "keys"}
	zone := keys[0].Zone
	domain := bare(string(zone))
	p, err := dnskey.PlanAt(zone, keys, now)
	switch {
	case err != nil:
		f.err("fedctl keys generate makes one; dnssec-settime changes dates", "%s", err)
	case p.Problem != "":
		f.err("fedctl keys generate makes one; dnssec-settime changes dates", "%s", p.Problem)
	case !p.Ends.IsZero() && p.Ends.Before(now.Add(report.SigningNotice)):
		f.warn("add a key, or give one a later date Inactive: docs/dnssec.md", "%s: from %s on no key signs", domain, p.Ends.UTC().Format(time.RFC3339))
	default:
		f.ok("%s is signed by %d of %d keys", domain, len(p.Data), len(keys))
	}
	return f.all
}

// Parent compares what the parent has with the keys of a zone, at a time.
func Parent(a Anchors, keys []*dnskey.Key, now time.Time) []Finding {
	f := findings{group: "keys"}
	var entries []*dnskey.Key
	var has []string
	for _, k := range keys {
		if k.Entry() {
			entries, has = append(entries, k), append(has, k.DSText())
		}
	}
	matching := a.To(entries...)
	from, lost := dnskey.Unanchored(keys[0].Zone, keys, matching, now)
	if len(matching) > 0 && lost && from.Before(now.Add(report.SigningNotice)) {
		f.err("have the parent take the DS record of another key first, or give that one later dates: docs/dnssec.md", "%s: from %s on no key signs that the parent's DS records point to (%s): whoever verifies finds it forged then", a.Domain, from.UTC().Format(time.RFC3339), strings.Join(a.Records, "; "))
		return f.all
	}
	f.anchored(a, has, len(matching))
	return f.all
}

// anchored says what follows from how many DS records are of keys that are there.
func (f *findings) anchored(a Anchors, keys []string, matching int) {
	switch {
	case a.Error != "":
		f.warn("--parent ADDRESS says whom to ask", "%s: what DS records its parent has can't be found out: %s", a.Domain, a.Error)
	case len(a.Records) == 0:
		f.warn("give it "+strings.Join(keys, ", or "), "%s is signed, and its parent has no DS record: nobody verifies it", a.Domain)
	case matching == 0:
		f.err("have the parent take "+strings.Join(keys, ", or ")+" in their place, or put that key back", "%s: none of its keys is one that the parent's DS records point to (%s): whoever verifies finds it forged", a.Domain, strings.Join(a.Records, "; "))
	default:
		f.ok("%s: %d of the %d DS records of its parent point to its keys", a.Domain, matching, len(a.Records))
	}
}

// Anchors asks the parent zone's servers, or parent, for the DS records of a domain.
func (a *Asker) Anchors(ctx context.Context, domain, parent string) Anchors {
	out := Anchors{Domain: domain}
	d := Delegation{Domain: domain}
	servers, err := a.parent(ctx, &d, parent)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	for _, s := range servers {
		r, err := a.exchange(ctx, "udp", s, question(domain, dns.TypeDS))
		switch {
		case err != nil:
			out.Error = fmt.Sprintf("%s, of %s: %v", s, zone(d.Parent), err)
			continue
		case r.Rcode != dns.RcodeSuccess:
			out.Error = fmt.Sprintf("%s, of %s, says %s", s, zone(d.Parent), dns.RcodeToString[r.Rcode])
			continue
		}
		out.Error = ""
		for _, rr := range r.Answer {
			if ds, is := rr.(*dns.DS); is {
				out.Records = append(out.Records, dsText(ds))
			}
		}
		return out
	}
	return out
}

// dsText is a DS record as zone files have it, without its owner.
func dsText(ds *dns.DS) string {
	return fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToUpper(ds.Digest))
}

// A Signed is what one name server says of its keys and signatures.
type Signed struct {
	Addr string
	Keys []string  // as DS records; nil: it has none
	Ends time.Time // of the signature of the SOA record; zero: there is none
}

// Signed asks servers of a domain for its keys.
func (a *Asker) Signed(ctx context.Context, domain string, servers []Server) (out []Signed) {
	for _, s := range servers {
		at := s.Addr.String()
		ask := func(t uint16) *dns.Msg {
			m := question(domain, t)
			m.SetEdns0(1232, true)
			r, err := a.exchange(ctx, "udp", at, m)
			if err != nil {
				return nil
			}
			return r
		}
		keys, soa := ask(dns.TypeDNSKEY), ask(dns.TypeSOA)
		if keys == nil || soa == nil {
			continue // its ways say so
		}
		one := Signed{Addr: at}
		for _, rr := range keys.Answer {
			if k, is := rr.(*dns.DNSKEY); is && k.Flags&dns.SEP != 0 {
				for _, digest := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
					if ds := k.ToDS(digest); ds != nil {
						one.Keys = append(one.Keys, dsText(ds))
					}
				}
			}
		}
		for _, rr := range soa.Answer {
			if sig, is := rr.(*dns.RRSIG); is {
				one.Ends = time.Unix(int64(sig.Expiration), 0)
			}
		}
		out = append(out, one)
	}
	return out
}

// Secure judges a domain's signatures and what its parent says of them: of a domain that neither
// speaks of, nothing.
func Secure(a Anchors, servers []Signed, now time.Time) []Finding {
	f := findings{group: "delegation"}
	for _, s := range servers {
		switch {
		case len(s.Keys) == 0 && len(a.Records) == 0:
			continue
		case len(s.Keys) == 0:
			f.err("dnssec in its Corefile, with the keys that the others have; or have the parent take its DS records away", "%s: the parent has DS records, and %s has no DNSKEY record with flags 257: whoever verifies finds it forged", a.Domain, s.Addr)
			continue
		case s.Ends.IsZero():
			f.err("see that server's log", "%s: %s has keys, and its SOA record no signature", a.Domain, s.Addr)
			continue
		case s.Ends.Before(now.Add(signatureNotice)):
			f.err("is that server's clock right? Signatures are made anew a week before they end", "%s: the signatures of %s end at %s", a.Domain, s.Addr, s.Ends.UTC().Format(time.RFC3339))
			continue
		}
		matching := 0
		for _, ds := range a.Records {
			if slices.Contains(s.Keys, ds) {
				matching++
			}
		}
		f.anchored(a, s.Keys, matching)
	}
	return f.all
}

// signatureNotice is less than what every signature has left that is given out here: six days.
const signatureNotice = 3 * 24 * time.Hour
