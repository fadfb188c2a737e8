package ctl

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
)

// asksServer are the commands that ask a running fedns, with what they need at least.
var asksServer = []string{
	"explain web.shop", "services", "clusters", "events", "events -f", "clusters -w",
	"drain cluster/eu --reason x", "down zone/eu-a --reason x", "up service/shop/web --reason x", "failback region/eu --reason x", "undrain cluster/eu", "overrides",
}

// reachAPI are those that reach the API of a federation, or of a cluster.
var reachAPI = []string{
	"drain cluster/eu --reason x --context fed --timeout LIMIT", "drain zone/eu-a --reason x --context fed", "down zone/eu-a --reason x --context fed",
	"up service/shop/web --reason x --context fed", "failback region/eu --reason x --context fed", "undrain zone/eu-a --context fed",
	"undrain cluster/eu --context fed --timeout LIMIT", "overrides --context fed",
	"init f --host-cluster-context fed --dns-zone-name example.com --timeout LIMIT", "init f --api fed --dns-zone-name example.com --timeout LIMIT",
	"join eu --cluster-context fed --context fed --timeout LIMIT", "unjoin eu --context fed", "get clusters --context fed", "get objects --context fed", "status --context fed", "rights --context fed",
	"deinit f --host-cluster-context fed --yes --timeout LIMIT", "plan --context fed", "confirm --context fed", "adopt --context fed",
	"backup x --context fed --timeout LIMIT", "restore testdata/fed.backup --context fed --timeout LIMIT",
}

// raw is what Go and its libraries say, and nobody else should.
var raw = regexp.MustCompile(`dial tcp|read tcp|write tcp|proxyconnect|x509|EOF|context deadline|context canceled|(Get|Post|Patch|Put|Delete) "|tls: |http: |parse bytes|previous attempt|net/|lookup |json:|yaml:|unmarshal|stat |open |read /|mkdir |no such file|looking for beginning|i/o timeout|goroutine|%!|HTTP/1|CERTIFICATE`)

// complains looks at what a command that came to nothing printed.
func complains(t *testing.T, args, stdout, stderr string, code int, want ...string) {
	t.Helper()
	if code != 1 || stdout != "" {
		t.Errorf("fedctl %s: exit %d, prints\n%s%s", args, code, stdout, stderr)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "fedctl: ") && !regexp.MustCompile(`^\w+: `).MatchString(line) {
			t.Errorf("fedctl %s: a line that nobody says: %s", args, line)
		}
	}
	if n := strings.Count(stderr, "fedctl: error: "); n != 1 {
		t.Errorf("fedctl %s: says %d errors:\n%s", args, n, stderr)
	}
	if found := raw.FindString(stderr); found != "" {
		t.Errorf("fedctl %s: says %q:\n%s", args, found, stderr)
	}
	for _, w := range want {
		if !strings.Contains(stderr, w) {
			t.Errorf("fedctl %s: doesn't say %q but\n%s", args, w, stderr)
		}
	}
}

// hurry shortens what is waited for, where that is all that can happen.
func hurry(t *testing.T) {
	p, r := patience, reachTime
	patience, reachTime = 300*time.Millisecond, 300*time.Millisecond
	t.Cleanup(func() { patience, reachTime = p, r })
}

func fault(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = Run(ctx, Env{Stdout: &out, Stderr: &err, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, args)
	if ctx.Err() != nil {
		t.Errorf("fedctl %q takes for ever", args)
	}
	return out.String(), err.String(), code
}

// dead is an address at which nobody listens.
func dead(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// rude is a server that treats each connection in one way.
func rude(t *testing.T, treat func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				treat(c)
				c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func hangUp(c net.Conn) { _, _ = io.ReadAtLeast(c, make([]byte, 1), 1) }

func sayNothing(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func quiet(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

func replies(code int, kind, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	})
}

// Whatever is wrong with a fedns that is asked, each command says in words what, and
// where.
func TestServerFaults(t *testing.T) {
	secure := quiet(http.NotFoundHandler())
	secure.StartTLS()
	t.Cleanup(secure.Close)
	web := quiet(replies(200, "text/html", "<html><title>Sign in</title>"))
	web.Start()
	t.Cleanup(web.Close)
	broken := quiet(replies(502, "text/html", "<html>Bad gateway"))
	broken.Start()
	t.Cleanup(broken.Close)
	refused := dead(t)
	for _, tt := range []struct {
		name, server string
		want         []string
	}{
		{"nobody listens", refused, []string{refused, "connection refused", "does its Corefile say `status`?"}},
		{"hangs up", rude(t, hangUp), []string{"it closed the connection"}},
		{"says nothing", rude(t, sayNothing), []string{"it didn't answer in time"}},
		{"no HTTP", rude(t, func(c net.Conn) { fmt.Fprint(c, "220 mail.example.com ESMTP\r\n"); hangUp(c) }), []string{"it doesn't speak HTTP"}},
		{"TLS where none was expected", "http://" + secure.Listener.Addr().String(), []string{"can't be asked"}},
		{"no TLS where it was expected", "https://" + web.Listener.Addr().String(), []string{"it speaks HTTP, not HTTPS"}},
		{"a certificate of nobody's", secure.URL, []string{"its certificate isn't accepted: nobody who is trusted here has signed it"}},
		{"a web page", web.URL, []string{"is that the status of fedns?"}},
		{"a gateway", broken.URL, []string{"502 Bad Gateway"}},
		{"no such host", "http://fedns.invalid:8053", []string{`there is no host "fedns.invalid"`}},
		{"no such scheme", "ftp://127.0.0.1", []string{"ftp"}},
		{"no such port", "127.0.0.1:99999", []string{"99999"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "says nothing" {
				hurry(t)
			}
			for _, args := range asksServer {
				t.Run(args, func(t *testing.T) {
					t.Parallel()
					out, stderr, code := fault(t, map[string]string{"FEDNS_SERVER": tt.server}, strings.Fields(args)...)
					if code == 2 { // of a URL that can't be one
						code = 1
					}
					complains(t, args, out, stderr, code, tt.want...)
				})
			}
		})
	}
}

// certified is a server with a certificate of its own making.
func certified(t *testing.T, from, to time.Time, host string) (s *httptest.Server, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s = quiet(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// kubeconfigOf leads to a server as the context fed.
func kubeconfigOf(server string, authority []byte) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": %q, "certificate-authority-data": %q}}],
		"contexts": [{"name": "fed", "context": {"cluster": "c", "user": "u"}}, {"name": "other", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"token": "x"}}]}`, server, base64.StdEncoding.EncodeToString(authority))
}

// refuses is an API that knows nobody, or gives nobody a right.
func refuses(code int, reason, message string) http.Handler {
	return replies(code, "application/json", fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message))
}

// Whatever is wrong with an API, or with the way to it, each command says in words what,
// and where.
func TestAPIFaults(t *testing.T) {
	year := 365 * 24 * time.Hour
	now := time.Now()
	stranger, _ := certified(t, now.Add(-year), now.Add(year), "127.0.0.1")
	_, another := certified(t, now.Add(-year), now.Add(year), "127.0.0.1")
	old, oldAuthority := certified(t, now.Add(-2*year), now.Add(-year), "127.0.0.1")
	young, youngAuthority := certified(t, now.Add(year), now.Add(2*year), "127.0.0.1")
	elsewhere, elsewhereAuthority := certified(t, now.Add(-year), now.Add(year), "api.example.com")
	serve := func(h http.Handler) string {
		s := quiet(h)
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	}
	denied := serve(refuses(403, "Forbidden", `clusters.fedns.io is forbidden: User "jane" cannot list resource "clusters" in API group "fedns.io" at the cluster scope`))
	unknown := serve(refuses(401, "Unauthorized", "Unauthorized"))
	login := serve(replies(200, "text/html", "<html><title>Sign in</title></html>"))
	gateway := serve(replies(502, "text/html", "<html><title>Bad gateway</title></html>"))
	refused := dead(t)
	for _, tt := range []struct {
		name, config string
		want         []string
	}{
		{"nobody listens", kubeconfigOf("https://"+refused, nil), []string{refused, "connection refused", "does its API server run"}},
		{"hangs up", kubeconfigOf("https://"+rude(t, hangUp), nil), []string{"can't be reached: it "}}, // closed the connection, again and again, until time was over
		{"says nothing", kubeconfigOf("http://"+rude(t, sayNothing), nil), []string{"127.0.0.1:"}},
		{"no such host", kubeconfigOf("https://api.invalid:6443", nil), []string{`there is no host "api.invalid"`}},
		{"a certificate of another authority", kubeconfigOf(stranger.URL, another), []string{"its certificate isn't accepted: nobody who is trusted here has signed it"}},
		{"a certificate that has ended", kubeconfigOf(old.URL, oldAuthority), []string{"its certificate isn't accepted: it ended on " + now.Add(-year).UTC().Format("2006-01-02")}},
		{"a certificate that hasn't begun", kubeconfigOf(young.URL, youngAuthority), []string{"its certificate isn't accepted: it begins on " + now.Add(year).UTC().Format("2006-01-02")}},
		{"another's certificate", kubeconfigOf(elsewhere.URL, elsewhereAuthority), []string{"its certificate isn't accepted: it is for api.example.com, not 127.0.0.1"}},
		{"no TLS", kubeconfigOf(strings.Replace(login, "http:", "https:", 1), nil), []string{"it speaks HTTP, not HTTPS"}},
		{"no rights", kubeconfigOf(denied, nil), []string{`user "jane" may not list clusters`, "somebody with more rights"}},
		{"no longer anybody", kubeconfigOf(unknown, nil), []string{"its credentials aren't accepted (401)", "--kubeconfig and --context"}},
		{"a login page", kubeconfigOf(login, nil), []string{"Sign in", "does something stand in front of it?"}},
		{"a gateway", kubeconfigOf(gateway, nil), []string{"Bad"}},
		{"no authority at all", kubeconfigOf(stranger.URL, []byte("nonsense")), []string{"kubeconfig", "certificate-authority"}},
		{"no kubeconfig", "a: [", []string{"isn't a kubeconfig"}},
		{"another file", `{"kind": "Pod", "apiVersion": "v1"}`, []string{"isn't a kubeconfig"}},
		{"a list", `["x"]`, []string{"isn't a kubeconfig"}},
		{"an empty one", "", []string{`context "fed" isn't there`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(path, []byte(tt.config), 0o600); err != nil {
				t.Fatal(err)
			}
			ask := func(t *testing.T, args string) {
				out, stderr, code := fault(t, map[string]string{"KUBECONFIG": path}, strings.Fields(args)...)
				if tt.name == "an empty one" && strings.Contains(args, "--api") {
					complains(t, args, out, stderr, code, `"fed" leads to no API`)
					return
				}
				complains(t, args, out, stderr, code, tt.want...)
			}
			mute, limit := tt.name == "says nothing" || tt.name == "hangs up", "50s"
			if mute {
				hurry(t)
				limit = "2s" // a busy machine needs some of it to get as far
			}
			for _, args := range reachAPI {
				args = strings.Replace(args, "LIMIT", limit, 1)
				if !mute {
					ask(t, args)
					continue
				}
				if !strings.Contains(args, "--timeout") && !strings.HasPrefix(args, "plan") && !strings.HasPrefix(args, "confirm") && !strings.HasPrefix(args, "status") && !strings.HasPrefix(args, "get objects") {
					continue // they go on for half a minute
				}
				t.Run(args, func(t *testing.T) { // all that they do is wait
					t.Parallel()
					ask(t, args)
				})
			}
		})
	}
}

// A kubeconfig that isn't there, or has no such context, is named, with who named it.
func TestNoKubeconfig(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "good")
	if err := os.WriteFile(good, []byte(kubeconfigOf("https://127.0.0.1:1", nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	for _, tt := range []struct {
		env  map[string]string
		args string
		want []string
	}{
		{nil, "--kubeconfig " + none, []string{"kubeconfig " + none + " isn't there (--kubeconfig)"}},
		{map[string]string{"KUBECONFIG": none}, "", []string{"kubeconfig " + none + " isn't there (KUBECONFIG)"}},
		{map[string]string{"KUBECONFIG": none + ":" + none + "2"}, "", []string{"kubeconfig " + none + ":" + none + "2 isn't there (KUBECONFIG)"}},
		{map[string]string{"HOME": home}, "", []string{"kubeconfig " + home + "/.kube/config isn't there (the usual place)", "--kubeconfig FILE, or KUBECONFIG, says where it is"}},
		{nil, "--kubeconfig " + dir, []string{"kubeconfig " + dir + ": is a directory (--kubeconfig)"}},
		{map[string]string{"KUBECONFIG": good}, "", []string{"kubeconfig " + good + ": it has no current-context", "--context names one; it has fed, other"}},
		{map[string]string{"KUBECONFIG": good}, "--context fedd", []string{`kubeconfig ` + good + `: context "fedd" isn't there`, "did you mean fed?", "known: fed, other"}},
		{map[string]string{"KUBECONFIG": good}, "--context nothing", []string{`context "nothing" isn't there`, "known: fed, other"}},
	} {
		for _, command := range []string{"plan", "confirm", "get clusters", "unjoin eu"} {
			args := strings.TrimSpace(command + " " + tt.args)
			out, stderr, code := fault(t, tt.env, strings.Fields(args)...)
			complains(t, args, out, stderr, code, tt.want...)
		}
	}
}

// fedctl version says what both are, of whatever versions, and its own if there is no
// server.
func TestVersions(t *testing.T) {
	d := newDesk(t)
	for _, v := range []map[string]string{{"fedns": "v0.1.0", "go": "go1.26.0", "coredns": "v1.15.0"}, {"fedns": "v9.0.0"}, {"fedns": "test"}} {
		d.answers["snapshot"] = report.Snapshot{Versions: v}
		out, stderr, code := d.run("version")
		if code != 0 || stderr != "" || !strings.HasPrefix(out, "fedctl test, go") || !strings.Contains(out, "\nfedns "+v["fedns"]+" at "+d.server) {
			t.Errorf("of %v: exit %d, %s%s", v, code, out, stderr)
		}
	}
	d.server = dead(t)
	out, stderr, code := d.run("version")
	if code != 0 || !strings.HasPrefix(out, "fedctl test, go") || raw.MatchString(out+stderr) {
		t.Errorf("without a server: exit %d, %s%s", code, out, stderr)
	}
}
