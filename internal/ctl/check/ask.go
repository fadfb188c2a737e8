package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// An Asker asks name servers.
type Asker struct {
	Resolver string        // host:port of who is asked for what isn't the domain's
	Timeout  time.Duration // of one question
}

// NewAsker asks the resolver of a file such as /etc/resolv.conf, unless one is said.
func NewAsker(resolver, file string, timeout time.Duration) (*Asker, error) {
	if resolver == "" {
		c, err := dns.ClientConfigFromFile(file)
		if err != nil || len(c.Servers) == 0 {
			return nil, fmt.Errorf("%s names no resolver: --resolver ADDRESS says which to ask", file)
		}
		resolver = net.JoinHostPort(c.Servers[0], c.Port)
	}
	at, err := hostPort(resolver)
	if err != nil {
		return nil, err
	}
	return &Asker{Resolver: at.String(), Timeout: timeout}, nil
}

// hostPort reads an address with or without a port, 53 by default.
func hostPort(s string) (netip.AddrPort, error) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at, nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q isn't an address, such as 192.0.2.53 or 192.0.2.53:5353", s)
	}
	return netip.AddrPortFrom(a, 53), nil
}

func (a *Asker) exchange(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: a.Timeout}
	r, _, err := client.ExchangeContext(ctx, m, server)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, fmt.Errorf("no answer within %v", a.Timeout)
	case err != nil:
		said := err.Error() // such as "dial tcp ...: connect: connection refused"
		return nil, errors.New(strings.TrimSpace(said[strings.LastIndex(said, ": ")+1:]))
	}
	if r.Truncated && network == "udp" {
		return a.exchange(ctx, "tcp", server, m)
	}
	return r, nil
}

// question is one for who has the answer himself.
func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = false
	return m
}

func (a *Asker) resolve(ctx context.Context, name string, qtype uint16) ([]dns.RR, error) {
	r, err := a.exchange(ctx, "udp", a.Resolver, new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype))
	if err != nil {
		return nil, fmt.Errorf("resolver %s: %w", a.Resolver, err)
	}
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("resolver %s says %s for %s", a.Resolver, dns.RcodeToString[r.Rcode], name)
	}
	return r.Answer, nil
}

func (a *Asker) addresses(ctx context.Context, name string) (out []netip.Addr) {
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		rrs, err := a.resolve(ctx, name, t)
		if err != nil {
			continue // the other family may do
		}
		out = append(out, addrsOf(rrs, "")...)
	}
	return out
}

// addrsOf are the addresses in records, of an owner unless it is "".
func addrsOf(rrs []dns.RR, owner string) (out []netip.Addr) {
	for _, rr := range rrs {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok && (owner == "" || bare(rr.Header().Name) == owner) {
			out = append(out, addr.Unmap())
		}
	}
	return out
}

// Delegation asks the parent zone's servers, or parent, for a domain's name servers.
func (a *Asker) Delegation(ctx context.Context, domain, parent string) Delegation {
	d := Delegation{Domain: domain, Servers: map[string][]netip.Addr{}}
	servers, err := a.parent(ctx, &d, parent)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	var r *dns.Msg
	for _, s := range servers {
		if r, err = a.exchange(ctx, "udp", s, question(domain, dns.TypeNS)); err == nil {
			break
		}
		err = fmt.Errorf("%s, of %s: %w", s, zone(d.Parent), err)
	}
	if err != nil {
		d.Error = err.Error()
		return d
	}
	for _, rr := range append(r.Answer, r.Ns...) {
		if ns, is := rr.(*dns.NS); is && bare(ns.Hdr.Name) == domain {
			name := bare(ns.Ns)
			d.Servers[name] = addrsOf(r.Extra, name)
		}
	}
	return d
}

// parent finds the servers of the zone above a domain.
func (a *Asker) parent(ctx context.Context, d *Delegation, said string) ([]string, error) {
	if said != "" {
		at, err := hostPort(said)
		if err != nil {
			return nil, err
		}
		labels := dns.SplitDomainName(d.Domain)
		d.Parent = strings.Join(labels[1:], ".")
		return []string{at.String()}, nil
	}
	labels := dns.SplitDomainName(d.Domain)
	for i := 1; i <= len(labels); i++ {
		above := strings.Join(labels[i:], ".")
		rrs, err := a.resolve(ctx, above, dns.TypeNS)
		if err != nil {
			return nil, err
		}
		var servers []string
		for _, rr := range rrs {
			if ns, is := rr.(*dns.NS); is {
				for _, addr := range a.addresses(ctx, ns.Ns) {
					servers = append(servers, netip.AddrPortFrom(addr, 53).String())
				}
			}
		}
		if len(servers) > 0 {
			d.Parent = above
			return servers, nil
		}
	}
	return nil, errors.New("no zone above it has name servers that can be found")
}

// Servers asks those of a delegation, or those that are said, for the domain and for names.
func (a *Asker) Servers(ctx context.Context, d Delegation, said []string, names []string) (out []Server, err error) {
	if len(said) > 0 {
		for _, s := range said {
			at, err := hostPort(s)
			if err != nil {
				return nil, err
			}
			out = append(out, a.server(ctx, Server{Addr: at}, d.Domain, names))
		}
		return out, nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Servers)) {
		glue := d.Servers[name]
		if len(glue) == 0 {
			glue = a.addresses(ctx, name)
		}
		for _, addr := range glue {
			out = append(out, a.server(ctx, Server{Addr: netip.AddrPortFrom(addr, 53), Name: name}, d.Domain, names))
		}
	}
	return out, nil
}

func (a *Asker) server(ctx context.Context, s Server, domain string, names []string) Server {
	at := s.Addr.String()
	edns := question(domain, dns.TypeSOA)
	edns.SetEdns0(1232, false) // DNS flag day 2020
	for _, w := range []struct {
		name, network string
		m             *dns.Msg
	}{{"UDP", "udp", question(domain, dns.TypeSOA)}, {"TCP", "tcp", question(domain, dns.TypeSOA)}, {"EDNS", "udp", edns}} {
		r, err := a.exchange(ctx, w.network, at, w.m)
		text := ""
		switch {
		case err != nil:
			text = err.Error()
		case r.Rcode != dns.RcodeSuccess:
			text = "it says " + dns.RcodeToString[r.Rcode]
		case !r.Authoritative:
			text = "its answer isn't authoritative"
		case len(r.Answer) == 0:
			text = "it has no SOA record"
		case w.name == "EDNS" && r.IsEdns0() == nil:
			text = "its answer has no OPT record"
		}
		if text == "" {
			if soa, is := r.Answer[0].(*dns.SOA); is {
				s.Serial = soa.Serial
			}
		}
		s.Ways = append(s.Ways, Way{w.name, text})
		if err != nil && w.name == "UDP" {
			names = nil // who doesn't answer isn't asked much
		}
	}
	if r, err := a.exchange(ctx, "udp", at, question(domain, dns.TypeNS)); err == nil {
		for _, rr := range r.Answer {
			if ns, is := rr.(*dns.NS); is {
				s.NS = append(s.NS, bare(ns.Ns))
			}
		}
		slices.Sort(s.NS)
	}
	s.Answers = map[string]string{}
	for _, name := range names {
		r, err := a.exchange(ctx, "udp", at, question(name, dns.TypeA))
		if err != nil {
			continue // its ways say so
		}
		var records []string
		for _, rr := range r.Answer {
			text := rr.String()[len(rr.Header().String()):]
			records = append(records, dns.TypeToString[rr.Header().Rrtype]+" "+text)
		}
		slices.Sort(records)
		s.Answers[name] = dns.RcodeToString[r.Rcode] + " " + strings.Join(records, ", ")
	}
	return s
}

func bare(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
