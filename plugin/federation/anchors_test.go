package federation

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedns/fedns/internal/dnskey"
)

// A parent that points to no key that signs, now or soon, is said in the log, in a metric and to who asks for the status.
func TestAnchors(t *testing.T) {
	w, stanza := signedShop(t)
	k := anyKey(t, "example.com.", dnskey.ECDSAP256SHA256)
	other := anyKey(t, "example.com.", dnskey.ECDSAP256SHA256)
	generated(t, w.dir+"/keys", k)
	var has atomic.Value // the DS records of the parent
	parent := dnstest.NewServer(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, text := range has.Load().([]string) {
			rr, err := dns.NewRR("example.com. 3600 IN DS " + text)
			if err != nil {
				m.Rcode = dns.RcodeServerFailure
			} else {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m) // a client that has gone doesn't matter
	})
	t.Cleanup(parent.Close)
	f := w.serving(strings.Replace(stanza, "rrl off\n", "rrl off\nresolver "+parent.Addr+"\n", 1) + "dnssec DIR/keys\n}")
	z := f.signing.zones[0]
	z.resolver.patience = patience
	told := func() int {
		all := make(chan prometheus.Metric, 10)
		anchorsEnd.Collect(all)
		return len(all)
	}
	before := told()
	for _, tt := range []struct {
		name  string
		has   []string
		ends  time.Duration // of the key; 0: it doesn't
		from  string        // for the status
		said  string
		count int // of the metric
	}{
		{"nothing", nil, 0, "", "", 0},
		{"the key", []string{k.DSText()}, 0, "", "", 1},
		{"the key and another", []string{other.DSText(), k.DSText()}, 0, "", "", 1},
		{"another", []string{other.DSText()}, 0, "now", "no key signs that the DS records of its parent point to (" + other.DSText() + ")", 1},
		{"no answer: what was heard last", []string{"broken"}, 0, "now", "no key signs", 1},
		{"the key again", []string{k.DSText()}, 0, "", "", 1},
		{"the key, which goes in six days, and another comes", []string{k.DSText()}, 6 * 24 * time.Hour, "later", "have the parent take the DS record of another key first", 1},
		{"the key, which goes in eight days", []string{k.DSText()}, 8 * 24 * time.Hour, "later", "", 1},
		{"nothing any more", nil, 0, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			has.Store(tt.has)
			anchors, err := z.resolver.anchors(t.Context(), "example.com.")
			if err == nil {
				z.anchored(anchors)
			} else if tt.has[0] != "broken" {
				t.Fatal(err)
			}
			now := time.Now()
			z.keys = []*dnskey.Key{z.keys[0]}
			z.keys[0].Dates.Inactive, z.keys[0].Dates.Delete = time.Time{}, time.Time{}
			if tt.ends > 0 {
				z.keys[0].Dates.Inactive, z.keys[0].Dates.Delete = now.Add(tt.ends), now.Add(tt.ends)
				z.keys = append(z.keys, other)
			}
			z.look(now)
			if !strings.Contains(z.forged, tt.said) || tt.said == "" && z.forged != "" {
				t.Errorf("said %q, want %q", z.forged, tt.said)
			}
			from := ""
			if at := f.signing.report(now)[0].Unanchored; at != nil {
				if from = "later"; !at.After(now) {
					from = "now"
				}
			}
			if from != tt.from {
				t.Errorf("from %q, want %q", from, tt.from)
			}
			if n := told() - before; n != tt.count {
				t.Errorf("%d in the metric, want %d", n, tt.count)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.signing.watchAnchors(ctx) // returns
}
