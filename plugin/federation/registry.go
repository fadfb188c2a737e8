package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/override"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/source/cluster"
	"github.com/fedns/fedns/internal/source/registry"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/geoindex"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/status"
)

// registered reads where the Cluster objects are.
func (s *stanza) registered(a args) error {
	if len(a.list) < 1 || len(a.list) > 2 {
		return errors.New("needs a kubeconfig of the federation's API and a context: registry FILE [CONTEXT]")
	}
	if s.registry != "" {
		return fmt.Errorf("federation %q has one", s.name)
	}
	s.registry = path(a.c, a.list[0])
	if len(a.list) == 2 {
		s.registryContext = a.list[1]
	}
	return nil
}

// A registryMembers keeps the members of one federation those of its registry.
type registryMembers struct {
	*registry.Registry
	stanza stanza
	index  int // of the federation
	pages  map[topology.ClusterName]*memberSource
	geo    *geoindex.Index
	status *status.Status
}

// A memberSource is a member's source, and what leads to it.
type memberSource struct {
	source  pipeline.Source
	given   *cluster.InlineKubeconfig
	content []byte
}

// newRegistryMembers makes the registry members of a stanza; nil: it has no registry.
func newRegistryMembers(s stanza, index int, l *geoindex.Index) (*registryMembers, error) {
	if s.registry == "" {
		return nil, nil
	}
	var taken []topology.ClusterName
	for _, c := range s.clusters {
		taken = append(taken, c.Name)
	}
	r, err := registry.New(registry.Config{
		Federation: s.name, Kubeconfig: s.registry, Context: s.registryContext, State: s.state, Taken: taken,
		Check: cluster.Check, Period: s.beat.Period, Timeout: s.beat.Timeout, Log: observe.Logger(),
	})
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return &registryMembers{Registry: r, stanza: s, index: index, pages: map[topology.ClusterName]*memberSource{}, geo: l}, nil
}

// begin gives a pipeline that hasn't run yet the members that are known from before:
// from those of another configuration, or from the disk.
func (b *registryMembers) begin(pipe *pipeline.Pipeline, old []*Federation) {
	inherited := false
	for _, o := range old {
		for _, other := range o.books {
			inherited = inherited || other != nil && b.TakeOver(other.Registry)
		}
	}
	if !inherited {
		b.Load()
	}
	v := b.Now()
	pipe.Begin(b.index, b.members(v), v.Orders, v.Listed)
	b.locate(v)
}

// A server is what a registry's API is told of: how this server goes by it.
type server struct{ *registryMembers }

var _ registry.Server = server{}

// InForce implements registry.Server.
func (s server) InForce(ctx context.Context) (override.Force, registry.Published, bool) {
	f, v, ok := s.status.Pipe.InForce(ctx, s.index)
	return f, registry.Published{Serial: v.Serial, Publication: v.Publication, Digest: s.status.Block.Current.Load().Federations[s.index].Sum()}, ok
}

// File implements registry.Server.
func (s server) File() (path string, err error) {
	_, err = status.Overrides(s.stanza.override).Orders(time.Now())
	return status.Overrides(s.stanza.override).Path(), err
}

// Clusters implements registry.Server.
func (s server) Clusters(ctx context.Context) ([]report.Cluster, error) {
	all, err := s.status.Clusters(ctx, nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.(report.Clusters).Clusters, func(c report.Cluster) bool { return c.Federation != s.stanza.name }), nil
}

// Holders implements registry.Server.
func (s server) Holders(ctx context.Context) map[string]string {
	return s.status.Pipe.Holders(ctx, s.index)
}

// Preview implements registry.Server.
func (s server) Preview(ctx context.Context, o override.Order) (*report.Preview, error) {
	out, err := s.status.Preview(ctx, url.Values{"order": {o.String()}, "federation": {s.stanza.name}, "limit": {"20"}})
	if err != nil {
		return nil, err
	}
	p := out.(report.Preview)
	return &p, nil
}

// NoEffect implements registry.Server.
func (s server) NoEffect(o override.Order) string {
	return shard.NoEffect(s.status.Block.Current.Load().Federations[s.index], s.stanza.policy.Choice, o)
}

// Version implements registry.Server.
func (server) Version() string { return status.Versions()["fedns"] }

// run follows the registry until ctx ends.
func (b *registryMembers) run(ctx context.Context, pipe *pipeline.Pipeline) {
	b.Run(ctx, func(v *registry.View) {
		b.locate(v)
		pipe.AdoptHolders(ctx, b.index, v.Held)
		pipe.Members(ctx, b.index, b.members(v), v.Orders, v.Listed)
	})
}

// members are those of a view, each with one source for as long as it is one.
func (b *registryMembers) members(v *registry.View) (out []pipeline.Member) {
	for _, m := range v.Members {
		p := b.pages[m.Name]
		if p == nil {
			var err error
			if p, err = b.page(m.Name); err != nil {
				observe.Log.Errorf("federation %s: registry: cluster %s: %v", b.stanza.name, m.Name, err)
				continue
			}
			b.pages[m.Name] = p
		}
		if m.Kubeconfig != nil && !bytes.Equal(m.Kubeconfig, p.content) {
			p.content = m.Kubeconfig
			p.given.Set(m.Kubeconfig)
		}
		out = append(out, pipeline.Member{
			Cluster: m.Cluster, Source: p.source, Identity: b.identity(m.Name), Origin: "registry",
			OnLeave: func() { cluster.Forget(b.stanza.name, m.Name) },
		})
	}
	for name := range b.pages {
		if !slices.ContainsFunc(v.Members, func(m registry.Member) bool { return m.Name == name }) {
			delete(b.pages, name)
		}
	}
	return out
}

// memberSource makes the source of a member. It looks at the nodes whatever is said of
// regions and zones now: that may be taken back.
func (b *registryMembers) page(name topology.ClusterName) (*memberSource, error) {
	sel, err := cluster.ParseSelector(b.stanza.selector)
	if err != nil {
		return nil, err
	}
	p := &memberSource{given: cluster.NewInlineKubeconfig("the kubeconfig in its Secret")}
	p.source, err = cluster.NewWatcher(cluster.Config{
		Federation: b.stanza.name, Cluster: name, Inline: p.given, Selector: sel, Heartbeat: b.stanza.beat, Nodes: true,
		Local: name == b.stanza.local.cluster, Log: observe.Logger(),
	})
	return p, err
}

// identity tells the same member across a reload. Who joins again under a name is
// the same: what its Secret leads to is what counts.
func (b *registryMembers) identity(name topology.ClusterName) string {
	return fmt.Sprintf("%q", []string{b.stanza.name, string(name), "registry", b.Kubeconfig, b.Context, b.stanza.selector})
}

// locate tells where the members are.
func (b *registryMembers) locate(v *registry.View) {
	sites := sitesOf(b.stanza.clusters)
	for _, m := range v.Members {
		sites = append(sites, geoindex.Site{Cluster: m.Cluster, Location: m.Location})
	}
	b.geo.Locate(sites)
}

// Orders implements status.Registry.
func (b *registryMembers) Orders(now time.Time) (out []override.Order) {
	for _, o := range b.Now().Orders {
		if !o.Expired(now) {
			out = append(out, o)
		}
	}
	return out
}

// Object implements status.Registry.
func (b *registryMembers) Object(o override.Order) string { return b.Now().Object(o) }

// clusters are the members of a federation, as they are configured now.
func (f *Federation) clusters(s *stanza, index int) []shard.Cluster {
	var out []shard.Cluster
	for _, c := range s.clusters {
		out = append(out, c.Cluster)
	}
	if b := f.books[index]; b != nil {
		for _, m := range b.Now().Members {
			out = append(out, m.Cluster)
		}
	}
	return out
}
