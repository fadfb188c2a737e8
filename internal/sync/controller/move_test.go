package controller

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// TestMoveWaits is that a move which gets no further is told, with what waits, once it has been so
// for long, and that it isn't when it gets on.
func TestMoveWaits(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	k := deployment("web")
	w := workload.NewDesired(k, workload.Object{"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "1"}, "spec": map[string]any{"replicas": int64(3)}}, "prod")
	begin := time.Now()
	told := func(there int64, after time.Duration) string {
		u.podCounts.set(k, 3, []part{
			{cluster: "lyon", state: workload.Applied, wanted: 3, there: 1, ready: 0, moving: "1 of 3 so far"},
			{cluster: "paris", state: workload.Applied, wanted: 0, there: there, ready: there, moving: "3 more stay"},
		}, begin.Add(after))
		var out []string
		_, notes, _ := u.standings(w, workload.Plan{})
		for _, n := range notes {
			out = append(out, n.Reason+": "+n.Text)
		}
		return strings.Join(out, "\n")
	}
	if got := told(3, 0) + told(3, stalled-time.Second); got != "" {
		t.Errorf("so soon: %s", got)
	}
	if due := u.podCounts.overdue(begin.Add(stalled)); len(due) != 1 || due[0] != k {
		t.Errorf("%v is looked at again", due)
	}
	const want = "MoveWaits: cluster lyon: 1 of 3 so far, and nothing has changed for 2m0s\nMoveWaits: cluster paris: 3 more stay, and nothing has changed for 2m0s"
	if got := told(3, stalled); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := told(2, stalled+time.Second); strings.Contains(got, "paris") {
		t.Errorf("when one has gone: %s", got)
	}
}

// TestExpire is when a Job that has ended goes: once, after what it says.
func TestExpire(t *testing.T) {
	u := newHub(Config{Federation: "prod", Log: slog.New(slog.DiscardHandler)}, actions{}, nil, kube.Origin{})
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	job := func(name, condition string, spec map[string]any) workload.Key {
		k := workload.Key{FederatedKind: sortNamed("Job"), Namespace: "shop", Name: name}
		u.table.SetDesired(workload.NewDesired(k, workload.Object{
			"metadata": map[string]any{"name": name, "namespace": "shop", "uid": name}, "spec": spec,
			"status": map[string]any{"conditions": []any{map[string]any{"type": condition, "status": "True", "lastTransitionTime": end.Format(time.RFC3339)}}},
		}, "prod"))
		u.expiring[k] = true
		return k
	}
	kept := map[string]any{"ttlSecondsAfterFinished": int64(60)}
	done, failed := job("done", "Complete", kept), job("failed", "Failed", kept)
	job("for ever", "Complete", map[string]any{})
	job("suspended", "Suspended", kept)
	if u.expire(end.Add(59 * time.Second)); len(u.writer.queue) != 0 || len(u.expiring) != 2 {
		t.Errorf("%d go, %d are to go", len(u.writer.queue), len(u.expiring))
	}
	u.expire(end.Add(60 * time.Second))
	u.expire(end.Add(61 * time.Second))
	if !u.inFlight[objectInCluster{"", done}] || !u.inFlight[objectInCluster{"", failed}] || len(u.writer.queue) != 2 {
		t.Errorf("%d go, of %v", len(u.writer.queue), u.inFlight)
	}
}
