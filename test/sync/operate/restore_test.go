package operate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/federation"
	"github.com/fedns/fedns/test/framework/server"
)

// restored puts a backup of a federation into another API, while its member runs and a fedsync
// waits: nothing there is written, deleted or made twice, but what was being deleted.
func restored(t *testing.T, b *cluster.Bed, w *world, lyon *cluster.Cluster) {
	w.Fed.Apply(t, once)
	eventually(t, lyon, "job", "shop", "once", "{.metadata.name}", "once")
	eventually(t, lyon, "configmap", "shop", "leaves", "{.metadata.name}", "leaves")
	// It runs to its end there, and the cluster takes it away: it must not run again.
	now := time.Now().UTC().Format(time.RFC3339)
	kubectl(t, lyon, "patch", "job", "-n", "shop", "once", "--subresource=status", "-p", `{"status": {"startTime": "`+now+`", "completionTime": "`+now+`", "succeeded": 1, "conditions": [
		{"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": "`+now+`"}, {"type": "Complete", "status": "True", "lastTransitionTime": "`+now+`"}]}}`)
	eventually(t, w.Fed, "job", "shop", "once", "{.status.succeeded}", "1")
	kubectl(t, lyon, "delete", "job", "-n", "shop", "once", "--wait=false")
	server.Eventually(t, within, "it is known to have run", func() bool {
		return strings.Contains(field(w.Fed, "job", "shop", "once", `{.metadata.annotations.fedns\.io/status}`), `"Finished"`)
	})
	eventually(t, lyon, "configmap", "shop", "paper", "{.metadata.name}", "paper")
	eventually(t, lyon, "service", "shop", "front", "{.metadata.name}", "front")
	eventually(t, lyon, "limitrange", "shop", "fresh", "{.metadata.name}", "fresh")
	w.Stop()
	kubectl(t, w.Fed, "delete", "-n", "shop", "configmap/leaves", "--wait=false")
	before := versions(t, lyon)

	file := filepath.Join(t.TempDir(), "prod.backup")
	if err := os.WriteFile(file, nil, 0o644); err != nil { // which others may read
		t.Fatal(err)
	}
	if out := typed(t, w.Fed, 0, "backup", file); !strings.Contains(out, "has federation prod: ") {
		t.Errorf("backup says %s", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	typed(t, w.Fed, 1, "restore", file) // which holds all of it

	second := &world{World: &federation.World{Fed: b.API(t, "second"), Members: w.Members, Log: &server.Buffer{}}}
	t.Cleanup(second.Stop)
	context := kubectl(t, second.Fed, "config", "current-context")
	typed(t, second.Fed, 0, "init", "prod", "--dns-zone-name", "example.com", "--api", second.Fed.Kubeconfig+"/"+strings.TrimSpace(context))
	second.Start(t, "--lease", "6s")
	server.Eventually(t, within, "it leads", func() bool { return strings.Contains(second.Log.String(), "leading") })
	if out := typed(t, second.Fed, 0, "restore", file, "--dry-run"); !strings.Contains(out, "backup of federation prod, of ") || !strings.Contains(out, "nothing is done") {
		t.Errorf("a dry run says %s", out)
	}
	refused(t, second.Fed, lyon, file)
	out := typed(t, second.Fed, 0, "restore", file)
	if !strings.Contains(out, "and 1 cluster\n") || !strings.Contains(out, "1 object that were being deleted go on being so") || strings.Contains(out, "doesn't take") {
		t.Errorf("it says %s", out)
	}
	if !strings.Contains(second.Log.String(), "puts a backup into the federation's API") {
		t.Errorf("fedsync hasn't stood back:\n%s", second.Log.String())
	}
	server.Eventually(t, within, "what was being deleted is gone", func() bool { return field(lyon, "configmap", "shop", "leaves", "{.metadata.name}") == "" })
	eventually(t, second.Fed, "configmap", "shop", "leaves", "{.metadata.name}", "")
	for _, name := range []string{"deployment.web", "service.front", "configmap.paper", "limitrange.fresh", "job.once"} {
		kind, name, _ := strings.Cut(name, ".")
		server.Eventually(t, within, kind+" is as it should be", func() bool {
			return strings.Contains(field(second.Fed, kind, "shop", name, `{.metadata.annotations.fedns\.io/status}`), `"Propagated","status":"True"`)
		})
	}
	after := versions(t, lyon)
	delete(before, "ConfigMap shop/leaves")
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%s was %s, and is %s", k, v, after[k])
		}
	}
	for k := range after {
		if before[k] == "" {
			t.Errorf("%s is new", k)
		}
	}
	// Who has said which field is as it was, so that the next to say something isn't a stranger.
	for _, path := range []string{"{.metadata.managedFields[*].manager}", "{.spec.replicas}"} {
		if was, now := field(w.Fed, "deployment", "shop", "web", path), field(second.Fed, "deployment", "shop", "web", path); was != now || was == "" {
			t.Errorf("%s was %q, and is %q", path, was, now)
		}
	}
	// It goes on from there.
	kubectl(t, second.Fed, "scale", "deployment", "-n", "shop", "web", "--replicas=7")
	eventually(t, lyon, "deployment", "shop", "web", "{.spec.replicas}", "7")
}

// refused tries to restore what can't be, into an API that is there for it, while the member runs and a fedsync leads: each
// says why, and neither writes anything.
func refused(t *testing.T, fed, member *cluster.Cluster, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	resealed := func(from, to string) []byte { // as if fedctl had written it so
		body := bytes.Replace(text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1], []byte(from), []byte(to), 1)
		return fmt.Appendf(body, "{\"sha256\":\"%x\"}\n", sha256.Sum256(body))
	}
	changed := bytes.Clone(text)
	changed[len(text)/2] ^= 1
	dir := t.TempDir()
	holds := func() string {
		return kubectl(t, fed, "get", "deployments,services,configmaps,secrets,jobs,clusters,orders", "-A", "-o", "custom-columns=A:.kind,B:.metadata.namespace,C:.metadata.name,D:.metadata.resourceVersion")
	}
	before, there := versions(t, member), holds()
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"other":  {resealed(`"federation":"prod"`, `"federation":"test"`), "it is a backup of federation test, and "},
		"domain": {resealed(`"domain":"example.com"`, `"domain":"example.org"`), "it is a backup of federation prod of domain example.org, and this one is of example.com"},
		"newer":  {resealed(`"version":1`, `"version":2`), "it is of version 2, made by fedctl "},
		"byte":   {changed, "it isn't as it was written"},
		"empty":  {nil, "it is no backup of a federation"},
		"header": {text[:100], "it is cut short"},
		"half":   {text[:len(text)/2], "it is cut short"},
		"line":   {text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1], "it is cut short"},
		"end":    {text[:len(text)-1], "it is cut short"},
		"twice":  {append(bytes.Clone(text), text...), "it isn't as it was written"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, tt.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, said := says(t, fed, 1, "restore", path); !strings.Contains(said, path+": "+tt.want) {
			t.Errorf("restore of %s says %s, want %q", name, said, tt.want)
		}
	}
	for path, want := range map[string]string{dir: "is a directory", filepath.Join(dir, "none"): "there is no file of this name", "/proc/self/mem": "input/output error", "/dev/zero": "it is no backup of a federation"} {
		if _, said := says(t, fed, 1, "restore", path); !strings.Contains(said, path+": "+want) {
			t.Errorf("restore says %s, want %q", said, want)
		}
	}
	if after, now := versions(t, member), holds(); !maps.Equal(before, after) || there != now {
		t.Errorf("what is refused changed something:\n%v\n%s\nand before\n%v\n%s", after, now, before, there)
	}
}

// versions are those of all that a cluster has of what fedsync keeps.
func versions(t *testing.T, c *cluster.Cluster) map[string]string {
	t.Helper()
	api, out := open(t, c), map[string]string{}
	for _, k := range append([]kube.Kind{builtin.Limits}, kindsOf()...) {
		all, err := api.List(t.Context(), k, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if o.GetAnnotations()[v1alpha1.Federation] != "" {
				out[k.Name+" "+o.GetNamespace()+"/"+o.GetName()] = string(o.GetUID()) + " " + o.GetResourceVersion()
			}
		}
	}
	return out
}

func kindsOf() (out []kube.Kind) {
	for _, s := range workload.Kinds() {
		out = append(out, s.Kind)
	}
	return out
}

// typed runs fedctl with a cluster's kubeconfig alone, and wants it to exit with a code.
func typed(t *testing.T, c *cluster.Cluster, want int, args ...string) string {
	t.Helper()
	out, _ := says(t, c, want, args...)
	return out
}

// says is typed, and gives what is said beside, too.
func says(t *testing.T, c *cluster.Cluster, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	bin, err := operator()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "FEDNS_SERVER=127.0.0.1:1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its code says how it went
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Fatalf("fedctl %q: %v, want exit %d\n%s%s", args, cmd.ProcessState, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

const once = `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  ttlSecondsAfterFinished: 600
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: leaves, namespace: shop}
---
apiVersion: v1
kind: LimitRange
metadata: {name: fresh, namespace: shop}
spec: {limits: [{type: Container, max: {cpu: "1"}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: paper, namespace: shop}
data: {k: v}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {ports: [{port: 80, nodePort: 30123}], type: NodePort, selector: {app: web}}
`
