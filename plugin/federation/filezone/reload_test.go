package filezone

import (
	"fmt"
	"sync"
	"testing"

	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// version is a zone whose records all say which it is.
func version(t *testing.T, n int) *file.Zone {
	return read(t, "example.org.", fmt.Sprintf("@ 60 SOA ns host %d 2 3 4 5\n@ NS ns\nwww %d A 192.0.2.1\n*.wild %d A 192.0.2.1\n", n, n, n))
}

// What is answered while the plugin takes a new version is of one version, of the new one once it is read, and of none that is over.
func TestReload(t *testing.T) {
	of := version(t, 1)
	z := New("example.org.", of, fall.F{})
	if a, stale := z.Answer("www.example.org.", []string{"www"}, dns.TypeA, false); a != nil || !stale {
		t.Fatalf("%v before the zone is read", a)
	}
	if !z.Claim() || z.Claim() {
		t.Fatal("two are to read it, or nobody")
	}
	z.Read()
	var now sync.Mutex // guards the next
	newest := uint32(1)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for full, labels := range map[string][]string{"www.example.org.": {"www"}, "x.wild.example.org.": {"x", "wild"}} {
					now.Lock()
					least := newest
					now.Unlock()
					a, stale := z.Answer(full, labels, dns.TypeA, false)
					if stale && z.Claim() {
						z.Read()
					}
					if a == nil {
						continue
					}
					if ttl := a.Sections.Answer[0].Records[0].TTL; ttl != a.Serial || ttl < least {
						t.Errorf("%s of version %d, serial %d; the plugin has had %d", full, ttl, a.Serial, least)
						return
					}
				}
			}
		})
	}
	for n := 2; n < 200; n++ {
		next := version(t, n)
		of.Lock()
		of.Apex, of.Tree = next.Apex, next.Tree
		of.Unlock()
		now.Lock()
		newest = uint32(n)
		now.Unlock()
	}
	close(done)
	wg.Wait()
	z.Read()
	if a, _ := z.Answer("www.example.org.", []string{"www"}, dns.TypeA, false); a == nil || a.Serial != 199 {
		t.Errorf("%v in the end", a)
	}
}

// What isn't there, or can't be read as the plugin reads it, is left to the plugin, and isn't read again and again.
func TestLeft(t *testing.T) {
	const soa = "@ 60 SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n"
	for _, tt := range []struct {
		about string
		name  dnsname.Name
		of    *file.Zone
	}{
		{"the root", ".", read(t, ".", soa)},
		{"a wildcard beside it", "example.org.", read(t, "example.org.", soa+"*.org. A 192.0.2.1\n")},
		{"a wildcard in upper case", "example.org.", read(t, "example.org.", soa+"*.UP SRV 1 2 3 www\n")},
		{"an escape that needn't be", "example.org.", read(t, "example.org.", soa+`\097 SRV 1 2 3 www`+"\n")},
		{"no file", "example.org.", file.NewZone("example.org.", "db")},
	} {
		z := New(tt.name, tt.of, fall.F{})
		z.Read()
		if a, stale := z.Answer("www."+string(tt.name), []string{"www"}, dns.TypeA, false); a != nil || stale {
			t.Errorf("%s: %v, to be read again: %v", tt.about, a, stale)
		}
	}
}
