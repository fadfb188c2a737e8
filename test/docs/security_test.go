package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// attackers and assets are those of SECURITY.md's threat model: of each pair there is a line.
var (
	attackers = []string{"whoever asks", "who forges sources", "a tenant of a namespace", "the operator of a member", "a thief of one Secret", "a neighbour on the host"}
	assets    = []string{"names", "hosts", "availability", "credentials", "other members"}
)

// aTest is how a line names a test: by its folder.
var aTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")

// Each line of the threat model says what is promised and which test holds it, or that nothing is
// promised, and why; the tests are there.
func TestThreatModel(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vector.Root(), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| attacker | asset | promised | not promised | held by |\n|---|---|---|---|---|\n")
	if !ok {
		t.Fatal("SECURITY.md has no threat model")
	}
	lines := map[[2]string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 {
			break
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		who, what, promised, not, held := cells[1], cells[2], cells[3], cells[4], aTest.FindAllStringSubmatch(cells[5], -1)
		if !slices.Contains(attackers, who) || !slices.Contains(assets, what) || lines[[2]string{who, what}] {
			t.Errorf("%s, %s: nobody knows these, or they stand twice", who, what)
		}
		lines[[2]string{who, what}] = true
		switch {
		case promised == "" && not == "":
			t.Errorf("%s, %s: nothing is said", who, what)
		case promised != "" && len(held) == 0:
			t.Errorf("%s, %s: no test holds what is promised", who, what)
		case promised == "" && len(held) > 0:
			t.Errorf("%s, %s: a test, and nothing is promised", who, what)
		}
		if n := strings.Count(cells[5], "`") / 2; n != len(held) {
			t.Errorf("%s, %s: %q names no test", who, what, cells[5])
		}
		for _, h := range held {
			if !hasTest(t, h[1], h[2]) {
				t.Errorf("%s, %s: there is no %s in %s", who, what, h[2], h[1])
			}
		}
	}
	for _, a := range attackers {
		for _, b := range assets {
			if !lines[[2]string{a, b}] {
				t.Errorf("%s, %s: there is no line", a, b)
			}
		}
	}
}

// hasTest says whether there is a test of a name in a folder.
func hasTest(t *testing.T, folder, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vector.Root(), folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(f string) bool {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nfunc "+test+"(")
	})
}
