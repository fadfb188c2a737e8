package federation

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/coredns/caddy"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/metric"
)

var connsEnded = metric.Fedns.Counters("tcp_ended_total",
	"TCP connections that were ended because there was too much: all (connections), network (of one), bytes (that aren't whole, or not taken), descriptors, and quic (connections of QUIC and HTTP/3).", "reason")

// The limits of connections by default. A resolver keeps few, and most none; and half of the
// descriptors are for what else is open.
const (
	connsInAll     = 4096
	connsOfNetwork = 256
)

// defaultConns are the limits of a process with so many descriptors; 0: nobody knows how many.
func defaultConns(descriptors int) sockets.ConnLimits {
	l := sockets.ConnLimits{All: connsInAll, Network: connsOfNetwork}
	if descriptors > 0 {
		l.All = max(min(l.All, descriptors/2), 1)
	}
	return l
}

// connected says how many TCP connections there may be.
func (s *stanza) connected(a args) error {
	const needs = "needs off, or one or two numbers: tcp ALL [NETWORK], such as tcp 4096 256"
	if len(a.list) == 1 && a.list[0] == "off" {
		s.conns = &sockets.ConnLimits{}
		return nil
	}
	if len(a.list) == 0 || len(a.list) > 2 {
		return errors.New(needs)
	}
	l := sockets.ConnLimits{}
	for i, into := range []*int{&l.All, &l.Network}[:len(a.list)] {
		n, err := strconv.Atoi(a.list[i])
		if err != nil || n < 1 {
			return fmt.Errorf("%q: %s", a.list[i], needs)
		}
		*into = n
	}
	if len(a.list) == 1 {
		l.Network = min(connsOfNetwork, l.All)
	}
	s.conns = &l
	return nil
}

// connsOf are the limits that stanzas say; nil: none does.
func connsOf(stanzas []stanza) (l *sockets.ConnLimits, err error) {
	for _, s := range stanzas {
		switch {
		case s.conns == nil:
		case l != nil && *l != *s.conns:
			return nil, s.positions.of("tcp").errorf("tcp: the federations of a server block share their limits; say them once")
		default:
			l = s.conns
		}
	}
	return l, nil
}

// least are the limits that hold for the process: the narrowest that is said, or the default.
func least(fs []*Federation) sockets.ConnLimits {
	var out *sockets.ConnLimits
	for _, f := range fs {
		if l := f.conns; l != nil && (out == nil || out.All == 0 || l.All > 0 && l.All < out.All) {
			out = l
		}
	}
	if out == nil {
		return defaultConns(sockets.Descriptors())
	}
	return *out
}

// guardConns has the connections to the servers of a configuration watched.
func (p *process) guardConns(inst *caddy.Instance) {
	l := least(p.running)
	var ports []uint16
	for _, s := range inst.Servers() {
		if at, ok := s.Addr().(*net.TCPAddr); ok && l != (sockets.ConnLimits{}) {
			ports = append(ports, uint16(at.Port))
		}
	}
	p.warden.Watch(ports, l)
}
