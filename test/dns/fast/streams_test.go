package fast

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
)

// A framed is a connection as an asker wants it: a message at a time.
type framed struct {
	net.Conn
	come []byte // what of the next one is there
}

func (c *framed) Write(b []byte) (int, error) {
	_, err := c.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return len(b), err
}

func (c *framed) Read(b []byte) (int, error) {
	for {
		if len(c.come) >= 2 {
			if end := 2 + int(binary.BigEndian.Uint16(c.come)); len(c.come) >= end {
				n := copy(b, c.come[2:end])
				c.come = c.come[end:]
				return n, nil
			}
		}
		n, err := c.Conn.Read(b) // its time may be over in the middle of a message
		if err != nil {
			return 0, err
		}
		c.come = append(c.come, b[:n]...)
	}
}

const (
	// udpSize is how long a datagram is read to on the fast path.
	udpSize = 4096
	// keptAlive is how a client that asks is told how long its connection may be idle (RFC 7828): by a connection only.
	keptAlive = "11 use tcp keep-alive, timeout 10000ms; "
)

// TestStreams asks the same over connections as in datagrams. Where the answer fits a datagram, it is
// the same.
func TestStreams(t *testing.T) {
	blocks := world(t)
	s := server.Start(t, corefile(blocks, "fast on"))
	y := newTally()
	whole, same, asked := 0, 0, 0
	for i := range blocks {
		b := &blocks[i]
		host := b.host
		if host == "" {
			host, _, _ = net.SplitHostPort(s.Addr)
		}
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		packets := b.questions()
		if b.corners {
			packets = append(packets, b.odd(r)...)
		}
		packets = append(packets, garbage(r, packets, len(packets)/6)...)
		packets = slices.DeleteFunc(packets, func(p packet) bool {
			return len(p.bytes) < 12 || len(p.bytes) > udpSize // ends a connection, and isn't read whole from a datagram
		})
		isFast(t, s, host)
		inDatagrams, byStream := wayTo(t, s, host, b), wayTo(t, s, host, b)
		conn, err := net.Dial("tcp", inDatagrams.conn.RemoteAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		byStream.asker = &asker{conn: &framed{Conn: conn}}
		var sent [][]byte
		for _, p := range packets {
			sent = append(sent, p.bytes)
		}
		both(t, inDatagrams, byStream, sent, sent)
		for _, text := range byStream.strange {
			y.add("strange", text)
		}
		for i, p := range packets {
			u, c := look(p.bytes, inDatagrams.answers[i], inDatagrams.serial), look(p.bytes, byStream.answers[i], byStream.serial)
			if options := strings.Replace(c["options"], keptAlive, "", 1); options != c["options"] {
				asked++
				if c["options"] = options; options == "" {
					delete(c, "options")
				}
			}
			reading, ok := read(p.bytes)
			if ok && (reading.qtype == dns.TypeAXFR || reading.qtype == dns.TypeIXFR) {
				continue // is another thing by a connection
			}
			limit := 512
			if ok {
				limit = reading.limit()
			}
			if u["TC"] != "" || len(byStream.answers[i]) > limit {
				whole++
				if c["TC"] != "" {
					y.add("truncated", fmt.Sprintf("%s %s: %x", b.host, p.about, p.bytes))
				}
				continue
			}
			same++
			if d := differ(u, c); len(d) > 0 {
				y.add(strings.Join(d, " "), fmt.Sprintf("%s %s: %x\n%s", b.host, p.about, p.bytes[:min(len(p.bytes), 300)], lines(d, u, c)))
			}
		}
	}
	t.Logf("%d answers are the same, %d come whole by connections only", same, whole)
	if same < 20_000 || whole < 100 || asked < 100 {
		t.Error("that is too few to show anything")
	}
	for kind, k := range y.kinds {
		t.Errorf("%s: %d times, such as\n%s", kind, k.n, strings.Join(k.first, "\n"))
	}
}
