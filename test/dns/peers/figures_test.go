package peers

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/test/framework/cluster"
	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var (
	figures = flag.Bool("figures", false, "measure in full how long a change takes to the answers of secondaries, and print it")
	changes = flag.Int("changes", 20, "with -figures, how many changes are measured after a quiet time, and as many among others")
	quiet   = flag.Duration("quiet", time.Minute, "with -figures, how long nothing changes before each of them")
)

// From the return of a write to a real API server to the answer of each secondary: after a quiet time, and while services beside it
// change a hundred times a second. Without -figures it only sees that this is measured.
func TestChangeToSecondaries(t *testing.T) {
	changes, quiet, rate := *changes, *quiet, 100
	if !*figures {
		changes, quiet, rate = 2, time.Second, 10
	}
	c := cluster.New(t).API(t, "paris")
	c.AddNode(t, "node-1", "eu", "eu-a")
	const busy = 20 // services beside it
	c.Expose(t, "shop", "web", "192.0.2.1")
	c.Slice(t, "shop", "web", "eu-a", true)
	for i := range busy {
		c.Expose(t, "shop", fmt.Sprint("busy", i), "198.51.100.1")
		c.Slice(t, "shop", fmt.Sprint("busy", i), "eu-a", true)
	}
	ports, lines, keys := map[string]int{}, "", ""
	for name, f := range followers {
		server.Rare(t, f.program)
		ports[name] = vector.Port(t)
		with := ""
		if f.key != "" {
			with = " key " + f.key
			keys += fmt.Sprintf("  secret %s. %s\n", f.key, secret)
		}
		lines += fmt.Sprintf(" also-notify 127.0.0.1:%d%[2]s\n transfer 127.0.0.0/8%[2]s\n", ports[name], with)
	}
	s := startFedns(t, fmt.Sprintf("example.com:PORT {\n bind ADDR\n tsig {\n%s }\n federation prod {\n  cluster paris {\n   kubeconfig %s paris\n  }\n%s }\n ready READY\n}\n", keys, c.ReadOnly(t), lines))
	for name, f := range followers {
		f.start(t, t.TempDir(), ports[name], s.Addr)
	}
	// give has a service have another address, and gives when that was written.
	give := func(ctx context.Context, service, addr string) (time.Time, error) {
		patch := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, addr)
		_, err := c.Client.CoreV1().Services("shop").Patch(ctx, service, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return time.Now(), err
	}
	says := func(name, addr string) func() bool {
		at := fmt.Sprint("127.0.0.1:", ports[name])
		return func() bool {
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("web.shop.prod.svc.example.com.", dns.TypeA), at)
			return err == nil && len(m.Answer) == 1 && server.Addrs(m)[0] == addr
		}
	}
	for name := range followers {
		server.Eventually(t, time.Minute, name+" has the zone", says(name, "192.0.2.1"))
	}
	n := 1
	// took changes it once, and adds how long each took.
	took := func(t *testing.T, all map[string][]time.Duration) {
		t.Helper()
		n = n%250 + 1
		addr := fmt.Sprint("192.0.2.", n)
		written, err := give(t.Context(), "web", addr)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // guards all
		var wg sync.WaitGroup
		for name := range followers {
			is := says(name, addr)
			wg.Go(func() {
				for !is() {
					if time.Since(written) > 2*time.Minute {
						t.Errorf("%s hasn't heard of %s within %v", name, addr, time.Since(written))
						return
					}
					time.Sleep(time.Millisecond) // more questions would be what keeps the machine busy
				}
				mu.Lock()
				defer mu.Unlock()
				all[name] = append(all[name], time.Since(written))
			})
		}
		wg.Wait()
	}
	show := func(when string, all map[string][]time.Duration) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			d := slices.SortedFunc(slices.Values(all[name]), cmp.Compare[time.Duration])
			at := func(p float64) time.Duration {
				return d[max(0, int(math.Ceil(p*float64(len(d))))-1)].Round(time.Millisecond)
			}
			fmt.Printf("%-10s %-28s %3d changes   p50 %-8v p99 %-8v max %v\n", name, when, len(d), at(0.5), at(0.99), at(1))
		}
	}

	calm := map[string][]time.Duration{}
	for range changes {
		time.Sleep(quiet) // that is what is measured: nothing has changed for so long
		took(t, calm)
	}
	if *figures {
		show(fmt.Sprintf("after %v of quiet", quiet), calm)
	}

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var written, failed atomic.Int64
	const writers = 4
	for w := range writers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * writers / time.Duration(rate))
			defer tick.Stop()
			for i := w; ; i += writers {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if _, err := give(ctx, fmt.Sprint("busy", i%busy), fmt.Sprintf("198.51.100.%d", i/busy%250+1)); err == nil {
					written.Add(1)
				} else if ctx.Err() == nil {
					failed.Add(1)
				}
			}
		})
	}
	began := time.Now()
	among := map[string][]time.Duration{}
	for range changes {
		time.Sleep(time.Second + rand.N(time.Second)) // out of step with what has a second
		took(t, among)
	}
	long := time.Since(began)
	stop()
	wg.Wait()
	if failed.Load() > 0 || written.Load() == 0 {
		t.Errorf("%d of the other changes were written, %d not", written.Load(), failed.Load())
	}
	if *figures {
		show(fmt.Sprintf("among %.0f changes a second", float64(written.Load())/long.Seconds()), among)
	}
}
