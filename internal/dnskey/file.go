package dnskey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/inputfile"
)

// What ends the names of a key's two files.
const (
	publicFile  = ".key"
	privateFile = ".private"
)

// maxKeys bounds how many keys are read: more than any rollover needs, of as many zones as a server
// has.
const maxKeys = 1000

// Files are the paths of the keys that a path stands for: of a folder all in it, else that of one
// key, with or without what ends its name. What a file of a folder is called doesn't matter: Secrets
// of Kubernetes can't have a + in their names.
func Files(path string) (bases []string, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		for _, end := range []string{publicFile, privateFile} {
			path = strings.TrimSuffix(path, end)
		}
		return []string{path}, nil // reading it says what is wrong
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if base, ok := strings.CutSuffix(e.Name(), publicFile); ok {
			bases = append(bases, filepath.Join(path, base))
		} else if base, ok := strings.CutSuffix(e.Name(), privateFile); ok {
			if _, err := os.Stat(filepath.Join(path, base+publicFile)); err != nil {
				return nil, fmt.Errorf("%q: there is no %s beside it", filepath.Join(path, e.Name()), base+publicFile)
			}
		}
	}
	if len(bases) == 0 {
		return nil, fmt.Errorf("%q: there is no key in it, that is, no file whose name ends in %s", path, publicFile)
	}
	if len(bases) > maxKeys {
		return nil, fmt.Errorf("%q: has %d keys, more than the %d that are read", path, len(bases), maxKeys)
	}
	return bases, nil
}

// Load reads all keys that paths stand for: folders, or files of single keys. One that everybody may read is none.
func Load(paths ...string) (keys []*Key, err error) {
	return load(errors.New, paths)
}

// LoadExposed reads them, too, where everybody may read them, and warns of that.
func LoadExposed(warn func(why string), paths ...string) (keys []*Key, err error) {
	return load(func(why string) error { warn(why); return nil }, paths)
}

func load(exposed func(why string) error, paths []string) (keys []*Key, err error) {
	for _, p := range paths {
		bases, err := Files(p)
		if err != nil {
			return nil, err
		}
		for _, b := range bases {
			k, err := read(b, exposed)
			if err != nil {
				return nil, err
			}
			if i := slices.IndexFunc(keys, func(o *Key) bool { return o.Zone == k.Zone && bytes.Equal(o.Data(), k.Data()) }); i >= 0 {
				if keys[i].Path == k.Path {
					continue // named twice
				}
				return nil, fmt.Errorf("%q and %q are the same key", keys[i].Path, k.Path)
			}
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// read reads one key from its two files. Without a private one it is only published.
func read(base string, exposed func(why string) error) (*Key, error) {
	text, err := inputfile.Read(base+publicFile, inputfile.Secrets)
	if err != nil {
		return nil, err
	}
	k, err := parsePublic(string(text))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", base+publicFile, err)
	}
	k.Path = base
	secret, err := readSecret(base+privateFile, exposed)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	if err := k.parsePrivate(string(secret)); err != nil {
		return nil, fmt.Errorf("%q: %w", base+privateFile, err)
	}
	return k, nil
}

// readableByAll is the bit of a file's mode. Other systems than Unix have none.
const readableByAll = 0o004

// readSecret reads a file that not everybody is to be able to read.
func readSecret(path string, exposed func(why string) error) ([]byte, error) {
	f, err := inputfile.Open(path, inputfile.Secrets)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&readableByAll != 0 && runtime.GOOS != "windows" {
		why := fmt.Sprintf("%q: its mode %#o lets everybody read it: chmod 0400 it (of a Secret's volume: defaultMode: 0400, or 0440 with fsGroup)", path, mode)
		if err := exposed(why); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, inputfile.Secrets))
}

// parsePublic reads a file with a DNSKEY record; its comments have the dates.
func parsePublic(text string) (*Key, error) {
	k := &Key{}
	found := false
	for line := range strings.Lines(text) {
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), ";"); ok {
			if name, value, ok := strings.Cut(comment, ":"); ok {
				if err := k.Dates.date(strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
					return nil, err
				}
			}
			continue
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if found {
			return nil, errors.New("has more than one record; a file has one key")
		}
		found = true
		if err := k.record(fields); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, errors.New("has no DNSKEY record")
	}
	return k, nil
}

// record reads the fields of a record: NAME [TTL] [IN] DNSKEY FLAGS 3 ALGORITHM KEY...
func (k *Key) record(fields []string) (err error) {
	if k.Zone, err = dnsname.Parse(fields[0]); err != nil {
		return err
	}
	at := slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(f, "DNSKEY") })
	if at < 1 || len(fields) < at+5 {
		return errors.New("has no DNSKEY record, such as: example.com. IN DNSKEY 257 3 13 BASE64")
	}
	for _, f := range fields[1:at] {
		if strings.EqualFold(f, "IN") {
			continue
		}
		ttl, err := strconv.ParseUint(f, 10, 31)
		if err != nil {
			return fmt.Errorf("%q is no TTL in seconds", f)
		}
		k.TTL = uint32(ttl)
	}
	flags, err := strconv.ParseUint(fields[at+1], 10, 16)
	if err != nil || flags&flagZone == 0 {
		return fmt.Errorf("flags %q are none of a zone's key: 256 or 257", fields[at+1])
	}
	k.Flags = uint16(flags)
	if fields[at+2] != "3" {
		return fmt.Errorf("protocol %q is not 3", fields[at+2])
	}
	n, err := strconv.ParseUint(fields[at+3], 10, 8)
	if k.Algorithm = Algorithm(n); err != nil || k.size() == 0 {
		return fmt.Errorf("algorithm %q isn't one that is signed with here: 13 (ECDSAP256SHA256) or 15 (ED25519)", fields[at+3])
	}
	if k.Public, err = base64.StdEncoding.DecodeString(strings.Join(fields[at+4:], "")); err != nil {
		return fmt.Errorf("the key isn't base64: %w", err)
	}
	if len(k.Public) != k.size() {
		return fmt.Errorf("the key has %d bytes; one of algorithm %d has %d", len(k.Public), k.Algorithm, k.size())
	}
	return nil
}

// size is how many bytes a public key has; 0: the algorithm isn't known here.
func (k *Key) size() int {
	switch k.Algorithm {
	case ECDSAP256SHA256:
		return 64
	case ED25519:
		return ed25519.PublicKeySize
	}
	return 0
}

// parsePrivate reads the private part, and the dates.
func (k *Key) parsePrivate(text string) error {
	var dates Dates
	secret, algorithm, format := "", "", ""
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch name, value = strings.TrimSpace(name), strings.TrimSpace(value); name {
		case "PrivateKey":
			secret = value
		case "Algorithm":
			algorithm, _, _ = strings.Cut(value, " ")
		case "Private-key-format":
			format = value
		default:
			if err := dates.date(name, value); err != nil {
				return err
			}
		}
	}
	switch {
	case !strings.HasPrefix(format, "v1."):
		return errors.New("isn't a key as dnssec-keygen writes it: its first line is to be Private-key-format: v1.3")
	case algorithm != strconv.Itoa(int(k.Algorithm)):
		return fmt.Errorf("algorithm %q isn't that of the %s file, %d", algorithm, publicFile, k.Algorithm)
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return errors.New("has no PrivateKey in base64")
	}
	if k.Signer, err = k.Algorithm.signer(raw); err != nil {
		return err
	}
	if public, err := publicOf(k.Signer); err != nil || !bytes.Equal(public, k.Public) {
		return fmt.Errorf("isn't the private part of the key in the %s file", publicFile)
	}
	k.Dates = dates
	return nil
}

// signer makes a key of its private part.
func (a Algorithm) signer(raw []byte) (crypto.Signer, error) {
	if a == ED25519 {
		if len(raw) != ed25519.SeedSize {
			return nil, fmt.Errorf("has a PrivateKey of %d bytes, not %d", len(raw), ed25519.SeedSize)
		}
		return ed25519.NewKeyFromSeed(raw), nil
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fmt.Errorf("has a PrivateKey that is none: %w", err)
	}
	return key, nil
}

// publicOf is the public part as a record has it.
func publicOf(s crypto.Signer) ([]byte, error) {
	switch s := s.(type) {
	case ed25519.PrivateKey:
		return s.Public().(ed25519.PublicKey), nil
	case *ecdsa.PrivateKey:
		b, err := s.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		return b[1:], nil // without what says that it isn't compressed (RFC 6605 section 4)
	}
	return nil, fmt.Errorf("a key of type %T", s)
}
