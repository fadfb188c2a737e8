package report

import "testing"

func TestWhere(t *testing.T) {
	for _, tt := range []struct {
		Client
		want string
	}{
		{Client{City: "Chicago", Subdivision: "Illinois", Country: "United States", Continent: "North America"}, "Chicago, Illinois, United States"},
		{Client{City: "Berlin", Subdivision: "Berlin", Country: "Germany", Continent: "Europe"}, "Berlin, Germany"},
		{Client{City: "Singapore", Country: "Singapore"}, "Singapore"},
		{Client{Country: "FR", Continent: "EU"}, "FR"},
		{Client{Continent: "Europe"}, "Europe"},
		{Client{Location: "48 2"}, ""},
	} {
		if got := tt.Where(); got != tt.want {
			t.Errorf("%+v is in %q, want %q", tt.Client, got, tt.want)
		}
	}
}
