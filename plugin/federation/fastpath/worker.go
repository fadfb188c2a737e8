package fastpath

import (
	"net/netip"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/dns/packet"
)

// workers answer questions of which each has a goroutine: over HTTPS, and over QUIC.
type workers struct {
	*Handler
	idle chan *worker // that nobody uses
}

// A worker answers one question at a time.
type worker struct {
	packet.Responder
	p   packet.Packet
	buf []byte
	q   message.Question // for keepsAlive
}

// keepsAlive says whether the question in the first n bytes of buf has the option of RFC 7828.
func (w *worker) keepsAlive(n int) bool {
	w.q.Stream = true
	w.q.Read(w.buf[:n])
	return w.q.EDNS.Keepalive
}

// workersKept are how many workers wait for their next question. There are as many as are at it at once, and
// hardly any waits while it is.
const workersKept = 32

func newWorkers(h *Handler) workers { return workers{h, make(chan *worker, workersKept)} }

// take gives one that nobody uses.
func (s *workers) take() *worker {
	select {
	case w := <-s.idle:
		return w
	default:
		return &worker{Responder: s.Responder(1), buf: make([]byte, message.MaxSize)}
	}
}

func (s *workers) free(w *worker) {
	select {
	case s.idle <- w:
	default:
	}
}

// answer gives the answer to the question in the first n bytes of buf, which is there until the next; keep has
// it be answered later, and then there is none yet.
func (w *worker) answer(n int, from netip.AddrPort, keep func() packet.Deferred) []byte {
	p := &w.p
	p.Buf, p.N, p.Stream, p.Keep = w.buf, n, true, keep
	p.From = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	w.Begin()
	size := w.Respond(p)
	w.End()
	return w.buf[:size]
}
