package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/override"
)

// A Server answers by what a registry tells.
type Server interface {
	// InForce are the orders that a snapshot has; false: it has ended.
	InForce(context.Context) (f override.Force, shown Published, ok bool)
	// File is the one whose orders are in force beside those of the registry, and why it
	// can't be read; "": there is none.
	File() (path string, err error)
	// Clusters is how the members stand.
	Clusters(context.Context) ([]report.Cluster, error)
	// Holders are the hosts that several claim, by the namespace that holds it.
	Holders(context.Context) map[string]string
	// Preview is what an order would change.
	Preview(context.Context, override.Order) (*report.Preview, error)
	// NoEffect says why an order can't change anything as things are; "": it may.
	NoEffect(override.Order) string
	// Version is of the program.
	Version() string
}

const (
	// renewal is how often a server says that it is there; after three that are missing
	// it is gone.
	renewal = 15 * time.Second
	term    = 3 * renewal
	// telling is how soon others learn that this server answers otherwise: no sooner, since each
	// time is a write to the API.
	telling = 5 * time.Second
	// forgetting is how long the Lease of a server that is gone is there, for operators.
	forgetting = time.Hour
	// glance is between two looks whether there is anything to say.
	glance = 500 * time.Millisecond
	// unhurried is how often it is written that only numbers have changed.
	unhurried = 30 * time.Second
	// patience is before what was refused is tried again: fedctl init may have given the
	// right meanwhile. It is also for what somebody else has undone.
	retryRefused = 5 * time.Minute
	// settling is how long what was written may take to be seen.
	settling = 10 * time.Second
	// few is how many services are named.
	few = 20
	// fedsyncs is how long a fedsync without a Lease is there after its last heartbeat,
	// which it writes every five minutes.
	fedsyncs = 11 * time.Minute
)

// writer is the field manager of what one server writes for all.
const writer = "fedns"

// process is part of the name of each server of this process: on one host there may be
// several, and of a node's pods several may have its name.
var process = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "fedns"
	}
	host = strings.Trim(regexp.MustCompile("[^a-z0-9.-]+").ReplaceAllString(strings.ToLower(host), "-"), "-.")
	if len(host) > 200 {
		host = host[:200]
	}
	return host + "-" + strings.ToLower(rand.Text()[:5])
})

// Published tells which snapshot is answered from.
type Published struct {
	Serial      uint32
	Publication uint64 // of the process: several may be of one serial
	Digest      uint64 // the same for the same answers; 0: not known
}

// names are those that servers of this process have.
var names struct {
	sync.Mutex
	taken map[string]bool
}

// called gives a registry the name of its Lease.
func (r *Registry) called() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.name != "" {
		return r.name
	}
	names.Lock()
	defer names.Unlock()
	if names.taken == nil {
		names.taken = map[string]bool{}
	}
	r.name = process()
	for n := 2; names.taken[r.name]; n++ {
		r.name = fmt.Sprintf("%s-%d", process(), n)
	}
	names.taken[r.name] = true
	return r.name
}

// A reporter writes to the federation's API what this server has made of what it
// follows. It writes what has changed, and its Lease.
type reporter struct {
	*Registry
	name     string
	api      *kube.API
	turn     int64             // the generation that api is of
	renewed  time.Time         // its Lease
	filed    string            // that tells this of its file of overrides
	told     uint64            // digest of what it says is answered
	members  map[string]string // the last that there were, with the UIDs of their objects
	alone    bool              // it can't be known which others there are
	live     []string          // servers, sorted
	known    []string          // servers with a Lease
	fedsync  bool              // one is there, by its Lease
	refused  map[string]time.Time
	said     map[string]v1alpha1.Statement // by UID, kind and name: what was written last
	saidAt   map[string]time.Time
	drawn    map[string]drawing   // the last status of a cluster that was written
	undone   map[string]time.Time // when somebody else undid that
	absent   map[string]time.Time // servers without a Lease, since when
	reports  []report.Cluster
	reported time.Time
	shown    Published // of reports
}

// A drawing is when a status was written, and as which resourceVersion.
type drawing struct {
	at      time.Time
	version string
}

func newReporter(r *Registry) *reporter {
	return &reporter{Registry: r, refused: map[string]time.Time{}, said: map[string]v1alpha1.Statement{}, saidAt: map[string]time.Time{}, drawn: map[string]drawing{}, undone: map[string]time.Time{}, absent: map[string]time.Time{}}
}

// run reports until ctx ends, and takes its leave.
func (p *reporter) run(ctx context.Context) {
	p.name = p.called()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.round(ctx, time.Now())
		case <-ctx.Done():
			p.leave()
			return
		}
	}
}

// leave takes the Lease away: nobody has to wait for a server that has ended. One that
// goes on by another configuration keeps it.
func (p *reporter) leave() {
	p.mu.Lock()
	heir := p.heir
	p.mu.Unlock()
	if p.api == nil {
		return
	}
	defer p.api.Close()
	if heir {
		return
	}
	names.Lock()
	delete(names.taken, p.name)
	names.Unlock()
	if p.renewed.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.api.Delete(ctx, builtin.Leases, v1alpha1.System, p.name, "") // else it runs out
}

func (p *reporter) round(ctx context.Context, now time.Time) {
	if !p.up.Load() {
		return // nothing can be written
	}
	if turn := p.turns.Load(); p.api == nil || turn != p.turn {
		api, err := p.open(false)
		if err != nil {
			return // the file has changed just now, and will be read again
		}
		if p.api != nil {
			p.api.Close()
		}
		p.api, p.turn = api, turn
	}
	force, shown, ok := p.Server.InForce(ctx)
	if !ok {
		return
	}
	v := p.Now()
	path, err := p.Server.File()
	filed := filing(path, err, force, v)
	due := now.Sub(p.renewed)
	if (due >= renewal || filed != p.filed || due >= telling && shown.Digest != p.told) && p.may("lease", now) {
		p.announce(ctx, filed, shown, now)
	}
	clusters, versions, orders := p.Registry.seen.now()
	for _, c := range causes(v, clusters, orders, p.name, now) {
		if ctx.Err() == nil {
			p.writeStatement(ctx, &c, force, shown, now)
		}
	}
	first := p.alone || len(p.live) > 0 && p.live[0] == p.name
	p.part(ctx, v, first, now)
	if first {
		p.describe(ctx, v, clusters, versions, shown, now)
		p.sum(ctx, v, clusters, orders, now)
	}
}

// may says whether something is to be tried, that may have been refused.
func (p *reporter) may(what string, now time.Time) bool {
	at, refused := p.refused[what]
	return !refused || now.Sub(at) >= retryRefused
}

// failed takes in that a write failed. What is refused is said once, and tried again
// much later; the rest is the API's trouble.
func (p *reporter) failed(what, does string, err error, now time.Time) {
	if !kube.Refused(err) && !kube.Missing(err) {
		return
	}
	if _, told := p.refused[what]; !told {
		p.Log.Warn(fmt.Sprintf("%s%s: %v; going on without that (fedctl init again gives the rights)", p.prefix(), does, err))
	}
	p.refused[what] = now
}

// announce says that this server is there, with what only it knows, and finds out which
// others are.
func (p *reporter) announce(ctx context.Context, filed string, shown Published, now time.Time) {
	o := builtin.Leases.New(v1alpha1.System, p.name)
	o.SetLabels(map[string]string{v1alpha1.ServerLabel: "true", v1alpha1.Federation: p.Federation})
	notes := map[string]string{v1alpha1.ServerVersion: p.Server.Version()}
	if filed != "" {
		notes[v1alpha1.ServerFiled] = filed
	}
	if text := p.published(ctx, shown); text != "" {
		notes[v1alpha1.ServerPublished] = text
	}
	o.SetAnnotations(notes)
	o.Object["spec"] = map[string]any{"holderIdentity": p.name, "leaseDurationSeconds": int64(term / time.Second), "renewTime": now.UTC().Format(metav1.RFC3339Micro)}
	if _, _, err := p.api.Apply(ctx, builtin.Leases, o, kube.How{Manager: writer, Force: true}); err != nil {
		p.alone = kube.Refused(err) || p.alone
		p.failed("lease", "it can't be said that this server is there", err, now)
		return
	}
	p.renewed, p.filed, p.told = now, filed, shown.Digest
	delete(p.refused, "lease")
	all, err := p.api.List(ctx, builtin.Leases, v1alpha1.System, "")
	if err != nil {
		p.alone = kube.Refused(err)
		p.peers.Store(&peers{wrong: "it can't be known which other servers there are: " + kube.Cause(err)})
		p.failed("leases", "it can't be known which other servers there are", err, now)
		return
	}
	var beside []v1alpha1.Server
	p.alone, p.live, p.known, p.fedsync = false, nil, nil, false
	for i := range all {
		o := &all[i]
		if o.GetName() == v1alpha1.LeaseOf(p.Federation) {
			at, length := v1alpha1.Term(o)
			p.fedsync = now.Before(at.Add(2*length + time.Minute))
			continue
		}
		s, ok := v1alpha1.ServerOf(o, p.Federation)
		if ok {
			beside = append(beside, s)
		}
		switch {
		case !ok:
		case s.Live(now):
			p.live, p.known = append(p.live, s.Name), append(p.known, s.Name)
		case now.Sub(s.Renewed) < forgetting:
			p.known = append(p.known, s.Name)
		case len(p.live) > 0 && p.live[0] == p.name:
			_ = p.api.Delete(ctx, builtin.Leases, v1alpha1.System, s.Name, o.GetUID()) // again in a moment, else
		}
	}
	slices.Sort(p.live)
	p.peers.Store(&peers{all: beside})
}

// clusters is how the members stand, as of a moment ago.
func (p *reporter) clusters(ctx context.Context, shown Published, now time.Time) []report.Cluster {
	if p.shown.Publication == shown.Publication && now.Sub(p.reported) < unhurried || now.Sub(p.reported) < 2*glance {
		return p.reports
	}
	all, err := p.Server.Clusters(ctx)
	if err != nil {
		return p.reports
	}
	p.reports, p.reported, p.shown = all, now, shown
	return all
}

// writeStatement says what has become of an order, where that is new.
func (p *reporter) writeStatement(ctx context.Context, c *cause, force override.Force, shown Published, now time.Time) {
	what := c.kind.Resource + "/status"
	if !p.may(what, now) {
		return
	}
	var s v1alpha1.Statement
	if c.dry {
		if c.have != nil && c.have.Generation == c.generation {
			return
		}
		s = p.foresee(ctx, c)
	} else {
		var settled bool
		if s, settled = c.becomes(force); !settled {
			return
		}
		if s.State == v1alpha1.InForce {
			if why := p.Server.NoEffect(c.order); why != "" {
				s.State, s.Message = v1alpha1.NotInForce, why
			}
		}
		if c.order.Subject.Kind == override.Cluster && s.State != v1alpha1.NotInForce {
			for _, r := range p.clusters(ctx, shown, now) {
				if r.Cluster == c.order.Subject.Name {
					if p.shown.Publication < shown.Publication && c.have == nil {
						return // what it is answered with is of before
					}
					s.Answers, s.TTLSeconds = int64(r.Answers), int64(r.TTL)
				}
			}
			if s.Answers > 0 && s.Message == "" && c.order.Action != override.Up {
				s.Message = fmt.Sprintf("%d services are answered with it still", s.Answers)
				if s.Answers == 1 {
					s.Message = "1 service is answered with it still"
				}
			}
		}
	}
	if !c.news(&s) {
		return
	}
	key := c.kind.Resource + "/" + c.uid + "/" + c.name
	if last, ok := p.said[key]; ok && last.State == s.State && last.Generation == s.Generation && last.Message == s.Message && last.Answers == s.Answers && last.TTLSeconds == s.TTLSeconds && now.Sub(p.saidAt[key]) < settling {
		return // the watch will show it
	}
	if s.Since == nil {
		s.Since, s.Serial = &metav1.Time{Time: now.UTC().Truncate(time.Second)}, int64(shown.Serial)
	}
	if _, ok := p.apply(ctx, c.kind, c.name, c.uid, "fedns-"+p.name, map[string]any{"servers": map[string]any{p.name: stated(s)}}, "what has become of orders can't be written", now); ok {
		p.said[key], p.saidAt[key] = s, now
	}
}

// apply writes part of an object's status, and gives the resourceVersion that has it.
func (p *reporter) apply(ctx context.Context, k kube.Kind, name, uid, manager string, status map[string]any, does string, now time.Time) (version string, ok bool) {
	what := k.Resource + "/status"
	o := k.New("", name)
	if uid != "" {
		o.SetUID(types.UID(uid)) // not one of that name that came after it
	}
	o.Object["status"] = status
	got, _, err := p.api.Apply(ctx, k, o, kube.How{Manager: manager, Force: true, Subresource: "status"})
	switch {
	case err == nil:
		delete(p.refused, what)
		version = got.GetResourceVersion()
	case kube.Missing(err), kube.Conflict(err): // it has just gone
	default:
		p.failed(what, does, err, now)
	}
	return version, err == nil
}

// foresee says what an order would change.
func (p *reporter) foresee(ctx context.Context, c *cause) v1alpha1.Statement {
	s := v1alpha1.Statement{State: v1alpha1.Previewed, Generation: c.generation}
	if c.wrong != "" {
		s.State, s.Message = v1alpha1.NotInForce, c.wrong
		return s
	}
	if c.order.Expired(time.Now()) {
		s.State, s.Message = v1alpha1.NotInForce, "it has ended already"
		return s
	}
	preview, err := p.Server.Preview(ctx, c.order)
	if err != nil {
		s.State, s.Message = v1alpha1.NotInForce, err.Error()
		return s
	}
	s.Services, s.Orphaned = int64(preview.Services), int64(preview.Orphaned)
	s.Orphans = preview.Orphans[:min(len(preview.Orphans), few)]
	for _, u := range preview.Unknown {
		if c.apart {
			break // there is nothing to change: it is in no answer
		}
		s.State, s.Message = v1alpha1.NotInForce, "it knows no "+u.Subject
		if len(u.Known) > 0 {
			s.Message += "; known: " + strings.Join(u.Known, ", ")
		}
	}
	for _, f := range preview.Futile {
		s.State, s.Message = v1alpha1.NotInForce, f.Why
	}
	if c.order.Subject.Kind == override.Cluster {
		all, err := p.Server.Clusters(ctx)
		if err != nil {
			s.State, s.Message = v1alpha1.NotInForce, err.Error()
		}
		for _, r := range all {
			if r.Cluster == c.order.Subject.Name {
				s.TTLSeconds, s.Answers = int64(r.TTL), int64(r.Answers)
			}
		}
	}
	return s
}

// describe writes how the members stand. One server does that for all: the first by
// name of those that are there.
func (p *reporter) describe(ctx context.Context, v *View, clusters map[string]v1alpha1.ClusterStatus, versions map[string]string, shown Published, now time.Time) {
	if !p.may("clusters/status", now) {
		return
	}
	fedsync := p.fedsync
	for _, s := range clusters {
		fedsync = fedsync || s.LastHeartbeatTime != nil && now.Sub(s.LastHeartbeatTime.Time) < fedsyncs
	}
	reports := p.clusters(ctx, shown, now)
	for name, e := range v.entries {
		i := slices.IndexFunc(reports, func(r report.Cluster) bool { return r.Cluster == name })
		was, seen := clusters[name]
		if i < 0 || !seen || e.lost {
			continue
		}
		next, events := describe(was, facts{Cluster: reports[i], wrong: e.wrong, fedsync: fedsync, drain: e.spec.Drain != nil && !drain(name, e.spec.Drain).Expired(now)}, now)
		differ, urgent := differs(was, next)
		last := p.drawn[e.uid+name]
		switch {
		case !differ, now.Sub(last.at) < glance*2:
			continue
		case v1alpha1.Older(versions[name], last.version) && now.Sub(last.at) < settling:
			continue // the watch will show it
		case last.version != "" && find(was.Conditions, v1alpha1.Valid) < 0:
			// An older fedsync writes its conditions as if there were no others, at once.
			if p.undone[e.uid+name].IsZero() {
				p.Log.Warn(fmt.Sprintf("%sCluster %s: somebody else takes conditions away, such as an older fedsync; they are written every %s", p.prefix(), name, 2*retryRefused))
			}
			if now.Sub(p.undone[e.uid+name]) < 2*retryRefused {
				continue
			}
			p.undone[e.uid+name] = now
			events = nil
		case !urgent && now.Sub(last.at) < unhurried:
			continue
		}
		if version, ok := p.apply(ctx, v1alpha1.Clusters, name, e.uid, writer, written(next), "how the members stand can't be written", now); ok {
			p.drawn[e.uid+name] = drawing{now, version}
			for _, ev := range events {
				p.post(ctx, name, e.uid, ev, now)
			}
		}
	}
}

// part notes which members have left, by the word of the API, and, where this server is
// the one that tells for all, says so: their objects can't any more.
func (p *reporter) part(ctx context.Context, v *View, tell bool, now time.Time) {
	was := p.members
	p.members = map[string]string{}
	for name, e := range v.entries {
		p.members[name] = e.uid
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if uid := was[name]; tell && uid != "" && p.members[name] != uid {
			p.post(ctx, name, uid, event{reason: "Left", message: "it is no member of the federation any more"}, now)
		}
	}
}

// post makes an Event of a Cluster. For a while after a start, two servers may each be the
// first by what they know: the name is that of what has happened, and so it is told once.
func (p *reporter) post(ctx context.Context, name, uid string, ev event, now time.Time) {
	if !p.may("events", now) {
		return
	}
	const namespace = "default" // where Kubernetes has events of what is in no namespace
	since := int64(0)
	if !ev.since.IsZero() {
		since = ev.since.Unix()
	}
	o := builtin.Events.New(namespace, fmt.Sprintf("%.180s.%s.%s.%x", name, strings.ToLower(ev.reason), uid, since))
	o.Object["involvedObject"] = map[string]any{"apiVersion": v1alpha1.Clusters.APIVersion(), "kind": v1alpha1.Clusters.Name, "name": name, "uid": uid}
	kind := "Normal"
	if ev.warning {
		kind = "Warning"
	}
	o.Object["type"], o.Object["reason"], o.Object["message"], o.Object["count"] = kind, ev.reason, ev.message, int64(1)
	o.Object["source"] = map[string]any{"component": writer, "host": p.name}
	at := now.UTC().Format(time.RFC3339)
	o.Object["firstTimestamp"], o.Object["lastTimestamp"] = at, at
	if _, err := p.api.Create(ctx, builtin.Events, o, writer); err != nil {
		p.failed("events", "events can't be written", err, now)
	}
}

// sum writes in how many servers each Order is in force, and takes away what servers
// said that are gone for good.
func (p *reporter) sum(ctx context.Context, v *View, clusters map[string]v1alpha1.ClusterStatus, orders map[string]v1alpha1.OrderStatus, now time.Time) {
	if p.alone || !p.may("orders/status", now) {
		return
	}
	for _, o := range v.posted {
		is, seen := orders[o.Name]
		if !seen || o.lost || o.Dry {
			continue
		}
		key := "sum/" + o.UID + o.Name
		if text := tally(is.Servers, o.Generation, p.live); text != is.InForce && (p.said[key].Message != text || now.Sub(p.saidAt[key]) >= settling) {
			if _, ok := p.apply(ctx, v1alpha1.Orders, o.Name, o.UID, writer, map[string]any{"inForce": text}, "what has become of orders can't be written", now); ok {
				p.said[key], p.saidAt[key] = v1alpha1.Statement{Message: text}, now
			}
		}
		p.tidy(ctx, v1alpha1.Orders, o.Name, is.Servers, now)
	}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		p.tidy(ctx, v1alpha1.Clusters, name, clusters[name].Servers, now)
	}
}

// tidy takes away what servers said that have no Lease any more.
func (p *reporter) tidy(ctx context.Context, k kube.Kind, name string, said map[string]v1alpha1.Statement, now time.Time) {
	gone := map[string]any{}
	for server := range said {
		switch first, absent := p.absent[server]; {
		case server == p.name || slices.Contains(p.known, server):
			delete(p.absent, server)
		case !absent:
			p.absent[server] = now // it may be there since the last look
		case now.Sub(first) > 2*renewal:
			gone[server] = nil
		}
	}
	key := "tidy/" + k.Resource + "/" + name
	if len(gone) == 0 || p.renewed.IsZero() || now.Sub(p.renewed) > renewal || now.Sub(p.saidAt[key]) < settling {
		return
	}
	p.saidAt[key] = now
	_, err := p.api.Merge(ctx, k, "", name, map[string]any{"status": map[string]any{"servers": gone}}, writer, "status")
	if err != nil && !kube.Missing(err) {
		p.failed(k.Resource+"/status", "what servers said that are gone can't be taken away", err, now)
	}
}
