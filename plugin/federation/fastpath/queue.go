package fastpath

import (
	"sync"
	"time"
)

// A queue has a few goroutines answer what the chain of plugins has to, oldest first. Each
// costs many times what an answer of the fast path does, and Go gives every goroutine that
// is ready as much time as the one that reads the socket: with thousands of them there is
// hardly any left for it. So there are as many as processors; what doesn't wait for one of
// these but for somebody else, as forward does, isn't counted.
//
// Of more than there is room for the oldest goes: whoever sent it has waited longest, and is the
// most likely to have asked again.
type queue struct {
	sync.Mutex
	limit   int // of the goroutines that are counted
	counted int
	all     int
	waiting []job // a ring
	first   int
	size    int
}

// A job is a question that waits. One of the two is called, once.
type job struct{ do, drop func() }

const (
	// queueRoom is how many questions may wait: at 40 µs each, CoreDNS's own cost of one, for
	// 10 ms.
	queueRoom = 256
	// streamRoom is the same for connections, each of which has a bound of its own.
	streamRoom = 4096
	// queuePatience is how long a question takes that waits for somebody else. Hardly any takes
	// a tenth of that by itself.
	queuePatience = 5 * time.Millisecond
	// queueLimit bounds how many questions wait for somebody else. Each holds a few
	// kilobytes.
	queueLimit = 4096
)

func newQueue(limit, room int) *queue { return &queue{limit: limit, waiting: make([]job, room)} }

// put has a question answered, and says whether one goes instead.
func (q *queue) put(j job) (dropped bool) {
	q.Lock()
	var oldest job
	if dropped = q.size == len(q.waiting); dropped {
		oldest = q.take()
	}
	q.waiting[(q.first+q.size)%len(q.waiting)] = j
	q.size++
	q.work()
	q.Unlock()
	if dropped {
		oldest.drop()
	}
	return dropped
}

// take is the oldest of those that wait.
func (q *queue) take() job {
	j := q.waiting[q.first]
	q.waiting[q.first] = job{}
	q.first = (q.first + 1) % len(q.waiting)
	q.size--
	return j
}

// work begins one more goroutine, if something waits and there may be one.
func (q *queue) work() {
	if q.size == 0 || q.counted >= q.limit || q.all >= queueLimit {
		return
	}
	q.counted++
	q.all++
	go q.serve()
}

// serve answers what waits for as long as its goroutine is one of those that may.
func (q *queue) serve() {
	q.Lock()
	for q.size > 0 && q.counted <= q.limit {
		j := q.take()
		busy, held := true, false
		late := time.AfterFunc(queuePatience, func() {
			q.Lock()
			defer q.Unlock()
			if busy {
				held = true
				q.counted--
				q.work()
			}
		})
		q.Unlock()
		j.do()
		late.Stop()
		q.Lock()
		if busy = false; held {
			q.counted++
		}
	}
	q.counted--
	q.all--
	q.Unlock()
}
