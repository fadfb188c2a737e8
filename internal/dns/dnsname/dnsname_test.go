package dnsname

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct{ in, want, err string }{
		{"example.com", "example.com.", ""},
		{"Example.COM.", "example.com.", ""},
		{".", ".", ""},
		{`a\.b.example`, `a\.b.example.`, ""},
		{`end\.`, `end\..`, ""},
		{long + ".example", long + ".example.", ""},
		{long + "a.example", "", "64 bytes"},
		{"a..example", "", "0 bytes"},
		{"", "", "empty name"},
		{strings.Repeat(long+".", 4), "", "more than 255"},
		{strings.Repeat(`\097`, 63) + ".example", strings.Repeat(`\097`, 63) + ".example.", ""},
	} {
		got, err := Parse(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Parse(%q): error %v, want one with %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("Parse(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		domain Name
		name   string
		rel    string
		ok     bool
	}{
		{"example.com.", "example.com.", "", true},
		{"example.com.", "WWW.Example.Com.", "WWW", true},
		{"example.com.", "a.b.example.com.", "a.b", true},
		{"example.com.", "notexample.com.", "", false},
		{"example.com.", `a\.example.com.`, "", false}, // one label with a dot in it
		{"example.com.", `a\\.example.com.`, `a\\`, true},
		{"example.com.", "com.", "", false},
		{".", "a.b.", "a.b", true},
	} {
		rel, ok := tt.domain.Under(tt.name)
		if rel != tt.rel || ok != tt.ok {
			t.Errorf("%q.Under(%q) = %q, %v, want %q, %v", tt.domain, tt.name, rel, ok, tt.rel, tt.ok)
		}
	}
}

func TestLabels(t *testing.T) {
	for in, want := range map[string][]string{
		".":           nil,
		"":            nil,
		"a.b.c.":      {"a", "b", "c"},
		`x\.y.b`:      {`x\.y`, "b"},
		`x\\.y.b`:     {`x\\`, "y", "b"},
		`\000.nginx.`: {`\000`, "nginx"},
		`\.`:          {`\.`}, // a label that is a dot: nothing ends with it
		`a.\.`:        {"a", `\.`},
		`\\.`:         {`\\`},
	} {
		if got := Labels(in); !slices.Equal(got, want) {
			t.Errorf("Labels(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLabel(t *testing.T) {
	for _, good := range []string{"us-central1", "EU", "1", strings.Repeat("a", 63)} {
		if got, err := Label(good); err != nil || got != strings.ToLower(good) {
			t.Errorf("Label(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "a.b", "a_b", "-a", "a-", strings.Repeat("a", 64), "ü"} {
		if _, err := Label(bad); !errors.Is(err, ErrLabel) {
			t.Errorf("Label(%q): error %v, want ErrLabel", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.com", `a\.b`, `\`, `\0`, "..", strings.Repeat("a.", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(string(n)); err != nil || again != n {
			t.Fatalf("Parse(%q) = %q, which parses as %q, %v", s, n, again, err)
		}
		if n.Wire() > maxName {
			t.Fatalf("%q has %d bytes", n, n.Wire())
		}
		if rel, ok := n.Under(string(n)); !ok || (rel != "" && n != Root) {
			t.Fatalf("%q is not under itself: %q %v", n, rel, ok)
		}
	})
}

// The names of RFC 4034 section 6.1 that need no escapes, and more, are in their order, whichever two are compared.
func TestCompare(t *testing.T) {
	sorted := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "a-b.example.", "ab.example.", "z.ab.example.", "z.example.", "*.z.example.", "x.*.z.example.", "-.z.example.", "a.example2."}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := Compare(a, b); got != cmp.Compare(i, j) {
				t.Errorf("%s, %s: %d", a, b, got)
			}
			if a, b := strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."); Compare(a, b) != cmp.Compare(i, j) {
				t.Errorf("%s, %s: %d", a, b, Compare(a, b))
			}
		}
	}
}
