package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Who asks by a name that a stranger may have given this server's address is sent away, and so is
// another site's page; of what is answered no other site may read.
func TestStatusHosts(t *testing.T) {
	s := shop(t).telling("federation fed {\n" + both + "status host fedns.example.org\n}")
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for host, code := range map[string]int{
		"127.0.0.1:8053": 200, "[::1]:8053": 200, "localhost:8053": 200, "192.0.2.1": 200, "2001:db8::1": 200, "": 200, own: 200, "fedns": 200, "fedns.federation-system.svc:8053": 200,
		"fedns.federation-system.svc.cluster.local": 200, "FEDNS.example.org.:1": 200, "status.example.com": 200,
		"evil.test": 421, "evil.test:8053": 421, "example.org": 421, "fedns.example.org.evil.test": 421, "127.0.0.1.evil.test:8053": 421, "svc.evil.test": 421, strings.Repeat("a.", 5000): 421,
	} {
		for _, path := range []string{"/", "/why", "/static/page.js", "/api/v1/clusters", "/nothing"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, r)
			if (rec.Code == 421) != (code == 421) || rec.Header().Get("Access-Control-Allow-Origin") != "" || rec.Body.Len() > 100_000 {
				t.Errorf("%.80q %s: %d, want %d; %v", host, path, rec.Code, code, rec.Header())
			}
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/clusters", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	rec := httptest.NewRecorder()
	if s.ServeHTTP(rec, r); rec.Code != http.StatusForbidden {
		t.Errorf("another site: %d", rec.Code)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate") // a link from the incident channel
	rec = httptest.NewRecorder()
	if s.ServeHTTP(rec, r); rec.Code != http.StatusOK {
		t.Errorf("a link: %d", rec.Code)
	}
}

// A token has to be shown as programs or browsers do; the file is read anew, and one that is wrong lets
// nobody in.
func TestStatusToken(t *testing.T) {
	w := shop(t)
	const token = "0123456789abcdef0123"
	file := w.write("token", token+"\n")
	s := w.telling("federation fed {\n" + both + "status token " + file + "\n}")
	get := func(set func(*http.Request)) int {
		r := httptest.NewRequest("GET", "/", nil)
		set(r)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code == 401 && !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%v", rec.Header())
		}
		return rec.Code
	}
	for _, tt := range []struct {
		name string
		set  func(*http.Request)
		code int
	}{
		{"nothing", func(*http.Request) {}, 401},
		{"a bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, 200},
		{"a password", func(r *http.Request) { r.SetBasicAuth("me", token) }, 200},
		{"another", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"x") }, 401},
		{"an empty one", func(r *http.Request) { r.SetBasicAuth("me", "") }, 401},
	} {
		if code := get(tt.set); code != tt.code {
			t.Errorf("%s: %d, want %d", tt.name, code, tt.code)
		}
	}
	right := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	w.write("token", "another, which is long enough")
	if code := get(right); code != 401 {
		t.Errorf("one that was replaced: %d", code)
	}
	w.write("token", "")
	if code := get(right); code != 503 {
		t.Errorf("an empty file: %d", code)
	}
}

// An API of Kubernetes says whose a token is, and what that one may get; its word is gone by for a moment.
func TestStatusReview(t *testing.T) {
	w := shop(t)
	asked := 0
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		var o struct {
			Spec struct {
				Token, User           string
				Groups                []string
				NonResourceAttributes struct{ Path, Verb string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			t.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/tokenreviews") && (o.Spec.Token == "jane's" || o.Spec.Token == "joe's"):
			name := strings.TrimSuffix(o.Spec.Token, "'s")
			fmt.Fprintf(rw, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,"user":{"username":%q,"groups":["ops"]}}}`, name)
		case strings.HasSuffix(r.URL.Path, "/tokenreviews"):
			fmt.Fprint(rw, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"error":"who?"}}`)
		case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
			may := o.Spec.User == "jane" && o.Spec.NonResourceAttributes.Verb == "get" && o.Spec.NonResourceAttributes.Path != "/fedns/events" && strings.HasPrefix(o.Spec.NonResourceAttributes.Path, "/fedns/") && len(o.Spec.Groups) == 1
			fmt.Fprintf(rw, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%v}}`, may)
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(api.Close)
	file := w.write("kubeconfig", fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"t"}}]}`, api.URL))
	s := w.telling("federation fed {\n" + both + "status review " + file + " c\n}")
	get := func(path, token string) (int, string) {
		r := httptest.NewRequest("GET", path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	for _, tt := range []struct {
		path, token string
		code        int
		says        string
	}{{"/", "jane's", 200, "Clusters"}, {"/events", "jane's", 403, `jane may not get \"/fedns/events\"`}, {"/", "joe's", 403, "joe may not get"}, {"/", "nobody's", 401, "has to be shown"}, {"/", "", 401, "has to be shown"}} {
		if code, body := get(tt.path, tt.token); code != tt.code || !strings.Contains(body, tt.says) {
			t.Errorf("%s with %q: %d %.300s", tt.path, tt.token, code, body)
		}
	}
	before := asked
	for range 20 {
		get("/", "jane's")
	}
	if asked > before+4 { // on a slow machine its time may be over
		t.Errorf("asked %d times", asked-before)
	}
	api.Close()
	if code, body := get("/why", "jane's"); code != 503 || !strings.Contains(body, "can't be asked") {
		t.Errorf("without the API: %d %s", code, body)
	}
}

func TestStatusOptions(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	short, long := file("short", "abc"), file("long", "0123456789abcdef")
	for _, tt := range []struct{ line, want string }{
		{"status", ""}, {"status 127.0.0.1:9000 host a.example.org b", ""}, {"status token " + long, ""},
		{"status token " + short, "at least 16 characters"}, {"status token " + dir + "/none", "none"}, {"status token", "needs at most one address"},
		{"status tls a", "needs at most one address"}, {"status 127.0.0.1:9000 127.0.0.2:9000", "needs at most one address"},
		{"status tls " + dir + "/cert " + dir + "/key", "tls: " + dir + "/cert"}, {"status host", "needs at most one address"},
	} {
		_, err := parsed(t, "federation a {\n"+both+tt.line+"\n}")
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.line, err, tt.want)
		}
	}
	stanzas, err := parsed(t, "federation a {\n"+both+"status 127.0.0.1:9000\n}\nfederation b {\n"+both+"status 127.0.0.1:9001 token "+long+"\n}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accessOf(stanzas); err == nil || !strings.Contains(err.Error(), "share who may look") {
		t.Errorf("error %v", err)
	}
}

// certify makes a certificate for 127.0.0.1, signed by itself or by an authority, with its files.
func certify(t *testing.T, dir, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := c, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Over TLS a client shows a certificate of the authority's, or sees nothing; a certificate that is made anew
// is shown from then on.
func TestStatusTLS(t *testing.T) {
	w := shop(t)
	ca := certify(t, w.dir, "ca", nil)
	client := certify(t, w.dir, "client", &ca)
	certify(t, w.dir, "server", &ca)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	s := w.telling("federation fed {\n" + both + "status " + addr + " tls DIR/server.crt DIR/server.key DIR/ca.crt\n}")
	if err := proc.showStatus(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proc.hideStatus(s) })
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	get := func(scheme string, certs ...tls.Certificate) (*http.Response, error) {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}}}
		r, err := c.Get(scheme + "://" + addr + "/")
		if err == nil {
			r.Body.Close()
		}
		return r, err
	}
	r, err := get("https", client)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%v, error %v", r, err)
	}
	if r.Proto != "HTTP/2.0" {
		t.Errorf("by %s, of which a browser has six connections", r.Proto)
	}
	first := r.TLS.PeerCertificates[0].SerialNumber
	if _, err := get("https"); err == nil {
		t.Error("without a certificate it is answered")
	}
	if r, err := get("http"); err == nil && r.StatusCode == http.StatusOK {
		t.Error("without TLS it is answered")
	}
	certify(t, w.dir, "server", &ca)
	await(t, "the new certificate is shown", func() bool {
		r, err := get("https", client)
		return err == nil && r.TLS.PeerCertificates[0].SerialNumber.Cmp(first) != 0
	})
}

// So many connections at once, and one that is closed makes room, once.
func TestStatusPlaces(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	l := securable{tcp, &atomic.Pointer[tls.Config]{}, make(chan struct{}, 1)}
	for range 3 {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range 3 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if len(l.places) != 1 {
			t.Errorf("%d places are taken", len(l.places))
		}
		for range 2 {
			_ = c.Close() // the second time it is closed already
		}
	}
	if len(l.places) != 0 {
		t.Errorf("%d places are taken by nobody", len(l.places))
	}
}
