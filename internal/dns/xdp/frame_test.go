package xdp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

var (
	client4 = netip.MustParseAddrPort("192.0.2.1:40000")
	server4 = netip.MustParseAddrPort("192.0.2.53:53")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
	server6 = netip.MustParseAddrPort("[2001:db8::53]:53")

	clientMAC = []byte{2, 0, 0, 0, 0, 1}
	serverMAC = []byte{2, 0, 0, 0, 0, 2}
)

// slow is the sum of RFC 1071 as it is defined there.
func slow(b []byte) uint16 {
	var s uint32
	for i, c := range b {
		if i%2 == 0 {
			s += uint32(c) << 8
		} else {
			s += uint32(c)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo is the header that a UDP checksum is over, too.
func pseudo(from, to netip.Addr, length int) []byte {
	out := slices.Concat(from.AsSlice(), to.AsSlice())
	if from.Is4() {
		return append(out, 0, protoUDP, byte(length>>8), byte(length))
	}
	return append(out, 0, 0, byte(length>>8), byte(length), 0, 0, 0, protoUDP)
}

// frameOf makes a frame as a host sends it.
func frameOf(to, from []byte, src, dst netip.AddrPort, payload []byte) []byte {
	u := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(u, src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	u = append(u, payload...)
	check := ^slow(append(pseudo(src.Addr(), dst.Addr(), len(u)), u...))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], check)
	if src.Addr().Is6() {
		h := []byte{0x60, 0, 0, 0, byte(len(u) >> 8), byte(len(u)), protoUDP, hops}
		return slices.Concat(to, from, []byte{0x86, 0xdd}, h, src.Addr().AsSlice(), dst.Addr().AsSlice(), u)
	}
	h := []byte{0x45, 0, 0, 0, 0, 7, 0, 0, hops, protoUDP, 0, 0}
	h = slices.Concat(h, src.Addr().AsSlice(), dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(u)))
	binary.BigEndian.PutUint16(h[10:], ^slow(h))
	return slices.Concat(to, from, []byte{0x08, 0x00}, h, u)
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		b := make([]byte, n)
		for range 20 {
			for i := range b {
				b[i] = byte(r.Uint32()) | byte(n&1)*0xff // of odd lengths all ones: with carries
			}
			if got, want := fold(sum(b, 0)), slow(b); got != want {
				t.Fatalf("sum of %x is %x, want %x", b, got, want)
			}
		}
	}
}

// A frame's answer is the frame that a host would send from there.
func TestFrames(t *testing.T) {
	for _, at := range []struct{ from, to netip.AddrPort }{{client4, server4}, {client6, server6}} {
		for size := range 1400 {
			question, reply := bytes.Repeat([]byte{byte(size), 0xff}, 40), bytes.Repeat([]byte{byte(size)}, size)
			frame := make([]byte, frameSize)
			n := copy(frame, frameOf(serverMAC, clientMAC, at.from, at.to, question))
			n = max(n, 60) // as a sender fills it up
			d, ok := read(frame[:n])
			if !ok || d.from != at.from || d.to != at.to || !bytes.Equal(frame[d.payload:d.payload+d.size], question) {
				t.Fatalf("read %+v, %v", d, ok)
			}
			copy(frame[d.payload:], reply)
			n = d.answer(frame, size, 7)
			if want := frameOf(clientMAC, serverMAC, at.to, at.from, reply); !bytes.Equal(frame[:n], want) {
				t.Fatalf("answer of %d bytes:\n%x, want\n%x", size, frame[:n], want)
			}
		}
	}
}

// What the kernel would not give to a socket is no datagram.
func TestNoDatagram(t *testing.T) {
	const ip, udp4, udp6 = ethernetSize, ethernetSize + ipv4Size, ethernetSize + ipv6Size
	for _, tt := range []struct {
		name     string
		from, to netip.AddrPort
		change   func(f []byte) []byte
		ok       bool
	}{
		{"whole", client4, server4, func(f []byte) []byte { return f }, true},
		{"IPv6", client6, server6, func(f []byte) []byte { return f }, true},
		{"filled up", client4, server4, func(f []byte) []byte { return append(f, 1, 2, 3) }, true},
		{"no checksum", client4, server4, func(f []byte) []byte { clear(f[udp4+6 : udp4+8]); return f }, true},
		{"no checksum, IPv6", client6, server6, func(f []byte) []byte { clear(f[udp6+6 : udp6+8]); return f }, false},
		{"checksum left to hardware", client4, server4, func(f []byte) []byte {
			binary.BigEndian.PutUint16(f[udp4+6:], slow(pseudo(client4.Addr(), server4.Addr(), len(f)-udp4)))
			return f
		}, true},
		{"wrong checksum", client4, server4, func(f []byte) []byte { f[udp4+6] ^= 1; return f }, false},
		{"another bit", client4, server4, func(f []byte) []byte { f[len(f)-1] ^= 1; return f }, false},
		{"another bit, IPv6", client6, server6, func(f []byte) []byte { f[len(f)-1] ^= 1; return f }, false},
		{"wrong checksum of the header", client4, server4, func(f []byte) []byte { f[ip+8]--; return f }, false},
		{"cut", client4, server4, func(f []byte) []byte { return f[:len(f)-1] }, false},
		{"cut, IPv6", client6, server6, func(f []byte) []byte { return f[:len(f)-1] }, false},
		{"longer than its packet", client4, server4, func(f []byte) []byte { f[udp4+4]++; return f }, false},
		{"shorter than its header", client4, server4, func(f []byte) []byte { f[udp4+4], f[udp4+5] = 0, 7; return f }, false},
		{"nothing", client4, server4, func([]byte) []byte { return nil }, false},
		{"VLAN", client4, server4, func(f []byte) []byte { return slices.Insert(f, 12, 0x81, 0, 0, 5) }, false},
		{"from a group of stations", client4, server4, func(f []byte) []byte { f[6] |= 1; return f }, false},
		{"from nobody", netip.MustParseAddrPort("0.0.0.0:40000"), server4, func(f []byte) []byte { return f }, false},
		{"from many", netip.MustParseAddrPort("224.0.0.1:40000"), server4, func(f []byte) []byte { return f }, false},
		{"from all", netip.MustParseAddrPort("255.255.255.255:40000"), server4, func(f []byte) []byte { return f }, false},
		{"from the host itself", netip.MustParseAddrPort("127.0.0.1:40000"), server4, func(f []byte) []byte { return f }, false},
		{"from the host itself, IPv6", netip.MustParseAddrPort("[::1]:40000"), server6, func(f []byte) []byte { return f }, false},
		{"from many, IPv6", netip.MustParseAddrPort("[ff02::1]:40000"), server6, func(f []byte) []byte { return f }, false},
		{"from where it goes", netip.MustParseAddrPort("192.0.2.53:40000"), server4, func(f []byte) []byte { return f }, false},
		{"from no port", netip.MustParseAddrPort("192.0.2.1:0"), server4, func(f []byte) []byte { return f }, false},
	} {
		f := tt.change(frameOf(serverMAC, clientMAC, tt.from, tt.to, []byte("a question of some bytes")))
		if _, ok := read(f); ok != tt.ok {
			t.Errorf("%s: %v", tt.name, ok)
		}
	}
}

// Whatever comes: what is read is answered by a frame that is in order.
func FuzzFrame(f *testing.F) {
	f.Add(frameOf(serverMAC, clientMAC, client4, server4, []byte("question")), 100)
	f.Add(frameOf(serverMAC, clientMAC, client6, server6, []byte("question")), 0)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		frame := make([]byte, frameSize)
		n := copy(frame[:mostMTU+ethernetSize], b)
		frame[0] &^= 1 // what goes to a group of stations is the kernel's
		d, ok := read(frame[:n])
		if !ok {
			return
		}
		size = max(0, min(size, 1232))
		end := d.answer(frame, size, 1)
		if end > mostMTU+ethernetSize {
			t.Fatalf("an answer of %d bytes makes a frame of %d", size, end)
		}
		back, ok := read(frame[:end])
		if !speaks(d.to.Addr()) || d.to.Port() == 0 {
			return // it isn't an address that anything is sent to
		}
		if !ok || back.from != d.to || back.to != d.from || back.size != size {
			t.Fatalf("%+v is answered by %+v, %v", d, back, ok)
		}
		if ip := frame[d.ip:]; back.from.Addr().Is4() && slow(ip[:ipv4Size]) != 0xffff {
			t.Fatalf("checksum of %x", ip[:ipv4Size])
		}
		u := frame[d.payload-udpSize : end]
		if slow(append(pseudo(d.to.Addr(), d.from.Addr(), len(u)), u...)) != 0xffff {
			t.Fatalf("checksum of %x", u)
		}
	})
}
