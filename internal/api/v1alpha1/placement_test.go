package v1alpha1

import (
	"strings"
	"testing"
)

// Each object's Placement has a name of its own that an API server takes.
func TestPlacementName(t *testing.T) {
	seen := map[string]string{}
	for _, tt := range []struct {
		group, kind, name string
		native            bool
		want              string // a dot at its end: what follows is a hash
	}{
		{"apps", "Deployment", "web", true, "deployment.web"},
		{"", "Service", "web", true, "service.web"},
		{"serving.knative.dev", "Service", "web", false, "service.web."},
		{"example.com", "Service", "web", false, "service.web."},
		{"rbac.authorization.k8s.io", "Role", "team:A_b", true, "role.team-a-b."},
		{"rbac.authorization.k8s.io", "Role", "team:a-b", true, "role.team-a-b."},
		{"rbac.authorization.k8s.io", "Role", "::", true, "role."},
		{"", "ConfigMap", strings.Repeat("a", 253), true, "configmap." + strings.Repeat("a", 180) + "."},
		{"", "ConfigMap", strings.Repeat("a", 252) + "b", true, "configmap." + strings.Repeat("a", 180) + "."},
	} {
		got := PlacementName(Kind{Group: tt.group, Name: tt.kind}, tt.name, tt.native)
		if got != tt.want && !(strings.HasSuffix(tt.want, ".") && strings.HasPrefix(got, tt.want) && len(got) == len(tt.want)+10) {
			t.Errorf("%s %s is called %s, want %s", tt.kind, tt.name, got, tt.want)
		}
		if len(got) > longestName || !dnsName.MatchString(got) {
			t.Errorf("%s is no name", got)
		}
		if was := seen[got]; was != "" {
			t.Errorf("%s and %s are both called %s", was, tt.group+tt.name, got)
		}
		seen[got] = tt.group + tt.name
	}
}
