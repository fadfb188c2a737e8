package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A filter is the program that runs for each frame of an interface, and what it looks into.
type filter struct {
	program   *ebpf.Program
	sockets   *ebpf.Map // by queue
	endpoints *ebpf.Map
}

// An endpoint is what questions come to, as the program looks for it.
type endpoint struct {
	Addr [16]byte // IPv4 as IPv6
	Port [2]byte
	_    [2]byte
}

// maxEndpoints is how many addresses and ports there may be: as many as a host with a thousand addresses has that are
// announced from it.
const maxEndpoints = 4096

func newFilter(queues int) (f *filter, err error) {
	f = &filter{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
			f = nil
		}
	}()
	f.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return f, fmt.Errorf("map of sockets: %w", err)
	}
	f.endpoints, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 20, ValueSize: 1, MaxEntries: maxEndpoints})
	if err != nil {
		return f, fmt.Errorf("map of addresses: %w", err)
	}
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "fedns", Type: ebpf.XDP, License: "BSD", Instructions: instructions(f.sockets.FD(), f.endpoints.FD())})
	if err != nil {
		return f, fmt.Errorf("program: %w", err)
	}
	return f, nil
}

// pass is XDP_PASS: the frame is the kernel's.
const pass = 2

// instructions send plain queries (as package udp's steer has them) in whole datagrams without options to an address and
// port of ours to the socket of their queue, and all else to the kernel: other protocols and messages, fragments, what has
// a VLAN tag, IP options or extension headers, and what goes to many.
func instructions(sockets, endpoints int) asm.Instructions {
	const (
		key        = -24 // where on the stack
		header     = 12  // of DNS (RFC 1035 section 4.1.1)
		flags      = 2   // where in it
		questions  = 4
		answers    = 6 // and the authority section
		additional = 10
	)
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.Word), // the frame
		asm.LoadMem(asm.R8, asm.R6, 4, asm.Word), // its end
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Add.Imm(asm.R2, ethernetSize+ipv4Size+udpSize+header),
		asm.JGT.Reg(asm.R2, asm.R8, "pass"),
		asm.LoadMem(asm.R3, asm.R7, 0, asm.Byte),
		asm.And.Imm(asm.R3, 1), // to many
		asm.JNE.Imm(asm.R3, 0, "pass"),
		asm.Mov.Imm(asm.R3, 0),
		asm.StoreMem(asm.RFP, key, asm.R3, asm.DWord),
		asm.StoreMem(asm.RFP, key+8, asm.R3, asm.DWord),
		asm.StoreMem(asm.RFP, key+16, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, asm.R7, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.JEq.Imm(asm.R3, etherIPv4, "ipv4"),
		asm.JNE.Imm(asm.R3, etherIPv6, "pass"),

		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Add.Imm(asm.R2, ethernetSize+ipv6Size+udpSize+header),
		asm.JGT.Reg(asm.R2, asm.R8, "pass"),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize, asm.Byte),
		asm.And.Imm(asm.R3, 0xf0),
		asm.JNE.Imm(asm.R3, 0x60, "pass"),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+6, asm.Byte),
		asm.JNE.Imm(asm.R3, protoUDP, "pass"),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+24, asm.DWord),
		asm.StoreMem(asm.RFP, key, asm.R3, asm.DWord),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+32, asm.DWord),
		asm.StoreMem(asm.RFP, key+8, asm.R3, asm.DWord),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+ipv6Size+2, asm.Half),
		asm.StoreMem(asm.RFP, key+16, asm.R3, asm.Half),
		asm.Mov.Reg(asm.R9, asm.R7),
		asm.Add.Imm(asm.R9, ethernetSize+ipv6Size+udpSize),
		asm.Ja.Label("query"),

		asm.LoadMem(asm.R3, asm.R7, ethernetSize, asm.Byte).WithSymbol("ipv4"),
		asm.JNE.Imm(asm.R3, 0x45, "pass"), // version 4, no options
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+6, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.And.Imm(asm.R3, 0x3fff), // more fragments, and where this one is
		asm.JNE.Imm(asm.R3, 0, "pass"),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+9, asm.Byte),
		asm.JNE.Imm(asm.R3, protoUDP, "pass"),
		asm.Mov.Imm(asm.R3, 0xffff),
		asm.StoreMem(asm.RFP, key+10, asm.R3, asm.Half),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+16, asm.Word),
		asm.StoreMem(asm.RFP, key+12, asm.R3, asm.Word),
		asm.LoadMem(asm.R3, asm.R7, ethernetSize+ipv4Size+2, asm.Half),
		asm.StoreMem(asm.RFP, key+16, asm.R3, asm.Half),

		asm.Mov.Reg(asm.R9, asm.R7),
		asm.Add.Imm(asm.R9, ethernetSize+ipv4Size+udpSize),

		asm.LoadMem(asm.R3, asm.R9, flags, asm.Half).WithSymbol("query"),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.And.Imm(asm.R3, 0xf800), // a response, or another opcode than QUERY
		asm.JNE.Imm(asm.R3, 0, "pass"),
		asm.LoadMem(asm.R3, asm.R9, questions, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.JNE.Imm(asm.R3, 1, "pass"),
		asm.LoadMem(asm.R3, asm.R9, answers, asm.Word),
		asm.JNE.Imm(asm.R3, 0, "pass"),
		asm.LoadMem(asm.R3, asm.R9, additional, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.JGT.Imm(asm.R3, 1, "pass"), // a signature behind the OPT record

		asm.LoadMapPtr(asm.R1, endpoints),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMapPtr(asm.R1, sockets),
		asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // the queue
		asm.Mov.Imm(asm.R3, pass),                 // where no socket is
		asm.FnRedirectMap.Call(),
		asm.Return(),

		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	}
}

// take has the program take what comes to an address and port.
func (f *filter) take(at netip.AddrPort) error {
	if err := f.endpoints.Put(endpointOf(at), uint8(1)); err != nil {
		return fmt.Errorf("address %s: %w", at, err)
	}
	return nil
}

// leave has it leave that to the kernel.
func (f *filter) leave(at netip.AddrPort) error {
	if err := f.endpoints.Delete(endpointOf(at)); err != nil {
		return fmt.Errorf("address %s: %w", at, err)
	}
	return nil
}

func endpointOf(at netip.AddrPort) endpoint {
	return endpoint{Addr: at.Addr().As16(), Port: [2]byte{byte(at.Port() >> 8), byte(at.Port())}}
}

func (f *filter) close() error {
	return errors.Join(f.program.Close(), f.sockets.Close(), f.endpoints.Close())
}
