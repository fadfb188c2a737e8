package main

import (
	"strings"
	"testing"
	"time"
)

const report = `
  Queries sent:         103365
  Queries completed:    100000 (96.74%)
  Queries lost:         3365 (3.26%)

  Response codes:       NOERROR 95000 (95.00%), NXDOMAIN 5000 (5.00%)
  Average packet size:  request 38, response 54
  Run time (s):         2.000000
  Queries per second:   50000.000000
`

func TestNewLap(t *testing.T) {
	l, err := newLap("nsd", report, usage{cpu: time.Second, rss: 2048})
	if err != nil {
		t.Fatal(err)
	}
	want := lap{server: "nsd", qps: 50_000, cpu: 10, busy: 0.5, lost: 3365, rss: 2, bytes: 54, codes: "NOERROR 95.00% NXDOMAIN 5.00%"}
	if *l != want {
		t.Errorf("%+v, want %+v", *l, want)
	}
	for _, bad := range []string{"", strings.Replace(report, "completed:    100000", "completed:    0", 1)} {
		if l, err := newLap("nsd", bad, usage{}); err == nil {
			t.Errorf("read as %v:\n%s", l, bad)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 9, 2}, 3},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}

// Who is compared is compared within a round: here one is always twice the other,
// though the machine has got slower and a round is missing.
func TestRatio(t *testing.T) {
	laps := []lap{
		{server: "gdnsd", round: 1, qps: 100}, {server: "fedns", round: 1, qps: 200},
		{server: "gdnsd", round: 2, qps: 30}, {server: "fedns", round: 2, qps: 60},
		{server: "gdnsd", round: 3, qps: 1},
	}
	answers := func(l lap) float64 { return l.qps }
	if got, ok := ratio(laps, "fedns", "gdnsd", answers); !ok || got != 2 {
		t.Errorf("ratio = %v, %v, want 2", got, ok)
	}
	if got, ok := ratio(laps, "fedns", "floor", answers); ok {
		t.Errorf("compared with who didn't run: %v", got)
	}
	if m := middle(of(laps, "gdnsd")); m.qps != 30 {
		t.Errorf("the median is %v, want 30", m.qps)
	}
}

func TestVersionNumber(t *testing.T) {
	for _, tt := range [][2]string{
		{"NSD version 4.6.1\nWritten by NLnet Labs.", "4.6.1"},
		{"knotd (Knot DNS), version 3.2.6", "3.2.6"},
		{"BIND 9.18.49-1~deb12u3-Debian (Extended Support Version) <id:>", "9.18.49"},
		{"Nov 20 12:21:25 PowerDNS Authoritative Server 4.7.3 (C) 2001-2022 PowerDNS.COM BV", "4.7.3"},
		{"fedns v0.1-3-g1a3171c-dirty, go1.26.8 linux/amd64\n", "v0.1-3-g1a3171c-dirty"},
		{"usage:", ""},
	} {
		if got := strings.TrimPrefix(versionNumber.FindString(tt[0]), "fedns "); got != tt[1] {
			t.Errorf("%q has version %q, want %q", tt[0], got, tt[1])
		}
	}
}

func TestPick(t *testing.T) {
	if got, err := pick("fedns, floor"); err != nil || len(got) != 2 || got[0].name != "fedns" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "fedns,bind10"} {
		if got, err := pick(bad); err == nil {
			t.Errorf("%q picks %v", bad, got)
		}
	}
}

func TestBesideEarlier(t *testing.T) {
	field, err := pick("floor,fedns,fedns-slow")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range besideEarlier(field, "/the/earlier/fedns") {
		names = append(names, c.name)
		path, err := c.build(&race{program: "speed_test.go", dir: t.TempDir(), compiled: map[string]string{"floor.c": "floor"}})
		if earlier := strings.HasSuffix(c.name, beforeSuffix); err != nil || (path == "/the/earlier/fedns") != earlier {
			t.Errorf("%s is %s, %v", c.name, path, err)
		}
	}
	if got := strings.Join(names, " "); got != "floor fedns fedns-before fedns-slow fedns-slow-before" {
		t.Errorf("who races: %s", got)
	}
}

func TestFind(t *testing.T) {
	if _, err := find("no-such-server", "server-of-dreams"); err == nil || !strings.Contains(err.Error(), "no-such-server isn't installed: Debian package server-of-dreams") {
		t.Errorf("a program that isn't there: %v", err)
	}
}
