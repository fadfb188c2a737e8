package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// toldParent is a parent as a cluster tells of it.
func toldParent(name string, conditions ...string) string {
	return fmt.Sprintf(`{"controllerName":"x.io/c","parentRef":{"name":%q},"conditions":[%s]}`, name, strings.Join(conditions, ","))
}

func toldCondition(kind string) string {
	return fmt.Sprintf(`{"type":%q,"status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}`, kind)
}

// What one cluster says of a route never has the status of all refused, nor takes the room of what others say.
func TestHostileRoutes(t *testing.T) {
	accepted := toldCondition("Accepted")
	good := toldParent("good", accepted)
	for _, test := range []struct{ name, says string }{
		{"no controller", strings.Replace(good, "x.io/c", "", 1)},
		{"a controller that is none", strings.Replace(good, "x.io/c", "c", 1)},
		{"no parent", strings.Replace(good, `"name":"good"`, "", 1)},
		{"a parent without a name", strings.Replace(good, `"good"`, `""`, 1)},
		{"a name that is a number", strings.Replace(good, `"good"`, `1`, 1)},
		{"a long name", strings.Replace(good, "good", strings.Repeat("x", 254), 1)},
		{"a port that is none", strings.Replace(good, `"name"`, `"port":70000,"name"`, 1)},
		{"a port that is a text", strings.Replace(good, `"name"`, `"port":"80","name"`, 1)},
		{"a namespace that is none", strings.Replace(good, `"name"`, `"namespace":"A B","name"`, 1)},
		{"a section that is none", strings.Replace(good, `"name"`, `"sectionName":"","name"`, 1)},
		{"no conditions", toldParent("bad")},
		{"a condition without a type", toldParent("bad", strings.Replace(accepted, `"Accepted"`, `""`, 1))},
		{"a condition without a reason", toldParent("bad", strings.Replace(accepted, `"R"`, `""`, 1))},
		{"a condition of another status", toldParent("bad", strings.Replace(accepted, `"True"`, `"Maybe"`, 1))},
		{"a condition without a time", toldParent("bad", strings.Replace(accepted, `"2026-01-01T00:00:00Z"`, `"x"`, 1))},
		{"no map", `"x"`},
	} {
		parts := []Part{{Cluster: "evil", Status: parse(t, `{"parents":[`+test.says+`]}`)}, {Cluster: "fine", Status: parse(t, `{"parents":[`+good+`]}`)}}
		want := jsonOf(kind(t, "HTTPRoute").Status(parts[1:], Object{}, 1, true))
		if got := jsonOf(kind(t, "HTTPRoute").Status(parts, Object{}, 1, true)); got != want || !strings.Contains(got, "good") {
			t.Errorf("%s: %s\nwant %s", test.name, got, want)
		}
	}
}

// More parents than the Gateway API has room for are left out, the same ones in whatever order they are told, and
// those of each cluster in its turn; and it is said.
func TestParentsWithoutRoom(t *testing.T) {
	of := func(cluster string, n int) (out []string) {
		for i := range n {
			out = append(out, toldParent(fmt.Sprintf("%s%02d", cluster, i), toldCondition("Accepted")))
		}
		return out
	}
	status := func(by map[string][]string) (names []string, omits string) {
		var parts []Part
		for c, list := range by {
			list = append([]string(nil), list...)
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			parts = append(parts, Part{Cluster: c, Status: parse(t, `{"parents":[`+strings.Join(list, ",")+`]}`)})
		}
		k := kind(t, "HTTPRoute")
		for _, p := range mapsOf(k.Status(parts, Object{}, 1, true)["parents"]) {
			names = append(names, text(p, "parentRef", "name"))
		}
		return names, k.omits(inOrder(parts))
	}
	if names, omits := status(map[string][]string{"a": of("a", 30), "b": of("b", 2)}); len(names) != mostParents || omits != "" {
		t.Errorf("as many as there may be: %d, %q", len(names), omits)
	}
	first := ""
	for range 20 {
		names, omits := status(map[string][]string{"a": of("a", 200), "b": of("b", 3), "c": of("c", 20)})
		count := map[byte]int{}
		for _, n := range names {
			count[n[0]]++
		}
		if len(names) != mostParents || count['b'] != 3 || count['c'] != 14 || count['a'] != 15 || !strings.Contains(omits, "more than 32 parents") {
			t.Fatalf("%v, %q", count, omits)
		}
		if got := strings.Join(names, " "); first == "" {
			first = got
		} else if got != first {
			t.Fatalf("%s\nand before %s", got, first)
		}
	}
}

// Conditions of one parent are at most as many as there may be, and others' don't take the place of what the Gateway
// API itself says.
func TestConditionsWithoutRoom(t *testing.T) {
	var odd []string
	for i := range 20 {
		odd = append(odd, toldCondition(fmt.Sprintf("AAA%02d", i)))
	}
	parts := []Part{
		{Cluster: "a", Status: parse(t, `{"parents":[`+toldParent("g", odd...)+`]}`)},
		{Cluster: "b", Status: parse(t, `{"parents":[`+toldParent("g", toldCondition("Accepted"), toldCondition("ResolvedRefs"))+`]}`)},
	}
	p := mapsOf(kind(t, "HTTPRoute").Status(parts, Object{}, 1, true)["parents"])
	if len(p) != 1 {
		t.Fatalf("%v", p)
	}
	var kinds []string
	for _, c := range mapsOf(p[0]["conditions"]) {
		kinds = append(kinds, text(c, "type"))
	}
	if got := strings.Join(kinds, " "); got != "Accepted ResolvedRefs AAA00 AAA01 AAA02 AAA03 AAA04 AAA05" {
		t.Errorf("%s", got)
	}
}
