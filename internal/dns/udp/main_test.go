package udp

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// from is somebody.
var from = netip.MustParseAddrPort("192.0.2.1:53")

func TestNewPacket(t *testing.T) {
	for _, tt := range []struct {
		size, n int
		cut     bool
	}{{0, 0, false}, {12, 12, false}, {Size, Size, false}, {Size + 1, Size, true}, {65507, Size, true}} {
		query := make([]byte, tt.size)
		for i := range query {
			query[i] = byte(i)
		}
		p := NewPacket(query, from, nil)
		if p.N != tt.n || p.Cut != tt.cut || len(p.Buf) != Size || p.From != from {
			t.Errorf("%d bytes: N %d, Cut %v, Buf of %d, From %v", tt.size, p.N, p.Cut, len(p.Buf), p.From)
		}
		if string(p.Buf[:p.N]) != string(query[:p.N]) {
			t.Errorf("%d bytes: the packet holds something else", tt.size)
		}
	}
}
