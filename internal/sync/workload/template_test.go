package workload

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// kind is a FederatedKind by its name.
func kind(t testing.TB, name string) *FederatedKind {
	t.Helper()
	for _, s := range slices.Concat(sorts, rare) {
		if s.Kind.Name == name {
			return s
		}
	}
	t.Fatalf("%q is no kind", name)
	return nil
}

// sorts are made once: keys compare them by their address.
var sorts = append(Kinds(), Other(v1alpha1.Kind{Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true}))

// rare are those that nobody keeps without being asked to.
var rare = others()

// parse reads JSON as API clients do, with whole numbers as int64.
func parse(t testing.TB, s string) Object {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var o Object
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return numbers(o).(Object)
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			panic(err)
		}
		return f
	}
	return v
}

func TestTemplate(t *testing.T) {
	const marks = `"annotations":{"fedns.io/applied":"HASH","fedns.io/federation":"prod"},"labels":{"fedns.io/managed-by":"fedsync"},"name":"o","namespace":"ns"`
	const exported = `"annotations":{"fedns.io/applied":"HASH","fedns.io/federation":"prod"},"labels":{"fedns.io/export":"true","fedns.io/managed-by":"fedsync"},"name":"o","namespace":"ns"`
	for _, test := range []struct{ name, kind, from, want string }{
		{"what belongs to the federated object stays there", "ConfigMap", `{"metadata":{"name":"o","namespace":"ns","uid":"u","resourceVersion":"1","generation":3,"finalizers":["fedns.io/fedsync"],"ownerReferences":[{"name":"x"}],"managedFields":[],
			"labels":{"app":"a","argocd.argoproj.io/instance":"a"},"annotations":{"mine":"1","fedns.io/cluster-selector":"[]","fedns.io/preferences":"{}","fedns.io/tolerations":"[]","fedns.io/adopt":"true","fedns.io/orphan":"true","fedns.io/release":"x","fedns.io/status":"{}","fedns.io/ttl":"60s",
			"kubectl.kubernetes.io/last-applied-configuration":"{}","federation.kubernetes.io/deployment-preferences":"{}","federation.alpha.kubernetes.io/cluster-selector":"[]","deployment.kubernetes.io/revision":"3","argocd.argoproj.io/tracking-id":"a:/ConfigMap:shop/x"}},"data":{"a":"b"},"status":{"x":1}}`,
			`{"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"annotations":{"fedns.io/applied":"HASH","fedns.io/federation":"prod","fedns.io/ttl":"60s","mine":"1"},"labels":{"app":"a","fedns.io/managed-by":"fedsync"},"name":"o","namespace":"ns"}}`},
		{"nulls", "ConfigMap", `{"metadata":{"creationTimestamp":null},"data":{"a":"b","c":null}}`, `{"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{` + marks + `}}`},
		{"Namespace", "Namespace", `{"spec":{"finalizers":["kubernetes"]}}`, `{"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"fedns.io/applied":"HASH","fedns.io/federation":"prod"},"labels":{"fedns.io/managed-by":"fedsync"},"name":"o"}}`},
		{"Service", "Service", `{"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","healthCheckNodePort":30001,"type":"LoadBalancer","ports":[{"port":80,"nodePort":30000,"protocol":"TCP"},{"name":"b","port":81}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{` + exported + `},"spec":{"ports":[{"port":80,"protocol":"TCP"},{"name":"b","port":81}],"type":"LoadBalancer"}}`},
		{"headless Service", "Service", `{"metadata":{"labels":{"fedns.io/export":"false"}},"spec":{"clusterIP":"None","clusterIPs":["None"],"ipFamilies":["IPv4","IPv6"],"ipFamilyPolicy":"PreferDualStack"}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"fedns.io/applied":"HASH","fedns.io/federation":"prod"},"labels":{"fedns.io/export":"false","fedns.io/managed-by":"fedsync"},"name":"o","namespace":"ns"},"spec":{"clusterIP":"None","clusterIPs":["None"],"ipFamilies":["IPv4","IPv6"],"ipFamilyPolicy":"PreferDualStack"}}`},
		{"both families, where the federation's API has but one", "Service", `{"spec":{"ipFamilies":["IPv4"],"ipFamilyPolicy":"PreferDualStack"}}`, `{"apiVersion":"v1","kind":"Service","metadata":{` + exported + `},"spec":{"ipFamilyPolicy":"PreferDualStack"}}`},
		{"IPv6 by choice", "Service", `{"spec":{"ipFamilies":["IPv6"],"ipFamilyPolicy":"SingleStack"}}`, `{"apiVersion":"v1","kind":"Service","metadata":{` + exported + `},"spec":{"ipFamilies":["IPv6"],"ipFamilyPolicy":"SingleStack"}}`},
		{"ExternalName", "Service", `{"spec":{"type":"ExternalName","externalName":"e"}}`, `{"apiVersion":"v1","kind":"Service","metadata":{` + exported + `},"spec":{"externalName":"e","type":"ExternalName"}}`},
		{"Ingress", "Ingress", `{"spec":{"rules":[]}}`, `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{` + exported + `},"spec":{"rules":[]}}`},
		{"Deployment", "Deployment", `{"spec":{"replicas":3,"selector":{},"template":{"metadata":{"creationTimestamp":null}}}}`, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{` + marks + `},"spec":{"selector":{},"template":{"metadata":{}}}}`},
		{"Job", "Job", `{"spec":{"parallelism":2,"completions":4,"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"u"}},"template":{"metadata":{"labels":{"app":"a","controller-uid":"u","job-name":"o","batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"o"}}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{` + marks + `},"spec":{"template":{"metadata":{"labels":{"app":"a"}}}}}`},
		{"Job with a selector of its own", "Job", `{"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{` + marks + `},"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}}}}}`},
		{"HorizontalPodAutoscaler", "HorizontalPodAutoscaler", `{"spec":{"minReplicas":2,"maxReplicas":4,"scaleTargetRef":{"kind":"Deployment","name":"web"}}}`, `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{` + marks + `},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"}}}`},
		{"ServiceAccount", "ServiceAccount", `{"secrets":[{"name":"token"}],"imagePullSecrets":[{"name":"pull"}]}`, `{"apiVersion":"v1","imagePullSecrets":[{"name":"pull"}],"kind":"ServiceAccount","metadata":{` + marks + `}}`},
		{"PersistentVolumeClaim", "PersistentVolumeClaim", `{"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes","volume.kubernetes.io/selected-node":"n","volume.beta.kubernetes.io/storage-provisioner":"p"}},"spec":{"accessModes":["ReadWriteOnce"],"volumeName":"pv"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{` + marks + `},"spec":{"accessModes":["ReadWriteOnce"]}}`},
		{"a volume that somebody has asked for", "PersistentVolumeClaim", `{"metadata":{"managedFields":[{"manager":"kubectl","apiVersion":"v1","fieldsV1":{"f:spec":{"f:volumeName":{}}}},{"manager":"kube-controller-manager","apiVersion":"v1","fieldsV1":{"f:spec":{"f:storageClassName":{}}}}]},"spec":{"storageClassName":"x","volumeName":"pv"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{` + marks + `},"spec":{"volumeName":"pv"}}`},
		{"StatefulSet", "StatefulSet", `{"spec":{"replicas":3,"ordinals":{"start":5}}}`, `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{` + marks + `},"spec":{"ordinals":{"start":5}}}`},
		{"StatefulSet that is split", "StatefulSet", `{"metadata":{"annotations":{"fedns.io/preferences":"{}"}},"spec":{"replicas":3,"ordinals":{"start":5}}}`, `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{` + marks + `},"spec":{"ordinals":{}}}`},
		{"any other", "Gadget", `{"spec":{"replicas":3}}`, `{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{` + marks + `},"spec":{"replicas":3}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := Key{kind(t, test.kind), "ns", "o"}
			if !k.Namespaced {
				k.Namespace = ""
			}
			from := parse(t, test.from)
			before := jsonOf(from)
			got := NewTemplate(k, from, "prod")
			if text := strings.ReplaceAll(jsonOf(got.Object), got.Hash, "HASH"); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			if jsonOf(from) != before {
				t.Error("the federated object itself was changed")
			}
			if again := NewTemplate(k, from, "prod"); again.Hash != got.Hash {
				t.Error("the hash isn't a function of the object")
			}
			one := got.For(Scale{"replicas": 5})
			if n, _ := number(one, "spec", "replicas"); n != 5 {
				t.Errorf("for a cluster with 5 replicas it has %d", n)
			}
			if strings.ReplaceAll(jsonOf(got.Object), got.Hash, "HASH") != test.want {
				t.Error("what one cluster gets changed the template")
			}
		})
	}
}

func TestFederated(t *testing.T) {
	for _, test := range []struct {
		kind, namespace, name, object string
		want                          bool
	}{
		{"ConfigMap", "shop", "a", `{}`, true},
		{"ConfigMap", "kube-system", "a", `{}`, false},
		{"ConfigMap", "federation-system", "a", `{}`, false},
		{"ConfigMap", "shop", "kube-root-ca.crt", `{}`, false},
		{"Namespace", "", "default", `{}`, false},
		{"Namespace", "", "kube-public", `{}`, false},
		{"Namespace", "", "shop", `{"metadata":{"ownerReferences":[{"controller":true}]}}`, true},
		{"Service", "default", "kubernetes", `{}`, false},
		{"Service", "shop", "kubernetes", `{}`, true},
		{"Secret", "shop", "token", `{"type":"kubernetes.io/service-account-token"}`, false},
		{"Secret", "shop", "token", `{"type":"Opaque"}`, true},
		{"ReplicaSet", "shop", "web-1", `{"metadata":{"ownerReferences":[{"kind":"Deployment","controller":true}]}}`, false},
		{"ReplicaSet", "shop", "web-1", `{"metadata":{"ownerReferences":[{"kind":"Deployment"}]}}`, true},
	} {
		if got := Federated(Key{kind(t, test.kind), test.namespace, test.name}, parse(t, test.object)); got != test.want {
			t.Errorf("%s %s/%s %s: %v", test.kind, test.namespace, test.name, test.object, got)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct{ name, want, have, changes string }{
		{"the same", `{"a":1}`, `{"a":1}`, ""},
		{"more than is asked for", `{"a":{"b":1}}`, `{"a":{"b":1,"c":2},"d":3}`, ""},
		{"another value", `{"a":{"b":1}}`, `{"a":{"b":2}}`, "a.b: 2 -> 1"},
		{"missing", `{"a":{"b":1}}`, `{}`, `a:  -> {"b":1}`},
		{"another type", `{"a":{"b":1}}`, `{"a":"x"}`, `a: "x" -> {"b":1}`},
		{"a key with dots", `{"m":{"fedns.io/x":"1"}}`, `{"m":{"fedns.io/x":"2"}}`, `m[fedns.io/x]: "2" -> "1"`},
		{"named elements in another order", `{"c":[{"name":"a","i":1},{"name":"b","i":2}]}`, `{"c":[{"name":"b","i":2},{"name":"a","i":1}]}`, ""},
		{"one more of them", `{"c":[{"name":"a","i":1}]}`, `{"c":[{"name":"side","i":9},{"name":"a","i":1}]}`, ""},
		{"one less of them", `{"c":[{"name":"a"},{"name":"b"}]}`, `{"c":[{"name":"a"}]}`, `c[b]:  -> {"name":"b"}`},
		{"one of them differs", `{"c":[{"name":"a","i":1}]}`, `{"c":[{"name":"a","i":2}]}`, "c[a].i: 2 -> 1"},
		{"ports of one number", `{"p":[{"port":53,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}`, `{"p":[{"port":53,"protocol":"UDP","nodePort":3},{"port":53,"protocol":"TCP"}]}`, ""},
		{"lists of values", `{"l":["a","b"]}`, `{"l":["b","a"]}`, `l[0]: "b" -> "a"; l[1]: "a" -> "b"`},
		{"longer lists of values", `{"l":["a"]}`, `{"l":["a","b"]}`, `l: ["a","b"] -> ["a"]`},
	} {
		var got []string
		for _, c := range Diff(parse(t, test.want), parse(t, test.have)) {
			got = append(got, c.Path+": "+c.Was+" -> "+c.Now)
		}
		if text := strings.Join(got, "; "); text != test.changes {
			t.Errorf("%s:\n got %q\nwant %q", test.name, text, test.changes)
		}
	}
}

// TestReplacement is that what is there becomes what is wanted, whatever it was, but for
// what others have noted on it.
func TestReplacement(t *testing.T) {
	want := parse(t, `{"apiVersion":"v1","kind":"Gadget","metadata":{"name":"o","labels":{"ours":"1"},"annotations":{"ours":"1"}},"spec":{"kept":1,"map":{"a":1,"deep":{"b":2}},"list":[{"name":"v","configMap":{}}],"was":{"x":1}}}`)
	have := parse(t, `{"apiVersion":"v1","kind":"Gadget","metadata":{"name":"o","uid":"u","labels":{"theirs":"1"}},"spec":{"kept":1,"half":{"c":3},"map":{"z":0,"deep":{"y":0}},"list":[{"name":"v","emptyDir":{}},{"name":"w"}],"was":"text"},"status":{"s":1}}`)
	const patch = `{"metadata":{"annotations":{"ours":"1"},"labels":{"ours":"1"}},"spec":{"half":null,"kept":1,"list":[{"configMap":{},"name":"v"}],"map":{"a":1,"deep":{"b":2,"y":null},"z":null},"was":{"x":1}}}`
	if got := jsonOf(Replacement(want, have)); got != patch {
		t.Errorf("got  %s\nwant %s", got, patch)
	}
}

// What is null by somebody's wish is so in the clusters, too; what an API server writes for
// nothing isn't.
func TestTemplateNull(t *testing.T) {
	const spec = `{"spec": {"none": null, "list": [{"x": null}]}}`
	gadget := NewTemplate(Key{kind(t, "Gadget"), "ns", "g"}, parse(t, spec), "prod")
	if got := jsonOf(gadget.Object["spec"]); got != `{"list":[{"x":null}],"none":null}` {
		t.Errorf("of a definition's kind: %s", got)
	}
	service := NewTemplate(Key{kind(t, "Service"), "ns", "s"}, parse(t, spec), "prod")
	if got := jsonOf(service.Object["spec"]); got != `{"list":[{}]}` {
		t.Errorf("of Kubernetes's own: %s", got)
	}
	if d := Diff(gadget.Object, parse(t, jsonOf(gadget.Object))); len(d) > 0 {
		t.Errorf("it differs from itself in %v", d)
	}
}
