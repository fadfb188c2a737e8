package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/fedns/fedns/internal/shard"
)

func TestMain(m *testing.M) {
	SilenceClientGo()
	// What is left out keeps errors of the whole process a millisecond apart, and would
	// compare the clock of one test with that of another.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1] //nolint:reassign // it is meant to be
	goleak.VerifyTestMain(m)
}

// A journal is a log that can be asked.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) logger() *slog.Logger { return slog.New(j) }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, r.Level.String()+" "+r.Message)
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// has counts the lines with all of the words.
func (j *journal) has(words ...string) (n int) {
	for _, l := range j.all() {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
			n++
		}
	}
	return n
}

// A view is what a table would make of the changes of one cluster, as text.
type view struct {
	mu      sync.Mutex // guards the rest
	objects map[string]string
	lists   map[string]int
	said    []string        // what came beside objects: "list svc", "silent", "fresh"
	forgone int             // lists of the Gateway API
	look    func()          // is called after each report, with mu held
	silence []time.Duration // of each silence, at its report
}

func (v *view) report(changes ...shard.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.objects == nil {
		v.objects, v.lists = map[string]string{}, map[string]int{}
	}
	replace := func(kind string, put func()) {
		v.lists[kind]++
		v.said = append(v.said, "list "+kind)
		for k := range v.objects {
			if strings.HasPrefix(k, kind+" ") {
				delete(v.objects, k)
			}
		}
		put()
	}
	setService := func(s *shard.Service) {
		v.objects[s.Key.Kind.String()+" "+s.Key.Namespace+"/"+s.Key.Name] = fmt.Sprint(s.Addrs)
	}
	setSlice := func(s *shard.Slice) {
		v.objects["slice "+s.Key.Namespace+"/"+s.Key.Name] = strings.NewReplacer(" invalid IP", "", " }", "}").Replace(fmt.Sprint(s.Service, s.Endpoints)) // of most, no pod is kept
	}
	setFront := func(f *shard.Frontend) {
		v.objects[f.Key.String()] = fmt.Sprint(f.Object.Addrs, f.Hostnames)
	}
	setNode := func(n shard.Node) { v.objects["node "+n.Name] = n.Region + "/" + n.Zone }
	for _, c := range changes {
		switch c := c.(type) {
		case shard.ServiceSet:
			setService(c.Service)
		case shard.ServiceGone:
			delete(v.objects, c.Key.Kind.String()+" "+c.Key.Namespace+"/"+c.Key.Name)
		case shard.ServiceList:
			replace(c.Kind.String(), func() {
				for _, s := range c.Services {
					setService(s)
				}
			})
		case shard.SliceSet:
			setSlice(c.Slice)
		case shard.SliceGone:
			delete(v.objects, "slice "+c.Key.Namespace+"/"+c.Key.Name)
		case shard.SliceList:
			replace("slice", func() {
				for _, s := range c.Slices {
					setSlice(s)
				}
			})
		case shard.FrontendSet:
			setFront(c.Frontend)
		case shard.FrontendGone:
			delete(v.objects, string(c.Key.Kind)+" "+c.Key.Namespace+"/"+c.Key.Name)
		case shard.FrontendList:
			was := v.said
			replace(string(c.Kind), func() {
				for _, f := range c.Frontends {
					setFront(f)
				}
			})
			if len(c.Frontends) == 0 { // nearly every cluster says so
				v.said = was
				delete(v.lists, string(c.Kind))
			}
		case shard.StandbySet:
			v.objects["standby "+c.Service.Key.Namespace+"/"+c.Service.Key.Name] = inFront(c.Service)
		case shard.StandbyGone:
			delete(v.objects, "standby "+c.Key.Namespace+"/"+c.Key.Name)
		case shard.StandbyList:
			was := v.said
			replace("standby", func() {
				for _, o := range c.Services {
					v.objects["standby "+o.Key.Namespace+"/"+o.Key.Name] = inFront(o)
				}
			})
			if len(c.Services) == 0 {
				v.said = was
				delete(v.lists, "standby")
			}
		case shard.ClassSet:
			v.objects["class "+string(c.Class.Key.Kind)+" "+c.Class.Key.Name] = fmt.Sprint(c.Class.Front, c.Class.Default)
		case shard.ClassGone:
			delete(v.objects, "class "+string(c.Key.Kind)+" "+c.Key.Name)
		case shard.ClassList:
			was, kind := v.said, "class "+string(c.Kind)
			replace(kind, func() {
				for _, k := range c.Classes {
					v.objects[kind+" "+k.Key.Name] = fmt.Sprint(k.Front, k.Default)
				}
			})
			if len(c.Classes) == 0 {
				v.said = was
				delete(v.lists, kind)
			}
		case shard.ListUnavailable:
			v.forgone++
		case shard.Awaited:
		case shard.NodeSet:
			setNode(c.Node)
		case shard.NodeGone:
			delete(v.objects, "node "+c.Name)
		case shard.NodeList:
			replace("node", func() {
				for _, n := range c.Nodes {
					setNode(n)
				}
			})
		case shard.SourceNotice:
			v.said = append(v.said, string(c.Kind)+" "+c.Text)
		case shard.Shadowed:
			v.objects["shadow"] = fmt.Sprint(c.Is)
		case shard.Silent:
			v.said, v.silence = append(v.said, "silent"), append(v.silence, c.For)
		case shard.Fresh:
			v.said = append(v.said, "fresh")
		default:
			panic(fmt.Sprintf("a change that no table knows: %T", c))
		}
	}
	if v.look != nil {
		v.look()
	}
}

// String lists what is there, sorted: "svc shop/web [192.0.2.1]; node n1 us/us-a".
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

func (v *view) listed() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := map[string]int{}
	for k, n := range v.lists {
		out[k] = n
	}
	return out
}

// says counts what has been said beside objects.
func (v *view) says(what string) (n int) {
	for _, s := range v.story() {
		if s == what {
			n++
		}
	}
	return n
}

// story is what has been said beside objects, in order; lists that follow each
// other are sorted, since no order is promised among them.
func (v *view) story() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := slices.Clone(v.said)
	for i := 0; i < len(out); i++ {
		n := i
		for n < len(out) && strings.HasPrefix(out[n], "list ") {
			n++
		}
		slices.Sort(out[i:n])
		i = n
	}
	return out
}

// patience is how long a busy machine may take for what a quiet one does in
// milliseconds: it costs time only where a test fails.
const patience = time.Minute

// step is how often a test looks whether what it waits for is there.
const step = 20 * time.Millisecond

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(step) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (v *view) becomes(t testing.TB, want string) {
	t.Helper()
	for end := time.Now().Add(patience); v.String() != want; time.Sleep(step) {
		if time.Now().After(end) {
			t.Fatalf("after %v the view is\n %s\nnot\n %s", patience, v, want)
		}
	}
}

// during runs a source for the time of a test.
func during(t testing.TB, run func(context.Context, func(...shard.Change))) *view {
	v := &view{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); run(ctx, v.report) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("Run doesn't return when its context has ended")
		}
	})
	return v
}

// inFront is what is known of a Service that isn't exported.
func inFront(o *shard.Service) string {
	if o.Routing().Absent {
		return "absent"
	}
	return fmt.Sprint(o.Addrs, o.Extras().Hosts)
}
