package node

import (
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// openTUN makes a TUN device in a network namespace; it goes when it is closed.
func openTUN(netns, name string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	made := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is in another namespace then, and ends with this
		f, err := func() (*os.File, error) {
			ns, err := unix.Open("/run/netns/"+netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			defer unix.Close(ns)
			if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			req, err := unix.NewIfreq(name)
			if err == nil {
				req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
				err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
			}
			if err != nil {
				_ = unix.Close(fd)
				return nil, err
			}
			return os.NewFile(uintptr(fd), name), nil
		}()
		made <- result{f, err}
	}()
	r := <-made
	return r.f, r.err
}

// relay has packets go from each device to the other, as a link has it, until it is called.
func relay(l Link, a, b io.ReadWriteCloser) (stop func()) {
	var wg sync.WaitGroup
	for i, ends := range [][2]io.ReadWriteCloser{{a, b}, {b, a}} {
		way := &line{Link: l, random: rand.New(rand.NewPCG(l.Seed, uint64(i)))}
		wg.Go(func() { way.carry(ends[0], ends[1]) })
	}
	return func() {
		_ = a.Close()
		_ = b.Close()
		wg.Wait()
	}
}

// carry carries packets until the devices are closed.
func (l *line) carry(from io.Reader, to io.Writer) {
	type packet struct {
		bytes []byte
		at    time.Time
	}
	under := make(chan packet, 4096) // on their way, in their order; what finds no place is lost
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range under {
			time.Sleep(time.Until(p.at))
			_, _ = to.Write(p.bytes) // a device that is closed or down loses it
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			break
		}
		if at, ok := l.arrives(time.Now(), n); ok {
			select {
			case under <- packet{append([]byte(nil), buf[:n]...), at}:
			default:
			}
		}
	}
	close(under)
	<-done
}
