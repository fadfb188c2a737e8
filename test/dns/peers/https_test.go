package peers

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// streamed are the transports of which each has a fast path, beside datagrams and TCP.
var streamed = []string{"tls", "https", "quic", "https3"}

// overStreams is a server with an address for each transport that has connections, and who trusts it.
func overStreams(t *testing.T) (s *server.Server, at map[string]string, trust *tls.Config) {
	dir := t.TempDir()
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir, vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"))
	trust = certificate(t, dir)
	at, keys := map[string]string{}, ""
	for _, p := range streamed {
		port := vector.Port(t)
		at[p] = fmt.Sprint("127.0.0.1:", port)
		keys += fmt.Sprintf("%s://example.com:%d %[1]s://acme.test:%d ", p, port, port)
	}
	s = startFedns(t, fmt.Sprintf("example.com:PORT acme.test:PORT %s{\n bind ADDR\n tls %s/cert.pem %s/key.pem\n prometheus METRICS\n"+
		" federation prod example.com {\n%s }\n file %s acme.test\n ready READY\n}\n", keys, dir, dir, server.Members(dir, "paris"),
		write(t, dir, "db.acme", "$ORIGIN acme.test.\n@ 60 SOA ns hostmaster 1 7200 1800 86400 5\n@ 60 NS ns\nwww 42 A 192.0.2.80\n")))
	for _, p := range streamed {
		server.Eventually(t, late, "there is a fast path over "+p, func() bool { return strings.Contains(s.Log(), "fast path on "+p+"://") })
	}
	return s, at, trust
}

// TestHTTPS: what is answered over TCP is answered to the byte over TLS and QUIC, and over HTTPS by GET and by POST, HTTP/3, 2
// and 1.1; it says for how long it may be kept. What is no question is refused.
func TestHTTPS(t *testing.T) {
	s, at, trust := overStreams(t)
	version1 := &http.Transport{TLSClientConfig: trust.Clone()}
	version1.TLSClientConfig.NextProtos = []string{"http/1.1"}
	version2 := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	t.Cleanup(version1.CloseIdleConnections)
	t.Cleanup(version2.CloseIdleConnections)
	version3 := &http3.Transport{TLSClientConfig: trust.Clone()}
	t.Cleanup(func() { version3.Close() })
	byQUIC := overQUIC(t, at["quic"], trust)
	byTCP, err := dns.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer byTCP.Close()
	secured := trust.Clone()
	secured.NextProtos = []string{"dot"}
	byTLS, err := dns.DialWithTLS("tcp-tls", at["tls"], secured)
	if err != nil {
		t.Fatal(err)
	}
	defer byTLS.Close()
	raw := func(c *dns.Conn, q []byte) []byte {
		_ = c.SetDeadline(time.Now().Add(late))
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, dns.MaxMsgSize)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	for _, tt := range []struct {
		name  string
		qtype uint16
		edns  bool
		kept  string
	}{
		{"web.shop.prod.svc.example.com.", dns.TypeA, false, "180"},
		{"web.shop.prod.svc.eu-a.eu.example.com.", dns.TypeA, true, "180"},
		{"WEB.shop.prod.svc.example.com.", dns.TypeAAAA, true, "5"},
		{"none.shop.prod.svc.example.com.", dns.TypeA, true, "5"},
		{"example.com.", dns.TypeSOA, false, "3600"},
		{"www.acme.test.", dns.TypeA, true, "42"}, // by the chain
		{"none.acme.test.", dns.TypeA, false, "5"},
		{"www.example.org.", dns.TypeA, true, "0"}, // nobody's
	} {
		q := new(dns.Msg).SetQuestion(tt.name, tt.qtype)
		q.Id = 0
		if tt.edns {
			q.SetEdns0(1232, true)
		}
		b, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		want := raw(byTCP, b)
		if got := raw(byTLS, b); !bytes.Equal(got, want) {
			t.Errorf("%s: over TLS %x, over TCP %x", tt.name, got, want)
		}
		if got, err := exchange(byQUIC, b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: over QUIC %x, %v, over TCP %x", tt.name, got, err, want)
		}
		for way, via := range map[string]http.RoundTripper{"HTTP/1.1": version1, "HTTP/2.0": version2, "HTTP/3.0": version3} {
			addr := at["https"]
			if way == "HTTP/3.0" {
				addr = at["https3"]
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a, got := request(t, via, method, addr, "/dns-query", "dns="+base64.RawURLEncoding.EncodeToString(b), b)
				if a.Proto != way || a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/dns-message" || a.Header.Get("Cache-Control") != "max-age="+tt.kept {
					t.Errorf("%s by %s %s: %s %s %v, want max-age=%s", tt.name, way, method, a.Proto, a.Status, a.Header, tt.kept)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s by %s %s: %x, over TCP %x", tt.name, way, method, got, want)
				}
			}
		}
	}
	good := "dns=" + base64.RawURLEncoding.EncodeToString(make([]byte, 12))
	for _, tt := range []struct {
		method, path, query string
		body                []byte
		want                int
	}{
		{"GET", "/dns-query", "", nil, 400},
		{"GET", "/dns-query", "dns=", nil, 400},
		{"GET", "/dns-query", "dns=A", nil, 400},
		{"GET", "/dns-query", "dns=AAAB", nil, 400},
		{"GET", "/dns-query", good + "&" + good, nil, 400},
		{"GET", "/dns-query", "x=1&" + good + "==", nil, 400},
		{"GET", "/dns-query", "dns=" + strings.Repeat("A", 90_000), nil, 400},
		{"GET", "/other", good, nil, 404},
		{"PUT", "/dns-query", good, make([]byte, 12), 400},
		{"POST", "/dns-query", "", nil, 400},
		{"POST", "/dns-query", "", make([]byte, 11), 400},
		{"POST", "/dns-query", "", make([]byte, 65536), 400},
		{"POST", "/dns-query", "", make([]byte, 200_000), 400},
	} {
		for addr, via := range map[string]http.RoundTripper{at["https"]: version2, at["https3"]: version3} {
			a, body := request(t, via, tt.method, addr, tt.path, tt.query, tt.body)
			if a.StatusCode == http.StatusRequestHeaderFieldsTooLarge && len(tt.query) > dnsserver.DefaultHTTPS3MaxHeaderBytes && a.ProtoMajor == 3 {
				continue
			}
			if a.StatusCode != tt.want {
				t.Errorf("%s %s?%.40s, %d bytes, %s: %s %.40q, want %d", tt.method, tt.path, tt.query, len(tt.body), a.Proto, a.Status, body, tt.want)
			}
		}
	}
	for _, p := range streamed {
		if n := s.Metric(t, `coredns_federation_fast_questions_total{server="`+p+`://`+at[p]+`",way="fast"}`); n < 5 {
			t.Errorf("%v questions over %s were answered fast", n, p)
		}
	}
}

func request(t *testing.T, via http.RoundTripper, method, addr, path, query string, body []byte) (*http.Response, []byte) {
	t.Helper()
	url := "https://" + addr + path
	if query != "" && method != http.MethodPost {
		url += "?" + query
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/dns-message")
	a, err := (&http.Client{Transport: via, Timeout: late}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestStreamsReload: connections, over TCP, TLS, HTTPS and QUIC, outlive reloads, and none of their questions is lost.
func TestStreamsReload(t *testing.T) {
	s, at, trust := overStreams(t)
	via := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	t.Cleanup(via.CloseIdleConnections)
	via3 := &http3.Transport{TLSClientConfig: trust.Clone()}
	t.Cleanup(func() { via3.Close() })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for name, ask := range map[string]func(*dns.Msg) (*dns.Msg, error){
		"TCP": stream(t, "tcp", s.Addr, nil), "TLS": stream(t, "tcp-tls", at["tls"], trust), "HTTPS": doh(t, via, at["https"]),
		"QUIC": doq(t, at["quic"], trust), "HTTP/3": doh(t, via3, at["https3"]),
	} {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					if n == 0 {
						t.Errorf("%s: nothing was asked", name)
					}
					return
				default:
				}
				m, err := ask(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA))
				if err != nil || len(m.Answer) != 1 {
					t.Errorf("%s, question %d: %v, %v", name, n, m, err)
					return
				}
			}
		})
	}
	for range 3 {
		before := strings.Count(s.Log(), "fast path on https3://")
		s.Reload(t)
		server.Eventually(t, late, "it is reloaded", func() bool { return strings.Count(s.Log(), "fast path on https3://") > before })
	}
	close(stop)
	wg.Wait()
}

// TestQUIC: who doesn't keep to the protocol loses the connection (RFC 9250 section 4.3.3), who asks in vain that one stream only;
// and answers come in any order.
func TestQUIC(t *testing.T) {
	_, at, trust := overStreams(t)
	pack := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA)
		m.Id = 0
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := pack(func(*dns.Msg) {})
	framed := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	for _, tt := range []struct {
		name string
		sent []byte
	}{
		{"an ID", framed(pack(func(m *dns.Msg) { m.Id = 7 }))},
		{"keepalive", framed(pack(func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}}
		}))},
		{"half", framed(good)[:20]},
		{"no length", good},
		{"nothing", nil},
		{"a length of nothing", []byte{0, 0}},
		{"less than a header", framed(make([]byte, 11))},
	} {
		c := overQUIC(t, at["quic"], trust)
		if got, err := exchange(c, good); err != nil || len(got) < 12 {
			t.Fatalf("before %s: %x, %v", tt.name, got, err)
		}
		stream, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SetDeadline(time.Now().Add(late))
		if _, err := stream.Write(tt.sent); err != nil {
			t.Fatal(err)
		}
		stream.Close()
		_, err = io.ReadAll(stream)
		var ended *quic.ApplicationError
		if !errors.As(err, &ended) || ended.ErrorCode != 2 || !ended.Remote {
			t.Errorf("%s: %v, want the connection to end with DOQ_PROTOCOL_ERROR", tt.name, err)
		}
	}
	// A question that is begun holds nobody up, and neither does one that is taken back.
	c := overQUIC(t, at["quic"], trust)
	begun, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begun.Write(framed(good)[:9]); err != nil {
		t.Fatal(err)
	}
	for range 300 { // more than may be open at once
		back, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := back.Write(framed(good)[:5]); err != nil {
			t.Fatal(err)
		}
		back.CancelWrite(3)
		back.CancelRead(3)
	}
	if got, err := exchange(c, good); err != nil || len(got) < 12 {
		t.Errorf("behind one that is begun: %x, %v", got, err)
	}
	if _, err := begun.Write(framed(good)[9:]); err != nil {
		t.Fatal(err)
	}
	begun.Close()
	_ = begun.SetDeadline(time.Now().Add(late))
	if got, err := io.ReadAll(begun); err != nil || len(got) < 14 {
		t.Errorf("the one that was begun: %x, %v", got, err)
	}
	// There is always room for one connection more.
	for range 2 * dnsserver.DefaultQUICMaxConnections {
		overQUIC(t, at["quic"], trust)
	}
	if got, err := exchange(overQUIC(t, at["quic"], trust), good); err != nil || len(got) < 12 {
		t.Errorf("behind many connections: %x, %v", got, err)
	}
}
