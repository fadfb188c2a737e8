// Package record is what a run of latency leaves behind: for every server and
// round, how many answers took how long. It is written by the race and read by
// whoever makes tables or pictures of it.
package record

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"time"
)

// A Run is everything that was measured in one go.
type Run struct {
	Machine  string  `json:"machine"`
	Services int     `json:"services"`
	Rate     int     `json:"rate"`    // questions a second
	Burst    int     `json:"burst"`   // of them at once
	Seconds  int     `json:"seconds"` // each turn
	Turns    []*Turn `json:"turns"`   // in the order they were taken
}

// A Turn is one server's in one round.
type Turn struct {
	Server string `json:"server"`
	Round  int    `json:"round"` // from 1

	Sent  int64            `json:"sent"`
	Stray int64            `json:"stray"` // messages that answer no question
	Codes map[string]int64 `json:"codes"` // answers, by response code

	// Latency is counted from when a question was to be sent, Lag is how much later
	// it was: what of the former is the asker's own.
	Latency Histogram `json:"latency"`
	Lag     Histogram `json:"lag"`

	// Others is how much of a CPU somebody else used of the two meanwhile.
	Others float64 `json:"others"`

	// ClockStep is the least that the asker's clock moves by, ClockLook what it
	// takes to look at it: nanoseconds.
	ClockStep int64 `json:"clock_step"`
	ClockLook int64 `json:"clock_look"`
}

// Lost is how many questions got no answer.
func (t *Turn) Lost() int64 { return t.Sent - t.Latency.Count() }

// Quantile is the time within which a share p of the questions was answered. A lost
// answer is one that takes forever: it isn't left out, lest a server look quicker by
// dropping what it is slow with.
func (t *Turn) Quantile(p float64) time.Duration { return t.Latency.Quantile(p, t.Sent) }

// A Bucket is how many times were no longer than these nanoseconds, and longer than
// those of the bucket before.
type Bucket [2]int64

// A Histogram holds buckets in ascending order. The bound of the last is the
// longest time itself.
type Histogram []Bucket

// Count is how many times are in the histogram.
func (h Histogram) Count() int64 {
	var n int64
	for _, b := range h {
		n += b[1]
	}
	return n
}

// Never is the quantile that lies among what never came.
const Never = time.Duration(math.MaxInt64)

// Quantile is the bound of the bucket that the share p of n times falls into, by
// the nearest rank: the least time that no less than p of them are within. There may
// be more of them than the histogram holds; the rest took forever.
func (h Histogram) Quantile(p float64, n int64) time.Duration {
	// 0.999 of 1,000 are 999 times, whatever floating point thinks.
	rank := max(1, int64(math.Ceil(p*float64(n)-1e-6)))
	for _, b := range h {
		if rank -= b[1]; rank <= 0 {
			return time.Duration(b[0])
		}
	}
	return Never
}

// Servers are those of the run, in the order of their first turns.
func (r *Run) Servers() []string {
	var out []string
	for _, t := range r.Turns {
		if !slices.Contains(out, t.Server) {
			out = append(out, t.Server)
		}
	}
	return out
}

// Of is a server's turns.
func (r *Run) Of(server string) []*Turn {
	var out []*Turn
	for _, t := range r.Turns {
		if t.Server == server {
			out = append(out, t)
		}
	}
	return out
}

// A Spread is what several rounds say of one thing: the median, and between which
// two the middle half of them lies.
type Spread struct {
	Low, Median, High time.Duration
	Inside            int // rounds from Low to High, both included
}

// Quantile gives the quantiles of a server's turns. Of an even number of turns the
// median is the slower one of the two in the middle: there is no mean with one that
// never came.
func (r *Run) Quantile(server string, p float64) Spread {
	var all []time.Duration
	for _, t := range r.Of(server) {
		all = append(all, t.Quantile(p))
	}
	slices.Sort(all)
	last := len(all) - 1
	out := last / 4 // on either side
	return Spread{Low: all[out], Median: all[len(all)/2], High: all[last-out], Inside: len(all) - 2*out}
}

// Write writes the run to a file.
func (r *Run) Write(path string) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

// Read reads what Write wrote.
func Read(path string) (*Run, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Run)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, err
	}
	return r, nil
}
