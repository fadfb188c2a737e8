// Package dnsname spells one DNS name one way.
//
// A Name is absolute, in lower case and in presentation form (RFC 1035 section
// 5.1), with its trailing dot. It is checked when it is made; inside the program
// a Name is always right. The package knows nothing of what a name means.
package dnsname

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of RFC 1035 section 2.3.4, in bytes on the wire.
const (
	maxLabel = 63
	maxName  = 255
)

// A Name is an absolute domain name in canonical spelling.
type Name string

// Root is the name without labels.
const Root Name = "."

// ErrLabel says that a value can't stand as one label of a host's name.
var ErrLabel = errors.New("is not one DNS label (letters, digits and inner hyphens, at most 63)")

// Parse makes a Name of s, relative or absolute, in any case.
func Parse(s string) (Name, error) {
	if s == "" {
		return "", errors.New("an empty name is not a domain name")
	}
	if s == "." {
		return Root, nil
	}
	n := Lower(s)
	if escaped(n, len(n)) {
		return "", fmt.Errorf("name %q: ends in a backslash that escapes nothing", s)
	}
	if !strings.HasSuffix(n, ".") || escaped(n, len(n)-1) {
		n += "."
	}
	wire := 1
	for l, rest, more := "", relative(n), true; more; {
		l, rest, more = cut(rest)
		size := wireLen(l)
		if size == 0 || size > maxLabel {
			return "", fmt.Errorf("name %q: label %q has %d bytes, not 1 to %d", s, l, size, maxLabel)
		}
		wire += 1 + size
	}
	if wire > maxName {
		return "", fmt.Errorf("name %q: has %d bytes on the wire, more than %d", s, wire, maxName)
	}
	return Name(n), nil
}

// Under gives the part of name (any case, absolute) that stands before the
// domain n, without the dot between them. It is "" for n itself.
func (n Name) Under(name string) (rel string, ok bool) {
	d := string(n)
	if n == Root {
		return strings.TrimSuffix(name, "."), true
	}
	cut := len(name) - len(d)
	switch {
	case cut < 0 || name[cut:] != d && !strings.EqualFold(name[cut:], d): // which is dearer than to see that they are the same
		return "", false
	case cut == 0:
		return "", true
	case name[cut-1] != '.' || escaped(name, cut-1):
		return "", false
	}
	return name[:cut-1], true
}

// Wire is the number of bytes n takes on the wire, its root label included.
func (n Name) Wire() int {
	if n == Root {
		return 1
	}
	size := 1
	for l, rest, more := "", relative(string(n)), true; more; {
		l, rest, more = cut(rest)
		size += 1 + wireLen(l)
	}
	return size
}

// Labels splits a name at its dots, leftmost label first; escaped dots stay
// inside their label. The root has none.
func Labels(s string) []string {
	if s = relative(s); s == "" {
		return nil
	}
	out := make([]string, 0, 1+strings.Count(s, "."))
	for l, more := "", true; more; {
		l, s, more = cut(s)
		out = append(out, l)
	}
	return out
}

// relative is a name without the dot at its end.
func relative(s string) string {
	if end := len(s) - 1; end >= 0 && s[end] == '.' && !escaped(s, end) {
		return s[:end]
	}
	return s
}

// cut gives the first label of a name that has no dot at its end, and the rest, if there is more.
func cut(s string) (label, rest string, more bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++ // whatever is escaped, it is no separator
		case '.':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// Label checks that s can be one label of a host's name (RFC 1123 section 2.1)
// and gives it in lower case.
func Label(s string) (string, error) {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return "", fmt.Errorf("%q %w", s, ErrLabel)
	}
	s = Lower(s)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", fmt.Errorf("%q %w", s, ErrLabel)
		}
	}
	return s, nil
}

// Compare puts names into canonical order (RFC 4034 section 6.1): by their labels, from the right. Both are in lower case, without
// escapes, and both end with a dot, or neither.
func Compare(a, b string) int {
	i, j := len(a), len(b)
	for i > 0 && j > 0 && a[i-1] == b[j-1] {
		i, j = i-1, j-1
	}
	switch { // one is above the other
	case i == 0 && j == 0:
		return 0
	case i == 0 && b[j-1] == '.':
		return -1
	case j == 0 && a[i-1] == '.':
		return 1
	}
	end := strings.IndexByte(a[i:], '.') // of the labels that differ
	if end < 0 {
		end = len(a) - i
	}
	return strings.Compare(a[strings.LastIndexByte(a[:i], '.')+1:i+end], b[strings.LastIndexByte(b[:j], '.')+1:j+end])
}

// Lower maps ASCII letters to lower case and leaves every other byte alone: DNS
// compares names so (RFC 4343), and strings.ToLower would fold Unicode too.
func Lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// escaped says whether the byte at i stands behind an odd run of backslashes.
func escaped(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// wireLen counts the bytes of a label in presentation form: \DDD and \X are one
// byte each.
func wireLen(l string) int {
	n := 0
	for i := 0; i < len(l); i++ {
		n++
		if l[i] != '\\' {
			continue
		}
		if i+3 < len(l) && isDigit(l[i+1]) && isDigit(l[i+2]) && isDigit(l[i+3]) {
			i += 3
		} else {
			i++
		}
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Append adds the name as it is on the wire.
func (n Name) Append(b []byte) []byte {
	if n == Root {
		return append(b, 0)
	}
	for l, rest, more := "", relative(string(n)), true; more; {
		l, rest, more = cut(rest)
		at := len(b)
		b = append(b, 0)
		for i := 0; i < len(l); i++ {
			c := l[i]
			if c == '\\' && i+3 < len(l) && isDigit(l[i+1]) && isDigit(l[i+2]) && isDigit(l[i+3]) {
				c, i = (l[i+1]-'0')*100+(l[i+2]-'0')*10+l[i+3]-'0', i+3
			} else if c == '\\' {
				i++
				c = l[i]
			}
			b = append(b, c)
		}
		b[at] = byte(len(b) - at - 1)
	}
	return append(b, 0)
}
