package marks

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedns/fedns/internal/kube"
)

func object(t *testing.T, text string) *kube.Object {
	t.Helper()
	o := &kube.Object{}
	if err := yaml.Unmarshal([]byte("{apiVersion: v1, kind: ConfigMap, "+strings.TrimPrefix(text, "{")), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWished(t *testing.T) {
	const told = `{metadata: {finalizers: [fedns.io/fedsync, other], annotations: {fedns.io/status: "{}", fedns.io/adopt: "true"}, managedFields: [{manager: kubectl}, {manager: fedsync}]}}`
	for _, tt := range []struct {
		text   string
		wished bool
		left   string // of finalizers, annotations and managers
	}{
		{`{metadata: {annotations: {fedns.io/cluster-selector: "[]"}, managedFields: [{manager: kubectl}]}}`, false, "[] [fedns.io/cluster-selector] [kubectl]"},
		{told, true, "[other] [fedns.io/adopt] [kubectl]"},
		{`{metadata: {annotations: {fedns.io/status: "{}"}}}`, true, "[] [] []"}, // a ReplicaSet of a federated Deployment
		{`{metadata: {managedFields: [{manager: fedsync, subresource: status}]}}`, true, "[] [] []"},
		// What another federation keeps here, since this is a member of it.
		{`{metadata: {labels: {fedns.io/managed-by: fedsync}, annotations: {fedns.io/federation: other}, managedFields: [{manager: fedsync}]}}`, false, "[] [fedns.io/federation] [fedsync]"},
		{`{metadata: {finalizers: [fedns.io/fedsync], labels: {fedns.io/managed-by: fedsync}, managedFields: [{manager: fedsync}]}}`, true, "[] [] [fedsync]"},
	} {
		o := object(t, tt.text)
		if got := Wished(o); got != tt.wished {
			t.Errorf("%s is marked: %v", tt.text, got)
		}
		if Unwish(o); left(o) != tt.left || Wished(o) {
			t.Errorf("%s: %s is left, not %s", tt.text, left(o), tt.left)
		}
	}
}

func TestKept(t *testing.T) {
	o := object(t, `{metadata: {labels: {fedns.io/managed-by: fedsync, fedns.io/export: "true"}, annotations: {fedns.io/federation: prod, fedns.io/applied: abc, a: b}, managedFields: [{manager: fedsync}]}}`)
	if !Kept(o, "prod") || Kept(o, "test") {
		t.Error("it is taken for another federation's")
	}
	Unkeep(o)
	if got := left(o); got != "[] [a] []" || Kept(o, "prod") || len(o.GetLabels()) != 1 {
		t.Errorf("%s and %v is left", got, o.GetLabels())
	}
}

func TestStatus(t *testing.T) {
	o := object(t, `{metadata: {managedFields: [
		{manager: kubectl, subresource: status, fieldsV1: {"f:status": {"f:theirs": {}}}},
		{manager: fedsync, fieldsV1: {"f:metadata": {}}},
		{manager: fedsync, subresource: status, fieldsV1: {"f:status": {".": {}, "f:replicas": {}, "f:loadBalancer": {"f:ingress": {}}}}}]}}`)
	if got := Status(o); !slices.Equal(got, []string{"loadBalancer", "replicas"}) {
		t.Errorf("its status is fedsync's in %q", got)
	}
}

func TestOurs(t *testing.T) {
	for text, want := range map[string]bool{
		`{metadata: {}}`: false, // nobody knows
		`{metadata: {managedFields: [{manager: fedsync}, {manager: fedctl}]}}`:  true,
		`{metadata: {managedFields: [{manager: fedsync}, {manager: kubectl}]}}`: false,
	} {
		if got := Ours(object(t, text)); got != want {
			t.Errorf("%s is ours alone: %v", text, got)
		}
	}
}

func left(o *kube.Object) string {
	var notes, managers []string
	for n := range o.GetAnnotations() {
		notes = append(notes, n)
	}
	slices.Sort(notes)
	for _, f := range o.GetManagedFields() {
		if f.Manager != "" {
			managers = append(managers, f.Manager)
		}
	}
	return "[" + strings.Join(o.GetFinalizers(), " ") + "] [" + strings.Join(notes, " ") + "] [" + strings.Join(managers, " ") + "]"
}
