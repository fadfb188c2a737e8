package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fedns/fedns/internal/fedapi"
	"github.com/fedns/fedns/internal/hint"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/report"
)

// postTime is how long servers may take to say what they have made of an Order. They
// look twice a second.
var postTime = 30 * time.Second

// A posting is an order that can be given to all servers at once, in the federation's API.
type posting struct {
	*call
	order
	steering
}

func newPosting(c *call) action {
	return &posting{call: c, order: order{editing: editing{asking{call: c}, ""}}, steering: steering{reaching: reaching{call: c}}}
}

func (c *posting) declare(fs *flag.FlagSet) {
	c.order.declare(fs)
	c.steering.declare(fs)
}

// posted says whether the federation's API is meant, and not a file of overrides.
func (c *call) posted() bool {
	return c.given["context"] || c.given["kubeconfig"] || c.given["federation"]
}

func (c *posting) run(ctx context.Context) error {
	if !c.posted() {
		return c.order.run(ctx)
	}
	return c.order.post(ctx, &c.steering)
}

// A postedOrder is an Order with its name.
type postedOrder struct {
	name string
	uid  string
	fedapi.Order
}

// A board is where the orders of a federation are, and who goes by them.
type board struct {
	*kube.API
	*progress
	federation string
	servers    []string      // that are there, by the names of their Leases
	ttl        time.Duration // the longest that answers with a cluster may be remembered, as they say
}

func (c *steering) board(ctx context.Context) (*board, error) {
	api, err := c.home(ctx)
	if err != nil {
		return nil, err
	}
	b := &board{API: api, progress: c.progress(), federation: c.federation}
	if b.servers, err = serving(ctx, api, b.federation, c.Now()); err != nil {
		api.Close()
		return nil, err
	}
	return b, nil
}

// serving are the servers that say in the API that they follow a federation.
func serving(ctx context.Context, api *kube.API, federation string, now time.Time) (out []string, err error) {
	all, err := api.List(ctx, kube.Leases, fedapi.System, fedapi.ServerLabel+"=true")
	if err != nil {
		return nil, fmt.Errorf("servers of federation %s: %w", federation, err)
	}
	for i := range all {
		if s, ok := fedapi.ServerOf(&all[i], federation); ok && s.Live(now) {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// orders are those of the API, as they were made.
func (b *board) orders(ctx context.Context) (out []postedOrder, err error) {
	all, err := b.List(ctx, fedapi.Orders, "", "")
	if kube.Missing(err) {
		return nil, hint.Errorf("fedctl init again adds them", "%s has no Orders", b.Server)
	}
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	for i := range all {
		o := postedOrder{name: all[i].GetName(), uid: string(all[i].GetUID())}
		text, err := all[i].MarshalJSON()
		if err == nil {
			err = json.Unmarshal(text, &o.Order)
		}
		if err != nil {
			return nil, fmt.Errorf("order %s: %w", o.name, err)
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b postedOrder) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return out, nil
}

// make makes an Order of its own name: one of the same subject that was made before
// stays until this one holds, and the last one counts.
func (b *board) make(ctx context.Context, o override.Order, dry bool) (name string, err error) {
	subject := strings.ToLower(strings.ReplaceAll(o.Subject.String(), "/", "."))
	name = string(o.Action) + "." + subject[:min(len(subject), 200)] + "." + strings.ToLower(rand.Text()[:6])
	spec := map[string]any{"action": strings.ToUpper(string(o.Action[:1])) + string(o.Action[1:]), "subject": o.Subject.String(), "reason": o.Reason}
	if !o.Until.IsZero() {
		spec["until"] = o.Until.UTC().Format(time.RFC3339)
	}
	if dry {
		spec["dryRun"] = true
	}
	object := fedapi.Orders.New("", name)
	object.Object["spec"] = spec
	if _, err := b.Create(ctx, fedapi.Orders, object, agent); kube.Missing(err) {
		return "", hint.Errorf("fedctl init again adds them", "%s has no Orders", b.Server)
	} else if err != nil {
		return "", fmt.Errorf("%s %s: %w", o.Action, o.Subject, err)
	}
	return name, nil
}

// await waits until every server that is there has said of the Orders named what is
// wanted, of the objects as they are, and gives what they said of the last.
func (b *board) await(ctx context.Context, now func() time.Time, said func(fedapi.Statement) bool, names ...string) (all map[string]fedapi.Statement, err error) {
	err = b.until(ctx, postTime, func(ctx context.Context) (bool, string, error) {
		servers, err := serving(ctx, b.API, b.federation, now())
		if err != nil {
			return false, "", err
		}
		for _, name := range names {
			o, err := b.Get(ctx, fedapi.Orders, "", name)
			if err != nil {
				return false, "", fmt.Errorf("order %s: %w", name, err)
			}
			var is fedapi.Order
			text, err := o.MarshalJSON()
			if err == nil {
				err = json.Unmarshal(text, &is)
			}
			if err != nil {
				return false, "", fmt.Errorf("order %s: %w", name, err)
			}
			all = is.Status.Servers
			for _, s := range servers {
				switch st, there := all[s]; {
				case !there || st.Generation != is.Generation:
					return false, "server " + s + " hasn't said anything of it yet", nil
				case !said(st):
					return false, fmt.Sprintf("server %s: %s %s", s, st.State, st.Message), nil
				}
			}
		}
		return true, "", nil
	})
	b.end()
	return all, err
}

// foresee asks all servers what an order would change, by one that is never in force.
func (b *board) foresee(ctx context.Context, now func() time.Time, o override.Order) (*report.Preview, error) {
	name, err := b.make(ctx, o, true)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = b.Delete(context.WithoutCancel(ctx), fedapi.Orders, "", name, "") // it does nothing where it is left
	}()
	all, err := b.await(ctx, now, func(fedapi.Statement) bool { return true }, name)
	if err != nil {
		return nil, err
	}
	p := &report.Preview{}
	for server, s := range all {
		if s.State != fedapi.Previewed {
			return nil, fmt.Errorf("server %s: %s", server, s.Message)
		}
		if int(s.Orphaned) > p.Orphaned {
			p.Orphaned, p.Orphans = int(s.Orphaned), s.Orphans
		}
		p.Services = max(p.Services, int(s.Services))
		b.ttl = max(b.ttl, time.Duration(s.TTLSeconds)*time.Second)
	}
	return p, nil
}

// post gives the order to all servers.
func (c *order) post(ctx context.Context, to *steering) error {
	o, err := c.wanted()
	if err != nil {
		return err
	}
	if c.file != "" {
		return misused(&c.command, "%s %s: the order goes to the federation's API; --file is for those of a file of overrides", o.Action, o.Subject)
	}
	b, err := to.board(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	what := fmt.Sprintf("%s %s", o.Action, o.Subject)
	if len(b.servers) == 0 && !c.force {
		return hint.Errorf("its Corefile needs a `registry`, and it the rights that fedctl init gives; --force orders it for those that come", "%s: no server says that it follows federation %s", what, b.federation)
	}
	p, err := b.foresee(ctx, c.Now, o)
	switch {
	case err != nil && (c.dry || !c.force):
		return hint.Errorf("--force orders it unseen", "%s: what it would change is not known: %w", what, err)
	case c.dry:
		return c.show(what, p, "", o)
	case err == nil && !c.force:
		if err := refusal(what, p); err != nil {
			return err
		}
	}
	before, err := b.orders(ctx)
	if err != nil {
		return err
	}
	name, err := b.make(ctx, o, false)
	if err != nil {
		return err
	}
	if _, err := b.await(ctx, c.Now, func(s fedapi.Statement) bool { return s.State == fedapi.InForce }, name); err != nil {
		return hint.Errorf("fedctl overrides --context tells when it is; fedctl undrain --context takes it back", "%s: it is Order %s, and not in force everywhere: %w", what, name, err)
	}
	for _, old := range before {
		if old.Spec.Subject == o.Subject.String() && !old.Spec.DryRun && (old.Spec.Action == "Failback") == (o.Action == override.Failback) {
			if err := b.Delete(ctx, fedapi.Orders, "", old.name, ""); err != nil {
				return fmt.Errorf("order %s, which was before, stays: %w", old.name, err)
			}
		}
	}
	return c.show(what, p, fmt.Sprintf("Order %s, in force in %s", name, plural(len(b.servers), "server")), o)
}

// takeDown takes back the Orders about a subject: they end first, which servers confirm,
// and go then.
func (b *board) takeDown(ctx context.Context, now func() time.Time, sub override.Subject) (taken []string, err error) {
	all, err := b.orders(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.Spec.Subject == sub.String() && !o.Spec.DryRun {
			taken = append(taken, o.name)
		}
	}
	for _, name := range taken {
		ended := map[string]any{"spec": map[string]any{"until": now().UTC().Add(-time.Second).Format(time.RFC3339)}}
		if _, err := b.Merge(ctx, fedapi.Orders, "", name, ended, agent, ""); err != nil {
			return nil, fmt.Errorf("order %s: %w", name, err)
		}
	}
	if len(taken) > 0 {
		if _, err := b.await(ctx, now, func(s fedapi.Statement) bool { return s.State == fedapi.NotInForce }, taken...); err != nil {
			return taken, hint.Errorf("they go by the clock of the server even so; fedctl undrain again waits for it", "undrain %s: ended, and still in force somewhere: %w", sub, err)
		}
	}
	for _, name := range taken {
		if err := b.Delete(ctx, fedapi.Orders, "", name, ""); err != nil {
			return taken, fmt.Errorf("order %s: %w", name, err)
		}
	}
	return taken, nil
}

// A listed is an order of the API, with where it stands.
type listed struct {
	report.Order
	Object  string            `json:"object"`
	Servers map[string]string `json:"servers"` // what each that is there has made of it
}

// list gives all orders of the API, those of Cluster objects too.
func (b *board) list(ctx context.Context, now time.Time) (out []listed, err error) {
	stands := func(said map[string]fedapi.Statement, generation int64) map[string]string {
		at := map[string]string{}
		for _, s := range b.servers {
			switch st, there := said[s]; {
			case !there || st.Generation != generation:
				at[s] = "unknown"
			default:
				at[s] = st.State
			}
		}
		return at
	}
	clusters, err := b.List(ctx, fedapi.Clusters, "", "")
	if err != nil {
		return nil, fmt.Errorf("clusters: %w", err)
	}
	for i := range clusters {
		var c fedapi.Cluster
		text, err := clusters[i].MarshalJSON()
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", clusters[i].GetName(), err)
		}
		if d := c.Spec.Drain; d != nil {
			o := override.Order{Action: override.Drain, Subject: override.Subject{Kind: override.Cluster, Name: c.Name}, Reason: d.Reason}
			if d.Until != nil {
				o.Until = d.Until.UTC()
			}
			out = append(out, listed{report.OrderOf(o, now), "Cluster " + c.Name, stands(c.Status.Servers, c.Generation)})
		}
	}
	orders, err := b.orders(ctx)
	if err != nil {
		return out, err
	}
	for _, p := range orders {
		if p.Spec.DryRun {
			continue
		}
		sub, err := override.ParseSubject(p.Spec.Subject)
		if err != nil {
			return out, fmt.Errorf("order %s: %w", p.name, err)
		}
		o := override.Order{Action: override.Action(strings.ToLower(p.Spec.Action)), Subject: sub, Reason: p.Spec.Reason}
		if p.Spec.Until != nil {
			o.Until = p.Spec.Until.UTC()
		}
		out = append(out, listed{report.OrderOf(o, now), "Order " + p.name, stands(p.Status.Servers, p.Generation)})
	}
	return out, nil
}

// tell prints the orders of the API.
func (c *call) tell(b *board, all []listed) {
	if len(all) == 0 {
		c.printf("no orders in the API of federation %s\n", b.federation)
		return
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ORDER\tSUBJECT\tUNTIL\tIN FORCE\tOBJECT\tREASON")
	for _, o := range all {
		n, rest := 0, []string{}
		for _, s := range b.servers {
			if o.Servers[s] == fedapi.InForce {
				n++
			} else {
				rest = append(rest, s+": "+o.Servers[s])
			}
		}
		until := "taken back"
		if o.Until != 0 {
			until = time.Unix(o.Until, 0).UTC().Format(time.RFC3339)
		}
		where := fmt.Sprintf("%d/%d", n, len(b.servers))
		if len(rest) > 0 {
			where += " (" + strings.Join(rest, ", ") + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Action, o.Subject, until, where, o.Object, o.Reason)
	}
	w.Flush()
}
