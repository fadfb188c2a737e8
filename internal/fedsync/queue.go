package fedsync

import (
	"container/heap"
	"context"
	"sync"

	"github.com/fedns/fedns/internal/workload"
)

// A job is a step that waits for a worker.
type job struct {
	step  workload.Step
	order int // what others need comes first
	seq   int
}

// A queue holds the steps of one cluster.
type queue struct {
	mu    sync.Mutex
	ready sync.Cond
	jobs  jobs
	seq   int
	over  bool
}

func newQueue() *queue {
	q := &queue{}
	q.ready.L = &q.mu
	return q
}

func (q *queue) push(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j.seq = q.seq
	q.seq++
	heap.Push(&q.jobs, j)
	q.ready.Signal()
}

// pop waits for a job; false: there will be none.
func (q *queue) pop() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 && !q.over {
		q.ready.Wait()
	}
	if q.over {
		return job{}, false
	}
	return heap.Pop(&q.jobs).(job), true
}

// closeWith ends waiting when ctx ends.
func (q *queue) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.over = true
		q.ready.Broadcast()
	})
}

type jobs []job

func (j jobs) Len() int { return len(j) }
func (j jobs) Less(a, b int) bool {
	if j[a].order != j[b].order {
		return j[a].order < j[b].order
	}
	return j[a].seq < j[b].seq
}
func (j jobs) Swap(a, b int) { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)   { *j = append(*j, x.(job)) }
func (j *jobs) Pop() any {
	old := *j
	last := old[len(old)-1]
	old[len(old)-1] = job{}
	*j = old[:len(old)-1]
	return last
}
