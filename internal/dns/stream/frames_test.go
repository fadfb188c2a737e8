package stream

import (
	"bytes"
	"slices"
	"testing"
)

// Whatever comes, and in whatever pieces: the messages are the same, nothing is read beyond what is there, and
// what is missing is known.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add([]byte{0, 0, 0, 1, 9}, uint8(1))
	f.Add(append([]byte{0, 3, 1, 2, 3, 0, 12}, make([]byte, 12)...), uint8(2))
	f.Add([]byte{0xff, 0xff, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, all []byte, piece uint8) {
		whole, rest := split(all)
		var inPieces [][]byte
		var held []byte
		for b := range slices.Chunk(all, max(1, int(piece))) {
			held = append(held, b...)
			if n := missing(held); n == 0 != complete(held) {
				t.Fatalf("%x: %d bytes are missing", held, n)
			}
			var some [][]byte
			some, held = split(held)
			inPieces = append(inPieces, some...)
		}
		if !slices.EqualFunc(whole, inPieces, bytes.Equal) || !bytes.Equal(rest, held) {
			t.Fatalf("%x: whole %x and %x, in pieces of %d %x and %x", all, whole, rest, piece, inPieces, held)
		}
		size := len(rest)
		for _, m := range whole {
			size += header + len(m)
		}
		if size != len(all) {
			t.Fatalf("%x: %d bytes of %d", all, size, len(all))
		}
	})
}

func complete(b []byte) bool {
	_, _, ok := next(b)
	return ok
}

func split(b []byte) (messages [][]byte, rest []byte) {
	for {
		m, r, ok := next(b)
		if !ok {
			return messages, slices.Clone(b)
		}
		messages, b = append(messages, slices.Clone(m)), r
	}
}
