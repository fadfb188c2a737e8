package geo

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A said is one line of a layer.
type said struct {
	prefix netip.Prefix
	place  Place
}

type layer []said

func (l layer) all() iter.Seq2[netip.Prefix, Place] {
	return func(yield func(netip.Prefix, Place) bool) {
		for _, s := range l {
			if !yield(s.prefix, s.place) {
				return
			}
		}
	}
}

// oracle is Build and Lookup without any cleverness: the ranking of an address.
func oracle(a *Atlas, nets []Net, layers []layer, addr netip.Addr) string {
	addr = Embedded(addr)
	longest, region := -1, ""
	for _, n := range nets {
		if n.Prefix.Contains(addr) && n.Prefix.Bits() > longest {
			longest, region = n.Prefix.Bits(), n.Region
		}
	}
	if longest >= 0 {
		return order(a, from(a, region))
	}
	var place Place
	for _, l := range layers {
		longest := -1
		for _, s := range l {
			if s.prefix.Contains(addr) && s.prefix.Bits() >= longest {
				longest, place = s.prefix.Bits(), s.place
			}
		}
	}
	if place.Source == Unknown {
		return ""
	}
	return order(a, a.Rank(place.Point))
}

// TestTable builds of random layers and compares with the oracle: the edges of every
// block, addresses within and around it, and the forms of those of IPv4.
func TestTable(t *testing.T) {
	a := worldAtlas(t)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		// Few places, so that neighbours are often equal and must be merged.
		places := []Place{{}, {randomPoint(r), City}, {randomPoint(r), Country}, {randomPoint(r), Continent}}
		var layers []layer
		for range r.IntN(4) {
			var l layer
			for range r.IntN(40) {
				l = append(l, said{randomPrefix(r), places[r.IntN(len(places))]})
			}
			if r.IntN(2) == 0 { // as a database has them
				slices.SortStableFunc(l, func(x, y said) int { return x.prefix.Compare(y.prefix) })
			}
			layers = append(layers, l)
		}
		nets := map[netip.Prefix]Net{}
		for range r.IntN(10) {
			n := Net{randomPrefix(r), []string{"", "va", "jp"}[r.IntN(3)]}
			nets[n.Prefix] = n
		}
		var list []Net
		for _, n := range nets {
			list = append(list, n)
		}
		table, err := Build(a, list, sequences(layers)...)
		if err != nil {
			t.Fatal(err)
		}
		check(t, table, func(addr netip.Addr) string { return oracle(a, list, layers, addr) }, r)
		if t.Failed() {
			t.Fatalf("seed %d\nlayers %v\nnets %v", seed, layers, list)
		}
	}
}

func sequences(layers []layer) (out []iter.Seq2[netip.Prefix, Place]) {
	for _, l := range layers {
		out = append(out, l.all())
	}
	return out
}

// check compares a table's blocks with what is said of addresses in them.
func check(t *testing.T, table *Table, want func(netip.Addr) string, r *rand.Rand) {
	t.Helper()
	ask := func(addr netip.Addr, block netip.Prefix, id RankingID) {
		t.Helper()
		gotID, bits := table.Lookup(addr)
		got, err := addr.Prefix(bits)
		if err != nil || got != block || gotID != id {
			t.Errorf("%v: ranking %d in %v, %v; want %d in %v", addr, gotID, got, err, id, block)
		}
		if got, want := order(table.atlas, table.Ranking(gotID)), want(addr); got != want {
			t.Errorf("%v: %q, want %q", addr, got, want)
		}
	}
	proper(t, table)
	var before netip.Prefix
	var beforeID RankingID
	next := netip.MustParseAddr("0.0.0.0")
	for block, id := range table.Blocks() {
		switch {
		case block.Addr() == next:
		case !next.IsValid() && block.Addr() == netip.IPv6Unspecified(): // the first of IPv6
		case next.Is6() && isForm(next):
		default:
			t.Errorf("after %v comes %v", before, block)
		}
		if id == beforeID && block.Bits() > 0 && block.Bits() == before.Bits() && parent(block) == parent(before) {
			t.Errorf("%v and %v are one block of ranking %d", before, block, id)
		}
		first, last := edges(block)
		ask(first, block, id)
		ask(last, block, id)
		ask(between(r, block), block, id)
		if block.Addr().Is4() {
			for _, f := range forms {
				for _, v4 := range []netip.Addr{first, last, between(r, block)} {
					addr := inForm(r, f, v4)
					form, _ := addr.Prefix(f.at + block.Bits())
					if len(table.v4.ids) == 1 {
						_, bits := table.Lookup(addr)
						form, _ = addr.Prefix(bits)
						if bits > f.prefix.Bits() {
							t.Errorf("%v: a block of %d bits, though all of %v is one", addr, bits, f.prefix)
						}
					}
					ask(addr, form, id)
					first, last := edges(form)
					ask(first, form, id)
					ask(last, form, id)
				}
			}
		}
		before, beforeID, next = block, id, last.Next()
		for next.Is6() && isForm(next) && len(table.v4.ids) > 1 {
			_, last := edges(formPrefix(next))
			next = last.Next()
		}
	}
	if next.IsValid() {
		t.Errorf("nothing is said of %v", next)
	}
}

// proper checks that runs follow each other, and differ.
func proper(t *testing.T, table *Table) {
	t.Helper()
	for i := 1; i < len(table.v4.ids); i++ {
		if table.v4.starts[i] <= table.v4.starts[i-1] || table.v4.ids[i] == table.v4.ids[i-1] {
			t.Errorf("run %d of IPv4: %v", i, table.v4)
		}
	}
	for i := 1; i < len(table.v6.ids); i++ {
		if table.v6.starts[i] <= table.v6.starts[i-1] || table.v6.ids[i] == table.v6.ids[i-1] {
			t.Errorf("run %d of IPv6: %v", i, table.v6)
		}
	}
	for i := 1; i < len(table.deep); i++ {
		if table.deep[i].start.compare(table.deep[i-1].start) <= 0 {
			t.Errorf("run %d of divided /64s: %v", i, table.deep)
		}
	}
}

func isForm(a netip.Addr) bool { _, ok := formOf(netip.PrefixFrom(a, 128)); return ok }

func formPrefix(a netip.Addr) netip.Prefix {
	f, _ := formOf(netip.PrefixFrom(a, 128))
	return f.prefix
}

func parent(p netip.Prefix) netip.Prefix {
	q, _ := p.Addr().Prefix(p.Bits() - 1)
	return q
}

func edges(p netip.Prefix) (first, last netip.Addr) {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(b)
	return p.Masked().Addr(), last
}

func between(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		if r.IntN(2) == 0 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// inForm is an address of a form that holds an IPv4 one.
func inForm(r *rand.Rand, f form, v4 netip.Addr) netip.Addr {
	b := between(r, f.prefix).As16()
	v := v4.As4()
	for i := range v {
		if f.flip {
			v[i] = ^v[i]
		}
		b[f.at/8+i] = v[i]
	}
	return netip.AddrFrom16(b)
}

// randomPrefix is one of those that lie within, beside and around each other.
func randomPrefix(r *rand.Rand) netip.Prefix {
	near := []string{"0.0.0.0", "10.0.0.0", "192.0.2.0", "192.0.3.255", "255.255.255.0", "::", "::c000:201", "2001:db8::", "2001:db8:0:1::", "2003::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0"}
	a := netip.MustParseAddr(near[r.IntN(len(near))])
	b := a.AsSlice()
	for range 2 {
		i := r.IntN(8 * len(b))
		b[i/8] ^= 0x80 >> (i % 8)
	}
	a, _ = netip.AddrFromSlice(b)
	length := r.IntN(a.BitLen() + 1)
	if r.IntN(4) > 0 {
		length = max(length, min(r.IntN(20)+12, a.BitLen()))
	}
	p, _ := a.Prefix(length)
	if f, ok := formOf(p); ok && f.prefix.Bits() <= p.Bits() {
		return randomPrefix(r)
	}
	return p
}

func TestEmbedded(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "2001:db8::1"},
		{"fe80::1%eth0", "fe80::1"},
		{"::192.0.2.1", "::c000:201"}, // IPv4-compatible is no longer of any use
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1%eth0", "192.0.2.1"},
		{"64:ff9b::192.0.2.33", "192.0.2.33"},            // RFC 6052 2.4
		{"64:ff9b:1::192.0.2.33", "64:ff9b:1::c000:221"}, // for local use, RFC 8215
		{"2002:c000:201:1::1", "192.0.2.1"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"}, // as Wikipedia has it
		{"2001:1::1", "2001:1::1"},
	} {
		if got := Embedded(netip.MustParseAddr(tt.addr)); got != netip.MustParseAddr(tt.want) {
			t.Errorf("%s: %v, want %s", tt.addr, got, tt.want)
		}
	}
	if got := Embedded(netip.Addr{}); got.IsValid() {
		t.Error(got)
	}
}

func TestLookup(t *testing.T) {
	a := worldAtlas(t)
	place := func(region string) Place { p, _ := a.Place(region); return p }
	table, err := Build(a, []Net{
		net(t, "10.0.0.0/8", "be"),
		net(t, "10.1.0.0/16", "va"),
		net(t, "192.0.2.128/25", ""),
		net(t, "2001:db8:1::/48", "sg"),
		net(t, "::ffff:198.51.100.0/120", "au"),
	}, layer{
		{netip.MustParsePrefix("192.0.2.0/24"), place("jp")},
		{netip.MustParsePrefix("192.0.3.0/24"), place("jp")},
		{netip.MustParsePrefix("10.0.0.0/7"), place("jp")},
		{netip.MustParsePrefix("203.0.113.0/24"), place("jp")},
		{netip.MustParsePrefix("203.0.113.0/32"), place("in")},
		{netip.MustParsePrefix("203.0.113.255/32"), place("in")},
		{netip.MustParsePrefix("2001:db8::/32"), place("jp")},
		{netip.MustParsePrefix("2002::/15"), place("jp")}, // 6to4, and as much again
		{netip.MustParsePrefix("2a00::/64"), place("jp")},
		{netip.MustParsePrefix("2a00::ffff:ffff:ffff:ffff/128"), place("in")},
	}.all())
	if err != nil {
		t.Fatal(err)
	}
	proper(t, table)
	for _, tt := range []struct{ addr, first, block string }{
		{"10.0.0.1", "be", "10.0.0.0/16"},
		{"10.1.0.1", "va", "10.1.0.0/16"},
		{"10.255.0.1", "be", "10.128.0.0/9"},
		{"11.0.0.1", "jp", "11.0.0.0/8"},
		{"9.0.0.1", "", "8.0.0.0/7"},
		{"192.0.2.1", "jp", "192.0.2.0/25"},
		{"192.0.2.129", "", "192.0.2.128/25"},
		{"192.0.3.1", "jp", "192.0.3.0/24"},
		{"198.51.100.1", "au", "198.51.100.0/24"},
		{"203.0.113.0", "in", "203.0.113.0/32"},
		{"203.0.113.1", "jp", "203.0.113.1/32"},
		{"203.0.113.254", "jp", "203.0.113.254/32"},
		{"203.0.113.255", "in", "203.0.113.255/32"},
		{"203.0.114.1", "", "203.0.114.0/23"},
		{"2001:db8::1", "jp", "2001:db8::/48"},
		{"2001:db8:1::1%eth0", "sg", "2001:db8:1::/48"},
		{"2001:db8:8000::1", "jp", "2001:db8:8000::/33"},
		{"2003::1", "jp", "2003::/16"},
		{"2a00::1", "jp", "2a00::/65"},
		{"2a00::ffff:ffff:ffff:fffe", "jp", "2a00::ffff:ffff:ffff:fffe/128"},
		{"2a00::ffff:ffff:ffff:ffff", "in", "2a00::ffff:ffff:ffff:ffff/128"},
		{"2a00:0:0:1::", "", "2a00:0:0:1::/64"},
		{"ff02::1", "", "8000::/1"},
		{"::ffff:10.1.2.3", "va", "::ffff:10.1.0.0/112"},
		{"64:ff9b::10.1.2.3", "va", "64:ff9b::a01:0/112"},
		{"2002:a01:203::1", "va", "2002:a01::/32"},
		{"2001:0:4136:e378:8000:63bf:f5fe:fdfc", "va", "2001:0:4136:e378:8000:63bf:f5fe:0/112"},
		{"2002:900::1", "", "2002:800::/23"},
	} {
		addr := netip.MustParseAddr(tt.addr)
		id, bits := table.Lookup(addr)
		block, _ := addr.WithZone("").Prefix(bits)
		first, _, _ := strings.Cut(order(a, table.Ranking(id)), " ")
		if first != tt.first || block.String() != netip.MustParsePrefix(tt.block).String() {
			t.Errorf("%s: %q in %v, want %q in %s", tt.addr, first, block, tt.first, tt.block)
		}
	}
	if id, bits := table.Lookup(netip.Addr{}); id != 0 || bits != 0 {
		t.Errorf("no address: ranking %d in /%d", id, bits)
	}
	if got := table.Rankings(); got != 6 { // jp and in by the database, and be, va, sg, au by nets
		t.Errorf("%d rankings", got)
	}
	for addr, want := range map[string]string{
		"10.1.0.1": "10.1.0.0/16 va", "10.2.0.1": "10.0.0.0/8 be", "192.0.2.200": "192.0.2.128/25 ", "192.0.2.1": "",
		"2002:a01:203::1": "10.1.0.0/16 va", "::ffff:198.51.100.7": "198.51.100.0/24 au", "2001:db8:1::%a": "2001:db8:1::/48 sg",
	} {
		n, ok := table.Net(netip.MustParseAddr(addr))
		if got := fmt.Sprint(n.Prefix, " ", n.Region); ok && got != want || ok == (want == "") {
			t.Errorf("nets of %s: %q, want %q", addr, got, want)
		}
	}
}

func net(t *testing.T, cidr, region string) Net {
	t.Helper()
	n, err := ParseNet(cidr, region)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUniform: what is one, is one block, whatever form it is asked in.
func TestUniform(t *testing.T) {
	a := worldAtlas(t)
	tokyo := Place{Point{35.68, 139.69}, City}
	everywhere := layer{{netip.MustParsePrefix("0.0.0.0/0"), tokyo}, {netip.MustParsePrefix("::/0"), tokyo}}
	for _, tt := range []struct {
		name   string
		atlas  *Atlas
		layers []layer
		id     RankingID
	}{
		{"nothing is known", a, nil, 0},
		{"a layer that says nothing", a, []layer{nil}, 0},
		{"one place", a, []layer{everywhere}, 1},
		{"one place, in halves", a, []layer{{
			{netip.MustParsePrefix("0.0.0.0/1"), tokyo}, {netip.MustParsePrefix("128.0.0.0/1"), Place{tokyo.Point, Country}},
			{netip.MustParsePrefix("::/1"), tokyo}, {netip.MustParsePrefix("8000::/1"), Place{Point{35.6, 139.6}, City}},
		}}, 1},
		{"no region's place is known", NewAtlas(map[string]Place{"a": {}, "b": {}}), []layer{everywhere}, 0},
		{"there is no region", NewAtlas(nil), []layer{everywhere}, 0},
	} {
		table, err := Build(tt.atlas, nil, sequences(tt.layers)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::ffff:192.0.2.1", "64:ff9b::1", "2001::1", "2001:db8::1", "2002::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			if id, bits := table.Lookup(netip.MustParseAddr(addr)); id != tt.id || bits != 0 {
				t.Errorf("%s: %s: ranking %d in /%d, want %d in /0", tt.name, addr, id, bits, tt.id)
			}
		}
		if got := table.Rankings(); got != int(tt.id) {
			t.Errorf("%s: %d rankings", tt.name, got)
		}
	}
}

func TestNets(t *testing.T) {
	for _, tt := range []struct{ cidr, want, err string }{
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"2001:db8::/32", "2001:db8::/32", ""},
		{"192.0.2.1/32", "192.0.2.1/32", ""},
		{"0.0.0.0/0", "0.0.0.0/0", ""},
		{"::/0", "::/0", ""},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", ""},
		{"2000::/3", "2000::/3", ""},
		{"10.1.2.3/8", "", "10.1.2.3/8 has bits beyond its length; the network is 10.0.0.0/8"},
		{"10.0.0.0", "", `"10.0.0.0" is not a network such as 192.0.2.0/24 or 2001:db8::/32`},
		{"fe80::%eth0/10", "", `"fe80::%eth0/10" is not a network such as 192.0.2.0/24 or 2001:db8::/32`},
		{"2002:a00::/24", "", "2002:a00::/24: addresses in 2002::/16 hold an IPv4 address and have the place of that; name the IPv4 network"},
		{"2001::/32", "", "2001::/32: addresses in 2001::/32 hold an IPv4 address and have the place of that; name the IPv4 network"},
		{"64:ff9b::a00:0/104", "", "64:ff9b::a00:0/104: addresses in 64:ff9b::/96 hold an IPv4 address and have the place of that; name the IPv4 network"},
	} {
		n, err := ParseNet(tt.cidr, "va")
		if errorText(err) != tt.err || err == nil && (n.Prefix.String() != tt.want || n.Region != "va") {
			t.Errorf("%s: %v, %v; want %s, %s", tt.cidr, n, err, tt.want, tt.err)
		}
	}
	a := NewAtlas(map[string]Place{"va": {}, "be": {}})
	for _, tt := range []struct {
		nets []Net
		err  string
	}{
		{[]Net{net(t, "10.0.0.0/8", "mars")}, `nets 10.0.0.0/8: there is no region "mars"; there are: be, va`},
		{[]Net{net(t, "10.0.0.0/8", "va"), net(t, "::ffff:10.0.0.0/104", "be")}, "nets 10.0.0.0/8: the network is there twice"},
	} {
		if _, err := Build(a, tt.nets); errorText(err) != tt.err {
			t.Errorf("%v: %v, want %s", tt.nets, err, tt.err)
		}
	}
	// Regions without a place are good enough to be in.
	table, err := Build(a, []Net{net(t, "10.0.0.0/8", "va")})
	if err != nil {
		t.Fatal(err)
	}
	if id, bits := table.Lookup(netip.MustParseAddr("10.2.3.4")); order(a, table.Ranking(id)) != "va be" || bits != 8 {
		t.Errorf("ranking %d in /%d", id, bits)
	}
}

func TestLookupAllocates(t *testing.T) {
	table := randomTable(t, 1000)
	addrs := []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2a00:1450::1"), netip.MustParseAddr("2002:c000:201::1")}
	if n := testing.AllocsPerRun(100, func() {
		for _, a := range addrs {
			id, _ := table.Lookup(a)
			r := table.Ranking(id)
			_ = r.Order()
		}
	}); n != 0 { // nothing: rankings are made when the table is
		t.Errorf("%v allocations", n)
	}
}

// randomTable has n runs of each family, whose lengths vary as those of a database do.
func randomTable(t testing.TB, n int) *Table {
	a := worldAtlas(t, 5)
	r := rand.New(rand.NewPCG(1, 2))
	points := make([]Place, 5000)
	for i := range points {
		points[i] = Place{randomPoint(r), City}
	}
	table, err := Build(a, nil, randomNetworks(r, n, points))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// randomNetworks cuts the addresses in use into about n networks of each family, in
// order: those of IPv4 of 18 to 26 bits, those of IPv6 of 32 to 56 within 2000::/4.
func randomNetworks(r *rand.Rand, n int, places []Place) iter.Seq2[netip.Prefix, Place] {
	seed := r.Uint64()
	return func(yield func(netip.Prefix, Place) bool) {
		r := rand.New(rand.NewPCG(seed, 0))
		var cut func(p netip.Prefix, n int, shortest, longest int) bool
		cut = func(p netip.Prefix, n int, shortest, longest int) bool {
			if p.Bits() >= longest || n <= 1 && p.Bits() >= shortest {
				return yield(p, places[r.IntN(len(places))])
			}
			if n == 0 {
				return true
			}
			left := n/2 + r.IntN(n/4+1) - n/8
			half := netip.PrefixFrom(p.Addr(), p.Bits()+1)
			_, last := edges(half)
			return cut(half, left, shortest, longest) && cut(netip.PrefixFrom(last.Next(), half.Bits()), n-left, shortest, longest)
		}
		_ = cut(netip.MustParsePrefix("0.0.0.0/0"), n, 8, 30) && cut(netip.MustParsePrefix("2000::/4"), n, 20, 64)
	}
}

func BenchmarkLookup(b *testing.B) {
	table := randomTable(b, 1_150_000)
	b.Logf("%d runs of IPv4, %d of IPv6, %d rankings; %d and %d bytes, and %d of rankings", len(table.v4.ids), len(table.v6.ids), table.Rankings(),
		8*len(table.v4.ids)+4*len(table.v4.index), 12*len(table.v6.ids)+24*len(table.deep)+4*len(table.v6.index), 2*len(table.rankings))
	r := rand.New(rand.NewPCG(3, 4))
	for _, bb := range []struct{ name, within string }{{"IPv4", "0.0.0.0/0"}, {"IPv6", "2000::/4"}, {"6to4", "2002::/16"}, {"mapped", "::ffff:0:0/96"}, {"private", "fc00::/7"}} {
		addrs := make([]netip.Addr, 1<<16)
		for i := range addrs {
			addrs[i] = between(r, netip.MustParsePrefix(bb.within))
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Lookup(addrs[i&(1<<16-1)])
				i++
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	a := worldAtlas(b, 5)
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]Place, 50_000)
	for i := range places {
		places[i] = Place{randomPoint(r), City}
	}
	var networks layer
	for prefix, place := range randomNetworks(r, 500_000, places) {
		networks = append(networks, said{prefix, place})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(a, nil, networks.all()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(networks)), "networks")
}
