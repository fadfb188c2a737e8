//go:build unix

package inputfile

import "syscall"

// nonblocking has a pipe be opened without somebody who writes.
const nonblocking = syscall.O_NONBLOCK
