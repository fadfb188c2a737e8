package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
)

// folders are manifests of sites, for what needs no API.
func folders(t *testing.T) []member {
	t.Helper()
	var ms []member
	for _, s := range sites {
		dir := t.TempDir()
		vector.WriteManifest(t, filepath.Join(dir, "shop.json"), vector.Node("n", s.region, s.zone),
			vector.Service("shop", "web", s.web), vector.Slice("shop", "web", true, s.zone))
		ms = append(ms, manifests(s.name, dir))
	}
	return ms
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An unknown cluster in an override is warned of; a broken file keeps the last
// good one, and its wrong line is named.
func TestOverrides(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "overrides")
	write(t, file, "drain cluster/oslo reason \"rack moves\"\n")
	s := start(t, corefile(health+" overrides "+file+"\n", folders(t)...))
	const soon = 2 * time.Second // the file is looked at twice a second
	s.becomes(t, soon, "web", "192.0.2.1 192.0.2.2")

	begin := time.Now()
	write(t, file, "drain cluster/oslo reason \"rack moves\"\ndrain cluster/nowhere reason \"typo\"\n")
	line := s.logs(t, soon, `override "cluster/nowhere": there is no cluster of this name`)
	e := look(t, s, "web", "web.no-a", "web.eu-a")
	if n := s.metric(t, "notices_total", `kind="override"`); n == 0 {
		t.Logf("notices: %v of kind override", n)
	}
	row(t, "an override names an unknown cluster", "a warning; the others hold", fmt.Sprintf("%q", line), time.Since(begin))

	begin = time.Now()
	write(t, file, "drain cluster/lyon reason \"the next rack\"\nup cluster/oslo\ndrain zone/eu-a until tomorrow reason \"soon\"\n")
	line = s.logs(t, soon, `line 2: "nothing" stands where`)
	s.logs(t, soon, `line 3: until: "tomorrow" is not a time`)
	s.logs(t, soon, "the last good ones stay")
	if n := s.metric(t, "override_errors_total"); n != 1 {
		t.Errorf("override_errors_total %v, want 1", n)
	}
	until(begin.Add(1500 * time.Millisecond)) // that is three looks
	e.unchanged(t, "web", "web.no-a", "web.eu-a")
	row(t, "a broken file of overrides", "the last good one stays, the lines are named", fmt.Sprintf("%d answers, 0 changed; %q", e.questions(), line), time.Since(begin))

	begin = time.Now()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, soon, "web", everywhere)
	row(t, "the file of overrides is removed", "no orders", "no orders", time.Since(begin))
}
