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

// An overrideFile is a file of what operators order. One that doesn't parse leaves the
// orders it gave last, and one that isn't there gives none.
type overrideFile struct {
	*Pipeline
	federation int

	text, wrong    string
	orders, active []override.Order
	known          bool
}

// openOverrides takes in what is ordered before anything is answered, and follows it.
func (w *worker) openOverrides(federation int) {
	o := &overrideFile{Pipeline: w.Pipeline, federation: federation}
	o.look()
	w.filed[federation] = slices.Clone(o.active) // what it follows is its own
	w.override(federation)
	w.wg.Go(func() { o.follow(w.ctx) })
}

// follow keeps the orders of the federation those of the file that have not expired.
func (o *overrideFile) follow(ctx context.Context) {
	tick := time.NewTicker(overridePoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if o.look() {
			sent := slices.Clone(o.active) // what is sent is the worker's
			o.send(ctx, report{federation: o.federation, orders: &sent})
		}
	}
}

// look reads the file, if it has changed, and says whether the orders that hold have.
func (o *overrideFile) look() (changed bool) {
	f := &o.federations[o.federation]
	content, err := os.ReadFile(f.Overrides)
	if os.IsNotExist(err) {
		content, err = nil, nil
	}
	if err == nil && (!o.known || string(content) != o.text) {
		var read []override.Order
		if read, err = override.Parse(string(content)); err == nil {
			o.text, o.orders, o.known = string(content), read, true
		}
	}
	switch {
	case err != nil && err.Error() != o.wrong:
		o.wrong = err.Error()
		overrideErrors.WithLabelValues(f.Name).Inc()
		o.log.Error("overrides " + f.Overrides + ": " + o.wrong + "; the last good ones stay")
	case err == nil:
		o.wrong = ""
	}
	now := time.Now()
	next := slices.DeleteFunc(slices.Clone(o.orders), func(x override.Order) bool { return x.Expired(now) })
	if slices.Equal(next, o.active) {
		return false
	}
	for _, x := range o.active {
		if !slices.Contains(next, x) && x.Expired(now) {
			o.log.Info("override has expired: " + x.String())
		} else if !slices.Contains(next, x) {
			o.log.Info("override taken back: " + x.String())
		}
	}
	for _, x := range next {
		if !slices.Contains(o.active, x) {
			o.log.Info("override: " + x.String())
		}
	}
	o.active = next
	return true
}
