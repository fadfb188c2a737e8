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

func TestMade(t *testing.T) {
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
