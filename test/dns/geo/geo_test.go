// Package geo asks a federation that spans the world from many places in it: by the
// client's own address and by client subnets, through both ways to an answer.
//
// Every test runs the program itself, on loopback, over manifests and a database of
// places made for it.
package geo

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// Where clients are, as latitude and longitude.
type point [2]float64

var (
	chicago   = point{41.88, -87.63}
	newYork   = point{40.71, -74.01}
	berlin    = point{52.52, 13.40}
	stockholm = point{59.33, 18.06}
	tokyo     = point{35.68, 139.69}
	hongKong  = point{22.32, 114.17}
)

// networks are where the database says that clients are. What it doesn't hold is
// nowhere. Those of 203.0.113.0/24 are two with one place.
var networks = map[string]point{
	"192.0.2.0/25":      chicago,
	"192.0.2.128/26":    berlin,
	"192.0.2.192/27":    tokyo,
	"198.51.100.0/24":   hongKong,
	"203.0.113.0/25":    stockholm,
	"172.0.0.0/8":       tokyo, // with the private networks in it
	"203.0.113.128/25":  stockholm,
	"127.0.10.0/24":     berlin,
	"127.0.20.0/24":     tokyo,
	"127.0.30.0/24":     chicago,
	"2001:db8::/40":     newYork,
	"2001:db8:100::/40": stockholm,
	"2001:db8:200::/64": tokyo,
}

// built is when the database was made, unless a test says otherwise.
var built = time.Now().Add(-48 * time.Hour).Truncate(time.Second)

// city is a database of cities, as MaxMind lays it out.
func city(t testing.TB, built time.Time, networks map[string]point) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, RecordSize: 28, BuildEpoch: built.Unix(),
		Description: map[string]string{"en": "places of tests"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, cidr := range slices.Sorted(maps.Keys(networks)) {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		record := mmdbtype.Map{
			"city": mmdbtype.Map{"geoname_id": mmdbtype.Uint32(i)}, // so that no two records are one
			"location": mmdbtype.Map{
				"latitude": mmdbtype.Float64(networks[cidr][0]), "longitude": mmdbtype.Float64(networks[cidr][1]), "accuracy_radius": mmdbtype.Uint16(20),
			},
		}
		if networks[cidr] == chicago { // one that has names
			named := func(name string) mmdbtype.Map {
				return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name)}}
			}
			record["city"].(mmdbtype.Map)["names"] = named("Chicago")["names"]
			record["subdivisions"] = mmdbtype.Slice{named("Illinois")}
			record["country"], record["continent"] = named("United States"), named("North America")
		}
		if err := tree.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	return bytesOf(t, tree)
}

func bytesOf(t testing.TB, tree *mmdbwriter.Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// replace gives a file other contents, as careful updaters do: by rename.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A member is a cluster of the federation: its region, the address of web there, and
// where the Corefile says that it is.
type member struct {
	name, region, addr, location string
}

// members are on three continents. Nobody says where attic is, and lapland's region
// has the name of another place's: its location overrides that.
var members = []member{
	{"iowa", "us-central1", "192.0.2.1", ""},
	{"virginia", "us-east4", "192.0.2.2", ""},
	{"belgium", "europe-west1", "192.0.2.3", ""},
	{"lapland", "us-west1", "192.0.2.4", "66.50 25.73"},
	{"taiwan", "asia-east1", "192.0.2.5", ""},
	{"edo", "edo", "192.0.2.6", "35.69 139.70"},
	{"attic", "attic", "192.0.2.7", ""},
}

// The answers of web, by where they come from.
const (
	iowa     = "192.0.2.1"
	virginia = "192.0.2.2"
	belgium  = "192.0.2.3"
	lapland  = "192.0.2.4"
	taiwan   = "192.0.2.5"
	edo      = "192.0.2.6"
	every    = "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7"
)

// A service is one of namespace shop.
type service struct {
	members string // that have it; "": all
	policy  string // that it says itself; "": none
	six     bool   // addresses are IPv6
	weights map[string]string
}

// services are those of namespace shop.
var services = map[string]service{
	"web":   {},
	"few":   {members: "iowa taiwan"},
	"lone":  {members: "attic"},
	"six":   {members: "belgium edo taiwan", six: true},
	"every": {policy: "all"},
	"two":   {policy: "nearest 2"},
	"draw":  {members: "iowa edo", policy: "weighted", weights: map[string]string{"iowa": "3", "edo": "1"}},
	"first": {members: "belgium iowa taiwan", policy: "failover europe-west1 asia-east1"},
	"down":  {},
}

// A world is what a server answers from.
type world struct {
	dir      string
	services map[string]service
}

// newWorld writes it all down; others are services that it has beside the usual ones, or in
// their place.
func newWorld(t testing.TB, others ...map[string]service) *world {
	t.Helper()
	w := &world{t.TempDir(), maps.Clone(services)}
	for _, o := range others {
		maps.Copy(w.services, o)
	}
	for _, m := range members {
		w.write(t, m)
	}
	replace(t, w.database(), city(t, built, networks))
	return w
}

func (w *world) database() string  { return filepath.Join(w.dir, "City.mmdb") }
func (w *world) overrides() string { return filepath.Join(w.dir, "overrides") }

// write makes the manifests of a member, in which some services have no endpoint.
func (w *world) write(t testing.TB, m member, without ...string) {
	t.Helper()
	zone := m.region + "-a"
	objects := []vector.Object{vector.Node("n", m.region, zone)}
	for name, s := range w.services {
		if s.members != "" && !slices.Contains(strings.Fields(s.members), m.name) {
			continue
		}
		addr := m.addr
		if s.six {
			addr = "2001:db8::" + addr[strings.LastIndex(addr, ".")+1:]
		}
		o := vector.Service("shop", name, addr)
		annotations := vector.Object{}
		if s.policy != "" {
			annotations["fedns.io/policy"] = s.policy
		}
		if weight, ok := s.weights[m.name]; ok {
			annotations["fedns.io/weight"] = weight
		}
		o["metadata"].(vector.Object)["annotations"] = annotations
		objects = append(objects, o, vector.Slice("shop", name, name != "down" && !slices.Contains(without, name), zone))
	}
	vector.WriteManifest(t, filepath.Join(w.dir, m.name, "all.json"), objects...)
}

// named finds a member.
func named(name string) member {
	return members[slices.IndexFunc(members, func(m member) bool { return m.name == name })]
}

// corefile serves the world; more stands in the stanza.
func (w *world) corefile(more ...string) string {
	var b strings.Builder
	fmt.Fprint(&b, "example.com:PORT {\n bind ADDR\n prometheus METRICS\n ready READY\n errors\n federation fed {\n")
	for _, m := range members {
		fmt.Fprintf(&b, "  cluster %s {\n   manifests %s\n", m.name, filepath.Join(w.dir, m.name))
		if m.location != "" {
			fmt.Fprintf(&b, "   location %s\n", m.location)
		}
		fmt.Fprint(&b, "  }\n")
	}
	for _, line := range more {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(line, "DATABASE", w.database()))
	}
	fmt.Fprint(&b, " }\n}\n")
	return b.String()
}

// nearest is what most tests configure.
var nearest = []string{"policy nearest within 5%", "geo DATABASE", "nets 10.0.0.0/8 us-central1", "nets 10.9.0.0/16 us-west1", "nets 10.9.9.0/24 asia-east1", "nets fd00:9::/32 edo"}

func with(more ...string) []string { return append(slices.Clone(nearest), more...) }

// start starts a server and waits until it knows where clients are.
func start(t testing.TB, corefile string) *server.Server {
	t.Helper()
	s := server.Start(t, corefile)
	answering(t, s)
	server.Eventually(t, 10*time.Second, "the database is in use", func() bool { return from(t, s, "192.0.2.9", "web") == iowa })
	return s
}

func answering(t testing.TB, s *server.Server) {
	t.Helper()
	server.Eventually(t, 10*time.Second, "the server answers", func() bool {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), s.Addr)
		return err == nil && m.Rcode == dns.RcodeSuccess
	})
}

// question asks for the addresses of a service; of the subnet "" it says nothing.
func question(name string, qtype uint16, subnet string) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name+".shop.fed.svc.example.com.", qtype)
	if subnet == "" {
		return m
	}
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{ecs(netip.MustParsePrefix(subnet))}
	return m
}

// ecs is a client subnet. The library packs no IPv4-mapped addresses as IPv6 ones.
func ecs(p netip.Prefix) dns.EDNS0 {
	if p.Addr().Is4In6() {
		n := (p.Bits() + 7) / 8
		a := p.Masked().Addr().As16()
		return &dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: append([]byte{0, 2, byte(p.Bits()), 0}, a[:n]...)}
	}
	e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
	if p.Addr().Is6() {
		e.Family = 2
	}
	return e
}

// A reply is what counts of an answer.
type reply struct {
	rcode  string
	addrs  string // sorted
	subnet string // that was sent back: family, address, source and scope; "": none
	scope  int
}

func (r reply) String() string { return fmt.Sprintf("%s [%s], subnet %q", r.rcode, r.addrs, r.subnet) }

func read(m *dns.Msg) reply {
	r := reply{rcode: dns.RcodeToString[m.Rcode], addrs: strings.Join(slices.Sorted(slices.Values(server.Addrs(m))), " ")}
	if o := m.IsEdns0(); o != nil {
		for _, option := range o.Option {
			if e, ok := option.(*dns.EDNS0_SUBNET); ok {
				a, _ := netip.AddrFromSlice(e.Address)
				if e.Family == 1 || e.Family == 0 {
					a = a.Unmap()
				}
				r.subnet += fmt.Sprintf("%d %s/%d/%d", e.Family, a, e.SourceNetmask, e.SourceScope)
				r.scope = int(e.SourceScope)
			}
		}
	}
	return r
}

// via asks from an address of this host; "": whichever.
func via(t testing.TB, s *server.Server, network, local string, m *dns.Msg) reply {
	t.Helper()
	d := &net.Dialer{Timeout: 5 * time.Second}
	if ip := net.ParseIP(local); ip != nil {
		d.LocalAddr = &net.UDPAddr{IP: ip}
		if network == "tcp" {
			d.LocalAddr = &net.TCPAddr{IP: ip}
		}
	}
	c := dns.Client{Net: network, Dialer: d, Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}
	r, err := server.Query(&c, m, s.Addr)
	if err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	return read(r)
}

// from gives the addresses of a service that a client gets who is at an address of
// its own, as a client subnet says.
func from(t testing.TB, s *server.Server, client, service string) string {
	t.Helper()
	a := netip.MustParseAddr(client)
	return read(s.Exchange(t, "udp", question(service, dns.TypeA, netip.PrefixFrom(a, a.BitLen()).String()))).addrs
}

// becomes waits until a client gets something.
func becomes(t testing.TB, s *server.Server, client, service, want string) {
	t.Helper()
	got := ""
	end := time.Now().Add(server.Patience(0))
	for got = from(t, s, client, service); got != want; got = from(t, s, client, service) {
		if time.Now().After(end) {
			t.Fatalf("%s from %s is answered with %q, want %q", service, client, got, want)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}

// logged waits for words in the log.
func logged(t testing.TB, s *server.Server, words string) {
	t.Helper()
	server.Eventually(t, 10*time.Second, fmt.Sprintf("the log says %q", words), func() bool { return strings.Contains(s.Log(), words) })
}

// fedctl builds it once a test run, and gives its path.
var fedctlBinary = sync.OnceValues(func() (string, error) { return server.Build("fedctl") })

// fedctl runs it beside a server with this address of status.
func fedctl(t testing.TB, status string, args ...string) string {
	t.Helper()
	bin, err := fedctlBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "FEDNS_SERVER="+status)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fedctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// dig asks as dig does, and gives what it prints, with one space for every blank.
func dig(t testing.TB, s *server.Server, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("dig")
	if err != nil {
		t.Fatalf("%v\nhint: run make peers", err)
	}
	host, port, _ := net.SplitHostPort(s.Addr)
	out, err := exec.Command(path, append([]string{"-r", "@" + host, "-p", port, "+time=3", "+tries=1"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %q: %v\n%s", args, err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// has looks for parts of what was printed; one that begins with "!" must not be there.
func has(t testing.TB, printed string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if bare, not := strings.CutPrefix(part, "!"); strings.Contains(printed, bare) == not {
			t.Errorf("%q is wanted of\n%s", part, printed)
			return
		}
	}
}

// somewhere is an address of a prefix, at random.
func somewhere(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		if r.IntN(2) == 0 {
			b[i/8] ^= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// edges are the first and the last address of a prefix.
func edges(p netip.Prefix) [2]netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return [2]netip.Addr{p.Masked().Addr(), last}
}
