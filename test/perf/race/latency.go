package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/perf/race/record"
)

// latency measures how long everybody's answers take, all at one rate, round by
// round in turn: what the machine does in a minute happens to all of them.
func (r *race) latency(ctx context.Context) error {
	asker, err := r.compile("ask.c")
	if err != nil {
		return err
	}
	fmt.Printf("server on CPU %s, %s questions a second from CPU %s, %d at once, %d s each after %d s to get warm, %d rounds\n",
		serverCPU, thousands(float64(r.rate)), askerCPU, r.burst, r.seconds, warm, r.rounds)
	run := &record.Run{Machine: r.machine, Services: len(r.fed.manifests[0]) / 2, Rate: r.rate, Burst: r.burst, Seconds: r.seconds}
	fmt.Printf("\n%-5s  %-13s%s  others  codes\n", "round", "", quantileHeader)
	for round := 1; round <= r.rounds; round++ {
		for _, c := range r.field {
			t, err := r.turn(ctx, asker, c)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Printf("%5d  %-13s  %v\n", round, c.name, err)
				continue
			}
			t.Round = round
			run.Turns = append(run.Turns, t)
			fmt.Printf("%5d  %-13s%s  %6d  %5.0f%%  %s\n", round, c.name, quantiles(t.Quantile), t.Lost(), 100*t.Others, codes(t))
			fmt.Printf("%5s  %-13s%s\n", "", "  asked", quantiles(func(p float64) time.Duration { return t.Lag.Quantile(p, t.Sent) }))
		}
	}
	if len(run.Turns) == 0 {
		return errors.New("nobody could be measured")
	}
	step, look := run.Turns[0].ClockStep, run.Turns[0].ClockLook
	fmt.Println("\"others\" is what neither server nor asker used of their cores, in percent of one; more than a few spoil a turn")
	fmt.Printf("\"asked\" is how late a question was sent, and part of the answer's time; the asker's clock moves by %d ns, a look at it takes %d ns\n", step, look)

	fmt.Printf("\nmedians of the rounds\n%-20s%s\n", "", quantileHeader)
	for _, s := range run.Servers() {
		var lost []int64
		for _, t := range run.Of(s) {
			lost = append(lost, t.Lost())
		}
		slices.Sort(lost)
		fmt.Printf("%-20s%s  %6d\n", s, quantiles(func(p float64) time.Duration {
			return run.Quantile(s, p).Median
		}), lost[len(lost)/2])
	}
	fmt.Printf("\nfor the notes\n")
	for _, t := range run.Turns {
		us := func(d time.Duration) string { return strings.TrimSuffix(microseconds(d), " µs") }
		lag := func(p float64) string { return us(t.Lag.Quantile(p, t.Sent)) }
		fmt.Printf("latency round=%d server=%s rate=%d sent=%d lost=%d stray=%d p50_us=%s p99_us=%s p999_us=%s max_us=%s asked_p50_us=%s asked_p999_us=%s asked_max_us=%s others=%.3f codes=%q\n",
			t.Round, t.Server, r.rate, t.Sent, t.Lost(), t.Stray, us(t.Quantile(0.5)), us(t.Quantile(0.99)), us(t.Quantile(0.999)), us(t.Quantile(1)),
			lag(0.5), lag(0.999), lag(1), t.Others, codes(t))
	}
	if r.data == "" {
		return nil
	}
	return run.Write(r.data)
}

// turn measures one server for a while.
func (r *race) turn(ctx context.Context, asker string, c contender) (*record.Turn, error) {
	p, err := r.start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	limited, cancel := context.WithTimeout(ctx, time.Duration(r.seconds+warm)*time.Second+30*time.Second)
	defer cancel()
	w, err := p.begin()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(limited, r.taskset, "-c", askerCPU, asker, strconv.Itoa(p.port), filepath.Join(r.dir, "questions"),
		strconv.Itoa(r.rate), strconv.Itoa(r.burst), strconv.Itoa(warm), strconv.Itoa(r.seconds))
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return nil, errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	_, others, err := w.end(cmd.ProcessState)
	if err != nil {
		return nil, err
	}
	t := &record.Turn{Server: c.name, Others: others}
	if err := json.Unmarshal(out, t); err != nil {
		return nil, fmt.Errorf("ask printed %q: %w", out, err)
	}
	return t, nil
}

// columns are the quantiles that are printed; of all answers the last is the
// longest.
var columns = []struct {
	name string
	p    float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

var quantileHeader = func() string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "  %12s", c.name)
	}
	return b.String() + "    lost"
}()

func quantiles(at func(p float64) time.Duration) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "  %12s", microseconds(at(c.p)))
	}
	return b.String()
}

// microseconds writes a time to three digits or so; "lost" is what never came.
func microseconds(d time.Duration) string {
	if d == record.Never {
		return "lost"
	}
	us := float64(d) / 1e3
	if us < 100 {
		return fmt.Sprintf("%.1f µs", us)
	}
	return fmt.Sprintf("%.0f µs", us)
}

// codes is how the questions were answered.
func codes(t *record.Turn) string {
	var out []string
	for rcode := range 16 {
		if n := t.Codes[strconv.Itoa(rcode)]; n > 0 {
			out = append(out, fmt.Sprintf("%s %.2f%%", dns.RcodeToString[rcode], 100*float64(n)/float64(t.Sent)))
		}
	}
	return strings.Join(out, " ")
}
