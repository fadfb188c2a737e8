// Package geoindex keeps, for one federation, which regions are close to which clients: from
// a geographic database and an operator's networks, made anew as either changes, or the
// regions of the federation do. An Index is made by New, kept by Follow, and asked by Client
// and Subnet while questions are answered; it allocates nothing then.
package geoindex

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/geo/mmdb"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
	"github.com/fedns/fedns/plugin/federation/observe"
)

var (
	geoErrors = metric.Fedns.Counters("geo_errors_total",
		"Geographic databases that couldn't be read, and networks that are said to be in no region there is.", "federation")
	geoBuilt = metric.Fedns.Gauges("geo_database_built_seconds",
		"When the geographic database that is used was made, in seconds since 1970; 0: there is none.", "federation")
)

// Options is what a stanza says of where regions and clients are.
type Options struct {
	Nets      []geo.Net
	Database  string
	ECS       bool
	Resolvers []netip.Prefix // whose client subnets are believed; none: everybody's
}

// An Index knows where the clients of one federation are, and which regions are close to
// them. Until Follow runs it knows nobody, and answers wait for it.
type Index struct {
	Options
	federation string
	index      int             // in the snapshot
	policy     snapshot.Policy // of the federation
	sites      atomic.Pointer[[]Site]

	mu   sync.Mutex // guards db
	db   *mmdb.DB
	told map[string]bool // what was said already

	known map[string]geo.Place // the regions of the federation, for rebuild

	now atomic.Pointer[located]
	// begun is set once all regions have been taken in, or had their time: nothing waits
	// from then on.
	begun atomic.Bool
}

// A Site is where a cluster is, by an operator's word.
type Site struct {
	shard.Cluster
	Location *geo.Point // nil: as its region is known
}

// located is a state of an Index. It never changes.
type located struct {
	table *geo.Table
	// own places this host's own clients: of the loopback addresses, a database may know
	// what they stand for, though nobody else's.
	own    *geo.Table
	atlas  *geo.Atlas
	within []int

	// What it was made of.
	scopes     *topology.Map
	settled    bool
	tolerances []int
	db         *mmdb.DB
	sites      *[]Site
}

// New makes the Index of a federation with its place in the snapshot, its policy, and where
// an operator says that its clusters are.
func New(o Options, federation string, index int, policy snapshot.Policy, sites []Site) *Index {
	l := &Index{Options: o, federation: federation, index: index, policy: policy, told: map[string]bool{}}
	l.Locate(sites)
	return l
}

// Locate changes where clusters are by an operator's word.
func (l *Index) Locate(sites []Site) { l.sites.Store(&sites) }

// Region is where the index has a region; the zero Place until it knows.
func (l *Index) Region(name string) geo.Place {
	t := l.now.Load()
	if t == nil {
		return geo.Place{}
	}
	p, _ := t.atlas.Place(name)
	return p
}

// Begin has nothing wait: where a configuration before answered, nothing may wait now.
func (l *Index) Begin() { l.begun.Store(true) }

// Client gives what an answer is chosen by for a client at an address.
func (l *Index) Client(a netip.Addr) answer.Client {
	t := l.now.Load()
	if t == nil {
		return answer.Client{}
	}
	id, _ := t.of(a).Lookup(a)
	return t.client(t.of(a).Ranking(id))
}

// Subnet is client for a client subnet that begins at an address, with how long the
// prefix is whose clients are all answered so.
func (l *Index) Subnet(a netip.Addr) (c answer.Client, length int) {
	t := l.now.Load()
	if t == nil {
		return answer.Client{}, 0
	}
	id, length := t.table.Lookup(a)
	return t.client(t.table.Ranking(id)), length
}

func (t *located) client(r geo.Ranking) answer.Client {
	return answer.Client{Ranking: r, Regions: t.atlas.Regions(), Within: t.within}
}

// of is the table by which who asks is placed.
func (t *located) of(a netip.Addr) *geo.Table {
	if a.Unmap().IsLoopback() {
		return t.own
	}
	return t.table
}

// TrustsSubnets says whether the client subnets of a resolver are taken at their word.
func (l *Index) TrustsSubnets(resolver netip.Addr) bool {
	return l.ECS && (len(l.Resolvers) == 0 || slices.ContainsFunc(l.Resolvers, func(p netip.Prefix) bool { return p.Contains(resolver.Unmap()) }))
}

// Inherit takes over what those of a configuration before knew of the same
// federation, so that a reload forgets nobody's place while the database is read. A
// database that can't be read is no better for being another one than before: the last
// good one stays.
func (l *Index) Inherit(old []*Index) {
	for _, o := range old {
		if o.federation == l.federation && l.Database != "" && o.Database != "" {
			o.mu.Lock()
			l.db = o.db
			o.mu.Unlock()
			l.now.Store(o.now.Load())
		}
	}
}

// Configured says whether anything is said of where clients are.
func (l *Index) Configured() bool { return l.Database != "" || len(l.Nets) > 0 }

// Ready says whether the Index has taken in the regions that are answered, if it
// has anything to do with them, or had its time.
func (l *Index) Ready() bool { return l.begun.Load() || !l.Configured() }

// unlocated is what a client is told before it is known where clients are.
const Unlocated = "where clients and regions are isn't known yet"

// Waits says whether an answer depends on where clients are, and that isn't known
// because the server has only just started.
func (l *Index) Waits(a *answer.Answer) bool {
	if l.Ready() || len(a.Service.Regions()) < 2 && a.Policy().Count == 0 {
		return false
	}
	t := l.now.Load()
	return t == nil || t.scopes != a.Federation.Map
}

// Lacks says whether something that is said of where clients are hasn't been read, or
// couldn't be: it may come, and then tell apart whom nobody can tell apart now.
func (l *Index) Lacks() bool {
	if !l.Configured() {
		return false
	}
	t := l.now.Load()
	return t == nil || l.Database != "" && t.db == nil
}

// readingTime is how long a database that is being read is waited for. The largest there are
// take some seconds on a small machine; a disk that hangs must not hold up answers for
// ever, and of a read that fails it is known at once.
const readingTime = time.Minute

// patience is how long answers may wait until it is known where clients and regions are.
func (l *Index) patience() time.Duration {
	if l.Database != "" {
		return readingTime
	}
	return pipeline.StartupWait
}

// GiveUp has answers wait no longer.
func (l *Index) GiveUp() {
	if !l.Ready() {
		observe.Log.Warningf("federation %s: geo: it isn't known within %s where clients and regions are; going on without it: clients that nobody can place get all shards", l.federation, l.patience())
	}
	l.begun.Store(true)
}

// rebuildPoll is how often it is looked whether regions have come or gone.
const rebuildPoll = time.Second

// settlePoll is the same while clusters are being listed for the first time: regions
// come one after the other then, and questions with them.
const settlePoll = 20 * time.Millisecond

// Follow keeps the Index up to date until ctx ends.
func (l *Index) Follow(ctx context.Context, board *snapshot.Current, places func() map[topology.ClusterName][]topology.Place) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer time.AfterFunc(l.patience(), l.GiveUp).Stop()
	read := make(chan struct{}, 1) // a database was, or couldn't be
	if l.Database != "" {
		wg.Go(func() {
			mmdb.Watch(ctx, l.Database, func(db *mmdb.DB, err error) {
				l.swap(db, err)
				select {
				case read <- struct{}{}:
				default: // it is looked at anyway
				}
			})
		})
		l.mu.Lock()
		known := l.db != nil // by the configuration before
		l.mu.Unlock()
		if !known {
			select {
			case <-read:
			case <-ctx.Done():
				return
			}
		}
	} else {
		geoBuilt.DeleteLabelValues(l.federation) // a configuration before may have had one
	}
	for {
		l.rebuild(board, places)
		wait := rebuildPoll
		if t := l.now.Load(); t == nil || !t.settled {
			wait = settlePoll
		} else {
			l.begun.Store(true)
		}
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-read:
		case <-ctx.Done():
		}
		if again.Stop(); ctx.Err() != nil {
			return
		}
	}
}

// swap takes a database that has been read, or notes that it couldn't be.
func (l *Index) swap(db *mmdb.DB, err error) {
	if err == nil && db.Places() == 0 {
		err = fmt.Errorf("%s: %s database of %s: none of its %d networks has a place", l.Database, db.Type(), db.Built().Format(time.DateOnly), db.Networks())
	}
	if err != nil {
		geoErrors.WithLabelValues(l.federation).Inc()
		observe.Log.Errorf("federation %s: geo: %v; %s", l.federation, err, l.without())
		return
	}
	l.mu.Lock()
	l.db = db
	l.mu.Unlock()
	geoBuilt.WithLabelValues(l.federation).Set(float64(db.Built().Unix()))
	observe.Log.Infof("federation %s: geo: %s of %s, %d networks", l.federation, db.Type(), db.Built().Format(time.DateOnly), db.Networks())
	if age := time.Since(db.Built()); age > report.GeoStale {
		observe.Log.Warningf("federation %s: geo: the database is %d days old", l.federation, int(age/(24*time.Hour)))
	}
}

func (l *Index) without() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db != nil {
		return "the last good one stays"
	}
	return "clients are placed by nets only, others get all shards"
}

// rebuild makes a new state if what it is made of has changed.
func (l *Index) rebuild(board *snapshot.Current, places func() map[topology.ClusterName][]topology.Place) {
	f := board.Load().Federations[l.index]
	l.mu.Lock()
	db := l.db
	l.mu.Unlock()
	tolerances := f.Tolerances()
	if p := l.policy; p.Choice == snapshot.Nearest && p.Within > 0 && !slices.Contains(tolerances, p.Within) {
		tolerances = append(tolerances, p.Within)
	}
	last, sites := l.now.Load(), l.sites.Load()
	if last != nil && last.sites == sites && last.settled == f.Settled && last.scopes == f.Map && last.db == db && slices.Equal(last.tolerances, tolerances) {
		return
	}
	next := &located{scopes: f.Map, settled: f.Settled, tolerances: tolerances, db: db, sites: sites, within: tolerances}
	next.atlas = geo.NewAtlas(l.regions(f, *sites, places()), tolerances...)
	var layers []iter.Seq2[netip.Prefix, geo.Place]
	var own loopback
	if db != nil {
		layers = append(layers, own.beside(db.Each))
	}
	var err error
	nets := l.somewhere(next.atlas)
	if next.table, err = geo.Build(next.atlas, nets, append(layers, geo.Local)...); err == nil {
		next.own, err = geo.Build(next.atlas, nets, own.each)
	}
	if err != nil {
		geoErrors.WithLabelValues(l.federation).Inc()
		observe.Log.Errorf("federation %s: geo: %v", l.federation, err)
		return
	}
	l.now.Store(next)
}

// A loopback is what a database says of the addresses of the host itself.
type loopback []placed

type placed struct {
	prefix netip.Prefix
	place  geo.Place
}

// beside gives what a database says, and keeps what is about them.
func (o *loopback) beside(each iter.Seq2[netip.Prefix, geo.Place]) iter.Seq2[netip.Prefix, geo.Place] {
	all := netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	return func(yield func(netip.Prefix, geo.Place) bool) {
		*o = nil // it may be read again
		for p, place := range each {
			if p.Overlaps(all) {
				*o = append(*o, placed{p, place})
			}
			if !yield(p, place) {
				return
			}
		}
	}
}

func (o *loopback) each(yield func(netip.Prefix, geo.Place) bool) {
	for _, p := range *o {
		if !yield(p.prefix, p.place) {
			return
		}
	}
}

// regions are those of the federation, with where they are: by an operator's word,
// or as the big clouds say.
func (l *Index) regions(f *snapshot.Federation, sites []Site, places map[topology.ClusterName][]topology.Place) map[string]geo.Place {
	out := map[string]geo.Place{}
	for _, s := range f.Map.Scopes() {
		if s.Region != "" {
			out[s.Region] = geo.Place{}
		}
	}
	l.known = maps.Clone(out)
	for _, n := range l.Nets {
		out[n.Region] = geo.Place{}
		if f.Settled && !l.ours(n.Region) {
			geoErrors.WithLabelValues(l.federation).Inc()
			l.once("nets %s %s: there is no such region in the federation now; its clients go to the closest that there is, if anybody knows where that region is", n.Prefix, n.Region)
		}
	}
	for _, r := range l.policy.Regions {
		if f.Settled && !l.ours(r) {
			l.once("policy %s: there is no region %s in the federation now", l.policy, r)
		}
	}
	for r := range out {
		if info, ok := geo.Region(r); ok {
			out[r] = geo.Place{Point: info.Point, Source: geo.Cloud}
		}
	}
	located := map[string]topology.ClusterName{} // whose word of a region counts
	for _, c := range sites {
		if c.Location == nil {
			continue
		}
		for _, p := range append(places[c.Name], topology.Place{Region: c.Region}) {
			if _, ok := out[p.Region]; !ok {
				continue
			}
			if o, twice := located[p.Region]; twice && out[p.Region].Point != *c.Location {
				l.once("region %s: cluster %s says that it is at %s, cluster %s at %s; the last one's location counts, %s", p.Region, o, out[p.Region].Point, c.Name, c.Location, c.Name)
			}
			located[p.Region] = c.Name
			out[p.Region] = geo.Place{Point: *c.Location, Source: geo.Location}
		}
	}
	for r, p := range out {
		if f.Settled && p.Source == geo.Unknown && (l.Database != "" || len(l.Nets) > 0) {
			l.once("region %s: nobody says where it is, so it comes last; say it: location LATITUDE LONGITUDE in one of its clusters", r)
		}
	}
	return out
}

// ours says whether the federation has a region.
func (l *Index) ours(region string) bool {
	_, ok := l.known[region]
	return ok
}

// somewhere are the operator's networks, those in regions that nobody knows of
// nowhere.
func (l *Index) somewhere(a *geo.Atlas) []geo.Net {
	out := slices.Clone(l.Nets)
	for i, n := range out {
		if p, _ := a.Place(n.Region); p.Source == geo.Unknown && slices.Contains(a.Unlocated(), n.Region) && !l.ours(n.Region) {
			out[i].Region = ""
		}
	}
	return out
}

// once warns of what would be said at each rebuild.
func (l *Index) once(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if l.told[text] {
		return
	}
	l.told[text] = true
	observe.Log.Warningf("federation %s: %s", l.federation, text)
}
