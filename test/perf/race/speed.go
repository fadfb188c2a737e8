package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A lap is what one server did in one round.
type lap struct {
	server string
	round  int

	qps   float64 // answers a second
	cpu   float64 // µs of CPU time an answer
	busy  float64 // of its core; with less than all of it, the asker was the slower
	lost  float64
	rss   float64 // MB
	bytes float64 // of an answer, in the mean: who says more takes longer
	codes string

	others float64 // CPUs that somebody else used meanwhile

	took [3]float64 // µs that an answer takes at a steady pace: paceQuantiles; 0: it wasn't measured
}

// speed races everybody against the clock, and prints what came of it.
func (r *race) speed(ctx context.Context) error {
	asker, name, err := "", "dnsperf -c 8 -q 400 -T 1", error(nil)
	if r.flood {
		name = "flood, 8 clients with 50 questions each,"
		asker, err = r.compile("flood.c")
	} else {
		asker, err = find("dnsperf", "dnsperf")
	}
	if err != nil {
		return err
	}
	fmt.Printf("server on CPU %s, %s on CPU %s, %d s each, %d rounds\n", serverCPU, name, askerCPU, r.seconds, r.rounds)
	var laps []lap
	for round := 1; round <= r.rounds; round++ {
		fmt.Printf("\nround %d\n%s\n", round, lapHeader)
		for _, c := range r.field {
			l, err := r.lap(ctx, asker, c)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Printf("%-13s  %v\n", c.name, err)
				continue
			}
			l.round = round
			laps = append(laps, *l)
			fmt.Println(l)
		}
	}
	fmt.Print("\n", summary(laps))
	return nil
}

// lap has one server answer for a while.
func (r *race) lap(ctx context.Context, program string, c contender) (*lap, error) {
	p, err := r.start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Second): // what a start leaves to tidy up isn't measured
	}
	w, err := p.begin()
	if err != nil {
		return nil, err
	}
	// It ends by itself; the limit is for when it doesn't.
	limited, cancel := context.WithTimeout(ctx, time.Duration(r.seconds)*time.Second+30*time.Second)
	defer cancel()
	port, questions, seconds := strconv.Itoa(p.port), filepath.Join(r.dir, "questions"), strconv.Itoa(r.seconds)
	args := []string{"-c", askerCPU, program}
	if r.flood {
		args = append(args, port, questions, seconds)
	} else {
		args = append(args, "-s", "127.0.0.1", "-p", port, "-d", questions, "-l", seconds, "-c", "8", "-q", "400", "-T", "1")
	}
	asker := exec.CommandContext(limited, r.taskset, args...)
	out, err := asker.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return w.lap(c.name, string(out), asker.ProcessState)
}

// lap is what an asker that has ended reports, with what the server used meanwhile.
func (w watch) lap(server, report string, asker *os.ProcessState) (*lap, error) {
	used, others, err := w.end(asker)
	if err != nil {
		return nil, err
	}
	l, err := newLap(server, report, used)
	if err != nil {
		return nil, err
	}
	l.others = others
	return l, nil
}

// newLap reads dnsperf's report, or flood's, which is in the same words.
func newLap(server, report string, used usage) (*lap, error) {
	l := &lap{server: server, rss: float64(used.rss) / 1024}
	var answers, seconds float64
	for _, f := range []struct {
		pattern string
		value   *float64
	}{
		{`Queries completed: +([0-9]+)`, &answers},
		{`Queries lost: +([0-9]+)`, &l.lost},
		{`Average packet size: .*response ([0-9]+)`, &l.bytes},
		{`Run time \(s\): +([0-9.]+)`, &seconds},
		{`Queries per second: +([0-9.]+)`, &l.qps},
	} {
		m := regexp.MustCompile(f.pattern).FindStringSubmatch(report)
		if m == nil {
			return nil, fmt.Errorf("the asker printed no %q:\n%s", f.pattern, report)
		}
		*f.value, _ = strconv.ParseFloat(m[1], 64) // digits
	}
	if answers == 0 {
		return nil, fmt.Errorf("no answers; %.0f lost", l.lost)
	}
	l.cpu = float64(used.cpu.Microseconds()) / answers
	l.busy = used.cpu.Seconds() / seconds
	var codes []string
	for _, m := range regexp.MustCompile(`([A-Z0-9]+) [0-9]+ \(([0-9.]+)%\)`).FindAllStringSubmatch(report, -1) {
		codes = append(codes, m[1]+" "+m[2]+"%")
	}
	l.codes = strings.Join(codes, " ")
	return l, nil
}

const lapHeader = "               answers/s  µs CPU each   busy  others   lost  MB resident  bytes  codes"

func (l *lap) String() string {
	return fmt.Sprintf("%-13s %10s  %11.2f  %4.0f%%  %5.0f%%  %5.0f  %11.0f  %5.0f  %s",
		l.server, thousands(l.qps), l.cpu, 100*l.busy, 100*l.others, l.lost, l.rss, l.bytes, l.codes)
}

// marks are who the others are compared with.
var marks = []string{"floor", "gdnsd", "coredns", "fedns"}

// summary is the tables of medians, and the laps themselves for the notes.
func summary(laps []lap) string {
	var b strings.Builder
	var servers []string
	for _, l := range laps {
		if !slices.Contains(servers, l.server) {
			servers = append(servers, l.server)
		}
	}
	fmt.Fprintf(&b, "medians\n%s\n", lapHeader)
	for _, s := range servers {
		fmt.Fprintln(&b, middle(of(laps, s)))
	}
	fmt.Fprintln(&b, "busy: the server, of its core; who wasn't could have done more: the asker was the slower, and CPU is what to compare")
	fmt.Fprintln(&b, "others: of one core, what neither server nor asker used of their two; more than a few percent spoil a lap")

	fmt.Fprintf(&b, "\ncompared     ")
	for _, m := range marks {
		fmt.Fprintf(&b, "  %22s", m)
	}
	fmt.Fprintf(&b, "\n             ")
	for range marks {
		fmt.Fprintf(&b, "  %11s %10s", "answers/s", "CPU each")
	}
	fmt.Fprintln(&b)
	for _, s := range servers {
		fmt.Fprintf(&b, "%-13s", s)
		for _, m := range marks {
			answers, cpu := "-", "-"
			if q, ok := ratio(laps, s, m, func(l lap) float64 { return l.qps }); ok {
				answers = fmt.Sprintf("%.2f", q)
			}
			if q, ok := ratio(laps, s, m, func(l lap) float64 { return l.cpu }); ok {
				cpu = fmt.Sprintf("%.2f", q)
			}
			fmt.Fprintf(&b, "  %11s %10s", answers, cpu)
		}
		fmt.Fprintln(&b)
	}

	fmt.Fprintf(&b, "\nfor the notes\n")
	for _, l := range laps {
		fmt.Fprintf(&b, "speed round=%d server=%s qps=%.0f cpu_us=%.3f busy=%.3f others=%.3f lost=%.0f rss_mb=%.1f bytes=%.0f codes=%q\n",
			l.round, l.server, l.qps, l.cpu, l.busy, l.others, l.lost, l.rss, l.bytes, l.codes)
	}
	return b.String()
}

func of(laps []lap, server string) []lap {
	return slices.DeleteFunc(slices.Clone(laps), func(l lap) bool { return l.server != server })
}

// middle is a lap of medians.
func middle(laps []lap) *lap {
	m := laps[0]
	for _, field := range []func(*lap) *float64{
		func(l *lap) *float64 { return &l.qps },
		func(l *lap) *float64 { return &l.cpu },
		func(l *lap) *float64 { return &l.busy },
		func(l *lap) *float64 { return &l.lost },
		func(l *lap) *float64 { return &l.rss },
		func(l *lap) *float64 { return &l.bytes },
		func(l *lap) *float64 { return &l.others },
		func(l *lap) *float64 { return &l.took[0] },
		func(l *lap) *float64 { return &l.took[1] },
		func(l *lap) *float64 { return &l.took[2] },
	} {
		var all []float64
		for i := range laps {
			all = append(all, *field(&laps[i]))
		}
		*field(&m) = median(all)
	}
	return &m
}

// ratio is the median, over the rounds in which both ran, of what one has to what
// the other has: the machine isn't the same in every round.
func ratio(laps []lap, one, other string, what func(lap) float64) (q float64, ok bool) {
	var all []float64
	for _, a := range of(laps, one) {
		for _, b := range of(laps, other) {
			if a.round == b.round && what(b) > 0 {
				all = append(all, what(a)/what(b))
			}
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return median(all), true
}

// median is the middle one of some values, or the mean of the two in the middle.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// thousands writes a number as people read it.
func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
