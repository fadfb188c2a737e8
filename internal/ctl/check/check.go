// Package check judges a federation from outside in: its delegation, its servers, what they
// say of clusters, services and orders, and the objects in its API. What is found out
// (Delegation, Server, report.…) comes in, findings go out; only ask.go asks anybody.
// Begin at Finding.
package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
)

// A Level is how a finding stands. Errors are what clients suffer from now, warnings what
// they may soon.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Group string `json:"group"` // delegation, server, clusters, services, orders, api
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do; "" where it is well
	// Runbook is the page that tells more of it; "": there is none.
	Runbook string `json:"runbook,omitempty"`
}

// runbooks is the page of all of them, with a section for each alert.
const runbooks = "https://github.com/fedns/fedns/blob/main/docs/runbooks.md#"

// see has the last finding lead to the runbook of an alert.
func (f *findings) see(alert string) {
	f.all[len(f.all)-1].Runbook = runbooks + strings.ToLower(alert)
}

// Worst is the worst level of findings.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// findings gathers those of one group.
type findings struct {
	group string
	all   []Finding
}

func (f *findings) ok(format string, v ...any) {
	f.all = append(f.all, Finding{Group: f.group, Level: OK, Text: fmt.Sprintf(format, v...)})
}

func (f *findings) warn(fix, format string, v ...any) {
	f.all = append(f.all, Finding{Group: f.group, Level: Warning, Text: fmt.Sprintf(format, v...), Fix: fix})
}

func (f *findings) err(fix, format string, v ...any) {
	f.all = append(f.all, Finding{Group: f.group, Level: Error, Text: fmt.Sprintf(format, v...), Fix: fix})
}

// soon is how long before its end an order is told of.
const soon = time.Hour

// Status judges what a server says of itself, of clusters and of services.
func Status(s *report.Snapshot, c *report.Clusters, services []report.Service) []Finding {
	return slices.Concat(servers(s), clusters(c), shards(s, services), orders(s))
}

func servers(s *report.Snapshot) []Finding {
	f := findings{group: "server"}
	f.ok("fedns %s answers with serial %d", s.Versions["fedns"], s.Serial)
	for _, fed := range s.Federations {
		switch {
		case fed.Isolated:
			f.err("its network, not theirs, is the likely cause: see whether it reaches the clusters' APIs at all", "federation %s: more than half of the clusters are silent at once; the server is cut off, and answers what it last knew", fed.Federation)
			f.see("FednsIsolated")
		case !fed.Heard:
			f.err("wait for ten seconds after its start; then fedctl clusters says which cluster, and why", "federation %s: no cluster has been listed", fed.Federation)
		case !fed.Settled:
			f.warn("fedctl clusters says which, and why", "federation %s: not every cluster has been listed yet", fed.Federation)
		}
		switch g := fed.Geo; {
		case g == nil:
		case g.Type == "":
			f.err("see the server's log; until it can be read, clients that no nets place get every shard, for a short time", "federation %s: the geographic database %s can't be read", fed.Federation, g.File)
		case g.AgeSeconds > report.GeoStale.Seconds():
			f.warn("fetch a newer one; the server reads it as it is replaced", "federation %s: the geographic database %s is %d days old", fed.Federation, g.File, int(g.AgeSeconds/(24*time.Hour).Seconds()))
		default:
			f.ok("federation %s: clients are placed by %s, %d days old", fed.Federation, g.Type, int(g.AgeSeconds/(24*time.Hour).Seconds()))
		}
		if fed.OverridesError != "" {
			f.err("mend the file; the last orders that could be read hold meanwhile", "federation %s: the file of overrides can't be read: %s", fed.Federation, fed.OverridesError)
			f.see("FednsFilesUnread")
		}
	}
	for _, z := range s.Signing {
		switch domain := bare(z.Domain); {
		case z.Problem != "":
			f.err("fedctl keys on its host says more; the last good keys sign meanwhile, until it starts again", "%s: its keys: %s", domain, z.Problem)
		case z.Ends != nil && time.Until(*z.Ends) < report.SigningNotice:
			f.warn("add a key, or give one a later date Inactive: docs/dnssec.md", "%s: from %s on no key signs", domain, z.Ends.UTC().Format(time.RFC3339))
		case z.Unanchored != nil && time.Until(*z.Unanchored) < report.SigningNotice:
			f.err("have the parent take the DS record of a key that signs then, or give the key that it has later dates: fedctl keys says both", "%s: from %s on no key signs that its parent's DS records point to: whoever verifies finds it forged", domain, z.Unanchored.UTC().Format(time.RFC3339))
			f.see("FednsSigningKeys")
		default:
			f.ok("%s is signed, with %s", domain, cli.Plural(len(z.Keys), "key"))
		}
	}
	for _, p := range s.Publishing {
		domain := bare(p.Domain)
		switch {
		case !p.Here:
			f.ok("federation %s: another server publishes %s on %s", p.Federation, domain, p.Server)
		case len(p.Problems) > 0:
			f.err("docs/publish.md says what it needs there", "federation %s: %s isn't published on %s as it is answered (%d of its services and hosts): %s", p.Federation, domain, p.Server, p.Pending, strings.Join(p.Problems, "; "))
			f.see("FednsUnpublished")
		case len(p.Limits) > 0:
			f.ok("federation %s: %s is published on %s, as far as that can do it: %s", p.Federation, domain, p.Server, strings.Join(p.Limits, "; "))
		default:
			f.ok("federation %s: %s is published on %s", p.Federation, domain, p.Server)
		}
	}
	return f.all
}

func clusters(c *report.Clusters) []Finding {
	f := findings{group: "clusters"}
	listed := 0
	for _, m := range c.Clusters {
		name := "cluster " + m.Cluster
		switch {
		case m.Silent && m.Reason != "":
			f.err("see to its API, or to the credentials that lead there; fedctl drain takes it out of the answers", "%s is silent for %s: %s", name, cli.Span(m.SilentSeconds), m.Reason)
			f.see("FednsClusterSilent")
		case m.Silent:
			f.err("see to its API; fedctl drain takes it out of the answers", "%s is silent for %s", name, cli.Span(m.SilentSeconds))
			f.see("FednsClusterSilent")
		case !m.Listed && m.Reason != "":
			f.err("the reason says what is missing", "%s has never been listed: %s", name, m.Reason)
			f.see("FednsClusterErrors")
		case !m.Listed:
			f.warn("it may only have joined", "%s hasn't been listed yet", name)
		case m.Reason != "":
			f.warn("what was known of it is still answered", "%s can't be read as a whole: %s", name, m.Reason)
			f.see("FednsClusterErrors")
		default:
			listed++
		}
		if m.Warning != "" {
			f.warn("see docs/inside-a-cluster.md", "%s: %s", name, m.Warning)
		}
		if m.Listed && len(m.Places) == 0 {
			f.warn("label its nodes with topology.kubernetes.io/region and /zone, or say region and zones of the cluster", "%s has no place: it is answered by the global names only", name)
		}
	}
	if listed > 0 {
		f.ok("%d of %d clusters are listed and fresh", listed, len(c.Clusters))
	}
	if len(c.Clusters) == 0 {
		f.err("fedctl join, or a cluster in the Corefile", "there is no cluster")
	}
	return f.all
}

// few is how many of a kind are named.
const few = 5

func shards(s *report.Snapshot, services []report.Service) []Finding {
	f := findings{group: "services"}
	var without, partly []string
	up := 0
	for _, sv := range services {
		name := subject(sv)
		switch {
		case len(sv.Addresses) == 0:
			without = append(without, fmt.Sprintf("%s (%s)", name, sv.Down))
		case !sv.Healthy:
			partly = append(partly, name)
		default:
			up++
		}
	}
	if len(without) > 0 {
		f.err("fedctl explain NAME says why", "%s without a shard that is up: %s", cli.Plural(len(without), "service"), first(without))
	}
	if len(partly) > 0 {
		f.warn("fedctl services --unhealthy says which shard, why, and since when", "%s with a shard that isn't up: %s", cli.Plural(len(partly), "service"), first(partly))
	}
	if up > 0 {
		f.ok("%s up in every cluster that has it", cli.Plural(up, "service"))
	}
	if len(services) == 0 {
		f.warn("label a Service: fedns.io/export=true", "no service is exported")
	}
	for _, fed := range s.Federations {
		if fed.GuardHeldServices > 0 {
			f.warn("so much would go at once that it waits: fedctl services --unhealthy shows what; if it is right, the guard ends by itself, or fedctl down orders it", "federation %s: the guard holds withdrawals of %s back", fed.Federation, cli.Plural(fed.GuardHeldServices, "service"))
			f.see("FednsGuardHolds")
		}
	}
	return f.all
}

// subject names a service as fedctl explain takes it.
func subject(s report.Service) string {
	switch s.Kind {
	case "svc":
		return "service/" + s.Namespace + "/" + s.Name
	case "ing":
		return "ingress/" + s.Namespace + "/" + s.Name
	}
	return s.Kind + "/" + s.Name
}

func first(all []string) string {
	if len(all) <= few {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s, and %d more", strings.Join(all[:few], ", "), len(all)-few)
}

func orders(s *report.Snapshot) []Finding {
	f := findings{group: "orders"}
	n := 0
	for _, fed := range s.Federations {
		for _, o := range fed.InForce {
			n++
			name := fmt.Sprintf("%s %s (%s)", o.Action, o.Subject, o.Reason)
			if o.LeftSeconds == nil {
				f.warn("fedctl undrain takes it back; --for says how long one holds", "%s has no end", name)
			} else if left := time.Duration(*o.LeftSeconds * float64(time.Second)); left > 0 && left < soon {
				f.warn("give it again with another end if it is still needed", "%s ends in %s", name, cli.Span(*o.LeftSeconds))
			}
		}
	}
	if n == 0 {
		f.ok("no order is in force")
	} else if len(f.all) == 0 {
		f.ok("%d orders are in force, all with an end", n)
	}
	return f.all
}
