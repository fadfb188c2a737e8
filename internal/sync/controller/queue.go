package controller

import (
	"container/heap"
	"context"
	"sync"

	"github.com/fedns/fedns/internal/sync/workload"
)

// A job is a step that waits for a worker.
type job struct {
	step workload.Step
	seq  int
}

// A queue holds the steps of one cluster: one for each object at most, the one that
// was planned last.
type queue struct {
	mu    sync.Mutex
	ready sync.Cond
	jobs  jobs
	by    map[workload.Key]*job
	seq   int
	over  bool
}

func newQueue() *queue {
	q := &queue{by: map[workload.Key]*job{}}
	q.ready.L = &q.mu
	return q
}

func (q *queue) push(s workload.Step) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := &job{s, q.seq}
	q.seq++
	q.by[s.Key] = j
	heap.Push(&q.jobs, j)
	q.ready.Signal()
}

// replace puts another step in the place of one that still waits; false: none does.
func (q *queue) replace(s workload.Step) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.by[s.Key]
	if j != nil {
		j.step = s
	}
	return j != nil
}

// drop takes back a step that still waits; false: none does.
func (q *queue) drop(k workload.Key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.by[k]
	if j == nil {
		return false
	}
	delete(q.by, k)
	for i, o := range q.jobs {
		if o == j {
			heap.Remove(&q.jobs, i)
			break
		}
	}
	return true
}

// pop waits for a step; false: there will be none.
func (q *queue) pop() (workload.Step, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 && !q.over {
		q.ready.Wait()
	}
	if q.over {
		return workload.Step{}, false
	}
	j := heap.Pop(&q.jobs).(*job)
	delete(q.by, j.step.Key)
	return j.step, true
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

// jobs are a heap: what others need comes first.
type jobs []*job

func (j jobs) Len() int { return len(j) }
func (j jobs) Less(a, b int) bool {
	if x, y := j[a].step.Order, j[b].step.Order; x != y {
		return x < y
	}
	return j[a].seq < j[b].seq
}
func (j jobs) Swap(a, b int) { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)   { *j = append(*j, x.(*job)) }
func (j *jobs) Pop() any {
	old := *j
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*j = old[:len(old)-1]
	return last
}
