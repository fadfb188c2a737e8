package ctl

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// Where an order goes is said, and what says it is known: how long to wait doesn't.
func TestMode(t *testing.T) {
	for _, tt := range []struct {
		to    string
		given []string
		api   bool
		wrong string // part of the error
	}{
		{"", nil, false, ""},
		{"", []string{"file", "server"}, false, ""},
		{"file", nil, false, ""},
		{"api", nil, true, ""},
		{"api", []string{"timeout"}, true, ""},
		{"", []string{"context"}, true, ""},
		{"", []string{"kubeconfig"}, true, ""},
		{"", []string{"cluster"}, true, ""},
		{"", []string{"user"}, true, ""},
		{"", []string{"as"}, true, ""},
		{"", []string{"federation"}, true, ""},
		{"", []string{"evacuate"}, true, ""},
		{"", []string{"context", "timeout", "no-wait"}, true, ""},
		{"", []string{"timeout"}, false, "--timeout is for the federation's API"},
		{"", []string{"no-wait"}, false, "--no-wait is for the federation's API"},
		{"file", []string{"timeout"}, false, "--timeout is for the federation's API"},
		{"file", []string{"evacuate"}, false, "--to file and --evacuate exclude each other"},
		{"file", []string{"context"}, false, "--to file and --context exclude each other"},
	} {
		c := &call{command: command{name: "drain"}, given: map[string]bool{}}
		for _, f := range tt.given {
			c.given[f] = true
		}
		m := &mode{to: tt.to}
		api, err := m.api(c, []string{"evacuate", "ttl"}, []string{"no-wait", "timeout"})
		if api != tt.api || (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("--to %q with %q: %v, %v", tt.to, tt.given, api, err)
		}
	}
}

// An order to the API of the current context needs no more than --to api.
func TestToAPI(t *testing.T) {
	h := newHome(t)
	text, err := os.ReadFile(h.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.kubeconfig(), strings.Replace(string(text), `"current-context": "other"`, `"current-context": "fed"`, 1))
	h.env = map[string]string{"KUBECONFIG": h.kubeconfig()}
	_, stderr, code := h.run("undrain", "cluster/eu", "--to", "api")
	if code != 1 || !strings.Contains(stderr, `error: federation fed has no cluster "eu"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	h.write("drain cluster/eu reason \"x\"\n")
	if out, stderr, code := h.run("undrain", "cluster/eu"); code != 0 || !strings.Contains(out, "taken back") {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
}

// Who asks an API is who kubectl's flags say.
func TestAs(t *testing.T) {
	var got http.Header
	s := quiet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		var o any = map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "federation"}, "data": map[string]any{"name": "fed"}}
		if strings.HasSuffix(r.URL.Path, "/clusters") {
			o = map[string]any{"kind": "ClusterList", "apiVersion": "fedns.io/v1alpha1", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{}}
		}
		_ = json.NewEncoder(w).Encode(o)
	}))
	s.StartTLS() // tokens go nowhere else
	defer s.Close()
	d := newDesk(t)
	path := d.dir + "/kubeconfig"
	config := `{"apiVersion": "v1", "kind": "Config", "current-context": "fed", "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}, {"name": "here", "cluster": {"insecure-skip-tls-verify": true, "server": "` + s.URL + `"}}],
		"contexts": [{"name": "fed", "context": {"cluster": "gone", "user": "u"}}], "users": [{"name": "u", "user": {"token": "one"}}, {"name": "v", "user": {"token": "two"}}]}`
	writeFile(t, path, config)
	d.env = map[string]string{"KUBECONFIG": path + ".none:" + path} // a list, as kubectl has it
	for _, tt := range []struct{ args, header, want string }{
		{"--cluster here", "Authorization", "Bearer one"},
		{"--cluster here --user v", "Authorization", "Bearer two"},
		{"--cluster here --as jane", "Impersonate-User", "jane"},
		{"--cluster here --as jane --as-group a --as-group b", "Impersonate-Group", "a b"},
		{"--cluster here --as jane --as-uid 7", "Impersonate-Uid", "7"},
		{"--cluster here --request-timeout 5", "Authorization", "Bearer one"},
	} {
		out, stderr, code := d.run(append(strings.Fields(tt.args), "get", "clusters", "-o", "json")...)
		if code != 0 || stderr != "" || strings.Join(strings.Fields(out), " ") != `{ "apiVersion": "v1", "items": [], "kind": "List" }` {
			t.Errorf("%s: exit %d, %s%s", tt.args, code, stderr, out)
		}
		if h := strings.Join(got[tt.header], " "); h != tt.want {
			t.Errorf("%s: %s is %q, want %q", tt.args, tt.header, h, tt.want)
		}
	}
	// A request that isn't answered ends when --request-timeout says so.
	writeFile(t, path, kubeconfigOf("http://"+rude(t, sayNothing), nil))
	if _, stderr, code := d.run("get", "clusters", "--context", "fed", "--request-timeout", "50ms"); code != 1 || !strings.Contains(stderr, "it didn't answer in time") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	writeFile(t, path, config)
	for args, want := range map[string]string{
		"--cluster her": `cluster "her" isn't there` + "\nfedctl: hint: did you mean here? known: gone, here",
		"--user w":      `user "w" isn't there` + "\nfedctl: hint: did you mean u, or v? known: u, v",
	} {
		if _, stderr, code := d.run(append(strings.Fields(args), "get", "clusters")...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct{ namespace, name, want string }{
		{"", "web", "web"}, {"shop", "web", "web.shop"}, {"shop", "web.other", "web.other"}, {"shop", "service/web", "service/shop/web"},
		{"shop", "ingress/site", "ingress/shop/site"}, {"shop", "service/other/web", "service/other/web"}, {"shop", "host/www", "host/www"},
	} {
		if got := within(tt.namespace, tt.name); got != tt.want {
			t.Errorf("%s in %q: %s, want %s", tt.name, tt.namespace, got, tt.want)
		}
	}
	d := newDesk(t)
	if _, stderr, code := d.run("drain", "service/web", "-n", "shop", "--reason", "x"); code != 0 {
		t.Errorf("exit %d, %s", code, stderr)
	}
	d.want("drain service/shop/web reason \"x\"\n")
	if out, stderr, code := d.run("undrain", "service/web", "-nshop"); code != 0 || !strings.Contains(out, "service/shop/web") {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a Secret mustn't have isn't put into one: join says so before it makes anything.
func TestJoinBySelfContained(t *testing.T) {
	var wrote atomic.Int32
	s := quiet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			wrote.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "federation"}, "data": {"name": "fed"}}`)
	}))
	s.Start()
	defer s.Close()
	d := newDesk(t)
	path := d.dir + "/kubeconfig"
	d.env = map[string]string{"KUBECONFIG": path}
	for _, tt := range []struct{ cluster, args, want string }{
		{`"insecure-skip-tls-verify": true, `, "", `context "c": insecure-skip-tls-verify: fedns and fedsync give credentials only to`},
		{`"insecure-skip-tls-verify": true, `, " --cluster-server https://192.0.2.1", `context "c": insecure-skip-tls-verify: fedns and fedsync give credentials only to`},
		{`"proxy-url": "http://127.0.0.1:1", `, "", `context "c": proxy-url: fedns and fedsync take no proxy from a Secret` + "\nfedctl: hint: --cluster-server"},
	} {
		writeFile(t, path, `{"apiVersion": "v1", "kind": "Config", "current-context": "fed", "clusters": [{"name": "here", "cluster": {"server": "`+s.URL+`"}}, {"name": "c", "cluster": {`+tt.cluster+`"server": "https://127.0.0.1:1"}}],
			"contexts": [{"name": "fed", "context": {"cluster": "here", "user": "u"}}, {"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {"token": "one"}}]}`)
		if out, stderr, code := d.run(strings.Fields("join c --context fed" + tt.args)...); code != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit %d, %s%s", tt.cluster+tt.args, code, out, stderr)
		}
	}
	if n := wrote.Load(); n > 0 {
		t.Errorf("%d writes", n)
	}
}
