package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kubeconfig is one with the contexts a and b, of which none is current.
func kubeconfig(server, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: b, context: {cluster: c, user: u}}, {name: a, context: {cluster: c, user: u}}]
`, server, token)
}

func TestNewWatcher(t *testing.T) {
	dir := t.TempDir()
	good := kubeconfig("https://192.0.2.1", "x")
	for _, tt := range []struct{ name, content, context, want string }{
		{"good", good, "a", ""},
		{"current", good + "current-context: b\n", "", ""},
		{"missing", "", "a", "no such file"},
		{"unparsable", "\tx", "a", "yaml"},
		{"empty", " ", "a", "it has no contexts"},
		{"no current context", good, "", "it has no current-context; name one of: a, b"},
		{"unknown context", good, "gce", `context "gce" isn't there; it has: a, b`},
		{"cluster that isn't there", strings.Replace(good, "name: c,", "name: d,", 1), "a", `cluster "c"`},
		{"user that isn't there", strings.Replace(good, "name: u,", "name: v,", 1), "a", `user "u" isn't there`},
		{"no server", strings.Replace(good, "https://192.0.2.1", "", 1), "a", `cluster "c": it has no server`},
		{"token file", strings.Replace(good, "token: ", "tokenFile: none", 1), "a", "no such file"},
		{"certificate", strings.Replace(good, "server:", "certificate-authority-data: AAAA, server:", 1), "a", "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			if tt.content != "" {
				write(t, path, tt.content)
			}
			w, err := NewWatcher(Config{Kubeconfig: path, Context: tt.context})
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want == "":
				if !w.Heard().IsZero() {
					t.Error("heard of before it was asked")
				}
			case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "kubeconfig") || !strings.Contains(err.Error(), path):
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
	if os.Getuid() != 0 {
		path := filepath.Join(dir, "secret")
		write(t, path, good)
		_ = os.Chmod(path, 0)
		if _, err := NewWatcher(Config{Kubeconfig: path, Context: "a"}); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Error(err)
		}
	}
}
