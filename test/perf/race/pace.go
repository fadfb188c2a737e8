package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// paceAsker is the argument by which this program asks at a steady pace: pace METHOD PORT QUESTIONS SECONDS, with a method of
// webAsker's, or UDP, TCP, NEW (a connection for each question) or TLS.
const paceAsker = "pace"

const (
	// paceRate is how many questions a second there are: few, so that it is seen how long an answer takes, and not how long others
	// before it do.
	paceRate = 2000
	// paceClients have a connection each, and one question at a time.
	paceClients = 8
	// pacePatience is how long an answer is waited for; one that doesn't come took so long.
	pacePatience = time.Second
)

// askAtPace asks a server on 127.0.0.1, and prints how long answers take, in µs: since the moment at which the question was due, so
// that a server that holds up one question answers for those behind it, too.
func askAtPace(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s METHOD PORT QUESTIONS SECONDS", paceAsker)
	}
	method, port := args[0], args[1]
	questions, err := readQuestions(args[2])
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	const step = time.Second * paceClients / paceRate
	var mu sync.Mutex // guards took
	var took []time.Duration
	lost := 0
	var wg sync.WaitGroup
	for client := range paceClients {
		ask, err := paced(method, port)
		if err != nil {
			return err
		}
		wg.Go(func() {
			var own []time.Duration
			missing := 0
			due := time.Now().Add(step * time.Duration(client) / paceClients)
			for n, end := client, due.Add(time.Duration(seconds)*time.Second); due.Before(end); n, due = n+paceClients, due.Add(step) {
				time.Sleep(time.Until(due))
				ctx, cancel := context.WithTimeout(context.Background(), pacePatience)
				if b, err := ask(ctx, questions[n%len(questions)]); err != nil || len(b) < 12 {
					missing++
				}
				cancel()
				own = append(own, time.Since(due))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			lost += missing
		})
	}
	wg.Wait()
	if len(took) == 0 {
		return errors.New("nothing was asked")
	}
	slices.Sort(took)
	fmt.Printf("Latency (us): %s\nLost: %d of %d\n", quantilesOf(took), lost, len(took))
	return nil
}

// paceQuantiles are those that are shown.
var paceQuantiles = []float64{0.5, 0.99, 0.999}

func quantilesOf(sorted []time.Duration) string {
	var out []string
	for _, q := range paceQuantiles {
		out = append(out, fmt.Sprintf("%.1f", float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Nanoseconds())/1e3))
	}
	return strings.Join(out, " ")
}

// readPace gives the quantiles that askAtPace has printed.
func readPace(report string) (out [3]float64, err error) {
	_, text, ok := strings.Cut(report, "Latency (us): ")
	if !ok {
		return out, fmt.Errorf("the asker printed no latency:\n%s", report)
	}
	_, err = fmt.Sscan(text, &out[0], &out[1], &out[2])
	return out, err
}

// paced gives what asks on one connection.
func paced(method, port string) (func(context.Context, []byte) ([]byte, error), error) {
	network := map[string]string{"UDP": "udp", "TCP": "tcp", "NEW": "tcp", "TLS": "tcp-tls"}[method]
	if network == "" {
		return connection(context.Background(), method, port)
	}
	client := dns.Client{Net: network, Timeout: pacePatience, TLSConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is our own
	var c *dns.Conn
	return func(_ context.Context, q []byte) (b []byte, err error) {
		if c == nil {
			if c, err = client.Dial("127.0.0.1:" + port); err != nil {
				return nil, err
			}
		}
		defer func() {
			if err != nil || method == "NEW" {
				_ = c.Close() // the next has another one
				c = nil
			}
		}()
		_ = c.SetDeadline(time.Now().Add(pacePatience)) // of a connection that is open it doesn't fail
		if _, err := c.Write(q); err != nil {
			return nil, err
		}
		b = make([]byte, dns.MaxMsgSize)
		n, err := c.Read(b)
		return b[:n], err
	}, nil
}

// readQuestions reads a file of dnsperf's, as far as there are enough different ones.
func readQuestions(path string) (out [][]byte, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const enough = 20_000
	for line := range strings.Lines(string(text)) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		out = append(out, packed(name, dns.StringToType[kind]))
		if len(out) == enough {
			break
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no questions", path)
	}
	return out, nil
}
