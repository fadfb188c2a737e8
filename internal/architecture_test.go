package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named are functions, methods and types of ours in prose: FOLDER.NAME or FOLDER.TYPE.NAME.
var named = regexp.MustCompile("`((?:cmd|plugin|internal|test)/[a-z0-9/]+)\\.([A-Za-z]\\w*(?:\\.[A-Za-z]\\w*)?)`")

// paths are files and folders of ours in prose.
var paths = regexp.MustCompile("`((?:cmd|plugin|internal|test|docs|deploy)/[\\w./-]+)`")

// What ARCHITECTURE.md leads a reader to is there.
func TestArchitecture(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]*declaration{}
	found := named.FindAllStringSubmatch(string(text), -1)
	for _, m := range found {
		folder, name := m[1], m[2]
		if strings.HasSuffix(name, "go") && !strings.Contains(name, ".") {
			continue // a file
		}
		if known[folder] == nil {
			known[folder] = declared(t, filepath.Join("..", folder))
		}
		if known[folder][name] == nil {
			t.Errorf("ARCHITECTURE.md speaks of %s in %s; there is none", name, folder)
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d functions are named", len(found))
	}
	for _, m := range paths.FindAllStringSubmatch(string(text), -1) {
		if named.MatchString(m[0]) && !strings.HasSuffix(m[1], ".go") && !strings.HasSuffix(m[1], ".md") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("ARCHITECTURE.md speaks of %s: %v", m[1], err)
		}
	}
}

// mostFiles is how many files one walk may lead through.
const mostFiles = 6

// The walks of ARCHITECTURE.md go from call to call, and through few files.
func TestWalks(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Four walks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	walks := strings.Split(section, "\n* ")[1:]
	if len(walks) != 4 {
		t.Fatalf("there are %d walks", len(walks))
	}
	known := map[string]map[string]*declaration{}
	for _, walk := range walks {
		title, _, _ := strings.Cut(walk, ":")
		files := map[string]bool{}
		for chain := range strings.SplitSeq(walk, ";") {
			var caller *declaration
			for step := range strings.SplitSeq(chain, ">") {
				m := named.FindStringSubmatch(step)
				if m == nil {
					t.Errorf("%s: %q names no function", title, step)
					break
				}
				if known[m[1]] == nil {
					known[m[1]] = declared(t, filepath.Join("..", m[1]))
				}
				d := known[m[1]][m[2]]
				if d == nil {
					t.Errorf("%s: there is no %s.%s", title, m[1], m[2])
					break
				}
				if name := m[2][strings.LastIndex(m[2], ".")+1:]; caller != nil && !caller.calls[name] {
					t.Errorf("%s: who comes before %s.%s doesn't call it", title, m[1], m[2])
				}
				caller, files[d.file] = d, true
			}
		}
		if len(files) > mostFiles {
			t.Errorf("%s: leads through %d files: %v", title, len(files), slices.Sorted(maps.Keys(files)))
		}
	}
}

// A declaration is where a function or a type stands, and what the function calls.
type declaration struct {
	file  string
	calls map[string]bool // by the last word of what is called
}

func callsOf(f *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			switch of := c.Fun.(type) {
			case *ast.Ident:
				out[of.Name] = true
			case *ast.SelectorExpr:
				out[of.Sel.Name] = true
			}
		}
		return true
	})
	return out
}

// declared are the functions, methods (TYPE.NAME) and types of a folder.
func declared(t *testing.T, folder string) map[string]*declaration {
	t.Helper()
	out := map[string]*declaration{}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					of := d.Recv.List[0].Type
					if star, ok := of.(*ast.StarExpr); ok {
						of = star.X
					}
					if generic, ok := of.(*ast.IndexExpr); ok {
						of = generic.X
					}
					if id, ok := of.(*ast.Ident); ok {
						name = id.Name + "." + name
					}
				}
				out[name] = &declaration{path, callsOf(d)}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						out[s.Name.Name] = &declaration{file: path}
					}
				}
			}
		}
	}
	return out
}
