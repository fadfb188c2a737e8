package ctl

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/override"
)

type explain struct {
	asking
	qtype, client string
	namespace     string
	without       list
}

func (c *explain) declare(fs *pflag.FlagSet) {
	c.asking.declare(fs)
	fs.StringVar(&c.qtype, "type", "", "`TYPE` of record; default A")
	fs.StringVarP(&c.namespace, "namespace", "n", "", "`NAMESPACE` of a name that says none")
	fs.StringVar(&c.client, "client", "", "`IP` of a client, or its network: what it would be answered")
	fs.Var(&c.without, "without", "what would be if `CLUSTER` were lost; may be given several times")
}

func (c *explain) run(ctx context.Context) error {
	v := url.Values{"name": {within(c.namespace, c.positional[0])}}
	if c.qtype != "" {
		v.Set("type", c.qtype)
	}
	if c.client != "" {
		v.Set("client", c.client)
	}
	for _, w := range c.without {
		v.Add("without", w)
	}
	var e report.Explanation
	if err := c.get(ctx, "explain", v, &e); err != nil {
		return err
	}
	if c.out.data() {
		return c.put(c.out, e, bare(e.Name))
	}
	word := ""
	if e.Word != "" {
		word = ", for " + e.Word
	}
	c.printf("%s %s%s\n", bare(e.Name), e.Type, word)
	c.fold("  ", "is "+e.About)
	if len(e.Near) > 0 {
		c.fold("  ", "did you mean "+strings.Join(e.Near, ", or ")+"?")
	}
	if e.Why != "" {
		c.fold("  ", e.Why)
	}
	if e.Note != "" {
		c.fold("  ", "note: "+e.Note)
	}
	for _, r := range e.Remarks {
		c.printf("  %s\n", r)
	}
	if e.Host != nil {
		c.claims(e.Host)
	}
	if e.Client != nil {
		c.who(e.Client)
	}
	c.printf("\nanswer, from snapshot %d\n", e.Serial)
	c.view(&e.View, true)
	if e.Without != nil {
		c.printf("\nwithout %s\n", strings.Join(e.Lost, ", "))
		c.view(e.Without, c.out.wide())
	}
	return nil
}

// within is the name of something in a namespace, if it says none: web is web.shop then,
// and service/web is service/shop/web.
func within(namespace, name string) string {
	if namespace == "" {
		return name
	}
	switch kind, rest, slashed := strings.Cut(name, "/"); {
	case !slashed && !strings.Contains(name, "."):
		return name + "." + namespace
	case slashed && kind != "host" && !strings.Contains(rest, "/"):
		return kind + "/" + namespace + "/" + rest
	}
	return name
}

// subject is what an order is about, of which services have a namespace.
func (c *call) subject(namespace string) (override.Subject, error) {
	text := c.positional[0]
	if strings.HasPrefix(text, "service/") {
		text = within(namespace, text)
	}
	return override.ParseSubject(text)
}

// claims prints who claims a host, and who holds it.
func (c *call) claims(h *report.Host) {
	for _, cl := range h.Claims {
		who := "namespace " + cl.Namespace + " of federation " + cl.Federation
		if cl.Created != 0 {
			who += " claims it since " + time.Unix(cl.Created, 0).UTC().Format(time.DateTime)
		} else {
			who += " claims it"
		}
		if cl.Refused != "" {
			c.fold("  ", fmt.Sprintf("%s; refused: %s", who, cl.Refused))
		} else {
			c.fold("  ", fmt.Sprintf("%s, and holds it", who))
		}
	}
}

// who prints who asks, and which regions are close to it.
func (c *call) who(who *report.Client) {
	c.fold("  ", fmt.Sprintf("client %s: %s", who.Address, who.Note))
	if where := who.Where(); where != "" {
		c.fold("    ", "that is in "+where)
	}
	if who.Block != "" {
		c.fold("    ", fmt.Sprintf("all of %s is answered so", who.Block))
	}
	for i, l := range who.Ranking {
		if l.Source == "" {
			c.printf("    %2d. %s, wherever that is\n", i+1, l.Region)
			continue
		}
		c.printf("    %2d. %s, %d km (%s)\n", i+1, l.Region, l.KM, l.Source)
	}
}

func (c *call) printf(format string, v ...any) { fmt.Fprintf(c.Stdout, format, v...) }

// view prints an answer and the shards behind it, with their evidence if need be.
func (c *call) view(v *report.View, evidence bool) {
	r := &v.Reply
	if r.Rcode == "" {
		c.printf("  none from here\n")
		return
	}
	head := r.Rcode
	if o := r.Outcome; !strings.EqualFold(o, r.Rcode) {
		head += ", " + o
	}
	if r.Scope != "none" && r.Scope != "" {
		head += ", " + r.Scope
	}
	if len(r.Answer)+len(r.Authority) > 0 {
		head += fmt.Sprintf(", TTL %d", r.TTL)
	}
	c.printf("  %s\n", head)
	c.records(slices.Concat(r.Answer, r.Authority, r.Additional))
	for _, e := range r.Errors {
		c.fold("    ", fmt.Sprintf("extended error %d: %s", e.Code, e.Text))
	}
	if v.GuardHeld {
		c.fold("    ", "the guard keeps addresses that have gone")
	}
	if len(v.Shards) > 0 {
		c.printf("  shards\n")
	}
	width := 0
	for _, s := range v.Shards {
		width = max(width, len(s.Cluster))
	}
	for _, s := range v.Shards {
		verdict := fmt.Sprintf("%-7s", s.Verdict)
		head := fmt.Sprintf("    %-*s  ", width, s.Cluster)
		indent := strings.Repeat(" ", len(head)+len(verdict)+2)
		if c.Columns > 0 && len(indent) > c.Columns/2 { // no room beside it
			c.printf("    %s  %s\n", s.Cluster, c.paint(strings.TrimRight(verdict, " ")))
			indent = "      "
			c.fold(indent, s.Rule)
		} else {
			text := strings.TrimLeft(cli.Fold(s.Rule, indent, c.Columns), " ")
			c.printf("%s%s  %s", head, c.paint(verdict), text)
		}
		if evidence {
			c.fold(indent, shard(&s))
		}
	}
	if evidence && len(v.Absent) > 0 {
		c.fold("    ", fmt.Sprintf("no such service in %s", strings.Join(v.Absent, ", ")))
	}
}

// fold prints a text, in as many lines as a terminal has room for.
func (c *call) fold(indent, text string) { c.printf("%s", cli.Fold(text, indent, c.Columns)) }

// records prints records below each other, each in lines of its own where a terminal has no
// room for that.
func (c *call) records(all []string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, rr := range all {
		fmt.Fprintf(w, "    %s\n", rr)
	}
	w.Flush()
	for line := range strings.Lines(b.String()) {
		if c.Columns > 0 && len(line)-1 > c.Columns {
			for _, rr := range all {
				c.printf("    %s", strings.TrimLeft(cli.Fold(strings.Join(strings.Fields(rr), " "), "      ", c.Columns), " "))
			}
			return
		}
	}
	c.printf("%s", b.String())
}

// shard says what is known of a shard.
func shard(s *report.Shard) string {
	e := &s.Evidence
	if !e.Listed {
		return heard(e.ViewAgeSeconds)
	}
	parts := []string{strings.Join(s.Addresses, " ")}
	if len(s.Addresses) == 0 {
		parts[0] = "no address"
	}
	for _, h := range s.Hostnames {
		parts[0] += " " + h
	}
	if len(s.LeftOut) > 0 {
		parts = append(parts, "left out here: "+strings.Join(s.LeftOut, " "))
	}
	if at := where(s.Places); at != "" {
		parts[0] += " in " + at
	}
	if s.Inside != nil && len(s.Inside.Addresses) > 0 {
		parts = append(parts, "inside at "+strings.Join(s.Inside.Addresses, " "))
	}
	parts = append(parts, cli.Plural(e.Endpoints, "ready endpoint"))
	for _, x := range []struct {
		is   bool
		what string
	}{
		{e.Deleting, "being deleted"},
		{e.Refused > 0, fmt.Sprintf("%d refused: outside its range", e.Refused)},
		{e.Unusable > 0, fmt.Sprintf("%d that nobody can use", e.Unusable)},
		{e.Unresolved > 0, fmt.Sprintf("%d unresolved", e.Unresolved)},
		{e.Silent, "silent for " + cli.Span(e.SilentSeconds)},
	} {
		if x.is {
			parts = append(parts, x.what)
		}
	}
	for _, s := range e.Closed {
		parts = append(parts, "nobody comes in by "+s)
	}
	for _, p := range e.Probes {
		part := fmt.Sprintf("probe %s of %s %s", p.Spec, p.Target, p.State)
		if p.Note != "" {
			part += ": " + p.Note
		}
		parts = append(parts, part)
	}
	parts = append(parts, heard(e.ViewAgeSeconds))
	if e.Order != "" {
		parts = append(parts, "order: "+e.Order)
	}
	return strings.Join(parts, "; ")
}

// where prints places as names have them, the zone before its region.
func where(ps []report.Place) string {
	var out []string
	for _, p := range ps {
		if s := strings.Trim(p.Zone+"."+p.Region, "."); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

var explainCommand = command{
	name: "explain", args: "NAME", min: 1, max: 1,
	what: "what a name is answered with, and why",
	long: "Ask a running fedns what it answers a name with, and which rule kept or removed each shard.\n\n" +
		"NAME is a whole name, or a short one: SERVICE.NAMESPACE, service/NAMESPACE/SERVICE, ingress/NAMESPACE/INGRESS, host/HOST.",
	example: `# Who answers for a service, and why not the others
fedctl explain nginx.mynamespace

# What a client of that address is answered
fedctl explain nginx.mynamespace --client 198.51.100.7

# What would be if a cluster were lost
fedctl explain nginx.mynamespace --without gce-us-central1-a`,
	proposes: (*shell).names,
	make:     func(c *call) action { return &explain{asking: asking{call: c}} },
}
