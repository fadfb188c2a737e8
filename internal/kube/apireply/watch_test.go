package apireply

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// What is made an error is the end: nothing behind it is looked at, though it has come.
func TestWatchEndsWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := watch.NewFakeWithChanSize(2, false)
		inner.Add(&corev1.Service{})
		inner.Modify(&corev1.Service{})
		looked := 0
		how := make(chan Ending, 1)
		w := Watch(inner, time.Hour, func(watch.Event) (watch.Event, bool) {
			looked++
			return watch.Event{Type: watch.Error, Object: &metav1.Status{}}, true
		}, func(e Ending) { how <- e })
		if e := <-w.ResultChan(); e.Type != watch.Error {
			t.Errorf("%v, want an error", e)
		}
		synctest.Wait()
		inner.Stop()
		if e, ok := <-w.ResultChan(); ok {
			t.Errorf("behind the error: %v", e)
		}
		if e := <-how; e != Failed || looked != 1 {
			t.Errorf("it ended %v, and %d events were looked at", e, looked)
		}
	})
}
