// Package dnssec is the directive of that name: it signs what other plugins of the server block answer, when it is asked for.
//
//	dnssec [ZONE...] {
//	    key file KEY...
//	    cache_capacity N
//	}
//
// It reads what CoreDNS's own plugin reads, but for keys in the AWS Secrets Manager: for these alone fifteen modules would be
// linked. It signs as the federation signs its own names, with the same package, and so with keys of the same algorithms.
//
// The federation's option of the same name does more for its domain: it knows which types a name has, looks at the dates of
// keys, and signs transfers.
package dnssec

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/dnssec"
	"github.com/fedns/fedns/internal/dnskey"
)

const name = "dnssec"

var log = clog.NewWithPlugin(name)

func init() { plugin.Register(name, setup) }

const (
	// capacity is how many signatures are kept if nothing is said: as many as CoreDNS's plugin keeps.
	capacity = 10000
	// most bounds it: their places alone are 128 MB then.
	most = 1 << 24
	// freshPerCore is how many denials are signed in a second, for each core. There is no end of names that aren't there, so
	// that more are told to ask again over TCP. It is what the federation has for its own.
	freshPerCore = 5000
	// own is for how many sets of the zones' own names there is a place that no others take: some of each of many zones.
	own = 1 << 10
)

func setup(c *caddy.Controller) error {
	config := dnsserver.GetConfig(c)
	said, err := parse(c)
	if err != nil {
		return plugin.Error(name, err)
	}
	d, err := said.in(config.Root).plugin()
	if err != nil {
		return plugin.Error(name, c.Err(err.Error()))
	}
	config.AddPlugin(func(next plugin.Handler) plugin.Handler {
		d.Next = next
		return d
	})
	return nil
}

// A stanza is what the directive says.
type stanza struct {
	zones    []string
	keys     []string // paths
	capacity int
}

func parse(c *caddy.Controller) (s stanza, err error) {
	c.Next()
	s = stanza{zones: plugin.OriginsFromArgsOrServerBlock(c.RemainingArgs(), c.ServerBlockKeys), capacity: capacity}
	for c.NextBlock() {
		switch option, values := c.Val(), c.RemainingArgs(); option {
		case "key":
			if len(values) > 0 && values[0] == "aws_secretsmanager" {
				return s, c.Err("keys aren't got from the AWS Secrets Manager here; have another program put them into files: key file KEY...")
			}
			if len(values) < 2 || values[0] != "file" {
				return s, c.Errf("key %v; it is: key file KEY...", values)
			}
			s.keys = append(s.keys, values[1:]...)
		case "cache_capacity":
			if len(values) != 1 {
				return s, c.Errf("cache_capacity has one value, not %d", len(values))
			}
			if s.capacity, err = strconv.Atoi(values[0]); err != nil || s.capacity < 0 || s.capacity > most {
				return s, c.Errf("cache_capacity %q isn't a number from 0 to %d", values[0], most)
			}
		default:
			return s, c.Errf("there is no option %q; there are key and cache_capacity", option)
		}
	}
	if c.Next() {
		return s, plugin.ErrOnce
	}
	return s, nil
}

// in takes relative paths from the directory of the directive root.
func (s stanza) in(root string) stanza {
	s.keys = slices.Clone(s.keys)
	for i, path := range s.keys {
		if root != "" && !filepath.IsAbs(path) {
			s.keys[i] = filepath.Join(root, path)
		}
	}
	return s
}

// plugin reads the keys.
func (s stanza) plugin() (*Dnssec, error) {
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("there is no key to sign %v with: key file KEY..., as dnssec-keygen or fedctl keys generate makes them", s.zones)
	}
	keys, err := dnskey.LoadExposed(func(why string) { log.Warning(why) }, s.keys...)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.Signer == nil {
			return nil, fmt.Errorf("key %s has no private part: there is no %s.private", k, k.Path)
		}
		if !slices.ContainsFunc(s.zones, plugin.Name(k.Zone).Matches) {
			return nil, fmt.Errorf("key %s can't sign any of the zones %v: its own is none of those, nor above one", k, s.zones)
		}
	}
	d := &Dnssec{names: s.zones, kept: dnssec.NewKeptOf(own+s.capacity, s.capacity, uint32(freshPerCore*runtime.GOMAXPROCS(0))), now: time.Now}
	for _, z := range s.zones {
		signer, err := d.signer(z, keys)
		if err != nil {
			return nil, err
		}
		d.zones = append(d.zones, signer)
	}
	return d, nil
}

// signer signs one zone with all keys, whatever zone and dates their files say: a key of one zone may sign those below it,
// and a server that was set up with a key has always signed with it.
func (d *Dnssec) signer(zone string, keys []*dnskey.Key) (*dnssec.Signer, error) {
	name, err := dnsname.Parse(zone)
	if err != nil {
		return nil, err
	}
	of := make([]*dnskey.Key, len(keys))
	for i, k := range keys {
		here := *k
		here.Zone, here.Dates = name, dnskey.Dates{}
		of[i] = &here
	}
	plan, err := dnskey.PlanAt(name, of, d.now())
	if err != nil {
		return nil, err
	}
	signer := dnssec.NewSigner(name, d.kept)
	signer.Use(&plan)
	return signer, nil
}
