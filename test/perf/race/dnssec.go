package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dnskey"
	"github.com/fedns/fedns/test/framework/vector"
)

// signing are those that sign as they answer.
const signing = "knot,pdns,coredns,fedns"

// existing is what is asked again and again: what doesn't exist is measured by itself.
var existing = mix{regional: 65, zonal: 20, global: 10, moved: 5}

// freshRate is how many names a second are asked for that nobody has asked for before. It is the same for all: less than what
// fedns signs in a second before it answers with TC, and what the slowest can sign.
const freshRate = 2000

// A signedKind is names of one kind that are asked for with DO.
type signedKind struct {
	name    string
	pattern string // with nine zeros for the number of each name; "": the federation's own
	rate    int    // a second; 0: as fast as they are answered
}

var signedKinds = []signedKind{
	{"asked again and again", "", 0},
	{"don't exist", "r000000000." + domain, freshRate},
	{"below a wildcard", "r000000000.wild." + domain, freshRate},
}

// wildcard is the address of all names below a wildcard.
const wildcard = "192.0.2.26"

// sign gives the federation a wildcard and makes the key.
func (r *race) sign() error {
	r.fed.records = append(r.fed.records, "*.wild A "+wildcard)
	r.fed.manifests[0] = append(r.fed.manifests[0],
		vector.Service("shop", "wild", wildcard), vector.Slice("shop", "wild", true, places[0][1]),
		vector.Ingress("shop", "wild", wildcard, [2]string{"*.wild." + domain, "wild"}))
	keys := filepath.Join(r.dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return err
	}
	k, err := dnskey.Generate(domain+".", dnskey.ECDSAP256SHA256, true, 3600, dnskey.Dates{})
	if err != nil {
		return err
	}
	r.key, err = k.Write(keys)
	return err
}

// pdnsKeys has PowerDNS sign the zone, with its own key of the same algorithm.
func pdnsKeys(dir string) error {
	util, err := find("pdnsutil", "pdns-server")
	if err != nil {
		return err
	}
	db := filepath.Join(dir, "dnssec.db")
	if _, err := os.Stat(db); err == nil {
		return nil
	}
	for _, args := range [][]string{{"create-bind-db", db}, {"secure-zone", domain}} {
		if out, err := exec.Command(util, append([]string{"--config-dir=" + dir}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("pdnsutil %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// A signedLap is what one server did with names of one kind in one round.
type signedLap struct {
	lap
	signed, truncated float64 // of its answers
}

// dnssec has everybody sign, and prints what an answer costs.
func (r *race) dnssec(ctx context.Context) error {
	fmt.Printf("server on CPU %s, 8 clients on CPU %s that ask with DO, %d s each, %d rounds: as fast as is answered (%d under way), what is new in each question %d times a second\n",
		serverCPU, askerCPU, r.seconds, r.rounds, signedClients*underWay, freshRate)
	laps := map[string][]signedLap{} // by kind
	said := map[string]bool{}
	for round := 1; round <= r.rounds; round++ {
		for _, c := range r.field {
			if err := r.signedRound(ctx, c, round, laps); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				said[fmt.Sprintf("%s: %v", c.name, err)] = true
			}
		}
	}
	fmt.Printf("\n%s\n%s", r.machine, signedTable(laps, r.field))
	for _, why := range slices.Sorted(maps.Keys(said)) {
		fmt.Println(why)
	}
	if len(said) > 0 {
		return errors.New("not everybody was measured")
	}
	return nil
}

// signedRound asks one server for names of each kind.
func (r *race) signedRound(ctx context.Context, c contender, round int, laps map[string][]signedLap) error {
	p, err := r.start(ctx, c)
	if err != nil {
		return err
	}
	defer p.stop()
	for _, k := range signedKinds {
		// What it keeps, it has by then.
		if _, err := r.askSigned(ctx, c, p, k, max(1, r.seconds/2)); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		l, err := r.askSigned(ctx, c, p, k, r.seconds)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		l.round = round
		laps[k.name] = append(laps[k.name], *l)
		fmt.Printf("kind=%q signed=%.1f%% truncated=%.1f%% %s\n", k.name, 100*l.signed, 100*l.truncated, strings.TrimSpace(l.String()))
	}
	return nil
}

// askSigned asks one server for names of one kind for a while.
func (r *race) askSigned(ctx context.Context, c contender, p *process, k signedKind, seconds int) (*signedLap, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	what := k.pattern
	if what == "" {
		what = filepath.Join(r.dir, "questions")
	}
	before, err := p.begin()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+30*time.Second)
	defer cancel()
	asker := exec.CommandContext(limited, r.taskset, "-c", askerCPU, self, signedAsker, strconv.Itoa(p.port), what, strconv.Itoa(k.rate), strconv.Itoa(seconds))
	out, err := asker.Output()
	if err != nil {
		return nil, fmt.Errorf("the asker: %w", err)
	}
	l, err := before.lap(c.name, string(out), asker.ProcessState)
	if err != nil {
		return nil, err
	}
	m := regexp.MustCompile(`Signed: ([0-9.]+)\nTruncated: ([0-9.]+)\n`).FindStringSubmatch(string(out))
	if m == nil {
		return nil, fmt.Errorf("the asker doesn't say what was signed:\n%s", out)
	}
	s := &signedLap{lap: *l}
	s.signed, _ = strconv.ParseFloat(m[1], 64)    // digits
	s.truncated, _ = strconv.ParseFloat(m[2], 64) // digits
	return s, nil
}

// signedTable are the medians: kinds by servers. The CPU is that of an answer with a signature.
func signedTable(laps map[string][]signedLap, field []contender) string {
	var b strings.Builder
	fmt.Fprintf(&b, "medians: µs of CPU an answer (answers a second; of them with signatures, and truncated)\n%-24s", "")
	for _, c := range field {
		fmt.Fprintf(&b, "%32s", c.name)
	}
	fmt.Fprintln(&b)
	for _, k := range signedKinds {
		fmt.Fprintf(&b, "%-24s", k.name)
		for _, c := range field {
			var cpu, qps, signed, truncated []float64
			for _, l := range laps[k.name] {
				if l.server == c.name {
					cpu, qps, signed, truncated = append(cpu, l.cpu), append(qps, l.qps), append(signed, l.signed), append(truncated, l.truncated)
				}
			}
			cell := "-"
			if len(cpu) > 0 {
				cell = fmt.Sprintf("%.1f (%s; %.1f%%, %.1f%%)", median(cpu), thousands(median(qps)), 100*median(signed), 100*median(truncated))
			}
			fmt.Fprintf(&b, "%32s", cell)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// signedAsker is the argument by which this program is the asker: signed PORT QUESTIONS|PATTERN RATE SECONDS. It is what dnsperf isn't: it tells
// answers with signatures from others, and has no end of names.
const signedAsker = "signed"

const (
	signedClients = 8
	// underWay is how many questions of each client are. All of them have room in the socket of a server that doesn't ask for more.
	underWay = 25
	// lostAfter is how long nothing is answered until what is under way is taken for lost.
	lostAfter = 200 * time.Millisecond
)

// askSigned asks a server on 127.0.0.1 with DO. What it tells, it tells in dnsperf's words.
func askSigned(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s PORT QUESTIONS|PATTERN RATE SECONDS", signedAsker)
	}
	rate, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	var questions [][]byte
	if !strings.Contains(args[1], zeros) {
		if questions, err = readQuestions(args[1]); err != nil {
			return err
		}
		for i, q := range questions {
			questions[i] = withDO(q)
		}
	}
	var t tally
	began := time.Now()
	end := began.Add(time.Duration(seconds) * time.Second)
	var wg sync.WaitGroup
	errs := make([]error, signedClients)
	for n := range signedClients {
		next := func(i int) []byte { return questions[(i*signedClients+n)%len(questions)] }
		if questions == nil {
			next = numbered(args[1])
		}
		var step time.Duration
		if rate > 0 {
			step = time.Second * signedClients / time.Duration(rate)
		}
		wg.Go(func() { errs[n] = t.client("127.0.0.1:"+args[0], next, step, end) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	answers, took := t.answers.Load(), time.Since(began).Seconds()
	some := float64(max(1, answers))
	fmt.Printf("Queries completed: %d\nQueries lost: %d\nAverage packet size: response %d\nRun time (s): %f\nQueries per second: %f\nSigned: %f\nTruncated: %f\nResponse codes:",
		answers, t.sent.Load()-answers, t.bytes.Load()/max(1, answers), took, float64(answers)/took, float64(t.signed.Load())/some, float64(t.truncated.Load())/some)
	for i := range t.codes {
		if n := t.codes[i].Load(); n > 0 {
			fmt.Printf(" %s %d (%.2f%%)", dns.RcodeToString[i], n, 100*float64(n)/some)
		}
	}
	fmt.Println()
	return nil
}

// A tally is what the clients have seen.
type tally struct {
	sent, answers, bytes, signed, truncated atomic.Int64
	codes                                   [16]atomic.Int64
}

// client asks until end: a question each step, or, where that is 0, as soon as one is answered.
func (t *tally) client(addr string, next func(i int) []byte, step time.Duration, end time.Time) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	const grace = 500 * time.Millisecond // for the last answers
	if err := conn.SetReadDeadline(end.Add(grace)); err != nil {
		return err
	}
	room := make(chan struct{}, underWay)
	var sent, got atomic.Int64
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, dns.MaxMsgSize)
		for !over.Load() || got.Load() < sent.Load() {
			n, err := conn.Read(b)
			if err != nil {
				return // the time is over
			}
			if n < 12 {
				continue
			}
			t.count(b[:n])
			got.Add(1)
			select {
			case <-room:
			default: // it had been given up
			}
		}
	}()
	due := time.Now()
	for i := 0; time.Now().Before(end); i++ {
		if step > 0 {
			time.Sleep(time.Until(due))
			due = due.Add(step)
		}
		reserve(room)
		q := next(i)
		q[0], q[1] = byte(i>>8), byte(i)
		if _, err := conn.Write(q); err != nil {
			return err
		}
		sent.Add(1)
		t.sent.Add(1)
	}
	over.Store(true)
	if got.Load() >= sent.Load() {
		_ = conn.SetReadDeadline(time.Now()) // nothing is under way; of a connection that is open it doesn't fail
	}
	<-done
	return nil
}

// reserve waits until one more question may be under way.
func reserve(room chan struct{}) {
	select {
	case room <- struct{}{}:
		return
	default: // the timer is for when it's full
	}
	select {
	case room <- struct{}{}:
	case <-time.After(lostAfter):
		for {
			select {
			case <-room:
			default:
				room <- struct{}{}
				return
			}
		}
	}
}

// anRRSIG is what stands before the TTL of each RRSIG record: its type, and IN.
var anRRSIG = []byte{0, byte(dns.TypeRRSIG), 0, 1}

func (t *tally) count(b []byte) {
	t.answers.Add(1)
	t.bytes.Add(int64(len(b)))
	t.codes[b[3]&15].Add(1)
	if b[2]&2 != 0 {
		t.truncated.Add(1)
	}
	if bytes.Contains(b, anRRSIG) {
		t.signed.Add(1)
	}
}

// withDO adds an OPT record with DO, and 1232 bytes of room (RFC 6891 section 6.1.2, RFC 3225), to a question that has none.
func withDO(q []byte) []byte {
	q = append(slices.Clip(q), 0, 0, byte(dns.TypeOPT), 1232>>8, 1232&0xff, 0, 0, 0x80, 0, 0, 0)
	q[11] = 1
	return q
}

// zeros are where the number stands in a name of which there is no end.
const zeros = "000000000"

// numbered gives questions for names that begin anywhere and go on.
func numbered(pattern string) func(int) []byte {
	q := withDO(packed(pattern, dns.TypeA))
	at := bytes.Index(q, []byte(zeros))
	n := rand.IntN(1e9)
	return func(int) []byte {
		n = (n + 1) % 1e9
		copy(q[at:], fmt.Sprintf("%09d", n))
		return q
	}
}
