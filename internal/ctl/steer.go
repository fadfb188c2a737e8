package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/bootstrap"
	"github.com/fedns/fedns/internal/kube"
)

// steering is what commands have in common that have to do with fedsync.
type steering struct {
	reaching
	federation string
}

func (c *steering) declare(fs *pflag.FlagSet) {
	c.reaching.declare(fs)
	fs.StringVar(&c.federation, "federation", "", "`NAME` of the federation; default: what its API says")
}

// agent is the field manager of what fedctl writes.
const agent = "fedctl"

// home reaches the API of the federation, and finds out what that is called.
func (c *steering) home(ctx context.Context) (*kube.API, error) {
	api, _, err := c.open(c.chosen())
	if err != nil {
		return nil, err
	}
	return api, c.identify(ctx, api)
}

func (c *steering) identify(ctx context.Context, api *kube.API) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	_, err := api.Find(ctx, v1alpha1.Clusters.Group, v1alpha1.Clusters.Version, v1alpha1.Clusters.Name)
	switch {
	case errors.Is(err, kube.ErrNoKind):
		return advice.Errorf("fedctl init makes it one; --context says which context is the federation's", "%s %w", api.Server, bootstrap.ErrNone)
	case err != nil:
		return advice.Errorf(cmp.Or(kube.Advice(err), "--context says which context is the federation's"), "%s: %w", api.Server, err)
	case c.federation != "":
		return nil
	}
	whose, err := bootstrap.Read(ctx, api)
	c.federation = whose.Federation
	return err
}

// settings are what the ConfigMap of the federation says; nothing, if there is none and
// the flags say what the federation is called.
func (c *steering) settings(ctx context.Context, api *kube.API) (v1alpha1.Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	s, err := bootstrap.Read(ctx, api)
	if errors.Is(err, bootstrap.ErrNone) {
		return v1alpha1.Settings{}, nil
	}
	return s, err
}

// until asks every interval until the answer is yes, or limit has passed. What is
// said last is why it hasn't come: if it takes a while, since what all servers do within
// a second is nothing to be told of.
func (p *progress) until(ctx context.Context, limit time.Duration, ask func(context.Context) (yes bool, why string, err error)) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began, last := time.Now(), ""
	err := wait.PollUntilContextCancel(within, interval, true, func(context.Context) (bool, error) {
		yes, why, err := ask(within)
		if !yes && err == nil && within.Err() == nil {
			if last = why; time.Since(began) >= awhile {
				p.say(why)
			}
		}
		return yes, err
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	case within.Err() != nil:
		return fmt.Errorf("not within %s (--timeout): %s", limit, last)
	}
	return err
}

// interval is between two looks at what is waited for.
const interval = 250 * time.Millisecond
