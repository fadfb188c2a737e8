package workload

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// byName is code that asks what a kind is called, and not what it is like.
var byName = regexp.MustCompile(`Kind\.Name [!=]= "|switch (\w+\.)*Kind\.Name\b|\bkind\.Name [!=]= "`)

// What is special about a kind stands in the table of kinds, so that one more is one line.
func TestKindsAreInOneTable(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range byName.FindAllString(string(b), -1) {
			t.Errorf("%s: %q: a hook in kinds.go says it for all", path, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A kind isn't told by its name alone, and the federation's own definition stays at home.
func TestFederatedOther(t *testing.T) {
	namesake := Other(v1alpha1.Kind{Group: "example.com", Version: "v1", Name: "Namespace"})
	for _, tt := range []struct {
		sort *FederatedKind
		name string
		want bool
	}{
		{namesake, "kube-system", true},
		{Other(builtin.Definitions), "clusters.fedns.io", false},
		{Other(builtin.Definitions), "gadgets.example.com", true},
		{Other(builtin.EndpointSlices), "outside", true},
		{Other(v1alpha1.Clusters), "paris", false},
		{Other(v1alpha1.Placements), "deployment.web", false},
	} {
		if got := Federated(Key{tt.sort, "", tt.name}, Object{}); got != tt.want {
			t.Errorf("%s %s: %v", tt.sort.Kind, tt.name, got)
		}
	}
}

// What Helm notes of a release in the federation's API isn't for the clusters.
func TestFederatedHelm(t *testing.T) {
	for _, tt := range []struct {
		kind, name, object string
		want               bool
	}{
		{"Secret", "sh.helm.release.v1.web.v1", `{"type": "helm.sh/release.v1"}`, false},
		{"Secret", "password", `{"type": "Opaque", "metadata": {"labels": {"owner": "helm"}}}`, true},
		{"ConfigMap", "sh.helm.release.v1.web.v1", `{"metadata": {"labels": {"owner": "helm"}}}`, false},
		{"ConfigMap", "sh.helm.release.v1.web.v1", `{}`, true},
		{"ConfigMap", "values", `{"metadata": {"labels": {"owner": "helm"}}}`, true},
	} {
		if got := Federated(Key{kind(t, tt.kind), "shop", tt.name}, parse(t, tt.object)); got != tt.want {
			t.Errorf("%s %s %s is federated: %v", tt.kind, tt.name, tt.object, got)
		}
	}
}
