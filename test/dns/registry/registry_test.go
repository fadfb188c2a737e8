// Package registry has clusters join and leave a federation while somebody asks for
// its names, and takes the federation's own API away: real API servers, one for
// Cluster objects and one for each member.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// soon is how long anything may take that isn't said to take longer.
const soon = 5 * time.Second

// rights are all that fedns needs in the API of a federation.
const rights = `
apiVersion: v1
kind: Namespace
metadata: {name: federation-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fedns-registry}
rules:
- {apiGroups: [fedns.io], resources: [clusters], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fedns-registry}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fedns-registry}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: federation-system, name: fedns-registry}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [paris, lyon, oslo], verbs: [get, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: federation-system, name: fedns-registry}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fedns-registry}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
`

// A world is a federation's API and three clusters, each with the service web and
// one of its own name.
type world struct {
	fed     *cluster.Cluster
	admin   *kube.API
	reader  string // kubeconfig of who may do no more than fedns needs
	members map[string]*cluster.Cluster
}

var sites = []struct{ name, region, zone, web, own string }{
	{"paris", "eu", "eu-a", "192.0.2.1", "192.0.2.11"},
	{"lyon", "eu", "eu-b", "192.0.2.2", "192.0.2.12"},
	{"oslo", "no", "no-a", "192.0.2.3", "192.0.2.13"},
}

const (
	paris      = "192.0.2.1"
	oslo       = "192.0.2.3"
	both       = "192.0.2.1 192.0.2.2"
	others     = "192.0.2.1 192.0.2.3"
	everywhere = "192.0.2.1 192.0.2.2 192.0.2.3"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{members: map[string]*cluster.Cluster{}}
	cs := cluster.New(t).APIs(t, "federation", "paris", "lyon", "oslo")
	w.fed = cs[0]
	var wg sync.WaitGroup
	for i, s := range sites {
		c := cs[i+1]
		w.members[s.name] = c
		wg.Go(func() {
			c.AddNode(t, "node-1", s.region, s.zone)
			for svc, addr := range map[string]string{"web": s.web, s.name: s.own} {
				c.Expose(t, "shop", svc, addr)
				c.Slice(t, "shop", svc, s.zone, true)
			}
		})
	}
	wg.Go(func() {
		w.reader = w.fed.ReadOnly(t)
		w.fed.Revoke(t) // those are a member's rights
		w.install(t)
	})
	wg.Wait()
	if _, err := server.Binary(); err != nil { // built before any clock starts
		t.Fatal(err)
	}
	return w
}

// install makes the API one of a federation.
func (w *world) install(t *testing.T) {
	t.Helper()
	// The schema of before, which lets through what servers have to cope with.
	w.fed.Apply(t, was(deploy.Clusters))
	w.fed.Apply(t, rights)
	var err error
	if w.admin, err = kube.Open(kube.Config{Kubeconfig: w.fed.Kubeconfig}); err != nil {
		t.Fatal(err)
	}
	server.Eventually(t, 20*time.Second, "Cluster objects are served", func() bool {
		_, err := w.admin.List(t.Context(), v1alpha1.Clusters, "", "")
		return err == nil
	})
}

// cluster writes a Cluster object, as all of its spec.
func (w *world) cluster(t *testing.T, name, spec string) {
	t.Helper()
	o := v1alpha1.Clusters.New("", name)
	var fields map[string]any
	if err := json.Unmarshal([]byte("{"+spec+"}"), &fields); err != nil {
		t.Fatal(err)
	}
	fields["secretRef"] = map[string]any{"name": name}
	o.Object["spec"] = fields
	if _, _, err := w.admin.Apply(t.Context(), v1alpha1.Clusters, o, kube.How{Manager: "test", Force: true}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) secret(t *testing.T, name, kubeconfig string) {
	t.Helper()
	text, err := json.Marshal(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.fed.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {namespace: federation-system, name: %s}\nstringData: {kubeconfig: %s}\n", name, text))
}

func (w *world) unjoin(t *testing.T, name string) {
	t.Helper()
	if err := w.admin.Delete(t.Context(), v1alpha1.Clusters, "", name, ""); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig is the content of one with a member's rights to read.
func (w *world) kubeconfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(w.members[name].ReadOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// account is a kubeconfig of a service account of its own, which end revokes.
func (w *world) account(t *testing.T, member, name string) (kubeconfig string, end func()) {
	t.Helper()
	c := w.members[member]
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: default, name: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fedns}
subjects: [{kind: ServiceAccount, namespace: default, name: %[1]s}]
`, name))
	accounts := c.Client.CoreV1().ServiceAccounts("default")
	token, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.AuthInfos[member].Token = token.Status.Token
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), func() {
		if err := accounts.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// corefile is one whose members are in the registry alone.
func (w *world) corefile(more string) string { return w.corefileWith("200ms 600ms", more) }

// calm is one for tests that look at what is said of members: on a busy machine, an API
// server may well not answer for half a second.
func (w *world) calm(more string) string { return w.corefileWith("1s 8s", more) }

func (w *world) corefileWith(heartbeat, more string) string {
	return "example.com:PORT {\n bind ADDR\n federation myfederation {\n  registry " + w.reader + " federation\n  heartbeat " + heartbeat + "\n" + more +
		" }\n ready READY\n prometheus METRICS\n errors\n}\n"
}

// A running is a fedns that runs, and somebody who asks it without end.
type running struct {
	*server.Server
	t *testing.T

	mu    sync.Mutex // guards the rest
	seen  map[string][]string
	since map[string]int // how often it was forgotten what a name was answered with
}

// names are asked for all the time.
var names = []string{"web", "web.eu", "web.eu-b", "web.no-a", "paris", "lyon", "oslo", "nobody"}

func start(t *testing.T, corefile string) *running {
	t.Helper()
	s := &running{Server: server.Start(t, corefile), t: t, seen: map[string][]string{}, since: map[string]int{}}
	done, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond): // the cores are others' too, and rrl drops what one network asks beyond 2,000 a second
			}
			name := names[n%len(names)]
			s.mu.Lock()
			since := s.since[name]
			s.mu.Unlock()
			a := s.ask(name)
			s.mu.Lock()
			if h := s.seen[name]; since == s.since[name] && (len(h) == 0 || h[len(h)-1] != a) {
				s.seen[name] = append(h, a)
			}
			s.mu.Unlock()
		}
	}()
	return s
}

// ask gives what a name is answered with: addresses, or why there are none.
func (s *running) ask(short string) string {
	service, scope, _ := strings.Cut(short, ".")
	if scope != "" {
		scope += "."
	}
	c := dns.Client{Timeout: 2 * time.Second}
	m, err := server.Query(&c, new(dns.Msg).SetQuestion(service+".shop.myfederation.svc."+scope+"example.com.", dns.TypeA), s.Addr)
	switch {
	case err != nil:
		return err.Error()
	case m.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[m.Rcode]
	}
	addrs := server.Addrs(m)
	slices.Sort(addrs)
	if len(addrs) == 0 {
		return "NODATA"
	}
	return strings.Join(addrs, " ")
}

// becomes waits until a name is answered with want.
func (s *running) becomes(short, want string) {
	s.t.Helper()
	last := ""
	for end := time.Now().Add(server.Patience(soon)); ; time.Sleep(2 * time.Millisecond) {
		if last = s.ask(short); last == want {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: still %q after %v, want %q", short, last, soon, want)
		}
	}
}

// saw says what a name has been answered with since the last call, in turn, and
// nothing else. What was so for a moment only may have been missed.
func (s *running) saw(short string, want ...string) {
	s.t.Helper()
	var got []string
	server.Eventually(s.t, soon, short+" is asked for", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got = slices.Clone(s.seen[short])
		return len(got) > 0 && got[len(got)-1] == want[len(want)-1]
	})
	i := 0
	for _, w := range want {
		if i < len(got) && got[i] == w {
			i++
		}
	}
	if i < len(got) {
		s.t.Errorf("%s was answered with %q, want %q", short, got, want)
	}
	s.forget(short)
}

// forget begins anew: what was asked before doesn't count, also if it is answered later.
func (s *running) forget(shorts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range shorts {
		s.seen[n] = nil
		s.since[n]++
	}
}

func (s *running) get(url string) string {
	s.t.Helper()
	r, err := http.Get(url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(all)
}

// metric sums a metric over the lines that have all of labels; -1: there is none.
func (s *running) metric(name string, labels ...string) float64 {
	s.t.Helper()
	text, err := os.ReadFile(s.Corefile)
	if err != nil {
		s.t.Fatal(err)
	}
	_, addr, _ := strings.Cut(string(text), " prometheus ")
	addr, _, _ = strings.Cut(addr, "\n")
	sum, found := 0.0, false
next:
	for line := range strings.Lines(s.get("http://" + addr + "/metrics")) {
		rest, ok := strings.CutPrefix(line, "coredns_federation_"+name)
		if !ok || name != "" && rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
			s.t.Fatalf("metric %q: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return -1
	}
	return sum
}

// measures waits until a metric is what it is to be.
func (s *running) measures(want float64, name string, labels ...string) {
	s.t.Helper()
	server.Eventually(s.t, soon, fmt.Sprintf("%s %v is %v", name, labels, want), func() bool { return s.metric(name, labels...) == want })
}

func (s *running) logs(text string) {
	s.t.Helper()
	server.Eventually(s.t, soon, fmt.Sprintf("the log says %q", text), func() bool { return strings.Contains(s.Log(), text) })
}

// fresh waits until every member is heard.
func (s *running) fresh() {
	s.t.Helper()
	server.Eventually(s.t, 2*soon, "no cluster is silent", func() bool { return s.metric("cluster_silent") == 0 && s.metric("cluster_listed") >= 1 })
}

// The life of a federation, from no member on, and the death of its API. What a
// client sees is held against the story at each step.
func TestRegistry(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	state, overrides, status := filepath.Join(dir, "state"), filepath.Join(dir, "overrides"), fmt.Sprint("127.0.0.1:", vector.Port(t))
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	corefile := w.corefile("  state " + state + "\n  overrides " + overrides + "\n  status " + status + "\n")
	s := start(t, corefile)
	s.measures(1, "registry_up")

	// Nothing is known of a federation without members, not even what isn't there.
	s.saw("web", "SERVFAIL")
	w.secret(t, "paris", w.kubeconfig(t, "paris"))
	w.cluster(t, "paris", "")
	s.becomes("web", paris)
	s.saw("web", "SERVFAIL", paris)
	s.saw("paris", "SERVFAIL", "192.0.2.11")
	s.becomes("lyon", "NXDOMAIN")
	s.saw("nobody", "SERVFAIL", "NXDOMAIN")
	s.saw("lyon", "SERVFAIL", "NXDOMAIN")

	// A cluster joins before its Secret is there: what only it may have isn't known
	// until it has been listed; the rest goes on.
	w.cluster(t, "lyon", "")
	s.logs("Cluster lyon: secret: there is no Secret federation-system/lyon")
	s.measures(1, "registry_problem", `cluster="lyon"`, `field="secret"`)
	s.becomes("lyon", "SERVFAIL")
	s.saw("web", paris)
	w.secret(t, "lyon", w.kubeconfig(t, "lyon"))
	s.becomes("lyon", "192.0.2.12")
	s.saw("lyon", "NXDOMAIN", "SERVFAIL", "192.0.2.12")
	s.saw("web", paris, both)
	s.measures(-1, "registry_problem")
	w.secret(t, "oslo", w.kubeconfig(t, "oslo"))
	w.cluster(t, "oslo", "")
	s.becomes("web", everywhere)
	s.saw("web", both, everywhere)
	s.saw("paris", "192.0.2.11")
	s.becomes("web.no-a", oslo)
	s.becomes("nobody", "NXDOMAIN")
	s.fresh()
	s.forget(names...)

	t.Run("heartbeats and labels are nobody's affair", func(t *testing.T) {
		s.t = t
		// Of one moment: what was changed before may still be published.
		var serial, published float64
		server.Eventually(t, soon, "nothing is published any more", func() bool {
			published, serial = s.metric("publications_total"), s.metric("snapshot_serial")
			return s.metric("publications_total") == published
		})
		for i := range 30 {
			patch := map[string]any{"status": map[string]any{"kubernetesVersion": "v1.36", "lastHeartbeatTime": time.Now().Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339)}}
			if _, err := w.admin.Merge(t.Context(), v1alpha1.Clusters, "", "paris", patch, "test", "status"); err != nil {
				t.Fatal(err)
			}
			patch = map[string]any{"metadata": map[string]any{"labels": map[string]any{"turn": fmt.Sprint(i)}}}
			if _, err := w.admin.Merge(t.Context(), v1alpha1.Clusters, "", "lyon", patch, "test", ""); err != nil {
				t.Fatal(err)
			}
		}
		// Behind them in the same watch: once it is seen, so were they.
		w.cluster(t, "oslo", `"region": "n_o"`)
		s.measures(1, "registry_problem", `cluster="oslo"`, `field="spec.region"`)
		s.logs(`Cluster oslo: spec.region: "n_o" is not one DNS label`)
		if a, b := s.metric("snapshot_serial"), s.metric("publications_total"); a != serial || b != published {
			t.Errorf("serial %v → %v, publications %v → %v", serial, a, published, b)
		}
		for _, n := range names[:4] {
			s.saw(n, s.ask(n))
		}
	})

	t.Run("spec", func(t *testing.T) {
		s.t = t
		w.cluster(t, "oslo", `"region": "north", "zones": ["north-1"]`)
		s.becomes("web.north-1.north", oslo)
		s.becomes("web.no-a", "NXDOMAIN")
		s.saw("web", everywhere)
		w.cluster(t, "oslo", `"addresses": ["198.51.100.0/24", "192.0.2.13"]`)
		s.becomes("web", both)
		s.becomes("web.no-a", both) // led up
		s.becomes("oslo", "192.0.2.13")
		w.cluster(t, "oslo", `"zones": ["no-a", "no-a"], "addresses": ["everything"]`)
		s.measures(1, "registry_problem", `field="spec.addresses"`)
		s.saw("web", everywhere, both)
		w.cluster(t, "oslo", "")
		s.becomes("web", everywhere)
		s.measures(-1, "registry_problem")
		s.saw("web", both, everywhere)
		s.saw("oslo", "192.0.2.13")
	})

	t.Run("drain", func(t *testing.T) {
		s.t = t
		until := time.Now().Add(3 * time.Second).Truncate(time.Second)
		w.cluster(t, "oslo", fmt.Sprintf(`"drain": {"reason": "kernel", "until": %q}`, until.UTC().Format(time.RFC3339)))
		s.becomes("web", both)
		var e report.Explanation
		if err := json.Unmarshal([]byte(s.get("http://"+status+"/api/v1/explain?name=web.shop.myfederation.svc.example.com")), &e); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(e.Shards, func(x report.Shard) bool { return x.Cluster == "oslo" })
		if i < 0 || !strings.Contains(e.Shards[i].Rule, "kernel (spec.drain of Cluster oslo)") {
			t.Errorf("explained by %+v", e.Shards)
		}
		s.becomes("web", everywhere)
		if early := time.Until(until); early > 0 {
			t.Errorf("it ended %v early", early)
		}
		s.logs("override has expired: drain cluster/oslo until " + until.UTC().Format(time.RFC3339))
		// What stands in the file is the last word.
		w.cluster(t, "oslo", `"drain": {"reason": "disks"}`)
		s.becomes("web", both)
		if err := os.WriteFile(overrides, []byte("up cluster/oslo reason \"not so\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.becomes("web", everywhere)
		w.cluster(t, "oslo", "")
		if err := os.Remove(overrides); err != nil {
			t.Fatal(err)
		}
		s.logs("override taken back: up cluster/oslo")
		s.saw("web", everywhere, both, everywhere, both, everywhere)
	})

	t.Run("credentials", func(t *testing.T) {
		s.t = t
		one, endOne := w.account(t, "paris", "one")
		two, _ := w.account(t, "paris", "two")
		w.secret(t, "paris", one)
		s.logs("cluster paris: the kubeconfig in its Secret has changed")
		w.secret(t, "paris", two)
		server.Eventually(t, soon, "the second ones are taken", func() bool {
			return strings.Count(s.Log(), "cluster paris: the kubeconfig in its Secret has changed") == 2
		})
		endOne()
		// What can't be used is said, and the last good ones stay.
		for _, bad := range []struct{ kubeconfig, why string }{
			{"{", "kubeconfig: Secret federation-system/paris: kubeconfig: "},
			{"", `has no key "kubeconfig"`},
			{strings.Replace(two, "token:", "tokenFile: /etc/passwd\n    notoken:", 1), "tokenFile names a file"},
			{strings.Replace(two, "token:", "exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: ["+dir+"/owned], interactiveMode: Never}\n    notoken:", 1), "exec runs a program here"},
		} {
			w.secret(t, "paris", bad.kubeconfig)
			s.logs(bad.why)
			s.measures(1, "registry_problem", `cluster="paris"`, `field="kubeconfig"`)
		}
		w.members["paris"].Slice(t, "shop", "web", "eu-a", false)
		s.becomes("web", "192.0.2.2 192.0.2.3")
		w.members["paris"].Slice(t, "shop", "web", "eu-a", true)
		s.becomes("web", everywhere)
		w.secret(t, "paris", two)
		s.measures(-1, "registry_problem")
		if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
			t.Error("a Secret has run a program")
		}
		for line := range strings.Lines(s.Log()) {
			lost := strings.Contains(line, "cluster paris: silent") && !strings.Contains(line, context.DeadlineExceeded.Error()) // an API server may have no processor for a while
			if lost || strings.Contains(line, "cluster paris: unauthorized") {
				t.Errorf("paris was lost in between: %s", line)
			}
		}
		s.saw("web", everywhere, "192.0.2.2 192.0.2.3", everywhere)
		s.saw("paris", "192.0.2.11")
	})

	t.Run("API stopped", func(t *testing.T) {
		s.t = t
		w.fed.Pause()
		s.measures(0, "registry_up")
		s.logs("registry: silent: the members stay as they are")
		w.members["lyon"].Slice(t, "shop", "web", "eu-b", false)
		s.becomes("web", others)
		w.members["lyon"].Slice(t, "shop", "web", "eu-b", true)
		s.becomes("web", everywhere)
		w.fed.Resume()
		s.measures(1, "registry_up")
		s.logs("registry: answers again")
		s.saw("web", everywhere, others, everywhere)
	})

	t.Run("API killed", func(t *testing.T) {
		s.t = t
		w.fed.Kill(t)
		s.measures(0, "registry_up")
		if s.metric("registry_age_seconds") <= 0 {
			t.Error("no age")
		}
		// A reload takes over the members, whatever became of the API.
		if err := syscall.Kill(s.Pid, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		s.logs("Reloading complete")
		s.measures(3, "registry_members")
		s.saw("web", everywhere)
		s.saw("nobody", "NXDOMAIN")
		// A restart finds them on disk, credentials and all, and is fresh.
		info, err := os.Stat(filepath.Join(state, "myfederation.registry"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		copied := filepath.Join(dir, "copy")
		if err := os.CopyFS(copied, os.DirFS(state)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(copied, "myfederation.registry"), 0o600); err != nil {
			t.Fatal(err)
		}
		again := server.Launch(t, w.corefile("  state "+copied+"\n"))
		a := &running{Server: again, t: t}
		a.becomes("web", everywhere)
		a.fresh()
		if got := a.ask("nobody"); got != "SERVFAIL" { // another cluster may have joined meanwhile
			t.Errorf("nobody, before the grace is over: %s", got)
		}
		bare := &running{Server: server.Launch(t, w.corefile("")), t: t}
		server.Eventually(t, soon, "one without a state knows nothing, and says so", func() bool { return bare.ask("web") == "SERVFAIL" })
		w.fed.Start(t)
		s.measures(1, "registry_up")
		bare.becomes("web", everywhere)
		a.becomes("nobody", "NXDOMAIN")
		s.saw("web", everywhere)
		again.Stop()
		bare.Stop()
	})

	spare := cluster.New(t)
	t.Run("API without its memory", func(t *testing.T) {
		s.t = t
		w.fed.Kill(t)
		w.fed.StartOn(t, spare)
		s.measures(0, "registry_up")
		w.install(t)
		s.logs("registry: has lost 3 of 3 members at once (lyon, oslo, paris); they stay until")
		s.measures(3, "registry_lost_members")
		s.measures(1, "registry_up")
		for _, site := range sites {
			w.secret(t, site.name, w.kubeconfig(t, site.name))
			w.cluster(t, site.name, "")
		}
		s.measures(0, "registry_lost_members")
		s.fresh()
		s.saw("web", everywhere)
		s.saw("lyon", "192.0.2.12")
		s.saw("nobody", "NXDOMAIN")
	})

	t.Run("unjoin", func(t *testing.T) {
		s.t = t
		w.unjoin(t, "lyon")
		s.becomes("web", others)
		s.becomes("lyon", "NXDOMAIN")
		s.becomes("web.eu-b", "NXDOMAIN")
		s.measures(-1, "", `cluster="lyon"`)
		s.saw("web", everywhere, others)
		s.saw("lyon", "192.0.2.12", "NXDOMAIN")
		w.cluster(t, "lyon", "")
		s.becomes("web", everywhere)
		s.saw("web", others, everywhere)
		s.saw("paris", "192.0.2.11")
		s.logs("registry: cluster lyon leaves")
	})
}
