package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
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
	known := map[string]map[string]bool{}
	found := named.FindAllStringSubmatch(string(text), -1)
	for _, m := range found {
		folder, name := m[1], m[2]
		if strings.HasSuffix(name, "go") && !strings.Contains(name, ".") {
			continue // a file
		}
		if known[folder] == nil {
			known[folder] = declared(t, filepath.Join("..", folder))
		}
		if !known[folder][name] {
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

// declared are the functions, methods (TYPE.NAME) and types of a folder.
func declared(t *testing.T, folder string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
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
					if id, ok := of.(*ast.Ident); ok {
						name = id.Name + "." + name
					}
				}
				out[name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						out[s.Name.Name] = true
					}
				}
			}
		}
	}
	return out
}
