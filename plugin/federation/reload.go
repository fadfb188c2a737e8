package federation

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/reuseport"
	"github.com/miekg/dns"

	"github.com/fedns/fedns/internal/dns/sockets"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/bypass"
	"github.com/fedns/fedns/plugin/federation/fastpath"
	"github.com/fedns/fedns/plugin/federation/observe"
)

// A process is what outlives a configuration: at a reload the new one is started while
// the old one answers, takes over what that knows, then its sockets and where it tells its
// status, and then the old one ends. This page is all of it, in the order in which it
// happens:
//
//	hook         says what is called when
//	start        has a configuration know what the one before knows, and the rest
//	showStatus   has it tell its status
//	listen       has our own sockets answer from it, once CoreDNS's are open
//	stop         ends the one before
//	failed       goes back to that, if the new one can't be started
type process struct {
	sync.Mutex
	running []*Federation // what has been started and not stopped, by age
	heard   map[*Federation]bool
	fast    *fastpath.Listeners
	servers map[caddy.Context]map[string]*dnsserver.Server // by their address in the Corefile
	served  *sync.Cond                                     // a server was added
	status  map[string]*statusListener                     // by address
	warden  *sockets.Warden                                // of TCP connections
}

// proc is this process.
var proc = func() *process {
	p := &process{
		heard:   map[*Federation]bool{},
		warden:  sockets.NewWarden(func(why string) { connsEnded.WithLabelValues(why).Inc() }),
		servers: map[caddy.Context]map[string]*dnsserver.Server{},
		status:  map[string]*statusListener{},
	}
	p.served = sync.NewCond(p)
	p.fast = fastpath.NewListeners(p.awaitServer, func() sockets.ConnLimits { return least(p.running) }, func(why string) { connsEnded.WithLabelValues(why).Inc() })
	return p
}()

// hook has a configuration started, replaced and ended with the server block it is of.
func hook(c *caddy.Controller, f *Federation, st *statusServer) {
	onStart(observe.PluginName, proc.listen)
	c.OnStartup(func() error {
		if f.Config.Handler("cache") != nil {
			observe.Log.Warningf("plugin cache is in the server block of %s: it lets federated names pass, since what one client gets isn't for the others; another cache in front would need to honour client subnets (RFC 7871)", f.Domains[0].Name)
		}
		if err := f.signing.alone(f.Config); err != nil {
			return plugin.Error(observe.PluginName, err)
		}
		secure, err := f.NewServers()
		if err != nil {
			return plugin.Error(observe.PluginName, err)
		}
		for _, s := range secure {
			proc.serve(f, s)
		}
		f.gate() // behind them: they make the chain of plugins once more
		f.start()
		if err := proc.showStatus(st); err != nil {
			f.stop() // nobody calls OnShutdown of what hasn't started
			return plugin.Error(observe.PluginName, err)
		}
		return nil
	})
	c.OnRestartFailed(func() error { proc.failed(f.Instance, st); return nil })
	c.OnFinalShutdown(func() error { proc.close(f); return nil })
	c.OnShutdown(func() error {
		proc.hideStatus(st)
		f.stop()
		return nil
	})
}

// onStart has something done once a configuration has started. Each must say so: caddy
// forgets its hooks when a signal makes it reload, though not when the reload plugin
// does.
func onStart(name string, do func(*caddy.Instance)) {
	defer func() {
		_ = recover() // it panics where it has not forgotten
	}()
	caddy.RegisterEventHook(name, func(event caddy.EventName, info any) error {
		if inst, ok := info.(*caddy.Instance); ok && event == caddy.InstanceStartupEvent {
			do(inst)
		}
		return nil
	})
}

// startupWait is how long a start waits for the members before the first question
// can come: most are listed in a fraction of it, and nobody sees a SERVFAIL then.
// One that can't be reached holds up the others by no more than this.
const startupWait = 500 * time.Millisecond

// beginPoll is how exactly it is seen that a start is over.
const beginPoll = 2 * time.Millisecond

// start runs the pipeline until stop is called. During a reload it takes over what
// the handlers of the old configuration know of the same clusters, and waits for
// the others: until it returns, the old handlers answer.
func (f *Federation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.ending = ctx
	old := proc.begin(f)
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
	f.tasks.Go(func() { f.signing.watchAnchors(ctx) })
	for i, l := range f.Geo {
		for _, o := range old {
			l.Inherit(o.Geo)
		}
		f.tasks.Go(func() {
			l.Follow(ctx, f.Current, func() map[topology.ClusterName][]topology.Place {
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
		proc.end(f)
		cancel()
		f.tasks.Wait()
	})
	patience := startupWait
	if len(old) > 0 {
		patience += pipeline.StartupWait
	}
	for end := time.Now().Add(patience); !f.startupOver() && time.Now().Before(end); {
		time.Sleep(beginPoll)
	}
	if len(old) > 0 { // nothing that was answered may wait for anything now
		for _, l := range f.Geo {
			l.Begin()
		}
	}
}

// begin notes that f runs, and gives those of other configurations that do.
func (p *process) begin(f *Federation) (old []*Federation) {
	p.Lock()
	defer p.Unlock()
	old = slices.DeleteFunc(slices.Clone(p.running), func(o *Federation) bool { return o.Instance == f.Instance })
	p.running = append(p.running, f)
	return old
}

func (p *process) end(f *Federation) {
	p.Lock()
	defer p.Unlock()
	p.running = slices.DeleteFunc(p.running, func(o *Federation) bool { return o == f })
	delete(p.heard, f)
}

// succeeds says whether f takes the place of a configuration that is ready.
func (p *process) succeeds(f *Federation) bool {
	p.Lock()
	defer p.Unlock()
	return slices.ContainsFunc(p.running, func(o *Federation) bool { return o.Instance != f.Instance && o.startupOver() })
}

// failed ends what a configuration has begun that couldn't be started, which nobody else
// ends, and goes on with the one of instance.
func (p *process) failed(instance caddy.Context, st *statusServer) {
	p.Lock()
	list := slices.Clone(p.running)
	for _, l := range p.status {
		if slices.Contains(l.all, st) {
			l.all = []*statusServer{st}
			l.now.Store(st)
		}
	}
	p.Unlock()
	for _, o := range list {
		if o.Instance != instance {
			o.stop()
		}
	}
}

// captureServer learns which of CoreDNS's servers f is part of, by the hook that is there to
// change what is written.
func (f *Federation) captureServer(cfg *dnsserver.Config) {
	others := cfg.UDPDecorateWriterFunc
	cfg.UDPDecorateWriterFunc = func(s *dnsserver.Server) dns.DecorateWriter {
		proc.serve(f, s)
		var theirs dns.DecorateWriter
		if others != nil {
			theirs = others(s)
		}
		return func(w dns.Writer) dns.Writer {
			if theirs != nil {
				w = theirs(w)
			}
			return clearWriter{w}
		}
	}
}

// serve notes a server of f's configuration.
func (p *process) serve(f *Federation, s *dnsserver.Server) {
	p.Lock()
	defer p.Unlock()
	if p.servers[f.Instance] == nil {
		p.servers[f.Instance] = map[string]*dnsserver.Server{}
	}
	p.servers[f.Instance][s.Addr] = s
	p.served.Broadcast()
}

// serverPatience is how long a start waits for CoreDNS's servers to begin: they do
// so in goroutines of their own, at once.
const serverPatience = 2 * time.Second

// awaitServer gives the server of f's configuration at an address, or nil. p is locked.
func (p *process) awaitServer(f *fastpath.Owner, addr string) *dnsserver.Server {
	late := time.AfterFunc(serverPatience, p.served.Broadcast)
	defer late.Stop()
	for began := time.Now(); ; {
		if s := p.servers[f.Instance][addr]; s != nil || time.Since(began) >= serverPatience {
			return s
		}
		p.served.Wait()
	}
}

// serverOf is one of the servers of f's configuration; nil: none has begun.
func (p *process) serverOf(f *Federation) *dnsserver.Server {
	p.Lock()
	defer p.Unlock()
	for _, addr := range f.Addresses {
		if server := p.servers[f.Instance][addr]; server != nil {
			return server
		}
	}
	return nil
}

// listen opens the sockets that a configuration that has just been started asks
// for, and closes those that nobody asks for any more.
func (p *process) listen(inst *caddy.Instance) {
	p.Lock()
	defer p.Unlock()
	var fresh []*Federation
	for _, f := range p.running {
		if !p.heard[f] {
			p.heard[f] = true
			fresh = append(fresh, f)
		}
	}
	if len(fresh) > 0 {
		if shared := p.listenFor(inst, fresh); len(shared) > 0 {
			p.await(inst, fresh, shared)
		}
	}
	maps.DeleteFunc(p.servers, func(c caddy.Context, _ map[string]*dnsserver.Server) bool {
		return !slices.ContainsFunc(p.running, func(f *Federation) bool { return f.Instance == c })
	})
	p.fast.Close(func(o *fastpath.Owner) bool {
		return !slices.ContainsFunc(p.running, func(f *Federation) bool { return &f.Owner == o })
	})
	p.guardConns(inst)
}

// listenFor opens the sockets of those that have just been started. shared are the
// addresses where another process still answers.
func (p *process) listenFor(inst *caddy.Instance, fresh []*Federation) (shared []string) {
	all, err := bypass.Blocks(inst.Caddyfile())
	for _, f := range fresh {
		f.announced.Do(func() {
			f.announce(all)
			for i, s := range f.stanzas {
				f.publishAll(i, s)
			}
		})
	}
	asked := map[string]bool{}
	for _, f := range fresh {
		for _, addr := range f.Addresses {
			if asked[addr] {
				continue
			}
			asked[addr] = true
			on, reason := false, err
			if err == nil {
				on, reason = p.fast.Listen(inst, addr, ownersOf(fresh), all)
			}
			if reason == nil || errors.Is(reason, fastpath.ErrOff) {
				continue
			}
			if errors.Is(reason, fastpath.ErrShared) {
				shared = append(shared, addr)
			}
			what := ""
			if on {
				what = " for some domains"
			}
			observe.Log.Warningf("no fast path on %s: %v; the plugin chain answers%s", addr, reason, what)
		}
	}
	return shared
}

func ownersOf(fs []*Federation) []*fastpath.Owner {
	out := make([]*fastpath.Owner, len(fs))
	for i, f := range fs {
		out[i] = &f.Owner
	}
	return out
}

// sharedPoll is how often it is looked whether another process still shares an address:
// until it has gone, the chain answers what of the questions comes here.
const sharedPoll = 500 * time.Millisecond

// await listens once more when nobody else is left at addresses: the kernel numbers the
// sockets of an address in the order they were bound, whosever they are, and those that
// questions are steered to have to come behind CoreDNS's own and before nobody's.
func (p *process) await(inst *caddy.Instance, fs []*Federation, shared []string) {
	lead := fs[0] // they start and end together
	lead.tasks.Go(func() {
		tick := time.NewTicker(sharedPoll)
		defer tick.Stop()
		for slices.ContainsFunc(shared, func(addr string) bool { return fastpath.Shared(inst, addr) }) {
			select {
			case <-tick.C:
			case <-lead.ending.Done():
				return
			}
		}
		p.Lock()
		for _, f := range fs {
			delete(p.heard, f)
		}
		p.Unlock()
		p.listen(inst)
	})
}

// close closes the listeners of f for good: nobody takes them over.
func (p *process) close(f *Federation) {
	p.Lock()
	defer p.Unlock()
	p.fast.End(func(o *fastpath.Owner) bool { return o == &f.Owner || o.Instance == f.Instance })
	p.warden.Close()
}

// A statusListener is an address where the status is told, with those who tell it: the newest
// does. During a reload the old and the new configuration share one, so that no connection
// is lost in the kernel's queue of a listener that closes.
type statusListener struct {
	all   []*statusServer
	now   atomic.Pointer[statusServer] // the last of them
	tls   atomic.Pointer[tls.Config]   // nil: without
	close func()
}

// showStatus has a configuration tell its status at all its addresses, or at none.
func (p *process) showStatus(s *statusServer) error {
	for _, addr := range s.addrs() {
		if err := p.showStatusAt(s, addr); err != nil {
			p.hideStatus(s)
			return fmt.Errorf("status: %w", err)
		}
	}
	return nil
}

func (p *process) showStatusAt(s *statusServer, addr string) error {
	p.Lock()
	defer p.Unlock()
	l := p.status[addr]
	if l == nil {
		// The socket is one that a restart without a gap may share, as those for questions are.
		found := sockets.Look("tcp", addr, false)
		taken := errors.As(found, new(*sockets.Taken))
		if taken && !SharePorts {
			return fmt.Errorf("%w; end that, or give the status another address", found)
		}
		tcp, err := reuseport.Listen("tcp", addr)
		switch {
		case err != nil && taken: // by what doesn't share
			return fmt.Errorf("%w; end that, or give the status another address", found)
		case err != nil:
			return cmp.Or(permitted(found), err)
		}
		l = &statusListener{}
		l.now.Store(s)
		if err := l.secure(s); err != nil {
			_ = tcp.Close() // nobody has come yet
			return err
		}
		l.serve(tcp)
		p.status[addr] = l
	}
	if err := l.secure(s); err != nil {
		return err
	}
	l.all = append(l.all, s)
	l.now.Store(s)
	return nil
}

// secure has who comes from now on be spoken to as a configuration says.
func (l *statusListener) secure(s *statusServer) error {
	if s.access.cert == "" {
		l.tls.Store(nil)
		return nil
	}
	c, err := s.access.config()
	if err == nil {
		l.tls.Store(c)
	}
	return err
}

// A securable listener speaks TLS with who comes while there is a configuration of it: a reload may
// begin or end that.
type securable struct {
	net.Listener
	config *atomic.Pointer[tls.Config]
	places chan struct{} // taken by connections
}

func (l securable) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.places <- struct{}{} // who sits on one for nothing is cut off in time
	conn = &placed{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}
	if c := l.config.Load(); c != nil {
		return tls.Server(conn, c), nil
	}
	return conn, nil
}

// A placed connection has a place until it is closed.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	c.leave()
	return c.Conn.Close()
}

// hideStatus has a configuration tell its status no more; the last one closes the listener.
func (p *process) hideStatus(s *statusServer) {
	p.Lock()
	var unused []*statusListener
	for addr, l := range p.status {
		i := slices.Index(l.all, s)
		if i < 0 {
			continue
		}
		if l.all = slices.Delete(l.all, i, i+1); len(l.all) > 0 {
			l.now.Store(l.all[len(l.all)-1])
			continue
		}
		delete(p.status, addr)
		unused = append(unused, l)
	}
	p.Unlock()
	s.End()
	for _, l := range unused {
		l.close()
	}
}

// mostStatusConns is how many connections a status has at once: a thousand who have a page open, as many
// who follow events, and those who only ask. Others wait until one of them is idle for long enough.
const mostStatusConns = 2500

func (l *statusListener) serve(tcp net.Listener) {
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.now.Load().ServeHTTP(w, r) }),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // whoever can't speak TLS; a line each is a flood
		WriteTimeout:      time.Minute,
		IdleTimeout:       30 * time.Second,
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(securable{tcp, &l.tls, make(chan struct{}, mostStatusConns)}); !errors.Is(err, http.ErrServerClosed) {
			observe.Log.Errorf("status on %s: %v", tcp.Addr(), err)
		}
	})
	l.close = func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // who is still there is cut off
		}
		wg.Wait()
	}
}
