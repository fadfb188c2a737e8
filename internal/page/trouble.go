package page

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedns/fedns/internal/api/report"
)

// How bad a Trouble is.
const (
	Wrong   = "wrong"   // clients get nothing, or what they shouldn't
	Doubt   = "doubt"   // they may soon, or get less than they could
	Ordered = "ordered" // somebody wants it so
)

// A Trouble is something that isn't well, in the order in which an operator asks: what, since when,
// why, what happens next, and what to do.
type Trouble struct {
	Grade string
	What  string
	Since float64 // Unix seconds; 0: not known
	Why   string
	Next  string
	Until float64 // when Next happens; 0: at no known time
	Do    string
	Run   string // a line to type
	// Name is explained, as an example; Of is what events are filtered by.
	Name string
	Of   []string // pairs
}

// A state is what troubles are found in.
type state struct {
	now      float64
	snapshot report.Snapshot
	clusters report.Clusters
	services report.Services // those that aren't well
	events   []report.Event
}

const (
	// Reasons of shards, as package health has them.
	probeFails  = "probe fails"
	silentLong  = "cluster silent beyond hold"
	drainedWhy  = "drained"
	forcedDown  = "forced down"
	mostTrouble = 50
	// forgotten is how long an order without an end may hold before it is asked whether somebody
	// has forgotten it.
	forgotten = 4 * 3600.0
)

// troubles are those of a state, the worst first.
func troubles(s *state) (out []Trouble) {
	for i := range s.snapshot.Federations {
		f := &s.snapshot.Federations[i]
		out = append(out, s.federation(f)...)
	}
	for i := range s.clusters.Clusters {
		out = append(out, s.cluster(&s.clusters.Clusters[i])...)
	}
	for _, h := range s.snapshot.Contested {
		out = append(out, s.contested(&h))
	}
	out = append(out, s.shards()...)
	slices.SortStableFunc(out, func(a, b Trouble) int { return cmp.Compare(rank(a.Grade), rank(b.Grade)) })
	return out[:min(len(out), mostTrouble)]
}

func rank(grade string) int { return slices.Index([]string{Wrong, Doubt, Ordered}, grade) }

// since is when the last event was that a function takes; 0: it isn't known.
func (s *state) since(is func(*report.Event) bool) float64 {
	for i := range slices.Backward(s.events) {
		if is(&s.events[i]) {
			return s.events[i].At
		}
	}
	return 0
}

func (s *state) federation(f *report.Federation) (out []Trouble) {
	notice := func(begins string) (since float64, text string) {
		for _, e := range slices.Backward(s.events) {
			if e.Kind == report.EventNotice && e.Federation == f.Federation && strings.HasPrefix(e.To, begins) {
				return e.At, e.To
			}
		}
		return 0, ""
	}
	if f.Isolated {
		since, _ := notice("isolated: ")
		out = append(out, Trouble{Grade: Wrong, What: "This server is cut off from most clusters of " + f.Federation, Since: since, Why: "more than half of them are silent at once",
			Next: "all that is known stays, and is marked stale", Do: "look at this server's network, and at the other servers below"})
	}
	if f.GuardHeldServices > 0 {
		since, why := notice("guard: ")
		out = append(out, Trouble{Grade: Doubt, What: sprint("The guard holds withdrawals of %d services back", f.GuardHeldServices), Since: since, Why: strings.TrimPrefix(why, "guard: "),
			Next: "addresses that are still gone are withdrawn", Until: s.now + f.GuardLeftSeconds, Do: "see why so many go at once: what they have in common is a cluster, a probe or a rollout", Of: []string{"kind", report.EventNotice}})
	}
	if f.OverridesError != "" {
		out = append(out, Trouble{Grade: Doubt, What: "The file of overrides of " + f.Federation + " can't be read", Why: f.OverridesError, Next: "the orders of before hold", Do: "mend " + f.OverridesFile})
	}
	for _, o := range f.InForce {
		if len(o.OverruledBy) > 0 {
			continue
		}
		since := s.since(func(e *report.Event) bool {
			return e.Kind == report.EventOrder && e.To == "in force" && e.Reason == o.Line
		})
		t := Trouble{Grade: Ordered, What: map[string]string{"drain": "Drained: ", "down": "Forced down: ", "up": "Forced up: ", "failback": "Failing back: "}[o.Action] + o.Subject, Since: since, Why: o.Reason,
			Next: "it holds until somebody takes it back", Do: "when it is over, take it back", Run: "fedctl undrain " + quoted(o.Subject), Of: []string{"kind", report.EventOrder}}
		if o.Until > 0 {
			t.Next, t.Until = "it ends", float64(o.Until)
		} else if since == 0 || s.now-since > forgotten {
			t.Grade, t.Do = Doubt, "nobody said until when, and it has held for long: has somebody forgotten it? Take it back"
		}
		if o.Action == "up" {
			t.Why += " (answered whatever its health is)"
		}
		out = append(out, t)
	}
	return out
}

func (s *state) cluster(c *report.Cluster) (out []Trouble) {
	i := slices.IndexFunc(s.snapshot.Federations, func(f report.Federation) bool { return f.Federation == c.Federation })
	of := []string{"cluster", c.Cluster}
	switch {
	case c.Silent:
		t := Trouble{Grade: Doubt, What: sprint("Cluster %s is silent", c.Cluster), Since: s.now - c.SilentSeconds, Why: cmp.Or(c.Reason, "its API doesn't answer"),
			Do: "see whether its API is up and reachable from here; its services may well be up", Run: "kubectl --context " + quoted(c.Cluster) + " get --raw /readyz", Of: of}
		switch {
		case c.HoldLeftSeconds != nil:
			t.Next, t.Until = "its shards are withdrawn, but for those whose probes pass", s.now+*c.HoldLeftSeconds
		case c.Answers > 0:
			t.Next = "what is known of it stays"
			if i >= 0 && s.snapshot.Federations[i].Keep {
				t.Next += ", since silence is set to keep"
			}
		default:
			t.Grade, t.Next = Wrong, sprint("its shards have been withdrawn; clients leave within %d s", c.TTL)
		}
		out = append(out, t)
	case !c.Listed:
		out = append(out, Trouble{Grade: Doubt, What: sprint("Cluster %s hasn't been listed yet", c.Cluster), Why: c.Reason, Next: "nothing of it is answered until then", Do: "see whether its API can be reached with its kubeconfig", Of: of})
	case c.Reason != "":
		out = append(out, Trouble{Grade: Doubt, What: sprint("Cluster %s can't be read in part", c.Cluster), Why: c.Reason, Next: "what is known stays", Do: "give fedns the right that it lacks, or mend what is wrong", Of: of})
	}
	if c.Warning != "" {
		out = append(out, Trouble{Grade: Doubt, What: "Cluster " + c.Cluster, Why: c.Warning, Do: "see to it", Of: of})
	}
	return out
}

func (s *state) contested(h *report.Host) Trouble {
	t := Trouble{Grade: Doubt, What: "Host " + h.Name + " is claimed more than once", Next: "the one who holds it keeps it", Name: "host/" + h.Name}
	var holds, refused []string
	for _, c := range h.Claims {
		if c.Refused == "" {
			holds = append(holds, c.Namespace)
		} else {
			refused = append(refused, c.Namespace)
			t.Why += sprint("; namespace %s is refused: %s", c.Namespace, c.Refused)
		}
	}
	if t.Why = strings.TrimPrefix(t.Why, "; "); len(holds) == 0 {
		t.What, t.Next = "Host "+h.Name+" is claimed, and refused", "it isn't answered"
	} else {
		t.Why = "namespace " + strings.Join(holds, ", ") + " holds it; " + t.Why
		t.Name = "host/" + holds[0] + "/" + h.Name
	}
	t.Do = "take the host out of the Ingress or route that shouldn't have it, in namespace " + strings.Join(refused[:min(len(refused), 3)], ", ")
	t.Run = "kubectl --namespace " + quoted(refused[0]) + " get ingresses,httproutes"
	return t
}

// shards puts together what is down for the same reason in the same cluster, and what is down altogether.
func (s *state) shards() (out []Trouble) {
	type cause struct{ cluster, reason string }
	type sum struct {
		n, ready int
		since    float64
		first    string
	}
	sums := map[cause]*sum{}
	var causes []cause
	lost, lostFirst, lostSince, why := 0, "", 0.0, ""
	silent := map[string]bool{}
	for _, c := range s.clusters.Clusters {
		silent[c.Cluster] = c.Silent
	}
	ttl := 0.0
	for _, f := range s.snapshot.Federations {
		ttl = max(ttl, float64(f.TTL))
	}
	for i := range s.services.Services {
		svc := &s.services.Services[i]
		newest := 0.0
		for _, x := range svc.Shards {
			newest = max(newest, float64(x.Since))
			if x.Verdict == "up" || x.Reason == silentLong || silent[x.Cluster] || x.Reason == drainedWhy || x.Reason == forcedDown {
				continue // the cluster's trouble, or an order
			}
			k := cause{x.Cluster, x.Reason}
			if sums[k] == nil {
				sums[k] = &sum{first: subject(svc), since: float64(x.Since)}
				causes = append(causes, k)
			}
			sums[k].n++
			sums[k].since = min(sums[k].since, float64(x.Since))
			if x.Endpoints > 0 {
				sums[k].ready++
			}
		}
		if len(svc.Addresses) == 0 && svc.Down != "" {
			if lost++; lostFirst == "" {
				lostFirst, lostSince, why = subject(svc), newest, svc.Down
			}
			lostSince = max(lostSince, newest)
		}
	}
	if lost > 0 {
		what := "Nothing is answered for " + strings.TrimPrefix(lostFirst, "service/")
		if lost > 1 {
			what = sprint("Nothing is answered for %d services, such as %s", lost, strings.TrimPrefix(lostFirst, "service/"))
		}
		out = append(out, Trouble{Grade: Wrong, What: what, Since: lostSince, Why: why, Next: "its names are answered with no address", Do: "see what each cluster's shard lacks", Name: lostFirst,
			Run: "fedctl explain " + quoted(lostFirst)})
	}
	slices.SortStableFunc(causes, func(a, b cause) int { return sums[b].n - sums[a].n })
	for _, k := range causes {
		x := sums[k]
		what := sprint("%s in %s: %s", strings.TrimPrefix(x.first, "service/"), k.cluster, k.reason)
		if x.n > 1 {
			what = sprint("%d services in %s: %s", x.n, k.cluster, k.reason)
		}
		t := Trouble{Grade: Doubt, What: what, Since: x.since, Why: "such as " + strings.TrimPrefix(x.first, "service/"), Do: "see what its evidence is", Name: x.first, Of: []string{"cluster", k.cluster}}
		if x.since > 0 {
			if t.Next = "clients have left by then, as their answers run out"; x.since+ttl > s.now {
				t.Until = x.since + ttl
			} else {
				t.Next = "clients have left: their answers have run out"
			}
		}
		switch {
		case k.reason == probeFails && x.ready > 0:
			t.Why = sprint("their endpoints are ready (%d of %d), so that either the probe asks for what isn't there, or nothing reaches them from here", x.ready, x.n)
			t.Do = "compare the probe (option probe, or annotation fedns.io/probe) with what the pods serve; ask one by hand"
		case k.reason == "no ready endpoint":
			t.Do = "see to its pods"
			if kind, rest, _ := strings.Cut(x.first, "/"); kind == "service" {
				if ns, name, ok := strings.Cut(rest, "/"); ok {
					t.Run = "kubectl --context " + quoted(k.cluster) + " --namespace " + quoted(ns) + " get endpointslices -l kubernetes.io/service-name=" + quoted(name)
				}
			}
		}
		out = append(out, t)
	}
	return out
}
