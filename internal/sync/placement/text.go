package placement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// decodeList reads a JSON list of objects with no fields but known ones. null isn't
// taken for an empty list, which selects everything.
func decodeList(s string, to any, known string) error {
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if string(bytes.TrimSpace(raw)) == "null" {
		return fmt.Errorf("null where a list of objects with %s belongs", known)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		switch typed.Type.Kind().String() {
		case "string":
			return fmt.Errorf("%s where a string of %s belongs", typed.Value, typed.Field)
		case "slice":
			if typed.Field != "" {
				return fmt.Errorf("%s where the list %s belongs", typed.Value, typed.Field)
			}
		}
		return fmt.Errorf("%s where a list of objects with %s belongs", typed.Value, known)
	}
	if err != nil {
		// encoding/json's error for unknown fields has no type of its own.
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return fmt.Errorf("unknown field %s; known are %s", field, known)
		}
	}
	return err
}

// checkKey says what is wrong with a label's or taint's key: an optional DNS name
// and /, then a name.
func checkKey(key string) error {
	prefix, name, ok := strings.Cut(key, "/")
	if !ok {
		prefix, name = "", key
	}
	switch {
	case key == "":
		return errors.New("the key is missing")
	case !isName(name):
		return fmt.Errorf("key %q: %q isn't a label's name: letters, digits, -, _ and . are allowed, 63 at most", key, name)
	case ok && !isDomain(prefix):
		return fmt.Errorf("key %q: %q isn't a DNS name in lower case", key, prefix)
	}
	return nil
}

func isName(s string) bool {
	return 0 < len(s) && len(s) <= 63 && made(s, func(c byte) bool { return alphanumeric(c) || 'A' <= c && c <= 'Z' }, "-_.")
}

func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !made(label, alphanumeric, "-") {
			return false
		}
	}
	return len(s) <= 253
}

// made says whether a string is made of the letters, and within also of others.
func made(s string, letter func(byte) bool, within string) bool {
	for i := range len(s) {
		if !letter(s[i]) && (i == 0 || i == len(s)-1 || strings.IndexByte(within, s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
