// Picture draws the packages of this repository and who imports whom, as a Mermaid
// flowchart between two marks of ARCHITECTURE.md. With -check it changes nothing, and
// fails if the picture there is another.
package main

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	module = "github.com/fedns/fedns/"
	page   = "ARCHITECTURE.md"
	begin  = "<!-- picture -->\n"
	end    = "<!-- /picture -->"
)

func main() {
	check := flag.Bool("check", false, "fail if the picture is stale, and change nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	imports, err := read("cmd", "plugin", "internal")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("%w; it is run in the repository's root", err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s: needs %q and %q, between which the picture goes", page, strings.TrimSpace(begin), end)
	}
	next := before + begin + draw(imports) + end + after
	switch {
	case next == string(text):
		return nil
	case check:
		return fmt.Errorf("the picture in %s isn't that of the imports; make picture draws it anew", page)
	}
	return os.WriteFile(page, []byte(next), 0o644)
}

// read gives the packages below the folders, with what they import of ours. Tests don't
// count.
func read(tops ...string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, top := range tops {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			pkg := filepath.ToSlash(filepath.Dir(path))
			list := out[pkg]
			for _, i := range f.Imports {
				p, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					return err
				}
				if ours, ok := strings.CutPrefix(p, module); ok && !slices.Contains(list, ours) {
					list = append(list, ours)
				}
			}
			out[pkg] = list
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// draw makes the flowchart: a box for each folder that holds several packages, and the
// arrows that don't follow from others.
func draw(imports map[string][]string) string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	groups := map[string][]string{}
	for pkg := range imports {
		g := group(pkg)
		groups[g] = append(groups[g], pkg)
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		list := groups[g]
		slices.Sort(list)
		if len(list) > 1 {
			fmt.Fprintf(&b, "  subgraph %s\n", g)
		}
		for _, pkg := range list {
			fmt.Fprintf(&b, "    %s[%s]\n", id(pkg), strings.TrimPrefix(strings.TrimPrefix(pkg, g+"/"), "internal/"))
		}
		if len(list) > 1 {
			b.WriteString("  end\n")
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		list := slices.Sorted(slices.Values(imports[pkg]))
		for _, to := range list {
			if _, drawn := imports[to]; drawn && !follows(imports, pkg, to) {
				fmt.Fprintf(&b, "  %s --> %s\n", id(pkg), id(to))
			}
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// group is the box that a package is in: its folder of the second level.
func group(pkg string) string {
	parts := strings.Split(pkg, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func id(pkg string) string { return strings.NewReplacer("/", "_", "-", "_").Replace(pkg) }

// follows says whether an import can be reached by others, too.
func follows(imports map[string][]string, from, to string) bool {
	seen := map[string]bool{}
	var reach func(pkg string) bool
	reach = func(pkg string) bool {
		if pkg == to {
			return true
		}
		if seen[pkg] {
			return false
		}
		seen[pkg] = true
		return slices.ContainsFunc(imports[pkg], reach)
	}
	for _, via := range imports[from] {
		if via != to && reach(via) {
			return true
		}
	}
	return false
}
