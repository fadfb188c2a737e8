package hosted

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// authorityLife is that of the two authorities, and of what they say of servers:
	// the authorities' keys lie in the same namespace, so that shorter lives would
	// protect nothing, and only end a federation on a day nobody remembers.
	authorityLife = 10 * 365 * 24 * time.Hour
	// adminLife is that of the operator's certificate, which is copied about and
	// can't be revoked. fedctl init makes it anew.
	adminLife = 365 * 24 * time.Hour
	// renewal is how long before its end a certificate is made anew.
	renewal = 90 * 24 * time.Hour
	// backdate is for clocks that are behind.
	backdate = 5 * time.Minute
)

// A pair is a certificate and its key, both PEM.
type pair struct{ cert, key []byte }

// keys are all secrets of a federation's API.
type keys struct {
	ca, etcdCA               pair // of the API and of its etcd: who may talk to the one may not to the other
	server, etcd, etcdClient pair
	admin                    pair
	accounts                 []byte // signs the tokens of service accounts
	encryption               encryption
}

// complete makes what is missing, ends soon, or was made for other names, and
// keeps everything else.
func (k *keys) complete(federation string, names, etcdNames []string, now time.Time) (err error) {
	for _, a := range []struct {
		p    *pair
		name string
	}{{&k.ca, "federation " + federation}, {&k.etcdCA, "etcd of federation " + federation}} {
		if a.p.good(nil, nil, now) {
			continue
		}
		if *a.p, err = authority(a.name, now); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		p      *pair
		by     pair
		cn     string
		groups []string
		names  []string
		life   time.Duration
		uses   []x509.ExtKeyUsage
	}{
		{&k.server, k.ca, federation, nil, names, authorityLife, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		// etcd's gateway calls etcd itself, and shows the server's certificate.
		{&k.etcd, k.etcdCA, "etcd", nil, etcdNames, authorityLife, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
		{&k.etcdClient, k.etcdCA, "kube-apiserver", nil, nil, authorityLife, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		{&k.admin, k.ca, "fedctl", []string{"system:masters"}, nil, adminLife, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		if c.p.good(&c.by, c.names, now) {
			continue
		}
		if *c.p, err = issue(c.by, c.cn, c.groups, c.names, c.uses, now, c.life); err != nil {
			return err
		}
	}
	if len(k.accounts) == 0 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if k.accounts, err = keyPEM(key); err != nil {
			return err
		}
	}
	if len(k.encryption) == 0 {
		k.encryption = encryption{newEncryptionKey(1)}
	}
	return nil
}

// good says whether a certificate can stay: it was issued by that authority, is
// for all of the names, and isn't about to end.
func (p pair) good(by *pair, names []string, now time.Time) bool {
	c, _, err := p.parse()
	if err != nil || now.Add(renewal).After(c.NotAfter) || now.Before(c.NotBefore) {
		return false
	}
	for _, n := range names {
		if c.VerifyHostname(n) != nil {
			return false
		}
	}
	if by == nil {
		return c.IsCA
	}
	parent, _, err := by.parse()
	return err == nil && c.CheckSignatureFrom(parent) == nil
}

var errNoPair = errors.New("not a certificate and its key")

func (p pair) parse() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, _ := pem.Decode(p.cert)
	key, _ := pem.Decode(p.key)
	if cert == nil || key == nil {
		return nil, nil, errNoPair
	}
	c, err := x509.ParseCertificate(cert.Bytes)
	if err != nil {
		return nil, nil, err
	}
	k, err := x509.ParseECPrivateKey(key.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if pub, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&k.PublicKey) {
		return nil, nil, errNoPair
	}
	return c, k, nil
}

func authority(name string, now time.Time) (pair, error) {
	t := blank(name, now, authorityLife)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	return sign(t, key, t, key)
}

func issue(by pair, cn string, groups, names []string, uses []x509.ExtKeyUsage, now time.Time, life time.Duration) (pair, error) {
	parent, parentKey, err := by.parse()
	if err != nil {
		return pair{}, err
	}
	t := blank(cn, now, life)
	if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	t.Subject.Organization = groups
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, uses
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	return sign(t, key, parent, parentKey)
}

func blank(cn string, now time.Time, life time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial) // never fails: crypto/rand
	serial[0] &= 0x7f // positive
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(life),
	}
}

func sign(t *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return pair{}, fmt.Errorf("certificate of %s: %w", t.Subject.CommonName, err)
	}
	k, err := keyPEM(key)
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), k}, err
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
