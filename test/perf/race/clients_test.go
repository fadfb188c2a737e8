package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/test/framework/geotest"
	"github.com/fedns/fedns/test/framework/server"
)

// Who asks is the same every time, of either family, in a network that is known, and
// in none that means something else to everybody.
func TestClients(t *testing.T) {
	const questions = 20_000
	known := networks(geotest.HalfV4, geotest.HalfV6)
	all := clients(known, questions)
	if !reflect.DeepEqual(all, clients(known, questions)) {
		t.Error("the clients of two races differ")
	}
	if !slices.IsSortedFunc(known, func(a, b geotest.Network) int { return a.Prefix.Compare(b.Prefix) }) {
		t.Error("the networks aren't in order")
	}
	seen, six := map[netip.Prefix]bool{}, 0
	for _, c := range all {
		seen[c.subnet] = true
		a, bits := c.subnet.Addr(), 24
		if a.Is6() {
			bits = 48
			six++
		}
		if c.subnet != c.subnet.Masked() || c.subnet.Bits() != bits || !a.IsGlobalUnicast() || a.IsPrivate() {
			t.Fatalf("a client in %v", c.subnet)
		}
		i, _ := slices.BinarySearchFunc(known, a, func(n geotest.Network, a netip.Addr) int { return n.Prefix.Addr().Compare(a) })
		if i == len(known) || known[i].Prefix.Addr() != a {
			i--
		}
		if n := known[i]; !n.Prefix.Contains(a) || n.At != c.at {
			t.Fatalf("%v is at %v, and in %v at %v", c.subnet, c.at, n.Prefix, n.At)
		}
	}
	if len(seen) < questions*9/10 {
		t.Errorf("%d questions have only %d networks", questions, len(seen))
	}
	if six < questions/perV6*9/10 || six > questions/perV6*11/10 {
		t.Errorf("%d of %d networks are IPv6, want one in %d", six, questions, perV6)
	}
}

func TestClosest(t *testing.T) {
	q := &question{parts: []part{{"us-central1", []string{"192.0.2.1"}}, {"europe-west1", []string{"192.0.2.2", "192.0.2.3"}}}}
	for _, tt := range []struct {
		at   geo.Point
		want string
	}{
		{geo.Point{Lat: 52, Lon: 13}, "[192.0.2.2 192.0.2.3]"},
		{geo.Point{Lat: 30, Lon: -90}, "[192.0.2.1]"},
	} {
		if got := fmt.Sprint(q.closest(tt.at)); got != tt.want {
			t.Errorf("to %v the closest are %s, want %s", tt.at, got, tt.want)
		}
	}
}

// The questions that flood sends are those that the library makes.
func TestFloodSubnets(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	r := &race{dir: t.TempDir(), compiled: map[string]string{}}
	r.fed = generate(minServices, 100, usual)
	r.fed.clients = clients(networks(2000, 1000), 100)
	if err := r.fed.write(r.dir); err != nil {
		t.Fatal(err)
	}
	asker, err := r.compile("flood.c")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cmd := exec.Command(asker, fmt.Sprint(conn.LocalAddr().(*net.UDPAddr).Port), filepath.Join(r.dir, "questions"), "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	want := map[string]bool{}
	for i, q := range r.fed.questions {
		m := r.fed.clients[i].asks(q.name)
		m.Id, m.RecursionDesired = 0, false
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		want[string(b[2:])] = true
	}
	var b [512]byte
	for range r.fed.questions { // it has 400 under way
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := conn.ReadFrom(b[:])
		if err != nil {
			t.Fatal(err)
		}
		if !want[string(b[2:n])] {
			t.Fatalf("it asks %q", b[:n])
		}
	}
}

// fedns-nearest gives clients in different networks different shards, fedns all of
// them to everybody, and to start a contender is to see to that.
func TestNearest(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.NumCPU() < 2 {
		t.Skip("a race needs Linux and two CPUs")
	}
	r := &race{dir: t.TempDir(), root: t.TempDir(), compiled: map[string]string{}}
	var err error
	if r.taskset, err = exec.LookPath("taskset"); err != nil {
		t.Skip(err)
	}
	if r.program, err = server.Binary(); err != nil {
		t.Fatal(err)
	}
	const questions = 300
	where := networks(20_000, 5_000)
	r.fed = generate(minServices, questions, mix{global: 100})
	r.fed.clients = clients(where, questions)
	if err := r.fed.write(r.dir); err != nil {
		t.Fatal(err)
	}
	if err := writeNetworks(r.dir, where); err != nil {
		t.Fatal(err)
	}
	field, err := pick("fedns,fedns-nearest")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.fed.questions, func(q *question) bool { return len(q.parts) == 4 })
	var distinct [2]int
	for k, c := range field {
		p, err := r.start(context.Background(), c)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		answers := map[string]bool{}
		for _, who := range append(r.fed.clients, self) {
			m, _, err := new(dns.Client).Exchange(who.asks(r.fed.questions[i].name), fmt.Sprint("127.0.0.1:", p.port))
			if err != nil {
				p.stop()
				t.Fatal(err)
			}
			addrs := server.Addrs(m)
			slices.Sort(addrs)
			answers[fmt.Sprint(addrs)] = true
		}
		distinct[k] = len(answers)
		// Who expects of it what it doesn't do is told so.
		wrong := c
		wrong.nearest = !c.nearest
		if err := r.ask(new(dns.Client), p, wrong, i); err == nil {
			t.Errorf("%s is taken for the other", c.name)
		}
		p.stop()
	}
	if distinct != [2]int{1, 4} {
		t.Errorf("a name in four regions has %v different answers, want 1, and 4 by client", distinct)
	}
}
