package main

import (
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/perf/race/record"
)

// A server stops for a while. The questions of that time are sent all the same and
// wait for what is left of it, half of them for more than half. An asker that waits
// for its answers would see only one question wait.
func TestAskKeepsItsPace(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	r := &race{dir: t.TempDir(), compiled: map[string]string{}}
	r.fed = generate(minServices, 100, usual)
	if err := r.fed.write(r.dir); err != nil {
		t.Fatal(err)
	}
	asker, err := r.compile("ask.c")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const rate, pause = 200, 300 * time.Millisecond
	names := make(chan string, 2*rate)
	go func() {
		defer close(names)
		var m [512]byte
		for i := 0; ; i++ {
			n, from, err := conn.ReadFrom(m[:])
			if err != nil {
				return
			}
			names <- string(m[12:n])
			if i == rate/4 {
				time.Sleep(pause)
			}
			if i == rate/2 {
				continue // this answer is lost
			}
			m[2], m[3] = m[2]|0x80, m[3]|3
			_, _ = conn.WriteTo(m[:n], from)
		}
	}()
	out, err := exec.Command(asker, strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port), filepath.Join(r.dir, "questions"),
		strconv.Itoa(rate), "1", "0", "1").Output()
	conn.Close()
	if err != nil {
		t.Fatal(err)
	}
	turn := new(record.Turn)
	if err := json.Unmarshal(out, turn); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if turn.Sent != rate || turn.Lost() != 1 || turn.Codes["3"] != rate-1 || turn.Stray != 0 || turn.Lag.Count() != rate {
		t.Errorf("sent %d, lost %d, codes %v, stray %d, lags %d", turn.Sent, turn.Lost(), turn.Codes, turn.Stray, turn.Lag.Count())
	}
	if got := turn.Quantile(1); got != record.Never {
		t.Errorf("the longest of all took %v, and one was lost", got)
	}
	// Nothing makes an answer quicker than it can be; how slow the machine is just now
	// is left open.
	late := 0
	for _, b := range turn.Latency {
		if time.Duration(b[0]) > pause/2 {
			late += int(b[1])
		}
	}
	if want := int(rate * pause.Seconds() / 2); late < want-5 {
		t.Errorf("%d answers took more than half of the pause, want %d", late, want)
	}
	if p := turn.Latency[len(turn.Latency)-1][0]; p < int64(pause-10*time.Millisecond) {
		t.Errorf("the longest answer took %v, of a pause of %v", time.Duration(p), pause)
	}
	i := 0
	for got := range names {
		want := wire(r.fed.questions[i%len(r.fed.questions)].name)
		if got != want {
			t.Fatalf("question %d is %q, want %q", i, got, want)
		}
		i++
	}
	for i := 1; i < len(turn.Latency); i++ {
		if turn.Latency[i][0] <= turn.Latency[i-1][0] {
			t.Fatalf("buckets aren't in order: %v", turn.Latency)
		}
	}
}

// wire is a question for the addresses of a name.
func wire(name string) string {
	var b strings.Builder
	for label := range strings.SplitSeq(name, ".") {
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	return b.String() + "\x00\x00\x01\x00\x01"
}

func TestMicroseconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12_345: "12.3 µs", 123_456: "123 µs", 7 * time.Millisecond: "7000 µs", record.Never: "lost",
	} {
		if got := microseconds(d); got != want {
			t.Errorf("%d ns are %q, want %q", d, got, want)
		}
	}
}
