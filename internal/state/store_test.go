package state

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/names"
	"github.com/fedns/fedns/internal/shard"
)

var (
	web = names.Key{Namespace: "shop", Name: "web"}
	at  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// everything is a record of each kind of change.
func everything() []Record {
	s := &shard.Service{Key: web, Created: 7, Balancer: true, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Hosts: []string{"lb.example"},
		Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 80}}, TTL: 60, Port: 80, Probe: "tcp", ProbeAt: netip.MustParseAddrPort("192.0.2.9:1")}
	ing := &shard.Service{Key: names.Key{Namespace: "shop", Name: "front", Kind: names.Ing}, Backends: []names.Key{web}, Claims: []shard.Claim{{Host: "shop.example.com", Backends: []names.Key{web}}}}
	route := &shard.Front{Key: shard.FrontKey{Kind: shard.HTTPRoute, Namespace: "shop", Name: "r"}, Object: ing, Hostnames: []string{"shop.example.com"},
		Parents: []shard.Parent{{Namespace: "shop", Name: "g", Section: "s", Port: 1, Word: shard.Accepted}}, Weighs: true}
	gateway := &shard.Front{Key: shard.FrontKey{Kind: shard.Gateway, Namespace: "shop", Name: "g"}, Object: ing,
		Listeners: []shard.Listener{{Name: "s", Host: "*.example.com", Port: 1, From: shard.Selected, Only: []shard.FrontKind{shard.GRPCRoute}}}}
	sl := &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Zone: "a", Ready: true}, {Node: "n"}}}
	n := shard.Node{Name: "n", Region: "eu", Zone: "a"}
	return []Record{
		{Cluster: "c", At: at, Changes: []shard.Change{
			shard.ServiceList{Services: []*shard.Service{s}}, shard.ServiceList{Kind: names.Ing, Services: []*shard.Service{ing}},
			shard.SliceList{Slices: []*shard.Slice{sl}}, shard.NodeList{Nodes: []shard.Node{n}},
			shard.ServiceSet{Service: s}, shard.ServiceGone{Key: web}, shard.SliceSet{Slice: sl}, shard.SliceGone{Key: sl.Key},
			shard.NodeSet{Node: n}, shard.NodeGone{Name: "n"},
			shard.FrontList{Kind: shard.HTTPRoute, Fronts: []*shard.Front{route}}, shard.FrontSet{Front: gateway}, shard.FrontGone{Key: gateway.Key},
		}},
		{Cluster: "c", At: at.Add(time.Minute), Silent: 20 * time.Second, Changes: []shard.Change{}},
	}
}

// write makes a file of a base and a journal.
func write(t *testing.T, dir string, base, journal []Record) *Journal {
	t.Helper()
	b, err := NewBase(dir, "fed", base)
	if err != nil {
		t.Fatal(err)
	}
	j, err := b.Journal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(journal); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	hosts := map[string][]netip.Addr{"lb.example": {netip.MustParseAddr("192.0.2.7")}}
	write(t, dir, everything()[:1], append(everything()[1:], Record{At: at, Hosts: hosts}))
	got, err := Load(dir, "fed")
	if err != nil {
		t.Fatal(err)
	}
	if want := everything(); !reflect.DeepEqual(got.Clusters["c"].Records, want) {
		t.Errorf("read back as\n%+v\nnot\n%+v", got.Clusters["c"].Records, want)
	}
	if !reflect.DeepEqual(got.Hosts, hosts) {
		t.Errorf("hosts %v", got.Hosts)
	}
	if heard := got.Clusters["c"].Heard(); !heard.Equal(at.Add(40 * time.Second)) {
		t.Errorf("heard at %v", heard)
	}
	if left, _ := filepath.Glob(dir + "/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A file of a server that knew no hosts is as good as ever.
func TestOlder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, everything()[:1], nil)
	name := filepath.Join(dir, "fed.state")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	lines[0] = string(must(seal(line{Format: format, Version: 1})))
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir, "fed"); err != nil || len(got.Clusters["c"].Records) != 1 {
		t.Errorf("%v, error %v", got, err)
	}
}

func TestMissing(t *testing.T) {
	got, err := Load(t.TempDir(), "fed")
	if err != nil || len(got.Clusters) > 0 {
		t.Error(got, err)
	}
}

// What can't be used is set aside with an error, and the next file is none the
// worse for it.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, everything()[:1], everything()[1:])
	name := filepath.Join(dir, "fed.state")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	future, err := seal(line{Format: format, Version: version + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, text, want string }{
		{"empty", "", "ends before"},
		{"foreign", "PNG\x00\x01 something else entirely\n", "line 1"},
		{"foreign, without a line", "x", "ends in the middle"},
		{"another program's", string(must(seal(line{Format: "other", Version: 1}))), "isn't a state"},
		{"of the future", string(future) + strings.Join(lines[1:], ""), "version 3; this server knows versions 1 to 2"},
		{"a bit flipped", strings.Replace(string(whole), "192.0.2.1", "192.0.2.2", 1), "checksum"},
		{"a bit flipped behind the base", strings.TrimSuffix(string(whole), "}\n") + ")\n", "checksum"},
		{"cut within the base", string(whole[:len(whole)/2]), "ends in the middle"},
		{"without the end of the base", lines[0] + lines[1], "ends before"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if err := os.WriteFile(name, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := Load(dir, "fed")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "set aside") || len(got.Clusters) > 0 {
				t.Fatalf("%v, error %v, want %q", got, err, tt.want)
			}
			aside, _ := filepath.Glob(name + ".damaged-*")
			if len(aside) != 1 {
				t.Fatalf("set aside: %v", aside)
			}
			if text, _ := os.ReadFile(aside[0]); string(text) != tt.text {
				t.Error("what was set aside is not what there was")
			}
			os.Remove(aside[0])
			if _, err := os.Stat(name); err == nil {
				t.Error("it is still in the way")
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A server that is killed while it writes leaves half a line: what came before
// counts, wherever the cut is.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, everything()[:1], everything()[1:])
	name := filepath.Join(dir, "fed.state")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	base := strings.LastIndex(strings.TrimSuffix(string(whole), "\n"), "\n") + 1
	for cut := base; cut < len(whole); cut++ {
		if err := os.WriteFile(name, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir, "fed")
		if err != nil || len(got.Clusters["c"].Records) != 1 {
			t.Fatalf("cut at %d of %d: %v, %v", cut, len(whole), got, err)
		}
	}
}

func TestOutgrown(t *testing.T) {
	j := write(t, t.TempDir(), everything()[:1], nil)
	n := 0
	for ; !j.Outgrown(); n++ {
		if err := j.Append(everything()[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if n < 1000 {
		t.Errorf("a new base after %d records", n)
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	b, err := NewBase(dir, "fed", everything())
	if err != nil {
		f.Fatal(err)
	}
	j, err := b.Journal(everything())
	if err != nil {
		f.Fatal(err)
	}
	j.Close()
	whole, err := os.ReadFile(filepath.Join(dir, "fed.state"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Add("00000000 {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(strings.NewReader(text))
		if err != nil {
			return
		}
		table := shard.NewTable([]shard.Cluster{{Name: "c"}}, shard.Policy{})
		for _, saved := range s.Clusters {
			saved.Heard()
			for _, r := range saved.Records {
				for _, c := range r.Changes {
					table.Apply(0, c)
				}
			}
		}
	})
}
