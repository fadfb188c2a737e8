package federation

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var (
	keyProblem = metric.Fedns.Gauges("dnssec_key_problem",
		"Whether something is wrong with the keys that a domain is signed with: 1 while they can't be read, or none is active, and the last ones go on signing.", "zone")
	keysEnd = metric.Fedns.Gauges("dnssec_keys_end_timestamp_seconds",
		"When the last key of a domain ceases to sign, as the dates of its files are; +Inf: never.", "zone")
	signaturesMade = metric.Fedns.Gauges("dnssec_signatures",
		"Signatures since the configuration was read: made, or refused for want of budget, with TC in their place.", "outcome")
)

// freshPerCore is how many signatures of names that have no end are made in a second, for each core: a fifth of
// what it could. Those of names that exist are made once a week.
const freshPerCore = 5000

// A signing is the domains of one server block that are signed, and with what.
type signing struct {
	kept  *dnssec.Kept
	zones []*signedZone
}

// A signedZone is one domain with its keys.
type signedZone struct {
	domain   *zone.Domain
	paths    []string
	resolver *resolver // who is asked for what the parent has

	mu      sync.Mutex // guards the rest
	keys    []*dnskey.Key
	plan    dnskey.Plan
	read    uint64          // what the files looked like
	problem string          // that was said last
	noticed bool            // it was said that no key will sign soon
	anchors []dnskey.Anchor // that the parent has; nil: it hasn't been asked
	forged  string          // what was said of them last
}

// signs reads the option.
func (s *stanza) signs(a args) error {
	if len(a.list) == 0 {
		return errors.New("needs the folder with the keys of the domain, or the files of each, as dnssec-keygen or fedctl keys generate makes them")
	}
	for _, v := range a.list {
		p := path(a.c, v)
		if slices.Contains(s.dnssec, p) {
			return fmt.Errorf("%s stands twice", v)
		}
		s.dnssec = append(s.dnssec, p)
	}
	return nil
}

// keysOf are the paths of the keys of a domain, of its stanzas, and where they are said.
func keysOf(domain string, stanzas []stanza) (paths []string, at position, err error) {
	for _, s := range stanzas {
		if len(s.dnssec) == 0 {
			continue
		}
		if paths != nil && !slices.Equal(paths, s.dnssec) {
			return nil, at, s.positions.of("dnssec").errorf("dnssec: %s has two: %s and %s", domain, strings.Join(paths, " "), strings.Join(s.dnssec, " "))
		}
		paths, at = s.dnssec, s.positions.of("dnssec")
	}
	return paths, at, nil
}

// sign has a domain be signed, if its stanzas say so.
func (f *Federation) sign(d *zone.Domain, under []stanza, now time.Time) error {
	paths, at, err := keysOf(string(d.Name), under)
	if err != nil || paths == nil {
		return err
	}
	if f.signing.kept == nil {
		f.signing.kept = dnssec.NewKept(uint32(freshPerCore * runtime.GOMAXPROCS(0)))
	}
	z := &signedZone{domain: d, paths: paths, resolver: under[0].resolver}
	d.Signer = dnssec.NewSigner(d.Name, f.signing.kept)
	d.Reserved.Signed = true
	if err := z.load(now); err != nil {
		return at.errorf("dnssec: %w", err)
	}
	f.signing.zones = append(f.signing.zones, z)
	return nil
}

// load reads the keys, and has the domain signed with them as their dates say.
func (z *signedZone) load(now time.Time) error {
	seen := z.files()
	keys, err := dnskey.Load(z.paths...)
	if err != nil {
		return err
	}
	plan, err := dnskey.PlanAt(z.domain.Name, keys, now)
	if err != nil {
		return err
	}
	z.keys, z.read = keys, seen
	z.use(plan)
	return nil
}

func (z *signedZone) use(plan dnskey.Plan) {
	z.plan = plan
	z.domain.Signer.Use(&plan)
}

// files tells two states of the files apart.
func (z *signedZone) files() uint64 {
	digest := fnv.New64a()
	for _, p := range z.paths {
		bases, err := dnskey.Files(p)
		fmt.Fprintln(digest, p, err)
		for _, b := range bases {
			for _, end := range []string{".key", ".private"} {
				s := stamp{}
				mode := os.FileMode(0)
				if info, err := os.Stat(b + end); err == nil {
					s, mode = stamp{info.Size(), info.ModTime()}, info.Mode()
				}
				fmt.Fprintln(digest, b, end, s.size, s.mod.UnixNano(), mode)
			}
		}
	}
	return digest.Sum64()
}

// look takes in keys that have come or gone, and dates that have passed. What can't be read leaves the
// keys that there are.
func (z *signedZone) look(now time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	problem := z.problem
	if seen := z.files(); seen != z.read {
		if err := z.load(now); err != nil {
			problem, z.read = err.Error(), seen
		} else {
			problem = z.plan.Problem
			observe.Log.Infof("dnssec: %s: keys read: %s", z.domain.Name, z.signing())
		}
	} else if !z.plan.Next.IsZero() && !now.Before(z.plan.Next) {
		if plan, err := dnskey.PlanAt(z.domain.Name, z.keys, now); err == nil {
			z.use(plan)
			observe.Log.Infof("dnssec: %s: a key's date has come: %s", z.domain.Name, z.signing())
			problem = plan.Problem
		}
	} else if z.problem == "" {
		problem = z.plan.Problem
	}
	z.tell(problem, now)
	z.tellAnchors(now)
}

// signing says which keys sign.
func (z *signedZone) signing() string {
	tags := func(keys []*dnskey.Key) string {
		var out []string
		for _, k := range keys {
			out = append(out, fmt.Sprint(k.Tag()))
		}
		return cmp.Or(strings.Join(out, " "), "none")
	}
	return fmt.Sprintf("published %s, sign keys %s, sign the rest %s", tags(z.plan.Publish), tags(z.plan.Keys), tags(z.plan.Data))
}

// tell says what is wrong, once, and in metrics.
func (z *signedZone) tell(problem string, now time.Time) {
	name := string(z.domain.Name)
	switch {
	case problem != "" && problem != z.problem:
		observe.Log.Errorf("dnssec: %s: %s; it is signed as before", name, problem)
	case problem == "" && z.problem != "":
		observe.Log.Infof("dnssec: %s: its keys are right again", name)
	}
	z.problem = problem
	wrong := 0.0
	if problem != "" {
		wrong = 1
	}
	keyProblem.WithLabelValues(name).Set(wrong)
	end := z.plan.Ends
	at := math.Inf(1)
	if !end.IsZero() {
		at = float64(end.Unix())
	}
	keysEnd.WithLabelValues(name).Set(at)
	soon := !end.IsZero() && now.Add(report.SigningNotice).After(end)
	if soon && !z.noticed {
		observe.Log.Warningf("dnssec: %s: from %s on no key signs: give one a later date Inactive, or add one", name, end.Format(time.RFC3339))
	}
	z.noticed = soon
}

// resigned is how often a zone that doesn't change gets another serial: secondaries have its signatures
// only as long as they hold, of which those that are given out have six days left at least.
const resigned = 2 * 24 * time.Hour

// edition tells apart what secondaries have to fetch, though nothing else has changed: with which keys it is
// signed, and since when.
func (z *signedZone) edition(now time.Time) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return fmt.Sprint(z.domain.Name, " ", z.signing(), " ", now.Unix()/int64(resigned/time.Second))
}

// editions are those of all domains.
func (s *signing) editions(now time.Time) (all string) {
	for _, z := range s.zones {
		all += z.edition(now) + "\n"
	}
	return all
}

// look looks at all domains.
func (s *signing) look(now time.Time) {
	for _, z := range s.zones {
		z.look(now)
	}
	if s.kept != nil {
		signaturesMade.WithLabelValues("made").Set(float64(s.kept.Made.Load()))
		signaturesMade.WithLabelValues("refused").Set(float64(s.kept.Refused.Load()))
	}
}

// report tells of all domains.
func (s *signing) report(now time.Time) (out []report.Signing) {
	for _, z := range s.zones {
		z.mu.Lock()
		r := report.Signing{Domain: string(z.domain.Name), Problem: z.problem}
		if end := z.plan.Ends; !end.IsZero() {
			r.Ends = &end
		}
		r.Unanchored = z.unanchored(now)
		for _, k := range z.keys {
			r.Keys = append(r.Keys, report.SigningKey{Tag: k.Tag(), Algorithm: uint8(k.Algorithm), Flags: k.Flags, State: k.State(now)})
		}
		z.mu.Unlock()
		out = append(out, r)
	}
	return out
}

// alone says what is wrong where two sign.
func (s *signing) alone(config *dnsserver.Config) error {
	if len(s.zones) > 0 && config.Handler("dnssec") != nil {
		return fmt.Errorf("dnssec: plugin dnssec is in the server block of %s, too, and would sign what is signed: take one of them away", s.zones[0].domain.Name)
	}
	return nil
}
