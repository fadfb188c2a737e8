package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fedns/fedns/test/framework/vector"
)

// domain is what everybody in the race serves.
const domain = "example.com"

// places are eight clusters of one zone each, in four regions.
var places = [][2]string{
	{"us-central1", "us-central1-a"}, {"us-central1", "us-central1-b"}, {"us-central1", "us-central1-c"},
	{"us-east1", "us-east1-b"}, {"us-east1", "us-east1-c"},
	{"europe-west1", "europe-west1-b"}, {"europe-west1", "europe-west1-c"},
	{"asia-east1", "asia-east1-a"},
}

// down is how often a shard has no pods, and how often a whole region of a service.
const down = 0.1

// A kind is a sort of question, by what the name asked for is.
type kind int

const (
	regional kind = iota
	zonal
	global
	moved   // a zone or region without pods: its name is a CNAME
	unknown // there is no such service
	kinds
)

// A question is a name whose addresses are asked for, with what the answer is to
// be: addresses, or the target of a CNAME, or, with neither, NXDOMAIN.
type question struct {
	kind   kind
	name   string
	addrs  []string
	target string
	parts  []part // of a global name's addresses
}

// A part is the addresses of a region.
type part struct {
	region string
	addrs  []string
}

// A mix is how many of a hundred questions are of each kind.
type mix [kinds]int

// usual is what is asked unless something else is measured. Clients ask for the name
// of their region first; the short cuts and the mistakes are few.
var usual = mix{regional: 60, zonal: 20, global: 10, moved: 5, unknown: 5}

// A federation is one state of a federation in the forms that its servers read,
// with questions about it.
type federation struct {
	records   []string // of the zone file
	manifests [][]vector.Object
	questions []*question
	clients   []client // of the questions, one for each; none: who asks asks for itself
}

// Of addresses there are as many as the range for benchmarks has (RFC 2544), and
// with fewer services than this some kinds of question may not come up.
const minServices, maxServices = 20, 1 << 17 / 8

// generate makes up a federation and questions: the same ones every time.
func generate(services, questions int, of mix) *federation {
	r := rand.New(rand.NewPCG(2, 1000))
	f := &federation{manifests: make([][]vector.Object, len(places))}
	for i, p := range places {
		f.manifests[i] = []vector.Object{vector.Node("node-1", p[0], p[1])}
	}
	var pools [kinds][]*question
	for i := range services {
		for _, q := range f.service(i, r) {
			pools[q.kind] = append(pools[q.kind], q)
		}
	}
	for range questions {
		n, k := r.IntN(100), kind(0)
		for n >= of[k] {
			n -= of[k]
			k++
		}
		f.questions = append(f.questions, pools[k][r.IntN(len(pools[k]))])
	}
	return f
}

// service adds one more service, with a shard in every place, and gives all there
// is to ask of it.
func (f *federation) service(i int, r *rand.Rand) []*question {
	namespace, service := fmt.Sprint("ns", i%20), fmt.Sprint("svc", i)
	empty := map[string]bool{} // regions
	for _, p := range places {
		if _, ok := empty[p[0]]; !ok {
			empty[p[0]] = r.Float64() < down
		}
	}
	up := make([]bool, len(places))
	for j, p := range places {
		up[j] = !empty[p[0]] && r.Float64() >= down
	}
	if !slices.Contains(up, true) {
		up[0] = true // a service that is nowhere isn't a name that a zone file can have
	}

	base := service + "." + namespace + ".myfederation.svc"
	all := &question{kind: global, name: base + "." + domain}
	regions := map[string]*question{}
	var asked []*question
	for j, p := range places {
		n := i*len(places) + j
		addr := fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255)
		f.manifests[j] = append(f.manifests[j],
			vector.Service(namespace, service, addr), vector.Slice(namespace, service, up[j], p[1]))

		region := regions[p[0]]
		if region == nil {
			region = &question{kind: moved, name: base + "." + p[0] + "." + domain, target: all.name}
			regions[p[0]] = region
			asked = append(asked, region)
		}
		zone := &question{kind: moved, name: base + "." + p[1] + "." + p[0] + "." + domain, target: region.name}
		asked = append(asked, zone)
		if up[j] {
			zone.kind, zone.addrs, zone.target = zonal, []string{addr}, ""
			region.kind, region.addrs, region.target = regional, append(region.addrs, addr), ""
			all.addrs = append(all.addrs, addr)
			if n := len(all.parts); n == 0 || all.parts[n-1].region != p[0] {
				all.parts = append(all.parts, part{region: p[0]})
			}
			last := &all.parts[len(all.parts)-1]
			last.addrs = append(last.addrs, addr)
		}
	}
	asked = append(asked, all)
	for _, q := range asked {
		if q.target != "" {
			f.records = append(f.records, q.name+". CNAME "+q.target+".")
		}
		for _, a := range q.addrs {
			f.records = append(f.records, q.name+". A "+a)
		}
	}
	return append(asked, &question{kind: unknown,
		name: fmt.Sprintf("nosuch%d.%s.myfederation.svc.us-east1.%s", i, namespace, domain)})
}

// write puts the federation into a folder: zone for those who read a zone file,
// clusters/PLACE for fedns, and questions for those who ask.
func (f *federation) write(dir string) error {
	if err := lines(filepath.Join(dir, "zone"), func(put func(...any)) {
		put("$ORIGIN ", domain, ".")
		put("$TTL 180")
		// As fedns makes them up by itself: names that are missing, for five seconds.
		put("@ 3600 SOA ns1 hostmaster 1 7200 1800 86400 5")
		put("@ 3600 NS ns1")
		put("ns1 3600 A 127.0.0.1")
		for _, r := range f.records {
			put(r)
		}
	}); err != nil {
		return err
	}
	if err := lines(filepath.Join(dir, "questions"), func(put func(...any)) {
		for i, q := range f.questions {
			if len(f.clients) > 0 {
				put(q.name, " A ", f.clients[i].subnet)
			} else {
				put(q.name, " A")
			}
		}
	}); err != nil {
		return err
	}
	for i, p := range places {
		raw, err := json.Marshal(vector.Object{"apiVersion": "v1", "kind": "List", "items": f.manifests[i]})
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, "clusters", p[1])
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "services.json"), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// corefile is what fedns starts with, PORT yet to be filled in; options go into the
// federation's block. As with the others, rates aren't limited.
func corefile(dir string, options ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:PORT SECURE{\n bind 127.0.0.1\n federation myfederation {\n  rrl off\n", domain)
	for _, o := range options {
		fmt.Fprintf(&b, "  %s\n", o)
	}
	for _, p := range places {
		fmt.Fprintf(&b, "  cluster gce-%s {\n   manifests %s\n   hosts *\n  }\n", p[1], filepath.Join(dir, "clusters", p[1]))
	}
	b.WriteString(" }\n}\n")
	return b.String()
}

// lines writes a file line by line.
func lines(path string, write func(put func(...any))) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	write(func(v ...any) { fmt.Fprintln(w, fmt.Sprint(v...)) }) // Flush tells
	if err := w.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
