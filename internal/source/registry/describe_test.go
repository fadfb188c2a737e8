package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
)

// told is a status in a few words.
func told(s v1alpha1.ClusterStatus) string {
	var out []string
	for _, c := range s.Conditions {
		text := fmt.Sprintf("%s=%s(%s)", c.Type, c.Status, c.Reason)
		if c.Type == v1alpha1.Valid || c.Type == v1alpha1.Drained {
			text += c.Message
		}
		out = append(out, text)
	}
	out = append(out, "shards "+s.Shards, "region "+s.Region, fmt.Sprint("zones ", s.Zones))
	return strings.Join(out, ", ")
}

func happenings(all []event) string {
	var out []string
	for _, e := range all {
		text := e.reason + ": " + e.message
		if e.warning {
			text = "Warning " + text
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// A member's life as kubectl shows it: each step is told once.
func TestDescribe(t *testing.T) {
	up := []report.Tally{{Verdict: "up", Count: 12}, {Verdict: "down", Count: 2}}
	places := []report.Place{{Region: "eu", Zone: "eu-b"}, {Region: "eu", Zone: "eu-a"}}
	well := report.Cluster{Cluster: "paris", Listed: true, Places: places, Shards: up}
	with := func(change func(*report.Cluster)) report.Cluster {
		c := well
		change(&c)
		return c
	}
	now := moment
	var was v1alpha1.ClusterStatus
	for _, step := range []struct {
		name         string
		facts        facts
		want, events string
	}{
		{"it is new", facts{Cluster: report.Cluster{Cluster: "paris"}},
			"Valid=True(Valid), Heard=Unknown(NotListed), Drained=False(NotDrained), Offline=Unknown(NotListed), Ready=Unknown(NotListed), shards , region , zones []",
			"Joined: it is a member of the federation"},
		{"it is listed", facts{Cluster: well},
			"Valid=True(Valid), Heard=True(Heard), Drained=False(NotDrained), Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]", ""},
		{"nothing happens", facts{Cluster: well},
			"Valid=True(Valid), Heard=True(Heard), Drained=False(NotDrained), Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]", ""},
		{"it is drained", facts{Cluster: with(func(c *report.Cluster) {
			c.Order, c.Shards = `drain cluster/paris until 2030-01-31T16:00:00Z reason "kernel upgrade (spec.drain of Cluster paris)"`, []report.Tally{{Verdict: "down", Reason: "drained", Count: 14}}
		})},
			"Valid=True(Valid), Heard=True(Heard), Drained=True(Drained)until 2030-01-31T16:00:00Z: kernel upgrade, Offline=False(Ready), Ready=True(Ready,Drained), shards 0/14, region eu, zones [eu-a eu-b]",
			"Drained: until 2030-01-31T16:00:00Z: kernel upgrade"},
		{"and goes silent", facts{Cluster: with(func(c *report.Cluster) {
			c.Silent, c.Order, c.Places = true, `drain cluster/paris reason "spec.drain of Cluster paris"`, nil
		})},
			"Valid=True(Valid), Heard=False(Silent), Drained=True(Drained)until taken back, Offline=True(Offline), Ready=False(Offline,Drained), shards 12/14, region eu, zones [eu-a eu-b]",
			"Warning Offline: fedns doesn't hear from its API"},
		{"it is up again whatever else is said", facts{Cluster: with(func(c *report.Cluster) { c.Order = `up region/eu reason "lift"` })},
			"Valid=True(Valid), Heard=True(Heard), Drained=False(NotDrained), Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]",
			"Online: fedns hears from its API; Undrained: it is answered with again, as far as it is up"},
		{"its own drain doesn't count", facts{drain: true, Cluster: with(func(c *report.Cluster) { c.Order = `up region/eu reason "lift"` })},
			`Valid=True(Valid), Heard=True(Heard), Drained=False(Overruled)a later order counts: up region/eu reason "lift", Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]`, ""},
		{"its region is shut", facts{Cluster: with(func(c *report.Cluster) { c.Order = `down region/eu reason "fire (Order fire)"` })},
			"Valid=True(Valid), Heard=True(Heard), Drained=True(Drained)until taken back: fire (Order fire), Offline=False(Ready), Ready=True(Ready,Drained), shards 12/14, region eu, zones [eu-a eu-b]",
			"Drained: until taken back: fire (Order fire)"},
		{"two of its fields are wrong", facts{Cluster: well, wrong: map[string]string{"spec.zones": "bad", "secret": "gone"}},
			"Valid=False(Invalid)secret: gone; spec.zones: bad, Heard=True(Heard), Drained=False(NotDrained), Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]",
			"Warning Invalid: secret: gone; spec.zones: bad; Undrained: it is answered with again, as far as it is up"},
		{"another one is", facts{Cluster: well, wrong: map[string]string{"secret": "gone"}},
			"Valid=False(Invalid)secret: gone, Heard=True(Heard), Drained=False(NotDrained), Offline=False(Ready), Ready=True(Ready), shards 12/14, region eu, zones [eu-a eu-b]", ""},
		{"there is a fedsync, which says the rest", facts{Cluster: well, fedsync: true},
			"Valid=True(Valid), Heard=True(Heard), Drained=False(NotDrained), shards 12/14, region , zones []", ""},
	} {
		next, events := describe(was, step.facts, now)
		if got := told(next); got != step.want {
			t.Errorf("%s:\n%s\nwant\n%s", step.name, got, step.want)
		}
		if got := happenings(events); got != step.events {
			t.Errorf("%s: %q, want %q", step.name, got, step.events)
		}
		// Two servers that see the same give an event the same name.
		of := map[string]string{"Joined": v1alpha1.Valid, "Invalid": v1alpha1.Valid, "Offline": v1alpha1.Heard, "Online": v1alpha1.Heard, "Drained": v1alpha1.Drained, "Undrained": v1alpha1.Drained}
		for _, e := range events {
			var since time.Time
			if i := find(was.Conditions, of[e.reason]); i >= 0 {
				since = was.Conditions[i].LastTransitionTime.Time
			}
			if !e.since.Equal(since) {
				t.Errorf("%s: what was before %s had begun at %s, want %s", step.name, e.reason, e.since, since)
			}
		}
		for _, c := range next.Conditions {
			since := now
			if i := find(was.Conditions, c.Type); i >= 0 && was.Conditions[i].Status == c.Status {
				since = was.Conditions[i].LastTransitionTime.Time
			}
			if !c.LastTransitionTime.Time.Equal(since) {
				t.Errorf("%s: %s is so since %s, want %s", step.name, c.Type, c.LastTransitionTime, since)
			}
		}
		was, now = next, now.Add(time.Minute)
	}
}

func TestDrainedBy(t *testing.T) {
	for _, tt := range []struct {
		line    string
		drained bool
		until   string
	}{
		{"", false, ""},
		{"what?", false, ""},
		{`up cluster/paris reason "x"`, false, ""},
		{`failback region/eu reason "x"`, false, ""},
		{`drain cluster/paris reason "spec.drain of Cluster paris"`, true, "until taken back"},
		{`drain cluster/paris reason "x (spec.drain of Cluster paris)"`, true, "until taken back: x"},
		{`down cluster/paris until 2030-01-31T17:00:00+02:00 reason "x (Order o)"`, true, "until 2030-01-31T15:00:00Z: x (Order o)"},
	} {
		if drained, until := drainedBy(tt.line, "paris"); drained != tt.drained || until != tt.until {
			t.Errorf("%s: %v, %q", tt.line, drained, until)
		}
	}
}

// Numbers can wait; whatever an operator looks for can't.
func TestDiffers(t *testing.T) {
	base := v1alpha1.ClusterStatus{Shards: "1/2", Region: "eu", Zones: []string{"a"}, Conditions: []v1alpha1.Condition{
		{Type: v1alpha1.Valid, Status: metav1.ConditionTrue, Reason: "Valid"}, {Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: "Ready"},
	}}
	for _, tt := range []struct {
		name        string
		was, next   func(*v1alpha1.ClusterStatus)
		any, urgent bool
	}{
		{"nothing", nil, nil, false, false},
		{"a number", nil, func(s *v1alpha1.ClusterStatus) { s.Shards = "2/2" }, true, false},
		{"the first number", func(s *v1alpha1.ClusterStatus) { s.Shards = "" }, nil, true, true},
		{"a region", nil, func(s *v1alpha1.ClusterStatus) { s.Region = "us" }, true, false},
		{"a region that fedsync writes", nil, func(s *v1alpha1.ClusterStatus) { s.Region, s.Conditions = "us", s.Conditions[:1] }, false, false},
		{"a reason", nil, func(s *v1alpha1.ClusterStatus) { s.Conditions[1].Reason = "Ready,Drained" }, true, true},
		{"a message", nil, func(s *v1alpha1.ClusterStatus) { s.Conditions[0].Message = "x" }, true, true},
		{"a condition that is new", func(s *v1alpha1.ClusterStatus) { s.Conditions = s.Conditions[:1] }, nil, true, true},
		{"since when", nil, func(s *v1alpha1.ClusterStatus) { s.Conditions[0].LastTransitionTime = metav1.Time{Time: moment} }, false, false},
	} {
		of := func(change func(*v1alpha1.ClusterStatus)) v1alpha1.ClusterStatus {
			s := base
			s.Conditions = append([]v1alpha1.Condition(nil), base.Conditions...)
			if change != nil {
				change(&s)
			}
			return s
		}
		any, urgent := differs(of(tt.was), of(tt.next))
		if any != tt.any || any && urgent != tt.urgent {
			t.Errorf("%s: %v, %v", tt.name, any, urgent)
		}
	}
}
