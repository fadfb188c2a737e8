package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedns/fedns/test/framework/vector"
)

// Members is what a stanza says of clusters whose manifests are in folders of dir.
func Members(dir string, clusters ...string) string {
	var b strings.Builder
	for _, c := range clusters {
		fmt.Fprintf(&b, "  cluster %s {\n   manifests %s\n   hosts *\n  }\n", c, filepath.Join(dir, c))
	}
	return b.String()
}

// ArticleMembers is the same of the clusters that corefile.example serves.
func ArticleMembers(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(vector.Root(), "zones", "clusters")
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, f.Name())
	}
	return Members(dir, names...)
}
