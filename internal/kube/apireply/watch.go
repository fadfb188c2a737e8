package apireply

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// Watch gives a watch whose events are what look makes of them.
func Watch(w watch.Interface, look func(watch.Event) watch.Event) watch.Interface {
	t := &looked{Interface: w, out: make(chan watch.Event), stop: make(chan struct{})}
	go t.run(look)
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

func (t *looked) run(look func(watch.Event) watch.Event) {
	defer close(t.out)
	for e := range t.Interface.ResultChan() {
		select {
		case <-t.stop: // nobody reads any more; what still comes is dropped
			continue
		default:
		}
		select {
		case t.out <- look(e):
		case <-t.stop:
		}
	}
}
