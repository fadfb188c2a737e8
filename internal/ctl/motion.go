package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/cli"
	"github.com/fedns/fedns/internal/kube"
)

// moving is what drain and undrain have in common in a federation's API: DNS and the
// replicas move one after the other.
type moving struct {
	steering
	mode    mode
	servers list
	noWait  bool
	timeout time.Duration
}

func (c *moving) declare(fs *pflag.FlagSet) {
	c.steering.declare(fs)
	c.mode.declare(fs)
	fs.Var(&c.servers, "server", "`URL` of fedns's status, for each fedns that answers; default: those that say in the API that they are there, else $FEDNS_SERVER, then "+defaultServer)
	fs.BoolVar(&c.noWait, "no-wait", false, "don't wait for pods")
	fs.DurationVar(&c.timeout, "timeout", 5*time.Minute, "`DURATION` that fedns may take, and then fedsync, beside what has to be waited for")
}

// federal says whether the federation's API is meant, and not a file of overrides. saying
// are flags of the command that say so. How long to wait says nothing of where.
func (c *moving) federal(saying ...string) (bool, error) {
	return c.mode.api(c.call, saying, []string{"no-wait", "timeout"})
}

// one is the server whose file of overrides is meant.
func (c *moving) one() (string, error) {
	switch len(c.servers) {
	case 0:
		return c.usualServer(), nil
	case 1:
		return c.servers[0], nil
	}
	if api, err := c.federal(); err == nil && api {
		return "", errors.New("of several servers, none says which file of overrides is meant")
	}
	return "", misused(&c.command, "%s: --server: one is enough; several are for --evacuate and --context", c.name)
}

// A motion is one cluster that is drained, or comes back.
type motion struct {
	*moving
	api      *kube.API
	cluster  string
	asked    []*asking
	lenient  bool   // servers that can't be asked are left out
	nobody   bool   // no server says in the API that it is there
	board    *board // nil: servers are asked at their addresses, not in the API
	progress *progress
}

func (c *moving) begin(ctx context.Context, cluster string) (*motion, error) {
	m := &motion{moving: c, cluster: cluster, progress: c.progress()}
	for _, s := range c.servers {
		m.asked = append(m.asked, &asking{call: c.call, server: s})
	}
	var err error
	if m.api, err = c.home(ctx); err != nil || len(c.servers) > 0 {
		return m, err
	}
	// Who says in the API that it is there is asked there. Those of an older version
	// don't, and the usual address is asked.
	live, err := serving(ctx, m.api, m.federation, c.Now())
	if err == nil && len(live) > 0 {
		m.board = &board{API: m.api, progress: m.progress, federation: m.federation, live: live}
	}
	m.nobody = err == nil && len(live) == 0
	m.asked = []*asking{{call: c.call, server: c.usualServer()}}
	return m, nil
}

// stays adds what holds after something went wrong.
func (m *motion) stays(err error) error {
	return advice.Errorf(also(err, "the cluster stays drained: fedctl drain again goes on, fedctl undrain takes it back"), "%w", err)
}

// also is the hint of an error, and another one.
func also(err error, help string) string {
	var h *advice.Error
	if errors.As(err, &h) && h.Hint != "" {
		return h.Hint + "; " + help
	}
	return help
}

// await waits until look finds nothing to wait for any more in any server that is there and what it says in the Cluster
// object. nobody is why it is waited for while there is none; "": it isn't.
func (m *motion) await(ctx context.Context, nobody string, look func(v1alpha1.Server, *v1alpha1.Cluster) (why string, err error)) error {
	return m.progress.until(ctx, m.timeout, func(ctx context.Context) (bool, string, error) {
		servers, err := serving(ctx, m.api, m.federation, m.Now())
		if err != nil || len(servers) == 0 && nobody != "" {
			return false, nobody, err
		}
		c, err := m.get(ctx)
		if err != nil {
			return false, "", err
		}
		for _, server := range servers {
			if why, err := look(server, c); why != "" || err != nil {
				return false, why, err
			}
		}
		return true, "", nil
	})
}

// get reads the Cluster object.
func (m *motion) get(ctx context.Context) (*v1alpha1.Cluster, error) {
	o, err := m.api.Get(ctx, v1alpha1.Clusters, "", m.cluster)
	if kube.Missing(err) {
		return nil, advice.Errorf(m.known(ctx), "federation %s has no cluster %q", m.federation, m.cluster)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", m.cluster, err)
	}
	return clusterOf(o)
}

func (m *motion) known(ctx context.Context) string {
	all, err := m.api.List(ctx, v1alpha1.Clusters, "", "")
	if err != nil || len(all) == 0 {
		return "fedctl get clusters lists them"
	}
	return "known: " + strings.Join(names(all), ", ")
}

// An amendment is a change to a Cluster object: to its drain and its mark, where they are said.
type amendment struct{ drain, returning any }

// null takes a field away.
var null = json.RawMessage("null")

// amend changes the Cluster object as it is at that moment: nobody else's change in
// between is lost.
func (m *motion) amend(ctx context.Context, change func(*v1alpha1.Cluster) (amendment, error)) error {
	for {
		c, err := m.get(ctx)
		if err != nil {
			return err
		}
		to, err := change(c)
		if err != nil {
			return err
		}
		metadata := map[string]any{"resourceVersion": c.ResourceVersion}
		patch := map[string]any{"metadata": metadata}
		if to.returning != nil {
			metadata["annotations"] = map[string]any{v1alpha1.Returning: to.returning}
		}
		if to.drain != nil {
			patch["spec"] = map[string]any{"drain": to.drain}
		} else if to.returning == nil {
			return nil
		}
		_, err = m.api.Merge(ctx, v1alpha1.Clusters, "", m.cluster, patch, agent, "")
		if !kube.Conflict(err) {
			if err != nil {
				err = fmt.Errorf("cluster %s: %w", m.cluster, err)
			}
			return err
		}
	}
}

// each calls ask for every server.
func (m *motion) each(ask func(*asking) error) error {
	for i := 0; i < len(m.asked); i++ {
		err := ask(m.asked[i])
		if m.lenient && errors.Is(err, errUnreachable) {
			fmt.Fprintf(m.Stderr, "%v; going on without it, as --ttl says\n", err)
			m.asked = append(m.asked[:i], m.asked[i+1:]...)
			i--
			continue
		}
		if errors.Is(err, errUnreachable) && m.nobody {
			return advice.Errorf("does one run that has a `registry`? fedctl init again gives it the right to say so; --server URL asks one where it is", "no server says in the API that it follows federation %s, and %w", m.federation, err)
		}
		if errors.Is(err, errUnreachable) {
			return advice.Errorf("--server URL says where, once for each fedns; --ttl DURATION goes on without those that can't be asked", "%w", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// view is how a server sees the cluster.
func (m *motion) view(ctx context.Context, s *asking) (*report.Cluster, error) {
	var all report.Clusters
	if err := s.get(ctx, "clusters", nil, &all); err != nil {
		return nil, err
	}
	for i := range all.Clusters {
		if c := &all.Clusters[i]; c.Federation == m.federation && c.Cluster == m.cluster {
			return c, nil
		}
	}
	return nil, advice.Errorf("its Corefile names it, or has a `registry` that does; --server URL asks another", "server %s knows no cluster %s of federation %s", s.server, m.cluster, m.federation)
}

// lifetime is how long answers with the cluster may be remembered, the longest of
// all servers.
func (m *motion) lifetime(ctx context.Context) (ttl time.Duration, err error) {
	if m.board != nil {
		return m.board.ttl, nil
	}
	err = m.each(func(s *asking) error {
		v, err := m.view(ctx, s)
		if err == nil {
			ttl = max(ttl, time.Duration(v.TTL)*time.Second)
		}
		return err
	})
	return ttl, err
}

// follow looks at how replicas stand, as fedsync says in the Cluster object, until look
// says that it has seen enough.
func (m *motion) follow(ctx context.Context, look func(*v1alpha1.Replicas) (enough bool, how string)) error {
	m.progress.say("looking at the clusters' pods")
	var lost error
	err := m.progress.until(ctx, m.timeout, func(ctx context.Context) (bool, string, error) {
		c, err := m.get(ctx)
		switch {
		case err != nil && !transient(err):
			lost = err
			return false, "", err
		case err != nil:
			return false, err.Error(), nil // the API may be away for a moment
		case c.Status.Replicas == nil:
			return false, "how many replicas are there is not known: fedsync doesn't say; it is of an older version, or doesn't run", nil
		case c.Status.Replicas.ObservedGeneration != c.Generation:
			return false, fmt.Sprintf("fedsync hasn't counted replicas since cluster %s was changed", m.cluster), nil
		}
		enough, how := look(c.Status.Replicas)
		return enough, how, nil
	})
	if err == nil || lost != nil || ctx.Err() != nil {
		return err
	}
	return advice.Errorf("does fedsync run? --no-wait doesn't wait for pods", "%w", err)
}

// transient says whether an API may answer otherwise in a moment.
func transient(err error) bool {
	var a *advice.Error
	return !errors.As(err, &a) && !kube.Refused(err)
}

// A share is the replicas in some clusters, of all workloads.
type share v1alpha1.Tally

func (s share) String() string {
	text := fmt.Sprintf("%d of %d replicas are ready", s.Ready, s.Desired)
	if s.Pending > 0 {
		text += fmt.Sprintf(", %s not done", cli.Plural(int(s.Pending), "workload"))
	}
	return text
}

// homeless are the workloads of which not all replicas have a place, in words.
func homeless(e *v1alpha1.Elsewhere) (out []string) {
	for _, u := range e.Unplaced {
		out = append(out, fmt.Sprintf("%s %s/%s: %d of %d replicas have a place", u.Kind, u.Namespace, u.Name, u.Placed, u.Replicas))
	}
	if e.More > 0 {
		out = append(out, fmt.Sprintf("and so it is with %s more", cli.Plural(int(e.More), "workload")))
	}
	return out
}

// failing are the workloads that nobody waits for, in words.
func failing(all []v1alpha1.Failure, count int64) (out []string) {
	for _, f := range all {
		where := ""
		if f.Cluster != "" {
			where = " in cluster " + f.Cluster
		}
		out = append(out, fmt.Sprintf("%s %s/%s isn't waited for%s: %s", f.Kind, f.Namespace, f.Name, where, f.Message))
	}
	if more := count - int64(len(all)); more > 0 && len(all) > 0 {
		out = append(out, fmt.Sprintf("and so it is with %s more", cli.Plural(int(more), "workload")))
	}
	return out
}
