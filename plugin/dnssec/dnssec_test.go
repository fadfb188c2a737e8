package dnssec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// key makes a key and gives its path, without what ends the names of its files.
func key(t *testing.T, dir, zone string, flags uint16, algorithm uint8) string {
	t.Helper()
	k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600}, Flags: flags, Protocol: 3, Algorithm: algorithm}
	private, err := k.Generate(map[uint8]int{dns.RSASHA256: 1024}[algorithm] + map[bool]int{true: 256}[algorithm != dns.RSASHA256])
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, fmt.Sprintf("K%s+%03d+%05d", zone, algorithm, k.KeyTag()))
	for end, text := range map[string]string{".key": k.String() + "\n", ".private": k.PrivateKeyString(private)} {
		if err := os.WriteFile(base+end, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func TestSetup(t *testing.T) {
	dir := t.TempDir()
	csk := key(t, dir, "example.org.", 257, dns.ECDSAP256SHA256)
	other := key(t, dir, "example.net.", 257, dns.ED25519)
	rsa := key(t, dir, "example.org.", 257, dns.RSASHA256)
	public := key(t, dir, "example.org.", 256, dns.ED25519)
	if err := os.Remove(public + ".private"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, err string }{
		{"dnssec {\n key file " + csk + "\n}", ""},
		{"dnssec {\n key file " + csk + ".key " + other + ".private\n cache_capacity 5\n}", "can't sign any of the zones [example.org.]"},
		{"dnssec example.org example.net {\n key file " + csk + ".key\n key file " + other + ".private\n cache_capacity 0\n}", ""},
		{"dnssec sub.example.org {\n key file " + csk + "\n}", ""},
		{"dnssec org {\n key file " + csk + "\n}", "its own is none of those, nor above one"},
		{"dnssec {\n key file " + filepath.Base(csk) + "\n}", ""},
		{"dnssec", "there is no key to sign [example.org.] with: key file KEY..."},
		{"dnssec {\n key file\n}", "it is: key file KEY..."},
		{"dnssec {\n key vault x\n}", "key [vault x]; it is: key file KEY..."},
		{"dnssec {\n key aws_secretsmanager x\n}", "keys aren't got from the AWS Secrets Manager here"},
		{"dnssec {\n key file " + csk + "\n cache_capacity x\n}", `cache_capacity "x" isn't a number`},
		{"dnssec {\n key file " + csk + "\n cache_capacity -1\n}", "isn't a number from 0"},
		{"dnssec {\n key file " + csk + "\n cache_capacity 99999999\n}", "isn't a number from 0 to 16777216"},
		{"dnssec {\n key file " + csk + "\n cache_capacity\n}", "cache_capacity has one value, not 0"},
		{"dnssec {\n nsec3\n}", `there is no option "nsec3"`},
		{"dnssec {\n key file " + csk + "\n}\ndnssec", "once"},
		{"dnssec {\n key file " + rsa + "\n}", "algorithm \"8\" isn't one that is signed with here: 13"},
		{"dnssec {\n key file " + public + "\n}", "has no private part"},
		{"dnssec {\n key file " + dir + "/none\n}", "no such file"},
	} {
		c := caddy.NewTestController("dns", tt.text)
		c.ServerBlockKeys = []string{"example.org."}
		dnsserver.GetConfig(c).Root = dir
		err := setup(c)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
		}
	}
}

// TestExposed is that a key that everybody may read is used as ever: it stood in a Corefile before, with CoreDNS's plugin.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	k := key(t, dir, "example.org.", 257, dns.ED25519)
	if err := os.Chmod(k+".private", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (stanza{zones: []string{"example.org."}, keys: []string{k}}).plugin(); err != nil {
		t.Error(err)
	}
}
