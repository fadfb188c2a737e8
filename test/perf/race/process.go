package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// The race is between two cores: nobody but the server is on its own, nobody but the
// asker on the other.
const (
	serverCPU = "0"
	askerCPU  = "1"
)

// A process is a contender that runs.
type process struct {
	port int
	// Those of TLS and HTTPS; 0: it isn't asked so.
	tls, https int
	pid        int
	log        string // file
	cmd        *exec.Cmd
	done       chan struct{} // closed when it has ended
}

// start starts a contender and waits until it answers. Whatever it answers is
// compared with the federation it was given: a race with one who serves something
// else says nothing.
func (r *race) start(ctx context.Context, c contender) (*process, error) {
	path, err := r.find(c)
	if err != nil {
		return nil, err
	}
	p := &process{log: filepath.Join(r.dir, c.name+".log"), done: make(chan struct{})}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if r.secure {
		if p.tls, err = freePort(); err != nil {
			return nil, err
		}
		if p.https, err = freePort(); err != nil {
			return nil, err
		}
	}
	args, err := r.prepare(c, p)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// taskset becomes the program: its process is the server's.
	p.cmd = exec.Command(r.taskset, append([]string{"-c", serverCPU, path}, args...)...)
	p.cmd.Dir = r.root
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// A group of its own: Ctrl-C is for us, who then stop it in order, and what is left
	// of its children can be told from everybody else's.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // how it ended is told by its log
		close(p.done)
	}()
	if err := r.ready(ctx, c, p); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// patience is how long a server may take to load the federation.
const patience = time.Minute

// ready waits until a server gives one right answer, then compares many.
func (r *race) ready(ctx context.Context, c contender, p *process) error {
	client := dns.Client{Timeout: 200 * time.Millisecond}
	var sample []int
	for i := 0; i < len(r.fed.questions); i += max(1, len(r.fed.questions)/500) {
		sample = append(sample, i)
	}
	// One right answer shows that a zone has been loaded. But who answers by where
	// clients are may give some the right one before it knows of all regions.
	first := sample[:1]
	if c.nearest {
		first = sample
	}
	for end := time.Now().Add(patience); ; {
		err := r.check(&client, p, c, first)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("ended at the start: %s", p.lastWords())
		case <-time.After(20 * time.Millisecond): // between two tries
		}
		if time.Now().After(end) {
			return fmt.Errorf("no right answer within %v: %w; its log ends: %s", patience, err, p.lastWords())
		}
	}
	client.Timeout = 2 * time.Second // it answers; one that is lost now is a fault
	return r.check(&client, p, c, sample)
}

// check asks questions until an answer is wrong.
func (r *race) check(client *dns.Client, p *process, c contender, questions []int) error {
	for _, i := range questions {
		if err := r.ask(client, p, c, i); err != nil {
			return err
		}
	}
	return nil
}

// ask asks a server a question, and says what is wrong with the answer.
func (r *race) ask(client *dns.Client, p *process, c contender, i int) error {
	q, who := r.fed.questions[i], self
	if len(r.fed.clients) > 0 {
		who = r.fed.clients[i]
	}
	m, _, err := client.Exchange(who.asks(q.name), fmt.Sprint("127.0.0.1:", p.port))
	if err != nil || c.fixed {
		return err
	}
	all := q.addrs
	if c.nearest && len(q.parts) > 0 {
		all = q.closest(who.at)
	}
	want := dns.RcodeSuccess
	if q.kind == unknown {
		want = dns.RcodeNameError
	}
	var addrs []string
	target := ""
	for _, rr := range m.Answer {
		// Whether a CNAME's target comes along is the server's choice.
		if !strings.EqualFold(rr.Header().Name, q.name+".") {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A:
			addrs = append(addrs, rr.A.String())
		case *dns.CNAME:
			target = strings.TrimSuffix(rr.Target, ".")
		}
	}
	slices.Sort(addrs)
	if m.Rcode != want || target != q.target || !slices.Equal(addrs, slices.Sorted(slices.Values(all))) {
		return fmt.Errorf("wrong answer for %s from %v: %s %v %s, want %s %v %s", q.name, who.subnet,
			dns.RcodeToString[m.Rcode], addrs, target, dns.RcodeToString[want], all, q.target)
	}
	return nil
}

// lastWords is the last line of the log.
func (p *process) lastWords() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(raw))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// stop ends the server: by request, and if it doesn't listen, by force.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	// Children that outlive it: its group, if there still is one, is nobody else's.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
}

// freePort is a loopback port nobody listens on, by UDP or TCP, below those that
// outgoing connections are numbered with.
func freePort() (int, error) {
	for range 100 {
		port := 10000 + rand.IntN(10000)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		l.Close()
		u, err := net.ListenPacket("udp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		u.Close()
		return port, nil
	}
	return 0, errors.New("no port is free on 127.0.0.1")
}
