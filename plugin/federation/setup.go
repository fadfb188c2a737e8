package federation

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
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
	"github.com/fedns/fedns/internal/topology"
)

// Both kinds of sources are met here, where both are imported anyway.
var (
	_ pipeline.Source = (*cluster.Watcher)(nil)
	_ pipeline.Source = (*cluster.Folder)(nil)
)

func init() {
	cluster.Quiet()
	plugin.Register(pluginName, setup)
}

func setup(c *caddy.Controller) error {
	stanzas, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	f, err := build(stanzas, listenAddrs(dnsserver.GetConfig(c).ListenHosts))
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	st := newStatus(f, stanzas)
	if err := st.claim(c); err != nil {
		return plugin.Error(pluginName, err)
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		f.Next = next
		return st.handler()
	})
	f.instance = c.Context()
	f.config, f.block = dnsserver.GetConfig(c), c.ServerBlockIndex
	f.addresses = addressesOf(c.ServerBlockKeys, f.config.ListenHosts)
	f.captureServer(f.config)
	f.edged(f.config)
	reconcileOnStart()
	var mute func()
	c.OnStartup(func() (err error) {
		if f.config.Handler("cache") != nil {
			clogger.Warningf("plugin cache is in the server block of %s: it lets federated names pass, since what one client gets isn't for the others; another cache in front would need to honour client subnets (RFC 7871)", f.domains[0].name)
		}
		f.start()
		if mute, err = st.start(); err != nil {
			f.stop() // nobody calls OnShutdown of what hasn't started
			return plugin.Error(pluginName, err)
		}
		return nil
	})
	c.OnRestartFailed(func() error {
		stopOthers(f.instance)
		st.again()
		return nil
	})
	c.OnFinalShutdown(func() error {
		f.closeListeners()
		return nil
	})
	c.OnShutdown(func() error {
		mute()
		f.stop()
		return nil
	})
	return nil
}

// stopOthers ends the handlers of other configurations than the one that goes on:
// those of a reload that failed after they had started, which nobody else ends.
func stopOthers(instance caddy.Context) {
	running.Lock()
	list := slices.Clone(running.list)
	running.Unlock()
	for _, o := range list {
		if o.instance != instance {
			o.stop()
		}
	}
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
		fed := pipeline.Federation{Name: s.name, Resolver: s.resolver, Policy: s.policy, Hosts: f.admits(i),
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
		l := &geoIndex{geography: s.geography, federation: s.name, index: i, policy: s.policy.Choice, told: map[string]bool{}}
		sites := sitesOf(s.clusters)
		l.sites.Store(&sites)
		f.locators = append(f.locators, l)
		b, err := newBook(s, i, l)
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
			d.members = append(d.members, member)
			d.fall.Zones = append(d.fall.Zones, s.fall.Zones...)
			byDomain[z] = append(byDomain[z], s)
		}
		if s.local.cluster != "" {
			if err := f.addLocal(&s, member); err != nil {
				return nil, s.positions.of("local").errorf("%w", err)
			}
		}
	}
	for _, d := range f.domains {
		if d.lead != nil {
			continue // it has no records of its own
		}
		under := byDomain[string(d.name)]
		file, at, err := apexOf(string(d.name), under)
		if err != nil {
			return nil, err
		}
		var a *staticZone
		d.owned = ownedBy(under)
		if d.file = file; file != "" {
			a, err = openStaticZone(d.name, file, d.owned)
		} else {
			a, err = defaultStaticZone(d.name, listen)
		}
		if err == nil {
			err = f.show(d, a)
		}
		if err != nil {
			return nil, at.errorf("%w", err)
		}
	}
	g, err := guardsOf(stanzas)
	if err != nil {
		return nil, err
	}
	jar, err := openKeyring(g.cookies)
	if err != nil {
		of := slices.IndexFunc(stanzas, func(s stanza) bool { return s.guards.cookies == g.cookies })
		return nil, stanzas[of].positions.of("cookies").errorf("%w", err)
	}
	f.guards = g
	f.jar.Store(jar)
	if g.limit.limited() {
		f.limiter.table = rrl.New(g.limit.Limit, seed())
	}
	told := newStatus(f, stanzas)
	for _, b := range f.books {
		if b != nil {
			b.status = told
			b.Server = server{b}
		}
	}
	f.written = stanzas[0].written
	f.pipe = pipeline.New(federations, f.beside(), logger())
	f.board, f.ready = f.pipe.Board(), f.pipe.Ready()
	return f, nil
}

// add finds the domain of a zone, or makes it.
func (f *Federation) add(zone string) (*domain, error) {
	n, err := dnsname.Parse(zone)
	if err != nil {
		return nil, err
	}
	for _, d := range f.domains {
		if d.name == n {
			return d, nil
		}
	}
	d := &domain{name: n}
	f.domains = append(f.domains, d)
	return d, nil
}

// addLocal makes the domain that a federation has inside a cluster.
func (f *Federation) addLocal(s *stanza, m answer.Member) error {
	n, err := dnsname.Parse(s.local.zone())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(f.domains, func(d *domain) bool { return d.name == n }) {
		return fmt.Errorf("local: %s is a domain of another federation already", n)
	}
	lead, err := f.add(s.zones[0])
	if err != nil {
		return err
	}
	f.domains = append(f.domains, &domain{name: n, members: []answer.Member{m}, fall: s.fall, lead: lead})
	return nil
}

func (s *source) open(of *stanza) (pipeline.Source, error) {
	sel, err := cluster.ParseSelector(of.selector)
	if err != nil {
		return nil, err
	}
	if s.manifests != "" {
		return cluster.NewFolder(cluster.FolderConfig{
			Federation: of.name, Cluster: s.Name, Dir: s.manifests, Selector: sel, Local: s.Name == of.local.cluster, Log: logger(),
		})
	}
	return cluster.NewWatcher(cluster.Config{
		Federation: of.name, Cluster: s.Name, Kubeconfig: s.kubeconfig, Context: s.context, Selector: sel,
		Heartbeat: of.beat,
		// With both configured, nothing is left to learn from nodes.
		Nodes: s.Region == "" || len(s.Zones) == 0,
		Local: s.Name == of.local.cluster,
		Log:   logger(),
	})
}

// startupWait is how long a start waits for the members before the first question
// can come: most are listed in a fraction of it, and nobody sees a SERVFAIL then.
// One that can't be reached holds up the others by no more than this.
const startupWait = 500 * time.Millisecond

// running are the handlers that have been started: what they know is passed on to
// those of a reload.
var running struct {
	sync.Mutex
	list []*Federation
}

// start runs the pipeline until stop is called. During a reload it takes over what
// the handlers of the old configuration know of the same clusters, and waits for
// the others: until it returns, the old handlers answer.
func (f *Federation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.ending = ctx
	running.Lock()
	old := slices.DeleteFunc(slices.Clone(running.list), func(o *Federation) bool { return o.instance == f.instance })
	running.list = append(running.list, f)
	running.Unlock()
	for _, o := range old {
		f.pipe.Import(o.pipe.Export(ctx))
	}
	for _, b := range f.books {
		if b != nil {
			b.begin(f.pipe, old)
			f.tasks.Go(func() { b.run(ctx, f.pipe) })
		}
	}
	f.tasks.Go(func() { f.pipe.Run(ctx) })
	f.tasks.Go(func() { f.follow(ctx) })
	for i, l := range f.locators {
		for _, o := range old {
			l.inherit(o.locators)
		}
		f.tasks.Go(func() {
			l.follow(ctx, f.board, func() map[topology.ClusterName][]topology.Place {
				out := map[topology.ClusterName][]topology.Place{}
				all, _, _ := f.pipe.Clusters(ctx, i)
				for _, c := range all {
					out[c.Name] = c.Places
				}
				return out
			})
		})
	}
	f.stop = sync.OnceFunc(func() {
		running.Lock()
		running.list = slices.DeleteFunc(running.list, func(o *Federation) bool { return o == f })
		running.Unlock()
		cancel()
		f.tasks.Wait()
	})
	patience := startupWait
	if len(old) > 0 {
		patience += pipeline.Grace
	}
	for end := time.Now().Add(patience); !f.begins() && time.Now().Before(end); {
		time.Sleep(beginPoll)
	}
	if len(old) > 0 { // nothing that was answered may wait for anything now
		for _, l := range f.locators {
			l.begun.Store(true)
		}
	}
}

// beginPoll is how exactly it is seen that a start is over.
const beginPoll = 2 * time.Millisecond

// succeeds says whether f takes the place of a configuration that is ready.
func succeeds(f *Federation) bool {
	running.Lock()
	defer running.Unlock()
	return slices.ContainsFunc(running.list, func(o *Federation) bool { return o.instance != f.instance && o.begins() })
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
