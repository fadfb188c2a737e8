package controller

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedns/fedns/internal/sync/workload"
)

var sorts0 = workload.Kinds()

func step(sort int, name string, verb workload.Verb) workload.Step {
	return workload.Step{Cluster: "paris", Key: workload.Key{Sort: sorts0[sort], Name: name}, Verb: verb}
}

func TestQueue(t *testing.T) {
	q := newQueue()
	for _, s := range []workload.Step{step(5, "deployment", workload.Create), step(1, "b", workload.Create), step(0, "namespace", workload.Create), step(1, "a", workload.Create), step(1, "dropped", workload.Create)} {
		q.push(s)
	}
	if !q.replace(step(1, "a", workload.Update)) || q.replace(step(1, "none", workload.Update)) {
		t.Error("replace doesn't know what waits")
	}
	if !q.drop(step(1, "dropped", "").Key) || q.drop(step(1, "dropped", "").Key) {
		t.Error("drop doesn't know what waits")
	}
	var got []string
	for range 4 {
		s, _ := q.pop()
		got = append(got, string(s.Verb)+" "+s.Name)
	}
	if want := []string{"create namespace", "create b", "update a", "create deployment"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if q.drop(step(1, "a", "").Key) {
		t.Error("one that is being done was dropped")
	}
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		ctx, cancel := context.WithCancel(t.Context())
		defer q.closeWith(ctx)()
		ended := false
		go func() { _, ok := q.pop(); ended = !ok }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !ended {
			t.Error("who waits isn't told of the end")
		}
	})
}

// TestBackoff is that what fails is tried more and more seldom, and never given up.
func TestBackoff(t *testing.T) {
	u := &hub{tries: map[flight]*try{}}
	f := flight{cluster: "paris"}
	var last time.Duration
	for range 30 {
		tr, _ := u.failed(f, context.DeadlineExceeded, longest, "x")
		wait := time.Until(tr.until)
		if wait > longest || wait < min(last, longest-time.Second) {
			t.Fatalf("after %v it waits %v", last, wait)
		}
		last = wait
	}
	if _, news := u.failed(f, context.DeadlineExceeded, longest, "x"); news {
		t.Error("the same error is news")
	}
	if tr, news := u.failed(f, context.DeadlineExceeded, longest, "another step"); !news || tr.count != 1 {
		t.Error("another step waits for the last one")
	}
}

func TestContest(t *testing.T) {
	u := &hub{contests: map[flight]*contest{}, table: workload.NewTable("prod")}
	s := step(1, "a", workload.Update)
	now := time.Now()
	if u.contested(s, now) {
		t.Error("a change of the federated object is no contest")
	}
	s.Drift = true
	done := 0
	for i := range 600 { // a minute of somebody who writes ten times a second
		if !u.contested(s, now.Add(time.Duration(i)*100*time.Millisecond)) {
			done++
		}
		u.calm(now.Add(time.Duration(i) * 100 * time.Millisecond))
	}
	if done < patient || done > 2*patient+3 {
		t.Errorf("it was put right %d times within a minute", done)
	}
	u.calm(now.Add(2 * peace))
	if len(u.contests) != 0 {
		t.Error("it is never forgotten")
	}
}
