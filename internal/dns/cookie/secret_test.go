package cookie

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	one = "e5e973e5a6b2a43f48e7dc849e37bfcf"
	two = "445536bcd2513298075a5d379663c962"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Secret{
		one:                           {secret(one)},
		one + "\n":                    {secret(one)},
		one + "\r\n" + two:            {secret(one), secret(two)},
		two + "\n" + one:              {secret(two), secret(one)},
		strings.ToUpper(one):          {secret(one)},
		"\n# new\n\n\t" + one:         {secret(one)},
		one + " # since May\n#" + two: {secret(one)},
		many(maxSecrets):              secrets(maxSecrets),
	} {
		got, err := Parse(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %x, %v", text, raw(got), err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "no secret; at least one line of 32 hex digits is needed",
		"# " + one:                        "no secret;",
		one[1:]:                           "line 1: 31 characters; a secret is 32 hex digits",
		"\n\n" + one + "0":                "line 3: 33 characters; a secret is 32 hex digits",
		one + " " + two:                   "line 1: 65 characters",
		"g" + one[1:]:                     "line 1: character 1 is not a hex digit; a secret is 32 of 0-9 and a-f",
		one[:31] + "é":                    "line 1: character 32 is not a hex digit",
		one + "\n#\n" + one:               "line 3: the same secret as in line 1; a secret stands once",
		one + "\n" + strings.ToUpper(one): "line 2: the same secret as in line 1",
		many(maxSecrets + 1):              "line 9: a secret too many; there can be 8, and a rotation needs two",
		one[2:] + "\n" + two + "\nx":      "line 1: 30 characters; a secret is 32 hex digits\nline 3: 1 characters",
	} {
		got, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%q: %d secrets, error %v, want %q", text, len(got), err, want)
			continue
		}
		for i := range len(one) - 4 {
			if strings.Contains(err.Error(), one[i:i+5]) {
				t.Errorf("%q: the error gives the secret away: %v", text, err)
			}
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	conf := struct{ Secrets []Secret }{[]Secret{secret(one)}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		if got := fmt.Sprintf(verb, conf); !strings.Contains(got, "(secret)") || strings.Contains(got, "e5") || strings.Contains(got, "229") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("# new\n" + one + "\n\n" + two + " # old\n")
	f.Add(one + "\r\n" + strings.ToUpper(one))
	f.Add(many(9))
	f.Add("0x" + one)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			if got != nil {
				t.Fatal("secrets and an error")
			}
			return
		}
		var lines []string
		for _, s := range raw(got) {
			lines = append(lines, hex.EncodeToString(s[:]))
		}
		again, err := Parse(strings.Join(lines, "\n"))
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q is written as %q, which reads as %x, %v", text, lines, raw(again), err)
		}
	})
}

// many is a file of n secrets, which are secrets(n).
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%032x\n", i)
	}
	return b.String()
}

func secrets(n int) []Secret {
	out := make([]Secret, n)
	for i := range out {
		out[i][15] = byte(i)
	}
	return out
}

func secret(digits string) Secret { return Secret(unhex(digits)) }

// raw is secrets that can be printed.
func raw(secrets []Secret) [][16]byte {
	var out [][16]byte
	for _, s := range secrets {
		out = append(out, s)
	}
	return out
}

func unhex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}
