package publish

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func records(t *testing.T, lines ...string) (out []dns.RR) {
	t.Helper()
	for _, l := range lines {
		rr, err := dns.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rr)
	}
	return out
}

var us = &Server{Zone: "example.com.", Domain: "example.com.", Owner: "fed"}

func TestGroup(t *testing.T) {
	for name, want := range map[string]string{
		"web.shop.fed.svc.example.com.":               "web.shop.fed.svc.example.com.",
		"web.shop.fed.svc.eu-a.eu.example.com.":       "web.shop.fed.svc.example.com.",
		"_http._tcp.web.shop.fed.svc.eu.example.com.": "web.shop.fed.svc.example.com.",
		"www.example.com.":                            "www.example.com.",
		"*.example.com.":                              "*.example.com.",
		"a.b.c.ing.example.com.":                      "a.b.c.ing.example.com.",
		"shop.example.com.":                           "shop.example.com.",
		"web.shop.other.ing.us.us-a.sub.example.com.": "web.shop.other.ing.example.com.",
		"_https._tcp.web.shop.fed.ing.example.com.":   "web.shop.fed.ing.example.com.",
	} {
		if got := Group("example.com.", name); got != want {
			t.Errorf("%s changes with %s, want %s", name, got, want)
		}
	}
}

// Whose a name is can be read back from beside it, unless it is too long for that.
func TestMark(t *testing.T) {
	for _, name := range []string{"web.shop.fed.svc.example.com.", "*.example.com.", "_http._tcp.web.example.com."} {
		m := us.mark(name)
		if got, ok := us.marked(m); !ok || got != name {
			t.Errorf("%s is read as %s, %v", name, got, ok)
		}
		if _, ok := (&Server{Owner: "other", Zone: "example.com.", Domain: "example.com."}).marked(m); ok {
			t.Errorf("%s is another's, too", name)
		}
	}
	// Of a domain in the zone nothing is the zone's.
	in := &Server{Zone: "example.com.", Domain: "fed.example.com.", Owner: "fed"}
	m := in.mark("web.fed.example.com.")
	if got, ok := in.marked(m); !ok || got != "web.fed.example.com." {
		t.Errorf("%v is read as %s, %v", m, got, ok)
	}
	if _, ok := us.marked(m); ok {
		t.Errorf("%v is another domain's, too", m)
	}
	if m := us.mark(strings.Repeat("a23456789.", 25)); m != nil {
		t.Errorf("a name of 250 bytes has %s", m)
	}
}

// Of what is only delegated, it stands where the zone itself tells of it.
func TestMarkOfDelegation(t *testing.T) {
	s := &Server{Zone: "example.com.", Owner: "fed", Cut: "fed.example.com."}
	for name, at := range map[string]string{"fed.example.com.": "_fedns-fed.example.com.", "ns1.fed.example.com.": "_fedns-ns1_fed.example.com."} {
		m := s.mark(name)
		if got, ok := s.marked(m); m.Hdr.Name != at || !ok || got != name {
			t.Errorf("%s: %s, which is read as %s", name, m.Hdr.Name, got)
		}
	}
}

// An update says what has to be there, takes away before it adds, and leaves alone what stays.
func TestUpdate(t *testing.T) {
	const name = "a.example.com."
	txt := "_fedns.a.example.com.\t0\tIN\tTXT\t\"heritage=fedns,owner=fed\""
	for _, tt := range []struct {
		what        string
		want, there Names
		needs, does []string // as they are printed
	}{
		{"as it is", Names{name: records(t, name+" 60 A 192.0.2.1")}, Names{name: records(t, name+" 60 A 192.0.2.1")}, nil, nil},
		{"new", Names{name: records(t, name+" 60 A 192.0.2.1")}, nil,
			[]string{name + "\t0\tNONE\tANY\t", "_fedns." + name + "\t0\tNONE\tTXT\t"},
			[]string{"_fedns." + name + "\t300\tIN\tTXT\t\"heritage=fedns,owner=fed\"", name + "\t60\tIN\tA\t192.0.2.1"}},
		{"without a record", Names{name: nil}, Names{name: records(t, name+" 60 A 192.0.2.1")}, []string{txt}, []string{name + "\t0\tCLASS255\tA\t"}},
		{"led up", Names{name: records(t, name+" 60 CNAME b.example.com.")}, Names{name: records(t, name+" 60 A 192.0.2.1")},
			[]string{txt}, []string{name + "\t0\tCLASS255\tA\t", name + "\t60\tIN\tCNAME\tb.example.com."}},
		{"another TTL", Names{name: records(t, name+" 30 A 192.0.2.1")}, Names{name: records(t, name+" 60 A 192.0.2.1", name+" 60 AAAA 2001:db8::1")},
			[]string{txt}, []string{name + "\t0\tCLASS255\tA\t", name + "\t0\tCLASS255\tAAAA\t", name + "\t30\tIN\tA\t192.0.2.1"}},
		{"the zone's own name", Names{"example.com.": records(t, "example.com. 60 A 192.0.2.1")}, nil,
			[]string{"example.com.\t0\tNONE\tA\t", "example.com.\t0\tNONE\tAAAA\t", "_fedns.example.com.\t0\tNONE\tTXT\t"},
			[]string{"_fedns.example.com.\t300\tIN\tTXT\t\"heritage=fedns,owner=fed\"", "example.com.\t60\tIN\tA\t192.0.2.1"}},
		{"gone", nil, Names{name: records(t, name+" 60 A 192.0.2.1")}, []string{txt}, []string{name + "\t0\tCLASS255\tA\t", "_fedns." + name + "\t0\tCLASS255\tTXT\t"}},
	} {
		all := steps(tt.want, tt.there)
		if len(all) == 0 {
			if tt.needs != nil {
				t.Errorf("%s: nothing is done", tt.what)
			}
			continue
		}
		m := us.update(all)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		print := func(rrs []dns.RR) (out []string) {
			for _, rr := range rrs {
				out = append(out, strings.ReplaceAll(rr.String(), "\tANY\tA", "\tCLASS255\tA"))
			}
			for i := range out {
				out[i] = strings.Replace(out[i], "\t0\tANY\t", "\t0\tCLASS255\t", 1)
			}
			return out
		}
		if needs, does := print(m.Answer), print(m.Ns); !slices.Equal(needs, tt.needs) || !slices.Equal(does, tt.does) {
			t.Errorf("%s: needs\n%q\nand does\n%q\nwant\n%q\n%q", tt.what, needs, does, tt.needs, tt.does)
		}
	}
}

// What is too much for a message goes in several, none of which parts a name.
func TestMessages(t *testing.T) {
	want := Names{}
	for i := range 2000 {
		name := "s" + strings.Repeat("x", 20) + string(rune('a'+i%26)) + strings.Repeat("y", i/26%30+1) + ".example.com."
		want[name] = records(t, name+" 60 A 192.0.2.1", name+" 60 A 192.0.2.2")
	}
	n := 0
	for _, b := range us.messages(steps(want, nil)) {
		if b.msg.Len() > messageSize {
			t.Errorf("%d bytes", b.msg.Len())
		}
		n += len(b.steps)
	}
	if n != len(want) {
		t.Errorf("%d of %d names", n, len(want))
	}
}
