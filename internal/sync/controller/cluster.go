package controller

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/fedns/fedns/internal/kube"
	"github.com/fedns/fedns/internal/sync/workload"
)

// A cluster is what is known of one that is written to, and what waits to be done there.
// It is of a connection: with other credentials, it is another one.
type cluster struct {
	hub     *hub
	owner   owner // who decides what is done there
	name    string
	pulled  bool // it fetches what is to be done; a fedsync in it says how it is
	joined  time.Time
	content []byte // of its kubeconfig
	queue   *workqueue.Typed[workload.Key]
	stop    func() // ends what follows it and writes to it
	began   time.Time

	listed   map[*workload.FederatedKind]bool
	unheard  map[*workload.FederatedKind]map[string]bool // namespaces that are to be listed first
	lacks    map[*workload.FederatedKind]bool
	hides    map[*workload.FederatedKind]bool   // of those that it lacks: its objects are there still
	denies   map[*workload.FederatedKind]string // why it doesn't let a kind be listed
	liveness liveness
	looking  bool // at pods
}

func newCluster(u *hub, name string, content []byte) *cluster {
	now := time.Now()
	return &cluster{
		hub: u, owner: u, name: name, content: content, queue: newQueue(), stop: func() {}, began: now, liveness: liveness{since: now},
		listed: map[*workload.FederatedKind]bool{}, unheard: map[*workload.FederatedKind]map[string]bool{}, lacks: map[*workload.FederatedKind]bool{}, hides: map[*workload.FederatedKind]bool{}, denies: map[*workload.FederatedKind]string{},
	}
}

// begins says whether a cluster has been followed for a short time only, and has yet to say what it
// has of a kind.
func (c *cluster) begins(s *workload.FederatedKind, now time.Time) bool {
	// The table hears with the next tick that it is in reach: plans that are made before go by what is written of it.
	told := slices.ContainsFunc(c.hub.table.Members(), func(m *workload.Member) bool { return m.Name == c.name && m.Reachable })
	return !(told && c.liveness.heard && c.tells(s)) && !c.absent() && c.twin() == "" && now.Sub(c.began) < seekFor
}

// absent says that a cluster can't be reached, and isn't worth waiting for. One that is silent may only be slow, as
// on a busy machine: what it has is to be known before anything is decided, by a run as by a plan.
func (c *cluster) absent() bool { return c.liveness.missed >= misses && !c.liveness.silent }

// heard notes that all is known of a kind.
func (c *cluster) heard(s *workload.FederatedKind) {
	// Plans of workloads wait for it to be known who scales.
	first := !c.listed[s] && s.Scaler
	if !c.listed[s] {
		c.dirty(s) // it may lack something
	}
	c.listed[s] = true
	delete(c.lacks, s)
	delete(c.denies, s)
	if first {
		for _, k := range c.hub.table.KeysOf(nil) {
			c.hub.table.Touch(k)
		}
	}
}

// missing hears that the cluster serves no such kind. kept says that it has what there was of
// it nevertheless.
func (c *cluster) missing(s *workload.FederatedKind, err error, kept bool) {
	if c.lacks[s] {
		return
	}
	c.hub.Log.Warn(fmt.Sprintf("cluster %s: %v; looked for again from time to time", c.name, kube.Plain(err)))
	c.lacks[s], c.hides[s] = true, kept
	delete(c.listed, s)
	delete(c.denies, s)
	c.owner.listed(c, s, nil) // what there was has gone with it, or isn't to be seen
}

// denied hears that the cluster doesn't let a kind be listed.
func (c *cluster) denied(s *workload.FederatedKind, err error) {
	if c.denies[s] == err.Error() {
		return
	}
	c.denies[s] = err.Error()
	delete(c.listed, s)
	c.dirty(s)
	if s.Contains || s.Scaler {
		for _, k := range c.hub.table.KeysOf(nil) {
			c.hub.table.Touch(k)
		}
	}
}

// tells says whether a cluster has said what it has of a kind, or why it doesn't.
func (c *cluster) tells(s *workload.FederatedKind) bool {
	return c.listed[s] || c.lacks[s] || c.denies[s] != ""
}

// known says whether all is known of the kinds that can be known.
func (c *cluster) known() bool {
	for _, s := range c.hub.kinds {
		if !c.tells(s) {
			return false
		}
	}
	return true
}

// dirty has all plans of a kind made anew.
func (c *cluster) dirty(s *workload.FederatedKind) {
	for _, k := range c.hub.table.KeysOf(s) {
		c.hub.table.Touch(k)
	}
}

// A cluster is asked every heartbeat whether it is ready, and is out of reach when
// it has been silent for three: one lost packet isn't an outage.
const (
	heartbeat = 2 * time.Second
	misses    = 3
)

// retold is how often a heartbeat is written that changes nothing else: often
// enough for people, too seldom to be work.
const retold = 5 * time.Minute

// A liveness is what heartbeats say of a cluster.
type liveness struct {
	heard  bool // there was one
	missed int
	since  time.Time // it has been in reach, or out of it
	ready  bool      // it says that it is
	why    string    // it isn't
	silent bool      // the last had no answer in time, which doesn't say that nobody is there
	at     time.Time // of the last
	find   findings
}

// findings are what is asked seldom.
type findings struct {
	version, region string
	zones           []string
	origin          kube.Origin
}

func (p *liveness) reachable() bool { return p.heard && p.missed < misses }

// reachable says whether steps can be done in a cluster: its API answers, and it is
// known which cluster it is.
func (c *cluster) reachable() bool {
	return c.liveness.reachable() && c.liveness.find.version != "" && c.twin() == ""
}

// twin is what else the cluster is, if it was joined twice, or is the federation's
// API itself: it would be told to be two things at once.
func (c *cluster) twin() string {
	id := c.liveness.find.origin.Identity
	if id == "" {
		return ""
	}
	if id == c.hub.origin.Identity {
		return "it is the federation's own API"
	}
	for name, o := range c.hub.members {
		if o != c && o.liveness.find.origin.Identity == id && o.before(c) {
			return "it is the same as cluster " + name
		}
	}
	return ""
}

// before says which of two that say to be the same cluster counts. What a cluster that pulls says of itself
// takes nothing from one that was asked, nor from one that was there before it.
func (c *cluster) before(o *cluster) bool {
	switch {
	case c.pulled != o.pulled:
		return o.pulled
	case c.pulled && !c.joined.Equal(o.joined):
		return c.joined.Before(o.joined)
	}
	return c.name < o.name
}

// felt takes in a heartbeat.
func (c *cluster) felt(err error, found findings) {
	p := &c.liveness
	was := p.reachable()
	// Who answers, if only to say that it isn't ready or doesn't know us, is there.
	if err == nil || kube.Reached(err) {
		p.missed, p.heard = 0, true
	} else {
		p.missed++
	}
	if p.ready, p.why, p.at = err == nil, "", time.Now(); err != nil {
		p.why = err.Error()
	}
	p.silent = kube.Silent(err)
	if found.version != "" {
		if what := p.find.origin.Another(found.origin); what != "" {
			c.hub.Log.Warn(fmt.Sprintf("cluster %s: has lost what it held, or was restored from an older copy (%s): it is listed anew", c.name, what))
			c.content = nil // the next look at the Cluster objects makes it a member anew
		}
		found.origin = p.find.origin.Next(found.origin)
		p.find = found
	}
	if now := p.reachable(); now != was {
		p.since = p.at
		if now {
			c.hub.Log.Info(fmt.Sprintf("cluster %s: in reach", c.name))
			c.heal()
		} else {
			c.hub.Log.Warn(fmt.Sprintf("cluster %s: out of reach: %v", c.name, kube.Plain(err)))
		}
	}
}

// heal has what failed while the cluster was out of reach tried at once.
func (c *cluster) heal() {
	for f, t := range c.hub.retries {
		if f.cluster == c.name && !kube.Refused(t.err) {
			delete(c.hub.retries, f)
			c.hub.table.Touch(f.Key)
		}
	}
}
