package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The federation is the same every time: figures of two days are of one thing.
func TestGenerateIsDeterministic(t *testing.T) {
	a, b := generate(100, 5000, usual), generate(100, 5000, usual)
	if !reflect.DeepEqual(a, b) {
		t.Error("two federations of the same size differ")
	}
	// More questions are about the same names.
	if c := generate(100, 10, usual); !reflect.DeepEqual(a.records, c.records) || !reflect.DeepEqual(a.questions[:10], c.questions) {
		t.Error("the federation depends on how much is asked")
	}
}

func TestGenerateCounts(t *testing.T) {
	const services, questions = 1000, 50_000
	f := generate(services, questions, usual)
	for i, objects := range f.manifests {
		if want := 1 + 2*services; len(objects) != want { // a node; of each service itself and its slice
			t.Errorf("%s has %d objects, want %d", places[i][1], len(objects), want)
		}
	}
	if len(f.questions) != questions {
		t.Errorf("%d questions, want %d", len(f.questions), questions)
	}
	var got [kinds]int
	for _, q := range f.questions {
		got[q.kind]++
	}
	for k, n := range got {
		if percent := 100 * float64(n) / questions; percent < float64(usual[k])-1 || percent > float64(usual[k])+1 {
			t.Errorf("of 100 questions %.1f are of kind %d, want %d", percent, k, usual[k])
		}
	}
	// About a fifth of the shards is down; the names of zones tell.
	moved := 0
	for _, r := range f.records {
		if name, _, ok := strings.Cut(r, " CNAME "); ok && dns.CountLabel(name) == dns.CountLabel("svc.ns.federation.svc.zone.region."+domain+".") {
			moved++
		}
	}
	if down := float64(moved) / float64(services*len(places)); down < 0.17 || down > 0.21 {
		t.Errorf("%.3f of the zones' names lead on, want one minus 0.9 squared", down)
	}
}

// Every kind of question comes up however small the federation is, and however big,
// an address is one shard's.
func TestGenerateSizes(t *testing.T) {
	var got [kinds]int
	for _, q := range generate(minServices, 2000, usual).questions {
		got[q.kind]++
	}
	if slices.Contains(got[:], 0) {
		t.Errorf("questions by kind: %v", got)
	}
	if n := (maxServices - 1) * len(places); 18+(n+len(places)-1)>>16 > 19 {
		t.Errorf("%d services need more addresses than 198.18.0.0/15 has", maxServices)
	}
}

// What is written is what the questions expect: a zone file that another's parser
// reads, and a Corefile with a folder for each cluster.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f := generate(50, 3000, usual)
	if err := f.write(dir); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z := dns.NewZoneParser(file, "", "")
	zone, addrs := map[string][]dns.RR{}, map[string]int{}
	for rr, ok := z.Next(); ok; rr, ok = z.Next() {
		zone[rr.Header().Name] = append(zone[rr.Header().Name], rr)
		if a, ok := rr.(*dns.A); ok {
			addrs[a.A.String()]++
		}
	}
	if err := z.Err(); err != nil {
		t.Fatal(err)
	}
	for a, n := range addrs {
		if n != 3 && a != "127.0.0.1" { // in its zone, its region, everywhere
			t.Errorf("%s is in %d names, want 3", a, n)
		}
	}
	for _, q := range f.questions {
		var got []string
		for _, rr := range zone[q.name+"."] {
			switch rr := rr.(type) {
			case *dns.A:
				got = append(got, rr.A.String())
			case *dns.CNAME:
				got = append(got, rr.Target)
			}
		}
		want := q.addrs
		if q.target != "" {
			want = []string{q.target + "."}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the zone has %s %v, want %v", q.name, got, want)
		}
	}

	raw, err := os.ReadFile(filepath.Join(dir, "questions"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(raw), "\n"); len(lines) != 3001 || lines[0] != f.questions[0].name+" A" {
		t.Errorf("%d lines of questions, the first %q", len(lines), lines[0])
	}

	text := corefile(dir, "fast off")
	if !strings.Contains(text, "\n  fast off\n") {
		t.Errorf("the option isn't there:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if folder, ok := strings.CutPrefix(strings.TrimSpace(line), "manifests "); ok {
			if _, err := os.Stat(filepath.Join(folder, "services.json")); err != nil {
				t.Error(err)
			}
		}
	}
}
