package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fedns/fedns/internal/api/report"
	"github.com/fedns/fedns/internal/api/v1alpha1"
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
	text, err := json.Marshal(out)
	if err != nil {
		panic("registry: what is published can't be said: " + err.Error())
	}
	return string(text)
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
