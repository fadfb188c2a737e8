package stub

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var both = Stub{
	Domain: "example.com", Federation: "myfederation", ClusterDomain: "cluster.local",
	Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("198.51.100.53:53")},
}

// What is printed, form by form; deploy has the same of two of them.
func TestText(t *testing.T) {
	odd := Stub{Domain: "fed.example.com", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:1053"), netip.MustParseAddrPort("[2001:db8::53]:53")}}
	for _, tt := range []struct {
		form string
		of   *Stub
		want []string
	}{
		{"coredns", &both, []string{"example.com:53 {\n    errors\n    cache 30\n    forward . 192.0.2.53 198.51.100.53\n}\n", "myfederation.svc.cluster.local:53 {\n    errors\n    forward . 192.0.2.53 198.51.100.53\n}\n"}},
		{"coredns", &odd, []string{"forward . 192.0.2.53:1053 2001:db8::53\n"}},
		{"coredns-custom", &odd, []string{"name: coredns-custom", "  fedns-fed.example.com.server: |\n    # fedctl stub", "\n    fed.example.com:53 {\n"}},
		{"kube-dns", &both, []string{`      "example.com": [`, `        "192.0.2.53",`, `"myfederation.svc.cluster.local"`}},
		{"nodelocal", &both, []string{"    bind 169.254.20.10\n    forward . 192.0.2.53 198.51.100.53\n"}},
		{"openshift", &odd, []string{"zones: [fed.example.com]", `upstreams: ["192.0.2.53:1053", "2001:db8::53"]`}},
		{"unbound", &odd, []string{"stub-zone:\n    name: \"fed.example.com.\"\n    stub-addr: 192.0.2.53@1053\n    stub-addr: 2001:db8::53\n", "domain-insecure: \"fed.example.com.\""}},
		{"dnsmasq", &odd, []string{"server=/fed.example.com/192.0.2.53#1053\nserver=/fed.example.com/2001:db8::53\n"}},
		{"systemd-resolved", &both, []string{"[Resolve]\nDNS=192.0.2.53 198.51.100.53\nDomains=~example.com ~myfederation.svc.cluster.local\n"}},
	} {
		text, where := tt.of.Text(tt.form)
		for _, want := range tt.want {
			if !strings.Contains(text, want) || where == "" {
				t.Errorf("%s, %s: lacks %q:\n%s", tt.form, where, want, text)
			}
		}
	}
	for _, file := range []struct{ name, key string }{{"coredns", "Corefile"}, {"kube-dns", "stubDomains"}} {
		content, err := os.ReadFile("../../../deploy/" + file.name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var o struct{ Data map[string]string }
		if err := yaml.Unmarshal(content, &o); err != nil {
			t.Fatal(err)
		}
		switch deployed := o.Data[file.key]; file.name {
		case "coredns":
			ours := strings.TrimSuffix(strings.TrimPrefix(both.Blocks(), both.begin()), both.end())
			if !strings.HasSuffix(deployed, ours) {
				t.Errorf("deploy/coredns.yaml ends with other blocks than\n%s", ours)
			}
		default:
			want, err := both.StubDomains("")
			if err != nil || strings.Join(strings.Fields(deployed), "") != strings.Join(strings.Fields(want), "") {
				t.Errorf("deploy/kube-dns.yaml has %s, want %s (%v)", deployed, want, err)
			}
		}
	}
}

const corefile = `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    forward . /etc/resolv.conf
}
`

// A Corefile gets the blocks once, whatever was done before, and is as it was without them.
func TestCorefile(t *testing.T) {
	once, err := both.Corefile(corefile)
	if err != nil || !strings.HasPrefix(once, corefile) || !strings.HasSuffix(once, both.Blocks()) {
		t.Errorf("%v:\n%s", err, once)
	}
	if twice, err := both.Corefile(once); err != nil || twice != once {
		t.Errorf("written again, %v:\n%s", err, twice)
	}
	moved := both
	moved.Servers = moved.Servers[:1]
	if other, err := moved.Corefile(once); err != nil || strings.Contains(other, "198.51.100.53") || strings.Count(other, "example.com:53 {") != 1 {
		t.Errorf("of other servers, %v:\n%s", err, other)
	}
	if back := both.WithoutBlocks(once); back != corefile {
		t.Errorf("taken out:\n%s", back)
	}
	second := Stub{Domain: "example.net", Servers: both.Servers}
	two, err := second.Corefile(once)
	if err != nil || !strings.Contains(two, both.Blocks()) || second.WithoutBlocks(two) != once {
		t.Errorf("a second domain, %v:\n%s", err, two)
	}
	for _, taken := range []string{"example.com:53 {\n}\n", "example.org, example.com {\n}\n", "dns://example.com. {\n}\n", "myfederation.svc.cluster.local {\n}\n"} {
		if out, err := both.Corefile(corefile + taken); !errors.Is(err, ErrTaken) {
			t.Errorf("%q: %v\n%s", taken, err, out)
		}
	}
	if out, err := both.Corefile(corefile + "www.example.com {\n}\n"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	edited := strings.Replace(once, both.end(), "", 1)
	if out := both.WithoutBlocks(edited); out != edited {
		t.Errorf("edited by somebody:\n%s", out)
	}
}

func TestStubDomains(t *testing.T) {
	out, err := both.StubDomains(`{"acme.local": ["10.0.0.1"], "example.com": ["10.0.0.2"]}`)
	if err != nil || !strings.Contains(out, `"acme.local"`) || strings.Contains(out, "10.0.0.2") {
		t.Errorf("%v: %s", err, out)
	}
	if back, err := both.WithoutStubDomains(out); err != nil || strings.Join(strings.Fields(back), "") != `{"acme.local":["10.0.0.1"]}` {
		t.Errorf("%v: %s", err, back)
	}
	if _, err := both.StubDomains("[]"); err == nil || !strings.Contains(err.Error(), "stubDomains aren't what kube-dns takes") {
		t.Error(err)
	}
}
