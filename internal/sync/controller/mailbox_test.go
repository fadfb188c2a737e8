package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// TestBeats is when a cluster that pulls is taken to be there: while its Lease is renewed, whatever its clock says.
// A Lease that is there may be of one that has ended long ago.
func TestBeats(t *testing.T) {
	lease := func(at string) *kube.Object {
		o := builtin.Leases.New(v1alpha1.PartOf("tokyo"), v1alpha1.AgentName)
		if at != "" {
			o.Object["spec"] = map[string]any{"renewTime": at, "leaseDurationSeconds": int64(15)}
		}
		return o
	}
	const one, two, three = "2030-01-31T15:00:00.000000Z", "2030-01-31T15:00:02.500000Z", "2001-01-01T00:00:00.000000Z"
	const unheard, silent = "its fedsync hasn't been heard of yet", "its fedsync has said nothing for 16s"
	for _, tt := range []struct {
		name  string
		beats []string // a second apart
		then  time.Duration
		want  string // why it isn't there; "": it is
	}{
		{"nothing yet", nil, time.Second, unheard},
		{"nothing", nil, agentLease + time.Second, silent},
		{"made, and not held", []string{""}, time.Second, unheard},
		{"held once", []string{one}, time.Second, unheard},
		{"held once, and seen again", []string{one, one}, time.Second, unheard},
		{"held once, long ago", []string{one}, agentLease, silent},
		{"renewed", []string{one, two}, time.Second, ""},
		{"renewed by a clock that was set back", []string{one, three}, time.Second, ""},
		{"taken for the first time", []string{"", one, two}, time.Second, ""},
		{"renewed, and no more", []string{one, two}, agentLease, silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &mailbox{agent: &v1alpha1.Agent{}, at: time.Now()}
				for _, at := range tt.beats {
					b.beats(lease(at))
					time.Sleep(time.Second)
				}
				time.Sleep(tt.then)
				_, err := b.stands(time.Now())
				if got := ""; err != nil {
					if got = err.Error(); got != tt.want {
						t.Errorf("%q", got)
					}
				} else if tt.want != "" {
					t.Error("it is there")
				}
			})
		})
	}
}
