package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// TestFiguresMany measures a federation of many clusters: what size does with eight, and what an answer costs beside one among few
// services.
func TestFiguresMany(t *testing.T) {
	regions, services, few, questions, changes := 2, 100, 50, 2_000, 3
	if *figures {
		regions, services, few, questions, changes = 20, 10_000, 1_000, 300_000, 20
	}
	var many [][2]string
	for r := range regions {
		for z := range 5 {
			many = append(many, [2]string{fmt.Sprint("region", r), fmt.Sprintf("region%d-%c", r, 'a'+z)})
		}
	}
	start := func(n int) (s *server.Server, dir string, began time.Time) {
		dir = t.TempDir()
		federation := generate(t, dir, many, n)
		if _, err := server.Binary(); err != nil { // built before the clock starts
			t.Fatal(err)
		}
		began = time.Now()
		s = server.Launch(t, fmt.Sprintf("example.com:PORT {\n bind ADDR\n federation myfederation {\n%s }\n ready READY\n prometheus METRICS\n errors\n}\n", federation))
		whole(t, s, n*len(many))
		return s, dir, began
	}
	s, dir, began := start(services)
	ready, cpu := time.Since(began), ticks(t, s.Pid)
	if *figures {
		time.Sleep(time.Minute) // what is measured is what is left after a minute
	}
	settled, most := resident(t, s.Pid), memory(t, s.Pid, "VmHWM:")

	// Beside what is big, a small cluster's file changes by rename, again and again.
	extra := filepath.Join(dir, many[0][1], "extra.json")
	l := dial(t, s.Addr, "extra.shop.myfederation.svc."+many[0][0]+".example.com.")
	write := func(i int) [4]byte {
		vector.WriteManifest(t, extra, vector.Service("shop", "extra", fmt.Sprint("203.0.113.", i)), vector.Slice("shop", "extra", true, many[0][1]))
		return [4]byte{203, 0, 113, byte(i)}
	}
	first := write(0)
	l.until(t, "the extra service is there", func(reply []byte) bool { return address(reply, first) })
	const build = "coredns_federation_snapshot_build_seconds"
	sum, count := s.Metric(t, build+"_sum"), s.Metric(t, build+"_count")
	var took []time.Duration
	for i := 1; i <= changes; i++ {
		a := write(i)
		written := time.Now()
		l.until(t, "the extra service has changed", func(reply []byte) bool { return address(reply, a) })
		took = append(took, time.Since(written))
	}
	server.Eventually(t, patience, "all publications are counted", func() bool { return s.Metric(t, build+"_count") >= count+float64(changes) })
	sum, count = s.Metric(t, build+"_sum")-sum, s.Metric(t, build+"_count")-count

	small, _, _ := start(few)
	var ratios []float64
	for range 5 {
		ratios = append(ratios, costs(t, s, many, services, questions)/costs(t, small, many, few, questions))
	}
	slices.Sort(ratios)
	if *figures {
		fmt.Printf("\nMany: %d clusters with %d services each, from manifests\n", len(many), services)
		fmt.Printf("  until all is answered          %s, %.1f s of CPU\n", target(ready.Seconds(), 10, "s"), cpu.Seconds())
		fmt.Printf("  resident memory, a minute on   %s, %.0f MB at most\n", target(settled, 1000, "MB"), most)
		fmt.Printf("  to publish one changed service %s, mean of %v\n", target(sum/count*1e3, 1, "ms"), count)
		fmt.Printf("  small file written to answer   %s\n", spread(took))
		fmt.Printf("  an answer, beside %d services %s, of %.2f\n", few, target(ratios[len(ratios)/2], 1.5, "times"), ratios)
	}
}

// whole waits until all shards are known: a server is ready after ten seconds, whatever it hasn't read by then.
func whole(t *testing.T, s *server.Server, shards int) {
	t.Helper()
	server.Eventually(t, 10*time.Minute, "all shards are known", func() bool {
		if s.Exited() {
			t.Fatalf("fedns has ended:\n%s", s.Log())
		}
		conn, err := net.Dial("tcp", s.MetricsAddr())
		if err != nil {
			return false
		}
		conn.Close()
		return s.Metric(t, "coredns_federation_shards{") == float64(shards)
	})
}

// costs is what an answer costs a server, in seconds of its CPU: to questions for names of zones, as fast as it answers.
func costs(t *testing.T, s *server.Server, places [][2]string, services, questions int) float64 {
	t.Helper()
	conn, err := net.Dial("udp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := rand.New(rand.NewPCG(uint64(services), 1))
	all := make([][]byte, questions)
	for i := range all {
		p, n := places[r.IntN(len(places))], r.IntN(services)
		if all[i], err = new(dns.Msg).SetQuestion(fmt.Sprintf("svc%d.ns%d.myfederation.svc.%s.%s.example.com.", n, n%20, p[1], p[0]), dns.TypeA).Pack(); err != nil {
			t.Fatal(err)
		}
	}
	const window = 64 // so many are under way
	before := ticks(t, s.Pid)
	var reply [dns.MaxMsgSize]byte
	for sent, got := 0, 0; got < questions; {
		for ; sent < questions && sent-got < window; sent++ {
			if _, err := conn.Write(all[sent]); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // UDP sockets have deadlines
		if _, err := conn.Read(reply[:]); err != nil {
			t.Fatalf("after %d answers of %d: %v", got, questions, err)
		}
		if reply[3]&15 != dns.RcodeSuccess || records(reply[:]) == 0 {
			t.Fatalf("an answer with response code %d and %d records", reply[3]&15, records(reply[:]))
		}
		got++
	}
	return (ticks(t, s.Pid) - before).Seconds() / float64(questions)
}
