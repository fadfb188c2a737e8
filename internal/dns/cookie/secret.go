package cookie

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Secret keys the hash. Whoever knows it can make cookies for any address.
type Secret [16]byte

// Format keeps secrets out of logs: every verb, %x and %#v too, writes the same word.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "(secret)") }

// maxSecrets is how many secrets a file may have. A rotation needs two, and one
// that is begun before the last has ended three. More are a mistake that a flood
// would make dear: a forged cookie is hashed with every one of them.
const maxSecrets = 8

// Parse reads a file of secrets: a line each, of 32 hex digits. Blank lines are
// skipped, and what follows a #. The first secret makes cookies, all are accepted,
// so a new one reaches many servers in the steps of RFC 9018 section 5:
//
//  1. It is added as the last line, everywhere.
//  2. It is moved to the first line, everywhere.
//  3. After an hour, which no cookie outlives, the old one is taken out.
//
// Every wrong line is named in the error, and then no secret is given. What a line
// says is not in it: errors are logged, and a secret with a typing mistake is
// nearly the secret.
func Parse(text string) ([]Secret, error) {
	var out []Secret
	var lines []int // where each is from
	var errs []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		s, err := parseLine(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		if i := slices.Index(out, s); i >= 0 {
			errs = append(errs, fmt.Errorf("line %d: the same secret as in line %d; a secret stands once", n, lines[i]))
			continue
		}
		out, lines = append(out, s), append(lines, n)
	}
	switch {
	case len(errs) > 0:
	case len(out) == 0:
		errs = append(errs, errors.New("no secret; at least one line of 32 hex digits is needed"))
	case len(out) > maxSecrets:
		errs = append(errs, fmt.Errorf("line %d: a secret too many; there can be %d, and a rotation needs two", lines[maxSecrets], maxSecrets))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func parseLine(line string) (Secret, error) {
	var s Secret
	if n := utf8.RuneCountInString(line); n != hex.EncodedLen(len(s)) {
		return s, fmt.Errorf("%d characters; a secret is 32 hex digits", n)
	}
	n := 0
	for _, c := range line {
		n++
		if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return s, fmt.Errorf("character %d is not a hex digit; a secret is 32 of 0-9 and a-f", n)
		}
	}
	_, err := hex.Decode(s[:], []byte(line))
	return s, err
}
