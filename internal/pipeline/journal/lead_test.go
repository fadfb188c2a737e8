package journal

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/snapshot"
)

// What a failover policy has come to is read back, the last word of each service.
func TestLeads(t *testing.T) {
	led := func(name, policy string, active ...string) Led {
		l := Led{Key: snapshot.Key{Namespace: "shop", Name: name}}
		if policy == "" {
			return l
		}
		var err error
		if l.Policy, err = snapshot.ParsePolicy(strings.Fields(policy)); err != nil {
			t.Fatal(err)
		}
		for f := range l.Places {
			l.Places[f] = Place{Since: make([]time.Time, len(l.Policy.Regions))}
			if f < len(active) {
				l.Places[f].Active, l.Places[f].Since[0] = active[f], at
				l.Places[f].Done = []string{`failback region/a reason "x"`}
			}
		}
		return l
	}
	a, b := led("web", "failover a b failback manual", "b", "a"), led("web", "failover a b failback delayed 1m", "a")
	other, gone := led("api", "failover c failback manual", "c"), led("api", "")
	dir := t.TempDir()
	write(t, dir, append(everything()[:1], Record{At: at, Leads: []Led{a}}), []Record{{At: at, Leads: []Led{b, other}}})
	got, err := Load(dir, "fed")
	if err != nil || !reflect.DeepEqual(got.Leads, map[snapshot.Key]Led{b.Key: b, other.Key: other}) {
		t.Errorf("%+v, error %v", got.Leads, err)
	}
	write(t, dir, append(everything()[:1], Record{At: at, Leads: []Led{a}}), []Record{{At: at, Leads: []Led{b, other}}, {At: at, Leads: []Led{gone}}})
	if got, err = Load(dir, "fed"); err != nil || !reflect.DeepEqual(got.Leads, map[snapshot.Key]Led{b.Key: b}) {
		t.Errorf("%+v, error %v", got.Leads, err)
	}

	// What makes no sense is damage, and costs itself.
	for _, wrong := range []ledLine{{Key: a.Key, Policy: "failover"}, {Key: a.Key, Policy: "failover a b", Places: [snapshot.Families]Place{{Active: "a"}}}} {
		write(t, dir, everything()[:1], []Record{{At: at, Leads: []Led{b}}})
		f, err := os.OpenFile(filepath.Join(dir, "fed.state"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(must(seal(line{Leads: []ledLine{wrong}})))
		f.Close()
		if got, err := Load(dir, "fed"); err == nil || !strings.Contains(err.Error(), "policy") || !reflect.DeepEqual(got.Leads, map[snapshot.Key]Led{b.Key: b}) {
			t.Errorf("%+v: %+v, error %v", wrong, got.Leads, err)
		}
	}
}
