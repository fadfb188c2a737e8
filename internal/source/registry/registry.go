package registry

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/inputfile"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/topology"
)

const (
	// period and timeout are those of the members' heartbeats, by default: a federation
	// that is silent withdraws nothing, so that nobody needs to know sooner.
	period  = 2 * time.Second
	timeout = 5 * time.Second
	// rotation is how often the kubeconfig is looked at, and what couldn't be kept on
	// disk is tried again.
	rotation = 5 * time.Second
)

// Config says where the Cluster objects of a federation are.
type Config struct {
	Federation string
	Kubeconfig string // a file
	Context    string // "": the kubeconfig's current one
	State      string // a folder to keep the members in; "": they aren't
	// Taken are the names of clusters that the configuration has itself.
	Taken []topology.ClusterName
	// Check says what is wrong with a kubeconfig that leads to a member.
	Check           func([]byte) error
	Period, Timeout time.Duration // of the heartbeat; 0: the default
	// Server says what is made of what is told; nil: nothing is written to the API.
	Server Server
	Log    *slog.Logger
}

// A Registry follows the Cluster objects of one federation.
type Registry struct {
	Config
	roster   *roster
	compared time.Duration // how often it is asked where the API's objects come from
	look     time.Duration // rotation, but for tests
	now      atomic.Pointer[View]
	seen     seenStatuses
	turns    atomic.Int64 // how often a generation has begun
	heard    atomic.Int64 // Unix nanoseconds
	up       atomic.Bool
	peers    atomic.Pointer[peers]

	// What follows is Run's.
	api     *kube.API         // of the next generation
	content []byte            // of the kubeconfig that it is of
	broken  string            // what is wrong with a newer one
	silent  bool              // beats don't come
	failing bool              // Cluster objects can't be read
	unkept  string            // why what is believed couldn't be written to disk
	kept    []byte            // what was; nil: nothing was
	without bool              // there are no Orders, or no right to read them
	held    map[string]string // see View.Held

	mu   sync.Mutex // guards the rest
	name string     // of its Lease; "": it has none yet
	heir bool       // another configuration goes on under the name
}

// New reads the kubeconfig. It calls nobody yet.
func New(c Config) (*Registry, error) {
	c.Period, c.Timeout = cmp.Or(c.Period, period), cmp.Or(c.Timeout, timeout)
	r := &Registry{Config: c, roster: newRoster(c.Check), look: rotation, compared: compared}
	for _, name := range c.Taken {
		r.roster.taken[string(name)] = true
	}
	var err error
	if r.content, err = inputfile.Read(c.Kubeconfig, inputfile.Kubeconfig); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if r.api, err = r.open(false); err != nil {
		return nil, err
	}
	r.now.Store(r.roster.view(time.Now()))
	return r, nil
}

func (r *Registry) open(beats bool) (*kube.API, error) {
	return kube.Open(kube.Config{Kubeconfig: r.Kubeconfig, Context: r.Context, Agent: "fedns", Beats: beats})
}

// Name tells one registry from another.
func (r *Registry) Name() string { return fmt.Sprintf("%q %q", r.Kubeconfig, r.Context) }

// ServerName is the name of this server in the federation's API, that of its Lease.
func (r *Registry) ServerName() string { return r.called() }

// Now is what is believed at this moment.
func (r *Registry) Now() *View { return r.now.Load() }

// TakeOver takes over, before Run, what a registry of another configuration believes,
// if it is the same one.
func (r *Registry) TakeOver(o *Registry) bool {
	if o.Name() != r.Name() || o.Federation != r.Federation {
		return false
	}
	v := o.Now()
	r.roster.restore(v.entries, v.posted, v.Listed)
	o.mu.Lock()
	r.name, o.heir = o.name, o.name != ""
	o.mu.Unlock()
	r.now.Store(r.roster.view(time.Now()))
	return true
}

// Load takes over, before Run, what was kept on disk.
func (r *Registry) Load() {
	path := r.file()
	if path == "" {
		return
	}
	entries, orders, err := load(path, r.Name())
	if err != nil {
		r.Log.Error(r.prefix() + err.Error())
	}
	if len(entries) == 0 {
		return
	}
	r.roster.restore(entries, orders, false)
	r.now.Store(r.roster.view(time.Now()))
	r.Log.Info(fmt.Sprintf("%s%d members as kept in %q, until it is listed", r.prefix(), len(entries), path))
}

func (r *Registry) prefix() string { return "federation " + r.Federation + ": registry: " }

// Run calls tell with what is believed, each time that this changes, until ctx ends.
// It can be called once.
func (r *Registry) Run(ctx context.Context, tell func(*View)) {
	defer gauges.Watch(r)()
	var wg sync.WaitGroup
	defer wg.Wait()
	if r.Server != nil {
		wg.Go(func() { newReporter(r).run(ctx) })
	}
	for _, o := range r.Now().Orders {
		r.Log.Info("override: " + o.String())
	}
	for g := r.begin(ctx); g != nil; {
		g = g.run(ctx, tell)
	}
}

// rotated says whether the kubeconfig has become another one, that can be used.
func (r *Registry) rotated() bool {
	content, err := inputfile.Read(r.Kubeconfig, inputfile.Kubeconfig)
	if err == nil && bytes.Equal(content, r.content) {
		r.broken = ""
		return false
	}
	var api *kube.API
	if err == nil {
		api, err = r.open(false)
	}
	if err != nil {
		if r.broken != err.Error() {
			r.broken = err.Error()
			r.Log.Error(r.prefix() + r.broken + "; going on with the kubeconfig before")
		}
		return false
	}
	r.broken, r.content, r.api = "", content, api
	r.Log.Info(fmt.Sprintf("%skubeconfig %q has changed", r.prefix(), r.Kubeconfig))
	return true
}

// update shows what is believed now, where it has to be known, and says what is new.
func (r *Registry) update(tell func(*View)) {
	was, v := r.Now(), r.roster.view(time.Now())
	v.before, v.Held = was.objects, r.held
	r.now.Store(v)
	r.say(was, v)
	r.keep(v)
	tell(v)
}

// keep writes what is believed to disk. That fails where it would, and is tried again.
func (r *Registry) keep(v *View) {
	path := r.file()
	if path == "" || !v.Listed && len(v.entries) == 0 {
		return
	}
	if r.gone() { // whoever finds it first says so
		r.Log.Error(fmt.Sprintf("%s%q has been removed, replaced or cut by somebody else; it is written anew", r.prefix(), path))
	}
	text, err := spell(r.Name(), v.entries, v.posted)
	if err == nil && r.unkept == "" && bytes.Equal(text, r.kept) && stands(path, len(text)) {
		return // it says so already
	}
	if err == nil {
		err = save(path, text)
	}
	if err == nil {
		r.kept = text
	}
	switch {
	case err != nil && r.unkept == "":
		r.unkept = err.Error()
		r.Log.Error(r.prefix() + "the members can't be kept: " + r.unkept)
	case err == nil && r.unkept != "":
		r.unkept = ""
		r.Log.Info(r.prefix() + "the members can be kept again")
	}
}

// rekeep writes what is believed again where that failed, or what was written is gone.
func (r *Registry) rekeep() {
	if r.gone() || r.unkept != "" {
		r.keep(r.Now())
	}
}

// gone says whether what was written isn't there any more.
func (r *Registry) gone() bool {
	return r.unkept == "" && r.kept != nil && !stands(r.file(), len(r.kept))
}

// say logs what is new, a line each.
func (r *Registry) say(was, v *View) {
	find := func(list []Member, name topology.ClusterName) *Member {
		if i := slices.IndexFunc(list, func(m Member) bool { return m.Name == name }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	for _, m := range v.Members {
		switch old := find(was.Members, m.Name); {
		case old == nil:
			r.Log.Info(fmt.Sprintf("%scluster %s joins", r.prefix(), m.Name))
		case !old.Equal(&m):
			r.Log.Info(fmt.Sprintf("%scluster %s: its Cluster object has changed", r.prefix(), m.Name))
		}
	}
	for _, m := range was.Members {
		if find(v.Members, m.Name) == nil {
			r.Log.Info(fmt.Sprintf("%scluster %s leaves", r.prefix(), m.Name))
		}
	}
	now := time.Now()
	for _, o := range was.Orders {
		switch {
		case slices.Contains(v.Orders, o):
		case o.Expired(now):
			r.Log.Info("override has expired: " + o.String())
		default:
			r.Log.Info("override taken back: " + o.String())
		}
	}
	for _, o := range v.Orders {
		if !slices.Contains(was.Orders, o) {
			r.Log.Info("override: " + o.String())
		}
	}
	for _, m := range v.unfit {
		if !slices.Contains(was.unfit, m) {
			r.Log.Warn(fmt.Sprintf("%sOrder %s isn't followed: %s", r.prefix(), m.Order, m.Why))
		}
	}
	for _, p := range v.wrong {
		if !slices.Contains(was.wrong, p) {
			r.Log.Warn(fmt.Sprintf("%sCluster %s: %s: %s", r.prefix(), p.Cluster, p.Field, p.Why))
		}
	}
}

func (r *Registry) hear() { r.heard.Store(time.Now().UnixNano()) }
