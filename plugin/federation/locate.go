package federation

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

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/fedns/fedns/internal/answer"
	"github.com/fedns/fedns/internal/dns/message"
	"github.com/fedns/fedns/internal/geo"
	"github.com/fedns/fedns/internal/geo/mmdb"
	"github.com/fedns/fedns/internal/pipeline"
	"github.com/fedns/fedns/internal/shard"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/internal/topology"
)

var (
	geoErrors = promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: plugin.Namespace, Subsystem: pluginName, Name: "geo_errors_total",
		Help: "Geographic databases that couldn't be read, and networks that are said to be in no region there is.",
	}, []string{"federation"})
	geoBuilt = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: pluginName, Name: "geo_database_built_seconds",
		Help: "When the geographic database that is used was made, in seconds since 1970; 0: there is none.",
	}, []string{"federation"})
)

// geography is what a stanza says of where regions and clients are.
type geography struct {
	nets      []geo.Net
	database  string
	ecs       bool
	resolvers []netip.Prefix // whose client subnets are believed; none: everybody's
}

// A geoIndex knows where the clients of one federation are, and which regions are
// close to them.
type geoIndex struct {
	geography
	federation string
	index      int             // in the snapshot
	policy     snapshot.Policy // of the federation
	sites      atomic.Pointer[[]site]

	mu   sync.Mutex // guards db
	db   *mmdb.DB
	told map[string]bool // what was said already

	known map[string]geo.Place // the regions of the federation, for rebuild

	now atomic.Pointer[located]
	// begun is set once all regions have been taken in, or had their time: nothing waits
	// for the locator from then on.
	begun atomic.Bool
}

// A site is where a cluster is, by an operator's word.
type site struct {
	shard.Cluster
	location *geo.Point // nil: as its region is known
}

func sitesOf(clusters []source) (out []site) {
	for _, c := range clusters {
		out = append(out, site{c.Cluster, c.location})
	}
	return out
}

// located is a state of a locator. It never changes.
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
	sites      *[]site
}

// client gives what an answer is chosen by for a client at an address.
func (l *geoIndex) client(a netip.Addr) answer.Client {
	t := l.now.Load()
	if t == nil {
		return answer.Client{}
	}
	id, _ := t.of(a).Lookup(a)
	return t.client(t.of(a).Ranking(id))
}

// subnet is client for a client subnet that begins at an address, with how long the
// prefix is whose clients are all answered so.
func (l *geoIndex) subnet(a netip.Addr) (c answer.Client, length int) {
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

// trustsSubnets says whether the client subnets of a resolver are taken at their word.
func (l *geoIndex) trustsSubnets(resolver netip.Addr) bool {
	return l.ecs && (len(l.resolvers) == 0 || slices.ContainsFunc(l.resolvers, func(p netip.Prefix) bool { return p.Contains(resolver.Unmap()) }))
}

// trustsSubnet says whether the client subnets of a resolver are taken at their word in a domain: by
// any of its federations. Where they aren't, none is sent back (RFC 7871 section 7.2.1).
func (f *Federation) trustsSubnet(d *domain, resolver netip.Addr) bool {
	for i := range d.members {
		if f.locators[d.members[i].Index].trustsSubnets(resolver) {
			return true
		}
	}
	return false
}

// ignoreSubnet has nothing be said of the client's network where none of a domain's federations goes by
// what a resolver says of it.
func (f *Federation) ignoreSubnet(q *message.Question, d *domain, resolver netip.Addr) {
	if !f.trustsSubnet(d, resolver) {
		q.EDNS.NoSubnet()
	}
}

// inherit takes over what those of a configuration before knew of the same
// federation, so that a reload forgets nobody's place while the database is read. A
// database that can't be read is no better for being another one than before: the last
// good one stays.
func (l *geoIndex) inherit(old []*geoIndex) {
	for _, o := range old {
		if o.federation == l.federation && l.database != "" && o.database != "" {
			o.mu.Lock()
			l.db = o.db
			o.mu.Unlock()
			l.now.Store(o.now.Load())
		}
	}
}

// places says whether anything is said of where clients are.
func (l *geoIndex) places() bool { return l.database != "" || len(l.nets) > 0 }

// ready says whether the locator has taken in the regions that are answered, if it
// has anything to do with them, or had its time.
func (l *geoIndex) ready() bool { return l.begun.Load() || !l.places() }

// unlocated is what a client is told before it is known where clients are.
const unlocated = "where clients and regions are isn't known yet"

// waits says whether an answer depends on where clients are, and that isn't known
// because the server has only just started.
func (l *geoIndex) waits(a *answer.Answer) bool {
	if l.ready() || len(a.Service.Regions()) < 2 && a.Policy().Count == 0 {
		return false
	}
	t := l.now.Load()
	return t == nil || t.scopes != a.Federation.Map
}

// lacks says whether something that is said of where clients are hasn't been read, or
// couldn't be: it may come, and then tell apart whom nobody can tell apart now.
func (l *geoIndex) lacks() bool {
	if !l.places() {
		return false
	}
	t := l.now.Load()
	return t == nil || l.database != "" && t.db == nil
}

// readingTime is how long a database that is being read is waited for. The largest there are
// take some seconds on a small machine; a disk that hangs must not hold up answers for
// ever, and of a read that fails it is known at once.
const readingTime = time.Minute

// patience is how long answers may wait until it is known where clients and regions are.
func (l *geoIndex) patience() time.Duration {
	if l.database != "" {
		return readingTime
	}
	return pipeline.StartupWait
}

// giveUp has answers wait no longer.
func (l *geoIndex) giveUp() {
	if !l.ready() {
		clogger.Warningf("federation %s: geo: it isn't known within %s where clients and regions are; going on without it: clients that nobody can place get all shards", l.federation, l.patience())
	}
	l.begun.Store(true)
}

// rebuildPoll is how often it is looked whether regions have come or gone.
const rebuildPoll = time.Second

// settlePoll is the same while clusters are being listed for the first time: regions
// come one after the other then, and questions with them.
const settlePoll = 20 * time.Millisecond

// follow keeps the locator up to date until ctx ends.
func (l *geoIndex) follow(ctx context.Context, board *snapshot.Current, places func() map[topology.ClusterName][]topology.Place) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer time.AfterFunc(l.patience(), l.giveUp).Stop()
	read := make(chan struct{}, 1) // a database was, or couldn't be
	if l.database != "" {
		wg.Go(func() {
			mmdb.Watch(ctx, l.database, func(db *mmdb.DB, err error) {
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

// staleAfter is when a database is old enough to be said so: they are made anew
// every few days.
const staleAfter = 60 * 24 * time.Hour

// swap takes a database that has been read, or notes that it couldn't be.
func (l *geoIndex) swap(db *mmdb.DB, err error) {
	if err == nil && db.Places() == 0 {
		err = fmt.Errorf("%s: %s database of %s: none of its %d networks has a place", l.database, db.Type(), db.Built().Format(time.DateOnly), db.Networks())
	}
	if err != nil {
		geoErrors.WithLabelValues(l.federation).Inc()
		clogger.Errorf("federation %s: geo: %v; %s", l.federation, err, l.without())
		return
	}
	l.mu.Lock()
	l.db = db
	l.mu.Unlock()
	geoBuilt.WithLabelValues(l.federation).Set(float64(db.Built().Unix()))
	clogger.Infof("federation %s: geo: %s of %s, %d networks", l.federation, db.Type(), db.Built().Format(time.DateOnly), db.Networks())
	if age := time.Since(db.Built()); age > staleAfter {
		clogger.Warningf("federation %s: geo: the database is %d days old", l.federation, int(age/(24*time.Hour)))
	}
}

func (l *geoIndex) without() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db != nil {
		return "the last good one stays"
	}
	return "clients are placed by nets only, others get all shards"
}

// rebuild makes a new state if what it is made of has changed.
func (l *geoIndex) rebuild(board *snapshot.Current, places func() map[topology.ClusterName][]topology.Place) {
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
		clogger.Errorf("federation %s: geo: %v", l.federation, err)
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
func (l *geoIndex) regions(f *snapshot.Federation, sites []site, places map[topology.ClusterName][]topology.Place) map[string]geo.Place {
	out := map[string]geo.Place{}
	for _, s := range f.Map.Scopes() {
		if s.Region != "" {
			out[s.Region] = geo.Place{}
		}
	}
	l.known = maps.Clone(out)
	for _, n := range l.nets {
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
		if c.location == nil {
			continue
		}
		for _, p := range append(places[c.Name], topology.Place{Region: c.Region}) {
			if _, ok := out[p.Region]; !ok {
				continue
			}
			if o, twice := located[p.Region]; twice && out[p.Region].Point != *c.location {
				l.once("region %s: cluster %s says that it is at %s, cluster %s at %s; the last one's location counts, %s", p.Region, o, out[p.Region].Point, c.Name, c.location, c.Name)
			}
			located[p.Region] = c.Name
			out[p.Region] = geo.Place{Point: *c.location, Source: geo.Location}
		}
	}
	for r, p := range out {
		if f.Settled && p.Source == geo.Unknown && (l.database != "" || len(l.nets) > 0) {
			l.once("region %s: nobody says where it is, so it comes last; say it: location LATITUDE LONGITUDE in one of its clusters", r)
		}
	}
	return out
}

// ours says whether the federation has a region.
func (l *geoIndex) ours(region string) bool {
	_, ok := l.known[region]
	return ok
}

// somewhere are the operator's networks, those in regions that nobody knows of
// nowhere.
func (l *geoIndex) somewhere(a *geo.Atlas) []geo.Net {
	out := slices.Clone(l.nets)
	for i, n := range out {
		if p, _ := a.Place(n.Region); p.Source == geo.Unknown && slices.Contains(a.Unlocated(), n.Region) && !l.ours(n.Region) {
			out[i].Region = ""
		}
	}
	return out
}

// once warns of what would be said at each rebuild.
func (l *geoIndex) once(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if l.told[text] {
		return
	}
	l.told[text] = true
	clogger.Warningf("federation %s: %s", l.federation, text)
}
