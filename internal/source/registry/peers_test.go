package registry

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
)

func TestHeldBy(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	server := func(name string, age, silent time.Duration, held ...string) v1alpha1.Server {
		s := v1alpha1.Server{Name: name, Made: now.Add(-age), Renewed: now.Add(-silent), Duration: term, Published: &v1alpha1.Published{Holders: map[string]string{}}}
		for _, h := range held {
			host, namespace, _ := strings.Cut(h, "=")
			s.Published.Holders[host] = namespace
		}
		return s
	}
	older := v1alpha1.Server{Name: "old", Made: now.Add(-time.Hour), Renewed: now, Duration: term} // of a version that says nothing
	for _, test := range []struct {
		name string
		all  []v1alpha1.Server
		want string
	}{
		{"nobody", nil, ""},
		{"an older version", []v1alpha1.Server{older}, ""},
		{"one", []v1alpha1.Server{server("a", time.Hour, 0, "x=shop")}, "x=shop"},
		{"one that is gone", []v1alpha1.Server{server("a", time.Hour, time.Minute, "x=shop")}, ""},
		{"two that disagree", []v1alpha1.Server{server("a", time.Minute, 0, "x=evil", "y=shop"), server("b", time.Hour, 0, "x=shop", "z=web")}, "x=shop y=shop z=web"},
		{"the older is gone", []v1alpha1.Server{server("a", time.Minute, 0, "x=evil"), server("b", time.Hour, time.Minute, "x=shop"), older}, "x=evil"},
		{"of one age", []v1alpha1.Server{server("b", time.Hour, 0, "x=evil"), server("a", time.Hour, 0, "x=shop")}, "x=shop"},
	} {
		want := map[string]string{}
		for h := range strings.FieldsSeq(test.want) {
			host, namespace, _ := strings.Cut(h, "=")
			want[host] = namespace
		}
		if got := heldBy(test.all, now); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", test.name, got, want)
		}
	}
}

// A Lease has room for so many, however many a tenant claims.
func TestShared(t *testing.T) {
	all := map[string]string{}
	for i := range 3000 {
		all[fmt.Sprintf("%04d.%s.example.com", i, strings.Repeat("x", 60))] = "shop"
	}
	some, size := shared(all), 0
	for host, namespace := range some {
		size += len(host) + len(namespace)
	}
	if len(some) < 1000 || len(some) == len(all) || size > mostShared || some["0000."+strings.Repeat("x", 60)+".example.com"] != "shop" {
		t.Errorf("%d hosts, %d bytes", len(some), size)
	}
}
