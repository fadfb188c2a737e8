package sockets

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A socket is a line of /proc/net/tcp, tcp6, udp or udp6.
type socket struct {
	at    netip.AddrPort
	uid   int
	inode string
}

// others reads the sockets of this network namespace. What belongs to whom is in the
// folders of the processes; those of others can be read by root only, and in a
// container there are only its own. ours is that this process has a socket there.
func others(network string, at netip.AddrPort) (found []Holder, ours bool, err error) {
	var there []socket
	for _, table := range []string{network, network + "6"} {
		text, err := os.ReadFile("/proc/net/" + table)
		if errors.Is(err, fs.ErrNotExist) && table != network {
			continue // no IPv6
		}
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		there = append(there, listeners(network, text)...)
	}
	own := inodes("self")
	wanted := map[string]*Holder{}
	for _, s := range there {
		switch {
		case !overlap(s.at, at):
		case own[s.inode]:
			ours = true
		default:
			wanted[s.inode] = &Holder{UID: s.uid}
		}
	}
	if len(wanted) == 0 {
		return nil, ours, nil
	}
	processes, _ := filepath.Glob("/proc/[0-9]*") // only a bad pattern is an error
	for _, p := range processes {
		pid := filepath.Base(p)
		for inode := range inodes(pid) {
			if h := wanted[inode]; h != nil {
				h.PID, _ = strconv.Atoi(pid) // digits, by the pattern
				h.Name = name(p)
			}
		}
	}
	for _, h := range wanted {
		found = append(found, *h)
	}
	return distinct(found), ours, nil
}

// listeners reads a table: those that take questions from anybody.
func listeners(network string, table []byte) (out []socket) {
	const listen = "0A"
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 10 || !strings.HasSuffix(f[0], ":") {
			continue // the heading
		}
		at, ok := address(f[1])
		from, ok2 := address(f[2])
		if !ok || !ok2 || network == "tcp" && f[3] != listen || network == "udp" && from.Port() != 0 {
			continue
		}
		uid, err := strconv.Atoi(f[7])
		if err != nil {
			uid = -1
		}
		out = append(out, socket{at, uid, f[9]})
	}
	return out
}

// address reads an address as these tables have it: words of 32 bits in the order of
// this machine.
func address(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, _ := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a, uint16(n)), err == nil
}

// inodes are the sockets that a process has, as far as that can be seen.
func inodes(pid string) map[string]bool {
	folder := filepath.Join("/proc", pid, "fd")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // it has ended, or isn't ours to look at
	}
	out := map[string]bool{}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(folder, e.Name()))
		if inode, ok := strings.CutPrefix(to, "socket:["); ok && err == nil {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out
}

// name is that of a process's program; "?" if it has just ended.
func name(process string) string {
	text, err := os.ReadFile(filepath.Join(process, "comm"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(text))
}
