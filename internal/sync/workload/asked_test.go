package workload

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

var otherKinds = map[string]v1alpha1.Kind{"PersistentVolumeClaim": builtin.VolumeClaims, "ServiceAccount": builtin.ServiceAccounts}

// What an API server has filled in by itself isn't asked for, whatever the kind is and
// however the rest was said. Managed fields are as a v1.36 writes them.
func TestAsked(t *testing.T) {
	field := func(manager, operation, fields string) string {
		return fmt.Sprintf(`{"manager":%q,"operation":%q,"apiVersion":"VERSION","fieldsType":"FieldsV1","fieldsV1":%s}`, manager, operation, fields)
	}
	const service = `"spec":{"allocateLoadBalancerNodePorts":true,"clusterIP":"fd00::1","clusterIPs":["fd00::1"],"ipFamilies":["IPv6"],"ipFamilyPolicy":"SingleStack","type":"LoadBalancer","sessionAffinity":"None",
		"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":80,"nodePort":30000},{"name":"injected","port":81,"protocol":"TCP"}]}`
	const created = `{"f:spec":{"f:allocateLoadBalancerNodePorts":{},"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:sessionAffinity":{},"f:type":{}}}`
	const applied = `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}},"f:type":{}}}`
	for _, test := range []struct {
		name, kind, managers, from string
		want                       string // without kind, version and marks
	}{
		{"applied by a server", "Service", field("kubectl", "Apply", applied), service, `{"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP"}],"type":"LoadBalancer"}}`},
		{"created with all there is", "Service", field("kubectl-create", "Update", created), service, `{"spec":{"allocateLoadBalancerNodePorts":true,"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":80}],"sessionAffinity":"None","type":"LoadBalancer"}}`},
		{"applied by a client", "Service", field("kubectl-client-side-apply", "Update", strings.Replace(created, `{"f:spec"`, `{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},"f:spec"`, 1)),
			`"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"type\":\"LoadBalancer\",\"ports\":[{\"name\":\"http\",\"port\":80}]}}"}},` + service,
			`{"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP"}],"type":"LoadBalancer"}}`},
		{"families by choice", "Service", field("kubectl", "Apply", `{"f:spec":{"f:ipFamilies":{},"f:type":{}}}`), `"spec":{"type":"ClusterIP","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack"}`, `{"spec":{"ipFamilies":["IPv4"],"type":"ClusterIP"}}`},
		{"headless", "Service", field("kubectl", "Apply", `{"f:spec":{"f:clusterIP":{}}}`), `"spec":{"clusterIP":"None","clusterIPs":["None"],"ipFamilies":["IPv6"]}`, `{"spec":{"clusterIP":"None"}}`},
		{"several have said it", "Service", field("helm", "Update", `{"f:spec":{"f:type":{}}}`) + "," + field("kubectl-edit", "Update", `{"f:spec":{"f:sessionAffinity":{}}}`), service, `{"spec":{"sessionAffinity":"None","type":"LoadBalancer"}}`},
		{"a volume that was bound", "PersistentVolumeClaim", field("kubectl-create", "Update", `{"f:spec":{"f:accessModes":{},"f:resources":{"f:requests":{".":{},"f:storage":{}}}}}`) + "," + field("kube-controller-manager", "Update", `{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/bind-completed":{}}},"f:spec":{"f:volumeName":{}}}`),
			`"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"fast","volumeMode":"Filesystem","volumeName":"pv-1"}`,
			`{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`},
		{"a token that was made", "ServiceAccount", field("kubectl", "Apply", `{"f:imagePullSecrets":{"k:{\"name\":\"mine\"}":{".":{},"f:name":{}}}}`) + "," + field("kube-controller-manager", "Update", `{"f:secrets":{".":{},"k:{\"name\":\"robot-token-x\"}":{}}}`),
			`"imagePullSecrets":[{"name":"mine"}],"secrets":[{"name":"robot-token-x"}]`, `{"imagePullSecrets":[{"name":"mine"}]}`},
		{"words of a Secret that were applied", "Secret", field("kubectl", "Apply", `{"f:stringData":{"f:password":{}}}`), `"data":{"password":"eA=="},"type":"Opaque"`, `{"data":{"password":"eA=="}}`},
		{"defaults of a newer version", "Deployment", field("kubectl", "Apply", `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{}}},"f:volumes":{"k:{\"name\":\"a\"}":{".":{},"f:emptyDir":{},"f:name":{}}}}}}}`),
			`"spec":{"new":"default","template":{"spec":{"containers":[{"name":"web","image":"nginx","new":"default"}],"restartPolicy":"Always","volumes":[{"name":"a","emptyDir":{}}]}}}`,
			`{"spec":{"template":{"spec":{"containers":[{"image":"nginx","name":"web"}],"volumes":[{"emptyDir":{},"name":"a"}]}}}}`},
		{"labels and annotations", "ConfigMap", field("kubectl", "Apply", `{"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:mine":{}},"f:annotations":{"f:mine":{}}}}`), `"metadata":{"labels":{"mine":"1","injected":"1"},"annotations":{"mine":"1","injected":"1"}},"data":{"a":"1"}`,
			`{"data":{"a":"1"},"metadata":{"annotations":{"mine":"1"},"labels":{"mine":"1"}}}`},
		{"a set of words", "Gadget", field("kubectl", "Apply", `{"f:spec":{"f:words":{"v:\"a\"":{},"v:2":{}}}}`), `"spec":{"words":["a","b",2]}`, `{"spec":{"words":["a",2]}}`},
		{"places in a list", "Gadget", field("kubectl", "Apply", `{"f:spec":{"f:words":{"i:0":{}}}}`), `"spec":{"words":["a","b"]}`, `{"spec":{"words":["a","b"]}}`},
		{"another version of the kind", "HorizontalPodAutoscaler", strings.ReplaceAll(field("kubectl", "Apply", `{"f:spec":{"f:targetCPUUtilizationPercentage":{}}}`), "VERSION", "autoscaling/v1"), `"spec":{"metrics":[{"type":"Resource"}]}`, `{"spec":{"metrics":[{"type":"Resource"}]}}`},
		{"nobody has said anything", "Service", "", service, `{"spec":{"allocateLoadBalancerNodePorts":true,"ipFamilies":["IPv6"],"ipFamilyPolicy":"SingleStack","ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":80},{"name":"injected","port":81,"protocol":"TCP"}],"sessionAffinity":"None","type":"LoadBalancer"}}`},
		{"only what Kubernetes makes has", "ConfigMap", field("kube-controller-manager", "Update", `{"f:data":{"f:a":{}}}`) + "," + field("fedsync", "Apply", `{"f:metadata":{"f:finalizers":{"v:\"fedns.io/fedsync\"":{}}}}`), `"data":{"a":"1","b":"2"}`, `{"data":{"a":"1","b":"2"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Other(otherKinds[test.kind])
			for _, x := range sorts {
				if x.Kind.Name == test.kind {
					s = x
				}
			}
			k := Key{s, "ns", "o"}
			from := merge(parse(t, `{"metadata":{"managedFields":[`+strings.ReplaceAll(test.managers, "VERSION", k.APIVersion())+`]}}`), parse(t, `{`+test.from+`}`))
			before := jsonOf(from)
			got := clone(NewTemplate(k, from, "prod").Object).(Object)
			metadata := got["metadata"].(Object)
			for _, f := range []string{"labels", "annotations"} {
				m := metadata[f].(Object)
				for name := range m {
					if strings.HasPrefix(name, "fedns.io/") {
						delete(m, name)
					}
				}
				if len(m) == 0 {
					delete(metadata, f)
				}
			}
			delete(metadata, "name")
			delete(metadata, "namespace")
			if len(metadata) == 0 {
				delete(got, "metadata")
			}
			delete(got, "kind")
			delete(got, "apiVersion")
			if text := jsonOf(got); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			if jsonOf(from) != before {
				t.Error("the federated object itself was changed")
			}
		})
	}
}
