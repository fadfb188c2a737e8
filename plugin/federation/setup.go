package federation

import (
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/dnsname"
	"github.com/fedns/fedns/internal/dns/rrl"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/cluster"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

// Both kinds of sources are met here, where both are imported anyway.
var (
	_ pipeline.Source = (*cluster.Watcher)(nil)
	_ pipeline.Source = (*cluster.Folder)(nil)
)

func init() {
	cluster.SilenceClientGo()
	plugin.Register(observe.PluginName, setup)
}

func setup(c *caddy.Controller) error {
	stanzas, err := parse(c)
	if err != nil {
		return plugin.Error(observe.PluginName, err)
	}
	f, err := build(stanzas, listenAddrs(dnsserver.GetConfig(c).ListenHosts))
	if err != nil {
		return plugin.Error(observe.PluginName, err)
	}
	for i := range stanzas {
		if err := stanzas[i].keyed(dnsserver.GetConfig(c)); err != nil {
			return plugin.Error(observe.PluginName, err)
		}
	}
	st := newStatusServer(f, stanzas)
	if err := st.claim(c); err != nil {
		return plugin.Error(observe.PluginName, err)
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		f.Next = next
		return st.handler()
	})
	f.Instance = c.Context()
	f.Config, f.Number = dnsserver.GetConfig(c), c.ServerBlockIndex
	for i := range c.ServerBlockKeys {
		of := *c
		of.ServerBlockKeyIndex = i
		f.Configs = append(f.Configs, dnsserver.GetConfig(&of))
	}
	f.ConfigOf = func(number int) *dnsserver.Config {
		of := *c
		of.ServerBlockIndex, of.ServerBlockKeyIndex = number, 0
		return dnsserver.GetConfig(&of)
	}
	f.Addresses = fastpath.AddressesOf(c.ServerBlockKeys, f.Config.ListenHosts)
	for i := range stanzas {
		stanzas[i].placed()
		stanzas[i].exposed()
	}
	f.captureServer(f.Config)
	f.addEdge(f.Config)
	hook(c, f, st)
	return nil
}

// build makes the handler of the stanzas of one server block. Everything that can
// be wrong with them is found here; nothing is started.
func build(stanzas []stanza, listen []netip.Addr) (*Federation, error) {
	f := &Federation{}
	byDomain := map[string][]stanza{}
	var federations []pipeline.Federation
	for i, s := range stanzas {
		if s.local.cluster != "" {
			s.policy.Local = shard.Local{Cluster: s.local.cluster, Namespace: s.name}
		}
		s.policy.Placeless = s.placeless()
		fed := pipeline.Federation{Name: s.name, Resolver: s.resolver, Policy: s.policy, Probes: s.probed, Hosts: f.AdmitsHosts(i),
			Overrides: s.override, OverridesAt: s.positions.of("overrides").String(), State: s.state, StateAt: s.positions.of("state").String()}
		for _, src := range s.clusters {
			open, err := src.open(&s)
			if err != nil {
				return nil, src.positions.of(src.origin()).errorf("cluster %q: %w", src.Name, err)
			}
			fed.Members = append(fed.Members, pipeline.Member{
				Cluster:  src.Cluster,
				Source:   open,
				Identity: src.identity(s.name, s.selector),
				Origin:   src.origin(),
			})
		}
		federations = append(federations, fed)
		l := geoindex.New(s.Options, s.name, i, s.policy.Choice, sitesOf(s.clusters))
		f.Geo = append(f.Geo, l)
		b, err := newRegistryMembers(s, i, l)
		if err != nil {
			return nil, s.positions.of("registry").errorf("%w", err)
		}
		f.books = append(f.books, b)
		member := answer.Member{Index: i, TTL: s.ttl, Degraded: s.degraded, Lenient: s.lenient, Policy: s.policy.Choice, Answers: s.policy.Answers}
		for _, z := range s.zones {
			d, err := f.add(z)
			if err != nil {
				return nil, s.positions.begin.errorf("federation %q: %w", s.name, err)
			}
			d.Members = append(d.Members, member)
			d.Fall.Zones = append(d.Fall.Zones, s.fall.Zones...)
			byDomain[z] = append(byDomain[z], s)
		}
		if s.local.cluster != "" {
			if err := f.addLocal(&s, member); err != nil {
				return nil, s.positions.of("local").errorf("%w", err)
			}
		}
	}
	for _, d := range f.Domains {
		if d.Lead != nil {
			continue // it has no records of its own
		}
		under := byDomain[string(d.Name)]
		told := false
		for _, s := range under {
			f.transfers.allow(d, s.transfers)
			f.transfers.notify(d, s.notify)
			told = told || len(s.notify) > 0
		}
		file, at, err := apexOf(string(d.Name), under)
		if err != nil {
			return nil, err
		}
		var a *zone.Static
		d.Reserved = ownedBy(under)
		if err := f.sign(d, under, time.Now()); err != nil {
			return nil, err
		}
		if d.File = file; file != "" {
			a, err = zone.OpenStatic(d.Name, file, d.Reserved)
		} else {
			a, err = zone.DefaultStatic(d.Name, listen, told)
		}
		if err == nil {
			err = f.Publish(d, a)
		}
		if err != nil {
			return nil, at.errorf("%w", err)
		}
	}
	g, err := guardsOf(stanzas)
	if err != nil {
		return nil, err
	}
	jar, err := openKeyring(g.Cookies)
	if err != nil {
		of := slices.IndexFunc(stanzas, func(s stanza) bool { return s.guards.Cookies == g.Cookies })
		return nil, stanzas[of].positions.of("cookies").errorf("%w", err)
	}
	f.Guards, f.stanzas = g, stanzas
	for _, s := range stanzas {
		f.Interfaces = append(f.Interfaces, s.interfaces...)
	}
	if f.conns, err = connsOf(stanzas); err != nil {
		return nil, err
	}
	f.Keyring.Store(jar)
	if g.RateLimit.Limited() {
		f.limiter.table = rrl.New(g.RateLimit.Limit, maphash.MakeSeed())
	}
	f.written = stanzas[0].written
	f.pipe = pipeline.New(federations, f.static(), observe.Logger())
	f.Current, f.ready = f.pipe.Current(), f.pipe.Ready()
	told := newStatusServer(f, stanzas).Status
	for _, b := range f.books {
		if b != nil {
			b.status = told
			b.Server = server{b}
		}
	}
	return f, nil
}

// add finds the domain of a name, or makes it.
func (f *Federation) add(name string) (*zone.Domain, error) {
	n, err := dnsname.Parse(name)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Domains {
		if d.Name == n {
			return d, nil
		}
	}
	d := &zone.Domain{Name: n}
	f.Domains = append(f.Domains, d)
	return d, nil
}

// addLocal makes the domain that a federation has inside a cluster.
func (f *Federation) addLocal(s *stanza, m answer.Member) error {
	n, err := dnsname.Parse(s.local.zone())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(f.Domains, func(d *zone.Domain) bool { return d.Name == n }) {
		return fmt.Errorf("local: %s is a domain of another federation already", n)
	}
	lead, err := f.add(s.zones[0])
	if err != nil {
		return err
	}
	f.Domains = append(f.Domains, &zone.Domain{Name: n, Members: []answer.Member{m}, Fall: s.fall, Lead: lead})
	return nil
}

func (s *source) open(of *stanza) (pipeline.Source, error) {
	sel, err := cluster.ParseSelector(of.selector)
	if err != nil {
		return nil, err
	}
	if s.manifests != "" {
		return cluster.NewFolder(cluster.FolderConfig{
			Federation: of.name, Cluster: s.Name, Dir: s.manifests, Selector: sel, Local: s.Name == of.local.cluster, Log: observe.Logger(),
		})
	}
	return cluster.NewWatcher(cluster.Config{
		Federation: of.name, Cluster: s.Name, Kubeconfig: s.kubeconfig, Context: s.context, Selector: sel,
		Heartbeat: of.beat,
		// With both configured, nothing is left to learn from nodes.
		Nodes: s.Region == "" || len(s.Zones) == 0,
		Local: s.Name == of.local.cluster,
		Log:   observe.Logger(),
	})
}

// listenAddrs are the addresses at which the default apex says that this server
// is: those it is bound to, else those of the host, and loopback if that is all
// there is.
func listenAddrs(hosts []string) []netip.Addr {
	var bound, own, loop []netip.Addr
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h); err == nil && !a.IsUnspecified() {
			bound = append(bound, a.Unmap())
		}
	}
	if len(bound) > 0 {
		return bound
	}
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, i := range ifaces {
		p, err := netip.ParsePrefix(i.String())
		switch {
		case err != nil:
		case p.Addr().IsLoopback():
			loop = append(loop, p.Addr())
		case p.Addr().IsGlobalUnicast():
			own = append(own, p.Addr())
		}
	}
	if len(own) > 0 {
		return own
	}
	return loop
}
