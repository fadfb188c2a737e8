package federation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/plugin/federation/status"
)

const (
	// statusPort is next to CoreDNS's health and ready plugins, at 8080 and 8181.
	statusPort = 8053
	// shutdownTimeout is how long a request may hold up the end.
	shutdownTimeout = 2 * time.Second
)

// statusAddr reads where the status is served. Whoever says no address means
// loopback: what a server knows of clusters is nobody else's affair by accident.
func statusAddr(args []string) (string, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if len(args) == 0 {
		return netip.AddrPortFrom(loopback, statusPort).String(), nil
	}
	if len(args) > 1 {
		return "", errors.New("needs at most one address: status [ADDRESS:PORT]")
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(args[0], ":"), 10, 16); err == nil && n > 0 {
		return netip.AddrPortFrom(loopback, uint16(n)).String(), nil
	}
	if a, err := netip.ParseAddr(args[0]); err == nil {
		return netip.AddrPortFrom(a, statusPort).String(), nil
	}
	a, err := netip.ParseAddrPort(args[0])
	if err != nil || a.Port() == 0 {
		return "", fmt.Errorf("%q is not an address with a port, such as 127.0.0.1:%d", args[0], statusPort)
	}
	return a.String(), nil
}

// A statusServer is where a server block tells its status, and what answers there.
type statusServer struct {
	*status.Status
	f       *Federation
	stanzas []stanza // by index of the federation
	access  access
	server  atomic.Pointer[dnsserver.Server]
}

func newStatusServer(f *Federation, stanzas []stanza) *statusServer {
	s := &statusServer{f: f, stanzas: stanzas}
	c := status.Config{Block: &f.Block, Pipe: f.pipe, Server: s.through, Signing: f.signing.report, Publishing: f.publications.report}
	s.access, _ = accessOf(stanzas) // that they say the same is seen to by who claims the addresses
	c.Access.Names = s.access.hosts
	if s.access.token != "" {
		c.Access.Token = s.access.shown
	}
	if s.access.review[0] != "" {
		by := newReviewer(s.access.review[0], s.access.review[1])
		c.Access.Review = func(ctx context.Context, token, path string) (user string, may bool, err error) {
			said, err := by.may(ctx, token, path)
			return said.User, said.Allowed, err
		}
	}
	for i, st := range stanzas {
		told := status.FederationConfig{
			Name: st.name, Domains: st.zones, TTL: st.ttl, Policy: st.policy, Overrides: status.Overrides(st.override), Home: st.local.cluster,
			Members: func() []shard.Cluster { return f.clusters(&stanzas[i], i) },
		}
		if told.Home != "" {
			told.HomeZone = st.local.zone()
		}
		if i < len(f.books) && f.books[i] != nil {
			told.Registry = f.books[i]
		}
		c.Federations = append(c.Federations, told)
	}
	s.Status = status.New(c)
	return s
}

// through is a server of CoreDNS that the questions of this block come by: one that they
// have come by, or else one that was started for it; nil: it isn't known.
func (s *statusServer) through() *dnsserver.Server {
	if server := s.server.Load(); server != nil {
		return server
	}
	return proc.serverOf(s.f)
}

// addrs are where the stanzas want it, each once.
func (s *statusServer) addrs() []string {
	var out []string
	for _, st := range s.stanzas {
		if st.status != "" && !slices.Contains(out, st.status) {
			out = append(out, st.status)
		}
	}
	return out
}

// said is where an address is asked for.
func (s *statusServer) said(addr string) position {
	i := slices.IndexFunc(s.stanzas, func(st stanza) bool { return st.status == addr })
	return s.stanzas[i].positions.of("status")
}

// statusKey is where an instance of CoreDNS keeps which addresses are taken.
type statusKey struct{}

// claim takes the addresses for one server block of the configuration. Two can't
// share one: only one of them could answer.
func (s *statusServer) claim(c *caddy.Controller) error {
	if _, err := accessOf(s.stanzas); err != nil {
		return err
	}
	taken, _ := c.Get(statusKey{}).(map[string]bool)
	if taken == nil {
		taken = map[string]bool{}
	}
	for _, a := range s.addrs() {
		if taken[a] {
			return s.said(a).errorf("status: %s is taken by another server block; give each its own", a)
		}
		taken[a] = true
	}
	c.Set(statusKey{}, taken)
	return nil
}

// handler is what stands in the chain of plugins for f.
func (s *statusServer) handler() plugin.Handler {
	if len(s.addrs()) == 0 {
		return s.f
	}
	return serverRecorder{s.f, &s.server}
}

// A serverRecorder remembers which server the questions come by: a static CNAME is
// followed through all of it, when it is explained as when it is asked.
type serverRecorder struct {
	*Federation
	server *atomic.Pointer[dnsserver.Server]
}

// ServeDNS implements plugin.Handler.
func (w serverRecorder) ServeDNS(ctx context.Context, rw dns.ResponseWriter, r *dns.Msg) (int, error) {
	if w.server.Load() == nil {
		if s, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server); ok {
			w.server.Store(s)
		}
	}
	return w.Federation.ServeDNS(ctx, rw, r)
}
