package udp

import (
	"golang.org/x/net/bpf"

	"github.com/fedns/fedns/internal/dns/sockets"
)

// steer tells the kernel which of the sockets that share an address a datagram is
// for: plain queries for one of the n behind the first ones, anything else for the
// first of all. fd is any of them. Sockets are numbered in the order they were
// bound in.
//
// The program sees the DNS header at offset 0 (RFC 1035 section 4.1.1); reading
// beyond the datagram ends it with 0.
func steer(fd, first, n int) error {
	const (
		flags      = 2
		questions  = 4
		answers    = 6 // and the authority section
		additional = 10
	)
	return sockets.SteerBy(fd, []bpf.Instruction{
		bpf.LoadAbsolute{Off: flags, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0xf800, SkipTrue: 10}, // a response, or another opcode than QUERY
		bpf.LoadAbsolute{Off: questions, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1, SkipTrue: 8},
		bpf.LoadAbsolute{Off: answers, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 6},
		bpf.LoadAbsolute{Off: additional, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 1, SkipTrue: 4}, // a signature behind the OPT record
		// By chance: one client's queries are as welcome on every core, and a NIC with
		// one queue would wake one core only.
		bpf.LoadExtension{Num: bpf.ExtRand},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(n)},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(first)},
		bpf.RetA{},
		bpf.RetConstant{Val: 0},
	})
}
