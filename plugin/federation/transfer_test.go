package federation

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/plugin/federation/zone"
	"github.com/fedns/fedns/test/framework/vector"
)

// Every record of a transfer is what a question for it is answered with; the zone
// begins and ends with its SOA.
func TestTransfer(t *testing.T) {
	w := shop(t)
	apex := w.write("db", "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nmail MX 1 ns1\n")
	f := w.serving("federation fed {\n" + both + "apex " + apex + "\n}")
	d, us := f.Domains[0], zone.Secondary{Addr: netip.MustParseAddr("192.0.2.200")}
	rrs := records(d.Transfer(&f.Block, us, nil))
	first, last := rrs[0].Header().Rrtype, rrs[len(rrs)-1].Header().Rrtype
	if first != dns.TypeSOA || last != dns.TypeSOA {
		t.Fatalf("the zone begins with %s and ends with %s", dns.TypeToString[first], dns.TypeToString[last])
	}
	seen := map[string]bool{}
	for _, rr := range rrs[1 : len(rrs)-1] {
		h := rr.Header()
		seen[h.Name+" "+dns.TypeToString[h.Rrtype]] = true
		found := false
		for _, got := range f.dig(t, h.Name, h.Rrtype).Answer {
			found = found || dns.IsDuplicate(got, rr) && got.Header().Ttl == h.Ttl
		}
		if !found {
			t.Errorf("no question is answered with %v", rr)
		}
	}
	for _, want := range []string{
		"web.shop.fed.svc.example.com. A", "web.shop.fed.svc.example.com. AAAA", "web.shop.fed.svc.eu.example.com. A",
		"web.shop.fed.svc.eu-a.eu.example.com. A", "web.shop.fed.svc.eu-a.example.com. A",
		"web.shop.fed.svc.us.example.com. CNAME", "web.shop.fed.svc.us-a.us.example.com. CNAME",
		"_http._tcp.web.shop.fed.svc.example.com. SRV", "_http._tcp.web.shop.fed.svc.us.example.com. CNAME",
		"example.com. NS", "ns1.example.com. A", "mail.example.com. MX",
	} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}

	serial := rrs[0].(*dns.SOA).Serial
	for ask, want := range map[uint32]int{serial: 1, serial + 1: 1, serial - 1: len(rrs)} {
		if n := len(records(d.Transfer(&f.Block, us, &ask))); n != want {
			t.Errorf("from serial %+d: %d records, want %d", int32(ask-serial), n, want)
		}
	}
}

// Who has an edition that it was given here gets the difference to any later one: with it, it has what is
// answered. Anybody else gets all of it: who had the serial from another server, or says so.
func TestDifference(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	objects := func(addrs map[string]string, closed ...string) []vector.Object {
		all := []vector.Object{vector.Node("n", "eu", "eu-a")}
		for _, name := range slices.Sorted(maps.Keys(addrs)) {
			all = append(all, vector.Service("shop", name, addrs[name]), vector.Slice("shop", name, !slices.Contains(closed, name), "eu-a"))
		}
		return append(all, vector.Ingress("shop", "front", addrs["web"], [2]string{"www.example.com", "web"}))
	}
	addrs := map[string]string{}
	for i := range 20 {
		addrs[fmt.Sprint("calm", i)] = "192.0.2.100"
	}
	with := func(name, addr string) map[string]string {
		addrs = maps.Clone(addrs)
		if addr == "" {
			delete(addrs, name)
		} else {
			addrs[name] = addr
		}
		return addrs
	}
	w.cluster("a", objects(with("web", "192.0.2.1"))...)
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\n}")
	d, us, them := f.Domains[0], zone.Secondary{Addr: netip.MustParseAddr("192.0.2.200")}, zone.Secondary{Addr: netip.MustParseAddr("192.0.2.201")}
	here := map[string]bool{}
	take := func(since *uint32, who zone.Secondary) zone.Transfer {
		tr := d.Transfer(&f.Block, who, since)
		if who == us {
			apply(t, here, records(tr))
			tr.Done()
		}
		return tr
	}
	first := take(nil, us)
	serial, began := first.Serial, first.Serial
	steps := []struct {
		name    string
		objects []vector.Object
	}{
		{"an address changes", objects(with("web", "192.0.2.2"))},
		{"a service has no shard", objects(addrs, "web")},
		{"it has one again", objects(addrs)},
		{"a service is new", objects(with("api", "192.0.2.3"))},
		{"a service goes", objects(with("web", ""))},
	}
	for _, tt := range steps {
		w.cluster("a", tt.objects...)
		moves(t, f, serial)
		tr := take(&serial, us)
		if tr.Form != zone.Difference {
			t.Errorf("%s: %s", tt.name, tr.Form)
		}
		serial = tr.Serial
		there := map[string]bool{}
		apply(t, there, records(d.Transfer(&f.Block, us, nil)))
		if !maps.Equal(here, there) {
			t.Errorf("%s: with the difference\n%v\nand in the whole\n%v", tt.name, slices.Sorted(maps.Keys(here)), slices.Sorted(maps.Keys(there)))
		}
		if tr := take(&began, them); tr.Form != zone.Whole {
			t.Errorf("%s: who wasn't given the first serial gets %s", tt.name, tr.Form)
		}
	}
	if tr := d.Transfer(&f.Block, us, &began); tr.Form != zone.Difference || len(records(tr)) > 60 {
		t.Errorf("all at once: %s of %d records", tr.Form, len(records(tr)))
	}
	future := serial + 1000
	if tr := d.Transfer(&f.Block, us, &future); tr.Form != zone.UpToDate {
		t.Errorf("of the future: %s", tr.Form)
	}
	unknown := serial - 100000
	if tr := d.Transfer(&f.Block, us, &unknown); tr.Form != zone.Whole {
		t.Errorf("of another server: %s", tr.Form)
	}
}

// records are those of a transfer.
func records(t zone.Transfer) []dns.RR { return slices.Collect(t.RRs()) }

// transferred asks for the whole of a domain, as who may have it.
func transferred(t *testing.T, f *Federation, domain string) (rrs []dns.RR, err error) {
	t.Helper()
	for _, d := range f.Domains {
		if string(d.Name) == domain && d.Lead == nil {
			f.transfers.allow(d, []transferRule{{from: everywhere}})
		}
	}
	s := &taker{takes: 1e9}
	_, err = f.ServeDNS(t.Context(), s, new(dns.Msg).SetAxfr(domain))
	for _, m := range s.got {
		rrs = append(rrs, m.Answer...)
	}
	return rrs, err
}

// moves waits for another serial.
func moves(t *testing.T, f *Federation, serial uint32) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		changed := f.Current.Changed()
		if int32(f.Current.Load().Serial-serial) > 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the serial stays %d", serial)
		}
	}
}

// apply takes a transfer in as a secondary does: what goes has to be there, and what comes hasn't.
func apply(t *testing.T, zone map[string]bool, rrs []dns.RR) {
	t.Helper()
	line := func(rr dns.RR) string {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0 // it grows with time
		return rr.String()
	}
	if len(rrs) == 1 {
		return
	}
	if _, difference := rrs[1].(*dns.SOA); !difference {
		clear(zone)
		for _, rr := range rrs[:len(rrs)-1] {
			zone[line(rr)] = true
		}
		return
	}
	part := 0
	for _, rr := range rrs[1 : len(rrs)-1] {
		if _, ok := rr.(*dns.SOA); ok {
			part++
		}
		if part == 1 {
			if !zone[line(rr)] {
				t.Errorf("it goes and isn't there: %v", rr)
			}
			delete(zone, line(rr))
		} else {
			if zone[line(rr)] {
				t.Errorf("it comes and is there: %v", rr)
			}
			zone[line(rr)] = true
		}
	}
}

// Where all clients get the same shards of several, those of the active region, so do secondaries, and servers that names are published on.
func TestTransferFailover(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	serve := func(eu bool) {
		for _, c := range []struct {
			name, addr string
			ready      bool
		}{{"eu", "192.0.2.1", eu}, {"us", "192.0.2.2", true}} {
			w.cluster(c.name, vector.Node("n", c.name, c.name+"-a"),
				vector.With(vector.Service("shop", "web", c.addr), "fedns.io/policy", "failover eu us"), vector.Slice("shop", "web", c.ready, c.name+"-a"),
				vector.Service("shop", "other", c.addr), vector.Slice("shop", "other", c.ready, c.name+"-a"))
		}
	}
	serve(true)
	f := w.serving("federation fed {\n" + both + "alias near.example.com shop/other eu\n}")
	d := f.Domains[0]
	has := func(want string) {
		t.Helper()
		settles(t, f, "near.example.com.", dns.TypeA, "NOERROR; A "+want)
		settles(t, f, "web.shop.fed.svc.example.com.", dns.TypeA, "NOERROR; A "+want)
		_, groups, _ := d.Groups(&f.Block, 0, nil)
		all := records(d.Transfer(&f.Block, zone.Secondary{}, nil))
		for _, rrs := range groups {
			all = append(all, rrs...)
		}
		n := 0
		for _, rr := range all {
			if a, ok := rr.(*dns.A); ok && (a.Hdr.Name == "near.example.com." || a.Hdr.Name == "web.shop.fed.svc.example.com.") {
				if n++; a.A.String() != want {
					t.Errorf("%v, want %s", a, want)
				}
			}
		}
		if n != 4 {
			t.Errorf("%d records, want one of each name, twice", n)
		}
	}
	has("192.0.2.1")
	serial := d.SOA(&f.Block).Serial
	serve(false)
	settles(t, f, "near.example.com.", dns.TypeA, "NOERROR; A 192.0.2.2")
	moves(t, f, serial)
	has("192.0.2.2")
}
