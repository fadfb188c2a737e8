package memnet_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/fedns/fedns/test/framework/memnet"
)

// A connection is what the standard library says that one is.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (one, other net.Conn, stop func(), err error) {
		var n memnet.Network
		l, err := n.Listen("192.0.2.1:53")
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		accepted := make(chan net.Conn)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		if one, err = n.Dial(t.Context(), "tcp", "192.0.2.1:53"); err != nil {
			return nil, nil, nil, err
		}
		other = <-accepted
		return one, other, func() { one.Close(); other.Close() }, nil
	})
}

// Who isn't there refuses, and an address is one listener's.
func TestRefused(t *testing.T) {
	var n memnet.Network
	dial := func() error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // who listens takes nobody
		_, err := n.Dial(ctx, "tcp", "192.0.2.1:53")
		return err
	}
	if err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	l, err := n.Listen("192.0.2.1:53")
	if err != nil {
		t.Fatal(err)
	}
	if err := dial(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := n.Listen("192.0.2.1:53"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}
