package cluster

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A kubeconfig that came over the network can lead to a cluster, and to nothing else.
func TestCheck(t *testing.T) {
	const (
		server  = "clusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]\n"
		context = "contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n"
	)
	for _, tt := range []struct{ name, text, want string }{
		{"good", server + context + "users: [{name: u, user: {token: x}}]", ""},
		{"nothing", "", "it has no contexts"},
		{"no yaml", "{", "kubeconfig: yaml"},
		{"no current context", server + "contexts: [{name: c, context: {cluster: c}}]", "no current-context; name one of: c"},
		{"certificate authority", "clusters: [{name: c, cluster: {server: 'https://192.0.2.1', certificate-authority: /ca}}]\n" + context + "users: [{name: u, user: {token: x}}]", "certificate-authority-data has to hold it"},
		{"client certificate", server + context + "users: [{name: u, user: {client-certificate: /c, client-key: /k}}]", "client-certificate names a file"},
		{"client key", server + context + "users: [{name: u, user: {client-certificate-data: eA==, client-key: k}}]", "client-key names a file"},
		{"token file", server + context + "users: [{name: u, user: {tokenFile: /etc/shadow}}]", "tokenFile names a file; token has to hold it"},
		{"program", server + context + "users: [{name: u, user: {exec: {command: sh, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}}]", "exec runs a program here"},
		{"provider", server + context + "users: [{name: u, user: {auth-provider: {name: gcp, config: {cmd-path: sh}}}}]", `auth-provider "gcp" may run a program`},
		{"proxy", "clusters: [{name: c, cluster: {server: 'https://192.0.2.1', proxy-url: 'http://127.0.0.1:1'}}]\n" + context + "users: [{name: u, user: {token: x}}]", `cluster "c": proxy-url`},
		{"no look at its certificate", "clusters: [{name: c, cluster: {server: 'https://192.0.2.1', insecure-skip-tls-verify: true}}]\n" + context + "users: [{name: u, user: {token: x}}]", `cluster "c": insecure-skip-tls-verify`},
		{"of a user that isn't used", server + context + "users: [{name: u, user: {token: x}}, {name: v, user: {tokenFile: /t}}]", `user "v": tokenFile`},
	} {
		err := Check([]byte(tt.text))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A Watcher waits for a kubeconfig that is to be given to it, and goes on with the
// next one, without taking anything back.
func TestGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.fill()
		s.token = "first"
		g := NewInlineKubeconfig("its Secret")
		v, j, w := s.follow(t, func(c *Config) {
			c.Federation, c.Kubeconfig, c.Context, c.Inline = c.Kubeconfig, "", "", g
			c.Heartbeat = Heartbeat{Period: 10 * time.Millisecond, Timeout: 200 * time.Millisecond}
		})
		text := func(token string) []byte {
			return []byte(s.trusted(kubeconfig(s.URL, token)) + "current-context: a\n")
		}
		if len(j.all()) != 0 || !w.Heard().IsZero() {
			t.Errorf("without a kubeconfig: %q", j.all())
		}
		g.Set(text("first"))
		v.becomes(t, filled)
		eventually(t, "watches", func() bool { return s.watching() == 4 })
		g.Set([]byte("{")) // nobody gives that, but if somebody did
		eventually(t, "an error", func() bool { return j.has("ERROR cluster gce-us: kubeconfig", "going on with the one before") == 1 })
		s.do(func() { s.token = "second" })
		g.Set(text("second"))
		eventually(t, "the next", func() bool { return j.has("INFO cluster gce-us: its Secret has changed") == 1 })
		s.edit()
		v.becomes(t, changed)
	})
}
