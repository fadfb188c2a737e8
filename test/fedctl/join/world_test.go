// Package join makes federations of real API servers, with fedctl.
package join

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/ctl"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// A desk is an operator's: a kubeconfig with a context for each cluster.
type desk struct {
	t          *testing.T
	kubeconfig string
}

func newDesk(t *testing.T, contexts map[string]*cluster.Cluster) *desk {
	t.Helper()
	d := &desk{t, filepath.Join(t.TempDir(), "config")}
	all := clientcmdapi.NewConfig()
	for name, c := range contexts {
		one, err := clientcmd.LoadFromFile(c.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		all.Clusters[c.Name], all.AuthInfos[c.Name] = one.Clusters[c.Name], one.AuthInfos[c.Name]
		all.Contexts[name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: c.Name}
	}
	if err := clientcmd.WriteToFile(*all, d.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return d
}

// with is the same desk for another test.
func (d *desk) with(t *testing.T) *desk { return &desk{t, d.kubeconfig} }

// fedctl runs it, and gives what it prints and exits with.
func (d *desk) fedctl(args ...string) (stdout, stderr string, code int) {
	return d.fedctlIn(d.t.Context(), args...)
}

func (d *desk) fedctlIn(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var errs server.Buffer
	stdout, code = d.fedctlTo(ctx, &errs, args...)
	return stdout, errs.String(), code
}

// fedctlTo has it tell somebody who listens meanwhile.
func (d *desk) fedctlTo(ctx context.Context, errs *server.Buffer, args ...string) (stdout string, code int) {
	var out bytes.Buffer
	// A server that isn't there: nobody asks one that happens to run here.
	env := map[string]string{"KUBECONFIG": d.kubeconfig, "FEDNS_SERVER": "http://127.0.0.1:1"}
	code = ctl.Run(ctx, ctl.Env{Stdout: &out, Stderr: errs, Getenv: func(k string) string { return env[k] }, Now: time.Now, Version: "test"}, args)
	return out.String(), code
}

// must runs it, and it has to work.
func (d *desk) must(args ...string) string {
	d.t.Helper()
	out, errs, code := d.fedctl(args...)
	if code != 0 {
		d.t.Fatalf("fedctl %q: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

// mustNot runs it, and it has to fail, and say so.
func (d *desk) mustNot(want string, args ...string) {
	d.t.Helper()
	out, errs, code := d.fedctl(args...)
	if code == 0 || !strings.Contains(errs, want) {
		d.t.Errorf("fedctl %q: exit %d, want %q\n%s%s", args, code, want, out, errs)
	}
}

// kubectl runs it with the desk's kubeconfig.
func (d *desk) kubectl(args ...string) string {
	d.t.Helper()
	cmd := exec.Command(program("kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + d.kubeconfig, "HOME=" + filepath.Dir(d.kubeconfig)}
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// plugin runs fedctl as kubectl fedns, which completes it, too.
func (d *desk) plugin() {
	d.t.Helper()
	bin, err := server.Build("fedctl")
	if err != nil {
		d.t.Fatal(err)
	}
	dir := d.t.TempDir()
	for _, name := range []string{"kubectl-fedns", "kubectl_complete-fedns"} {
		if err := os.Symlink(bin, filepath.Join(dir, name)); err != nil {
			d.t.Fatal(err)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"fedns get clusters --context federation -o name", "cluster.fedns.io/cluster-europe-west1-b\ncluster.fedns.io/us\n"},
		{"fedns get clusters -h", "\n  kubectl fedns get clusters [options]\n"},
		{"__complete fedns unjoin --context federation u", "us\n:4\n"},
	} {
		cmd := exec.Command(program("kubectl"), strings.Fields(tt.args)...)
		cmd.Env = []string{"KUBECONFIG=" + d.kubeconfig, "HOME=" + filepath.Dir(d.kubeconfig), "PATH=" + dir}
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), tt.want) {
			d.t.Errorf("kubectl %s: %v\n%s\nwant %q", tt.args, err, out, tt.want)
		}
	}
}

func program(name string) string { return filepath.Join(vector.Root(), "bin", "kube", name) }

// contexts are those of the kubeconfig.
func (d *desk) contexts() []string {
	d.t.Helper()
	c, err := clientcmd.LoadFromFile(d.kubeconfig)
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(c.Contexts))
}

// open reaches an API by a context of the desk, or by a kubeconfig.
func (d *desk) open(context string, content ...byte) *kube.API {
	d.t.Helper()
	config := kube.Config{Kubeconfig: d.kubeconfig, Context: context}
	if content != nil {
		config = kube.Config{Content: content}
	}
	api, err := kube.Open(config)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(api.Close)
	return api
}

// served are all kinds of an API, and all resources with their subresources.
func served(t *testing.T, api *kube.API) (kinds []kube.Kind, resources []kube.Right) {
	t.Helper()
	disc, err := discovery.NewDiscoveryClientForConfig(api.REST)
	if err != nil {
		t.Fatal(err)
	}
	_, lists, err := disc.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		group, version, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group, version = "", group
		}
		for _, r := range list.APIResources {
			resources = append(resources, kube.Right{Group: group, Resource: r.Name})
			if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") {
				kinds = append(kinds, kube.Kind{Group: group, Version: version, Name: r.Kind, Resource: r.Name, Namespaced: r.Namespaced})
			}
		}
	}
	return kinds, resources
}

// everything in a cluster, by kind and name; what it holds but what changes by
// itself. Events, leases and what controllers derive come and go. A namespace that
// is being deleted is as good as gone: Kubernetes takes five seconds over one.
func everything(t *testing.T, api *kube.API) map[string]string {
	t.Helper()
	all := map[string]string{}
	namespaces, err := api.List(t.Context(), builtin.Namespaces, "", "")
	if err != nil {
		t.Fatal(err)
	}
	going := map[string]bool{}
	for _, n := range namespaces {
		going[n.GetName()] = n.GetDeletionTimestamp() != nil
	}
	kinds, _ := served(t, api)
	for _, k := range kinds {
		switch k.Name {
		case "Event", "Lease", "ComponentStatus", "Endpoints", "IPAddress", "APIService", "ControllerRevision":
			continue
		}
		list, err := api.List(t.Context(), k, "", "")
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		for _, o := range list {
			if going[o.GetNamespace()] || k == builtin.Namespaces && going[o.GetName()] {
				continue
			}
			unstructured.RemoveNestedField(o.Object, "status") // heartbeats, pods that become ready
			for _, f := range []string{"managedFields", "resourceVersion", "generation"} {
				unstructured.RemoveNestedField(o.Object, "metadata", f)
			}
			all[k.Name+" "+o.GetNamespace()+"/"+o.GetName()] = fmt.Sprint(o.Object)
		}
	}
	return all
}

// same fails t unless everything comes to be as it was.
func same(t *testing.T, api *kube.API, before map[string]string) {
	t.Helper()
	var diff []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // between two looks
		diff = nil
		now := everything(t, api)
		for k, v := range before {
			if now[k] != v {
				diff = append(diff, fmt.Sprintf("was  %s %s\n  is %s", k, v, now[k]))
			}
		}
		for k := range now {
			if _, ok := before[k]; !ok {
				diff = append(diff, "new  "+k)
			}
		}
		if diff == nil {
			return
		}
	}
	slices.Sort(diff)
	t.Errorf("%s isn't as it was:\n%s", api.Server, strings.Join(diff, "\n"))
}

// readFile reads one of the repository.
func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vector.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
