package health

import "testing"

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    Evidence
		want Verdict
	}{
		{"nothing known", Evidence{}, Verdict{Unknown, NotListed}},
		{"not listed, though its objects look well", Evidence{Endpoints: 1, Addresses: 1}, Verdict{Unknown, NotListed}},
		{"well", Evidence{Listed: true, Endpoints: 1, Addresses: 1}, Verdict{Up, Ready}},
		{"well, one of its hostnames is not", Evidence{Listed: true, Endpoints: 1, Addresses: 1, Unresolved: 1}, Verdict{Up, Ready}},
		{"no pods", Evidence{Listed: true, Addresses: 1}, Verdict{Down, NoEndpoint}},
		{"on its way out", Evidence{Listed: true, Deleting: true, Endpoints: 1, Addresses: 1}, Verdict{Down, Deleting}},
		{"balancer pending", Evidence{Listed: true, Endpoints: 1, Balancer: true}, Verdict{Down, Pending}},
		{"hostname dead", Evidence{Listed: true, Endpoints: 1, Balancer: true, Unresolved: 1}, Verdict{Down, Unresolved}},
		{"address not its own", Evidence{Listed: true, Endpoints: 1, Balancer: true, Refused: 1}, Verdict{Down, OutsideRange}},
		{"ClusterIP", Evidence{Listed: true, Endpoints: 1}, Verdict{Down, Internal}},
	} {
		if got := Judge(tt.e); got != tt.want {
			t.Errorf("%s: %v %q, want %v %q", tt.name, got.State, got.Why, tt.want.State, tt.want.Why)
		}
	}
}
