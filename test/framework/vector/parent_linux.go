package vector

import "syscall"

// dieWithParent has the kernel kill a program whose test was killed before it
// could clean up: by -timeout, by ^C, by an impatient CI.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
