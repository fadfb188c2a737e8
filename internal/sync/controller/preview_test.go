package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// TestForesee is how long a preview waits for clusters: until each has said what it has, or can't be reached.
// One that is silent has until the deadline, since it may only be slow; then it is named.
func TestForesee(t *testing.T) {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	silent := fmt.Errorf("get: %w", context.DeadlineExceeded)
	times := func(n int, err error) (out []error) { return slices.Repeat([]error{err}, n) }
	for _, tt := range []struct {
		name  string
		beats []error
		lists bool
		ready bool
		why   string // among what is unknown; "": it is known
	}{
		{"at once", times(1, nil), true, true, ""},
		{"not asked yet", nil, false, false, "it didn't answer in time"},
		{"not listed yet", times(1, nil), false, false, "it didn't answer in time"},
		{"listed, and not known to be in reach", nil, true, false, "it didn't answer in time"},
		{"refused once", times(1, refused), false, false, "connection refused"},
		{"refused again and again", times(misses, refused), false, true, "connection refused"},
		{"but for one kind", times(1, nil), true, false, "it didn't list in time what it has of Deployment"},
		{"silent for long", times(5*misses, silent), false, false, "deadline exceeded"},
		{"silent, and then refused", append(times(misses, silent), refused), false, true, "connection refused"},
		{"refused, and then silent: it starts", append(times(misses, refused), silent), false, false, "deadline exceeded"},
		{"not ready, and listed", times(misses, apierrors.NewServiceUnavailable("no")), true, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
			u.clusters["paris"] = &v1alpha1.Cluster{}
			c := newCluster(u, "paris", nil)
			u.members["paris"] = c
			for _, err := range tt.beats {
				c.felt(err, findings{version: "v1"})
			}
			for _, s := range sorts0 {
				c.listed[s] = tt.lists && (s.Kind != builtin.Deployments || tt.name != "but for one kind")
			}
			ready, p := u.foresee(false)
			if got := strings.Join(p.Unknown, "; "); ready != tt.ready || (got == "") != (tt.why == "") || !strings.Contains(got, tt.why) {
				t.Errorf("ready %v, unknown %q", ready, got)
			}
			if _, p := u.foresee(true); (len(p.Unknown) == 0) != (tt.why == "") {
				t.Errorf("in the end, unknown %q", p.Unknown)
			}
		})
	}
}

// TestBegins is that a run waits for a cluster as a preview does, before it decides what is split: for one that
// can't be reached not at all, and for a silent one for a while, when it begins to be followed.
func TestBegins(t *testing.T) {
	refused, silent := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), fmt.Errorf("get: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		name   string
		beats  []error
		lists  bool
		after  time.Duration
		begins bool
	}{
		{"nothing yet", nil, false, time.Second, true},
		{"heard and listed, and the table isn't told", []error{nil}, true, time.Second, true},
		{"heard, and not listed", []error{nil}, false, seekFor - 1, true},
		{"heard, and not listed for long", []error{nil}, false, seekFor, false},
		{"heard and listed", []error{nil}, true, time.Second, false},
		{"refused", slices.Repeat([]error{refused}, misses), false, time.Second, false},
		{"silent", slices.Repeat([]error{silent}, 2*misses), false, seekFor - 1, true},
		{"silent for long", slices.Repeat([]error{silent}, 2*misses), false, seekFor, false},
	} {
		u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, sorts0, kube.Origin{})
		c := newCluster(u, "paris", nil)
		for _, err := range tt.beats {
			c.felt(err, findings{version: "v1"})
		}
		c.listed[sorts0[0]] = tt.lists
		u.table.SetMembers([]*workload.Member{{Name: "paris", Reachable: c.reachable() && !strings.Contains(tt.name, "isn't told")}})
		if got := c.begins(sorts0[0], c.began.Add(tt.after)); got != tt.begins {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
