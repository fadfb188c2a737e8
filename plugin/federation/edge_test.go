package federation

import (
	"testing"

	"github.com/miekg/dns"
)

// What CoreDNS echoes of the header of a query that it can't answer is cleared, and
// nothing of any other answer.
func TestClearWriter(t *testing.T) {
	for rcode, want := range map[byte][2]byte{dns.RcodeNotImplemented: {0xa1, 0x14}, dns.RcodeFormatError: {0xa1, 0x11}, dns.RcodeSuccess: {0xa7, 0xb0}} {
		var got kept
		if _, err := (clearWriter{&got}).Write([]byte{0, 1, 0xa7, 0xb0 | rcode, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		if [2]byte(got[2:4]) != want {
			t.Errorf("rcode %d: flags %x, want %x", rcode, got[2:4], want)
		}
	}
}

type kept []byte

func (k *kept) Write(b []byte) (int, error) { *k = b; return len(b), nil }
