package workload

import (
	"fmt"
	"testing"
)

// What was there before is taken over by the word of the object, of its namespace, or of the
// cluster; the nearest word counts.
func TestAdoption(t *testing.T) {
	const before, after = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"
	for _, row := range []struct {
		name                       string
		object, namespace, cluster string // what fedns.io/adopt says
		made, of                   string // when the object was, and of which federation
		why                        string // "": it stays as it is
	}{
		{name: "nobody says so", made: before},
		{name: "the object", object: "true", made: after, why: "fedns.io/adopt says so"},
		{name: "the object, of another federation's", object: "true", made: before, of: "test", why: "fedns.io/adopt says so"},
		{name: "the namespace", namespace: "true", made: after, why: "fedns.io/adopt of its namespace says so"},
		{name: "the namespace, of another federation's", namespace: "true", made: before, of: "test"},
		{name: "the cluster", cluster: "true", made: after, why: "fedns.io/adopt of the cluster says so"},
		{name: "the cluster, of another federation's", cluster: "true", made: before, of: "test"},
		{name: "the cluster, of what was there then", cluster: "2026-02-01T00:00:00Z", made: before, why: "fedns.io/adopt of the cluster says so"},
		{name: "the cluster, in another zone", cluster: "2026-01-01T02:00:00+02:00", made: before, why: "fedns.io/adopt of the cluster says so"},
		{name: "the cluster, of what came later", cluster: "2026-02-01T00:00:00Z", made: after},
		{name: "the object says otherwise", object: "false", namespace: "true", cluster: "true", made: before},
		{name: "somebody's word", namespace: "yes", cluster: "yes", made: before},
	} {
		w := newWorld(t, "a")
		w.want("Namespace", "", "ns", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/adopt":%q}}}`, row.namespace))
		w.member("a").Adopt = Adoption(row.cluster)
		w.SetMembers(w.members)
		k := w.want("ConfigMap", "ns", "c", fmt.Sprintf(`{"metadata":{"annotations":{"fedns.io/adopt":%q}},"data":{"x":"1"}}`, row.object))
		there := fmt.Sprintf(`{"metadata":{"creationTimestamp":%q},"data":{"x":"theirs"}}`, row.made)
		if row.of != "" {
			there = fmt.Sprintf(`{"metadata":{"creationTimestamp":%q,"labels":{"fedns.io/managed-by":"fedsync"},"annotations":{"fedns.io/federation":%q}}}`, row.made, row.of)
		}
		w.have("a", k, there)
		got := ""
		for _, s := range w.Plan(k).Steps {
			if got = s.Why; s.Verb != Adopt {
				t.Errorf("%s: %s", row.name, s.Verb)
			}
		}
		w.check(row.name, got, row.why)
	}
}
