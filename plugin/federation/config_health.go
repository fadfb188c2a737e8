package federation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/probe"
	"github.com/fedns/fedns/internal/shard"
)

// minPeriod keeps a slip of the hand from becoming a flood.
const minPeriod = 100 * time.Millisecond

// health reads a property about what is believed of clusters and shards.
func (s *stanza) health(c *caddy.Controller) error {
	p := c.Val()
	args := c.RemainingArgs()
	if err := s.healthProperty(c, p, args); err != nil {
		return c.Errf("%s: %v", p, err)
	}
	return nil
}

func (s *stanza) healthProperty(c *caddy.Controller, p string, args []string) (err error) {
	needs := func(ok bool, what string) error {
		if !ok {
			return fmt.Errorf("needs %s", what)
		}
		return nil
	}
	switch p {
	case "heartbeat":
		if err := needs(len(args) == 2, "a period and a timeout: heartbeat 2s 5s"); err != nil {
			return err
		}
		if s.beat.Period, err = duration(args[0], minPeriod); err != nil {
			return err
		}
		if s.beat.Timeout, err = duration(args[1], minPeriod); err != nil {
			return err
		}
		if s.beat.Timeout < s.beat.Period {
			return fmt.Errorf("the timeout %s is shorter than the period %s", args[1], args[0])
		}
	case "hold":
		if err := needs(len(args) == 1, "a duration, such as 5m"); err != nil {
			return err
		}
		s.policy.Hold, err = duration(args[0], time.Second)
		return err
	case "silence":
		if len(args) == 1 && (args[0] == "withdraw" || args[0] == "keep") {
			s.policy.Keep = args[0] == "keep"
			return nil
		}
		return needs(false, "withdraw or keep")
	case "probe":
		spec, err := probe.Parse(args)
		if err != nil {
			return err
		}
		s.policy.Probe = spec.String()
	case "panic":
		if err := needs(len(args) == 1, "a share of ready shards, such as 50%"); err != nil {
			return err
		}
		s.policy.Panic, err = percent(args[0])
		return err
	case "guard":
		return s.guard(args)
	case "state":
		if err := needs(len(args) == 1, "a folder"); err != nil {
			return err
		}
		s.state = path(c, args[0])
		return isFolder(s.state)
	case "overrides":
		if err := needs(len(args) == 1, "a file"); err != nil {
			return err
		}
		s.override = path(c, args[0])
		return isFile(s.override)
	case "status":
		s.status, err = statusAddr(args)
		return err
	}
	return nil
}

func (s *stanza) guard(args []string) (err error) {
	if len(args) == 1 && args[0] == "off" {
		s.policy.Guard = shard.Guard{}
		return nil
	}
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("needs a share, a time, and optionally a number: guard 50%% 10s 20; or off")
	}
	if s.policy.Guard.Percent, err = percent(args[0]); err != nil {
		return err
	}
	if s.policy.Guard.Time, err = duration(args[1], time.Second); err != nil {
		return err
	}
	if len(args) == 3 {
		if s.policy.Guard.Min, err = strconv.Atoi(args[2]); err != nil || s.policy.Guard.Min < 0 {
			return fmt.Errorf("%q is not a number of addresses", args[2])
		}
	}
	return nil
}

func duration(v string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration, such as 2s", v)
	}
	if d < least {
		return 0, fmt.Errorf("%q is too short; at least %s", v, least)
	}
	return d, nil
}

func percent(v string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(v, "%"))
	if err != nil || n < 0 || n > 100 {
		return 0, fmt.Errorf("%q is not a percentage from 0%% to 100%%", v)
	}
	return n, nil
}
