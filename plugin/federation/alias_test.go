package federation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/vector"
)

// settles waits until a question is answered so.
func settles(t *testing.T, f *Federation, name string, qtype uint16, want string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		changed := f.Current.Changed()
		got := short(f.dig(t, name, qtype))
		if got == want {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: %s, want %s", name, got, want)
		}
	}
}

// A Service has names of its own, under any domain of the server block: flat, by the Service's policy, or those of a
// region while it has a shard. Static records, hosts of others and what a cluster may not claim come first.
func TestOwnNames(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	const names = "nginx.acme.com, eu.nginx.acme.com=eu, NGINX.example.com., *.wild.acme.com, bad_=name=, static.example.com, www.acme.com"
	object := func(addr string) vector.Object {
		return vector.With(vector.Service("shop", "nginx", addr), "fedns.io/hostname", names)
	}
	serve := func(eu bool) {
		w.cluster("eu", vector.Node("n", "eu", "eu-a"), object("192.0.2.1"), vector.Slice("shop", "nginx", eu, "eu-a"),
			vector.With(vector.Service("alpha", "first", "192.0.2.7"), "fedns.io/hostname", "www.acme.com"), vector.Slice("alpha", "first", true, "eu-a"),
			vector.With(vector.Service("shop", "old", "192.0.2.8"), "external-dns.alpha.kubernetes.io/hostname", "old.acme.com"), vector.Slice("shop", "old", true, "eu-a"))
		w.cluster("us", vector.Node("n", "us", "us-a"), object("192.0.2.2"), vector.Slice("shop", "nginx", true, "us-a"))
	}
	serve(true)
	apex := w.write("db", "$ORIGIN example.com.\n@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\nns1 A 192.0.2.53\nstatic A 192.0.2.54\n")
	f := w.servingUnder("federation fed example.com acme.com {\n"+strings.Replace(strings.Replace(both, "manifests DIR/eu", "manifests DIR/eu\nhosts *.acme.com .example.com", 1), "manifests DIR/us", "manifests DIR/us\nhosts .nginx.acme.com nginx.acme.com", 1)+
		"alias shop.acme.com shop/nginx us\n}\nfederation other example.com {\ncluster none {\nmanifests DIR/us\n}\napex "+apex+"\nselect none=none\n}", "example.com.:1053", "acme.com.:1053")
	f.Config = &dnsserver.Config{}
	for name, want := range map[string]string{
		"nginx.acme.com.":     "NOERROR; A 192.0.2.1; A 192.0.2.2",
		"eu.nginx.acme.com.":  "NOERROR; A 192.0.2.1",
		"nginx.example.com.":  "NOERROR; A 192.0.2.1", // the other cluster may not claim it
		"any.wild.acme.com.":  "NOERROR; A 192.0.2.1",
		"static.example.com.": "NOERROR; A 192.0.2.54",
		"www.acme.com.":       "NOERROR; A 192.0.2.7", // another namespace has it, of the same age and first by name
		"shop.acme.com.":      "NOERROR; A 192.0.2.2", // the configuration gives it, whatever clusters may
		"old.acme.com.":       "NXDOMAIN; SOA",
	} {
		settles(t, f, name, dns.TypeA, want)
		if got := short(f.fastly(t, name, dns.TypeA)); got != want {
			t.Errorf("%s: past the chain: %s", name, got)
		}
	}
	if got := short(f.dig(t, "nginx.acme.com.", dns.TypeAAAA)); got != "NOERROR; SOA" {
		t.Errorf("AAAA: %s", got)
	}
	serve(false)
	settles(t, f, "eu.nginx.acme.com.", dns.TypeA, "NOERROR; A 192.0.2.2")
	settles(t, f, "nginx.acme.com.", dns.TypeA, "NOERROR; A 192.0.2.2")
	serve(true)
	settles(t, f, "eu.nginx.acme.com.", dns.TypeA, "NOERROR; A 192.0.2.1")
	// They go with the annotation.
	w.cluster("eu", vector.Node("n", "eu", "eu-a"), vector.Service("shop", "nginx", "192.0.2.1"), vector.Slice("shop", "nginx", true, "eu-a"))
	settles(t, f, "nginx.acme.com.", dns.TypeA, "NOERROR; A 192.0.2.2")
	settles(t, f, "any.wild.acme.com.", dns.TypeA, "NXDOMAIN; SOA")
	settles(t, f, "shop.nginx.fed.svc.acme.com.", dns.TypeA, "NXDOMAIN; SOA")
}

// The domain's own name may be a Service's, beside the static records that stand there: where those have addresses, it is refused.
func TestOwnNameAtApex(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	serve := func(ready bool) {
		w.cluster("a", vector.Node("n", "eu", "eu-a"), vector.With(vector.Service("shop", "web", "192.0.2.1"), "fedns.io/hostname", "acme.com"), vector.Slice("shop", "web", ready, "eu-a"),
			vector.Service("shop", "six", "192.0.2.6", "2001:db8::6"), vector.Slice("shop", "six", true, "eu-a"))
	}
	serve(true)
	apex := func(more string) string {
		return "@ SOA ns1 hostmaster 7 7200 1800 86400 5\n@ NS ns1\n@ MX 10 ns1\nns1 A 192.0.2.53\nwww CNAME @\n" + more
	}
	db := w.write("db", apex(""))
	generated(t, w.dir+"/keys", anyKey(t, "example.com.", dnskey.ECDSAP256SHA256))
	f := w.servingUnder("federation fed example.com {\n"+"cluster a {\nmanifests DIR/a\nhosts *\n}\napex "+db+"\nalias example.com shop/six\ndnssec DIR/keys\ntransfer *\n}\nfederation fed2 acme.com {\ncluster a {\nmanifests DIR/a\nhosts *\n}\n}",
		"example.com.:1053", "acme.com.:1053")
	f.Config = &dnsserver.Config{}
	for _, q := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"example.com.", dns.TypeA, "NOERROR; A 192.0.2.6"}, {"example.com.", dns.TypeAAAA, "NOERROR; AAAA 2001:db8::6"}, {"EXAMPLE.com.", dns.TypeA, "NOERROR; A 192.0.2.6"},
		{"example.com.", dns.TypeTXT, "NOERROR; SOA"}, {"www.example.com.", dns.TypeA, "NOERROR; A 192.0.2.6; CNAME example.com."},
		{"acme.com.", dns.TypeA, "NOERROR; A 192.0.2.1"}, {"acme.com.", dns.TypeAAAA, "NOERROR; SOA"}, {"acme.com.", dns.TypeMX, "NOERROR; SOA"},
	} {
		settles(t, f, q.name, q.qtype, q.want)
		if got := short(f.fastly(t, q.name, q.qtype)); got != q.want {
			t.Errorf("%s: past the chain: %s", q.name, got)
		}
	}
	if m := f.dig(t, "example.com.", dns.TypeMX); len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != dns.TypeMX {
		t.Error(m)
	}
	denial := func(qtype uint16) string {
		q := new(dns.Msg).SetQuestion("example.com.", qtype)
		q.SetEdns0(4096, true)
		m, _ := f.askBy(t, &test.ResponseWriter{TCP: true}, q)
		for _, rr := range m.Ns {
			if n, ok := rr.(*dns.NSEC); ok {
				return strings.Join(strings.Fields(n.String())[5:], " ")
			}
		}
		return m.String()
	}
	if got := denial(dns.TypeTXT); got != "A NS SOA MX AAAA RRSIG NSEC DNSKEY CDS CDNSKEY" {
		t.Error(got)
	}
	rrs, err := transferred(t, f, "example.com.")
	if err != nil {
		t.Fatal(err)
	}
	if n := slices.IndexFunc(rrs, func(rr dns.RR) bool { h := rr.Header(); return h.Name == "example.com." && h.Rrtype == dns.TypeAAAA }); n < 0 {
		t.Errorf("a transfer hasn't got it: %v", rrs)
	}
	// Down, it is denied, and the domain's other records stay.
	serve(false)
	settles(t, f, "acme.com.", dns.TypeA, "NOERROR; SOA")
	serve(true)
	settles(t, f, "acme.com.", dns.TypeA, "NOERROR; A 192.0.2.1")
	w.write("db", apex("@ A 192.0.2.99\n"))
	settles(t, f, "example.com.", dns.TypeA, "NOERROR; A 192.0.2.99")
	settles(t, f, "example.com.", dns.TypeAAAA, "NOERROR; SOA")
	w.write("db", apex("@ TXT x\n"))
	settles(t, f, "example.com.", dns.TypeAAAA, "NOERROR; AAAA 2001:db8::6")
}

// External-dns's annotation is read where that is said.
func TestForeignNames(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	w.cluster("a", vector.Node("n", "eu", "eu-a"),
		vector.With(vector.Service("shop", "old", "192.0.2.8"), "external-dns.alpha.kubernetes.io/hostname", "old.example.com,older.example.com"), vector.Slice("shop", "old", true, "eu-a"))
	f := w.serving("federation fed {\ncluster a {\nmanifests DIR/a\n}\nhostnames external-dns\n}")
	for _, name := range []string{"old.example.com.", "older.example.com."} {
		settles(t, f, name, dns.TypeA, "NOERROR; A 192.0.2.8")
	}
}
