package patch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A patch of an image says its tag, too, and is out of date with the next one. So where only
// the registry is another one, that is said.

// newRegistry reads where images come from.
func newRegistry(raw json.RawMessage) (string, error) {
	var text struct{ Registry string }
	if kind := kindOf(raw); kind != "an object" {
		return "", fmt.Errorf("images: %s where an object with registry belongs", kind)
	}
	if err := strict(raw, &text, "registry"); err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	switch r := text.Registry; {
	case r == "":
		return "", errors.New("images: it has no registry, such as registry.example.com:5000")
	case strings.ContainsAny(r, " @") || strings.Contains(r, "://") || strings.HasPrefix(r, "/") || strings.HasSuffix(r, "/"):
		return "", fmt.Errorf("images: registry %q is no name of a registry, such as registry.example.com:5000 or registry.example.com/mirror", r)
	}
	return text.Registry, nil
}

// relocated has the images of all containers come from a registry.
func relocated(v any, registry string) {
	switch v := v.(type) {
	case map[string]any:
		for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
			list, _ := v[field].([]any)
			for _, e := range list {
				if c, ok := e.(map[string]any); ok {
					if image, ok := c["image"].(string); ok {
						c["image"] = registry + "/" + unplaced(image)
					}
				}
			}
		}
		for _, e := range v {
			relocated(e, registry)
		}
	case []any:
		for _, e := range v {
			relocated(e, registry)
		}
	}
}

// unplaced is the name of an image without its registry, which is what a client of one takes for
// that: a first part that has a dot or a port, or is localhost.
func unplaced(image string) string {
	first, rest, ok := strings.Cut(image, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return rest
	}
	return image
}
