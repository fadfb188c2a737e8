package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// A taken is what a secondary has been given.
type taken struct {
	serial                   uint32
	records, messages, bytes int
	took, cpu                time.Duration
}

func (k taken) String() string {
	return fmt.Sprintf("%d records in %d messages, %.1f kB, after %.2f s, %.2f s of it the server's CPU", k.records, k.messages, float64(k.bytes)/1e3, k.took.Seconds(), k.cpu.Seconds())
}

// transferred has the zone transferred, or what has changed since a serial, and looks only at the numbers: how fast it is given is
// measured, not how fast it is read.
func transferred(t *testing.T, s *server.Server, since uint32) (k taken) {
	t.Helper()
	q := new(dns.Msg).SetAxfr("example.com.")
	if since > 0 {
		q.SetIxfr("example.com.", since, "ns1.example.com.", "hostmaster.example.com.")
	}
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began, before := time.Now(), ticks(t, s.Pid)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)); err != nil {
		t.Fatal(err)
	}
	var last []byte
	for soas := 0; soas < 2; {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatalf("after %v: %v", k, err)
		}
		last = make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, last); err != nil {
			t.Fatal(err)
		}
		k.messages++
		k.bytes += len(last)
		k.records += int(binary.BigEndian.Uint16(last[6:]))
		m := new(dns.Msg)
		if k.messages == 1 || len(last) < 60_000 { // the last isn't full
			if err := m.Unpack(last); err != nil || m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
				t.Fatalf("%v\n%v", err, m)
			}
			first, is := m.Answer[0].(*dns.SOA)
			if k.messages == 1 && is {
				soas, k.serial = 1, first.Serial
			}
			if _, is := m.Answer[len(m.Answer)-1].(*dns.SOA); is { // of one record: there is nothing newer
				soas = 2
			}
		}
	}
	k.took, k.cpu = time.Since(began), ticks(t, s.Pid)-before
	return k
}

// ticks is how much CPU a process has taken.
func ticks(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}
