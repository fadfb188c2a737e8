package controller

import (
	"container/heap"

	"k8s.io/client-go/util/workqueue"

	"github.com/fedns/fedns/internal/sync/workload"
)

// newQueue makes the queue of a cluster: of keys, of which each is in it once. What is to
// be done under a key is asked of the hub when a worker has time for it, and so is never
// older than what is known then. How soon what failed is tried again says the hub, too: the
// queue's own limiter would let every new plan of it through.
func newQueue() *workqueue.Typed[workload.Key] {
	return workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[workload.Key]{Queue: &byOrder{}})
}

// byOrder gives what others need first, and else what came first.
type byOrder struct {
	all jobs
	seq int
}

var _ workqueue.Queue[workload.Key] = (*byOrder)(nil)

// Touch is for workqueue: what is added again keeps its place.
func (q *byOrder) Touch(workload.Key) {}

// Push is for workqueue.
func (q *byOrder) Push(k workload.Key) {
	heap.Push(&q.all, job{k, q.seq})
	q.seq++
}

// Pop is for workqueue.
func (q *byOrder) Pop() workload.Key { return heap.Pop(&q.all).(job).key }

// Len is for workqueue.
func (q *byOrder) Len() int { return len(q.all) }

// A job is a key with its place.
type job struct {
	key workload.Key
	seq int
}

// jobs are a heap.
type jobs []job

func (j jobs) Len() int { return len(j) }
func (j jobs) Less(a, b int) bool {
	if x, y := j[a].key.Order, j[b].key.Order; x != y {
		return x < y
	}
	return j[a].seq < j[b].seq
}
func (j jobs) Swap(a, b int) { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)   { *j = append(*j, x.(job)) }
func (j *jobs) Pop() any {
	old := *j
	last := old[len(old)-1]
	old[len(old)-1] = job{} // it holds a key's words
	*j = old[:len(old)-1]
	return last
}
