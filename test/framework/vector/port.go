package vector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
)

// ports remembers what Port handed out: not every program listens at once.
var ports struct {
	mu    sync.Mutex // guards given
	given map[int]bool
}

// Port is a loopback port nobody listens on, by TCP or UDP. It lies below the
// range outgoing connections are numbered from, so that none of those can sit on a
// server's port while the server is down.
func Port(t testing.TB) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for range 100 {
		// At random, and in a third of the range by process: other test binaries are
		// choosing right now too.
		port := 20000 + os.Getpid()%3*4000 + rand.IntN(4000)
		if ports.given[port] {
			continue
		}
		addr := fmt.Sprint("127.0.0.1:", port)
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		u.Close()
		if ports.given == nil {
			ports.given = map[int]bool{}
		}
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}
