package federation

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/kube/elect"
	"github.com/fedns/fedns/internal/metric"
	"github.com/fedns/fedns/internal/publish"
	"github.com/fedns/fedns/internal/publish/externaldns"
	"github.com/fedns/fedns/internal/snapshot"
	"github.com/fedns/fedns/plugin/federation/observe"
	"github.com/fedns/fedns/plugin/federation/zone"
)

var (
	published = metric.Fedns.Counters("published_total",
		"Updates sent to servers that names are published on, by what became of them: done, refused, taken (somebody else's record stands there), or unanswered.", "federation", "server", "outcome")
	unpublished = metric.Fedns.Gauges("unpublished",
		"Services and hosts that aren't on a server as they are to be. The server is that of the updates, or external-dns/NAMESPACE.", "federation", "server")
	publishes = metric.Fedns.Gauges("publishes",
		"1 on the server that publishes, by a Lease where there are several.", "federation", "server")
)

const (
	// publishLease is without a word from who publishes when another takes over. A second server that writes the same
	// for a moment does no harm.
	publishLease = 15 * time.Second
	// publishAnew is how often all is compared: TTLs grow again by time alone.
	publishAnew = 5 * time.Minute
	// publishReread is how often it is looked what the server has: somebody may have changed it.
	publishReread = 15 * time.Minute
	// publishLook is how often it is asked whether somebody may have: that costs one question.
	publishLook = 5 * time.Second
	// publishWait is between attempts to read what a server has.
	publishWait = 5 * time.Second
	// publishLogged bounds how many problems are logged each by themselves.
	publishLogged = 20
)

// publishAll has the names of a stanza published wherever it says so: by this server, or by the one that holds a
// Lease in the federation's API.
func (f *Federation) publishAll(index int, s stanza) {
	var runs []func(context.Context)
	for _, to := range s.publish {
		for _, z := range s.zones {
			d, _ := f.Find(z)
			if d == nil || string(d.Name) != z {
				continue
			}
			p := f.publications.add(s.name, string(d.Name), to.where())
			runs = append(runs, func(ctx context.Context) {
				p.here(true)
				defer p.here(false)
				f.publish(ctx, index, &s, d, to, p)
			})
		}
	}
	if len(runs) == 0 {
		return
	}
	all := func(ctx context.Context) {
		select {
		case <-f.ready: // what isn't known yet isn't gone
		case <-ctx.Done():
			return
		}
		for _, to := range s.publish {
			publishes.WithLabelValues(s.name, to.where()).Set(1)
			defer publishes.WithLabelValues(s.name, to.where()).Set(0)
		}
		var at sync.WaitGroup
		for _, run := range runs {
			at.Go(func() { run(ctx) })
		}
		at.Wait()
	}
	f.tasks.Go(func() {
		if s.registry == "" {
			all(f.ending)
			return
		}
		f.elected(f.ending, s, "fedns-publish-"+s.name, all)
	})
}

// publisher is this process for whoever looks at Leases. Several server blocks of one federation, and the configurations before and
// after a reload, are one: each would wait for the others.
var publisher = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "fedns"
	}
	return fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano())
})

// elected calls run while this server holds a Lease in the federation's API.
func (f *Federation) elected(ctx context.Context, s stanza, name string, run func(context.Context)) {
	var api *kube.API
	for api == nil {
		var err error
		if api, err = kube.Open(kube.Config{Kubeconfig: s.registry, Context: s.registryContext, Agent: "fedns"}); err != nil {
			observe.Log.Warningf("federation %s: publish: %v; it is tried again", s.name, err)
			select {
			case <-time.After(publishLease):
			case <-ctx.Done():
				return
			}
		}
	}
	defer api.Close()
	last := ""
	c := elect.Candidate{
		API: api, Namespace: v1alpha1.System, Name: name, Holder: publisher(), Duration: publishLease,
		Failed: func(err error) {
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != last && text != "" {
				observe.Log.Warningf("federation %s: publish: Lease %s: %v", s.name, name, text)
			}
			last = text
		},
	}
	c.Run(ctx, run)
}

// A keeper keeps the names of a federation under a domain somewhere.
type keeper interface {
	Load(ctx context.Context) error // what is there
	Moved(ctx context.Context) bool // whether somebody else may have changed that
	// Set says what the names of a group are to be; nil: none is to be there. Unless that is all of them, others stay.
	Set(group string, names publish.Names, all bool)
	// Only takes away what is in no group of a list, unless that isn't all of them.
	Only(groups map[string]bool, all bool)
	Pending() []string
	Write(ctx context.Context, now time.Time) (again time.Time)
}

// A router is a keeper that can say to providers how they are to choose.
type router interface {
	Route(group string, r publish.Routing)
}

// teller logs what is wrong with names, and when it is well again, and notes it.
func teller(prefix string, p *publication) func(of, problem string) {
	problems := 0
	return func(of, problem string) {
		p.tell(of, problem)
		if problem == "" {
			problems--
			observe.Log.Infof("%s%s: well again", prefix, of)
			return
		}
		switch problems++; {
		case problems < publishLogged:
			observe.Log.Warningf("%s%s: %s", prefix, of, problem)
		case problems == publishLogged:
			observe.Log.Warningf("%s%s: %s; others aren't logged (unpublished counts them)", prefix, of, problem)
		}
	}
}

// publish keeps what stands somewhere else as it is to be, until ctx ends.
func (f *Federation) publish(ctx context.Context, index int, s *stanza, d *zone.Domain, to publishing, as *publication) {
	prefix := fmt.Sprintf("federation %s: publish on %s: ", s.name, to.where())
	count := func(outcome string) { published.WithLabelValues(s.name, to.where(), outcome).Inc() }
	if to.namespace != "" {
		api, err := to.open(s)
		for ; err != nil; api, err = to.open(s) {
			observe.Log.Warningf("%s%v; it is tried again", prefix, err)
			as.stands(0, err.Error())
			select {
			case <-time.After(publishLease):
			case <-ctx.Done():
				return
			}
		}
		defer api.Close()
		f.keep(ctx, index, d, to, prefix, as, &externaldns.Writer{
			API: api, Namespace: to.namespace, Federation: s.name, Domain: string(d.Name), TTL: s.ttl, Route53: to.route53, Tell: teller(prefix, as), Count: count,
		}, nil, s.policy.Choice)
		return
	}
	p := &publish.Publisher{
		Server: publish.Server{
			Addr: to.server, Zone: cmp.Or(to.zone, string(d.Name)), Owner: cmp.Or(to.owner, s.name), Key: to.key, Secret: f.Config.TsigSecret[to.key],
			Domain: string(d.Name),
		},
		Tell: teller(prefix, as), Count: count,
	}
	if to.cut {
		p.Cut = string(d.Name)
	}
	f.keep(ctx, index, d, to, prefix, as, p, p.Guess, s.policy.Choice)
}

// keep does that with a keeper. guess begins without knowing what is there; nil: that has to be known. policy is the stanza's.
func (f *Federation) keep(ctx context.Context, index int, d *zone.Domain, to publishing, prefix string, as *publication, k keeper, guess func(), policy snapshot.Policy) {
	var was *zone.Moment
	delegation := zone.Delegating{Domain: d, Block: &f.Block}
	var compared, read, looked time.Time
	unread := ""                                                           // why, as it was logged
	wrong := ""                                                            // the same, where nothing can be done without
	pending := unpublished.WithLabelValues(as.told.Federation, to.where()) // of all domains
	counted := 0
	complete := false // all clusters had been listed
	count := func(left int) {
		pending.Add(float64(left - counted))
		counted = left
		as.stands(left, wrong)
	}
	defer count(0)
	for ctx.Err() == nil {
		changed := f.Current.Changed()
		moved := false
		if time.Since(looked) > publishLook {
			moved, looked = !read.IsZero() && k.Moved(ctx), time.Now()
		}
		if moved || time.Since(read) > publishReread {
			err := k.Load(ctx)
			switch {
			case err == nil:
				unread, wrong = "", ""
			case ctx.Err() != nil:
				return
			default:
				blind := guess != nil && publish.Unwilling(err)
				if wrong = err.Error(); blind {
					wrong = ""
				}
				if unread != err.Error() {
					unread = err.Error()
					says := "it is tried again"
					if blind {
						says = "names of services that went while nobody published stay there"
					}
					observe.Log.Warningf("%swhat is there can't be read: %v; %s", prefix, err, says)
				}
				if !blind && read.IsZero() {
					now := f.Current.Load().Federations[index]
					count(now.Size() + now.HostCount()) // none is, as far as is known
					select {
					case <-time.After(publishWait):
					case <-ctx.Done():
					}
					continue
				}
				if read.IsZero() {
					guess()
				}
			}
			read, was = time.Now(), nil
		}
		if time.Since(compared) > publishAnew {
			was = nil
		}
		next, groups, whole := d.Groups(&f.Block, index, was)
		if to.cut {
			groups, whole = delegation.Groups(), true
		}
		there := map[string]bool{}
		for g, rrs := range groups {
			if rrs == nil {
				as.limit(g.Name, "")
				k.Set(g.Name, nil, true)
				continue
			}
			there[g.Name] = true
			routing, limit := route(g, policy, to)
			as.limit(g.Name, limit)
			if r, ok := k.(router); ok {
				r.Route(g.Name, routing)
			}
			k.Set(g.Name, publish.Gather(rrs), next.Complete(index) || to.cut)
		}
		began := !complete && next.Complete(index)
		complete = next.Complete(index)
		if was = next; whole {
			compared = time.Now()
			as.only(there)
			k.Only(there, complete || to.cut) // a cluster that nobody has heard of yet may have the rest
		} else if began {
			was = nil
			continue
		}
		again := k.Write(ctx, time.Now())
		count(len(k.Pending()))
		wait := min(time.Until(compared.Add(publishAnew)), time.Until(looked.Add(publishLook)))
		if !again.IsZero() {
			wait = min(wait, time.Until(again))
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// route says how clients are to be given the addresses of a service, and what of that can't be had there; "": nothing.
func route(g zone.Group, p snapshot.Policy, to publishing) (r publish.Routing, limit string) {
	s := g.Service
	if s == nil {
		return r, ""
	}
	if s.Policy != nil {
		p = *s.Policy
	}
	switch p.Choice {
	case snapshot.Weighted:
		r.By = publish.Weight
	case snapshot.Nearest:
		r.By = publish.Latency
	case snapshot.Failover:
		if to.route53 == nil {
			return r, "" // what is answered is published, of the active region
		}
		r.By, r.Name, r.Regions = publish.Failover, strings.TrimSuffix(g.Name, "."), p.Regions
		r.Active = map[string]string{"A": s.Active[snapshot.IPv4], "AAAA": s.Active[snapshot.IPv6]}
	default: // which say the same to everybody
		return r, ""
	}
	if to.namespace == "" || to.route53 == nil {
		return publish.Routing{}, "policy " + p.Choice.String() + ": every client gets every address there"
	}
	r.Shards = make(map[netip.Addr]publish.Shard, len(s.Shards))
	for _, x := range s.Shards {
		if _, ok := r.Shards[x.Addr]; !ok { // one that several have counts once
			r.Shards[x.Addr] = publish.Shard{Cluster: x.Cluster, Region: x.Place.Region, Zone: x.Place.Zone, Weight: x.Weight}
		}
	}
	if why := r.Unable(); why != "" {
		limit = "policy " + p.Choice.String() + ": every client gets every address there: " + why
	}
	return r, limit
}
