package kubeconfig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// write writes a kubeconfig with contexts that lead to servers of their names.
func write(t *testing.T, path string, contexts ...string) string {
	t.Helper()
	var clusters, list strings.Builder
	for i, c := range contexts {
		fmt.Fprintf(&clusters, "- {name: c%d, cluster: {server: %q}}\n", i, "https://"+filepath.Base(path)+"/"+fmt.Sprint(i))
		fmt.Fprintf(&list, "- {name: %q, context: {cluster: c%d, user: u, namespace: ns%d}}\n", c, i, i)
	}
	text := "apiVersion: v1\nkind: Config\nclusters:\n" + clusters.String() + "contexts:\n" + list.String() + "users:\n- {name: u, user: {token: secret}}\n"
	if len(contexts) > 0 {
		text += fmt.Sprintf("current-context: %q\n", contexts[0])
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Paths have slashes, and so have contexts.
func TestPick(t *testing.T) {
	dir := t.TempDir()
	const eks = "arn:aws:eks:us-east-1:1234:cluster/us@example"
	main := write(t, filepath.Join(dir, "main"), "home", eks, "gke_a_b")
	other := write(t, filepath.Join(dir, "other"), "first", eks, "a/b/c")
	f := Find(main, os.Getenv)
	t.Chdir(dir)
	write(t, filepath.Join(dir, "gke_a_b"), "x")
	for _, tt := range []struct{ pick, want string }{
		{"home", "https://main/0"},
		{eks, "https://main/1"},
		{other, "https://other/0"}, // its current one
		{other + "/first", "https://other/0"},
		{other + "/" + eks, "https://other/1"},
		{other + "/a/b/c", "https://other/2"},
		{"other/a/b/c", "https://other/2"},
		{"gke_a_b/x", "https://gke_a_b/0"},
		{"gke_a_b", `"gke_a_b" is both a context and a file`},
		{"nobody", `"nobody" leads to no API`},
		{other + "/nobody", "leads to no API"},
		{dir, "leads to no API"},
	} {
		c, err := f.Pick(tt.pick)
		got := fmt.Sprint(err)
		if err == nil {
			got = c.Endpoint.Server
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.pick, got, tt.want)
		}
	}
}

// What a context needs from other files comes along.
func TestContext(t *testing.T) {
	dir := t.TempDir()
	text := "apiVersion: v1\nkind: Config\nclusters:\n- {name: c, cluster: {server: 'https://x', certificate-authority: sub/ca.crt}}\ncontexts:\n- {name: 'a@b:c/d', context: {cluster: c, user: u}}\nusers:\n- {name: u, user: {token: t}}\n- {name: other, user: {token: hidden}}\n"
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"config": text, "sub/ca.crt": "CERTIFICATES"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Find("", func(string) string { return filepath.Join(dir, "config") }).Context("a@b:c/d")
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Endpoint.Authority) != "CERTIFICATES" || strings.Contains(string(c.Content), "hidden") || strings.Contains(string(c.Content), dir) {
		t.Errorf("%s", c.Content)
	}
}

// However many write at once, and kubectl among them, every context is kept.
func TestSet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".kube", "config")
	f := Find("", func(k string) string { return map[string]string{"HOME": dir}[k] })
	content, err := ForToken("x", Endpoint{Server: "https://new"}, "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Set(t.Context(), "first", content); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("made with mode %v, %v", info.Mode(), err)
	}
	const many = 10
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if _, err := f.Set(t.Context(), fmt.Sprint("c", i), content); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil || len(config.Contexts) != many+1 || config.CurrentContext != "" {
		t.Errorf("%d contexts, %v", len(config.Contexts), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".kube", "*lock*")); len(left) > 0 {
		t.Errorf("left behind: %q", left) // kubectl would take it for a lock
	}
}

func TestSetKeepsOthers(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "config"), "home", "c1")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f := Find(link, os.Getenv)
	content, err := ForToken("x", Endpoint{Server: "https://new"}, "t")
	if err != nil {
		t.Fatal(err)
	}
	// The name of a cluster that another context uses, and of a context that leads
	// elsewhere.
	for name, want := range map[string]string{"c1": "leads to https://config/1, not https://new", "c0": `context "home" uses a cluster or a user named "c0"`} {
		if _, err := f.Set(t.Context(), name, content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := f.Set(t.Context(), "fed", content); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if config.CurrentContext != "home" || config.Contexts["home"].Namespace != "ns0" || config.Clusters["fed"].Server != "https://new" || len(config.Contexts) != 3 {
		t.Errorf("%+v", config)
	}
	if removed, err := f.Remove(t.Context(), "fed", "https://elsewhere"); removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if removed, err := f.Remove(t.Context(), "fed", "https://new"); !removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if has, err := f.Has("fed"); has || err != nil {
		t.Errorf("has %v, %v", has, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}

	// Whoever holds the lock is waited for.
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Set(ctx, "fed", content); err == nil {
		t.Error("it didn't wait")
	}
}
