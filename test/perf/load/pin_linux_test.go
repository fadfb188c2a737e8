package load

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// pin keeps this program, and what it starts, on one CPU until the end of the test.
func pin(t testing.TB, cpu int) {
	t.Helper()
	var was, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		t.Fatal(err)
	}
	one.Set(cpu)
	every := func(set *unix.CPUSet) {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			_ = unix.SchedSetaffinity(tid, set) // it may have ended
		}
	}
	every(&one)
	t.Cleanup(func() { every(&was) })
}
