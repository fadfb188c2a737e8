package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Connections with our mark come to us, those that begin too until we retire, and all else to the other.
func TestQUICSocket(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, cerr)
	}}
	other, err := lc.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	at := other.LocalAddr().(*net.UDPAddr).AddrPort()
	const mark = 0xbeef
	ours, err := BindQUIC(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), "", 1, mark)
	if err != nil {
		t.Fatal(err)
	}
	from, err := net.Dial("udp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	long := func(kind byte, id uint16) []byte {
		b := append([]byte{0xc0 | kind<<4, 0, 0, 0, 1, 8}, make([]byte, 20)...)
		binary.BigEndian.PutUint16(b[6:], id)
		return b
	}
	short := func(id uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0x40}, id) }
	got := func(c net.PacketConn, patience time.Duration) bool {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, _, err := c.ReadFrom(make([]byte, 100))
		return err == nil
	}
	for _, tt := range []struct {
		name           string
		packet         []byte
		ours, afterOut bool
	}{
		{"Initial", long(0, 0x1234), true, false},
		{"0-RTT", long(1, 0x1234), true, false},
		{"Initial, ours", long(0, mark), true, true},
		{"Handshake, ours", long(2, mark), true, true},
		{"Handshake, the other's", long(2, 0x1234), false, false},
		{"1-RTT, ours", short(mark), true, true},
		{"1-RTT, the other's", short(0x1234), false, false},
		{"two bytes", []byte{0x40, 0xbe}, false, false},
		{"nothing", nil, false, false},
	} {
		for _, retired := range []bool{false, true} {
			if err := ours.Retire(1); err != nil {
				t.Fatal(err)
			}
			want := tt.afterOut
			if !retired {
				want = tt.ours
				if err := ours.steer(1, 1); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := from.Write(tt.packet); err != nil {
				t.Fatal(err)
			}
			to, not := net.PacketConn(ours), other
			if !want {
				to, not = other, ours
			}
			if !got(to, time.Minute) || got(not, time.Millisecond) {
				t.Errorf("%s, retired %v: it isn't where it is to be: ours %v", tt.name, retired, want)
			}
		}
	}
	if err := ours.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Write(short(mark)); err != nil {
		t.Fatal(err)
	}
	if !got(other, time.Minute) {
		t.Error("the address wasn't given back")
	}
}
