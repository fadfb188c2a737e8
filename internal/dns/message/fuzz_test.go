package message_test

import "testing"

// Whatever comes is read without a panic, and what is Plain is what the library
// reads.
func FuzzRead(f *testing.F) {
	for _, tt := range reads {
		f.Add(tt.packet)
	}
	f.Fuzz(agree)
}
