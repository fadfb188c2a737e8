package zone

import (
	"maps"
	"testing"

	"github.com/fedns/fedns/internal/snapshot"
)

// Each who looks sees what has come since it began, whoever else looks; nothing is kept for nobody.
func TestTraffic(t *testing.T) {
	var traffic Traffic
	fed := snapshot.NewFederation("fed")
	cart := Subject{fed, &snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: "cart"}}}
	carts := Counted{"fed", cart.Service.Key, Outcome{What: Success, Scope: NoScope}}
	nothing := Counted{Outcome: Outcome{What: NXDomain, Scope: NoScope}}
	ask := func(of Subject, o Outcome, times int) {
		for range times {
			traffic.Count(of, o)
		}
	}
	wants := func(got, want map[Counted]uint64) {
		t.Helper()
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	ask(cart, carts.Outcome, 5) // nobody looks
	first := traffic.Look()
	ask(cart, carts.Outcome, 2)
	second := traffic.Look()
	ask(cart, carts.Outcome, 1)
	ask(Subject{}, nothing.Outcome, 4)
	wants(first(), map[Counted]uint64{carts: 3, nothing: 4})
	ask(cart, carts.Outcome, 1)
	wants(second(), map[Counted]uint64{carts: 2, nothing: 4})
	ask(cart, carts.Outcome, 7)
	third := traffic.Look()
	wants(third(), map[Counted]uint64{})
	if traffic.sums != nil {
		t.Errorf("%v is kept for nobody", traffic.sums)
	}
}
