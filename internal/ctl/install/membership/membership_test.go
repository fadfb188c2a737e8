package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/kubeconfig"
	"github.com/fedns/fedns/test/framework/fakeapi"
)

// widgets are a kind that nobody knows.
var widgets = kube.Kind{Group: "example.com", Version: "v1", Name: "Widget", Resource: "widgets", Namespaced: true}

// A pair is the API of a federation and that of a cluster.
type pair struct {
	home, there *fakeapi.API
	member      *Member
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{
		home: fakeapi.New(t, builtin.Namespaces, builtin.Secrets, builtin.ServiceAccounts, builtin.ConfigMaps, builtin.Roles, builtin.RoleBindings, builtin.Leases, v1alpha1.Clusters),
		there: fakeapi.New(t, slices.Concat([]kube.Kind{builtin.Namespaces, builtin.ServiceAccounts, builtin.Roles, builtin.RoleBindings,
			builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Nodes, builtin.Pods, widgets}, Propagated, copies)...),
	}
	p.member = &Member{Federation: "fed", Home: p.home.Client(), Cluster: "oslo", API: p.there.Client()}
	for _, a := range []*kube.API{p.member.Home, p.member.API} {
		if _, err := a.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", "kube-system"), "test"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.member.Home.Create(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", v1alpha1.System), "test"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) join(t *testing.T, spec map[string]any) error {
	_, err := p.member.Join(t.Context(), Request{Endpoint: kubeconfig.Endpoint{Server: p.there.URL}, Spec: spec, Kinds: []kube.Kind{widgets}}, func(string) {})
	return err
}

// all is what is in both.
func (p *pair) all() string {
	return "federation:\n" + strings.Join(p.home.All(), "\n") + "\ncluster:\n" + strings.Join(p.there.All(), "\n")
}

// Who has joined can be led to by fedns and by fedsync, each with a token of its own, and joining
// again changes nothing but what is said anew.
func TestJoin(t *testing.T) {
	p := newPair(t)
	if err := p.join(t, map[string]any{"region": "no", "zones": []any{"no-a"}}); err != nil {
		t.Fatal(err)
	}
	c := p.home.Get(v1alpha1.Clusters, "", "oslo")
	if c == nil {
		t.Fatal("there is no Cluster object")
	}
	if spec := fmt.Sprint(c.Object["spec"]); spec != "map[region:no secretRef:map[name:oslo.cluster] zones:[no-a]]" {
		t.Errorf("spec %s", spec)
	}
	tokens := map[string]bool{}
	for _, name := range []string{"oslo.cluster", "oslo.cluster" + v1alpha1.WriterSuffix} {
		s := p.home.Get(builtin.Secrets, v1alpha1.System, name)
		if s == nil {
			t.Fatalf("there is no Secret %s", name)
		}
		content := string(kube.SecretData(s)[v1alpha1.KubeconfigKey])
		if !strings.Contains(content, p.there.URL) {
			t.Errorf("Secret %s doesn't lead to the cluster: %s", name, content)
		}
		for _, line := range strings.Split(content, "\n") {
			if _, token, ok := strings.Cut(line, "token:"); ok {
				tokens[token] = true
			}
		}
	}
	if len(tokens) != 2 {
		t.Errorf("fedns and fedsync have %d tokens", len(tokens))
	}
	for _, b := range []string{"fedns-fed", "fedsync-fed"} {
		o := p.there.Get(builtin.ClusterRoleBindings, "", b)
		if o == nil {
			t.Fatalf("there is no binding %s", b)
		}
		if got, want := fmt.Sprint(o.Object["subjects"]), "[map[kind:ServiceAccount name:"+b+" namespace:federation-system]]"; got != want {
			t.Errorf("%s binds %s, want %s", b, got, want)
		}
	}
	if role := fmt.Sprint(p.there.Get(builtin.ClusterRoles, "", "fedsync-fed.objects").Object["rules"]); !strings.Contains(role, "widgets") {
		t.Errorf("fedsync may: %s", role)
	}
	// What fedns may do changes nothing, and it sees no Secret.
	role := fmt.Sprint(p.there.Get(builtin.ClusterRoles, "", "fedns-fed").Object["rules"])
	for _, no := range []string{"create", "update", "patch", "delete", "secrets", "*"} {
		if strings.Contains(role, no) {
			t.Errorf("fedns may: %s", role)
		}
	}

	before := p.all()
	p.home.Requests()
	if err := p.join(t, map[string]any{"region": "se"}); err != nil {
		t.Fatal(err)
	}
	if after := p.all(); after != before {
		t.Errorf("joining again:\n%s\nbefore\n%s", after, before)
	}
	if spec := fmt.Sprint(p.home.Get(v1alpha1.Clusters, "", "oslo").Object["spec"]); spec != "map[region:se secretRef:map[name:oslo.cluster] zones:[no-a]]" {
		t.Errorf("joined again, spec %s", spec)
	}
}

// Whichever write a join fails at, nothing of it is left, and what was there before is.
func TestJoinFails(t *testing.T) {
	const most = 100
	n := 1
	for ; n < most; n++ {
		p := newPair(t)
		before := p.all()
		fail := fakeapi.FailWrite(n)
		p.home.Fail(fail)
		p.there.Fail(fail)
		err := p.join(t, nil)
		if err == nil {
			break
		}
		if after := p.all(); after != before {
			t.Errorf("write %d fails (%v), and there is\n%s\nbefore\n%s", n, err, after, before)
		}
	}
	if n < 8 || n == most {
		t.Errorf("a join has %d writes", n-1)
	}
}

// Who unjoins leaves nothing, and can be unjoined again from wherever that ended.
func TestUnjoin(t *testing.T) {
	for n := 1; ; n++ {
		p := newPair(t)
		before := p.all()
		if err := p.join(t, nil); err != nil {
			t.Fatal(err)
		}
		fail := fakeapi.FailWrite(n)
		p.home.Fail(fail)
		p.there.Fail(fail)
		_, first := p.member.Unjoin(t.Context(), Leaving{}, func(string) {})
		p.home.Fail(nil)
		p.there.Fail(nil)
		if first != nil {
			if _, err := p.member.Unjoin(t.Context(), Leaving{}, func(string) {}); err != nil {
				t.Fatalf("after write %d failed (%v): %v", n, first, err)
			}
		}
		if after := p.all(); after != before {
			t.Errorf("write %d failed (%v); there is\n%s\nbefore\n%s", n, first, after, before)
		}
		if first == nil {
			if n < 8 {
				t.Errorf("an unjoin has %d writes", n-1)
			}
			return
		}
	}
}

// A cluster is never mistaken for another one.
func TestMistaken(t *testing.T) {
	p, other := newPair(t), newPair(t)
	if err := p.join(t, nil); err != nil {
		t.Fatal(err)
	}
	another := *p.member
	another.API = other.member.API
	if _, err := another.Join(t.Context(), Request{Endpoint: kubeconfig.Endpoint{Server: other.there.URL}}, func(string) {}); err == nil || !strings.Contains(err.Error(), "cluster oslo of federation fed is another one than") {
		t.Errorf("another cluster joins by its name: %v", err)
	}
	if _, err := another.Unjoin(t.Context(), Leaving{}, func(string) {}); err == nil || !strings.Contains(err.Error(), "isn't cluster oslo") {
		t.Errorf("another cluster is unjoined by its name: %v", err)
	}
	twice := *p.member
	twice.Cluster = "bergen"
	if _, err := twice.Join(t.Context(), Request{Endpoint: kubeconfig.Endpoint{Server: p.there.URL}}, func(string) {}); err == nil || !strings.Contains(err.Error(), "is cluster oslo of federation fed already") {
		t.Errorf("it joins by another name: %v", err)
	}
	twice.Cluster = "malmo"
	twice.API = nil
	if _, err := twice.Unjoin(t.Context(), Leaving{}, func(string) {}); err == nil || !strings.Contains(err.Error(), "has no cluster malmo") {
		t.Errorf("a cluster that never joined: %v", err)
	}
}

// What isn't the federation's is neither taken over nor taken away.
func TestForeign(t *testing.T) {
	p := newPair(t)
	theirs := builtin.ClusterRoles.New("", "fedns-fed")
	theirs.Object["rules"] = []any{}
	if _, err := p.member.API.Create(t.Context(), builtin.ClusterRoles, theirs, "somebody"); err != nil {
		t.Fatal(err)
	}
	before := p.all()
	if err := p.join(t, nil); err == nil || !strings.Contains(err.Error(), "ClusterRole fedns-fed is there already, and isn't federation fed's") {
		t.Errorf("error %v", err)
	}
	if after := p.all(); after != before {
		t.Errorf("there is\n%s\nbefore\n%s", after, before)
	}
}
