package pipeline

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/override"
)

// overridePoll is how often a file of overrides is looked at, and how exactly its
// times are kept: an operator waits for it.
const overridePoll = 500 * time.Millisecond

// followOverrides keeps the orders of a federation those of its file that have not
// expired. A file that doesn't parse leaves the orders it gave last, and one that
// isn't there gives none.
func (p *Pipeline) followOverrides(ctx context.Context, federation int) {
	f := p.federations[federation]
	tick := time.NewTicker(overridePoll)
	defer tick.Stop()
	var text, wrong string
	var orders, active []override.Order
	known := false
	for first := true; ; first = false {
		content, err := os.ReadFile(f.Overrides)
		if os.IsNotExist(err) {
			content, err = nil, nil
		}
		if err == nil && (!known || string(content) != text) {
			var read []override.Order
			if read, err = override.Parse(string(content)); err == nil {
				text, orders, known = string(content), read, true
			}
		}
		switch {
		case err != nil && err.Error() != wrong:
			wrong = err.Error()
			overrideErrors.WithLabelValues(f.Name).Inc()
			p.log.Error("overrides " + f.Overrides + ": " + wrong + "; the last good ones stay")
		case err == nil:
			wrong = ""
		}
		now := time.Now()
		next := slices.DeleteFunc(slices.Clone(orders), func(o override.Order) bool { return o.Expired(now) })
		if first || !slices.Equal(next, active) {
			for _, o := range active {
				if !slices.Contains(next, o) && o.Expired(now) {
					p.log.Info("override has expired: " + o.String())
				} else if !slices.Contains(next, o) {
					p.log.Info("override taken back: " + o.String())
				}
			}
			for _, o := range next {
				if !slices.Contains(active, o) {
					p.log.Info("override: " + o.String())
				}
			}
			sent := slices.Clone(next) // what is sent is the worker's
			p.send(ctx, report{federation: federation, orders: &sent})
			active = next
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
