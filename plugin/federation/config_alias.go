package federation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

// namesToo says whose annotation of hostnames is read beside fedns's own.
func (s *stanza) namesToo(a args) error {
	if len(a.list) != 1 || a.list[0] != "external-dns" {
		return errors.New("needs external-dns: whose annotation is read beside fedns.io/hostname")
	}
	s.policy.Foreign = true
	return nil
}

// aliased checks that hosts which Services are given can be answered.
func (s *stanza) aliased() error {
	for _, a := range s.policy.Aliases {
		if !slices.ContainsFunc(s.zones, func(z string) bool { return dns.IsSubDomain(z, a.Host+".") }) {
			return s.positions.of("alias").errorf("alias: %s is in no domain of federation %s, which has %s: a host is answered under those", a.Host, s.name, strings.Join(s.zones, " "))
		}
	}
	return nil
}

// aliases gives a Service a host.
func (s *stanza) aliases(a args) error {
	const needs = "needs a host and a Service, and perhaps a region: alias eu.nginx.acme.com mynamespace/nginx europe-west1"
	if len(a.list) < 2 || len(a.list) > 3 {
		return errors.New(needs)
	}
	host, err := dnsname.Parse(strings.TrimSuffix(strings.TrimPrefix(a.list[0], "*."), ".") + ".")
	if err != nil || host == dnsname.Root {
		return fmt.Errorf("%q is not a host: %s", a.list[0], needs)
	}
	out := shard.Alias{Host: strings.TrimSuffix(string(host), ".")}
	if strings.HasPrefix(a.list[0], "*.") {
		out.Host = "*." + out.Host
	}
	namespace, name, ok := strings.Cut(a.list[1], "/")
	for _, part := range []string{namespace, name} {
		if l, err := dnsname.Label(part); err != nil || l != part {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("%q is not NAMESPACE/SERVICE: %s", a.list[1], needs)
	}
	out.Key = snapshot.Key{Namespace: namespace, Name: name}
	if len(a.list) == 3 {
		if out.Region, err = topology.Label(a.list[2]); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(s.policy.Aliases, func(o shard.Alias) bool { return o.Host == out.Host }) {
		return fmt.Errorf("%s stands twice", a.list[0])
	}
	s.policy.Aliases = append(s.policy.Aliases, out)
	return nil
}
