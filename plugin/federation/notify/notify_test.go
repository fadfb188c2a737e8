package notify

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	clog.Discard()
	goleak.VerifyTestMain(m)
}

const secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="

// A zone that changes when a test says so.
type changing struct {
	mu      sync.Mutex // guards the rest
	serial  uint32
	seen    uint32 // that the secondary has; 0: it isn't known
	changed chan struct{}
}

func (c *changing) next(serial uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial = serial
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *changing) zone() Zone {
	return Zone{
		Name: "example.com.",
		SOA: func() *dns.SOA {
			c.mu.Lock()
			defer c.mu.Unlock()
			return &dns.SOA{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns.example.com.", Mbox: "h.example.com.", Serial: c.serial}
		},
		Changed: func() <-chan struct{} {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.changed
		},
		Seen: func(netip.Addr) (uint32, bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.seen, c.seen > 0
		},
	}
}

// A secondary says with what it answers; -1: it doesn't.
func secondary(t *testing.T, answer func(serial uint32) int) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, TsigSecret: map[string]string{"k.": secret}, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		rcode := answer(r.Answer[0].(*dns.SOA).Serial)
		if rcode < 0 {
			return
		}
		m := new(dns.Msg).SetRcode(r, rcode)
		if ts := r.IsTsig(); ts != nil {
			if w.TsigStatus() != nil {
				m.Rcode = dns.RcodeNotAuth
			} else {
				m.SetTsig(ts.Hdr.Name, ts.Algorithm, fudge, time.Now().Unix())
			}
		}
		_ = w.WriteMsg(m) // who has gone needs none
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.ActivateAndServe() // it ends with the test
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A change is told until it is acknowledged, and not again; of many only what is newest then.
func TestSender(t *testing.T) {
	for _, tt := range []struct {
		name   string
		key    string
		rcodes []int // of the first answers to serial 1; then it acknowledges
	}{
		{"at once", "", nil},
		{"it refuses", "", []int{dns.RcodeRefused, dns.RcodeServerFailure}},
		{"signed", "k.", []int{dns.RcodeNotAuth}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &changing{serial: 1, changed: make(chan struct{})}
			heard := make(chan uint32, 100)
			n := 0
			at := secondary(t, func(serial uint32) int {
				heard <- serial
				if n++; n <= len(tt.rcodes) {
					return tt.rcodes[n-1]
				}
				return dns.RcodeSuccess
			})
			s := Sender{Zone: z.zone(), To: at, Key: tt.key, Secret: secret, gap: 50 * time.Millisecond}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { s.Run(ctx) })
			defer wg.Wait()
			defer cancel()
			for range len(tt.rcodes) + 1 {
				if got := <-heard; got != 1 {
					t.Fatalf("serial %d", got)
				}
			}
			for serial := uint32(2); serial <= 500; serial++ {
				z.next(serial)
			}
			count := 0
			for got := uint32(0); got != 500; count++ {
				got = <-heard
			}
			if count > 10 {
				t.Errorf("%d messages of 500 changes in a moment", count)
			}
		})
	}
}

// Who acknowledges and doesn't come is told again, a few times and ever more seldom; who has come isn't.
func TestSenderRepeats(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before uint32 // that it has
		comes  int    // after which message it does; 0: never
		want   []time.Duration
	}{
		{"it comes", 1, 1, []time.Duration{0}},
		{"it comes after the third", 1, 3, []time.Duration{0, 5 * time.Second, 15 * time.Second}},
		{"it has it from elsewhere", 0, 0, []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second, 155 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := &changing{serial: 2, seen: tt.before, changed: make(chan struct{})}
				var at []time.Duration
				began := time.Now()
				s := Sender{Zone: z.zone(), To: netip.MustParseAddrPort("192.0.2.1:53"), exchange: func(*dns.Client, context.Context, *dns.Msg, string) (*dns.Msg, time.Duration, error) {
					if at = append(at, time.Since(began)); len(at) == tt.comes {
						z.mu.Lock()
						z.seen = z.serial
						z.mu.Unlock()
					}
					return new(dns.Msg), 0, nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				s.Run(ctx)
				if !slices.Equal(at, tt.want) {
					t.Errorf("told after %v, want %v", at, tt.want)
				}
			})
		})
	}
}

// What is wrong with the key is said.
func TestSenderKey(t *testing.T) {
	at := secondary(t, func(uint32) int { return dns.RcodeSuccess })
	for _, tt := range []struct{ key, secret, outcome string }{
		{"k.", secret, "acknowledged"},
		{"k.", "YW5vdGhlcg==", "refused"},
		{"other.", secret, "refused"},
	} {
		z := &changing{serial: 1, changed: make(chan struct{})}
		s := Sender{Zone: z.zone(), To: at, Key: tt.key, Secret: tt.secret}
		if outcome, err := s.send(t.Context(), z.zone().SOA()); outcome != tt.outcome || (err == nil) != (outcome == "acknowledged") {
			t.Errorf("key %s: %s, %v", tt.key, outcome, err)
		}
	}
}
