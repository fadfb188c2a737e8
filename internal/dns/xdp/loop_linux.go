package xdp

import (
	"bytes"
	"net/netip"
	"runtime"

	"github.com/fedns/fedns/internal/dns/packet"
)

// batch is how many questions are answered before their answers are sent: as many as the kernel sends by one call.
const batch = 32

// turn is after how many rounds a loop lets others have its processor, which Go's monitor would make it do after ten
// milliseconds: it then looks after all processors every 20 µs, and takes this one away in each wait, for as long as
// that isn't done (7% of what answers cost). More often costs, too: an idle thread is woken each time, and is the one
// that goes on with the loop.
const turn = 64

// A loop reads, answers and sends the frames of one queue.
type loop struct {
	device *device
	socket *socket
	packet packet.Packet
	at     datagram
	id     uint16 // of the last answer over IPv4

	table    *table
	to       netip.AddrPort // where the last question came to
	now      *answerer      // who answers there; nil: nobody does any more
	all      map[*Listener]*answerer
	answered []*answerer // those who have begun a batch
}

// An answerer answers for a listener in one loop.
type answerer struct {
	*Listener
	packet.Responder
	begun bool
}

func (l *loop) run() {
	s := l.socket
	for round := 1; ; round++ {
		if round%turn == 0 {
			runtime.Gosched()
		}
		last := l.device.stopped.Load() // before the ring is looked at: what comes until then is answered
		s.reclaim()
		l.learn()
		n := min(s.rx.filled(), batch)
		if n == 0 {
			if last {
				return
			}
			if !s.wait() {
				l.device.broken.Store(true)
				return
			}
			continue
		}
		// Of a burst, the rest comes while the first is answered.
		for answered := uint32(0); n > 0 && answered < batch; n = min(s.rx.filled(), batch) {
			l.answer(n)
			answered += n
		}
		s.send()
	}
}

// learn looks who answers now. Who answers no more is forgotten, with all it knows.
func (l *loop) learn() {
	t := l.device.table.Load()
	if t == l.table {
		return
	}
	l.table, l.to, l.now = t, netip.AddrPort{}, nil
	before := l.all
	l.all = map[*Listener]*answerer{}
	for _, o := range *t {
		if a := before[o]; a != nil {
			l.all[o] = a
		} else if l.all[o] == nil {
			l.all[o] = &answerer{Listener: o, Responder: o.Handler.Responder(len(l.device.loops))}
		}
	}
}

// find gives who answers at an address; nil: nobody.
func (l *loop) find(to netip.AddrPort) *answerer {
	if to != l.to {
		l.to, l.now = to, l.all[(*l.table)[to]]
	}
	return l.now
}

// answer has n frames answered, those that have waited for the longest.
func (l *loop) answer(n uint32) {
	s := l.socket
	seen := s.rx.consumer.Load()
	send, free := s.tx.producer.Load(), s.fill.producer.Load()
	l.answered = l.answered[:0]
	for i := range n {
		d := *s.rx.at(seen + i)
		frame := s.frame(d.Addr)
		size := l.respond(frame, int(d.Len))
		if size == 0 {
			*s.fill.at(free) = d.Addr
			free++
			continue
		}
		out := s.tx.at(send)
		out.Addr, out.Len, out.Options = d.Addr, uint32(size), 0
		send++
	}
	for _, a := range l.answered {
		a.End()
		a.begun = false
	}
	s.rx.consumer.Store(seen + n)
	s.fill.producer.Store(free)
	s.tx.producer.Store(send)
}

// respond makes a frame of so many bytes that of an answer, and gives its length; 0: there is none now.
func (l *loop) respond(frame []byte, size int) int {
	if size > len(frame) {
		return 0
	}
	var ok bool
	if l.at, ok = read(frame[:size]); !ok {
		return 0
	}
	a := l.find(l.at.to)
	if a == nil {
		return 0
	}
	if !a.begun {
		a.begun = true
		a.Begin()
		l.answered = append(l.answered, a)
	}
	p := &l.packet
	p.Buf, p.N, p.From = frame[l.at.payload:], l.at.size, l.at.from
	if size = a.Respond(p); size == 0 {
		return 0
	}
	l.id++
	return l.at.answer(frame, size, l.id)
}

// keep has the socket answer later that the kernel would have given the question to.
func (l *loop) keep() packet.Deferred {
	return l.now.Later(bytes.Clone(l.packet.Buf[:l.packet.N]), l.at.from, l.at.to, l.device.index)
}
