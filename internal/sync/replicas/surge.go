package replicas

import (
	"fmt"
	"strconv"
	"strings"
)

// A Surge is how many replicas there may be beyond those that are wanted, in all clusters
// together, while some move from one to another: a number, or a part of those wanted.
type Surge struct {
	n       int64
	percent bool
}

// DefaultSurge is that of a Deployment's rollout: who has room to roll out has room to move.
func DefaultSurge() Surge { return Surge{25, true} }

// ParseSurge reads a number or a percentage, as maxSurge of a Deployment is written.
func ParseSurge(text string) (Surge, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || digits[0] == '+' {
		return Surge{}, fmt.Errorf("%q is neither a number of replicas, such as 2, nor a part of them, such as 25%%", text)
	}
	return Surge{n, percent}, nil
}

// Of is the number for so many replicas; a part of them is rounded up.
func (s Surge) Of(total int64) int64 {
	if !s.percent {
		return s.n
	}
	return portion(clamp(total), s.n, 100)
}

// String is as it is written.
func (s Surge) String() string {
	if s.percent {
		return fmt.Sprint(s.n, "%")
	}
	return fmt.Sprint(s.n)
}
