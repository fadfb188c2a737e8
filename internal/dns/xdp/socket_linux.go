package xdp

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of what a socket shares with the kernel.
const (
	frames   = 2048
	ringSize = frames // each ring has room for all of them
)

// A ring is one of the four by which frames are handed over. One side writes entries and the producer's count, the
// other reads them and writes the consumer's.
type ring[T any] struct {
	memory   []byte
	producer *atomic.Uint32
	consumer *atomic.Uint32
	flags    *atomic.Uint32
	entries  []T
}

func (r *ring[T]) at(n uint32) *T { return &r.entries[n&(ringSize-1)] }

// filled is how many entries wait for the consumer.
func (r *ring[T]) filled() uint32 { return r.producer.Load() - r.consumer.Load() }

// A socket is an AF_XDP socket of one queue of an interface, with the memory that frames are in.
type socket struct {
	fd     int
	memory []byte
	rx, tx ring[unix.XDPDesc]
	fill   ring[uint64] // frames that the kernel may write into
	done   ring[uint64] // frames that were sent
}

// newSocket makes a socket and gives the kernel all of its frames to write into. Where it can't, it is to be closed all the same.
func newSocket(ifindex, queue int) (s *socket, err error) {
	s = &socket{}
	if s.fd, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		s.fd = -1
		return s, os.NewSyscallError("socket", err)
	}
	if s.memory, err = unix.Mmap(-1, 0, frames*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return s, os.NewSyscallError("mmap", err)
	}
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&s.memory[0]))), Len: uint64(len(s.memory)), Size: frameSize}
	if err = setsockopt(s.fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg)); err != nil {
		if errors.Is(err, unix.ENOBUFS) {
			return s, fmt.Errorf("less memory may be locked (RLIMIT_MEMLOCK) than the %d MB that each queue takes; or let fedns have the capability IPC_LOCK", frames*frameSize>>20)
		}
		return s, fmt.Errorf("XDP_UMEM_REG: %w", err)
	}
	for _, o := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, unix.SOL_XDP, o, ringSize)); err != nil {
			return s, err
		}
	}
	var off unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(off))
	if _, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS, uintptr(unsafe.Pointer(&off)), uintptr(unsafe.Pointer(&size)), 0); e != 0 {
		return s, os.NewSyscallError("getsockopt XDP_MMAP_OFFSETS", e)
	}
	err = errors.Join(
		s.rx.share(s.fd, unix.XDP_PGOFF_RX_RING, off.Rx),
		s.tx.share(s.fd, unix.XDP_PGOFF_TX_RING, off.Tx),
		s.fill.share(s.fd, unix.XDP_UMEM_PGOFF_FILL_RING, off.Fr),
		s.done.share(s.fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, off.Cr),
	)
	if err != nil {
		return s, err
	}
	for i := range uint32(frames) {
		*s.fill.at(i) = uint64(i) * frameSize
	}
	s.fill.producer.Store(frames)
	addr := unix.SockaddrXDP{Flags: unix.XDP_USE_NEED_WAKEUP, Ifindex: uint32(ifindex), QueueID: uint32(queue)}
	for end := time.Now().Add(leaving); ; time.Sleep(time.Millisecond) {
		err = unix.Bind(s.fd, &addr)
		if !errors.Is(err, unix.EBUSY) {
			return s, os.NewSyscallError("bind", err)
		}
		if time.Now().After(end) {
			return s, errors.New("another AF_XDP socket has it")
		}
	}
}

// leaving is how long the kernel may take to be done with a socket of before at the same queue, which it is after
// that was closed.
const leaving = 500 * time.Millisecond

// share maps a ring, which the kernel says the layout of.
func (r *ring[T]) share(fd int, at int64, off unix.XDPRingOffset) (err error) {
	var entry T
	r.memory, err = unix.Mmap(fd, at, int(off.Desc)+ringSize*int(unsafe.Sizeof(entry)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.producer = (*atomic.Uint32)(unsafe.Pointer(&r.memory[off.Producer]))
	r.consumer = (*atomic.Uint32)(unsafe.Pointer(&r.memory[off.Consumer]))
	r.flags = (*atomic.Uint32)(unsafe.Pointer(&r.memory[off.Flags]))
	r.entries = unsafe.Slice((*T)(unsafe.Pointer(&r.memory[off.Desc])), ringSize)
	return nil
}

func setsockopt(fd, option int, value unsafe.Pointer, size uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(value), size, 0)
	if e != 0 {
		return e
	}
	return nil
}

// frame is the whole of the frame that an address is in: the kernel leaves room for itself before what it writes.
func (s *socket) frame(addr uint64) []byte {
	end := addr - addr%frameSize + frameSize
	return s.memory[addr:end:end]
}

// How long a socket waits for a frame before its loop looks whether there is something else to do, such as to end;
// and while there are frames that the kernel could not send.
const (
	patience = 200 // ms
	again    = 1
)

// wait returns when a frame has come, or after some time; false: the socket is of no use any more.
func (s *socket) wait() bool {
	timeout := patience
	if s.tx.filled() > 0 && s.asks() {
		timeout = again
	}
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], timeout); err != nil { // a signal
		return errors.Is(err, unix.EINTR)
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		return false
	}
	if timeout == again {
		s.send()
	}
	return true
}

// asks says whether the kernel has to be called to send. A driver that sends by itself doesn't ask.
func (s *socket) asks() bool { return s.tx.flags.Load()&unix.XDP_RING_NEED_WAKEUP != 0 }

// send has the kernel send what is in the ring for it, a few frames by each call. It never waits, so that Go
// need not be told of the call. Where the kernel gets no further, the rest waits for the next.
func (s *socket) send() {
	for left := s.tx.filled(); left > 0 && s.asks(); {
		_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		now := s.tx.filled()
		if now == left {
			return
		}
		left = now
	}
}

// reclaim lets the kernel write into the frames again that it has sent.
func (s *socket) reclaim() {
	n := s.done.filled()
	if n == 0 {
		return
	}
	seen, free := s.done.consumer.Load(), s.fill.producer.Load()
	for i := range n {
		*s.fill.at(free + i) = *s.done.at(seen + i)
	}
	s.fill.producer.Store(free + n)
	s.done.consumer.Store(seen + n)
}

// close gives everything back.
func (s *socket) close() error {
	var errs []error
	if s.fd >= 0 {
		errs = append(errs, os.NewSyscallError("close", unix.Close(s.fd)))
	}
	for _, m := range [][]byte{s.rx.memory, s.tx.memory, s.fill.memory, s.done.memory, s.memory} {
		if m != nil {
			errs = append(errs, os.NewSyscallError("munmap", unix.Munmap(m)))
		}
	}
	return errors.Join(errs...)
}
