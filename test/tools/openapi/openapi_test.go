package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fedns/fedns/plugin/federation/status"
)

// The description that is served is that of what is answered.
func TestDescription(t *testing.T) {
	const root = "../../.."
	if err := run(root, true); err != nil {
		t.Error(err)
	}
	text, err := describe(root)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths      map[string]any
		Components struct {
			Schemas map[string]struct {
				Description string
				Properties  map[string]struct{ Description string }
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, r := range status.Routes {
		if d.Paths[r.Path] == nil {
			t.Errorf("%s isn't described", r.Path)
		}
	}
	if e := d.Components.Schemas["Event"]; !strings.Contains(e.Description, "has changed") || !strings.Contains(e.Properties["before"].Description, "addresses") {
		t.Errorf("the comments are lost: %+v", e)
	}
}
