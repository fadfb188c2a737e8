package dnskey_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
)

// FuzzLoad is that the two files of a key are read or refused, whatever is in them: a key that was read is the one that its
// record says, signs so that the record verifies it, and is the same when it is written and read again.
func FuzzLoad(f *testing.F) {
	f.Add(public, private)
	f.Add(public, "")
	f.Add("example.com. IN DNSKEY 256 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n", "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\nPrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\nInactive: 20990101000000\nDelete: 20990101000000\n")
	f.Add("\\000.com 0 in dnskey 0385 3 13 "+strings.Repeat("A", 86)+"==", "Private-key-format: v1.\nAlgorithm:13\nPrivateKey:AAAA\nActivate: 00000101000000\n")
	f.Add("; Delete: 2026\n. DNSKEY 65535 3 15 "+strings.Repeat("=", 43), "")
	f.Fuzz(func(t *testing.T, public, private string) {
		dir := t.TempDir()
		base := filepath.Join(dir, "k")
		if err := os.WriteFile(base+".key", []byte(public), 0o644); err != nil {
			t.Fatal(err)
		}
		if private != "" {
			if err := os.WriteFile(base+".private", []byte(private), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := dnskey.Load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("the error doesn't name the file: %v", err)
			}
			return
		}
		k := keys[0]
		rr, err := dns.NewRR(k.Record())
		if err != nil {
			t.Fatalf("%s: %v", k.Record(), err)
		}
		record := rr.(*dns.DNSKEY)
		if record.KeyTag() != k.Tag() || record.Algorithm != uint8(k.Algorithm) || !strings.HasSuffix(record.ToDS(dns.SHA256).String(), k.DSText()) {
			t.Errorf("%s\n%s\n%s", k, record, k.DSText())
		}
		for _, now := range []time.Time{{}, began, k.Changes(began)} {
			if k.State(now) == "" {
				t.Error("in no state at", now)
			}
		}
		if k.Signer == nil {
			return
		}
		verifies(t, k, record)
		again := t.TempDir()
		if _, err := k.Write(again); err != nil {
			t.Fatal(err)
		}
		back, err := dnskey.Load(again)
		if err != nil {
			t.Fatal(err)
		}
		if got := back[0]; got.Record() != k.Record() || got.Dates != k.Dates {
			t.Errorf("%+v\n%+v", got, k)
		}
	})
}

// verifies checks a signature of the key by its record.
func verifies(t *testing.T, k *dnskey.Key, record *dns.DNSKEY) {
	t.Helper()
	if !dns.IsSubDomain(record.Hdr.Name, "example.com.") {
		return // another zone's key signs nothing here
	}
	txt, err := dns.NewRR("example.com. 5 IN TXT x")
	if err != nil {
		t.Fatal(err)
	}
	sig := &dns.RRSIG{Inception: 1, Expiration: 2, KeyTag: record.KeyTag(), SignerName: record.Hdr.Name, Algorithm: record.Algorithm}
	if err := sig.Sign(k.Signer, []dns.RR{txt}); err != nil {
		t.Fatal(err)
	}
	if err := sig.Verify(record, []dns.RR{txt}); err != nil {
		t.Errorf("%s: %v", record, err)
	}
}
