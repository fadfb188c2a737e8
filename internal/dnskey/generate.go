package dnskey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// Generate makes a key: one that the parent points to, or another.
func Generate(zone dnsname.Name, a Algorithm, entry bool, ttl uint32, dates Dates) (*Key, error) {
	k := &Key{Zone: zone, Algorithm: a, Flags: flagZone, TTL: ttl, Dates: dates}
	if entry {
		k.Flags |= flagEntry
	}
	var err error
	switch a {
	case ED25519:
		_, k.Signer, err = newEd25519()
	case ECDSAP256SHA256:
		k.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("%s isn't one that is signed with here: 13 (ECDSAP256SHA256) or 15 (ED25519)", a)
	}
	if err != nil {
		return nil, err
	}
	k.Public, err = publicOf(k.Signer)
	return k, err
}

func newEd25519() (crypto.PublicKey, crypto.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return public, private, err
}

// Write writes the files of a key into a folder, as dnssec-keygen does, and says what they are
// called. A key that is there is never written over.
func (k *Key) Write(folder string) (base string, err error) {
	base = filepath.Join(folder, k.FileName())
	private, err := k.privateText()
	if err != nil {
		return "", err
	}
	// The private one first: a server that finds only the other would publish what nobody signs with.
	for _, f := range []struct {
		end, text string
		mode      os.FileMode
	}{{privateFile, private, 0o400}, {publicFile, k.publicText(), 0o444}} {
		file, err := os.OpenFile(base+f.end, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if err != nil {
			return "", err
		}
		_, err = file.WriteString(f.text)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", err
		}
	}
	k.Path = base
	return base, nil
}

func (k *Key) publicText() string {
	var b strings.Builder
	kind := "zone"
	if k.Entry() {
		kind = "key"
	}
	fmt.Fprintf(&b, "; This is a %s-signing key, keyid %d, for %s\n", kind, k.Tag(), k.Zone)
	for _, f := range k.Dates.fields() {
		if !f.at.IsZero() {
			fmt.Fprintf(&b, "; %s: %s (%s)\n", f.name, f.at.UTC().Format(dateForm), f.at.UTC().Format(time.ANSIC))
		}
	}
	fmt.Fprintln(&b, k.Record())
	return b.String()
}

func (k *Key) privateText() (string, error) {
	var raw []byte
	switch s := k.Signer.(type) {
	case ed25519.PrivateKey:
		raw = s.Seed()
	case *ecdsa.PrivateKey:
		var err error
		if raw, err = s.Bytes(); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("key %s has no private part", k)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Private-key-format: v1.3\nAlgorithm: %d (%s)\nPrivateKey: %s\n", k.Algorithm, k.Algorithm, base64.StdEncoding.EncodeToString(raw))
	for _, f := range k.Dates.fields() {
		if !f.at.IsZero() {
			fmt.Fprintf(&b, "%s: %s\n", f.name, f.at.UTC().Format(dateForm))
		}
	}
	return b.String(), nil
}
