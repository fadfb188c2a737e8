package ctl

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A progress shows what is waited for: on a terminal in one line, else in a line
// for each change.
type progress struct {
	*call
	mu   sync.Mutex // guards last, and what is printed of it
	last string
}

// progress is the one line of a call.
func (c *call) progress() *progress {
	c.once.Do(func() { c.line = &progress{call: c} })
	return c.line
}

func (p *progress) say(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(what)
}

func (p *progress) print(what string) {
	switch {
	case what == p.last:
	case p.overwrites():
		fmt.Fprintf(p.Stderr, "\r\x1b[K%s", cut(p.name+": "+what, p.ErrColumns-1))
	default:
		fmt.Fprintf(p.Stderr, "%s: %s\n", p.name, what)
	}
	p.last = what
}

// overwrites says whether a line can be written over: a dumb terminal can't.
func (e *Env) overwrites() bool { return e.ErrColumns > 0 && e.Getenv("TERM") != "dumb" }

// end leaves the line empty.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.overwrites() && p.last != "" {
		fmt.Fprint(p.Stderr, "\r\x1b[K")
	}
}

// awhile is how long something may take until it is said what is waited for.
var awhile = 2 * time.Second

// waiting says what is waited for, if it takes a while: until done is called.
func (c *call) waiting(what string) (done func()) {
	p := c.progress()
	over, said, before := false, false, ""
	clock := time.AfterFunc(awhile, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !over {
			said, before = true, p.last
			p.print("waiting for " + what)
		}
	})
	return func() {
		clock.Stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		over = true
		if !said || p.last != "waiting for "+what {
			return
		}
		// What stood there before still holds.
		if p.overwrites() {
			fmt.Fprint(p.Stderr, "\r\x1b[K")
			p.last = ""
			if before != "" {
				p.print(before)
			}
		}
		p.last = before
	}
}

// A patient says which API is waited for, where that takes a while.
type patient struct {
	*call
	http.RoundTripper
}

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	defer p.waiting("the API at " + r.URL.Scheme + "://" + r.URL.Host)()
	return p.RoundTripper.RoundTrip(r)
}

// WrappedRoundTripper gives what is wrapped to those who close its connections.
func (p *patient) WrappedRoundTripper() http.RoundTripper { return p.RoundTripper }

// A shared writer is one of several goroutines.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
