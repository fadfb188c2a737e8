package peers

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/server"
)

// What is between three servers with the same keys, in seconds: their clocks, and when the files of a new key come.
var (
	clocks   = [...]int{-2, 0, 2}
	arrivals = [...]int{0, 2, 1}
)

// settled is how long to wait after a date, in seconds, until all servers have come to it and nobody keeps what was before: what
// clocks are apart on both sides, how late files come, a TTL of one second, and as much for a machine that has other things to do.
const settled = 4 + 2 + 1 + 3

var allRollovers = flag.Bool("rollovers", false, "roll over keys of every kind among several servers, not only their algorithm")

// Three servers whose clocks aren't the same get the files of new keys at different times, and a validating resolver that asks now
// one and now another gets no bogus answer while keys are rolled over. As the manual has it, each step waits for the slowest. The
// dates of a server whose clock is ahead are in its files as it sees them.
func TestRolloverOfReplicas(t *testing.T) {
	const p256, ed = dnskey.ECDSAP256SHA256, dnskey.ED25519
	const a, b, c, d, e = 1 * settled, 2 * settled, 3 * settled, 4 * settled, 5 * settled
	for _, tt := range []struct {
		name   string
		keys   []rolled
		parent int  // when the parent has the second key instead of the first; 0: never
		sign   int  // so many keys sign addresses
		part   bool // of what another does
	}{
		{"ZSK", []rolled{{p256, true, -60, -60, 0, 0}, {p256, false, -60, -60, b, c}, {p256, false, a, b, 0, 0}}, 0, 2, true},
		{"CSK", []rolled{{p256, true, -60, -60, c, d}, {p256, true, a, c, 0, 0}}, b, 2, true},
		{"algorithm", []rolled{{p256, true, -60, -60, e, d}, {ed, true, b, a, 0, 0}}, c, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			if tt.part && !*allRollovers {
				t.Skip("a part of what the algorithm's rollover does: -rollovers")
			}
			now := time.Now().Truncate(time.Second)
			var keys []*dnskey.Key
			for _, r := range tt.keys {
				k, err := dnskey.Generate("example.com.", r.algorithm, r.entry, 1, r.dates(now))
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, k)
			}
			// put writes keys as one server sees them.
			put := func(dir string, clock int, list []*dnskey.Key, from []rolled) {
				for i, k := range list {
					seen := *k
					seen.Dates = from[i].dates(now.Add(time.Duration(-clock) * time.Second))
					if _, err := seen.Write(dir); err != nil {
						t.Error(err)
					}
				}
			}
			there := slices.IndexFunc(tt.keys, func(r rolled) bool { return r.activate > 0 }) // so many keys are there already
			var replicas []*server.Server
			var addrs, folders []string
			for _, clock := range clocks {
				dir := t.TempDir()
				folder := filepath.Join(dir, "keys")
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				put(folder, clock, keys[:there], tt.keys)
				s := startFedns(t, signedStanza(t, dir, "  dnssec "+folder+"\n"))
				replicas, addrs, folders = append(replicas, s), append(addrs, s.Addr), append(folders, folder)
			}
			// The files of the others come a while later.
			for i := range replicas {
				timer := time.AfterFunc(time.Until(now.Add(time.Duration(arrivals[i])*time.Second)), func() { put(folders[i], clocks[i], keys[there:], tt.keys[there:]) })
				t.Cleanup(func() { timer.Stop() })
			}
			p := newParent(t, keys[0])
			unbound := validator(t, p.anchor, map[string][]string{"com": {p.Addr}, "example.com": addrs})
			server.Eventually(t, time.Minute, "unbound answers", func() bool {
				c := dns.Client{Timeout: time.Second}
				m, _, err := c.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), unbound)
				return err == nil && len(m.Answer) > 0
			})
			moved, asked := tt.parent == 0, 0
			seen := map[uint16]bool{}
			for end := now.Add((e + settled) * time.Second); time.Now().Before(end); asked++ {
				if !moved && time.Since(now) > time.Duration(tt.parent)*time.Second {
					p.delegate(t, "example DS "+keys[1].DSText()+"\n")
					p.pointsTo(t, keys[1])
					moved = true
				}
				for _, q := range []struct {
					name string
					t    uint16
				}{{"web.shop.prod.svc.example.com.", dns.TypeA}, {fmt.Sprintf("r%d.example.com.", asked), dns.TypeA}, {fmt.Sprintf("w%d.hosts.example.com.", asked), dns.TypeA}, {"example.com.", dns.TypeDNSKEY}} {
					m := validated(t, unbound, q.name, q.t)
					if m.Rcode != dns.RcodeSuccess || !m.AuthenticatedData {
						t.Fatalf("%s %s, %.1fs after the beginning: %v\n%s", q.name, dns.TypeToString[q.t], time.Since(now).Seconds(), m, replicas[0].Log())
					}
					for _, rr := range m.Answer {
						if s, ok := rr.(*dns.RRSIG); ok && q.t == dns.TypeA {
							seen[s.KeyTag] = true
						}
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
			if len(seen) != tt.sign || asked < 20 {
				t.Errorf("%d keys signed in %d rounds, want %d", len(seen), asked, tt.sign)
			}
			for i, s := range replicas {
				m := s.Exchange(t, "udp", signedQuestion("web.shop.prod.svc.example.com.", dns.TypeA))
				if last := keys[len(keys)-1]; len(m.Answer) != 2 || m.Answer[1].(*dns.RRSIG).KeyTag != last.Tag() {
					t.Errorf("server %d isn't at the end: %v", i, m)
				}
			}
			t.Log(4*asked, "questions; keys that signed:", seen)
		})
	}
}

// A rolled key has dates in seconds from the beginning; 0: never.
type rolled struct {
	algorithm                           dnskey.Algorithm
	entry                               bool
	publish, activate, inactive, remove int
}

func (r rolled) dates(from time.Time) dnskey.Dates {
	at := func(n int) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return from.Add(time.Duration(n) * time.Second)
	}
	return dnskey.Dates{Created: from, Publish: at(r.publish), Activate: at(r.activate), Inactive: at(r.inactive), Delete: at(r.remove)}
}
