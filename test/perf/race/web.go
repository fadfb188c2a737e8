package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// webAsker is the argument by which this program is the asker: web GET|POST|GET3|QUIC PORT QUESTIONS SECONDS. (dnsperf 2.10 loses the
// body of a response that comes in another TLS record than its headers, and knows nothing of QUIC.)
const webAsker = "web"

// askWeb asks a server on 127.0.0.1 over HTTPS, HTTP/3 or QUIC as fast as it answers: eight connections, each with fifty questions under way.
// What it tells, it tells in dnsperf's words.
func askWeb(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s METHOD PORT QUESTIONS SECONDS", webAsker)
	}
	method, port := args[0], args[1]
	seconds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	questions, err := readQuestions(args[2])
	if err != nil {
		return err
	}
	var answers, lost, sum, next atomic.Int64
	var codes [16]atomic.Int64
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		ask, err := connection(ctx, method, port)
		if err != nil {
			return err
		}
		for range 50 {
			wg.Go(func() {
				for ctx.Err() == nil {
					q := questions[int(next.Add(1))%len(questions)]
					b, err := ask(ctx, q)
					switch {
					case ctx.Err() != nil:
					case err != nil || len(b) < 12:
						lost.Add(1)
					default:
						answers.Add(1)
						sum.Add(int64(len(b)))
						codes[b[3]&15].Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	fmt.Printf("Queries completed: %d\nQueries lost: %d\nAverage packet size: response %d\nRun time (s): %f\nQueries per second: %f\nResponse codes:",
		answers.Load(), lost.Load(), sum.Load()/max(1, answers.Load()), took, float64(answers.Load())/took)
	for i := range codes {
		if n := codes[i].Load(); n > 0 {
			fmt.Printf(" %s %d (%.2f%%)", dns.RcodeToString[i], n, 100*float64(n)/float64(answers.Load()))
		}
	}
	fmt.Println()
	return nil
}

// connection gives what asks on one connection.
func connection(ctx context.Context, method, port string) (func(context.Context, []byte) ([]byte, error), error) {
	trusting := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is our own
	if method == "QUIC" {
		trusting.NextProtos = []string{"doq"}
		conn, err := quic.DialAddr(ctx, "127.0.0.1:"+port, trusting, nil)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, q []byte) ([]byte, error) { return askQUIC(ctx, conn, q) }, nil
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}}
	if method == "GET3" {
		method, client.Transport = http.MethodGet, &http3.Transport{TLSClientConfig: trusting}
	}
	return func(ctx context.Context, q []byte) ([]byte, error) { return askOver(ctx, client, method, port, q) }, nil
}

// askQUIC asks in a stream (RFC 9250).
func askQUIC(ctx context.Context, conn *quic.Conn, q []byte) ([]byte, error) {
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if until, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(until) // of a stream it doesn't fail
	}
	q = slices.Clone(q)
	q[0], q[1] = 0, 0
	if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(s)
	if err != nil || len(b) < 2 {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return b[2:], nil
}

func askOver(ctx context.Context, client *http.Client, method, port string, q []byte) ([]byte, error) {
	url, body := "https://127.0.0.1:"+port+"/dns-query", io.Reader(nil)
	if method == http.MethodGet {
		url += "?dns=" + base64.RawURLEncoding.EncodeToString(q)
	} else {
		body = bytes.NewReader(q)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/dns-message")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	return io.ReadAll(answer.Body)
}
