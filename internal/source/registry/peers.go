package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedns/fedns/internal/api/builtin"
	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
	"github.com/fedns/fedns/internal/kube"
)

// mostPeers bounds how many servers are told of: a Lease is whoever's that may write one.
const mostPeers = 100

// A peers is which servers there are beside each other, by their Leases.
type peers struct {
	all   []v1alpha1.Server
	wrong string
}

// published is what this server's Lease tells of what it answers; "": it can't be said now.
func (p *reporter) published(ctx context.Context, shown Published) string {
	out := v1alpha1.Published{Serial: shown.Serial}
	if shown.Digest != 0 {
		out.Digest = fmt.Sprintf("%016x", shown.Digest)
	}
	all, err := p.Server.Clusters(ctx)
	if err != nil {
		return ""
	}
	for _, c := range all {
		if c.Silent && len(out.Silent) < few {
			out.Silent = append(out.Silent, c.Cluster)
		}
	}
	out.Holders = shared(p.Server.Holders(ctx))
	text, err := json.Marshal(out)
	if err != nil {
		panic("registry: what is published can't be said: " + err.Error())
	}
	return string(text)
}

// mostShared bounds what a Lease says of holders, in bytes: an object's annotations have 256 KiB.
const mostShared = 128 << 10

// shared are holders of which a Lease has room, the first by name.
func shared(all map[string]string) map[string]string {
	out, size := map[string]string{}, 0
	for _, host := range slices.Sorted(maps.Keys(all)) {
		if size += len(host) + len(all[host]) + len(`"":"",`); size > mostShared {
			break
		}
		out[host] = all[host]
	}
	return out
}

// patience is how long the Leases of others may take at a start: without them hosts are held by what objects
// say of their age.
const patience = 5 * time.Second

// heldByPeers are the hosts that servers which are there hold by now; nil: none says anything.
func (r *Registry) heldByPeers(ctx context.Context, api *kube.API, now time.Time) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := api.List(ctx, builtin.Leases, v1alpha1.System, v1alpha1.ServerLabel+"=true")
	if err != nil {
		if !kube.Missing(err) && !kube.Refused(err) {
			r.Log.Warn(fmt.Sprintf("%swhich hosts other servers hold can't be known: %v", r.prefix(), kube.Plain(err)))
		}
		return nil
	}
	var servers []v1alpha1.Server
	for i := range all {
		if s, ok := v1alpha1.ServerOf(&all[i], r.Federation); ok {
			servers = append(servers, s)
		}
	}
	return heldBy(servers, now)
}

// heldBy is who holds hosts, as the servers say that are there; where they disagree, as the one says that has been there
// for the longest.
func heldBy(all []v1alpha1.Server, now time.Time) map[string]string {
	all = slices.DeleteFunc(all, func(s v1alpha1.Server) bool { return s.Published == nil || !s.Live(now) })
	slices.SortFunc(all, func(a, b v1alpha1.Server) int { return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(b.Name, a.Name)) })
	out := map[string]string{}
	for _, s := range all {
		maps.Copy(out, s.Published.Holders)
	}
	return out
}

// Peers are the servers of the federation, this one among them, as they said last; wrong is why that isn't
// known, "": it is.
func (r *Registry) Peers(now time.Time) (out []report.Peer, wrong string) {
	known := r.peers.Load()
	if known == nil {
		return nil, "the federation's API hasn't been asked yet which other servers there are"
	}
	for _, s := range known.all[:min(len(known.all), mostPeers)] {
		p := report.Peer{Federation: r.Federation, Server: s.Name, Version: s.Version, Live: s.Live(now), HeardSeconds: max(now.Sub(s.Renewed), 0).Seconds(), Silent: []string{}, Differs: []string{}}
		if s.Published != nil {
			p.Serial, p.Digest = s.Published.Serial, s.Published.Digest
			p.Silent = append(p.Silent, s.Published.Silent...)
		}
		out = append(out, p)
	}
	return out, known.wrong
}
