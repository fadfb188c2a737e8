package join

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sigsyaml "sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/ctl/install/membership"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/contents"
)

var writing = []string{"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate", "approve", "sign"}

// rights proves what the tokens that join hands out are good for, and for what not,
// by asking and by trying.
func rights(t *testing.T, d *desk) {
	home := d.open("federation")
	kubeconfig := func(api *kube.API, secret string) *kube.API {
		t.Helper()
		o, err := api.Get(t.Context(), builtin.Secrets, v1alpha1.System, secret)
		if err != nil {
			t.Fatal(err)
		}
		return d.open("", kube.SecretData(o)[v1alpha1.KubeconfigKey]...)
	}
	_, inMember := served(t, d.open(eks))
	_, inHome := served(t, home)

	// Gateways aren't served by a cluster of ours; the right is there all the same.
	reads := []string{"services", "nodes", "namespaces", "endpointslices", "ingresses", "ingressclasses"}
	reader := kubeconfig(home, membership.Reader("us"))
	allowed(t, reader, inMember, func(r kube.Right) bool {
		return slices.Contains(reads, r.Resource) && (r.Group == "" || r.Group == "discovery.k8s.io" || r.Group == "networking.k8s.io") &&
			slices.Contains([]string{"get", "list", "watch"}, r.Verb)
	})
	var kept []string
	for _, k := range membership.Propagated {
		kept = append(kept, k.Group+"/"+k.Resource)
	}
	if len(kept) != 15 {
		t.Errorf("%d kinds are propagated", len(kept))
	}
	// In all of the cluster, fedsync makes namespaces, and gives itself a role in them.
	writer := kubeconfig(home, membership.Reader("us")+v1alpha1.WriterSuffix)
	everything := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	allowed(t, writer, inMember, func(r kube.Right) bool {
		switch r.Group + "/" + r.Resource {
		case "/namespaces":
			return slices.Contains(everything, r.Verb)
		case "/nodes":
			return slices.Contains([]string{"get", "list", "watch"}, r.Verb)
		case "rbac.authorization.k8s.io/rolebindings":
			return r.Verb == "create"
		}
		return false
	})
	// In a namespace of the federation, what it propagates.
	shop := "fedsync-writes-here"
	if _, _, err := writer.Apply(t.Context(), builtin.Namespaces, builtin.Namespaces.New("", shop), kube.How{Manager: "fedsync"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := writer.Delete(t.Context(), builtin.Namespaces, "", shop, ""); err != nil {
			t.Error(err)
		}
	}()
	bind := func(namespace, role, account string) error {
		o := builtin.RoleBindings.New(namespace, "fedsync-federation")
		o.Object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
		o.Object["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": v1alpha1.System}}
		_, err := writer.Create(t.Context(), builtin.RoleBindings, o, "fedsync")
		return err
	}
	const objects = "fedsync-federation.objects"
	for _, tt := range []struct{ what, namespace, role, account string }{
		{"another role", shop, "cluster-admin", "fedsync-federation"},
		{"somebody else", shop, objects, "fedns-federation"},
		{"in kube-system", "kube-system", objects, "fedsync-federation"},
		{"in kube-public", "kube-public", objects, "fedsync-federation"},
		{"where its own account is", v1alpha1.System, objects, "fedsync-federation"},
	} {
		eventually(t, "fedsync is refused to bind "+tt.what, func() bool { return kube.Refused(bind(tt.namespace, tt.role, tt.account)) })
	}
	for what, err := range map[string]error{
		"delete kube-public": writer.Delete(t.Context(), builtin.Namespaces, "", "kube-public", ""),
		"label kube-system": func() error {
			_, err := writer.Merge(t.Context(), builtin.Namespaces, "", "kube-system", map[string]any{"metadata": map[string]any{"labels": map[string]any{"x": "y"}}}, "fedsync", "")
			return err
		}(),
		"mint a token of another account": func() error {
			_, _, err := writer.Token(t.Context(), "default", "default", time.Hour, "")
			return err
		}(),
	} {
		if !kube.Refused(err) {
			t.Errorf("fedsync may %s: %v", what, err)
		}
	}
	if err := bind(shop, objects, "fedsync-federation"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the binding holds", func() bool {
		ok, err := writer.May(t.Context(), kube.Right{Verb: "create", Resource: "secrets", Namespace: shop})
		return err == nil && ok
	})
	var inShop []kube.Right
	for _, r := range inMember {
		r.Namespace = shop
		inShop = append(inShop, r)
	}
	allowed(t, writer, inShop, func(r kube.Right) bool {
		switch {
		case slices.Contains(kept, r.Group+"/"+r.Resource), r.Group+"/"+r.Resource == "/namespaces":
			return slices.Contains(everything, r.Verb)
		case r.Group == "" && (r.Resource == "pods" || r.Resource == "nodes"):
			return slices.Contains([]string{"get", "list", "watch"}, r.Verb)
		case r.Group+"/"+r.Resource == "rbac.authorization.k8s.io/rolebindings":
			return r.Verb == "create"
		}
		return false
	})
	// Tokens end, and both can be had anew by fedsync only.
	for secret, api := range map[string]*kube.API{membership.Reader("us"): reader, membership.Reader("us") + v1alpha1.WriterSuffix: writer} {
		o, err := home.Get(t.Context(), builtin.Secrets, v1alpha1.System, secret)
		if err != nil {
			t.Fatal(err)
		}
		said, ok := kube.Claims(kube.TokenIn(kube.SecretData(o)[v1alpha1.KubeconfigKey]))
		if ends := api == writer; !ok || said.Expires.IsZero() == ends || ends && (said.Life() < membership.DefaultTokenLife || said.Life() > membership.DefaultTokenLife+time.Hour) {
			t.Errorf("the token in %s is of %s, from %s to %s", secret, said.Account, said.Issued, said.Expires)
		}
		for _, account := range []string{"fedns-federation", "fedsync-federation"} {
			_, _, err := api.Token(t.Context(), v1alpha1.System, account, time.Hour, v1alpha1.BoundTo(account))
			if (err == nil) != (api == writer) {
				t.Errorf("a token for %s by what is in %s: %v", account, secret, err)
			}
			if _, _, err := api.Token(t.Context(), v1alpha1.System, account, 10*365*24*time.Hour, ""); !kube.Refused(err) {
				t.Errorf("a token for %s that nothing ends, by what is in %s: %v", account, secret, err)
			}
		}
	}

	// In the API of the federation.
	fedns := kubeconfig(home, "federation-fedns")
	allowed(t, fedns, inHome, func(r kube.Right) bool {
		switch r.Group + "/" + r.Resource {
		case "fedns.io/clusters", "fedns.io/orders":
			return slices.Contains([]string{"get", "list", "watch"}, r.Verb)
		case "fedns.io/clusters/status", "fedns.io/orders/status":
			return r.Verb == "patch"
		}
		return false
	})
	for _, r := range []kube.Right{{Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: v1alpha1.System}, {Verb: "create", Resource: "events", Namespace: "default"}} {
		may(t, fedns, r, true)
	}
	for _, r := range []kube.Right{{Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: "default"}, {Verb: "create", Resource: "events", Namespace: v1alpha1.System}, {Verb: "create", Group: "fedns.io", Resource: "orders"}, {Verb: "patch", Group: "fedns.io", Resource: "clusters"}} {
		may(t, fedns, r, false)
	}
	fedsync := kubeconfig(home, "federation-fedsync")
	// Who empties namespaces here, where no controller does, may delete all that they can hold.
	inNamespaces, err := contents.Namespaced(t.Context(), home)
	if err != nil || len(inNamespaces) < 25 {
		t.Fatalf("%d kinds, %v", len(inNamespaces), err)
	}
	for _, k := range inNamespaces {
		for _, verb := range []string{"list", "delete", "deletecollection"} {
			may(t, fedsync, kube.Right{Verb: verb, Group: k.Group, Resource: k.Resource, Namespace: "default"}, true)
		}
	}
	for _, r := range []kube.Right{{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}, {Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "roles"}, {Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "roles"}, {Verb: "create", Resource: "serviceaccounts/token"}, {Verb: "create", Resource: "pods"}, {Verb: "delete", Group: "fedns.io", Resource: "clusters"}, {Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"}} {
		may(t, fedsync, r, false)
	}
	for _, r := range []kube.Right{{Verb: "update", Group: "fedns.io", Resource: "clusters/status"}, {Verb: "update", Resource: "namespaces/finalize"}, {Verb: "patch", Group: "apps", Resource: "deployments/status"}, {Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: v1alpha1.System}, {Verb: "create", Resource: "events", Namespace: "default"}} {
		may(t, fedsync, r, true)
	}

	// By trying.
	refused := func(what string, err error) {
		t.Helper()
		if !kube.Forbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	done := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = fedns.Get(t.Context(), builtin.Secrets, v1alpha1.System, membership.Reader("us"))
	done("fedns reads the Secret that leads to a cluster", err)
	_, err = fedns.Get(t.Context(), builtin.Secrets, v1alpha1.System, membership.Reader("us")+v1alpha1.WriterSuffix)
	refused("fedns reads the Secret with the right to write", err)
	_, err = fedns.List(t.Context(), builtin.Secrets, v1alpha1.System, "")
	refused("fedns lists Secrets", err)
	for _, k := range membership.Propagated {
		o := k.New(shop, "x")
		_, err := reader.Create(t.Context(), k, o, "test")
		refused("fedns creates a "+k.Name, err)
		_, _, err = reader.Apply(t.Context(), k, o, kube.How{Manager: "test"})
		refused("fedns applies a "+k.Name, err)
		refused("fedns deletes a "+k.Name, reader.Delete(t.Context(), k, shop, "x", ""))
		if k == builtin.Namespaces {
			_, err = writer.List(t.Context(), k, "", "")
			done("fedsync lists "+k.Resource, err)
		} else {
			_, err = writer.List(t.Context(), k, shop, "")
			done("fedsync lists "+k.Resource, err)
			_, err = writer.List(t.Context(), k, "", "")
			refused("fedsync lists "+k.Resource+" of all namespaces", err)
		}
	}
	_, err = reader.List(t.Context(), builtin.Services, "", "")
	done("fedns lists services", err)
	for _, k := range []kube.Kind{builtin.Secrets, builtin.ConfigMaps, builtin.Deployments, builtin.Pods} {
		_, err = reader.List(t.Context(), k, "", "")
		refused("fedns lists "+k.Resource, err)
	}
	_, _, err = writer.Apply(t.Context(), builtin.ConfigMaps, builtin.ConfigMaps.New(shop, "x"), kube.How{Manager: "fedsync"})
	done("fedsync applies a ConfigMap", err)
	done("fedsync deletes it", writer.Delete(t.Context(), builtin.ConfigMaps, shop, "x", ""))
	_, _, err = writer.Apply(t.Context(), builtin.ConfigMaps, builtin.ConfigMaps.New("default", "x"), kube.How{Manager: "fedsync"})
	refused("fedsync applies a ConfigMap in a namespace that isn't the federation's", err)
	for _, k := range []kube.Kind{builtin.Pods, builtin.Roles, builtin.ClusterRoles, builtin.ClusterRoleBindings, builtin.Quotas, builtin.VolumeClaims, builtin.Definitions} {
		_, err := writer.Create(t.Context(), k, k.New(shop, "x"), "test")
		refused("fedsync creates a "+k.Name, err)
	}

	// The manual says who may do what, as fedctl rights prints it.
	for title, context := range map[string]string{"In a member": eks, "In the federation's API": "federation"} {
		now := told(d.must("rights", "--context", context), strings.NewReplacer("-federation", "-myfederation", shop, "shop", "cluster-europe-west1-b.cluster", "us.cluster"))
		_, page, _ := strings.Cut(readFile(t, "docs/security.md"), title+":\n\n```text\n")
		if documented, _, _ := strings.Cut(page, "```"); documented != now {
			t.Errorf("docs/security.md: %s: it should be\n%s", title, now)
		}
	}
	if out := d.must("rights", "--context", "other/one"); !strings.Contains(out, "no account of federation-system has any right there") {
		t.Errorf("of an API that is no federation's, it prints\n%s", out)
	}
	if out := d.must("rights", "--context", eks, "-o", "jsonpath={.rights[?(@.account==\"fedsync-federation\")].verbs}"); !strings.Contains(out, `["bind"]`) {
		t.Errorf("as data, it prints\n%s", out)
	}

	// The manual lists these very rules, for another federation.
	member := d.open(eks)
	documented := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(strings.ReplaceAll(readFile(t, "docs/federation.md"), "-myfederation", "-federation"), -1) {
		for doc := range strings.SplitSeq(m[1], "---\n") {
			var o kube.Object
			if err := sigsyaml.Unmarshal([]byte(doc), &o.Object); err != nil || o.GetKind() != "ClusterRole" {
				continue
			}
			documented++
			name := o.GetName()
			live, err := member.Get(t.Context(), builtin.ClusterRoles, "", name)
			if err != nil {
				t.Errorf("docs/federation.md has ClusterRole %s: %v", o.GetName(), err)
				continue
			}
			if !reflect.DeepEqual(live.Object["rules"], o.Object["rules"]) {
				t.Errorf("docs/federation.md has ClusterRole %s with\n%v\nit is\n%v", o.GetName(), o.Object["rules"], live.Object["rules"])
			}
		}
	}
	if documented != 3 {
		t.Errorf("docs/federation.md has %d ClusterRoles, want that of fedns and both of fedsync", documented)
	}
}

// narrowed is that what fedsync could do in a cluster that joined before becomes what it needs, when the cluster is joined again
// and not while a fedsync leads that can't do with less; and that it does without Secrets where it is to.
func narrowed(t *testing.T, d *desk) {
	home, there := d.open("federation"), d.open(eks)
	may := func(verb, resource, namespace string) bool {
		t.Helper()
		o, err := home.Get(t.Context(), builtin.Secrets, v1alpha1.System, membership.Reader("us")+v1alpha1.WriterSuffix)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := d.open("", kube.SecretData(o)[v1alpha1.KubeconfigKey]...).May(t.Context(), kube.Right{Verb: verb, Resource: resource, Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	comes := func(what string, ok func() bool) { t.Helper(); eventually(t, what, ok) }
	join := func(args ...string) string {
		return d.must(append([]string{"--context=federation", "join", "us", "--cluster-context", eks}, args...)...)
	}
	leads := func(f *v1alpha1.FedsyncSettings) {
		o := builtin.ConfigMaps.New(v1alpha1.System, v1alpha1.ConfigName)
		o.Object["data"] = map[string]any{}
		if f != nil {
			o.Object["data"] = f.Data()
		}
		if _, _, err := home.Apply(t.Context(), builtin.ConfigMaps, o, kube.How{Manager: "fedsync", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	lasts := func(secret string) bool {
		o, err := home.Get(t.Context(), builtin.Secrets, v1alpha1.System, secret)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := kube.Claims(kube.TokenIn(kube.SecretData(o)[v1alpha1.KubeconfigKey]))
		return c.Expires.IsZero()
	}
	reader, writer := membership.Reader("us"), membership.Reader("us")+v1alpha1.WriterSuffix

	leads(&v1alpha1.FedsyncSettings{Version: "older"})
	if out := join(); !strings.Contains(out, "fedsync may write in all of its namespaces: the one that leads is of a version that needs to") {
		t.Errorf("under an older fedsync, it says\n%s", out)
	}
	comes("an older fedsync may write everywhere", func() bool { return may("create", "secrets", "kube-public") && may("list", "services", "") })
	if !lasts(reader) || !lasts(writer) {
		t.Error("nobody renews tokens, and they end")
	}
	put(t, d, eks, "federation", "early")
	leads(&v1alpha1.FedsyncSettings{Version: "newer", Confined: true})
	join()
	comes("its rights are narrowed", func() bool { return !may("create", "secrets", "kube-public") && !may("list", "services", "") })
	if !may("create", "services", "early") {
		t.Error("it may not write where it has something")
	}
	if lasts(reader) || lasts(writer) {
		t.Error("tokens that somebody renews don't end")
	}
	for _, account := range []string{"fedns-federation", "fedsync-federation"} {
		if ok, err := there.Exists(t.Context(), builtin.Secrets, v1alpha1.System, account+"-token"); ok || err != nil {
			t.Errorf("the token of %s that doesn't end is good still: %v", account, err)
		}
	}
	join("--no-secrets")
	comes("it may have no Secrets", func() bool { return !may("get", "secrets", "early") && may("get", "configmaps", "early") })
	join()
	if may("get", "secrets", "early") {
		t.Error("joined again, it has Secrets")
	}
	join("--no-secrets=false")
	comes("it may have Secrets again", func() bool { return may("get", "secrets", "early") })
	// Whoever has stolen the tokens has nothing, once what they are bound to is gone.
	was, err := home.Get(t.Context(), builtin.Secrets, v1alpha1.System, writer)
	if err != nil {
		t.Fatal(err)
	}
	thief := d.open("", kube.SecretData(was)[v1alpha1.KubeconfigKey]...)
	if err := there.Delete(t.Context(), builtin.Secrets, v1alpha1.System, v1alpha1.BoundTo("fedsync-federation"), ""); err != nil {
		t.Fatal(err)
	}
	comes("a token whose Secret is gone is worth nothing", func() bool {
		_, err := thief.List(t.Context(), builtin.Namespaces, "", "")
		return kube.Forbidden(err)
	})
	join()
	comes("joined again, fedsync has another", func() bool { return may("create", "services", "early") })
	leads(nil)
}

// told are the lines that fedctl rights prints, but for the bindings, with names that anybody may have.
func told(table string, names *strings.Replacer) string {
	var out []string
	for line := range strings.Lines(table) {
		cells := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), -1)
		line := names.Replace(strings.Join(cells[:len(cells)-1], "  ")) + "\n"
		line = strings.ReplaceAll(line, "system-myfederation", "system-federation")
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// allowed asks for every verb on every resource there is.
func allowed(t *testing.T, api *kube.API, resources []kube.Right, want func(kube.Right) bool) {
	t.Helper()
	for _, r := range resources {
		if strings.HasSuffix(r.Group, ".k8s.io") && strings.HasPrefix(r.Resource, "self") {
			continue // everyone may ask what they may
		}
		for _, verb := range append([]string{"get", "list", "watch"}, writing...) {
			r.Verb = verb
			may(t, api, r, want(r))
		}
	}
}

func may(t *testing.T, api *kube.API, r kube.Right, want bool) {
	t.Helper()
	got, err := api.May(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s: may %s: %v", api.Server, r, got)
	}
}
