package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// static are records beside the federated ones, of kinds that floods are made of.
var static = []string{
	"mail A 192.0.2.25",
	"www CNAME mail",
	"*.wild A 192.0.2.26",
	"lab NS ns.lab",
	"ns.lab A 192.0.2.27",
}

// A flood is questions of one kind.
type flood struct {
	name string
	ask  func(r *rand.Rand, f *federation) []byte
}

// floods are those that servers are asked beside honest questions.
var floods = []flood{
	{"federated", func(r *rand.Rand, f *federation) []byte {
		return packed(f.questions[r.IntN(len(f.questions))].name, dns.TypeA)
	}},
	{"static", func(*rand.Rand, *federation) []byte { return packed("mail."+domain, dns.TypeA) }},
	{"alias", func(*rand.Rand, *federation) []byte { return packed("www."+domain, dns.TypeA) }},
	{"wildcard", func(r *rand.Rand, _ *federation) []byte {
		return packed(fmt.Sprintf("r%d.wild.%s", r.IntN(1e9), domain), dns.TypeA)
	}},
	{"delegation", func(r *rand.Rand, _ *federation) []byte {
		return packed(fmt.Sprintf("r%d.lab.%s", r.IntN(1e9), domain), dns.TypeA)
	}},
	{"empty", func(*rand.Rand, *federation) []byte { return packed("svc."+domain, dns.TypeA) }},
	{"1 label", random(1)},
	{"60 labels", random(60)},
	{"110 labels", random(110)},
	{"escapes", func(r *rand.Rand, _ *federation) []byte {
		return packed(fmt.Sprintf(`r%d\000.%s`, r.IntN(1e9), domain), dns.TypeA)
	}},
	{"ANY", func(*rand.Rand, *federation) []byte { return packed(domain, dns.TypeANY) }},
	{"SRV", func(r *rand.Rand, f *federation) []byte {
		return packed("_http._tcp."+f.questions[r.IntN(len(f.questions))].name, dns.TypeSRV)
	}},
	{"elsewhere", func(r *rand.Rand, _ *federation) []byte {
		return packed(fmt.Sprintf("r%d.example.org", r.IntN(1e9)), dns.TypeA)
	}},
	{"garbage", func(r *rand.Rand, _ *federation) []byte {
		b := make([]byte, 12+r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[2] &^= 0x80 // a query
		return b
	}},
}

// random is for names of so many labels that nobody has.
func random(labels int) func(*rand.Rand, *federation) []byte {
	return func(r *rand.Rand, _ *federation) []byte {
		return packed(strings.Repeat("x.", labels-1)+fmt.Sprintf("r%d.%s", r.IntN(1e9), domain), dns.TypeA)
	}
}

func packed(name string, qtype uint16) []byte {
	b, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype).Pack()
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err)) // all are made here
	}
	return b
}

const (
	// inTime is how long an honest client waits before it takes an answer for lost.
	inTime = 100 * time.Millisecond
	// honestRate is how many questions a second it asks.
	honestRate = 400
)

// matrix asks honest questions beside floods of every kind and at every rate, and prints what
// part of them each server answers in time.
func (r *race) matrix(ctx context.Context, rates []int) error {
	if err := pin(askerCPU); err != nil {
		return err
	}
	fmt.Printf("server on CPU %s, askers on CPU %s; of honest questions (%d a second), percent answered within %v, %d s each\n", serverCPU, askerCPU, honestRate, inTime, r.seconds)
	fmt.Printf("%-12s%10s", "flood", "a second")
	for _, c := range r.field {
		fmt.Printf("%10s", c.name)
	}
	fmt.Println()
	said := map[string]bool{}
	for _, f := range floods {
		for _, rate := range rates {
			fmt.Printf("%-12s%10d", f.name, rate)
			for _, c := range r.field {
				share, err := r.cell(ctx, c, f, rate)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					fmt.Printf("%10s", "-")
					said[fmt.Sprintf("%s: %v", c.name, err)] = true
					continue
				}
				fmt.Printf("%10.1f", share*100)
			}
			fmt.Println()
		}
	}
	for _, why := range slices.Sorted(maps.Keys(said)) {
		fmt.Println(why)
	}
	return nil
}

// cell has one server answer beside a flood, and gives which part of the honest questions it
// answers in time.
func (r *race) cell(ctx context.Context, c contender, f flood, rate int) (float64, error) {
	p, err := r.start(ctx, c)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	rng := rand.New(rand.NewPCG(1, 2)) // the same for all
	packets := make([][]byte, 4096)
	for i := range packets {
		packets[i] = f.ask(rng, r.fed)
	}
	addr := fmt.Sprint("127.0.0.1:", p.port)
	ctx, end := context.WithCancel(ctx)
	defer end()
	flooded := make(chan error, 1)
	go func() { flooded <- pour(ctx, addr, packets, rate) }()
	share, err := r.honest(ctx, addr, time.Duration(r.seconds)*time.Second)
	end()
	if floodErr := <-flooded; err == nil {
		err = floodErr
	}
	return share, err
}

// pour sends packets at a rate until ctx ends. Nobody reads the answers, as nobody does
// behind a forged address.
func pour(ctx context.Context, addr string, packets [][]byte, rate int) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	began, sent := time.Now(), 0
	for ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * float64(rate)); sent < due; sent++ {
			if _, err := conn.Write(packets[sent%len(packets)]); err != nil && ctx.Err() == nil {
				return err
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

// honest asks questions that have an answer, each once, and gives the part of them whose
// answers came in time.
func (r *race) honest(ctx context.Context, addr string, long time.Duration) (float64, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var asked [1 << 16]atomic.Int64 // by ID, when
	var inside atomic.Int64
	done := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(done)
		b := make([]byte, 65535)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return // it was closed
			}
			if n < 12 {
				continue
			}
			at := asked[binary.BigEndian.Uint16(b)].Swap(0)
			if at > 0 && time.Since(began)-time.Duration(at) <= inTime {
				inside.Add(1)
			}
		}
	}()
	n := 0
	tick := time.NewTicker(time.Second / honestRate)
	defer tick.Stop()
	time.Sleep(300 * time.Millisecond) // the flood is there by then
	for end := time.Now().Add(long); time.Now().Before(end) && ctx.Err() == nil; <-tick.C {
		n++
		p := packed(r.fed.questions[n%len(r.fed.questions)].name, dns.TypeA)
		binary.BigEndian.PutUint16(p, uint16(n))
		asked[uint16(n)].Store(max(1, int64(time.Since(began))))
		if _, err := conn.Write(p); err != nil {
			return 0, err
		}
	}
	time.Sleep(inTime)
	conn.Close()
	<-done
	return float64(inside.Load()) / float64(n), nil
}

// pin has this process run on one CPU.
func pin(cpu string) error {
	n, err := strconv.Atoi(cpu)
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(n)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return fmt.Errorf("thread %d: %w", id, err)
		}
	}
	return nil
}

// beside has the servers answer the static records, too.
func (r *race) beside() error {
	apex := "$TTL 180\n@ 3600 SOA ns1 hostmaster 1 7200 1800 86400 5\n@ 3600 NS ns1\nns1 3600 A 127.0.0.1\n" + strings.Join(static, "\n") + "\n"
	r.fed.records = append(r.fed.records, static...)
	for i := range r.field {
		if c := &r.field[i]; strings.HasPrefix(c.files["Corefile"], "FEDERATION") {
			c.files = map[string]string{"Corefile": c.files["Corefile"] + " apex " + filepath.Join(r.dir, "apex")}
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "apex"), []byte(apex), 0o644)
}
