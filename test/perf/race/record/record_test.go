package record

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	// A thousand times: 500 of up to 10 ns, 490 of up to 20, 9 of up to 300, one of 4000.
	h := Histogram{{10, 500}, {20, 490}, {300, 9}, {4000, 1}}
	for _, tt := range []struct {
		p    float64
		n    int64
		want time.Duration
	}{
		{0, 1000, 10}, // there is no less than the least
		{0.5, 1000, 10},
		{0.5001, 1000, 20},
		{0.99, 1000, 20},
		{0.991, 1000, 300},
		{0.999, 1000, 300}, // 0.999 of 1,000 are 999, not one more
		{0.9999, 1000, 4000},
		{1, 1000, 4000},
		// Ten more were lost.
		{0.5, 1010, 20},
		{0.99, 1010, 4000},
		{0.991, 1010, Never},
		{1, 1010, Never},
	} {
		if got := h.Quantile(tt.p, tt.n); got != tt.want {
			t.Errorf("Quantile(%v) of %d = %d, want %d", tt.p, tt.n, got, tt.want)
		}
	}
	if got := Histogram(nil).Quantile(0.5, 10); got != Never {
		t.Errorf("without answers half of them came within %v", got)
	}
}

func TestSpread(t *testing.T) {
	run := &Run{}
	turn := func(server string, ns int64, sent int64) {
		run.Turns = append(run.Turns, &Turn{Server: server, Sent: sent, Latency: Histogram{{ns, 10}}})
	}
	for _, ns := range []int64{50, 10, 30, 20, 40} {
		turn("fedns", ns, 10)
	}
	turn("gdnsd", 7, 10)
	turn("gdnsd", 8, 11) // of which one was lost
	for _, tt := range []struct {
		server string
		p      float64
		want   Spread
	}{
		{"fedns", 0.5, Spread{20, 30, 40, 3}},
		{"gdnsd", 0.5, Spread{7, 8, 8, 2}},
		{"gdnsd", 1, Spread{7, Never, Never, 2}},
	} {
		if got := run.Quantile(tt.server, tt.p); got != tt.want {
			t.Errorf("%s at %v: %v, want %v", tt.server, tt.p, got, tt.want)
		}
	}
	if got, want := run.Servers(), []string{"fedns", "gdnsd"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Servers() = %v, want %v", got, want)
	}
}

func TestFile(t *testing.T) {
	run := &Run{Machine: "m", Services: 1, Rate: 2, Burst: 3, Seconds: 4, Turns: []*Turn{{
		Server: "fedns", Round: 1, Sent: 5, Codes: map[string]int64{"0": 5}, Latency: Histogram{{1, 2}, {3, 3}}, Lag: Histogram{{1, 5}}, ClockStep: 20,
	}}}
	path := filepath.Join(t.TempDir(), "data")
	if err := run.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, run) {
		t.Errorf("read %+v, %v, want %+v", got, err, run)
	}
}
