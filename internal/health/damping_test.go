package health

import "testing"

func TestStreak(t *testing.T) {
	for _, tt := range []struct {
		name    string
		d       Damping
		results string // + passes, - fails
		want    string // the state after each: u, f, p
	}{
		{"the first pass decides", Damping{3, 2}, "+", "p"},
		{"the first failure does not", Damping{3, 2}, "-", "u"},
		{"nor a second, but a third", Damping{3, 2}, "---", "uuf"},
		{"a pass decides after failures", Damping{3, 2}, "--+", "uup"},
		{"falls", Damping{3, 2}, "+---", "pppf"},
		{"a pass between starts the count anew", Damping{3, 2}, "+--+--+---", "pppppppppf"},
		{"rises", Damping{3, 2}, "---++", "uuffp"},
		{"a failure between starts the count anew", Damping{3, 2}, "---+-+-++", "uuffffffp"},
		{"at once", Damping{1, 1}, "-+-+", "fpfp"},
		{"no damping is the least", Damping{}, "-+-+", "fpfp"},
	} {
		var s Streak
		got := ""
		for _, r := range tt.results {
			s = s.Next(r == '+', tt.d)
			got += s.State().String()[:1]
		}
		if got != tt.want {
			t.Errorf("%s: %s gives %s, want %s", tt.name, tt.results, got, tt.want)
		}
	}
}
