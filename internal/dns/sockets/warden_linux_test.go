package sockets

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// Of connections to a port there are as many as there may be: those that say something stay, and what
// else this process is connected to.
func TestWarden(t *testing.T) {
	for _, tt := range []struct {
		limits ConnLimits
		want   int
		why    string
	}{
		{ConnLimits{All: 10}, 10, "all"},
		{ConnLimits{Network: 8}, 16, "network"}, // there are two networks
		{ConnLimits{All: 12, Network: 8}, 12, "all"},
		{ConnLimits{All: 100, Network: 100}, 40, ""},
		{ConnLimits{}, 40, ""},
	} {
		listen := func() net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() { // echo
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
				}
			}()
			return l
		}
		watched, other := listen(), listen()
		var conns []net.Conn
		dial := func(l net.Listener, n int, from string) {
			for range n {
				d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				conns = append(conns, c)
			}
		}
		alive := func(c net.Conn) bool {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			if _, err := c.Write([]byte("x")); err != nil {
				return false
			}
			_, err := io.ReadFull(c, make([]byte, 1))
			return err == nil
		}
		dial(watched, 20, "127.0.0.1")
		dial(watched, 20, "127.0.9.1")
		dial(other, 20, "127.0.0.1")
		for _, c := range conns {
			if !alive(c) {
				t.Fatal("a connection is no good")
			}
		}
		time.Sleep(20 * time.Millisecond)
		last := conns[19]
		if !alive(last) {
			t.Fatal("a connection is no good")
		}
		var mu sync.Mutex
		why := map[string]int{}
		w := NewWarden(func(s string) { mu.Lock(); defer mu.Unlock(); why[s]++ })
		dir, err := openOwn()
		if err != nil {
			t.Fatal(err)
		}
		w.ports, w.limits = map[uint16]bool{uint16(watched.Addr().(*net.TCPAddr).Port): true}, tt.limits
		w.look(dir)
		w.look(dir)
		dir.Close()
		left := 0
		for i, c := range conns {
			is := alive(c)
			switch {
			case i >= 40 && !is:
				t.Errorf("%+v: a connection to another port was ended", tt.limits)
			case c == last && !is:
				t.Errorf("%+v: the one that spoke last was ended", tt.limits)
			case i < 40 && is:
				left++
			}
		}
		if left != tt.want || tt.why != "" && why[tt.why] == 0 || tt.why == "" && len(why) > 0 {
			t.Errorf("%+v: %d are left, want %d; %v", tt.limits, left, tt.want, why)
		}
	}
}

func TestWardenRuns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan string, 10)
	w := NewWarden(func(why string) { ended <- why })
	w.Watch([]uint16{uint16(l.Addr().(*net.TCPAddr).Port)}, ConnLimits{Network: 1})
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	select {
	case why := <-ended:
		if why != "network" {
			t.Error(why)
		}
	case <-time.After(time.Minute):
		t.Error("two connections, of one that there may be")
	}
	w.Close()
	w.Close()
}
