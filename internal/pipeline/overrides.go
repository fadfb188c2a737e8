package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/inputfile"
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
	o.greet()
	o.look()
	w.filed[federation] = slices.Clone(o.active) // what it follows is its own
	w.override(federation)
	w.wg.Go(func() { o.follow(w.ctx) })
}

// greet says that the file isn't there, as it needn't be: or the path is wrong.
func (o *overrideFile) greet() {
	f := &o.federations[o.federation]
	if _, err := os.Stat(f.Overrides); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	what := fmt.Sprintf("federation %s: overrides %s%s: ", f.Name, f.Overrides, said(f.OverridesAt))
	folder := filepath.Dir(f.Overrides)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		o.log.Warn(what + "neither the file nor its folder " + folder + " is there; is the path right? It is read once it is there")
		return
	}
	o.log.Info(what + "the file isn't there; it is read once it is")
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
			o.send(ctx, func(w *worker) {
				w.filed[o.federation] = sent
				w.override(o.federation)
			})
		}
	}
}

// instead says what is gone by while the file can't be read.
func (o *overrideFile) instead(err error) string {
	out := "the last good ones stay"
	if !o.known {
		out = "until it can be read, it orders nothing"
	}
	if errors.Is(err, fs.ErrPermission) {
		out += "; " + self() + " has to be able to read it"
	}
	return out
}

// look reads the file, if it has changed, and says whether the orders that hold have.
func (o *overrideFile) look() (changed bool) {
	f := &o.federations[o.federation]
	content, err := inputfile.Read(f.Overrides, inputfile.Orders)
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
		o.log.Error("overrides " + f.Overrides + ": " + o.wrong + "; " + o.instead(err) + said(f.OverridesAt))
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
