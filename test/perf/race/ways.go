package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A way is how questions come to a server.
type way struct {
	name string
	port func(p *process) int
	args []string // of dnsperf, or of this program; nil: connect asks
	pace string   // the method of paceAsker
	who  []string // of the contenders
}

// ways are those that there are: eight clients with fifty questions each (dnsperf, and web.go), or eight with a connection for each question
// (connect.c).
var ways = []way{
	{"UDP", plainPort, []string{"-m", "udp"}, "UDP", []string{"nsd", "knot", "gdnsd", "bind", "coredns", "fedns", "fedns-slow"}},
	{"TCP, kept", plainPort, []string{"-m", "tcp"}, "TCP", []string{"nsd", "knot", "gdnsd", "bind", "coredns", "fedns", "fedns-slow"}},
	{"TCP, a connection each", plainPort, nil, "NEW", []string{"nsd", "knot", "gdnsd", "bind", "coredns", "fedns", "fedns-slow"}},
	{"TLS, kept", func(p *process) int { return p.tls }, []string{"-m", "dot"}, "TLS", []string{"nsd", "bind", "fedns", "fedns-slow"}},
	{"HTTPS, GET, kept", func(p *process) int { return p.https }, []string{webAsker, "GET"}, "GET", []string{"bind", "fedns", "fedns-slow"}},
	{"HTTPS, POST, kept", func(p *process) int { return p.https }, []string{webAsker, "POST"}, "POST", []string{"bind", "fedns", "fedns-slow"}},
	{"HTTP/3, GET, kept", func(p *process) int { return p.https }, []string{webAsker, "GET3"}, "GET3", []string{"fedns", "fedns-slow"}},
	{"QUIC, kept", func(p *process) int { return p.tls }, []string{webAsker, "QUIC"}, "QUIC", []string{"fedns", "fedns-slow"}},
}

func plainPort(p *process) int { return p.port }

// ways races everybody on every way there is to it, and prints what an answer costs on each.
func (r *race) ways(ctx context.Context) error {
	dnsperf, err := find("dnsperf", "dnsperf")
	if err != nil {
		return err
	}
	if err := certificate(r.dir); err != nil {
		return err
	}
	fmt.Printf("server on CPU %s, dnsperf on CPU %s with 8 clients and 400 questions under way, %d s each, %d rounds\n", serverCPU, askerCPU, r.seconds, r.rounds)
	laps := map[string][]lap{} // by way
	said := map[string]bool{}
	for round := 1; round <= r.rounds; round++ {
		for _, c := range r.field {
			if err := r.round(ctx, dnsperf, c, round, laps); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				said[fmt.Sprintf("%s: %v", c.name, err)] = true
			}
		}
	}
	fmt.Printf("\n%s\n%s", r.machine, wayTables(laps, r.field))
	for _, why := range slices.Sorted(maps.Keys(said)) {
		fmt.Println(why)
	}
	return nil
}

// afterStart is how long a server has for what it does right after its start, such as giving back what it has read with.
const afterStart = 3 * time.Second

// round asks one server on every way that it has.
func (r *race) round(ctx context.Context, dnsperf string, c contender, round int, laps map[string][]lap) error {
	p, err := r.start(ctx, c)
	if err != nil {
		return err
	}
	defer p.stop()
	var errs []error
	time.Sleep(afterStart)
	for _, w := range ways {
		if !slices.Contains(w.who, strings.TrimSuffix(c.name, beforeSuffix)) {
			continue
		}
		time.Sleep(300 * time.Millisecond) // what the way before leaves to tidy up isn't measured
		l, err := r.alongWay(ctx, dnsperf, c, p, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
			continue
		}
		l.round = round
		laps[w.name] = append(laps[w.name], *l)
		fmt.Printf("way=%q %s\n", w.name, strings.TrimSpace(l.String()))
	}
	return errors.Join(errs...)
}

// alongWay asks one server on one way for a while.
func (r *race) alongWay(ctx context.Context, dnsperf string, c contender, p *process, w way) (*lap, error) {
	before, err := p.begin()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, 2*time.Duration(r.seconds)*time.Second+30*time.Second)
	defer cancel()
	port, questions, seconds := strconv.Itoa(w.port(p)), filepath.Join(r.dir, "questions"), strconv.Itoa(r.seconds)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-c", askerCPU, dnsperf, "-s", "127.0.0.1", "-p", port, "-d", questions,
		"-l", seconds, "-c", "8", "-q", "400", "-T", "1"}, w.args...)
	if slices.Contains(w.args, webAsker) {
		args = append(append([]string{"-c", askerCPU, self}, w.args...), port, questions, seconds)
	}
	if w.args == nil {
		connect, err := r.compile("connect.c")
		if err != nil {
			return nil, err
		}
		args = []string{"-c", askerCPU, connect, port, questions, seconds}
	}
	asker := exec.CommandContext(limited, r.taskset, args...)
	out, err := asker.Output()
	if err != nil {
		return nil, fmt.Errorf("dnsperf: %w", err)
	}
	l, err := before.lap(c.name, string(out), asker.ProcessState)
	if err != nil {
		return nil, err
	}
	out, err = exec.CommandContext(limited, r.taskset, "-c", askerCPU, self, paceAsker, w.pace, port, questions, seconds).Output()
	if err != nil {
		return nil, fmt.Errorf("at a steady pace: %w", err)
	}
	l.took, err = readPace(string(out))
	return l, err
}

// wayTables are the medians: ways by servers.
func wayTables(laps map[string][]lap, field []contender) string {
	var b strings.Builder
	head := func(title string) {
		fmt.Fprintf(&b, "medians: %s\n%-24s", title, "")
		for _, c := range field {
			fmt.Fprintf(&b, "%24s", c.name)
		}
		fmt.Fprintln(&b)
	}
	head("µs of CPU an answer (answers a second; what it is to fedns, in the same rounds)")
	for _, w := range ways {
		fmt.Fprintf(&b, "%-24s", w.name)
		for _, c := range field {
			cell := "-"
			if own := of(laps[w.name], c.name); len(own) > 0 {
				m := middle(own)
				cell = fmt.Sprintf("%.2f (%s", m.cpu, thousands(m.qps))
				if q, ok := ratio(laps[w.name], c.name, "fedns", func(l lap) float64 { return l.cpu }); ok && c.name != "fedns" {
					cell += fmt.Sprintf("; %.2f", q)
				}
				cell += ")"
			}
			fmt.Fprintf(&b, "%24s", cell)
		}
		fmt.Fprintln(&b)
	}
	head(fmt.Sprintf("µs that an answer takes at %d a second, of half of them, 99%%, 99.9%%", paceRate))
	for _, w := range ways {
		fmt.Fprintf(&b, "%-24s", w.name)
		for _, c := range field {
			cell := "-"
			if own := of(laps[w.name], c.name); len(own) > 0 {
				m := middle(own)
				cell = fmt.Sprintf("%.0f, %.0f, %.0f", m.took[0], m.took[1], m.took[2])
			}
			fmt.Fprintf(&b, "%24s", cell)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// certificate makes one for those who answer over TLS.
func certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
