package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fedns/fedns/internal/dns/dnsname"
)

// besides is a zone of plugin file in a server block of its own.
const besides = "beside.test"

// An answerKind is questions that are answered in one way: a name each, and all for addresses.
type answerKind struct {
	name string
	ask  func(r *rand.Rand, f *federation) string
}

func always(name string) func(*rand.Rand, *federation) string {
	return func(*rand.Rand, *federation) string { return name }
}

func anywhere(below string) func(*rand.Rand, *federation) string {
	return func(r *rand.Rand, _ *federation) string { return fmt.Sprintf("r%d.%s", r.IntN(1e9), below) }
}

// answerKinds are what is compared: federated names first.
var answerKinds = []answerKind{
	{"federated name", func(r *rand.Rand, f *federation) string { return f.questions[r.IntN(len(f.questions))].name }},
	{"own static name", always("mail." + domain)},
	{"own name that isn't", anywhere(domain)},
	{"name of a file", func(r *rand.Rand, _ *federation) string { return fmt.Sprintf("h%d.%s", r.IntN(besideNames), besides) }},
	{"no such name", anywhere("h1." + besides)},
	{"no such record", always("text." + besides)},
	{"wildcard", anywhere("wild." + besides)},
	{"delegation", anywhere("lab." + besides)},
	{"alias", always("www." + besides)},
	{"alias to federated", func(r *rand.Rand, _ *federation) string { return fmt.Sprintf("f%d.%s", r.IntN(besideNames), besides) }},
}

// besideNames is how many names with addresses the file has, and how many that lead to federated ones.
const besideNames = 1000

// kinds asks one server after another what each kind of answer costs, in turn, and prints it beside what a
// federated name does, round for round.
func (r *race) kinds(ctx context.Context) error {
	dnsperf, err := find("dnsperf", "dnsperf")
	if err != nil {
		return err
	}
	zone := []string{"$TTL 180", "@ 3600 SOA ns1 hostmaster 1 7200 1800 86400 5", "@ 3600 NS ns1", "ns1 3600 A 127.0.0.1",
		"text TXT hello", "*.wild A 192.0.2.26", "lab NS ns.lab", "ns.lab A 192.0.2.27", "www CNAME h1"}
	rng := rand.New(rand.NewPCG(1, 2)) // the same for all
	for i := range besideNames {
		zone = append(zone, fmt.Sprintf("h%d A 192.0.2.%d", i, i%256), fmt.Sprintf("f%d CNAME %s", i, dnsname.Lower(answerKinds[0].ask(rng, r.fed)+".")))
	}
	if err := os.WriteFile(filepath.Join(r.dir, besides), []byte(strings.Join(zone, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	for i, k := range answerKinds {
		if err := lines(filepath.Join(r.dir, fmt.Sprint("questions", i)), func(put func(...any)) {
			for range 50_000 {
				put(k.ask(rng, r.fed), " A")
			}
		}); err != nil {
			return err
		}
	}
	fmt.Printf("server on CPU %s, dnsperf on CPU %s with 8 clients and 400 questions under way, %d s each, %d rounds\n", serverCPU, askerCPU, r.seconds, r.rounds)
	for _, c := range r.field {
		options, ok := strings.CutPrefix(c.files["Corefile"], "FEDERATION")
		if !ok {
			return fmt.Errorf("%s isn't a fedns", c.name)
		}
		c.files = map[string]string{"Corefile": corefile(r.dir, strings.TrimSpace(options)) + besides + ":PORT {\n bind 127.0.0.1\n errors\n file " + filepath.Join(r.dir, besides) + "\n}\n"}
		p, err := r.start(ctx, c)
		if err != nil {
			return err
		}
		costs, err := r.costs(ctx, dnsperf, c, p)
		p.stop()
		if err != nil {
			return err
		}
		fmt.Printf("\n%s\n%s: medians of µs of CPU an answer, and what that is to a federated name's in the same round\n", r.machine, c.name)
		for i, k := range answerKinds {
			var own, to []float64
			for round := range costs[i] {
				own = append(own, costs[i][round])
				to = append(to, costs[i][round]/costs[0][round])
			}
			fmt.Printf("%-20s%8.2f%8.2f\n", k.name, median(own), median(to))
		}
	}
	return nil
}

// costs are those of each kind, by rounds.
func (r *race) costs(ctx context.Context, dnsperf string, c contender, p *process) ([][]float64, error) {
	out := make([][]float64, len(answerKinds))
	for range r.rounds {
		for i := range answerKinds {
			before, err := p.begin()
			if err != nil {
				return nil, err
			}
			limited, cancel := context.WithTimeout(ctx, time.Duration(r.seconds)*time.Second+30*time.Second)
			asker := exec.CommandContext(limited, r.taskset, "-c", askerCPU, dnsperf, "-s", "127.0.0.1", "-p", strconv.Itoa(p.port), "-d", filepath.Join(r.dir, fmt.Sprint("questions", i)),
				"-l", strconv.Itoa(r.seconds), "-c", "8", "-q", "400", "-T", "1")
			report, err := asker.Output()
			cancel()
			if err != nil {
				return nil, fmt.Errorf("dnsperf: %w", err)
			}
			l, err := before.lap(c.name, string(report), asker.ProcessState)
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], l.cpu)
		}
	}
	return out, nil
}
