package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/topology"
)

// A Choice is how an answer is chosen from the shards that are up in a scope.
type Choice uint8

// The choices.
const (
	All      Choice = iota // every shard
	Nearest                // those of the closest region to the client that has one
	Weighted               // some, drawn by weight
	Failover               // those of the first region of a list that has one
)

func (c Choice) String() string {
	return [...]string{"all", "nearest", "weighted", "failover"}[c]
}

// A Policy is a choice with what it depends on. The zero Policy is All.
type Policy struct {
	Choice   Choice
	Within   int      // percent: regions that are hardly farther than the closest count as well (Nearest)
	Count    int      // of shards in an answer; 0: all of the closest region (Nearest), one (Weighted)
	Regions  []string // in order of preference (Failover)
	Failback Failback // when the first regions are gone back to (Failover)
}

// A Failback says when a region that comes up again is answered from again, in the
// place of one that it is preferred to. At once, if it is zero.
type Failback struct {
	Manual bool          // when an operator says so
	After  time.Duration // when it has been up for so long
}

// MaxCount is the most shards that a policy can ask for: who wants more of a service
// wants them all.
const MaxCount = 16

// PolicyGrammar says what a policy looks like, for whoever mistyped.
const PolicyGrammar = "all, nearest [within PERCENT%] [N], weighted [N], or failover REGION... [failback auto|delayed DURATION|manual]"

// ParsePolicy reads a policy from its words.
func ParsePolicy(words []string) (Policy, error) {
	if len(words) == 0 {
		return Policy{}, errors.New("needs " + PolicyGrammar)
	}
	if words[0] != "failover" && slices.Contains(words, "failback") {
		return Policy{}, errors.New("failback: only failover has regions to go back to: failover REGION... failback auto|delayed DURATION|manual")
	}
	rest := words[1:]
	var p Policy
	var err error
	switch words[0] {
	case "all":
	case "nearest":
		p.Choice = Nearest
		if len(rest) > 0 && rest[0] == "within" {
			if len(rest) < 2 {
				return Policy{}, errors.New("within: needs a percentage, such as 5%")
			}
			if p.Within, err = percent(rest[1]); err != nil {
				return Policy{}, fmt.Errorf("within: %w", err)
			}
			rest = rest[2:]
		}
		p.Count, rest, err = count(rest)
	case "weighted":
		p.Choice = Weighted
		p.Count, rest, err = count(rest)
	case "failover":
		p.Choice = Failover
		p, rest, err = failover(p, rest)
	default:
		return Policy{}, fmt.Errorf("%q is no policy; there are %s", words[0], PolicyGrammar)
	}
	if err != nil {
		return Policy{}, fmt.Errorf("%s: %w", words[0], err)
	}
	if len(rest) > 0 {
		return Policy{}, fmt.Errorf("%s: %q is left over; there are %s", words[0], strings.Join(rest, " "), PolicyGrammar)
	}
	return p, nil
}

func percent(s string) (int, error) {
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n > 100 {
		return 0, fmt.Errorf("%q is not a percentage from 0%% to 100%%", s)
	}
	return n, nil
}

// count reads the number of shards that a policy may end with.
func count(words []string) (n int, rest []string, err error) {
	if len(words) == 0 {
		return 0, nil, nil
	}
	n, err = strconv.Atoi(words[0])
	if err != nil || n < 1 || n > MaxCount {
		return 0, nil, fmt.Errorf("%q is not a number of shards from 1 to %d", words[0], MaxCount)
	}
	return n, words[1:], nil
}

func failover(p Policy, words []string) (_ Policy, rest []string, err error) {
	for len(words) > 0 && words[0] != "failback" {
		r, err := topology.Label(words[0])
		if err != nil {
			return p, nil, err
		}
		if slices.Contains(p.Regions, r) {
			return p, nil, fmt.Errorf("region %q stands twice", r)
		}
		p.Regions = append(p.Regions, r)
		words = words[1:]
	}
	if len(p.Regions) == 0 {
		return p, nil, errors.New("needs at least one region")
	}
	if len(words) == 0 {
		return p, nil, nil
	}
	words = words[1:]
	const grammar = "failback: needs auto, delayed DURATION, or manual"
	if len(words) == 0 {
		return p, nil, errors.New(grammar)
	}
	switch words[0] {
	case "auto":
	case "manual":
		p.Failback.Manual = true
	case "delayed":
		if len(words) < 2 {
			return p, nil, errors.New(grammar)
		}
		d, err := time.ParseDuration(words[1])
		if err != nil || d <= 0 {
			return p, nil, fmt.Errorf("failback delayed: %q is not a duration, such as 10m", words[1])
		}
		p.Failback.After = d
		words = words[1:]
	default:
		return p, nil, errors.New(grammar)
	}
	return p, words[1:], nil
}

// String spells the policy as ParsePolicy reads it.
func (p Policy) String() string {
	words := []string{p.Choice.String()}
	if p.Within > 0 {
		words = append(words, "within", strconv.Itoa(p.Within)+"%")
	}
	if p.Count > 0 {
		words = append(words, strconv.Itoa(p.Count))
	}
	words = append(words, p.Regions...)
	switch {
	case p.Failback.Manual:
		words = append(words, "failback", "manual")
	case p.Failback.After > 0:
		words = append(words, "failback", "delayed", p.Failback.After.String())
	}
	return strings.Join(words, " ")
}

// Equal says whether two policies are the same.
func (p Policy) Equal(q Policy) bool {
	return p.Choice == q.Choice && p.Within == q.Within && p.Count == q.Count && p.Failback == q.Failback && slices.Equal(p.Regions, q.Regions)
}
