package bench

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

var profiles = flag.String("profiles", "", "a folder for heap profiles of the size measurement")

// places are eight clusters of one zone each, in four regions.
var places = [][2]string{
	{"us-central1", "us-central1-a"}, {"us-central1", "us-central1-b"}, {"us-central1", "us-central1-c"},
	{"us-east1", "us-east1-b"}, {"us-east1", "us-east1-c"},
	{"europe-west1", "europe-west1-b"}, {"europe-west1", "europe-west1-c"},
	{"asia-east1", "asia-east1-a"},
}

// size measures a big federation: how long it takes to start, what memory it
// keeps, and what one change costs beside all that doesn't.
func size(t *testing.T) {
	services := 10_000
	if !*figures {
		services = 100
	}
	dir := t.TempDir()
	federation := generate(t, dir, places, services)
	pprof := vector.Port(t)

	if _, err := server.Binary(); err != nil { // built before the clock starts
		t.Fatal(err)
	}
	start := time.Now()
	s := server.Launch(t, fmt.Sprintf(`
example.com:PORT {
 bind ADDR
 federation myfederation {
%s  transfer 127.0.0.1
 }
 ready READY
 prometheus METRICS
 pprof 127.0.0.1:%d
 errors
}
`, federation, pprof))
	s.WaitReady(t)
	ready := time.Since(start)
	// Ready is to mean that all is answered: the last service, everywhere.
	last := fmt.Sprintf("svc%d.ns%d.myfederation.svc.example.com", services-1, (services-1)%20)
	if m := s.Ask(t, last, dns.TypeA); len(m.Answer) == 0 {
		t.Errorf("ready, but %s has no addresses: %v", last, m)
	}
	if got := s.Metric(t, "coredns_federation_snapshot_services"); got != float64(services) {
		t.Errorf("ready with %v services in the snapshot, want %d", got, services)
	}
	atReady := resident(t, s.Pid)
	heap(t, pprof, "ready", false)
	settled := atReady
	if *figures {
		time.Sleep(time.Minute) // what is measured is what is left after a minute
		settled = resident(t, s.Pid)
		heap(t, pprof, "settled", false)
		heap(t, pprof, "live", true)
	}

	// One small file beside the big ones changes, by rename, again and again.
	extra := filepath.Join(dir, places[0][1], "extra.json")
	l := dial(t, s.Addr, "extra.shop.myfederation.svc.us-central1.example.com.")
	write := func(i int) [4]byte {
		a := [4]byte{203, 0, 113, byte(i)}
		vector.WriteManifest(t, extra,
			vector.Service("shop", "extra", fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3])),
			vector.Slice("shop", "extra", true, places[0][1]))
		return a
	}
	changes := 20
	if !*figures {
		changes = 3
	}
	whole := transferred(t, s, 0)
	if whole.records < 20*services {
		t.Errorf("a transfer of %v", whole)
	}
	first := write(0)
	l.until(t, "the extra service is there", func(reply []byte) bool { return address(reply, first) })
	const build = "coredns_federation_snapshot_build_seconds"
	sum, count := s.Metric(t, build+"_sum"), s.Metric(t, build+"_count")
	const event = "coredns_federation_event_to_answer_seconds_sum"
	waited := s.Metric(t, event)
	var took []time.Duration
	for i := 1; i <= changes; i++ {
		a := write(i)
		written := time.Now()
		l.until(t, "the extra service has changed", func(reply []byte) bool { return address(reply, a) })
		took = append(took, time.Since(written))
	}
	// What changes in the second of another change has the next serial, and perhaps the one after that.
	base := transferred(t, s, 0)
	var change taken
	write(changes + 1)
	server.Eventually(t, patience, "the change is transferred", func() bool {
		change = transferred(t, s, base.serial)
		return change.serial != base.serial && change.records > 4 // SOA records
	})
	// Mostly it is a dozen records. Where the TTL of all its names has just changed, too, it is each of them, twice.
	if change.bytes > 2500 {
		t.Errorf("the change of one service: %v", change)
	}
	// The metric is written right after the snapshot is shown.
	server.Eventually(t, patience, "all publications are counted", func() bool { return s.Metric(t, build+"_count") >= count+float64(changes) })
	n := s.Metric(t, build+"_count") - count
	sum, waited = s.Metric(t, build+"_sum")-sum, s.Metric(t, event)-waited

	if *figures {
		fmt.Printf("\nSize: %d clusters with %d services each, from manifests\n", len(places), services)
		fmt.Printf("  start to ready                 %s\n", target(ready.Seconds(), 0.5, "s"))
		fmt.Printf("  resident memory when ready     %.0f MB\n", atReady)
		fmt.Printf("  resident memory, a minute on   %s\n", target(settled, 60, "MB"))
		fmt.Printf("  to publish one changed service %s, mean of %v\n", target(sum/n*1e3, 1, "ms"), n)
		fmt.Printf("  in fedns, read to snapshot     mean %v\n", seconds(waited/n))
		fmt.Printf("  small file written to answer   %s\n", spread(took))
		fmt.Printf("  AXFR                           %v\n", whole)
		fmt.Printf("  IXFR of one changed service    %v\n", change)
	}
}

// generate writes a folder of manifests for each place, one big List in each, and
// gives the lines of a Corefile for them. A tenth of the shards is down, and of
// another tenth of the services a whole region.
func generate(t *testing.T, dir string, places [][2]string, services int) (corefile string) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	up := make([][]bool, services)
	for i := range up {
		down := map[string]bool{}
		for _, p := range places {
			if _, ok := down[p[0]]; !ok {
				down[p[0]] = r.Float64() < 0.1
			}
			up[i] = append(up[i], !down[p[0]] && r.Float64() >= 0.1)
		}
	}
	var b strings.Builder
	ip := 0
	for j, p := range places {
		folder := filepath.Join(dir, p[1])
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(folder, "services.json"))
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(f)
		put := func(before string, o vector.Object) {
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			w.WriteString(before) // Flush tells
			w.Write(raw)
		}
		w.WriteString(`{"apiVersion": "v1", "kind": "List", "items": [`)
		put("\n", vector.Node("node-1", p[0], p[1]))
		for i := range services {
			ip++
			ns, name := fmt.Sprint("ns", i%20), fmt.Sprint("svc", i)
			put(",\n", vector.Service(ns, name, fmt.Sprintf("%d.%d.%d.%d", 60+ip>>24, ip>>16&255, ip>>8&255, ip&255)))
			put(",\n", vector.Slice(ns, name, up[i][j], p[1]))
		}
		w.WriteString("\n]}\n")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  cluster gce-%s {\n   manifests %s\n  }\n", p[1], folder)
	}
	return b.String()
}

// resident is a process's memory in MB.
func resident(t *testing.T, pid int) float64 { return memory(t, pid, "VmRSS:") }

// memory is what a line of a process's status says, in MB.
func memory(t *testing.T, pid int, line string) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), line)
	var kb float64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}

// heap keeps a heap profile, for whoever asked: as of the last collection of
// garbage, or of one that is made now.
func heap(t *testing.T, port int, name string, collect bool) {
	t.Helper()
	if *profiles == "" {
		return
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap", port)
	if collect {
		url += "?gc=1"
	}
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*profiles, name+".heap"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
}
