package status

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/health"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
	"github.com/fedns/fedns/internal/topology"
)

// orders are those of a file of overrides that have not expired, in its order.
type orders []override.Order

// Overrides is the file of orders of a federation; "": it has none.
type Overrides string

// Orders reads the file as the pipeline does, which takes a change
// in a moment later.
func (f Overrides) Orders(now time.Time) ([]override.Order, error) {
	if f == "" {
		return nil, nil
	}
	content, err := inputfile.Read(string(f), inputfile.Orders)
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
func (f Overrides) digest() string {
	content, err := inputfile.Read(string(f), inputfile.Orders)
	if err != nil && !os.IsNotExist(err) {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// Path is where the orders of a federation's file stand, wherever it is looked at from;
// "": there is none.
func (f Overrides) Path() string {
	if abs, err := filepath.Abs(string(f)); err == nil && f != "" {
		return abs
	}
	return string(f)
}

// inForce are the orders that the snapshot of a serial has, with who gave them, and
// which others count instead.
func (s *Status) inForce(ctx context.Context, federation int, now time.Time) (out []report.Order, serial uint32, ok bool) {
	force, shown, ok := s.Pipe.InForce(ctx, federation)
	out = []report.Order{}
	for i, o := range force.Orders {
		r := report.OrderOf(o, now)
		r.Line, r.Source = o.String(), "overrides"
		if b := s.Federations[federation].Registry; b != nil {
			if r.Object = b.Object(o); r.Object != "" {
				r.Source = "registry"
			}
		}
		for _, by := range override.Overruled(force.Orders, i, force.Places) {
			r.OverruledBy = append(r.OverruledBy, by.String())
		}
		out = append(out, r)
	}
	return out, shown.Serial, ok
}

// registered are the orders of a registry; r may be nil.
func registered(r Registry, now time.Time) []override.Order {
	if r == nil {
		return nil
	}
	return r.Orders(now)
}

// about is the order that decided on a shard: the last that speaks of it and says
// what its verdict does; nil if there is none, or it isn't known.
func (list orders) about(k snapshot.Key, x *table.Explained) *override.Order {
	var action override.Action
	switch x.Evidence.Order {
	case health.Drain:
		action = override.Drain
	case health.ForceDown:
		action = override.Down
	case health.ForceUp:
		action = override.Up
	}
	for i := len(list) - 1; i >= 0; i-- {
		o := &list[i]
		if o.Action == action && slices.ContainsFunc(x.Places, func(p topology.Place) bool {
			return o.Subject.Of(k.Namespace, k.Name, override.ClusterPlace{Cluster: string(x.Cluster), Region: p.Region, Zone: p.Zone})
		}) {
			return o
		}
	}
	return nil
}
