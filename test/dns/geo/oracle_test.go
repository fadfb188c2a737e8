package geo

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/test/framework/server"
	"github.com/fedns/fedns/test/framework/vector"
)

// An oracle knows what nearest has to answer, by nothing but the manual: great circles and
// longest prefixes, looked for one by one.
type oracle struct {
	regions []site
	within  float64
	said    []said // by the database
	nets    []said // by the operator
	// bounds are the first addresses at which something begins or has ended, by family.
	bounds [2][]u128
}

// A site is a region with the address of its shard, and where it is.
type site struct {
	region, addr string
	at           point
}

type said struct {
	prefix netip.Prefix
	at     point
	region string // instead
}

// A u128 is an address as a number; IPv4 is the upper 32 bits.
type u128 struct{ hi, lo uint64 }

func number(a netip.Addr) u128 {
	if a.Is4() {
		b := a.As4()
		return u128{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (n u128) addr(v4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

func (n u128) less(m u128) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

// span is the first address of a block, and the last.
func span(a u128, length int) (first, last u128) {
	mask := u128{^uint64(0) << (64 - min(length, 64)), 0}
	if length == 0 {
		mask.hi = 0
	}
	if length > 64 {
		mask.lo = ^uint64(0) << (128 - length)
	}
	first = u128{a.hi & mask.hi, a.lo & mask.lo}
	return first, u128{first.hi | ^mask.hi, first.lo | ^mask.lo}
}

// private are the networks of which a database knows nothing (RFC 6890).
var private = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
	"::/127", "fc00::/7", "fe80::/10", "ff00::/8",
}

// inside is the IPv4 address that an IPv6 one holds, and at which bit.
func inside(a netip.Addr) (v4 netip.Addr, at int, ok bool) {
	b := a.As16()
	switch {
	case a.Is4():
	case a.Is4In6(), strings.HasPrefix(a.StringExpanded(), "0064:ff9b:0000:0000:0000:0000:"):
		return netip.AddrFrom4([4]byte(b[12:])), 96, true
	case strings.HasPrefix(a.StringExpanded(), "2002:"): // 6to4
		return netip.AddrFrom4([4]byte(b[2:6])), 16, true
	case strings.HasPrefix(a.StringExpanded(), "2001:0000:"): // Teredo: the client, inverted
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), 96, true
	}
	return a, 0, false
}

// longest finds what is said of an address by the longest prefix.
func longest(list []said, a netip.Addr) (s said, ok bool) {
	for _, x := range list {
		if x.prefix.Contains(a) && (!ok || x.prefix.Bits() > s.prefix.Bits()) {
			s, ok = x, true
		}
	}
	return s, ok
}

// far is the great circle between two points, as an angle: by the vectors to them.
func far(p, q point) float64 {
	v := func(p point) (x, y, z float64) {
		lat, lon := p[0]*math.Pi/180, p[1]*math.Pi/180
		return math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)
	}
	a, b, c := v(p)
	x, y, z := v(q)
	i, j, k := b*z-c*y, c*x-a*z, a*y-b*x
	return math.Atan2(math.Sqrt(i*i+j*j+k*k), a*x+b*y+c*z)
}

// order lists the regions as a client at an address tries them, with how many of those behind
// each are hardly farther; "" is nowhere.
func (o *oracle) order(a netip.Addr) (order []site, class string) {
	var from point
	home := ""
	if s, ok := longest(o.nets, a); ok {
		home = s.region
		from = o.regions[slices.IndexFunc(o.regions, func(r site) bool { return r.region == home })].at
	} else if s, ok := longest(o.said, a); !ok || slices.ContainsFunc(private, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) }) {
		return nil, ""
	} else {
		from = s.at
	}
	order = slices.Clone(o.regions)
	slices.SortStableFunc(order, func(x, y site) int {
		switch {
		case x.region == home:
			return -1
		case y.region == home:
			return 1
		case far(from, x.at) < far(from, y.at):
			return -1
		}
		return 1
	})
	for i, r := range order {
		reach := i
		for j := i + 1; j < len(order) && r.region != home && far(from, order[j].at) <= (1+o.within)*far(from, r.at); j++ {
			reach = j
		}
		class += fmt.Sprint(r.region, ">", reach, " ")
	}
	return order, class
}

// answer is what a client is due, and for how long a prefix.
func (o *oracle) answer(a netip.Addr) (addrs string, scope int) {
	v4, at, ok := inside(a)
	order, class := o.order(v4)
	var list []string
	first, _, _ := strings.Cut(class, " ")
	for i, r := range order {
		if _, reach, _ := strings.Cut(first, ">"); fmt.Sprint(i) <= reach { // there are fewer than ten
			list = append(list, r.addr)
		}
	}
	if order == nil {
		for _, r := range o.regions {
			list = append(list, r.addr)
		}
	}
	slices.Sort(list)
	if ok {
		a = v4
	}
	family, width := 1, 128
	if a.Is4() {
		family, width = 0, 32
	}
	n := number(a)
	for length := 0; length <= width; length++ { // the widest that is of one kind
		from, to := span(n, length)
		if a.Is4() {
			to = u128{to.hi &^ (1<<32 - 1), 0}
		}
		if o.uniform(from, to, family, class) {
			return strings.Join(list, " "), at + length
		}
	}
	panic("an address isn't of its own kind")
}

// uniform says whether all addresses of a block are of a class. What holds an IPv4
// address is of none: that is looked for in IPv4.
func (o *oracle) uniform(from, to u128, family int, class string) bool {
	look := func(n u128) bool {
		a := n.addr(family == 0)
		if _, _, other := inside(a); other {
			return false
		}
		_, c := o.order(a)
		return c == class
	}
	if !look(from) {
		return false
	}
	i, _ := slices.BinarySearchFunc(o.bounds[family], from, func(x, y u128) int {
		switch {
		case x.less(y):
			return -1
		case y.less(x):
			return 1
		}
		return 0
	})
	for ; i < len(o.bounds[family]) && !to.less(o.bounds[family][i]); i++ {
		if !look(o.bounds[family][i]) {
			return false
		}
	}
	return true
}

// index notes where anything begins or has ended.
func (o *oracle) index() {
	all := []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16")}
	for _, p := range private {
		all = append(all, netip.MustParsePrefix(p))
	}
	for _, s := range slices.Concat(o.said, o.nets) {
		all = append(all, s.prefix)
	}
	for _, p := range all {
		family, step := 1, u128{0, 1}
		if p.Addr().Is4() {
			family, step = 0, u128{1 << 32, 0}
		}
		first, last := span(number(p.Addr()), p.Bits())
		if family == 0 {
			last = u128{last.hi &^ (1<<32 - 1), 0}
		}
		lo, carry := bits.Add64(last.lo, step.lo, 0)
		hi, over := bits.Add64(last.hi, step.hi, carry)
		o.bounds[family] = append(o.bounds[family], first)
		if over == 0 {
			o.bounds[family] = append(o.bounds[family], u128{hi, lo})
		}
	}
	for f := range o.bounds {
		slices.SortFunc(o.bounds[f], func(x, y u128) int {
			switch {
			case x.less(y):
				return -1
			case y.less(x):
				return 1
			}
			return 0
		})
		o.bounds[f] = slices.Compact(o.bounds[f])
	}
}

// TestOracle: of any networks within each other, every client gets the closest region by the
// great circle, and the scope is the widest block of which that is true, exactly: through
// both ways to an answer.
func TestOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(19, 1))
	o := &oracle{within: .1}
	var clusters strings.Builder
	dir := t.TempDir()
	for i := range 6 {
		s := site{fmt.Sprint("region", i), fmt.Sprint("192.0.2.", i+1), point{math.Round(100*(math.Asin(2*r.Float64()-1)*180/math.Pi)) / 100, math.Round(100*(360*r.Float64()-180)) / 100}}
		o.regions = append(o.regions, s)
		writeSite(t, dir, s)
		fmt.Fprintf(&clusters, "  cluster %s {\n   manifests %s/%s\n   location %v %v\n  }\n", s.region, dir, s.region, s.at[0], s.at[1])
	}
	places := make([]point, 60)
	for i := range places {
		places[i] = point{math.Round(100*(math.Asin(2*r.Float64()-1)*180/math.Pi)) / 100, math.Round(100*(360*r.Float64()-180)) / 100}
	}
	within := []netip.Prefix{}
	seen := map[netip.Prefix]bool{}
	for _, cidr := range []string{"8.0.0.0/6", "96.0.0.0/4", "160.0.0.0/3", "10.0.0.0/8", "192.168.0.0/16", "2400::/12", "2600::/12", "2a00::/11", "fd00::/8"} {
		within = append(within, netip.MustParsePrefix(cidr))
	}
	for range 1500 { // some of them in those before
		base := within[r.IntN(len(within))]
		most := 30
		if base.Addr().Is6() {
			most = 60
		}
		if base.Bits() >= most {
			continue
		}
		p, _ := somewhere(r, base).Prefix(min(most, base.Bits()+1+r.IntN(8)))
		if p = p.Masked(); seen[p] {
			continue
		}
		seen[p] = true
		within = append(within, p)
		o.said = append(o.said, said{prefix: p, at: places[r.IntN(len(places))]})
	}
	slices.SortStableFunc(o.said, func(a, b said) int { return a.prefix.Bits() - b.prefix.Bits() }) // the writer has the later over the former
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, RecordSize: 28, BuildEpoch: built.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range o.said {
		_, n, _ := net.ParseCIDR(s.prefix.String())
		if err := tree.Insert(n, mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float64(s.at[0]), "longitude": mmdbtype.Float64(s.at[1])}}); err != nil {
			t.Fatal(err)
		}
	}
	replace(t, dir+"/City.mmdb", bytesOf(t, tree))
	var lines strings.Builder
	for range 25 {
		p := within[r.IntN(len(within))]
		if slices.ContainsFunc(o.nets, func(s said) bool { return s.prefix == p }) {
			continue
		}
		n := said{prefix: p, region: o.regions[r.IntN(len(o.regions))].region}
		o.nets = append(o.nets, n)
		fmt.Fprintf(&lines, "  nets %s %s\n", n.prefix, n.region)
	}
	o.index()

	// Clients: at the edges of what is said, beside it, and anywhere, in every form.
	var clients []netip.Addr
	for _, s := range slices.Concat(o.said, o.nets) {
		if r.IntN(3) > 0 {
			continue
		}
		e := edges(s.prefix)
		clients = append(clients, e[0], e[1], e[0].Prev(), e[1].Next(), somewhere(r, s.prefix))
	}
	for _, p := range append(private, "0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0", "2000::/3", "::/0") {
		n := netip.MustParsePrefix(p)
		e := edges(n)
		clients = append(clients, e[0], e[1], e[0].Prev(), e[1].Next(), somewhere(r, n), somewhere(r, n))
	}
	for _, a := range slices.Clone(clients) {
		if b := a.AsSlice(); a.Is4() && r.IntN(3) == 0 {
			forms := [][]byte{slices.Concat([]byte{0x20, 2}, b, make([]byte, 10)), slices.Concat([]byte{0, 0x64, 0xff, 0x9b}, make([]byte, 8), b), slices.Concat(make([]byte, 10), []byte{255, 255}, b),
				{0x20, 1, 0, 0, 1, 2, 3, 4, 0, 0, 9, 9, ^b[0], ^b[1], ^b[2], ^b[3]}}
			f, _ := netip.AddrFromSlice(forms[r.IntN(len(forms))])
			clients = append(clients, f)
		}
	}
	clients = slices.DeleteFunc(clients, func(a netip.Addr) bool { return !a.IsValid() })
	asked, wrong, wide, narrow := 0, 0, 0, 0
	for _, way := range []string{"on", "off"} {
		s := server.Start(t, "example.com:PORT {\n bind ADDR\n ready READY\n errors\n federation fed {\n"+clusters.String()+"  policy nearest within 10%\n  geo "+dir+"/City.mmdb\n"+lines.String()+"  fast "+way+"\n }\n}\n")
		server.Eventually(t, 20*time.Second, "it answers", func() bool {
			return read(s.Exchange(t, "udp", question("web", dns.TypeA, "8.8.8.8/32"))).rcode == "NOERROR"
		})
		for _, a := range clients {
			want, scope := o.answer(a)
			got := read(s.Exchange(t, "udp", question("web", dns.TypeA, netip.PrefixFrom(a, a.BitLen()).String())))
			asked++
			switch {
			case got.addrs != want:
				wrong++
			case got.scope < scope:
				wide++
			case got.scope > scope:
				narrow++
			default:
				continue
			}
			if wrong+wide+narrow < 10 {
				t.Errorf("fast %s: %s gets %v; want %s for /%d", way, a, got, want, scope)
			}
		}
		s.Stop()
	}
	t.Logf("%d answers to %d clients, of %d networks and %d nets: %d wrong, %d scopes too wide, %d too narrow", asked, len(clients), len(o.said), len(o.nets), wrong, wide, narrow)
	if asked < 4000 {
		t.Errorf("only %d answers", asked)
	}
}

// writeSite writes down a region of one cluster.
func writeSite(t *testing.T, dir string, s site) {
	t.Helper()
	zone := s.region + "-a"
	vector.WriteManifest(t, filepath.Join(dir, s.region, "all.json"), vector.Node("n", s.region, zone), vector.Service("shop", "web", s.addr), vector.Slice("shop", "web", true, zone))
}
