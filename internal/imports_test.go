// Package internal keeps the one direction of imports.
package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fedns/fedns/"

// layers lists, for each package, which others of ours it may import. A package
// that isn't here can't be added without a decision.
var layers = map[string][]string{
	"internal/fqdn":       {},
	"internal/geo":        {},
	"internal/geodb":      {"internal/geo"},
	"internal/override":   {},
	"internal/health":     {},
	"internal/topology":   {"internal/fqdn"},
	"internal/names":      {"internal/topology"},
	"internal/answer":     {"internal/geo", "internal/names", "internal/topology"},
	"internal/shard":      {"internal/health", "internal/names", "internal/override", "internal/topology"},
	"internal/probe":      {"internal/health"},
	"internal/pipeline":   {"internal/health", "internal/names", "internal/override", "internal/probe", "internal/shard", "internal/state", "internal/topology"},
	"internal/state":      {"internal/names", "internal/shard"},
	"internal/apireply":   {},
	"internal/cluster":    {"internal/apireply", "internal/fqdn", "internal/health", "internal/names", "internal/probe", "internal/shard", "internal/topology"},
	"internal/fedtest":    {"internal/names", "internal/shard", "internal/topology"},
	"internal/report":     {"internal/override"},
	"internal/cli":        {"internal/account", "internal/charter", "internal/enrol", "internal/fedapi", "internal/fedsync", "internal/file", "internal/geo", "internal/hint", "internal/host", "internal/kube", "internal/kubeconfig", "internal/ledger", "internal/override", "internal/report", "internal/workload"},
	"internal/cookie":     {},
	"internal/rrl":        {},
	"internal/udp":        {},
	"internal/fedapi":     {},
	"internal/kube":       {"internal/apireply", "internal/fedapi"},
	"internal/registry":   {"internal/fedapi", "internal/geo", "internal/kube", "internal/override", "internal/report", "internal/shard", "internal/topology"},
	"internal/wire":       {"internal/answer", "internal/cookie", "internal/topology"},
	"plugin/federation":   {"internal/health", "internal/hint", "internal/override", "internal/report", "internal/probe", "internal/answer", "internal/cluster", "internal/cookie", "internal/geo", "internal/geodb", "internal/rrl", "internal/udp", "internal/wire", "internal/fqdn", "internal/names", "internal/pipeline", "internal/plainlog", "internal/registry", "internal/shard", "internal/sockets", "internal/topology"},
	"cmd/fedns":           {"internal/hint", "internal/plainlog", "plugin/federation"},
	"cmd/fedctl":          {"internal/cli"},
	"internal/placement":  {},
	"internal/replica":    {},
	"internal/workload":   {"internal/fedapi", "internal/placement", "internal/replica"},
	"internal/fedsync":    {"internal/fedapi", "internal/kube", "internal/placement", "internal/replica", "internal/workload"},
	"cmd/fedsync":         {"internal/fedapi", "internal/fedsync", "internal/hint", "internal/kube", "internal/plainlog"},
	"internal/hint":       {},
	"internal/file":       {"internal/hint"},
	"internal/kubeconfig": {"internal/file", "internal/hint"},
	"internal/ledger":     {"internal/fedapi", "internal/hint", "internal/kube"},
	"internal/account":    {"internal/fedapi", "internal/kube", "internal/ledger"},
	"internal/charter":    {"deploy", "internal/account", "internal/fedapi", "internal/hint", "internal/kube", "internal/ledger"},
	"internal/host":       {"internal/fedapi", "internal/hint", "internal/kube", "internal/kubeconfig", "internal/ledger"},
	"internal/enrol":      {"internal/workload", "internal/account", "internal/charter", "internal/fedapi", "internal/hint", "internal/kube", "internal/kubeconfig", "internal/ledger"},
	"internal/geotest":    {"internal/geo"},
	"internal/plainlog":   {},
	"internal/sockets":    {},
}

// pure packages neither read the clock nor touch the world; time is an argument.
var pure = []string{"internal/fqdn", "internal/topology", "internal/health", "internal/shard", "internal/names", "internal/answer", "internal/override", "internal/report", "internal/cookie", "internal/geo", "internal/rrl", "internal/wire", "internal/replica", "internal/placement", "internal/workload"}

// impure are what a pure package can't import.
var impure = []string{"os", "net", "net/http", "log", "log/slog", "context", "sync", "io/fs"}

// siphash is a function of its arguments only, as pure as those that use it.
const siphash = "github.com/dchest/siphash"

// homes says where libraries stop.
var homes = map[string][]string{
	"k8s.io/api/":            {"internal/cluster"},
	"k8s.io/apimachinery/":   {"internal/apireply", "internal/cluster", "internal/fedapi", "internal/fedsync", "internal/kube", "internal/registry"},
	"k8s.io/client-go/":      {"internal/cluster", "internal/kube", "internal/kubeconfig"},
	"k8s.io/klog/":           {"internal/cluster", "cmd/fedctl", "cmd/fedsync"},
	"sigs.k8s.io/":           {"internal/cluster", "internal/kube"},
	"github.com/coredns/":    {"plugin/federation", "cmd/fedns"},
	"github.com/miekg/dns":   {"plugin/federation"},
	"github.com/prometheus/": {"cmd/fedsync", "internal/cluster", "internal/fedsync", "internal/pipeline", "internal/probe", "internal/registry", "plugin/federation"},
	"github.com/fsnotify/":   {},
	"github.com/dchest/":     {"internal/cookie", "internal/rrl"},
	"golang.org/x/":          {"internal/sockets", "internal/udp"},
	"github.com/oschwald/":   {"internal/geodb"},
	"github.com/maxmind/":    {"internal/geotest"},
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
			if slices.Contains(pure, pkg) {
				clockless(t, path)
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

// clockless checks that a file uses package time for durations only.
func clockless(t *testing.T, path string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && !slices.Contains([]string{"Duration", "Second", "Minute", "Hour", "Millisecond", "Time", "Parse", "ParseDuration", "RFC3339"}, s.Sel.Name) {
				t.Errorf("%s: pure packages have no clock; time.%s", path, s.Sel.Name)
			}
		}
		return true
	})
}

func check(t *testing.T, pkg string, allowed []string, imp, path string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imp, module); ok {
		if !slices.Contains(allowed, ours) {
			t.Errorf("%s: %s can't import %s", path, pkg, ours)
		}
		return
	}
	for library, where := range homes {
		if strings.HasPrefix(imp, library) && !slices.Contains(where, pkg) {
			t.Errorf("%s: %s stops at %v", path, library, where)
		}
	}
	if !slices.Contains(pure, pkg) || pkg == "internal/names" && imp == "sync/atomic" {
		return
	}
	if slices.Contains(impure, imp) || strings.Contains(imp, ".") && imp != siphash || imp == "sync/atomic" {
		t.Errorf("%s: %s is pure; it can't import %s", path, pkg, imp)
	}
}
