package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/test/framework/vector"
)

// Every way that is measured has its row in docs/performance.md, in each of the two tables, and each server its column.
func TestWaysAreTold(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vector.Root(), "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Every way in\n")
	if !ok {
		t.Fatal("docs/performance.md: there is no section \"Every way in\"")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	heads := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		switch {
		case len(cells) < 3 || strings.HasPrefix(cells[1], "--"):
		case strings.TrimSpace(cells[1]) == "":
			heads++
			for _, server := range []string{"fedns", "`fast off`", "NSD", "Knot", "BIND"} {
				if !strings.Contains(line, server) {
					t.Errorf("a table has no column of %s", server)
				}
			}
		default:
			rows = append(rows, strings.TrimSpace(cells[1]))
		}
	}
	if heads != 2 {
		t.Errorf("%d tables, want what an answer costs, and how long it takes", heads)
	}
	for _, w := range ways {
		if n := len(rows) - len(slices.DeleteFunc(slices.Clone(rows), func(r string) bool { return r == w.name })); n != 2 {
			t.Errorf("%q has %d rows", w.name, n)
		}
	}
}

// What the asker prints is read.
func TestPace(t *testing.T) {
	var took []time.Duration
	for i := range 1000 {
		took = append(took, time.Duration(i)*time.Microsecond)
	}
	got, err := readPace("Latency (us): " + quantilesOf(took) + "\nLost: 0 of 1000\n")
	if want := [3]float64{500, 990, 999}; err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err := readPace("Queries completed: 1"); err == nil {
		t.Error("a report without latency is read")
	}
}
