package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/deploy"
	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/server"
)

// may are the rights to say what has become of orders, as fedctl init gives them.
const may = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: fedns-orders}
rules:
- {apiGroups: [fedns.io], resources: [orders], verbs: [get, list, watch]}
- {apiGroups: [fedns.io], resources: [clusters/status, orders/status], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: fedns-orders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: fedns-orders}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: federation-system, name: fedns-orders}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [list, create, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: federation-system, name: fedns-orders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fedns-orders}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: default, name: fedns-orders}
rules:
- {apiGroups: [""], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: default, name: fedns-orders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fedns-orders}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: fedns}]
`

// while is how long what a server writes may take on a busy machine.
const while = 30 * time.Second

func (w *world) order(t *testing.T, name, spec string) {
	t.Helper()
	o := v1alpha1.Orders.New("", name)
	var fields map[string]any
	if err := json.Unmarshal([]byte("{"+spec+"}"), &fields); err != nil {
		t.Fatal(err)
	}
	o.Object["spec"] = fields
	if _, _, err := w.admin.Apply(t.Context(), v1alpha1.Orders, o, kube.How{Manager: "test", Force: true}); err != nil {
		t.Fatal(err)
	}
}

// typed reads an object.
func typed[T any](t *testing.T, api *kube.API, k kube.Kind, name string) (out T) {
	t.Helper()
	o, err := api.Get(t.Context(), k, "", name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stated waits until n servers say of an order what is wanted, of the object as it is.
func (w *world) stated(t *testing.T, name string, n int, want string) v1alpha1.Order {
	t.Helper()
	var o v1alpha1.Order
	server.Eventually(t, while, fmt.Sprintf("%d servers say of Order %s that it is %s", n, name, want), func() bool {
		o = typed[v1alpha1.Order](t, w.admin, v1alpha1.Orders, name)
		for _, s := range o.Status.Servers {
			if s.State != want || s.Generation != o.Generation {
				return false
			}
		}
		return len(o.Status.Servers) == n
	})
	return o
}

func (w *world) servers(t *testing.T) (out []v1alpha1.Server) {
	t.Helper()
	all, err := w.admin.List(t.Context(), builtin.Leases, v1alpha1.System, v1alpha1.ServerLabel+"=true")
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if s, ok := v1alpha1.ServerOf(&all[i], "myfederation"); ok {
			out = append(out, s)
		}
	}
	return out
}

// row is what kubectl get clusters prints of one, by column.
func (w *world) row(t *testing.T, name string) map[string]string {
	t.Helper()
	table, err := w.admin.Table(t.Context(), v1alpha1.Clusters, "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table.Rows {
		if r[0] == name {
			out := map[string]string{}
			for i, c := range table.Columns {
				out[strings.ToUpper(c)] = r[i]
			}
			return out
		}
	}
	return nil
}

func (w *world) events(t *testing.T, name string) (reasons []string) {
	t.Helper()
	all, err := w.admin.List(t.Context(), builtin.Events, "default", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if about := object(e.Object["involvedObject"]); about["kind"] == "Cluster" && about["name"] == name {
			reasons = append(reasons, e.Object["reason"].(string))
		}
	}
	slices.Sort(reasons)
	return reasons
}

// Two servers follow the orders of a federation's API, for every subject, and say there
// what they have made of them, and how the members stand; once, and not again.
func TestOrders(t *testing.T) {
	w := newWorld(t)
	w.fed.Apply(t, deploy.Orders)
	w.fed.Apply(t, may)
	server.Eventually(t, while, "Orders are served", func() bool {
		_, err := w.admin.List(t.Context(), v1alpha1.Orders, "", "")
		return err == nil
	})
	for _, name := range []string{"paris", "lyon", "oslo"} {
		w.secret(t, name, w.kubeconfig(t, name))
		w.cluster(t, name, `"location":"60.17 24.94"`)
	}
	one, two := start(t, w.calm("")), start(t, w.calm(""))
	for _, s := range []*running{one, two} {
		s.becomes("web", everywhere)
	}
	server.Eventually(t, while, "both servers say that they are there", func() bool { return len(w.servers(t)) == 2 })

	// Every kind of subject.
	for _, tt := range []struct{ spec, web string }{
		{`"action":"Drain","subject":"cluster/oslo"`, both},
		{`"action":"Down","subject":"region/eu"`, oslo},
		{`"action":"Drain","subject":"zone/eu-b"`, others},
		{`"action":"Drain","subject":"service/shop/web"`, "NODATA"},
		{`"action":"Up","subject":"cluster/oslo"`, everywhere},
	} {
		w.order(t, "o", tt.spec+`,"reason":"test"`)
		one.becomes("web", tt.web)
		two.becomes("web", tt.web)
		w.stated(t, "o", 2, v1alpha1.InForce)
		if one.ask("web") != tt.web { // what is said to be in force is
			t.Errorf("%s: %s", tt.spec, one.ask("web"))
		}
	}
	server.Eventually(t, while, "it is said in how many it is in force", func() bool {
		return typed[v1alpha1.Order](t, w.admin, v1alpha1.Orders, "o").Status.InForce == "2/2"
	})

	// The last one counts, and the others say so; one ends by the clock; what is only
	// asked for is never in force.
	w.order(t, "p", `"action":"Drain","subject":"cluster/oslo","reason":"test"`)
	one.becomes("web", both)
	if s := w.stated(t, "o", 2, v1alpha1.Overruled); !strings.Contains(fmt.Sprint(s.Status.Servers), `a later order counts: drain cluster/oslo reason "test (Order p)"`) {
		t.Errorf("%v", s.Status.Servers)
	}
	w.order(t, "p", fmt.Sprintf(`"action":"Drain","subject":"cluster/oslo","reason":"test","until":%q`, time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)))
	w.stated(t, "p", 2, v1alpha1.NotInForce)
	one.becomes("web", everywhere)
	if err := w.admin.Delete(t.Context(), v1alpha1.Orders, "", "o", ""); err != nil {
		t.Fatal(err)
	}
	// What would change nothing isn't in force, rehearsed or not.
	for name, dry := range map[string]string{"back": "", "back-dry": `,"dryRun":true`} {
		w.order(t, name, `"action":"Failback","subject":"service/shop/web","reason":"test"`+dry)
		if s := w.stated(t, name, 2, v1alpha1.NotInForce); !strings.Contains(fmt.Sprint(s.Status.Servers), "its policy is all; only failover has a region to go back to") {
			t.Errorf("%s: %+v", name, s.Status.Servers)
		}
		if err := w.admin.Delete(t.Context(), v1alpha1.Orders, "", name, ""); err != nil {
			t.Fatal(err)
		}
	}

	w.order(t, "q", `"action":"Drain","subject":"region/eu","reason":"test","dryRun":true`)
	if q := w.stated(t, "q", 2, v1alpha1.Previewed); one.ask("web") != everywhere {
		t.Errorf("a dry run is in force: %s", one.ask("web"))
	} else {
		for _, s := range q.Status.Servers {
			if s.Services != 3 || s.Orphaned != 2 || !strings.Contains(strings.Join(s.Orphans, " "), "shop/paris") {
				t.Errorf("it would change %+v", s)
			}
		}
	}

	// A drain of the Cluster object, which kubectl shows.
	want := map[string]string{"STATUS": "Ready", "DRAIN": "", "REGION": "eu", "SHARDS": "2/2", "HEARD": "True", "ZONES": `["eu-a"]`, "VALID": ""}
	shows := func(name string, want map[string]string) {
		t.Helper()
		var got map[string]string
		defer func() {
			if t.Failed() {
				t.Logf("%s: %v", name, got)
			}
		}()
		server.Eventually(t, while, fmt.Sprint(name, " is shown as ", want), func() bool {
			got = w.row(t, name)
			for k, v := range want {
				if got[k] != v {
					return false
				}
			}
			return true
		})
	}
	shows("paris", want)
	w.cluster(t, "paris", `"location":"60.17 24.94","drain":{"until":"2040-01-31T15:00:00Z","reason":"kernel upgrade"}`)
	shows("paris", map[string]string{"STATUS": "Ready,Drained", "DRAIN": "until 2040-01-31T15:00:00Z: kernel upgrade", "REGION": "eu", "HEARD": "True"})
	server.Eventually(t, while, "both say that the drain is in force", func() bool {
		c := typed[v1alpha1.Cluster](t, w.admin, v1alpha1.Clusters, "paris")
		n := 0
		for _, s := range c.Status.Servers {
			if s.State == v1alpha1.InForce && s.Generation == c.Generation && s.TTLSeconds == 180 && s.Answers == 0 {
				n++
			}
		}
		return n == 2
	})
	// A quiet federation: nothing is written but the Leases.
	written := func() map[string]string {
		out := map[string]string{}
		for _, k := range []kube.Kind{v1alpha1.Clusters, v1alpha1.Orders, builtin.Events} {
			all, err := w.admin.List(t.Context(), k, "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range all {
				text, err := o.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				out[k.Name+" "+o.GetName()] = string(text)
			}
		}
		return out
	}
	var before map[string]string
	server.Eventually(t, while, "it has become quiet", func() bool {
		was := before
		before = written()
		time.Sleep(2 * time.Second) // a quiet time, which nothing but time can show
		return maps.Equal(was, before)
	})
	time.Sleep(5 * time.Second)
	for name, text := range written() {
		if text != before[name] {
			t.Errorf("nothing happens, and this is written:\n%s\nbefore\n%s", text, before[name])
		}
	}
	w.cluster(t, "paris", `"location":"60.17 24.94"`)
	shows("paris", want)
	server.Eventually(t, while, "both say that it is taken back", func() bool {
		c := typed[v1alpha1.Cluster](t, w.admin, v1alpha1.Clusters, "paris")
		for _, s := range c.Status.Servers {
			if s.State != v1alpha1.NotInForce || s.Generation != c.Generation {
				return false
			}
		}
		return len(c.Status.Servers) == 2
	})

	// A member that is silent, and heard again; one that has something wrong.
	w.members["oslo"].Pause()
	shows("oslo", map[string]string{"STATUS": "Offline", "HEARD": "False"})
	w.members["oslo"].Resume()
	shows("oslo", map[string]string{"STATUS": "Ready", "HEARD": "True"})
	if err := w.admin.Delete(t.Context(), builtin.Secrets, v1alpha1.System, "oslo", ""); err != nil {
		t.Fatal(err)
	}
	shows("oslo", map[string]string{"VALID": "secret: there is no Secret federation-system/oslo"})
	for name, want := range map[string]string{"paris": "Drained Joined Undrained", "oslo": "Drained Invalid Joined Offline Online Undrained"} {
		got := ""
		defer func() { t.Logf("%s: the events are %s", name, got) }()
		server.Eventually(t, while, name+" has events of it all", func() bool {
			got = strings.Join(slices.Compact(w.events(t, name)), " ") // each was drained more than once, with its region or by itself
			return got == want
		})
	}

	// Whoever ends says so at once; the others go on.
	two.Stop()
	server.Eventually(t, while, "one server is left", func() bool { return len(w.servers(t)) == 1 })
	one.becomes("web", everywhere)
}

// A server with the rights of before goes on as before, and says once what it can't do;
// one whose API has no Orders, too.
func TestOrdersWithoutRights(t *testing.T) {
	w := newWorld(t)
	w.secret(t, "paris", w.kubeconfig(t, "paris"))
	w.cluster(t, "paris", ``)
	s := start(t, w.corefile(""))
	s.becomes("web", paris)
	w.cluster(t, "paris", `"drain":{"reason":"x"}`)
	s.becomes("web", "NODATA")
	w.cluster(t, "paris", ``)
	s.becomes("web", paris)
	for _, what := range []string{"Orders can't be read: ", "it can't be said that this server is there: ", "how the members stand can't be written: "} {
		server.Eventually(t, while, "the log says: "+what, func() bool { return strings.Contains(s.Log(), what) })
	}
	time.Sleep(3 * time.Second) // it doesn't repeat itself, which only time can show
	for _, what := range []string{"Orders can't be read: ", "it can't be said that this server is there: ", "how the members stand can't be written: "} {
		if n := strings.Count(s.Log(), what); n != 1 {
			t.Errorf("%q is said %d times", what, n)
		}
	}
}
