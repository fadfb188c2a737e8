package ctl

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
)

// known has a desk's server know what may be completed, and a kubeconfig with contexts.
func known(t *testing.T) *desk {
	d := asked(t)
	d.answers["snapshot"] = report.Snapshot{Federations: []report.Federation{
		{Federation: "fed", Clusters: []string{"eu", "us"}, Scopes: []report.Place{{Region: "eu"}, {Region: "eu", Zone: "eu-a"}, {Region: "us", Zone: "us-b"}}, OverridesFile: d.file()},
		{Federation: "other", Clusters: []string{"ap"}, Scopes: []report.Place{{Region: "ap"}}, InForce: []report.Order{{Action: "drain", Subject: "zone/ap-a"}}},
	}}
	path := d.dir + "/kubeconfig"
	if err := os.WriteFile(path, []byte(kubeconfigOf("https://127.0.0.1:1", nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = map[string]string{"KUBECONFIG": path}
	return d
}

// What may come next, as a shell asks for it: words, and how to go on.
func TestComplete(t *testing.T) {
	d := known(t)
	const (
		noFile       = ":4"
		noFileNoGap  = ":6"
		filesOfTheir = ":0"
	)
	for _, tt := range []struct{ line, want string }{
		{"explain |", "web.shop " + noFile},
		{"explain w|", "web.shop " + noFile},
		{"explain x|", noFile},
		{"explain service/|", "service/shop/web " + noFile},
		{"explain -n shop |", "web " + noFile},
		{"explain web.shop |", noFile},
		{"explain x --without |", "ap eu us " + noFile},
		{"explain x --without eu --without u|", "us " + noFile},
		{"explain x --type C|", "CNAME " + noFile},
		{"services -n |", "shop " + noFile},
		{"services --federation |", "fed other " + noFile},
		{"services -o |", "json name table wide yaml " + noFile},
		{"services -o w|", "wide " + noFile},
		{"plan -o |", "json table yaml " + noFile},
		{"drain |", "cluster/ region/ service/ zone/ " + noFileNoGap},
		{"drain c|", "cluster/ " + noFileNoGap},
		{"failback |", "region/ service/ " + noFileNoGap},
		{"drain cluster/|", "cluster/ap cluster/eu cluster/us " + noFile},
		{"drain --federation fed cluster/|", "cluster/eu cluster/us " + noFile},
		{"drain region/|", "region/ap region/eu region/us " + noFile},
		{"drain zone/e|", "zone/eu-a " + noFile},
		{"drain service/|", "service/shop/web " + noFile},
		{"drain service/shop/|", "service/shop/web " + noFile},
		{"drain -n shop service/|", "service/web " + noFile},
		{"drain cluster/eu --reason |", noFile},
		{"drain cluster/eu --to |", "api file " + noFile},
		{"--reason x drain cluster/e|", "cluster/eu " + noFile}, // flags before the command
		{"undrain |", "zone/ap-a " + noFile},
		{"get clusters --context |", "fed other " + noFile},
		{"get clusters --context f|", "fed " + noFile},
		{"get clusters --cluster |", "c " + noFile},
		{"get clusters --user |", "u " + noFile},
		{"get clusters --kubeconfig |", filesOfTheir},
		{"overrides --file |", filesOfTheir},
		{"join |", "fed other " + noFile},
		{"join a --region af-|", "af-south-1 " + noFile},
		{"deinit o|", "other " + noFile},
		{"unjoin |", noFile}, // its API isn't there
		{"init x --api-server-service-type N|", "NodePort " + noFile},
		{"ge|", "get " + noFile},
		{"get |", "clusters objects " + noFile},
		{"help get |", "clusters objects " + noFile},
		{"help dr|", "drain " + noFile},
		{"services --unh|", "--unhealthy " + noFile},
		{"fly |", noFile},
	} {
		args := strings.Split(strings.TrimSuffix(tt.line, "|"), " ")
		out, stderr, code := d.run(append([]string{"__complete"}, args...)...)
		var got []string
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t") // what it is stands behind
			got = append(got, word)
		}
		if s := strings.Join(got, " "); s != tt.want || code != 0 {
			t.Errorf("%s: exit %d, %q, want %q; %s", tt.line, code, s, tt.want, stderr)
		}
	}
}

// A member that leaves is one of the API's.
func TestCompleteMembers(t *testing.T) {
	h := newHome(t)
	h.put("/apis/fedns.io/v1alpha1/clusters", `{"kind": "ClusterList", "apiVersion": "fedns.io/v1alpha1", "metadata": {}, "items": [{"kind": "Cluster", "apiVersion": "fedns.io/v1alpha1", "metadata": {"name": "eu"}}]}`)
	if out, stderr, code := h.run("__complete", "--kubeconfig", h.kubeconfig(), "--context", "fed", "unjoin", ""); !strings.HasPrefix(out, "eu\n:4\n") || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
}

// Who waits at a prompt gets nothing rather than an error, and not late: a server that says
// nothing would be waited for until the test ends.
func TestCompleteAway(t *testing.T) {
	p, c := patience, completeTime
	patience, completeTime = time.Hour, 50*time.Millisecond
	t.Cleanup(func() { patience, completeTime = p, c })
	d := known(t)
	for name, server := range map[string]string{"nobody": dead(t), "hangs up": rude(t, hangUp), "says nothing": rude(t, sayNothing), "nonsense": rude(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0\r\n")) }), "no URL": "::"} {
		for _, line := range [][]string{{"explain", ""}, {"drain", "cluster/"}, {"services", "-n", ""}, {"undrain", "cluster/"}} {
			d.server = server
			out, stderr, code := d.run(append([]string{"__complete"}, line...)...)
			if out != ":4\n" || code != 0 || strings.Contains(stderr, "error") {
				t.Errorf("%s: %q: exit %d, %s%s", name, line, code, stderr, out)
			}
		}
	}
}

// As kubectl's plugin it speaks of itself as one, and kubectl asks it what may come next.
func TestPlugin(t *testing.T) {
	d := known(t)
	d.as = "/usr/local/bin/kubectl_complete-fedns"
	if out, stderr, code := d.run("drain", "cluster/e"); out != "cluster/eu\n:4\n" || code != 0 {
		t.Errorf("exit %d, %s%s", code, stderr, out)
	}
	d.as = `/usr/local/bin/kubectl-fedns`
	for _, tt := range []struct{ args, want string }{
		{"", "Usage:\n  kubectl fedns [options]\n"},
		{"explain -h", "  kubectl fedns explain nginx.mynamespace\n"},
		{"get -h", "Use \"kubectl fedns get COMMAND --help\""},
		{"--version", "kubectl fedns version test\n"},
		{"drain cluster/a", "fedctl: hint: usage: kubectl fedns drain SUBJECT --reason TEXT [options]; kubectl fedns help drain lists them\n"},
		{"get clusters -h", "  kubectl fedns get clusters [options]\n"},
	} {
		out, stderr, _ := d.run(strings.Fields(tt.args)...)
		if !strings.Contains(out+stderr, tt.want) {
			t.Errorf("%s:\n%s%swant %q", tt.args, out, stderr, tt.want)
		}
		if i := strings.Index(out, "  fedctl "); i >= 0 {
			t.Errorf("%s: tells of fedctl: %s", tt.args, out[i:])
		}
	}
	for _, name := range []string{"kubectl-fedns.exe", "./kubectl-fedns"} {
		d.as = name
		if out, _, _ := d.run(); !strings.Contains(out, "  kubectl fedns [options]\n") {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}
