package packet

import (
	"net/netip"
	"testing"
)

// from is somebody.
var from = netip.MustParseAddrPort("192.0.2.1:53")

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		size, n int
		cut     bool
	}{{0, 0, false}, {12, 12, false}, {Size, Size, false}, {Size + 1, Size, true}, {65507, Size, true}} {
		query := make([]byte, tt.size)
		for i := range query {
			query[i] = byte(i)
		}
		p := New(query, from, nil)
		if p.N != tt.n || p.Cut != tt.cut || len(p.Buf) != Size || p.From != from {
			t.Errorf("%d bytes: N %d, Cut %v, Buf of %d, From %v", tt.size, p.N, p.Cut, len(p.Buf), p.From)
		}
		if string(p.Buf[:p.N]) != string(query[:p.N]) {
			t.Errorf("%d bytes: the packet holds something else", tt.size)
		}
	}
}
