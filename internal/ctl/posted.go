package ctl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// Servers look twice a second, and one that is there says at once what it has made of an
// Order. One that has been killed is there until its Lease runs out, after 45 s: postTime
// is longer. What was only to be previewed is forgotten after previewTime, by whoever
// comes next, should fedctl be killed.
var (
	postTime    = 75 * time.Second
	previewTime = 10 * time.Minute
)

// A posting is an order that can be given to all servers at once, in the federation's API.
type posting struct {
	*call
	order
	steering
	mode mode
}

func newPosting(c *call) action {
	return &posting{call: c, order: order{editing: editing{asking: asking{call: c}}}, steering: steering{reaching: newReaching(c)}}
}

func (c *posting) declare(fs *pflag.FlagSet) {
	c.order.declare(fs)
	c.steering.declare(fs)
	c.mode.declare(fs)
}

func (c *posting) run(ctx context.Context) error {
	api, err := c.mode.api(c.call, nil, nil)
	switch {
	case err != nil:
		return err
	case api:
		return c.order.post(ctx, &c.steering)
	}
	return c.order.run(ctx)
}

// A board is where the orders of a federation are, and who goes by them.
type board struct {
	*kube.API
	*progress
	federation string
	live       []v1alpha1.Server // that are there, by their Leases
	ttl        time.Duration     // the longest that answers with a cluster may be remembered, as they say
}

func (c *steering) board(ctx context.Context) (*board, error) {
	api, err := c.home(ctx)
	if err != nil {
		return nil, err
	}
	b := &board{API: api, progress: c.progress(), federation: c.federation}
	b.live, err = serving(ctx, api, b.federation, c.Now())
	return b, err
}

// serving are the servers that say in the API that they follow a federation.
func serving(ctx context.Context, api *kube.API, federation string, now time.Time) (out []v1alpha1.Server, err error) {
	all, err := api.List(ctx, builtin.Leases, v1alpha1.System, v1alpha1.ServerLabel+"=true")
	if err != nil {
		return nil, fmt.Errorf("servers of federation %s: %w", federation, err)
	}
	for i := range all {
		if s, ok := v1alpha1.ServerOf(&all[i], federation); ok && s.Live(now) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.Server) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// orders are those of the API, as they were made.
func (b *board) orders(ctx context.Context) (out []v1alpha1.Order, err error) {
	all, err := b.List(ctx, v1alpha1.Orders, "", "")
	if kube.Missing(err) {
		return nil, advice.Errorf("fedctl init again adds them", "%s has no Orders", b.Server)
	}
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	for i := range all {
		o, err := kube.As[v1alpha1.Order](&all[i])
		if err != nil {
			return nil, fmt.Errorf("order %s: %w", all[i].GetName(), err)
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.Order) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return out, nil
}

// mute says that a server hasn't said what is waited for. It is waited for until its
// Lease has run out.
func mute(s v1alpha1.Server, what string, now time.Time) string {
	if now.Sub(s.Renewed) > s.Duration/2 {
		at := func(t time.Time) string { return t.UTC().Format("15:04:05Z") }
		return fmt.Sprintf("server %s %s; it has said nothing at all since %s, and is given up at %s", s.Name, what, at(s.Renewed), at(s.Renewed.Add(s.Duration)))
	}
	return fmt.Sprintf("server %s %s", s.Name, what)
}

// errNobody is that no server is there any more.
var errNobody = errors.New("no server is there any more that follows the federation")

// make makes an Order of its own name: one of the same subject that was made before
// stays until this one holds, and the last one counts.
func (b *board) make(ctx context.Context, o override.Order, dry bool) (made *kube.Object, err error) {
	subject := strings.ToLower(strings.ReplaceAll(o.Subject.String(), "/", "."))
	name := string(o.Action) + "." + subject[:min(len(subject), 200)] + "." + strings.ToLower(rand.Text()[:6])
	spec := map[string]any{"action": strings.ToUpper(string(o.Action[:1])) + string(o.Action[1:]), "subject": o.Subject.String(), "reason": o.Reason}
	if !o.Until.IsZero() {
		spec["until"] = o.Until.UTC().Format(time.RFC3339)
	}
	if dry {
		spec["dryRun"] = true
	}
	object := v1alpha1.Orders.New("", name)
	object.Object["spec"] = spec
	made, err = b.Create(ctx, v1alpha1.Orders, object, agent)
	switch {
	case kube.Missing(err):
		return nil, advice.Errorf("fedctl init again adds them", "%s has no Orders", b.Server)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", o.Action, o.Subject, err)
	}
	return made, nil
}

// give makes an Order that comes after those before. Of two that were made in one
// second, the last by name does: the names are chance, and so it may take another try.
func (b *board) give(ctx context.Context, o override.Order, before []v1alpha1.Order) (name string, err error) {
	err = wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		made, err := b.make(ctx, o, false)
		if err != nil {
			return false, err
		}
		at := made.GetCreationTimestamp()
		if !slices.ContainsFunc(before, func(p v1alpha1.Order) bool {
			return !p.Spec.DryRun && !p.CreationTimestamp.Time.Before(at.Time) && p.Name > made.GetName()
		}) {
			name = made.GetName()
			return true, nil
		}
		if err := b.Delete(ctx, v1alpha1.Orders, "", made.GetName(), ""); err != nil {
			return false, fmt.Errorf("order %s: %w", made.GetName(), err)
		}
		return false, nil
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		return "", errInterrupted
	}
	return name, err
}

// await waits until every server that is there has said of the Orders named what is
// wanted, of the objects as they are, and gives what they said of the last.
func (b *board) await(ctx context.Context, now func() time.Time, said func(v1alpha1.Statement) bool, names ...string) (all map[string]v1alpha1.Statement, err error) {
	some := len(b.live) > 0
	err = b.until(ctx, postTime, func(ctx context.Context) (bool, string, error) {
		servers, err := serving(ctx, b.API, b.federation, now())
		switch {
		case err != nil:
			return false, "", err
		case some && len(servers) == 0:
			return false, "", errNobody
		}
		b.live = servers
		for _, name := range names {
			o, err := b.Get(ctx, v1alpha1.Orders, "", name)
			if err != nil {
				return false, "", fmt.Errorf("order %s: %w", name, err)
			}
			is, err := kube.As[v1alpha1.Order](o)
			if err != nil {
				return false, "", fmt.Errorf("order %s: %w", name, err)
			}
			all = is.Status.Servers
			for _, s := range servers {
				switch st, there := all[s.Name]; {
				case !there || st.Generation != is.Generation:
					return false, mute(s, "hasn't said anything of it yet", now()), nil
				case !said(st) && st.State == v1alpha1.Overruled:
					return false, "", fmt.Errorf("server %s: %s", s.Name, st.Message)
				case !said(st):
					return false, fmt.Sprintf("server %s: %s %s", s.Name, st.State, st.Message), nil
				}
			}
		}
		return true, "", nil
	})
	b.end()
	return all, err
}

// declined is that a server has looked at an order, and has no use for it.
type declined struct{ server, why string }

func (d *declined) Error() string { return "server " + d.server + " refuses it: " + d.why }

// foresee asks all servers what an order would change, by one that is never in force.
func (b *board) foresee(ctx context.Context, now func() time.Time, o override.Order) (*report.Preview, error) {
	if _, err := b.prune(ctx, now(), false); err != nil {
		fmt.Fprintf(b.Stderr, "what was previewed before can't be removed: %v\n", err) // it does nothing
	}
	o.Until = now().Add(previewTime) // its own end isn't what it changes
	made, err := b.make(ctx, o, true)
	if err != nil {
		return nil, err
	}
	name := made.GetName()
	defer func() {
		_ = b.Delete(context.WithoutCancel(ctx), v1alpha1.Orders, "", name, "") // it expires, where it is left
	}()
	all, err := b.await(ctx, now, func(v1alpha1.Statement) bool { return true }, name)
	if err != nil {
		return nil, err
	}
	p := &report.Preview{}
	for server, s := range all {
		if s.State != v1alpha1.Previewed {
			return nil, &declined{server, s.Message}
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
	what := fmt.Sprintf("%s %s", o.Action, o.Subject)
	if len(b.live) == 0 && !c.force {
		return advice.Errorf("its Corefile needs a `registry`, and it the rights that fedctl init gives; --force orders it for those that come", "%s: no server says that it follows federation %s", what, b.federation)
	}
	p, err := b.foresee(ctx, c.Now, o)
	var no *declined
	switch {
	case errors.As(err, &no) && !c.force:
		return advice.Errorf("--force orders it all the same, for when that has changed", "%s: %w", what, err)
	case err != nil && (c.dry || !c.force):
		return advice.Errorf("--force orders it unseen", "%s: what it would change is not known: %w", what, err)
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
	name, err := b.give(ctx, o, before)
	if err != nil {
		return err
	}
	if _, err := b.await(ctx, c.Now, func(s v1alpha1.Statement) bool { return s.State == v1alpha1.InForce }, name); err != nil {
		return advice.Errorf("fedctl overrides --context tells when it is; fedctl undrain --context takes it back", "%s: it is Order %s, and not in force everywhere: %w", what, name, err)
	}
	for _, old := range before {
		if old.Spec.Subject == o.Subject.String() && !old.Spec.DryRun && (old.Spec.Action == "Failback") == (o.Action == override.Failback) {
			if err := b.Delete(ctx, v1alpha1.Orders, "", old.Name, ""); err != nil {
				return fmt.Errorf("order %s, which was before, stays: %w", old.Name, err)
			}
		}
	}
	return c.show(what, p, fmt.Sprintf("Order %s, in force in %s", name, cli.Plural(len(b.live), "server")), o)
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
			taken = append(taken, o.Name)
		}
	}
	for _, name := range taken {
		ended := map[string]any{"spec": map[string]any{"until": now().UTC().Add(-time.Second).Format(time.RFC3339)}}
		if _, err := b.Merge(ctx, v1alpha1.Orders, "", name, ended, agent, ""); err != nil {
			return nil, fmt.Errorf("order %s: %w", name, err)
		}
	}
	if len(taken) > 0 {
		if _, err := b.await(ctx, now, func(s v1alpha1.Statement) bool { return s.State == v1alpha1.NotInForce }, taken...); err != nil {
			return taken, advice.Errorf("they go by the clock of the server even so; fedctl undrain again waits for it", "undrain %s: ended, and still in force somewhere: %w", sub, err)
		}
	}
	for _, name := range taken {
		if err := b.Delete(ctx, v1alpha1.Orders, "", name, ""); err != nil {
			return taken, fmt.Errorf("order %s: %w", name, err)
		}
	}
	return taken, nil
}

// orderArgs is what orders are about.
const orderArgs = "SUBJECT --reason TEXT"

// whereTo says where an order goes.
const whereTo = "The order goes into the file of overrides that the server reads; with --context it goes to all servers of a federation, by its API."

var downCommand = command{
	name: "down", args: orderArgs, min: 1, max: 1,
	what: "take shards out of the answers that are broken",
	long: "Take shards out of the answers that are broken, whatever their evidence says. " + whereTo,
	example: `# A zone of which the network is broken
fedctl down zone/us-central1-a --reason "no uplink"`,
	proposes: (*shell).subjects,
	make:     newPosting,
}

var upCommand = command{
	name: "up", args: orderArgs, min: 1, max: 1,
	what: "answer with shards whatever their state",
	long: "Answer with shards whatever their state. " + whereTo,
	example: `# Although its probe fails
fedctl up service/mynamespace/nginx --reason "the probe is wrong" --for 30m`,
	proposes: (*shell).subjects,
	make:     newPosting,
}

var failbackCommand = command{
	name: "failback", args: orderArgs, min: 1, max: 1,
	what: "go back to the region that failover prefers",
	long: "Go back to the region that failover prefers. " + whereTo,
	example: `# One service
fedctl failback service/mynamespace/nginx --reason "Belgium is well again"`,
	proposes: (*shell).subjects,
	make:     newPosting,
}
