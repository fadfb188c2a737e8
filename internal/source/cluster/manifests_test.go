package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

func lb(name, ip string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n  namespace: shop\nspec:\n  type: LoadBalancer\nstatus:\n  loadBalancer:\n    ingress:\n    - ip: %s\n---\n", name, ip)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeEarlier writes a file that has been still for a minute: it is read once when a folder is first looked
// at, and one that may be being written is read twice.
func writeEarlier(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, text)
	ago := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, ago, ago); err != nil {
		t.Fatal(err)
	}
}

// replace writes a file at once, as a careful editor does.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func follow(t *testing.T, dir string, selector labels.Selector) (*view, *journal, *Folder) {
	t.Helper()
	j := &journal{}
	f, err := NewFolder(FolderConfig{Federation: "fed", Cluster: "onprem", Dir: dir, Selector: selector, Log: j.logger()})
	if err != nil {
		t.Fatal(err)
	}
	return during(t, f.Run), j, f
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("a.yaml"), lb("web", "192.0.2.1")+lb("api", "192.0.2.2"))
	write(t, at("b.json"), `{"kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","labels":{"topology.kubernetes.io/region":"us"}}}]}`)
	write(t, at(".hidden.yaml"), "{{{")
	write(t, at("notes.txt"), "{{{")
	if err := os.Mkdir(at("folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	v, j, f := follow(t, dir, nil)
	v.becomes(t, "node n1 us/; svc shop/api [192.0.2.2]; svc shop/web [192.0.2.1]")
	if f.Heard().IsZero() {
		t.Error("nothing heard")
	}

	// written over in place
	write(t, at("a.yaml"), lb("web", "192.0.2.3"))
	v.becomes(t, "node n1 us/; svc shop/web [192.0.2.3]")

	// renamed over, as editors do: to the same size
	write(t, at("a.yaml~"), lb("web", "192.0.2.4"))
	if err := os.Rename(at("a.yaml~"), at("a.yaml")); err != nil {
		t.Fatal(err)
	}
	v.becomes(t, "node n1 us/; svc shop/web [192.0.2.4]")

	// a new file, and one that has gone
	write(t, at("c.yml"), lb("new", "192.0.2.5"))
	if err := os.Remove(at("b.json")); err != nil {
		t.Fatal(err)
	}
	v.becomes(t, "svc shop/new [192.0.2.5]; svc shop/web [192.0.2.4]")

	// half-written, with a pause that is long enough to be seen, then completed
	text := lb("web", "192.0.2.6") + lb("late", "192.0.2.7")
	file, err := os.Create(at("a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.Index(text, "- ip: 192.0.2.7") - 7
	if _, err := file.WriteString(text[:cut] + "\t{"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an error", func() bool { return j.has("ERROR manifests: "+at("a.yaml")+":") == 1 })
	t.Log(j.all())
	v.becomes(t, "svc shop/new [192.0.2.5]; svc shop/web [192.0.2.4]")
	write(t, at("c.yml"), lb("new", "192.0.2.8"))
	v.becomes(t, "svc shop/new [192.0.2.8]; svc shop/web [192.0.2.4]")
	if _, err := file.WriteAt([]byte(text[cut:]), int64(cut)); err != nil {
		t.Fatal(err)
	}
	file.Close()
	v.becomes(t, "svc shop/late [192.0.2.7]; svc shop/new [192.0.2.8]; svc shop/web [192.0.2.6]")
	eventually(t, "all well", func() bool { return j.has("INFO manifests: "+at("a.yaml")+" can be read again") == 1 })
	if n := j.has("ERROR"); n != 1 {
		t.Errorf("%d errors: %q", n, j.all())
	}

	// the whole folder goes
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an error", func() bool { return j.has("ERROR manifests: open "+dir) == 1 })
	v.becomes(t, "svc shop/late [192.0.2.7]; svc shop/new [192.0.2.8]; svc shop/web [192.0.2.6]")
	if err := os.Rename(dir+".gone", dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all well", func() bool { return j.has("INFO manifests: "+dir+" can be read again") == 1 })
}

func TestFolderBrokenAtFirst(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), lb("web", "192.0.2.1"))
	write(t, filepath.Join(dir, "b.yaml"), lb("api", "192.0.2.2")+"kind: Service\nkind")
	v, j, _ := follow(t, dir, nil)
	v.becomes(t, "svc shop/web [192.0.2.1]")
	eventually(t, "complete lists", func() bool { return len(v.listed()) == 4 })
	if n := j.has("ERROR", "b.yaml:1"); n != 1 {
		t.Errorf("log: %q", j.all())
	}
	write(t, filepath.Join(dir, "b.yaml"), lb("api", "192.0.2.2"))
	v.becomes(t, "svc shop/api [192.0.2.2]; svc shop/web [192.0.2.1]")
}

// A folder that can't be looked at is unknown, not empty.
func TestFolderAwayAtFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.yaml"), lb("web", "192.0.2.1"))
	j := &journal{}
	f, err := NewFolder(FolderConfig{Dir: dir, Log: j.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	v := during(t, f.Run)
	eventually(t, "an error", func() bool { return j.has("ERROR manifests: open "+dir) == 1 })
	if n := v.listed(); len(n) > 0 || !f.Heard().IsZero() {
		t.Errorf("lists of a folder that isn't there: %v", n)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	v.becomes(t, "svc shop/web [192.0.2.1]")
}

// A folder that is away for long is a silent cluster.
func TestFolderSilence(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.yaml"), lb("web", "192.0.2.1"))
	write(t, filepath.Join(dir, "b.yaml"), lb("api", "192.0.2.2"))
	j := &journal{}
	f, err := NewFolder(FolderConfig{Cluster: "onprem", Dir: dir, Log: j.logger()})
	if err != nil {
		t.Fatal(err)
	}
	f.away = 500 * time.Millisecond
	v := during(t, f.Run)
	v.told(t, lists, "fresh")
	const both = "svc shop/api [192.0.2.2]; svc shop/web [192.0.2.1]"

	move(dir, dir+".away") // nothing changes
	v.told(t, lists, "fresh", "silent")
	if v.silence[0] < f.away || v.String() != both || j.has("ERROR cluster onprem: silent for ", "what is known of it stays") != 1 {
		t.Errorf("%s, silent for %v, log: %q", v, v.silence, j.all())
	}
	move(dir+".away", dir)
	v.told(t, lists, "fresh", "silent", lists, "fresh")

	move(dir, dir+".away") // one file changes, and one goes
	v.told(t, lists, "fresh", "silent", lists, "fresh", "silent")
	write(t, filepath.Join(dir+".away", "a.yaml"), lb("web", "192.0.2.3"))
	if err := os.Remove(filepath.Join(dir+".away", "b.yaml")); err != nil {
		t.Fatal(err)
	}
	move(dir+".away", dir)
	v.told(t, lists, "fresh", "silent", lists, "fresh", "silent", lists, "fresh")
	if got := v.String(); got != "svc shop/web [192.0.2.3]" {
		t.Errorf("fresh, and yet %s", got)
	}
}

// A mounted ConfigMap: its files are links through ..data, which is swapped.
func TestFolderConfigMap(t *testing.T) {
	dir := t.TempDir()
	for i, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		sub := filepath.Join(dir, fmt.Sprintf("..v%d", i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(sub, "a.yaml"), lb("web", ip))
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..v0", "..data")
	link("..data/a.yaml", "a.yaml")
	link("nowhere", "dangling.yaml")
	v, j, _ := follow(t, dir, nil)
	v.becomes(t, "svc shop/web [192.0.2.1]")
	link("..v1", "..tmp")
	if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	v.becomes(t, "svc shop/web [192.0.2.2]")
	if j.has("ERROR")+j.has("WARN") > 0 {
		t.Errorf("log: %q", j.all())
	}
}

// Where a manifest was, a folder stands, or a link to a device: what it held stays, and it is said.
func TestFolderWithSomethingElse(t *testing.T) {
	for _, test := range []struct {
		name, says string
		put        func(path string) error
	}{
		{"a folder", "not a regular file", func(path string) error { return os.Mkdir(path, 0o755) }},
		{"a device", "a.yaml", func(path string) error { return os.Symlink("/dev/zero", path) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.yaml")
			write(t, path, lb("web", "192.0.2.1"))
			write(t, filepath.Join(dir, "b.yaml"), lb("api", "192.0.2.2"))
			v, j, _ := follow(t, dir, nil)
			v.becomes(t, "svc shop/api [192.0.2.2]; svc shop/web [192.0.2.1]")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := test.put(path); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "b.yaml"), lb("api", "192.0.2.3"))
			v.becomes(t, "svc shop/api [192.0.2.3]; svc shop/web [192.0.2.1]")
			if j.has("ERROR", test.says) == 0 {
				t.Errorf("log: %q", j.all())
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			v.becomes(t, "svc shop/api [192.0.2.3]")
		})
	}
}

func TestFolderSelects(t *testing.T) {
	dir := t.TempDir()
	object := func(kind, version, name, labels string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, labels: {%s}}\n---\n", version, kind, name, labels)
	}
	const slices = "discovery.k8s.io/v1"
	write(t, filepath.Join(dir, "a.yaml"), ""+
		object("EndpointSlice", slices, "web-1", "kubernetes.io/service-name: web")+
		object("EndpointSlice", slices, "other-1", "kubernetes.io/service-name: other")+
		object("EndpointSlice", slices, "early-1", "kubernetes.io/service-name: early, fedns.io/export: 'true'")+
		object("EndpointSlice", slices, "none", "fedns.io/export: 'true'")+
		object("Service", "v1", "web", "fedns.io/export: 'true'")+
		object("Service", "v1", "other", "")+
		object("Service", "v1", "taken-back", "fedns.io/export: 'true'")+
		object("Ingress", "networking.k8s.io/v1", "front", "fedns.io/export: 'true'")+
		object("Ingress", "networking.k8s.io/v1", "back", "")+
		object("Node", "v1", "n1", ""))
	write(t, filepath.Join(dir, "b.yaml"), object("Service", "v1", "taken-back", "")+object("Node", "v1", "n1", "topology.kubernetes.io/zone: z"))
	selector, err := labels.Parse("fedns.io/export=true")
	if err != nil {
		t.Fatal(err)
	}
	v, j, _ := follow(t, dir, selector)
	v.becomes(t, "ing default/front []; node n1 /z; slice default/web-1 web[]; svc default/web []")
	write(t, filepath.Join(dir, "c.yaml"), "")
	write(t, filepath.Join(dir, "b.yaml"), object("Service", "v1", "taken-back", "")+object("Node", "v1", "n1", "topology.kubernetes.io/zone: w"))
	v.becomes(t, "ing default/front []; node n1 /w; slice default/web-1 web[]; svc default/web []")
	if n := j.has("WARN", "a.yaml and again in b.yaml"); n != 1 {
		t.Errorf("said %d times that two files have the same: %q", n, j.all())
	}
}

func TestFolderProblems(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(lb("web", "192.0.2.1"), "  name: web", "  name: web\n  annotations: {fedns.io/ttl: soon}", 1)
	write(t, filepath.Join(dir, "a.yaml"), text)
	v, j, _ := follow(t, dir, nil)
	v.becomes(t, "svc shop/web [192.0.2.1]")
	write(t, filepath.Join(dir, "a.yaml"), strings.Replace(text, "192.0.2.1", "192.0.2.2", 1))
	v.becomes(t, "svc shop/web [192.0.2.2]")
	if n := j.has("WARN cluster onprem: shop/web: annotation fedns.io/ttl:"); n != 1 {
		t.Errorf("said %d times: %q", n, j.all())
	}
}

// What isn't read of what may have been meant to count is said, once for a kind and
// version; older versions with the fields that count are read.
func TestFolderVersions(t *testing.T) {
	dir := t.TempDir()
	writeEarlier(t, filepath.Join(dir, "old.yaml"), `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
---
apiVersion: discovery.k8s.io/v1beta1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}, topology: {topology.kubernetes.io/zone: us-a, kubernetes.io/hostname: n1}}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: Gateway
metadata: {name: front, namespace: shop}
status: {addresses: [{value: 192.0.2.7}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: route, namespace: shop}
spec: {hostnames: [shop.example.com]}
---
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: a, namespace: shop}}
---
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: b, namespace: shop}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: web, namespace: shop}}
---
{apiVersion: acme.io/v1, kind: Route, metadata: {name: web, namespace: shop}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: shop}}
`)
	v, _, _ := follow(t, dir, nil)
	v.becomes(t, "Gateway shop/front [192.0.2.7] []; HTTPRoute shop/route [] [shop.example.com]; slice shop/web-1 web[{us-a n1 true}]; svc shop/web []")
	for _, want := range []string{
		"Gateway of networking.istio.io/v1 isn't read, but that of gateway.networking.k8s.io/v1 and gateway.networking.k8s.io/v1beta1 and gateway.networking.k8s.io/v1alpha2",
		"Endpoints of v1 isn't read, but EndpointSlice of discovery.k8s.io/v1",
		"Route of acme.io/v1 isn't read, nor what it may say of hosts and Services",
	} {
		if n := v.says("unread manifests " + dir + ": " + want); n != 1 {
			t.Errorf("said %d times: %s", n, want)
		}
	}
	for _, s := range v.story() {
		if strings.HasPrefix(s, "unread ") && (strings.Contains(s, "Deployment") || strings.Contains(s, "ConfigMap")) {
			t.Errorf("said: %s", s)
		}
	}
}

// TLSRoutes and ListenerSets are read, in each version that they have had.
func TestFolderListenerSets(t *testing.T) {
	dir := t.TempDir()
	writeEarlier(t, filepath.Join(dir, "a.yaml"), `
{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TLSRoute, metadata: {name: a, namespace: shop}, spec: {hostnames: [a.example.com]}}
---
{apiVersion: gateway.networking.k8s.io/v1alpha3, kind: TLSRoute, metadata: {name: b, namespace: shop}, spec: {hostnames: [b.example.com]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: TLSRoute, metadata: {name: c, namespace: shop}, spec: {hostnames: [c.example.com]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: set, namespace: shop}, spec: {parentRef: {name: front}}}
---
{apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: XListenerSet, metadata: {name: set, namespace: shop}, spec: {parentRef: {name: front}}}
---
{apiVersion: gateway.networking.x-k8s.io/v1, kind: XListenerSet, metadata: {name: other, namespace: shop}, spec: {parentRef: {name: front}}}
`)
	v, _, _ := follow(t, dir, nil)
	v.becomes(t, "ListenerSet shop/set [] []; TLSRoute shop/a [] [a.example.com]; TLSRoute shop/b [] [b.example.com]; TLSRoute shop/c [] [c.example.com]; XListenerSet shop/set [] []")
	if want := "unread manifests " + dir + ": XListenerSet of gateway.networking.x-k8s.io/v1 isn't read, but that of gateway.networking.x-k8s.io/v1alpha1"; v.says(want) != 1 {
		t.Errorf("said %q, not %s", v.story(), want)
	}
}

// An Ingress says where it leads in the words of its version.
func TestOldIngress(t *testing.T) {
	for _, version := range []string{"networking.k8s.io/v1beta1", "extensions/v1beta1"} {
		o := decoded(t, "apiVersion: "+version+`
kind: Ingress
metadata: {name: front, namespace: shop}
spec:
  backend: {serviceName: rest, servicePort: 80}
  rules: [{host: shop.example.com, http: {paths: [{path: /, backend: {serviceName: web, servicePort: http}}]}}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
`)
		s, problems := ingress(o.ingress())
		if got := fmt.Sprint(s.Addrs, s.Routing().Backends, s.Routing().Claims, problems); got != "[192.0.2.1] [shop/rest shop/web] [{shop.example.com [shop/web]  false}] []" {
			t.Errorf("%s: %s", version, got)
		}
	}
}

// What is promised is a second. The clock is the bubble's: it says how long was waited, and
// what a busy machine takes isn't on it.
func TestFolderIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		v, _, _ := follow(t, dir, nil)
		eventually(t, "lists", func() bool { return len(v.listed()) == 4 })
		begin := time.Now()
		write(t, filepath.Join(dir, "a.yaml"), lb("web", "192.0.2.1"))
		v.becomes(t, "svc shop/web [192.0.2.1]")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a change took %v", took)
		}
	})
}

func TestNewFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		filepath.Join(dir, "file"): "not a folder",
	} {
		if _, err := NewFolder(FolderConfig{Dir: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a file holds as before is the same object as before, once it has changed: the table has that, too.
func TestFolderKeepsObjects(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	slice := "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}\nendpoints: []\n---\n"
	write(t, path, lb("web", "192.0.2.1")+lb("api", "192.0.2.2")+slice)
	f, err := NewFolder(FolderConfig{Federation: "fed", Cluster: "onprem", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	f.look()
	before := f.files["a.yaml"].content
	replace(t, path, lb("new", "192.0.2.3")+lb("api", "192.0.2.4")+slice+lb("web", "192.0.2.1"))
	for changed := false; !changed; {
		changed, _ = f.look()
	}
	after := f.files["a.yaml"].content
	if len(before.services) != 2 || len(after.services) != 3 || len(after.slices) != 1 {
		t.Fatalf("%d services, then %d, and %d slices", len(before.services), len(after.services), len(after.slices))
	}
	if after.services[2].object != before.services[0].object || after.slices[0] != before.slices[0] {
		t.Error("what hasn't changed is there twice")
	}
	if after.services[1].object == before.services[1].object || after.services[1].object.Addrs[0].String() != "192.0.2.4" {
		t.Error("what has changed is as it was")
	}
}
