package docs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/fedns/fedns/test/framework/vector"
)

var (
	code = regexp.MustCompile("`[^`]*`")
	link = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	// definition is the target of a link that is named elsewhere on the page.
	definition = regexp.MustCompile(`(?m)^\[[^\]]+\]: *(\S+)`)
	heading    = regexp.MustCompile(`^#{1,6} +(.*)$`)
)

// anchors are those that GitHub gives to the headings of a page.
func anchors(name, text string) map[string]bool {
	out := map[string]bool{}
	_, prose := parse(name, text)
	for _, line := range prose {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		words := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(words))
		one := slug
		for i := 1; out[one]; i++ {
			one = fmt.Sprint(slug, "-", i)
		}
		out[one] = true
	}
	return out
}

func TestAnchors(t *testing.T) {
	got := anchors("x.md", "# What *isn't* ours, is `safe`\n```sh\n# no heading\n```\n## [A](b.md) B\n## A B\n")
	for _, want := range []string{"what-isnt-ours-is-safe", "a-b", "a-b-1"} {
		if !got[want] {
			t.Errorf("no %q in %v", want, got)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d anchors: %v", len(got), got)
	}
}

// lost says what is wrong with a link of a page; "": it leads somewhere.
func lost(page, target string, read func(name string) (text string, ok bool)) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return "" // the network's
	}
	name, anchor, hasAnchor := strings.Cut(target, "#")
	to := page
	if name != "" {
		to = path.Join(path.Dir(page), name)
	}
	text, ok := read(to)
	switch {
	case path.IsAbs(name) || strings.HasPrefix(to, ".."):
		return "leads out of the repository"
	case !ok:
		return "there is no " + to
	case hasAnchor && !anchors(to, text)[anchor]:
		return "no heading of " + to + " makes this anchor"
	}
	return ""
}

func TestLost(t *testing.T) {
	pages := map[string]string{"README.md": "# Top\n", "docs/a.md": "# A page\n"}
	find := func(name string) (string, bool) { text, ok := pages[name]; return text, ok }
	for target, want := range map[string]bool{
		"#a-page": true, "a.md": true, "../README.md#top": true, "https://example.com/x": true,
		"#another": false, "b.md": false, "../a.md": false, "../README.md#bottom": false, "../../x": false, "/README.md": false,
	} {
		if got := lost("docs/a.md", target, find); (got == "") != want {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// Every link, on every page of the repository, leads somewhere.
func TestLinks(t *testing.T) {
	find := func(name string) (string, bool) {
		b, err := os.ReadFile(filepath.Join(vector.Root(), name))
		if err != nil {
			_, err = os.Stat(filepath.Join(vector.Root(), name)) // a folder
		}
		return string(b), err == nil
	}
	links := 0
	for _, page := range markdown(t) {
		_, prose := parse(page, read(t, page))
		text := code.ReplaceAllString(strings.Join(prose, "\n"), "")
		for _, m := range append(link.FindAllStringSubmatch(text, -1), definition.FindAllStringSubmatch(text, -1)...) {
			links++
			if why := lost(page, m[1], find); why != "" {
				t.Errorf("%s: link %s: %s", page, m[1], why)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links found", links)
	}
}

// Whoever reads the table of contents finds every page of the manual.
func TestContents(t *testing.T) {
	contents := read(t, "docs/README.md")
	for _, page := range manual(t) {
		name, ok := strings.CutPrefix(page, "docs/")
		if ok && name != "README.md" && !strings.Contains(contents, "]("+name+")") {
			t.Errorf("docs/README.md doesn't list %s", name)
		}
	}
}
