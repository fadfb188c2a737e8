package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/advice"
	"github.com/fedns/fedns/internal/kube"
)

// A file is lines of JSON: a header, an object in each line, and the digest of all that
// stands before it. So it can be looked at with whatever reads JSON, and says by itself
// whether it is whole.
const (
	format  = "fedns-backup"
	version = 1
)

// A Header says of what a file is the backup.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Federation and Domain are those of the API it was taken from, and UID is that of its
	// namespace kube-system.
	Federation string    `json:"federation"`
	Domain     string    `json:"domain"`
	UID        string    `json:"uid"`
	Server     string    `json:"server"`
	Kubernetes string    `json:"kubernetes"`
	Fedctl     string    `json:"fedctl"`
	Taken      time.Time `json:"taken"`
	// Settings are the data of the ConfigMap of the federation.
	Settings map[string]string `json:"settings"`
	Objects  int               `json:"objects"`
}

// A File is a backup.
type File struct {
	Header
	Objects []*kube.Object
	Digest  string // of all that stands in it
}

// trailer is the last line.
type trailer struct {
	SHA256 string `json:"sha256"`
}

// Bytes is the file as it is kept.
func (f *File) Bytes() ([]byte, error) {
	f.Format, f.Version, f.Header.Objects = format, version, len(f.Objects)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(f.Header); err != nil {
		return nil, err
	}
	for _, o := range f.Objects {
		if err := e.Encode(o.Object); err != nil {
			return nil, err
		}
	}
	f.Digest = digest(b.Bytes())
	err := e.Encode(trailer{f.Digest})
	return b.Bytes(), err
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// What may be wrong with a file.
var (
	ErrNone    = errors.New("it is no backup of a federation")
	ErrCut     = errors.New("it is cut short")
	ErrChanged = errors.New("it isn't as it was written: its digest is another one")
)

// Read reads a file to its end, and what is none not further than it takes to see that: a device has no end.
func Read(r io.Reader) (*File, error) {
	const begin = `{"format":"` + format + `"`
	b := bufio.NewReader(r)
	switch first, err := b.Peek(len(begin)); {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case string(first) != begin:
		return nil, ErrNone
	}
	text, err := io.ReadAll(b)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads what a file has, and checks that it is whole.
func Parse(text []byte) (*File, error) {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	f := &File{}
	if err := json.Unmarshal(first, &f.Header); err != nil || f.Format != format {
		if bytes.HasPrefix(text, []byte(`{"format":"`+format+`"`)) {
			return nil, ErrCut
		}
		return nil, ErrNone
	}
	if f.Version > version {
		return nil, advice.Errorf("take that one, or a later", "it is of version %d, made by fedctl %s; this fedctl reads up to %d", f.Version, f.Fedctl, version)
	}
	body, last := text, []byte(nil)
	if at := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n'); at >= 0 && bytes.HasSuffix(text, []byte("\n")) {
		body, last = text[:at+1], text[at+1:]
	}
	var t trailer
	if json.Unmarshal(last, &t) != nil || len(t.SHA256) != 2*sha256.Size {
		return nil, ErrCut
	}
	if f.Digest = digest(body); f.Digest != t.SHA256 {
		return nil, ErrChanged
	}
	lines := bufio.NewReader(bytes.NewReader(body[len(first)+1:]))
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		o := &kube.Object{}
		if err := o.UnmarshalJSON([]byte(line)); err != nil {
			return nil, fmt.Errorf("line %d isn't an object: %w", len(f.Objects)+2, err)
		}
		if o.GetName() == "" || strings.TrimSpace(o.GetAPIVersion()) == "" {
			return nil, fmt.Errorf("line %d is an object without a name or a version", len(f.Objects)+2)
		}
		f.Objects = append(f.Objects, o)
	}
	if len(f.Objects) != f.Header.Objects {
		return nil, fmt.Errorf("it has %d objects, and says %d", len(f.Objects), f.Header.Objects)
	}
	return f, nil
}
