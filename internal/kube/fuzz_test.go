package kube

import "testing"

// FuzzContent is that a kubeconfig of a Secret, whatever is in it, leads nowhere but to a server by what it holds: no
// file is read, no program run, no proxy gone through, and each certificate looked at.
func FuzzContent(f *testing.F) {
	for _, text := range []string{
		"", "x", "{}", "apiVersion: v1\nkind: Config\n",
		`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1"}}],"users":[{"name":"u","user":{"token":"t"}}]}`,
		`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1","insecure-skip-tls-verify":true}}],"users":[{"name":"u","user":{"tokenFile":"/etc/passwd"}}]}`,
		`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1","proxy-url":"http://x"}}],"users":[{"name":"u","user":{"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"sh","interactiveMode":"Never"}}}]}`,
		`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1","certificate-authority":"/etc/ssl"}}],"users":[{"name":"u","user":{"client-certificate":"a","client-key":"b","auth-provider":{"name":"gcp"}}}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		api, err := Open(Config{Content: content, Inline: true})
		if err != nil {
			return
		}
		defer api.Close()
		c := api.REST
		if c.ExecProvider != nil || c.AuthProvider != nil || c.BearerTokenFile != "" || c.Proxy != nil || c.Insecure || c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" {
			t.Errorf("it leads out of itself: %+v", c)
		}
		token := TokenIn(content)
		_, _ = Claims(token)
		if token == "" {
			return
		}
		if other, err := WithToken(content, "another"); err != nil || TokenIn(other) != "another" || SameBut(content, other) {
			t.Errorf("with another token: %v, %q", err, TokenIn(other))
		}
	})
}
