package federation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/probe"
)

// minPeriod keeps a slip of the hand from becoming a flood.
const minPeriod = 100 * time.Millisecond

func (s *stanza) heartbeats(a args) (err error) {
	if len(a.list) != 2 {
		return errors.New("needs a period and a timeout: heartbeat 2s 5s")
	}
	if s.beat.Period, err = duration(a.list[0], minPeriod); err != nil {
		return err
	}
	if s.beat.Timeout, err = duration(a.list[1], minPeriod); err != nil {
		return err
	}
	if s.beat.Timeout < s.beat.Period {
		return fmt.Errorf("the timeout %s is shorter than the period %s", a.list[1], a.list[0])
	}
	return nil
}

func (s *stanza) holds(a args) error {
	v, err := a.one("needs a duration, such as 5m")
	if err == nil {
		s.policy.Hold, err = duration(v, time.Second)
	}
	return err
}

func (s *stanza) silence(a args) error {
	const needs = "needs withdraw or keep"
	v, err := a.one(needs)
	if err == nil && v != "withdraw" && v != "keep" {
		err = errors.New(needs)
	}
	s.policy.Keep = v == "keep"
	return err
}

func (s *stanza) probes(a args) error {
	spec, rules, err := probe.ParseLine(a.list)
	if err == nil {
		s.policy.Probe, s.policy.Annotations, s.probed = spec.String(), rules.Annotations, rules
	}
	return err
}

func (s *stanza) panics(a args) error {
	v, err := a.one("needs a share of ready shards, such as 50%")
	if err == nil {
		s.policy.Panic, err = percent(v)
	}
	return err
}

func (s *stanza) keeps(a args) error {
	if err := a.file(&s.state, "needs a folder"); err != nil {
		return err
	}
	return isFolder(s.state)
}

func (s *stanza) overridden(a args) error {
	if err := a.file(&s.override, "needs a file"); err != nil {
		return err
	}
	return isFile(s.override)
}

func (s *stanza) guarded(a args) (err error) {
	if len(a.list) == 1 && a.list[0] == "off" {
		s.policy.Guard = shard.Guard{}
		return nil
	}
	if len(a.list) < 2 || len(a.list) > 3 {
		return fmt.Errorf("needs a share, a time, and optionally a number: guard 50%% 10s 20; or off")
	}
	if s.policy.Guard.Percent, err = percent(a.list[0]); err != nil {
		return err
	}
	if s.policy.Guard.Time, err = duration(a.list[1], time.Second); err != nil {
		return err
	}
	if len(a.list) == 3 {
		if s.policy.Guard.Min, err = strconv.Atoi(a.list[2]); err != nil || s.policy.Guard.Min < 0 {
			return fmt.Errorf("%q is not a number of addresses", a.list[2])
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
