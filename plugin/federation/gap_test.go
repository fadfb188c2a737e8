package federation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/vector"
)

// Whatever name below a wildcard is asked for, the gap that it is proven to be in has no name that exists: static ones, those of hosts,
// federations and other domains, and those that only stand above another.
func TestWildcardGaps(t *testing.T) {
	w, _ := signedShop(t)
	generated(t, w.dir+"/keys", anyKey(t, "example.com.", dnskey.ED25519))
	long := strings.Repeat("b", 63)
	w.cluster("a", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"), vector.Ingress("shop", "front", "192.0.2.1",
		[2]string{"*.hosts.example.com", "web"}, [2]string{"c.hosts.example.com", "web"}, [2]string{"z.m.hosts.example.com", "web"}, [2]string{"*.sub.hosts.example.com", "web"},
		[2]string{"m.wild.example.com", "web"}, [2]string{"*.eu.example.com", "web"}))
	w.cluster("b", vector.Node("n", "us", "us-b"), vector.Service("shop", "web", "192.0.2.2"), vector.Slice("shop", "web", true, "us-b"))
	f := w.servingUnder("federation fed example.com {\ncluster a {\nmanifests DIR/a\nhosts *\n}\nrrl off\ndnssec DIR/keys\napex "+w.write("apex", `@ 60 SOA ns host 1 2 3 4 5
@ NS ns
ns A 192.0.2.53
* TXT "x"
*.wild A 192.0.2.99
b.wild A 192.0.2.1
x.b.wild A 192.0.2.1
x.e.wild A 192.0.2.1
`+long+`.wild A 192.0.2.1
k\.k.wild A 192.0.2.1
lab.wild NS ns.lab.wild
ns.lab.wild A 192.0.2.2
tree.wild DNAME mail
e.hosts A 192.0.2.2
*.out CNAME x.wild
*.odd NS ns
`)+"\n}\nfederation other example.com q.wild.example.com {\ncluster b {\nmanifests DIR/b\n}\n}\n", "example.com.:1053", "q.wild.example.com.:1053")
	exist := strings.Fields(`. wild *.wild b.wild x.b.wild e.wild x.e.wild ` + long + `.wild k\.k.wild lab.wild ns.lab.wild tree.wild hosts *.hosts c.hosts e.hosts m.hosts z.m.hosts sub.hosts *.sub.hosts
m.wild q.wild *.eu eu eu-a eu-a.eu svc svc.eu fed.svc other.svc us us-b us-b.us svc.us shop.fed.svc.eu-a.eu web.shop.fed.svc web.shop.other.svc.us ns out *.out odd *.odd *`)
	r := f.responder(t, "")
	rnd := rand.New(rand.NewPCG(3, 4))
	labels := []string{"a", "b", "bb", "c", "d", "e", "eu", "eu-a", "ez", "fed", "svc", "sv", "ing", "k", "l", "lab", "m", "n", "q", "r", "us", "us-b", "z", "zz", "-", "0", "~", "!", "*", "wild", "hosts", "out", "odd", "sub", "tree", "other",
		long, long[1:] + "c", long[1:], `\000`, `b\000`, `k\.k`, `k\.l`, `\255`}
	gaps, asked := map[string]bool{}, map[string]int{}
	for range 6000 {
		name := labels[rnd.IntN(len(labels))]
		if rnd.IntN(3) == 0 {
			name += "." + labels[rnd.IntN(len(labels))]
		}
		name += []string{"", ".wild", ".wild", ".hosts", ".hosts", ".eu", ".out", ".b.wild", ".sub.hosts", ".svc", ".odd", ".m.hosts"}[rnd.IntN(12)]
		q := new(dns.Msg).SetQuestion(below(name), []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeANY, dns.TypeNSEC}[rnd.IntN(5)])
		q.SetEdns0(4096, true)
		m := past(t, r, q)
		if m == nil || m.Truncated {
			continue
		}
		for _, rr := range m.Ns {
			n, ok := rr.(*dns.NSEC)
			if !ok || canonically(n.NextDomain, `\000.`+n.Hdr.Name) <= 0 {
				continue
			}
			gaps[n.String()] = true
			asked[n.Hdr.Name]++
			for _, e := range exist {
				if e = below(e); e == "..example.com." {
					e = "example.com."
				}
				if canonically(n.Hdr.Name, e) <= 0 && canonically(e, n.NextDomain) < 0 {
					t.Errorf("%s: %s exists: %v", name, e, n)
				}
			}
			if !dns.IsSubDomain("example.com.", n.NextDomain) || canonically(n.Hdr.Name, n.NextDomain) >= 0 {
				t.Errorf("%s: %v", name, n)
			}
			// The name at which it begins is a wildcard's name itself, and has the types that it says.
			own := new(dns.Msg).SetQuestion(n.Hdr.Name, 65399)
			own.SetEdns0(4096, true)
			var has string
			for _, rr := range past(t, r, own).Ns {
				if o, ok := rr.(*dns.NSEC); ok && o.Hdr.Name == n.Hdr.Name {
					has = fmt.Sprint(o.TypeBitMap)
				}
			}
			if has != fmt.Sprint(n.TypeBitMap) && !slices.Contains(n.TypeBitMap, dns.TypeCNAME) { // which is followed
				t.Errorf("%s has %s: %v", n.Hdr.Name, has, n)
			}
		}
	}
	if t.Failed() {
		return
	}
	if made := f.signing.kept.Made.Load(); len(gaps) < 30 || len(gaps) > 60 {
		t.Errorf("%d gaps, %d signatures", len(gaps), made)
	}
	t.Log(len(gaps), "gaps:", slices.Sorted(func(yield func(string) bool) {
		for g := range asked {
			if !yield(g) {
				return
			}
		}
	}))
}
