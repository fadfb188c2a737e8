package sockets

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// turn is what this process holds of the right to start at a port. It is a name in the
// network namespace, which ends with the process.
var turn = struct {
	sync.Mutex
	held map[uint16]net.Listener
}{held: map[uint16]net.Listener{}}

// turnStep is between two looks at whether the other has begun.
const turnStep = 20 * time.Millisecond

// Turn waits until no other process is about to start at one of these ports: two that
// look at the same moment would both find nobody. It waits no longer than patience, in
// all, and holds nothing up on systems without such names. EndTurn ends it.
func Turn(ports []uint16, patience time.Duration) {
	if runtime.GOOS != "linux" {
		return
	}
	turn.Lock()
	defer turn.Unlock()
	ports = slices.Clone(ports)
	slices.Sort(ports) // all in one order, so that nobody waits for each other
	end := time.Now().Add(patience)
	for _, p := range slices.Compact(ports) {
		for turn.held[p] == nil {
			l, err := net.Listen("unix", fmt.Sprint("@fedns/start/", p))
			if err == nil {
				turn.held[p] = l
			} else if time.Now().After(end) {
				break
			} else {
				time.Sleep(turnStep)
			}
		}
	}
}

// EndTurn lets others have their turn.
func EndTurn() {
	turn.Lock()
	defer turn.Unlock()
	for p, l := range turn.held {
		_ = l.Close() // the name goes with it, however
		delete(turn.held, p)
	}
}
