package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

var moment = time.Date(2030, 1, 31, 15, 0, 0, 0, time.UTC)

func check(k []byte) error {
	if strings.HasPrefix(string(k), "bad") {
		return errors.New("kubeconfig: bad")
	}
	return nil
}

func rosterOf(taken ...string) *roster {
	r := newRoster(check)
	for _, t := range taken {
		r.taken[t] = true
	}
	return r
}

// spec is one that leads to a Secret.
func spec(change ...func(*v1alpha1.ClusterSpec)) v1alpha1.ClusterSpec {
	s := v1alpha1.ClusterSpec{SecretRef: &v1alpha1.SecretRef{Name: "key"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// brief is a view in a few words.
func brief(v *View) string {
	var out []string
	for _, m := range v.Members {
		s := fmt.Sprintf("%s %s %v", m.Name, m.Region, m.Zones)
		if m.Location != nil {
			s += fmt.Sprint(" at ", *m.Location)
		}
		if m.Addresses != nil {
			s += fmt.Sprint(" only ", m.Addresses)
		}
		if m.Exports != nil {
			s += fmt.Sprint(" exports ", m.Exports)
		}
		if m.Hosts != nil {
			s += fmt.Sprint(" hosts ", m.Hosts)
		}
		if m.Kubeconfig != nil {
			s += fmt.Sprintf(" by %s", m.Kubeconfig)
		}
		out = append(out, s)
	}
	for _, o := range v.Orders {
		out = append(out, o.String())
	}
	for _, p := range v.wrong {
		out = append(out, fmt.Sprintf("wrong: %s %s", p.Cluster, p.Field))
	}
	if v.lost > 0 {
		out = append(out, fmt.Sprint("lost: ", v.lost))
	}
	return strings.Join(out, "; ")
}

func TestSpec(t *testing.T) {
	region := func(r string) func(*v1alpha1.ClusterSpec) { return func(s *v1alpha1.ClusterSpec) { s.Region = r } }
	zones := func(z ...string) func(*v1alpha1.ClusterSpec) { return func(s *v1alpha1.ClusterSpec) { s.Zones = z } }
	location := func(l string) func(*v1alpha1.ClusterSpec) { return func(s *v1alpha1.ClusterSpec) { s.Location = l } }
	addresses := func(a ...string) func(*v1alpha1.ClusterSpec) {
		return func(s *v1alpha1.ClusterSpec) { s.Addresses = a }
	}
	grants := func(exports, hosts string) func(*v1alpha1.ClusterSpec) {
		return func(s *v1alpha1.ClusterSpec) { s.Exports, s.Hosts = strings.Fields(exports), strings.Fields(hosts) }
	}
	drain := func(until time.Time, reason string) func(*v1alpha1.ClusterSpec) {
		return func(s *v1alpha1.ClusterSpec) {
			s.Drain = &v1alpha1.Drain{Reason: reason}
			if !until.IsZero() {
				s.Drain.Until = &metav1.Time{Time: until}
			}
		}
	}
	good := spec(region("eu"), zones("eu-a"), location("60.17 24.94"), addresses("203.0.113.0/24"))
	const told = "c eu [eu-a] at 60.17 24.94 only [203.0.113.0/24]"
	for _, tt := range []struct {
		name string
		spec v1alpha1.ClusterSpec
		want string // of a new member
		then string // of one that was good before
	}{
		{"good", good, told, told},
		{"nothing is said", spec(), "c  []", "c  []"},
		{"lowered, and once", spec(region("EU"), zones("A", "a")), "c eu [a]", "c eu [a]"},
		{"region", spec(region("e_u")), "c  []; wrong: c spec.region", "c eu []; wrong: c spec.region"},
		{"zones, all or none", spec(zones("a", "b.c")), "c  []; wrong: c spec.zones", "c  [eu-a]; wrong: c spec.zones"},
		{"reserved word", spec(zones("svc")), "c  []; wrong: c spec.zones", "c  [eu-a]; wrong: c spec.zones"},
		{"a zone that is the region", spec(region("Eu"), zones("a", "eU")), "c eu []; wrong: c spec.zones", "c eu [eu-a]; wrong: c spec.zones"},
		{"location", spec(location("60.17")), "c  []; wrong: c spec.location", "c  [] at 60.17 24.94; wrong: c spec.location"},
		{"location off the globe", spec(location("91 0")), "c  []; wrong: c spec.location", "c  [] at 60.17 24.94; wrong: c spec.location"},
		{"addresses", spec(addresses("192.0.2.1", "x")), "c  [] only [127.0.0.1/32]; wrong: c spec.addresses", "c  [] only [203.0.113.0/24]; wrong: c spec.addresses"},
		{"one address", spec(addresses("192.0.2.1")), "c  [] only [192.0.2.1/32]", "c  [] only [192.0.2.1/32]"},
		{"what it may have", spec(grants("shop mail/web*", ".example.com")), "c  [] exports [shop/* mail/web*] hosts [.example.com]", "c  [] exports [shop/* mail/web*] hosts [.example.com]"},
		{"what nobody can read of that", spec(grants("a/b/c", "**")), "c  [] exports [-/*] hosts [invalid]; wrong: c spec.exports; wrong: c spec.hosts", "c  []; wrong: c spec.exports; wrong: c spec.hosts"},
		{"no Secret", v1alpha1.ClusterSpec{}, "c  []; wrong: c spec.secretRef", "c  []; wrong: c spec.secretRef"},
		{"drain", spec(drain(moment.Add(time.Hour), "kernel")), `c  []; drain cluster/c until 2030-01-31T16:00:00Z reason "kernel (spec.drain of Cluster c)"`, `c  []; drain cluster/c until 2030-01-31T16:00:00Z reason "kernel (spec.drain of Cluster c)"`},
		{"drain without end or reason", spec(drain(time.Time{}, "")), `c  []; drain cluster/c reason "spec.drain of Cluster c"`, `c  []; drain cluster/c reason "spec.drain of Cluster c"`},
		{"drain that is over", spec(drain(moment, "")), "c  []", "c  []"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rosterOf()
			if !r.set("c", word{spec: tt.spec}) {
				t.Error("a new member changes nothing")
			}
			if got := brief(r.view(moment)); got != tt.want {
				t.Errorf("new: %s\nwant %s", got, tt.want)
			}
			r = rosterOf()
			r.set("c", word{spec: good})
			r.set("c", word{spec: tt.spec})
			if got := brief(r.view(moment)); got != tt.then {
				t.Errorf("changed: %s\nwant %s", got, tt.then)
			}
			tt.spec.Taints = []v1alpha1.Taint{{Key: "k", Effect: "NoSchedule"}}
			if r.set("c", word{spec: tt.spec}) {
				t.Error("the same again changes something")
			}
			r.set("c", word{spec: good})
			if got := brief(r.view(moment)); got != told {
				t.Errorf("good again: %s", got)
			}
		})
	}
	r := rosterOf()
	r.set("c", word{spec: spec(drain(time.Time{}, "x"))})
	r.set("c", word{spec: spec(), wrong: map[string]string{"spec.drain": "until is no time"}})
	if got := brief(r.view(moment)); !strings.Contains(got, `drain cluster/c reason "x`) || !strings.Contains(got, "wrong: c spec.drain") {
		t.Errorf("a drain that can't be read: %s", got)
	}
	if v := r.view(moment); !v.next.IsZero() {
		t.Errorf("next at %v", v.next)
	}
}

// Only what was said ends a membership; a list says so too, unless most of them are
// missing.
func TestList(t *testing.T) {
	for _, tt := range []struct {
		before, list, want, lost string
	}{
		{"a b c", "a b c", "a b c", ""},
		{"a b c", "a b c d", "a b c d", ""},
		{"a b c", "a b", "a b", ""},
		{"a b", "a", "a", ""},
		{"a b c", "a", "a b c", "b c"},
		{"a b c d", "a b", "a b", ""},
		{"a b c d e", "a b", "a b c d e", "c d e"},
		{"a b", "", "a b", "a b"},
		{"a", "", "a", "a"},
		{"a", "b", "b", ""},
		{"a b c", "d", "a b c d", "a b c"},
		{"", "", "", ""},
	} {
		r := rosterOf()
		for _, n := range strings.Fields(tt.before) {
			r.set(n, word{spec: spec()})
		}
		words := map[string]word{}
		for _, n := range strings.Fields(tt.list) {
			words[n] = word{spec: spec()}
		}
		_, lost := r.list(words)
		if got := strings.Join(slices.Sorted(maps.Keys(r.entries)), " "); got != tt.want || strings.Join(lost, " ") != tt.lost {
			t.Errorf("%q, then a list of %q: %q, lost %q; want %q, lost %q", tt.before, tt.list, got, lost, tt.want, tt.lost)
		}
		if changed, again := r.list(words); changed || len(again) != 0 {
			t.Errorf("%q, then a list of %q twice: something changes, and %q are lost", tt.before, tt.list, again)
		}
	}

	r := rosterOf()
	for _, n := range []string{"a", "b", "c"} {
		r.set(n, word{spec: spec()})
	}
	r.list(nil)
	if v := r.view(moment); v.lost != 3 || len(v.Members) != 3 {
		t.Errorf("an empty list: %s", brief(v))
	}
	r.set("a", word{spec: spec()}) // it is seen again
	r.gone("b")                    // it was deleted by word
	r.list(map[string]word{"a": {spec: spec()}, "d": {spec: spec()}})
	if got := brief(r.view(moment)); got != "a  []; c  []; d  []; lost: 1" {
		t.Errorf("in the end: %s", got)
	}
}

// TestPulled is what a cluster that pulls is to a fedns: a member as others, where a Secret leads to it; else none, that
// neither lacks anything nor has anybody wait for it.
func TestPulled(t *testing.T) {
	drained := func(s *v1alpha1.ClusterSpec) { s.Drain = &v1alpha1.Drain{Reason: "racks"} }
	pulled := func(change ...func(*v1alpha1.ClusterSpec)) v1alpha1.ClusterSpec {
		s := v1alpha1.ClusterSpec{Pull: true}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	both := spec()
	both.Pull = true
	const order = `drain cluster/c reason "racks (spec.drain of Cluster c)"`
	for _, tt := range []struct {
		name     string
		corefile []string
		spec     v1alpha1.ClusterSpec
		want     string
		apart    bool
	}{
		{"it is no member", nil, pulled(), "", true},
		{"nor is it drained", nil, pulled(drained), "", true},
		{"what is wrong with it is said", nil, pulled(func(s *v1alpha1.ClusterSpec) { s.Region = "e_u" }), "wrong: c spec.region", true},
		{"the Corefile has it, and may", []string{"c"}, pulled(), "", false},
		{"and its drain holds there", []string{"c"}, pulled(drained), order, false},
		{"a Secret leads to it", nil, both, "c  []", false},
		{"and the Corefile has it, too", []string{"c"}, both, "wrong: c metadata.name", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rosterOf(tt.corefile...)
			r.list(map[string]word{"c": {spec: tt.spec, uid: "c"}})
			v := r.view(moment)
			if got := brief(v); got != tt.want || v.apart["c"] != tt.apart || !v.Listed {
				t.Errorf("%q, apart %v, listed %v", got, v.apart["c"], v.Listed)
			}
			// It is the same as another configuration takes it over.
			next := rosterOf(tt.corefile...)
			next.restore(v.entries, v.posted, v.Listed)
			if got := brief(next.view(moment)); got != tt.want {
				t.Errorf("taken over: %q", got)
			}
		})
	}
	r := rosterOf()
	r.set("c", word{spec: spec()})
	r.secret("key", true, []byte("one"))
	r.set("c", word{spec: pulled()})
	if got := brief(r.view(moment)); got != "" || len(r.secrets()) > 0 {
		t.Errorf("one that pulls from now on: %q, and %v is read", got, r.secrets())
	}
	r.set("c", word{spec: spec()})
	if got := brief(r.view(moment)); got != "c  [] by one" {
		t.Errorf("one that pulls no more: %q", got)
	}
}

func TestSecrets(t *testing.T) {
	r := rosterOf("mine")
	r.set("c", word{spec: spec()})
	r.set("mine", word{spec: v1alpha1.ClusterSpec{SecretRef: &v1alpha1.SecretRef{Name: "other"}}})
	if got := r.secrets(); !maps.Equal(got, map[string]bool{"key": true}) {
		t.Errorf("reads %v", got)
	}
	mine := "; wrong: mine metadata.name"
	for _, step := range []struct {
		name    string
		there   bool
		content string
		want    string
		changes bool
	}{
		{"missing", false, "", "c  []; wrong: c secret" + mine, true},
		{"still", false, "", "c  []; wrong: c secret" + mine, false},
		{"empty", true, "", "c  []; wrong: c kubeconfig" + mine, true},
		{"bad", true, "bad 1", "c  []; wrong: c kubeconfig" + mine, true},
		{"good", true, "one", "c  [] by one" + mine, true},
		{"the same", true, "one", "c  [] by one" + mine, false},
		{"another", true, "two", "c  [] by two" + mine, true},
		{"bad again", true, "bad", "c  [] by two; wrong: c kubeconfig" + mine, true},
		{"deleted", false, "", "c  [] by two; wrong: c secret" + mine, true},
	} {
		if got := r.secret("key", step.there, []byte(step.content)); got != step.changes {
			t.Errorf("%s: changes something: %v", step.name, got)
		}
		if got := brief(r.view(moment)); got != step.want {
			t.Errorf("%s: %s\nwant %s", step.name, got, step.want)
		}
	}
	r.set("c", word{spec: spec(func(s *v1alpha1.ClusterSpec) { s.Region = "eu" })})
	if got := brief(r.view(moment)); got != "c eu [] by two; wrong: c secret"+mine {
		t.Errorf("another word about the rest: %s", got)
	}
	r.set("c", word{spec: v1alpha1.ClusterSpec{SecretRef: &v1alpha1.SecretRef{Name: "next"}}})
	if got := brief(r.view(moment)); got != "c  [] by two"+mine {
		t.Errorf("another Secret, not read yet: %s", got)
	}
	r.set("d", word{spec: v1alpha1.ClusterSpec{SecretRef: &v1alpha1.SecretRef{Name: "key"}}})
	r.secret("key", true, []byte("old"))
	r.set("e", word{spec: spec()})
	if got := brief(r.view(moment)); got != "c  [] by two; d  [] by old; e  [] by old"+mine {
		t.Errorf("two of one Secret: %s", got)
	}
	r.gone("d")
	r.gone("e")
	if r.refused("next", errors.New("forbidden")); brief(r.view(moment)) != "c  [] by two; wrong: c secret"+mine {
		t.Errorf("refused: %s", brief(r.view(moment)))
	}
}

// What is kept is what was believed, and nobody else's to read.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fed.registry")
	r := rosterOf()
	r.set("a", word{spec: spec(func(s *v1alpha1.ClusterSpec) {
		s.Region = "eu"
		s.Drain = &v1alpha1.Drain{Until: &metav1.Time{Time: moment.Add(time.Hour)}}
	})})
	r.set("b", word{spec: v1alpha1.ClusterSpec{SecretRef: &v1alpha1.SecretRef{Name: "b"}}})
	r.secret("key", true, []byte("one"))
	want := brief(r.view(moment))
	text, err := spell("x", r.view(moment).entries, nil)
	if err == nil {
		err = save(path, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, _, err := load(path, "x")
	if err != nil {
		t.Fatal(err)
	}
	again := rosterOf()
	again.restore(entries, nil, false)
	if got := brief(again.view(moment)); got != want {
		t.Errorf("read again: %s\nwant %s", got, want)
	}
	if again.set("a", word{spec: again.entries["a"].spec}) || !reflect.DeepEqual(again.entries["b"].spec, r.entries["b"].spec) {
		t.Error("what is read again isn't what was written")
	}
	for name, text := range map[string]string{"garbage": "{", "something else": "{}", "another version": `{"format":"fedns-registry","version":9}`, "another registry": `{"format":"fedns-registry","version":1,"registry":"y"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(path, "x"); err == nil || !strings.Contains(err.Error(), "set aside as") {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _, err := load(path, "x"); err != nil || entries != nil {
			t.Errorf("%s: it is still there: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
