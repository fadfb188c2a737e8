package federation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/report"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/topology"
)

// orders are those of a file of overrides that have not expired, in its order.
type orders []override.Order

// orders reads the file of a federation as the pipeline does, which takes a change
// in a moment later.
func (s *stanza) orders(now time.Time) (orders, error) {
	if s.override == "" {
		return nil, nil
	}
	content, err := os.ReadFile(s.override)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := override.Parse(string(content))
	return slices.DeleteFunc(all, func(o override.Order) bool { return o.Expired(now) }), err
}

// digest tells what a federation's file of overrides holds from what another does;
// "": there is none, or it can't be read.
func (s *stanza) digest() string {
	content, err := os.ReadFile(s.override)
	if err != nil && !os.IsNotExist(err) {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// inForce are the orders that the snapshot of a serial has, with who gave them.
func (s *status) inForce(ctx context.Context, federation int, now time.Time) (out []report.Order, serial uint32, ok bool) {
	list, shown, ok := s.f.pipe.InForce(ctx, federation)
	registered := s.f.books[federation].orders(now)
	out = []report.Order{}
	for _, o := range list {
		r := report.OrderOf(o, now)
		r.Line, r.Source = o.String(), "overrides"
		if slices.Contains(registered, o) {
			r.Source = "registry"
		}
		out = append(out, r)
	}
	return out, shown.Serial, ok
}

// about is the order that decided on a shard: the last that speaks of it and says
// what its verdict does; nil if there is none, or it isn't known.
func (list orders) about(k names.Key, x *shard.Explained) *override.Order {
	var action override.Action
	switch x.Evidence.Order {
	case health.Drain:
		action = override.Drain
	case health.Shut:
		action = override.Down
	case health.Raise:
		action = override.Up
	}
	for i := len(list) - 1; i >= 0; i-- {
		o := &list[i]
		if o.Action == action && slices.ContainsFunc(x.Places, func(p topology.Place) bool { return covers(o.Subject, k, x.Cluster, p) }) {
			return o
		}
	}
	return nil
}

// covers says whether an order's subject has to do with a shard at a place.
func covers(s override.Subject, k names.Key, c topology.ClusterName, p topology.Place) bool {
	switch s.Kind {
	case override.Cluster:
		return s.Name == string(c)
	case override.Region:
		return s.Name == p.Region
	case override.Zone:
		return s.Name == p.Zone
	case override.Service:
		return s.Namespace == k.Namespace && s.Name == k.Name
	}
	return false
}
