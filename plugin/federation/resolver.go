package federation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/pipeline"
)

// A resolver looks up load balancers' hostnames at recursive servers, in their
// order.
type resolver struct {
	servers []string // host:port
	timeout time.Duration
}

// lookupTimeout is for one question to one server: longer than a cold cache takes
// to resolve a cloud's name, short enough for a second server to be asked.
const lookupTimeout = 3 * time.Second

// hostResolver asks the servers that the host itself asks.
func hostResolver() *resolver {
	r := &resolver{timeout: lookupTimeout}
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
	case len(addrs) > 0:
		// Some servers of load balancers' names never answer for AAAA: what one
		// family says counts.
		return addrs, time.Duration(ttl) * time.Second, nil
	case failed != nil:
		return nil, 0, failed
	}
	return nil, 0, fmt.Errorf("%s %w", host, pipeline.ErrNoHost)
}

// ask asks the servers in turn until one answers.
func (r *resolver) ask(ctx context.Context, host string, t uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(host), t)
	q.SetEdns0(message.Payload, false)
	var failed error
	for _, s := range r.servers {
		c := dns.Client{Timeout: r.timeout}
		m, _, err := c.ExchangeContext(ctx, q, s)
		if err == nil && m.Truncated {
			c.Net = "tcp"
			m, _, err = c.ExchangeContext(ctx, q, s)
		}
		switch {
		case err != nil:
			failed = fmt.Errorf("resolver %s: %w", s, err)
		case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
			failed = fmt.Errorf("resolver %s: %s for %s", s, dns.RcodeToString[m.Rcode], host)
		default:
			return m, nil
		}
	}
	return nil, failed
}
