package chart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// mayLook: with the rights that the chart gives, the API says who may look at the page: who is bound to the
// chart's role, and nobody else.
func mayLook(t *testing.T, c *cluster.Cluster, base string) {
	t.Helper()
	c.Apply(t, `apiVersion: v1
kind: ServiceAccount
metadata: {name: watcher, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: watchers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "fedns-fed:fedns:status"}
subjects: [{kind: ServiceAccount, name: watcher, namespace: default}]
`)
	for who, want := range map[string]int{"watcher": http.StatusOK, "stranger": http.StatusForbidden, "": http.StatusUnauthorized} {
		token := ""
		if who != "" {
			made, err := c.Client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), who, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			token = made.Status.Token
		}
		for _, path := range []string{"/", "/static/page.js", "/api/v1/clusters"} {
			server.Eventually(t, time.Minute, fmt.Sprintf("%q gets %d of %s", who, want, path), func() bool { // roles are in force a moment later
				code, text := get(base+path, token)
				return code == want && (code != http.StatusOK || path != "/api/v1/clusters" || strings.Contains(text, `"version": "v1.`))
			})
		}
	}
	c.Kubectl(t, "delete", "clusterrolebinding/watchers", "serviceaccount/watcher", "serviceaccount/stranger")
}

func get(url, token string) (code int, text string) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// looks: fedctl page says where the page of a pod is, and there it is, until it is ended.
func looks(t *testing.T, kubeconfig, context_ string, want ...string) {
	t.Helper()
	t.Setenv("PATH", filepath.Join(vector.Root(), "bin", "kube")+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- ctl.Run(ctx, ctl.Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now, Version: "test"}, []string{"page", "--kubeconfig", kubeconfig, "--context", context_, "--print"})
	}()
	defer func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("fedctl page: exit %d\n%s", code, errs.String())
		}
	}()
	server.Eventually(t, time.Minute, "fedctl page says where the page is, and there it is", func() bool {
		url := strings.TrimSpace(out.String())
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			return false
		}
		code, text := get(url, "")
		for _, w := range want {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return code == http.StatusOK
	})
}

// A lockedBuffer is written by a command that still runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
