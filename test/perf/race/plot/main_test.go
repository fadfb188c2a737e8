package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/perf/race/record"
)

// measured is a run with so many servers, each slower than the one before.
func measured(servers ...string) *record.Run {
	run := &record.Run{Services: 1000, Rate: 50_000, Burst: 1, Seconds: 6}
	for round := range 5 {
		for i, s := range servers {
			t := &record.Turn{Server: s, Round: round + 1}
			for k := range int64(400) {
				n := max(int64(1), int64(30_000)>>(k/20))
				t.Latency = append(t.Latency, record.Bucket{(20_000 + k*k*100) * int64(i+1) * int64(round+5), n})
				t.Sent += n
			}
			run.Turns = append(run.Turns, t)
		}
	}
	return run
}

// The picture is XML of a decent size, and shows everybody, lost answers or not.
func TestDraw(t *testing.T) {
	lossy := measured("gdnsd", "fedns")
	for _, turn := range lossy.Turns {
		turn.Sent += turn.Sent / 500
	}
	silent := measured("floor", "fedns")
	for _, turn := range silent.Of("fedns") {
		turn.Latency = nil
	}
	single := measured("fedns")
	single.Turns, single.Burst = single.Turns[:1], 10
	for _, tt := range []struct {
		name string
		run  *record.Run
		want []string // "!": not there
	}{
		{"two", measured("gdnsd", "fedns"), []string{"50,000 questions a second", ">fedns: p50", ">gdnsd: p50", "median of 5 rounds; band: the middle 3", "!lost"}},
		{"all", measured("floor", "nsd", "knot", "gdnsd", "bind", "pdns", "coredns", "fedns", "fedns-slow"), []string{">the machine alone: ", ">fedns-slow: "}},
		{"lost answers", lossy, []string{"lost from 99.8"}},
		{"no answers", silent, []string{"fedns: p50 lost, p99 lost, lost from 50% on"}},
		{"one round", single, []string{"10 at a time", "!median"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svg := draw(tt.run)
			if len(svg) > 30_000 {
				t.Errorf("%d bytes", len(svg))
			}
			for _, w := range append(tt.want, "!NaN", "!Inf", "!%!") {
				if not, ok := strings.CutPrefix(w, "!"); ok == strings.Contains(svg, strings.TrimPrefix(w, "!")) {
					t.Errorf("%q (unwanted: %v) in\n%s", strings.TrimPrefix(w, "!"), ok && not != "", svg)
				}
			}
			for d := xml.NewDecoder(strings.NewReader(svg)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if again := draw(tt.run); again != svg {
				t.Error("the same data make two pictures")
			}
		})
	}
}

// fedns' line is the blue one, whoever runs beside it and in whatever order.
func TestColours(t *testing.T) {
	for _, servers := range [][]string{{"fedns"}, {"gdnsd", "fedns"}, {"floor", "fedns", "gdnsd"}} {
		for _, c := range curves(measured(servers...)) {
			if (c.server == "fedns") != (c.class == "c0") || (c.server == "floor") != (c.class == "floor") {
				t.Errorf("%v: %s has %s", servers, c.server, c.class)
			}
		}
	}
}

func TestUnit(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{500, "0.5 µs"}, {9_940, "9.9 µs"}, {9_960, "10 µs"}, {123_400, "123 µs"}, {999_600, "1 ms"},
		{1_250_000, "1.2 ms"}, {20_000_000, "20 ms"}, {2 * time.Second, "2 s"}, {record.Never, "lost"},
	} {
		if got := unit(tt.d); got != tt.want {
			t.Errorf("%s is %q, want %q", fmt.Sprint(int64(tt.d)), got, tt.want)
		}
	}
}
