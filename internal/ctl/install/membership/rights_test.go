package membership

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/kube"
)

// Who is to keep roles and bindings may write them, in the namespaces of the federation, and still
// gives itself no other rights by the binding of its own.
func TestRightsForBindings(t *testing.T) {
	m := &Member{Federation: "prod", Cluster: "eu"}
	look := func(kinds ...kube.Kind) (rules, last string) {
		t.Helper()
		all, err := m.Objects(Rights{Kinds: kinds, Policies: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			switch o.GetKind() + " " + o.GetName() {
			case "ClusterRole fedsync-prod.objects":
				rules = fmt.Sprint(o.Object["rules"])
			case "ValidatingAdmissionPolicy fedsync-prod.fedns.io":
				v := o.Object["spec"].(map[string]any)["validations"].([]any)
				last = v[len(v)-1].(map[string]any)["expression"].(string)
			}
		}
		return rules, last
	}
	const others = `object.metadata.name != "fedsync-prod" || request.resource.resource != "rolebindings"`
	if rules, last := look(); strings.Contains(rules, "[bind]") || strings.Contains(rules, "escalate") || strings.HasPrefix(last, others) {
		t.Errorf("unasked, it may %s, but for %s", rules, last)
	}
	if rules, last := look(builtin.Roles, builtin.RoleBindings); !strings.Contains(rules, "[bind]") || !strings.Contains(rules, "escalate") || !strings.HasPrefix(last, others) {
		t.Errorf("asked to, it may %s, but for %s", rules, last)
	}
}
