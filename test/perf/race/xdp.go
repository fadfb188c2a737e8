package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// Where servers and askers are with -xdp: at the ends of a veth pair between two network namespaces.
const (
	serverAddr = "10.97.0.2"
	askerAddr  = "10.97.0.1"
	serverLink = "xs"
	askerLink  = "xc"
	xdpPort    = 5353
)

// belowKernel are who races with -xdp: each by sockets, and by AF_XDP.
func (r *race) belowKernel() (out []contender) {
	at := func(text string) string { return strings.ReplaceAll(text, "127.0.0.1", serverAddr) }
	for _, c := range contenders {
		switch c.name {
		case "fedns":
			c.files = map[string]string{"Corefile": at(corefile(r.dir))}
			out = append(out, c)
			c.name, c.files = "fedns-xdp", map[string]string{"Corefile": at(corefile(r.dir, "xdp "+serverLink))}
			out = append(out, c)
		case "knot":
			text := at(c.files["knot.conf"])
			c.files = map[string]string{"run/.keep": "", "storage/.keep": "", "knot.conf": text}
			out = append(out, c)
			text = strings.Replace(text, "    listen: "+serverAddr+"@PORT\n", "", 1) + "xdp:\n    listen: " + serverLink + "@PORT\n"
			c.name, c.files = "knot-xdp", map[string]string{"run/.keep": "", "storage/.keep": "", "knot.conf": text}
			out = append(out, c)
		}
	}
	return out
}

// xdp measures what an answer costs by sockets and by AF_XDP, asked so many times a second.
func (r *race) xdp(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return hinted(errors.New("-xdp makes network namespaces"), "run it as root")
	}
	gun, err := find("kxdpgun", "knot-dnsutils")
	if err != nil {
		return err
	}
	servers, askers := fmt.Sprintf("race%d-servers", os.Getpid()), fmt.Sprintf("race%d-askers", os.Getpid())
	defer func() {
		for _, n := range []string{servers, askers} {
			_ = exec.Command("ip", "netns", "del", n).Run() // it may not have come to be
		}
	}()
	for _, command := range []string{
		"ip netns add " + servers,
		"ip netns add " + askers,
		// Of one queue, since a server has one core.
		fmt.Sprintf("ip link add %s netns %s numrxqueues 1 numtxqueues 1 type veth peer name %s netns %s numrxqueues 1 numtxqueues 1", serverLink, servers, askerLink, askers),
		fmt.Sprintf("ip -n %s addr add %s/24 dev %s", servers, serverAddr, serverLink),
		fmt.Sprintf("ip -n %s addr add %s/24 dev %s", askers, askerAddr, askerLink),
		fmt.Sprintf("ip -n %s link set %s up", servers, serverLink),
		fmt.Sprintf("ip -n %s link set %s up", askers, askerLink),
	} {
		args := strings.Fields(command)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	shoot := func(ctx context.Context, seconds string, rate int) (replies float64, state *os.ProcessState, err error) {
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", askers, gun, "-t", seconds, "-Q", strconv.Itoa(rate), "-F", askerCPU,
			"-i", filepath.Join(r.dir, "questions"), "-I", askerLink, "-p", strconv.Itoa(xdpPort), serverAddr)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, nil, fmt.Errorf("kxdpgun: %w: %s", err, out)
		}
		if m := regexp.MustCompile(`total replies: +([0-9]+)`).FindSubmatch(out); m != nil {
			replies, _ = strconv.ParseFloat(string(m[1]), 64) // digits
		}
		return replies, cmd.ProcessState, nil
	}
	fmt.Printf("server on CPU %s, kxdpgun with %d questions/s on CPU %s, over a veth pair, %d s each, %d rounds\n", serverCPU, r.rate, askerCPU, r.seconds, r.rounds)
	cost := map[string][]float64{}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "round\tserver\tµs CPU each\tanswered\tothers\t")
	field := r.belowKernel()
	for round := 1; round <= r.rounds; round++ {
		for _, c := range field {
			cpu, answered, others, err := r.xdpLap(ctx, c, servers, shoot)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(w, "%d\t%s\t%v\t\t\t\n", round, c.name, err)
				continue
			}
			cost[c.name] = append(cost[c.name], cpu)
			fmt.Fprintf(w, "%d\t%s\t%.2f\t%.0f %%\t%.2f\t\n", round, c.name, cpu, answered, others)
		}
		w.Flush()
	}
	fmt.Println("\nmedians:")
	for _, c := range field {
		if all := cost[c.name]; len(all) > 0 {
			slices.Sort(all)
			fmt.Fprintf(w, "%s\t%.2f\t\n", c.name, all[len(all)/2])
		}
	}
	return w.Flush()
}

// xdpLap has one server answer for a while.
func (r *race) xdpLap(ctx context.Context, c contender, where string, shoot func(ctx context.Context, seconds string, rate int) (float64, *os.ProcessState, error)) (cpu, answered, others float64, err error) {
	path, err := r.find(c)
	if err != nil {
		return 0, 0, 0, err
	}
	p := &process{port: xdpPort, log: filepath.Join(r.dir, c.name+".log"), done: make(chan struct{})}
	args, err := r.prepare(c, p)
	if err != nil {
		return 0, 0, 0, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return 0, 0, 0, err
	}
	defer log.Close()
	// ip and taskset become the program: their process is the server's.
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", where, r.taskset, "-c", serverCPU, path}, args...)...)
	p.cmd.Dir = r.root
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return 0, 0, 0, err
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // how it ended is told by its log
		close(p.done)
	}()
	defer func() {
		p.stop()
		_ = exec.Command("ip", "-n", where, "link", "set", serverLink, "xdp", "off").Run() // Knot leaves its program; ours has gone
	}()
	for end := time.Now().Add(patience); ; {
		replies, _, err := shoot(ctx, "1", 1000)
		if err == nil && replies > 900 {
			break
		}
		select {
		case <-ctx.Done():
			return 0, 0, 0, ctx.Err()
		case <-p.done:
			return 0, 0, 0, fmt.Errorf("ended at the start: %s", p.lastWords())
		default:
		}
		if time.Now().After(end) {
			return 0, 0, 0, fmt.Errorf("no answers within %v: its log ends: %s", patience, p.lastWords())
		}
	}
	watch, err := p.begin()
	if err != nil {
		return 0, 0, 0, err
	}
	replies, state, err := shoot(ctx, strconv.Itoa(r.seconds), r.rate)
	if err != nil {
		return 0, 0, 0, err
	}
	used, others, err := watch.end(state)
	if err != nil {
		return 0, 0, 0, err
	}
	if replies == 0 {
		return 0, 0, 0, errors.New("no answers")
	}
	return float64(used.cpu.Microseconds()) / replies, 100 * replies / float64(r.rate*r.seconds), others, nil
}
