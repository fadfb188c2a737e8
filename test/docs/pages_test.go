// Package docs runs what the manual and corefile.example show: README.md, the pages
// under docs, and the plugin's own README.
//
// A page is run as its reader would run it: its Corefiles start, its commands are
// typed in their order, and what they print is what the page shows. What a page has
// to list is compared with the program, and every link has to lead somewhere.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vector.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// markdown are the paths of all pages of the repository, from its root.
func markdown(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(vector.Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(vector.Root(), path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || d.Name() == "testdata" || len(name) > 1 && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			out = append(out, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// manual are the pages that users read, and that are run.
func manual(t *testing.T) []string {
	t.Helper()
	out := slices.DeleteFunc(markdown(t), func(name string) bool {
		return name != "README.md" && name != "plugin/federation/README.md" && !strings.HasPrefix(name, "docs/")
	})
	if len(out) < 20 {
		t.Fatalf("only %d pages found: %v", len(out), out)
	}
	return out
}

// A block is fenced, with three backticks.
type block struct {
	page     string
	line     int // of the fence
	language string
	text     string // as far left as its fence
}

// parse parts a page: its fenced blocks, and the lines outside of them, with an empty one
// in the place of each that is inside.
func parse(page, text string) (blocks []block, prose []string) {
	var open *block
	var indent string
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		fence, isFence := strings.CutPrefix(strings.TrimLeft(line, " "), "```")
		switch {
		case isFence && open == nil:
			indent = line[:len(line)-len(strings.TrimLeft(line, " "))]
			open = &block{page: page, line: n, language: fence}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		default:
			prose = append(prose, line)
			continue
		}
		prose = append(prose, "")
	}
	if open != nil {
		blocks = append(blocks, block{page: page, line: open.line, language: "of no end"})
	}
	return blocks, prose
}

// blocksOf are the blocks of the manual in one language; the test fails if there is none.
func blocksOf(t *testing.T, language string) []block {
	t.Helper()
	var out []block
	for _, page := range manual(t) {
		all, _ := parse(page, read(t, page))
		for _, b := range all {
			if b.language == language {
				out = append(out, b)
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("the manual has no block of %s", language)
	}
	return out
}

// Each block says what it is, so that none escapes those who run them.
func TestBlocks(t *testing.T) {
	known := []string{"sh", "console", "corefile", "yaml", "overrides", "zone", "text", "mermaid"}
	for _, page := range manual(t) {
		all, _ := parse(page, read(t, page))
		for _, b := range all {
			// CoreDNS's pages have the syntax of a plugin in a block without a language.
			if syntax := page == "plugin/federation/README.md" && b.language == ""; !syntax && !slices.Contains(known, b.language) {
				t.Errorf("%s:%d: a block of %q; known are %s", page, b.line, b.language, strings.Join(known, ", "))
			}
		}
	}
}

// The first page is read by whoever has two minutes.
func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, of at most 150; what is more has a page under docs", n)
	}
}
