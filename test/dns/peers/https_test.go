package peers

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// overStreams is a server with an address for each transport that has connections, and who trusts it.
func overStreams(t *testing.T) (s *server.Server, tlsAddr, httpsAddr string, trust *tls.Config) {
	dir := t.TempDir()
	place{"paris", "eu", []string{"eu-a"}}.write(t, dir, vector.Service("shop", "web", "192.0.2.1"), vector.Slice("shop", "web", true, "eu-a"))
	trust = certificate(t, dir)
	tlsPort, httpsPort := vector.Port(t), vector.Port(t)
	s = startFedns(t, fmt.Sprintf("example.com:PORT acme.test:PORT tls://example.com:%d tls://acme.test:%d https://example.com:%d https://acme.test:%d {\n bind ADDR\n tls %s/cert.pem %s/key.pem\n prometheus METRICS\n"+
		" federation prod example.com {\n%s }\n file %s acme.test\n ready READY\n}\n", tlsPort, tlsPort, httpsPort, httpsPort, dir, dir, server.Members(dir, "paris"),
		write(t, dir, "db.acme", "$ORIGIN acme.test.\n@ 60 SOA ns hostmaster 1 7200 1800 86400 5\n@ 60 NS ns\nwww 42 A 192.0.2.80\n")))
	for _, p := range []string{"tls", "https"} {
		server.Eventually(t, late, "there is a fast path over "+p, func() bool { return strings.Contains(s.Log(), "fast path on "+p+"://") })
	}
	return s, fmt.Sprint("127.0.0.1:", tlsPort), fmt.Sprint("127.0.0.1:", httpsPort), trust
}

// TestHTTPS: what is answered over TCP is answered to the byte over TLS, and over HTTPS by GET and by POST, HTTP/2 and 1.1;
// it says for how long it may be kept. What is no question is refused.
func TestHTTPS(t *testing.T) {
	s, tlsAddr, httpsAddr, trust := overStreams(t)
	version1 := &http.Transport{TLSClientConfig: trust.Clone()}
	version1.TLSClientConfig.NextProtos = []string{"http/1.1"}
	version2 := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	t.Cleanup(version1.CloseIdleConnections)
	t.Cleanup(version2.CloseIdleConnections)
	byTCP, err := dns.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer byTCP.Close()
	secured := trust.Clone()
	secured.NextProtos = []string{"dot"}
	byTLS, err := dns.DialWithTLS("tcp-tls", tlsAddr, secured)
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
		for way, via := range map[string]*http.Transport{"HTTP/1.1": version1, "HTTP/2.0": version2} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a, got := request(t, via, method, httpsAddr, "/dns-query", "dns="+base64.RawURLEncoding.EncodeToString(b), b)
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
		if a, body := request(t, version2, tt.method, httpsAddr, tt.path, tt.query, tt.body); a.StatusCode != tt.want {
			t.Errorf("%s %s?%.40s, %d bytes: %s %.40q, want %d", tt.method, tt.path, tt.query, len(tt.body), a.Status, body, tt.want)
		}
	}
	if n := s.Metric(t, `coredns_federation_fast_questions_total{server="https://`+httpsAddr+`",way="fast"}`); n < 20 {
		t.Errorf("%v questions over HTTPS were answered fast", n)
	}
}

func request(t *testing.T, via *http.Transport, method, addr, path, query string, body []byte) (*http.Response, []byte) {
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

// TestStreamsReload: connections, over TCP, TLS and HTTPS, outlive reloads, and none of their questions is lost.
func TestStreamsReload(t *testing.T) {
	s, tlsAddr, httpsAddr, trust := overStreams(t)
	via := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	t.Cleanup(via.CloseIdleConnections)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for name, ask := range map[string]func(*dns.Msg) (*dns.Msg, error){
		"TCP": stream(t, "tcp", s.Addr, nil), "TLS": stream(t, "tcp-tls", tlsAddr, trust), "HTTPS": doh(t, via, httpsAddr),
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
		before := strings.Count(s.Log(), "fast path on https://")
		s.Reload(t)
		server.Eventually(t, late, "it is reloaded", func() bool { return strings.Count(s.Log(), "fast path on https://") > before })
	}
	close(stop)
	wg.Wait()
}
