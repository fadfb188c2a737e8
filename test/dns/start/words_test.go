package start

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A desk is an operator before corefile.example, over which nobody has asked anything by
// DNS yet.
type desk struct {
	t              *testing.T
	fedctl, server string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	fedctl, err := server.Build("fedctl")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(vector.Root(), "corefile.example"))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t, fedctl, fmt.Sprint("127.0.0.1:", vector.Port(t))}
	s := server.Launch(t, strings.NewReplacer(":1053", ":PORT", "127.0.0.1:8053", d.server).Replace(string(text)))
	server.Eventually(t, 30*time.Second, "it answers", func() bool { return strings.Contains(s.Log(), "answering on") })
	return d
}

func (d *desk) run(args ...string) (string, error) {
	out, err := exec.Command(d.fedctl, append(args, "--server", d.server)...).CombinedOutput()
	return string(out), err
}

// An operator may say in few words what is meant, and is told what is near to what
// isn't there.
func TestWords(t *testing.T) {
	d := newDesk(t)
	const nginx = "nginx.mynamespace.myfederation.svc"
	for _, tt := range []struct{ word, want string }{
		// The first of all, on a server that nobody has asked: a static alias.
		{"nginx.example.com", "NOERROR, success, apex, TTL 180"},
		{"nginx.mynamespace", nginx + ".example.com A, for nginx.mynamespace\n"},
		{"NGINX.mynamespace", nginx + ".example.com A, for NGINX.mynamespace\n"},
		{"service/mynamespace/nginx", nginx + ".example.com A, for service/mynamespace/nginx\n"},
		{"svc/mynamespace/nginx", nginx + ".example.com A, for "},
		{"mynamespace/nginx", nginx + ".example.com A, for "},
		{"ingress/mynamespace/shop", "shop.mynamespace.myfederation.ing.example.com A, for "},
		{"host/mynamespace/shop.example.com", "shop.example.com A, for "},
		{"nginx.mynamespace.myfederation", nginx + ".cluster.local A, for "}, // as a pod's search path has it
		{nginx, nginx + ".cluster.local A, for "},
		{"shop.mynamespace.myfederation.ing", "shop.mynamespace.myfederation.ing.example.com A, for "},
		{"_http._tcp.nginx.mynamespace", "_http._tcp." + nginx + ".example.com A, for "},
		{nginx + ".example.com", nginx + ".example.com A\n"},
		{nginx + ".europe-west1.example.com.", nginx + ".europe-west1.example.com A\n"},
		{"acme.com", "acme.com A\n  is in none of the domains"},

		{"nginx.mynamespase", "did you mean nginx.mynamespace?"},
		{"nginx.mynamespace.myfederaton", "did you mean nginx.mynamespace.myfederation?"},
		{"ngnix.mynamespace.myfederation.svc.example.com", "did you mean " + nginx + ".example.com?"},
		{nginx + ".us-centrall1.example.com", "did you mean " + nginx + ".us-central1.example.com?"},
		{nginx + ".us-central1-x.us-central1.example.com", "did you mean " + nginx + ".us-central1-a.us-central1.example.com"},
		{"shopp.example.com", "did you mean shop.example.com?"},
		{"ngin.example.com", "did you mean nginx.example.com?"},
	} {
		out, err := d.run("explain", tt.word)
		if err != nil || !strings.Contains(out, tt.want) {
			t.Errorf("explain %s: %v, doesn't say %q but\n%s", tt.word, err, tt.want, out)
		}
	}
	for word, want := range map[string]string{
		"service/mynamespace/ngnix": "there is no service/mynamespace/ngnix\nfedctl: hint: did you mean mynamespace/nginx?",
		"service/other/thing":       "there is no service/other/thing\nfedctl: hint: fedctl services lists them",
		"pod/mynamespace/nginx":     `"pod" is no kind of what has a name`,
		"mynamespace/":              "is neither a name nor NAMESPACE/NAME",
	} {
		if out, err := d.run("explain", word); err == nil || !strings.Contains(out, want) {
			t.Errorf("explain %s: %v, doesn't say %q but\n%s", word, err, want, out)
		}
	}
	if out, _ := d.run("explain", "unlike.anything.example.com"); strings.Contains(out, "did you mean") {
		t.Errorf("it guesses\n%s", out)
	}
}

// The list of services has what isn't up, too, with reasons and since when.
func TestServices(t *testing.T) {
	d := newDesk(t)
	out, err := d.run("services")
	if err != nil {
		t.Fatal(out, err)
	}
	if !strings.Contains(out, "mynamespace/nginx") || !strings.Contains(out, "5/6") || !strings.Contains(out, "gce-europe-west1-b  down") || !strings.Contains(out, "no ready endpoint") {
		t.Errorf("services prints\n%s", out)
	}
	var all report.Services
	if out, err = d.run("services", "-o", "json", "--unhealthy", "--namespace", "mynamespace"); err != nil {
		t.Fatal(out, err)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all.Services {
		if s.Healthy || len(s.Shards) == 0 {
			t.Errorf("%s/%s is listed as unhealthy: %+v", s.Namespace, s.Name, s)
		}
		for _, x := range s.Shards {
			if x.Reason == "" || x.Since < time.Now().Add(-time.Hour).Unix() || x.Since > time.Now().Unix()+1 || x.Verdict == "up" && len(x.Addresses) == 0 {
				t.Errorf("%s/%s: %+v", s.Namespace, s.Name, x)
			}
		}
	}
	if len(all.Services) == 0 || all.Total != len(all.Services) {
		t.Errorf("%d services, total %d", len(all.Services), all.Total)
	}
	if out, _ = d.run("services", "--namespace", "nowhere"); out != "there is no service\n" {
		t.Errorf("of no namespace: %s", out)
	}
}
