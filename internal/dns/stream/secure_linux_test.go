package stream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/dns/packet"
)

// certified gives a server's configuration, and a client's that trusts it.
func certified(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"dns.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"dot"}},
		&tls.Config{RootCAs: trusted, ServerName: "dns.example.com", NextProtos: []string{"dot"}}
}

// secured is a service over TLS.
func secured(h packet.Handler, config *tls.Config) *Service {
	s := plain(h)
	s.TLS = config
	return s
}

func handshake(t testing.TB, o *neighbour, config *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(dial(t, o.addr), config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// What is so over TCP is over TLS: many questions in one record and one in many, pieces, answers that come
// later, long ones, the end.
func TestSecure(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	server, client := certified(t)
	letters := make(chan packet.Deferred, 1)
	open(t, o, 2, secured(&echo{respond: func(p *packet.Packet) int {
		if p.Buf[shortest] == '!' {
			letters <- p.Keep()
			return 0
		}
		return p.N
	}}, server))
	c := handshake(t, o, client)
	if got := c.ConnectionState().NegotiatedProtocol; got != "dot" {
		t.Errorf("the protocol is %q", got)
	}
	var many []byte
	for i := range 3000 {
		many = append(many, query(uint16(i), fmt.Sprint("question ", i))...)
	}
	go func() { _, _ = c.Write(many) }()
	for i := range 3000 {
		expect(t, c, uint16(i), fmt.Sprint("question ", i))
	}
	for range 3 { // a record each
		for i := range 50 {
			write(t, c, query(uint16(i), "single"))
		}
		for i := range 50 {
			expect(t, c, uint16(i), "single")
		}
	}
	for _, b := range query(7, "in pieces") {
		write(t, c, []byte{b})
	}
	expect(t, c, 7, "in pieces")
	long := strings.Repeat("x", maxMessage-shortest)
	go func() { _, _ = c.Write(slices.Concat(query(1, long), query(2, "short"), query(3, long))) }()
	expect(t, c, 1, long)
	expect(t, c, 2, "short")
	expect(t, c, 3, long)
	write(t, c, slices.Concat(query(4, "!later"), query(5, "now")))
	expect(t, c, 5, "now")
	l := <-letters
	if s := l.(*deferred).ConnectionState(); s == nil || s.NegotiatedProtocol != "dot" {
		t.Errorf("the state of the connection is %v", s)
	}
	if err := l.Write(l.Query()); err != nil {
		t.Error(err)
	}
	l.Done()
	expect(t, c, 4, "!later")
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // with a farewell
		t.Error(err)
	}
}

// Many at once, with readers that are slow, and answers from several sides.
func TestSecureAtOnce(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	server, client := certified(t)
	long := strings.Repeat("y", 3000)
	open(t, o, 2, secured(&echo{respond: func(p *packet.Packet) int {
		if p.Buf[1]%3 == 0 {
			l := p.Keep()
			go func() {
				_ = l.Write(append(bytes.Clone(l.Query()[:shortest]), long...)) // who has gone needs none
				l.Done()
			}()
			return 0
		}
		return shortest + copy(p.Buf[shortest:], long)
	}}, server))
	var wg sync.WaitGroup
	for range 8 {
		c := handshake(t, o, client)
		const all = 500
		wg.Go(func() {
			for i := range all {
				if _, err := c.Write(query(uint16(i), "q")); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			seen := map[uint16]bool{}
			for range all {
				id, text, err := answer(c)
				if err != nil || text != long || seen[id] {
					t.Errorf("%d: %.20q, %v", id, text, err)
					return
				}
				seen[id] = true
			}
		})
	}
	wg.Wait()
}

// A handshake that doesn't go on, or is none, ends in time, and holds up nobody.
func TestNoHandshake(t *testing.T) {
	o := beside(t, "127.0.0.1:0")
	server, client := certified(t)
	s := secured(&echo{}, server)
	s.Question = 300 * time.Millisecond
	open(t, o, 1, s)
	silent, half, other := dial(t, o.addr), dial(t, o.addr), dial(t, o.addr)
	write(t, half, []byte{22, 3, 1, 2, 0, 1})
	write(t, other, query(1, "plain"))
	c := handshake(t, o, client)
	write(t, c, query(1, "q"))
	expect(t, c, 1, "q")
	for _, c := range []net.Conn{silent, half, other} {
		over(t, c)
	}
}

// Sessions are taken up by another server with the same keys, and not with others.
func TestSessions(t *testing.T) {
	server, client := certified(t)
	keys := [][32]byte{{1}, {2}}
	ask := func(o *neighbour) (resumed bool) {
		c := handshake(t, o, client)
		write(t, c, query(1, "q"))
		expect(t, c, 1, "q") // behind the ticket
		resumed = c.ConnectionState().DidResume
		_ = c.Close()
		return resumed
	}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, tt := range []struct {
		keys    [][32]byte
		resumes bool
	}{{keys[:1], false}, {keys[:1], true}, {[][32]byte{keys[1], keys[0]}, true}, {[][32]byte{{3}}, false}} {
		o := beside(t, "127.0.0.1:0")
		config := server.Clone()
		config.SetSessionTicketKeys(tt.keys)
		_, shut := open(t, o, 1, secured(&echo{}, config))
		if got := ask(o); got != tt.resumes {
			t.Errorf("server %d: the session is resumed: %v, want %v", i, got, tt.resumes)
		}
		shut()
	}
}
