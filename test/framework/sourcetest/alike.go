package sourcetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
)

// A Source reports what a cluster has, until its context ends.
type Source = func(context.Context, func(...shard.Change))

// Alike does what the table says to an API, by apply, and to a folder of manifests, and
// looks at what sources make of both: as they meet it, and as it becomes. The sources choose
// by the label fedns.io/export=true.
func Alike(t *testing.T, apply func(Deed), folder func(dir string) Source, api func() Source) {
	dir := t.TempDir()
	step := func(n int) {
		t.Helper()
		for i, row := range rows {
			if n >= len(row.steps) {
				continue
			}
			for _, d := range row.steps[n] {
				d = d.within(prefix(i))
				apply(d)
				write(t, dir, d)
			}
		}
	}
	check := func(n int, how string, both map[string]*view) {
		t.Helper()
		for i, row := range rows {
			want := row.want[min(n, len(row.want)-1)]
			for name, v := range both {
				end := time.Now().Add(patience)
				for got := v.within(prefix(i)); got != want; got = v.within(prefix(i)) {
					if time.Now().After(end) {
						t.Fatalf("%s, step %d, %s, %s: %q, not %q", row.name, n, how, name, got, want)
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
		if folder, api := both["folder"].String(), both["API"].String(); folder != api {
			t.Fatalf("step %d, %s: a folder gives\n %s\nand an API\n %s", n, how, folder, api)
		}
	}
	steps := 0
	for _, row := range rows {
		steps = max(steps, len(row.steps))
	}
	meet := func() map[string]*view {
		return map[string]*view{"folder": follow(t, folder(dir)), "API": follow(t, api())}
	}
	step(0)
	all := meet()
	check(0, "as it is met", all)
	for n := 1; n < steps; n++ {
		step(n)
		check(n, "as it becomes", all)
		check(n, "as it is met", meet())
	}
}

// patience is how long a busy machine may take: it costs time only where a test fails.
const patience = time.Minute

// prefix is what the names of a row begin with.
func prefix(row int) string { return fmt.Sprintf("r%02d-", row) }

// write does a deed in a folder.
func write(t *testing.T, dir string, d Deed) {
	t.Helper()
	file := filepath.Join(dir, strings.ReplaceAll(d.Resource+" "+d.Name, "/", " ")+".json")
	if d.Gone() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := json.Marshal(d.Object(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// A view is which Services and slices a source has told of, and what of them.
type view struct {
	mu      sync.Mutex // guards the rest
	objects map[string]string
}

// follow runs a source for the time of a test.
func follow(t *testing.T, s Source) *view {
	v := &view{objects: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s(ctx, v.report) }()
	t.Cleanup(func() { cancel(); <-done })
	return v
}

func (v *view) report(changes ...shard.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	service := func(how string, s *shard.Service) {
		v.objects[how+" "+s.Key.Namespace+"/"+s.Key.Name] = fmt.Sprint(s.Addrs, s.Routing().Absent)
	}
	slice := func(s *shard.Slice) {
		v.objects["slice "+s.Key.Namespace+"/"+s.Key.Name] = fmt.Sprint(s.Service, s.Endpoints)
	}
	gone := func(how string, k snapshot.Key) { delete(v.objects, how+" "+k.Namespace+"/"+k.Name) }
	none := func(how string) {
		for k := range v.objects {
			if strings.HasPrefix(k, how+" ") {
				delete(v.objects, k)
			}
		}
	}
	services := func(how string, all []*shard.Service) {
		none(how)
		for _, s := range all {
			service(how, s)
		}
	}
	for _, c := range changes {
		switch c := c.(type) {
		case shard.ServiceSet:
			service(c.Service.Key.Kind.String(), c.Service)
		case shard.ServiceGone:
			gone(c.Key.Kind.String(), c.Key)
		case shard.ServiceList:
			services(c.Kind.String(), c.Services)
		case shard.StandbySet:
			service("standby", c.Service)
		case shard.StandbyGone:
			gone("standby", c.Key)
		case shard.StandbyList:
			services("standby", c.Services)
		case shard.SliceSet:
			slice(c.Slice)
		case shard.SliceGone:
			delete(v.objects, "slice "+c.Key.Namespace+"/"+c.Key.Name)
		case shard.SliceList:
			none("slice")
			for _, s := range c.Slices {
				slice(s)
			}
		}
	}
}

// String is all that is known, sorted.
func (v *view) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for k, o := range v.objects {
		out = append(out, k+" "+o)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// within gives the names of what is known of a row, sorted.
func (v *view) within(row string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for k := range v.objects {
		_, key, _ := strings.Cut(k, " ")
		in, name, _ := strings.Cut(key, "/")
		if name, ok := strings.CutPrefix(name, row); ok {
			if in != Home {
				name = in + "/" + name
			}
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
