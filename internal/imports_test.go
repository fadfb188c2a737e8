// Package internal keeps the one direction of imports.
package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fedns/fedns/"

// A layer is packages that know the same kind of thing.
type layer struct {
	knows    string
	packages []string
}

// layers are all packages, the lowest first. A package may import those of the layers
// below, and those before it in its own: what is above changes more often, and what
// changes together stands together. One that isn't here can't be added without a decision.
var layers = []layer{
	{"the field's words, as values: names, places, orders, verdicts, and what stands in the federation's API", []string{
		"deploy", "internal/advice", "internal/cli", "internal/logging", "internal/metric", "internal/atomicfile", "internal/inputfile",
		"internal/dns/dnsname", "internal/topology", "internal/geo", "internal/override", "internal/health",
		"internal/api/v1alpha1", "internal/api/builtin", "internal/api/report", "internal/dnskey",
	}},
	{"DNS as bytes and sockets, and nothing of clusters", []string{
		"internal/dns/cookie", "internal/dns/rrl", "internal/dns/dnssec", "internal/dns/rrset", "internal/dns/sockets", "internal/dns/packet", "internal/dns/udp", "internal/dns/stream", "internal/dns/xdp", "internal/dns/http2", "internal/publish",
	}},
	{"what is answered, and how a question becomes an answer: pure, and asked by everybody who answers", []string{
		"internal/snapshot", "internal/answer", "internal/dns/message", "internal/dns/static", "internal/geo/mmdb",
	}},
	{"evidence of shards, and what it comes to: pure, and owned by one goroutine", []string{
		"internal/shard", "internal/table",
	}},
	{"what every cluster is to hold: pure, and owned by one goroutine", []string{
		"internal/sync/placement", "internal/sync/patch", "internal/sync/replicas", "internal/sync/workload",
	}},
	{"Kubernetes APIs: how to reach them, and when not to believe them", []string{
		"internal/kube/apireply", "internal/kube", "internal/kube/kubeconfig", "internal/kube/contents", "internal/kube/lease", "internal/kube/elect", "internal/publish/externaldns",
	}},
	{"where evidence comes from", []string{
		"internal/source/probe", "internal/source/cluster", "internal/source/registry",
	}},
	{"what runs: evidence in, snapshots out; wishes in, writes out", []string{
		"internal/pipeline/journal", "internal/pipeline/history", "internal/pipeline", "internal/sync/controller",
	}},
	{"what an operator does with clusters", []string{
		"internal/ctl/install/apply", "internal/ctl/install/marks", "internal/ctl/install/token", "internal/ctl/install/hosted",
		"internal/ctl/install/bootstrap", "internal/ctl/install/membership", "internal/ctl/install/backup", "internal/ctl/check", "internal/ctl/stub", "internal/ctl",
	}},
	{"what a person looks at", []string{"internal/page"}},
	{"CoreDNS: the only place that knows it", []string{"plugin/federation/observe", "plugin/federation/geoindex", "plugin/federation/bypass", "plugin/federation/notify", "plugin/federation/zone", "plugin/federation/filezone", "plugin/federation/fastpath", "plugin/federation/status", "plugin/federation", "plugin/tls", "plugin/dnssec"}},
	{"the programs", []string{"cmd/fedns", "cmd/fedsync", "cmd/fedctl"}},
}

// apart are packages that don't know each other, whatever their layers.
var apart = []struct{ these, those, why string }{
	{"internal/sync/", "internal/snapshot internal/answer internal/shard internal/source/ internal/pipeline internal/dns/ internal/geo", "a fault of fedsync mustn't be one of fedns: they meet in the API only"},
	{"internal/ctl", "internal/snapshot internal/answer internal/shard internal/source/ internal/pipeline internal/dns/", "fedctl knows a server by what it says over HTTP, of whatever version"},
	{"internal/source/ internal/pipeline plugin/", "internal/sync/ internal/ctl", "what answers knows nothing of what writes"},
	{"cmd/fedns", "internal/sync/ internal/ctl", "what answers knows nothing of what writes"},
}

// place is the layer of a package and its place within; -1: it has none.
func place(pkg string) (layer, at int) {
	for i, l := range layers {
		if at := slices.Index(l.packages, pkg); at >= 0 {
			return i, at
		}
	}
	return -1, 0
}

// below says whether a package may import another; else why it mayn't.
func below(pkg, imp string) (ok bool, why string) {
	from, at := place(pkg)
	to, before := place(imp)
	if to < 0 || to > from || to == from && before >= at {
		return false, "it isn't below it"
	}
	in := func(list, pkg string) bool {
		return slices.ContainsFunc(strings.Fields(list), func(p string) bool { return pkg == p || strings.HasPrefix(pkg, strings.TrimSuffix(p, "/")+"/") })
	}
	for _, a := range apart {
		if in(a.these, pkg) && in(a.those, imp) {
			return false, a.why
		}
	}
	return true, ""
}

// pure packages neither read the clock nor touch the world; time is an argument.
var pure = []string{"internal/dns/dnsname", "internal/topology", "internal/health", "internal/shard", "internal/table", "internal/snapshot", "internal/answer", "internal/override", "internal/api/report", "internal/dns/cookie", "internal/geo", "internal/dns/rrl", "internal/dns/message", "internal/sync/replicas", "internal/sync/placement", "internal/sync/workload"}

// impure are what a pure package can't import.
var impure = []string{"os", "net", "net/http", "log", "log/slog", "context", "sync", "io/fs"}

// siphash is a function of its arguments only, as pure as those that use it.
const siphash = "github.com/dchest/siphash"

// quantity is the arithmetic of Kubernetes's quantities, and nothing else.
const quantity = "k8s.io/apimachinery/pkg/api/resource"

// homes says where libraries stop; what ends in a slash is all below it.
var homes = map[string][]string{
	"k8s.io/api/":            {"internal/source/cluster"},
	"k8s.io/apimachinery/":   {"internal/kube/apireply", "internal/source/cluster", "internal/api/v1alpha1", "internal/sync/controller", "internal/kube", "internal/source/registry", "internal/ctl", "internal/ctl/install/apply", "internal/ctl/install/backup", "internal/ctl/install/bootstrap", "internal/ctl/install/hosted", "internal/ctl/install/marks", "internal/ctl/install/membership", "internal/ctl/check", "internal/kube/kubeconfig", "internal/kube/contents", "internal/kube/lease", "internal/kube/elect"},
	"k8s.io/client-go/":      {"internal/source/cluster", "internal/kube", "internal/kube/kubeconfig", "internal/kube/contents", "internal/kube/lease", "internal/sync/controller"},
	"k8s.io/cli-runtime/":    {"internal/ctl"},
	"k8s.io/klog/":           {"internal/source/cluster", "cmd/fedctl", "cmd/fedsync"},
	"sigs.k8s.io/":           {"internal/source/cluster", "internal/sync/patch", "internal/kube", "internal/ctl", "internal/ctl/check"},
	"github.com/coredns/":    {"plugin/", "cmd/fedns"},
	"github.com/miekg/dns":   {"plugin/", "internal/dns/static", "internal/dns/rrset", "internal/publish", "internal/ctl/check"},
	"github.com/prometheus/": {"internal/metric", "cmd/fedsync", "internal/source/cluster", "internal/sync/controller", "internal/pipeline", "internal/source/probe", "internal/source/registry", "plugin/"},
	"github.com/prometheus/client_golang/prometheus/promauto": {}, // internal/metric makes metrics: one made past it isn't in the manual
	"gopkg.in/evanphx/":    {"internal/sync/patch"},
	"github.com/fsnotify/": {},
	"github.com/spf13/":    {"internal/cli", "internal/ctl", "cmd/fedsync", "cmd/fedns"},
	"github.com/dchest/":   {"internal/dns/cookie"},
	"github.com/cilium/":   {"internal/dns/xdp"},
	"golang.org/x/":        {"internal/dns/sockets", "internal/dns/udp", "internal/dns/stream", "internal/dns/xdp", "internal/dns/http2", "plugin/federation/fastpath", "cmd/fedctl", "cmd/fedns", "cmd/fedsync"},
	"github.com/oschwald/": {"internal/geo/mmdb"},
	"github.com/maxmind/":  {}, // tests make databases with it
}

func TestImports(t *testing.T) {
	for _, top := range []string{"internal", "plugin", "cmd"} {
		root := filepath.Join("..", top)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			pkg := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../")))
			if l, _ := place(pkg); l < 0 {
				t.Errorf("package %s is in no layer", pkg)
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
				check(t, pkg, imp, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is pure is tested without the race detector, and nothing else is: the Makefile has the same list, and
// neither what is pure nor its tests begin a goroutine.
func TestPureIsWithoutRace(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(makefile), "\npure = ")
	list, _, _ = strings.Cut(strings.ReplaceAll(list, "\\\n", " "), "\n")
	if got := strings.Fields(list); !slices.Equal(got, pure) {
		t.Errorf("the Makefile tests %q without it, and pure are %q", got, pure)
	}
	for _, pkg := range pure {
		files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pkg, files, err)
		}
		for _, path := range files {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				begins := false
				switch n := n.(type) {
				case *ast.GoStmt:
					begins = true
				case *ast.SelectorExpr:
					begins = n.Sel.Name == "Go" || n.Sel.Name == "Parallel"
				}
				if begins {
					t.Errorf("%s begins a goroutine", path)
				}
				return true
			})
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

// within says whether a package is one of a list, or below one of them.
func within(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(at string) bool { return at == pkg || strings.HasSuffix(at, "/") && strings.HasPrefix(pkg, at) })
}

func check(t *testing.T, pkg, imp, path string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imp, module); ok {
		if ok, why := below(pkg, ours); !ok {
			t.Errorf("%s: %s can't import %s: %s", path, pkg, ours, why)
		}
		return
	}
	for library, where := range homes {
		if strings.HasPrefix(imp, library) && imp != quantity && !within(where, pkg) {
			t.Errorf("%s: %s stops at %v", path, library, where)
		}
	}
	if !slices.Contains(pure, pkg) || pkg == "internal/snapshot" && imp == "sync/atomic" {
		return
	}
	if slices.Contains(impure, imp) || strings.Contains(imp, ".") && imp != siphash && imp != quantity || imp == "sync/atomic" {
		t.Errorf("%s: %s is pure; it can't import %s", path, pkg, imp)
	}
}
