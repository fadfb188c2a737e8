// Package controller keeps the objects of a federation in all its clusters.
//
// A hub is what is known, with a cluster for each member, and decides by package
// workload; neither has a goroutine or a client. A loop owns the hub, and runs those who
// watch, write, and tell it: wanted and joined at the federation's API, a member at each
// cluster's. Begin at hub.plan. What is written can be written twice: a fedsync that is
// killed at any moment goes on where it was.
package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/lease"
	"github.com/fedns/fedns/internal/sync/workload"
)

// Config says what fedsync does where.
type Config struct {
	Kubeconfig, Context string // of the federation's API
	Content             []byte // of a kubeconfig, where Kubeconfig is ""
	// Federation is its name; "": as the ConfigMap federation-system/federation says.
	Federation string
	// Kinds are kept beside those of workload.Kinds; nil: those that the ConfigMap says.
	Kinds []v1alpha1.Kind
	// MaxDeletes is how many objects of a cluster may go in one pass before an
	// operator has to confirm.
	MaxDeletes int
	// QPS and Burst bound the calls to each cluster.
	QPS   float32
	Burst int
	// Lease is how long a leader that is gone stays one; zero: there is no election.
	Lease time.Duration
	// LostAfter is how long a cluster may be out of reach before its replicas are
	// given to the others.
	LostAfter time.Duration
	Version   string // of the program
	// Adopting is for a preview.
	Adopting Adopting

	dropped []v1alpha1.Kind // that were kept, and aren't

	Log *slog.Logger // nil: the default one
}

// An Adopting is what is taken over beside what says so itself.
type Adopting struct {
	Namespaces, Clusters []string // names
	As                   workload.Adoption
}

// Defaults of the flags.
const (
	DefaultMaxDeletes = 50
	// DefaultQPS lets 1,000 objects be written in a cluster within ten seconds, and
	// leaves an API server of two cores most of its time.
	DefaultQPS   = 200
	DefaultBurst = 400
	// DefaultLease is short, since a second fedsync loses nothing by asking often:
	// one call a second.
	DefaultLease = 6 * time.Second
	// DefaultLostAfter is as long as fedns takes a silent cluster's word: who is
	// still answered with must still have its pods counted.
	DefaultLostAfter = 5 * time.Minute
)

// agent is how fedsync is called in the logs of API servers.
const agent = "fedsync"

// Run keeps the objects of the federation, while this one leads, until ctx ends.
func Run(ctx context.Context, c Config) error {
	c.Log = cmp.Or(c.Log, slog.Default())
	api, err := kube.Open(kube.Config{Kubeconfig: c.Kubeconfig, Content: c.Content, Context: c.Context, Agent: agent})
	if err != nil {
		return err
	}
	defer api.Close()
	settled, said, err := settle(ctx, api, c)
	if err != nil {
		return err
	}
	c.Federation = settled.Federation
	if mine, theirs := v1alpha1.FormatKinds(settled.Kinds), v1alpha1.FormatKinds(said.Kinds); mine != theirs {
		c.Log.Warn(fmt.Sprintf("--kind says to keep %s; fedctl init was told of %s", mine, cmp.Or(theirs, "none")))
	}
	if c.Lease == 0 {
		for ctx.Err() == nil {
			if err := whole(ctx, api, c); err != nil {
				return err
			}
			if err := keep(ctx, api, c); !errors.Is(err, errRestoring) {
				return err
			}
		}
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("this host's name: %w", err)
	}
	l := lease.Lease{Namespace: v1alpha1.System, Name: v1alpha1.LeaseOf(c.Federation), Holder: fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano()), Duration: c.Lease}
	for ctx.Err() == nil {
		if err := whole(ctx, api, c); err != nil {
			return err
		}
		var failed error
		err := lease.Lead(ctx, api, l, func(ctx context.Context) {
			c.Log.Info("leading")
			leading.Set(1)
			defer leading.Set(0)
			failed = keep(ctx, api, c)
		})
		if errors.Is(failed, errRestoring) {
			continue // without the Lease, which the restore takes
		}
		if err = errors.Join(err, failed); err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() == nil {
			c.Log.Warn("no longer leading; nothing is written until this one leads again")
		}
	}
	return nil
}

// kinds finds out how the federation's API serves what is to be kept.
func kinds(ctx context.Context, api *kube.API, c Config) ([]*workload.FederatedKind, error) {
	all := workload.Kinds()
	for _, k := range c.Kinds {
		if !slices.ContainsFunc(all, func(s *workload.FederatedKind) bool { return s.Is(k) }) {
			all = append(all, workload.Other(k))
		}
	}
	for _, k := range c.dropped {
		s := workload.Other(k)
		s.Dropped = true
		all = append(all, s)
	}
	var out []*workload.FederatedKind
	for _, s := range all {
		k, err := find(ctx, api, c, s.Kind)
		if errors.Is(err, kube.ErrNoKind) && s.Dropped {
			continue // it has taken all that there was of it with it
		}
		if errors.Is(err, kube.ErrNoKind) {
			c.Log.Warn(fmt.Sprintf("federation's API: %v; looked for again from time to time", kube.Plain(err)))
			k = s.Kind
			k.Resource = "" // which nobody knows yet
		} else if err != nil {
			return nil, err
		}
		s.Kind = k
		out = append(out, s)
	}
	return out, nil
}

// begin finds out where the federation's API has its objects from.
func begin(ctx context.Context, api *kube.API, c Config) (kube.Origin, error) {
	return insist(ctx, c, func() (o kube.Origin, over bool, err error) {
		o, err = api.Origin(ctx, builtin.Namespaces)
		return o, false, err
	})
}

// find asks how the federation's API serves a kind.
func find(ctx context.Context, api *kube.API, c Config, k v1alpha1.Kind) (v1alpha1.Kind, error) {
	return insist(ctx, c, func() (found v1alpha1.Kind, over bool, err error) {
		found, err = api.Find(ctx, k.Group, k.Version, k.Name)
		return found, errors.Is(err, kube.ErrNoKind), err
	})
}

// insist asks the federation's API until there is an answer; over says that an error is one.
func insist[T any](ctx context.Context, c Config, ask func() (out T, over bool, err error)) (T, error) {
	for {
		out, over, err := ask()
		if err == nil || over {
			return out, err
		}
		if ctx.Err() == nil {
			c.Log.Error(fmt.Sprintf("federation's API: %v; trying again", kube.Plain(err)))
		}
		if !kube.Pause(ctx, patience) {
			return out, ctx.Err()
		}
	}
}
