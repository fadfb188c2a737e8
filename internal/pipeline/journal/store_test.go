package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/table"
)

var (
	web = snapshot.Key{Namespace: "shop", Name: "web"}
	at  = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// everything is the lists of a cluster, a record of each other kind of change, and one of
// none.
func everything() []Record {
	s := (&shard.Service{Key: web, Created: 7, Balancer: true, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Ports: []shard.Port{{Name: "http", Proto: "tcp", Number: 80}}, TTL: 60, Port: 80}).
		Extend(shard.Extras{Hosts: []string{"lb.example"}, Probe: "tcp", ProbeAt: netip.MustParseAddrPort("192.0.2.9:1")})
	ing := (&shard.Service{Key: snapshot.Key{Namespace: "shop", Name: "front", Kind: snapshot.Ing}}).Route(shard.Routing{Backends: []snapshot.Key{web}, Claims: []shard.Claim{{Host: "shop.example.com", Backends: []snapshot.Key{web}}}})
	route := &shard.Frontend{Key: shard.FrontendKey{Kind: shard.HTTPRoute, Namespace: "shop", Name: "r"}, Object: ing, Hostnames: []string{"shop.example.com"},
		Parents: []shard.Parent{{Namespace: "shop", Name: "g", Section: "s", Port: 1, Status: shard.Accepted}}, Weighs: true}
	gateway := &shard.Frontend{Key: shard.FrontendKey{Kind: shard.Gateway, Namespace: "shop", Name: "g"}, Object: ing,
		Listeners: []shard.Listener{{Name: "s", Host: "*.example.com", Port: 1, From: shard.Selected, Only: []shard.FrontendKind{shard.GRPCRoute}}}}
	sl := &shard.Slice{Key: shard.SliceKey{Namespace: "shop", Name: "web-x"}, Service: "web", Endpoints: []shard.Endpoint{{Zone: "a", Ready: true}, {Node: "n"}}}
	n := shard.Node{Name: "n", Region: "eu", Zone: "a", NotReady: true}
	front := snapshot.Key{Namespace: "infra", Name: "controller"}
	standby := &shard.Service{Key: front, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, Spread: true}
	class := shard.Class{Key: shard.ClassKey{Kind: shard.Ingress, Name: "nginx"}, Default: true, Front: front}
	return []Record{
		{Cluster: "c", At: at, Changes: []shard.Change{
			shard.ServiceList{Services: []*shard.Service{s}}, shard.ServiceList{Kind: snapshot.Ing, Services: []*shard.Service{ing}},
			shard.SliceList{Slices: []*shard.Slice{sl}}, shard.NodeList{Nodes: []shard.Node{n}},
			shard.FrontendList{Kind: shard.HTTPRoute, Frontends: []*shard.Frontend{route}},
			shard.StandbyList{Services: []*shard.Service{standby}}, shard.ClassList{Kind: shard.Ingress, Classes: []shard.Class{class}},
		}},
		{Cluster: "c", At: at, Changes: []shard.Change{
			shard.ServiceSet{Service: s}, shard.ServiceGone{Key: web}, shard.SliceSet{Slice: sl}, shard.SliceGone{Key: sl.Key},
			shard.NodeSet{Node: n}, shard.NodeGone{Name: "n"},
			shard.StandbySet{Service: standby}, shard.StandbyGone{Key: front}, shard.ClassSet{Class: class}, shard.ClassGone{Key: class.Key},
			shard.FrontendList{Kind: shard.HTTPRoute, Frontends: []*shard.Frontend{route}}, shard.FrontendSet{Frontend: gateway}, shard.FrontendGone{Key: gateway.Key},
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

// Lists come back whole from the parts that they are written in, whatever there is in
// them.
func TestParts(t *testing.T) {
	many := Record{Cluster: "c", At: at, Silent: 3 * time.Second, Doubtful: true, Changes: []shard.Change{shard.NodeList{}, shard.SliceList{}, shard.ServiceList{Kind: snapshot.Svc}, shard.ServiceList{Kind: snapshot.Ing}}}
	for i := range 300 {
		key := snapshot.Key{Namespace: "shop", Name: fmt.Sprint("web", i)}
		many.Changes = merge(many.Changes, []shard.Change{shard.ServiceList{Services: []*shard.Service{{Key: key}}}, shard.NodeList{Nodes: []shard.Node{{Name: key.Name}}}})
	}
	none := Record{Cluster: "d", At: at, Changes: nothing()}
	dir := t.TempDir()
	write(t, dir, []Record{many, none}, nil)
	got, err := Load(dir, "fed")
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Clusters["c"].Records; len(r) != 1 || !same(r[0], many) {
		t.Errorf("read back as\n%+v\nnot\n%+v", r, many)
	}
	if r := got.Clusters["d"].Records; len(r) != 1 || !same(r[0], none) {
		t.Errorf("a cluster that has nothing: %+v", r)
	}
	if !got.Clusters["c"].Doubtful() || got.Clusters["d"].Doubtful() {
		t.Error("what is doubtful isn't kept")
	}
}

// same compares records but for whether a list of nothing is nil.
func same(a, b Record) bool {
	lines := func(r Record) string {
		var out []byte
		for _, l := range r.parts() {
			out = append(out, must(seal(l))...)
		}
		return string(out)
	}
	return lines(a) == lines(b)
}

// A file of the format before, whose lists are a line each, is as good as ever.
func TestListsInOneLine(t *testing.T) {
	dir := t.TempDir()
	var text []byte
	text = append(text, must(seal(line{Format: format, Version: 2}))...)
	text = append(text, must(seal(everything()[0].line()))...)
	text = append(text, must(seal(line{Cluster: "empty", At: at, Changes: encode(nothing())}))...) // lists that were nil
	text = append(text, must(seal(line{End: true}))...)
	for _, r := range everything()[1:] {
		text = append(text, must(seal(r.line()))...)
	}
	if err := os.WriteFile(filepath.Join(dir, "fed.state"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir, "fed")
	if err != nil {
		t.Fatal(err)
	}
	if want := everything(); !reflect.DeepEqual(got.Clusters["c"].Records, want) {
		t.Errorf("read back as\n%+v\nnot\n%+v", got.Clusters["c"].Records, want)
	}
	if r := got.Clusters["empty"].Records; len(r) != 1 || !reflect.DeepEqual(r[0].Changes, nothing()) {
		t.Errorf("a cluster that has nothing: %+v", r)
	}
}

// services are what a table knows after all that a file says.
func services(s *Snapshot) map[string]bool {
	out := map[string]bool{}
	for c, saved := range s.Clusters {
		table := table.New([]shard.Cluster{{Name: "c"}}, shard.Policy{})
		for _, r := range saved.Records {
			for _, ch := range r.Changes {
				table.Apply(0, ch)
			}
		}
		if !table.Complete(0) {
			continue
		}
		for _, h := range table.Export(0) {
			if l, ok := h.(shard.ServiceList); ok && l.Kind == snapshot.Svc {
				for _, o := range l.Services {
					out[c+" "+o.Key.Name] = true
				}
			}
		}
	}
	return out
}

// three writes a file of two clusters with services web0 to web4 each, and of web5 in
// the journal of the first.
func three(t *testing.T) (dir string, whole string) {
	dir = t.TempDir()
	var base []Record
	for _, c := range []string{"c", "d"} {
		r := Record{Cluster: c, At: at, Changes: nothing()}
		for i := range 5 {
			r.Changes = merge(r.Changes, []shard.Change{shard.ServiceList{Services: []*shard.Service{{Key: snapshot.Key{Namespace: "shop", Name: fmt.Sprint("web", i)}}}}})
		}
		base = append(base, r)
	}
	write(t, dir, base, []Record{
		{Cluster: "c", At: at.Add(time.Second), Changes: []shard.Change{shard.ServiceSet{Service: &shard.Service{Key: snapshot.Key{Namespace: "shop", Name: "web5"}}}}},
		{Serial: 12, At: at},
	})
	text, err := os.ReadFile(filepath.Join(dir, "fed.state"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(text)
}

// A bit that is flipped, wherever it is, costs the line it is in: one object at most,
// of one cluster; or two, where it is what parts them. It is said, what there was is kept, and what isn't known any more is
// told from what isn't there.
func TestFlipped(t *testing.T) {
	_, whole := three(t)
	for i := range len(whole) {
		flipped := []byte(whole)
		flipped[i] ^= 1 << (i % 8)
		s, err := read(strings.NewReader(string(flipped)))
		if i == len(whole)-1 { // the last newline: a line that was being written
			if err != nil || s.Torn == 0 {
				t.Fatalf("the last byte: error %v, torn %d", err, s.Torn)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "is used") {
			t.Fatalf("byte %d: error %v", i, err)
		}
		most := 1
		if whole[i] == '\n' {
			most = 2
		}
		if got := services(s); len(got) < 11-most {
			t.Fatalf("byte %d: %d of 11 services are left: %v", i, len(got), got)
		}
		for name, c := range s.Clusters {
			if !c.Doubtful() {
				t.Fatalf("byte %d: all is known of cluster %s", i, name)
			}
			if c.Heard().IsZero() {
				t.Fatalf("byte %d: nobody knows when cluster %s was heard", i, name)
			}
		}
	}
}

// Of a file that was cut, all that is left is used, and nothing else; and that it was cut
// is said, wherever that isn't between two lines behind the base.
func TestCut(t *testing.T) {
	dir, whole := three(t)
	base := strings.Index(whole, `{"end":true}`) + len(`{"end":true}`) + 1
	name := filepath.Join(dir, "fed.state")
	for cut := range len(whole) {
		s, err := read(strings.NewReader(whole[:cut]))
		left := strings.Count(whole[:max(strings.LastIndex(whole[:cut], "\n"), 0)], `"name":"web`)
		left += strings.Count(whole[:max(strings.LastIndex(whole[:cut], "\n"), 0)], `"Name":"web`)
		if got := services(s); len(got) != left {
			t.Fatalf("cut at %d: %d services, want %d: %v", cut, len(got), left, got)
		}
		switch {
		case cut < base && err == nil:
			t.Fatalf("cut at %d, within the base: no error", cut)
		case cut >= base && (err != nil || s.Torn != cut-1-strings.LastIndex(whole[:cut], "\n")):
			t.Fatalf("cut at %d, behind the base: error %v, torn %d", cut, err, s.Torn)
		}
	}
	if err := os.WriteFile(name, []byte(whole[:base/2]), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Load(dir, "fed")
	if err == nil || !strings.Contains(err.Error(), "ends in the middle") || !strings.Contains(err.Error(), "the rest is used; set aside as") || !s.Damaged {
		t.Errorf("cut in half: %v", err)
	}
	aside, _ := filepath.Glob(name + ".damaged-*")
	if len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}
	for _, f := range []string{name, aside[0]} { // it stays in its place until there is a better one
		if text, err := os.ReadFile(f); string(text) != whole[:base/2] {
			t.Errorf("%s has %d bytes of %d, error %v", f, len(text), base/2, err)
		}
	}
}

// What is done to the file of a server that runs is found out, before something is
// written where no one will look for it, and without.
func TestLost(t *testing.T) {
	for _, tt := range []struct {
		what string
		do   func(name string) error
	}{
		{"removed", os.Remove},
		{"renamed", func(name string) error { return os.Rename(name, name+"-old") }},
		{"its folder removed", func(name string) error { return os.RemoveAll(filepath.Dir(name)) }},
		{"its folder renamed", func(name string) error { return os.Rename(filepath.Dir(name), filepath.Dir(name)+"-old") }},
		{"emptied", func(name string) error { return os.Truncate(name, 0) }},
		{"cut", func(name string) error { return os.Truncate(name, 100) }},
		{"replaced by a copy", func(name string) error {
			text, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(name+"-new", text, 0o644)
			}
			if err == nil {
				err = os.Rename(name+"-new", name)
			}
			return err
		}},
		{"written to by another", func(name string) error {
			f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("x")
				f.Close()
			}
			return err
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			j := write(t, dir, everything()[:1], nil)
			if err := j.Check(); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(filepath.Join(dir, "fed.state")); err != nil {
				t.Fatal(err)
			}
			if err := j.Check(); !errors.Is(err, ErrLost) {
				t.Errorf("looked at: %v", err)
			}
			if err := j.Append(everything()[1:]); !errors.Is(err, ErrLost) {
				t.Errorf("written to: %v", err)
			}
			write(t, dir, everything()[:1], everything()[1:])
			if s, err := Load(dir, "fed"); err != nil || len(s.Clusters["c"].Records) != 3 {
				t.Errorf("anew: %v, error %v", s, err)
			}
		})
	}
}

// What a server has left behind that was killed while it made a base goes; what is
// another's stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, everything()[:1], nil)
	for _, name := range []string{".fed.state-12", ".other.state-12", "fed.state.damaged-12"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(Sweep(dir, "fed"), Sweep(dir+"/none", "fed")); err != nil {
		t.Fatal(err)
	}
	left := []string{}
	files, err := os.ReadDir(dir)
	for _, f := range files {
		left = append(left, f.Name())
	}
	if want := []string{".other.state-12", "fed.state", "fed.state.damaged-12"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left: %v, error %v", left, err)
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
		{"of the future", string(future) + strings.Join(lines[1:], ""), "version 4; this server knows versions 1 to 3"},
		{"a first line, and half of one", lines[0] + lines[1][:20], "ends in the middle"},
		{"no line that is whole", strings.ReplaceAll(string(whole), "{", "["), "checksum"},
		{"without its first line", strings.Join(lines[1:], ""), "isn't a state"},
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
		if err != nil || len(got.Clusters["c"].Records) != 2 {
			t.Fatalf("cut at %d of %d: %v, %v", cut, len(whole), got, err)
		}
	}
}

// A file is never much larger than what is known: three times that, and 64 KiB.
func TestOutgrown(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []int{1, 1000} {
		lists := Record{Cluster: "c", At: at, Changes: nothing()}
		for range r {
			lists.Changes = merge(lists.Changes, everything()[0].Changes)
		}
		j := write(t, dir, []Record{lists}, nil)
		live := j.size
		n := 0
		for ; !j.Outgrown(); n++ {
			if err := j.Append(everything()[1:]); err != nil {
				t.Fatal(err)
			}
		}
		if n < 20 {
			t.Errorf("a new base of %d objects after %d records", r, n)
		}
		if most := 3*live + 64<<10 + 4<<10; j.size > most {
			t.Errorf("%d bytes for %d that are known, want %d at most", j.size, live, most)
		}
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	b, err := NewBase(dir, "fed", everything()[:1])
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
	f.Add(string(must(seal(everything()[0].line()))))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := read(strings.NewReader(text))
		if (err != nil) != s.Damaged && len(s.Clusters) > 0 {
			t.Errorf("error %v, damaged %v", err, s.Damaged)
		}
		// Nothing is made up: each object stands in a line that is whole.
		stands := map[string]bool{}
		for l := range strings.SplitSeq(text, "\n") {
			l, err := unseal([]byte(l))
			changes, wrong := decode(l.Changes)
			if err != nil || wrong != nil {
				continue
			}
			for k := range objects(l.Cluster, changes) {
				stands[k] = true
			}
		}
		for c, saved := range s.Clusters {
			saved.Heard()
			table := table.New([]shard.Cluster{{Name: "c"}}, shard.Policy{})
			for _, r := range saved.Records {
				for k := range objects(c, r.Changes) {
					if !stands[k] {
						t.Errorf("%s is made up", k)
					}
				}
				for _, c := range r.Changes {
					table.Apply(0, c)
				}
			}
		}
	})
}

// objects spells what changes bring.
func objects(cluster string, changes []shard.Change) map[string]bool {
	out := map[string]bool{}
	add := func(v any) {
		text, err := json.Marshal(v)
		out[fmt.Sprintf("%s %T %s %v", cluster, v, text, err)] = true
	}
	for _, c := range changes {
		switch c := c.(type) {
		case shard.ServiceList:
			for _, o := range c.Services {
				add(o)
			}
		case shard.SliceList:
			for _, o := range c.Slices {
				add(o)
			}
		case shard.FrontendList:
			for _, o := range c.Frontends {
				add(o)
			}
		case shard.StandbyList:
			for _, o := range c.Services {
				add(o)
			}
		case shard.ClassList:
			for _, o := range c.Classes {
				add(o)
			}
		case shard.NodeList:
			for _, o := range c.Nodes {
				add(o)
			}
		default:
			add(c)
		}
	}
	return out
}
