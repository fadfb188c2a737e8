package ctl

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/override"
)

// undrain takes back what drain did, in the reverse order: pods first, answers then.
type undrain struct {
	*call
	editing
	moving
	dry bool
}

func newUndrain(c *call) action {
	return &undrain{call: c, editing: editing{asking: asking{call: c}}, moving: moving{steering: steering{reaching: newReaching(c)}}}
}

func (c *undrain) declare(fs *pflag.FlagSet) {
	c.out.declare(fs, orderForms)
	c.which(fs)
	c.whose(fs)
	c.moving.declare(fs)
	fs.BoolVar(&c.dry, "dry-run", false, "show what would change, and change nothing; a server is asked (--server)")
}

func (c *undrain) run(ctx context.Context) error {
	sub, err := c.subject(c.namespace)
	if err != nil {
		return misused(&c.command, "undrain: %v", err)
	}
	if c.dry {
		return c.foresee(ctx, sub)
	}
	api, err := c.federal()
	if err != nil {
		return err
	}
	if api {
		return c.federated(ctx, sub)
	}
	if c.server, err = c.one(); err != nil {
		return err
	}
	t, err := c.target(ctx)
	if err != nil {
		return err
	}
	removed, err := c.takeBack(ctx, t, sub)
	if err != nil {
		return err
	}
	return c.told(removed)
}

// foresee asks a server what would change without its orders about a subject, wherever
// they come from.
func (c *undrain) foresee(ctx context.Context, sub override.Subject) (err error) {
	if c.server, err = c.one(); err != nil {
		return err
	}
	var p report.Preview
	if err := c.get(ctx, "preview", url.Values{"undrain": {sub.String()}}, &p); err != nil {
		return err
	}
	if c.out.data() {
		return c.put(c.out, p, sub.String())
	}
	c.changes("undrain "+sub.String(), &p)
	return nil
}

func (c *undrain) federated(ctx context.Context, sub override.Subject) error {
	if sub.Kind != override.Cluster {
		b, err := c.board(ctx)
		if err != nil {
			return err
		}
		taken, err := b.takeDown(ctx, c.Now, sub)
		if err == nil && len(taken) == 0 {
			return fmt.Errorf("undrain %s: the API of federation %s %w", sub, b.federation, errSilent)
		}
		for _, name := range taken {
			if err == nil {
				c.printf("Order %s: taken back\n", name)
			}
		}
		return err
	}
	m, err := c.begin(ctx, sub.Name)
	if err != nil {
		return err
	}
	defer m.progress.end()
	cluster, err := m.get(ctx)
	if err != nil {
		return err
	}
	drain := cluster.Spec.Drain
	if drain != nil && (drain.EvacuateAfter != nil || cluster.Annotations[v1alpha1.Returning] != "") {
		if err := m.comeBack(ctx); err != nil {
			return m.halfway(err)
		}
	}
	if drain != nil {
		if err := m.amend(ctx, func(*v1alpha1.Cluster) (amendment, error) {
			return amendment{drain: null, returning: null}, nil
		}); err != nil {
			return err
		}
		fmt.Fprintf(c.Stderr, "Cluster %s: spec.drain taken back\n", m.cluster)
		if err := m.returned(ctx); err != nil {
			return err
		}
	}
	if m.board != nil {
		taken, err := m.board.takeDown(ctx, c.Now, sub)
		switch {
		case err != nil:
			return err
		case drain == nil && len(taken) == 0:
			return fmt.Errorf("cluster %s isn't drained by its Cluster object, nor by an Order: the API %w", m.cluster, errSilent)
		}
		for _, name := range taken {
			c.printf("Order %s: taken back\n", name)
		}
		return nil
	}
	removed, err := c.filed(ctx, sub)
	switch {
	case err == nil:
	case drain == nil:
		return fmt.Errorf("cluster %s isn't drained by its Cluster object; %w", m.cluster, err)
	case !errors.Is(err, errSilent):
		fmt.Fprintf(c.Stderr, "no file of overrides was looked at: %v\n", err)
	}
	return c.told(removed)
}

// filed takes back what a file of overrides says of a subject, if a server has one.
func (c *undrain) filed(ctx context.Context, sub override.Subject) ([]override.Order, error) {
	var err error
	if c.server, err = c.one(); err != nil {
		return nil, err
	}
	t, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	return c.takeBack(ctx, t, sub)
}

// comeBack lets replicas be placed in a cluster again, and waits until those that
// are have become ready.
func (m *motion) comeBack(ctx context.Context) error {
	err := m.amend(ctx, func(*v1alpha1.Cluster) (amendment, error) {
		return amendment{drain: map[string]any{"evacuateAfter": nil}, returning: "true"}, nil
	})
	if err != nil || m.noWait {
		return err
	}
	var came share
	var fails []string
	err = m.follow(ctx, func(r *v1alpha1.Replicas) (bool, string) {
		if r.Message != "" {
			return false, fmt.Sprintf("cluster %s can't be asked: %s", m.cluster, r.Message)
		}
		came, fails = share(r.Tally), failing(r.Failures, r.Failing)
		return came.Pending == 0, came.String() + " there"
	})
	if err != nil {
		return err
	}
	m.progress.end()
	if came.Desired == 0 {
		fmt.Fprintf(m.Stderr, "cluster %s: the plan gives it no replicas: without \"rebalance\", they stay where they are\n", m.cluster)
	} else {
		fmt.Fprintf(m.Stderr, "cluster %s: %s there\n", m.cluster, came)
	}
	for _, line := range fails {
		fmt.Fprintln(m.Stderr, line)
	}
	return nil
}

// halfway adds what state holds when an undrain ends before the cluster is answered again.
func (m *motion) halfway(err error) error {
	help := "fedctl undrain again goes on from there; with --no-wait it puts the cluster into the answers at once"
	return advice.Errorf(also(err, help), "%w; cluster %s stays drained: it is in no answer, and replicas may come back to it", err, m.cluster)
}

// returned waits until every server that says in the API what it goes by says that the
// drain isn't in force any more.
func (m *motion) returned(ctx context.Context) error {
	if m.board == nil {
		return nil
	}
	err := m.await(ctx, "", func(server v1alpha1.Server, c *v1alpha1.Cluster) (why string, err error) {
		if s, said := c.Status.Servers[server.Name]; said && (s.Generation != c.Generation || s.State != v1alpha1.NotInForce) {
			why = mute(server, "goes by the drain still", m.Now())
		}
		return why, nil
	})
	if err != nil {
		return fmt.Errorf("cluster %s: its drain is taken back, and still in force somewhere: %w", m.cluster, err)
	}
	return nil
}

var undrainCommand = command{
	name: "undrain", args: "SUBJECT", min: 1, max: 1,
	what: "take back what was ordered about a subject",
	long: "Take back what was ordered about a subject, by whichever order: in the file of overrides that the server reads, or with --context in a federation's API.",
	example: `# In the file
fedctl undrain cluster/gce-us-central1-a

# In the API; its replicas come back first
fedctl undrain cluster/gce-us-central1-a --context myfederation`,
	proposes: (*shell).ordered,
	make:     newUndrain,
}
