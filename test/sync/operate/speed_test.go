package operate

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/pretend"
)

// figures asks for the whole measurement. Without it the same is done in small, to
// see that it works.
var figures = flag.Bool("figures", false, "measure in full and print the figures")

var (
	deployments = builtin.Deployments
	services    = builtin.Services
	configMaps  = builtin.ConfigMaps
)

// A size is that of a federation which is measured.
type size struct {
	real, pretended int // members: API servers on one etcd, and such as are played
	objects         int // half of them Deployments, half Services
	changes         int
	quiet           time.Duration
}

// TestFigures measures how long a federation takes to converge, and a change to get
// everywhere, and what fedsync takes when nothing happens.
func TestFigures(t *testing.T) {
	sizes := []size{{2, 3, 40, 10, 3 * time.Second}}
	if *figures {
		sizes = []size{
			{5, 0, 2000, 300, time.Minute},
			{5, 0, 5000, 300, time.Minute},
			{10, 40, 200, 300, time.Minute},
		}
	}
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%d members and %d pretended ones, %d objects", s.real, s.pretended, s.objects), func(t *testing.T) { measure(t, s) })
	}
}

// A subject is a member that is looked at.
type subject interface {
	count(k v1alpha1.Kind) int
	value(name string) any // of the ConfigMap of that name
}

type realMember struct {
	t       *testing.T
	cluster *cluster.Cluster
	api     *kube.API
}

func (m realMember) count(k v1alpha1.Kind) int { return count(m.t, m.cluster, k) }

func (m realMember) value(name string) any {
	o, err := m.api.Get(m.t.Context(), configMaps, "shop", name)
	if err != nil {
		return nil
	}
	data, _ := o.Object["data"].(map[string]any)
	return data["value"]
}

type pretendMember struct{ *pretend.Member }

func (m pretendMember) count(k v1alpha1.Kind) int { return m.Count(k) }

func (m pretendMember) value(name string) any {
	data, _ := m.Get(configMaps, "shop", name)["data"].(map[string]any)
	return data["value"]
}

func measure(t *testing.T, s size) {
	b := cluster.New(t)
	var names []string
	for i := range s.real {
		names = append(names, fmt.Sprint("m", i))
	}
	all := b.APIs(t, names...)
	w := newWorld(t, b, all...)
	fed := open(t, w.Fed)
	var members []subject
	for _, c := range all {
		members = append(members, realMember{t, c, open(t, c)})
	}
	var pretended []*pretend.Member
	for i := range s.pretended {
		m := pretend.New(t, fmt.Sprint("p", i))
		pretended = append(pretended, m)
		members = append(members, pretendMember{m})
		w.JoinWith(t, m.Name, m.Kubeconfig(), "")
	}
	w.Fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	each(t, s.objects/2, func(ctx context.Context, i int) error {
		name := fmt.Sprint("web", i)
		d := deployments.New("shop", name)
		labels := map[string]any{"app": name}
		d.Object["spec"] = map[string]any{
			"replicas": int64(len(members)), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
				"containers": []any{map[string]any{"name": "web", "image": "nginx:1"}}}},
		}
		s := services.New("shop", name)
		s.Object["spec"] = map[string]any{"selector": labels, "ports": []any{map[string]any{"name": "http", "port": int64(80)}}}
		if _, err := fed.Create(ctx, deployments, d, "test"); err != nil {
			return err
		}
		_, err := fed.Create(ctx, services, s, "test")
		return err
	})

	servers := append(slices.Clone(all), w.Fed)
	apisUsed, etcdUsed, called := children(t, "kube-apiserver"), children(t, "etcd"), calls(t, servers, pretended)
	begin := time.Now()
	w.Start(t)
	pid := w.Cmd.Process.Pid
	until(t, "every member has every object", func() bool {
		for _, m := range members {
			for _, k := range []v1alpha1.Kind{deployments, services} {
				if m.count(k) < s.objects/2 {
					return false
				}
			}
		}
		return true
	})
	there := time.Since(begin)
	until(t, "every record says so", func() bool {
		list, err := fed.List(t.Context(), deployments, "shop", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			if !strings.Contains(o.GetAnnotations()[v1alpha1.StatusOf], `"reason":"Applied"`) {
				return false
			}
		}
		return true
	})
	told := time.Since(begin)
	// Placements are written slowly on purpose.
	until(t, "nothing is left to be written", func() bool {
		was := calls(t, servers, pretended).written
		time.Sleep(3 * time.Second) // as long as any write is put off, and more
		return calls(t, servers, pretended).written == was
	})
	rest := time.Since(begin)
	t.Logf("there after %s, told after %s; CPU: fedsync %s, API servers %s, etcd %s", there.Round(time.Millisecond), told.Round(time.Millisecond),
		cpu(t, pid), children(t, "kube-apiserver")-apisUsed, children(t, "etcd")-etcdUsed)
	t.Logf("all is written after %s; calls of fedsync: %s", rest.Round(time.Second), calls(t, servers, pretended).since(called))

	var took []time.Duration
	for i := range s.changes {
		took = append(took, change(t, fed, members, i))
	}
	slices.Sort(took)
	t.Logf("a change is in every member after %s (median), %s (p99), %s (longest), of %d", took[len(took)/2], took[len(took)*99/100], took[len(took)-1], s.changes)

	versions := func() (out []string) {
		for _, c := range servers {
			for _, k := range []string{"deployments", "services", "configmaps", "namespaces"} {
				out = append(out, c.Name+" "+k+" "+strings.TrimSpace(kubectl(t, c, "get", k, "-A", "-o", `jsonpath={range .items[*]}{.metadata.name}{"="}{.metadata.resourceVersion}{" "}{end}`)))
			}
		}
		return out
	}
	until(t, "the last is told", func() bool {
		was := calls(t, servers, pretended).written
		time.Sleep(3 * time.Second)
		return calls(t, servers, pretended).written == was
	})
	was := versions()
	used, from := cpu(t, pid), time.Now()
	called = calls(t, servers, pretended)
	time.Sleep(s.quiet)
	spent := cpu(t, pid) - used
	share := 100 * spent.Seconds() / time.Since(from).Seconds()
	idle := calls(t, servers, pretended).since(called)
	if now := versions(); !slices.Equal(was, now) {
		t.Error("objects were written while nothing happened")
	}
	t.Logf("nothing happens for %s: %.2f%% of a core; %d MB resident, %d MB at most; calls: %s", s.quiet, share, rss(t, pid, "VmRSS"), rss(t, pid, "VmHWM"), idle)
}

// Called is how many calls fedsync has made: what is written, and what is read, watches among them.
type called struct{ written, read int64 }

func (c called) since(was called) called { return called{c.written - was.written, c.read - was.read} }

func (c called) String() string { return fmt.Sprintf("%d to write, %d to read", c.written, c.read) }

// calls counts what API servers have been asked by now, but for what they ask themselves
// and what these tests do.
func calls(t *testing.T, servers []*cluster.Cluster, pretended []*pretend.Member) (out called) {
	t.Helper()
	for _, c := range servers {
		raw, err := c.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, "apiserver_request_total{") {
				continue
			}
			n, err := strconv.ParseFloat(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:len(line)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.Contains(line, `verb="APPLY"`), strings.Contains(line, `verb="PATCH"`), strings.Contains(line, `verb="DELETE"`):
				out.written += int64(n)
			case strings.Contains(line, `verb="GET"`), strings.Contains(line, `verb="LIST"`), strings.Contains(line, `verb="WATCH"`):
				out.read += int64(n)
			}
		}
	}
	for _, m := range pretended {
		out.written += m.Writes.Load()
		out.read += m.Reads.Load()
	}
	return out
}

// until waits for what takes a while, and looks seldom: whoever looks takes of what
// is measured.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(250 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("not within 10m: %s", what)
		}
	}
}

// each does something n times, several at once.
func each(t *testing.T, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				if err := f(t.Context(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// count is how many objects of a kind a cluster has in the namespace. It asks for
// one of them and hears how many are left: to list them all again and again would be
// a good part of what is measured.
func count(t *testing.T, c *cluster.Cluster, k v1alpha1.Kind) int {
	t.Helper()
	path := "/api/v1"
	if k.Group != "" {
		path = "/apis/" + k.APIVersion()
	}
	raw, err := c.Client.Discovery().RESTClient().Get().AbsPath(path+"/namespaces/shop/"+k.Resource).Param("limit", "1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Metadata struct{ RemainingItemCount int }
		Items    []any
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Items) + list.Metadata.RemainingItemCount
}

// change changes an object of the federation, and says how long it took to get to
// every member.
func change(t *testing.T, fed *kube.API, members []subject, i int) time.Duration {
	t.Helper()
	name, value := "settings", fmt.Sprint("v", i)
	o := configMaps.New("shop", name)
	o.Object["data"] = map[string]any{"value": value}
	if _, _, err := fed.Apply(t.Context(), configMaps, o, kube.How{Manager: "test", Force: true}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, m := range members {
		for m.value(name) != value {
			if time.Since(begin) > within {
				t.Fatalf("change %d isn't everywhere after %s", i, within)
			}
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
	return time.Since(begin)
}

// cpu is what a process has used of CPU time.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Skip("no /proc to read the CPU time from")
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11]) // digits, as the kernel writes them
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}

// children is what those of our processes have used that run a program.
func children(t *testing.T, program string) (sum time.Duration) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		head, rest, _ := strings.Cut(string(raw), ") ")
		if _, name, _ := strings.Cut(head, "("); !strings.HasPrefix(program, name) || name == "" { // the kernel keeps 15 letters
			continue
		}
		if f := strings.Fields(rest); f[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // digits, as the pattern has it
			sum += cpu(t, pid)
		}
	}
	return sum
}

// rss is a size of a process in MB, by the name it has in /proc.
func rss(t *testing.T, pid int, what string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), what+":")
	f := strings.Fields(rest)
	kb, _ := strconv.Atoi(f[0])
	return kb / 1024
}
