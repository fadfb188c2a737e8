package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// drain is the order of that name. In a federation's API it is given to a Cluster
// object, and can go on to the cluster's replicas: answers first, pods then.
type drain struct {
	*call
	order
	moving
	evacuate bool
	ttl      time.Duration
}

func newDrain(c *call) action {
	return &drain{call: c, order: order{editing: editing{asking: asking{call: c}}}, moving: moving{steering: steering{reaching: newReaching(c)}}}
}

func (c *drain) declare(fs *pflag.FlagSet) {
	c.out.declare(fs, orderForms)
	c.which(fs)
	c.whose(fs)
	c.terms(fs)
	c.moving.declare(fs)
	fs.BoolVar(&c.evacuate, "evacuate", false, "then, when no answer that names the cluster can be remembered any more, move its replicas to the others")
	fs.DurationVar(&c.ttl, "ttl", 0, "`DURATION` that answers may be remembered at least; with it, servers that can't be asked are left out")
}

func (c *drain) run(ctx context.Context) (err error) {
	api, err := c.federal("evacuate", "ttl")
	if err != nil {
		return err
	}
	if api {
		if sub, err := c.subject(c.namespace); err == nil && sub.Kind != override.Cluster && c.speaks("evacuate", "ttl") == "" {
			return c.order.post(ctx, &c.moving.steering)
		}
		return c.federated(ctx)
	}
	if c.server, err = c.one(); err != nil {
		return err
	}
	return c.order.run(ctx)
}

// margin is for an answer that is under way, and for caches that begin to count when
// it arrives.
const margin = time.Second

func (c *drain) federated(ctx context.Context) error {
	o, err := c.wanted()
	switch {
	case err != nil:
		return err
	case o.Subject.Kind != override.Cluster:
		return misused(&c.command, "drain %s: --evacuate and --context are for a cluster: cluster/NAME", o.Subject)
	case c.file != "":
		return misused(&c.command, "drain %s: the order goes to the Cluster object; --file is for those of a file of overrides", o.Subject)
	case c.ttl < 0:
		return misused(&c.command, "drain: --ttl %s is over already", c.ttl)
	}
	m, err := c.begin(ctx, o.Subject.Name)
	if err != nil {
		return err
	}
	defer m.progress.end()
	m.lenient = c.given["ttl"]
	before, err := m.get(ctx)
	if err != nil {
		return err
	}
	what := "drain " + o.Subject.String()
	preview, err := c.foresee(ctx, m, what, o)
	if err != nil {
		return err
	}
	if c.dry {
		return c.show(what, preview, "", o)
	}
	ttl, err := m.lifetime(ctx)
	if err != nil {
		return err
	}
	ttl = max(ttl, c.ttl)
	if at := c.Now().Add(ttl + margin); c.evacuate && !o.Until.IsZero() && !before.Spec.Drain.Holds(c.Now()) && !at.Before(o.Until) {
		return advice.Errorf("a longer one, or none", "%s: answers that name it may be remembered for %s, and by then the drain has ended", what, ttl)
	}
	if err := m.drain(ctx, o); err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "%s: written to Cluster %s of federation %s\n", o, m.cluster, m.federation)
	if err := m.withdrawn(ctx); err != nil {
		return m.stays(err)
	}
	// Its Services may have come to say another TTL while it was still answered.
	again, err := m.lifetime(ctx)
	if err != nil {
		return m.stays(err)
	}
	out := departure{Order: o.String(), TTL: max(ttl, again).Seconds()}
	if !c.evacuate {
		return c.done(m, out)
	}
	after, err := m.evacuate(ctx, max(ttl, again))
	if err != nil {
		return m.stays(err)
	}
	out.EvacuateAfter = after.Unix()
	if c.noWait {
		return c.done(m, out)
	}
	if err := m.leave(ctx, after, &out); err != nil {
		return advice.Errorf("fedsync goes on with it even so; fedctl drain again waits for it, and fedctl undrain takes it back", "%w", err)
	}
	return c.done(m, out)
}

// foresee asks the servers what the drain changes, and refuses it if one of them
// would be left without any shard of a service.
func (c *drain) foresee(ctx context.Context, m *motion, what string, o override.Order) (first *report.Preview, err error) {
	if m.board != nil {
		p, err := m.board.foresee(ctx, c.Now, o)
		switch {
		case err != nil && m.lenient && !c.dry:
			fmt.Fprintf(c.Stderr, "%v; going on without it, as --ttl says\n", err)
			return &report.Preview{}, nil
		case err != nil:
			return nil, advice.Errorf("--ttl DURATION goes on without those that say nothing", "%s: what it would change is not known: %w", what, err)
		case !c.dry && !c.force:
			return p, refusal(what, p)
		}
		return p, nil
	}
	err = m.each(func(s *asking) error {
		var p report.Preview
		if err := s.get(ctx, "preview", url.Values{"order": {o.String()}, "federation": {m.federation}}, &p); err != nil {
			return err
		}
		if first == nil {
			first = &p
		}
		if c.force || c.dry {
			return nil
		}
		return refusal(what, &p)
	})
	switch {
	case first != nil || err != nil:
		return first, err
	case c.dry:
		return nil, fmt.Errorf("%s: what it would change is not known: no server can be asked", what)
	}
	return &report.Preview{}, nil // --ttl says to go on
}

// A departure is what became of a drain.
type departure struct {
	Order         string  `json:"order"`
	TTL           float64 `json:"ttl_seconds"`
	EvacuateAfter int64   `json:"evacuate_after,omitempty"` // 0: its replicas stay
	Moved         bool    `json:"moved"`                    // none is there any more
	Elsewhere     int64   `json:"elsewhere"`                // replicas that are ready in other clusters
	// Homeless are workloads of which not all replicas have a place elsewhere.
	Homeless []string `json:"homeless,omitempty"`
	// Failing are workloads that aren't waited for, with the reason.
	Failing []string `json:"failing,omitempty"`
	Left    int64    `json:"left,omitempty"` // replicas of those, in the cluster
	away    string   // why the cluster can't be asked what it still has
}

func (c *drain) done(m *motion, out departure) error {
	m.progress.end()
	if c.out.data() {
		return c.put(c.out, out, "cluster/"+m.cluster)
	}
	after := time.Unix(out.EvacuateAfter, 0).UTC().Format(time.RFC3339)
	switch {
	case out.Moved && out.away != "":
		c.printf("cluster/%s is drained: %d replicas are ready elsewhere; it can't be asked what it still has: %s\n", m.cluster, out.Elsewhere, out.away)
	case out.Moved && out.Left > 0:
		c.printf("cluster/%s is drained: %d replicas are left there that nobody waits for, %d are ready elsewhere\n", m.cluster, out.Left, out.Elsewhere)
	case out.Moved:
		c.printf("cluster/%s is drained: no replicas are left there, %d are ready elsewhere\n", m.cluster, out.Elsewhere)
	case out.EvacuateAfter != 0:
		c.printf("cluster/%s is in no answer any more; from %s, when the last one has expired, fedsync moves its replicas\n", m.cluster, after)
	default:
		c.printf("cluster/%s is in no answer any more; the last one has expired in %s\n", m.cluster, cli.Span(out.TTL))
	}
	for _, line := range slices.Concat(out.Homeless, out.Failing) {
		c.printf("%s\n", line)
	}
	return nil
}

// drain writes the order into the Cluster object. A drain that holds goes on.
func (m *motion) drain(ctx context.Context, o override.Order) error {
	return m.amend(ctx, func(c *v1alpha1.Cluster) (amendment, error) {
		d := map[string]any{"reason": o.Reason, "until": nil}
		if !o.Until.IsZero() {
			d["until"] = o.Until.UTC().Format(time.RFC3339)
		}
		if !c.Spec.Drain.Holds(m.Now()) {
			d["evacuateAfter"] = nil // that of a drain which has ended would hold at once
		}
		return amendment{drain: d, returning: null}, nil
	})
}

// withdrawn waits until no server answers with the cluster any more.
func (m *motion) withdrawn(ctx context.Context) error {
	if m.board != nil {
		return m.confirmed(ctx)
	}
	return m.progress.until(ctx, m.timeout, func(ctx context.Context) (bool, string, error) {
		why := ""
		err := m.each(func(s *asking) error {
			v, err := m.view(ctx, s)
			if err != nil {
				return err
			}
			order, read := override.Order{}, false
			if all, err := override.Parse(v.Order); err == nil && len(all) == 1 {
				order, read = all[0], true
			}
			switch {
			case read && order.Action == override.Up:
				return advice.Errorf("fedctl undrain cluster/"+m.cluster+" takes that back; then again", "server %s answers with cluster %s whatever else is said: %s", s.server, m.cluster, v.Order)
			case !read:
				why = fmt.Sprintf("server %s hasn't heard of the drain; it follows Cluster objects if its Corefile has a `registry`", s.server)
			case v.Answers > 0:
				why = fmt.Sprintf("server %s answers %s with it still", s.server, cli.Plural(v.Answers, "service"))
			}
			return nil
		})
		if errors.Is(err, errUnreachable) { // it could be asked a moment ago
			return false, err.Error(), nil
		}
		return err == nil && why == "", why, err
	})
}

// confirmed waits until every server that is there says in the API that it answers
// nothing with the cluster any more.
func (m *motion) confirmed(ctx context.Context) error {
	// One may come back.
	err := m.await(ctx, errNobody.Error(), func(server v1alpha1.Server, c *v1alpha1.Cluster) (why string, err error) {
		name := server.Name
		switch s, said := c.Status.Servers[name]; {
		case !said || s.Generation != c.Generation:
			return mute(server, "hasn't said yet that it has the drain", m.Now()), nil
		case s.State == v1alpha1.Overruled:
			return "", advice.Errorf("fedctl undrain takes back what counts instead; then again", "server %s: %s", name, s.Message)
		case s.State != v1alpha1.InForce:
			return fmt.Sprintf("server %s: %s", name, s.Message), nil
		case s.Answers > 0:
			return fmt.Sprintf("server %s answers %s with it still", name, cli.Plural(int(s.Answers), "service")), nil
		default:
			m.board.ttl = max(m.board.ttl, time.Duration(s.TTLSeconds)*time.Second)
		}
		return "", nil
	})
	if err != nil && m.lenient && ctx.Err() == nil {
		fmt.Fprintf(m.Stderr, "%v; going on without it, as --ttl says\n", err)
		return nil
	}
	return err
}

// evacuate has replicas go to the other clusters, from when the last answer that
// names this one has expired. fedsync does that by itself: whoever ordered it may go.
func (m *motion) evacuate(ctx context.Context, ttl time.Duration) (after time.Time, err error) {
	// The API has whole seconds: rather later than sooner.
	after = m.Now().Add(ttl + margin + time.Second - time.Nanosecond).UTC().Truncate(time.Second)
	err = m.amend(ctx, func(c *v1alpha1.Cluster) (amendment, error) {
		d := c.Spec.Drain
		switch {
		case !d.Holds(m.Now()):
			return amendment{}, fmt.Errorf("cluster %s isn't drained any more: somebody has taken it back", m.cluster)
		case d.EvacuateAfter != nil:
			after = d.EvacuateAfter.UTC() // it was ordered before
			return amendment{}, nil
		case d.Until != nil && !after.Before(d.Until.Time):
			return amendment{}, fmt.Errorf("the drain ends at %s, before the last answer has expired: its replicas stay", d.Until.UTC().Format(time.RFC3339))
		}
		return amendment{drain: map[string]any{"evacuateAfter": after.Format(time.RFC3339)}}, nil
	})
	return after, err
}

// leave waits until no replicas are left in the cluster, and those elsewhere are
// ready.
func (m *motion) leave(ctx context.Context, after time.Time, out *departure) error {
	if wait := after.Sub(m.Now()); wait > 0 {
		m.progress.say(fmt.Sprintf("it is in no answer any more; until %s the last one may be remembered", after.Format(time.RFC3339)))
		if !kube.Pause(ctx, wait) {
			return errInterrupted
		}
	}
	return m.follow(ctx, func(r *v1alpha1.Replicas) (bool, string) {
		e := r.Elsewhere
		if e == nil {
			return false, "fedsync hasn't begun to move them"
		}
		out.away = r.Message
		out.Elsewhere, out.Homeless, out.Left = e.Ready, homeless(e), r.Held
		out.Failing = append(failing(r.Failures, r.Failing), failing(e.Failures, e.Failing)...)
		out.Moved = (r.Current == r.Held && r.Pending == 0 || out.away != "") && e.Pending == 0
		return out.Moved, fmt.Sprintf("%s are left there; elsewhere %s", cli.Plural(int(r.Current), "replica"), share(e.Tally))
	})
}

var drainCommand = command{
	name: "drain", args: orderArgs, min: 1, max: 1,
	what: "take shards out of the answers, and with --evacuate a cluster's replicas elsewhere",
	long: "Take shards out of the answers. " + whereTo + "\n\n" +
		"With --evacuate a cluster's replicas move to the others, when no answer that names it can be remembered any more.",
	example: `# For two hours, by the file of overrides that the fedns of this host reads
fedctl drain cluster/gce-us-central1-a --reason "kernel upgrade" --for 2h

# In all servers of a federation, with its replicas
fedctl drain cluster/gce-us-central1-a --context myfederation --evacuate --reason "kernel upgrade"

# What it would change
fedctl drain region/us-central1 --reason rehearsal --dry-run`,
	proposes: (*shell).subjects,
	make:     newDrain,
}
