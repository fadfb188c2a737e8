package apireply

import (
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// HungAfter is how long a watch may say nothing. API servers send a bookmark about once
// a minute, so two in a row are missing by then. Servers that send none only have
// their watches opened again a little more often than they end by themselves.
const HungAfter = 150 * time.Second

// An Ending is how a watch came to its end.
type Ending uint8

// The endings.
const (
	Stopped Ending = iota // by who had opened it
	Closed                // by the API, as each is every few minutes
	Failed                // with an error, which its reader has had
	Hung                  // it said nothing for so long that it was ended here
)

// A Look says what is made of an event, and whether it shows that the API is alive.
type Look func(watch.Event) (made watch.Event, alive bool)

// Watch gives a watch whose events are what look makes of them. It ends when nothing has
// come for as long as silence by which the API is known to be alive. ended, if there is one, hears how it came to its end, once.
func Watch(w watch.Interface, silence time.Duration, look Look, ended func(Ending)) watch.Interface {
	t := &looked{Interface: w, out: make(chan watch.Event), stop: make(chan struct{})}
	if ended == nil {
		ended = func(Ending) {}
	}
	go t.run(silence, look, ended)
	return t
}

// looked ends with the watch that it looks at, which ends when it is stopped.
type looked struct {
	watch.Interface
	out  chan watch.Event
	once sync.Once
	stop chan struct{}
}

// ResultChan implements watch.Interface.
func (t *looked) ResultChan() <-chan watch.Event { return t.out }

// Stop implements watch.Interface.
func (t *looked) Stop() {
	t.once.Do(func() { close(t.stop) })
	t.Interface.Stop()
}

func (t *looked) run(silence time.Duration, look Look, ended func(Ending)) {
	var hung atomic.Bool
	quiet := time.AfterFunc(silence, func() {
		hung.Store(true)
		t.Interface.Stop()
	})
	last := watch.Event{}
	for e := range t.Interface.ResultChan() {
		if hung.Load() || t.stopped() || last.Type == watch.Error {
			continue // nobody reads any more, or an error was the end; what still comes is dropped
		}
		alive := false
		if last, alive = look(e); alive {
			quiet.Reset(silence)
		}
		select {
		case t.out <- last:
		case <-t.stop:
		}
	}
	quiet.Stop()
	close(t.out)
	switch {
	case t.stopped():
		ended(Stopped)
	case hung.Load():
		ended(Hung)
	case last.Type == watch.Error:
		ended(Failed)
	default:
		ended(Closed)
	}
}

func (t *looked) stopped() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}
