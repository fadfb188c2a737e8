package builtin

import "testing"

func TestFind(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range all {
		if seen[k.String()] {
			t.Errorf("%s stands there twice", k)
		}
		seen[k.String()] = true
		if got, ok := Find(k.APIVersion(), k.Name); !ok || got != k {
			t.Errorf("%s is found as %v, %v", k, got, ok)
		}
	}
	for _, other := range [][2]string{{"apps/v1", "Service"}, {"v1", "Deployment"}, {"example.com/v1", "Gadget"}, {"", ""}} {
		if k, ok := Find(other[0], other[1]); ok {
			t.Errorf("%s %s is %s", other[0], other[1], k)
		}
	}
}

func TestEverywhere(t *testing.T) {
	for _, tt := range []struct {
		kind, namespace, name string
		everywhere, inUse     bool
	}{
		{"Namespace", "", "default", true, true},
		{"Namespace", "", "shop", false, false},
		{"Service", "default", "kubernetes", true, false},
		{"Service", "shop", "kubernetes", false, false},
		{"ConfigMap", "shop", "kube-root-ca.crt", true, true},
		{"ConfigMap", "shop", "settings", false, false},
		{"ServiceAccount", "shop", "default", false, true},
		{"ServiceAccount", "shop", "robot", false, false},
		{"Event", "shop", "web.17", false, true},
		{"Endpoints", "shop", "web", false, true},
		{"EndpointSlice", "shop", "web-abc", false, false},
		{"Secret", "shop", "default", false, false},
	} {
		if got := Everywhere(tt.kind, tt.namespace, tt.name); got != tt.everywhere {
			t.Errorf("%s %s/%s is everywhere: %v", tt.kind, tt.namespace, tt.name, got)
		}
		if got := InUse(tt.kind, tt.name); got != tt.inUse {
			t.Errorf("%s %s comes with the use of a namespace: %v", tt.kind, tt.name, got)
		}
	}
	for name, want := range map[string]bool{"default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true, "shop": false, "federation-system": false, "": false} {
		if got := Permanent(name); got != want {
			t.Errorf("namespace %q is permanent: %v", name, got)
		}
	}
}

// TestMade is the list of what each cluster makes for itself.
func TestMade(t *testing.T) {
	for _, tt := range []struct {
		kind, namespace, name, label, value string
		want                                bool
	}{
		{"ClusterRole", "", "view", "kubernetes.io/bootstrapping", "rbac-defaults", true},
		{"ClusterRole", "", "system:node", "", "", true},
		{"ClusterRoleBinding", "", "system:mine", "", "", true},
		{"ClusterRole", "", "fedns.io:fedsync", "", "", true},
		{"ClusterRole", "", "fedsync-prod", "app.kubernetes.io/managed-by", "fedctl", true},
		{"ClusterRole", "", "mine", "app.kubernetes.io/managed-by", "Helm", false},
		{"ClusterRole", "", "mine", "", "", false},
		{"StorageClass", "", "standard", "addonmanager.kubernetes.io/mode", "EnsureExists", true},
		{"APIService", "", "v1.apps", "kube-aggregator.kubernetes.io/automanaged", "onstart", true},
		{"APIService", "", "v1alpha1.fedns.io", "", "", true},
		{"APIService", "", "v1beta1.metrics.k8s.io", "", "", false},
		{"CustomResourceDefinition", "", "orders.fedns.io", "", "", true},
		{"CustomResourceDefinition", "", "gadgets.example.com", "", "", false},
		{"FlowSchema", "", "probes", "apf.kubernetes.io/autoupdate-spec", "true", true},
		{"PriorityClass", "", "system-node-critical", "", "", true},
		{"PriorityClass", "", "mine", "", "", false},
		{"ServiceCIDR", "", "kubernetes", "", "", true},
		{"ServiceAccount", "shop", "default", "", "", true},
		{"ServiceAccount", "shop", "robot", "", "", false},
		{"ConfigMap", "shop", "kube-root-ca.crt", "", "", true},
		{"ConfigMap", "shop", "system", "", "", false},
		{"Event", "shop", "e", "", "", true},
	} {
		marks := map[string]string{tt.label: tt.value}
		for _, got := range []bool{Made(tt.kind, tt.namespace, tt.name, marks, nil), Made(tt.kind, tt.namespace, tt.name, nil, marks)} {
			if got != tt.want {
				t.Errorf("%s %s/%s with %s=%s is made: %v", tt.kind, tt.namespace, tt.name, tt.label, tt.value, got)
			}
		}
	}
}
