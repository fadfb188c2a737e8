package ctl

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// overrides lists the orders, whoever gave them: in files of servers, and in the
// federation's API.
type overrides struct {
	*call
	editing
	steering
	servers list
	prune   bool
}

func newOverrides(c *call) action {
	return &overrides{call: c, editing: editing{asking: asking{call: c}}, steering: steering{reaching: newReaching(c)}}
}

func (c *overrides) declare(fs *pflag.FlagSet) {
	fs.Var(&c.servers, "server", "`URL` of fedns's status, for each that is to be asked; default $FEDNS_SERVER, then "+defaultServer)
	c.out.declare(fs, forms)
	c.which(fs)
	c.steering.declare(fs)
	fs.BoolVar(&c.prune, "prune", false, "remove those that have expired")
}

// A stand is what a server has made of an order.
type stand struct {
	State       string   `json:"state"` // as in the API: InForce, Overruled, NotInForce; else Unknown
	Why         string   `json:"why,omitempty"`
	OverruledBy []string `json:"overruled_by,omitempty"`
}

// unknown is the state of an order that a server hasn't said anything of.
const unknown = "Unknown"

// A standing is an order with where it stands.
type standing struct {
	report.Order
	From    string `json:"from"`     // order/NAME, cluster/NAME, or file PATH on SERVER
	InForce string `json:"in_force"` // yes, partly, overruled, no, expired, or unknown
	Ended   bool   `json:"ended,omitempty"`
	// Servers are those that have to do with it; Of is how many there are.
	Servers map[string]stand `json:"servers"`
	Of      int              `json:"of"`
}

// A survey gathers orders from all who know of some.
type survey struct {
	now     time.Time
	orders  []*standing
	servers map[string]bool // that there are
	looked  []string        // where
	listed  bool            // the API has been
}

func (s *survey) add(o override.Order, from string) *standing {
	for _, there := range s.orders {
		if there.From == from && there.Subject == o.Subject.String() && there.Action == string(o.Action) && there.Reason == o.Reason && there.Until == report.OrderOf(o, s.now).Until {
			return there
		}
	}
	at := &standing{Order: report.OrderOf(o, s.now), From: from, Ended: o.Expired(s.now), Servers: map[string]stand{}}
	s.orders = append(s.orders, at)
	return at
}

// of gives the order of an object; nil: there is none.
func (s *survey) of(object string) *standing {
	for _, o := range s.orders {
		if o.From == object {
			return o
		}
	}
	return nil
}

// said is a server's statement of an order, as its object has it.
func said(all map[string]v1alpha1.Statement, generation int64, server string) stand {
	st, there := all[server]
	switch {
	case !there:
		return stand{State: unknown, Why: "it hasn't said anything of it yet"}
	case st.Generation != generation:
		return stand{State: unknown, Why: "it hasn't said anything yet of what was changed last"}
	}
	return stand{State: st.State, Why: st.Message}
}

// api adds what stands in the federation's API.
func (s *survey) api(ctx context.Context, b *board) error {
	s.listed = true
	s.looked = append(s.looked, "the API of federation "+b.federation)
	for _, server := range b.live {
		s.servers[server.Name] = true
	}
	tell := func(o *standing, all map[string]v1alpha1.Statement, generation int64) {
		for _, server := range b.live {
			o.Servers[server.Name] = said(all, generation, server.Name)
		}
	}
	clusters, err := b.List(ctx, v1alpha1.Clusters, "", "")
	if err != nil {
		return fmt.Errorf("clusters: %w", err)
	}
	for i := range clusters {
		c, err := clusterOf(&clusters[i])
		if err != nil {
			return err
		}
		if c.Spec.Drain != nil {
			tell(s.add(drainOf(c), "cluster/"+c.Name), c.Status.Servers, c.Generation)
		}
	}
	orders, err := b.orders(ctx)
	if err != nil {
		return err
	}
	for _, p := range orders {
		if p.Spec.DryRun {
			continue
		}
		// What can't be gone by is shown as it is, with what servers say of it.
		o := override.Order{Action: override.Action(strings.ToLower(p.Spec.Action)), Reason: p.Spec.Reason}
		var wrong error
		o.Subject, wrong = override.ParseSubject(p.Spec.Subject)
		if p.Spec.Until != nil {
			o.Until = p.Spec.Until.UTC()
		}
		at := s.add(o, "order/"+p.Name)
		if wrong != nil {
			at.Subject = p.Spec.Subject
		}
		tell(at, p.Status.Servers, p.Generation)
	}
	for _, l := range b.live {
		if l.Filed != nil {
			if err := s.filed(l.Name, l.Filed); err != nil {
				return err
			}
		}
	}
	return nil
}

// filed adds what a server's Lease tells of its file.
func (s *survey) filed(server string, f *v1alpha1.Filed) error {
	s.looked = append(s.looked, fmt.Sprintf("file %s on %s", f.File, server))
	for _, o := range f.Orders {
		read, err := override.Parse(o.Line)
		if err != nil || len(read) != 1 {
			return fmt.Errorf("server %s: its Lease says %q, which isn't an order: %w", server, o.Line, err)
		}
		at := s.add(read[0], fmt.Sprintf("file %s on %s", f.File, server))
		st := stand{State: v1alpha1.InForce, OverruledBy: o.OverruledBy}
		if len(o.OverruledBy) > 0 {
			st.State = v1alpha1.Overruled
		}
		if f.Error != "" {
			st.Why = "the file can't be read any more, and what it said before holds: " + f.Error
		}
		at.Servers[server] = st
	}
	return nil
}

// server adds what a server says at its status, of the federations that are meant: that
// is what it answers by.
func (s *survey) server(a *asking, only string, snapshot *report.Snapshot) error {
	for _, f := range snapshot.Federations {
		if only != "" && f.Federation != only {
			continue
		}
		server := cmp.Or(f.Server, snapshot.Host, a.server)
		s.servers[server] = true
		inForce := map[string]report.Order{}
		for _, o := range f.InForce {
			if o.Object == "" {
				inForce[spelled(o)] = o
				continue
			}
			st := stand{State: v1alpha1.InForce, OverruledBy: o.OverruledBy}
			if len(o.OverruledBy) > 0 {
				st.State = v1alpha1.Overruled
			}
			at := s.of(o.Object)
			if at == nil && s.listed {
				continue // it has just been taken back
			}
			if at == nil {
				read, err := override.Parse(spelled(o))
				if err != nil || len(read) != 1 {
					return fmt.Errorf("server %s: %q isn't an order: %w", a.server, spelled(o), err)
				}
				read[0].Reason = unmarked(read[0].Reason)
				at = s.add(read[0], o.Object)
			}
			at.Servers[server] = st
		}
		if f.OverridesFile == "" {
			if f.Server != "" {
				s.looked = append(s.looked, "server "+server)
			}
			continue
		}
		if err := s.file(f, server, inForce); err != nil {
			return err
		}
	}
	return nil
}

// unmarked is the reason of an order as its object has it.
func unmarked(reason string) string {
	if i := strings.LastIndex(reason, " ("); i >= 0 && strings.HasSuffix(reason, ")") && (strings.HasPrefix(reason[i:], " (Order ") || strings.HasPrefix(reason[i:], " (spec.drain of Cluster ")) {
		return reason[:i]
	}
	if strings.HasPrefix(reason, "spec.drain of Cluster ") {
		return ""
	}
	return reason
}

// file adds what stands in a server's file. It is read here, with what has expired, if
// it is the one that the server reads.
func (s *survey) file(f report.Federation, server string, inForce map[string]report.Order) error {
	where := fmt.Sprintf("file %s on %s", f.OverridesFile, server)
	s.looked = append(s.looked, where)
	// The server's word counts, not that of its Lease.
	s.orders = slices.DeleteFunc(s.orders, func(o *standing) bool { return o.From == where })
	here, err := digest(f.OverridesFile)
	own := err == nil && (f.OverridesDigest == here || f.OverridesDigest == "")
	var all []override.Order
	if own {
		lines, err := readLines(f.OverridesFile)
		if err != nil {
			return err
		}
		_, all = without(lines, func(*override.Order) bool { return true })
	} else {
		lines := collect(f.Overrides, spelled)
		if f.OverridesError != "" { // what it read before holds
			lines = append(lines, slices.Sorted(maps.Keys(inForce))...)
		}
		for _, line := range lines {
			read, err := override.Parse(line)
			if err != nil {
				return fmt.Errorf("server %s: %q isn't an order: %w", server, line, err)
			}
			all = append(all, read...)
		}
	}
	for _, o := range all {
		at := s.add(o, where)
		got, there := inForce[o.String()]
		switch {
		case f.InForce == nil:
			at.Servers[server] = stand{State: unknown, Why: "it doesn't say what it goes by"}
		case there && len(got.OverruledBy) > 0:
			at.Servers[server] = stand{State: v1alpha1.Overruled, OverruledBy: got.OverruledBy}
		case there && f.OverridesError != "":
			at.Servers[server] = stand{State: v1alpha1.InForce, Why: "the file can't be read any more, and what it said before holds: " + f.OverridesError}
		case there:
			at.Servers[server] = stand{State: v1alpha1.InForce}
		case o.Expired(s.now):
			at.Servers[server] = stand{State: v1alpha1.NotInForce, Why: "it has expired"}
		case f.OverridesError != "":
			at.Servers[server] = stand{State: v1alpha1.NotInForce, Why: "the file can't be read: " + f.OverridesError}
		default:
			at.Servers[server] = stand{State: v1alpha1.NotInForce, Why: "it hasn't taken it in yet"}
		}
	}
	return nil
}

// sum says of each order whether it is in force. One in the API is meant for all servers
// that there are; one in a file for those that have the file.
func (s *survey) sum() []*standing {
	for _, o := range s.orders {
		o.Of = max(len(s.servers), len(o.Servers))
		count := map[string]int{}
		for _, st := range o.Servers {
			count[st.State]++
		}
		switch n := len(o.Servers); {
		case n > 0 && count[v1alpha1.InForce] == n:
			o.InForce = "yes"
		case count[v1alpha1.InForce] > 0:
			o.InForce = "partly"
		case count[v1alpha1.Overruled] > 0:
			o.InForce = "overruled"
		case n == 0 || count[unknown] == n:
			o.InForce = "unknown"
		default:
			o.InForce = "no"
		}
		if o.Ended && count[v1alpha1.InForce] == 0 {
			o.InForce = "expired"
		}
	}
	return s.orders
}

func (c *overrides) run(ctx context.Context) error {
	if len(c.servers) > 0 {
		c.server = c.servers[0]
	} else {
		c.server = c.usualServer()
	}
	if c.prune {
		return c.pruned(ctx)
	}
	s := &survey{now: c.Now(), servers: map[string]bool{}}
	var failed error // who can't be asked doesn't keep the others' orders back
	if c.posted() {
		failed = c.askAPI(ctx, s)
	}
	if failed == nil || len(c.servers) > 0 || c.file != "" {
		if err := c.ask(ctx, s); failed == nil {
			failed = err
		}
	}
	all := s.sum()
	switch {
	case failed != nil && len(all) == 0:
	case c.out.data():
		if err := c.put(c.out, append([]*standing{}, all...), collect(all, func(o *standing) string { return o.Subject })...); err != nil {
			return err
		}
	case len(all) == 0:
		c.printf("no orders in %s\n", strings.Join(s.looked, ", "))
	case c.out.wide():
		c.tellWide(all)
	default:
		c.tell(all)
	}
	return failed
}

// askAPI adds what stands in the federation's API.
func (c *overrides) askAPI(ctx context.Context, s *survey) error {
	b, err := c.board(ctx)
	if err != nil {
		return err
	}
	return s.api(ctx, b)
}

// ask adds what the servers say at their status. Where the API has been asked, which
// knows the rest, only those that are named have to answer.
func (c *overrides) ask(ctx context.Context, s *survey) error {
	if c.file != "" {
		return c.only(ctx, s)
	}
	servers := c.servers
	if len(servers) == 0 {
		servers = list{c.server}
	}
	found := len(s.looked)
	var failed error
	for _, url := range servers {
		a := &asking{call: c.call, server: url}
		var snapshot report.Snapshot
		err := a.get(ctx, "snapshot", nil, &snapshot)
		switch {
		case err != nil && s.listed && len(c.servers) == 0:
			continue // nobody said that there is one
		case err != nil:
			failed = cmp.Or(failed, err)
			continue
		}
		if err := s.server(a, c.federation, &snapshot); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	if !s.listed && len(s.looked) == found {
		return advice.Errorf("give the federation one in the Corefile: overrides FILE", "the server has no file of overrides")
	}
	return nil
}

// only adds what stands in the file that is named, and what the server makes of it, if
// it can be asked.
func (c *overrides) only(ctx context.Context, s *survey) error {
	t, err := c.target(ctx)
	if err != nil {
		return err
	}
	lines, err := readLines(t.path)
	if err != nil {
		return err
	}
	var snapshot report.Snapshot
	abs, err := filepath.Abs(t.path)
	if err != nil {
		return err
	}
	a := &asking{call: c.call, server: c.server}
	if t.failed == nil && a.get(ctx, "snapshot", nil, &snapshot) == nil {
		// Two federations may go by one file: what holds in one holds.
		i := slices.IndexFunc(snapshot.Federations, func(f report.Federation) bool { return f.OverridesFile == abs })
		if i >= 0 {
			snapshot.Federations = snapshot.Federations[i : i+1]
			return s.server(a, "", &snapshot)
		}
	}
	s.looked = append(s.looked, "file "+t.path)
	for _, l := range lines {
		if l.order != nil {
			s.add(*l.order, "file "+t.path)
		}
	}
	return nil
}

// pruned removes what has expired, in the API or in a file.
func (c *overrides) pruned(ctx context.Context) error {
	now := c.Now()
	if c.posted() {
		b, err := c.board(ctx)
		if err != nil {
			return err
		}
		gone, err := b.prune(ctx, now, true)
		if err != nil {
			return err
		}
		switch {
		case c.out.data():
			if err := c.put(c.out, append([]string{}, gone...), gone...); err != nil {
				return err
			}
		case len(gone) == 0:
			c.printf("no order in the API of federation %s has expired\n", b.federation)
		}
		for _, name := range gone {
			if !c.out.data() {
				c.printf("%s: removed; it has expired\n", name)
			}
		}
		if c.file == "" && len(c.servers) == 0 {
			return nil
		}
	}
	t, err := c.target(ctx)
	if err != nil {
		return err
	}
	var gone []override.Order
	err = c.edit(ctx, t.path, func(lines []line) (kept []line, err error) {
		kept, gone = without(lines, func(o *override.Order) bool { return o.Expired(now) })
		return kept, nil
	})
	switch {
	case err != nil:
		return err
	case c.out.data():
		return c.putOrders(gone)
	case len(gone) == 0:
		c.printf("no order in %s has expired\n", t.path)
	}
	for _, o := range gone {
		c.printf("%s: removed from %s; it has expired\n", o, t.path)
	}
	return nil
}

// prune removes the Orders that have expired, and with drains those of Cluster objects.
// What fedctl asked servers for, as a dry run, expires as well; it is removed by whoever
// comes next, where fedctl could not.
func (b *board) prune(ctx context.Context, now time.Time, all bool) (gone []string, err error) {
	orders, err := b.orders(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		if o.Spec.Until == nil || now.Before(o.Spec.Until.Time) || !all && !o.Spec.DryRun {
			continue
		}
		if err := b.Delete(ctx, v1alpha1.Orders, "", o.Name, o.UID); err != nil && !kube.Missing(err) {
			return gone, fmt.Errorf("order %s: %w", o.Name, err)
		}
		gone = append(gone, "order/"+o.Name)
	}
	if !all {
		return gone, nil
	}
	clusters, err := b.List(ctx, v1alpha1.Clusters, "", "")
	if err != nil {
		return gone, fmt.Errorf("clusters: %w", err)
	}
	for i := range clusters {
		c, err := clusterOf(&clusters[i])
		if err != nil {
			return gone, err
		}
		if d := c.Spec.Drain; d == nil || d.Holds(now) {
			continue
		}
		// Only as it is: somebody may have made it longer.
		patch := map[string]any{"metadata": map[string]any{"resourceVersion": c.ResourceVersion}, "spec": map[string]any{"drain": nil}}
		_, err = b.Merge(ctx, v1alpha1.Clusters, "", c.Name, patch, agent, "")
		switch {
		case kube.Conflict(err), kube.Missing(err):
			continue
		case err != nil:
			return gone, fmt.Errorf("cluster %s: %w", c.Name, err)
		}
		gone = append(gone, "cluster/"+c.Name)
	}
	return gone, nil
}

// drainOf is the order that a Cluster object gives.
func drainOf(c *v1alpha1.Cluster) override.Order {
	o := override.Order{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: c.Name}, Reason: c.Spec.Drain.Reason}
	if u := c.Spec.Drain.Until; u != nil {
		o.Until = u.UTC()
	}
	return o
}

// clusterOf reads a Cluster object.
func clusterOf(o *kube.Object) (*v1alpha1.Cluster, error) {
	c, err := kube.As[v1alpha1.Cluster](o)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.GetName(), err)
	}
	return &c, nil
}

// columns is how wide text is set where nobody says how wide it may be.
const columns = 80

// set is how wide text is set.
func (c *call) set() int { return cmp.Or(c.Columns, columns) }

// tell prints orders: a line for each, and below it what doesn't fit there. A terminal in
// which not even the lines fit gets what -o wide has, a cell a line.
func (c *call) tell(all []*standing) {
	t := table{head: []string{"SUBJECT", "ORDER", "UNTIL", "IN FORCE", "SERVERS", "FROM"}, pad: 2}
	for _, o := range all {
		until, servers := o.brief()
		t.rows = append(t.rows, []string{o.Subject, o.Action, until, o.InForce, servers, o.From})
	}
	width := t.widths()
	from := len(t.head) - 1
	line := 0 // without where it is from
	for _, w := range width[:from] {
		line += w + t.pad
	}
	if c.Columns > 0 && line+len(t.head[from]) > c.Columns {
		c.tellWide(all)
		return
	}
	c.row(t, width, t.head, false)
	for i, o := range all {
		if line+len(o.From) <= c.set() {
			c.row(t, width, t.rows[i], true)
			c.details(o, "")
		} else {
			c.row(t, width, t.rows[i][:from], true)
			c.details(o, o.From)
		}
	}
}

// tellWide prints orders in one table, with all that is known of each.
func (c *call) tellWide(all []*standing) {
	t := table{head: []string{"SUBJECT", "ORDER", "UNTIL", "IN FORCE", "SERVERS", "FROM", "REASON", "WHY"}, free: []string{"FROM", "REASON", "WHY"}}
	for _, o := range all {
		until, servers := o.brief()
		t.rows = append(t.rows, []string{o.Subject, o.Action, until, o.InForce, servers, o.From, o.Reason, strings.Join(o.whys(), "; ")})
	}
	c.tabulate(t)
}

// brief is until when an order holds, and how many servers go by it.
func (o *standing) brief() (until, servers string) {
	until = "taken back"
	if o.Until != 0 {
		until = time.Unix(o.Until, 0).UTC().Format(time.RFC3339)
	}
	n := 0
	for _, st := range o.Servers {
		if st.State == v1alpha1.InForce {
			n++
		}
	}
	return until, fmt.Sprintf("%d of %d", n, o.Of)
}

// details prints what stands below the line of an order.
func (c *call) details(o *standing, from string) {
	say := func(format string, v ...any) {
		for _, l := range folded(fmt.Sprintf(format, v...), c.set()-4) {
			c.printf("    %s\n", l)
		}
	}
	if from != "" {
		say("from %s", from)
	}
	if o.Reason != "" {
		say("reason: %s", o.Reason)
	}
	for _, why := range o.whys() {
		say("%s", why)
	}
}

// whys are what servers say of an order, each with those that say it unless all do.
func (o *standing) whys() (out []string) {
	if len(o.Servers) == 0 {
		return []string{"no server says what it goes by"}
	}
	why := map[string][]string{} // the servers of which it is said
	for _, server := range slices.Sorted(maps.Keys(o.Servers)) {
		st := o.Servers[server]
		text := st.Why
		switch {
		case len(st.OverruledBy) == 1:
			text = "a later order counts: " + st.OverruledBy[0]
		case len(st.OverruledBy) > 1:
			text = "later orders count: " + strings.Join(st.OverruledBy, "; ")
		case text == "" && st.State != v1alpha1.InForce:
			text = st.State
		}
		if text != "" {
			why[text] = append(why[text], server)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(why)) {
		if len(why[text]) == len(o.Servers) {
			out = append(out, text)
		} else {
			out = append(out, strings.Join(why[text], ", ")+": "+text)
		}
	}
	return out
}

// folded breaks a text into lines at its spaces. A word that is longer is one.
func folded(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		if n := len(lines) - 1; n >= 0 && len(lines[n])+1+len(word) <= width {
			lines[n] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

var overridesCommand = command{
	name: "overrides",
	what: "list the orders, those of files and those of the federation's API, and where each stands",
	example: `# Those that the fedns of this host knows of
fedctl overrides

# Those of a federation, and what each server has made of them
fedctl overrides --context myfederation

# Remove what has expired
fedctl overrides --prune`,
	make: newOverrides,
}
