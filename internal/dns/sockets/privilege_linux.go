package sockets

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// UsePermitted has this process use its right to bind to low ports, where the file it was
// started from permits it but doesn't put it in force: one that did couldn't be started
// at all where the right is withheld, as in a container that drops all capabilities.
func UsePermitted() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	const bind = 1 << unix.CAP_NET_BIND_SERVICE // in the first set
	if sets[0].Permitted&bind == 0 || sets[0].Effective&bind != 0 {
		return nil
	}
	sets[0].Effective |= bind
	// Each thread has its own, and the runtime has several already.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if errno != 0 {
		return fmt.Errorf("capability NET_BIND_SERVICE: %w", errno)
	}
	return nil
}

// lowest is the lowest port that this process may bind to.
func lowest() int {
	const usual = 1024 // of a kernel that can't be told another
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return usual
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return usual
	}
	return n
}

// forbidden says whether that is why a bind failed.
func forbidden(err error, port uint16) bool {
	return errors.Is(err, syscall.EACCES) && int(port) < lowest()
}
