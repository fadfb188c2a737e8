package hosted

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestRotation goes through a rotation from every list that it can begin with, as it is kept between two runs: what one
// API server writes, those of the list before and behind can read.
func TestRotation(t *testing.T) {
	old, err := encryptionOf(nil, bytes.Repeat([]byte{7}, 32))
	if err != nil || len(old) != 1 || old[0].name() != "first" {
		t.Fatalf("the key of before is %v, %v", old, err)
	}
	reads := func(e encryption, k encryptionKey) bool {
		return slices.ContainsFunc(e, func(o encryptionKey) bool { return o.number == k.number && bytes.Equal(o.secret, k.secret) })
	}
	written := []encryptionKey{old[0]} // keys that Secrets may lie in etcd with
	e, names := old, []string{}
	for rewritten := false; ; {
		next := e.next(rewritten)
		if slices.EqualFunc(next, e, func(a, b encryptionKey) bool { return a.number == b.number }) {
			rewritten, written = true, []encryptionKey{e[0]}
			continue
		}
		if next, err = encryptionOf(next.text(), nil); err != nil {
			t.Fatal(err)
		}
		for _, k := range append(slices.Clone(written), e[0], next[0]) {
			if !reads(next, k) {
				t.Errorf("%s doesn't read what lies there with %s", keyNames(next), k.name())
			}
		}
		if !reads(e, next[0]) {
			t.Errorf("an API server with %s doesn't read what one with %s writes", keyNames(e), keyNames(next))
		}
		e, written = next, append(written, next[0])
		names = append(names, keyNames(e))
		if len(e) == 1 {
			break
		}
	}
	if got := strings.Join(names, "; "); got != "first, key-2; key-2, first; key-2" {
		t.Errorf("the lists are %s", got)
	}
	if bytes.Equal(e[0].secret, old[0].secret) {
		t.Error("the key is the same")
	}
	if e.next(false)[1].name() != "key-3" {
		t.Error("a name comes again: Secrets in copies of etcd have it")
	}
	for _, text := range []string{"x", "1 abc", "1 " + strings.Repeat("A", 44) + "\nsecond", strings.Repeat(string(old.text()), 3)} {
		if e, err := encryptionOf([]byte(text), nil); err == nil {
			t.Errorf("%q is read as %v", text, e)
		}
	}
}
