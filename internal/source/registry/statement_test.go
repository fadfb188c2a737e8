package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// spots are those of two clusters in one region, and of one elsewhere.
var spots = []override.ClusterPlace{{Cluster: "paris", Region: "eu", Zone: "eu-a"}, {Cluster: "lyon", Region: "eu", Zone: "eu-b"}, {Cluster: "oslo", Region: "no", Zone: "no-a"}}

// orderObject is an Order as the API has it.
func orderObject(name string, generation int64, spec map[string]any) *kube.Object {
	o := v1alpha1.Orders.New("", name)
	o.SetGeneration(generation)
	o.SetUID("u-1")
	o.SetCreationTimestamp(metav1.Time{Time: moment})
	o.Object["spec"] = spec
	return o
}

// What a server says of an order follows from the orders that its snapshot has.
func TestBecomes(t *testing.T) {
	read := func(text string) (out []override.Order) {
		t.Helper()
		all, err := override.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	fire := orderObject("fire", 3, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire"})
	over := orderObject("fire", 3, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire", "until": moment.Add(-time.Second).Format(time.RFC3339)})
	wrong := orderObject("fire", 3, map[string]any{"action": "Explode", "subject": "zone/eu-a", "reason": "fire"})
	const line = "down zone/eu-a reason \"fire (Order fire)\"\n"
	for _, tt := range []struct {
		name      string
		object    *kube.Object
		inForce   string
		want      string // state: message
		unsettled bool
	}{
		{"in force", fire, line, "InForce: ", false},
		{"not in the snapshot yet", fire, "", "", true},
		{"in the snapshot as it was before", fire, "drain zone/eu-a reason \"fire (Order fire)\"\n", "", true},
		{"beside another", fire, line + "up zone/eu-b reason \"x\"\n", "InForce: ", false},
		{"before one about the same", fire, line + "up zone/eu-a reason \"x\"\n", `Overruled: a later order counts: up zone/eu-a reason "x"`, false},
		{"after one about the same", fire, "up zone/eu-a reason \"x\"\n" + line, "InForce: ", false},
		{"before one about more", fire, line + "up region/eu reason \"x\"\n", `Overruled: a later order counts: up region/eu reason "x"`, false},
		{"before one about less", fire, line + "up service/shop/web reason \"x\"\n", "InForce: ", false},
		{"before two that are about all of it", fire, line + "up cluster/paris reason \"x\"\ndrain region/no reason \"y\"\n", `Overruled: a later order counts: up cluster/paris reason "x"`, false},
		{"before one that says the same", fire, line + "down region/eu reason \"x\"\n", "InForce: ", false},
		{"before a failback", fire, line + "failback region/eu reason \"x\"\n", "InForce: ", false},
		{"over, and in the snapshot still", over, "down zone/eu-a until " + moment.Add(-time.Second).Format(time.RFC3339) + " reason \"fire (Order fire)\"\n", "NotInForce: it has ended at 2030-01-31T14:59:59Z", true},
		{"over", over, "", "NotInForce: it has ended at 2030-01-31T14:59:59Z", false},
		{"wrong", wrong, "", `NotInForce: line 1: "explode" is none of drain, down, up, failback`, false},
		{"wrong, as it was before in the snapshot", wrong, line, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rosterOf()
			r.post(post(tt.object))
			all := causes(r.view(moment), nil, nil, "me", moment)
			if len(all) != 1 {
				t.Fatalf("%d causes", len(all))
			}
			s, settled := all[0].becomes(override.Force{Orders: read(tt.inForce), Places: spots})
			if settled == tt.unsettled || s.Generation != 3 {
				t.Errorf("settled %v, %+v", settled, s)
			}
			if got := s.State + ": " + s.Message; settled && got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// Something is to be said of what orders, and of what did and of which it has been said.
// Who drains a cluster that pulls waits for every server: one that isn't led to it says at once that it has it in no answer.
func TestApart(t *testing.T) {
	r := rosterOf()
	r.set("c", word{spec: v1alpha1.ClusterSpec{Pull: true, Drain: &v1alpha1.Drain{Reason: "racks"}}, uid: "c", generation: 2})
	all := causes(r.view(moment), nil, nil, "me", moment)
	if len(all) != 1 {
		t.Fatalf("%d causes", len(all))
	}
	if s, settled := all[0].becomes(override.Force{}); !settled || s.State != v1alpha1.InForce || s.Generation != 2 {
		t.Errorf("settled %v, %+v", settled, s)
	}
	r.set("c", word{spec: v1alpha1.ClusterSpec{Pull: true}, uid: "c", generation: 3})
	all = causes(r.view(moment), map[string]v1alpha1.ClusterStatus{"c": {Servers: map[string]v1alpha1.Statement{"me": {State: v1alpha1.InForce, Generation: 2}}}}, nil, "me", moment)
	if len(all) != 1 {
		t.Fatalf("%d causes", len(all))
	}
	if s, settled := all[0].becomes(override.Force{}); !settled || s.State != v1alpha1.NotInForce {
		t.Errorf("taken back: settled %v, %+v", settled, s)
	}
}

func TestCauses(t *testing.T) {
	r := rosterOf("lyon")
	r.set("paris", word{spec: spec(func(s *v1alpha1.ClusterSpec) { s.Drain = &v1alpha1.Drain{Reason: "x"} }), uid: "p", generation: 2})
	r.set("lyon", word{spec: spec(func(s *v1alpha1.ClusterSpec) { s.Drain = &v1alpha1.Drain{} }), generation: 1})
	r.set("oslo", word{spec: spec(), generation: 4})
	r.set("rome", word{spec: spec(), generation: 5})
	r.post(post(orderObject("fire", 1, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire"})))
	r.post(post(orderObject("try", 1, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire", "dryRun": true})))
	gone := post(orderObject("gone", 1, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire"}))
	gone.lost = true
	r.post(gone)
	had := v1alpha1.Statement{State: v1alpha1.InForce, Generation: 3}
	var got []string
	for _, c := range causes(r.view(moment), map[string]v1alpha1.ClusterStatus{"rome": {Servers: map[string]v1alpha1.Statement{"me": had}}, "oslo": {Servers: map[string]v1alpha1.Statement{"you": had}}}, nil, "me", moment) {
		got = append(got, fmt.Sprintf("%s %s holds=%v dry=%v wrong=%v had=%v", c.kind.Name, c.name, c.holds, c.dry, c.wrong != "", c.have != nil))
	}
	want := []string{
		"Cluster lyon holds=true dry=false wrong=true had=false", // the Corefile's counts
		"Cluster paris holds=true dry=false wrong=false had=false",
		"Cluster rome holds=false dry=false wrong=false had=true",
		"Order fire holds=true dry=false wrong=false had=false",
		"Order try holds=false dry=true wrong=false had=false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What was said isn't said again; since when stays what it was while the state does.
func TestNews(t *testing.T) {
	at := &metav1.Time{Time: moment}
	had := v1alpha1.Statement{State: v1alpha1.InForce, Generation: 2, Serial: 7, Since: at, Answers: 1, Message: "m", TTLSeconds: 180}
	for _, tt := range []struct {
		name   string
		had    *v1alpha1.Statement
		change func(*v1alpha1.Statement)
		news   bool
		serial int64
	}{
		{"never said", nil, func(*v1alpha1.Statement) {}, true, 0},
		{"said", &had, func(*v1alpha1.Statement) {}, false, 7},
		{"another state", &had, func(s *v1alpha1.Statement) { s.State = v1alpha1.Overruled }, true, 0},
		{"another object", &had, func(s *v1alpha1.Statement) { s.Generation = 3 }, true, 0},
		{"another reason", &had, func(s *v1alpha1.Statement) { s.Message = "n" }, true, 7},
		{"fewer answers", &had, func(s *v1alpha1.Statement) { s.Answers = 0 }, true, 7},
		{"longer answers", &had, func(s *v1alpha1.Statement) { s.TTLSeconds = 181 }, true, 7},
	} {
		s := had
		s.Serial, s.Since = 0, nil
		tt.change(&s)
		c := cause{have: tt.had}
		if got := c.news(&s); got != tt.news || s.Serial != tt.serial || (s.Since != nil) != (tt.serial != 0) {
			t.Errorf("%s: %v, %+v", tt.name, got, s)
		}
	}
}

func TestStated(t *testing.T) {
	for _, tt := range []struct {
		s    v1alpha1.Statement
		want string
	}{
		{v1alpha1.Statement{State: v1alpha1.InForce, Generation: 1, Serial: 2}, "map[generation:1 serial:2 state:InForce]"},
		{v1alpha1.Statement{State: v1alpha1.Previewed, Generation: 1, Since: &metav1.Time{Time: moment}, Message: "m", Answers: 3, TTLSeconds: 4, Services: 5, Orphaned: 6, Orphans: []string{"a/b"}},
			"map[answers:3 generation:1 message:m orphaned:6 orphans:[a/b] serial:0 services:5 since:2030-01-31T15:00:00Z state:Previewed ttlSeconds:4]"},
	} {
		if got := fmt.Sprint(stated(tt.s)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// Servers that are gone, and what was said of the object as it was, don't count.
func TestTallyOf(t *testing.T) {
	said := map[string]v1alpha1.Statement{"a": {State: v1alpha1.InForce, Generation: 2}, "b": {State: v1alpha1.InForce, Generation: 1}, "c": {State: v1alpha1.Overruled, Generation: 2}, "gone": {State: v1alpha1.InForce, Generation: 2}}
	for _, tt := range []struct {
		live []string
		want string
	}{{nil, "0/0"}, {[]string{"a"}, "1/1"}, {[]string{"a", "b", "c", "d"}, "1/4"}} {
		if got := tally(said, 2, tt.live); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.live, got, tt.want)
		}
	}
}

// A Lease tells of the file's orders, not of the API's, and of no more than it can hold.
func TestFiling(t *testing.T) {
	r := rosterOf()
	r.post(post(orderObject("fire", 1, map[string]any{"action": "Down", "subject": "zone/eu-a", "reason": "fire"})))
	v := r.view(moment)
	file, err := override.Parse("up region/eu reason \"lift\"\n")
	if err != nil {
		t.Fatal(err)
	}
	f := override.Force{Orders: append(slices.Clone(v.Orders), file...), Places: spots}
	for _, tt := range []struct {
		path   string
		unread error
		want   string
	}{
		{"", nil, ""},
		{"/etc/o", nil, `{"file":"/etc/o","orders":[{"line":"up region/eu reason \"lift\""}]}`},
		{"/etc/o", fmt.Errorf("line 1: what?"), `{"file":"/etc/o","error":"line 1: what?","orders":[{"line":"up region/eu reason \"lift\""}]}`},
	} {
		if got := filing(tt.path, tt.unread, f, v); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	for range 5000 {
		f.Orders = append(f.Orders, override.Order{Action: override.Drain, Subject: file[0].Subject, Reason: `"` + strings.Repeat("x", 20)})
	}
	if got := filing("/etc/o", nil, f, v); len(got) > filingSize || !strings.Contains(got, `"more":`) {
		t.Errorf("%d bytes: %.100s", len(got), got)
	}
}
