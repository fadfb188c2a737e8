package commands

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sh types a line into a shell, beside the server.
func (p *place) sh(line string) (stdout, stderr string, code int) {
	p.t.Helper()
	bin, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	links := p.t.TempDir()
	for _, name := range []string{"kubectl-fedns", "kubectl_complete-fedns"} {
		if err := os.Symlink(bin, filepath.Join(links, name)); err != nil {
			p.t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), "FEDNS_SERVER="+p.status, "PATH="+filepath.Dir(bin)+":"+links+":"+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// What a shell makes of fedctl: what is completed is what the server knows, nothing but
// words stands in stdout, and who reads no further isn't told of it.
func TestShell(t *testing.T) {
	p := start(t)
	const directive = "Completion ended with directive: "
	for _, tt := range []struct {
		line, out, err string // of stderr the beginning
		code           int
	}{
		{"fedctl __complete drain cluster/", "cluster/eu\ncluster/us\n:4\n", directive, 0},
		{"fedctl __complete drain zone/e", "zone/eu-a\n:4\n", directive, 0},
		{"fedctl __complete explain ''", "only.shop\nweb.shop\n:4\n", directive, 0},
		{"fedctl __complete --server 127.0.0.1:1 explain ''", ":4\n", directive, 0},
		{"fedctl __complete fly ''", ":4\n", directive, 0},
		{"kubectl_complete-fedns drain region/u", "region/us\n:4\n", directive, 0},
		{"kubectl-fedns clusters -o name", "cluster/eu\ncluster/us\n", "", 0},
		{"fedctl services -o name | sort -r | head -1", "service/shop/web\n", "", 0},
		{"fedctl services -o name | xargs -n 1 fedctl explain -o name", "only.shop.fed.svc.example.com\nweb.shop.fed.svc.example.com\n", "", 0},
		{"fedctl regions | head -1 | cut -c 1-6", "REGION\n", "", 0},
		{"fedctl regions -o json | head -1", "[\n", "", 0},
		{"fedctl completion bash | bash -n", "", "", 0},
		{"fedctl -h fly", "", "fedctl: error: there is no command \"fly\"\n", 2},
		{"fedctl clusters -h | grep -c Usage:", "1\n", "", 0},
		{"fedctl --version", "fedctl version devel\n", "", 0},
		{"fedctl overrides -o json", "[]\n", "", 0},
		{"fedctl clusters -o html", "", "fedctl: error: clusters: -o: \"html\" is none of table, wide, json, yaml, name", 2},
		{"fedctl -server " + p.status + " clusters -o name", "cluster/eu\ncluster/us\n", "fedctl: hint: -server is --server now\n", 0},
	} {
		out, errs, code := p.sh(tt.line)
		if out != tt.out || !strings.HasPrefix(errs, tt.err) || (errs == "") != (tt.err == "") || code != tt.code {
			t.Errorf("%s: exit %d\n%s%s\nwant %d\n%s%s", tt.line, code, out, errs, tt.code, tt.out, tt.err)
		}
	}
}
