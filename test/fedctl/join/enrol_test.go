package join

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
)

// The names of contexts that cloud providers make.
const (
	gke = "gke_company-project_europe-west1-b_gce-europe-west1-b"
	eks = "arn:aws:eks:us-east-1:123456789012:cluster/us@example"
)

// The walk of the first article, over API servers that run already: the federation's
// is hollow, the two members are alive.
func TestFederation(t *testing.T) {
	t.Parallel()
	b := cluster.New(t)
	var home, other *cluster.Cluster
	hollow := make(chan struct{})
	go func() {
		defer close(hollow)
		apis := b.APIs(t, "home", "other")
		home, other = apis[0], apis[1]
	}()
	members := b.Members(t, "eu", "us")
	<-hollow
	if t.Failed() {
		t.FailNow()
	}
	d := newDesk(t, map[string]*cluster.Cluster{"home": home, "other/one": other, gke: members[0], eks: members[1]})
	for _, m := range members {
		m.AddNode(t, "node", "region-"+m.Name, "zone-"+m.Name)
	}
	for _, m := range members { // Kubernetes taints a node until it is ready
		server.Eventually(t, 30*time.Second, m.Name+"'s node has no taint", func() bool {
			n, err := m.Client.CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
			return err == nil && len(n.Spec.Taints) == 0
		})
	}
	before := map[string]map[string]string{}
	for _, c := range d.contexts() {
		before[c] = everything(t, d.open(c))
	}

	t.Run("init", func(t *testing.T) {
		d := d.with(t)
		if err := os.Chmod(d.kubeconfig, 0o640); err != nil {
			t.Fatal(err)
		}
		d.mustNot(`"nowhere" leads to no API`, "init", "federation", "--dns-zone-name", "example.com", "--api", "nowhere")
		d.mustNot(`it has a context "home" already`, "init", "home", "--dns-zone-name", "example.com", "--api", "other/one")
		out := d.must("init", "federation", "--dns-zone-name=example.com", "--api", "home")
		if !strings.Contains(out, `context "federation" in `+d.kubeconfig) || !strings.Contains(out, `Secret federation-system/federation-fedns in context "federation", until 2`) {
			t.Errorf("it says\n%s", out)
		}
		if got := d.contexts(); !slices.Contains(got, "federation") || !slices.Contains(got, gke) {
			t.Errorf("contexts %q", got)
		}
		if info, err := os.Stat(d.kubeconfig); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("the kubeconfig's mode is %v, %v", info.Mode(), err)
		}
		if out := d.kubectl("--context=federation", "get", "clusters"); !strings.Contains(out, "No resources found") {
			t.Errorf("kubectl says %s", out)
		}
		stood := everything(t, d.open("home"))
		d.must("init", "federation", "--dns-zone-name=example.com", "--api", d.kubeconfig+"/home")
		for k, v := range everything(t, d.open("home")) {
			if stood[k] != v && !strings.Contains(k, "/federation-fed") { // their tokens are new
				t.Errorf("run again, it changes %s", k)
			}
		}
		d.mustNot("is the API of federation federation already", "init", "second", "--dns-zone-name", "example.com", "--api", "home")
		d.mustNot("isn't the API of a federation", "--context", "other/one", "get", "clusters")
	})

	t.Run("join", func(t *testing.T) {
		d := d.with(t)
		d.mustNot("isn't there", "join", "eu", "--context=federation", "--cluster-context", "nobody")
		// As the article has it, flags before the command.
		out := d.must("--context=federation", "join", "cluster-europe-west1-b", "--cluster-context="+gke, "--host-cluster-context="+gke)
		if !strings.Contains(out, "is a member of federation federation now") || !strings.Contains(out, "the token of fedns doesn't end") {
			t.Errorf("it says\n%s", out)
		}
		d.must("--context=federation", "join", "us", "--cluster-context", eks, "--region", "us", "--zones", "us-a,us-b", "--location", "38 -77", "--addresses", "192.0.2.0/24")
		d.mustNot("is cluster us of federation federation already", "--context=federation", "join", "again", "--cluster-context", eks)
		d.mustNot("is another one", "--context=federation", "join", "us", "--cluster-context", gke)

		api := d.open("federation")
		versions := func() map[string]string {
			out := map[string]string{}
			for c, where := range map[string]*kube.API{"home": api, "us": d.open(eks)} {
				for _, k := range []kube.Kind{builtin.Secrets, builtin.ServiceAccounts, builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Roles, builtin.RoleBindings, v1alpha1.Clusters} {
					list, err := where.List(t.Context(), k, "", "")
					if err != nil && !kube.Missing(err) {
						t.Fatal(err)
					}
					for _, o := range list {
						out[c+" "+k.Name+" "+o.GetNamespace()+"/"+o.GetName()] = o.GetResourceVersion()
					}
				}
			}
			return out
		}
		first := versions()
		if out := d.must("--context=federation", "join", "us", "--cluster-context", eks); !strings.Contains(out, "is renewed") {
			t.Errorf("it says\n%s", out)
		}
		if again := versions(); !reflect.DeepEqual(first, again) {
			t.Errorf("joined again, it changes\n%v\nto\n%v", first, again)
		}
		d.must("--context=federation", "join", "us", "--cluster-context", eks, "--region=")
		us, err := api.Get(t.Context(), v1alpha1.Clusters, "", "us")
		if err != nil {
			t.Fatal(err)
		}
		if spec := us.Object["spec"].(map[string]any); spec["region"] != nil || !reflect.DeepEqual(spec["zones"], []any{"us-a", "us-b"}) || spec["location"] != "38 -77" {
			t.Errorf("its spec is %v", spec)
		}
	})

	t.Run("get clusters", func(t *testing.T) {
		d := d.with(t)
		api := d.open("federation")
		for _, name := range []string{"us", "cluster-europe-west1-b"} { // as fedsync will say it
			status := map[string]any{"status": map[string]any{"kubernetesVersion": "v1.36.3", "region": "eu", "conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Ready"}}}}
			if _, err := api.Merge(t.Context(), v1alpha1.Clusters, "", name, status, "test", "status"); err != nil {
				t.Fatal(err)
			}
		}
		want := regexp.MustCompile(`^NAME +STATUS +DRAIN +REGION +SHARDS +HEARD +AGE\ncluster-europe-west1-b +Ready +eu +\d+m?\d*s\nus +Ready +eu +\d+m?\d*s\n$`)
		theirs, ours := d.kubectl("--context=federation", "get", "clusters"), d.must("--context=federation", "get", "clusters")
		if !want.MatchString(theirs) {
			t.Errorf("kubectl prints\n%s", theirs)
		}
		ages := regexp.MustCompile(`\d+m?\d*s\n`)
		if ages.ReplaceAllString(theirs, "\n") != ages.ReplaceAllString(ours, "\n") {
			t.Errorf("fedctl prints\n%skubectl\n%s", ours, theirs)
		}
		for form, want := range map[string]string{"name": "cluster.fedns.io/cluster-europe-west1-b\ncluster.fedns.io/us\n", "jsonpath={.items[*].status.region}": "eu eu"} {
			theirs, ours := d.kubectl("--context=federation", "get", "clusters", "-o", form), d.must("--context=federation", "get", "clusters", "-o", form)
			if ours != want || theirs != want {
				t.Errorf("-o %s: fedctl prints\n%s\nkubectl\n%s", form, ours, theirs)
			}
		}
		d.plugin()
		if out := d.must("get", "clusters", "--context=federation", "-o", "wide"); !strings.Contains(out, "REGION") {
			t.Errorf("wide:\n%s", out)
		}
		if out := d.must("get", "clusters", "--context=federation", "-o", "yaml"); !strings.Contains(out, "name: us.cluster") {
			t.Errorf("yaml:\n%s", out)
		}
	})

	t.Run("rights", func(t *testing.T) { rights(t, d.with(t)) })

	t.Run("joined again, its rights are narrowed", func(t *testing.T) { narrowed(t, d.with(t)) })

	var shared map[string]string // what eks holds while it is a member of second alone
	t.Run("a second federation shares a member", func(t *testing.T) {
		d := d.with(t)
		d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		same(t, d.open(eks), before[eks])
		d.must("init", "second", "--dns-zone-name", "example.org", "--api", "other/one")
		out := d.must("--context=second", "join", "us", "--cluster-context", eks, "--kind", "rbac.authorization.k8s.io/v1/Role", "--kind", "rbac.authorization.k8s.io/v1/RoleBinding", "--kind", "v1/ResourceQuota")
		if !strings.Contains(out, "is a member of federation second now") {
			t.Errorf("it says\n%s", out)
		}
		role, err := d.open(eks).Get(t.Context(), builtin.ClusterRoles, "", "fedsync-second.objects")
		if err != nil {
			t.Fatal(err)
		}
		if rules := role.Object["rules"].([]any); !strings.Contains(fmt.Sprint(rules[len(rules)-1]), "resourcequotas") {
			t.Errorf("its last rule is %v", rules[len(rules)-1])
		}
		if rules := fmt.Sprint(role.Object["rules"]); !strings.Contains(rules, "escalate") || !strings.Contains(rules, "[bind]") {
			t.Errorf("it may not write what others may do: %s", rules)
		}
		// What init was told of, join reads in the federation's settings, and init again keeps.
		d.must("init", "second", "--dns-zone-name", "example.org", "--api", "other/one", "--kind", "v1/LimitRange")
		d.must("init", "second", "--dns-zone-name", "example.org", "--api", "other/one")
		if out := d.must("--context=second", "join", "us", "--cluster-context", eks); !strings.Contains(out, "fedsync may keep v1/LimitRange there, too\n") {
			t.Errorf("it says\n%s", out)
		}
		if role, err = d.open(eks).Get(t.Context(), builtin.ClusterRoles, "", "fedsync-second.objects"); err != nil {
			t.Fatal(err)
		}
		if rules := fmt.Sprint(role.Object["rules"]); !strings.Contains(rules, "limitranges") || !strings.Contains(rules, "resourcequotas") {
			t.Errorf("its rules are %s", rules)
		}
		put(t, d, eks, "second", "two")
		shared = everything(t, d.open(eks))
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		put(t, d, eks, "federation", "one")
		d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		same(t, d.open(eks), shared)
	})

	t.Run("a join that fails leaves nothing", func(t *testing.T) {
		d := d.with(t)
		stood := everything(t, d.open("federation"))

		// Somebody else's role stands where one of ours is to be.
		member := d.open(eks)
		foreign := builtin.ClusterRoles.New("", "fedsync-federation")
		foreign.Object["rules"] = []any{}
		if _, err := member.Create(t.Context(), builtin.ClusterRoles, foreign, "somebody"); err != nil {
			t.Fatal(err)
		}
		with := everything(t, member)
		d.mustNot("ClusterRole fedsync-federation is there already, and isn't federation federation's", "--context=federation", "join", "us", "--cluster-context", eks)
		same(t, member, with)
		if err := member.Delete(t.Context(), builtin.ClusterRoles, "", "fedsync-federation", ""); err != nil {
			t.Fatal(err)
		}

		// The federation's API refuses the last step.
		api := d.open("federation")
		objects, err := kube.Parse(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-clusters}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [fedns.io], apiVersions: ["*"], operations: [CREATE], resources: [clusters]}]}
  validations: [{expression: "false", message: not today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-clusters}
spec: {policyName: no-clusters, validationActions: [Deny]}
`)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			home.Apply(t, yaml(t, o))
		}
		refused := func() bool {
			_, _, err := api.Apply(t.Context(), v1alpha1.Clusters, (&membership.Member{Cluster: "probe"}).Object(membership.Request{}, nil), kube.How{Manager: "test", DryRun: true})
			return err != nil
		}
		eventually(t, "the policy holds", refused)
		d.mustNot("not today", "--context=federation", "join", "us", "--cluster-context", eks)
		same(t, member, shared)
		for _, k := range []kube.Kind{{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}, {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}} {
			if err := api.Delete(t.Context(), k, "", "no-clusters", ""); err != nil {
				t.Fatal(err)
			}
		}
		same(t, api, stood)
		eventually(t, "the policy doesn't hold", func() bool { return !refused() })

		// The operator may read only.
		reader := newDesk(t, map[string]*cluster.Cluster{"home": home})
		if err := os.WriteFile(reader.kubeconfig, merge(t, d.kubeconfig, members[1].ReadOnly(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		with = everything(t, member)
		reader.mustNot("namespaces", "--context=federation", "join", "us", "--cluster-context", "us")
		same(t, member, with)
		for _, k := range []kube.Kind{builtin.ClusterRoleBindings, builtin.ClusterRoles} {
			if err := member.Delete(t.Context(), k, "", "fedns", ""); err != nil {
				t.Fatal(err)
			}
		}

		// Ctrl-C.
		ctx, cancel := context.WithCancel(t.Context())
		eventuallyThen(t, cancel, func() bool {
			ok, err := member.Exists(t.Context(), builtin.ServiceAccounts, "federation-system", "fedns-federation")
			return err == nil && ok
		})
		if _, errs, code := d.fedctlIn(ctx, "--context=federation", "join", "us", "--cluster-context", eks); code == 0 {
			t.Log("it was faster than Ctrl-C") // then it is a member, and unjoined below
			d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		} else if !strings.Contains(errs, "interrupted") {
			t.Errorf("it says %s", errs)
		}
		same(t, member, shared)
		same(t, api, stood)
	})

	t.Run("orphan", func(t *testing.T) {
		d := d.with(t)
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		put(t, d, eks, "federation", "orphans")
		d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0", "--orphan")
		api := d.open(eks)
		for _, x := range []struct {
			k    kube.Kind
			ns   string
			name string
		}{{builtin.Namespaces, "", "orphans"}, {builtin.Services, "orphans", "web"}, {builtin.Deployments, "orphans", "web"}} {
			o, err := api.Get(t.Context(), x.k, x.ns, x.name)
			if err != nil {
				t.Fatal(err)
			}
			labels, notes := o.GetLabels(), o.GetAnnotations()
			if labels["fedns.io/managed-by"] != "" || notes["fedns.io/federation"] != "" || notes["fedns.io/applied"] != "" {
				t.Errorf("%s: labels %v, annotations %v", x.name, labels, notes)
			}
			if x.k == builtin.Services && labels["fedns.io/export"] != "true" {
				t.Error("it isn't exported any more")
			}
			for _, f := range o.GetManagedFields() {
				if f.Manager == "fedsync" {
					t.Errorf("%s: fedsync has fields still", x.name)
				}
			}
		}
		for k, v := range everything(t, api) {
			if strings.Contains(v, "fedns.io/federation:federation") || strings.Contains(v, "fedns.io/applied") && !strings.Contains(v, "fedns.io/federation:second") {
				t.Errorf("marked still: %s %s", k, v)
			}
		}
		if err := api.Delete(t.Context(), builtin.Namespaces, "", "orphans", ""); err != nil {
			t.Fatal(err)
		}
		same(t, api, shared)
	})

	t.Run("what was there is taken over", func(t *testing.T) {
		d := d.with(t)
		adopted(t, d, home, members[1])
		same(t, d.open(eks), shared)
	})

	t.Run("a stranger's object keeps its namespace", func(t *testing.T) {
		d := d.with(t)
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		put(t, d, eks, "federation", "strangers")
		members[1].Apply(t, "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: strangers, name: mine}}")
		out := d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		if !strings.Contains(out, "namespace strangers stays: it holds ConfigMap mine") {
			t.Errorf("it says\n%s", out)
		}
		api := d.open(eks)
		ns, err := api.Get(t.Context(), builtin.Namespaces, "", "strangers")
		if err != nil || ns.GetLabels()["fedns.io/managed-by"] != "" {
			t.Errorf("%v, labels %v", err, ns.GetLabels())
		}
		if err := api.Delete(t.Context(), builtin.Namespaces, "", "strangers", ""); err != nil {
			t.Fatal(err)
		}
		same(t, api, shared)
	})

	t.Run("a member that is dead", func(t *testing.T) {
		d := d.with(t)
		stood := everything(t, d.open("federation"))
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		put(t, d, eks, "federation", "dead")
		members[1].Kill(t)
		d.mustNot("--force removes it from the federation", "--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		if ok, err := d.open("federation").Exists(t.Context(), v1alpha1.Clusters, "", "us"); !ok {
			t.Fatalf("it is gone, %v", err)
		}
		out := d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0", "--force")
		if !strings.Contains(out, "fedctl unjoin us --cluster-context X again removes it") {
			t.Errorf("it says\n%s", out)
		}
		same(t, d.open("federation"), stood)
		members[1].Start(t)
		d.must("--context=federation", "unjoin", "us", "--cluster-context", eks)
		same(t, d.open(eks), shared)
	})

	t.Run("drained first", func(t *testing.T) {
		d := d.with(t)
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		ctx, cancel := context.WithCancel(t.Context())
		api := d.open("federation")
		var said server.Buffer
		eventuallyThen(t, cancel, func() bool { return strings.Contains(said.String(), "answers that name it to expire") })
		if _, code := d.fedctlTo(ctx, &said, "--context=federation", "unjoin", "us", "--cluster-context", eks); code == 0 || !strings.Contains(said.String(), "interrupted") {
			t.Errorf("exit %d, %s", code, said.String())
		}
		o, err := api.Get(t.Context(), v1alpha1.Clusters, "", "us")
		if err != nil {
			t.Fatal(err)
		}
		if reason, _, _ := unstructured.NestedString(o.Object, "spec", "drain", "reason"); reason != "unjoin" {
			t.Errorf("it is drained for %q", reason)
		}
		// A running fedns is asked until it has heard, and for its longest TTL.
		var asked atomic.Int32
		status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/api/v1/clusters":
				verdict := "up"
				if asked.Add(1) > 3 {
					verdict = "down"
				}
				fmt.Fprintf(w, `{"clusters": [{"federation": "federation", "cluster": "us", "shards": [{"verdict": %q, "count": 1}]}]}`, verdict)
			case "/api/v1/services":
				fmt.Fprint(w, `{"services": [{"ttl": 3600}]}`)
			}
		}))
		defer status.Close()
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, errs, code := d.fedctlIn(ctx, "--context=federation", "unjoin", "us", "--cluster-context", eks, "--server", status.URL)
		until := regexp.MustCompile(`to expire, until (\S+)`).FindStringSubmatch(errs)
		if code == 0 || until == nil || asked.Load() < 4 {
			t.Fatalf("exit %d, asked %d times, %s", code, asked.Load(), errs)
		}
		end, err := time.ParseInLocation(time.DateTime, time.Now().Format(time.DateOnly)+" "+until[1], time.Local)
		if wait := (time.Until(end) + 24*time.Hour) % (24 * time.Hour); err != nil || wait < 59*time.Minute || wait > time.Hour {
			t.Errorf("it waits for %v, %v", wait, err)
		}
		// Joined again, it isn't drained.
		d.must("--context=federation", "join", "us", "--cluster-context", eks)
		if o, err = api.Get(t.Context(), v1alpha1.Clusters, "", "us"); err != nil {
			t.Fatal(err)
		}
		if drain, ok, _ := unstructured.NestedMap(o.Object, "spec", "drain"); ok {
			t.Errorf("it is drained: %v", drain)
		}
		d.must("--context=federation", "unjoin", "us", "--cluster-context", eks, "--drain-wait=100ms")
		same(t, d.open(eks), shared)
	})

	t.Run("deinit", func(t *testing.T) {
		d := d.with(t)
		d.must("--context=second", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		same(t, d.open(eks), before[eks])
		d.mustNot("federation second has no cluster us", "--context=second", "unjoin", "us", "--cluster-context", eks, "--drain-wait=0")
		d.must("deinit", "second", "--yes")
		same(t, d.open("other/one"), before["other/one"])
		d.mustNot("federation federation has clusters: cluster-europe-west1-b", "deinit", "federation", "--yes")
		d.must("--context=federation", "unjoin", "cluster-europe-west1-b", "--cluster-context", gke, "--drain-wait=0")
		same(t, d.open(gke), before[gke])
		d.must("deinit", "federation", "--yes")
		same(t, d.open("home"), before["home"])
		if got := d.contexts(); slices.Contains(got, "federation") || len(got) != 4 {
			t.Errorf("contexts %q", got)
		}
		for _, c := range []string{gke, eks} {
			api := d.open(c)
			eventually(t, "namespace federation-system is gone", func() bool {
				there, err := api.Exists(t.Context(), builtin.Namespaces, "", "federation-system")
				return err == nil && !there
			})
		}
	})

	t.Run("nothing stays", func(t *testing.T) { remains(t, d.with(t), b, members[0], members[1]) })
}
