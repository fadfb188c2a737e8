package fastpath

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is put into a queue is answered in its order by no more goroutines than there may be,
// but for those that are held up.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, queueRoom)
		var mu sync.Mutex
		var done []int
		put := func(i int, takes time.Duration) (dropped bool) {
			return q.put(job{
				do:   func() { time.Sleep(takes); mu.Lock(); done = append(done, i); mu.Unlock() },
				drop: func() { mu.Lock(); done = append(done, -i); mu.Unlock() },
			})
		}
		// seen is what has been done, and how many goroutines there are.
		seen := func() (list []int, all, counted int) {
			mu.Lock()
			defer mu.Unlock()
			q.Lock()
			defer q.Unlock()
			return slices.Clone(done), q.all, q.counted
		}
		again := func() { mu.Lock(); done = nil; mu.Unlock() }
		for i := 1; i <= 4; i++ {
			put(i, time.Millisecond)
		}
		time.Sleep(2*time.Millisecond + time.Microsecond)
		if done, _, _ := seen(); !slices.Equal(done, []int{1, 2}) {
			t.Errorf("after 2 ms: %v", done)
		}
		time.Sleep(10 * time.Millisecond)
		if done, all, counted := seen(); !slices.Equal(done, []int{1, 2, 3, 4}) || all != 0 || counted != 0 {
			t.Errorf("%v; %d goroutines, %d counted", done, all, counted)
		}

		// One that waits for somebody else holds up nobody, and comes back as one too many.
		again()
		put(1, 20*time.Millisecond)
		put(2, 30*time.Millisecond)
		put(3, time.Millisecond)
		time.Sleep(2*queuePatience + 2*time.Millisecond)
		if done, all, counted := seen(); !slices.Equal(done, []int{3}) || all != 2 || counted != 0 {
			t.Errorf("%v; %d goroutines, %d counted", done, all, counted)
		}
		time.Sleep(time.Second)
		if done, all, counted := seen(); !slices.Equal(done, []int{3, 1, 2}) || all != 0 || counted != 0 {
			t.Errorf("%v; %d goroutines, %d counted", done, all, counted)
		}

		// Of too many the oldest goes.
		again()
		dropped := 0
		for i := range queueRoom + 10 {
			if put(i+1, time.Millisecond) {
				dropped++
			}
		}
		if want := 10; dropped != want && dropped != want-1 { // the first may have been begun with
			t.Errorf("%d were dropped, want %d", dropped, want)
		}
		time.Sleep(time.Second)
		if done, _, _ := seen(); len(done) != queueRoom+10 || !slices.Contains(done, queueRoom+10) || slices.Contains(done, -(queueRoom+10)) {
			t.Errorf("%v", done)
		}
	})
}
