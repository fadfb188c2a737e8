package federation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// What the parents of signed domains have of their keys is seen by nobody but who verifies, and he gets no answer where it is wrong.
// So it is asked for from time to time, as anybody would ask.

var anchorsEnd = metric.Fedns.Gauges("dnssec_ds_end_timestamp_seconds",
	"From when on the DS records of a domain's parent point to none of the keys that sign, as the dates of their files are: a time that has passed, if that is so now; +Inf: never. Nothing is said where the parent has none, or can't be asked.", "zone")

// When parents are asked: not by a server that is started again and again, then as often as somebody may want to see
// what he has changed there, and sooner again where there was no answer.
const (
	anchorsFirst = time.Minute
	anchorsPace  = time.Hour
	anchorsRetry = 5 * time.Minute
)

// watchAnchors asks the parents of all signed domains until ctx ends.
func (s *signing) watchAnchors(ctx context.Context) {
	if len(s.zones) == 0 {
		return
	}
	wait := time.NewTimer(anchorsFirst)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		next := anchorsPace
		for _, z := range s.zones {
			anchors, err := z.resolver.anchors(ctx, string(z.domain.Name))
			if err != nil { // what was heard last holds
				next = anchorsRetry
				continue
			}
			z.anchored(anchors)
		}
		wait.Reset(next)
	}
}

// anchors asks for the DS records of a domain; not nil, where there is an answer.
func (r *resolver) anchors(ctx context.Context, domain string) (out []dnskey.Anchor, err error) {
	if len(r.servers) == 0 {
		return nil, errors.New("no resolver is known")
	}
	m, err := r.ask(ctx, domain, dns.TypeDS)
	if err != nil {
		return nil, err
	}
	out = []dnskey.Anchor{}
	for _, rr := range m.Answer {
		if ds, is := rr.(*dns.DS); is {
			a, err := dnskey.ParseAnchor(fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest))
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// anchored takes in what the parent has.
func (z *signedZone) anchored(anchors []dnskey.Anchor) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.anchors = anchors
}

// unanchored is from when on the parent points to none of the keys; nil: never, or it isn't known.
func (z *signedZone) unanchored(now time.Time) *time.Time {
	if len(z.anchors) == 0 {
		return nil
	}
	from, lost := dnskey.Unanchored(z.domain.Name, z.keys, z.anchors, now)
	if !lost {
		return nil
	}
	return &from
}

// tellAnchors says what comes of what the parent has, once, and in metrics.
func (z *signedZone) tellAnchors(now time.Time) {
	name := string(z.domain.Name)
	switch {
	case z.anchors == nil: // after a reload, what the metric says holds until the parent has been asked
		return
	case len(z.anchors) == 0:
		anchorsEnd.DeleteLabelValues(name)
		return
	}
	from := z.unanchored(now)
	at, said := math.Inf(1), ""
	if from != nil {
		at = float64(from.Unix())
	}
	anchorsEnd.WithLabelValues(name).Set(at)
	switch { // each second: words are made where there is something to say
	case from == nil || from.After(now.Add(report.SigningNotice)):
	case from.After(now):
		said = fmt.Sprintf("from %s on no key signs that the DS records of its parent point to (%s), and whoever verifies finds it forged: have the parent take the DS record of another key first, or give that key later dates",
			from.Format(time.RFC3339), z.pointers())
	default:
		said = fmt.Sprintf("no key signs that the DS records of its parent point to (%s): whoever verifies finds it forged. Have the parent take the DS record of a key that is there, or put that key back", z.pointers())
	}
	switch {
	case said != "" && said != z.forged:
		observe.Log.Errorf("dnssec: %s: %s", name, said)
	case said == "" && z.forged != "":
		observe.Log.Infof("dnssec: %s: its parent points to one of its keys", name)
	}
	z.forged = said
}

// pointers are the DS records that the parent has.
func (z *signedZone) pointers() string {
	has := make([]string, len(z.anchors))
	for i, a := range z.anchors {
		has[i] = a.String()
	}
	return strings.Join(has, "; ")
}
