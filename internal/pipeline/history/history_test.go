package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/snapshot"
)

var begin = time.Unix(1_800_000_000, 0)

func events(n int) (out []report.Event) {
	for i := range n {
		out = append(out, report.Event{Federation: "fed", Kind: report.EventNotice, To: fmt.Sprint("x", i)})
	}
	return out
}

// What is remembered is bounded by number, by time, and by what it weighs.
func TestBounds(t *testing.T) {
	l, me := New(), new(int)
	l.Open(me)
	l.Add(me, begin, &snapshot.Snapshot{}, 0, false, events(Most+5))
	if got, oldest, newest := l.Events(0); len(got) != Most || oldest != 6 || newest != Most+5 {
		t.Errorf("%d events, %d to %d", len(got), oldest, newest)
	}
	l.Add(me, begin.Add(Span+time.Second), &snapshot.Snapshot{}, 0, false, events(1))
	if got, oldest, newest := l.Events(0); len(got) != 1 || oldest != newest {
		t.Errorf("a day later %d events, %d to %d", len(got), oldest, newest)
	}
	if l.At(begin) == nil || l.At(begin.Add(-time.Second)) != nil { // the last before the day is what was answered when it began
		t.Error("of the day nothing is known, or of what was before")
	}
	at := begin.Add(Span)
	for i := range 10 {
		l.Add(me, at.Add(time.Duration(i)*time.Minute), &snapshot.Snapshot{}, heaviest/8, false, nil) // which nobody has asked for, and the next one shares
		l.Add(me, at.Add(time.Duration(i)*time.Minute), &snapshot.Snapshot{}, heaviest/8, true, nil)
	}
	if l.weight > heaviest || len(l.frames) < 3 || l.At(at.Add(9*time.Minute)) == nil || l.At(at) != nil {
		t.Errorf("%d frames weigh %d", len(l.frames), l.weight)
	}
}

// Whatever a member has change, and however little of it is a change of addresses, what is remembered
// of before takes no more memory than its bound.
func TestHistoryIsBoundedInBytes(t *testing.T) {
	const services, touched = 3000, 1000
	l, me := New(), new(int)
	l.Open(me)
	f, now := snapshot.NewFederation("fed"), (*snapshot.Snapshot)(nil)
	turn := func(n int, changed bool) {
		e := f.Edit()
		for i := range n {
			e.Set((&snapshot.Service{Key: snapshot.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}, TTL: 60, Shards: make([]snapshot.Shard, 4)}).Freeze())
		}
		f = e.Done()
		now = now.Next([]*snapshot.Federation{f})
		l.Add(me, begin, now, now.Own(), changed, nil)
	}
	turn(services, true)
	before := heap()
	for i := range 150 {
		turn(touched, i%2 == 0)
	}
	if took := heap() - before; took > heaviest*5/4 {
		t.Errorf("%d frames take %d MB, and may take %d", len(l.frames), took>>20, heaviest>>20)
	}
	if len(l.frames) < 20 {
		t.Errorf("only %d frames are remembered", len(l.frames))
	}
	runtime.KeepAlive(now)
}

// heap is what lives on it.
func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// Of two owners the last writes, and the one before when that has ended.
func TestOwners(t *testing.T) {
	l, one, two := New(), new(int), new(int)
	l.Open(one)
	l.Open(two)
	add := func(who any) { l.Add(who, begin, &snapshot.Snapshot{}, 0, false, events(1)) }
	add(one)
	add(two)
	l.Close(two)
	add(one)
	if got, _, newest := l.Events(0); len(got) != 2 || newest != 2 {
		t.Errorf("%+v", got)
	}
}

// A file is read past what is damaged and what is too old; that it can't be written is said once, and what
// waits is written when it can be again.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	var said []string
	tell := func(err error) { said = append(said, fmt.Sprint(err)) }
	write := func(l *Log, at time.Time, n int) {
		me := new(int)
		l.Open(me)
		l.Add(me, at, &snapshot.Snapshot{}, 0, false, events(n))
		l.Close(me)
	}
	l := New()
	l.Keep(dir, "fed", begin, tell)
	write(l, begin.Add(-2*Span), 1)
	l = New()
	l.Keep(dir, "fed", begin, tell)
	write(l, begin, 2)
	file := filepath.Join(dir, "fed.events")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{\"id\":\n\x00\x00\n{}\n{\"id\":99,\"at\":99999999999,\"to\":\"of the future\"}\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = New()
	l.Keep(dir, "fed", begin.Add(time.Minute), tell)
	got, _, newest := l.Events(0)
	if len(got) != 2 || got[1].To != "x1" || newest != got[1].ID || len(said) != 1 || !strings.Contains(said[0], "3 of 7 lines") {
		t.Errorf("%+v, %q", got, said)
	}

	// A folder that can't be written to.
	said = nil
	me := new(int)
	l = New()
	l.Keep(filepath.Join(dir, "none"), "fed", begin, tell)
	l.Open(me)
	l.Add(me, begin, &snapshot.Snapshot{}, 0, false, events(3))
	of := l.files["fed"]
	of.write()
	of.write()
	if len(said) != 1 || !strings.Contains(said[0], "none") {
		t.Errorf("%q", said)
	}
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.Close(me)
	if got, _, err := read(filepath.Join(dir, "none", "fed.events"), "fed", begin); err != nil || len(got) != 3 || len(said) != 2 || said[1] != "<nil>" {
		t.Errorf("%+v, %v, %q", got, err, said)
	}
	if _, _, err := read(filepath.Join(dir, "no"), "fed", begin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Whether a cluster is silent is what was told of it last.
func TestSilent(t *testing.T) {
	l := New()
	l.Open(l)
	for _, tt := range []struct {
		cluster, to string
		want        bool
	}{{"eu", "silent", true}, {"us", "silent", true}, {"eu", "heard", false}, {"eu", "listed", false}, {"eu", "silent", true}} {
		l.Add(l, time.Now(), &snapshot.Snapshot{}, 0, false, []report.Event{{Kind: report.EventCluster, Federation: "fed", Cluster: tt.cluster, To: tt.to}, {Kind: report.EventShard, Federation: "fed", Cluster: tt.cluster, To: "up"}})
		if got := l.Silent("fed", tt.cluster); got != tt.want {
			t.Errorf("%s after %s: %v", tt.cluster, tt.to, got)
		}
	}
	if l.Silent("other", "eu") || l.Silent("fed", "ap") {
		t.Error("others are silent")
	}
}
