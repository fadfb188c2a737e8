package advice

import (
	"slices"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"nginx", "ngnix", 1}, {"kitten", "sitting", 3},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want || Distance(tt.b, tt.a) != tt.want {
			t.Errorf("%q and %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestNear(t *testing.T) {
	got := Near("shop.web", []string{"shop.wep", "ship.web", "shop.web.x", "elsewhere", "shop.wep", "shop.web"})
	if want := []string{"ship.web", "shop.wep", "shop.web.x"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
