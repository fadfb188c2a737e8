package vector

import (
	"os/exec"
	"runtime"
)

// Start starts a program that dies with the test, even if the test is killed and
// cleans nothing up. gone is closed when the program has ended and been reaped; how
// it ended is in cmd then.
func Start(cmd *exec.Cmd) (gone <-chan struct{}, err error) {
	cmd.SysProcAttr = dieWithParent()
	// "With its parent" means the thread that started it, so that thread has
	// to last as long: this goroutine keeps it until the program is gone.
	started, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its exit code is in cmd
			close(over)
		}
	}()
	return over, <-started
}
