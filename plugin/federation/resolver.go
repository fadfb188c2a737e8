package federation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/pipeline"
)

// A resolver looks up load balancers' hostnames at recursive servers, in their
// order.
type resolver struct {
	servers  []string // host:port
	patience time.Duration
}

// lookupPatience is how long one server is waited for before another, or the same again,
// is asked as well: longer than a cold cache takes to resolve a cloud's name, mostly.
const lookupPatience = 3 * time.Second

// lookupPatiences is for how many of them any server may still answer: a resolver that is
// slow every time is no reason not to know. It is less than a start waits for.
const lookupPatiences = 3

// hostResolver asks the servers that the host itself asks.
func hostResolver() *resolver {
	r := &resolver{patience: lookupPatience}
	if c, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil {
		for _, s := range c.Servers {
			r.servers = append(r.servers, net.JoinHostPort(s, c.Port))
		}
	}
	return r
}

// Lookup implements pipeline.Resolver.
func (r *resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	if len(r.servers) == 0 {
		return nil, 0, errors.New("no resolver is known; set one with resolver ADDRESS")
	}
	var addrs []netip.Addr
	var ttl uint32
	var failed error
	// Both at once: answers wait for this when the server starts.
	types := [...]uint16{dns.TypeA, dns.TypeAAAA}
	var replies [len(types)]*dns.Msg
	var errs [len(types)]error
	var wg sync.WaitGroup
	for i, t := range types {
		wg.Go(func() { replies[i], errs[i] = r.ask(ctx, host, t) })
	}
	wg.Wait()
	for i, m := range replies {
		if errs[i] != nil {
			failed = errs[i]
			continue
		}
		for _, rr := range m.Answer {
			var ip net.IP
			switch rr := rr.(type) {
			case *dns.A:
				ip = rr.A
			case *dns.AAAA:
				ip = rr.AAAA
			case *dns.CNAME:
			default:
				continue
			}
			if ttl == 0 || rr.Header().Ttl < ttl {
				ttl = rr.Header().Ttl
			}
			if a, ok := netip.AddrFromSlice(ip); ok {
				addrs = append(addrs, a.Unmap())
			}
		}
	}
	switch {
	case len(addrs) > 0: // what one family says counts
		return addrs, time.Duration(ttl) * time.Second, failed
	case failed != nil:
		return nil, 0, failed
	}
	return nil, 0, fmt.Errorf("%s %w", host, pipeline.ErrNoHost)
}

// ask asks the servers in turn until one answers: the next one where the last has failed, or
// has had its time and may answer still. The only one is asked twice: datagrams are lost.
func (r *resolver) ask(ctx context.Context, host string, t uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupPatiences*r.patience)
	defer cancel()
	type reply struct {
		m   *dns.Msg
		err error
	}
	asked, waiting, most := 0, 0, max(len(r.servers), 2)
	replies := make(chan reply, most)
	silence := fmt.Errorf("resolver %s: no answer for %s %s", strings.Join(r.servers, ", "), host, dns.TypeToString[t])
	next := time.NewTimer(r.patience)
	defer next.Stop()
	one := func() {
		s := r.servers[asked%len(r.servers)]
		asked, waiting = asked+1, waiting+1
		next.Reset(r.patience)
		go func() {
			m, err := r.exchange(ctx, s, host, t)
			replies <- reply{m, err}
		}()
	}
	for one(); ; {
		select {
		case got := <-replies:
			if waiting--; got.err == nil {
				return got.m, nil
			}
			if asked < len(r.servers) {
				one()
			} else if n := net.Error(nil); waiting == 0 && errors.As(got.err, &n) && n.Timeout() {
				return nil, silence
			} else if waiting == 0 {
				return nil, got.err
			}
		case <-next.C:
			if asked < most {
				one()
			}
		case <-ctx.Done():
			return nil, silence
		}
	}
}

// exchange asks one server, once.
func (r *resolver) exchange(ctx context.Context, server, host string, t uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(host), t)
	q.SetEdns0(message.Payload, false)
	c := dns.Client{Timeout: lookupPatiences * r.patience}
	m, _, err := c.ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		c.Net = "tcp"
		m, _, err = c.ExchangeContext(ctx, q, server)
	}
	switch {
	case err != nil:
		// Without the socket, which is another one each time: a failure that lasts is said once.
		if op := new(net.OpError); errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("resolver %s: %w", server, err)
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("resolver %s: %s for %s %s", server, dns.RcodeToString[m.Rcode], host, dns.TypeToString[t])
	}
	return m, nil
}
