package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a server's processes have taken.
type usage struct {
	cpu time.Duration // user and system, all of them and of their late children
	rss int           // KiB, of the biggest: the children of one share its pages
}

// usage adds up the server's process and all below it.
func (p *process) usage() (usage, error) {
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
	}
	ticks, parent := map[int]int{}, map[int]int{}
	for _, path := range entries {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state ppid …: the name may hold anything, so from its end on.
		s := string(raw)
		pid, _ := strconv.Atoi(s[:strings.IndexByte(s, ' ')])
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		parent[pid], _ = strconv.Atoi(f[1])
		for _, v := range f[11:15] { // utime stime cutime cstime
			n, _ := strconv.Atoi(v)
			ticks[pid] += n
		}
	}
	if _, ok := ticks[p.pid]; !ok {
		return usage{}, errors.New("it has ended: " + p.lastWords())
	}
	var u usage
	for pid := range ticks {
		for up := pid; up != 0; up = parent[up] {
			if up == p.pid {
				u.cpu += time.Duration(ticks[pid]) * tick
				u.rss = max(u.rss, resident(pid))
				break
			}
		}
	}
	return u, nil
}

// busy is how long the two CPUs have been doing anything, for anybody; what the host of
// a virtual machine took from them counts as well.
func busy() (time.Duration, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] != "cpu"+serverCPU && f[0] != "cpu"+askerCPU {
			continue
		}
		for i, v := range f[1:9] { // user nice system idle iowait irq softirq steal
			if i != 3 && i != 4 {
				n, _ := strconv.Atoi(v)
				sum += time.Duration(n) * tick
			}
		}
	}
	return sum, nil
}

// A watch tells what else was done while two programs had the two CPUs to themselves.
type watch struct {
	p      *process
	start  time.Time
	before usage
	busy   time.Duration
}

// begin starts a watch over a server.
func (p *process) begin() (w watch, err error) {
	w = watch{p: p, start: time.Now()}
	if w.before, err = p.usage(); err != nil {
		return watch{}, err
	}
	w.busy, err = busy()
	return w, err
}

// end gives what the server used since, and the share of a CPU that neither it nor
// its asker did: how much others disturbed them. Ticks are coarse; a few hundredths
// are nothing.
func (w watch) end(asker *os.ProcessState) (used usage, others float64, err error) {
	if used, err = w.p.usage(); err != nil {
		return usage{}, 0, err
	}
	used.cpu -= w.before.cpu
	all, err := busy()
	if err != nil {
		return usage{}, 0, err
	}
	all -= w.busy + used.cpu + asker.UserTime() + asker.SystemTime()
	return used, max(0, all.Seconds()/time.Since(w.start).Seconds()), nil
}

// tick is the unit of /proc/stat and /proc/PID/stat: a hundredth of a second on every
// Linux that Go runs on.
const tick = time.Second / 100

// resident is a process's memory in KiB, 0 if it has ended.
func resident(pid int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	var kb int
	_, _ = fmt.Sscan(rest, &kb) // a process that is about to end has none
	return kb
}
