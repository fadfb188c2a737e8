package history

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/atomicfile"
	"github.com/fedns/fedns/internal/inputfile"
)

const (
	// flush is how long events are gathered before they are written: a server that is killed
	// loses no more of them.
	flush = time.Second
	// patience follows a write that failed.
	patience = 5 * time.Second
	// longest is how long a line may be; all of an event is bounded.
	longest = 1 << 20
	// backlog bounds the events that wait for a disk that doesn't take them.
	backlog = Most
)

// A file keeps the events of one federation, a line each.
type file struct {
	path string
	fail func(error)

	disk sync.Mutex // held while it is written

	mu      sync.Mutex // never held while it is
	pending []report.Event
	ended   bool
	due     *time.Timer
	failed  string // what was said last; "": it can be written
}

// Keep has the events of a federation be kept in a folder, and takes in those that are there.
// They are read past what is damaged. fail is told when they can't be kept, and when that
// changes: with nil when they can be again.
func (l *Log) Keep(dir, federation string, now time.Time, fail func(error)) {
	f := &file{path: filepath.Join(dir, federation+".events"), fail: fail}
	l.mu.Lock()
	before := l.files[federation]
	if before == nil {
		l.files[federation] = f
	}
	l.mu.Unlock()
	if before != nil {
		return // as before the reload
	}
	events, n, err := read(f.path, federation, now)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		fail(fmt.Errorf("of before: %w", err))
	}
	l.takeIn(events, now)
	if n > 2*Most {
		f.disk.Lock()
		defer f.disk.Unlock()
		if err := shorten(f.path, events); err != nil {
			fail(err)
		}
	}
}

// takeIn puts events of before among those there are.
func (l *Log) takeIn(events []report.Event, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
	slices.SortStableFunc(l.events, func(a, b report.Event) int { return cmp.Compare(a.At, b.At) })
	last := uint64(0)
	for i := range l.events { // several federations were numbered beside each other
		last = max(last+1, l.events[i].ID)
		l.events[i].ID = last
	}
	l.last = max(l.last, last)
	l.prune(now)
	l.wake()
}

// read gives the events of a file that are young enough, and how many lines it has.
func read(path, federation string, now time.Time) (events []report.Event, n int, err error) {
	in, err := inputfile.Open(path, inputfile.Any)
	if err != nil {
		return nil, 0, err
	}
	defer in.Close()
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, longest)
	from, to := float64(now.Add(-Span).Unix()), float64(now.Unix()+1)
	damaged := 0
	for scan.Scan() {
		n++
		var e report.Event
		if json.Unmarshal(scan.Bytes(), &e) != nil || e.ID == 0 || e.To == "" {
			damaged++
			continue
		}
		if e.At < from || e.At > to {
			continue
		}
		e.Federation = federation
		events = append(events, e)
	}
	events = events[max(len(events)-Most, 0):]
	if err = scan.Err(); err == nil && damaged > 0 {
		err = fmt.Errorf("%s: %d of %d lines can't be read; the rest is used", path, damaged, n)
	}
	return events, n, err
}

// lines are events as they are written.
func lines(events []report.Event) ([]byte, error) {
	var b bytes.Buffer
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		b.Write(append(text, '\n'))
	}
	return b.Bytes(), nil
}

// shorten writes a file anew that has grown too long.
func shorten(path string, events []report.Event) error {
	text, err := lines(events)
	if err != nil {
		return err
	}
	return atomicfile.Replace(path, string(text), 0o600)
}

// add has an event written in a moment.
func (f *file) add(e report.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, e)
	f.pending = f.pending[max(len(f.pending)-backlog, 0):]
	f.later(flush)
}

// later has what waits be written after a while.
func (f *file) later(wait time.Duration) {
	if f.due == nil && !f.ended {
		f.due = time.AfterFunc(wait, f.write)
	}
}

// write appends what waits, in one piece.
func (f *file) write() {
	f.disk.Lock()
	defer f.disk.Unlock()
	f.mu.Lock()
	pending := f.pending
	f.pending, f.due = nil, nil
	f.mu.Unlock()
	err := f.append(pending)
	f.mu.Lock()
	defer f.mu.Unlock()
	said := ""
	if err != nil {
		said = err.Error()
		f.pending = append(pending, f.pending...)
		f.later(patience)
	}
	if said != f.failed {
		f.failed = said
		f.fail(err)
	}
}

func (f *file) append(events []report.Event) error {
	if len(events) == 0 {
		return nil
	}
	text, err := lines(events)
	if err != nil {
		return err
	}
	out, err := inputfile.Append(f.path)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return errors.Join(err, out.Close())
}

// close writes what is left.
func (f *file) close() {
	f.mu.Lock()
	f.ended = true
	if f.due != nil {
		f.due.Stop()
	}
	f.mu.Unlock()
	f.write()
}
