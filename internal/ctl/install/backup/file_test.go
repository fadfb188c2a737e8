package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
)

// A file that isn't whole, or isn't one, says so, wherever it was cut or changed.
func TestParse(t *testing.T) {
	o := builtin.ConfigMaps.New("shop", "c")
	o.Object["data"] = map[string]any{"k": "v"}
	f := &File{Header: Header{Federation: "fed", Domain: "example.com", Fedctl: "1.2.3"}, Objects: []*kube.Object{o, builtin.ConfigMaps.New("shop", "d")}}
	text, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil || got.Federation != "fed" || len(got.Objects) != 2 || got.Digest != f.Digest || got.Objects[0].GetName() != "c" {
		t.Fatalf("it is read as %+v, %v", got, err)
	}
	for n := range text {
		if _, err := Parse(text[:n]); err == nil {
			t.Fatalf("its first %d bytes of %d are taken for all", n, len(text))
		} else if n > len(`{"format":"fedns-backup"`) && !errors.Is(err, ErrCut) {
			t.Fatalf("its first %d bytes: %v", n, err)
		}
		changed := bytes.Clone(text)
		if changed[n] ^= 1; n == len(text)-1 { // the end of the last line
			changed[n] = ' '
		}
		if _, err := Parse(changed); err == nil {
			t.Fatalf("byte %d may be another one", n)
		}
	}
	for text, want := range map[string]string{
		"":                                 "no backup",
		"\n":                               "no backup",
		"kind: Secret":                     "no backup",
		`{"kind":"List","items":[]}`:       "no backup",
		`{"format":"tar","version":1}`:     "no backup",
		`{"format":"fedns-backup"}`:        "cut short",
		`{"format":"fedns-backup"}` + "\n": "cut short",
		`{"format":"fedns-backup","version":2,"fedctl":"9.0.0"}` + "\n":                            "of version 2, made by fedctl 9.0.0; this fedctl reads up to 1",
		sealed(`{"format":"fedns-backup","version":1,"objects":1}` + "\n"):                         "has 0 objects, and says 1",
		sealed(`{"format":"fedns-backup","version":1,"objects":1}` + "\n" + `{"a":1}` + "\n"):      "line 2 isn't an object",
		sealed(`{"format":"fedns-backup","version":1,"objects":1}` + "\n" + `{"kind":"X"}` + "\n"): "line 2",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A file is read from whatever gives it; what is none isn't read to its end.
func TestRead(t *testing.T) {
	f := &File{Header: Header{Federation: "fed"}}
	text, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		from io.Reader
		want error
	}{
		{"a file", bytes.NewReader(text), nil},
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(text)), nil},
		{"nothing", strings.NewReader(""), ErrNone},
		{"a few bytes", bytes.NewReader(text[:10]), ErrNone},
		{"half of it", bytes.NewReader(text[:len(text)/2]), ErrCut},
		{"what has no end", endless{}, ErrNone},
		{"what can't be read", iotest.ErrReader(broken), broken},
		{"what can't be read to its end", io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken)), broken},
	} {
		if got, err := Read(tt.from); !errors.Is(err, tt.want) || err == nil && got.Federation != "fed" {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// endless gives the same byte for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func sealed(text string) string { return text + `{"sha256":"` + digest([]byte(text)) + "\"}\n" }
