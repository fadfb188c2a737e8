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
)

// figures asks for the whole measurement. Without it the same is done in small, to
// see that it works.
var figures = flag.Bool("figures", false, "measure in full and print the figures")

var (
	deployments = builtin.Deployments
	services    = builtin.Services
	configMaps  = builtin.ConfigMaps
)

// TestFigures measures how long a federation takes to converge, and a change to get
// everywhere, and what fedsync takes when nothing happens.
func TestFigures(t *testing.T) {
	members, objects, changes, quiet := 2, 20, 10, 3*time.Second
	if *figures {
		members, objects, changes, quiet = 5, 1000, 300, time.Minute
	}
	b := cluster.New(t)
	var names []string
	for i := range members {
		names = append(names, fmt.Sprint("m", i))
	}
	all := b.APIs(t, names...)
	w := newWorld(t, b, all...)
	fed := open(t, w.Fed)
	var apis []*kube.API
	for _, c := range all {
		apis = append(apis, open(t, c))
	}
	w.Fed.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	each(t, objects, func(ctx context.Context, i int) error {
		name := fmt.Sprint("web", i)
		d := deployments.New("shop", name)
		labels := map[string]any{"app": name}
		d.Object["spec"] = map[string]any{
			"replicas": int64(5), "selector": map[string]any{"matchLabels": labels},
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

	apisUsed, etcdUsed := children(t, "kube-apiserver"), children(t, "etcd")
	begin := time.Now()
	w.Start(t)
	pid := w.Cmd.Process.Pid
	until(t, "every member has every object", func() bool {
		for i := range apis {
			for _, k := range []v1alpha1.Kind{deployments, services} {
				if n := count(t, all[i], k); n < objects {
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
	t.Logf("%d Deployments and Services in %d members: there after %s, told after %s; CPU: fedsync %s, API servers %s, etcd %s", objects, members, there.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond),
		cpu(t, pid), children(t, "kube-apiserver")-apisUsed, children(t, "etcd")-etcdUsed)

	var took []time.Duration
	for i := range changes {
		took = append(took, change(t, fed, apis, i))
	}
	slices.Sort(took)
	t.Logf("a change is in every member after %s (median), %s (p99), %s (longest), of %d", took[len(took)/2], took[len(took)*99/100], took[len(took)-1], changes)

	versions := func() (out []string) {
		for _, c := range append(slices.Clone(all), w.Fed) {
			for _, k := range []string{"deployments", "services", "configmaps", "namespaces"} {
				out = append(out, c.Name+" "+k+" "+strings.TrimSpace(kubectl(t, c, "get", k, "-A", "-o", `jsonpath={range .items[*]}{.metadata.name}{"="}{.metadata.resourceVersion}{" "}{end}`)))
			}
		}
		return out
	}
	time.Sleep(2 * time.Second) // what was told last may still be on its way
	was, used, from := versions(), cpu(t, pid), time.Now()
	time.Sleep(quiet)
	spent := cpu(t, pid) - used
	share := 100 * spent.Seconds() / time.Since(from).Seconds()
	if now := versions(); !slices.Equal(was, now) {
		t.Error("objects were written while nothing happened")
	}
	t.Logf("nothing happens: %.2f%% of a core; %d MB resident, %d MB at most", share, rss(t, pid, "VmRSS"), rss(t, pid, "VmHWM"))
}

// until waits for what takes a while, and looks seldom: whoever looks takes of what
// is measured.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(250 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("not within 3m: %s", what)
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
func change(t *testing.T, fed *kube.API, apis []*kube.API, i int) time.Duration {
	t.Helper()
	name, value := "settings", fmt.Sprint("v", i)
	o := configMaps.New("shop", name)
	o.Object["data"] = map[string]any{"value": value}
	if _, _, err := fed.Apply(t.Context(), configMaps, o, kube.How{Manager: "test", Force: true}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, api := range apis {
		for {
			got, err := api.Get(t.Context(), configMaps, "shop", name)
			if err == nil {
				if data, _ := got.Object["data"].(map[string]any); data["value"] == value {
					break
				}
			}
			if time.Since(begin) > within {
				t.Fatalf("change %d isn't everywhere after %s: %v", i, within, err)
			}
			time.Sleep(2 * time.Millisecond)
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
