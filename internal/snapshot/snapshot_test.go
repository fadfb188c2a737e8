package snapshot

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fedns/fedns/internal/topology"
)

func shard(region, zone, addr string) Shard {
	return Shard{Place: topology.Place{Region: region, Zone: zone}, Addr: netip.MustParseAddr(addr)}
}

// An address that stands in several zones counts once in the wider scopes.
func TestFreeze(t *testing.T) {
	in := []Shard{
		shard("us", "b", "192.0.2.1"), shard("us", "a", "192.0.2.1"), shard("us", "a", "192.0.2.1"),
		shard("eu", "a", "192.0.2.2"), shard("us", "a", "192.0.2.2"), shard("", "", "192.0.2.3"),
	}
	want := (&Service{Shards: append([]Shard(nil), in...)}).Freeze()
	for _, tt := range []struct {
		scope topology.Scope
		n     int
	}{
		{topology.Global, 3},
		{topology.Scope{Region: "us"}, 2},
		{topology.Scope{Region: "us", Zone: "a"}, 2},
		{topology.Scope{Region: "us", Zone: "b"}, 1},
		{topology.Scope{Region: "eu"}, 1},
		{topology.Scope{Region: "asia"}, 0},
		{topology.Scope{Region: "asia", Zone: "a"}, 0},
	} {
		run := want.In(tt.scope)
		if held := slices.DeleteFunc(slices.Clone(want.Shards), func(s Shard) bool { return !tt.scope.Holds(s.Place) }); !slices.Equal(run, held) {
			t.Errorf("%v: %v, want %v", tt.scope, run, held)
		}
		n := 0
		for _, s := range run {
			if s.Widest <= tt.scope.Width() {
				n++
			}
		}
		if n != tt.n {
			t.Errorf("%v: %d addresses, want %d", tt.scope, n, tt.n)
		}
	}
	for range 50 { // steady state has no history
		rand.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		if got := (&Service{Shards: append([]Shard(nil), in...)}).Freeze(); !reflect.DeepEqual(got, want) {
			t.Fatalf("the order of the input shows:\n got %v\nwant %v", got, want)
		}
	}
}

// A federation edited many times is the one a plain map describes, and no edit
// shows in the states before it.
func TestEdit(t *testing.T) {
	f := NewFederation("fed")
	model := map[Key]*Service{}
	type state struct {
		f    *Federation
		size int
	}
	var past []state
	for i := range 2000 {
		e := f.Edit()
		for range 1 + rand.IntN(5) {
			k := Key{Namespace: fmt.Sprint("ns", rand.IntN(10)), Name: fmt.Sprint("s", rand.IntN(200)), Kind: Kind(rand.IntN(2))}
			if rand.IntN(2) == 0 {
				delete(model, k)
				e.Remove(k)
				continue
			}
			s := &Service{Key: k, TTL: uint32(i)}
			model[k] = s
			e.Set(s)
		}
		f = e.Done()
		past = append(past, state{f, len(model)})
	}
	spaces, kinds := map[space]int{}, map[Kind]int{}
	for k, s := range model {
		if f.Service(k) != s {
			t.Fatalf("%v: %v, want %v", k, f.Service(k), s)
		}
		spaces[space{k.Namespace, k.Kind}]++
		kinds[k.Kind]++
	}
	n := 0
	for s := range f.Services() {
		if model[s.Key] != s {
			t.Fatalf("%v is still there", s.Key)
		}
		n++
	}
	if n != len(model) {
		t.Fatalf("%d services, want %d", n, len(model))
	}
	for _, k := range Kinds {
		if f.Kind(k) != (kinds[k] > 0) {
			t.Errorf("kind %v: %v", k, f.Kind(k))
		}
		for i := range 11 {
			ns := fmt.Sprint("ns", i)
			if f.Namespace(k, ns) != (spaces[space{ns, k}] > 0) {
				t.Errorf("namespace %s: %v", ns, f.Namespace(k, ns))
			}
		}
	}
	for i, p := range past {
		n := 0
		for range p.f.Services() {
			n++
		}
		if n != p.size || p.f.Size() != p.size {
			t.Fatalf("state %d has %d services (and says %d), had %d", i, n, p.f.Size(), p.size)
		}
	}
}

// One row is one publication: what is answered (a digest), when that was made and when it
// is learned. The serial is that of the moment, and what it becomes.
func TestVersion(t *testing.T) {
	for name, rows := range map[string][]struct {
		digest      uint64
		made, now   int64
		serial, due uint32
	}{
		"changes in one second share what they come to": {
			{1, 0, 1000, 1001, 1001}, // the first is whole at once: nobody has been there
			{1, 0, 1005, 1001, 1001},
			{2, 0, 1005, 1005, 1006},
			{3, 0, 1005, 1005, 1006},
			{4, 0, 1005, 1005, 1006},
			{4, 0, 1006, 1005, 1006},
			{4, 0, 1007, 1006, 1006},
			{5, 0, 1007, 1007, 1008},
			{6, 0, 1008, 1008, 1009},
			{7, 0, 1020, 1020, 1021},
		},
		"in the first second": {
			{1, 0, 1000, 1001, 1001},
			{2, 0, 1000, 1001, 1002},
			{3, 0, 1001, 1001, 1002},
			{3, 0, 1003, 1002, 1002},
			{4, 0, 1003, 1003, 1004},
		},
		"what is answered stays": {
			{1, 0, 1000, 1001, 1001},
			{1, 0, 2000, 1001, 1001},
			{1, 1500, 2000, 1001, 1001},
		},
		"learned late": {
			{1, 900, 1000, 901, 901},
			{2, 950, 1000, 951, 951},
			{3, 950, 1000, 1000, 1001}, // it takes the place of something newer
			{4, 1000, 1001, 1000, 1001},
			{5, 1000, 1003, 1003, 1004},
			{6, 1003, 1003, 1003, 1004},
			{7, 1004, 1004, 1004, 1005},
			{8, 2000, 1010, 1010, 1011}, // a clock that is ahead
		},
		"the clock is set back": {
			{1, 0, 1000, 1001, 1001},
			{2, 0, 900, 1002, 1002},
			{3, 0, 900, 1003, 1003},
			{4, 0, 1004, 1004, 1005},
			{4, 0, 1006, 1005, 1005},
		},
		"the clock is at its end": {
			{1, 0, 1<<32 - 3, 1<<32 - 2, 1<<32 - 2},
			{2, 0, 1<<32 - 1, 1<<32 - 1, 1}, // 0 is left out
			{2, 0, 1<<32 + 2, 1, 1},
			{3, 0, 1<<32 + 5, 5, 6},
		},
	} {
		// Of before anything is known, time makes nothing else.
		if early := (Version{Serial: 900}); early.At(1000) != early || early.Pending() {
			t.Errorf("%+v at 1000 is %+v, pending %v", early, early.At(1000), early.Pending())
		}
		var v Version
		for i, tt := range rows {
			v = v.Next(tt.digest, tt.made, tt.now)
			if v.Serial != tt.serial || v.Due != tt.due || v.Digest != tt.digest || v.Publication != uint64(i+1) {
				t.Errorf("%s: step %d: %+v, want serial %d, due %d", name, i, v, tt.serial, tt.due)
			}
		}
	}
}

// Servers that learn the same history, each after its own delay of less than a second and
// in as many publications as it likes, say the same in the end; and no serial goes back,
// nor stays when what is answered has changed and its second is over.
func TestVersionsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.SliceOfN(rapid.Int64Range(0, 3000), 1, 20).Draw(t, "gaps in ms")
		type server struct {
			v     Version
			delay int64
		}
		servers := []*server{{}, {}, {}}
		for i, s := range servers {
			s.delay = rapid.Int64Range(0, 999).Draw(t, fmt.Sprint("delay ", i))
			s.v = s.v.Next(1, 1000, 1_000_500)
		}
		at := int64(2_000_000)
		var made []int64
		for _, gap := range changes {
			at += gap
			made = append(made, at)
		}
		for i, s := range servers {
			for n := 0; n < len(made); {
				to := rapid.IntRange(n, len(made)-1).Draw(t, fmt.Sprint("publishes up to ", i))
				if made[to]-made[n] >= 999-s.delay { // it hasn't been learned so late
					to = n
				}
				was := s.v
				now := (made[to] + s.delay) / 1000
				s.v = s.v.Next(uint64(to+2), made[to]/1000, now)
				if later(was.Serial, s.v.Serial) || s.v.At(now+4).Serial == was.Serial {
					t.Fatalf("from %+v to %+v at %d", was, s.v, now)
				}
				n = to + 1
			}
		}
		for _, s := range servers {
			if v := s.v.At(at/1000 + 5); v.Serial != servers[0].v.At(at/1000+5).Serial || v.Pending() {
				t.Fatalf("%+v and %+v", servers[0].v, v)
			}
		}
	})
}

// The digest is of what is answered, in whatever order it was put together, and of
// nothing else.
func TestSum(t *testing.T) {
	us, eu := topology.Place{Region: "us"}, topology.Place{Region: "eu", Zone: "eu-a"}
	shard := func(p topology.Place, a string) Shard { return Shard{Place: p, Addr: netip.MustParseAddr(a)} }
	key := Key{Namespace: "shop", Name: "web"}
	build := func(changes ...func(*Service)) uint64 {
		s := &Service{Key: key, Shards: []Shard{shard(us, "192.0.2.1"), shard(eu, "192.0.2.2")}, Ports: []Port{{Name: "http", Proto: "tcp", Number: 80}}}
		for _, change := range changes {
			change(s)
		}
		e := NewFederation("fed").Edit()
		e.Set(&Service{Key: Key{Namespace: "shop", Name: "gone"}})
		e.Set(&Service{Key: key})
		e.Set(s.Freeze())
		e.Remove(Key{Namespace: "shop", Name: "gone"})
		e.Topology(topology.New([]topology.Place{us, eu}))
		return (&Snapshot{Federations: []*Federation{e.Done()}}).Sum(7)
	}
	as := build()
	for name, change := range map[string]func(*Service){
		"order":    func(s *Service) { slices.Reverse(s.Shards) },
		"clusters": func(s *Service) { s.Shards[0].Cluster = 3 },
		"why":      func(s *Service) { s.Down, s.Note = "no shard is up", "n" },
		"for now":  func(s *Service) { s.Recent = []Recent{{Place: us}}; s.Awaits = []Await{{What: "w"}} },
		"twice":    func(s *Service) { s.Shards = append(s.Shards, s.Shards[0]) },
	} {
		if build(change) != as {
			t.Errorf("%s: another digest", name)
		}
	}
	seen := map[uint64]string{as: "as it is"}
	for name, change := range map[string]func(*Service){
		"address": func(s *Service) { s.Shards[0].Addr = netip.MustParseAddr("192.0.2.9") },
		"mapped":  func(s *Service) { s.Shards[0].Addr = netip.MustParseAddr("::ffff:192.0.2.1") },
		"place":   func(s *Service) { s.Shards[0].Place = eu },
		"zone":    func(s *Service) { s.Shards[1].Place.Zone = "eu-b" },
		"weight":  func(s *Service) { s.Shards[0].Weight = 9 },
		"fewer":   func(s *Service) { s.Shards = s.Shards[:1] },
		"down":    func(s *Service) { s.Shards = nil },
		"port":    func(s *Service) { s.Ports[0].Number = 81 },
		"proto":   func(s *Service) { s.Ports[0].Proto = "udp" },
		"nowhere": func(s *Service) { s.Ports[0].Places = []topology.Place{} },
		"here":    func(s *Service) { s.Ports[0].Places = []topology.Place{us} },
		"ttl":     func(s *Service) { s.TTL = 60 },
		"policy":  func(s *Service) { s.Policy = &Policy{Choice: Nearest} },
		"active":  func(s *Service) { s.Active[IPv6] = "us" },
		"silent":  func(s *Service) { s.Silent = []Silent{{Place: us}} },
		"stale":   func(s *Service) { s.Silent = []Silent{{Place: us, Stale: true}} },
		"local":   func(s *Service) { s.Local = &Local{} },
		"inside":  func(s *Service) { s.Local = &Local{Shards: []Shard{shard(us, "10.0.0.1")}} },
		"pods":    func(s *Service) { s.Local = &Local{Targets: []Target{{Label: "web-0"}}} },
	} {
		d := build(change)
		if other, ok := seen[d]; ok {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[d] = name
	}
}

func BenchmarkEdit(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n, "_services"), func(b *testing.B) {
			e := NewFederation("fed").Edit()
			keys := make([]Key, n)
			for i := range keys {
				keys[i] = Key{Namespace: fmt.Sprint("ns", i%20), Name: fmt.Sprint("svc", i)}
				e.Set(&Service{Key: keys[i]})
			}
			f := e.Done()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e := f.Edit()
				e.Set(&Service{Key: keys[i%n]})
				f = e.Done()
			}
		})
	}
}

// What has changed between two states is what differs, whichever is the later, and whoever waits hears of each.
func TestChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := []*Federation{NewFederation("fed")}
		for range rapid.IntRange(1, 5).Draw(t, "edits") {
			e := states[len(states)-1].Edit()
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				k := Key{Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), Name: rapid.SampledFrom([]string{"x", "*.x", "y"}).Draw(t, "name")}
				if rapid.Bool().Draw(t, "host") {
					k.Kind = Host
				}
				if rapid.Bool().Draw(t, "remove") {
					e.Remove(k)
				} else {
					e.Set((&Service{Key: k}).Freeze())
				}
			}
			states = append(states, e.Done())
		}
		at := func(name string) *Federation {
			return states[rapid.IntRange(0, len(states)-1).Draw(t, name)]
		}
		now, was := at("now"), at("was")
		got, want := map[Key]bool{}, map[Key]bool{}
		for k := range now.Changes(was) {
			got[k] = true
		}
		for _, ns := range []string{"a", "b"} {
			for _, name := range []string{"x", "*.x", "y"} {
				for _, kind := range []Kind{Svc, Host} {
					if k := (Key{ns, name, kind}); now.Service(k) != was.Service(k) {
						want[k] = true
					}
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("changed: %v, want %v", got, want)
		}
	})
	var c Current
	before := c.Changed()
	c.Publish(&Snapshot{})
	<-before
	select {
	case <-c.Changed():
		t.Error("the next publication has come before it was made")
	default:
	}
}
