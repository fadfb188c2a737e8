package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/pb"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestTransports: what doesn't fit a datagram comes whole over every transport that has
// streams, whatever size of datagrams the client speaks of (RFC 7766 section 8, RFC 7858,
// RFC 8484, RFC 9250 section 4.4), up to what a message can be.
func TestTransports(t *testing.T) {
	dir := t.TempDir()
	sizes := []int{1, 8, 40, 200, 2000}
	var objects []vector.Object
	want := map[int][]string{}
	for _, n := range sizes {
		ips, sorted := crowd(n)
		name := fmt.Sprint("s", n)
		objects = append(objects, vector.Service("shop", name, ips...), vector.Slice("shop", name, true, "eu-a"))
		want[n] = sorted
	}
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir, objects...)
	place{"ohio", "us", []string{"us-a"}}.write(t, dir)
	trust := certificate(t, dir)
	// Another zone of the server block, which isn't ours to answer.
	static := "$ORIGIN acme.test.\n@ 60 SOA ns hostmaster 1 7200 1800 86400 5\n@ NS ns\n"
	for _, ip := range want[200] {
		static += "many A " + ip + "\n"
	}
	// Each transport has a port of its own, so that none can be taken for another.
	at := map[string]string{}
	keys := ""
	for _, transport := range []string{"tls", "quic", "https", "https3", "grpc"} {
		port := fmt.Sprint(vector.Port(t))
		at[transport] = net.JoinHostPort("127.0.0.1", port)
		keys += " " + transport + "://example.com:" + port + " " + transport + "://acme.test:" + port
	}
	s := startFedns(t, "example.com:PORT acme.test:PORT"+keys+" {\n bind ADDR\n tls "+dir+"/cert.pem "+dir+"/key.pem\n federation prod example.com {\n"+server.Members(dir, "paris", "ohio")+
		"  answers 2000\n }\n file "+write(t, dir, "db.acme", static)+" acme.test\n ready READY\n}\n")
	for _, tt := range []struct {
		name string
		ask  func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) // on one connection
	}{
		{"TCP", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) { return stream(t, "tcp", s.Addr, nil) }},
		{"DoT", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) { return stream(t, "tcp-tls", at["tls"], trust) }},
		{"DoQ", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) { return doq(t, at["quic"], trust) }},
		{"DoH", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) {
			h := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
			t.Cleanup(h.CloseIdleConnections)
			return doh(t, h, at["https"])
		}},
		{"DoH3", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) {
			h := &http3.Transport{TLSClientConfig: trust}
			t.Cleanup(func() { h.Close() })
			return doh(t, h, at["https3"])
		}},
		{"gRPC", func(t *testing.T) func(*dns.Msg) (*dns.Msg, error) { return overGRPC(t, at["grpc"], trust) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := tt.ask(t)
			if m, err := ask(new(dns.Msg).SetQuestion("many.acme.test.", dns.TypeA)); err != nil || m.Truncated || !slices.Equal(addrs(m), want[200]) {
				t.Errorf("200 static addresses: %v, %v", m, err)
			}
			for _, n := range sizes {
				for _, edns := range []uint16{0, 512, 1232, 65535} {
					for _, scope := range []string{"", ".us-a.us"} { // which leads up, with CNAMEs
						q := new(dns.Msg).SetQuestion(fmt.Sprintf("s%d.shop.prod.svc%s.example.com.", n, scope), dns.TypeA)
						if edns > 0 {
							q.SetEdns0(edns, false)
						}
						m, err := ask(q)
						if err != nil {
							t.Fatalf("%d addresses, EDNS %d: %v", n, edns, err)
						}
						chain := 0
						if scope != "" {
							chain = 2
						}
						if m.Rcode != dns.RcodeSuccess || m.Truncated || len(server.Chain(m)) != chain || !slices.Equal(addrs(m), want[n]) {
							t.Errorf("%d addresses%s, EDNS %d: %s, TC %v, %d CNAMEs, %d addresses", n, scope, edns, dns.RcodeToString[m.Rcode], m.Truncated, len(server.Chain(m)), len(addrs(m)))
						}
						if (m.IsEdns0() != nil) != (edns > 0) {
							t.Errorf("%d addresses, EDNS %d: OPT record %v", n, edns, m.IsEdns0())
						}
					}
				}
			}
		})
	}
	// The same over UDP, for which they are too many.
	m := s.Exchange(t, "udp", new(dns.Msg).SetQuestion("s200.shop.prod.svc.example.com.", dns.TypeA))
	if !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("200 addresses over UDP: %v", m)
	}
}

// certificate makes one for 127.0.0.1, as files for a server, and who trusts it.
func certificate(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, dir, "cert.pem", string(cert))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cert) {
		t.Fatal("the certificate isn't one")
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// late is how long a busy host may take.
const late = 20 * time.Second

// stream asks over TCP, or over TLS.
func stream(t *testing.T, network, addr string, trust *tls.Config) func(*dns.Msg) (*dns.Msg, error) {
	c := &dns.Client{Net: network, Timeout: late, TLSConfig: trust}
	conn, err := c.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(q *dns.Msg) (*dns.Msg, error) {
		m, _, err := c.ExchangeWithConn(q, conn)
		return m, err
	}
}

// doq asks over QUIC.
func doq(t *testing.T, addr string, trust *tls.Config) func(*dns.Msg) (*dns.Msg, error) {
	conn := overQUIC(t, addr, trust)
	return func(q *dns.Msg) (*dns.Msg, error) {
		q.Id = 0
		b, err := q.Pack()
		if err != nil {
			return nil, err
		}
		if b, err = exchange(conn, b); err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		return m, m.Unpack(b)
	}
}

// overQUIC is a connection.
func overQUIC(t *testing.T, addr string, trust *tls.Config) *quic.Conn {
	t.Helper()
	conf := trust.Clone()
	conf.NextProtos = []string{"doq"}
	ctx, cancel := context.WithTimeout(t.Context(), late)
	defer cancel()
	conn, err := quic.DialAddr(ctx, addr, conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// exchange asks one question: in a stream of its own, with the ID 0, and at once closed behind it (RFC 9250
// sections 4.2 and 4.2.1). The server has to close it behind the answer.
func exchange(conn *quic.Conn, question []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), late)
	defer cancel()
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(late))
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(s)
	if err != nil {
		return nil, err
	}
	if len(b) < 2 || len(b) != 2+int(binary.BigEndian.Uint16(b)) {
		return nil, fmt.Errorf("%d bytes, which aren't one message behind its length", len(b))
	}
	return b[2:], nil
}

// doh asks over HTTP (RFC 8484).
func doh(t *testing.T, via http.RoundTripper, addr string) func(*dns.Msg) (*dns.Msg, error) {
	c := &http.Client{Transport: via, Timeout: late}
	return func(q *dns.Msg) (*dns.Msg, error) {
		q.Id = 0
		b, err := q.Pack()
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+addr+"/dns-query", bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/dns-message")
		a, err := c.Do(r)
		if err != nil {
			return nil, err
		}
		defer a.Body.Close()
		if b, err = io.ReadAll(a.Body); err != nil {
			return nil, err
		}
		if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/dns-message") {
			return nil, fmt.Errorf("%s: %s", a.Status, b)
		}
		m := new(dns.Msg)
		return m, m.Unpack(b)
	}
}

// overGRPC asks as CoreDNS's own clients do.
func overGRPC(t *testing.T, addr string, trust *tls.Config) func(*dns.Msg) (*dns.Msg, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := pb.NewDnsServiceClient(conn)
	return func(q *dns.Msg) (*dns.Msg, error) {
		ctx, cancel := context.WithTimeout(t.Context(), late)
		defer cancel()
		b, err := q.Pack()
		if err != nil {
			return nil, err
		}
		a, err := c.Query(ctx, &pb.DnsPacket{Msg: b})
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		return m, m.Unpack(a.Msg)
	}
}
