package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// pair writes a certificate that signs itself, and its key.
func pair(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"ns.example.com"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// read sets up what is written in a server block whose root is dir.
func read(t *testing.T, dir, block string) (*tls.Config, *caddy.Controller, error) {
	t.Helper()
	c := caddy.NewTestController("dns", block)
	config := dnsserver.GetConfig(c)
	config.Root = dir
	err := setup(c)
	return config.TLSConfig, c, err
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	for block, want := range map[string]string{
		"tls":                                   "aren't got by ACME",
		"tls {\nacme ns.example.com\n}":         "name its files: tls CERT KEY [CA]",
		"tls cert.pem":                          "1 files; it is: tls CERT KEY [CA]",
		"tls cert.pem key.pem cert.pem key.pem": "4 files",
		"tls cert.pem key.pem {\nacme ns.example.com\n}": `no option "acme"; there are client_auth and keylog`,
		"tls cert.pem key.pem {\nclient_auth\n}":         "client_auth has one value, not 0",
		"tls cert.pem key.pem {\nclient_auth maybe\n}":   `client_auth "maybe" isn't known; there are nocert, request, require, require_and_verify, verify_if_given`,
		"tls cert.pem key.pem {\nkeylog a b\n}":          "keylog has one value, not 2",
		"tls cert.pem key.pem {\nkeylog none/keys\n}":    "none/keys",
		"tls cert.pem missing.pem":                       "missing.pem",
		"tls key.pem cert.pem":                           "may have been switched",
		"tls cert.pem key.pem missing.pem":               "missing.pem",
		"tls cert.pem key.pem\ntls cert.pem key.pem":     "has a certificate already",
	} {
		if _, _, err := read(t, dir, block); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
}

// TestClients: who has to show a certificate, and which are believed.
func TestClients(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	other := t.TempDir()
	pair(t, other)
	for _, tt := range []struct {
		block                 string
		none, known, stranger bool
	}{
		{"tls cert.pem key.pem", true, true, true},
		{"tls cert.pem key.pem cert.pem", true, true, true},
		{"tls cert.pem key.pem cert.pem {\nclient_auth nocert\n}", true, true, true},
		{"tls cert.pem key.pem cert.pem {\nclient_auth request\n}", true, true, true},
		{"tls cert.pem key.pem cert.pem {\nclient_auth require\n}", false, true, true},
		{"tls cert.pem key.pem cert.pem {\nclient_auth verify_if_given\n}", true, true, false},
		{"tls cert.pem key.pem cert.pem {\nclient_auth require_and_verify\n}", false, true, false},
	} {
		config, _, err := read(t, dir, tt.block)
		if err != nil {
			t.Errorf("%q: %v", tt.block, err)
			continue
		}
		if config.MinVersion != tls.VersionTLS12 {
			t.Errorf("%q: TLS %x is accepted", tt.block, config.MinVersion)
		}
		for who, want := range map[string]bool{"": tt.none, dir: tt.known, other: tt.stranger} {
			if err := greet(t, config, who); (err == nil) != want {
				t.Errorf("%q: a client with the certificate in %q: %v", tt.block, who, err)
			}
		}
	}
}

// greet is the handshake with a client that has the certificate in a folder; "": it has
// none.
func greet(t *testing.T, config *tls.Config, folder string) error {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	client := &tls.Config{InsecureSkipVerify: true}
	if folder != "" {
		cert, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	go func() {
		c := tls.Client(a, client)
		if c.Handshake() == nil {
			_, _ = c.Read(make([]byte, 1)) // until the server has what a client sends last
		}
	}()
	return tls.Server(b, config).Handshake()
}

func TestKeylog(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	config, _, err := read(t, dir, "tls cert.pem key.pem {\nkeylog keys\n}")
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(t, config, ""); err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil || !strings.Contains(string(keys), "SERVER_TRAFFIC_SECRET_0") {
		t.Errorf("keys: %q, %v", keys, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "keys")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keys: %v, %v", info.Mode(), err)
	}
}
