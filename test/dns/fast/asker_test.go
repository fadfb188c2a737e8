package fast

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// An asker asks one server over one socket, many questions at a time. It tells
// answers apart by their IDs.
type asker struct {
	conn    net.Conn
	next    uint16
	asked   map[uint16]int // what each ID was last used for
	answers [][]byte
	sent    []int    // how often each packet was
	got     []int    // how many answers to each came
	strange []string // answers that nothing was waiting for
}

func dial(t testing.TB, addr string) *asker {
	t.Helper()
	conn, err := net.Dial("udp", addr) // connected: takes only what comes from there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.UDPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	return &asker{conn: conn}
}

// deaf says whether no server answers a packet, so that nobody waits for it.
func deaf(p []byte) bool { return len(p) < 12 || p[2]&0x80 != 0 }

// How long is waited for an answer: at first, since nearly all come at once, and
// for those that didn't come or were lost on the way.
const (
	soon   = 250 * time.Millisecond
	atLast = time.Second
	atOnce = 100 // questions that are under way
)

// ask sends packets, each with an ID of its own, and gives an answer for each: nil
// where there was none.
func (a *asker) ask(packets [][]byte) ([][]byte, error) {
	a.asked, a.answers, a.strange = map[uint16]int{}, make([][]byte, len(packets)), nil
	a.sent, a.got = make([]int, len(packets)), make([]int, len(packets))
	var due []int
	silent := false
	for i := range packets {
		due = append(due, i)
		silent = silent || deaf(packets[i])
	}
	for try, patience := range []time.Duration{soon, atLast, 5 * atLast, 20 * atLast, 20 * atLast} {
		size := [...]int{atOnce, 16, 1, 1, 1}[try] // a socket's buffer holds few long ones
		for from := 0; from < len(due); from += size {
			if err := a.some(packets, due[from:min(from+size, len(due))], patience); err != nil {
				return nil, err
			}
		}
		var left []int
		for _, i := range due {
			if a.answers[i] == nil && !deaf(packets[i]) {
				left = append(left, i)
			}
		}
		if due = left; len(due) == 0 {
			break
		}
	}
	if silent { // the sentinels behind them have been answered
		for {
			i, err := a.read(soon)
			if err != nil {
				return nil, err
			}
			if i < 0 {
				break
			}
		}
	}
	for i, p := range packets {
		if deaf(p) && a.answers[i] != nil {
			a.strange = append(a.strange, fmt.Sprintf("%x is answered: %x", p, a.answers[i]))
		}
	}
	return a.answers, nil
}

// some asks some of the packets at once, and waits until all are answered that can
// be, or none has been for a while.
func (a *asker) some(packets [][]byte, due []int, patience time.Duration) error {
	waiting := 0
	for _, i := range due {
		p := packets[i]
		if len(p) >= 2 {
			a.next++
			a.asked[a.next] = i
			a.sent[i]++
			p = append(binary.BigEndian.AppendUint16(nil, a.next), p[2:]...)
		}
		if _, err := a.conn.Write(p); err != nil {
			return err
		}
		if !deaf(p) && a.answers[i] == nil {
			waiting++
		}
	}
	for waiting > 0 {
		i, err := a.read(patience)
		if err != nil {
			return err
		}
		if i < 0 {
			return nil
		}
		if !deaf(packets[i]) {
			waiting--
		}
	}
	return nil
}

// read takes the next answer, and says which packet it is one to; less than 0:
// none came.
func (a *asker) read(patience time.Duration) (int, error) {
	var buf [65535]byte
	for {
		if err := a.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, err
		}
		n, err := a.conn.Read(buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		if n < 2 {
			a.strange = append(a.strange, fmt.Sprintf("an answer of %d bytes", n))
			continue
		}
		i, ok := a.asked[binary.BigEndian.Uint16(buf[:])]
		if !ok || a.got[i] == a.sent[i] {
			a.strange = append(a.strange, fmt.Sprintf("nothing asked for %x", buf[:n]))
			continue
		}
		if a.got[i]++; a.answers[i] != nil {
			continue // the one that was late on a busy host
		}
		a.answers[i] = append([]byte(nil), buf[:n]...)
		return i, nil
	}
}
