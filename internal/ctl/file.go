package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/atomicfile"
	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/override"
)

// A line of a file of overrides, as it stands there; order is nil for a comment
// and for an empty line.
type line struct {
	text  string
	order *override.Order
}

// readLines reads a file; one that isn't there is empty. A file that doesn't parse
// is not ours to mend: who wrote it meant something else.
func readLines(path string) ([]line, error) {
	raw, err := inputfile.Read(path, inputfile.Orders)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := override.Parse(string(raw)); err != nil {
		return nil, advice.Errorf("mend it by hand; until then fedns goes by what it said before", "overrides %s: %w", path, err)
	}
	var out []line
	for text := range strings.Lines(string(raw)) {
		l := line{text: strings.TrimRight(text, "\n")}
		if one, err := override.Parse(text); err != nil {
			return nil, fmt.Errorf("overrides %s: %w", path, err)
		} else if len(one) == 1 {
			l.order = &one[0]
		}
		out = append(out, l)
	}
	return out, nil
}

// edit changes a file of overrides, alone: change gets its lines, and gives those
// that are to be there. The file is replaced in one step, so that nobody reads
// half of it. An error of change leaves it as it is.
func (c *call) edit(ctx context.Context, path string, change func([]line) ([]line, error)) error {
	// A link stays one.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	done := c.waiting("whoever edits " + path)
	unlock, err := atomicfile.Lock(ctx, path+".lock")
	done()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := readLines(path)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	all := text(after)
	if all == text(before) {
		return nil
	}
	if _, err := override.Parse(all); err != nil {
		return fmt.Errorf("overrides %s: what was to be written can't be read: %w", path, err)
	}
	return atomicfile.Replace(path, all, 0o644)
}

func text(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// without leaves out the orders of which gone says so.
func without(lines []line, gone func(*override.Order) bool) (kept []line, removed []override.Order) {
	for _, l := range lines {
		if l.order != nil && gone(l.order) {
			removed = append(removed, *l.order)
			continue
		}
		kept = append(kept, l)
	}
	return kept, removed
}
