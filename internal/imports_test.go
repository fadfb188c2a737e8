// Package internal keeps the one direction of imports.
package internal

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fedns/fedns/"

// layers lists, for each package, which others of ours it may import. A package
// that isn't here can't be added without a decision.
var layers = map[string][]string{
	"internal/fqdn":     {},
	"internal/health":   {},
	"internal/topology": {"internal/fqdn"},
	"internal/names":    {"internal/topology"},
	"internal/answer":   {"internal/names", "internal/topology"},
	"internal/shard":    {"internal/health", "internal/names", "internal/topology"},
	"internal/pipeline": {"internal/names", "internal/shard"},
	"internal/cluster":  {"internal/fqdn", "internal/names", "internal/shard", "internal/topology"},
	"internal/fedtest":  {"internal/names", "internal/shard", "internal/topology"},
	"plugin/federation": {"internal/answer", "internal/cluster", "internal/fqdn", "internal/names", "internal/pipeline", "internal/shard", "internal/topology"},
	"cmd/fedns":         {"plugin/federation"},
}

// pure packages neither read the clock nor touch the world.
var pure = []string{"internal/fqdn", "internal/topology", "internal/health", "internal/shard", "internal/names", "internal/answer"}

// impure are what a pure package can't import.
var impure = []string{"os", "net", "net/http", "log", "log/slog", "time", "context", "sync", "io/fs"}

// homes says where libraries stop.
var homes = map[string][]string{
	"k8s.io/":                {"internal/cluster"},
	"sigs.k8s.io/":           {"internal/cluster"},
	"github.com/coredns/":    {"plugin/federation", "cmd/fedns"},
	"github.com/miekg/dns":   {"plugin/federation"},
	"github.com/prometheus/": {"internal/cluster", "internal/pipeline", "plugin/federation"},
	"github.com/fsnotify/":   {},
}

func TestImports(t *testing.T) {
	for _, top := range []string{"internal", "plugin", "cmd"} {
		root := filepath.Join("..", top)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			pkg := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../")))
			allowed, known := layers[pkg]
			if !known {
				t.Errorf("package %s isn't in the table of layers", pkg)
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range f.Imports {
				imp, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				check(t, pkg, allowed, imp, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func check(t *testing.T, pkg string, allowed []string, imp, path string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imp, module); ok {
		if !has(allowed, ours) {
			t.Errorf("%s: %s can't import %s", path, pkg, ours)
		}
		return
	}
	for library, where := range homes {
		if strings.HasPrefix(imp, library) && !has(where, pkg) {
			t.Errorf("%s: %s stops at %v", path, library, where)
		}
	}
	if !has(pure, pkg) || pkg == "internal/names" && imp == "sync/atomic" {
		return
	}
	if has(impure, imp) || strings.Contains(imp, ".") || imp == "sync/atomic" {
		t.Errorf("%s: %s is pure; it can't import %s", path, pkg, imp)
	}
}

func has(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
