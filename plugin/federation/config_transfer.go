package federation

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/fedns/fedns/plugin/federation/zone"
)

// A transferRule lets some secondaries have a zone: those of a network who sign with one of the keys, if
// there are any.
type transferRule struct {
	from []netip.Prefix
	keys []string
}

// allows says whether a secondary may have the zone.
func (r *transferRule) allows(s zone.Secondary) bool {
	return slices.ContainsFunc(r.from, func(p netip.Prefix) bool { return p.Contains(s.Addr) }) && (len(r.keys) == 0 || slices.Contains(r.keys, s.Key))
}

// A notified is a secondary that hears of changes.
type notified struct {
	addr netip.AddrPort
	key  string // of TSIG; "": it isn't signed
}

// everywhere are all networks.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// transferred says who may have the zone.
func (s *stanza) transferred(a args) error {
	const needs = "needs addresses or networks, or *, and perhaps keys: transfer 192.0.2.53 198.51.100.0/24 key xfr.example.com"
	var r transferRule
	list := a.list
	if i := slices.Index(list, "key"); i >= 0 {
		if i == len(list)-1 {
			return fmt.Errorf("key has no name: %s", needs)
		}
		for _, k := range list[i+1:] {
			r.keys = append(r.keys, keyName(k))
		}
		list = list[:i]
	}
	if len(list) == 0 {
		return errors.New(needs)
	}
	for _, v := range list {
		if v == "*" {
			r.from = append(r.from, everywhere...)
			continue
		}
		p, err := netip.ParsePrefix(v)
		if addr, aerr := netip.ParseAddr(v); aerr == nil {
			addr = addr.Unmap()
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("%q is neither an address nor a network: %s", v, needs)
		case p != p.Masked():
			return fmt.Errorf("%q has bits behind its length; the network is %s", v, p.Masked())
		}
		r.from = append(r.from, p)
	}
	s.transfers = append(s.transfers, r)
	return nil
}

// notifies says who hears of changes.
func (s *stanza) notifies(a args) error {
	const needs = "needs one address, with a port if it isn't 53, and perhaps a key: also-notify 192.0.2.53 key xfr.example.com"
	n := notified{}
	switch {
	case len(a.list) == 1:
	case len(a.list) == 3 && a.list[1] == "key":
		n.key = keyName(a.list[2])
	default:
		return errors.New(needs)
	}
	at, err := hostPort(a.list[0])
	if err != nil {
		return fmt.Errorf("%q is not an address: %s", a.list[0], needs)
	}
	n.addr = netip.MustParseAddrPort(at)
	if slices.ContainsFunc(s.notify, func(o notified) bool { return o.addr == n.addr }) {
		return fmt.Errorf("%s stands twice", n.addr)
	}
	s.notify = append(s.notify, n)
	return nil
}

// keyName is a key's name as the plugin tsig has it.
func keyName(v string) string { return plugin.Name(v).Normalize() }

// keyed checks that the plugin tsig of the server block has the keys that a stanza names.
func (s *stanza) keyed(cfg *dnsserver.Config) error {
	check := func(option, key string) error {
		if key == "" || cfg.TsigSecret[key] != "" {
			return nil
		}
		return s.positions.of(option).errorf("%s: no secret of key %s; the plugin tsig of the server block needs it: tsig { secret %s BASE64 }", option, key, key)
	}
	for _, r := range s.transfers {
		for _, k := range r.keys {
			if err := check("transfer", k); err != nil {
				return err
			}
		}
	}
	for _, n := range s.notify {
		if err := check("also-notify", n.key); err != nil {
			return err
		}
	}
	for _, p := range s.publish {
		if err := check("publish", p.key); err != nil {
			return err
		}
	}
	return nil
}
