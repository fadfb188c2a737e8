package sockets

import (
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Steer tells the kernel which of the sockets that share an address is given what comes: one of
// the n behind the first ones, by chance. fd is any of them. They are numbered in the order in
// which they were bound, or began to listen.
func Steer(fd, first, n int) error {
	return SteerBy(fd, []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtRand},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(n)},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(first)},
		bpf.RetA{},
	})
}

// SteerBy has a program give the number of the socket. It needs no privilege.
func SteerBy(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return os.NewSyscallError("setsockopt SO_ATTACH_REUSEPORT_CBPF",
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}))
}

// Unsteer has the kernel spread what comes over all of them again.
func Unsteer(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	if err == unix.ENOENT {
		return nil // another process that shares the address has taken it away already
	}
	return os.NewSyscallError("setsockopt SO_DETACH_REUSEPORT_BPF", err)
}
