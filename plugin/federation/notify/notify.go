// Package notify tells secondaries that a zone has changed (RFC 1996).
//
// Each has a Sender of its own, so that one that doesn't answer holds up no other. What is told is only
// that there is something newer: the secondary comes and fetches it.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/observe"
)

var sent = metric.Fedns.Counters("notifies_total",
	"NOTIFY messages to secondaries, by what became of them: acknowledged, refused (it answered with an error), or unanswered.", "zone", "secondary", "outcome")

const (
	// gap is the least time between two messages to a secondary. The serial moves once a second at most.
	gap = time.Second
	// patience is how long an answer is waited for.
	patience = 2 * time.Second
	// fetchWait is how long a secondary that has acknowledged may take to fetch the zone, before it is told again:
	// those that look once in a few seconds have come by then.
	fetchWait = 5 * time.Second
	// repeats is how often that is done, each time after twice as long (as many as RFC 1996 section 3.6 proposes for what
	// isn't answered): who fetches the zone from elsewhere, or by another address, isn't told for ever.
	repeats = 5
	// longestWait is between two attempts in the end (RFC 1996 section 3.6).
	longestWait = time.Minute
	// fudge is how far clocks may be apart (RFC 8945 section 10).
	fudge = 300
)

// A Zone is what a secondary is told of.
type Zone struct {
	Name string // absolute
	// SOA is the record as it is answered now.
	SOA func() *dns.SOA
	// Changed is closed once SOA may have changed since Changed was called.
	Changed func() <-chan struct{}
	// Seen is the serial that who has an address was last seen to have the zone with.
	Seen func(secondary netip.Addr) (serial uint32, ok bool)
}

// A Sender tells one secondary.
type Sender struct {
	Zone
	To     netip.AddrPort
	Source netip.Addr // invalid: whatever the host chooses
	Key    string     // of TSIG, absolute and in lower case; "": messages aren't signed
	Secret string     // of the key, in base64

	gap      time.Duration                                                                         // 0: the constant; tests have less
	exchange func(*dns.Client, context.Context, *dns.Msg, string) (*dns.Msg, time.Duration, error) // nil: the client's own
	failing  bool                                                                                  // the last attempt failed, which was logged
	lazy     bool                                                                                  // it acknowledged and didn't come, which was logged
}

// Run tells the secondary of each change until ctx ends: of the first at once, of others in their turn. What
// isn't acknowledged is sent again, ever more seldom, until there is something newer; and so, a few times, is
// what is acknowledged, and the zone isn't fetched.
//
// Whoever answers a NOTIFY is to look for the new serial at once (RFC 1996 section 4.3). But a transfer may fail, or be
// refused, and a NOTIFY that comes while one runs was forgotten by some: then all is as it was until the zone is refreshed.
func (s *Sender) Run(ctx context.Context) {
	least := cmp.Or(s.gap, gap)
	var told uint32 // the serial that was acknowledged
	acked := false  // one was
	wait, tried := least, uint32(0)
	last := time.Time{} // when the last one was sent
	again := 0          // how often it was sent after it had been acknowledged
	for {
		changed := s.Changed()
		soa := s.SOA()
		if acked && soa.Serial == told {
			var late <-chan time.Time
			stop := func() bool { return false }
			if again < repeats {
				t := time.NewTimer(fetchWait << again)
				late, stop = t.C, t.Stop
			}
			select {
			case <-changed:
				stop()
				continue
			case <-ctx.Done():
				stop()
				return
			case <-late:
			}
			has, known := s.Seen(s.To.Addr().Unmap().WithZone(""))
			if known && int32(has-told) >= 0 {
				s.lazy, again = false, repeats
				continue
			}
			if known && !s.lazy { // else it may have it from elsewhere, or from before a reload
				s.lazy = true
				observe.Log.Warningf("NOTIFY of %s to %s: serial %d was acknowledged %v ago, and not fetched from here; it is told again, %d times at most", s.Name, s.To, told, fetchWait, repeats)
			}
			again++
			acked = false
			continue
		}
		if soa.Serial != tried {
			wait, again = least, 0 // it is something new
		}
		if left := time.Until(last.Add(wait)); left > 0 {
			again := time.NewTimer(left)
			select {
			case <-again.C:
				continue // with what is new by now
			case <-changed:
				again.Stop()
				continue
			case <-ctx.Done():
				again.Stop()
				return
			}
		}
		last = time.Now()
		outcome, err := s.send(ctx, soa)
		if ctx.Err() != nil {
			return
		}
		sent.WithLabelValues(s.Name, s.To.String(), outcome).Inc()
		s.tell(err)
		if err == nil {
			acked, told, tried, wait = true, soa.Serial, soa.Serial, least
			continue
		}
		if soa.Serial == tried {
			wait = min(2*wait, longestWait)
		}
		tried = soa.Serial
	}
}

// tell logs changes for the better and for the worse.
func (s *Sender) tell(err error) {
	switch {
	case err != nil && !s.failing:
		observe.Log.Warningf("NOTIFY of %s to %s: %v; it is tried again", s.Name, s.To, err)
	case err == nil && s.failing:
		observe.Log.Infof("NOTIFY of %s to %s: acknowledged again", s.Name, s.To)
	}
	s.failing = err != nil
}

// send sends one message, and waits for the answer.
func (s *Sender) send(ctx context.Context, soa *dns.SOA) (outcome string, err error) {
	m := new(dns.Msg).SetNotify(s.Name)
	m.Answer = []dns.RR{soa} // which it may go by at once (section 3.11)
	c := dns.Client{Timeout: patience}
	if s.Source.IsValid() {
		c.Dialer = &net.Dialer{Timeout: patience, LocalAddr: &net.UDPAddr{IP: s.Source.AsSlice()}}
	}
	if s.Key != "" {
		c.TsigSecret = map[string]string{s.Key: s.Secret}
		m.SetTsig(s.Key, dns.HmacSHA256, fudge, time.Now().Unix())
	}
	exchange := (*dns.Client).ExchangeContext
	if s.exchange != nil {
		exchange = s.exchange
	}
	r, _, err := exchange(&c, ctx, m, s.To.String())
	switch {
	case r != nil && r.Rcode != dns.RcodeSuccess:
		return "refused", fmt.Errorf("it answers %s%s", dns.RcodeToString[r.Rcode], why(r))
	case err != nil:
		return "unanswered", err
	case s.Key != "" && r.IsTsig() == nil:
		return "unanswered", errors.New("its answer isn't signed")
	}
	return "acknowledged", nil
}

// why is what a TSIG says is wrong with the one that was sent.
func why(r *dns.Msg) string {
	t := r.IsTsig()
	if t == nil || t.Error == dns.RcodeSuccess {
		return ""
	}
	return fmt.Sprintf(" (TSIG %s: is the key %s the same there, and are the clocks?)", dns.RcodeToString[int(t.Error)], t.Hdr.Name)
}
